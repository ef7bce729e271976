//! Connections come and go: who is let in, who must give way, who is dialled, who has been silent for too long.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use rustls::ServerConnection;

use super::{
    Event, Exporter,
    connection::{Connection, Stage},
    dial,
    links::error,
    ports::{self, Accepted},
    wire::Wire,
};
use crate::{
    protocol::ipdr::{Body, ErrorKind, Event as SessionEvent},
    tls::Refusal,
};

/// Connections that are accepted from one listener in one turn: collectors have their turn, too.
const ACCEPTED: usize = 32;

/// How long nobody is accepted when the system has no descriptors left.
const FULL: Duration = Duration::from_millis(200);

/// How often is told who was sent away.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Those who were sent away, so that a flood of them is not a flood of messages.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    untold: u64,
    told_at: Option<Instant>,
}

impl Exporter {
    pub(super) fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTED {
            let Some(listener) = self.ports.listeners.get(listener) else {
                return;
            };
            match ports::accept(listener) {
                Accepted::One(socket, address) => {
                    if let Some(wire) = self.admit(socket, address) {
                        let until = self.around.now + self.settings.connect_timeout;
                        let connection = Connection::new(wire, address, Stage::Greeting { until }, self.around.now);
                        let key = self.around.links.add(connection);
                        // CONNECT may have come with it.
                        self.serve(key);
                    }
                }
                Accepted::None => return,
                Accepted::Exhausted(e) => {
                    tracing::warn!("no connection can be accepted: {e}");
                    match self.around.links.dispensable() {
                        Some(key) => self.close(key, "its descriptor is needed"),
                        None => {
                            self.full_until = Some(self.around.now + FULL);
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Whether there may be, and is, a place for a connection from there.
    fn admit(&mut self, socket: std::net::TcpStream, address: SocketAddr) -> Option<Wire> {
        if !self.roster.lets_in(address.ip()) {
            self.refused(address, "its address is neither a collector's nor allowed");
            return None;
        }
        if let Some(key) = self.around.links.one_too_many(address.ip(), self.settings.most_unknown) {
            self.refused(address, "too many connections from its address have not said CONNECT");
            self.close(key, "too many connections from its address");
        }
        // Each collector has its place, whatever is configured.
        let most = self.settings.most_connections.max(self.around.links.peers.len() + 8);
        while self.around.links.len() >= most {
            let Some(key) = self.around.links.dispensable() else {
                self.refused(address, "there are too many connections");
                return None;
            };
            self.refused(address, "there are too many connections");
            self.close(key, "there are too many connections");
        }
        let session = self.tls.as_ref().map(|config| ServerConnection::new(config.clone()));
        match session.transpose() {
            Ok(session) => Some(Wire::new(
                socket,
                session.map(|session| (session.into(), Refusal::default())),
            )),
            Err(e) => {
                self.refused(address, &format!("TLS cannot be set up: {e}"));
                None
            }
        }
    }

    pub(super) fn refused(&mut self, address: SocketAddr, reason: &str) {
        let refusals = &mut self.refusals;
        let now = self.around.now;
        if refusals.told_at.is_some_and(|at| at + TOLD_EVERY > now) {
            refusals.untold += 1;
            return;
        }
        refusals.told_at = Some(now);
        let reason = match std::mem::take(&mut refusals.untold) {
            0 => reason.to_owned(),
            others => format!("{reason} (and {others} others before it)"),
        };
        self.around.tell(&Event::Refused { address, reason });
    }

    /// A place for somebody whom nobody configured: the one that it had, or the one that was not used for the longest time.
    pub(super) fn guest(&mut self, address: IpAddr) -> Option<usize> {
        let known = self.settings.collectors.len();
        let links = &mut self.around.links;
        let guests = known..links.peers.len();
        let name = address.to_string();
        if let Some(peer) = guests.clone().find(|peer| links.peers[*peer].name == name) {
            return Some(peer);
        }
        let peer = guests
            .filter(|peer| links.peers[*peer].connection.is_none())
            .min_by_key(|peer| links.peers[*peer].last_seen)?;
        links.peers[peer].name = name;
        for delivery in &mut self.deliveries {
            delivery.forget(peer);
        }
        Some(peer)
    }

    /// CONNECT is exchanged. A connection that the collector had before gives way: it knows best which one is alive.
    pub(super) fn welcome(&mut self, key: usize, peer: usize, keep_alive_seconds: u32, vendor: String) {
        let links = &mut self.around.links;
        if let Some(other) = links.peers[peer].connection.filter(|other| *other != key) {
            match links.is_connected(peer) {
                true => self.leave(
                    other,
                    Some(Body::Disconnect),
                    "another connection of it takes its place",
                ),
                false => links.remove(other),
            }
        }
        let (now, most_message) = (self.around.now, self.settings.most_message);
        let Some(connection) = self.around.links.get(key) else {
            return;
        };
        connection.open(peer, keep_alive_seconds, vendor.clone(), most_message, now);
        let address = connection.address;
        let entry = &mut self.around.links.peers[peer];
        entry.connection = Some(key);
        entry.last_seen = Some(now);
        if let Some(redial) = &mut entry.dialling {
            redial.succeeded(self.settings.reconnect, now);
        }
        let collector = entry.name.clone();
        self.around.tell(&Event::Connected {
            collector,
            address,
            vendor,
        });
        for delivery in &mut self.deliveries {
            delivery.handle(peer, SessionEvent::Connected, &mut self.around);
        }
    }

    /// Says the last word, and ends the connection when it has gone.
    pub(super) fn leave(&mut self, key: usize, last_word: Option<Body>, reason: &str) {
        let now = self.around.now;
        if let (Some(connection), Some(body)) = (self.around.links.get(key), last_word) {
            connection.send(0, body, now);
        }
        self.release(key, reason);
        if let Some(connection) = self.around.links.get(key) {
            connection.leave(now);
        }
    }

    /// Ends the connection at once.
    pub(super) fn close(&mut self, key: usize, reason: &str) {
        self.release(key, reason);
        self.around.links.remove(key);
    }

    /// The peer has closed its half: it can acknowledge nothing more. One that leaves has nothing more to say, as expected.
    pub(super) fn ended(&mut self, key: usize) {
        self.release(key, "it closed the connection");
        let now = self.around.now;
        if let Some(connection) = self.around.links.get(key) {
            connection.leave(now);
        }
    }

    /// The connection is nobody's any more.
    fn release(&mut self, key: usize, reason: &str) {
        let links = &mut self.around.links;
        let Some(connection) = links.get(key) else { return };
        let (was_open, address) = (connection.is_open(), connection.address);
        let Some(peer) = connection.peer.take() else {
            if connection.is_unknown() {
                tracing::debug!("the connection from {address} ends: {reason}");
            }
            return;
        };
        let now = self.around.now;
        let entry = &mut links.peers[peer];
        if entry.connection != Some(key) {
            return;
        }
        entry.connection = None;
        entry.last_seen = Some(now);
        let (collector, reason) = (entry.name.clone(), reason.to_owned());
        if was_open {
            self.around.tell(&Event::Disconnected { collector, reason });
            for delivery in &mut self.deliveries {
                delivery.handle(peer, SessionEvent::Disconnected, &mut self.around);
            }
        } else {
            if let Some(redial) = &mut entry.dialling {
                redial.put_off(self.settings.reconnect, now);
            }
            self.around.tell(&Event::CannotConnect { collector, reason });
        }
    }

    /// Removes connections that have ended.
    pub(super) fn sweep(&mut self) {
        let now = self.around.now;
        for key in self.around.links.keys() {
            let is_gone = |connection: &mut Connection| connection.is_gone(now);
            if self.around.links.get(key).is_some_and(is_gone) {
                self.around.links.remove(key);
            }
        }
    }

    /// Who is late, who must hear from us, and who is dialled.
    pub(super) fn keep_time(&mut self) {
        let (now, interval) = (self.around.now, self.keep_alive());
        self.full_until = self.full_until.filter(|until| *until > now);
        for key in self.around.links.keys() {
            let Some(connection) = self.around.links.get(key) else {
                continue;
            };
            if connection.keep_alive_due().is_some_and(|due| due <= now) {
                connection.send(0, Body::KeepAlive, now);
            }
            if connection.deadline(interval) > now {
                continue;
            }
            match connection.stage {
                Stage::Open => {
                    let reason = format!("nothing came from it for {} s", interval.as_secs());
                    let last_word = error(ErrorKind::KeepAliveExpired.general(), &reason);
                    self.leave(key, Some(last_word), &reason);
                }
                Stage::Dialling { .. } | Stage::Greeting { .. } => {
                    self.close(key, "it did not exchange CONNECT in time");
                }
                Stage::Leaving { .. } => {}
            }
        }
        if self.farewell.is_none() {
            self.dial();
        }
    }

    fn dial(&mut self) {
        let now = self.around.now;
        for peer in 0..self.settings.collectors.len() {
            let entry = &mut self.around.links.peers[peer];
            let (Some(dial), Some(redial)) = (&self.settings.collectors[peer].dial, &mut entry.dialling) else {
                continue;
            };
            if entry.connection.is_some() || redial.at > now {
                continue;
            }
            match dial::begin(dial, self.settings.connect_timeout, now) {
                Ok(mut connection) => {
                    connection.peer = Some(peer);
                    let key = self.around.links.add(connection);
                    self.around.links.peers[peer].connection = Some(key);
                }
                Err(reason) => {
                    redial.put_off(self.settings.reconnect, now);
                    let collector = entry.name.clone();
                    self.around.tell(&Event::CannotConnect { collector, reason });
                }
            }
        }
    }

    pub(super) fn next_dial(&self) -> Option<Instant> {
        let waiting = self.around.links.peers.iter().filter(|peer| peer.connection.is_none());
        let next = waiting
            .filter_map(|peer| peer.dialling.as_ref().map(|redial| redial.at))
            .min();
        next.filter(|_| self.farewell.is_none())
    }

    /// Whether the connection can be read. One that we dial says CONNECT as soon as it is there.
    pub(super) fn is_established(&mut self, key: usize) -> bool {
        let (now, seconds) = (self.around.now, self.keep_alive_seconds());
        let Some(connection) = self.around.links.get(key) else {
            return false;
        };
        let Stage::Dialling { until } = connection.stage else {
            return true;
        };
        match dial::is_connected(connection) {
            Ok(false) => false,
            Ok(true) => {
                connection.stage = Stage::Greeting { until };
                let hello = dial::connect_message(connection, self.capabilities, seconds, &self.settings.vendor_id);
                connection.send(0, hello, now);
                true
            }
            Err(reason) => {
                self.close(key, &reason);
                false
            }
        }
    }
}
