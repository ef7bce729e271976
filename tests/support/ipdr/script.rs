//! How a collector behaves.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// All of it, for every connection of one collector. The default behaves as the specification asks.
#[derive(Debug, Clone)]
pub struct Script {
    /// Whether it waits for the exporter to connect.
    pub is_dialled: bool,
    /// The longest silence that it announces, in seconds.
    pub keep_alive: u32,
    pub capabilities: u32,
    /// `CONNECT.initiatorAddress`, if it is not the address that it comes from.
    pub initiator_address: Option<IpAddr>,
    /// Whether `vendorId` has its length before it.
    pub vendor_has_length: bool,
    /// Whether u16 fields are written with the low octet first.
    pub is_little_endian: bool,
    /// Whether KEEP_ALIVE is sent with a number of a session.
    pub keep_alive_session: u8,
    /// Whether it asks for sessions and templates before it starts the flow.
    pub asks: bool,
    /// The sessions that it starts; `None`: all that the exporter offers.
    pub sessions: Option<Vec<u8>>,
    /// How the documents are acknowledged, one after the other; again from the start when the list is over.
    pub acks: Vec<Acks>,
    /// Octets that wait in the kernel.
    pub receive_buffer: Option<usize>,
    /// Octets that are read at once.
    pub piece: usize,
    /// What it does when; each is done once in the collector's life.
    pub misdeeds: Vec<(When, Act)>,
    /// Whether it connects again after it went away by its own misdeed; else only when it is told to.
    pub comes_back: bool,
    /// Whether it answers SESSION_STOP with FLOW_STOP, and never starts the flow again on that connection.
    pub stops_for_ever: bool,
    /// TLS with this authority's certificates; the certificate and the key of its own, if any.
    pub tls: Option<(PathBuf, Option<(PathBuf, PathBuf)>)>,
    /// Keeps what went over the wire.
    pub tape: Option<Tape>,
}

/// What went over a connection, in order: whether it came from the exporter, and the octets.
pub type Tape = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

impl Default for Script {
    fn default() -> Self {
        Script {
            is_dialled: false,
            keep_alive: 300,
            capabilities: 2,
            initiator_address: None,
            vendor_has_length: true,
            is_little_endian: false,
            keep_alive_session: 0,
            asks: true,
            sessions: None,
            acks: vec![Acks::Orderly],
            receive_buffer: None,
            piece: 256 << 10,
            misdeeds: Vec::new(),
            comes_back: false,
            stops_for_ever: false,
            tls: None,
            tape: None,
        }
    }
}

impl Script {
    pub fn acknowledging(acks: &[Acks]) -> Self {
        Script {
            acks: acks.to_vec(),
            ..Script::default()
        }
    }

    pub fn with(when: When, act: Act) -> Self {
        Script {
            misdeeds: vec![(when, act)],
            ..Script::default()
        }
    }
}

/// How the records of a document are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Acks {
    /// When the count is reached, when the time is over, and upon KEEP_ALIVE and SESSION_STOP.
    Orderly,
    /// Each record at once.
    Each,
    /// Orderly, but the first and each 16,384th one that much later.
    Late(Duration),
    /// Those of four times the count together, the last ones before the first; or an old one after each.
    OutOfOrder,
    /// Each a second time.
    Twice,
    /// The last one only after SESSION_STOP, and again after that.
    AfterStop,
    /// Beside each one that is right: far beyond what was sent, and the first number.
    Silly,
    /// Number 0 on a timer, whatever was received; beside that, orderly.
    ZeroOnTimer,
    /// Always the same one, of the first record.
    Stuck,
    Never,
}

/// A point in the life of a connection; those that name a session are for each session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// TCP is there, nothing is said.
    Accepted,
    Connected,
    /// The list of sessions is there.
    Listed,
    /// FLOW_START is sent.
    FlowStarted,
    /// The templates are there, not acknowledged.
    Templated,
    /// The templates are acknowledged.
    Ready,
    SessionStarted,
    /// So many records have been received on this connection.
    Records(u64),
    SessionStopped,
}

/// Something that is done once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// The connection is torn down: RST.
    Reset,
    /// The connection is closed: FIN.
    Finish,
    /// DISCONNECT, then closed.
    Disconnect,
    /// ERROR, then closed.
    Error(u16),
    /// FLOW_STOP, ERROR, DISCONNECT, then closed.
    Everything,
    /// ERROR about the session; it stays connected.
    SessionError(u16),
    /// FLOW_STOP with this reason; it stays connected.
    FlowStop(u16),
    /// FLOW_STOP, and FLOW_START at once again.
    Restart,
    /// Reads and says nothing any more, until it is told to go on.
    Hang,
    /// Reads in small pieces, with 1024 octets that wait in the kernel.
    Slow,
    /// Answers no record any more, but keeps the connection alive.
    Mute,
    /// FLOW_START for a session that nobody has offered.
    StartUnknown(u8),
}

/// What a test tells a collector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    /// Now.
    Do(Act),
    /// Connects again; starts the flow again; reads again.
    GoOn,
    /// Stays away from the next end of a connection on.
    End,
}
