//! From the tables of one poll to flows, each with its modem.
//!
//! A walk is no snapshot: flows appear and disappear while it goes on. The rows of one flow come from one answer and
//! fit together; what must be joined from several tables may not. [`Doubts`] names the flows of which that cannot be
//! told; the caller reads them again ([`super::tables::Tables::forget`]) and joins once more. What is in doubt then has
//! no record and is told of: never a record that is mixed of two flows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::family::Column;
use super::tables::{FlowKey, FlowRow, InterfaceRow, LogRow, Mac, Tables};

/// A modem, joined by its MAC: its indexes in the two modem tables have nothing to do with each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modem {
    pub ip: Option<Ipv4Addr>,
    /// ifIndex of its first upstream and downstream, 0: unknown.
    pub up: u32,
    pub down: u32,
    /// 10 or 11, as it registered. Nothing standard tells more.
    pub mode: Option<u32>,
    /// Addresses behind it, in the order of the table.
    pub cpes: Vec<Ipv4Addr>,
}

/// A service flow in one direction, or of a DOCSIS 1.0 modem one direction of its SID. Counters as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    pub mac: Mac,
    pub key: FlowKey,
    /// 1 downstream, 2 upstream.
    pub direction: u32,
    pub class: Vec<u8>,
    pub octets: u64,
    pub packets: u64,
    pub drops: u32,
    pub delays: u32,
    pub created_ticks: u32,
    pub active_seconds: u32,
    /// sysUpTime of its end, when it comes from the log.
    pub deleted_ticks: Option<u32>,
    /// Whether its octets count to 2^32 only.
    pub narrow: bool,
}

/// What identifies a flow as long as the CMTS runs: an SFID is given again, but not at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub mac: Mac,
    pub key: FlowKey,
    pub direction: u32,
    pub created_ticks: u32,
}

/// sysUpTime during the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub began_ticks: u32,
    /// When reading again began: until then what was made during the walk is in doubt. Before that, the begin.
    pub settled_ticks: u32,
    pub ended_ticks: u32,
}

/// One poll, joined.
#[derive(Debug, Default)]
pub struct Poll {
    pub modems: BTreeMap<Mac, Modem>,
    /// Flows that are there, by modem.
    pub live: Vec<Flow>,
    /// Flows of the log, by modem: ended at any time since the log goes back.
    pub ended: Vec<Flow>,
    /// Flows of many: nobody's usage.
    pub multicast: usize,
    /// Log entries that lack what makes a record of them.
    pub unusable_log: Vec<u32>,
    /// Modems that own flows and stand in no table of modems: their records lack what those tell.
    pub strangers: usize,
    /// Columns that the agent does not show at all, though records do without.
    pub hidden: Vec<Column>,
    pub doubts: Doubts,
}

/// Flows that cannot be told of, each in one list only.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// A cell is missing.
    pub holed: Vec<FlowKey>,
    /// There is usage, but no modem.
    pub unowned: Vec<FlowKey>,
    /// Two modems.
    pub disputed: Vec<FlowKey>,
    /// Made during the walk: its owner or class may be that of a flow that had the same SFID.
    pub born: Vec<FlowKey>,
    /// A modem, but no usage, and the log does not tell of its end.
    pub unmeasured: Vec<FlowKey>,
}

impl Doubts {
    pub fn all(&self) -> impl Iterator<Item = FlowKey> {
        let lists = [&self.holed, &self.unowned, &self.disputed, &self.born, &self.unmeasured];
        lists.into_iter().flatten().copied()
    }

    /// Whether the owners must be read again: they cannot be asked for by flow.
    pub fn is_of_owners(&self) -> bool {
        !(self.unowned.is_empty() && self.disputed.is_empty() && self.born.is_empty() && self.unmeasured.is_empty())
    }

    /// What is left when everything was read again. A flow that was made in the meantime is no mixture any more.
    fn sentence(&self) -> Option<String> {
        let some = |list: &[FlowKey], what: &str| {
            list.first().map(|first| {
                let (count, FlowKey { domain, id }) = (list.len(), first);
                format!("{count} service flows {what} (the first is SFID {id} in MAC domain ifIndex {domain})")
            })
        };
        let told: Vec<_> = [
            some(&self.holed, "lack a counter or their direction"),
            some(&self.unowned, "belong to no modem"),
            some(&self.disputed, "belong to two modems"),
            some(&self.born, "were made while the tables were read"),
            some(&self.unmeasured, "have a modem but no counters"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// The tables cannot be the whole of a CMTS that has modems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hidden {
    #[error(
        "modems are there but no service flow: the service flow tables are not visible to this community or user; \
         correct the view of the agent"
    )]
    Flows,
    #[error(
        "service flows are there but the column {0:?} is not visible to this community or user; correct the view of \
         the agent"
    )]
    Column(Column),
}

