//! `RadAcct`: events as Accounting-Requests to RADIUS servers.
//!
//! The attributes of an event are made once ([`packet`]). [`RadAcct::log`] then sends and waits, transmission by transmission,
//! in the caller's thread; [`exchange`] has the sockets ([`ports`]), and one thread that hands out replies ([`inbox`]).
//! [`servers`] knows addresses and secrets.
//!
//! The order is the gatekeeper's: round after round over all servers, or each server as often as it is to be asked before the
//! next one. An attempt ends with a reply, when its time is over, when the server's host refuses it, or with a reply
//! that is not genuine. A genuine reply that is no Accounting-Response fails the event at once. All repetitions are the same
//! packet with the same identifier, unless the next server's secret or the age in Acct-Delay-Time is another one.
//!
//! A failure means that no server has confirmed the event. It may have been stored all the same: the reply may be lost. So what
//! is tried again may arrive twice, and the servers tell by Acct-Session-Id and Acct-Status-Type.

mod exchange;
mod inbox;
mod packet;
mod ports;
mod servers;

use std::{
    net::{IpAddr, UdpSocket},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Resource, getrlimit};

use self::{
    exchange::{Claim, Exchange},
    inbox::{Inbox, News},
    packet::Writer,
    ports::Rules,
    servers::Servers,
};
use super::{
    event::{Event, EventKind, Events},
    module::{Attempt, Module, Outcome},
};
use crate::{
    config::{AccountingRadius, DelayTime, MessageAuthenticator, Updates, gatekeeper},
    protocol::radius::{ACCOUNTING_RESPONSE, Attributes, Request},
};

/// More is a mistake in the file, and each costs a socket a port.
const MOST_SERVERS: usize = 1000;

/// No time is longer, whatever the files say: a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Who the requests come from, as the ini's `[Gatekeeper::Main]` has it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: String,
    pub home: Option<IpAddr>,
    /// TimestampFormat, for a `[RadAcct]` without its own.
    pub timestamp_format: String,
}

pub struct RadAcct {
    servers: Servers,
    exchange: Exchange,
    writer: Writer,
    home: Option<IpAddr>,
    local: Option<IpAddr>,
    /// Found out when it is needed first: the address that this host has towards the servers.
    own: OnceLock<IpAddr>,
    timeout: Duration,
    transmissions: u32,
    round_robin: bool,
    more: AccountingRadius,
}

impl RadAcct {
    /// Opens no sockets yet. Waits some seconds at most until the servers' names are looked up; that one is not found, or
    /// that there are no servers, is no error: events fail then.
    pub fn new(options: &gatekeeper::RadAcct, more: &AccountingRadius, identity: &Identity) -> Result<Self, String> {
        if options.servers.len() > MOST_SERVERS {
            let many = options.servers.len();
            return Err(format!(
                "[RadAcct] Servers has {many} servers, and {MOST_SERVERS} are the most"
            ));
        }
        let local = options.local_interface.filter(|address| is_ours(*address));
        let servers = Servers::new(&options.servers, local, more.dead_time.0.min(LONGEST))?;
        let writer = Writer::new(options, identity)?;
        let rules = Rules {
            local,
            range: options.port_range,
            // The gatekeeper counts whole seconds.
            id_rest: Duration::from_secs(options.id_cache_timeout.min(LONGEST).as_secs()),
            idle: options.socket_delete_timeout,
            servers: servers.list().len(),
            most_ports: most_ports(servers.list().len()),
        };
        let require = more.message_authenticator == MessageAuthenticator::Require;
        let exchange = Exchange::start(rules, require).map_err(|e| format!("[RadAcct] cannot start: {e}"))?;
        Ok(RadAcct {
            servers,
            exchange,
            writer,
            home: identity.home,
            local,
            own: OnceLock::new(),
            timeout: options.request_timeout.min(LONGEST),
            transmissions: options.transmissions,
            round_robin: options.round_robin,
            more: more.clone(),
        })
    }

    /// Numbers of the local ports that are open.
    pub fn ports(&self) -> Vec<u16> {
        self.exchange.ports()
    }
}

impl Module for RadAcct {
    fn name(&self) -> &'static str {
        "RadAcct"
    }

    fn supported(&self) -> Events {
        const KINDS: [EventKind; 5] = [
            EventKind::On,
            EventKind::Off,
            EventKind::Start,
            EventKind::Stop,
            EventKind::Update,
        ];
        KINDS.into_iter().collect()
    }

    fn log(&self, event: &Event, _attempt: &Attempt<'_>) -> Outcome {
        if self.servers.list().is_empty() {
            return Outcome::Fail("no RADIUS server: [RadAcct] Servers is empty".to_owned());
        }
        let Some(attributes) = self.writer.attributes(event, self.nas_address(event)) else {
            return Outcome::Fail(format!("RadAcct cannot log the event {}", event.kind.name()));
        };
        let sent = if event.kind == EventKind::Update && self.more.updates == Updates::Unacknowledged {
            self.send_once(event, &attributes)
        } else {
            self.send(event, &attributes)
        };
        sent.map_or_else(Outcome::Fail, |()| Outcome::Ok)
    }
}

