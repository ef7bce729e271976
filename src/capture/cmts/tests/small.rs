//! Tables of a few flows of two modems.

use super::super::baseline::Baseline;
use super::super::compare::{Outcome, Reading, compare};
use super::super::family::{Column, Family};
use super::super::join::{Poll, join};
use super::super::tables::{Cell, FlowKey, Mac, Tables};
use super::super::usage::Options;
use super::{DOMAIN, Records, reading, records};

pub const MODEM: Mac = [2, 0, 0x5e, 0, 0, 1];
pub const OTHER: Mac = [2, 0, 0x5e, 0, 0, 2];

/// What a flow passed, and when it was made.
#[derive(Clone, Copy)]
pub struct Life {
    pub octets: u64,
    pub created: u32,
}

pub fn life(octets: u64, created: u32) -> Life {
    Life { octets, created }
}

pub fn key(id: u32) -> FlowKey {
    FlowKey { domain: DOMAIN, id }
}

/// A CMTS with both modems, which have no flow yet.
pub fn small(family: Family) -> Tables {
    let mut tables = Tables::new(family);
    for (index, mac) in [(1, MODEM), (2, OTHER)] {
        tables.take(Column::ModemMac, &[index], Cell::Octets(&mac));
        tables.take(Column::ModemRegMode, &[index], Cell::Number(2));
    }
    tables.take(Column::IfName, &[DOMAIN], Cell::Octets(b"cable-mac 1"));
    tables
}

/// A downstream flow that is there.
pub fn live(tables: &mut Tables, mac: Mac, id: u32, life: Life) {
    let cells = [
        (Column::Packets, life.octets / 1000),
        (Column::Octets, life.octets),
        (Column::Created, life.created.into()),
        (Column::Active, 100),
        (Column::Direction, 1),
    ];
    for (column, number) in cells {
        tables.take(column, &[DOMAIN, id], Cell::Number(number));
    }
    let index: Vec<u32> = mac.iter().map(|octet| u32::from(*octet)).chain([id]).collect();
    tables.take(Column::Owner, &index, Cell::Number(DOMAIN.into()));
}

/// A downstream flow that ended at the sysUpTime `deleted`, under the number `entry` of the log.
pub fn ended(tables: &mut Tables, entry: u32, mac: Mac, id: u32, life: Life, deleted: u32) {
    tables.take(Column::LogMac, &[entry], Cell::Octets(&mac));
    let cells = [
        (Column::LogDomain, DOMAIN.into()),
        (Column::LogSfid, id.into()),
        (Column::LogPackets, life.octets / 1000),
        (Column::LogOctets, life.octets),
        (Column::LogDeleted, deleted.into()),
        (Column::LogCreated, life.created.into()),
        (Column::LogActive, 100),
        (Column::LogDirection, 1),
    ];
    for (column, number) in cells {
        tables.take(column, &[entry], Cell::Number(number));
    }
}

/// The document of these tables, read at the sysUpTime `uptime`. The engine of the CMTS has booted once.
pub fn polled(tables: &Tables, uptime: u32, before: Option<&Outcome>) -> (Poll, Outcome, Records) {
    polled_at(tables, reading(tables.family, uptime), before)
}

pub fn polled_at(tables: &Tables, reading: Reading, before: Option<&Outcome>) -> (Poll, Outcome, Records) {
    let poll = join(tables, reading.span).unwrap();
    // As the ledger keeps it.
    let before = before.map(|before| Baseline::read(&before.baseline.as_ref().unwrap().to_octets()));
    let outcome = compare(&poll, &tables.interfaces, reading, before);
    let records = records(tables, &poll, &outcome, reading, Options::default());
    (poll, outcome, records)
}

/// Of each record RecType, SFID and octets.
pub fn rows(records: &Records) -> Vec<(u64, u64, u64)> {
    let names = ["RecType", "serviceIdentifier", "serviceOctetsPassed"];
    let row = |record| names.map(|name| records.number(record, name));
    let rows = (0..records.0.len()).map(row);
    rows.map(|[kind, id, octets]| (kind, id, octets)).collect()
}
