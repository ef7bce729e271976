//! The loop: waits for whatever happens, lets everybody have their part, and never waits for anyone in particular.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use rustls::ServerConfig;

use super::{
    Inbox, SessionSetting, Settings, Watch,
    choice::Rules,
    delivery::Delivery,
    farewell::Farewell,
    links::{Around, Links, Peer, Redial, unix_seconds},
    ports::{CannotListen, Ports},
    report::Reports,
    roster::Roster,
    store::Store,
    visitors::Refusals,
};
use crate::{
    protocol::ipdr::{Capabilities, Event as SessionEvent, NotStreamable},
    tls,
};

/// Octets that are read from a connection at a time.
const PIECE: usize = 16 << 10;

/// How often a connection is read in one turn.
const PIECES: usize = 4;

/// The exporter of IPDR/SP.
pub struct Exporter {
    pub(super) settings: Settings,
    pub(super) roster: Roster,
    pub(super) ports: Ports,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) capabilities: Capabilities,
    pub(super) around: Around,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) refusals: Refusals,
    /// Nobody is accepted until then: the system has no descriptors left.
    pub(super) full_until: Option<Instant>,
    pub(super) farewell: Option<Farewell>,
    pub(super) reports: Reports,
    inbox: Inbox,
    rules: Rules,
    scratch: Vec<u8>,
    turns: usize,
    /// There is more to do at once.
    is_busy: bool,
}

/// Why the exporter cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    #[error(transparent)]
    Listen(#[from] CannotListen),
    #[error("{0}")]
    Tls(String),
    #[error("session {session}: {reason}")]
    Session { session: String, reason: NotStreamable },
}

/// What is ready.
#[derive(Debug, Default)]
struct Ready {
    bell: bool,
    listeners: Vec<usize>,
    discovery: bool,
    connections: Vec<usize>,
}

impl Exporter {
    /// Listens, and looks at what waits in the stores. Nobody is answered before [`Exporter::run`].
    ///
    /// # Errors
    /// When it cannot listen, a certificate cannot be used, or a session cannot be exported.
    pub fn new(
        settings: Settings,
        sessions: Vec<(SessionSetting, Store)>,
        inbox: Inbox,
        watch: Box<dyn Watch>,
    ) -> Result<Exporter, CannotBegin> {
        let tls = settings.tls.as_ref().map(|files| {
            tls::server(&files.certificate, &files.key, files.client_ca.as_deref()).map_err(CannotBegin::Tls)
        });
        let tls = tls.transpose()?;
        let roster = Roster::new(&settings);
        let begin = |(index, (setting, store)): (usize, (SessionSetting, Store))| {
            let (session, ranks) = (setting.name.clone(), roster.ranks(&settings, &setting));
            Delivery::new(index, setting, store, &ranks).map_err(|reason| CannotBegin::Session { session, reason })
        };
        let deliveries = sessions
            .into_iter()
            .enumerate()
            .map(begin)
            .collect::<Result<Vec<_>, _>>()?;
        let now = Instant::now();
        let negotiates = deliveries.iter().any(|delivery| delivery.setting.negotiable);
        let negotiation = if negotiates {
            Capabilities::TEMPLATE_NEGOTIATION.0
        } else {
            0
        };
        let mut exporter = Exporter {
            ports: Ports::open(&settings)?,
            tls,
            capabilities: Capabilities(Capabilities::MULTISESSION.0 | negotiation),
            around: Around {
                links: Links::new(peers(&settings, &roster, now)),
                watch,
                now,
                boot_time: unix_seconds(),
                is_changed: true,
                is_ending: false,
            },
            deliveries,
            refusals: Refusals::default(),
            full_until: None,
            farewell: None,
            reports: Reports::default(),
            rules: Rules {
                hold_down: settings.hold_down,
                // Each session has its own.
                penance: Duration::ZERO,
                wait_until: now.checked_add(settings.wait_for_best).unwrap_or(now),
            },
            inbox,
            scratch: vec![0; PIECE],
            turns: 0,
            is_busy: false,
            roster,
            settings,
        };
        exporter.publish_encodings();
        Ok(exporter)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.ports.addresses()
    }

