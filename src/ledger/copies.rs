//! The copies in the archive: which there are, which may go.
//!
//! A copy may go only when its document was retrieved for sure, nobody waits for it, and it is not to be sent again.
//! There is one condition for that, [`MAY_GO`], and every removal asks it: neither time nor size nor a full disk can
//! remove the copy of a document that nobody has got.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::{Ledger, Result, Row, Tell, outbox, read_time, written};

/// The copy of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedCopy {
    pub made: DateTime<Utc>,
    /// On the disk: compressed if it is compressed.
    pub octets: u64,
    pub compressed: bool,
    /// When it was removed.
    pub expired: Option<DateTime<Utc>>,
}

/// Of a row of `document`. What a rebuilt ledger took for retrieved may not have been.
const MAY_GO: &str = "archived IS NOT NULL AND expired IS NULL AND state = 'retrieved' \
    AND retrieved IS NOT NULL AND coalesce(retrieved_how, 'pickup') <> 'unknown' \
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.sequence = document.sequence AND d.state = 'pending') \
    AND NOT EXISTS (SELECT 1 FROM resend r WHERE r.sequence = document.sequence AND r.finished IS NULL)";

const GAVE_WAY: &str = "archive-gave-way";

impl ArchivedCopy {
    pub(super) fn note(&self, db: &Connection, sequence: u64) -> rusqlite::Result<()> {
        db.execute(
            "UPDATE document SET archived = coalesce(archived, ?2), archive_octets = ?3, compressed = ?4, \
             expired = NULL WHERE sequence = ?1",
            params![sequence as i64, written(self.made), self.octets as i64, self.compressed],
        )
        .map(drop)
    }
}

impl Ledger {
    /// A copy lies in the archive.
    pub fn archived(&mut self, sequence: u64, copy: &ArchivedCopy) -> Result<()> {
        self.transact("note a copy", |db| copy.note(db, sequence))
    }

    /// Copies were removed. Not synced: that they are gone is found out anew.
    pub fn expire(&mut self, sequences: &[u64], at: DateTime<Utc>) -> Result<()> {
        self.transact_unsynced("note that copies were removed", |db| {
            for sequence in sequences {
                db.execute(
                    "UPDATE document SET expired = ?2 WHERE sequence = ?1",
                    params![*sequence as i64, written(at)],
                )?;
            }
            Ok(())
        })
    }

    /// How many copies there are, and their octets.
    pub fn copies(&self) -> Result<(u64, u64)> {
        self.run("count copies", |db| {
            db.query_row(
                "SELECT count(*), coalesce(sum(archive_octets), 0) FROM document \
                 WHERE archived IS NOT NULL AND expired IS NULL",
                [],
                |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
            )
        })
    }

    /// File names of the documents of which there is a copy.
    pub fn names_of_copies(&self) -> Result<std::collections::HashSet<String>> {
        self.run("list copies", |db| {
            db.prepare("SELECT name FROM document WHERE archived IS NOT NULL AND expired IS NULL")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// Documents whose copy may go, those first that have lain longest; at most `limit`.
    pub fn may_go(&self, limit: usize) -> Result<Vec<Row>> {
        self.many(&format!("{MAY_GO} ORDER BY retrieved, sequence LIMIT {limit}"))
    }

    /// Documents that nobody needs in haste and whose copy is not compressed yet; at most `limit`.
    pub fn may_shrink(&self, limit: usize) -> Result<Vec<Row>> {
        self.many(&format!(
            "{MAY_GO} AND NOT coalesce(compressed, 0) ORDER BY sequence LIMIT {limit}"
        ))
    }

    /// When managers were last told that copies had to give way to new documents.
    pub fn last_gave_way(&self) -> Result<Option<DateTime<Utc>>> {
        let kept = self.meta(GAVE_WAY)?;
        Ok(kept.and_then(|at| read_time(&at).ok()))
    }

    /// Puts that alarm into the outbox, and notes when.
    pub fn tell_gave_way(&mut self, tell: &Tell, at: DateTime<Utc>) -> Result<()> {
        self.transact("keep an alarm", |db| {
            super::put_meta(db, GAVE_WAY, &written(at))?;
            outbox::insert(db, tell, at)
        })
    }
}
