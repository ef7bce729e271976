//! Documents that are offered again, one after the other, before anything new is captured.
//!
//! A document's copy becomes its temporary file once more, the ledger says *sealed*, and from there on it is a document
//! like any other: the steps are those of [`super::commit`], and what a killed run leaves is in the table of `recover`.

use std::{fs::File, io};

use chrono::{DateTime, Utc};

use super::{Locked, Spool, archive::CopyError, commit::offer};
use crate::{
    exit::Result,
    ledger::{Ledger, Row, Tell},
};

/// Offers the next document of the queue, if there is one and nothing waits in the spool.
///
/// A copy that is gone or damaged is given up, aloud. One that cannot be brought into the spool now, because the disk is
/// full, say, stays in the queue, and does not keep a new document back.
pub fn offer_next(
    spool: &Spool,
    ledger: &mut Ledger,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
    _locked: &Locked<'_>,
) -> Result<Option<Row>> {
    for wish in ledger.queue()? {
        let Some(row) = ledger.by_sequence(wish.sequence)? else {
            ledger.resend_failed(wish.id, "the ledger does not know it any more", now)?;
            continue;
        };
        match bring(spool, &row) {
            Ok(()) => {}
            Err(e) if e.is_final() => {
                tracing::error!("document {} cannot be offered again: {e}", row.sequence);
                ledger.resend_failed(wish.id, &e.to_string(), now)?;
                continue;
            }
            Err(e) => {
                tracing::error!("document {} is not offered again yet: {e}", row.sequence);
                return Ok(None);
            }
        }
        let identity = spool
            .identity()
            .map_err(|e| crate::exit::Error::file("look at", &spool.directory, &e))?;
        ledger.seal_again(&wish, &identity, now)?;
        offer(spool, ledger, &row, &tell(&row), now)?;
        tracing::info!("offered {} again", row.name);
        return Ok(Some(row));
    }
    Ok(None)
}

/// The checked copy under the document's temporary name, on the disk.
fn bring(spool: &Spool, row: &Row) -> std::result::Result<(), CopyError> {
    let found = spool.archive.checked(row)?;
    let partial = format!(".{}.partial", row.name);
    let path = spool.path(&partial);
    let brought = || -> io::Result<()> {
        spool.discard(&partial)?;
        spool.archive.bring(&found, &path, || spool.create(&partial))?;
        let file = File::open(&path)?;
        spool.permit(&file)?;
        file.sync_all()?;
        spool.sync()
    };
    brought().map_err(|source| {
        let _ = spool.discard(&partial);
        CopyError::Unwritten {
            path: path.clone(),
            source,
        }
    })
}
