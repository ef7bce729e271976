//! An SFTP client: many requests on the way at once, each answered by its number.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use super::packet::{self, Attributes, Fields, Packet};
use crate::deliver::{
    DeliveryError, Failure, Result,
    error::{classify, said, said_last},
    ssh::Conversation,
};

/// Longest packet that is taken from a server; ours ask for less.
const LONGEST_PACKET: u32 = 512 << 10;

/// What each server must take in one write, and what we send at most.
const SMALL_WRITE: usize = 32 << 10;
const LARGE_WRITE: usize = 255 << 10;

/// Octets that may be on the way without an answer.
const ON_THE_WAY: usize = 4 << 20;

pub struct Client {
    talk: Box<dyn Conversation>,
    next_id: u32,
    /// Writes that have not been answered yet, by their numbers.
    awaited: VecDeque<u32>,
    /// How long a whole answer may take.
    limit: Duration,
    /// Octets in one write.
    pub piece: usize,
    extensions: Vec<String>,
    received: Vec<u8>,
}

/// An open file at the other side.
pub struct Handle(Vec<u8>);

/// What a server refused: the code, and its words.
#[derive(Debug)]
pub struct Status {
    pub code: u32,
    pub words: String,
}

impl Client {
    /// `limit`: how long an answer may take.
    pub fn start(talk: Box<dyn Conversation>, limit: Duration) -> Result<Self> {
        let mut client = Client {
            talk,
            next_id: 0,
            awaited: VecDeque::new(),
            limit,
            piece: SMALL_WRITE,
            extensions: Vec::new(),
            received: Vec::new(),
        };
        // In place of a request's number this one has the version.
        client.send(&Packet::new(packet::INIT, 3).finish(0), &[])?;
        let Ok(answer) = client.receive() else {
            let ended = client.talk.end();
            let words = said_last(&ended.words);
            return Err(match ended.status {
                Some(255) => DeliveryError::new(Failure::Unreachable, format!("no connection: {words}")),
                _ => DeliveryError::new(Failure::Remote, format!("the server offers no SFTP: {words}")),
            });
        };
        let mut fields = Fields(&answer);
        if (fields.octet(), fields.number()) != (Some(packet::VERSION), Some(3)) {
            return Err(DeliveryError::new(
                Failure::Remote,
                "the server does not speak version 3 of SFTP",
            ));
        }
        while let (Some(name), Some(_)) = (fields.text(), fields.text()) {
            client.extensions.push(said(name));
        }
        client.ask_for_limits()?;
        Ok(client)
    }

