//! What a document may ask for, and how it is refused.

use std::fmt;

use super::bounded::Place;

/// What one document may ask for. The number of records is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one text, and of one comment.
    pub text: usize,
    /// Octets of one tag: an element's name with its attributes.
    pub tag: usize,
    /// Octets of one record.
    pub record: u64,
    /// How deep elements may be nested. Our own documents need 4.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            text: 1 << 20,
            tag: 64 << 10,
            record: 16 << 20,
            depth: 16,
        }
    }
}

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ReadError {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    pub message: String,
    /// The operating system's reason when the input could not be read at all. [`None`]: the document is wrong.
    pub io: Option<std::io::ErrorKind>,
}

impl ReadError {
    pub(crate) fn at(place: Place, message: impl Into<String>) -> Self {
        ReadError {
            line: place.line,
            column: place.column,
            message: message.into(),
            io: None,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}
