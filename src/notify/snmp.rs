//! Sends notifications. The only place that knows the SNMP library and its asynchronous runtime.
//!
//! All managers are spoken to at the same time, in one runtime on the caller's thread; what goes to one manager keeps
//! its order. A manager gets as long as its `timeout` and `retries` allow, and half a second for what stands around
//! them: looking its name up, making keys of passwords. Once it has failed as a whole (no answer, no such name, wrong
//! password) the rest that waits for it is given back at once.

mod reason;
mod socket;

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_snmp::{
    Auth, AuthProtocol, AuthoritativeEngine, Client, ClientBuilder, Oid, PersistedAuthoritativeEngine, PrivProtocol,
    Retry, UsmConfig, VarBind,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Engine, Event, check,
    varbinds::{self, Notification, Value},
};
use crate::config::{self, Manager, Secret, SnmpVersion};
use reason::Failure;
use socket::Connected;

/// Sends notifications to managers.
pub struct Sender {
    engine: AuthoritativeEngine,
    enterprise: Vec<u32>,
}

/// Why a manager has not got a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The manager's address as configured.
    pub manager: String,
    /// What happened.
    pub reason: String,
    /// What the operator can do about it, as a sentence.
    pub next: String,
}

/// What stands around the waiting for answers: name lookup, keys.
const MARGIN: Duration = Duration::from_millis(500);

impl Sender {
    /// `engine` speaks version 3; `enterprise` is where BILLDROP-MIB hangs, in dotted decimal.
    ///
    /// The engine's clock begins to run here: one sender for a process, with a `boots` that no earlier one had.
    pub fn new(engine: Engine, enterprise: &str) -> Result<Self, String> {
        engine.check()?;
        let enterprise = varbinds::parse_oid(enterprise)?;
        let engine = start(engine).map_err(|e| format!("the SNMP engine cannot be started: {e}"))?;
        Ok(Sender { engine, enterprise })
    }

    /// Returns when the trap has left or the inform was acknowledged.
    ///
    /// Takes at most `(retries + 1) * timeout + 1 s`. A trap that a closed port refuses at once counts as unsent; of
    /// one that is lost later, or that a version 3 manager cannot decipher, nobody hears.
    pub fn send(&self, manager: &Manager, event: &Event) -> Result<(), Unsent> {
        self.deliver(vec![(manager.clone(), event.clone())]).remove(0)
    }

    /// Sends many notifications and says of each, in the same order, what became of it.
    ///
    /// Takes as long as the slowest manager, not as all of them together.
    pub fn deliver(&self, jobs: Vec<(Manager, Event)>) -> Vec<Result<(), Unsent>> {
        let mut outcomes: Vec<_> = jobs.iter().map(|(manager, _)| Err(broken(manager))).collect();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => {
                let next = "Look at the limits of open files and of memory.";
                let failure = |(manager, _): &(Manager, Event)| {
                    Err(Failure::of_all(format!("no runtime could be made: {e}"), next).of(manager))
                };
                return jobs.iter().map(failure).collect();
            }
        };
        runtime.block_on(async {
            let mut conversations = JoinSet::new();
            for (manager, notifications) in self.by_manager(jobs) {
                conversations.spawn(converse(manager, self.engine.clone(), notifications));
            }
            while let Some(ended) = conversations.join_next().await {
                for (job, outcome) in ended.into_iter().flatten() {
                    outcomes[job] = outcome;
                }
            }
        });
        // A name lookup that hangs is left behind, not waited for.
        runtime.shutdown_background();
        outcomes
    }

    /// The notifications of each manager, with the numbers of their jobs, in order.
    fn by_manager(&self, jobs: Vec<(Manager, Event)>) -> Vec<(Manager, Vec<(usize, Notification)>)> {
        let mut groups: Vec<(Manager, Vec<(usize, Notification)>)> = Vec::new();
        for (job, (manager, event)) in jobs.into_iter().enumerate() {
            let numbered = (job, varbinds::notification(&event, &self.enterprise));
            match groups.iter_mut().find(|(known, _)| same(known, &manager)) {
                Some((_, notifications)) => notifications.push(numbered),
                None => groups.push((manager, vec![numbered])),
            }
        }
        groups
    }
}

/// The library wants to count the start itself. The caller has done so already, and it is told the count before.
fn start(engine: Engine) -> async_snmp::Result<AuthoritativeEngine> {
    let stored = |_: &PersistedAuthoritativeEngine| Ok::<(), Infallible>(());
    match engine.boots {
        1 => AuthoritativeEngine::install(engine.id, stored),
        boots => AuthoritativeEngine::restart(PersistedAuthoritativeEngine::new(engine.id, boots - 1)?, stored),
    }
}