    pub fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|has| has == extension)
    }

    pub fn patience(&mut self, limit: Duration) {
        self.limit = limit;
        self.talk.patience(limit);
    }

    /// `limits@openssh.com`: how much one write may carry.
    fn ask_for_limits(&mut self) -> Result<()> {
        if !self.has("limits@openssh.com") {
            return Ok(());
        }
        let answer = self.call(packet::EXTENDED, |packet| packet.text("limits@openssh.com"))?;
        let mut fields = Fields(&answer);
        if fields.octet() == Some(packet::EXTENDED_REPLY) {
            let (_, _, _, write) = (fields.number(), fields.long(), fields.long(), fields.long());
            let write = write
                .filter(|write| *write > 0)
                .and_then(|write| usize::try_from(write).ok());
            self.piece = write.map_or(SMALL_WRITE, |write| write.clamp(1024, LARGE_WRITE));
        }
        Ok(())
    }

    /// `None`: nothing has this name. A symbolic link is not followed.
    pub fn look(&mut self, path: &str) -> Result<std::result::Result<Option<Attributes>, Status>> {
        let answer = self.call(packet::LSTAT, |packet| packet.text(path))?;
        Ok(match attributes(&answer) {
            Err(status) if status.code == packet::NO_SUCH_FILE => Ok(None),
            other => other.map(Some),
        })
    }

    pub fn open(&mut self, path: &str, flags: u32) -> Result<std::result::Result<Handle, Status>> {
        let answer = self.call(packet::OPEN, |packet| packet.text(path).number(flags).number(0))?;
        let mut fields = Fields(&answer);
        Ok(match fields.octet() {
            Some(packet::HANDLE) => {
                fields.number();
                let handle = fields.text().filter(|handle| handle.len() <= 256);
                handle
                    .map(|handle| Handle(handle.to_owned()))
                    .ok_or_else(|| strange(&answer))
            }
            _ => Err(refusal(&answer)),
        })
    }

    /// Sends a piece and returns at once, unless too much is on the way. A refusal is of this piece or an earlier one.
    pub fn write(&mut self, handle: &Handle, offset: u64, octets: &[u8]) -> Result<std::result::Result<(), Status>> {
        while self.awaited.len() * self.piece >= ON_THE_WAY {
            if let Err(status) = self.await_write()? {
                return Ok(Err(status));
            }
        }
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        let head = self.request(packet::WRITE).text(&handle.0).long(offset).number(length);
        self.send(&head.finish(octets.len()), octets)?;
        self.awaited.push_back(self.next_id);
        Ok(Ok(()))
    }

    /// Waits for all that was written.
    pub fn settle(&mut self) -> Result<std::result::Result<(), Status>> {
        let mut outcome = Ok(());
        while !self.awaited.is_empty() {
            let answer = self.await_write()?;
            outcome = outcome.and(answer);
        }
        Ok(outcome)
    }

    fn await_write(&mut self) -> Result<std::result::Result<(), Status>> {
        let answer = self.receive_answer()?;
        let id = number_of(&answer);
        // As a rule the first: the draft lets a server answer in another order.
        let Some(at) = self.awaited.iter().position(|awaited| Some(*awaited) == id) else {
            return Err(unasked());
        };
        self.awaited.remove(at);
        Ok(status(&answer))
    }

    /// `None`: the end of the file.
    pub fn read(&mut self, handle: &Handle, offset: u64) -> Result<std::result::Result<Option<Vec<u8>>, Status>> {
        let most = SMALL_WRITE as u32;
        let answer = self.call(packet::READ, |packet| packet.text(&handle.0).long(offset).number(most))?;
        let mut fields = Fields(&answer);
        Ok(match fields.octet() {
            Some(packet::DATA) => {
                fields.number();
                let data = fields.text().filter(|data| !data.is_empty());
                data.map(|data| Some(data.to_owned())).ok_or_else(|| strange(&answer))
            }
            _ => match refusal(&answer) {
                status if status.code == packet::EOF => Ok(None),
                status => Err(status),
            },
        })
    }

    pub fn set_attributes(
        &mut self,
        handle: &Handle,
        mode: u32,
        seconds: u32,
    ) -> Result<std::result::Result<(), Status>> {
        let answer = self.call(packet::FSETSTAT, |packet| {
            packet.text(&handle.0).attributes(mode, seconds)
        })?;
        Ok(status(&answer))
    }

    pub fn attributes(&mut self, handle: &Handle) -> Result<std::result::Result<Attributes, Status>> {
        let answer = self.call(packet::FSTAT, |packet| packet.text(&handle.0))?;
        Ok(attributes(&answer))
    }

    /// Only where the server has `fsync@openssh.com`.
    pub fn sync(&mut self, handle: &Handle) -> Result<std::result::Result<(), Status>> {
        let answer = self.call(packet::EXTENDED, |packet| {
            packet.text("fsync@openssh.com").text(&handle.0)
        })?;
        Ok(status(&answer))
    }

    pub fn close(&mut self, handle: Handle) -> Result<std::result::Result<(), Status>> {
        let answer = self.call(packet::CLOSE, |packet| packet.text(&handle.0))?;
        Ok(status(&answer))
    }

    pub fn remove(&mut self, path: &str) -> Result<std::result::Result<(), Status>> {
        let answer = self.call(packet::REMOVE, |packet| packet.text(path))?;
        Ok(match status(&answer) {
            Err(status) if status.code == packet::NO_SUCH_FILE => Ok(()),
            other => other,
        })
    }

    /// Never replaces: version 3 forbids it. `posix-rename@openssh.com` would.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<std::result::Result<(), Status>> {
        let answer = self.call(packet::RENAME, |packet| packet.text(from).text(to))?;
        Ok(status(&answer))
    }

    /// Octets that are free for us, where the server tells (`statvfs@openssh.com`).
    pub fn free(&mut self, path: &str) -> Result<Option<u64>> {
        if !self.has("statvfs@openssh.com") {
            return Ok(None);
        }
        let answer = self.call(packet::EXTENDED, |packet| packet.text("statvfs@openssh.com").text(path))?;
        let mut fields = Fields(&answer);
        if fields.octet() != Some(packet::EXTENDED_REPLY) {
            return Ok(None);
        }
        fields.number();
        // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail
        let (_, unit, _, _) = (fields.long(), fields.long(), fields.long(), fields.long());
        Ok(fields
            .long()
            .zip(unit)
            .map(|(blocks, unit)| blocks.saturating_mul(unit)))
    }

    fn request(&mut self, kind: u8) -> Packet {
        self.next_id = self.next_id.wrapping_add(1);
        Packet::new(kind, self.next_id)
    }

    /// One request and its answer, after all writes have been answered.
    fn call(&mut self, kind: u8, fields: impl FnOnce(Packet) -> Packet) -> Result<Vec<u8>> {
        while !self.awaited.is_empty() {
            // A failed write shows again when the size is compared.
            let _ = self.await_write()?;
        }
        let request = fields(self.request(kind)).finish(0);
        self.send(&request, &[])?;
        let answer = self.receive_answer()?;
        match number_of(&answer) == Some(self.next_id) {
            true => Ok(answer),
            false => Err(unasked()),
        }
    }

    fn send(&mut self, head: &[u8], data: &[u8]) -> Result<()> {
        self.talk
            .write_all(head)
            .and_then(|()| self.talk.write_all(data))
            .map_err(|e| DeliveryError::wire("sending", &e))
    }

    fn receive_answer(&mut self) -> Result<Vec<u8>> {
        self.receive()
            .map_err(|e| DeliveryError::wire("waiting for an answer", &e))
    }

    /// A packet without its length.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk() {
                let length = u32::from_be_bytes(*head);
                if length > LONGEST_PACKET {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not SFTP"));
                }
                if let Some(packet) = rest.get(..length as usize) {
                    let packet = packet.to_owned();
                    self.received.drain(..4 + packet.len());
                    return Ok(packet);
                }
            }
            // Each read has its limit, but a packet may come octet by octet.
            if begun.elapsed() > self.limit {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut buffer = [0; 16 << 10];
            match self.talk.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                octets => self.received.extend(&buffer[..octets]),
            }
        }
    }
}

