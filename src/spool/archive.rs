//! The archive: a second name of each document, so that it outlives its pickup.
//!
//! | path | what |
//! |---|---|
//! | `ARCHIVE/NAME` | the copy of a document, as a rule a hard link: it costs nothing until the pickup |
//! | `ARCHIVE/NAME.zst` | the same, compressed after the retrieval |
//! | `ARCHIVE/.NAME.partial` | a copy that is being written; removed by the next run |
//!
//! A copy is made after the seal of its document and before its rename: so whatever anybody can fetch has its copy, and a
//! file under its final name here is always a document that was sealed. A rebuilt ledger believes it for that. A copy that
//! cannot be made is no reason to keep a document back: it is said in the log, and tried again while the document waits.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::Utc;
use rustix::fs::{AtFlags, CWD};
use sha2::{Digest, Sha256};

use super::DocumentName;
use crate::{config::Config, document, ledger::ArchivedCopy, ledger::Row, trust};

const COMPRESSED: &str = ".zst";

/// What zstd calls its level of effort. 3 is its own default: fast, and XML becomes a tenth.
const LEVEL: i32 = 3;

/// Memory that decompressing may take, as a power of two. What is written here needs 2 MiB.
const WINDOW_LOG: u32 = 23;

const PIECE: usize = 256 << 10;

/// Where copies are kept, and by which rules.
#[derive(Debug, Clone)]
pub struct Archive {
    pub directory: PathBuf,
    /// Whether new documents get a copy.
    pub makes: bool,
    pub keep: Duration,
    /// Octets of all copies. [`None`]: no limit.
    pub limit: Option<u64>,
    pub compress: bool,
    /// Others may write into a document, and through a hard link into its copy.
    shared: bool,
    /// Where documents lie that were moved aside.
    released: PathBuf,
    owner: u32,
}

/// A copy that lies there.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    pub octets: u64,
    pub compressed: bool,
}

/// Why a document cannot be taken out of the archive.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("there is no copy of it in {directory}", directory = .0.display())]
    Gone(PathBuf),
    #[error("its copy {path} is not what was written: {reason}", path = path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("cannot read its copy {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}", path = path.display())]
    Unwritten { path: PathBuf, source: io::Error },
}

impl CopyError {
    /// Whether trying again is of no use.
    pub fn is_final(&self) -> bool {
        matches!(self, CopyError::Gone(_) | CopyError::Damaged { .. })
    }
}

impl Archive {
    pub fn new(config: &Config) -> Self {
        let limit = config.archive.size.0;
        Archive {
            directory: config.archive_directory(),
            makes: config.makes_copies(),
            keep: config.archive.keep.0,
            limit: (limit > 0).then_some(limit),
            compress: config.archive.compress,
            shared: config.spool.mode.0 & 0o022 != 0,
            released: config.state_directory().join(super::release::RELEASED),
            owner: trust::owner(&config.state_directory()),
        }
    }

    /// Gives the file `from`, which is the document `row`, a second name here, and syncs it. There already: as good.
    pub(super) fn keep(&self, from: &Path, row: &Row) -> io::Result<ArchivedCopy> {
        let to = self.directory.join(&row.name);
        let linked = match self.shared {
            true => Err(rustix::io::Errno::PERM),
            false => rustix::fs::linkat(CWD, from, CWD, &to, AtFlags::empty()),
        };
        match linked {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => return Err(ErrorKind::NotFound.into()),
            Err(rustix::io::Errno::EXIST) if is_same(from, &to)? => {}
            // Another file system, or one without hard links. On those that can, this makes no second copy of the data.
            Err(_) => self.copy(from, &to, row)?,
        }
        self.sync()?;
        Ok(ArchivedCopy {
            made: Utc::now(),
            octets: row.octets,
            compressed: false,
            expired: None,
        })
    }

