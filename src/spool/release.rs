//! An operator moves a document aside by hand: `STATE/released/NAME`.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{Locked, Spool};
use crate::{
    exit::{Error, Result},
    ledger::{Ledger, Releasing, Row},
};

pub(super) const RELEASED: &str = "released";

/// What became of a release.
#[derive(Debug)]
pub enum Released {
    /// The document lies here now.
    Aside(PathBuf),
    /// The remote application was quicker: the document had been retrieved.
    AlreadyRetrieved,
}

/// The ledger first, then the file: died in between, the next run moves it (`recover`). When the remote application was
/// quicker, the ledger takes it back.
pub fn release(
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    releasing: &Releasing<'_>,
    _locked: &Locked<'_>,
) -> Result<Released> {
    ledger.release(row.sequence, releasing)?;
    let moved = move_aside(spool, &row.name)?;
    if let Err(e) = spool.discard_company(&row.name) {
        tracing::warn!("cannot remove the manifest of {}, the next run will: {e}", row.name);
    }
    match moved {
        Some(path) => Ok(Released::Aside(path)),
        None => {
            ledger.take_back_release(row.sequence, releasing.at)?;
            Ok(Released::AlreadyRetrieved)
        }
    }
}

/// A document whose file is missing with its whole directory: nobody will pick it up, and nothing can be moved.
pub fn give_up(ledger: &mut Ledger, row: &Row, releasing: &Releasing<'_>, _locked: &Locked<'_>) -> Result<()> {
    Ok(ledger.release(row.sequence, releasing)?)
}

/// A released document that nobody wants any more: its file goes. Its copy, if it has one, is kept like any other.
pub fn drop_released(spool: &Spool, name: &str) -> Result<()> {
    spool
        .discard(name)
        .and_then(|()| spool.sync())
        .map_err(|e| Error::file("remove", &spool.path(name), &e))
}

/// Moves the file out of the spool, never over another one, and says where it is. [`None`]: it had gone already.
pub(super) fn move_aside(spool: &Spool, name: &str) -> Result<Option<PathBuf>> {
    let directory = spool.state.join(RELEASED);
    let from = spool.path(name);
    match fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(Error::file("make", &directory, &e)),
        _ => {}
    }
    let mut to = directory.join(name);
    let mut copies = 0;
    while to.symlink_metadata().is_ok() {
        copies += 1;
        to = directory.join(format!("{name}.{copies}"));
    }
    let moved = match fs::rename(&from, &to) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => copy_then_remove(&from, &to),
        moved => moved,
    };
    if matches!(&moved, Err(e) if e.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    moved
        .and_then(|()| File::open(&directory)?.sync_all())
        .and_then(|()| spool.sync())
        .map_err(|e| Error::file("move aside", &from, &e).next("Nothing is lost; the next run tries again."))?;
    Ok(Some(to))
}

/// The spool may lie on another file system than the state. The copy has its name only when it is whole.
fn copy_then_remove(from: &Path, to: &Path) -> io::Result<()> {
    let partial = to.with_file_name(".partial");
    let copied = fs::copy(from, &partial)
        .and_then(|_| File::open(&partial)?.sync_all())
        .and_then(|()| fs::rename(&partial, to));
    match copied {
        Ok(()) => fs::remove_file(from),
        Err(e) => {
            let _ = fs::remove_file(&partial);
            Err(e)
        }
    }
}
