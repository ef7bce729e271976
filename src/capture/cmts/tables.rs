//! The tables of a CMTS as they were read, cell by cell. Nothing is joined or judged here.
//!
//! A cell of the wrong type, of an index that its table does not have, or with a number that its type cannot hold, is
//! not taken and is counted: the row then lacks it, and [`super::join`] knows what that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::family::{Column, Family};
use super::usage::Kind;

pub use super::cell::{Cell, DateAndTime, Mac};

/// Octets that many rows have in common: few names stand for all flows of a CMTS.
pub type Shared = Arc<[u8]>;

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
    /// docsIfCmtsCmStatusValue.
    pub status: Option<u8>,
    /// 1: DOCSIS 1.0; 2: 1.1 or later.
    pub mode: Option<u8>,
    /// DocsisUpstreamType: 2 and 3 came with DOCSIS 2.0.
    pub modulation: Option<u8>,
    pub inet_type: Option<u8>,
    pub inet: Option<Ipv4Addr>,
    pub inet6: Option<Ipv6Addr>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrationRow {
    pub mac: Option<Mac>,
    pub ip: Option<Ipv4Addr>,
    pub ip6: Option<Ipv6Addr>,
    pub link_local: Option<Ipv6Addr>,
    /// docsIf3CmtsCmRegStatusValue.
    pub status: Option<u8>,
    /// Whether it has a receive channel profile: DOCSIS 3.0.
    pub has_profile: bool,
    /// Its channel sets: of more than one channel above 255, 0 unknown.
    pub down_set: u32,
    pub up_set: u32,
    /// Whether it has OFDM profiles: DOCSIS 3.1.
    pub has_ofdm: bool,
    /// As the mode of [`ModemRow`].
    pub qos: Option<u8>,
    pub registered: Option<DateAndTime>,
}

/// An address behind a modem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpeRow {
    pub ip: Option<Ipv4Addr>,
    /// 32 where it is told and one address is meant.
    pub prefix: Option<u32>,
}

