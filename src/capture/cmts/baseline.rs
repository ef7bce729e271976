//! What a CMTS showed for the last document: which flows there were, and which ends were delivered.
//!
//! The ledger keeps it with the document or not at all, so an entry of the log becomes a Stop record in exactly one
//! document. An entry is known by its flow and the time of its end, not by its number in the log: nothing says that an
//! agent gives each number once. It is remembered for some time after the log has it no more, because a log may be seen
//! in part, and over a restart, because a log may outlive that. Octets that cannot be read never stop a capture: the log
//! is then delivered as if it had never been, which the caller tells of.
//!
//! Layout, integers big-endian: version (1 octet); family (1); engine boots (4, all ones: not known); sysUpTime (4); time of
//! the reading, milliseconds since 1970 (8); then four lists, each with its length (4).
//! * Modems: MAC 6, which addresses and time follow 1, IP address 4, upstream 4, downstream 4, mode 1, QoS version 1,
//!   status 1, IPv6 address 16, link-local address 16, time of registration 8 and its zone 2.
//! * Channel sets: length 1, an octet for each channel.
//! * Live flows: identity 19, octets 8, packets 8, number of the channel set 4 (0: not known), which follow 1,
//!   application 4, gate 4.
//! * Delivered ends: identity 19, sysUpTime of the end 4, when the log had it last, seconds since 1970 4.
//!
//! An identity is MAC 6, MAC domain 4, SFID 4, direction 1, sysUpTime of its begin 4.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::compare::Reading;
use super::family::Family;
use super::join::{Channels, End, Flow, Identity, Poll};
use super::modems::Modem;
use super::tables::{DateAndTime, FlowKey, Mac, Shared};

const VERSION: u8 = 1;
const NOT_KNOWN: u32 = u32::MAX;
/// The octets of a live flow that has no application and no gate.
const LEAST_OF_FLOW: usize = 40;
/// How long an end is remembered that is not in the log any more.
const REMEMBERED_S: u32 = 86_400;
/// How many of them: of a CMTS whose flows are telephone calls.
const MOST_REMEMBERED: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    pub family: Family,
    /// snmpEngineBoots, where the agent shows it.
    pub boots: Option<u32>,
    pub uptime_ticks: u32,
    /// By our clock.
    pub read_ms: i64,
    /// For the end of a flow whose modem has gone. Without the addresses behind it.
    pub modems: BTreeMap<Mac, Modem>,
    /// Sorted.
    pub live: Vec<(Identity, Kept)>,
    /// Ends that have had their Stop record, and when the log had them last: seconds since 1970. Sorted.
    pub delivered: Vec<(End, u32)>,
}

/// What is kept of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub octets: u64,
    pub packets: u64,
    pub channels: Channels,
    pub app_id: u32,
    pub gate_id: u32,
}

/// It was damaged, or written by another release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was kept of the last document cannot be read")]
pub struct Unreadable;

