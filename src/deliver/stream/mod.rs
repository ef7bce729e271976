//! Streams a document to a collector, as a CMTS does: connect, send one whole IPDRDoc, close our half, wait for theirs.
//!
//! The wire has no acknowledgement but the end of the connection, so the end is looked at closely:
//!
//! | what the collector does | what it means |
//! |---|---|
//! | closes after our end, everything acknowledged | it has the document |
//! | closes before our end | failure: it cannot have the document |
//! | resets, at any time | failure: something of the document was not read |
//! | does not read, or does not close | failure, when the time is over |
//! | says something | nothing: it is read and thrown away, since what nobody reads resets the connection |
//!
//! A CMTS calls it a success when all octets are written; a collector that expects TLS and gets plain text, or the
//! reverse, then loses everything unseen. Here the first octets of an answer are looked at, and the error says so.
//!
//! With TLS "our end" is the alert close_notify and the end of our half of the connection; a collector may answer with
//! the same or just close. Nothing here knows of the ledger: who calls decides what a failure leads to.

mod wire;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::pki_types::ServerName;

use super::socket;
use crate::{config, ledger::CollectionStatus, tls};
use wire::Wire;

/// A collector and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// [`None`]: plain text.
    pub tls: Option<Security>,
    /// Own address that connections come from.
    pub source: Option<IpAddr>,
    pub limits: Limits,
}

/// TLS 1.2 or 1.3 towards a collector. The files are read for each connection, so that they can be replaced.
#[derive(Debug, Clone)]
pub struct Security {
    pub trust: config::Tls,
    /// Certificate chain and private key in PEM, where the collector wants to see one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the connection, and again for the TLS handshake.
    pub connect: Duration,
    /// How long the collector may take nothing, and how long it may keep the connection open when it has everything.
    pub idle: Duration,
    /// For one document, from the first octet to the end.
    pub total: Duration,
}

/// A document that the collector has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub octets: u64,
    pub elapsed: Duration,
}

/// Why a collector did not get a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    pub kind: Kind,
    message: String,
    next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No connection, or no TLS: nothing of the document was sent.
    NotConnected,
    /// The collector did not take the whole document.
    Incomplete,
    /// A file of ours: a certificate, a key.
    Own,
}

impl Kind {
    /// `CcmtrStatus` of CISCO-CABLE-METERING-MIB.
    pub fn status(self) -> CollectionStatus {
        match self {
            Kind::NotConnected => CollectionStatus::ConnectionTimeout,
            Kind::Incomplete => CollectionStatus::DataIncomplete,
            Kind::Own => CollectionStatus::WriteError,
        }
    }
}

impl StreamError {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        StreamError {
            kind,
            message: message.into(),
            next: None,
        }
    }

    fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// What happened, in one line, without the next step.
    pub fn reason(&self) -> &str {
        &self.message
    }

    fn at(mut self, collector: &Collector) -> Self {
        self.message = format!("{collector}: {}", self.message);
        self
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(step) => write!(f, "\n  {step}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StreamError {}

/// As traps name it: `192.0.2.9:5300`, IPv6 in brackets.
impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

const ADDRESSES: usize = 8;

/// One document on its way. Dropped before [`Sending::finish`], the collector sees a reset, not an end: no beginning
/// passes for a whole document.
pub struct Sending {
    wire: Wire,
    collector: Collector,
    began: Instant,
    octets: u64,
}

impl Sending {
    /// Connects, and with TLS believes the certificate, before anything is sent. Tries the addresses of the host, eight at
    /// most: each may cost the whole time limit, and DNS may know any number.
    pub fn connect(collector: &Collector) -> Result<Self, StreamError> {
        Self::open(collector).map_err(|e| e.at(collector))
    }

    fn open(collector: &Collector) -> Result<Self, StreamError> {
        let not_connected = |reason: String| StreamError::new(Kind::NotConnected, reason);
        let tls = collector.tls.as_ref().map(Security::client).transpose()?;
        let addresses = socket::resolve(&collector.host, collector.port, collector.source)
            .map_err(|e| not_connected(e.to_string()))?;
        let mut last = None;
        for address in addresses.into_iter().take(ADDRESSES) {
            match Self::open_to(collector, address, tls.as_ref()) {
                Ok(wire) => {
                    return Ok(Sending {
                        wire,
                        collector: collector.clone(),
                        began: Instant::now(),
                        octets: 0,
                    });
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| not_connected("it has no address".to_owned())))
    }

    fn open_to(collector: &Collector, address: SocketAddr, tls: Option<&tls::Client>) -> Result<Wire, StreamError> {
        let limits = collector.limits;
        let stream = socket::connect_to(address, collector.source, limits.connect).map_err(|e| {
            let reason = match e.kind() {
                std::io::ErrorKind::ConnectionRefused => "nobody listens there: connection refused".to_owned(),
                std::io::ErrorKind::TimedOut => {
                    format!("no connection within {}", humantime::format_duration(limits.connect))
                }
                _ => format!("cannot connect: {e}"),
            };
            StreamError::new(Kind::NotConnected, reason)
        })?;
        let session = match tls {
            None => None,
            Some(client) => {
                let name = ServerName::try_from(collector.host.clone())
                    .map_err(|_| StreamError::new(Kind::Own, format!("{:?} is no name of a host", collector.host)))?;
                let config = Arc::new(client.config.clone());
                let session = rustls::ClientConnection::new(config, name)
                    .map_err(|e| StreamError::new(Kind::Own, format!("TLS cannot be set up: {e}")))?;
                Some((session, client.refusal.clone()))
            }
        };
        Wire::begin(stream, session, limits)
    }

    /// Sends a piece of the document; returns when the system has taken it.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), StreamError> {
        let left = self.time_left();
        self.wire.send(octets, left).map_err(|e| e.at(&self.collector))?;
        self.octets += octets.len() as u64;
        Ok(())
    }

    /// Says that this was the whole document, and waits until the collector has read it and closed.
    pub fn finish(mut self) -> Result<Taken, StreamError> {
        let left = self.time_left();
        self.wire.finish(left).map_err(|e| e.at(&self.collector))?;
        Ok(Taken {
            octets: self.octets,
            elapsed: self.began.elapsed(),
        })
    }

    fn time_left(&self) -> Instant {
        self.began + self.collector.limits.total
    }
}

impl Collector {
    /// Whether our own files for TLS are such that a connection could be tried.
    pub fn examine(&self) -> Result<(), StreamError> {
        self.tls.as_ref().map(Security::client).transpose().map(drop)
    }
}

impl Security {
    fn client(&self) -> Result<tls::Client, StreamError> {
        let identity = self
            .identity
            .as_ref()
            .map(|(chain, key)| (chain.as_path(), key.as_path()));
        tls::client_with(&self.trust, identity).map_err(|e| StreamError::new(Kind::Own, e))
    }
}

#[cfg(test)]
mod tests;
