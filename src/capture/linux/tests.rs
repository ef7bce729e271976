//! The answer here comes from the test, not from a kernel: what a kernel does seldom can be shown in no other way.

use chrono::{DateTime, Utc};

use super::*;
use crate::capture::netlink::Answer;
use crate::record::Discontinuity as D;

const BOOT: Option<[u8; 16]> = Some([1; 16]);

/// Keeps the records; the disk is full after the last that is allowed.
struct Kept {
    records: Vec<Record>,
    room: usize,
}

impl RecordSink for Kept {
    fn push(&mut self, record: &Record) -> io::Result<()> {
        if self.records.len() == self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.records.push(record.clone());
        Ok(())
    }
}

/// What a capture gave: ifName and discontinuity of each record, and the rest.
struct Outcome {
    told: Vec<(String, i32)>,
    records: Vec<Record>,
    captured: Captured,
}

fn source(include: &[&str], exclude: &[&str]) -> Linux {
    let list = |patterns: &[&str]| patterns.iter().map(|p| p.to_string()).collect();
    Linux::new(&config::Linux {
        include: list(include),
        exclude: list(exclude),
        ..config::Linux::embedded()
    })
    .unwrap()
}

fn asked(baseline: Option<&[u8]>) -> Asked<'_> {
    Asked {
        now: DateTime::<Utc>::UNIX_EPOCH,
        recorder: "recorder1",
        baseline,
    }
}

fn take(source: &Linux, pieces: Vec<Piece>, baseline: Option<&[u8]>) -> Outcome {
    let mut kept = Kept {
        records: Vec::new(),
        room: usize::MAX,
    };
    let pieces = Pieces::of(pieces.into_iter().map(Ok).collect());
    let captured = source.take(&pieces, BOOT, &asked(baseline), &mut kept).unwrap();
    let told = kept.records.iter().map(|record| {
        let (Value::Text(name), Value::Enum(discontinuity)) = (field(record, "ifName"), field(record, "discontinuity"))
        else {
            panic!("{record:?}");
        };
        (name.as_str().to_owned(), *discontinuity)
    });
    Outcome {
        told: told.collect(),
        records: kept.records,
        captured,
    }
}

fn field<'a>(record: &'a Record, name: &str) -> &'a Value {
    &record.values[INTERFACE_USAGE.field(name).unwrap().0]
}

/// An interface of the answer: ifIndex, name, value of each counter.
type Told<'a> = (u32, &'a [u8], u64);

