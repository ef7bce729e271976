//! The docId: which document this is, and when and by whom it was made.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};

/// Seconds from 1900-01-01 (NTP) to 1970-01-01 (Unix).
const NTP_TO_UNIX: i64 = 2_208_988_800;

/// The identity of a document, in the shape that a CMTS gives it: 4 octets NTP seconds of its creation, 6 octets
/// that a CMTS leaves zero and that hold the recorder's sequence number here, 6 octets MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId([u8; 16]);

/// A text that is not eight, four, four, four and twelve hexadecimal digits with dashes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a docId: 8-4-4-4-12 hexadecimal digits are expected, as in ED133218-0000-0000-002A-00005E005310")]
pub struct NotADocId;

impl DocId {
    /// The greatest sequence number that a docId can hold: 48 bits.
    pub const MAX_SEQUENCE: u64 = (1 << 48) - 1;

    /// `sequence` is taken modulo 2^48; [`super::write()`] refuses a document whose number does not fit.
    pub fn new(created: DateTime<Utc>, sequence: u64, mac: [u8; 6]) -> DocId {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&ntp_seconds(created).to_be_bytes());
        octets[4..10].copy_from_slice(&sequence.to_be_bytes()[2..]);
        octets[10..].copy_from_slice(&mac);
        DocId(octets)
    }

    /// The recorder's number of the document. 0 in documents of a CMTS.
    pub fn sequence(&self) -> u64 {
        let mut octets = [0; 8];
        octets[2..].copy_from_slice(&self.0[4..10]);
        u64::from_be_bytes(octets)
    }

    /// Seconds since 1900-01-01T00:00:00Z modulo 2^32: they begin again at 0 in February 2036.
    pub fn ntp_seconds(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether the docId was made at this time, to the second.
    pub fn is_of(&self, created: DateTime<Utc>) -> bool {
        self.ntp_seconds() == ntp_seconds(created)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub fn from_bytes(octets: [u8; 16]) -> DocId {
        DocId(octets)
    }
}

fn ntp_seconds(time: DateTime<Utc>) -> u32 {
    // The low 32 bits are what RFC 5905 sends in every era.
    (time.timestamp() + NTP_TO_UNIX) as u32
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{octet:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for DocId {
    type Err = NotADocId;

    fn from_str(text: &str) -> Result<DocId, NotADocId> {
        super::lexical::uuid(text).map(DocId).ok_or(NotADocId)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    /// The values of documents that a uBR and a cBR wrote.
    #[test]
    fn the_first_digits_are_the_ntp_seconds_of_the_creation() {
        let made = |h, time: (i32, u32, u32, u32, u32, u32), mac| {
            let created = Utc
                .with_ymd_and_hms(time.0, time.1, time.2, time.3, time.4, time.5)
                .unwrap();
            assert_eq!(DocId::new(created, 0, mac).to_string(), h);
        };
        made(
            "C3146152-0000-0000-0000-000BBF7D5800",
            (2003, 9, 18, 16, 52, 34),
            [0, 0x0B, 0xBF, 0x7D, 0x58, 0],
        );
        made(
            "CEAE9DC7-0000-0000-0000-000000000000",
            (2009, 11, 18, 16, 22, 31),
            [0; 6],
        );
    }

    #[test]
    fn the_seconds_begin_again_in_2036() {
        let last = Utc.with_ymd_and_hms(2036, 2, 7, 6, 28, 15).unwrap();
        assert_eq!(DocId::new(last, 1, [0; 6]).ntp_seconds(), u32::MAX);
        let first = last + chrono::Duration::seconds(1);
        assert_eq!(DocId::new(first, 1, [0; 6]).ntp_seconds(), 0);
        assert!(DocId::new(first, 1, [0; 6]).is_of(first));
    }

    #[test]
    fn the_sequence_number_comes_back_and_so_does_the_text() {
        let created = Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 0).unwrap();
        for sequence in [0, 1, 42, 0xFFFF, 0x1_0000, DocId::MAX_SEQUENCE] {
            let id = DocId::new(created, sequence, [0, 0, 0x5E, 0, 0x53, 0x10]);
            assert_eq!(id.sequence(), sequence);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
            assert_eq!(DocId::from_bytes(*id.as_bytes()), id);
        }
        let id = DocId::new(created, 42, [0, 0, 0x5E, 0, 0x53, 0x10]);
        assert_eq!(id.to_string(), "ED133218-0000-0000-002A-00005E005310");
    }

    #[test]
    fn what_is_not_a_doc_id_is_refused() {
        for text in [
            "",
            "ED133218",
            "ED133218-0000-0000-0000-00005E00531",
            "ED133218-0000-0000-0000-00005E0053100",
            "ED133218_0000-0000-0000-00005E005310",
            "ED13321G-0000-0000-0000-00005E005310",
            "+D133218-0000-0000-0000-00005E005310",
            "ED133218-0000-0000-0000-00005E0053é",
        ] {
            assert_eq!(text.parse::<DocId>(), Err(NotADocId), "{text}");
        }
    }
}
