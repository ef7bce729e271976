//! Brings a captured document into the spool: the five steps of the module head, in order.

use std::io;

use chrono::{DateTime, Utc};

use super::{DocumentName, Locked, Manifest, Spool, manifest};
use crate::{
    config::Profile,
    document::{self, Body, Header, Written},
    exit::{Error, exit_of, is_full},
    ledger::{ArchivedCopy, Gap, Identity, LastDocument, Ledger, LedgerError, Row, Sealing, Tell},
    record::DocumentInformation,
};

/// Everything that makes the document.
#[derive(Debug)]
pub struct Draft<'a> {
    pub name: DocumentName,
    pub header: Header,
    pub information: &'a DocumentInformation,
    pub checksum: bool,
    pub gaps: &'a [Gap],
    pub baselines: &'a [(String, Vec<u8>)],
    /// What managers are told of the capture, whatever becomes of the offer.
    pub tell: &'a Tell,
    /// Names of the destinations that are to get it.
    pub destinations: &'a [String],
}

/// Where the commit stopped.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no new document; its sequence number was not given. What was captured is captured again next time.
    #[error("{what}: {source}")]
    Unwritten { what: String, source: io::Error },
    /// The same, and it was the ledger that failed.
    #[error(transparent)]
    Unsealed(LedgerError),
    /// The document is whole and safe on the disk, but not offered yet: the next run goes on from there.
    #[error("{what}: {source}")]
    NotOffered { what: String, source: io::Error },
    /// The same, and it was the ledger that failed. The document may lie in the spool already.
    #[error(transparent)]
    NotNoted(LedgerError),
}

impl CommitError {
    /// Whether the document is lost with this run (and will be captured anew), or only late.
    pub fn is_unwritten(&self) -> bool {
        matches!(self, CommitError::Unwritten { .. } | CommitError::Unsealed(_))
    }
}

impl From<CommitError> for Error {
    fn from(e: CommitError) -> Self {
        let next = match e.is_unwritten() {
            true => "No document was offered; the next capture takes everything again.",
            false => "The document is whole and safe on the disk; the next run goes on from there.",
        };
        let error = match e {
            CommitError::Unwritten { ref source, .. } | CommitError::NotOffered { ref source, .. } => {
                Error::new(exit_of(source), e.to_string()).full_if(is_full(source))
            }
            CommitError::Unsealed(e) | CommitError::NotNoted(e) => e.into(),
        };
        error.next(next)
    }
}

/// Writes, seals and offers the document; `tell` goes into the outbox with the offer, never before.
pub fn commit(
    spool: &Spool,
    ledger: &mut Ledger,
    draft: &Draft<'_>,
    body: &mut Body,
    tell: &Tell,
    _locked: &Locked<'_>,
) -> Result<Written, CommitError> {
    let sequence = draft.information.sequence;
    let doc_id = draft.header.doc_id.to_string();
    let (written, identity) = match write_partial(spool, draft, body) {
        Ok(done) => done,
        Err(source) => {
            discard(spool, draft);
            let what = format!("cannot write {}", spool.path(&draft.name.partial()).display());
            return Err(CommitError::Unwritten { what, source });
        }
    };
    let sealing = Sealing {
        sequence,
        doc_id,
        name: draft.name.to_string(),
        created: draft.header.created,
        covers_from: draft.information.covers_from,
        covers_to: draft.information.covers_to,
        records: written.count,
        octets: written.octets,
        sha256: document::hex(&written.sha256),
        tells: draft.header.profile == Profile::Full,
        gaps: draft.gaps,
        baselines: draft.baselines,
        identity,
        tell: draft.tell,
        destinations: draft.destinations,
    };
    if let Err(e) = ledger.seal(&sealing) {
        // Perhaps the seal is on the disk all the same. Were the file to go then, the document would pass for retrieved.
        match ledger.unseal(sequence) {
            Ok(()) => discard(spool, draft),
            Err(e) => tracing::warn!("cannot clean up after the failure, the next run will: {e}"),
        }
        return Err(CommitError::Unsealed(e));
    }
    match ledger.by_sequence(sequence) {
        Ok(Some(row)) => offer(spool, ledger, &row, tell, Utc::now())?,
        // The seal has just put it there. Whatever this is, the next run begins with what is on the disk.
        Ok(None) => {
            let source = io::Error::other("the ledger does not know it any more");
            let what = format!("cannot offer {}", draft.name);
            return Err(CommitError::NotOffered { what, source });
        }
        Err(e) => return Err(CommitError::NotNoted(e)),
    }
    Ok(written)
}

