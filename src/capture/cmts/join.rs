//! From the tables of one poll to flows, each with its modem.
//!
//! A walk is no snapshot: flows appear and disappear while it goes on. The rows of one flow come from one answer and
//! fit together; what must be joined from several tables may not. [`Doubts`] names the flows of which that cannot be
//! told; the caller reads them again ([`super::tables::Tables::forget`]) and joins once more. What is in doubt then has
//! no record and is told of: never a record that is mixed of two flows.

use std::collections::{BTreeMap, BTreeSet};

use super::family::Column;
use super::modems::{self, Modem};
use super::sids;
use super::tables::{FlowKey, FlowRow, InterfaceRow, LogRow, Mac, Shared, Tables};

/// A service flow in one direction, or of a DOCSIS 1.0 modem one direction of its SID. Counters as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Zeros: of a multicast flow, which is nobody's.
    pub mac: Mac,
    pub key: FlowKey,
    /// 1 downstream, 2 upstream.
    pub direction: u32,
    pub class: Option<Shared>,
    /// The log does not have the channels, the application and the gate: they are of the last poll that saw the flow.
    pub channels: Channels,
    /// 0: none, or not known.
    pub app_id: u32,
    pub gate_id: u32,
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
    pub multicast: bool,
}

/// The channels that carry a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Channels {
    #[default]
    Unknown,
    One(u8),
    Set(Shared),
}

impl Channels {
    /// An octet for each channel.
    pub fn octets(&self) -> &[u8] {
        match self {
            Channels::Unknown => &[],
            Channels::One(channel) => std::slice::from_ref(channel),
            Channels::Set(channels) => channels,
        }
    }
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
    pub multicast: Vec<Flow>,
    /// The entries of the log that tell of an end, by number.
    pub log: Vec<LogEntry>,
    /// Log entries that lack what makes a record of them.
    pub unusable_log: Vec<u32>,
    /// Modems that own flows and stand in no table of modems: their records lack what those tell.
    pub strangers: usize,
    /// Columns that the agent does not show at all, though records do without.
    pub hidden: Vec<Column>,
    pub doubts: Doubts,
}

/// An entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    pub index: u32,
    pub end: End,
}

