//! What the tests of the document have in common: sample documents, and records by chance.
#![allow(dead_code)]

use std::io::Cursor;

use billdrop::capture::RecordSink;
use billdrop::config::Profile;
use billdrop::document::{self, Body, DocId, Header, Limits, Reader, Written};
use billdrop::record::*;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use proptest::prelude::*;

pub fn created() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 0).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub fn header(profile: Profile) -> Header {
    Header {
        doc_id: DocId::new(created(), 42, [0, 0, 0x5E, 0, 0x53, 0x10]),
        created: created(),
        recorder: text("recorder1"),
        profile,
    }
}

pub fn information(records: u64) -> DocumentInformation {
    DocumentInformation {
        created: created(),
        sequence: 42,
        previous_doc_id: Some(*DocId::new(created(), 41, [0, 0, 0x5E, 0, 0x53, 0x10]).as_bytes()),
        covers_from: Some(created() - TimeDelta::minutes(15)),
        covers_to: created(),
        captures_skipped: 3,
        remark: None,
        sources: vec![
            SourceStatus {
                name: "linux".to_owned(),
                state: SourceState::Complete,
                records,
                reason: None,
            },
            SourceStatus {
                name: "cmts1".to_owned(),
                state: SourceState::Failed,
                records: 0,
                reason: Some("no answer <within> 5 s".to_owned()),
            },
        ],
    }
}

/// An interface record of the source `linux`.
pub fn interface(index: u32, name: &str, alias: Option<&str>) -> Record {
    let mut values = vec![
        created().into(),
        text("linux").into(),
        text("router1").into(),
        Value::UnsignedInt(index),
        text(name).into(),
        alias.map(text).into(),
        Value::MacAddress([2, 0, 0x5E, 0, 0x53, index as u8]),
        Value::Enum(1),
        Value::Enum(7),
    ];
    values.extend((0..8).map(|counter| Value::UnsignedLong(u64::from(index) * 1_000_000 + counter)));
    values.push(Value::Enum(0));
    Record {
        definition: &INTERFACE_USAGE,
        values,
    }
}

/// What every record of this device begins with.
pub fn device(target: Target, name: &str, address: &str) -> DeviceHead {
    DeviceHead {
        created: created(),
        source_name: name.to_owned(),
        contract: "12345678".to_owned(),
        target,
        serv_cnt: name.to_owned(),
        location: Location::Local,
        address: address.to_owned(),
        device_time: Some(created() + TimeDelta::seconds(2)),
    }
}

pub fn body(records: &[Record]) -> Body {
    let mut body = Body::new(&std::env::temp_dir());
    for record in records {
        body.push(record).unwrap();
    }
    body
}

/// The octets of a document with these records, all of them of the source `linux`.
pub fn document(profile: Profile, checksum: bool, records: &[Record]) -> Vec<u8> {
    written(profile, checksum, records).0
}

pub fn written(profile: Profile, checksum: bool, records: &[Record]) -> (Vec<u8>, Written) {
    let mut octets = Vec::new();
    let written = document::write(
        &mut octets,
        &header(profile),
        Some(&information(records.len() as u64)),
        &mut body(records),
        created() + TimeDelta::milliseconds(1250),
        checksum,
    );
    (octets, written.unwrap())
}

pub fn reader(octets: &[u8]) -> Reader<Cursor<&[u8]>> {
    Reader::new(Cursor::new(octets), Limits::default()).unwrap()
}

pub fn records(octets: &[u8]) -> Vec<Record> {
    let mut reader = reader(octets);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    records
}