/// A packet that was sent, and may be sent again.
struct Transmission<'a> {
    claim: Claim<'a>,
    secret: Arc<[u8]>,
    delay: Option<u32>,
    packet: Vec<u8>,
    authenticator: [u8; 16],
}

impl RadAcct {
    /// Sends until a server has confirmed.
    fn send(&self, event: &Event, attributes: &Attributes) -> Result<(), String> {
        let inbox = Arc::new(Inbox::default());
        let begin = delay(event);
        // A reply to an earlier transmission, with another identifier, is as good as one to the last: all are kept.
        let mut sent: Vec<Transmission<'_>> = Vec::new();
        let mut troubles = Troubles::new(self.servers.list().len());
        for server in self.attempts() {
            let Some(address) = self.servers.address(server) else {
                troubles.note(server, "its name is not resolved".to_owned());
                continue;
            };
            let secret = &self.servers.list()[server].secret;
            let age = match self.more.delay_time {
                DelayTime::Transmission => delay(event),
                DelayTime::Attempt => begin,
            };
            let same = sent
                .last()
                .is_some_and(|last| last.secret == *secret && last.delay == age);
            if !same {
                let patience = Instant::now() + self.timeout;
                match self.exchange.claim(&inbox, secret, server, address, patience) {
                    Ok(claim) => sent.push(self.transmission(claim, secret, age, attributes)),
                    Err(e) => {
                        troubles.note(server, format!("no request can be made: {e}"));
                        continue;
                    }
                }
            }
            // One was pushed, or was there.
            let Some(last) = sent.last() else { continue };
            inbox.forget_troubles();
            if let Err(e) = last.claim.send(server, address, &last.packet, &last.authenticator) {
                troubles.note(server, format!("it cannot be sent to: {e}"));
                // Perhaps another port can.
                if e.kind() != std::io::ErrorKind::ConnectionRefused {
                    sent.pop();
                }
                continue;
            }
            match self.wait(&inbox, server, Instant::now() + self.timeout, &mut troubles) {
                Some((replier, code)) => {
                    if let Some(last) = sent.last_mut() {
                        last.claim.answered = true;
                    }
                    self.servers.answered(replier);
                    self.let_rest(&troubles, Some(replier));
                    return match code {
                        ACCOUNTING_RESPONSE => Ok(()),
                        other => Err(format!(
                            "RADIUS server {} answered with code {other} instead of {ACCOUNTING_RESPONSE}, Accounting-Response",
                            self.servers.list()[replier].name
                        )),
                    };
                }
                None => continue,
            }
        }
        self.let_rest(&troubles, None);
        Err(troubles.told(&self.servers))
    }

    /// Servers that were asked in vain are asked after the others for a while, where the configuration says so.
    fn let_rest(&self, troubles: &Troubles, but: Option<usize>) {
        for server in troubles.servers().filter(|server| Some(*server) != but) {
            self.servers.silent(server);
        }
    }

    /// As the gatekeeper sends updates: to the first server, once, without waiting.
    fn send_once(&self, event: &Event, attributes: &Attributes) -> Result<(), String> {
        let server = &self.servers.list()[0];
        let address = self
            .servers
            .address(0)
            .ok_or_else(|| format!("the name of RADIUS server {} is not resolved", server.name))?;
        let failed = |e| format!("cannot send to RADIUS server {}: {e}", server.name);
        let inbox = Arc::new(Inbox::default());
        let deadline = Instant::now() + self.timeout;
        let claim = self
            .exchange
            .claim(&inbox, &server.secret, 0, address, deadline)
            .map_err(failed)?;
        let once = self.transmission(claim, &server.secret, delay(event), attributes);
        once.claim
            .send(0, address, &once.packet, &once.authenticator)
            .map_err(failed)
    }

    /// The servers in the order in which they are asked, each as often as it is to be asked.
    fn attempts(&self) -> impl Iterator<Item = usize> {
        let order = self.servers.order();
        let (times, servers) = (u64::from(self.transmissions), order.len() as u64);
        let round_robin = self.round_robin;
        (0..times.saturating_mul(servers)).map(move |n| {
            let place = if round_robin { n % servers } else { n / times };
            order[place as usize]
        })
    }

