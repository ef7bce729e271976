//! TFTP in octets: RFC 1350, options of RFC 2347 to 2349 and 7440. Nothing here reads or writes.

use std::fmt;

pub const READ: u16 = 1;
pub const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Without the option `blksize`.
pub const BLOCK: usize = 512;

/// Codes of an error.
pub const NOT_FOUND: u16 = 1;
const ILLEGAL: u16 = 4;
pub const UNKNOWN_TRANSFER: u16 = 5;
pub const OPTION_REFUSED: u16 = 8;

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Data(u16, &'a [u8]),
    Ack(u16),
    Options(Options),
    Error(u16, &'a [u8]),
}

/// What a server agrees to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub block: Option<usize>,
    pub window: Option<u16>,
    pub size: Option<u64>,
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block = self.block.map(|block| format!("blksize {block}"));
        let window = self.window.map(|window| format!("windowsize {window}"));
        let words: Vec<String> = block.into_iter().chain(window).collect();
        f.write_str(&words.join(" and "))
    }
}

/// A request in mode octet, with options as name and value.
pub fn request(kind: u16, name: &str, options: &[(&str, u64)]) -> Vec<u8> {
    let mut packet = kind.to_be_bytes().to_vec();
    let mut text = |text: &str| {
        packet.extend(text.as_bytes());
        packet.push(0);
    };
    text(name);
    text("octet");
    for (option, value) in options {
        text(option);
        text(&value.to_string());
    }
    packet
}

/// Head of a block; its octets follow.
pub fn data_head(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, DATA as u8, high, low]
}

pub fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, ACK as u8, high, low]
}

pub fn error(code: u16, words: &str) -> Vec<u8> {
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend(code.to_be_bytes());
    packet.extend(words.as_bytes());
    packet.push(0);
    packet
}

/// Ends a transfer that was only a question.
pub fn enough() -> Vec<u8> {
    error(0, "enough")
}

pub fn illegal() -> Vec<u8> {
    error(ILLEGAL, "not expected here")
}

/// `None`: not of TFTP.
pub fn parse(octets: &[u8]) -> Option<Packet<'_>> {
    let (kind, rest) = octets.split_first_chunk()?;
    let kind = u16::from_be_bytes(*kind);
    if kind == OACK {
        return options(rest).map(Packet::Options);
    }
    let (number, rest) = rest.split_first_chunk()?;
    let number = u16::from_be_bytes(*number);
    match kind {
        DATA => Some(Packet::Data(number, rest)),
        ACK => Some(Packet::Ack(number)),
        ERROR => Some(Packet::Error(
            number,
            rest.split(|b| *b == 0).next().unwrap_or_default(),
        )),
        _ => None,
    }
}

fn options(octets: &[u8]) -> Option<Options> {
    let mut words = octets.strip_suffix(&[0])?.split(|b| *b == 0);
    let mut found = Options::default();
    while let Some(name) = words.next() {
        let value: u64 = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        match name.to_ascii_lowercase().as_slice() {
            b"blksize" => found.block = Some(usize::try_from(value).ok().filter(|n| (8..=65464).contains(n))?),
            b"windowsize" => found.window = Some(u16::try_from(value).ok().filter(|n| *n > 0)?),
            b"tsize" => found.size = Some(value),
            _ => {}
        }
    }
    Some(found)
}

/// The words of RFC 1350 for a server that has none.
pub fn meaning(code: u16) -> &'static str {
    match code {
        1 => "file not found",
        2 => "access violation",
        3 => "disk full or allocation exceeded",
        4 => "illegal TFTP operation",
        5 => "unknown transfer",
        6 => "file already exists",
        7 => "no such user",
        8 => "an option was refused",
        _ => "an error without a description",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_as_the_standards_have_them() {
        let request = request(WRITE, "in/a", &[("tsize", 5), ("blksize", 1468)]);
        assert_eq!(request, b"\0\x02in/a\0octet\0tsize\x005\0blksize\x001468\0");
        assert_eq!(parse(&ack(258)), Some(Packet::Ack(258)));
        assert_eq!(parse(b"\0\x05\0\x03full\0"), Some(Packet::Error(3, b"full")));
        assert_eq!(parse(b"\0\x05\0\x03"), Some(Packet::Error(3, b"")));
        assert_eq!(
            parse(&[data_head(1).as_slice(), b"xy"].concat()),
            Some(Packet::Data(1, b"xy"))
        );
        let agreed = Options {
            block: Some(1024),
            window: None,
            size: Some(5),
        };
        assert_eq!(
            parse(b"\0\x06BLKSIZE\x001024\0tsize\x005\0other\x001\0"),
            Some(Packet::Options(agreed))
        );
    }

    #[test]
    fn what_is_no_packet_is_none() {
        for octets in [
            &b""[..],
            b"\0",
            b"\0\x04",
            b"\0\x04\0",
            b"\0\x01a\0octet\0",
            b"\0\x06blksize",
            b"\0\x06blksize\0",
            b"\0\x06blksize\x007\0",
            b"\0\x06blksize\x0065465\0",
            b"\0\x06blksize\0x\0",
            b"\0\x06windowsize\x000\0",
            b"\0\x07\0\0",
        ] {
            assert_eq!(parse(octets), None, "{octets:?}");
        }
    }
}
