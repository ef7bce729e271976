//! How an answer goes onto the wire: as it should, or in one of the ways in which it should not.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use crate::http::Answer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Ordinary,
    Hang,
    HangInHandshake,
    HangInBody,
    Garbage,
    GarbageBody,
    EndlessHeaders,
    Truncate(u64),
    CutTls,
    NoContentLength,
    Chunked,
    SlowBody(Duration),
}

pub enum Stream {
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Plain(TcpStream),
}

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    Open,
    Close,
    /// Without the TLS message that says so.
    Cut,
}

/// Sends the answer. `Err`: the client went away, which with these answers it may.
pub fn send(
    stream: &mut BufReader<Stream>,
    answer: Answer,
    delivery: Delivery,
    close: bool,
    date: &str,
) -> io::Result<After> {
    let mut head = answer.head(date);
    let length = answer.body.len();
    let ends_with_connection = matches!(
        delivery,
        Delivery::CutTls | Delivery::NoContentLength | Delivery::GarbageBody | Delivery::Truncate(_)
    );
    match delivery {
        Delivery::Hang | Delivery::HangInHandshake => return wait_for_the_end(stream),
        Delivery::Garbage => return without_end(stream.get_mut(), GARBAGE),
        Delivery::EndlessHeaders => {
            stream.get_mut().write_all(&head)?;
            return without_end(stream.get_mut(), FILLER);
        }
        Delivery::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Delivery::CutTls | Delivery::NoContentLength | Delivery::GarbageBody => {}
        _ => {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
    }
    if close || ends_with_connection {
        head.extend_from_slice(b"Connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let out = stream.get_mut();
    match delivery {
        Delivery::GarbageBody => {
            out.write_all(&head)?;
            return without_end(out, GARBAGE);
        }
        Delivery::HangInBody => {
            send_part(out, head, answer, length / 2)?;
            return wait_for_the_end(stream);
        }
        Delivery::Truncate(octets) => send_part(out, head, answer, octets)?,
        Delivery::CutTls => {
            send_part(out, head, answer, length / 2)?;
            return Ok(After::Cut);
        }
        Delivery::Chunked => send_chunked(out, head, answer)?,
        Delivery::SlowBody(interval) => {
            out.write_all(&head)?;
            answer.body.pieces(&mut |piece| {
                piece.iter().try_for_each(|octet| {
                    out.write_all(&[*octet])?;
                    out.flush()?;
                    std::thread::sleep(interval);
                    Ok(())
                })
            })?;
        }
        _ => send_part(out, head, answer, length)?,
    }
    Ok(if close || ends_with_connection {
        After::Close
    } else {
        After::Open
    })
}

const GARBAGE: &[u8] = b"\x00\xff\xfe\x7f<\x1b[2J\x80\xc3\x28\xed\xa0\x80%n&\x01";
const FILLER: &[u8] = b"X-Filler: the quick brown fox jumps over the lazy dog again and again and again\r\n";

fn without_end(out: &mut Stream, what: &[u8]) -> io::Result<After> {
    let block = what.repeat((64 << 10) / what.len());
    loop {
        out.write_all(&block)?;
    }
}

/// Head and body in one piece where that is short: one TLS record, one segment.
fn send_part(out: &mut Stream, mut head: Vec<u8>, answer: Answer, octets: u64) -> io::Result<()> {
    let mut left = octets;
    answer.body.pieces(&mut |piece| {
        let part = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        left -= part.len() as u64;
        if head.is_empty() {
            return out.write_all(part);
        }
        head.extend_from_slice(part);
        out.write_all(&std::mem::take(&mut head))
    })?;
    out.write_all(&head)?;
    out.flush()
}

fn send_chunked(out: &mut Stream, head: Vec<u8>, answer: Answer) -> io::Result<()> {
    out.write_all(&head)?;
    // Small and uneven, so that names and references are split.
    let mut size = 1;
    answer.body.pieces(&mut |mut piece| {
        while !piece.is_empty() {
            let (chunk, rest) = piece.split_at(piece.len().min(size));
            let mut text = format!("{:x}\r\n", chunk.len()).into_bytes();
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
            out.write_all(&text)?;
            piece = rest;
            size = (size * 2 + 1) % 8191 + 1;
        }
        Ok(())
    })?;
    out.write_all(b"0\r\n\r\n")?;
    out.flush()
}

/// Says nothing until the client has had enough.
fn wait_for_the_end(stream: &mut BufReader<Stream>) -> io::Result<After> {
    stream.get_mut().flush()?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {}
    Ok(After::Cut)
}

impl Stream {
    pub fn end(&mut self, after: &After) {
        let tcp = match self {
            Stream::Tls(tls) => {
                if *after == After::Close {
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
                &tls.sock
            }
            Stream::Plain(tcp) => tcp,
        };
        let _ = tcp.shutdown(if *after == After::Close {
            Shutdown::Write
        } else {
            Shutdown::Both
        });
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tls(tls) => tls.read(buffer),
            Stream::Plain(tcp) => tcp.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tls(tls) => tls.write(octets),
            Stream::Plain(tcp) => tcp.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(tls) => tls.flush(),
            Stream::Plain(tcp) => tcp.flush(),
        }
    }
}
