//! `status-listen`: a status port of our own, for programs that read CDR lines from a gatekeeper's.
//!
//! A client from an allowed address gets the gatekeeper's greeting, then a `CDR|` line for each call that ends and the lines
//! of `StatusAcct`. Two threads serve a client. Lines reach it by a queue with a limit; a client that does not read until it
//! is full is cut off, and no call and no other client ever waits for it.

mod command;
mod peer;

use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Lines;
use crate::{
    account::{
        cdr,
        event::{Event, EventKind, Moment, Subject},
        timestamp::TimestampFormat,
    },
    config::{Network, StatusOutput, gatekeeper},
};
use peer::Peer;

/// TELNET negotiation before anything else, as the gatekeeper sends it: DO SUPPRESS-GO-AHEAD, WILL STATUS, DON'T ECHO.
const NEGOTIATION: &[u8] = b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01";
const FORBIDDEN: &[u8] = b"\r\nAccess forbidden!\r\n";

/// How the port is offered.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub listen: SocketAddr,
    pub allowed: Vec<Network>,
    pub max_clients: usize,
    /// Octets that may wait for one client.
    pub queue: usize,
}

impl ServerOptions {
    /// As configured, at `[accounting] status-listen`.
    pub fn of(listen: SocketAddr, config: &StatusOutput) -> Self {
        ServerOptions {
            listen,
            allowed: config.allowed.clone(),
            max_clients: config.max_clients,
            queue: usize::try_from(config.queue.0).unwrap_or(usize::MAX),
        }
    }
}

/// A port that listens, until it is dropped.
pub struct StatusServer {
    hub: Arc<Hub>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// What all clients share.
struct Hub {
    options: ServerOptions,
    /// For CDR lines.
    gatekeeper: String,
    timestamps: TimestampFormat,
    unconnected: bool,
    peers: Mutex<Vec<Arc<Peer>>>,
    stop: AtomicBool,
    started: Instant,
    startup: String,
    current: AtomicU64,
    total: AtomicU64,
    successful: AtomicU64,
}

impl StatusServer {
    /// Listens. `of` says the name, and how CDR lines are written and of which calls.
    ///
    /// # Errors
    /// When it cannot listen there, with the address; when the time format cannot be one.
    pub fn start(options: ServerOptions, of: &gatekeeper::Gatekeeper) -> Result<Self, String> {
        let timestamps = TimestampFormat::parse(&of.cdr_timestamp_format)
            .map_err(|e| format!("[CallTable] TimestampFormat: {e}"))?;
        let failed = |e: io::Error| format!("status-listen: cannot listen at {}: {e}", options.listen);
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let hub = Arc::new(Hub {
            gatekeeper: of.name.clone(),
            timestamps,
            unconnected: of.unconnected_cdr,
            peers: Mutex::default(),
            stop: AtomicBool::new(false),
            started: Instant::now(),
            startup: String::from_utf8_lossy(&TimestampFormat::rfc822().text(&now())).into_owned(),
            current: AtomicU64::new(0),
            total: AtomicU64::new(0),
            successful: AtomicU64::new(0),
            options,
        });
        let accepting = Arc::clone(&hub);
        let acceptor = thread::Builder::new()
            .name("status-listen".into())
            .spawn(move || accepting.accept(&listener))
            .map_err(|e| format!("status-listen: no thread can be made: {e}"))?;
        Ok(StatusServer {
            hub,
            address,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn clients(&self) -> usize {
        self.hub.peers().len()
    }

    /// An event, once, before it goes through the chain: the stop of a call sends its CDR line. Never waits.
    pub fn observe(&self, event: &Event) {
        let hub = &self.hub;
        let Subject::Call(call) = &event.subject else { return };
        match event.kind {
            EventKind::Start => {
                hub.current.fetch_add(1, Ordering::Relaxed);
                hub.total.fetch_add(1, Ordering::Relaxed);
            }
            EventKind::Connect => {
                hub.successful.fetch_add(1, Ordering::Relaxed);
            }
            EventKind::Stop => {
                // A stop may come without its start.
                let _ = hub
                    .current
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |current| current.checked_sub(1));
                if call.connect.is_some() || hub.unconnected {
                    let mut line = Vec::with_capacity(256);
                    cdr::write_line(event, &hub.gatekeeper, &hub.timestamps, &mut line);
                    hub.send(&line);
                }
            }
            _ => {}
        }
    }
}

impl Lines for StatusServer {
    fn send(&self, line: &[u8]) {
        self.hub.send(line);
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.hub.stop.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for peer in self.hub.peers().drain(..) {
            peer.close();
        }
    }
}

impl Hub {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        const LOOK_UP: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 200_000_000,
        };
        while !self.stop.load(Ordering::Relaxed) {
            let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&LOOK_UP));
            match listener.accept() {
                Ok((stream, from)) => self.welcome(stream, from),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // As when there are no more descriptors: not in a tight circle.
                Err(_) => thread::sleep(std::time::Duration::from_millis(100)),
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let allowed = self.options.allowed.iter().any(|network| network.contains(from.ip()));
        if !allowed || self.peers().len() >= self.options.max_clients {
            let reason = if allowed {
                "there are too many clients"
            } else {
                "its address is not allowed"
            };
            tracing::info!("status-listen: {from} is sent away: {reason}");
            // As much as fits into the socket: nobody waits for a stranger.
            let _ = stream.set_nonblocking(true);
            let _ = (&stream).write_all(&[NEGOTIATION, FORBIDDEN].concat());
            let _ = stream.shutdown(Shutdown::Write);
            return;
        }
        let peer = match Peer::new(stream, from, self.options.queue) {
            Ok(peer) => Arc::new(peer),
            Err(e) => return tracing::warn!("status-listen: {from} cannot be served: {e}"),
        };
        peer.put(NEGOTIATION);
        peer.put(self.version().as_bytes());
        self.peers().push(Arc::clone(&peer));
        if let Err(e) = peer::serve(self, &peer) {
            tracing::warn!("status-listen: {from} cannot be served: {e}");
            self.forget(&peer);
        }
    }