/// What a job ends with if its conversation ended in a way it must not.
fn broken(manager: &Manager) -> Unsent {
    let reason = "the notification was given up because of an internal error".to_owned();
    Failure::of_all(reason, "Please report it.").of(manager)
}

/// Whether two tables mean the same conversation.
fn same(a: &Manager, b: &Manager) -> bool {
    (&a.address, a.version, &a.community, &a.user, a.inform) == (&b.address, b.version, &b.community, &b.user, b.inform)
}

/// Tells one manager all that waits for it, in order.
async fn converse(
    manager: Manager,
    engine: AuthoritativeEngine,
    notifications: Vec<(usize, Notification)>,
) -> Vec<(usize, Result<(), Unsent>)> {
    let patience = patience(&manager);
    let deadline = Instant::now() + patience;
    let mut peer = Peer {
        manager: &manager,
        engine,
        state: State::Unknown,
    };
    let mut given_up: Option<Failure> = None;
    let mut outcomes = Vec::new();
    for (job, notification) in notifications {
        let outcome = match &given_up {
            Some(failure) => Err(failure.clone()),
            None => timeout_at(deadline, peer.tell(&notification))
                .await
                .unwrap_or_else(|_| Err(Failure::out_of_time(patience))),
        };
        given_up = outcome.as_ref().err().filter(|failure| failure.is_of_all()).cloned();
        outcomes.push((job, outcome.map_err(|failure| failure.of(&manager))));
    }
    outcomes
}

/// How long a manager may take for all that waits for it. The hour is for tables that were never checked.
fn patience(manager: &Manager) -> Duration {
    let tries = u32::from(manager.retries) + 1;
    let hour = Duration::from_secs(3600);
    manager.timeout.0.saturating_mul(tries).min(hour) + MARGIN
}

/// A manager while it is spoken to.
struct Peer<'a> {
    manager: &'a Manager,
    engine: AuthoritativeEngine,
    state: State,
}

enum State {
    /// Its addresses are not looked up yet.
    Unknown,
    /// One of its addresses did not refuse us.
    Found(Line),
}

struct Line {
    client: Client<Connected>,
    /// Whether the manager has said anything at all.
    heard: Arc<AtomicBool>,
}

impl Peer<'_> {
    async fn tell(&mut self, notification: &Notification) -> Result<(), Failure> {
        if let State::Found(line) = &self.state {
            return self.say(line, notification).await;
        }
        let auth = auth(self.manager)?;
        let addresses = addresses(self.manager).await?;
        self.tell_at_one_of(&addresses, auth, notification).await
    }

    async fn tell_at_one_of(
        &mut self,
        addresses: &[SocketAddr],
        auth: Auth,
        notification: &Notification,
    ) -> Result<(), Failure> {
        let mut outcome = Err(Failure::no_address());
        // A name may have several addresses, and the manager listen on one of them only: "localhost" is often [::1]
        // first. Nobody waits for the next address when one is silent, but one that refuses at once is passed over.
        for address in addresses {
            outcome = match self.line(auth.clone(), *address).await {
                Ok(line) => {
                    let outcome = self.say(&line, notification).await;
                    self.state = State::Found(line);
                    outcome
                }
                Err(failure) => Err(failure),
            };
            match &outcome {
                Err(failure) if failure.is_of_this_address() => self.state = State::Unknown,
                _ => break,
            }
        }
        outcome
    }

    async fn say(&self, line: &Line, notification: &Notification) -> Result<(), Failure> {
        let trap = Oid::from_slice(&notification.trap);
        let varbinds = notification.varbinds.iter().map(varbind).collect();
        let said = match self.manager.inform {
            true => line.client.send_inform(&trap, uptime_ticks(), varbinds).await,
            false => line.client.send_trap(&trap, uptime_ticks(), varbinds).await,
        };
        said.map_err(|e| Failure::from_library(&e, self.manager, line.heard.load(Ordering::Relaxed)))
    }

    async fn line(&self, auth: Auth, address: SocketAddr) -> Result<Line, Failure> {
        let socket = Connected::new(address).await.map_err(|e| Failure::from_socket(&e))?;
        let retry = Retry::fixed(self.manager.retries.into(), Duration::ZERO)
            .map_err(|e| Failure::of_all(e.to_string(), "Lower retries."))?;
        let heard = socket.heard();
        let client = ClientBuilder::new(auth)
            .request_timeout(self.manager.timeout.0)
            .send_timeout(self.manager.timeout.0)
            .retry(retry)
            .local_authoritative_engine(self.engine.clone())
            .build_with_transport(socket)
            .map_err(|e| Failure::from_library(&e, self.manager, false))?;
        Ok(Line { client, heard })
    }
}

