//! The parts together, on two polls of an invented CMTS (`fixtures/cmts/`), and on tables of a few flows.

mod counters;
mod docsis;
mod doubts;
mod ends;
mod modems;
mod samis;
mod small;

use std::collections::BTreeSet;
use std::io;

use chrono::{DateTime, Utc};

use super::baseline::Baseline;
use super::compare::{Outcome, Reading, compare};
use super::family::{Column, Family};
use super::join::{Poll, Span, join};
use super::tables::{Cell, FlowKey, Tables};
use super::usage::{Cmts, Kind, Options};
use crate::capture::RecordSink;
use crate::record::{Record, Value};

const FIRST: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/cmts/uptime-600000.snmprec"
));
const SECOND: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/cmts/uptime-600900.snmprec"
));
const DOMAIN: u32 = 536_870_914;
const FLOW: FlowKey = FlowKey {
    domain: DOMAIN,
    id: 1001,
};

/// Polls of the two files, 15 minutes apart.
fn first(family: Family) -> (Tables, Reading) {
    (tables(FIRST, family), reading(family, 60_000_000))
}

fn second(family: Family) -> (Tables, Reading) {
    (tables(SECOND, family), reading(family, 60_090_000))
}

fn reading(family: Family, uptime_ticks: u32) -> Reading {
    Reading {
        family,
        boots: Some(1),
        span: span(uptime_ticks),
        read_ms: 1_767_225_600_000 + i64::from(uptime_ticks) * 10,
    }
}

/// A walk of half a second.
fn span(ended_ticks: u32) -> Span {
    Span {
        began_ticks: ended_ticks - 50,
        settled_ticks: ended_ticks - 50,
        ended_ticks,
    }
}

fn tables(file: &str, family: Family) -> Tables {
    let mut tables = Tables::new(family);
    let kinds = [Kind::Docsis, Kind::SamisType1, Kind::SamisType2];
    let wanted = kinds.into_iter().flat_map(|kind| family.groups(kind, true));
    let mut columns: Vec<Column> = wanted.chain([Column::SIDS, Column::LOG]).flatten().copied().collect();
    columns.sort_unstable_by_key(|column| family.oid(*column));
    columns.dedup();
    let lines: Vec<_> = lines(file).collect();
    for column in columns {
        let Some(root) = family.oid(column) else { continue };
        for (oid, tag, value) in &lines {
            if let Some(index) = oid.strip_prefix(root.as_slice()) {
                match *tag {
                    "4x" => tables.take(column, index, Cell::Octets(&hex(value))),
                    "4" => tables.take(column, index, Cell::Octets(value.as_bytes())),
                    "64" => {
                        let address: std::net::Ipv4Addr = value.parse().unwrap();
                        tables.take(column, index, Cell::Octets(&address.octets()));
                    }
                    _ => tables.take(column, index, Cell::Number(value.parse().unwrap())),
                }
            }
        }
    }
    assert_eq!(tables.unusable, 0, "{:?}", tables.first_unusable);
    tables
}

fn lines(file: &str) -> impl Iterator<Item = (Vec<u32>, &str, &str)> {
    file.lines().map(|line| {
        let mut parts = line.splitn(3, '|');
        let oid = parts.next().unwrap().split('.').map(|part| part.parse().unwrap());
        (oid.collect(), parts.next().unwrap(), parts.next().unwrap())
    })
}

fn hex(digits: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(octet).collect()
}

#[derive(Default)]
struct Records(Vec<Record>);

impl RecordSink for Records {
    fn push(&mut self, record: &Record) -> io::Result<()> {
        assert_eq!(record.values.len(), record.definition.fields.len());
        self.0.push(record.clone());
        Ok(())
    }
}

impl Records {
    fn value(&self, record: usize, name: &str) -> &Value {
        let record = &self.0[record];
        &record.values[record.definition.field(name).unwrap().0]
    }

    fn number(&self, record: usize, name: &str) -> u64 {
        match self.value(record, name) {
            Value::UnsignedLong(n) => *n,
            Value::UnsignedInt(n) => (*n).into(),
            Value::Int(n) => u64::try_from(*n).unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The numbers of `names`, record by record.
    fn rows(&self, names: &[&str]) -> BTreeSet<Vec<u64>> {
        let row = |record| names.iter().map(|name| self.number(record, name)).collect();
        (0..self.0.len()).map(row).collect()
    }
}

fn now() -> DateTime<Utc> {
    "2026-01-08T00:00:00Z".parse().unwrap()
}

fn records(tables: &Tables, poll: &Poll, outcome: &Outcome, reading: Reading, options: Options) -> Records {
    let mut records = Records::default();
    cmts(tables, poll, outcome, reading, options)
        .push(&mut records)
        .unwrap();
    records
}

fn cmts<'a>(tables: &'a Tables, poll: &'a Poll, outcome: &'a Outcome, reading: Reading, options: Options) -> Cmts<'a> {
    Cmts {
        now: now(),
        host_name: b"cmts1.example.net",
        address: Some([192, 0, 2, 1].into()),
        address6: Some("2001:db8::1".parse().unwrap()),
        uptime_ticks: reading.span.ended_ticks,
        read: now(),
        tables,
        poll,
        outcome,
        options,
    }
}

/// Joins a poll, compares it with `before` and writes its records.
fn document(
    (tables, reading): &(Tables, Reading),
    before: Option<Baseline>,
    options: Options,
) -> (Poll, Outcome, Records) {
    let poll = join(tables, reading.span).unwrap();
    let outcome = compare(&poll, &tables.interfaces, *reading, before.map(Ok));
    let records = records(tables, &poll, &outcome, *reading, options);
    (poll, outcome, records)
}

/// 50,000 flows are held in all three forms at a time.
#[test]
fn a_flow_takes_little_room() {
    use std::mem::size_of;

    assert!(size_of::<super::tables::FlowRow>() <= 80);
    assert!(
        size_of::<super::join::Flow>() <= 128,
        "{}",
        size_of::<super::join::Flow>()
    );
    let kept = size_of::<(super::join::Identity, super::baseline::Kept)>();
    assert!(kept <= 80, "{kept}");
}
