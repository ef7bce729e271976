//! HTTP/1.1 by hand: requests as octets give them, answers as values. What is done wrong on purpose is in `delivery`.

use std::io::{self, BufRead, Read, Write};

/// More than any request of a well-behaved client.
const LONGEST_HEAD: usize = 64 << 10;
const LONGEST_BODY: usize = 16 << 20;

pub struct Request {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

pub enum Body {
    Octets(Vec<u8>),
    /// `rows` pieces of the same length, made while they are sent.
    Rows {
        head: Vec<u8>,
        rows: u64,
        row: fn(u64, &mut Vec<u8>),
        tail: Vec<u8>,
    },
}

/// Why a connection gives no further request.
pub enum Unreadable {
    Closed,
    /// What the client did wrong, and the status that says so.
    Wrong(u16, &'static str),
}

impl From<io::Error> for Unreadable {
    fn from(_: io::Error) -> Self {
        Unreadable::Closed
    }
}

impl Request {
    /// The next request of a connection.
    pub fn read<S: Read + Write>(stream: &mut io::BufReader<S>) -> Result<Request, Unreadable> {
        let mut left = LONGEST_HEAD;
        let first = line(stream, &mut left)?.ok_or(Unreadable::Closed)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Unreadable::Wrong(400, "the request line has not three words"));
        };
        if !version.starts_with("HTTP/1.") {
            return Err(Unreadable::Wrong(505, "not HTTP/1"));
        }
        let mut request = Request {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = line(stream, &mut left)?.ok_or(Unreadable::Closed)?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(Unreadable::Wrong(400, "a header line has no colon"));
            };
            request
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if version == "HTTP/1.1" && request.header("host").is_none() {
            return Err(Unreadable::Wrong(400, "HTTP/1.1 without Host"));
        }
        if request.header("transfer-encoding").is_some() {
            return Err(Unreadable::Wrong(411, "a request body without Content-Length"));
        }
        let length = match request.header("content-length") {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|length| *length <= LONGEST_BODY)
                .ok_or(Unreadable::Wrong(413, "a request body that is too long"))?,
        };
        if request.header("expect").is_some() {
            stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.get_mut().flush()?;
        }
        request.body = vec![0; length];
        stream.read_exact(&mut request.body)?;
        Ok(request)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(of, _)| of == name)?;
        Some(&found.1)
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.header("cookie")?
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(of, value)| (of == name).then_some(value))
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(of, value)| (of == name).then(|| percent_decoded(value)))
    }

    pub fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Answer {
    pub fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Answer {
            status,
            headers: vec![("Content-Type", kind.into())],
            body: Body::Octets(body.into()),
        }
    }

    pub fn empty(status: u16) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Body::Octets(Vec::new()),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The head without the line that says how the body ends, and without the empty line.
    pub fn head(&self, date: &str) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        let _ = write!(
            head,
            "HTTP/1.1 {} {}\r\nDate: {date}\r\n",
            self.status,
            reason(self.status)
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head
    }
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Body::Octets(octets) => octets.len() as u64,
            Body::Rows { head, rows, row, tail } => {
                let mut one = Vec::new();
                row(0, &mut one);
                head.len() as u64 + rows * one.len() as u64 + tail.len() as u64
            }
        }
    }

    /// Hands the body over in pieces of some ten kilobytes.
    pub fn pieces(self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Body::Octets(octets) => octets.chunks(64 << 10).try_for_each(each),
            Body::Rows { head, rows, row, tail } => {
                each(&head)?;
                let mut piece = Vec::with_capacity(80 << 10);
                for number in 0..rows {
                    row(number, &mut piece);
                    if piece.len() >= 64 << 10 {
                        each(&piece)?;
                        piece.clear();
                    }
                }
                piece.extend_from_slice(&tail);
                each(&piece)
            }
        }
    }
}

fn line<S: Read>(stream: &mut io::BufReader<S>, left: &mut usize) -> Result<Option<String>, Unreadable> {
    let mut line = Vec::new();
    let read = stream.by_ref().take(*left as u64).read_until(b'\n', &mut line)?;
    *left -= read;
    if read == 0 && *left > 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(Unreadable::Wrong(431, "a request head that is too long"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| Unreadable::Wrong(400, "a request head that is not UTF-8"))
}

fn percent_decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(octet)) => {
                octets.push(octet);
                rest = &after[2..];
            }
            (b'+', _) => octets.push(b' '),
            _ => octets.push(*first),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
