//! A walk is no snapshot: what cannot be told for certain has no record.

use super::super::family::{Column, Family};
use super::super::join::{Hidden, join};
use super::super::tables::{Cell, FlowKey, FlowRow, Tables};
use super::small::{MODEM, OTHER, ended, key, life, live, polled, rows, small};
use super::{DOMAIN, FLOW, first, second, span};

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
    let row = FlowRow {
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
fn a_row_that_is_missing_in_one_column_costs_its_flow_and_no_other() {
    let columns = [
        Column::Packets,
        Column::Octets,
        Column::Created,
        Column::Active,
        Column::Direction,
    ];
    for missing in columns {
        let mut tables = small(Family::Ietf);
        live(&mut tables, MODEM, 11, life(1000, 500));
        live(&mut tables, MODEM, 12, life(2000, 500));
        let row = tables.flows.get_mut(&key(12)).unwrap();
        match missing {
            Column::Packets => row.packets = None,
            Column::Octets => row.octets = None,
            Column::Created => row.created_ticks = None,
            Column::Active => row.active_seconds = None,
            _ => row.direction = None,
        }
        let (poll, _, records) = polled(&tables, 2_000_000, None);
        assert_eq!(
            (rows(&records), poll.doubts.holed),
            (vec![(1, 11, 1000)], vec![key(12)]),
            "{missing:?}"
        );
    }
}

#[test]
fn an_sfid_that_goes_to_another_modem_during_the_walk_never_mixes_the_two() {
    // The counters are still those of the flow of MODEM, the owner is OTHER already.
    let mut tables = small(Family::Qos3);
    live(&mut tables, OTHER, 11, life(7_000_000, 500));
    ended(&mut tables, 1, MODEM, 11, life(7_000_100, 500), 1_999_980);
    let (poll, _, records) = polled(&tables, 2_000_000, None);
    assert_eq!((rows(&records), poll.missing()), (vec![(2, 11, 7_000_100)], None));
    assert_eq!(poll.ended[0].mac, MODEM);
}

#[test]
fn what_is_read_again_is_read_as_a_whole() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(1000, 500));
    tables.take(Column::ClassName, &[DOMAIN, 1, 11], Cell::Octets(b"Gold"));
    tables.take(Column::AppId, &[DOMAIN, 1, 11], Cell::Number(9));
    tables.take(Column::ChannelSet, &[DOMAIN, 11], Cell::Number(3));
    tables.forget(key(11));
    live(&mut tables, MODEM, 11, life(10, 900));
    tables.take(Column::ClassName, &[DOMAIN, 1, 11], Cell::Octets(b"Basic"));
    let poll = join(&tables, span(2_000_000)).unwrap();
    let flow = &poll.live[0];
    assert_eq!(flow.class.as_deref(), Some(&b"Basic"[..]));
    assert_eq!((flow.app_id, flow.channels.octets()), (0, &[][..]));
}

#[test]
fn a_flow_in_doubt_is_not_lost_from_sight() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(1000, 500));
    live(&mut tables, MODEM, 12, life(2000, 500));
    let (_, one, _) = polled(&tables, 2_000_000, None);
    tables.owners.remove(&key(12));
    let (poll, two, _) = polled(&tables, 2_090_000, Some(&one));
    assert_eq!(poll.doubts.unowned, [key(12)]);
    assert!(
        two.missing[0].starts_with("1 service flows have no modem any more"),
        "{:?}",
        two.missing
    );
    tables.flows.remove(&key(12));
    let (_, three, _) = polled(&tables, 2_180_000, Some(&two));
    assert!(
        three.missing[0].starts_with("1 service flows of the last document are gone"),
        "{:?}",
        three.missing
    );
}

#[test]
fn every_column_that_a_view_hides_is_named() {
    let hide = |hide: fn(&mut Tables)| {
        let (mut tables, reading) = first(Family::Ietf);
        hide(&mut tables);
        join(&tables, reading.span).map(|poll| poll.hidden)
    };
    let needed = [
        (
            Column::Packets,
            hide(|tables| tables.flows.values_mut().for_each(|row| row.packets = None)),
        ),
        (
            Column::Created,
            hide(|tables| tables.flows.values_mut().for_each(|row| row.created_ticks = None)),
        ),
        (
            Column::Active,
            hide(|tables| tables.flows.values_mut().for_each(|row| row.active_seconds = None)),
        ),
        (
            Column::Direction,
            hide(|tables| tables.flows.values_mut().for_each(|row| row.direction = None)),
        ),
    ];
    for (column, seen) in needed {
        assert_eq!(seen, Err(Hidden::Column(column)));
    }
    assert_eq!(hide(|tables| tables.classes.clear()), Ok(vec![Column::ClassName]));
    assert_eq!(
        hide(|tables| tables.flows.values_mut().for_each(|row| row.drops = None)),
        Ok(vec![Column::Drops])
    );
    let modems = hide(|tables| {
        tables.modems.clear();
        tables.registrations.clear();
    });
    assert_eq!(modems, Ok(vec![Column::ModemMac]));
}

#[test]
fn an_sfid_that_goes_to_another_modem_is_found_without_a_log_too() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(7_000_000, 500));
    live(&mut tables, MODEM, 12, life(1, 500));
    let (_, one, _) = polled(&tables, 2_000_000, None);
    tables.forget(key(11));
    live(&mut tables, OTHER, 11, life(7_000_100, 500));
    let (_, two, records) = polled(&tables, 2_090_000, Some(&one));
    assert_eq!(rows(&records), [(1, 12, 1)]);
    assert!(
        two.missing[0].starts_with("1 service flows have another modem"),
        "{:?}",
        two.missing
    );
    tables.forget(key(11));
    live(&mut tables, OTHER, 11, life(30, 2_089_000));
    let (_, three, records) = polled(&tables, 2_180_000, Some(&two));
    assert_eq!((rows(&records), three.missing), (vec![(1, 12, 1), (1, 11, 30)], vec![]));
}

#[test]
fn a_flow_that_never_had_a_modem_is_told_of_and_is_no_gap() {
    let mut tables = small(Family::Ietf);
    live(&mut tables, MODEM, 11, life(1000, 500));
    live(&mut tables, MODEM, 12, life(2000, 500));
    tables.owners.remove(&key(12));
    let (poll, one, records) = polled(&tables, 2_000_000, None);
    assert_eq!((rows(&records), poll.missing()), (vec![(1, 11, 1000)], None));
    let (_, two, _) = polled(&tables, 2_090_000, Some(&one));
    for outcome in [one, two] {
        assert_eq!(outcome.missing, Vec::<String>::new());
        assert!(
            outcome.remarks[0].starts_with("1 service flows belong to no modem"),
            "{:?}",
            outcome.remarks
        );
    }
}