/// Text with everything that XML could stumble over.
pub fn any_text(max_chars: usize) -> BoxedStrategy<Text> {
    let character = prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => prop::sample::select(vec!['<', '&', '>', '"', '\'', ']', '\r', '\n', '\t', ';', '-', '\u{FEFF}', '\u{85}', '\u{2028}', '𝄞', 'ö']),
        1 => any::<char>().prop_filter("XML 1.0", |c| Text::new(c.to_string()).is_ok()),
    ];
    let short = prop::collection::vec(character, 0..40);
    let pieces = prop_oneof![
        Just(String::new()),
        Just("]]>".to_owned()),
        Just("\r\n".to_owned()),
        Just("&amp;&#13;".to_owned()),
        Just("<!-- x -->".to_owned()),
        Just("ü<&>\"'".repeat(1200)),
    ];
    (short, pieces)
        .prop_map(move |(short, piece)| {
            let text: String = short.into_iter().collect::<String>() + &piece;
            Text::new(text.chars().take(max_chars).collect::<String>()).unwrap()
        })
        .boxed()
}

fn any_value(kind: &'static Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text { max_chars } => any_text(*max_chars).prop_map(Value::Text).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Kind::UnsignedInt => any::<u32>().prop_map(Value::UnsignedInt).boxed(),
        Kind::UnsignedLong => any::<u64>().prop_map(Value::UnsignedLong).boxed(),
        Kind::Decimal => "-?0{0,19}[0-9]{1,9}(\\.[0-9]{1,9})?"
            .prop_map(|digits| Value::Decimal(Decimal::new(&digits).unwrap()))
            .boxed(),
        // Milliseconds from the year 1 to the year 9999.
        Kind::DateTimeMsec => (-62_135_596_800_000i64..253_402_300_800_000)
            .prop_map(|millis| Value::DateTime(DateTime::from_timestamp_millis(millis).unwrap()))
            .boxed(),
        Kind::DateTime => (-62_135_596_800i64..253_402_300_800)
            .prop_map(|seconds| Value::DateTime(DateTime::from_timestamp(seconds, 0).unwrap()))
            .boxed(),
        Kind::HexBinary { max_octets } => prop::collection::vec(any::<u8>(), 1..=*max_octets)
            .prop_map(Value::Octets)
            .boxed(),
        Kind::MacAddress => any::<[u8; 6]>().prop_map(Value::MacAddress).boxed(),
        Kind::Ipv4Addr => any::<[u8; 4]>().prop_map(|octets| Value::Ipv4(octets.into())).boxed(),
        Kind::Ipv6Addr => any::<[u8; 16]>().prop_map(|octets| Value::Ipv6(octets.into())).boxed(),
        Kind::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        Kind::Enum(codes) => (0..codes.len()).prop_map(|index| Value::Enum(codes[index].0)).boxed(),
        Kind::List(kind) => prop::collection::vec(any_value(kind), 1..4)
            .prop_map(Value::List)
            .boxed(),
        Kind::Structs(fields) => prop::collection::vec(any_values(fields), 1..4)
            .prop_map(Value::Structs)
            .boxed(),
    }
}

fn any_values(fields: &'static [Field]) -> BoxedStrategy<Vec<Value>> {
    let mut values = Just(Vec::new()).boxed();
    for field in fields {
        let value = match field.presence {
            Presence::Required => any_value(&field.kind),
            Presence::Optional | Presence::EmptyWhenAbsent => {
                prop_oneof![1 => Just(Value::Absent), 3 => any_value(&field.kind)].boxed()
            }
        };
        let is_empty_when_absent = field.presence == Presence::EmptyWhenAbsent;
        values = (values, value)
            .prop_map(move |(mut values, value)| {
                // An empty text in such a field is the same as none.
                let is_empty = matches!(&value, Value::Text(text) if text.as_str().is_empty());
                values.push(if is_empty && is_empty_when_absent {
                    Value::Absent
                } else {
                    value
                });
                values
            })
            .boxed();
    }
    values
}

/// A valid record of any kind.
pub fn any_record() -> BoxedStrategy<Record> {
    (0..DEFINITIONS.len())
        .prop_flat_map(|index| {
            let definition = DEFINITIONS[index];
            any_values(definition.fields).prop_map(move |values| Record { definition, values })
        })
        .boxed()
}
