//! Modems, from the tables that know them. Their indexes have nothing to do with each other: the MAC joins them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::tables::{DateAndTime, Mac, ModemRow, RegistrationRow, Tables};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modem {
    pub ip: Option<Ipv4Addr>,
    pub ip6: Option<Ipv6Addr>,
    pub link_local: Option<Ipv6Addr>,
    /// ifIndex of its first upstream and downstream, 0: unknown.
    pub up: u32,
    pub down: u32,
    /// DOCSIS 1.0, 1.1, 2.0, 3.0 or 3.1 without the dot.
    pub mode: Option<u8>,
    /// DocsisQosVersion: 1 is DOCSIS 1.0, 2 is 1.1 and later.
    pub qos: Option<u8>,
    /// CmtsCmRegState.
    pub status: Option<u8>,
    pub registered: Option<DateAndTime>,
    /// Addresses behind it, in the order of the table.
    pub cpes: Vec<Ipv4Addr>,
}

/// All modems of the tables.
pub fn modems(tables: &Tables) -> BTreeMap<Mac, Modem> {
    let nothing = (ModemRow::default(), RegistrationRow::default());
    let mut rows: BTreeMap<Mac, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for (index, row) in &tables.modems {
        if let Some(mac) = row.mac {
            let known = &mut rows.entry(mac).or_default().0;
            let is_better = |known: &ModemRow| presence(row) >= presence(known);
            if known.and_then(|index| tables.modems.get(&index)).is_none_or(is_better) {
                *known = Some(*index);
            }
        }
    }
    for (index, row) in &tables.registrations {
        if let Some(mac) = row.mac {
            let known = &mut rows.entry(mac).or_default().1;
            let is_better = |known: &RegistrationRow| presence3(row) >= presence3(known);
            if known
                .and_then(|index| tables.registrations.get(&index))
                .is_none_or(is_better)
            {
                *known = Some(*index);
            }
        }
    }
    let stations = stations(tables);
    let modem = |(status_index, registration): (Option<u32>, Option<u32>)| {
        let row = status_index.and_then(|index| tables.modems.get(&index));
        let registered = registration.and_then(|id| tables.registrations.get(&id));
        let mut modem = joined(row.unwrap_or(&nothing.0), registered.unwrap_or(&nothing.1));
        modem.cpes = registration.map(|id| addresses3(tables, id)).unwrap_or_default();
        if let Some(index) = status_index.filter(|_| modem.cpes.is_empty()) {
            let numbers = (index, 0)..=(index, u32::MAX);
            modem.cpes = tables.cpes.range(numbers).map(|(_, address)| *address).collect();
            modem.cpes.extend(stations.get(&index).into_iter().flatten());
        }
        modem
    };
    rows.into_iter().map(|(mac, places)| (mac, modem(places))).collect()
}

/// A modem that moved to another place may be in a table twice. The row where it is has an address and channels.
fn presence(row: &ModemRow) -> impl Ord + use<> {
    let has_address = row.ip.is_some_and(|ip| !ip.is_unspecified()) || row.inet.is_some() || row.inet6.is_some();
    (has_address, row.up != 0, matches!(row.status, Some(6 | 8)))
}

fn presence3(row: &RegistrationRow) -> impl Ord + use<> {
    let has_address = row.ip.is_some_and(|ip| !ip.is_unspecified()) || row.ip6.is_some_and(|ip| !ip.is_unspecified());
    (matches!(row.status, Some(6 | 8)), has_address)
}

fn joined(row: &ModemRow, registration: &RegistrationRow) -> Modem {
    let qos = registration.qos.or(row.mode).filter(|qos| matches!(qos, 1 | 2));
    let ip = row.inet.filter(|_| row.inet_type == Some(1)).or(row.ip);
    let ip6 = row.inet6.filter(|_| row.inet_type == Some(2));
    Modem {
        ip: [ip, registration.ip]
            .into_iter()
            .flatten()
            .find(|ip| !ip.is_unspecified()),
        ip6: [registration.ip6, ip6]
            .into_iter()
            .flatten()
            .find(|ip| !ip.is_unspecified()),
        link_local: registration.link_local.filter(|ip| !ip.is_unspecified()),
        up: row.up,
        down: row.down,
        mode: mode(row, registration),
        qos,
        status: registration.status.or(row.status.map(as_registration)),
        registered: registration.registered,
        cpes: Vec::new(),
    }
}

/// The registration mode. Nothing standard says more than 1.0 or not; the rest follows from what the modem was given:
/// channels that only a later DOCSIS has.
fn mode(row: &ModemRow, registration: &RegistrationRow) -> Option<u8> {
    /// Channel sets up to this number are single channels.
    const LARGEST_CHANNEL: u32 = 255;
    match row.mode.or(registration.qos)? {
        // Its usage is counted by SID, whatever else it could do.
        1 => Some(10),
        2 if registration.has_ofdm => Some(31),
        2 if registration.has_profile => Some(30),
        2 if registration.down_set > LARGEST_CHANNEL || registration.up_set > LARGEST_CHANNEL => Some(30),
        2 if matches!(row.modulation, Some(2 | 3)) => Some(20),
        2 => Some(11),
        _ => None,
    }
}

/// docsIfCmtsCmStatusValue in the terms of CmtsCmRegState, which has no rangingAborted (3) and no accessDenied (7).
fn as_registration(status: u8) -> u8 {
    match status {
        3 | 7 => 1,
        other => other,
    }
}

/// Addresses by registration. A prefix that is not of one address was delegated.
fn addresses3(tables: &Tables, registration: u32) -> Vec<Ipv4Addr> {
    let rows = tables.cpes3.range((registration, 0)..=(registration, u32::MAX));
    let single = rows.filter(|(_, row)| row.prefix.is_none_or(|prefix| prefix == 32));
    single.filter_map(|(_, row)| row.ip).collect()
}

/// Addresses by status index, of vendors' tables.
fn stations(tables: &Tables) -> BTreeMap<u32, Vec<Ipv4Addr>> {
    const BEHIND_A_MODEM: u8 = 2;
    let mut stations: BTreeMap<u32, Vec<Ipv4Addr>> = BTreeMap::new();
    for row in tables.stations.values() {
        if let (Some(BEHIND_A_MODEM), Some(ip), Some(modem)) = (row.kind, row.ip, row.modem)
            && !ip.is_unspecified()
        {
            stations.entry(modem).or_default().push(ip);
        }
    }
    stations
}
