//! Opens the ledger for a capture; sets a damaged one aside and builds a new one from what is left.
//!
//! What is left: `last-document` (sequence number and name of the last document) and the documents in the spool.
//! What is lost: which notifications were still to be sent, how many captures were skipped, the counters to compare
//! with. The next document says so in its remark, `billdrop gaps` lists it, and the managers are told.

use std::{
    fs,
    io::{self, BufReader},
    path::Path,
};

use chrono::{DateTime, Utc};

use super::{Entry, Listing, Locked, Spool};
use crate::{
    document::{self, Limits, Verified},
    exit::{Error, Result},
    ledger::{self, Event, Gap, GapKind, LastDocument, Ledger, LedgerError, Row, State},
    record::Value,
};

/// Opens the ledger and checks it. A damaged one is set aside once; if the new one is damaged too, that is an error.
///
/// `recorder` is the host name in the names of our documents.
pub fn open_ledger(
    spool: &Spool,
    recorder: &str,
    managers: &[String],
    now: DateTime<Utc>,
    _locked: &Locked<'_>,
) -> Result<Ledger> {
    let damage = match Ledger::open(&spool.state).and_then(|ledger| ledger.check().map(|()| ledger)) {
        Ok(ledger) if !was_lost(&ledger, spool, recorder)? => return Ok(ledger),
        Ok(ledger) => {
            return rebuild(ledger, spool, "it was missing", managers, now);
        }
        Err(e @ LedgerError::Damaged { .. }) => e,
        Err(e) => return Err(e.into()),
    };
    let aside = set_aside(&spool.state, now).map_err(|e| Error::file("set aside the ledger in", &spool.state, &e))?;
    tracing::error!("{damage}; it lies in {aside} now and is rebuilt from the spool and from last-document");
    rebuild(
        Ledger::open_new(&spool.state)?,
        spool,
        &damage.to_string(),
        managers,
        now,
    )
}

/// A ledger without anything in it, beside a `last-document` or a document of ours in the spool: the ledger file was
/// deleted, or the whole state directory.
fn was_lost(ledger: &Ledger, spool: &Spool, recorder: &str) -> Result<bool> {
    if ledger.last()?.is_some() || !ledger.gaps()?.is_empty() {
        return Ok(false);
    }
    if LastDocument::read(&spool.state)?.is_some() {
        return Ok(true);
    }
    let listing = list(spool)?;
    let mut ours = listing
        .documents
        .iter()
        .filter(|entry| entry.document.hostname == recorder);
    Ok(ours.any(|entry| row_of(spool, entry, Utc::now()).is_some()))
}

fn list(spool: &Spool) -> Result<Listing> {
    spool
        .list()
        .map_err(|e| Error::file("read the spool", &spool.directory, &e))
}

/// Renames ledger and log; returns the new name.
fn set_aside(state: &Path, now: DateTime<Utc>) -> io::Result<String> {
    let stamp = now.format("%Y%m%d-%H%M%S");
    let aside = (0..)
        .map(|n| format!("{}.damaged-{stamp}-{n}", ledger::FILE))
        .find(|name| !state.join(name).exists())
        .unwrap_or_default();
    for suffix in ["-wal", "-shm", ""] {
        let from = state.join(format!("{}{suffix}", ledger::FILE));
        match fs::rename(&from, state.join(format!("{aside}{suffix}"))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fs::File::open(state)?.sync_all()?;
    Ok(aside)
}

fn rebuild(mut ledger: Ledger, spool: &Spool, why: &str, managers: &[String], now: DateTime<Utc>) -> Result<Ledger> {
    let last = LastDocument::read(&spool.state)?;
    let mut found: Vec<Row> = list(spool)?
        .documents
        .iter()
        .filter_map(|entry| row_of(spool, entry, now))
        .collect();
    if let Some(sealed) = last.as_ref().and_then(|last| sealed_partial(spool, last, now)) {
        found.push(sealed);
    }
    found.sort_by_key(|row| row.sequence);
    found.dedup_by_key(|row| row.sequence);
    // The last known document need not be in the spool any more.
    if let Some(last) = &last
        && !found.iter().any(|row| row.sequence >= last.sequence)
    {
        found.push(retrieved_row(last, now));
    }
    let reason = format!(
        "{why}; known again: {}",
        match found.last() {
            Some(row) => format!("documents up to {}", row.sequence),
            None => "no document, so the count begins anew".to_owned(),
        }
    );
    let event = Event::Gap {
        sequence: found.last().map_or(0, |row| row.sequence),
        reason: format!("the ledger was rebuilt: {reason}"),
        at: now,
    };
    let gap = Gap::new(GapKind::LedgerRebuilt, now, reason);
    tracing::error!("the ledger was rebuilt: {}", gap.reason);
    ledger.rebuild(&found, &gap, managers, &event)?;
    Ok(ledger)
}

/// The row of a document that lies in the spool; `None` for a file that is no valid document of billdrop.
fn row_of(spool: &Spool, entry: &Entry, now: DateTime<Utc>) -> Option<Row> {
    row_of_file(spool, &entry.name, &entry.name, State::Offered, now)
}

/// A document that was sealed but not renamed when the ledger was lost: its temporary file is what `last-document` says.
fn sealed_partial(spool: &Spool, last: &LastDocument, now: DateTime<Utc>) -> Option<Row> {
    let partial = format!(".{}.partial", last.name);
    row_of_file(spool, &partial, &last.name, State::Sealed, now).filter(|row| row.doc_id == last.doc_id)
}

fn row_of_file(spool: &Spool, file: &str, name: &str, state: State, now: DateTime<Utc>) -> Option<Row> {
    let path = spool.path(file);
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let input = BufReader::new(fs::File::open(&path).ok()?);
    match document::verify(input, Limits::default()) {
        Ok(verified) => Some(Row {
            covers_from: covered(&verified, "coversFrom"),
            covers_to: covered(&verified, "coversTo").or(Some(verified.created)),
            sequence: verified.doc_id.sequence(),
            doc_id: verified.doc_id.to_string(),
            name: name.to_owned(),
            state,
            created: verified.created,
            records: verified.records,
            octets: verified.octets,
            sha256: document::hex(&verified.sha256),
            offered: Some(now),
            retrieved: None,
            released: None,
            released_by: None,
            release_reason: None,
        })
        .filter(|row| row.sequence > 0),
        Err(findings) => {
            let finding = findings.first().map_or(String::new(), ToString::to_string);
            tracing::warn!("{} is not taken into the rebuilt ledger: {finding}", path.display());
            None
        }
    }
}

/// A time of the document information record. Profile `cisco-samis` has none.
fn covered(verified: &Verified, field: &str) -> Option<DateTime<Utc>> {
    let information = verified.information.as_ref()?;
    let (index, _) = information.definition.field(field)?;
    match information.values.get(index) {
        Some(Value::DateTime(time)) => Some(*time),
        _ => None,
    }
}

fn retrieved_row(last: &LastDocument, now: DateTime<Utc>) -> Row {
    Row {
        sequence: last.sequence,
        doc_id: last.doc_id.clone(),
        name: last.name.clone(),
        state: State::Retrieved,
        created: last.covers_to.unwrap_or(now),
        covers_from: None,
        covers_to: last.covers_to,
        records: 0,
        octets: 0,
        sha256: String::new(),
        offered: None,
        retrieved: Some(now),
        released: None,
        released_by: None,
        release_reason: None,
    }
}
