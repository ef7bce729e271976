//! The records of a document that is not begun yet.
//!
//! The document information record stands first and knows how many records follow, so records wait here, already
//! encoded, until the last source has answered. Small captures stay in memory; large ones go to a file without a name,
//! which the system removes whatever happens.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::encoder::Encoder;
use super::writer::FLUSH;
use crate::{capture::RecordSink, record::Record};

/// Octets up to which records stay in memory.
const IN_MEMORY: usize = 8 << 20;

/// Encoded records, waiting.
#[derive(Debug)]
pub struct Body {
    encoder: Encoder,
    directory: PathBuf,
    /// Not yet in `file`.
    buffer: Vec<u8>,
    /// Made when it is needed.
    file: Option<File>,
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
            directory: directory.to_owned(),
            buffer: Vec::new(),
            file: None,
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
                self.file.as_ref().map_or(Ok(()), |file| file.set_len(mark.octets))
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
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            let mut piece = vec![0; FLUSH];
            let mut left = self.stored;
            while left > 0 {
                let octets = left.min(FLUSH as u64) as usize;
                file.read_exact(&mut piece[..octets])?;
                take(&piece[..octets])?;
                left -= octets as u64;
            }
        }
        self.buffer.chunks(FLUSH).try_for_each(take)
    }

    /// Octets that may wait in `buffer`: once there is a file, memory is no longer used for more than one write.
    fn limit(&self) -> usize {
        if self.file.is_none() { IN_MEMORY } else { FLUSH }
    }

    fn store(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.directory)?),
        };
        // A write that failed half-way has moved the position; what counts ends at `stored`.
        file.seek(SeekFrom::Start(self.stored))?;
        file.write_all(&self.buffer)?;
        self.stored += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * FLUSH);
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
        if self.buffer.len() >= self.limit()
            && let Err(error) = self.store()
        {
            self.buffer.truncate(before);
            return Err(error);
        }
        self.count += 1;
        Ok(())
    }
}
