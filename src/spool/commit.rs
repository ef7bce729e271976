//! Brings a captured document into the spool: the five steps of the module head, in order.

use std::io;

use chrono::{DateTime, Utc};

use super::{DocumentName, Locked, Spool};
use crate::{
    config::Profile,
    document::{self, Body, Header, Written},
    exit::{Error, exit_of, is_full},
    ledger::{Gap, Identity, LastDocument, Ledger, LedgerError, Sealing, Tell},
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
        doc_id: doc_id.clone(),
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
    };
    if let Err(e) = ledger.seal(&sealing) {
        // Perhaps the seal is on the disk all the same. Were the file to go then, the document would pass for retrieved.
        match ledger.unseal(sequence) {
            Ok(()) => discard(spool, draft),
            Err(e) => tracing::warn!("cannot clean up after the failure, the next run will: {e}"),
        }
        return Err(CommitError::Unsealed(e));
    }
    let last = LastDocument {
        sequence,
        doc_id,
        name: draft.name.to_string(),
        covers_to: Some(draft.information.covers_to),
    };
    offer(spool, ledger, &last, tell, Utc::now())?;
    Ok(written)
}

/// Steps three to five, also for a document that an earlier run has sealed.
pub(super) fn offer(
    spool: &Spool,
    ledger: &mut Ledger,
    document: &LastDocument,
    tell: &Tell,
    at: DateTime<Utc>,
) -> Result<(), CommitError> {
    document.write(ledger.directory()).map_err(CommitError::NotNoted)?;
    let partial = format!(".{}.partial", document.name);
    spool
        .publish(&partial, &document.name)
        .map_err(|source| CommitError::NotOffered {
            what: format!("cannot offer {}", spool.path(&document.name).display()),
            source,
        })?;
    note_offer(spool, ledger, document.sequence, tell, at)
}

/// The last step: the file lies in the spool, the ledger says so.
pub(super) fn note_offer(
    spool: &Spool,
    ledger: &mut Ledger,
    sequence: u64,
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
        .offer(sequence, at, &identity, tell)
        .map_err(CommitError::NotNoted)
}

fn write_partial(spool: &Spool, draft: &Draft<'_>, body: &mut Body) -> io::Result<(Written, Identity)> {
    let file = spool.create(&draft.name.partial())?;
    let information = Some(draft.information);
    let written = document::write(&file, &draft.header, information, body, Utc::now(), draft.checksum)?;
    spool.permit(&file)?;
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
