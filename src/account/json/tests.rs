use std::{collections::BTreeSet, fs};

use proptest::{collection::vec, option, prelude::*};

use super::names::Key;
use super::*;
use crate::account::event::{Call, Endpoint, Event, EventKind, Moment, Subject, Text};

fn read(line: &str) -> Result<Event, String> {
    from_json(line.as_bytes())
}

fn call_of(line: &str) -> Call {
    match read(line).unwrap().subject {
        Subject::Call(call) => *call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_may_be_as_short_as_its_name() {
    let event = read(r#"{"event":"on"}"#).unwrap();
    assert_eq!((event.kind, event.subject), (EventKind::On, Subject::Gatekeeper));
    assert!(event.time.seconds > 1_700_000_000, "now");
    let call = call_of(r#"{"event":"stop","event-time":1795355027}"#);
    assert_eq!((call.release_source, call.duration, call.setup), (-1, None, None));
}

#[test]
fn the_keys_are_the_names_of_the_parameters_in_any_order() {
    let line = r#"{"u":"alice","n":7,"s":"6b02f14800000007","CallId":"18-6f-8c-5d-e8-e4-f1-11-9b-ad-02-fc-00-00-00-01",
        "ConfId":"226f8c5de8e4f1119bad02fc00000001","caller-ip":"192.0.2.7","caller-port":1720,"r":2,"c":16,
        "setup-time":1795355007,"connect-time":"2026-11-22T14:43:27+01:00","disconnect-time":"2026-11-22T14:43:47.5+01:00[CET]",
        "encryption":"On","codec":"G711A","bandwidth-kbps":64,"event":"stop","g":"west"}"#;
    let event = read(line).unwrap();
    assert_eq!(event.gatekeeper, Some("west".into()));
    let call = call_of(line);
    assert_eq!(
        (call.number, call.release_source, call.cause, call.caller_port),
        (7, 2, 16, 1720)
    );
    assert_eq!((call.call_id.unwrap()[0], call.conf_id.unwrap()[0]), (0x18, 0x22));
    assert_eq!((call.bandwidth, call.encryption), (640, Some(true)));
    assert_eq!(call.caller_audio_codec, "G711A".into());
    let unzoned = Some(Moment {
        seconds: 1_795_355_007,
        micros: 0,
        zone: None,
    });
    assert_eq!((&call.setup, &call.connect), (&unzoned, &unzoned));
    let zoned = Moment {
        seconds: 1_795_355_027,
        micros: 500_000,
        zone: Some((3600, "CET".into())),
    };
    assert_eq!(call.disconnect, Some(zoned));
}

#[test]
fn times_have_many_forms_and_no_wrong_one_is_taken() {
    let time = |text: &str| {
        let event = read(&format!(r#"{{"event":"on","event-time":{text}}}"#))?;
        Ok::<_, String>((event.time.seconds, event.time.micros, event.time.zone))
    };
    assert_eq!(time("1795355027.604017").unwrap(), (1_795_355_027, 604_017, None));
    assert_eq!(time("253402300799").unwrap().0, 253_402_300_799);
    assert_eq!(time(r#""2026-11-22T13:43:47Z""#).unwrap(), (1_795_355_027, 0, None));
    assert_eq!(
        time(r#""2026-11-22t13:43:47.6040179z""#).unwrap(),
        (1_795_355_027, 604_017, None)
    );
    assert_eq!(time(r#""2028-02-29T00:00:00-02:30""#).unwrap().0, 1_835_404_200);
    let odd = time(r#""1937-01-01T12:00:27+00:19:32[A]B]""#);
    assert!(odd.is_err(), "before 1970");
    let odd = time(r#""1970-01-02T00:19:32+00:19:32[A]B]""#).unwrap();
    assert_eq!(odd, (86_400, 0, Some((1172, "A]B".into()))));
    for wrong in [
        "-1",
        "1e300",
        "253402300800",
        r#""2026-11-22""#,
        r#""2026-11-22T14:43:47""#,
        r#""2026-02-29T14:43:47Z""#,
        r#""2026-11-22T24:43:47Z""#,
        r#""2026-11-22T14:43:47.Z""#,
        r#""2026-11-22T14:43:47+25:00""#,
        r#""2026-11-22T14:43:47+01:00[CET""#,
        r#""1969-12-31T00:00:00Z""#,
        r#""Sun, 22 Nov 2026 14:43:47 +0100""#,
        "true",
    ] {
        let error = time(wrong).unwrap_err();
        assert!(error.contains("RFC 3339"), "{wrong}: {error}");
    }
}

#[test]
fn a_wrong_key_is_refused_and_the_nearest_named() {
    for (line, expected) in [
        (r#"{"event":"stop","conect-time":1}"#, r#"is "connect-time" meant?"#),
        (r#"{"event":"stop","callid":"x"}"#, r#"is "CallId" meant?"#),
        (r#"{"event":"stop","zzz":1}"#, r#"there is no key "zzz" at octet"#),
        (r#"{"event":"stopp"}"#, r#"is "stop" meant?"#),
        (r#"{"event":"stop","n":1,"n":2}"#, r#"the key "n" is there twice"#),
        (r#"{"n":1}"#, r#"the key "event" is missing"#),
        (r#"{"event":"stop","epid":"x"}"#, r#"stop events have no "epid""#),
        (
            r#"{"event":"register","caller-ip":"x"}"#,
            r#"register events have no "caller-ip""#,
        ),
        (r#"{"event":"on","u":"x"}"#, r#"on events have no "u""#),
    ] {
        let error = read(line).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_and_the_right_one_named() {
    for (value, expected) in [
        (
            r#""caller-port":65536"#,
            r#"a whole number from 0 to 65535 for "caller-port""#,
        ),
        (r#""n":-1"#, r#"a whole number from 0 to 18446744073709551615 for "n""#),
        (r#""d":1.5"#, r#"for "d""#),
        (r#""n":"1""#, r#"for "n""#),
        (r#""u":1001"#, "a text"),
        (r#""u":{"base64":"*"}"#, "base64"),
        (r#""u":{"hex":"00"}"#, "base64"),
        (r#""u":{"base64":"AA==","x":1}"#, "base64"),
        (r#""CallId":"18 6f""#, "16 octets in hexadecimal"),
        (
            r#""CallId":"zz6f8c5de8e4f1119bad02fc00000001""#,
            "16 octets in hexadecimal",
        ),
        (r#""encryption":"yes""#, "\"On\" or \"Off\""),
        (r#""event-uuid":"a b""#, "64 printable"),
        (r#""rtcp":"x""#, "a list of texts"),
    ] {
        let error = read(&format!(r#"{{"event":"stop",{value}}}"#)).unwrap_err();
        assert!(error.contains(expected), "{value}: {error}");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    for line in [
        "",
        "{",
        "[]",
        "7",
        "\"x\"",
        r#"{"event":"on"} x"#,
        r#"{"event":"on"}{"event":"on"}"#,
        "\0",
    ] {
        assert!(read(line).is_err(), "{line}");
    }
    let error = from_json(b"{\"event\":\"stop\",\"u\":\"\xff\"}").unwrap_err();
    assert!(error.contains("octet 22 is not UTF-8"), "{error}");
    let deep = [r#"{"event":"stop","u":"#, &"[".repeat(50_000)].concat();
    assert!(read(&deep).is_err());
    let long = format!(r#"{{"event":"stop","u":"{}"}}"#, "x".repeat(LONGEST_LINE));
    assert!(read(&long).unwrap_err().contains("65536"));
    let items = format!(r#"{{"event":"stop","class":[{}"A"]}}"#, "\"A\",".repeat(MOST_ITEMS));
    assert!(read(&items).unwrap_err().contains("65 items"));
}

#[test]
fn an_event_is_written_in_one_way_only() {
    let line = concat!(
        r#"{"event":"stop","event-uuid":"54d55669-e8e4-f111-9f5c-02fc00000001","#,
        r#""event-time":"2026-11-22T14:43:47.604017+01:00[CET]","n":1,"u":"a\"\\\r\u0000é","d":20,"r":0,"#,
        r#""setup-time":"2026-11-22T13:43:27Z","class":["x",{"base64":"/w=="}]}"#
    );
    assert_eq!(String::from_utf8(to_json(&read(line).unwrap())).unwrap(), line);
}

#[test]
fn a_time_that_no_moment_should_hold_is_brought_into_the_years_that_fit() {
    for (seconds, micros, offset) in [(i64::MIN, u32::MAX, i32::MIN), (i64::MAX, 7, i32::MAX), (0, 0, 0)] {
        let event = Event {
            kind: EventKind::On,
            uuid: None,
            time: Moment {
                seconds,
                micros,
                zone: Some((offset, "X\"]".into())),
            },
            gatekeeper: None,
            gatekeeper_ip: None,
            subject: Subject::Gatekeeper,
        };
        let again = from_json(&to_json(&event)).unwrap();
        assert!((1..=253_402_300_799).contains(&again.time.seconds));
        assert_eq!(again.time.zone.unwrap().1, "X\"]");
    }
}

#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/schema/account-event.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut events = BTreeSet::new();
    for definition in ["gatekeeperEvent", "callEvent", "endpointEvent"] {
        let properties = schema["$defs"][definition]["properties"].as_object().unwrap();
        let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        for event in properties["event"]["enum"].as_array().unwrap() {
            let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == event).unwrap();
            let read: BTreeSet<&str> = Key::all().filter(|key| key.belongs_to(kind)).map(Key::name).collect();
            assert_eq!(described, read, "{event}");
            events.insert(kind.name());
        }
    }
    assert_eq!(events.len(), EventKind::ALL.len());
}

fn texts() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(Text::default()),
        ".{0,12}".prop_map(|text| Text(text.into_bytes())),
        vec(any::<u8>(), 0..12).prop_map(Text),
    ]
}

fn moments() -> impl Strategy<Value = Moment> {
    let zone = option::of((-86_399..86_400_i32, ".{0,6}"));
    // Far enough from the ends for every offset.
    (86_400..253_402_214_400_i64, 0..1_000_000_u32, zone).prop_map(|(seconds, micros, zone)| Moment {
        seconds,
        micros,
        zone,
    })
}

fn calls() -> impl Strategy<Value = Call> {
    let numbers = (vec(any::<u64>(), 12), vec(any::<u32>(), 5), any::<(i32, u16, u16)>());
    let optional = vec(option::of(any::<u64>()), 4);
    let times = vec(option::of(moments()), 4);
    let others = (
        any::<(Option<[u8; 16]>, Option<bool>, bool)>(),
        vec(texts(), 0..3),
        vec(texts(), 0..3),
    );
    (vec(texts(), 24), numbers, optional, times, others).prop_map(|(texts, numbers, optional, times, others)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        let (large, small, (release_source, caller_port, callee_port)) = numbers;
        let ((id, encryption, rtp_proxied), rtcp, class) = others;
        Call {
            session_id: text(),
            number: large[0],
            user: text(),
            call_id: id,
            conf_id: id.map(|mut id| {
                id.reverse();
                id
            }),
            call_link: text(),
            setup: times[0].clone(),
            alerting: times[1].clone(),
            connect: times[2].clone(),
            disconnect: times[3].clone(),
            duration: optional[0],
            total_time: optional[1],
            post_dial_delay: optional[2],
            ring_time: optional[3],
            cause: small[0],
            cause_translated: Some(small[1]),
            release_source,
            caller_ip: text(),
            caller_port,
            callee_ip: text(),
            callee_port,
            src_info: text(),
            dest_info: text(),
            calling_station_id: text(),
            called_station_id: text(),
            dialed_number: text(),
            caller_epid: text(),
            callee_epid: text(),
            call_attempts: small[2],
            last_cdr: small[3],
            client_auth_id: large[1],
            caller_vendor: text(),
            callee_vendor: text(),
            sinfo_ip: text(),
            bandwidth: large[2],
            caller_audio_codec: text(),
            callee_audio_codec: text(),
            caller_video_codec: text(),
            callee_video_codec: text(),
            caller_audio_bitrate: large[3],
            callee_audio_bitrate: large[4],
            caller_video_bitrate: large[5],
            callee_video_bitrate: large[6],
            caller_media_ip: text(),
            callee_media_ip: text(),
            media_oip: text(),
            encryption,
            rtp_proxied,
            rtcp,
            class: class.into_iter().map(|text| text.0).collect(),
        }
    })
}

fn events() -> impl Strategy<Value = Event> {
    let subject = prop_oneof![
        Just((EventKind::Off, Subject::Gatekeeper)),
        calls().prop_map(|call| (EventKind::Update, Subject::Call(Box::new(call)))),
        (vec(texts(), 6), any::<u16>()).prop_map(|(texts, port)| {
            let [ip, vendor, aliases, user, calling_station_id, epid] = texts.try_into().unwrap();
            let endpoint = Endpoint {
                ip,
                port,
                vendor,
                aliases,
                user,
                calling_station_id,
                epid,
            };
            (EventKind::Register, Subject::Endpoint(Box::new(endpoint)))
        }),
    ];
    let some = || option::of(texts()).prop_map(|text| text.filter(|text| !text.is_empty()));
    (subject, moments(), option::of("[!-~]{1,64}"), some(), some()).prop_map(
        |((kind, subject), time, uuid, gatekeeper, gatekeeper_ip)| Event {
            kind,
            uuid,
            time,
            gatekeeper,
            gatekeeper_ip,
            subject,
        },
    )
}

proptest! {
    #[test]
    fn an_event_that_is_written_is_read_the_same(event in events()) {
        let line = to_json(&event);
        prop_assert!(!line.contains(&b'\n'));
        let again = from_json(&line).unwrap();
        prop_assert_eq!(&again, &event);
        prop_assert_eq!(to_json(&again), line);
    }

    #[test]
    fn no_line_is_a_fault(octets in vec(any::<u8>(), 0..200), text in r#"\{("event"|"n"|"u"|"setup-time"|[:,{}\[\]]|"stop"|1|null){0,12}"#) {
        let _ = from_json(&octets);
        let _ = from_json(text.as_bytes());
    }
}