/// The manager's addresses, at least one.
async fn addresses(manager: &Manager) -> Result<Vec<SocketAddr>, Failure> {
    let (host, port) = check::parse_address(&manager.address).map_err(|why| {
        Failure::of_all(
            format!("its address cannot be read: {why}"),
            "Correct address in [[notify]].",
        )
    })?;
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let found: Vec<_> = found.map_err(|e| Failure::unresolved(&host, &e))?.collect();
    match found.is_empty() {
        true => Err(Failure::no_address()),
        false => Ok(found),
    }
}

/// Reveals the manager's secrets.
fn auth(manager: &Manager) -> Result<Auth, Failure> {
    match manager.version {
        SnmpVersion::V2c => {
            let community = reveal("community", manager.community.as_ref())?;
            match community.is_empty() {
                true => Err(Failure::of_all(
                    "community is empty".to_owned(),
                    "Give one in [[notify]].",
                )),
                false => Ok(Auth::v2c(community)),
            }
        }
        SnmpVersion::V3 => {
            let user = manager.user.as_deref().ok_or_else(|| missing("user"))?;
            let usm = UsmConfig::new(user.to_owned())
                .auth_priv(
                    auth_protocol(manager.auth_protocol),
                    password("auth-password", manager.auth_password.as_ref())?,
                    privacy_protocol(manager.privacy_protocol),
                    password("privacy-password", manager.privacy_password.as_ref())?,
                )
                .map_err(|e| Failure::of_all(format!("version 3 cannot be used: {e}"), "Correct [[notify]]."))?;
            Ok(usm.into())
        }
    }
}

fn password(key: &str, secret: Option<&Secret>) -> Result<String, Failure> {
    let password = reveal(key, secret)?;
    if password.len() < config::SHORTEST_PASSWORD {
        let reason = format!("{key} is shorter than {} octets", config::SHORTEST_PASSWORD);
        return Err(Failure::of_all(
            reason,
            "Agree on a longer one with the manager (RFC 3414).",
        ));
    }
    Ok(password)
}

fn reveal(key: &str, secret: Option<&Secret>) -> Result<String, Failure> {
    let secret = secret.ok_or_else(|| missing(key))?;
    let next = "See that the file or variable is there and that this user may read it.";
    secret
        .reveal()
        .map_err(|why| Failure::of_all(format!("{key}: {why}"), next))
}

fn missing(key: &str) -> Failure {
    Failure::of_all(format!("{key} is missing"), "Give it in [[notify]].")
}

fn auth_protocol(protocol: config::AuthProtocol) -> AuthProtocol {
    match protocol {
        config::AuthProtocol::Md5 => AuthProtocol::Md5,
        config::AuthProtocol::Sha1 => AuthProtocol::Sha1,
        config::AuthProtocol::Sha224 => AuthProtocol::Sha224,
        config::AuthProtocol::Sha256 => AuthProtocol::Sha256,
        config::AuthProtocol::Sha384 => AuthProtocol::Sha384,
        config::AuthProtocol::Sha512 => AuthProtocol::Sha512,
    }
}

/// No RFC says how a short key is made long enough for AES-256. Blumenthal's way is net-snmp's "AES-256".
fn privacy_protocol(protocol: config::PrivacyProtocol) -> PrivProtocol {
    match protocol {
        config::PrivacyProtocol::Aes128 => PrivProtocol::Aes128,
        config::PrivacyProtocol::Aes256 => PrivProtocol::Aes256Blumenthal,
    }
}

fn varbind((oid, value): &(Vec<u32>, Value)) -> VarBind {
    let value = match value {
        Value::Integer(n) => async_snmp::Value::Integer(*n),
        Value::Octets(octets) => async_snmp::Value::OctetString(octets.clone().into()),
        Value::Unsigned32(n) => async_snmp::Value::Gauge32(*n),
        Value::Counter64(n) => async_snmp::Value::Counter64(*n),
    };
    VarBind::new(Oid::from_slice(oid), value)
}

/// `sysUpTime`: how long this host is up, in 1/100 s, modulo 2^32 as the type demands.
fn uptime_ticks() -> u32 {
    let ticks = std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| ticks_of(&text))
        .unwrap_or_else(|| rustix::system::sysinfo().uptime.unsigned_abs().wrapping_mul(100));
    (ticks & u64::from(u32::MAX)) as u32
}

/// The first number of `/proc/uptime`, seconds with two decimals.
fn ticks_of(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SNMP manager {}: {}. {}", self.manager, self.reason, self.next)
    }
}

impl std::error::Error for Unsent {}

#[cfg(test)]
mod tests;