/// The end of a flow: which, and at which sysUpTime.
pub type End = (Identity, u32);

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

    /// What is left when everything was read again. A flow that was made in the meantime is no mixture any more. Those
    /// without a modem are told of by who knows whether they ever had one ([`super::compare`]).
    fn sentence(&self) -> Option<String> {
        let some = |list: &[FlowKey], what: &str| {
            list.first().map(|first| {
                let (count, FlowKey { domain, id }) = (list.len(), first);
                format!("{count} service flows {what} (the first is SFID {id} in MAC domain ifIndex {domain})")
            })
        };
        let told: Vec<_> = [
            some(&self.holed, "lack a counter or their direction"),
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
        modems: modems::modems(tables),
        ..Poll::default()
    };
    poll.hidden = hidden(tables)?;
    for (index, row) in &tables.log {
        match ended(tables, row) {
            Some(flow) => {
                let end = flow.end();
                poll.log.extend(end.map(|end| LogEntry { index: *index, end }));
                poll.ended.push(flow);
            }
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
    // It does not double while the tables are still there.
    poll.live.reserve(tables.flows.len());
    for (key, row) in &tables.flows {
        if tables.groups.contains(key) {
            let flow = whole(tables, *key, row).map(|flow| Flow {
                multicast: true,
                ..flow
            });
            poll.multicast.extend(flow);
            continue;
        }
        match live(tables, *key, row, span) {
            // It ended after its counters were read: the log has the later ones. Its SFID may have another owner by
            // now.
            Ok(flow) if ended.contains(&flow.identity()) || told_of(key, row.created_ticks) => {}
            Ok(flow) => poll.live.push(flow),
            // Of a flow that ended in between the log has it all.
            Err(_) if told_of(key, row.created_ticks) => {}
            Err(doubt) => poll.doubts.list(doubt).push(*key),
        }
    }
    let unmeasured = tables.owners.keys().filter(|key| !tables.flows.contains_key(key));
    poll.doubts.unmeasured = unmeasured.filter(|key| !told_of(key, None)).copied().collect();
    poll.live.extend(sids::sids(tables, span));
    if poll.live.is_empty() && poll.doubts == Doubts::default() && !poll.modems.is_empty() && poll.ended.is_empty() {
        return Err(Hidden::Flows);
    }
    set_gates(tables, &mut poll);
    poll.live.sort_by_key(Flow::identity);
    poll.ended.sort_by_key(Flow::end);
    poll.ended.dedup_by_key(|flow| flow.end());
    let strangers = poll.live.iter().filter(|flow| !poll.modems.contains_key(&flow.mac));
    poll.strangers = strangers.map(|flow| flow.mac).collect::<BTreeSet<_>>().len();
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

    /// [`None`]: it goes on.
    pub fn end(&self) -> Option<End> {
        Some((self.identity(), self.deleted_ticks?))
    }

    pub fn has_passed_anything(&self) -> bool {
        self.octets > 0 || self.packets > 0
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

fn live(tables: &Tables, key: FlowKey, row: &FlowRow, span: Span) -> Result<Flow, Doubt> {
    if tables.disputed.contains(&key) {
        return Err(Doubt::Disputed);
    }
    let whole = whole(tables, key, row).ok_or(Doubt::Holed)?;
    let mac = *tables.owners.get(&key).ok_or(Doubt::Unowned)?;
    match within(Some(whole.created_ticks), span.settled_ticks, span) {
        true => Err(Doubt::Born),
        false => Ok(Flow { mac, ..whole }),
    }
}

/// A flow of the tables, but for its owner. [`None`]: a cell is missing.
fn whole(tables: &Tables, key: FlowKey, row: &FlowRow) -> Option<Flow> {
    let direction = row.direction?;
    Some(Flow {
        mac: Mac::default(),
        key,
        direction,
        class: tables.classes.get(&key).map(|(_, name)| name.clone()),
        channels: channels(tables, key, direction),
        app_id: tables.apps.get(&key).map_or(0, |(_, app)| *app),
        gate_id: 0,
        octets: row.octets?,
        packets: row.packets?,
        // An agent that does not count them shows no such column.
        drops: row.drops.unwrap_or(0),
        delays: row.delays.unwrap_or(0),
        created_ticks: row.created_ticks?,
        active_seconds: row.active_seconds?,
        deleted_ticks: None,
        narrow: tables.family.is_narrow(),
        multicast: false,
    })
}

fn channels(tables: &Tables, key: FlowKey, direction: u32) -> Channels {
    let Some(&set) = tables.channel_sets.get(&key) else {
        return Channels::Unknown;
    };
    let sets = match direction {
        1 => &tables.down_channels,
        _ => &tables.up_channels,
    };
    match u8::try_from(set) {
        Ok(0) => Channels::Unknown,
        Ok(channel) => Channels::One(channel),
        Err(_) => {
            let channels = sets.get(&FlowKey { id: set, ..key });
            channels.map_or(Channels::Unknown, |channels| Channels::Set(channels.clone()))
        }
    }
}

/// A gate tells the SFID but not the MAC domain: where an SFID is in use in two of them, no gate is better than a wrong one.
fn set_gates(tables: &Tables, poll: &mut Poll) {
    if tables.gates.is_empty() {
        return;
    }
    let mut flows: BTreeMap<u32, u32> = BTreeMap::new();
    for key in tables.flows.keys() {
        *flows.entry(key.id).or_default() += 1;
    }
    for flow in poll.live.iter_mut().chain(&mut poll.multicast) {
        if let Some(Some(gate)) = tables.gates.get(&flow.key.id)
            && flows.get(&flow.key.id) == Some(&1)
        {
            flow.gate_id = *gate;
        }
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
        channels: Channels::Unknown,
        app_id: 0,
        gate_id: 0,
        octets: row.octets?,
        packets: row.packets?,
        drops: row.drops.unwrap_or(0),
        delays: row.delays.unwrap_or(0),
        created_ticks: row.created_ticks?,
        active_seconds: row.active_seconds?,
        deleted_ticks: Some(row.deleted_ticks?),
        narrow: tables.family.is_narrow(),
        multicast: false,
    })
}

/// The name of an interface for a record: ifName, or ifDescr where that is empty.
pub fn interface_name(interface: Option<&InterfaceRow>) -> &[u8] {
    match interface {
        Some(row) if row.name.is_empty() => &row.descr,
        Some(row) => &row.name,
        None => &[],
    }
}
