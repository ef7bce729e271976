//! All connections, and which of them is which collector's.

use std::time::{Duration, Instant};

use chrono::Utc;

use super::{
    Event, Watch,
    connection::{Connection, Stage},
};
use crate::protocol::ipdr::{Body, ErrorCode, ErrorKind};

/// A collector, configured or a guest.
#[derive(Debug)]
pub(super) struct Peer {
    pub name: String,
    /// Its open connection, or the one that is being opened by us.
    pub connection: Option<usize>,
    pub dialling: Option<Redial>,
    /// When it was connected last; of guests, the oldest gives way.
    pub last_seen: Option<Instant>,
}

/// When to dial next.
#[derive(Debug)]
pub(super) struct Redial {
    pub at: Instant,
    pub wait: Duration,
}

pub(super) struct Links {
    pub peers: Vec<Peer>,
    slots: Vec<Option<Connection>>,
}

/// What the parts of an exporter need of each other.
pub(super) struct Around {
    pub links: Links,
    pub watch: Box<dyn Watch>,
    /// Of this turn.
    pub now: Instant,
    /// When the exporter began, in seconds since 1970.
    pub boot_time: u32,
    /// Something has changed that a snapshot shows.
    pub is_changed: bool,
    /// We are ending: nobody gets a document any more.
    pub is_ending: bool,
}

impl Around {
    pub(super) fn tell(&mut self, event: &Event) {
        self.is_changed = true;
        self.watch.event(event);
    }

    /// To the collector, if its connection is open.
    pub(super) fn send(&mut self, peer: usize, session_id: u8, body: Body) {
        if let Some(connection) = self.links.of_peer(peer) {
            connection.send(session_id, body, self.now);
        }
    }

    /// The connection stays.
    pub(super) fn send_session_error(&mut self, peer: usize, session_id: u8, kind: ErrorKind, description: &str) {
        self.send(peer, session_id, error(kind.of_session(), description));
    }

    pub(super) fn name(&self, peer: usize) -> String {
        self.links
            .peers
            .get(peer)
            .map(|peer| peer.name.clone())
            .unwrap_or_default()
    }
}

/// An ERROR of now.
pub(super) fn error(code: ErrorCode, description: &str) -> Body {
    Body::Error {
        time: unix_seconds(),
        code,
        description: description.to_owned(),
    }
}

/// Of now; 0 for a clock before 1970.
pub(super) fn unix_seconds() -> u32 {
    u32::try_from(Utc::now().timestamp()).unwrap_or(0)
}

impl Links {
    pub(super) fn new(peers: Vec<Peer>) -> Links {
        Links {
            peers,
            slots: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, connection: Connection) -> usize {
        match self.slots.iter().position(Option::is_none) {
            Some(free) => {
                self.slots[free] = Some(connection);
                free
            }
            None => {
                self.slots.push(Some(connection));
                self.slots.len() - 1
            }
        }
    }

    pub(super) fn get(&mut self, key: usize) -> Option<&mut Connection> {
        self.slots.get_mut(key)?.as_mut()
    }

    pub(super) fn remove(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key) {
            *slot = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(key, slot)| Some((key, slot.as_ref()?)))
    }

    /// The open connection of a collector.
    pub(super) fn of_peer(&mut self, peer: usize) -> Option<&mut Connection> {
        let key = self.peers.get(peer)?.connection?;
        self.get(key).filter(|connection| connection.is_open())
    }

    /// The same, to look at.
    pub(super) fn of_peer_ref(&self, peer: usize) -> Option<&Connection> {
        let key = self.peers.get(peer)?.connection?;
        self.slots.get(key)?.as_ref().filter(|connection| connection.is_open())
    }

    pub(super) fn is_connected(&self, peer: usize) -> bool {
        self.of_peer_ref(peer).is_some()
    }

    /// A connection that may go for a new one: one that is leaving, or else the oldest of those that have not said who they
    /// are. One that has is never given up for a stranger.
    pub(super) fn dispensable(&self) -> Option<usize> {
        let leaving = |(_, one): &(usize, &Connection)| matches!(one.stage, Stage::Leaving { .. });
        let unknown = self.iter().filter(|(_, one)| one.is_unknown());
        let oldest = || unknown.min_by_key(|(_, one)| one.until());
        self.iter().find(leaving).or_else(oldest).map(|(key, _)| key)
    }

    /// The oldest of those from this address that have not said who they are, if they are as many as may be.
    pub(super) fn one_too_many(&self, address: std::net::IpAddr, most: usize) -> Option<usize> {
        let from_there = || {
            self.iter()
                .filter(move |(_, one)| one.is_unknown() && one.address.ip() == address)
        };
        if from_there().count() < most {
            return None;
        }
        from_there().min_by_key(|(_, one)| one.until()).map(|(key, _)| key)
    }
}
