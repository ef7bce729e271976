//! Requests in flight: callers send and wait, one thread reads all sockets and hands every reply to whom it is for.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{
    inbox::{Inbox, News},
    ports::{self, Flight, Link, Place, Ports, Rules},
};
use crate::protocol::radius::{LONGEST_PACKET, ReplyError, Sent, read_reply};

/// How often ports are looked at that may have become idle.
const ROUND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Datagrams that are read from one socket before the others have their turn.
const TURN: usize = 64;

/// The token of what ends the thread; no port has the serial 0.
const END: u64 = 0;

/// Dropped, it ends its thread; there must be no [`Claim`] any more then.
pub struct Exchange {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    end: OwnedFd,
}

struct Shared {
    ports: Mutex<Ports>,
    released: Condvar,
    epoll: OwnedFd,
    /// Whether replies without Message-Authenticator are refused.
    message_authenticator: bool,
}

/// The right to send with an identifier, and to be told what comes. Dropped, the identifier rests.
pub struct Claim<'a> {
    exchange: &'a Exchange,
    place: Place,
    /// Set when the server has answered.
    pub answered: bool,
}

impl Exchange {
    pub fn start(rules: Rules, message_authenticator: bool) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &end, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared {
            ports: Mutex::new(Ports::new(rules)),
            released: Condvar::new(),
            epoll,
            message_authenticator,
        });
        let reader = shared.clone();
        let thread = std::thread::Builder::new()
            .name("RadAcct replies".to_owned())
            .spawn(move || reader.read())?;
        Ok(Exchange {
            shared,
            thread: Some(thread),
            end,
        })
    }

    /// An identifier for requests whose news go to `inbox`, waiting for one until `deadline` if all are in flight.
    pub fn claim(
        &self,
        inbox: &Arc<Inbox>,
        secret: &Arc<[u8]>,
        server: usize,
        address: SocketAddr,
        deadline: Instant,
    ) -> io::Result<Claim<'_>> {
        let flight = Flight {
            inbox: inbox.clone(),
            secret: secret.clone(),
            authenticator: [0; 16],
            server,
            sent: Instant::now(),
        };
        let mut ports = self.shared.ports();
        loop {
            if let Some(place) = ports.claim(&flight, address, &self.shared.epoll)? {
                return Ok(Claim {
                    exchange: self,
                    place,
                    answered: false,
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let full = "as many requests as there may be are in flight already";
                return Err(io::Error::new(ErrorKind::ResourceBusy, full));
            }
            // An identifier may also have rested long enough, which nobody tells.
            let wait = left.min(Duration::from_millis(100));
            ports = self
                .shared
                .released
                .wait_timeout(ports, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Numbers of the local ports that are open.
    pub fn ports(&self) -> Vec<u16> {
        self.shared.ports().numbers()
    }
}

impl Claim<'_> {
    pub fn identifier(&self) -> u8 {
        self.place.identifier
    }

    /// Sends a packet with this claim's identifier.
    pub fn send(&self, server: usize, address: SocketAddr, packet: &[u8], authenticator: &[u8; 16]) -> io::Result<()> {
        let shared = &self.exchange.shared;
        let link = shared
            .ports()
            .send_to(self.place, server, address, authenticator, &shared.epoll)?;
        loop {
            match link.socket.send(packet) {
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // What an earlier request met: told to those whose it may be, and this one is not sent yet.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                    shared.refused(&link, &e, Some(self.place.identifier));
                    return link.socket.send(packet).map(drop);
                }
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let shared = &self.exchange.shared;
        shared.ports().release(self.place, self.answered);
        shared.released.notify_one();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let told = rustix::io::write(&self.end, &1u64.to_ne_bytes());
        if let (Ok(_), Some(thread)) = (told, self.thread.take()) {
            // It does not panic; if it did, there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ports(&self) -> MutexGuard<'_, Ports> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) {
        let mut events = Vec::with_capacity(64);
        let mut buffer = vec![0; LONGEST_PACKET];
        let mut looked = Instant::now();
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&ROUND)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => {
                    tracing::error!("RadAcct cannot wait for replies any more: {e}; restart billdrop");
                    return;
                }
            }
            for event in &events {
                let token = event.data.u64();
                if token == END {
                    return;
                }
                let (port, server) = ports::of_token(token);
                let link = self.ports().link(port, server);
                if let Some(link) = link {
                    self.read_from(&link, &mut buffer);
                }
            }
            if looked.elapsed() >= Duration::from_secs(1) {
                looked = Instant::now();
                self.ports().close_idle();
            }
        }
    }

    fn read_from(&self, link: &Link, buffer: &mut [u8]) {
        for _ in 0..TURN {
            match recv(link, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => self.arrived(link, &buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(e) => self.refused(link, &e.into(), None),
            }
        }
    }

    fn arrived(&self, link: &Link, octets: &[u8]) {
        let Some(&identifier) = octets.get(1) else {
            return;
        };
        let flight = self.ports().flight(link.port, identifier).cloned();
        // Nobody waits for it, or not any more.
        let Some(flight) = flight else {
            return;
        };
        let sent = Sent {
            identifier,
            authenticator: &flight.authenticator,
            secret: &flight.secret,
            message_authenticator: self.message_authenticator,
        };
        match read_reply(octets, &sent) {
            Ok(code) => flight.inbox.put(link.server, News::Reply(code)),
            Err(ReplyError::Foreign(why)) => {
                tracing::debug!("ignored what {} sent: {why}", link.address);
            }
            Err(wrong) => flight.inbox.put(link.server, News::Wrong(wrong)),
        }
    }

    /// Tells all whose request to this server may have been refused, but for the one with the identifier `but`.
    fn refused(&self, link: &Link, error: &io::Error, but: Option<u8>) {
        let waiting = self.ports().waiting(link);
        for (identifier, inbox) in waiting {
            if Some(identifier) != but {
                inbox.put(link.server, News::Refused(error.to_string()));
            }
        }
    }
}
