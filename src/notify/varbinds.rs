//! Events as notifications: which trap, with which variable bindings. No input, no output, no clock.
//!
//! The numbers are those of CISCO-CABLE-METERING-MIB and of `contrib/mib/BILLDROP-MIB.txt`, in the order in which the
//! OBJECTS clause of each notification lists them. `sysUpTime` and `snmpTrapOID`, which stand before them in every
//! notification (RFC 3416, section 4.2.6), are added by the sender.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::Event;

/// An object identifier as its numbers.
pub(super) type Oid = Vec<u32>;

/// What is said, without whom it is said to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    pub trap: Oid,
    pub varbinds: Vec<(Oid, Value)>,
}

/// The syntaxes that our notifications use (RFC 2578).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i32),
    Octets(Vec<u8>),
    Unsigned32(u32),
    Counter64(u64),
}

/// ciscoCableMeteringMIB
const METERING: [u32; 9] = [1, 3, 6, 1, 4, 1, 9, 9, 424];

/// Longest `ccmtrCollectionDestination`, in octets.
const DESTINATION_LIMIT: usize = 80;

/// Longest `SnmpAdminString`, in octets (RFC 3411).
const ADMIN_STRING_LIMIT: usize = 255;

/// `enterprise` is where BILLDROP-MIB hangs.
pub(super) fn notification(event: &Event, enterprise: &[u32]) -> Notification {
    use Value::*;
    let ours = |number, objects: Vec<(u32, Value)>| Notification {
        trap: below(enterprise, &[0, number]),
        varbinds: objects
            .into_iter()
            .map(|(object, value)| (below(enterprise, &[1, object, 0]), value))
            .collect(),
    };
    match event {
        Event::Collection {
            status,
            destination,
            at,
        } => {
            let object = |number| below(&METERING, &[1, 2, number, 0]);
            Notification {
                trap: below(&METERING, &[0, 1]),
                varbinds: vec![
                    (object(1), Integer(*status as i32)),
                    (object(2), self::destination(destination)),
                    (object(3), date_and_time(*at)),
                ],
            }
        }
        Event::Blocked {
            document,
            sequence,
            since,
            captures_skipped,
        } => ours(
            1,
            vec![
                (1, admin_string(document)),
                (2, Counter64(*sequence)),
                (3, date_and_time(*since)),
                (4, Unsigned32(*captures_skipped)),
            ],
        ),
        Event::SourceFailed { source, reason, at } => ours(
            2,
            vec![
                (5, admin_string(source)),
                (6, admin_string(reason)),
                (8, date_and_time(*at)),
            ],
        ),
        Event::Gap { sequence, reason, at } => ours(
            3,
            vec![
                (2, Counter64(*sequence)),
                (6, admin_string(reason)),
                (8, date_and_time(*at)),
            ],
        ),
        Event::ArchiveGaveWay { sequence, reason, at } => ours(
            5,
            vec![
                (2, Counter64(*sequence)),
                (6, admin_string(reason)),
                (8, date_and_time(*at)),
            ],
        ),
        Event::DestinationFailed {
            destination,
            pending,
            reason,
            at,
        } => ours(
            6,
            vec![
                (9, admin_string(destination)),
                (10, Unsigned32(*pending)),
                (6, admin_string(reason)),
                (8, date_and_time(*at)),
            ],
        ),
        Event::DestinationRecovered { destination, at } => {
            ours(7, vec![(9, admin_string(destination)), (8, date_and_time(*at))])
        }
        Event::CollectorSwitched {
            session,
            collector,
            reason,
            at,
        } => ours(
            8,
            vec![
                (11, admin_string(session)),
                (9, admin_string(collector)),
                (6, admin_string(reason)),
                (8, date_and_time(*at)),
            ],
        ),
        Event::Test { recorder, at } => ours(4, vec![(7, admin_string(recorder)), (8, date_and_time(*at))]),
    }
}

/// Reads an object identifier in dotted decimal, as it stands in the configuration.
pub fn parse_oid(text: &str) -> Result<Oid, String> {
    let wrong = || {
        format!("{text:?} is not an object identifier; write it in dotted decimal, like 1.3.6.1.4.1.8072.9999.9999.1")
    };
    let numbers = text
        .split('.')
        .map(|n| n.parse().ok().filter(|_| n.bytes().all(|b| b.is_ascii_digit())))
        .collect::<Option<Oid>>()
        .ok_or_else(wrong)?;
    // Three numbers are appended and 128 are the most (RFC 2578, section 3.5); the first two share one octet.
    match numbers[..] {
        [first, second, ..] if first <= 2 && second < 40 && numbers.len() <= 125 => Ok(numbers),
        _ => Err(wrong()),
    }
}