/// Steps three to five, also for a document that an earlier run has sealed.
pub(super) fn offer(
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    tell: &Tell,
    at: DateTime<Utc>,
) -> Result<(), CommitError> {
    let not_offered = |source| CommitError::NotOffered {
        what: format!("cannot offer {}", spool.path(&row.name).display()),
        source,
    };
    // The last one that was given a number, which a document that is offered again is not.
    let last = ledger.last().map_err(CommitError::NotNoted)?;
    LastDocument::of(last.as_ref().unwrap_or(row))
        .write(ledger.directory())
        .map_err(CommitError::NotNoted)?;
    let partial = format!(".{}.partial", row.name);
    let copy = keep(spool, row, &partial);
    if spool.manifest {
        let before = ledger.before(row).map_err(CommitError::NotNoted)?;
        manifest::put(spool, &Manifest::of(row, before)).map_err(not_offered)?;
    }
    // A marker that is older than the offer says nothing about it.
    spool.discard_marker(&row.name).map_err(not_offered)?;
    permit(spool, &partial).map_err(not_offered)?;
    spool.publish(&partial, &row.name).map_err(not_offered)?;
    note_offer(spool, ledger, row, copy.as_ref(), tell, at)
}

/// Only now may anybody else read it: what is not sealed has no number yet.
fn permit(spool: &Spool, partial: &str) -> io::Result<()> {
    let file = spool.open_own(partial)?;
    spool.permit(&file)?;
    file.sync_all()
}

/// The copy in the archive, where one is wanted and there is none. That it cannot be made keeps nothing back.
pub(super) fn keep(spool: &Spool, row: &Row, file: &str) -> Option<ArchivedCopy> {
    let has_one = row.copy.as_ref().is_some_and(|copy| copy.expired.is_none());
    if !spool.archive.makes || has_one {
        return None;
    }
    match spool.archive.keep(&spool.path(file), row) {
        Ok(copy) => Some(copy),
        Err(e) => {
            tracing::error!(
                "no copy of {} could be made in {}: {e}",
                row.name,
                spool.archive.directory.display()
            );
            None
        }
    }
}

/// The last step: the file lies in the spool, the ledger says so.
pub(super) fn note_offer(
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    copy: Option<&ArchivedCopy>,
    tell: &Tell,
    at: DateTime<Utc>,
) -> Result<(), CommitError> {
    // Also where the rename was an earlier run's: only what is synced may be told.
    let identity = spool.sync().and_then(|()| spool.identity());
    let identity = identity.map_err(|source| CommitError::NotOffered {
        what: format!("cannot sync {}", spool.directory.display()),
        source,
    })?;
    ledger
        .offer(row.sequence, at, &identity, copy, tell)
        .map_err(CommitError::NotNoted)
}

fn write_partial(spool: &Spool, draft: &Draft<'_>, body: &mut Body) -> io::Result<(Written, Identity)> {
    let file = spool.create(&draft.name.partial())?;
    let information = Some(draft.information);
    let written = document::write(&file, &draft.header, information, body, Utc::now(), draft.checksum)?;
    file.sync_all()?;
    // POSIX lets a synced file lose its name: sealed, without a file, would later pass for retrieved.
    spool.sync()?;
    Ok((written, spool.identity()?))
}

/// Leaves nothing behind. A temporary file that cannot be removed now is removed by the next run.
fn discard(spool: &Spool, draft: &Draft<'_>) {
    if let Err(e) = spool.discard(&draft.name.partial()) {
        tracing::warn!("cannot remove {}, the next run will: {e}", draft.name.partial());
    }
}
