//! One connection and its clocks: what has come and is not looked at yet, what is to be sent, and until when somebody must
//! have said something.
//!
//! | stage | what leads out of it |
//! |---|---|
//! | dialling | TCP is there: greeting. Too late, or an error: gone |
//! | greeting | the exchange of CONNECT: open. Too late, or anything else: leaving |
//! | open | DISCONNECT, a general ERROR, silence, the end of the octets: leaving |
//! | leaving | what is queued is sent, our half is closed, the other one closes its own, or it takes too long: gone |

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::wire::{Came, Wire};
use crate::protocol::ipdr::{Body, Capabilities, DecodeError, FrameReader, Message, NotAMessage};

/// Octets that may wait for a collector: no more records are taken from the store then.
pub(super) const HIGH: usize = 256 << 10;

/// Records are taken again when no more than this waits.
const LOW: usize = 64 << 10;

/// With so many octets waiting, a collector that keeps asking is not read any more.
const TOO_MANY: usize = 2 * HIGH;

/// The longest message of somebody who has not said CONNECT.
const MOST_OF_STRANGERS: u32 = 4 << 10;

/// How long a connection may take to close.
const LEAVING: Duration = Duration::from_secs(2);

/// What a peer that announces no interval is taken to bear.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(60);

/// What is added to our own interval before somebody counts as silent.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    pub wire: Wire,
    pub address: SocketAddr,
    pub stage: Stage,
    /// The collector that we dialled, or that has said who it is.
    pub peer: Option<usize>,
    pub vendor: String,
    pub since: DateTime<Utc>,
    /// What both sides can do.
    pub common: Capabilities,
    /// It writes 0 for the one session that it has, and is answered so.
    pub writes_zero: bool,
    /// Messages that were out of place.
    pub oddities: u32,
    /// When a whole message came last.
    pub heard: Instant,
    /// When something was queued for it last.
    spoke: Instant,
    /// When the socket took something last, or had nothing to take.
    pub moved: Instant,
    /// How long it bears our silence.
    interval: Duration,
    reader: FrameReader,
    /// Octets that have come and are not looked at, from `looked_at` on.
    input: Vec<u8>,
    looked_at: usize,
    /// The peer has closed its half.
    is_at_end: bool,
    marks: VecDeque<Mark>,
    is_finished: bool,
}

/// Which DATA ends where in what is sent.
#[derive(Debug, Clone, Copy)]
struct Mark {
    end: u64,
    session: usize,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP is under way.
    Dialling {
        until: Instant,
    },
    Greeting {
        until: Instant,
    },
    Open,
    Leaving {
        until: Instant,
    },
}

/// What could be read of what came.
#[derive(Debug)]
pub(super) enum Said {
    Message(Message),
    Unreadable(DecodeError),
    Garbage(NotAMessage),
}

impl Connection {
    pub(super) fn new(wire: Wire, address: SocketAddr, stage: Stage, now: Instant) -> Connection {
        Connection {
            wire,
            address,
            stage,
            peer: None,
            vendor: String::new(),
            since: Utc::now(),
            common: Capabilities::default(),
            writes_zero: false,
            oddities: 0,
            heard: now,
            spoke: now,
            moved: now,
            interval: UNKNOWN_INTERVAL,
            reader: FrameReader::new(MOST_OF_STRANGERS),
            input: Vec::new(),
            looked_at: 0,
            is_at_end: false,
            marks: VecDeque::new(),
            is_finished: false,
        }
    }

    /// CONNECT has been exchanged.
    pub(super) fn open(&mut self, peer: usize, their_seconds: u32, vendor: String, most_message: u32, now: Instant) {
        self.stage = Stage::Open;
        self.peer = Some(peer);
        self.vendor = vendor;
        self.since = Utc::now();
        self.heard = now;
        self.interval = match their_seconds {
            0 => UNKNOWN_INTERVAL,
            seconds => Duration::from_secs(seconds.into()),
        };
        self.reader = FrameReader::new(most_message);
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Neither a collector's nor on its way out.
    pub(super) fn is_unknown(&self) -> bool {
        self.peer.is_none() && matches!(self.stage, Stage::Greeting { .. })
    }

    pub(super) fn wants_read(&self) -> bool {
        !self.is_at_end && !matches!(self.stage, Stage::Dialling { .. }) && self.wire.queued() < TOO_MANY
    }

    pub(super) fn wants_write(&self) -> bool {
        matches!(self.stage, Stage::Dialling { .. }) || self.wire.wants_write()
    }

    /// Whether it shall get more records now.
    pub(super) fn has_room(&self) -> bool {
        self.wire.queued() <= LOW
    }

    /// Whether messages wait that were not looked at because too much was queued.
    pub(super) fn has_unread(&self) -> bool {
        self.looked_at < self.input.len() && self.wire.queued() < TOO_MANY
    }

    /// Reads what there is, a piece of it. Whether the octets have ended.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Result<Came, String> {
        if self.is_at_end {
            return Ok(Came::End);
        }
        let came = self.wire.read(scratch)?;
        match came {
            // Who leaves is not listened to.
            Came::Octets(_) if matches!(self.stage, Stage::Leaving { .. }) => {}
            Came::Octets(octets) => self.input.extend_from_slice(&scratch[..octets]),
            Came::End => self.is_at_end = true,
            Came::Nothing => {}
        }
        Ok(came)
    }