/// The number of the request that an answer belongs to.
fn number_of(answer: &[u8]) -> Option<u32> {
    let mut fields = Fields(answer);
    fields.octet()?;
    fields.number()
}

/// After this nobody knows any more what an answer means.
fn unasked() -> DeliveryError {
    DeliveryError::new(
        Failure::Remote,
        "the server answers something that it was not asked; this is not SFTP as others speak it",
    )
}

fn status(answer: &[u8]) -> std::result::Result<(), Status> {
    match refusal(answer) {
        Status { code: packet::OK, .. } => Ok(()),
        status => Err(status),
    }
}

fn attributes(answer: &[u8]) -> std::result::Result<Attributes, Status> {
    let mut fields = Fields(answer);
    match fields.octet() {
        Some(packet::ATTRS) => {
            fields.number();
            fields.attributes().ok_or_else(|| strange(answer))
        }
        _ => Err(refusal(answer)),
    }
}

fn refusal(answer: &[u8]) -> Status {
    let mut fields = Fields(answer);
    let head = (fields.octet(), fields.number(), fields.number());
    match head {
        (Some(packet::STATUS), Some(_), Some(code)) => Status {
            code,
            words: said(fields.text().unwrap_or_default()),
        },
        _ => strange(answer),
    }
}

fn strange(answer: &[u8]) -> Status {
    Status {
        code: packet::FAILURE,
        words: format!("an answer of type {:?} that does not fit", answer.first()),
    }
}

impl Status {
    /// As the error of what was being done.
    pub fn while_doing(self, doing: &str) -> DeliveryError {
        let failure = match self.code {
            packet::NO_SUCH_FILE => Failure::Missing,
            packet::PERMISSION_DENIED => Failure::Denied,
            packet::NO_SPACE | packet::QUOTA => Failure::RemoteFull,
            _ => classify(&self.words),
        };
        DeliveryError::new(failure, format!("the server refuses {doing}: {}", self.words))
    }
}
