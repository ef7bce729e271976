//! Flows that ended: one Stop record each, and what becomes of the log.

use std::collections::BTreeSet;

use super::super::compare::{Outcome, Reading};
use super::super::family::Family;
use super::super::snmp::Entry;
use super::super::tables::Tables;
use super::super::usage::Options;
use super::small::{MODEM, OTHER, ended, key, life, live, polled, polled_at, rows, small};
use super::{Records, document, first, now, reading, second};
use crate::record::Value;

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

const BORN: u32 = 1_000_000;
const DOC: [u32; 5] = [2_000_000, 2_090_000, 2_180_000, 2_270_000, 2_360_000];

/// A flow is there in the first document, and in the log of the second, under the number 7.
fn one_that_ended() -> (Tables, Outcome) {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(5000, BORN));
    let (_, one, records) = polled(&tables, DOC[0], None);
    assert_eq!(rows(&records), [(1, 11, 5000)]);
    let mut tables = small(Family::Qos3);
    ended(&mut tables, 7, MODEM, 11, life(6000, BORN), DOC[0] + 100);
    (tables, one)
}

/// What is there later: the same log, and another flow, for a CMTS has some.
fn and_another(mut tables: Tables) -> Tables {
    live(&mut tables, OTHER, 12, life(1, BORN + 1));
    tables
}

#[test]
fn an_entry_of_the_log_is_released_when_its_record_is_in_a_sealed_document() {
    let (tables, one) = one_that_ended();
    let (_, two, records) = polled(&tables, DOC[1], Some(&one));
    assert_eq!((rows(&records), &two.releasable), (vec![(2, 11, 6000)], &vec![]));
    // The document was not sealed: the next capture knows the first one only.
    let (_, again, records) = polled(&tables, DOC[2], Some(&one));
    assert_eq!((rows(&records), &again.releasable), (vec![(2, 11, 6000)], &vec![]));
    let tables = and_another(tables);
    let (_, three, records) = polled(&tables, DOC[3], Some(&again));
    assert_eq!(rows(&records), [(1, 12, 1)]);
    let entry = Entry {
        index: 7,
        key: key(11),
        deleted_ticks: DOC[0] + 100,
    };
    assert_eq!(three.releasable, [entry]);
    // It was released, and yet shows itself once more.
    let (_, four, records) = polled(&and_another(small(Family::Qos3)), DOC[4], Some(&three));
    assert_eq!((rows(&records), &four.releasable), (vec![(1, 12, 1)], &vec![]));
    let (_, five, records) = polled(&tables, DOC[4] + 90_000, Some(&four));
    assert_eq!((rows(&records), &five.missing), (vec![(1, 12, 1)], &vec![]));
}

#[test]
fn a_number_of_the_log_that_is_given_again_is_another_end() {
    let (tables, one) = one_that_ended();
    let (_, two, _) = polled(&tables, DOC[1], Some(&one));
    let mut tables = and_another(small(Family::Qos3));
    ended(&mut tables, 7, MODEM, 13, life(800, BORN + 5), DOC[1] + 10);
    let (_, three, records) = polled(&tables, DOC[2], Some(&two));
    assert_eq!(rows(&records), [(1, 12, 1), (2, 13, 800)]);
    assert_eq!(three.releasable, [], "no entry of this number is in a sealed document");
}

#[test]
fn an_end_that_stands_in_the_log_twice_has_one_record_and_both_entries_are_released() {
    let (mut tables, one) = one_that_ended();
    ended(&mut tables, 9, MODEM, 11, life(6000, BORN), DOC[0] + 100);
    let (_, two, records) = polled(&tables, DOC[1], Some(&one));
    assert_eq!(rows(&records), [(2, 11, 6000)]);
    let (_, three, _) = polled(&and_another(tables), DOC[2], Some(&two));
    let numbers: Vec<u32> = three.releasable.iter().map(|entry| entry.index).collect();
    assert_eq!(numbers, [7, 9]);
}

#[test]
fn a_log_that_outlives_a_restart_is_not_delivered_again() {
    let (tables, one) = one_that_ended();
    let (_, two, _) = polled(&tables, DOC[1], Some(&one));
    let mut tables = and_another(tables);
    ended(&mut tables, 8, MODEM, 11, life(10, 3000), 4000);
    let reading = Reading {
        boots: Some(2),
        read_ms: two.baseline.as_ref().unwrap().read_ms + 900_000,
        ..reading(Family::Qos3, 50_000)
    };
    let (_, three, records) = polled_at(&tables, reading, Some(&two));
    assert_eq!(rows(&records), [(1, 12, 1), (2, 11, 10)], "the same SFID, another flow");
    assert_eq!(three.releasable.len(), 1);
}

#[test]
fn an_end_before_the_last_start_of_the_cmts_is_not_dated_a_year_ago() {
    let (tables, one) = one_that_ended();
    let reading = Reading {
        boots: Some(2),
        ..reading(Family::Qos3, 50_000)
    };
    let (_, _, records) = polled_at(&tables, reading, Some(&one));
    let start = now() - chrono::TimeDelta::seconds(500);
    assert_eq!(records.value(0, "IPDRcreationTime"), &Value::DateTime(start));
}

#[test]
fn an_entry_that_cannot_be_read_for_once_is_not_delivered_again() {
    let (mut tables, one) = one_that_ended();
    let (_, two, _) = polled(&tables, DOC[1], Some(&one));
    let whole = tables.log.clone();
    tables.log.get_mut(&7).unwrap().octets = None;
    let (poll, three, _) = polled(&and_another(tables), DOC[2], Some(&two));
    assert!(poll.missing().unwrap().starts_with("1 entries of the service flow log"));
    let mut tables = and_another(small(Family::Qos3));
    tables.log = whole;
    let (_, _, records) = polled(&tables, DOC[3], Some(&three));
    assert_eq!(rows(&records), [(1, 12, 1)]);
}

#[test]
fn ends_are_remembered_for_a_day_and_no_longer() {
    let (tables, one) = one_that_ended();
    let (_, two, _) = polled(&tables, DOC[1], Some(&one));
    let remembered = |hours: u32| {
        let later = DOC[1] + hours * 360_000;
        let (_, three, _) = polled(&and_another(small(Family::Qos3)), later, Some(&two));
        three.baseline.unwrap().delivered.len()
    };
    assert_eq!([remembered(23), remembered(25)], [1, 0]);
}

#[test]
fn ends_of_before_the_first_document_are_delivered_and_told_of() {
    let (tables, _) = one_that_ended();
    let (_, one, records) = polled(&tables, DOC[1], None);
    assert_eq!(rows(&records), [(2, 11, 6000)]);
    assert!(
        one.remarks[0].starts_with("1 service flows had ended before"),
        "{:?}",
        one.remarks
    );
}
