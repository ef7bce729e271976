//! One connection, plain or TLS: sends, and reads what comes meanwhile.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use rustls::ClientConnection;

use super::{Kind, Limits, StreamError};
use crate::tls::Refusal;

/// Octets that are handed to the system at once.
const PIECE: usize = 64 << 10;

/// Octets of an answer that are looked at, to know what the collector speaks.
const LOOKED_AT: usize = 8;

pub struct Wire {
    socket: TcpStream,
    tls: Option<Session>,
    limits: Limits,
    /// How the collector's answer begins.
    heard: Vec<u8>,
    /// The collector has closed its half.
    is_closed: bool,
    /// When the collector last took something.
    moved: Instant,
}

struct Session {
    connection: ClientConnection,
    refusal: Refusal,
}

impl Wire {
    pub fn begin(
        socket: TcpStream,
        session: Option<(ClientConnection, Refusal)>,
        limits: Limits,
    ) -> Result<Self, StreamError> {
        // A connection that is given up must end with a reset, and at once.
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))
            .map_err(io::Error::from)
            .and_then(|()| socket.set_nonblocking(true))
            .map_err(|e| StreamError::new(Kind::Own, format!("cannot set up the connection: {e}")))?;
        let mut wire = Wire {
            socket,
            tls: session.map(|(connection, refusal)| Session { connection, refusal }),
            limits,
            heard: Vec::new(),
            is_closed: false,
            moved: Instant::now(),
        };
        wire.shake_hands()?;
        Ok(wire)
    }

    fn shake_hands(&mut self) -> Result<(), StreamError> {
        let deadline = Instant::now() + self.limits.connect;
        while let Some(session) = &self.tls
            && session.connection.is_handshaking()
        {
            let flags = match session.connection.wants_write() {
                true => PollFlags::IN | PollFlags::OUT,
                false => PollFlags::IN,
            };
            if !self.wait(flags, deadline)? {
                let reason = format!(
                    "no TLS handshake within {}",
                    humantime::format_duration(self.limits.connect)
                );
                return Err(self.failed(Kind::NotConnected, reason));
            }
            let moved = self.flush().and_then(|_| self.listen());
            moved.map_err(|e| self.handshake_failed(&e))?;
            if self.is_closed {
                let reason = "it closed the connection in place of a TLS handshake".to_owned();
                return Err(self.failed(Kind::NotConnected, reason));
            }
        }
        self.moved = Instant::now();
        Ok(())
    }

    pub fn send(&mut self, octets: &[u8], deadline: Instant) -> Result<(), StreamError> {
        octets
            .chunks(PIECE)
            .try_for_each(|piece| self.send_piece(piece, deadline))
    }

    fn send_piece(&mut self, mut piece: &[u8], deadline: Instant) -> Result<(), StreamError> {
        loop {
            let sent = match &mut self.tls {
                None => match piece.is_empty() {
                    true => return Ok(()),
                    false => match self.socket.write(piece) {
                        Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
                        Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                        Err(e) => return Err(self.broken(&e)),
                        Ok(sent) => sent,
                    },
                },
                Some(session) => {
                    // It takes what its buffer has room for, and at least something when the buffer is empty.
                    let taken = session.connection.writer().write(piece);
                    piece = &piece[taken.map_err(|e| self.broken(&e))?..];
                    let sent = self.flush().map_err(|e| self.broken(&e))?;
                    let is_waiting = self.tls.as_ref().is_some_and(|s| s.connection.wants_write());
                    if piece.is_empty() && !is_waiting {
                        self.moved = Instant::now();
                        return Ok(());
                    }
                    if sent > 0 {
                        self.moved = Instant::now();
                    }
                    if !is_waiting {
                        continue;
                    }
                    self.wait_to_send(deadline)?;
                    continue;
                }
            };
            if sent > 0 {
                piece = &piece[sent..];
                self.moved = Instant::now();
            }
            if piece.is_empty() {
                return Ok(());
            }
            self.wait_to_send(deadline)?;
        }
    }

    /// Until more can be sent. What the collector says meanwhile is read.
    fn wait_to_send(&mut self, deadline: Instant) -> Result<(), StreamError> {
        let idle = self.moved + self.limits.idle;
        loop {
            if !self.wait(PollFlags::IN | PollFlags::OUT, idle.min(deadline))? {
                return Err(self.late(deadline, "takes nothing more"));
            }
            self.listen().map_err(|e| self.broken(&e))?;
            if self.is_closed {
                let reason = "it closed the connection before the end of the document".to_owned();
                return Err(self.failed(Kind::Incomplete, reason));
            }
            if self.is_writable()? {
                return Ok(());
            }
        }
    }

    pub fn finish(&mut self, deadline: Instant) -> Result<(), StreamError> {
        // It may have said or closed something while everything still went into the system's buffer.
        self.listen().map_err(|e| self.broken(&e))?;
        if self.is_closed {
            let reason = "it closed the connection before the end of the document".to_owned();
            return Err(self.failed(Kind::Incomplete, reason));
        }
        if let Some(session) = &mut self.tls {
            session.connection.send_close_notify();
            while self.tls.as_ref().is_some_and(|s| s.connection.wants_write()) {
                if self.flush().map_err(|e| self.broken(&e))? == 0 {
                    self.wait_to_send(deadline)?;
                }
            }
        }
        self.socket.shutdown(Shutdown::Write).map_err(|e| self.broken(&e))?;
        self.moved = Instant::now();
        let until = deadline.min(self.moved + self.limits.idle);
        while !self.is_closed {
            if !self.wait(PollFlags::IN, until)? {
                let late = self.late(deadline, "has not closed the connection after the end of the document");
                return Err(late.next("If it only needs longer, set a longer [stream] idle-timeout."));
            }
            self.listen().map_err(|e| self.broken(&e))?;
        }
        self.wait_for_acknowledgement(until, deadline)
    }

    /// The collector has closed. That it has read everything is known when its system has acknowledged our end, which
    /// is when the connection is over for ours.
    fn wait_for_acknowledgement(&mut self, until: Instant, deadline: Instant) -> Result<(), StreamError> {
        const MOMENT: Duration = Duration::from_millis(1);
        loop {
            match self.socket.take_error() {
                Ok(None) => {}
                Ok(Some(e)) | Err(e) => return Err(self.broken(&e)),
            }
            if self.socket.peer_addr().is_err() {
                return match self.socket.take_error() {
                    Ok(None) => Ok(()),
                    Ok(Some(e)) | Err(e) => Err(self.broken(&e)),
                };
            }
            if Instant::now() >= until {
                return Err(self.late(deadline, "has closed the connection, and acknowledged not everything,"));
            }
            thread::sleep(MOMENT);
        }
    }

    /// Hands TLS records to the system; returns how many octets it took.
    fn flush(&mut self) -> io::Result<usize> {
        let Some(session) = &mut self.tls else { return Ok(0) };
        let mut sent = 0;
        while session.connection.wants_write() {
            match session.connection.write_tls(&mut self.socket) {
                Ok(octets) => sent += octets,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(sent)
    }

    /// Reads what is there, remembers how it begins, and throws it away.
    fn listen(&mut self) -> io::Result<()> {
        let mut octets = [0; 4096];
        // Not for ever: one that never stops talking must not keep us from sending.
        for _ in 0..16 {
            if self.is_closed {
                break;
            }
            let read = match &mut self.tls {
                None => (&self.socket).read(&mut octets),
                Some(session) => {
                    let mut ear = Ear {
                        socket: &self.socket,
                        heard: &mut self.heard,
                    };
                    match session.connection.read_tls(&mut ear) {
                        Ok(octets) => {
                            let state = session
                                .connection
                                .process_new_packets()
                                .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
                            let mut waste = [0; 4096];
                            while session.connection.reader().read(&mut waste).is_ok_and(|read| read > 0) {}
                            self.is_closed |= state.peer_has_closed();
                            Ok(octets)
                        }
                        Err(e) => Err(e),
                    }
                }
            };
            match read {
                Ok(0) => self.is_closed = true,
                Ok(read) => {
                    if self.tls.is_none() {
                        remember(&mut self.heard, &octets[..read]);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Returns false when the time is over, also when there is something to read: one that never stops talking would
    /// else keep us for ever.
    fn wait(&self, flags: PollFlags, until: Instant) -> Result<bool, StreamError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let time = left
                .try_into()
                .map_err(|_| StreamError::new(Kind::Own, "a time limit is too long"))?;
            match poll(&mut [PollFd::new(&self.socket, flags)], Some(&time)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.broken(&e.into())),
            }
        }
    }

    fn is_writable(&self) -> Result<bool, StreamError> {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&now))
            .map(|ready| ready > 0)
            .map_err(|e| self.broken(&e.into()))
    }

    fn late(&self, deadline: Instant, what: &str) -> StreamError {
        let reason = match Instant::now() >= deadline {
            true => format!(
                "the time for a document is over ({})",
                humantime::format_duration(self.limits.total)
            ),
            false => format!("it {what} for {}", humantime::format_duration(self.limits.idle)),
        };
        self.failed(Kind::Incomplete, reason)
    }

    fn broken(&self, e: &io::Error) -> StreamError {
        let reason = match e.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                "it reset the connection before it had read the whole document".to_owned()
            }
            ErrorKind::InvalidData => format!("TLS failed: {e}"),
            _ => format!("the connection failed: {e}"),
        };
        self.failed(Kind::Incomplete, reason)
    }

    fn handshake_failed(&self, e: &io::Error) -> StreamError {
        if let Some(reason) = self.tls.as_ref().and_then(|session| session.refusal.take()) {
            return StreamError::new(Kind::NotConnected, reason);
        }
        let reason = match e.kind() {
            ErrorKind::InvalidData => format!("no TLS handshake: {e}"),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "it reset the connection in place of a TLS handshake".to_owned()
            }
            _ => format!("no TLS handshake: {e}"),
        };
        self.failed(Kind::NotConnected, reason)
    }

    /// With the next step, if what the collector said shows that it speaks another language.
    fn failed(&self, kind: Kind, reason: String) -> StreamError {
        let error = StreamError::new(kind, reason);
        match (&self.tls, self.heard.as_slice()) {
            // A TLS record: alert or handshake, version 3.
            (None, [0x15 | 0x16, 0x03, ..]) => {
                error.next("It answers in TLS: this collector wants a secure connection.")
            }
            (None, []) => error,
            (None, _) => error,
            (Some(session), heard) if session.connection.is_handshaking() => match heard {
                [0x14..=0x17, 0x03, ..] => error,
                [] => error.next("If it does not speak TLS at all, configure it as non-secure."),
                _ => error.next("It does not answer in TLS: this collector wants a non-secure connection."),
            },
            _ => error,
        }
    }
}

/// Remembers how what comes begins.
struct Ear<'a> {
    socket: &'a TcpStream,
    heard: &'a mut Vec<u8>,
}

impl Read for Ear<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut &*self.socket).read(buffer)?;
        remember(self.heard, &buffer[..read]);
        Ok(read)
    }
}

fn remember(heard: &mut Vec<u8>, octets: &[u8]) {
    let room = LOOKED_AT.saturating_sub(heard.len());
    heard.extend_from_slice(&octets[..octets.len().min(room)]);
}

#[cfg(test)]
impl Wire {
    /// Waits until the collector has said or done something.
    pub fn wait_for_anything(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        assert!(self.wait(PollFlags::IN, until).unwrap());
    }
}
