//! The documentId of a SESSION_START: sixteen octets, the same for a document on whichever collector it goes on.

use std::{fmt, str::FromStr};

/// Which document the records belong to. With the sequence number it is how a collector knows a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId([u8; 16]);

/// How a documentId is made. The specification asks for a UUID; collectors compare it and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DocumentIdForm {
    /// As an ARRIS E6000: Unix second, six zero octets, MAC address of the exporter. Not the docId of a document in XML,
    /// which counts from 1900.
    #[default]
    TimeMac,
    /// The same, with the number of the document in the six octets: two documents of one second differ.
    TimeNumberMac,
}

/// A word that names no form of a documentId.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a form of a documentId: `time-mac` or `time-number-mac` is expected")]
pub struct NotAForm;

impl FromStr for DocumentIdForm {
    type Err = NotAForm;

    fn from_str(word: &str) -> Result<DocumentIdForm, NotAForm> {
        match word {
            "time-mac" => Ok(DocumentIdForm::TimeMac),
            "time-number-mac" => Ok(DocumentIdForm::TimeNumberMac),
            _ => Err(NotAForm),
        }
    }
}

impl DocumentIdForm {
    /// `unix_seconds` is when the interval began, `number` is taken modulo 2^48.
    pub fn make(self, unix_seconds: u32, number: u64, mac: [u8; 6]) -> DocumentId {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&unix_seconds.to_be_bytes());
        if self == DocumentIdForm::TimeNumberMac {
            octets[4..10].copy_from_slice(&number.to_be_bytes()[2..]);
        }
        octets[10..].copy_from_slice(&mac);
        DocumentId(octets)
    }
}

impl DocumentId {
    /// Any other form, such as a UUID.
    pub fn from_bytes(octets: [u8; 16]) -> DocumentId {
        DocumentId(octets)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Like a UUID.
impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{octet:02X}")?;
        }
        Ok(())
    }
}
