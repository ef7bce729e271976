//! Opens the ledger for a capture; sets a damaged one aside and builds a new one from what is left.
//!
//! What is left: `last-document` (sequence number and name of the last document), `deliveries` (what destinations had not
//! got), the documents in the spool and their copies in the archive. Only documents that were sealed have a copy, so each counts; but nobody knows who has got it, so
//! none of these copies is ever removed by billdrop.
//! What is lost: which notifications were still to be sent, how many captures were skipped, the counters to compare
//! with. The next document says so in its remark, `billdrop gaps` lists it, and the managers are told.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read},
    path::Path,
};

use chrono::{DateTime, Utc};

use super::{DocumentName, Locked, Spool};
use crate::{
    config,
    document::{self, Limits, Verified},
    exit::{Error, Result},
    ledger::{
        self, ArchivedCopy, Event, Gap, GapKind, LastDocument, Ledger, LedgerError, Owed, Regained, Retrieval, Row,
        State, Tell,
    },
    record::Value,
};

/// Opens the ledger and checks it. A damaged one is set aside once; if the new one is damaged too, that is an error.
///
/// A ledger that is sound but knows less than `last-document` or the spool has gone back in time: its log was cut or
/// lost, it was restored from an old copy, or deleted. It is told what it has forgotten, so that no number is given twice.
///
/// `recorder` is the host name in the names of our documents.
pub fn open_ledger(
    spool: &Spool,
    recorder: &str,
    managers: &[String],
    now: DateTime<Utc>,
    _locked: &Locked<'_>,
) -> Result<Ledger> {
    match Ledger::open(&spool.state).and_then(|ledger| ledger.check().map(|()| ledger)) {
        Ok(mut ledger) => {
            let known = ledger.last()?.map_or(0, |row| row.sequence);
            let forgotten = forgotten(&ledger, spool, recorder, known, now)?;
            if !forgotten.is_empty() {
                let why = match known {
                    0 => "it was missing".to_owned(),
                    n => format!("it had gone back to document {n}"),
                };
                rebuild(&mut ledger, spool, &forgotten, &why, managers, now)?;
            }
            Ok(ledger)
        }
        Err(damage @ LedgerError::Damaged { .. }) => {
            let aside =
                set_aside(&spool.state, now).map_err(|e| Error::file("set aside the ledger in", &spool.state, &e))?;
            tracing::error!("{damage}; it lies in {aside} now");
            let mut ledger = Ledger::open_new(&spool.state)?;
            let forgotten = forgotten(&ledger, spool, recorder, 0, now)?;
            rebuild(&mut ledger, spool, &forgotten, &damage.to_string(), managers, now)?;
            Ok(ledger)
        }
        Err(e) => Err(e.into()),
    }
}

/// Documents with a higher sequence number than the ledger knows, in order.
fn forgotten(ledger: &Ledger, spool: &Spool, recorder: &str, known: u64, now: DateTime<Utc>) -> Result<Vec<Row>> {
    let listing = spool
        .list()
        .map_err(|e| Error::file("read the spool", &spool.directory, &e))?;
    let last = LastDocument::read(&spool.state)?;
    let mut found = Vec::new();
    for entry in &listing.documents {
        // Another recorder's document is foreign, but not to a ledger that knows nothing: the host may have a new name.
        let may_be_ours = known == 0 || entry.document.hostname == recorder;
        if may_be_ours && ledger.by_name(&entry.name)?.is_none() {
            found.extend(row_of_file(spool, &entry.name, &entry.name, State::Offered, now));
        }
    }
    if let Some(last) = &last {
        found.extend(sealed_partial(spool, last, now));
    }
    // Where nothing was lost, every copy is known: this asks for names only.
    for name in unknown_copies(ledger, spool)? {
        let may_be_ours = known == 0 || DocumentName::parse(&name).is_some_and(|name| name.hostname == recorder);
        if may_be_ours && !found.iter().any(|row| row.name == name) {
            found.extend(row_of_copy(spool, &name, now));
        }
    }
    found.retain(|row| row.sequence > known);
    // Of two rows the first stays: what lies in the spool, then what has a copy, then what is only remembered.
    found.sort_by_key(|row| row.sequence);
    found.dedup_by_key(|row| row.sequence);
    // The last document need not be anywhere any more.
    if let Some(last) = last.filter(|last| last.sequence > known)
        && !found.iter().any(|row| row.sequence >= last.sequence)
    {
        found.push(retrieved_row(&last, now));
    }
    Ok(found)
}

