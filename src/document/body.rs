//! The records of a document that is not begun yet.
//!
//! The document information record stands first and knows how many records follow, so records wait here, already
//! encoded, until the last source has answered. Small captures stay in memory; large ones go to a file without a name
//! ([`Spill`]).

use std::{io, path::Path};

use super::encoder::Encoder;
use crate::{
    capture::RecordSink,
    record::Record,
    spill::{PIECE, Spill},
};

/// Octets up to which the records of a document stay in memory.
const IN_MEMORY: usize = 8 << 20;

/// Encoded records, waiting.
#[derive(Debug)]
pub struct Body {
    encoder: Encoder,
    octets: Spill,
    count: u64,
}

/// A place in a [`Body`] that it can be taken back to: where the records of a source begin.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    octets: u64,
    count: u64,
}

impl Body {
    /// `directory` is where the file lies when one is needed; its file system must have room for all records.
    pub fn new(directory: &Path) -> Body {
        Body::with_memory(directory, IN_MEMORY)
    }

    /// For the records of one of many sources that are asked at once: little of it stays in memory.
    pub fn of_one_of_many(directory: &Path) -> Body {
        Body::with_memory(directory, PIECE)
    }

    fn with_memory(directory: &Path, octets: usize) -> Body {
        Body {
            encoder: Encoder::default(),
            octets: Spill::new(directory, octets),
            count: 0,
        }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            octets: self.octets(),
            count: self.count,
        }
    }

    /// Forgets every record that was pushed since `mark`, a mark of this body that is not behind a former one it was
    /// taken back to.
    ///
    /// # Errors
    /// When the file cannot be made shorter. The records are forgotten nevertheless.
    pub fn take_back(&mut self, mark: Mark) -> io::Result<()> {
        self.count = self.count.min(mark.count);
        self.octets.take_back(mark.octets)
    }

    /// Appends all records of `other`, in their order.
    ///
    /// # Errors
    /// When they cannot be stored, or not be read back: then none of them is here.
    pub fn append(&mut self, other: Body) -> io::Result<()> {
        self.octets.append(other.octets)?;
        self.count += other.count;
        Ok(())
    }

    /// Records taken and not taken back.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their octets in the document.
    pub fn octets(&self) -> u64 {
        self.octets.octets()
    }

    /// Hands all octets on, in order, in pieces.
    pub(super) fn copy_to(&mut self, take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.octets.copy_to(take)
    }
}

impl RecordSink for Body {
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the record does not fit its definition; others when it could not be
    /// stored. The record is not in the body then; those before it are.
    fn push(&mut self, record: &Record) -> io::Result<()> {
        let buffer = self.octets.buffer();
        let before = buffer.len();
        self.encoder.append(buffer, record)?;
        if let Err(error) = self.octets.settle() {
            self.octets.buffer().truncate(before);
            return Err(error);
        }
        self.count += 1;
        Ok(())
    }
}
