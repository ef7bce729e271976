//! The input `status:HOST:PORT`: a running gatekeeper, followed for as long as billdrop runs.
//!
//! Two threads for each gatekeeper. One has the connection and reads (`session`); it never waits for modules. The
//! other makes events and gives them to the [`Sink`] (`follow`). Between them stands a queue with a limit in octets.
//! When it is full, reading stops and that is said; nothing is dropped. The gatekeeper then closes the connection after a
//! while, and what was not read is in its backlog.
//!
//! A connection that ends is made again, after one second at first and a minute at last. Then the backlog comes, whose events
//! have the same keys as before. What even the backlog does not have is told as a gap.

use std::{
    io,
    net::{Shutdown, TcpStream, ToSocketAddrs},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    follow::Follow,
    queue::{Offered, Queue},
    session::{End, Note, Session},
};
use crate::{account::event::Event, config::StatusInput};

const PORT: u16 = 7000;

/// Who takes events.
pub trait Sink: Send + Sync {
    /// Takes an event into safe hands. The same key is the same event, whatever it says.
    ///
    /// # Errors
    /// When it cannot be kept now; it is offered again until it can.
    fn event(&self, key: &str, event: &Event) -> Result<Taken, String>;

    /// Something is lost to accounting, or may be.
    fn gap(&self, text: &str);

    /// Trouble that has lost nothing.
    fn notice(&self, text: &str) {
        tracing::warn!("{text}");
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    /// It had been taken before.
    Known,
}

/// What a client needs besides the address.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    pub login: Login,
    /// Whether CDR lines are logged as stop events where the feed has none.
    pub cdr_lines: bool,
    /// Where it is kept what has been seen, so that a gap across a restart of billdrop is seen.
    pub memory: Option<PathBuf>,
    pub timing: Timing,
    /// Events that were read and wait to be taken, in octets of memory.
    pub queue: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            login: Login::default(),
            cdr_lines: true,
            memory: None,
            timing: Timing::default(),
            queue: 32 << 20,
        }
    }
}

impl ClientOptions {
    /// As configured. `memory`: where it is kept what was seen.
    ///
    /// # Errors
    /// When the password cannot be had, or is of no use.
    pub fn of(config: &StatusInput, memory: Option<PathBuf>) -> Result<Self, String> {
        let password = match (&config.user, &config.password) {
            (None, Some(_)) => return Err("[accounting.gatekeeper] password: there is no user beside it".into()),
            (_, None) => String::new(),
            (_, Some(secret)) => secret
                .reveal()
                .map_err(|e| format!("[accounting.gatekeeper] password: {e}"))?,
        };
        let heartbeat = config.heartbeat.0.max(Duration::from_secs(1));
        Ok(ClientOptions {
            login: Login {
                user: config.user.clone(),
                password,
            },
            cdr_lines: config.cdr_lines,
            memory,
            timing: Timing {
                heartbeat,
                // Three signs of life, and some time for the last one.
                silence: heartbeat.saturating_mul(3).saturating_add(Duration::from_secs(10)),
                ..Timing::default()
            },
            ..ClientOptions::default()
        })
    }
}

/// User and password at the status port.
#[derive(Clone, Default)]
pub struct Login {
    pub user: Option<String>,
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Time limits.
#[derive(Debug, Clone)]
pub struct Timing {
    pub connect: Duration,
    /// How often the gatekeeper is asked for a sign of life, and how long it may give none.
    pub heartbeat: Duration,
    pub silence: Duration,
    /// First and last pause before a connection is tried again.
    pub first_pause: Duration,
    pub last_pause: Duration,
    /// How long a CDR line waits for the stop event of the feed.
    pub cdr: Duration,
    /// How long a session id may be missing before it is told. A call that waits for its Setup is not in the feed.
    pub hole: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(100),
            first_pause: Duration::from_secs(1),
            last_pause: Duration::from_secs(60),
            cdr: Duration::from_secs(10),
            hole: Duration::from_secs(300),
        }
    }
}

/// A gatekeeper that is followed.
pub struct Client {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    input: String,
    address: String,
    options: ClientOptions,
    sink: Arc<dyn Sink>,
    queue: Queue<Note>,
    stop: Arc<AtomicBool>,
    /// The connection, so that a stop ends a read; and what wakes a pause.
    stream: Mutex<Option<TcpStream>>,
    woken: Condvar,
}

impl Client {
    /// Begins to follow. `address` is `HOST`, `HOST:PORT` or `[IPv6]:PORT`; 7000 by default. It may be down.
    ///
    /// # Errors
    /// When the address has no form that could be one, user or password cannot be sent, or no thread can be made.
    pub fn start(address: &str, options: ClientOptions, sink: Arc<dyn Sink>) -> Result<Self, String> {
        let input = format!("status:{address}");
        let address =
            with_port(address).ok_or_else(|| format!("{input}: write it as status:HOST or status:HOST:PORT"))?;
        let login = &options.login;
        let texts = [login.user.as_deref().unwrap_or_default(), &login.password];
        if texts.iter().any(|text| text.contains(['\r', '\n', '\0'])) {
            return Err(format!("{input}: user and password cannot have line ends in them"));
        }
        let shared = Arc::new(Shared {
            input,
            address,
            sink,
            queue: Queue::new(options.queue),
            options,
            stop: Arc::default(),
            stream: Mutex::default(),
            woken: Condvar::new(),
        });
        let failed = |e: io::Error| format!("{}: no thread can be made: {e}", shared.input);
        let follow = Follow::new(
            shared.input.clone(),
            Arc::clone(&shared.sink),
            shared.options.timing.clone(),
            shared.options.cdr_lines,
            shared.options.memory.clone(),
            Arc::clone(&shared.stop),
        );
        let queue = Arc::clone(&shared);
        let follower = thread::Builder::new()
            .name("status-events".into())
            .spawn(move || follow.run(&queue.queue))
            .map_err(failed)?;
        let connecting = Arc::clone(&shared);
        let connector = thread::Builder::new()
            .name("status-port".into())
            .spawn(move || connecting.connect_again_and_again())
            .map_err(|e| {
                shared.queue.close();
                failed(e)
            })?;
        Ok(Client {
            shared,
            threads: vec![connector, follower],
        })
    }