    /// The next message of what was received.
    pub(super) fn next(&mut self, now: Instant) -> Option<Said> {
        if matches!(self.stage, Stage::Leaving { .. }) || self.wire.queued() >= TOO_MANY {
            return None;
        }
        let mut rest = &self.input[self.looked_at..];
        let said = match self.reader.read(&mut rest) {
            Ok(None) => None,
            Ok(Some(frame)) => Some(match Message::decode(&frame) {
                Ok(message) => Said::Message(message),
                Err(error) => Said::Unreadable(error),
            }),
            Err(error) => Some(Said::Garbage(error)),
        };
        self.looked_at = self.input.len() - rest.len();
        match &said {
            None => {
                self.input.clear();
                self.looked_at = 0;
            }
            Some(_) => self.heard = now,
        }
        said
    }

    /// Queues a message.
    pub(super) fn send(&mut self, session_id: u8, body: Body, now: Instant) {
        let session_id = if self.writes_zero { 0 } else { session_id };
        // Only a name or a template of four gigabytes could be too long.
        if Message::new(session_id, body).encode(self.wire.out()).is_ok() {
            self.queued(now);
        }
    }

    /// Something was appended to the wire's output.
    pub(super) fn queued(&mut self, now: Instant) {
        self.spoke = now;
    }

    /// A record was appended to the wire's output.
    #[inline]
    pub(super) fn mark(&mut self, session: usize, sequence: u64) {
        let end = self.wire.appended();
        self.marks.push_back(Mark { end, session, sequence });
    }

    /// Gives the socket what it takes. `written` is told of the last record of each session that has gone.
    pub(super) fn flush(&mut self, now: Instant, mut written: impl FnMut(usize, u64)) -> Result<(), String> {
        if self.wire.queued() == 0 {
            self.moved = now;
        }
        let before = self.wire.gone();
        let flushed = self.wire.flush();
        let gone = self.wire.gone();
        if gone > before {
            self.moved = now;
        }
        let mut last: Option<Mark> = None;
        while let Some(mark) = self.marks.front().filter(|mark| mark.end <= gone) {
            if let Some(other) = last.filter(|last| last.session != mark.session) {
                written(other.session, other.sequence);
            }
            last = Some(*mark);
            self.marks.pop_front();
        }
        if let Some(mark) = last {
            written(mark.session, mark.sequence);
        }
        flushed
    }

    /// Ends it, with what is queued still to be sent.
    pub(super) fn leave(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Leaving { .. }) {
            self.stage = Stage::Leaving { until: now + LEAVING };
            self.peer = None;
            self.marks.clear();
            self.input = Vec::new();
            self.looked_at = 0;
        }
    }

    /// Whether nothing more is to be expected of one that leaves.
    pub(super) fn is_gone(&mut self, now: Instant) -> bool {
        let Stage::Leaving { until } = self.stage else {
            return false;
        };
        if !self.is_finished && !self.wire.wants_write() {
            self.is_finished = true;
            self.wire.finish();
        }
        now >= until || (self.is_finished && self.is_at_end)
    }

    /// When KEEP_ALIVE is due: after a third of the silence that the peer bears. Not while something is queued; what keeps
    /// the queue is that the peer does not read.
    pub(super) fn keep_alive_due(&self) -> Option<Instant> {
        (self.is_open() && self.wire.queued() == 0).then(|| self.spoke + self.interval / 3)
    }

    /// Until when it must have got further; [`None`]: it is open.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Dialling { until } | Stage::Greeting { until } | Stage::Leaving { until } => Some(until),
            Stage::Open => None,
        }
    }

    /// When it has been silent for too long, or should have been further.
    pub(super) fn deadline(&self, our_interval: Duration) -> Instant {
        self.until().unwrap_or(self.heard + our_interval + GRACE)
    }
}
