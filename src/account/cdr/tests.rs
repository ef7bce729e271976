use std::fs;

use super::*;

fn berlin() -> Zone {
    Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Lines end with LF; one of them has a CR in an alias.
fn samples() -> Vec<Vec<u8>> {
    let octets = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gnugk/cdr-standard.txt")).unwrap();
    let lines = octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

fn written(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    write_line(event, "example-gk", &TimestampFormat::rfc822(), &mut out);
    out
}

fn now() -> Moment {
    Moment {
        seconds: 1_795_355_217,
        micros: 604_017,
        zone: Some((3600, "CET".into())),
    }
}

#[test]
fn every_line_of_the_real_gatekeeper_is_read_and_written_again_octet_by_octet() {
    assert_eq!(samples().len(), 4);
    for line in samples() {
        let read = read_line(&line, &berlin()).unwrap();
        assert!(read.certain);
        assert_eq!(written(&read.into_event(now())), line);
    }
}

#[test]
fn the_values_of_a_call_give_its_line() {
    let at = |seconds| Moment {
        seconds,
        micros: 0,
        zone: Some((3600, "CET".into())),
    };
    let call = Call {
        number: 1,
        call_id: read_id(b"6e 57 9b d8 e8 e4 f1 11 9d 57 02 fc 00 00 00 01"),
        connect: Some(at(1_795_355_217)),
        disconnect: Some(at(1_795_355_220)),
        caller_ip: "127.0.0.1".into(),
        caller_port: 50344,
        callee_ip: "127.0.0.1".into(),
        callee_port: 11820,
        caller_epid: "1417627255_endp".into(),
        callee_epid: "3665752811_endp".into(),
        src_info: "alice:h323_ID=1001:dialedDigits".into(),
        dest_info: "2002:dialedDigits".into(),
        ..Call::default()
    };
    let mut event = Event {
        kind: EventKind::Stop,
        uuid: None,
        time: now(),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(call.clone())),
    };
    assert_eq!(written(&event), samples()[0]);
    event.subject = Subject::Call(Box::new(Call {
        caller_ip: "2001:db8::1".into(),
        callee_ip: Text::default(),
        callee_epid: Text::default(),
        connect: None,
        disconnect: None,
        ..call
    }));
    let line = String::from_utf8(written(&event)).unwrap();
    assert!(
        line.contains("|0|unconnected|Sun, 22 Nov 2026 14:46:57 +01:00|[2001:db8::1]:50344|1417627255_endp| | |2002:")
    );
    assert_eq!(
        written(&read_line(line.as_bytes(), &berlin()).unwrap().into_event(now())),
        line.as_bytes()
    );
}

#[test]
fn a_bar_in_an_alias_is_found_and_one_that_could_be_the_border_is_told() {
    let parts = |aliases: &str| {
        let (dest, src, certain) = split_aliases(aliases.as_bytes()).unwrap();
        (dest.to_string(), src.to_string(), certain)
    };
    let said = |dest: &str, src: &str, certain| (dest.to_string(), src.to_string(), certain);
    assert_eq!(
        parts("2002:dialedDigits|al|ice:h323_ID"),
        said("2002:dialedDigits", "al|ice:h323_ID", true)
    );
    assert_eq!(
        parts("b|ob:h323_ID|alice:h323_ID"),
        said("b|ob:h323_ID", "alice:h323_ID", true)
    );
    assert_eq!(
        parts("2002:dialedDigits|a:h323_ID|b:h323_ID"),
        said("2002:dialedDigits", "a:h323_ID|b:h323_ID", false)
    );
    assert_eq!(parts("|alice:h323_ID"), said("", "alice:h323_ID", true));
    assert_eq!(parts("x|y"), said("x", "y", true));
    assert_eq!(split_aliases(b"none"), None);
}

#[test]
fn a_broken_line_is_refused_and_the_field_named() {
    let line = String::from_utf8(samples()[0].clone()).unwrap();
    for (from, to, expected) in [
        ("CDR|", "CDX|", "begins with CDR|"),
        ("|1|", "|x|", "call number"),
        ("6e 57", "6e", "call id"),
        ("|3|", "|-3|", "duration"),
        ("14:46:57", "14:66:57", "connect time"),
        ("14:47:00", "x", "disconnect time"),
        ("127.0.0.1:50344", "127.0.0.1", "caller"),
        ("127.0.0.1:11820", "127.0.0.1:70000", "callee"),
        (";", "", "semicolon"),
    ] {
        let broken = line.replacen(from, to, 1);
        let error = read_line(broken.as_bytes(), &berlin()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for end in 0..line.len() {
        assert!(read_line(&line.as_bytes()[..end], &berlin()).is_err());
    }
    let long = [line.as_bytes(), &[b'x'; LONGEST_LINE]].concat();
    assert!(read_line(&long, &berlin()).unwrap_err().contains("65536"));
}

proptest::proptest! {
    #[test]
    fn a_line_that_is_read_is_written_the_same(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..200_usize, sample in 0..4_usize) {
        let mut line = samples()[sample].clone();
        let at = cut.min(line.len());
        line.splice(at..at, octets);
        crate::account::fuzz::cdr_line(&line);
        crate::account::fuzz::account_event(&line);
        if let Ok(read) = read_line(&line, &berlin()) {
            let again = written(&read.clone().into_event(now()));
            let twice = read_line(&again, &berlin()).expect("our own line");
            proptest::prop_assert_eq!(twice, read);
        }
    }
}
