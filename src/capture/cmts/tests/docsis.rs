//! What a record of DOCSIS 2.0 says, and which flows have one.

use std::collections::{BTreeMap, BTreeSet};

use super::super::family::{Column, Family};
use super::super::tables::{Cell, Tables};
use super::super::usage::Options;
use super::{FIRST, FLOW, Records, document, first, lines};
use crate::record::Value;

/// What the file says of a flow table's column: the flow's number and the cell.
fn column(file: &str, root: &str) -> BTreeMap<u32, u64> {
    let prefix: Vec<u32> = root.split('.').map(|part| part.parse().unwrap()).collect();
    let cell = |(oid, _, value): (Vec<u32>, &str, &str)| {
        let index = oid.strip_prefix(prefix.as_slice())?;
        Some((*index.last()?, value.parse().unwrap()))
    };
    lines(file).filter_map(cell).collect()
}

/// The SFID of a flow of many.
const MULTICAST: u32 = 7001;

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
        let columns = columns.map(|mut column| {
            column.remove(&MULTICAST);
            column
        });
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
    assert_eq!(text("CMdocsisMode"), "30");
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
