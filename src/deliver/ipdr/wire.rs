//! One connection that never waits: octets to send are kept here until the socket takes them.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
};

use rustls::Connection;

use crate::tls::Refusal;

/// What waits in the buffer is moved to its begin only when it is no more than this.
const MOVED: usize = 64 << 10;

pub(super) struct Wire {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    out: Vec<u8>,
    /// Octets of `out` that have gone.
    begin: usize,
    gone: u64,
}

struct Tls {
    connection: Connection,
    /// Why we refused the peer's certificate.
    refusal: Refusal,
    /// Octets that rustls has taken and the socket has not.
    handed: usize,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    Octets(usize),
    Nothing,
    /// The peer has closed its half.
    End,
}

impl Wire {
    /// `socket` does not block.
    pub(super) fn new(socket: TcpStream, tls: Option<(Connection, Refusal)>) -> Wire {
        Wire {
            socket,
            tls: tls.map(|(connection, refusal)| {
                Box::new(Tls {
                    connection,
                    refusal,
                    handed: 0,
                })
            }),
            out: Vec::new(),
            begin: 0,
            gone: 0,
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Where octets to be sent are appended.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.begin > 0 && self.out.len() - self.begin <= MOVED {
            self.out.drain(..self.begin);
            self.begin = 0;
        }
        &mut self.out
    }

    /// Octets that the socket has not taken yet.
    pub(super) fn queued(&self) -> usize {
        self.out.len() - self.begin
    }

    /// Octets that the socket has taken since the begin.
    pub(super) fn gone(&self) -> u64 {
        self.gone
    }

    /// Octets appended since the begin.
    pub(super) fn appended(&self) -> u64 {
        self.gone + self.queued() as u64
    }

    /// Whether to wait until the socket takes something.
    pub(super) fn wants_write(&self) -> bool {
        match &self.tls {
            None => self.queued() > 0,
            Some(tls) => tls.connection.wants_write() || (self.queued() > 0 && !tls.connection.is_handshaking()),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Came, String> {
        let Some(tls) = &mut self.tls else {
            return came((&self.socket).read(buffer)).map_err(|e| broken(&e));
        };
        loop {
            match tls.connection.reader().read(buffer) {
                Ok(0) => return Ok(Came::End),
                Ok(octets) => return Ok(Came::Octets(octets)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Came::End),
                Err(e) => return Err(broken(&e)),
            }
            match came(tls.connection.read_tls(&mut self.socket)).map_err(|e| broken(&e))? {
                Came::Octets(_) => {}
                none => return Ok(none),
            }
            if let Err(e) = tls.connection.process_new_packets() {
                // The alert that tells the peer, as far as it goes.
                let _ = tls.connection.write_tls(&mut self.socket);
                return Err(tls.refusal.take().unwrap_or_else(|| format!("TLS failed: {e}")));
            }
        }
    }

    /// Gives the socket as much as it takes.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        let flushed = match &mut self.tls {
            None => loop {
                match self.out.get(self.begin..).filter(|rest| !rest.is_empty()) {
                    None => break Ok(()),
                    Some(rest) => match took((&self.socket).write(rest))? {
                        0 => break Ok(()),
                        octets => {
                            self.begin += octets;
                            self.gone += octets as u64;
                        }
                    },
                }
            },
            Some(tls) => loop {
                if tls.connection.wants_write() {
                    match took(tls.connection.write_tls(&mut self.socket))? {
                        0 => break Ok(()),
                        _ => continue,
                    }
                }
                // Everything that rustls had is with the socket.
                self.begin += tls.handed;
                self.gone += tls.handed as u64;
                tls.handed = 0;
                let rest = &self.out[self.begin..];
                if rest.is_empty() || tls.connection.is_handshaking() {
                    break Ok(());
                }
                match tls.connection.writer().write(rest) {
                    Ok(octets) => tls.handed = octets,
                    Err(e) => break Err(broken(&e)),
                }
            },
        };
        if self.begin == self.out.len() {
            self.out.clear();
            self.begin = 0;
            self.out.shrink_to(super::connection::HIGH);
        }
        flushed
    }

    /// Ends our half. What is not sent by now will not be.
    pub(super) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.connection.send_close_notify();
            let _ = tls.connection.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn came(read: io::Result<usize>) -> io::Result<Came> {
    match read {
        Ok(0) => Ok(Came::End),
        Ok(octets) => Ok(Came::Octets(octets)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Came::Nothing),
        Err(e) => Err(e),
    }
}

/// 0: not now.
fn took(written: io::Result<usize>) -> Result<usize, String> {
    match written {
        Ok(octets) => Ok(octets),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        Err(e) => Err(broken(&e)),
    }
}

fn broken(e: &io::Error) -> String {
    match e.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            "it reset the connection".to_owned()
        }
        ErrorKind::TimedOut => "it does not answer any more".to_owned(),
        _ => format!("the connection failed: {e}"),
    }
}