impl Baseline {
    /// What is kept of this poll and its flows, in their order; `before` was kept of the last one. A flow that is in doubt now stays as it was: if it is gone at
    /// the next poll, that will be told of.
    pub fn next<'f>(
        live: impl Iterator<Item = &'f Flow>,
        poll: &Poll,
        reading: Reading,
        before: Option<Baseline>,
    ) -> Self {
        let now_s = u32::try_from(reading.read_ms / 1000).unwrap_or(0);
        let ends: BTreeSet<End> = poll.ended.iter().filter_map(Flow::end).collect();
        let mut kept = Vec::with_capacity(poll.live.len());
        kept.extend(live.map(|flow| (flow.identity(), Kept::of(flow))));
        let mut delivered: Vec<_> = ends.iter().map(|end| (*end, now_s)).collect();
        if let Some(before) = before {
            let in_doubt: BTreeSet<FlowKey> = poll.doubts.all().collect();
            let doubtful = before.live.into_iter().filter(|(flow, _)| in_doubt.contains(&flow.key));
            kept.extend(doubtful);
            kept.sort_unstable_by_key(|(identity, _)| *identity);
            let mut left: Vec<_> = before.delivered;
            left.retain(|(end, seen_s)| !ends.contains(end) && now_s.saturating_sub(*seen_s) < REMEMBERED_S);
            left.sort_unstable_by_key(|(_, seen_s)| std::cmp::Reverse(*seen_s));
            left.truncate(MOST_REMEMBERED);
            delivered.extend(left);
            delivered.sort_unstable();
        }
        Baseline {
            family: reading.family,
            boots: reading.boots,
            uptime_ticks: reading.span.ended_ticks,
            read_ms: reading.read_ms,
            modems: poll
                .modems
                .iter()
                .map(|(mac, modem)| (*mac, without_cpes(modem)))
                .collect(),
            live: kept,
            delivered,
        }
    }

    pub fn kept(&self, flow: &Identity) -> Option<&Kept> {
        let place = self.live.binary_search_by_key(flow, |(identity, _)| *identity);
        place.ok().map(|place| &self.live[place].1)
    }

    pub fn has_delivered(&self, end: &End) -> bool {
        self.delivered.binary_search_by_key(end, |(end, _)| *end).is_ok()
    }

    /// Whether a flow of this modem, SFID and direction had any, whenever it was made.
    pub fn had_usage(&self, flow: &Identity) -> bool {
        let place = |flow: &Identity| (flow.mac, flow.key, flow.direction);
        let first = self.live.partition_point(|(kept, _)| place(kept) < place(flow));
        let same = self.live[first..]
            .iter()
            .take_while(|(kept, _)| place(kept) == place(flow));
        same.into_iter().any(|(_, kept)| kept.octets > 0 || kept.packets > 0)
    }

    pub fn to_octets(&self) -> Vec<u8> {
        let size = 30 + 22 * self.modems.len() + 40 * self.live.len() + 27 * self.delivered.len();
        let mut out = Vec::with_capacity(size);
        out.push(VERSION);
        out.push(match self.family {
            Family::Draft => 1,
            Family::Ietf => 2,
            Family::Qos3 => 3,
        });
        out.extend(self.boots.unwrap_or(NOT_KNOWN).to_be_bytes());
        out.extend(self.uptime_ticks.to_be_bytes());
        out.extend(self.read_ms.to_be_bytes());
        length(&mut out, self.modems.len());
        for (mac, modem) in &self.modems {
            out.extend(mac);
            put_modem(&mut out, modem);
        }
        let sets: BTreeSet<&[u8]> = self.live.iter().map(|(_, kept)| kept.channels.octets()).collect();
        let sets: Vec<&[u8]> = sets.into_iter().filter(|set| !set.is_empty()).collect();
        length(&mut out, sets.len());
        for set in &sets {
            // A channel has an octet, and none is twice in a set.
            let set = &set[..set.len().min(255)];
            out.push(u8::try_from(set.len()).unwrap_or(0));
            out.extend_from_slice(set);
        }
        length(&mut out, self.live.len());
        for (identity, kept) in &self.live {
            put_identity(&mut out, identity);
            out.extend(kept.octets.to_be_bytes());
            out.extend(kept.packets.to_be_bytes());
            let set = sets.binary_search(&kept.channels.octets()).map_or(0, |place| place + 1);
            length(&mut out, set);
            let others = [kept.app_id, kept.gate_id];
            out.push(u8::from(others[0] != 0) | u8::from(others[1] != 0) << 1);
            out.extend(others.iter().filter(|id| **id != 0).flat_map(|id| id.to_be_bytes()));
        }
        length(&mut out, self.delivered.len());
        for ((identity, deleted_ticks), seen_s) in &self.delivered {
            put_identity(&mut out, identity);
            out.extend(deleted_ticks.to_be_bytes());
            out.extend(seen_s.to_be_bytes());
        }
        out
    }

    pub fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let mut input = Input { rest: octets };
        if input.take()? != [VERSION] {
            return Err(Unreadable);
        }
        let mut baseline = Baseline {
            family: match input.take()? {
                [1] => Family::Draft,
                [2] => Family::Ietf,
                [3] => Family::Qos3,
                _ => return Err(Unreadable),
            },
            boots: Some(input.number()?).filter(|boots| *boots != NOT_KNOWN),
            uptime_ticks: input.number()?,
            read_ms: i64::from_be_bytes(input.take()?),
            modems: BTreeMap::new(),
            live: Vec::new(),
            delivered: Vec::new(),
        };
        for _ in 0..input.number()? {
            let mac = input.take()?;
            baseline.modems.insert(mac, input.modem()?);
        }
        let mut sets = vec![Channels::Unknown];
        for _ in 0..input.number()? {
            sets.push(input.channels()?);
        }
        let count = input.number()?;
        // No more than there can be, if the number is damaged.
        let room = input.rest.len() / LEAST_OF_FLOW;
        baseline.live.reserve(usize::try_from(count).unwrap_or(room).min(room));
        for _ in 0..count {
            let identity = input.identity()?;
            let kept = input.flow(&sets)?;
            baseline.live.push((identity, kept));
        }
        for _ in 0..input.number()? {
            let end = (input.identity()?, input.number()?);
            baseline.delivered.push((end, input.number()?));
        }
        // What was damaged may not be sorted, and is looked up all the same.
        baseline.live.sort_by_key(|(identity, _)| *identity);
        baseline.delivered.sort_unstable();
        match input.rest {
            [] => Ok(baseline),
            _ => Err(Unreadable),
        }
    }
}