    fn copy(&self, from: &Path, to: &Path, row: &Row) -> io::Result<()> {
        if to.symlink_metadata().is_ok() {
            return match digest(File::open(to)?, row.octets)? == row.sha256 {
                true => Ok(()),
                false => Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    format!("another file is called {}", to.display()),
                )),
            };
        }
        let partial = self.partial(&row.name);
        let copied = fs::copy(from, &partial)
            .and_then(|_| File::options().write(true).open(&partial))
            .and_then(|file| {
                file.set_modified(from.metadata()?.modified()?)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&partial, to));
        copied.inspect_err(|_| drop(fs::remove_file(&partial)))
    }

    /// The copy with this document's name, if there is one.
    pub fn find(&self, name: &str) -> io::Result<Option<Found>> {
        for (path, compressed) in [
            (self.directory.join(name), false),
            (self.directory.join(format!("{name}{COMPRESSED}")), true),
        ] {
            match path.symlink_metadata() {
                Ok(found) if found.is_file() && trust::is_ours(found.uid(), self.owner) => {
                    return Ok(Some(Found {
                        path,
                        octets: found.len(),
                        compressed,
                    }));
                }
                Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(e),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether a copy lies here.
    pub fn has(&self, name: &str) -> bool {
        matches!(self.find(name), Ok(Some(_)))
    }

    /// The document again, from here or from where it was moved aside, after it was found to be what was written.
    pub fn checked(&self, row: &Row) -> Result<Found, CopyError> {
        let found = self.search(row)?;
        let unreadable = |source| CopyError::Unreadable {
            path: found.path.clone(),
            source,
        };
        let reader = found.open().map_err(unreadable)?;
        let digest = digest(reader, row.octets).map_err(|e| match e.kind() {
            // What zstd says to octets that are none of its own.
            ErrorKind::Other | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(&found.path, e.to_string()),
            _ => unreadable(e),
        })?;
        match digest == row.sha256 {
            true => Ok(found),
            false => Err(damaged(
                &found.path,
                format!("its SHA-256 is {digest}, not {}", row.sha256),
            )),
        }
    }

    fn search(&self, row: &Row) -> Result<Found, CopyError> {
        let unreadable = |source| CopyError::Unreadable {
            path: self.directory.join(&row.name),
            source,
        };
        if let Some(found) = self.find(&row.name).map_err(unreadable)? {
            return Ok(found);
        }
        let aside = self.released.join(&row.name);
        match aside.symlink_metadata() {
            Ok(found) if found.is_file() => Ok(Found {
                path: aside,
                octets: found.len(),
                compressed: false,
            }),
            _ => Err(CopyError::Gone(self.directory.clone())),
        }
    }

    /// Makes the new file `to` of a copy that was checked; a hard link where it can be one. Not synced.
    pub(super) fn bring(&self, found: &Found, to: &Path, file: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
        if !found.compressed && !self.shared {
            match rustix::fs::linkat(CWD, &found.path, CWD, to, AtFlags::empty()) {
                Ok(()) => return Ok(()),
                Err(e @ (rustix::io::Errno::NOENT | rustix::io::Errno::NOSPC | rustix::io::Errno::IO)) => {
                    return Err(e.into());
                }
                Err(_) => {}
            }
        }
        let mut file = file()?;
        io::copy(&mut found.open()?, &mut file)?;
        file.set_modified(found.path.metadata()?.modified()?)
    }

    /// Replaces the copy by a compressed one. The caller notes it, and then removes what it replaces with
    /// [`Archive::drop_other`].
    pub(super) fn shrink(&self, row: &Row) -> Result<ArchivedCopy, CopyError> {
        let found = self.checked(row)?;
        if found.compressed {
            return Ok(ArchivedCopy::of(&found));
        }
        let to = self.directory.join(format!("{}{COMPRESSED}", row.name));
        self.rewrite(row, &found, &to, |from, to| zstd::stream::copy_encode(from, to, LEVEL))?;
        let shrunk = self.compressed(&row.name);
        // Before the only other copy goes, this one must give the document back.
        self.verify(&shrunk, row).inspect_err(|_| drop(fs::remove_file(&to)))?;
        Ok(ArchivedCopy::of(&shrunk))
    }

    /// The other way round, for those who want to read the file itself.
    pub fn unpack(&self, row: &Row) -> Result<ArchivedCopy, CopyError> {
        let found = self.checked(row)?;
        if found.compressed {
            let to = self.directory.join(&row.name);
            self.rewrite(row, &found, &to, |mut from, to| {
                io::copy(&mut from, to)?;
                Ok(())
            })?;
        }
        Ok(ArchivedCopy {
            made: Utc::now(),
            octets: row.octets,
            compressed: false,
            expired: None,
        })
    }

    fn rewrite(
        &self,
        row: &Row,
        found: &Found,
        to: &Path,
        work: impl FnOnce(Box<dyn Read>, &mut File) -> io::Result<()>,
    ) -> Result<(), CopyError> {
        let partial = self.partial(&row.name);
        let written = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            work(found.open()?, &mut file)?;
            file.set_modified(found.path.metadata()?.modified()?)?;
            file.sync_all()?;
            fs::rename(&partial, to)?;
            self.sync()
        };
        written().map_err(|source| {
            let _ = fs::remove_file(&partial);
            CopyError::Unwritten {
                path: to.to_owned(),
                source,
            }
        })
    }

    fn compressed(&self, name: &str) -> Found {
        let path = self.directory.join(format!("{name}{COMPRESSED}"));
        Found {
            octets: path.metadata().map_or(0, |found| found.len()),
            compressed: true,
            path,
        }
    }

    fn verify(&self, found: &Found, row: &Row) -> Result<(), CopyError> {
        match found.open().and_then(|reader| digest(reader, row.octets)) {
            Ok(digest) if digest == row.sha256 => Ok(()),
            Ok(digest) => Err(damaged(&found.path, format!("its SHA-256 is {digest}"))),
            Err(e) => Err(damaged(&found.path, e.to_string())),
        }
    }

    /// Of the two forms of a copy, removes the one that the ledger does not mean.
    pub(super) fn drop_other(&self, name: &str, compressed: bool) -> io::Result<()> {
        remove(&match compressed {
            true => self.directory.join(name),
            false => self.directory.join(format!("{name}{COMPRESSED}")),
        })
    }

    /// Removes a copy in either form; that it is gone already is fine.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.directory.join(name))?;
        remove(&self.directory.join(format!("{name}{COMPRESSED}")))
    }

    /// Names of the files that may be copies of documents, and in which forms they lie here; temporary files are removed on
    /// the way. The caller holds the lock.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut listed = std::collections::BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if DocumentName::of_partial(name).is_some() {
                remove(&entry.path())?;
                continue;
            }
            let (stem, compressed) = match name.strip_suffix(COMPRESSED) {
                Some(stem) => (stem, true),
                None => (name, false),
            };
            if entry.file_type()?.is_file() {
                let forms: &mut (bool, bool) = listed.entry(stem.to_owned()).or_default();
                match compressed {
                    true => forms.1 = true,
                    false => forms.0 = true,
                }
            }
        }
        Ok(listed
            .into_iter()
            .map(|(name, (plain, compressed))| Listed {
                name,
                plain,
                compressed,
            })
            .collect())
    }

    /// Whether removing copies makes room there.
    pub(super) fn shares_disk_with(&self, directory: &Path) -> bool {
        match (self.directory.metadata(), directory.metadata()) {
            (Ok(here), Ok(there)) => here.dev() == there.dev(),
            _ => false,
        }
    }

    fn partial(&self, name: &str) -> PathBuf {
        self.directory.join(format!(".{name}.partial"))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

/// A document that has a copy, and its forms.
#[derive(Debug)]
pub(super) struct Listed {
    pub name: String,
    pub plain: bool,
    pub compressed: bool,
}

impl Found {
    /// The document's own octets, decompressed where they are compressed.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        let file = File::open(&self.path)?;
        if !self.compressed {
            return Ok(Box::new(file));
        }
        let mut decoder = zstd::stream::Decoder::new(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(Box::new(decoder))
    }
}

impl ArchivedCopy {
    pub(super) fn of(found: &Found) -> Self {
        ArchivedCopy {
            made: Utc::now(),
            octets: found.octets,
            compressed: found.compressed,
            expired: None,
        }
    }
}

/// SHA-256 in hexadecimal digits. What has more than `octets` cannot be the document: it is read no further.
fn digest(reader: impl Read, octets: u64) -> io::Result<String> {
    let mut reader = reader.take(octets.saturating_add(1));
    let mut sha256 = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(document::hex(&sha256.finalize())),
            Ok(n) => sha256.update(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn damaged(path: &Path, reason: String) -> CopyError {
    CopyError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    let (a, b) = (a.symlink_metadata()?, b.symlink_metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