/// Joins the tables. Flows that are in doubt are left out; [`Poll::doubts`] has them.
pub fn join(tables: &Tables, span: Span) -> Result<Poll, Hidden> {
    let mut poll = Poll {
        modems: modems(tables),
        ..Poll::default()
    };
    poll.hidden = hidden(tables)?;
    for (index, row) in &tables.log {
        match ended(tables, row) {
            Some(flow) => poll.ended.push(flow),
            None => poll.unusable_log.push(*index),
        }
    }
    let ended: BTreeSet<Identity> = poll.ended.iter().map(Flow::identity).collect();
    let ended_now = poll
        .ended
        .iter()
        .filter(|flow| within(flow.deleted_ticks, span.began_ticks, span));
    let ended_now: BTreeSet<(FlowKey, u32)> = ended_now.map(|flow| (flow.key, flow.created_ticks)).collect();
    let told_of = |key: &FlowKey, created: Option<u32>| {
        let from = (*key, created.unwrap_or(0));
        let to = (*key, created.unwrap_or(u32::MAX));
        ended_now.range(from..=to).next().is_some()
    };
    for (key, row) in &tables.flows {
        if tables.groups.contains(key) {
            poll.multicast += 1;
            continue;
        }
        match live(tables, *key, row, span) {
            // It ended after its counters were read: the log has the later ones.
            Ok(flow) if ended.contains(&flow.identity()) => {}
            Ok(flow) => poll.live.push(flow),
            // Of a flow that ended in between the log has it all.
            Err(_) if told_of(key, row.created_ticks) => {}
            Err(doubt) => poll.doubts.list(doubt).push(*key),
        }
    }
    let unmeasured = tables.owners.keys().filter(|key| !tables.flows.contains_key(key));
    poll.doubts.unmeasured = unmeasured.filter(|key| !told_of(key, None)).copied().collect();
    poll.live.extend(sids(tables, span));
    if poll.live.is_empty() && poll.doubts == Doubts::default() && !poll.modems.is_empty() && poll.ended.is_empty() {
        return Err(Hidden::Flows);
    }
    let order = |flow: &Flow| (flow.mac, flow.key, flow.direction, flow.created_ticks);
    poll.live.sort_by_key(order);
    poll.ended.sort_by_key(order);
    let strangers = poll.live.iter().filter(|flow| !poll.modems.contains_key(&flow.mac));
    poll.strangers = strangers.map(|flow| flow.mac).collect::<BTreeSet<_>>().len();
    poll.ended.dedup_by_key(|flow| (flow.identity(), flow.deleted_ticks));
    Ok(poll)
}