impl Kept {
    fn of(flow: &Flow) -> Self {
        Kept {
            octets: flow.octets,
            packets: flow.packets,
            channels: flow.channels.clone(),
            app_id: flow.app_id,
            gate_id: flow.gate_id,
        }
    }
}

fn without_cpes(modem: &Modem) -> Modem {
    Modem {
        ip: modem.ip,
        ip6: modem.ip6,
        link_local: modem.link_local,
        up: modem.up,
        down: modem.down,
        mode: modem.mode,
        qos: modem.qos,
        status: modem.status,
        registered: modem.registered,
        cpes: Vec::new(),
    }
}

/// No zone is that far from UTC.
const NO_ZONE: i16 = i16::MAX;

fn put_modem(out: &mut Vec<u8>, modem: &Modem) {
    let has = [
        modem.ip6.is_some(),
        modem.link_local.is_some(),
        modem.registered.is_some(),
    ];
    out.push(u8::from(has[0]) | u8::from(has[1]) << 1 | u8::from(has[2]) << 2);
    out.extend(modem.ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    out.extend(modem.up.to_be_bytes());
    out.extend(modem.down.to_be_bytes());
    out.extend([modem.mode, modem.qos, modem.status].map(|code| code.unwrap_or(0)));
    for address in [modem.ip6, modem.link_local].into_iter().flatten() {
        out.extend(address.octets());
    }
    if let Some(time) = modem.registered {
        out.extend(time.shown.to_be_bytes());
        let zone = time.zone_minutes.and_then(|zone| i16::try_from(zone).ok());
        out.extend(zone.unwrap_or(NO_ZONE).to_be_bytes());
    }
}

/// A list longer than this cannot be of one CMTS: a flow takes more octets than its number.
fn length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    out.extend(identity.mac);
    out.extend(identity.key.domain.to_be_bytes());
    out.extend(identity.key.id.to_be_bytes());
    out.push(u8::try_from(identity.direction).unwrap_or(0));
    out.extend(identity.created_ticks.to_be_bytes());
}

struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32, Unreadable> {
        self.take().map(u32::from_be_bytes)
    }

    fn identity(&mut self) -> Result<Identity, Unreadable> {
        let mac = self.take()?;
        let key = FlowKey {
            domain: self.number()?,
            id: self.number()?,
        };
        let [direction] = self.take()?;
        Ok(Identity {
            mac,
            key,
            direction: direction.into(),
            created_ticks: self.number()?,
        })
    }

    fn modem(&mut self) -> Result<Modem, Unreadable> {
        let [follow] = self.take()?;
        let ip = Some(Ipv4Addr::from(self.take::<4>()?)).filter(|ip| !ip.is_unspecified());
        let (up, down) = (self.number()?, self.number()?);
        let [mode, qos, status] = self.take::<3>()?.map(|code| Some(code).filter(|code| *code != 0));
        let mut address = |bit: u8| match follow & bit {
            0 => Ok(None),
            _ => self.take::<16>().map(|octets| Some(Ipv6Addr::from(octets))),
        };
        let (ip6, link_local) = (address(1)?, address(2)?);
        let registered = match follow & 4 {
            0 => None,
            _ => {
                let shown = i64::from_be_bytes(self.take()?);
                let zone = i16::from_be_bytes(self.take()?);
                Some(DateAndTime {
                    shown,
                    zone_minutes: Some(zone.into()).filter(|_| zone != NO_ZONE),
                })
            }
        };
        Ok(Modem {
            ip,
            ip6,
            link_local,
            up,
            down,
            mode,
            qos,
            status,
            registered,
            cpes: Vec::new(),
        })
    }

    fn channels(&mut self) -> Result<Channels, Unreadable> {
        let [length] = self.take()?;
        let (set, rest) = self.rest.split_at_checked(length.into()).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(match set {
            [channel] => Channels::One(*channel),
            set => Channels::Set(Shared::from(set)),
        })
    }

    fn flow(&mut self, sets: &[Channels]) -> Result<Kept, Unreadable> {
        let (octets, packets) = (u64::from_be_bytes(self.take()?), u64::from_be_bytes(self.take()?));
        let set = usize::try_from(self.number()?).map_err(|_| Unreadable)?;
        let [follow] = self.take()?;
        let mut id = |bit: u8| match follow & bit {
            0 => Ok(0),
            _ => self.number(),
        };
        Ok(Kept {
            octets,
            packets,
            channels: sets.get(set).ok_or(Unreadable)?.clone(),
            app_id: id(1)?,
            gate_id: id(2)?,
        })
    }
}