    /// Where it answers which versions it speaks.
    pub fn discovery_address(&self) -> Option<SocketAddr> {
        self.ports.discovery.as_ref()?.local_addr().ok()
    }

    /// Exports until [`super::Handle::stop`].
    ///
    /// # Errors
    /// When the system does not tell any more what happens to sockets.
    pub fn run(mut self) -> io::Result<()> {
        for address in self.addresses() {
            self.around.tell(&super::Event::Listening { address });
        }
        self.around.now = Instant::now();
        self.attend();
        while !self.is_over() {
            let ready = self.wait()?;
            self.around.now = Instant::now();
            self.turn(ready);
        }
        self.publish();
        Ok(())
    }

    fn turn(&mut self, ready: Ready) {
        if ready.bell {
            let (changed, is_stop) = self.inbox.take();
            for session in changed {
                if let Some(delivery) = self.deliveries.get_mut(session) {
                    delivery.look();
                }
            }
            if is_stop {
                self.begin_farewell();
            }
        }
        for key in ready.connections {
            self.serve(key);
        }
        for listener in ready.listeners {
            self.accept(listener);
        }
        if ready.discovery {
            self.ports.answer_versions(&self.roster);
        }
        self.attend();
    }

    /// What is to be done at each turn, whatever happened.
    fn attend(&mut self) {
        self.keep_time();
        let has_more = match self.farewell {
            None => self.deliver(),
            Some(_) => {
                for delivery in &mut self.deliveries {
                    delivery.settle(&mut self.around);
                }
                Vec::new()
            }
        };
        // Before the collector that asked for it can know.
        self.publish_encodings();
        self.flush();
        self.is_busy = self.could_go_on(&has_more);
        self.sweep();
        self.go_on_with_farewell();
        self.publish_if_due();
        // What came of all this may have come after its session had its turn.
        self.is_busy |= self.farewell.is_none() && self.deliveries.iter().any(Delivery::needs_turn);
    }

    /// Gives collectors their records. Which sessions may have more.
    fn deliver(&mut self) -> Vec<bool> {
        for delivery in &mut self.deliveries {
            delivery.turn(&self.rules, &mut self.around);
        }
        // Each session begins in turn: those that share a connection share it evenly.
        let count = self.deliveries.len();
        self.turns = self.turns.wrapping_add(1);
        let links = &mut self.around.links;
        let mut has_room = |peer| links.of_peer(peer).is_some_and(|connection| connection.has_room());
        let roomy = |delivery: &Delivery| delivery.active().is_some_and(&mut has_room);
        let with_room: Vec<bool> = self.deliveries.iter().map(roomy).collect();
        let mut has_more = vec![true; count];
        for step in 0..count {
            let index = (self.turns + step) % count;
            if with_room[index] {
                has_more[index] = self.deliveries[index].fill(&mut self.around);
            }
        }
        has_more
    }

    /// Whether a session that may have more has room for it now. Nothing else would wake us: an empty queue waits for no
    /// socket.
    fn could_go_on(&mut self, has_more: &[bool]) -> bool {
        let links = &mut self.around.links;
        self.deliveries.iter().zip(has_more).any(|(delivery, has_more)| {
            let connection = delivery.active().and_then(|peer| links.of_peer(peer));
            *has_more && connection.is_some_and(|connection| connection.has_room())
        })
    }

    /// Gives every socket what it takes, and tells the sessions what has gone.
    fn flush(&mut self) {
        for key in self.around.links.keys() {
            let now = self.around.now;
            let Some(connection) = self.around.links.get(key) else {
                continue;
            };
            let mut gone = Vec::new();
            let flushed = connection.flush(now, |session, sequence| gone.push((session, sequence)));
            let peer = connection.peer;
            for (session, sequence) in gone {
                if let (Some(peer), Some(delivery)) = (peer, self.deliveries.get_mut(session)) {
                    delivery.handle(peer, SessionEvent::Written { sequence }, &mut self.around);
                }
            }
            if let Err(reason) = flushed {
                // What it had said before it closed may be an acknowledgement.
                self.serve(key);
                self.close(key, &reason);
            }
        }
    }

