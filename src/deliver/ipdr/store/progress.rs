//! How far a document is acknowledged: a small file that is written over and over, mostly without a sync.
//!
//! Two slots take turns, each with a count and a checksum: a slot that was torn leaves the one before.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::files;
use crate::protocol::ipdr::Input;

const SLOT: usize = 29;

#[derive(Debug, Default)]
pub(super) struct Progress {
    file: Option<File>,
    /// How often was noted.
    count: u64,
    /// As noted last.
    last: Noted,
}

/// How far a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Noted {
    /// Records below need not be sent again.
    pub acknowledged: u64,
    /// Records that were given up.
    pub dropped: u64,
    /// Records of it may have been sent.
    pub is_started: bool,
}

impl Progress {
    /// With what was noted last.
    pub fn read(path: &Path) -> io::Result<(Progress, Noted)> {
        let file = match files::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Progress::default(), Noted::default())),
            Err(e) => return Err(e),
        };
        let newest = (0..2).filter_map(|slot| read_slot(&file, slot)).max();
        let (count, last) = newest.unwrap_or_default();
        let progress = Progress {
            file: None,
            count,
            last,
        };
        Ok((progress, last))
    }

    /// Synced when more were given up, or it was started: that must not be forgotten.
    pub fn note(&mut self, path: &Path, noted: Noted) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(files::open_kept(path)?),
        };
        self.count += 1;
        let mut slot = [0; SLOT];
        slot[..8].copy_from_slice(&self.count.to_be_bytes());
        slot[8..16].copy_from_slice(&noted.acknowledged.to_be_bytes());
        slot[16..24].copy_from_slice(&noted.dropped.to_be_bytes());
        slot[24] = noted.is_started.into();
        let check = crc32fast::hash(&slot[..25]);
        slot[25..].copy_from_slice(&check.to_be_bytes());
        file.write_all_at(&slot, (self.count % 2) * SLOT as u64)?;
        if (noted.dropped, noted.is_started) != (self.last.dropped, self.last.is_started) {
            file.sync_data()?;
        }
        self.last = noted;
        Ok(())
    }
}

fn read_slot(file: &File, slot: u64) -> Option<(u64, Noted)> {
    let mut octets = [0; SLOT];
    file.read_exact_at(&mut octets, slot * SLOT as u64).ok()?;
    let mut input = Input::new(&octets);
    let count = input.u64("").ok()?;
    let noted = Noted {
        acknowledged: input.u64("").ok()?,
        dropped: input.u64("").ok()?,
        is_started: input.boolean("").ok()?,
    };
    (input.u32("").ok()? == crc32fast::hash(&octets[..25])).then_some((count, noted))
}