fn below(root: &[u32], rest: &[u32]) -> Oid {
    [root, rest].concat()
}

fn admin_string(text: &str) -> Value {
    Value::Octets(limited(text, ADMIN_STRING_LIMIT))
}

/// SIZE (1..80): a manager would reject an empty text.
fn destination(text: &str) -> Value {
    let text = if text.is_empty() { "-" } else { text };
    Value::Octets(limited(text, DESTINATION_LIMIT))
}

/// At most `limit` octets of `text`, cut between characters. Control characters become spaces: a manager writes one
/// line for each notification, and no source may break out of it.
fn limited(text: &str, limit: usize) -> Vec<u8> {
    let mut kept = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept.into_bytes()
}

/// `DateAndTime` (RFC 2579) in its form of 11 octets: with the zone, which is always +0:0 here.
fn date_and_time(at: DateTime<Utc>) -> Value {
    const NANOS_PER_DECISECOND: u32 = 100_000_000;
    // A year that the type cannot hold is none that a clock shows; the nearest one stands for it.
    let year = at.year().clamp(0, i32::from(u16::MAX)) as u16;
    // chrono shows a leap second as second 59 with more than 10^9 nanoseconds; the type has a second 60 for it.
    let deciseconds = at.nanosecond() / NANOS_PER_DECISECOND;
    let second = at.second() + deciseconds / 10;
    let mut octets = year.to_be_bytes().to_vec();
    octets.extend([at.month(), at.day(), at.hour(), at.minute(), second, deciseconds % 10].map(|n| n as u8));
    octets.extend([b'+', 0, 0]);
    Value::Octets(octets)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;
    use crate::notify::CollectionStatus;

    const ENTERPRISE: &[u32] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 1];

    #[test]
    fn a_time_is_written_as_the_metering_guide_shows_it() {
        // 2003-09-25 18:58:28.0 in the guide's example, which leaves the zone out.
        let at = Utc.with_ymd_and_hms(2003, 9, 25, 18, 58, 28).unwrap();
        let expected = [0x07, 0xD3, 0x09, 0x19, 0x12, 0x3A, 0x1C, 0x00, b'+', 0, 0];
        assert_eq!(date_and_time(at), Value::Octets(expected.to_vec()));
    }

    #[test]
    fn times_at_the_edges_stay_within_their_ranges() {
        let octets = |at: DateTime<Utc>| match date_and_time(at) {
            Value::Octets(octets) => octets,
            other => panic!("{other:?}"),
        };
        let last = Utc.with_ymd_and_hms(2026, 12, 31, 23, 59, 59).unwrap();
        let tenth = octets(last.with_nanosecond(999_999_999).unwrap());
        assert_eq!(tenth[6..8], [59, 9]);
        let leap = octets(last.with_nanosecond(1_250_000_000).unwrap());
        assert_eq!(leap[6..8], [60, 2]);
        assert_eq!(octets(DateTime::<Utc>::MAX_UTC)[..2], [0xFF, 0xFF]);
        assert_eq!(octets(DateTime::<Utc>::MIN_UTC)[..2], [0, 0]);
    }

    #[test]
    fn a_long_destination_is_cut_between_characters() {
        let at = Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 15).unwrap();
        let sent = |destination: &str| {
            let event = Event::Collection {
                status: CollectionStatus::Success,
                destination: destination.to_owned(),
                at,
            };
            match notification(&event, ENTERPRISE).varbinds.swap_remove(1).1 {
                Value::Octets(octets) => String::from_utf8(octets).unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sent(&"ä".repeat(41)), "ä".repeat(40));
        assert_eq!(sent(&format!("a{}", "ä".repeat(40))), format!("a{}", "ä".repeat(39)));
        assert_eq!(sent(""), "-");
    }

    #[test]
    fn no_text_breaks_the_managers_log_line() {
        assert_eq!(limited("a\r\nTRAP2 forged\u{85}\0b", 255), b"a  TRAP2 forged  b");
        assert_eq!(limited(&"x".repeat(300), 255).len(), 255);
    }

    #[test]
    fn an_object_identifier_is_read_or_refused() {
        assert_eq!(parse_oid("1.3.6.1.4.1.8072.9999.9999.1").unwrap(), ENTERPRISE);
        let long = vec!["1"; 126].join(".");
        for text in [
            "",
            "1",
            ".1.3.6",
            "1.3.",
            "3.1.2",
            "1.40.1",
            "1.3.4294967296",
            "1.3.+6",
            "1.3.x",
            &long,
        ] {
            assert!(parse_oid(text).is_err(), "{text}");
        }
    }
}