    fn send(&self, line: &[u8]) {
        let octets: Arc<[u8]> = [line, b"\r\n"].concat().into();
        let mut cut_off = Vec::new();
        self.peers().retain(|peer| {
            let keeps_up = !peer.wants_lines() || peer.put_shared(&octets);
            if !keeps_up {
                cut_off.push(peer.from());
                peer.close();
            }
            keeps_up
        });
        for from in cut_off {
            tracing::warn!("status-listen: {from} does not read and is cut off");
        }
    }

    fn forget(&self, gone: &Arc<Peer>) {
        gone.close();
        self.peers().retain(|peer| !Arc::ptr_eq(peer, gone));
    }

    /// Reply to `version`, and the greeting: our own name in the gatekeeper's form.
    fn version(&self) -> String {
        format!(
            "Version:\r\nGatekeeper(billdrop) Version({}) Ext() Sys({} {})\r\n{};\r\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            self.running()
        )
    }

    fn statistics(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "-- Call Statistics --\r\nCurrent Calls: {}\r\nTotal Calls: {}  Successful: {}\r\n{};\r\n",
            of(&self.current),
            of(&self.total),
            of(&self.successful),
            self.running()
        )
    }

    fn running(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        let startup = &self.startup;
        format!(
            "Startup: {startup}   Running: {days} days {hours:02}:{minutes:02}:{:02}\r\n",
            seconds % 60
        )
    }

    fn who(&self) -> String {
        let mut reply = String::new();
        for (number, peer) in self.peers().iter().enumerate() {
            reply += &format!("  {}\t{}\t\r\n", number + 1, peer.from());
        }
        reply + ";\r\n"
    }

    // A list of clients is whole at any time.
    fn peers(&self) -> MutexGuard<'_, Vec<Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        micros: 0,
        zone: None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One with the defaults of an empty ini, but for its name.
    pub(crate) fn gatekeeper() -> gatekeeper::Gatekeeper {
        gatekeeper::Gatekeeper {
            name: "example-gk".into(),
            home: None,
            timestamp_format: "Cisco".into(),
            update_interval: std::time::Duration::ZERO,
            cdr_timestamp_format: "RFC822".into(),
            unconnected_cdr: false,
            called_station_id_to_dialed_ip: false,
            chain: Vec::new(),
            skipped: Vec::new(),
            file: None,
            radius: None,
            sql: None,
            status: None,
            syslog: None,
        }
    }
}