    /// Reads a connection, and does what it says.
    pub(super) fn serve(&mut self, key: usize) {
        if !self.is_established(key) {
            return;
        }
        for _ in 0..PIECES {
            let Some(connection) = self.around.links.get(key) else {
                return;
            };
            let came = connection.receive(&mut self.scratch);
            while let Some(said) = self
                .around
                .links
                .get(key)
                .and_then(|connection| connection.next(self.around.now))
            {
                self.take(key, said);
            }
            match came {
                Ok(super::wire::Came::Octets(_)) => {}
                Ok(super::wire::Came::Nothing) => return,
                Ok(super::wire::Came::End) => return self.ended(key),
                Err(reason) => return self.close(key, &reason),
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut polled = vec![PollFd::from_borrowed_fd(self.inbox.bell(), PollFlags::IN)];
        let is_accepting = self.farewell.is_none() && self.full_until.is_none();
        let listeners = if is_accepting {
            self.ports.listeners.as_slice()
        } else {
            &[]
        };
        polled.extend(listeners.iter().map(|one| PollFd::new(one, PollFlags::IN)));
        polled.extend(self.ports.discovery.iter().map(|one| PollFd::new(one, PollFlags::IN)));
        let mut keys = Vec::new();
        let mut has_unread = false;
        for (key, connection) in self.around.links.iter() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, connection.wants_read());
            flags.set(PollFlags::OUT, connection.wants_write());
            has_unread |= connection.has_unread();
            polled.push(PollFd::from_borrowed_fd(connection.wire.socket().as_fd(), flags));
            keys.push(key);
        }
        let timeout = match self.is_busy || has_unread {
            true => Some(Duration::ZERO),
            // Rounded up: a turn that comes too early has nothing to do.
            false => self
                .deadline()
                .map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_micros(100)),
        };
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut ready = polled.iter().map(|one| !one.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        let mut found = Ready {
            bell: next(),
            ..Ready::default()
        };
        found.listeners = (0..listeners.len()).filter(|_| next()).collect();
        found.discovery = self.ports.discovery.is_some() && next();
        let unread = |key: &usize| {
            let mut all = self.around.links.iter();
            all.any(|(one, connection)| one == *key && connection.has_unread())
        };
        found.connections = keys
            .into_iter()
            .filter(|key| next() || (has_unread && unread(key)))
            .collect();
        Ok(found)
    }

    /// When there is something to do, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let interval = self.keep_alive();
        let links = &self.around.links;
        let connections = links
            .iter()
            .flat_map(|(_, one)| [one.keep_alive_due(), Some(one.deadline(interval))]);
        let deliveries = self.deliveries.iter().map(Delivery::deadline);
        let others = [
            self.full_until,
            self.next_dial(),
            self.farewell.as_ref().map(Farewell::deadline),
            self.next_report(),
        ];
        connections.chain(deliveries).chain(others).flatten().min()
    }

    fn publish_encodings(&mut self) {
        for (session, delivery) in self.deliveries.iter_mut().enumerate() {
            if let Some(encoding) = delivery.take_encoding() {
                self.inbox.set_encoding(session, encoding);
            }
        }
    }

    /// The longest silence that we bear: as the wire has it, in whole seconds.
    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds().into())
    }

    pub(super) fn keep_alive_seconds(&self) -> u32 {
        u32::try_from(self.settings.keep_alive.as_secs())
            .unwrap_or(u32::MAX)
            .max(1)
    }
}

fn peers(settings: &Settings, roster: &Roster, now: Instant) -> Vec<Peer> {
    let known = settings.collectors.iter().map(|collector| Peer {
        name: collector.name.clone(),
        connection: None,
        dialling: collector.dial.as_ref().map(|_| Redial::at_once(now)),
        last_seen: None,
    });
    let guests = (0..roster.guests()).map(|_| Peer {
        name: String::new(),
        connection: None,
        dialling: None,
        last_seen: None,
    });
    known.chain(guests).collect()
}
