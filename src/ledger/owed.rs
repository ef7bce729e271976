//! `deliveries`: enough to know what destinations have not got, when the ledger itself is lost.
//!
//! Written whenever the ledger hears of a delivery or of a destination, in the same transaction, so that the last one to
//! write knows most. It is not synced: a power failure may take the last lines, which costs that a document is brought once
//! more, and found there. A document with a higher number than `last` was sealed later: every destination is to get it.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::{LedgerError, Result, Row, State, deliveries, written};

const FILE: &str = "deliveries";
const PARTIAL: &str = ".deliveries.partial";

/// Longest file that is read, in octets.
const LIMIT: u64 = 16 << 20;

/// What every destination was still to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The highest sequence number that was given then.
    pub last: u64,
    pub destinations: Vec<Lacking>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    pub name: String,
    pub url: String,
    /// The configuration did not have it any more.
    pub removed: bool,
    /// Sequence numbers, both ends included.
    pub pending: Vec<(u64, u64)>,
}

/// What became of deliveries when a ledger was rebuilt.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Regained {
    /// Documents that are brought there, by destination.
    pub pending: Vec<(String, u64)>,
    /// Documents that a destination has not got, and that nobody has any more.
    pub lost: Vec<(String, u64)>,
}

impl Owed {
    /// `None` where no document was ever brought anywhere, or what is there cannot be read as that.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(serde_json::from_str(&text).ok()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
            Err(source) => Err(LedgerError::File {
                doing: "read",
                path,
                source,
            }),
        }
    }

    fn of(db: &Connection) -> rusqlite::Result<Self> {
        let last: Option<i64> = db.query_row("SELECT max(sequence) FROM document", [], |row| row.get(0))?;
        let mut destinations: Vec<Lacking> = db
            .prepare("SELECT name, url, removed IS NOT NULL FROM destination ORDER BY name")?
            .query_map([], |row| {
                Ok(Lacking {
                    name: row.get(0)?,
                    url: row.get(1)?,
                    removed: row.get(2)?,
                    pending: Vec::new(),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut pending =
            db.prepare("SELECT sequence FROM delivery WHERE destination = ?1 AND state = 'pending' ORDER BY sequence")?;
        for destination in &mut destinations {
            for sequence in pending.query_map([&destination.name], |row| row.get::<_, i64>(0))? {
                destination.add(sequence? as u64);
            }
        }
        destinations.retain(|destination| !destination.removed || !destination.pending.is_empty());
        Ok(Owed {
            last: last.unwrap_or(0) as u64,
            destinations,
        })
    }

    fn lacks(&self, destination: &Lacking, sequence: u64) -> bool {
        let is_listed = |(first, last): &(u64, u64)| (*first..=*last).contains(&sequence);
        destination.pending.iter().any(is_listed) || (!destination.removed && sequence > self.last)
    }
}

impl Lacking {
    fn add(&mut self, sequence: u64) {
        match self.pending.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(sequence) => *last = sequence,
            _ => self.pending.push((sequence, sequence)),
        }
    }
}

/// Replaces the file, whole or not at all. That it cannot be written keeps nothing back: the ledger is there.
pub(super) fn keep(db: &Connection, directory: &Path) -> rusqlite::Result<()> {
    let owed = Owed::of(db)?;
    let text = serde_json::to_string(&owed).expect("texts and numbers are always JSON") + "\n";
    let partial = directory.join(PARTIAL);
    let write = || -> io::Result<()> {
        fs::write(&partial, text)?;
        fs::rename(&partial, directory.join(FILE))
    };
    if let Err(e) = write() {
        tracing::warn!("cannot write {}: {e}", directory.join(FILE).display());
    }
    Ok(())
}

/// In a ledger that was rebuilt, or that has gone back: `rows` are the documents that it knows again.
pub(super) fn regain(
    db: &Connection,
    owed: &Owed,
    rows: &[Row],
    also: &[String],
    at: DateTime<Utc>,
) -> rusqlite::Result<Regained> {
    let mut regained = Regained::default();
    for destination in &owed.destinations {
        let removed = destination.removed.then(|| written(at));
        db.execute(
            "INSERT OR IGNORE INTO destination (name, url, added, removed) VALUES (?1, ?2, ?3, ?4)",
            params![destination.name, destination.url, written(at), removed],
        )?;
        // What the ledger had not heard of when it was whole.
        let mut forgotten = db.prepare("SELECT sequence FROM delivery WHERE destination = ?1 AND state = 'pending'")?;
        let pending: Vec<i64> = forgotten
            .query_map([&destination.name], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for sequence in pending {
            if !owed.lacks(destination, sequence as u64) {
                db.execute(
                    "UPDATE delivery SET state = 'delivered', delivered = ?3, verified = 'unknown', last_error = NULL, \
                     next_attempt = NULL WHERE sequence = ?1 AND destination = ?2",
                    params![sequence, destination.name, written(at)],
                )?;
            }
        }
        let lacking = rows.iter().filter(|row| owed.lacks(destination, row.sequence));
        let (there, gone): (Vec<&Row>, Vec<&Row>) = lacking.partition(|row| has_octets(row));
        for row in &there {
            deliveries::insert_if_new(db, row.sequence as i64, &destination.name)?;
        }
        let known: i64 = db.query_row("SELECT coalesce(max(sequence), 0) FROM document", [], |row| row.get(0))?;
        let listed = destination
            .pending
            .iter()
            .flat_map(|(first, last)| *first..=(*last).min(known as u64));
        let mut lost = gone.len() as u64;
        for sequence in listed {
            let mut is_known = db.prepare_cached("SELECT 1 FROM document WHERE sequence = ?1")?;
            if !is_known.exists([sequence as i64])? {
                lost += 1;
            }
        }
        if !there.is_empty() {
            regained.pending.push((destination.name.clone(), there.len() as u64));
        }
        if lost > 0 {
            regained.lost.push((destination.name.clone(), lost));
        }
    }
    for destination in also {
        let waiting = rows
            .iter()
            .filter(|row| matches!(row.state, State::Offered | State::Sealed));
        for row in waiting.filter(|row| has_octets(row)) {
            if deliveries::insert_if_new(db, row.sequence as i64, destination)? {
                regained.pending.push((destination.clone(), 1));
            }
        }
    }
    Ok(regained)
}

fn has_octets(row: &Row) -> bool {
    !row.sha256.is_empty()
}
