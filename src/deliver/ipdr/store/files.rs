//! The small files of a store, and what is done to all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Result, StoreError};
use crate::protocol::ipdr::DocumentId;

const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// What outlives the documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Last {
    /// Of the document that was made last; 0: none.
    pub number: u64,
    pub id: Option<DocumentId>,
    /// This document and those before are delivered.
    pub delivered: u64,
    /// Records of documents that were dropped, for the next one to tell.
    pub dropped: u64,
}

pub(super) fn progress_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.ack"))
}

pub(super) fn new_path(directory: &Path) -> PathBuf {
    directory.join("new")
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(path)
}

/// Opens a file that may be written again and again.
pub(super) fn open_kept(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).custom_flags(NOFOLLOW).open(path)
}

/// A file that nobody has; one of an earlier run goes.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(NOFOLLOW);
    options.open(path)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes a file that may be gone already; a damaged one is kept under a name that nobody reads.
pub(super) fn remove(path: &Path, is_damaged: bool) -> Result<()> {
    let (doing, done) = match is_damaged {
        true => ("set aside", fs::rename(path, aside(path))),
        false => ("remove", fs::remove_file(path)),
    };
    match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::new(doing, path, e)),
        _ => Ok(()),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

pub(super) fn write_last(directory: &Path, last: &Last) -> Result<()> {
    let id = last.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let line = format!("{} {} {} {id}\n", last.number, last.delivered, last.dropped);
    replace(directory, "last", line.as_bytes())
}

/// [`None`]: there is none. One that cannot be read is an error: its numbers must not be given again.
pub(super) fn read_last(directory: &Path) -> io::Result<Option<Last>> {
    let text = match read_small(&directory.join("last"))? {
        Some(octets) => String::from_utf8_lossy(&octets).into_owned(),
        None => return Ok(None),
    };
    let parse = || {
        let mut words = text.split_whitespace();
        let last = Last {
            number: words.next()?.parse().ok()?,
            delivered: words.next()?.parse().ok()?,
            dropped: words.next()?.parse().ok()?,
            id: match words.next()? {
                "-" => None,
                id => Some(parse_id(id)?),
            },
        };
        words.next().is_none().then_some(last)
    };
    parse().map(Some).ok_or_else(|| super::segment::wrong("it is damaged"))
}

fn parse_id(text: &str) -> Option<DocumentId> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let octets: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect();
    Some(DocumentId::from_bytes(octets.try_into().ok()?))
}

fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    const MOST: u64 = 4096;
    let file = match open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut octets = Vec::new();
    file.take(MOST).read_to_end(&mut octets)?;
    Ok(Some(octets))
}

/// Whole or as it was.
fn replace(directory: &Path, name: &str, octets: &[u8]) -> Result<()> {
    let (new, path) = (directory.join(format!("{name}.new")), directory.join(name));
    let write = || {
        let mut file = create(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_directory(directory)
    };
    write().map_err(|e| StoreError::new("write", &path, e))
}
