//! Counters beside those of the last document: wrapped, set back, of a CMTS that has restarted.

use super::super::baseline::{Baseline, Unreadable};
use super::super::compare::compare;
use super::super::family::Family;
use super::super::join::join;
use super::super::usage::Options;
use super::small::{MODEM, ended, key, life, live, polled, polled_at, rows, small};
use super::{DOMAIN, document, first, reading, second};

#[test]
fn a_restart_is_told_of_and_flows_begin_anew() {
    let (_, one, _) = document(&first(Family::Qos3), None, Options::default());
    let before = one.baseline.unwrap();
    let restarted = |boots, uptime_ticks| {
        let (mut tables, mut reading) = second(Family::Qos3);
        (reading.boots, reading.span.ended_ticks) = (boots, uptime_ticks);
        reading.span.began_ticks = uptime_ticks - 50;
        reading.span.settled_ticks = uptime_ticks - 50;
        tables.log.clear();
        let made_anew = tables.flows.values_mut().zip(1..);
        made_anew.for_each(|(row, ticks)| row.created_ticks = Some(ticks));
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
fn flows_that_go_on_over_a_restart_of_the_management_lose_nothing() {
    let (_, one, _) = document(&first(Family::Qos3), None, Options::default());
    let (tables, mut reading) = second(Family::Qos3);
    reading.boots = Some(2);
    let (_, two, records) = document(&(tables, reading), one.baseline, Options::default());
    assert_eq!(two.missing, Vec::<String>::new());
    assert!(two.remarks[0].contains("restarted since the last document; its service flows went on"));
    let stops = rows(&records).iter().filter(|(kind, ..)| *kind == 2).count();
    assert_eq!(stops, 2);
}

#[test]
fn a_modem_that_registered_anew_has_another_flow_though_the_sfid_is_the_same() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(9000, 500));
    let (_, one, _) = polled(&tables, 2_000_000, None);
    tables.forget(key(11));
    live(&mut tables, MODEM, 11, life(20, 2_050_000));
    // Without a log the last usage of the first flow is lost, which no counter of the second may hide.
    let (_, unlogged, records) = polled(&tables, 2_090_000, Some(&one));
    assert_eq!(rows(&records), [(1, 11, 20)]);
    assert!(
        unlogged.missing[0].contains("(the first is 11 in MAC domain"),
        "{:?}",
        unlogged.missing
    );
    assert_eq!(unlogged.remarks, Vec::<String>::new(), "neither wrapped nor set back");
    ended(&mut tables, 3, MODEM, 11, life(9500, 500), 2_049_000);
    let (_, logged, records) = polled(&tables, 2_090_000, Some(&one));
    assert_eq!(rows(&records), [(1, 11, 20), (2, 11, 9500)]);
    assert_eq!((logged.missing, logged.remarks), (vec![], vec![]));
}

#[test]
fn a_wrap_a_reset_and_a_lower_counter_are_told_apart() {
    let remarks = |family, moved: Option<u32>| {
        let mut tables = small(family);
        live(&mut tables, MODEM, 11, life(4_294_900_000, 500));
        let (_, one, _) = polled(&tables, 2_000_000, None);
        live(&mut tables, MODEM, 11, life(1000, 500));
        tables.interfaces.get_mut(&DOMAIN).unwrap().discontinuity_ticks = moved;
        let (_, two, records) = polled(&tables, 2_090_000, Some(&one));
        // Passed on as it is.
        assert_eq!((rows(&records), two.missing), (vec![(1, 11, 1000)], vec![]));
        two.remarks.concat()
    };
    assert!(remarks(Family::Draft, None).contains("the end of their 32-bit counters"));
    assert!(remarks(Family::Draft, Some(2_040_000)).contains("were set back"));
    assert!(remarks(Family::Ietf, Some(2_040_000)).contains("were set back"));
    assert!(remarks(Family::Qos3, None).contains("have lower counters"));
    assert!(
        remarks(Family::Qos3, Some(1_900_000)).contains("have lower counters"),
        "moved before"
    );
}

#[test]
fn a_wrap_of_the_clock_is_no_restart() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(1000, 500));
    let before = u32::MAX - 44_999;
    let (_, one, _) = polled(&tables, before, None);
    live(&mut tables, MODEM, 11, life(2000, 500));
    let mut later = reading(Family::Qos3, 45_000);
    later.read_ms = one.baseline.as_ref().unwrap().read_ms + 900_000;
    let (_, two, records) = polled_at(&tables, later, Some(&one));
    assert_eq!((two.missing, two.remarks), (vec![], vec![]));
    assert_eq!(rows(&records), [(1, 11, 2000)]);
}

#[test]
fn who_takes_differences_sees_that_a_flow_begins_anew() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(1000, 500));
    live(&mut tables, MODEM, 12, life(0, 500));
    let (_, one, records) = polled(&tables, 2_000_000, None);
    assert_eq!(
        rows(&records),
        [(1, 11, 1000)],
        "a flow that never had usage is left out"
    );
    live(&mut tables, MODEM, 11, life(0, 2_050_000));
    ended(&mut tables, 1, MODEM, 11, life(1000, 500), 2_049_000);
    let (_, two, records) = polled(&tables, 2_090_000, Some(&one));
    assert_eq!(rows(&records), [(1, 11, 0), (2, 11, 1000)]);
    let (_, _, records) = polled(&tables, 2_180_000, Some(&two));
    assert_eq!(rows(&records), []);
}

#[test]
fn a_lower_counter_is_passed_on_and_named() {
    let (tables, reading) = second(Family::Draft);
    let (_, one, _) = document(&first(Family::Draft), None, Options::default());
    let mut before = one.baseline.unwrap();
    before.live[0].1.octets = u64::from(u32::MAX);
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
