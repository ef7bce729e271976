//! The tables of a CMTS as they were read, cell by cell. Nothing is joined or judged here.
//!
//! A cell of the wrong type, of an index that its table does not have, or with a number that its type cannot hold, is
//! not taken and is counted: the row then lacks it, and [`super::join`] knows what that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::family::{Column, Family};

pub type Mac = [u8; 6];

/// A value that an agent gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    Number(u64),
    Octets(&'a [u8]),
    /// Anything else: a negative number, an object identifier.
    Other,
}

/// A flow's place in the tables: an SFID (of DOCSIS 1.0: a SID) is unique within its MAC domain only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// ifIndex of the MAC domain.
    pub domain: u32,
    pub id: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModemRow {
    pub mac: Option<Mac>,
    pub ip: Option<Ipv4Addr>,
    /// ifIndex, 0: unknown.
    pub down: u32,
    pub up: u32,
    /// 1: DOCSIS 1.0; 2: 1.1 or later.
    pub mode: Option<u32>,
    pub inet_type: Option<u32>,
    pub inet: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrationRow {
    pub mac: Option<Mac>,
    pub ip: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceRow {
    pub descr: Vec<u8>,
    pub name: Vec<u8>,
    pub kind: Option<u32>,
    pub discontinuity_ticks: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowRow {
    pub packets: Option<u64>,
    pub octets: Option<u64>,
    pub created_ticks: Option<u32>,
    pub active_seconds: Option<u32>,
    pub drops: Option<u32>,
    pub delays: Option<u32>,
    pub direction: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRow {
    pub domain: Option<u32>,
    pub sfid: Option<u32>,
    pub mac: Option<Mac>,
    pub packets: Option<u64>,
    pub octets: Option<u64>,
    pub deleted_ticks: Option<u32>,
    pub created_ticks: Option<u32>,
    pub active_seconds: Option<u32>,
    pub direction: Option<u32>,
    pub class: Vec<u8>,
    pub drops: Option<u32>,
    pub delays: Option<u32>,
}

/// A SID of DOCSIS 1.0. Each direction: octets and packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SidRow {
    pub created_ticks: Option<u32>,
    pub modem: Option<u32>,
    pub in_octets: Option<u64>,
    pub in_packets: Option<u64>,
    pub hc_in_octets: Option<u64>,
    pub hc_in_packets: Option<u64>,
    pub hc_out_octets: Option<u64>,
    pub hc_out_packets: Option<u64>,
}

/// Everything that one poll reads.
#[derive(Debug)]
pub struct Tables {
    pub family: Family,
    pub modems: BTreeMap<u32, ModemRow>,
    pub registrations: BTreeMap<u32, RegistrationRow>,
    pub interfaces: BTreeMap<u32, InterfaceRow>,
    pub owners: BTreeMap<FlowKey, Mac>,
    /// Flows for which two modems were named. Nobody owns them until they were read again.
    pub disputed: BTreeSet<FlowKey>,
    pub flows: BTreeMap<FlowKey, FlowRow>,
    /// With the parameter set that the name comes from: active (1) rather than admitted (2) or provisioned (3).
    pub classes: BTreeMap<FlowKey, (u32, Vec<u8>)>,
    pub groups: BTreeSet<FlowKey>,
    pub log: BTreeMap<u32, LogRow>,
    pub sids: BTreeMap<FlowKey, SidRow>,
    /// By status index, or in qos3 by registration id.
    pub cpes: BTreeMap<u32, Vec<Ipv4Addr>>,
    /// Cells that could not be taken, and which the first was.
    pub unusable: u64,
    pub first_unusable: Option<(Column, Vec<u32>)>,
}

/// What a name or an address may have at most. Longer ones are no names.
const LONGEST_TEXT: usize = 255;
/// RFC 4036 demands 16, DOCS-SUBMGT3-MIB allows 1023.
const MOST_CPES: usize = 1023;

impl Tables {
    pub fn new(family: Family) -> Self {
        Tables {
            family,
            modems: BTreeMap::new(),
            registrations: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            owners: BTreeMap::new(),
            disputed: BTreeSet::new(),
            flows: BTreeMap::new(),
            classes: BTreeMap::new(),
            groups: BTreeSet::new(),
            log: BTreeMap::new(),
            sids: BTreeMap::new(),
            cpes: BTreeMap::new(),
            unusable: 0,
            first_unusable: None,
        }
    }

    /// Takes one cell. A cell that was read before is replaced.
    pub fn take(&mut self, column: Column, index: &[u32], cell: Cell<'_>) {
        if self.put(column, index, cell).is_none() {
            self.unusable += 1;
            self.first_unusable.get_or_insert_with(|| (column, index.to_vec()));
        }
    }

    /// Takes a flow's row and owner out, to be read again.
    pub fn forget(&mut self, key: FlowKey) {
        self.flows.remove(&key);
        self.owners.remove(&key);
        self.disputed.remove(&key);
    }

    fn put(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        match column {
            ModemMac | ModemIp | ModemDown | ModemUp | ModemRegMode | ModemInetType | ModemInet => {
                let row = self.modems.entry(single(index)?).or_default();
                match column {
                    ModemMac => row.mac = Some(cell.mac()?),
                    ModemIp => row.ip = Some(cell.ipv4()?),
                    ModemDown => row.down = cell.narrow()?,
                    ModemUp => row.up = cell.narrow()?,
                    ModemRegMode => row.mode = Some(cell.narrow()?),
                    ModemInetType => row.inet_type = Some(cell.narrow()?),
                    // An address of another type is no fault: the record holds IPv4 only.
                    _ => row.inet = cell.ipv4(),
                }
            }
            RegMac => self.registrations.entry(single(index)?).or_default().mac = Some(cell.mac()?),
            RegIpv4 => self.registrations.entry(single(index)?).or_default().ip = Some(cell.ipv4()?),
            IfDescr | IfType | IfName | IfDiscontinuity => {
                let row = self.interfaces.entry(single(index)?).or_default();
                match column {
                    IfDescr => row.descr = cell.text()?,
                    IfType => row.kind = Some(cell.narrow()?),
                    IfName => row.name = cell.text()?,
                    _ => row.discontinuity_ticks = Some(cell.narrow()?),
                }
            }
            Owner => {
                let (mac, sfid) = index.split_at_checked(6)?;
                let mut octets = Mac::default();
                for (octet, part) in octets.iter_mut().zip(mac) {
                    *octet = u8::try_from(*part).ok()?;
                }
                let key = FlowKey {
                    domain: cell.narrow()?,
                    id: single(sfid)?,
                };
                if self.owners.insert(key, octets).is_some_and(|other| other != octets) {
                    self.disputed.insert(key);
                }
            }
            Packets | Octets | Created | Active | Drops | Delays | Direction => {
                let row = self.flows.entry(flow_key(index)?).or_default();
                match column {
                    Packets => row.packets = Some(cell.number()?),
                    Octets => row.octets = Some(cell.number()?),
                    Created => row.created_ticks = Some(cell.narrow()?),
                    Active => row.active_seconds = Some(cell.narrow()?),
                    Drops => row.drops = Some(cell.narrow()?),
                    Delays => row.delays = Some(cell.narrow()?),
                    _ => row.direction = Some(cell.direction()?),
                }
            }
            ClassName => {
                let (key, set) = match (self.family, index) {
                    (Family::Qos3, &[domain, set, id]) | (_, &[domain, id, set]) => (FlowKey { domain, id }, set),
                    _ => return None,
                };
                let name = cell.text()?;
                let better = |known: &(u32, Vec<u8>)| (known.1.is_empty(), known.0) > (name.is_empty(), set);
                if self.classes.get(&key).is_none_or(better) {
                    self.classes.insert(key, (set, name));
                }
            }
            Group => {
                self.groups.insert(flow_key(index)?);
            }
            SidCreated | SidInOctets | SidInPackets | SidModem | SidHcInOctets | SidHcInPackets | SidHcOutOctets
            | SidHcOutPackets => {
                let row = self.sids.entry(flow_key(index)?).or_default();
                match column {
                    SidCreated => row.created_ticks = Some(cell.narrow()?),
                    SidInOctets => row.in_octets = Some(cell.number()?),
                    SidInPackets => row.in_packets = Some(cell.number()?),
                    SidModem => row.modem = Some(cell.narrow()?),
                    SidHcInOctets => row.hc_in_octets = Some(cell.number()?),
                    SidHcInPackets => row.hc_in_packets = Some(cell.number()?),
                    SidHcOutOctets => row.hc_out_octets = Some(cell.number()?),
                    _ => row.hc_out_packets = Some(cell.number()?),
                }
            }
            Cpe => {
                let &[modem, _] = index else { return None };
                let addresses = self.cpes.entry(modem).or_default();
                // Addresses of version 6 stand in the same table.
                if let Some(address) = cell.ipv4()
                    && addresses.len() < MOST_CPES
                    && !addresses.contains(&address)
                {
                    addresses.push(address);
                }
            }
            _ => return self.put_log(column, index, cell),
        }
        Some(())
    }

    fn put_log(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        let row = self.log.entry(single(index)?).or_default();
        match column {
            LogDomain => row.domain = Some(cell.narrow()?),
            LogSfid => row.sfid = Some(cell.narrow()?),
            LogMac => row.mac = Some(cell.mac()?),
            LogPackets => row.packets = Some(cell.number()?),
            LogOctets => row.octets = Some(cell.number()?),
            LogDeleted => row.deleted_ticks = Some(cell.narrow()?),
            LogCreated => row.created_ticks = Some(cell.narrow()?),
            LogActive => row.active_seconds = Some(cell.narrow()?),
            LogDirection => row.direction = Some(cell.direction()?),
            LogClassName => row.class = cell.text()?,
            LogDrops => row.drops = Some(cell.narrow()?),
            LogDelays => row.delays = Some(cell.narrow()?),
            _ => return None,
        }
        Some(())
    }
}

impl Cell<'_> {
    fn number(self) -> Option<u64> {
        match self {
            Cell::Number(number) => Some(number),
            _ => None,
        }
    }

    fn narrow(self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// 1 downstream, 2 upstream.
    fn direction(self) -> Option<u32> {
        self.narrow().filter(|direction| matches!(direction, 1 | 2))
    }

    fn octets(&self) -> Option<&[u8]> {
        match self {
            Cell::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    fn mac(self) -> Option<Mac> {
        self.octets()?.try_into().ok()
    }

    fn ipv4(self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.octets()?).ok()?))
    }

    fn text(self) -> Option<Vec<u8>> {
        self.octets()
            .filter(|text| text.len() <= LONGEST_TEXT)
            .map(<[u8]>::to_vec)
    }
}

fn single(index: &[u32]) -> Option<u32> {
    match index {
        &[only] => Some(only),
        _ => None,
    }
}

fn flow_key(index: &[u32]) -> Option<FlowKey> {
    match index {
        &[domain, id] => Some(FlowKey { domain, id }),
        _ => None,
    }
}
