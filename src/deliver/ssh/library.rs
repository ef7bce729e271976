//! An SSH connection by libssh2.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use ssh2::{Channel, MethodType, Session};

use super::{
    Conversation, Ended, LONGEST_ERROR, Ssh, known_hosts::KnownHosts, login, program::Program, watchdog::Watchdog,
};
use crate::deliver::{DeliveryError, Destination, Failure, Result, error::said, socket};

/// How often a silent connection is asked whether it is still there, in seconds.
const KEEPALIVE: u32 = 15;

/// How long a connection that has failed may take to be taken down, in milliseconds.
const FAREWELL: u32 = 200;

pub struct Connection {
    session: Session,
    destination: Destination,
    /// The key of the host, which is the one it should have.
    host_key: Vec<u8>,
    /// The same connection again, for its options.
    stream: Arc<TcpStream>,
    watchdog: Arc<Watchdog>,
    timeout: Duration,
}

impl Connection {
    pub fn open(destination: &Destination) -> Result<Self> {
        let endpoint = &destination.endpoint;
        let (host, port) = (endpoint.host.as_str(), endpoint.port);
        // Before anything is sent: a file that cannot be read is not the server's fault.
        let known = KnownHosts::read(destination)?;
        let stream = socket::connect_tcp(host, port, destination.bind, destination.timeout)?;
        let mut session = Session::new().map_err(|e| failed("making a session", &e))?;
        session.set_timeout(milliseconds(destination.timeout));
        let connecting = |e| DeliveryError::wire("connecting", &e);
        let options = stream.try_clone().map_err(connecting)?;
        let watchdog = Watchdog::start(stream.try_clone().map_err(connecting)?).map_err(connecting)?;
        let watched = watchdog.allow(destination.timeout);
        session.set_tcp_stream(stream);
        prefer_known_keys(&session, &known)?;
        session.handshake().map_err(|e| {
            let reason = format!(
                "no SSH connection with {host} port {port}: {}",
                said(e.message().as_bytes())
            );
            DeliveryError::new(Failure::Unreachable, reason)
        })?;
        let (key, _) = session
            .host_key()
            .ok_or_else(|| DeliveryError::new(Failure::UnknownHost, "the server has shown no host key"))?;
        known.check(key, destination.accept_new)?;
        let host_key = key.to_owned();
        drop(watched);
        // The ways in are tried one after the other, each within the limit.
        let watched = watchdog.allow(destination.timeout * 4);
        login::log_in(&session, destination)?;
        drop(watched);
        Ok(Connection {
            session,
            destination: destination.clone(),
            host_key,
            stream: Arc::new(options),
            watchdog: Arc::new(watchdog),
            timeout: destination.timeout,
        })
    }

    fn start(
        &self,
        doing: &str,
        start: impl FnOnce(&mut Channel) -> std::result::Result<(), ssh2::Error>,
    ) -> Result<Talk> {
        self.session.set_timeout(milliseconds(self.timeout));
        let _watched = self.watchdog.allow(self.timeout * 2);
        acknowledge_at_once(&self.stream);
        let mut channel = self.session.channel_session().map_err(|e| failed(doing, &e))?;
        acknowledge_at_once(&self.stream);
        start(&mut channel).map_err(|e| failed(doing, &e))?;
        Ok(Talk {
            channel,
            session: self.session.clone(),
            stream: Arc::clone(&self.stream),
            watchdog: Arc::clone(&self.watchdog),
            failed: false,
        })
    }
}

/// A host may have several keys. It is asked for those that we know, else it would look as if it had changed.
fn prefer_known_keys(session: &Session, known: &KnownHosts) -> Result<()> {
    let wanted = known.algorithms();
    let all = session
        .supported_algs(MethodType::HostKey)
        .map_err(|e| failed("choosing algorithms", &e))?;
    let (mut first, rest): (Vec<&str>, Vec<&str>) = all.iter().partition(|name| wanted.contains(**name));
    if !first.is_empty() {
        first.extend(rest);
        let list = first.join(",");
        session
            .method_pref(MethodType::HostKey, &list)
            .map_err(|e| failed("choosing algorithms", &e))?;
    }
    Ok(())
}

