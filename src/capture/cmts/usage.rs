//! Flows as records, in the order of modems: `DOCSIS-Type` here, those of DOCSIS 3.0 in [`super::samis`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::compare::Outcome;
use super::join::{Channels, Flow, Poll, interface_name};
use super::modems::Modem;
use super::tables::{Mac, Shared, Tables};
use super::uptime;
use crate::capture::RecordSink;
use crate::record::{DOCSIS, Record, Text, Value};

/// Which records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// `DOCSIS-Type`, as the CMTS itself writes it.
    #[default]
    Docsis,
    SamisType1,
    SamisType2,
}

/// The options of `cable metering filesystem`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    pub records: Kind,
    /// The flows of a modem are summed, by direction: SFID 0, no class name. What a flow passed that ends leaves the sum,
    /// and stands in a Stop record that is a sum too: such sums can become smaller.
    pub flow_aggregate: bool,
    /// The list of addresses behind the modem is left empty, and is not read.
    pub cpe_list_suppress: bool,
    /// Flows that never passed a packet have a record too. Cisco's texts do not say what theirs does. Without it, a
    /// flow has a record of zeros all the same when its place had usage in the last document: who takes differences
    /// must see that it begins anew.
    pub full_records: bool,
}

/// What all records of one CMTS have in common, and where their names are found.
pub struct Cmts<'a> {
    /// The time of the document.
    pub now: DateTime<Utc>,
    /// sysName.
    pub host_name: &'a [u8],
    pub address: Option<Ipv4Addr>,
    pub address6: Option<Ipv6Addr>,
    /// sysUpTime at `read`: the same in all records.
    pub uptime_ticks: u32,
    pub read: DateTime<Utc>,
    pub tables: &'a Tables,
    pub poll: &'a Poll,
    pub outcome: &'a Outcome,
    pub options: Options,
}

impl Cmts<'_> {
    /// Pushes a record for each flow: Interim for what is there, Stop for what has ended, with or without usage.
    pub fn push(&self, records: &mut dyn RecordSink) -> io::Result<()> {
        let zeroed: BTreeSet<_> = self.outcome.zeroed.iter().collect();
        let certain = |flow: &&Flow| !self.outcome.withheld.contains(&flow.identity());
        let live = self.poll.live.iter().filter(certain);
        let live = live.filter(|flow| {
            self.options.full_records || flow.has_passed_anything() || zeroed.contains(&flow.identity())
        });
        if self.options.flow_aggregate {
            for flow in sums(live).iter().chain(&sums(&self.outcome.stopped)) {
                records.push(&self.record(flow))?;
            }
        } else {
            for flow in live.chain(&self.outcome.stopped) {
                records.push(&self.record(flow))?;
            }
        }
        // Only the records of DOCSIS 3.0 can say that nobody owns a flow.
        if self.options.records != Kind::Docsis {
            for flow in &self.poll.multicast {
                records.push(&self.record(flow))?;
            }
        }
        Ok(())
    }

    /// What is remarkable about the records as a whole.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let multicast = self.poll.multicast.len();
        if multicast > 0 && self.options.records == Kind::Docsis {
            remarks.push(format!("{multicast} multicast flows are nobody's usage"));
        }
        remarks.extend(self.remark_about_zone());
        remarks
    }

    fn record(&self, flow: &Flow) -> Record {
        let nothing = Modem::default();
        let modem = self
            .poll
            .modems
            .get(&flow.mac)
            .or_else(|| self.outcome.former.get(&flow.mac));
        let modem = modem.unwrap_or(&nothing);
        match self.options.records {
            Kind::Docsis => self.docsis(flow, modem),
            Kind::SamisType1 => self.samis_type_1(flow, modem),
            Kind::SamisType2 => self.samis_type_2(flow),
        }
    }

    fn docsis(&self, flow: &Flow, modem: &Modem) -> Record {
        let up_type = self
            .tables
            .interfaces
            .get(&modem.up)
            .and_then(|interface| interface.kind);
        let up_type = up_type.and_then(|kind| i32::try_from(kind).ok());
        let mode = modem.mode.map(|mode| Text::lossy(mode.to_string().as_bytes()).0);
        let cpes = match self.options.cpe_list_suppress {
            true => &[][..],
            false => &modem.cpes,
        };
        let values = vec![
            self.ended(flow).unwrap_or(self.now).into(),
            text(self.host_name),
            ipv4(self.address),
            Value::UnsignedInt(self.uptime_ticks),
            self.name(flow.key.domain),
            Value::UnsignedInt(flow.key.domain),
            self.name(modem.up),
            up_type.map_or(Value::Absent, Value::Int),
            self.name(modem.down),
            Value::MacAddress(flow.mac),
            ipv4(modem.ip),
            mode.into(),
            match cpes {
                [] => Value::Absent,
                _ => Value::List(cpes.iter().copied().map(Value::Ipv4).collect()),
            },
            record_type(flow),
            Value::UnsignedInt(flow.key.id),
            class(flow),
            direction(flow),
            Value::UnsignedLong(flow.octets),
            Value::UnsignedLong(flow.packets),
            Value::UnsignedInt(flow.drops),
            Value::UnsignedInt(flow.delays),
            Value::UnsignedInt(flow.created_ticks),
            Value::UnsignedInt(flow.active_seconds),
        ];
        Record {
            definition: &DOCSIS,
            values,
        }
    }

    /// The name of an interface.
    pub(super) fn name(&self, index: u32) -> Value {
        text(interface_name(self.tables.interfaces.get(&index)))
    }

    /// When the flow ended: a Stop record is of that time (DOCSIS OSSI, Appendix E.1.2.1.1).
    pub(super) fn ended(&self, flow: &Flow) -> Option<DateTime<Utc>> {
        /// No CMTS keeps its log that long.
        const LONGEST: Duration = Duration::from_secs(100 * 86_400);
        let mut ago = uptime::since(flow.deleted_ticks?, self.uptime_ticks);
        if ago > LONGEST {
            // It ended before the CMTS started last, and the log outlived that. More is not known.
            ago = uptime::since(0, self.uptime_ticks);
        }
        let ago = TimeDelta::from_std(ago).unwrap_or_default();
        Some(self.read.checked_sub_signed(ago).unwrap_or(self.read))
    }
}

