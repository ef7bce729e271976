//! Where one message ends and the next begins: the header of eight octets, and a reader for octets as they come from a
//! socket.

use super::octets::{Defect, Input};

/// The version octet of IPDR/SP 2.0 and all later ones. 1 is CRANE, another protocol.
pub const VERSION: u8 = 2;

/// The longest message that is taken from a collector. The longest real one gives templates back, a few thousand octets.
pub const MAX_FROM_COLLECTOR: u32 = 64 << 10;

pub(super) const HEADER: usize = 8;

/// What stands before each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub message_id: u8,
    /// 0 where no session is meant. Some peers set it in messages that are of none.
    pub session_id: u8,
    /// The whole message, these eight octets included.
    pub length: u32,
}

/// The octets are no messages of IPDR/SP: nothing behind them can be understood, the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    #[error("version {0} instead of 2 of IPDR/SP")]
    Version(u8),
    #[error("a message of {length} octets, from 8 to {limit} are allowed")]
    Length { length: u32, limit: u32 },
}

impl Header {
    /// Reads a header; the messageFlags are ignored, there are none.
    ///
    /// # Errors
    /// When the version is another, or the length is not within 8 and `limit`.
    pub fn read(octets: &[u8; HEADER], limit: u32) -> Result<Header, NotAMessage> {
        let [version, message_id, session_id, _flags, length @ ..] = *octets;
        if version != VERSION {
            return Err(NotAMessage::Version(version));
        }
        let length = u32::from_be_bytes(length);
        if !(HEADER as u32..=limit).contains(&length) {
            return Err(NotAMessage::Length { length, limit });
        }
        Ok(Header {
            message_id,
            session_id,
            length,
        })
    }

    /// A header whose length is written by [`finish`].
    pub(super) fn begin(out: &mut Vec<u8>, message_id: u8, session_id: u8) {
        out.extend_from_slice(&[VERSION, message_id, session_id, 0, 0, 0, 0, 0]);
    }
}

/// Writes the length of the message that began at `begin` and ends with `out`.
pub(super) fn finish(out: &mut [u8], begin: usize) -> Result<(), super::TooLong> {
    let message = &mut out[begin..];
    let length = u32::try_from(message.len()).map_err(|_| super::TooLong)?;
    message[4..HEADER].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// One message: its header and the octets behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub header: Header,
    pub body: &'a [u8],
}

/// Takes octets in pieces of any size and gives whole messages. It holds at most one message, and takes memory only for
/// octets that have come, whatever a header promises.
#[derive(Debug)]
pub struct FrameReader {
    limit: u32,
    buffer: Vec<u8>,
    /// The message in the buffer has been given: its octets go with the next call.
    given: bool,
}

impl FrameReader {
    /// `limit`: the longest message in octets, its header included.
    pub fn new(limit: u32) -> FrameReader {
        FrameReader {
            limit,
            buffer: Vec::new(),
            given: false,
        }
    }

    /// Takes what it needs from the begin of `octets`. [`None`] when they are used up and the message is not whole;
    /// call it until then.
    ///
    /// # Errors
    /// As soon as a header is there that cannot be one. Every later call then fails the same way.
    pub fn read(&mut self, octets: &mut &[u8]) -> Result<Option<Frame<'_>>, NotAMessage> {
        if self.given {
            self.buffer.clear();
            self.given = false;
        }
        self.fill(octets, HEADER);
        let Some(header) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let header = Header::read(header, self.limit)?;
        let length = header.length as usize;
        self.fill(octets, length);
        if self.buffer.len() < length {
            return Ok(None);
        }
        self.given = true;
        Ok(Some(Frame {
            header,
            body: &self.buffer[HEADER..],
        }))
    }

    /// Whether a message has begun and is not whole: a connection that ends here was cut off.
    pub fn is_within_message(&self) -> bool {
        !self.given && !self.buffer.is_empty()
    }

    fn fill(&mut self, octets: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.buffer.len()).min(octets.len());
        let (taken, rest) = octets.split_at(missing);
        self.buffer.extend_from_slice(taken);
        *octets = rest;
    }
}

/// What is wrong with a message whose begin and end are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("message {0:#04x} is not known")]
    UnknownMessage(u8),
    #[error("{message} cannot be read: {defect}")]
    Broken { message: &'static str, defect: Defect },
}

impl DecodeError {
    /// What the peer is told.
    pub fn answer(&self) -> super::ErrorKind {
        match self {
            DecodeError::UnknownMessage(_) => super::ErrorKind::InvalidForCapabilities,
            DecodeError::Broken { .. } => super::ErrorKind::Decode,
        }
    }
}

impl<'a> Frame<'a> {
    pub(super) fn input(&self) -> Input<'a> {
        Input::new(self.body)
    }
}