impl Ssh for Connection {
    fn run(&mut self, command: &str) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(
            self.start("starting a command", |channel| channel.exec(command))?,
        ))
    }

    fn subsystem(&mut self, name: &str) -> Result<Box<dyn Conversation>> {
        let doing = format!("starting the subsystem {name}");
        Ok(Box::new(self.start(&doing, |channel| channel.subsystem(name))?))
    }

    fn is_one_connection(&self) -> bool {
        true
    }

    fn faster(&self) -> Option<Box<dyn Ssh>> {
        let program = self.destination.bulk_program()?;
        // Behind one name there may be several hosts.
        let address = self.stream.peer_addr();
        let beside = address.and_then(|address| Program::beside(program, &self.destination, address, &self.host_key));
        match beside {
            Ok(beside) => Some(Box::new(beside)),
            Err(e) => {
                tracing::info!("{}: no faster connection: {e}", self.destination);
                None
            }
        }
    }

    /// A channel that is opened and closed: meanwhile the library answers what the server has asked.
    fn show_life(&mut self) -> Result<()> {
        self.session.set_timeout(milliseconds(self.timeout));
        let _watched = self.watchdog.allow(self.timeout * 2);
        let channel = self.session.channel_session();
        channel
            .map(drop)
            .map_err(|e| failed("showing the server that we are there", &e))
    }
}

struct Talk {
    channel: Channel,
    session: Session,
    stream: Arc<TcpStream>,
    watchdog: Arc<Watchdog>,
    failed: bool,
}

impl Talk {
    fn limit(&self) -> Duration {
        Duration::from_millis(self.session.timeout().into())
    }

    /// With questions whether the server is still there. When it is time for one, the library ends the wait as if the limit
    /// were over, so it is told of them only here.
    fn patiently<T>(&mut self, mut call: impl FnMut(&mut Channel) -> io::Result<T>) -> io::Result<T> {
        let (begun, limit) = (Instant::now(), self.limit());
        let watched = self.watchdog.allow(limit);
        self.session.set_keepalive(true, KEEPALIVE);
        let result = loop {
            let result = call(&mut self.channel);
            let left = limit.saturating_sub(begun.elapsed());
            match &result {
                Err(e) if e.kind() == io::ErrorKind::TimedOut && !left.is_zero() => {
                    self.session.set_timeout(milliseconds(left));
                }
                _ => break result,
            }
        };
        self.session.set_keepalive(true, 0);
        self.session.set_timeout(milliseconds(limit));
        drop(watched);
        self.note(result)
    }

    /// After a failure the library would wait for the other side once more when the channel is given up.
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.failed = true;
            self.session.set_timeout(FAREWELL);
        }
        result
    }
}

impl Read for Talk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        acknowledge_at_once(&self.stream);
        self.patiently(|channel| channel.read(buffer))
    }
}

impl Write for Talk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.patiently(|channel| channel.write(octets))
    }

    /// Nothing is kept back; the library's own `flush` throws away what was received.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Conversation for Talk {
    fn patience(&mut self, limit: Duration) {
        self.session.set_timeout(milliseconds(limit));
    }

    fn end_input(&mut self) -> io::Result<()> {
        let watched = self.watchdog.allow(self.limit());
        let result = self.channel.send_eof().map_err(io::Error::from);
        drop(watched);
        self.note(result)
    }

    fn end(mut self: Box<Self>) -> Ended {
        let mut ended = Ended::default();
        if self.failed {
            return ended;
        }
        acknowledge_at_once(&self.stream);
        let watchdog = Arc::clone(&self.watchdog);
        let _watched = watchdog.allow(self.limit() * 2);
        let _ = self.channel.send_eof();
        let _ = io::copy(&mut (&mut self.channel).take(LONGEST_ERROR), &mut io::sink());
        let _ = self.channel.stderr().take(LONGEST_ERROR).read_to_end(&mut ended.words);
        acknowledge_at_once(&self.stream);
        let closed = self.channel.close().and_then(|()| self.channel.wait_close());
        if closed.is_ok() {
            let signalled = self
                .channel
                .exit_signal()
                .is_ok_and(|signal| signal.exit_signal.is_some());
            ended.status = self.channel.exit_status().ok().filter(|_| !signalled);
        }
        ended
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Giving the channel up sends a message, which nobody may be there to take.
        self.session.set_timeout(FAREWELL);
        let _watched = self.watchdog.allow(self.limit());
        let _ = self.channel.close();
    }
}

/// sshd sends its answers in small pieces and waits after each until it is acknowledged, which takes 40 ms by default.
/// The kernel forgets this again and again.
fn acknowledge_at_once(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

fn failed(doing: &str, error: &ssh2::Error) -> DeliveryError {
    DeliveryError::wire(
        doing,
        &io::Error::from(ssh2::Error::new(error.code(), "")).kind().into(),
    )
    .because(error)
}

impl DeliveryError {
    /// With the library's own words, which name the step of the protocol.
    fn because(self, error: &ssh2::Error) -> Self {
        DeliveryError::new(self.failure(), format!("{self} ({})", said(error.message().as_bytes())))
    }
}
