//! Writes interface records made by a formula, for `contrib/bench/writer`. writer.c writes the very same.
//!
//! Usage: writer stream|document RECORDS FILE. `stream` is the plain writer; `document` adds what a document in the
//! spool has: records wait until all are there, SHA-256, document information record, checksum. Prints the peak of
//! resident memory.

use std::fs::File;
use std::io;

use billdrop::capture::RecordSink;
use billdrop::config::Profile;
use billdrop::document::{self, Body, DocId, Header, Writer};
use billdrop::record::{DocumentInformation, INTERFACE_USAGE, Record, SourceState, SourceStatus, Text, Value};
use chrono::{DateTime, Utc};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, count, path] = arguments.as_slice() else {
        return Err(io::Error::other("usage: writer stream|document RECORDS FILE"));
    };
    let count: u32 = count.parse().map_err(io::Error::other)?;
    let out = File::create(path)?;
    let created = DateTime::from_timestamp(1_768_469_400, 0).unwrap_or_default();
    let mut header = Header {
        doc_id: DocId::new(created, 42, [0, 0, 0x5E, 0, 0x53, 0x10]),
        created,
        recorder: text("recorder1"),
        profile: Profile::CiscoSamis,
    };
    if mode == "stream" {
        let mut writer = Writer::begin(out, &header)?;
        for index in 0..count {
            writer.record(&record(created, index))?;
        }
        writer.end(created)?;
    } else {
        header.profile = Profile::Full;
        let mut body = Body::new(&std::env::temp_dir());
        for index in 0..count {
            body.push(&record(created, index))?;
        }
        let information = information(created, u64::from(count));
        document::write(out, &header, Some(&information), &mut body, created, true)?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    println!("{peak}");
    Ok(())
}

fn text(text: &str) -> Text {
    Text::lossy(text.as_bytes()).0
}

fn record(created: DateTime<Utc>, index: u32) -> Record {
    let n = u64::from(index);
    let [_, a, b, c] = index.to_be_bytes();
    Record {
        definition: &INTERFACE_USAGE,
        values: vec![
            created.into(),
            text("linux").into(),
            text("router1.example.net").into(),
            Value::UnsignedInt(index),
            text(&format!("ge-0/0/{index}")).into(),
            text(&format!("customer {index} <A&B>")).into(),
            Value::MacAddress([0, 0, 0x5E, a, b, c]),
            Value::Enum(1),
            Value::Enum(1 + (index % 2) as i32),
            Value::UnsignedLong(n * 1_000_003 + 7_340_032_118),
            Value::UnsignedLong(n * 500_009 + 411_041_792),
            Value::UnsignedLong(n * 1009 + 6_120_044),
            Value::UnsignedLong(n * 503 + 2_210_551),
            Value::UnsignedLong(n % 7),
            Value::UnsignedLong(n % 5),
            Value::UnsignedLong(n % 11),
            Value::UnsignedLong(0),
            Value::Enum(0),
        ],
    }
}

fn information(created: DateTime<Utc>, records: u64) -> DocumentInformation {
    DocumentInformation {
        created,
        sequence: 42,
        previous_doc_id: None,
        covers_from: None,
        covers_to: created,
        captures_skipped: 0,
        remark: None,
        sources: vec![SourceStatus {
            name: "linux".to_owned(),
            state: SourceState::Complete,
            records,
            reason: None,
        }],
    }
}