    /// Ends the connection, and returns when all that was read has been taken.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(stream) = &*self.shared.lock() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.woken.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn connect_again_and_again(&self) {
        let timing = &self.options.timing;
        let mut pause = timing.first_pause;
        let mut away: Option<Instant> = None;
        // Said once, until it changes or the gatekeeper is there.
        let mut said = String::new();
        while !self.stopped() {
            let (reason, refused) = match self.connect() {
                Ok(stream) => {
                    let (let_in, end) = self.speak(stream, &away);
                    if let_in {
                        away = None;
                        pause = timing.first_pause;
                        said.clear();
                        let _ = self.put_lost();
                    }
                    match end {
                        End::Stopped => break,
                        End::Lost(reason) => (reason, false),
                        End::Refused(reason) => (reason, true),
                    }
                }
                Err(reason) => (reason, false),
            };
            away.get_or_insert_with(Instant::now);
            if self.stopped() {
                break;
            }
            if reason != said {
                self.notice(&format!("{reason}; it is tried again until it works"));
                said = reason;
            }
            // A login that failed three times may lock the account.
            if refused {
                pause = timing.last_pause;
            }
            self.wait(pause);
            pause = (pause * 2).min(timing.last_pause);
        }
        self.queue.close();
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let addresses = self
            .address
            .to_socket_addrs()
            .map_err(|e| format!("{} cannot be looked up: {e}", self.address))?;
        let mut failure = format!("{} has no address", self.address);
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.options.timing.connect) {
                Ok(stream) => return Ok(stream),
                Err(e) => failure = format!("no connection to {address}: {e}"),
            }
        }
        Err(failure)
    }

    fn speak(&self, stream: TcpStream, away: &Option<Instant>) -> (bool, End) {
        *self.lock() = stream.try_clone().ok();
        let notice = |text: &str| self.notice(text);
        let options = &self.options;
        let session = Session::new(
            &stream,
            &options.login,
            &options.timing,
            &self.queue,
            &self.stop,
            &notice,
        );
        let outcome = session.run(*away);
        *self.lock() = None;
        outcome
    }

    /// The end of a connection goes the way of what came by it.
    fn put_lost(&self) -> Result<(), ()> {
        let mut note = Note::Lost;
        while let Offered::Full(back) = self.queue.offer(note, 0, Duration::from_millis(200)) {
            if self.stopped() {
                return Err(());
            }
            note = back;
        }
        Ok(())
    }

    fn wait(&self, pause: Duration) {
        let guard = self.lock();
        let waiting = self.woken.wait_timeout_while(guard, pause, |_| !self.stopped());
        drop(waiting);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn notice(&self, text: &str) {
        self.sink.notice(&format!("{}: {text}", self.input));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<TcpStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the port, as [`ToSocketAddrs`] wants it.
fn with_port(address: &str) -> Option<String> {
    let port_follows = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => address.find(':').map_or("", |at| &address[at..]),
    };
    let host = &address[..address.len() - port_follows.len()];
    if host.is_empty() || host == "[]" || host.contains(char::is_whitespace) {
        return None;
    }
    match port_follows.strip_prefix(':') {
        None => port_follows.is_empty().then(|| format!("{host}:{PORT}")),
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .map(|port| format!("{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_or_gets_one() {
        assert_eq!(with_port("gk.example").as_deref(), Some("gk.example:7000"));
        assert_eq!(with_port("192.0.2.1:17000").as_deref(), Some("192.0.2.1:17000"));
        assert_eq!(with_port("[2001:db8::1]").as_deref(), Some("[2001:db8::1]:7000"));
        assert_eq!(with_port("[2001:db8::1]:7").as_deref(), Some("[2001:db8::1]:7"));
        for wrong in [
            "",
            ":7000",
            "gk:",
            "gk:0",
            "gk:70000",
            "2001:db8::1",
            "[2001:db8::1",
            "a b",
            "[]:1",
        ] {
            assert_eq!(with_port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_needs_a_user_and_a_silence_is_longer_than_the_heartbeat() {
        let config: StatusInput = toml::from_str("user = 'op'\npassword = 'pw1'\nheartbeat = '10s'").unwrap();
        let options = ClientOptions::of(&config, None).unwrap();
        assert_eq!(options.login.password, "pw1");
        assert_eq!(options.timing.silence, Duration::from_secs(40));
        let alone: StatusInput = toml::from_str("password = 'pw1'").unwrap();
        assert!(!ClientOptions::of(&alone, None).unwrap_err().contains("pw1"));
        let unset: StatusInput = toml::from_str("user = 'op'\npassword = { file = '/nonexistent' }").unwrap();
        assert!(ClientOptions::of(&unset, None).unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = Login {
            user: Some("op".into()),
            password: "pw1-secret".into(),
        };
        assert!(!format!("{login:?}").contains("pw1"));
    }
}
