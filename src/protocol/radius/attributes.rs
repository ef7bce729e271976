//! Attributes: kind, length, value.

use std::net::IpAddr;

use super::{HEADER, LONGEST_PACKET, LONGEST_VALUE, kind};

/// Octets that a packet may have for attributes, with room for a Message-Authenticator and Acct-Delay-Time.
const ROOM: usize = LONGEST_PACKET - HEADER - 18 - 6;

/// Attributes in the order in which they are to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    octets: Vec<u8>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    Whole,
    /// Only its beginning fitted into the attribute.
    Cut,
    /// The attribute is not there: the packet is full, or a value that must not be cut is too long.
    Left,
}

impl Attributes {
    pub fn new() -> Self {
        Attributes {
            octets: Vec::with_capacity(1024),
        }
    }

    /// As they stand in a packet.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub fn number(&mut self, kind: u8, value: u32) -> Fit {
        self.opaque(kind, &value.to_be_bytes())
    }

    /// An address, under the number that its family has.
    pub fn address(&mut self, ipv4: u8, ipv6: u8, address: IpAddr) -> Fit {
        match address {
            IpAddr::V4(address) => self.opaque(ipv4, &address.octets()),
            IpAddr::V6(address) => self.opaque(ipv6, &address.octets()),
        }
    }

    /// A value that is of no use when it is cut.
    pub fn opaque(&mut self, kind: u8, value: &[u8]) -> Fit {
        match value.len() {
            1..=LONGEST_VALUE => self.append(kind, &[], &[value]),
            _ => Fit::Left,
        }
    }

    /// A text, which must not be empty; cut behind a whole character where it is too long.
    pub fn text(&mut self, kind: u8, text: &[u8]) -> Fit {
        if text.is_empty() {
            return Fit::Left;
        }
        let beginning = beginning(text, LONGEST_VALUE);
        self.append(kind, &[], &[beginning]).or_cut(beginning, text)
    }

    /// A vendor's attribute (RFC 2865 §5.26) whose text is `name` and behind it `text`; cut behind a whole character.
    pub fn vendor_text(&mut self, vendor: u32, kind: u8, name: &str, text: &[u8]) -> Fit {
        // Vendor, kind of the vendor's and its length.
        let room = LONGEST_VALUE - 6;
        let name = beginning(name.as_bytes(), room);
        let beginning = beginning(text, room - name.len());
        let [a, b, c, d] = vendor.to_be_bytes();
        // At most 249.
        let length = (2 + name.len() + beginning.len()) as u8;
        self.append(kind::VENDOR_SPECIFIC, &[a, b, c, d, kind, length], &[name, beginning])
            .or_cut(beginning, text)
    }

    fn append(&mut self, kind: u8, head: &[u8], parts: &[&[u8]]) -> Fit {
        let length = 2 + head.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let Ok(length_octet) = u8::try_from(length) else {
            return Fit::Left;
        };
        if self.octets.len() + length > ROOM {
            return Fit::Left;
        }
        self.octets.extend_from_slice(&[kind, length_octet]);
        self.octets.extend_from_slice(head);
        for part in parts {
            self.octets.extend_from_slice(part);
        }
        Fit::Whole
    }
}

impl Fit {
    fn or_cut(self, beginning: &[u8], text: &[u8]) -> Fit {
        match self {
            Fit::Whole if beginning.len() < text.len() => Fit::Cut,
            fit => fit,
        }
    }
}

/// At most `room` octets of a text, without a part of a character of UTF-8. What is not UTF-8 is cut anywhere.
fn beginning(text: &[u8], room: usize) -> &[u8] {
    let Some(cut) = text.get(..room) else {
        return text;
    };
    // A character has at most three octets behind its first.
    let mut end = room;
    while room - end < 3 && end > 0 && text.get(end).is_some_and(|octet| octet & 0xc0 == 0x80) {
        end -= 1;
    }
    let continued = text.get(end).is_some_and(|octet| octet & 0xc0 == 0x80);
    if continued { cut } else { &text[..end] }
}

/// Kind and value of each attribute of `octets`, which are a packet without its header. The error says what is wrong.
pub fn parse(mut octets: &[u8]) -> Result<Vec<(u8, &[u8])>, &'static str> {
    let mut found = Vec::new();
    while let [kind, length, rest @ ..] = octets {
        let value = usize::from(*length)
            .checked_sub(2)
            .ok_or("an attribute is shorter than its head")?;
        let (value, behind) = rest
            .split_at_checked(value)
            .ok_or("an attribute is longer than the packet")?;
        found.push((*kind, value));
        octets = behind;
    }
    match octets {
        [] => Ok(found),
        _ => Err("half an attribute at the end"),
    }
}
