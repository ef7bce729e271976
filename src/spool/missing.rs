//! An offered file that is not there: when that is a pickup, and when it is something else.

use std::path::Path;

use super::Spool;
use crate::{
    exit::{Error, Exit, Result},
    ledger::{Ledger, Row},
};

/// An offered file is missing. That is the pickup only if this is the directory it was in: not the empty mount point of
/// a disk that is not there, nor another spool with the same ledger. And a file of its size under its name, that is
/// merely no longer ours, has not been picked up either.
pub(super) fn refuse_unexplained(spool: &Spool, ledger: &Ledger, row: &Row) -> Result<()> {
    let path = spool.path(&row.name);
    if path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() == row.octets)
    {
        return Err(Error::new(
            Exit::Denied,
            format!("{} still lies there, but belongs to another user now", path.display()),
        )
        .next("Give it back with chown, or delete it once it is fetched."));
    }
    let now = spool
        .identity()
        .map_err(|e| Error::file("look at", &spool.directory, &e))?;
    let Some(then) = ledger.spool_identity()? else {
        return Ok(());
    };
    let elsewhere = Path::new(&then.path).join(&row.name);
    if then.path != now.path && elsewhere.symlink_metadata().is_ok() {
        return Err(Error::new(
            Exit::Configuration,
            format!(
                "document {} still waits in another spool: {}",
                row.sequence,
                elsewhere.display()
            ),
        )
        .next("One ledger serves one spool. Give this spool a [state] directory of its own."));
    }
    if then.path == now.path && (then.inode, then.born) != (now.inode, now.born) {
        return Err(Error::new(
            Exit::CannotCreate,
            format!(
                "{} is not the directory in which {} was",
                spool.directory.display(),
                row.name
            ),
        )
        .next(
            "Is its disk mounted? If the directory was replaced on purpose, billdrop release gives the document up.",
        ));
    }
    Ok(())
}

/// The document whose file is missing together with its whole directory, if there is one.
pub fn missing(spool: &Spool, ledger: &Ledger) -> Result<Option<Row>> {
    for row in ledger.unfinished()? {
        let is_there = |name: &str| spool.path(name).symlink_metadata().is_ok();
        let lies_here = is_there(&row.name) || is_there(&format!(".{}.partial", row.name));
        if !lies_here && refuse_unexplained(spool, ledger, &row).is_err_and(|e| e.exit() == Exit::CannotCreate) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