impl Poll {
    /// What is missing though it was asked for again, as a sentence.
    pub fn missing(&self) -> Option<String> {
        let log = self.unusable_log.first().map(|first| {
            let count = self.unusable_log.len();
            format!("{count} entries of the service flow log cannot be read (the first has index {first})")
        });
        let told: Vec<_> = [self.doubts.sentence(), log].into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl Flow {
    pub fn identity(&self) -> Identity {
        Identity {
            mac: self.mac,
            key: self.key,
            direction: self.direction,
            created_ticks: self.created_ticks,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Doubt {
    Holed,
    Unowned,
    Disputed,
    Born,
}

impl Doubts {
    fn list(&mut self, doubt: Doubt) -> &mut Vec<FlowKey> {
        match doubt {
            Doubt::Holed => &mut self.holed,
            Doubt::Unowned => &mut self.unowned,
            Doubt::Disputed => &mut self.disputed,
            Doubt::Born => &mut self.born,
        }
    }
}

/// Columns that no row has. Without counters, times, direction or owner there is no record.
fn hidden(tables: &Tables) -> Result<Vec<Column>, Hidden> {
    if tables.flows.is_empty() {
        return Ok(Vec::new());
    }
    let nowhere = |has: fn(&FlowRow) -> bool| !tables.flows.values().any(has);
    let needed: [(Column, bool); 6] = [
        (Column::Owner, tables.owners.is_empty()),
        (Column::Octets, nowhere(|row| row.octets.is_some())),
        (Column::Packets, nowhere(|row| row.packets.is_some())),
        (Column::Created, nowhere(|row| row.created_ticks.is_some())),
        (Column::Active, nowhere(|row| row.active_seconds.is_some())),
        (Column::Direction, nowhere(|row| row.direction.is_some())),
    ];
    // Flows of many alone have no owner.
    let all_multicast = tables.flows.keys().all(|key| tables.groups.contains(key));
    if let Some((column, _)) = needed.iter().find(|(_, missing)| *missing && !all_multicast) {
        return Err(Hidden::Column(*column));
    }
    let dispensable = [
        (Column::ModemMac, tables.modems.is_empty()),
        (Column::Drops, nowhere(|row| row.drops.is_some())),
        (Column::Delays, nowhere(|row| row.delays.is_some())),
        (Column::ClassName, tables.classes.is_empty()),
    ];
    let missing = dispensable.into_iter().filter(|(_, missing)| *missing);
    Ok(missing.map(|(column, _)| column).collect())
}

fn modems(tables: &Tables) -> BTreeMap<Mac, Modem> {
    let mut modems: BTreeMap<Mac, Modem> = BTreeMap::new();
    let by_registration = tables.family == super::family::Family::Qos3;
    let cpes = |index| tables.cpes.get(index).cloned().unwrap_or_default();
    for (index, row) in &tables.modems {
        let Some(mac) = row.mac else { continue };
        let modem = modems.entry(mac).or_default();
        modem.ip = row.inet.filter(|_| row.inet_type == Some(1)).or(row.ip).filter(is_set);
        (modem.up, modem.down) = (row.up, row.down);
        modem.mode = match row.mode {
            Some(1) => Some(10),
            Some(2) => Some(11),
            _ => None,
        };
        if !by_registration {
            modem.cpes = cpes(index);
        }
    }
    for (index, row) in &tables.registrations {
        let Some(mac) = row.mac else { continue };
        let modem = modems.entry(mac).or_default();
        modem.ip = modem.ip.or(row.ip.filter(is_set));
        if by_registration {
            modem.cpes = cpes(index);
        }
    }
    modems
}

/// 0.0.0.0 stands for no address.
fn is_set(address: &Ipv4Addr) -> bool {
    !address.is_unspecified()
}

fn live(tables: &Tables, key: FlowKey, row: &FlowRow, span: Span) -> Result<Flow, Doubt> {
    let flow = |mac| {
        Some(Flow {
            mac,
            key,
            direction: row.direction?,
            class: tables
                .classes
                .get(&key)
                .map(|(_, name)| name.clone())
                .unwrap_or_default(),
            octets: row.octets?,
            packets: row.packets?,
            // An agent that does not count them shows no such column.
            drops: row.drops.unwrap_or(0),
            delays: row.delays.unwrap_or(0),
            created_ticks: row.created_ticks?,
            active_seconds: row.active_seconds?,
            deleted_ticks: None,
            narrow: tables.family.is_narrow(),
        })
    };
    if tables.disputed.contains(&key) {
        return Err(Doubt::Disputed);
    }
    let whole = flow(Mac::default()).ok_or(Doubt::Holed)?;
    let mac = *tables.owners.get(&key).ok_or(Doubt::Unowned)?;
    match within(Some(whole.created_ticks), span.settled_ticks, span) {
        true => Err(Doubt::Born),
        false => Ok(Flow { mac, ..whole }),
    }
}

/// Whether sysUpTime had this value between `from` and the end of the walk. It may wrap.
fn within(ticks: Option<u32>, from: u32, span: Span) -> bool {
    ticks.is_some_and(|ticks| ticks.wrapping_sub(from) <= span.ended_ticks.wrapping_sub(from))
}

fn ended(tables: &Tables, row: &LogRow) -> Option<Flow> {
    Some(Flow {
        mac: row.mac?,
        key: FlowKey {
            domain: row.domain?,
            id: row.sfid?,
        },
        direction: row.direction?,
        class: row.class.clone(),
        octets: row.octets?,
        packets: row.packets?,
        drops: row.drops.unwrap_or(0),
        delays: row.delays.unwrap_or(0),
        created_ticks: row.created_ticks?,
        active_seconds: row.active_seconds?,
        deleted_ticks: Some(row.deleted_ticks?),
        narrow: tables.family.is_narrow(),
    })
}

/// The usage of modems of DOCSIS 1.0, which have SIDs in place of flows. The SIDs of flows stand in the same table: a
/// modem that owns flows is not counted twice. Downstream octets are known of Cisco's CMTSs only.
fn sids(tables: &Tables, span: Span) -> Vec<Flow> {
    let with_flows: BTreeSet<&Mac> = tables.owners.values().collect();
    let mut flows = Vec::new();
    for (key, row) in &tables.sids {
        let modem = row.modem.and_then(|index| tables.modems.get(&index));
        let Some((modem, mac)) = modem.and_then(|modem| Some((modem, modem.mac?))) else {
            continue;
        };
        if modem.mode != Some(1) || with_flows.contains(&mac) {
            continue;
        }
        let Some(created_ticks) = row.created_ticks else {
            continue;
        };
        let wide = row.hc_in_octets.zip(row.hc_in_packets);
        let up = wide.or(row.in_octets.zip(row.in_packets));
        let down = row.hc_out_octets.zip(row.hc_out_packets);
        for (direction, counters, narrow) in [(1, down, false), (2, up, wide.is_none())] {
            let Some((octets, packets)) = counters else { continue };
            flows.push(Flow {
                mac,
                key: *key,
                direction,
                class: Vec::new(),
                octets,
                packets,
                drops: 0,
                delays: 0,
                created_ticks,
                active_seconds: span.ended_ticks.wrapping_sub(created_ticks) / 100,
                deleted_ticks: None,
                narrow,
            });
        }
    }
    flows
}

/// The name of an interface for a record: ifName, or ifDescr where that is empty.
pub fn interface_name(interface: Option<&InterfaceRow>) -> &[u8] {
    match interface {
        Some(row) if row.name.is_empty() => &row.descr,
        Some(row) => &row.name,
        None => &[],
    }
}
