//! The lock that one capture holds while it works: `STATE/lock`; and that of whoever brings documents to a destination.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs2::FileExt;

use crate::exit::{Error, Result};

/// The lock file, open but not necessarily held. Kept open while waiting: closing it would wake other waiters.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Held until it is dropped; the kernel lets go of it when the process dies in whatever way.
#[derive(Debug)]
pub struct Locked<'a> {
    lock: &'a Lock,
}

impl Lock {
    pub fn open(state: &Path) -> Result<Self> {
        Self::open_file(Self::path(state))
    }

    /// The lock of those who work at something else than captures: one file for each.
    pub fn open_file(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|e| Error::file("open the lock", &path, &e))?;
        Ok(Lock { file, path })
    }

    pub fn path(state: &Path) -> PathBuf {
        state.join("lock")
    }

    /// Takes the lock, or says `None` when another capture has it.
    pub fn try_hold(&self) -> Result<Option<Locked<'_>>> {
        match FileExt::try_lock_exclusive(&self.file) {
            Ok(()) => {
                self.note_holder();
                Ok(Some(Locked { lock: self }))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(Error::file("lock", &self.path, &e)),
        }
    }

    /// The process that has the lock, as it said itself.
    pub fn holder(&self) -> Option<u32> {
        let mut file = &self.file;
        let mut text = String::new();
        file.rewind().ok()?;
        file.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// How long ago the lock was taken, or something moved, by the clock of the file system.
    pub fn held_for(&self) -> Option<Duration> {
        self.file.metadata().ok()?.modified().ok()?.elapsed().ok()
    }

    /// For the message to the others only: that it could not be written is no failure.
    fn note_holder(&self) {
        let mut file = &self.file;
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
    }
}

impl Locked<'_> {
    /// Says to the others that something moves: [`Lock::held_for`] counts from now.
    pub fn moves(&self) {
        let _ = self.lock.file.set_modified(SystemTime::now());
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = FileExt::unlock(&self.lock.file);
    }
}
