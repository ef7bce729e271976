//! The files of the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// First octets of each segment; then its position again, and which journal it belongs to.
const MAGIC: &[u8; 8] = b"bdcalls1";

/// Octets before the first record.
pub const HEADER: u64 = 24;

/// A file of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Position of its first record.
    pub start: u64,
    pub path: PathBuf,
}

/// Where the journal lies.
pub fn directory(state: &Path) -> PathBuf {
    state.join("calls")
}

/// The lock of the process that writes.
pub fn lock_path(state: &Path) -> PathBuf {
    directory(state).join("lock")
}

/// All segments in order. Other files are none of ours.
pub fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(segments),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let start = name.to_str().and_then(|name| {
            let digits = name.strip_suffix(".calls").filter(|digits| digits.len() == 20)?;
            digits.parse().ok()
        });
        if let Some(start) = start {
            let path = entry.path();
            segments.push(Segment { start, path });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.start);
    Ok(segments)
}

impl Segment {
    pub fn at(directory: &Path, start: u64) -> Self {
        Segment {
            start,
            path: directory.join(format!("{start:020}.calls")),
        }
    }

    /// Makes the file, if wanted so that it and its name are on the disk.
    pub fn create(&self, journal: u64, is_synced: bool) -> io::Result<File> {
        let mut file = options().create_new(true).open(&self.path)?;
        file.write_all(&self.header(journal))?;
        if is_synced {
            file.sync_all()?;
            sync_directory(self.path.parent().unwrap_or(&self.path))?;
        }
        Ok(file)
    }

    pub fn append(&self) -> io::Result<File> {
        options().open(&self.path)
    }

    pub fn read(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&self.path)
    }

    fn header(&self, journal: u64) -> [u8; HEADER as usize] {
        let mut header = [0; HEADER as usize];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&self.start.to_le_bytes());
        header[16..].copy_from_slice(&journal.to_le_bytes());
        header
    }

    /// Which journal it belongs to; [`None`]: it has no header, or none of ours.
    pub fn journal(&self) -> io::Result<Option<u64>> {
        let mut header = [0; HEADER as usize];
        let read = self.read()?.read_at(&mut header, 0)?;
        let (begin, journal) = header.split_at(16);
        let is_ours = read == header.len() && begin == &self.header(0)[..16];
        Ok(journal.try_into().ok().map(u64::from_le_bytes).filter(|_| is_ours))
    }

    /// Removes it; or, if it is damaged, sets it aside under a name that nobody reads.
    pub fn remove(&self, is_damaged: bool) -> io::Result<()> {
        match is_damaged {
            true => fs::rename(&self.path, self.path.with_extension("damaged")),
            false => fs::remove_file(&self.path),
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
