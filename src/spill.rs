//! Octets that wait until it is known whether they are wanted: in memory while they are few, in a file without a name
//! when they become many, which the system removes whatever happens.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Octets that are moved at once.
pub const PIECE: usize = 64 << 10;

/// Octets, waiting. They are appended to `buffer`; [`Spill::settle`] moves them to the file when they are too many.
#[derive(Debug)]
pub struct Spill {
    directory: PathBuf,
    in_memory: usize,
    /// Not yet in `file`.
    buffer: Vec<u8>,
    /// Made when it is needed.
    file: Option<File>,
    /// Octets of `file` that count. Behind them may lie what a failed write has left.
    stored: u64,
}

impl Spill {
    /// `directory` is where the file lies when one is needed; `in_memory` octets are kept without one.
    pub fn new(directory: &Path, in_memory: usize) -> Spill {
        Spill {
            directory: directory.to_owned(),
            in_memory,
            buffer: Vec::new(),
            file: None,
            stored: 0,
        }
    }

    /// Where octets are appended. What was there before must stay.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// After octets were appended.
    ///
    /// # Errors
    /// When they are too many for memory and cannot be stored. All of them are in the buffer still.
    pub fn settle(&mut self) -> io::Result<()> {
        // Once there is a file, memory is no longer used for more than one write.
        let limit = if self.file.is_none() { self.in_memory } else { PIECE };
        if self.buffer.len() < limit {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.directory)?),
        };
        // A write that failed half-way has moved the position; what counts ends at `stored`.
        file.seek(SeekFrom::Start(self.stored))?;
        file.write_all(&self.buffer)?;
        self.stored += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * PIECE);
        Ok(())
    }

    pub fn octets(&self) -> u64 {
        self.stored + self.buffer.len() as u64
    }

    /// Forgets what stands behind the first `octets`.
    ///
    /// # Errors
    /// When the file cannot be made shorter. The octets are forgotten nevertheless.
    pub fn take_back(&mut self, octets: u64) -> io::Result<()> {
        match octets.checked_sub(self.stored) {
            Some(buffered) => {
                self.buffer.truncate(usize::try_from(buffered).unwrap_or(usize::MAX));
                Ok(())
            }
            None => {
                self.buffer.clear();
                self.stored = octets;
                self.file.as_ref().map_or(Ok(()), |file| file.set_len(octets))
            }
        }
    }

    /// Appends everything that waits in `other`.
    ///
    /// # Errors
    /// When one cannot be read or the other not be stored; then it is as before.
    pub fn append(&mut self, mut other: Spill) -> io::Result<()> {
        let before = self.octets();
        let appended = other.copy_to(|piece| {
            self.buffer.extend_from_slice(piece);
            self.settle()
        });
        if appended.is_err() {
            self.take_back(before)?;
        }
        appended
    }

    /// Hands all octets on, in order, in pieces.
    pub fn copy_to(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            let mut piece = vec![0; PIECE];
            let mut left = self.stored;
            while left > 0 {
                let octets = left.min(PIECE as u64) as usize;
                file.read_exact(&mut piece[..octets])?;
                take(&piece[..octets])?;
                left -= octets as u64;
            }
        }
        self.buffer.chunks(PIECE).try_for_each(take)
    }
}
