//! SFTP version 3 in octets: draft-ietf-secsh-filexfer-02, and OpenSSH's extensions (PROTOCOL, section 4).
//!
//! Nothing here reads or writes; what enters is from the network.

/// Types of packets.
pub const INIT: u8 = 1;
pub const VERSION: u8 = 2;
pub const OPEN: u8 = 3;
pub const CLOSE: u8 = 4;
pub const READ: u8 = 5;
pub const WRITE: u8 = 6;
pub const LSTAT: u8 = 7;
pub const FSTAT: u8 = 8;
pub const FSETSTAT: u8 = 10;
pub const REMOVE: u8 = 13;
pub const RENAME: u8 = 18;
pub const EXTENDED: u8 = 200;
pub const STATUS: u8 = 101;
pub const HANDLE: u8 = 102;
pub const DATA: u8 = 103;
pub const ATTRS: u8 = 105;
pub const EXTENDED_REPLY: u8 = 201;

/// Flags of [`OPEN`].
pub const FOR_READING: u32 = 1;
pub const FOR_WRITING: u32 = 2;
pub const CREATE: u32 = 8;
pub const EXCLUSIVE: u32 = 0x20;

/// Codes of [`STATUS`].
pub const OK: u32 = 0;
pub const EOF: u32 = 1;
pub const NO_SUCH_FILE: u32 = 2;
pub const PERMISSION_DENIED: u32 = 3;
pub const FAILURE: u32 = 4;
/// These two are of later versions, but some servers send them.
pub const NO_SPACE: u32 = 14;
pub const QUOTA: u32 = 15;

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;

/// A packet that is being made: length, type, number, fields.
pub struct Packet(Vec<u8>);

impl Packet {
    pub fn new(kind: u8, id: u32) -> Self {
        let mut packet = Packet(vec![0, 0, 0, 0, kind]);
        packet.0.extend(id.to_be_bytes());
        packet
    }

    #[must_use]
    pub fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    #[must_use]
    pub fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    #[must_use]
    pub fn text(self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let mut packet = self.number(u32::try_from(value.len()).unwrap_or(u32::MAX));
        packet.0.extend(value);
        packet
    }

    #[must_use]
    pub fn attributes(self, mode: u32, seconds: u32) -> Self {
        self.number(PERMISSIONS | TIMES)
            .number(mode)
            .number(seconds)
            .number(seconds)
    }

    /// `data_ahead`: octets of the packet that are sent after what this returns.
    pub fn finish(mut self, data_ahead: usize) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4 + data_ahead).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// What a server says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    pub size: Option<u64>,
    pub mode: Option<u32>,
    /// Seconds since 1970.
    pub modified: Option<u32>,
}

impl Attributes {
    pub fn is_file(&self) -> bool {
        self.mode.is_none_or(|mode| mode & 0o170_000 == 0o100_000)
    }
}

/// Takes a received packet apart. `None`: it ends too early.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    pub fn long(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    pub fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.number()?;
        let mut found = Attributes::default();
        if flags & SIZE != 0 {
            found.size = Some(self.long()?);
        }
        if flags & OWNER != 0 {
            self.long()?;
        }
        if flags & PERMISSIONS != 0 {
            found.mode = Some(self.number()?);
        }
        if flags & TIMES != 0 {
            let (_, modified) = (self.number()?, self.number()?);
            found.modified = Some(modified);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_laid_out_as_the_draft_has_it() {
        let packet = Packet::new(REMOVE, 7).text("/a").finish(0);
        assert_eq!(packet, [0, 0, 0, 11, 13, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b'a']);
        let packet = Packet::new(WRITE, 1).text("h").long(0x1_0000_0000).number(3).finish(3);
        assert_eq!(packet.len() - 4 + 3, 25);
        assert_eq!(packet[..4], [0, 0, 0, 25]);
    }

    #[test]
    fn no_packet_is_read_beyond_its_end() {
        let whole = [
            0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0x81, 0xa4, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let attributes = Fields(&whole).attributes().unwrap();
        assert_eq!(attributes.size, Some(5));
        assert!(attributes.is_file());
        for end in 0..24 {
            assert_eq!(Fields(&whole[..end]).attributes(), None, "{end}");
        }
        assert_eq!(Fields(&[255, 255, 255, 255, 1]).text(), None);
        assert_eq!(Fields(&[]).octet(), None);
        assert!(
            !Attributes {
                mode: Some(0o120_777),
                ..Attributes::default()
            }
            .is_file()
        );
    }
}
