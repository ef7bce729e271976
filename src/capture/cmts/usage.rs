//! Flows as records: `DOCSIS-Type`, in the order of modems.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use chrono::{DateTime, TimeDelta, Utc};

use super::join::{Flow, Modem, interface_name};
use super::tables::{InterfaceRow, Mac};
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
    /// The flows of a modem are summed, by direction: SFID 0, no class name.
    pub flow_aggregate: bool,
    /// The list of addresses behind the modem is left empty.
    pub cpe_list_suppress: bool,
    /// Flows that never passed a packet have a record too. Cisco's texts do not say what theirs does.
    pub full_records: bool,
}

/// What all records of one CMTS have in common, and where their names are found.
pub struct Cmts<'a> {
    pub now: DateTime<Utc>,
    /// sysName.
    pub host_name: &'a [u8],
    pub address: Option<Ipv4Addr>,
    /// sysUpTime at `read`: the same in all records.
    pub uptime_ticks: u32,
    pub read: DateTime<Utc>,
    pub interfaces: &'a BTreeMap<u32, InterfaceRow>,
    pub modems: &'a BTreeMap<Mac, Modem>,
    /// Modems that are not there any more.
    pub former: &'a BTreeMap<Mac, Modem>,
    pub options: Options,
}

const INTERIM: i32 = 1;
const STOP: i32 = 2;

impl Cmts<'_> {
    /// Pushes a record for each flow: Interim for `live`, Stop for `stopped`.
    pub fn push(&self, live: &[Flow], stopped: &[Flow], records: &mut dyn RecordSink) -> io::Result<()> {
        let wanted = |flow: &&Flow| self.options.full_records || flow.octets > 0 || flow.packets > 0;
        if self.options.flow_aggregate {
            for flow in sums(live.iter().filter(wanted)).iter().chain(&sums(stopped)) {
                records.push(&self.record(flow))?;
            }
            return Ok(());
        }
        for flow in live.iter().filter(wanted).chain(stopped) {
            records.push(&self.record(flow))?;
        }
        Ok(())
    }

    fn record(&self, flow: &Flow) -> Record {
        let text = |octets: &[u8]| Value::from(Text::lossy(octets).0);
        let name = |index: u32| text(interface_name(self.interfaces.get(&index)));
        let address = |address: Option<Ipv4Addr>| address.map_or(Value::Absent, Value::Ipv4);
        let int = |number: u32| i32::try_from(number).map_or(Value::Absent, Value::Int);
        let nothing = Modem::default();
        let modem = self.modems.get(&flow.mac).or_else(|| self.former.get(&flow.mac));
        let modem = modem.unwrap_or(&nothing);
        let up_type = self.interfaces.get(&modem.up).and_then(|interface| interface.kind);
        let cpes = match self.options.cpe_list_suppress {
            true => Vec::new(),
            false => modem.cpes.iter().copied().map(Value::Ipv4).collect(),
        };
        let mode = modem.mode.map(|mode| Text::lossy(mode.to_string().as_bytes()).0);
        let values = vec![
            self.created(flow).into(),
            text(self.host_name),
            address(self.address),
            Value::UnsignedInt(self.uptime_ticks),
            name(flow.key.domain),
            Value::UnsignedInt(flow.key.domain),
            name(modem.up),
            up_type.map_or(Value::Absent, int),
            name(modem.down),
            Value::MacAddress(flow.mac),
            address(modem.ip),
            mode.into(),
            if cpes.is_empty() {
                Value::Absent
            } else {
                Value::List(cpes)
            },
            Value::Int(if flow.deleted_ticks.is_some() { STOP } else { INTERIM }),
            Value::UnsignedInt(flow.key.id),
            text(&flow.class),
            int(flow.direction),
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

    /// A Stop record is of the time of the end (DOCSIS OSSI, Appendix E.1.2.1.1).
    fn created(&self, flow: &Flow) -> DateTime<Utc> {
        let Some(ticks) = flow.deleted_ticks else {
            return self.now;
        };
        let ago = TimeDelta::from_std(uptime::since(ticks, self.uptime_ticks)).unwrap_or_default();
        self.read.checked_sub_signed(ago).unwrap_or(self.now)
    }
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
            sum.class.clear();
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
    }
    sums.into_values().collect()
}
