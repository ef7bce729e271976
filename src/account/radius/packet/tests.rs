//! The packets of a real gatekeeper, from events that tell of the same calls.

use std::time::Duration;

use super::*;
use crate::{
    account::event::Moment,
    config::Secret,
    protocol::radius::{HEADER, Request, parse},
};

fn recorded() -> Vec<Vec<u8>> {
    let text = include_str!("../../../../fixtures/gnugk/radius-packets.txt");
    let hex = text.lines().filter_map(|line| line.strip_prefix("hex: "));
    hex.map(|hex| {
        let pairs = hex.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    })
    .collect()
}

fn options() -> gatekeeper::RadAcct {
    gatekeeper::RadAcct {
        servers: vec![gatekeeper::RadiusServer {
            host: "127.0.0.1".into(),
            acct_port: 1813,
            secret: Secret::Text("testing123".into()),
        }],
        local_interface: None,
        port_range: (1024, 65535),
        request_timeout: Duration::from_secs(2),
        transmissions: 2,
        round_robin: true,
        id_cache_timeout: Duration::from_secs(9),
        socket_delete_timeout: Duration::from_secs(60),
        append_cisco_attributes: true,
        use_dialed_number: false,
        fixed_username: None,
        timestamp_format: None,
    }
}

fn writer(options: &gatekeeper::RadAcct) -> Writer {
    let identity = Identity {
        name: "example-gk".into(),
        home: None,
        timestamp_format: "Cisco".into(),
    };
    Writer::new(options, &identity).unwrap()
}

/// `clock` past 15:00 in CET on the day of the recording.
fn at(minute: i64, second: i64) -> Option<Moment> {
    Some(Moment {
        seconds: 1_795_356_000 + minute * 60 + second,
        micros: 0,
        zone: Some((3600, "CET".into())),
    })
}

fn id(hex: u128) -> Option<[u8; 16]> {
    Some(hex.to_be_bytes())
}

fn event(kind: EventKind, call: Option<Call>, time: Option<Moment>) -> Event {
    Event {
        kind,
        uuid: None,
        time: time.unwrap(),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: call.map_or(Subject::Gatekeeper, |call| Subject::Call(Box::new(call))),
    }
}

fn party() -> Call {
    Call {
        user: "alice".into(),
        caller_ip: "127.0.0.1".into(),
        callee_ip: "127.0.0.1".into(),
        calling_station_id: "1001".into(),
        called_station_id: "2002".into(),
        dialed_number: "00492002".into(),
        release_source: 1,
        cause: 16,
        // Known, but media did not pass through the gatekeeper.
        caller_media_ip: "127.0.0.1".into(),
        callee_media_ip: "127.0.0.1".into(),
        ..Call::default()
    }
}

fn answered() -> Call {
    Call {
        session_id: "6b02fada00000001".into(),
        conf_id: id(0x021DAFF2_EDE4F111_81FC02FC_00000001),
        call_id: id(0xF81CAFF2_EDE4F111_81FC02FC_00000001),
        setup: at(23, 25),
        connect: at(23, 25),
        caller_audio_codec: "G711A".into(),
        ..party()
    }
}

fn unanswered() -> Call {
    Call {
        session_id: "6b02fada00000002".into(),
        conf_id: id(0x52BF76FC_EDE4F111_9D2002FC_00000001),
        call_id: id(0x52BF76FC_EDE4F111_9D1F02FC_00000001),
        setup: at(23, 41),
        alerting: at(23, 41),
        ..party()
    }
}

/// Kinds and values, without the vendor's number of Cisco's.
fn shown(attributes: &Attributes) -> Vec<(u8, Vec<u8>)> {
    let all = parse(attributes.octets()).unwrap().into_iter();
    all.map(|(kind, value)| (kind, value.to_vec())).collect()
}

fn value(attributes: &Attributes, kind: u8) -> Option<Vec<u8>> {
    shown(attributes)
        .into_iter()
        .find(|(number, _)| *number == kind)
        .map(|(_, value)| value)
}

#[test]
fn every_packet_of_the_gatekeeper_is_made_octet_for_octet() {
    let ended = |call: Call, minute, second| Call {
        disconnect: at(minute, second),
        ..call
    };
    let events = [
        event(EventKind::On, None, at(23, 22)),
        event(EventKind::Start, Some(answered()), at(23, 25)),
        event(EventKind::Update, Some(answered()), at(23, 35)),
        event(EventKind::Stop, Some(ended(answered(), 23, 37)), at(23, 37)),
        event(EventKind::Start, Some(unanswered()), at(23, 41)),
        event(EventKind::Stop, Some(ended(unanswered(), 23, 46)), at(23, 46)),
        event(EventKind::Off, None, at(23, 48)),
    ];
    let writer = writer(&options());
    let nas = "127.0.0.1".parse().ok();
    for (event, recorded) in events.iter().zip(recorded()) {
        let attributes = writer.attributes(event, nas).unwrap();
        let request = Request {
            identifier: recorded[1],
            delay: (event.subject != Subject::Gatekeeper).then_some(0),
            message_authenticator: false,
            secret: b"testing123",
        };
        let mut packet = Vec::new();
        request.write(&attributes, &mut packet);
        let kind = event.kind.name();
        let texts = |octets: &[u8]| {
            format!(
                "{:?}",
                parse(&octets[HEADER..]).map(|all| all
                    .iter()
                    .map(|(kind, value)| (*kind, String::from_utf8_lossy(value).into_owned()))
                    .collect::<Vec<_>>())
            )
        };
        assert_eq!(texts(&packet), texts(&recorded), "{kind}");
        assert_eq!(packet, recorded, "{kind}");
    }
}

