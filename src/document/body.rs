//! The records of a document that is not begun yet.
//!
//! The document information record stands first and knows how many records follow, so records wait here, already
//! encoded, until the last source has answered. Small captures stay in memory; large ones go to a file without a name,
//! which the system removes whatever happens.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use tempfile::SpooledTempFile;

use super::encoder::Encoder;
use super::writer::FLUSH;
use crate::{capture::RecordSink, record::Record};

/// Octets up to which records stay in memory.
const IN_MEMORY: usize = 8 << 20;

/// Encoded records, waiting.
#[derive(Debug)]
pub struct Body {
    encoder: Encoder,
    /// Not yet in `file`.
    buffer: Vec<u8>,
    file: SpooledTempFile,
    /// Octets of `file` that count. Behind them may lie what a failed write has left.
    stored: u64,
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
        Body {
            encoder: Encoder::default(),
            buffer: Vec::new(),
            file: tempfile::spooled_tempfile_in(IN_MEMORY, directory),
            stored: 0,
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
        match mark.octets.checked_sub(self.stored) {
            Some(buffered) => {
                // A mark lies within the buffer when it does not lie before it.
                self.buffer.truncate(buffered as usize);
                Ok(())
            }
            None => {
                self.buffer.clear();
                self.stored = mark.octets;
                self.file.set_len(self.stored)
            }
        }
    }

    /// Records taken and not taken back.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their octets in the document.
    pub fn octets(&self) -> u64 {
        self.stored + self.buffer.len() as u64
    }

    /// Hands all octets on, in order, in pieces.
    pub(super) fn copy_to(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if self.stored > 0 {
            self.file.seek(SeekFrom::Start(0))?;
            let mut piece = vec![0; FLUSH];
            let mut left = self.stored;
            while left > 0 {
                let octets = left.min(FLUSH as u64) as usize;
                self.file.read_exact(&mut piece[..octets])?;
                take(&piece[..octets])?;
                left -= octets as u64;
            }
        }
        take(&self.buffer)
    }

    fn store(&mut self) -> io::Result<()> {
        // A write that failed half-way has moved the position; what counts ends at `stored`.
        self.file.seek(SeekFrom::Start(self.stored))?;
        self.file.write_all(&self.buffer)?;
        self.stored += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl RecordSink for Body {
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the record does not fit its definition; others when it could not be
    /// stored. The record is not in the body then; those before it are.
    fn push(&mut self, record: &Record) -> io::Result<()> {
        let before = self.buffer.len();
        self.encoder.append(&mut self.buffer, record)?;
        if self.buffer.len() >= FLUSH
            && let Err(error) = self.store()
        {
            self.buffer.truncate(before);
            return Err(error);
        }
        self.count += 1;
        Ok(())
    }
}
