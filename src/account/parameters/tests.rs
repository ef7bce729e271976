use std::fs;

use super::*;
use crate::account::template::Template;

/// The call of `fixtures/gnugk/cdr-custom-all-parameters.txt`, as its values say.
fn sample() -> Event {
    let at = |seconds, micros| Moment {
        seconds,
        micros,
        zone: Some((3600, "CET".into())),
    };
    let id = |first: u8| {
        let mut id = [
            0x18, 0x6f, 0x8c, 0x5d, 0xe8, 0xe4, 0xf1, 0x11, 0x9b, 0xad, 2, 0xfc, 0, 0, 0, 1,
        ];
        id[0] = first;
        Some(id)
    };
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: at(1_795_355_027, 604_017),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            session_id: "6b02f14800000001".into(),
            number: 1,
            user: "alice".into(),
            call_id: id(0x18),
            conf_id: id(0x22),
            setup: Some(at(1_795_355_007, 0)),
            connect: Some(at(1_795_355_007, 0)),
            disconnect: Some(at(1_795_355_027, 0)),
            cause: 111,
            release_source: 0,
            caller_ip: "127.0.0.1".into(),
            caller_port: 48818,
            callee_ip: "127.0.0.1".into(),
            callee_port: 11820,
            src_info: "alice:h323_ID=1001:dialedDigits".into(),
            dest_info: "2002:dialedDigits".into(),
            calling_station_id: "1001".into(),
            called_station_id: "2002".into(),
            dialed_number: "2002".into(),
            caller_epid: "3158602467_endp".into(),
            callee_epid: "1043948383_endp".into(),
            last_cdr: 1,
            caller_vendor: "H323Plus simple 1.28.0 (H323plus v1.28.0)".into(),
            callee_vendor: "H323Plus simple 1.28.0 (H323plus v1.28.0)".into(),
            bandwidth: 100_000,
            caller_audio_codec: "G711A".into(),
            ..Call::default()
        })),
    }
}

fn context(timestamps: &TimestampFormat) -> Context<'_> {
    Context {
        gatekeeper: "example-gk",
        home: "127.0.0.1",
        timestamps,
        uuid: "54d55669-e8e4-f111-9f5c-02fc00000001",
        now: sample().time,
    }
}

fn rendered(template: &str, event: &Event) -> String {
    let cisco = TimestampFormat::parse("Cisco").unwrap();
    let mut out = Vec::new();
    Template::parse(template).render(event, &context(&cisco), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_custom_line_with_every_parameter_equals_that_of_the_real_gatekeeper() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/gnugk/cdr-custom-all-parameters.txt"
    );
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let template = lines.next().unwrap().strip_prefix("template: ").unwrap();
    let line = lines.next().unwrap().strip_prefix("line:     ").unwrap();
    assert_eq!(rendered(template, &sample()), line);
}

#[test]
fn every_parameter_is_known_by_its_name_and_by_no_other_spelling() {
    for parameter in Parameter::ALL {
        assert_eq!(Parameter::named(parameter.name()), Some(*parameter));
    }
    for wrong in ["", "callid", "CONNECT-TIME", "nope", "%", "external-ip"] {
        assert_eq!(Parameter::named(wrong), None);
    }
}

#[test]
fn what_is_unset_is_empty_or_0() {
    let mut event = sample();
    event.subject = Subject::Call(Box::default());
    for parameter in Parameter::ALL {
        let value = rendered(&format!("%{{{}}}", parameter.name()), &event);
        let expected = match parameter.name() {
            "n" | "d" | "t" | "c" | "cause-translated" | "p" | "ring-time" | "caller-port" | "callee-port" => "0",
            "call-attempts" | "last-cdr" | "client-auth-id" | "bandwidth" | "bandwidth-kbps" => "0",
            name if name.ends_with("bitrate") => "0",
            // The default of a number, not the gatekeeper's "unknown".
            "r" => "0",
            "encryption" => "Off",
            "caller-vendor" | "callee-vendor" => " ",
            "g" => "example-gk",
            "gkip" => "127.0.0.1",
            "event-uuid" => "54d55669-e8e4-f111-9f5c-02fc00000001",
            "event-time" => "14:43:47.604017 CET Sun Nov 22 2026",
            name if !parameter.known_for(EventKind::Stop) => &format!("%{{{name}}}"),
            _ => "",
        };
        assert_eq!(value, expected, "{}", parameter.name());
    }
}

#[test]
fn what_an_event_does_not_have_stays_as_it_was_typed() {
    let mut event = sample();
    event.kind = EventKind::Register;
    event.subject = Subject::Endpoint(Box::new(Endpoint {
        ip: "127.0.0.1".into(),
        port: 11820,
        aliases: "bob,2002".into(),
        user: "2002".into(),
        ..Endpoint::default()
    }));
    let template = "%g %u %{endpoint-ip}:%{endpoint-port} %{aliases}|%{endpoint-vendor}|%s %{s} %{caller-ip} %%";
    assert_eq!(
        rendered(template, &event),
        "example-gk 2002 127.0.0.1:11820 bob,2002| |%s %{s} %{caller-ip} %"
    );
    event.kind = EventKind::On;
    event.subject = Subject::Gatekeeper;
    assert_eq!(rendered("%g %{gkip} %u", &event), "example-gk 127.0.0.1 %u");
}

#[test]
fn an_event_names_its_own_gatekeeper() {
    let mut event = sample();
    event.gatekeeper = Some("west".into());
    event.gatekeeper_ip = Some("192.0.2.1".into());
    assert_eq!(rendered("%g %{gkip}", &event), "west 192.0.2.1");
}

#[test]
fn octets_that_are_no_text_pass_through() {
    let mut event = sample();
    let Subject::Call(call) = &mut event.subject else {
        unreachable!()
    };
    call.user = Text(vec![b'a', 0xff, b'\r', b'|', 0]);
    let cisco = TimestampFormat::parse("Cisco").unwrap();
    let mut out = Vec::new();
    Template::parse("<%u>").render(&event, &context(&cisco), &mut out);
    assert_eq!(out, [b'<', b'a', 0xff, b'\r', b'|', 0, b'>']);
}