/// Something with a MAC in the tables of Cisco and Casa.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StationRow {
    pub ip: Option<Ipv4Addr>,
    /// 1 modem, 2 behind a modem.
    pub kind: Option<u8>,
    /// Status index of the modem.
    pub modem: Option<u32>,
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
    pub class: Option<Shared>,
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
    pub out_octets: Option<u64>,
    pub out_packets: Option<u64>,
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
    pub classes: BTreeMap<FlowKey, (u32, Shared)>,
    /// The same of application identifiers.
    pub apps: BTreeMap<FlowKey, (u32, u32)>,
    /// A number up to 255 is that of a single channel, one above that of a set, 0 unknown.
    pub channel_sets: BTreeMap<FlowKey, u32>,
    /// Channels of a set, an octet each, by MAC domain and number of the set.
    pub up_channels: BTreeMap<FlowKey, Shared>,
    pub down_channels: BTreeMap<FlowKey, Shared>,
    /// Gates by SFID. [`None`]: more than one gate names it.
    pub gates: BTreeMap<u32, Option<u32>>,
    pub groups: BTreeSet<FlowKey>,
    pub log: BTreeMap<u32, LogRow>,
    pub sids: BTreeMap<FlowKey, SidRow>,
    /// By registration id and number.
    pub cpes3: BTreeMap<(u32, u32), CpeRow>,
    /// By status index and number.
    pub cpes: BTreeMap<(u32, u32), Ipv4Addr>,
    pub stations: BTreeMap<Mac, StationRow>,
    pub clock: Option<DateAndTime>,
    /// Cells that could not be taken, and which the first was.
    pub unusable: u64,
    pub first_unusable: Option<(Column, Vec<u32>)>,
    shared: BTreeSet<Shared>,
}

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
            apps: BTreeMap::new(),
            channel_sets: BTreeMap::new(),
            up_channels: BTreeMap::new(),
            down_channels: BTreeMap::new(),
            gates: BTreeMap::new(),
            groups: BTreeSet::new(),
            log: BTreeMap::new(),
            sids: BTreeMap::new(),
            cpes3: BTreeMap::new(),
            cpes: BTreeMap::new(),
            stations: BTreeMap::new(),
            clock: None,
            unusable: 0,
            first_unusable: None,
            shared: BTreeSet::new(),
        }
    }

    /// Tables of older and of vendors' MIBs that stand in for what the others did not tell.
    pub fn substitutes(&self, records: Kind, cpes: bool) -> Vec<&'static [Column]> {
        let mut groups: Vec<&[Column]> = Vec::new();
        if !self.modems.is_empty() && self.modems.values().all(|modem| modem.mode.is_none()) {
            groups.push(Column::OLD_MODES);
        }
        if records == Kind::Docsis && cpes && self.cpes.is_empty() && self.cpes3.is_empty() {
            let standard = [
                (Family::Qos3, Column::CPES3),
                (Family::Ietf, Column::CPES_IETF),
                (Family::Draft, Column::CPES_DRAFT),
            ];
            let others = standard.into_iter().filter(|(family, _)| *family != self.family);
            groups.extend(others.map(|(_, columns)| columns));
            groups.extend([Column::CISCO_CPES, Column::CASA_CPES]);
        }
        groups
    }

    /// Takes one cell. A cell that was read before is replaced.
    pub fn take(&mut self, column: Column, index: &[u32], cell: Cell<'_>) {
        if self.put(column, index, cell).is_none() {
            self.unusable += 1;
            self.first_unusable.get_or_insert_with(|| (column, index.to_vec()));
        }
    }

    /// Takes everything that was read of a flow out, to be read again.
    pub fn forget(&mut self, key: FlowKey) {
        self.flows.remove(&key);
        self.owners.remove(&key);
        self.disputed.remove(&key);
        self.classes.remove(&key);
        self.apps.remove(&key);
        self.channel_sets.remove(&key);
    }

    fn put(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        match column {
            ModemMac | ModemIp | ModemDown | ModemUp | ModemRegMode | ModemInetType | ModemInet | ModemStatus
            | ModemModulation | ModemOldMode => return self.put_modem(column, index, cell),
            RegMac | RegIpv4 | RegIpv6 | RegLinkLocal | RegStatus | RegProfile | RegDownSet | RegUpSet | RegQos
            | RegTime | RegOfdm => return self.put_registration(column, index, cell),
            Clock => self.clock = Some(DateAndTime::read(cell.octets()?)?),
            IfDescr | IfType | IfName | IfDiscontinuity => {
                let row = self.interfaces.entry(single(index)?).or_default();
                match column {
                    IfDescr => row.descr = cell.text()?.to_vec(),
                    IfType => row.kind = Some(cell.narrow()?),
                    IfName => row.name = cell.text()?.to_vec(),
                    _ => row.discontinuity_ticks = Some(cell.narrow()?),
                }
            }
            Owner => {
                let (mac, sfid) = index.split_at_checked(6)?;
                let (domain, id) = (cell.narrow()?, single(sfid)?);
                let (key, mac) = (FlowKey { domain, id }, mac_of(mac)?);
                if self.owners.insert(key, mac).is_some_and(|other| other != mac) {
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
            ChannelSet => {
                self.channel_sets.insert(flow_key(index)?, cell.narrow()?);
            }
            ClassName => {
                let (key, set) = self.parameters(index)?;
                let name = self.share(cell.text()?);
                let better = |known: &(u32, Shared)| (known.1.is_empty(), known.0) > (name.is_empty(), set);
                if self.classes.get(&key).is_none_or(better) {
                    self.classes.insert(key, (set, name));
                }
            }
            AppId => {
                let (key, set) = self.parameters(index)?;
                let app = cell.narrow()?;
                // Most flows have none: they take no room.
                if app != 0 && self.apps.get(&key).is_none_or(|known| known.0 > set) {
                    self.apps.insert(key, (set, app));
                }
            }
            Group => {
                self.groups.insert(flow_key(index)?);
            }
            UpChannels | DownChannels => {
                let (key, channels) = (flow_key(index)?, self.share(cell.text()?));
                match column {
                    UpChannels => self.up_channels.insert(key, channels),
                    _ => self.down_channels.insert(key, channels),
                };
            }
            Gate => {
                let &[_direction, gate] = index else { return None };
                let known = self.gates.entry(cell.narrow()?).or_insert(Some(gate));
                *known = known.filter(|known| *known == gate);
            }
            SidCreated | SidInOctets | SidInPackets | SidModem | SidOutOctets | SidOutPackets | SidHcInOctets
            | SidHcInPackets | SidHcOutOctets | SidHcOutPackets => {
                let row = self.sids.entry(flow_key(index)?).or_default();
                match column {
                    SidCreated => row.created_ticks = Some(cell.narrow()?),
                    SidInOctets => row.in_octets = Some(cell.number()?),
                    SidInPackets => row.in_packets = Some(cell.number()?),
                    SidModem => row.modem = Some(cell.narrow()?),
                    SidOutOctets => row.out_octets = Some(cell.number()?),
                    SidOutPackets => row.out_packets = Some(cell.number()?),
                    SidHcInOctets => row.hc_in_octets = Some(cell.number()?),
                    SidHcInPackets => row.hc_in_packets = Some(cell.number()?),
                    SidHcOutOctets => row.hc_out_octets = Some(cell.number()?),
                    _ => row.hc_out_packets = Some(cell.number()?),
                }
            }
            Cpe3 | Cpe3Prefix | CpeIetf | CpeDraft => {
                let &[modem, number] = index else { return None };
                match column {
                    // Addresses of version 6 stand in the same table.
                    Cpe3 => self.cpes3.entry((modem, number)).or_default().ip = cell.ipv4(),
                    Cpe3Prefix => self.cpes3.entry((modem, number)).or_default().prefix = Some(cell.narrow()?),
                    _ => {
                        let address = cell.ipv4();
                        address.and_then(|address| self.cpes.insert((modem, number), address));
                    }
                }
            }
            CiscoCpeKind | CiscoCpe | CiscoCpeModem | CasaCpeKind | CasaCpe | CasaCpeModem => {
                let row = self.stations.entry(mac_of(index)?).or_default();
                match column {
                    CiscoCpeKind | CasaCpeKind => row.kind = Some(cell.code()?),
                    CiscoCpe | CasaCpe => row.ip = Some(cell.ipv4()?),
                    _ => row.modem = Some(cell.narrow()?),
                }
            }
            _ => return self.put_log(column, index, cell),
        }
        Some(())
    }

    fn put_modem(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        let row = self.modems.entry(single(index)?).or_default();
        match column {
            ModemMac => row.mac = Some(cell.mac()?),
            ModemIp => row.ip = Some(cell.ipv4()?),
            ModemDown => row.down = cell.narrow()?,
            ModemUp => row.up = cell.narrow()?,
            ModemStatus => row.status = Some(cell.code()?),
            ModemRegMode | ModemOldMode => row.mode = Some(cell.code()?),
            ModemModulation => row.modulation = Some(cell.code()?),
            ModemInetType => row.inet_type = Some(cell.code()?),
            // Of the type that stands beside it, and none at all where there is no address.
            _ => (row.inet, row.inet6) = (cell.ipv4(), cell.ipv6()),
        }
        Some(())
    }

    fn put_registration(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        let row = self.registrations.entry(single(index)?).or_default();
        match column {
            RegMac => row.mac = Some(cell.mac()?),
            RegIpv4 => row.ip = Some(cell.ipv4()?),
            RegIpv6 => row.ip6 = Some(cell.ipv6()?),
            RegLinkLocal => row.link_local = Some(cell.ipv6()?),
            RegStatus => row.status = Some(cell.code()?),
            RegProfile => row.has_profile = cell.octets()?.iter().any(|octet| *octet != 0),
            RegDownSet => row.down_set = cell.narrow()?,
            RegUpSet => row.up_set = cell.narrow()?,
            RegQos => row.qos = Some(cell.code()?),
            RegOfdm => row.has_ofdm = !cell.octets()?.is_empty(),
            _ => {
                let octets = cell.octets()?;
                row.registered = DateAndTime::read(octets);
                // Zeros, or nothing: it has never registered.
                return (row.registered.is_some() || octets.iter().all(|octet| *octet == 0)).then_some(());
            }
        }
        Some(())
    }

    fn put_log(&mut self, column: Column, index: &[u32], cell: Cell<'_>) -> Option<()> {
        use Column::*;
        let class = match column {
            LogClassName => Some(self.share(cell.text()?)),
            _ => None,
        };
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
            LogClassName => row.class = class,
            LogDrops => row.drops = Some(cell.narrow()?),
            LogDelays => row.delays = Some(cell.narrow()?),
            _ => return None,
        }
        Some(())
    }

    /// A flow and a parameter set.
    fn parameters(&self, index: &[u32]) -> Option<(FlowKey, u32)> {
        match (self.family, index) {
            (Family::Qos3, &[domain, set, id]) | (_, &[domain, id, set]) => Some((FlowKey { domain, id }, set)),
            _ => None,
        }
    }

    fn share(&mut self, octets: &[u8]) -> Shared {
        if let Some(known) = self.shared.get(octets) {
            return known.clone();
        }
        let new = Shared::from(octets);
        self.shared.insert(new.clone());
        new
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

fn mac_of(index: &[u32]) -> Option<Mac> {
    let mut mac = Mac::default();
    if index.len() != mac.len() {
        return None;
    }
    for (octet, part) in mac.iter_mut().zip(index) {
        *octet = u8::try_from(*part).ok()?;
    }
    Some(mac)
}
