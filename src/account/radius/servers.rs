//! The servers: their addresses and secrets, and which of them have been silent of late.
//!
//! Names are looked up by a thread of their own at the start and once a minute, since a look-up may take longer than
//! any request. What was found stays in use until something else is found; a server without an address is skipped.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use crate::config::gatekeeper;

/// How long a name is believed, and how soon one is tried again that was not found.
const REFRESH: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(5);

/// How long the start waits until all names were looked up.
const FIRST_LOOK_UP: Duration = Duration::from_secs(5);

pub struct Servers {
    list: Vec<Server>,
    state: Arc<Shared>,
    dead_time: Duration,
}

pub struct Server {
    /// `HOST:PORT`, for messages.
    pub name: String,
    pub secret: Arc<[u8]>,
}

struct Shared {
    state: Mutex<State>,
    looked_up: Condvar,
}

struct State {
    addresses: Vec<Option<SocketAddr>>,
    dead_until: Vec<Option<Instant>>,
    /// Whether every name was looked up once.
    complete: bool,
}

/// A name that has to be looked up.
struct Name {
    server: usize,
    host: String,
    port: u16,
}

impl Servers {
    /// Looks up the names; that some are not found is no error. With `local`, addresses of its family are preferred.
    pub fn new(
        servers: &[gatekeeper::RadiusServer],
        local: Option<IpAddr>,
        dead_time: Duration,
    ) -> Result<Self, String> {
        let mut list = Vec::new();
        let mut names = Vec::new();
        let mut addresses = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            let (host, port) = (&server.host, server.acct_port);
            let literal = host.parse::<IpAddr>().ok();
            let name = match literal {
                Some(IpAddr::V6(address)) => format!("[{address}]:{port}"),
                _ => format!("{host}:{port}"),
            };
            let secret = server
                .secret
                .reveal()
                .map_err(|e| format!("the secret of RADIUS server {name}: {e}"))?;
            addresses.push(literal.map(|address| SocketAddr::new(address, port)));
            if literal.is_none() {
                names.push(Name {
                    server: number,
                    host: host.clone(),
                    port,
                });
            }
            list.push(Server {
                name,
                secret: secret.into_bytes().into(),
            });
        }
        let state = Arc::new(Shared {
            state: Mutex::new(State {
                dead_until: vec![None; addresses.len()],
                addresses,
                complete: names.is_empty(),
            }),
            looked_up: Condvar::new(),
        });
        if !names.is_empty() {
            let weak = Arc::downgrade(&state);
            std::thread::Builder::new()
                .name("RadAcct names".to_owned())
                .spawn(move || look_up_for_ever(&names, local, &weak))
                .map_err(|e| format!("no thread can be started for the names of RADIUS servers: {e}"))?;
            state.wait_until_complete();
        }
        Ok(Servers { list, state, dead_time })
    }

    pub fn list(&self) -> &[Server] {
        &self.list
    }

    pub fn address(&self, server: usize) -> Option<SocketAddr> {
        self.state.lock().addresses.get(server).copied().flatten()
    }

    /// The servers as they are to be asked: as listed, and behind them those that have been silent of late.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        if !self.dead_time.is_zero() {
            let now = Instant::now();
            let state = self.state.lock();
            order.sort_by_key(|server| state.dead_until[*server].is_some_and(|until| until > now));
        }
        order
    }

    pub fn answered(&self, server: usize) {
        if !self.dead_time.is_zero() {
            self.state.lock().dead_until[server] = None;
        }
    }

    /// It was asked in vain.
    pub fn silent(&self, server: usize) {
        if !self.dead_time.is_zero() {
            self.state.lock().dead_until[server] = Some(Instant::now() + self.dead_time);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_complete(&self) {
        let state = self.lock();
        let waited = self
            .looked_up
            .wait_timeout_while(state, FIRST_LOOK_UP, |state| !state.complete);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends when the servers are gone.
fn look_up_for_ever(names: &[Name], local: Option<IpAddr>, shared: &Weak<Shared>) {
    let mut told = vec![false; names.len()];
    loop {
        let mut all_found = true;
        for (name, told) in names.iter().zip(&mut told) {
            let found = look_up(name, local);
            let Some(shared) = shared.upgrade() else {
                return;
            };
            match found {
                Ok(address) => {
                    shared.lock().addresses[name.server] = Some(address);
                    *told = false;
                }
                Err(reason) => {
                    all_found = false;
                    if !std::mem::replace(told, true) {
                        let kept = shared.lock().addresses[name.server];
                        let then =
                            kept.map_or_else(|| "it is skipped".to_owned(), |kept| format!("{kept} stays in use"));
                        tracing::warn!("RADIUS server {}: {reason}; {then}", name.host);
                    }
                }
            }
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let mut state = shared.lock();
        state.complete = true;
        drop(state);
        shared.looked_up.notify_all();
        drop(shared);
        std::thread::sleep(if all_found { REFRESH } else { AGAIN });
    }
}

fn look_up(name: &Name, local: Option<IpAddr>) -> Result<SocketAddr, String> {
    let found: Vec<SocketAddr> = (name.host.as_str(), name.port)
        .to_socket_addrs()
        .map_err(|e| format!("the name cannot be resolved: {e}"))?
        .collect();
    let fitting = found
        .iter()
        .find(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    fitting
        .or(found.first())
        .copied()
        .ok_or_else(|| "the name has no address".to_owned())
}
