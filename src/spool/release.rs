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

const RELEASED: &str = "released";

/// What became of a release.
#[derive(Debug)]
pub enum Released {
    /// The document lies here now.
    Aside(PathBuf),
    /// The remote application was quicker: the document had been retrieved.
    AlreadyRetrieved,
}

/// The ledger first, then the file: died in between, the next run moves it (`recover`).
pub fn release(
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    releasing: &Releasing<'_>,
    _locked: &Locked<'_>,
) -> Result<Released> {
    if !spool.path(&row.name).exists() {
        ledger.retrieve(row.sequence, releasing.at)?;
        return Ok(Released::AlreadyRetrieved);
    }
    ledger.release(row.sequence, releasing)?;
    move_aside(spool, &row.name)?;
    Ok(Released::Aside(spool.state.join(RELEASED).join(&row.name)))
}

/// Moves the file out of the spool, never over another one. That it is gone already is fine.
pub(super) fn move_aside(spool: &Spool, name: &str) -> Result<()> {
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
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        moved => moved,
    };
    moved
        .and_then(|()| File::open(&directory)?.sync_all())
        .and_then(|()| spool.sync())
        .map_err(|e| Error::file("move aside", &from, &e).next("Nothing is lost; the next run tries again."))
}

/// The spool may lie on another file system than the state.
fn copy_then_remove(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    fs::remove_file(from)
}
