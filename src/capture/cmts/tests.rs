//! The parts together, on two polls of an invented CMTS (`fixtures/cmts/`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use chrono::{DateTime, Utc};

use super::baseline::{Baseline, Unreadable};
use super::compare::{Outcome, Reading, compare};
use super::family::{Column, Family};
use super::join::{Hidden, Poll, Span, join};
use super::tables::{Cell, FlowKey, Tables};
use super::usage::{Cmts, Options};
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
    let groups = [
        Column::MODEMS,
        Column::REGISTRATIONS,
        Column::INTERFACES,
        Column::OWNERS,
        Column::FLOWS,
        Column::CLASSES,
        Column::GROUPS,
        Column::SIDS,
        Column::CISCO_SIDS,
        Column::CPES,
        Column::LOG,
    ];
    let lines: Vec<_> = lines(file).collect();
    for column in groups.into_iter().flatten() {
        let Some(root) = family.oid(*column) else { continue };
        for (oid, tag, value) in &lines {
            if let Some(index) = oid.strip_prefix(root.as_slice()) {
                match *tag {
                    "4x" => tables.take(*column, index, Cell::Octets(&hex(value))),
                    "4" => tables.take(*column, index, Cell::Octets(value.as_bytes())),
                    "64" => {
                        let address: std::net::Ipv4Addr = value.parse().unwrap();
                        tables.take(*column, index, Cell::Octets(&address.octets()));
                    }
                    _ => tables.take(*column, index, Cell::Number(value.parse().unwrap())),
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
    let cmts = Cmts {
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
    };
    cmts.push(&mut records).unwrap();
    records
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

/// What the file says of a flow table's column: the flow's number and the cell.
fn column(file: &str, root: &str) -> BTreeMap<u32, u64> {
    let prefix: Vec<u32> = root.split('.').map(|part| part.parse().unwrap()).collect();
    let cell = |(oid, _, value): (Vec<u32>, &str, &str)| {
        let index = oid.strip_prefix(prefix.as_slice())?;
        Some((*index.last()?, value.parse().unwrap()))
    };
    lines(file).filter_map(cell).collect()
}

#[test]
fn every_flow_of_every_family_has_its_own_counters() {
    let roots = [
        (Family::Draft, "1.3.6.1.2.1.10.127.7.1.4.1"),
        (Family::Ietf, "1.3.6.1.2.1.127.1.4.1"),
        (Family::Qos3, "1.3.6.1.4.1.4491.2.1.21.1.4.1"),
    ];
    let names = [
        "servicePktsPassed",
        "serviceOctetsPassed",
        "serviceTimeCreated",
        "serviceTimeActive",
        "serviceSlaDropPkts",
        "serviceSlaDelayPkts",
    ];
    for (family, root) in roots {
        let (poll, _, records) = document(&first(family), None, Options::default());
        assert_eq!(poll.missing(), None);
        let columns = [1, 2, 3, 4, 6, 7].map(|number| column(FIRST, &format!("{root}.{number}")));
        assert!(columns[0].len() > 30, "{family:?}: {}", columns[0].len());
        let sfids = columns[0].keys();
        let expected: BTreeSet<Vec<u64>> = sfids
            .map(|sfid| {
                let cells = columns.iter().map(|column| column[sfid]);
                [u64::from(*sfid)].into_iter().chain(cells).collect()
            })
            .collect();
        let all: Vec<&str> = ["serviceIdentifier"].into_iter().chain(names).collect();
        let seen: BTreeSet<_> = records.rows(&all).into_iter().filter(|row| row[0] < 8192).collect();
        let stopped = poll
            .ended
            .iter()
            .map(|flow| u64::from(flow.key.id))
            .collect::<BTreeSet<_>>();
        let live: BTreeSet<_> = seen.into_iter().filter(|row| !stopped.contains(&row[0])).collect();
        assert_eq!(live, expected, "{family:?}");
    }
}

#[test]
fn a_record_says_whose_flow_it_is_and_where() {
    let (_, _, records) = document(&first(Family::Qos3), None, Options::default());
    let text = |name| match records.value(0, name) {
        Value::Text(text) => text.as_str().to_owned(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        records.value(0, "CMmacAddress"),
        &Value::MacAddress([2, 0, 0x5e, 0, 0, 0])
    );
    assert_eq!(records.value(0, "CMipAddress"), &Value::Ipv4([10, 1, 0, 1].into()));
    let cpes = Value::List(vec![Value::Ipv4([10, 128, 0, 1].into())]);
    assert_eq!(records.value(0, "CMCPEipAddress"), &cpes);
    assert_eq!(text("CMTScatvIfName"), "cable-mac 1");
    assert_eq!(text("CMTSupIfName"), "cable-upstream 10/0.0");
    assert_eq!(text("CMTSdownIfName"), "cable-downstream 14/0");
    assert_eq!(text("CMdocsisMode"), "11");
    assert_eq!(text("serviceClassName"), "BronzeUS");
    assert_eq!(records.number(0, "CMTSupIfType"), 205);
    assert_eq!(records.number(0, "serviceDirection"), 2);
    assert_eq!(records.number(0, "RecType"), 1);
}

#[test]
fn a_modem_of_docsis_1_0_has_a_record_each_way_from_its_sid() {
    let (poll, _, records) = document(&first(Family::Ietf), None, Options::default());
    let old = [2, 0, 0x5e, 0, 0, 2];
    let of_old: Vec<_> = poll.live.iter().filter(|flow| flow.mac == old).collect();
    assert_eq!(of_old.len(), 2);
    let down = column(FIRST, "1.3.6.1.4.1.9.9.116.1.1.3.1.7")[&8195];
    let up = column(FIRST, "1.3.6.1.4.1.9.9.116.1.1.3.1.5")[&8195];
    let rows = records.rows(&["serviceIdentifier", "serviceDirection", "serviceOctetsPassed"]);
    assert!(rows.contains(&vec![8195, 1, down]) && rows.contains(&vec![8195, 2, up]));
    assert_eq!(poll.modems[&old].mode, Some(10));
}

#[test]
fn a_flow_that_ended_has_exactly_one_stop_record() {
    let stops = |records: &Records| {
        let rows = records.rows(&["RecType", "serviceIdentifier", "serviceOctetsPassed"]);
        rows.into_iter().filter(|row| row[0] == 2).collect::<BTreeSet<_>>()
    };
    let (poll, one, records) = document(&first(Family::Qos3), None, Options::default());
    let mut all = stops(&records);
    assert_eq!((all.len(), poll.ended.len()), (2, 2), "two had ended before");
    let before = one.baseline.unwrap();
    let (_, two, records) = document(&second(Family::Qos3), Some(before), Options::default());
    assert_eq!((two.missing, two.remarks), (vec![], vec![]));
    let new = stops(&records);
    assert_eq!(new.len(), 2, "two more ended between the polls");
    all.extend(new);
    assert_eq!(all.len(), 4);
    let (_, three, records) = document(&second(Family::Qos3), two.baseline, Options::default());
    assert_eq!((three.stopped.len(), stops(&records).len()), (0, 0));
}

#[test]
fn a_stop_record_is_of_the_time_of_the_end() {
    let (poll, outcome, records) = document(&first(Family::Qos3), None, Options::default());
    let flow = &outcome.stopped[0];
    let place = poll.live.len();
    assert_eq!(records.number(place, "RecType"), 2);
    let ago = (60_000_000 - flow.deleted_ticks.unwrap()) / 100;
    let expected = now() - chrono::TimeDelta::seconds(ago.into());
    assert_eq!(records.value(place, "IPDRcreationTime"), &Value::DateTime(expected));
}

#[test]
fn a_flow_that_vanished_without_a_log_entry_is_told_of() {
    let (_, one, _) = document(&first(Family::Qos3), None, Options::default());
    let (mut tables, reading) = second(Family::Qos3);
    tables.log.clear();
    let (_, two, _) = document(&(tables, reading), one.baseline, Options::default());
    assert_eq!(two.missing.len(), 1);
    assert!(
        two.missing[0].starts_with("2 service flows of the last document are gone"),
        "{:?}",
        two.missing
    );
}

#[test]
fn a_missing_cell_costs_its_flow_and_no_other() {
    let (mut tables, reading) = first(Family::Qos3);
    let whole = join(&tables, reading.span).unwrap().live.len();
    tables.flows.get_mut(&FLOW).unwrap().octets = None;
    let poll = join(&tables, reading.span).unwrap();
    assert_eq!(
        (poll.live.len(), poll.doubts.holed.as_slice()),
        (whole - 1, &[FLOW][..])
    );
    assert!(
        poll.missing().unwrap().starts_with("1 service flows lack a counter"),
        "{:?}",
        poll.missing()
    );
}

#[test]
fn a_flow_without_an_owner_and_an_owner_without_a_flow_are_in_doubt() {
    let (mut tables, reading) = first(Family::Ietf);
    tables.owners.remove(&FLOW);
    let other = FlowKey { id: 1002, ..FLOW };
    tables.flows.remove(&other);
    let doubts = join(&tables, reading.span).unwrap().doubts;
    assert_eq!(
        (doubts.unowned.as_slice(), doubts.unmeasured.as_slice()),
        (&[FLOW][..], &[other][..])
    );
    assert!(doubts.is_of_owners());
    tables.forget(FLOW);
    assert!(!tables.flows.contains_key(&FLOW));
}

#[test]
fn a_flow_of_two_modems_belongs_to_none() {
    let (mut tables, reading) = first(Family::Draft);
    tables.take(
        Column::Owner,
        &[2, 0, 94, 9, 9, 9, FLOW.id],
        Cell::Number(DOMAIN.into()),
    );
    let poll = join(&tables, reading.span).unwrap();
    assert_eq!(poll.doubts.disputed, [FLOW]);
    assert!(poll.live.iter().all(|flow| flow.key != FLOW));
}

#[test]
fn a_flow_made_during_the_walk_is_read_again() {
    let (mut tables, mut reading) = first(Family::Qos3);
    tables.flows.get_mut(&FLOW).unwrap().created_ticks = Some(59_999_980);
    assert_eq!(join(&tables, reading.span).unwrap().doubts.born, [FLOW]);
    reading.span.settled_ticks = 59_999_990;
    assert_eq!(
        join(&tables, reading.span).unwrap().doubts.born,
        [],
        "it was read after it was made"
    );
}

#[test]
fn a_flow_that_ended_after_it_was_read_has_its_stop_record_only() {
    let (mut tables, reading) = second(Family::Qos3);
    let ended = join(&tables, reading.span).unwrap().ended[0].clone();
    let row = super::tables::FlowRow {
        packets: Some(1),
        octets: Some(1),
        created_ticks: Some(ended.created_ticks),
        active_seconds: Some(1),
        direction: Some(ended.direction),
        ..Default::default()
    };
    tables.flows.insert(ended.key, row);
    tables.owners.insert(ended.key, ended.mac);
    let poll = join(&tables, reading.span).unwrap();
    assert!(poll.live.iter().all(|flow| flow.key != ended.key));
    assert_eq!(poll.missing(), None);
}

#[test]
fn hidden_tables_are_a_failure_and_no_zero() {
    let (mut tables, reading) = first(Family::Qos3);
    tables.owners.clear();
    assert_eq!(join(&tables, reading.span).unwrap_err(), Hidden::Column(Column::Owner));
    (tables.flows, tables.log, tables.sids) = Default::default();
    assert_eq!(join(&tables, reading.span).unwrap_err(), Hidden::Flows);
    let (mut tables, reading) = first(Family::Qos3);
    tables.flows.values_mut().for_each(|row| row.octets = None);
    assert_eq!(join(&tables, reading.span).unwrap_err(), Hidden::Column(Column::Octets));
}

#[test]
fn a_restart_is_told_of_and_flows_begin_anew() {
    let (_, one, _) = document(&first(Family::Qos3), None, Options::default());
    let before = one.baseline.unwrap();
    let restarted = |boots, uptime_ticks| {
        let (tables, mut reading) = second(Family::Qos3);
        (reading.boots, reading.span.ended_ticks) = (boots, uptime_ticks);
        reading.span.began_ticks = uptime_ticks - 50;
        reading.span.settled_ticks = uptime_ticks - 50;
        let (_, two, _) = document(&(tables, reading), Some(before.clone()), Options::default());
        two.missing
            .iter()
            .any(|sentence| sentence.starts_with("the CMTS has restarted"))
    };
    assert!(!restarted(Some(1), 60_090_000));
    assert!(!restarted(None, 60_090_000));
    assert!(restarted(Some(2), 60_090_000));
    assert!(restarted(None, 5_000));
}

#[test]
fn a_lower_counter_is_passed_on_and_named() {
    let (tables, reading) = second(Family::Draft);
    let (_, one, _) = document(&first(Family::Draft), None, Options::default());
    let mut before = one.baseline.unwrap();
    before.live.values_mut().next().unwrap().0 = u64::from(u32::MAX);
    let (_, two, _) = document(&(tables, reading), Some(before.clone()), Options::default());
    assert!(
        two.remarks.iter().any(|remark| remark.contains("32-bit")),
        "{:?}",
        two.remarks
    );
    let (mut tables, reading) = second(Family::Draft);
    tables.interfaces.get_mut(&DOMAIN).unwrap().discontinuity_ticks = Some(60_050_000);
    let (_, two, _) = document(&(tables, reading), Some(before), Options::default());
    assert!(
        two.remarks.iter().any(|remark| remark.contains("were set back")),
        "{:?}",
        two.remarks
    );
}

#[test]
fn aggregated_flows_are_one_record_each_way() {
    let options = Options {
        flow_aggregate: true,
        cpe_list_suppress: true,
        ..Options::default()
    };
    let (poll, outcome, plain) = document(&first(Family::Qos3), None, Options::default());
    let (_, _, sums) = document(&first(Family::Qos3), None, options);
    let total = |records: &Records| -> u64 {
        (0..records.0.len())
            .map(|record| records.number(record, "serviceOctetsPassed"))
            .sum()
    };
    assert_eq!(total(&plain), total(&sums));
    assert!(sums.0.len() < plain.0.len());
    for record in 0..sums.0.len() {
        assert_eq!(sums.number(record, "serviceIdentifier"), 0);
        assert_eq!(sums.value(record, "CMCPEipAddress"), &Value::Absent);
    }
    assert_eq!(plain.0.len(), poll.live.len() + outcome.stopped.len());
}

#[test]
fn flows_without_traffic_have_records_in_full_ones() {
    let (mut tables, reading) = first(Family::Qos3);
    let row = tables.flows.get_mut(&FLOW).unwrap();
    (row.octets, row.packets) = (Some(0), Some(0));
    let poll = (tables, reading);
    let full = Options {
        full_records: true,
        ..Options::default()
    };
    let some = document(&poll, None, Options::default()).2.0.len();
    assert_eq!(document(&poll, None, full).2.0.len(), some + 1);
}

#[test]
fn cells_that_no_type_can_hold_are_counted_and_left_out() {
    let mut tables = Tables::new(Family::Qos3);
    tables.take(Column::Octets, &[1], Cell::Number(1));
    tables.take(Column::Created, &[1, 2], Cell::Number(1 << 32));
    tables.take(Column::ModemMac, &[1], Cell::Octets(&[1, 2, 3]));
    tables.take(Column::Owner, &[2, 0, 94, 0, 0, 256, 7], Cell::Number(1));
    tables.take(Column::Direction, &[1, 2], Cell::Number(3));
    tables.take(Column::LogMac, &[], Cell::Other);
    assert_eq!(
        (tables.unusable, tables.first_unusable),
        (6, Some((Column::Octets, vec![1])))
    );
}

#[test]
fn a_baseline_is_read_as_it_was_written_and_no_damage_stops() {
    let (_, one, _) = document(&first(Family::Qos3), None, Options::default());
    let baseline = one.baseline.unwrap();
    let octets = baseline.to_octets();
    assert_eq!(Baseline::read(&octets), Ok(baseline));
    for length in 0..octets.len() {
        assert_eq!(Baseline::read(&octets[..length]), Err(Unreadable));
    }
    for at in 0..octets.len().min(200) {
        let mut damaged = octets.clone();
        damaged[at] ^= 0xff;
        let _ = Baseline::read(&damaged);
    }
    let (tables, reading) = first(Family::Qos3);
    let poll = join(&tables, reading.span).unwrap();
    let outcome = compare(&poll, &tables.interfaces, reading, Some(Err(Unreadable)));
    assert_eq!((outcome.stopped.len(), outcome.remarks.len()), (2, 1));
}
