//! The open file: octets behind what is there, whole or not at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::Instant,
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::cannot;
use crate::config::gatekeeper::Rotate;

/// As the gatekeeper makes its file, so that who reads it now still can.
const MODE: u32 = 0o644;

/// A place in the file, also when it has another name by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    pub device: u64,
    pub inode: u64,
    pub offset: u64,
}

pub(super) struct Open {
    pub file: File,
    pub device: u64,
    pub inode: u64,
    /// Octets of whole lines, ours and others'.
    pub size: u64,
    pub lines: u64,
    /// The last line has no line end and is not ours.
    pub unfinished: bool,
    /// A write failed and could not be taken back: so many octets behind [`Open::size`] are part of it.
    pub spoilt: u64,
    /// When it was last seen that the file still has its name.
    pub seen: Instant,
}

impl Open {
    /// The file of a name, and whether it was made.
    pub(super) fn at(path: &Path, rotate: Rotate) -> io::Result<(Open, bool)> {
        if path.as_os_str().is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "DetailFile is not set"));
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(MODE);
        // A pipe without a reader would hold everybody up.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => (options.create(true).open(path)?, false),
            Err(e) => return Err(e),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut open = Open {
            file,
            device: found.dev(),
            inode: found.ino(),
            size: 0,
            lines: 0,
            unfinished: false,
            spoilt: 0,
            seen: Instant::now(),
        };
        open.look(rotate)?;
        Ok((open, is_new))
    }

    pub(super) fn position(&self) -> FilePosition {
        FilePosition {
            device: self.device,
            inode: self.inode,
            offset: self.size,
        }
    }

    /// Finds out how long the file is, whether its last line has an end, and how many lines it has if they count.
    pub(super) fn look(&mut self, rotate: Rotate) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if matches!(rotate, Rotate::Lines(_)) {
            let (from, before) = if size >= self.size {
                (self.size, self.lines)
            } else {
                (0, 0)
            };
            self.lines = before + count_lines(&self.file, from, size)?;
        }
        self.size = size;
        let mut last = [b'\n'];
        if self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        self.unfinished = last != [b'\n'];
        Ok(())
    }

    /// How many of the lines, at least one, may be written before the file is full.
    pub(super) fn until_full(&self, ends: &[usize], from: usize, rotate: Rotate) -> usize {
        let fitting = match rotate {
            Rotate::Lines(most) => usize::try_from(most.saturating_sub(self.lines)).unwrap_or(usize::MAX),
            Rotate::Octets(most) => {
                let room = most.saturating_sub(self.size);
                // The one that reaches the limit is written, too.
                1 + ends.partition_point(|end| ((end - from) as u64) < room)
            }
            _ => usize::MAX,
        };
        fitting.clamp(1, ends.len())
    }

    pub(super) fn is_full(&self, rotate: Rotate) -> bool {
        match rotate {
            Rotate::Lines(most) => most > 0 && self.lines >= most,
            Rotate::Octets(most) => most > 0 && self.size >= most,
            _ => false,
        }
    }

    /// Writes lines with one call, or nothing.
    pub(super) fn append(&mut self, lines: &[u8], path: &Path) -> Result<(), String> {
        self.take_back(path)?;
        let completed;
        let lines = if self.unfinished {
            completed = [b"\n", lines].concat();
            &completed
        } else {
            lines
        };
        let mut done = 0;
        while done < lines.len() {
            // Once, unless the disk is full or a signal comes.
            match self.file.write(&lines[done..]) {
                Ok(0) => return Err(self.failed(done, path, &io::Error::from(ErrorKind::WriteZero))),
                Ok(octets) => done += octets,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(done, path, &e)),
            }
        }
        self.size += lines.len() as u64;
        self.unfinished = false;
        Ok(())
    }

    fn failed(&mut self, done: usize, path: &Path, e: &io::Error) -> String {
        let reason = cannot("write to", path, e);
        self.spoilt = done as u64;
        match self.take_back(path) {
            Ok(()) => reason,
            Err(more) => format!("{reason}; {more}"),
        }
    }

    /// Cuts off what was written of lines that are not whole.
    pub(super) fn take_back(&mut self, path: &Path) -> Result<(), String> {
        if self.spoilt == 0 {
            return Ok(());
        }
        let failed = |e: io::Error| cannot("cut half a line off", path, &e);
        let size = self.file.metadata().map_err(failed)?.len();
        if size == self.size + self.spoilt {
            self.file.set_len(self.size).map_err(failed)?;
        } else {
            // Another program has written behind it, and its lines are not ours to cut.
            tracing::error!("half a line stays in {}: another program writes there", path.display());
            self.size = size;
            self.unfinished = true;
        }
        self.spoilt = 0;
        Ok(())
    }
}

fn count_lines(file: &File, mut from: u64, to: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    while from < to {
        match file.read_at(&mut buffer, from) {
            Ok(0) => break,
            Ok(octets) => {
                lines += buffer[..octets].iter().filter(|octet| **octet == b'\n').count() as u64;
                from += octets as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(lines)
}
