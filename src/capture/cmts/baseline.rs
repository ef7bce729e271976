//! What a CMTS showed for the last document: which flows there were, and which ends were delivered.
//!
//! The ledger keeps it with the document or not at all, so an entry of the log becomes a Stop record in exactly one
//! document. An entry is known by its flow and the time of its end, not by its number in the log: nothing says that an
//! agent gives each number once. Octets that cannot be read never stop a capture: the log is then delivered as if it had
//! never been, which the caller tells of.
//!
//! Layout, integers big-endian: version (1 octet); family (1); engine boots (4, all ones: not known); sysUpTime (4); time of
//! the reading, milliseconds since 1970 (8); then three lists, each with its length (4): modems (MAC 6, IP address 4,
//! upstream 4, downstream 4, mode 1), live flows (identity 19, octets 8, packets 8), delivered ends (identity 19,
//! sysUpTime of the end 4). An identity is MAC 6, MAC domain 4, SFID 4, direction 1, sysUpTime of its begin 4.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::family::Family;
use super::join::{Identity, Modem};
use super::tables::{FlowKey, Mac};

const VERSION: u8 = 1;
const NOT_KNOWN: u32 = u32::MAX;

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
    /// Octets and packets.
    pub live: BTreeMap<Identity, (u64, u64)>,
    /// Ends that have had their Stop record and may stand in the log still.
    pub delivered: BTreeSet<(Identity, u32)>,
}

/// It was damaged, or written by another release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was kept of the last document cannot be read")]
pub struct Unreadable;

impl Baseline {
    pub fn to_octets(&self) -> Vec<u8> {
        let size = 30 + 19 * self.modems.len() + 35 * self.live.len() + 23 * self.delivered.len();
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
            out.extend(modem.ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
            out.extend(modem.up.to_be_bytes());
            out.extend(modem.down.to_be_bytes());
            out.push(modem.mode.and_then(|mode| u8::try_from(mode).ok()).unwrap_or(0));
        }
        length(&mut out, self.live.len());
        for (identity, (octets, packets)) in &self.live {
            put_identity(&mut out, identity);
            out.extend(octets.to_be_bytes());
            out.extend(packets.to_be_bytes());
        }
        length(&mut out, self.delivered.len());
        for (identity, deleted_ticks) in &self.delivered {
            put_identity(&mut out, identity);
            out.extend(deleted_ticks.to_be_bytes());
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
            live: BTreeMap::new(),
            delivered: BTreeSet::new(),
        };
        for _ in 0..input.number()? {
            let mac = input.take()?;
            let ip = Some(Ipv4Addr::from(input.take::<4>()?)).filter(|ip| !ip.is_unspecified());
            let (up, down) = (input.number()?, input.number()?);
            let [mode] = input.take()?;
            let mode = Some(u32::from(mode)).filter(|mode| *mode != 0);
            let cpes = Vec::new();
            baseline.modems.insert(
                mac,
                Modem {
                    ip,
                    up,
                    down,
                    mode,
                    cpes,
                },
            );
        }
        for _ in 0..input.number()? {
            let identity = input.identity()?;
            let counters = (u64::from_be_bytes(input.take()?), u64::from_be_bytes(input.take()?));
            baseline.live.insert(identity, counters);
        }
        for _ in 0..input.number()? {
            let identity = input.identity()?;
            baseline.delivered.insert((identity, input.number()?));
        }
        match input.rest {
            [] => Ok(baseline),
            _ => Err(Unreadable),
        }
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
}