/// Names of documents that have a copy, and that the ledger does not know.
fn unknown_copies(ledger: &Ledger, spool: &Spool) -> Result<Vec<String>> {
    let directory = &spool.archive.directory;
    let listed = match spool.archive.list() {
        Ok(listed) => listed,
        Err(e) => {
            tracing::error!("cannot look into the archive {}: {e}", directory.display());
            return Ok(Vec::new());
        }
    };
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let known = ledger.names_of_copies()?;
    let mut unknown = Vec::new();
    for entry in listed {
        let is_new = || DocumentName::parse(&entry.name).is_some();
        if !known.contains(&entry.name) && is_new() && ledger.by_name(&entry.name)?.is_none() {
            unknown.push(entry.name);
        }
    }
    Ok(unknown)
}

/// A document that is known by its copy: it has left the spool, and nobody remembers how.
fn row_of_copy(spool: &Spool, name: &str, now: DateTime<Utc>) -> Option<Row> {
    let found = spool.archive.find(name).ok()??;
    let aside = spool.state.join(super::release::RELEASED).join(name);
    let row = row_of(found.open().ok()?, &found.path, name, State::Retrieved, now)?;
    Some(Row {
        state: match aside.is_file() {
            true => State::Released,
            false => State::Retrieved,
        },
        offered: None,
        retrieved: Some(now),
        retrieved_how: Some(Retrieval::Unknown),
        copy: Some(ArchivedCopy::of(&found)),
        ..row
    })
}

/// Renames ledger and log; returns the new name.
fn set_aside(state: &Path, now: DateTime<Utc>) -> io::Result<String> {
    let stamp = now.format("%Y%m%d-%H%M%S");
    let aside = (0..)
        .map(|n| format!("{}.damaged-{stamp}-{n}", ledger::FILE))
        .find(|name| !state.join(name).exists())
        .unwrap_or_default();
    // The file itself first: SQLite throws away a log without one, but would take a file without its log for whole.
    for suffix in ["", "-wal", "-shm"] {
        let from = state.join(format!("{}{suffix}", ledger::FILE));
        match fs::rename(&from, state.join(format!("{aside}{suffix}"))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fs::File::open(state)?.sync_all()?;
    Ok(aside)
}

fn rebuild(
    ledger: &mut Ledger,
    spool: &Spool,
    found: &[Row],
    why: &str,
    managers: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    let owed = Owed::read(&spool.state)?;
    // Where nobody knows what they have got, and where a push is what frees the spool, they get what waits there: found
    // there already it is not sent again. What waits for a collector has no other way out; it knows the docId.
    let also: &[String] = match spool.rule == config::Retrieved::Pickup && owed.is_some() && !spool.streams {
        true => &[],
        false => &spool.destinations,
    };
    let is_owed_known = owed.is_some() || spool.destinations.is_empty();
    let told = |regained: &Regained| {
        let mut reason = format!(
            "{why}; known again: {}",
            match found.last() {
                Some(row) => format!("documents up to {}", row.sequence),
                None => "no document, so the count begins anew".to_owned(),
            }
        );
        for (destination, documents) in &regained.pending {
            let _ = write!(reason, "; {destination} gets {documents} of them");
        }
        for (destination, documents) in &regained.lost {
            let _ = write!(
                reason,
                "; {destination} has not got {documents} of which there is no copy"
            );
        }
        if !is_owed_known {
            reason.push_str(
                "; which of the others the destinations have got is not known, billdrop resend brings them again",
            );
        }
        tracing::error!("the ledger was rebuilt: {reason}");
        let event = Event::Gap {
            sequence: found.last().map_or(0, |row| row.sequence),
            reason: format!("the ledger was rebuilt: {reason}"),
            at: now,
        };
        (
            Gap::new(GapKind::LedgerRebuilt, now, reason),
            Tell::new(managers, &[event]),
        )
    };
    Ok(ledger.rebuild(found, owed.as_ref(), also, now, told)?)
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
    row_of(fs::File::open(&path).ok()?, &path, name, state, now)
}

fn row_of(input: impl Read, path: &Path, name: &str, state: State, now: DateTime<Utc>) -> Option<Row> {
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
            retrieved_how: None,
            released: None,
            released_by: None,
            release_reason: None,
            copy: None,
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
        retrieved_how: Some(Retrieval::Unknown),
        released: None,
        released_by: None,
        release_reason: None,
        copy: None,
    }
}