#[test]
fn the_options_of_the_ini_change_what_they_say() {
    let mut options = options();
    options.append_cisco_attributes = false;
    options.use_dialed_number = true;
    options.fixed_username = Some("gatekeeper".into());
    let start = event(EventKind::Start, Some(answered()), at(23, 25));
    let attributes = writer(&options).attributes(&start, None).unwrap();
    assert_eq!(value(&attributes, kind::VENDOR_SPECIFIC), None);
    assert_eq!(value(&attributes, kind::CALLED_STATION_ID).unwrap(), b"00492002");
    assert_eq!(value(&attributes, kind::USER_NAME).unwrap(), b"gatekeeper");
    assert_eq!(value(&attributes, kind::NAS_IP_ADDRESS), None);

    options.append_cisco_attributes = true;
    options.timestamp_format = Some("MySQL".into());
    let attributes = writer(&options).attributes(&start, None).unwrap();
    let text = String::from_utf8_lossy(attributes.octets()).into_owned();
    assert!(text.contains("h323-setup-time=2026-11-22 15:23:25"), "{text}");
}

#[test]
fn ipv6_has_attributes_of_its_own() {
    let call = Call {
        caller_ip: "[2001:db8::1]".into(),
        callee_ip: "2001:db8::2".into(),
        ..answered()
    };
    let start = event(EventKind::Start, Some(call), at(23, 25));
    let attributes = writer(&options())
        .attributes(&start, "2001:db8::9".parse().ok())
        .unwrap();
    let octets = |address: &str| address.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    assert_eq!(
        value(&attributes, kind::NAS_IPV6_ADDRESS).unwrap(),
        octets("2001:db8::9")
    );
    assert_eq!(
        value(&attributes, kind::FRAMED_IPV6_ADDRESS).unwrap(),
        octets("2001:db8::1")
    );
    assert_eq!(value(&attributes, kind::NAS_IP_ADDRESS), None);
    assert_eq!(value(&attributes, kind::FRAMED_IP_ADDRESS), None);
    let text = String::from_utf8_lossy(attributes.octets()).into_owned();
    assert!(text.contains("h323-remote-address=2001:db8::2"), "{text}");
}

#[test]
fn what_only_radius_carries_stands_where_the_gatekeeper_has_it() {
    let call = Call {
        rtp_proxied: true,
        rtcp: [
            "RTCP_destination_sdes_cname=b",
            "RTCP_source_sdes_cname=a",
            "RTCP_source_packet_count=17",
        ]
        .map(Text::from)
        .to_vec(),
        class: vec![vec![1, 2, 3], vec![4; 253], vec![5; 254]],
        ..answered()
    };
    let stop = event(EventKind::Stop, Some(call), at(23, 37));
    let attributes = writer(&options()).attributes(&stop, None).unwrap();
    let all = shown(&attributes);
    let classes: Vec<usize> = all
        .iter()
        .filter(|(number, _)| *number == kind::CLASS)
        .map(|(_, value)| value.len())
        .collect();
    assert_eq!(classes, [3, 253], "a part of a Class is of no use to the server");
    let pairs: Vec<String> = all
        .iter()
        .filter(|(number, value)| *number == kind::VENDOR_SPECIFIC && value[4] == cisco::AV_PAIR)
        .map(|(_, value)| String::from_utf8_lossy(&value[6..]).into_owned())
        .collect();
    let expected = [
        "h323_rtp_proxy=1",
        "RTP_source_IP=127.0.0.1",
        "RTP_destination_IP=127.0.0.1",
        "RTCP_source_packet_count=17",
        "RTCP_source_packet_lost=0",
        "RTCP_source_jitter=0|0|0",
        "RTCP_source_sdes_cname=a",
        "RTCP_destination_packet_count=0",
        "RTCP_destination_packet_lost=0",
        "RTCP_destination_jitter=0|0|0",
        "RTCP_destination_sdes_cname=b",
    ];
    assert_eq!(pairs[3..14], expected);
}

#[test]
fn hostile_values_make_no_broken_packet() {
    let long = Text(vec![0xff; 5000]);
    let call = Call {
        session_id: long.clone(),
        user: long.clone(),
        caller_ip: long.clone(),
        callee_ip: Text(b"\0".to_vec()),
        calling_station_id: long.clone(),
        called_station_id: long.clone(),
        caller_audio_codec: long.clone(),
        cause: u32::MAX,
        release_source: i32::MIN,
        duration: Some(u64::MAX),
        rtcp: vec![Text(b"RTCP_source_sdes_x".to_vec().repeat(20)); 100],
        ..Call::default()
    };
    let stop = event(EventKind::Stop, Some(call), at(0, 0));
    let attributes = writer(&options()).attributes(&stop, None).unwrap();
    assert!(attributes.octets().len() <= 4052);
    assert_eq!(value(&attributes, kind::ACCT_SESSION_TIME).unwrap(), [0xff; 4]);
    assert_eq!(value(&attributes, kind::USER_NAME).unwrap().len(), 253);
    assert_eq!(value(&attributes, kind::FRAMED_IP_ADDRESS), None);
}

#[test]
fn events_that_radius_does_not_know_make_no_packet() {
    for kind in [
        EventKind::Connect,
        EventKind::Alert,
        EventKind::Reject,
        EventKind::MediaFail,
    ] {
        let event = event(kind, Some(answered()), at(0, 0));
        assert!(writer(&options()).attributes(&event, None).is_none());
    }
    let startless = event(EventKind::Start, None, at(0, 0));
    assert!(writer(&options()).attributes(&startless, None).is_none());
}