    fn transmission<'a>(
        &self,
        claim: Claim<'a>,
        secret: &Arc<[u8]>,
        delay: Option<u32>,
        attributes: &Attributes,
    ) -> Transmission<'a> {
        let request = Request {
            identifier: claim.identifier(),
            delay,
            message_authenticator: self.more.message_authenticator != MessageAuthenticator::Never,
            secret,
        };
        let mut packet = Vec::with_capacity(attributes.octets().len() + 64);
        let authenticator = request.write(attributes, &mut packet);
        Transmission {
            claim,
            secret: secret.clone(),
            delay,
            packet,
            authenticator,
        }
    }

    /// Waits for a genuine reply, from whichever server was asked so far. [`None`]: the attempt at `server` is over.
    fn wait(&self, inbox: &Inbox, server: usize, deadline: Instant, troubles: &mut Troubles) -> Option<(usize, u8)> {
        loop {
            match inbox.take(deadline) {
                Some((replier, News::Reply(code))) => return Some((replier, code)),
                Some((replier, News::Wrong(wrong))) => {
                    troubles.note(replier, wrong.to_string());
                    if replier == server {
                        return None;
                    }
                }
                Some((replier, News::Refused(reason))) if replier == server => {
                    troubles.note(server, format!("nothing listens there ({reason})"));
                    return None;
                }
                // An attempt that is over.
                Some((_, News::Refused(_))) => {}
                None => {
                    let limit = humantime::format_duration(self.timeout);
                    troubles.note(server, format!("no reply within {limit}"));
                    return None;
                }
            }
        }
    }

    /// The address that the requests name as their sender's: LocalInterface, else that of the gatekeeper whose event it is, else
    /// Home, else what this host uses towards the servers.
    fn nas_address(&self, event: &Event) -> Option<IpAddr> {
        let of_event = || event.gatekeeper_ip.as_ref().and_then(|text| text.address());
        self.local.or_else(of_event).or(self.home).or_else(|| {
            if self.own.get().is_none() {
                let own = (0..self.servers.list().len()).find_map(|server| own_address(self.servers.address(server)?));
                let _ = own.map(|own| self.own.set(own));
            }
            self.own.get().copied()
        })
    }
}

/// Whether requests can come from this address. One that is not this host's is ignored, as by the gatekeeper.
fn is_ours(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Err(e) if e.kind() == std::io::ErrorKind::AddrNotAvailable => {
            tracing::warn!("[RadAcct] LocalInterface={address} is no address of this host and is ignored");
            false
        }
        _ => true,
    }
}

/// What went wrong, by server: different reasons in the order in which they came up, and how often each.
struct Troubles(Vec<Vec<(String, u32)>>);

impl Troubles {
    fn new(servers: usize) -> Self {
        Troubles(vec![Vec::new(); servers])
    }

    fn note(&mut self, server: usize, reason: String) {
        let reasons = &mut self.0[server];
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, times)) => *times += 1,
            None => reasons.push((reason, 1)),
        }
    }

    /// Those that gave trouble.
    fn servers(&self) -> impl Iterator<Item = usize> {
        let all = self.0.iter().enumerate();
        all.filter(|(_, reasons)| !reasons.is_empty()).map(|(server, _)| server)
    }

    fn told(&self, servers: &Servers) -> String {
        let of_server = |server: usize| {
            let reasons = self.0[server].iter().map(|(reason, times)| match times {
                1 => reason.clone(),
                _ => format!("{reason} ({times} times)"),
            });
            let reasons: Vec<String> = reasons.collect();
            format!("{}: {}", servers.list()[server].name, reasons.join(", "))
        };
        let told: Vec<String> = self.servers().map(of_server).collect();
        match told.is_empty() {
            true => "no RADIUS server was asked: [RadAcct] RequestRetransmissions allows no transmission".to_owned(),
            false => format!("no RADIUS server has confirmed; {}", told.join("; ")),
        }
    }
}

/// Acct-Delay-Time: whole seconds since the event; none for those that carry none.
fn delay(event: &Event) -> Option<u32> {
    if matches!(event.kind, EventKind::On | EventKind::Off) {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let happened = i128::from(event.time.seconds) * 1_000_000 + i128::from(event.time.micros);
    let age = (now.as_micros() as i128 - happened).max(0) / 1_000_000;
    Some(u32::try_from(age).unwrap_or(u32::MAX))
}

/// The address that this host has towards a server. Nothing is sent.
fn own_address(server: std::net::SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match server {
        std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Half of the files that this process may open, at one socket a port and server.
fn most_ports(servers: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(1 << 16);
    let ports = files / 2 / (servers.max(1) as u64);
    ports.clamp(1, 4096) as usize
}
