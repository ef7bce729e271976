//! An offered file that is not there: when that is a pickup, and when it is something else.

use std::{fs, path::Path};

use super::Spool;
use crate::{
    config,
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
    let there = Path::new(&then.path);
    // Died before its rename, it lies there under its temporary name.
    let elsewhere = [there.join(&row.name), there.join(format!(".{}.partial", row.name))];
    if then.path != now.path
        && let Some(elsewhere) = elsewhere.iter().find(|path| path.symlink_metadata().is_ok())
    {
        return Err(waits_elsewhere(spool, row, elsewhere));
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

fn waits_elsewhere(spool: &Spool, row: &Row, path: &Path) -> Error {
    let was_streamed = path.parent() == Some(&spool.state.join(config::STREAM))
        || fs::canonicalize(&spool.state).is_ok_and(|state| path.parent() == Some(&state.join(config::STREAM)));
    let (place, next) = match (spool.streams, was_streamed) {
        (true, _) => (
            "in the spool",
            "Fetch and delete it, or take [stream] out of the configuration and run billdrop release or capture; then \
             stream. Or give streaming mode a [state] directory of its own.",
        ),
        (false, true) => (
            "for a collector",
            "Put [stream] back and run billdrop stream --once until nothing waits, or billdrop release; then change the \
             mode. Or give file mode a [state] directory of its own.",
        ),
        (false, false) => (
            "in another spool",
            "One ledger serves one spool. Give this spool a [state] directory of its own.",
        ),
    };
    let message = format!("document {} still waits {place}: {}", row.sequence, path.display());
    Error::new(Exit::Configuration, message).next(next)
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