fn answer(interfaces: &[Told<'_>]) -> Vec<Piece> {
    vec![
        Piece::Namespace(Some(4_026_531_840)),
        datagrams(interfaces),
        Piece::End { interrupted: false },
    ]
}

fn datagrams(interfaces: &[Told<'_>]) -> Piece {
    Piece::Datagrams {
        answer: Answer { sequence: 1, port: 7 },
        octets: interfaces.iter().flat_map(|told| new_link(*told, b"")).collect(),
    }
}

/// An RTM_NEWLINK message to port 7 with sequence number 1.
fn new_link((index, name, each_counter): Told<'_>, alias: &[u8]) -> Vec<u8> {
    let attribute = |kind: u16, value: &[u8]| {
        let mut attribute = (4 + value.len() as u16).to_ne_bytes().to_vec();
        attribute.extend(kind.to_ne_bytes());
        attribute.extend(value);
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        attribute
    };
    let mut message = [0u32, 16, 1, 7, 0, index, 0, 0].map(u32::to_ne_bytes).concat();
    message.extend(attribute(3, name));
    message.extend(attribute(20, alias));
    message.extend(attribute(23, &each_counter.to_ne_bytes().repeat(8)));
    let length = (message.len() as u32).to_ne_bytes();
    message[0..4].copy_from_slice(&length);
    message[4..8].copy_from_slice(&[16u16, 0].map(u16::to_ne_bytes).concat());
    message
}

fn told(told: &[(&str, D)]) -> Vec<(String, i32)> {
    told.iter().map(|(name, d)| ((*name).to_owned(), *d as i32)).collect()
}

#[test]
fn the_second_document_says_of_each_interface_whether_it_can_be_compared() {
    let all = source(&[], &[]);
    let first = take(
        &all,
        answer(&[(1, b"lo", 5), (2, b"eth0", 5), (3, b"ppp0", 5), (4, b"ppp1", 5)]),
        None,
    );
    assert_eq!(
        first.told,
        told(&["lo", "eth0", "ppp0", "ppp1"].map(|name| (name, D::NotCompared)))
    );
    assert_eq!(first.captured.remark, None);

    let second = take(
        &all,
        answer(&[(1, b"lo", 5), (2, b"eth0", 4), (9, b"ppp0", 7), (10, b"ppp7", 0)]),
        first.captured.baseline.as_deref(),
    );
    assert_eq!(
        second.told,
        told(&[
            ("lo", D::None),
            ("eth0", D::CounterLower),
            ("ppp0", D::Recreated),
            ("ppp7", D::New)
        ])
    );
    assert_eq!(
        second.captured.remark.as_deref(),
        Some("1 interface of the last document is gone: ppp1")
    );
    assert!(second.captured.incomplete.is_none());
}

#[test]
fn a_baseline_that_cannot_be_read_compares_nothing_and_is_told() {
    let outcome = take(&source(&[], &[]), answer(&[(1, b"lo", 5)]), Some(b"not a baseline"));
    assert_eq!(outcome.told, told(&[("lo", D::NotCompared)]));
    let remark = outcome.captured.remark.unwrap();
    assert!(
        remark.contains("cannot be read") && remark.contains("compared"),
        "{remark}"
    );
    assert!(outcome.captured.baseline.is_some());
}

#[test]
fn an_interface_with_a_new_name_is_told_as_such() {
    let all = source(&[], &[]);
    let first = take(&all, answer(&[(2, b"eth0", 5)]), None);
    let second = take(&all, answer(&[(2, b"wan0", 6)]), first.captured.baseline.as_deref());
    assert_eq!(second.told, told(&[("wan0", D::New)]));
    let remark = second.captured.remark.unwrap();
    assert!(
        remark.contains("renamed") && remark.contains("eth0 to wan0"),
        "{remark}"
    );
    assert!(!remark.contains("gone"), "{remark}");
}

#[test]
fn an_answer_that_was_interrupted_and_repeated_tells_each_interface_once() {
    let pieces = vec![
        Piece::Namespace(Some(1)),
        datagrams(&[(1, b"lo", 5), (3, b"eth1", 5), (3, b"eth1", 5)]),
        datagrams(&[(1, b"lo", 6), (2, b"eth0", 6), (3, b"eth1", 6)]),
        Piece::End { interrupted: false },
    ];
    let outcome = take(&source(&[], &[]), pieces, None);
    let names: Vec<&str> = outcome.told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["lo", "eth1", "eth0"]);
    assert_eq!(field(&outcome.records[1], "inOctets"), &Value::UnsignedLong(5));
    assert!(outcome.captured.incomplete.is_none());
}

#[test]
fn an_answer_interrupted_each_time_is_incomplete_and_forgets_nothing() {
    let all = source(&[], &[]);
    let interfaces: [Told<'_>; 2] = [(1, b"lo", 5), (2, b"eth0", 5)];
    let first = take(&all, answer(&interfaces), None);
    let pieces = vec![
        Piece::Namespace(Some(4_026_531_840)),
        datagrams(&interfaces[..1]),
        Piece::End { interrupted: true },
    ];
    let second = take(&all, pieces, first.captured.baseline.as_deref());
    assert!(second.captured.incomplete.is_some());
    assert_eq!(second.captured.remark, None, "eth0 is not known to be gone");
    let third = take(&all, answer(&interfaces), second.captured.baseline.as_deref());
    assert_eq!(third.told, told(&[("lo", D::None), ("eth0", D::None)]));
}

#[test]
fn only_interfaces_that_are_included_and_not_excluded_are_taken_or_missed() {
    let some = source(&["ppp*", "eth[01]"], &["ppp9*"]);
    let first = take(
        &some,
        answer(&[
            (1, b"lo", 0),
            (2, b"eth0", 0),
            (3, b"eth2", 0),
            (4, b"ppp1", 0),
            (5, b"ppp91", 0),
        ]),
        None,
    );
    assert_eq!(first.told, told(&[("eth0", D::NotCompared), ("ppp1", D::NotCompared)]));
    let narrower = source(&["ppp*"], &[]);
    let second = take(&narrower, answer(&[]), first.captured.baseline.as_deref());
    let remark = second.captured.remark.unwrap();
    assert!(
        remark.contains("is gone: ppp1") && remark.contains("include and exclude"),
        "{remark}"
    );
}

/// An interface that a wider include lets through for the first time came as new: its whole history was billed.
#[test]
fn an_interface_that_was_not_captured_before_is_not_new() {
    let first = take(&source(&["eth*"], &[]), answer(&[(2, b"eth0", 5)]), None);
    let interfaces = [(2, &b"eth0"[..], 6), (3, b"ppp0", 5)];
    let wider = take(
        &source(&[], &[]),
        answer(&interfaces),
        first.captured.baseline.as_deref(),
    );
    assert_eq!(wider.told, told(&[("eth0", D::None), ("ppp0", D::NotCompared)]));
    assert!(
        wider
            .captured
            .remark
            .unwrap()
            .contains("include or exclude has changed")
    );
    let more = [(2, &b"eth0"[..], 6), (3, b"ppp0", 5), (4, b"ppp1", 5)];
    let next = take(&source(&[], &[]), answer(&more), wider.captured.baseline.as_deref());
    assert_eq!(
        next.told,
        told(&[("eth0", D::None), ("ppp0", D::None), ("ppp1", D::New)])
    );
}

#[test]
fn names_that_xml_cannot_hold_are_made_fit_and_told() {
    let pieces = vec![
        Piece::Namespace(Some(1)),
        Piece::Datagrams {
            answer: Answer { sequence: 1, port: 7 },
            octets: [
                new_link((2, b"a\xffb", 0), b"uplink"),
                new_link((3, b"eth0", 0), b"ring\x07 & bell"),
                new_link((4, b"eth1", 0), "<&>\"' Größe".as_bytes()),
            ]
            .concat(),
        },
        Piece::End { interrupted: false },
    ];
    let outcome = take(&source(&[], &[]), pieces, None);
    let text = |n: usize, name| match field(&outcome.records[n], name) {
        Value::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(0, "ifName"), "a\u{FFFD}b");
    assert_eq!(text(1, "ifAlias"), "ring\u{FFFD} & bell");
    assert_eq!(text(2, "ifAlias"), "<&>\"' Größe");
    let remark = outcome.captured.remark.unwrap();
    assert!(
        remark.starts_with("2 interfaces have") && remark.ends_with("a\u{FFFD}b, eth0"),
        "{remark}"
    );
}

#[test]
fn without_a_boot_id_nothing_is_said_to_be_comparable() {
    let all = source(&[], &[]);
    let first = take(&all, answer(&[(1, b"lo", 5)]), None);
    let pieces = Pieces::of(answer(&[(1, b"lo", 6)]).into_iter().map(Ok).collect());
    let mut kept = Kept {
        records: Vec::new(),
        room: 9,
    };
    let baseline = first.captured.baseline.as_deref();
    let captured = all.take(&pieces, None, &asked(baseline), &mut kept).unwrap();
    assert_eq!(field(&kept.records[0], "discontinuity"), &Value::Enum(D::Reboot as i32));
    assert!(captured.remark.unwrap().contains(BOOT_ID));
}

#[test]
fn a_record_that_cannot_be_stored_stops_the_capture() {
    let pieces = Pieces::of(answer(&[(1, b"lo", 5), (2, b"eth0", 5)]).into_iter().map(Ok).collect());
    let mut kept = Kept {
        records: Vec::new(),
        room: 1,
    };
    let error = source(&[], &[])
        .take(&pieces, BOOT, &asked(None), &mut kept)
        .unwrap_err();
    assert!(matches!(error, SourceError::Sink(e) if e.kind() == io::ErrorKind::StorageFull));
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let damaged = Piece::Datagrams {
        answer: Answer { sequence: 1, port: 7 },
        octets: vec![0; 15],
    };
    let take = |last| {
        let begin = [Piece::Namespace(Some(1)), datagrams(&[(1, b"lo", 5)])];
        let pieces = Pieces::of(begin.into_iter().map(Ok).chain(last).collect());
        let mut kept = Kept {
            records: Vec::new(),
            room: 9,
        };
        source(&[], &[]).take(&pieces, BOOT, &asked(None), &mut kept)
    };
    assert!(matches!(take(None), Err(SourceError::Unavailable(_))));
    let denied = Err(SourceError::Denied("no".to_owned()));
    assert!(matches!(take(Some(denied)), Err(SourceError::Denied(_))));
    assert!(matches!(take(Some(Ok(damaged))), Err(SourceError::BadData(_))));
}

#[test]
fn the_kernels_states_are_those_of_rfc_2863() {
    let kernel = [
        ("IF_OPER_UNKNOWN", "unknown"),
        ("IF_OPER_NOTPRESENT", "notPresent"),
        ("IF_OPER_DOWN", "down"),
        ("IF_OPER_LOWERLAYERDOWN", "lowerLayerDown"),
        ("IF_OPER_TESTING", "testing"),
        ("IF_OPER_DORMANT", "dormant"),
        ("IF_OPER_UP", "up"),
        ("(a later kernel's)", "unknown"),
    ];
    for (number, (kernel, expected)) in (0..).zip(kernel) {
        let status = oper_status(number);
        let name = crate::record::OPER_STATUS.iter().find(|(code, _)| *code == status);
        assert_eq!(name, Some(&(status, expected)), "{kernel}");
    }
}

#[test]
fn each_value_fits_the_kind_of_its_field() {
    use crate::record::Kind;
    let outcome = take(&source(&[], &[]), answer(&[(1, b"lo", 5)]), None);
    let values = &outcome.records[0].values;
    assert_eq!(values.len(), INTERFACE_USAGE.fields.len());
    for (field, value) in INTERFACE_USAGE.fields.iter().zip(values) {
        let fits = match (field.kind, value) {
            (Kind::DateTimeMsec, Value::DateTime(_)) => true,
            (Kind::Text { max_chars }, Value::Text(text)) => text.as_str().chars().count() <= max_chars,
            (Kind::UnsignedInt, Value::UnsignedInt(_)) => true,
            (Kind::UnsignedLong, Value::UnsignedLong(_)) => true,
            (Kind::MacAddress, Value::MacAddress(_)) => true,
            (Kind::Enum(codes), Value::Enum(code)) => codes.iter().any(|(known, _)| known == code),
            (_, Value::Absent) => field.presence == crate::record::Presence::Optional,
            _ => false,
        };
        assert!(fits, "{}: {value:?}", field.name);
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_the_key() {
    let refused = |change: fn(&mut config::Linux)| {
        let mut config = config::Linux::embedded();
        change(&mut config);
        Linux::new(&config).err().expect("it is refused")
    };
    let sentence = refused(|c| c.include = vec!["eth*".to_owned(), "veth[0".to_owned()]);
    assert!(
        sentence.contains("include") && sentence.contains("veth[0"),
        "{sentence}"
    );
    let sentence = refused(|c| c.exclude = vec!["a***".to_owned()]);
    assert!(sentence.contains("exclude") && sentence.contains("a***"), "{sentence}");
    for namespace in ["", ".", "..", "a/b", "../a"] {
        let mut config = config::Linux::embedded();
        config.network_namespace = Some(namespace.to_owned());
        let sentence = Linux::new(&config).err().expect("it is refused");
        assert!(sentence.contains("network-namespace"), "{sentence}");
    }
    let sentence = refused(|c| c.name = "a\u{1}".to_owned());
    assert!(sentence.contains("name"), "{sentence}");
}

#[test]
fn a_namespace_is_a_name_of_ip_netns_or_an_absolute_path() {
    assert_eq!(namespace_path("blue"), Ok(PathBuf::from("/run/netns/blue")));
    assert_eq!(namespace_path("/proc/1/ns/net"), Ok(PathBuf::from("/proc/1/ns/net")));
}
