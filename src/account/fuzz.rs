//! What a fuzzer calls, as `protocol::fuzz`: readers of call-detail lines, events, templates and time formats.

use super::cdr;
use super::event::Moment;
use super::json;
use super::read_time::read_time;
use super::template::Template;
use super::timestamp::TimestampFormat;
use super::zone::Zone;

/// The octets as a standard line: what is read is written again and read the same.
pub fn cdr_line(octets: &[u8]) {
    let zone = Zone::local();
    let now = Moment {
        seconds: 1,
        micros: 0,
        zone: None,
    };
    let Ok(line) = cdr::read_line(octets, zone) else {
        return;
    };
    let mut written = Vec::new();
    let event = line.clone().into_event(now);
    cdr::write_line(&event, "", &TimestampFormat::rfc822(), &mut written);
    let again = cdr::read_line(&written, zone).map(|line| (line.call.number, line.call.call_id, line.gatekeeper));
    if written.len() <= cdr::LONGEST_LINE {
        assert_eq!(again, Ok((line.call.number, line.call.call_id, line.gatekeeper)));
    }
}

/// The octets as an event in JSON, as a template, and as a format of times.
pub fn account_event(octets: &[u8]) {
    match json::from_json(octets) {
        Ok(event) => assert_eq!(json::from_journal(&json::to_json(&event)), Ok(event)),
        Err(reason) => assert!(reason.len() < 8 << 10),
    }
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let template = Template::parse(text);
    assert!(template.pieces().len() <= text.len());
    let moment = read_time(text, Zone::local()).unwrap_or(Moment {
        seconds: 1_795_355_027,
        micros: 604_017,
        zone: None,
    });
    if let Ok(format) = TimestampFormat::parse(text) {
        assert!((1..=127).contains(&format.text(&moment).len()));
    }
}