pub(super) fn text(octets: &[u8]) -> Value {
    Value::from(Text::lossy(octets).0)
}

pub(super) fn ipv4(address: Option<Ipv4Addr>) -> Value {
    address.map_or(Value::Absent, Value::Ipv4)
}

/// 1 Interim, 2 Stop.
pub(super) fn record_type(flow: &Flow) -> Value {
    Value::Int(if flow.deleted_ticks.is_some() { 2 } else { 1 })
}

pub(super) fn class(flow: &Flow) -> Value {
    text(flow.class.as_deref().unwrap_or_default())
}

pub(super) fn direction(flow: &Flow) -> Value {
    i32::try_from(flow.direction).map_or(Value::Absent, Value::Int)
}

/// The sums of the flows of each modem, by MAC domain and direction. The whole was made with its first flow, has been
/// active as long as its longest, and ended with its last.
fn sums<'f>(flows: impl IntoIterator<Item = &'f Flow>) -> Vec<Flow> {
    let mut sums: BTreeMap<(Mac, u32, u32), Flow> = BTreeMap::new();
    for flow in flows {
        let group = (flow.mac, flow.key.domain, flow.direction);
        let Some(sum) = sums.get_mut(&group) else {
            let mut sum = flow.clone();
            sum.key.id = 0;
            sum.class = None;
            (sum.app_id, sum.gate_id) = (0, 0);
            sums.insert(group, sum);
            continue;
        };
        sum.octets = sum.octets.saturating_add(flow.octets);
        sum.packets = sum.packets.saturating_add(flow.packets);
        sum.drops = sum.drops.saturating_add(flow.drops);
        sum.delays = sum.delays.saturating_add(flow.delays);
        sum.created_ticks = sum.created_ticks.min(flow.created_ticks);
        sum.active_seconds = sum.active_seconds.max(flow.active_seconds);
        sum.deleted_ticks = sum.deleted_ticks.max(flow.deleted_ticks);
        if sum.channels != flow.channels {
            sum.channels = both(&sum.channels, &flow.channels);
        }
    }
    sums.into_values().collect()
}

/// All channels that carry one of them.
fn both(one: &Channels, other: &Channels) -> Channels {
    let channels: BTreeSet<u8> = [one, other]
        .iter()
        .flat_map(|channels| channels.octets())
        .copied()
        .collect();
    Channels::Set(channels.into_iter().collect::<Shared>())
}
