//! What is known to be missing, and captures that were skipped.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::{Ledger, Result, Tell, documents::NOT_TOLD, outbox, read_time, written};

/// Something that is missing, or was treated in a way an auditor must know.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub at: DateTime<Utc>,
    pub kind: GapKind,
    pub source: Option<String>,
    pub reason: String,
    /// Sequence number of the document whose information record tells of it. `None`: the next one will, or the
    /// documents have no such record (profile `cisco-samis`).
    pub told_in: Option<u64>,
}

/// A capture that was refused because a document was waiting for its pickup.
#[derive(Debug, Clone, PartialEq)]
pub struct Skip {
    pub at: DateTime<Utc>,
    /// Name of the document that was waiting.
    pub blocked_by: String,
    /// As in [`Gap`].
    pub told_in: Option<u64>,
}

/// What kind of gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// A source gave nothing.
    SourceFailed,
    /// A source gave not everything.
    SourceIncomplete,
    /// No document could be written at this time.
    CaptureFailed,
    /// An operator moved a document aside before it was retrieved.
    Released,
    /// The ledger was lost and rebuilt.
    LedgerRebuilt,
    /// No document was made for an interval of an IPDR session.
    IntervalSkipped,
    /// Records of an IPDR session were given up.
    RecordsLost,
}

const KINDS: &[(GapKind, &str)] = &[
    (GapKind::SourceFailed, "source-failed"),
    (GapKind::SourceIncomplete, "source-incomplete"),
    (GapKind::CaptureFailed, "capture-failed"),
    (GapKind::Released, "released"),
    (GapKind::LedgerRebuilt, "ledger-rebuilt"),
    (GapKind::IntervalSkipped, "interval-skipped"),
    (GapKind::RecordsLost, "records-lost"),
];

impl GapKind {
    /// The word in `billdrop gaps` and in the man page.
    pub fn token(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, token)| token)
    }

    fn from_token(token: &str) -> GapKind {
        KINDS
            .iter()
            .find(|(_, known)| *known == token)
            .map_or(GapKind::CaptureFailed, |(kind, _)| *kind)
    }
}

impl Gap {
    pub fn new(kind: GapKind, at: DateTime<Utc>, reason: impl Into<String>) -> Self {
        Gap {
            at,
            kind,
            source: None,
            reason: reason.into(),
            told_in: None,
        }
    }

    pub(super) fn released(sequence: u64, at: DateTime<Utc>, who: &str, reason: &str) -> Self {
        let said = if reason.is_empty() { "no reason given" } else { reason };
        Gap::new(
            GapKind::Released,
            at,
            format!("document {sequence} was released by {who}: {said}"),
        )
    }

    /// As one that no document tells of yet.
    pub(super) fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute(
            "INSERT INTO gap (at, kind, source, reason) VALUES (?1, ?2, ?3, ?4)",
            params![written(self.at), self.kind.token(), self.source, self.reason],
        )
        .map(drop)
    }
}

impl Ledger {
    /// Notes gaps that no document tells of yet, and tells the managers.
    pub fn note_gaps(&mut self, gaps: &[Gap], tell: &Tell, at: DateTime<Utc>) -> Result<()> {
        self.transact("note a gap", |db| {
            for gap in gaps {
                gap.insert(db)?;
            }
            outbox::insert(db, tell, at)
        })
    }

    /// All gaps, oldest first.
    pub fn gaps(&self) -> Result<Vec<Gap>> {
        self.some_gaps("SELECT at, kind, source, reason, told_in FROM gap ORDER BY id")
    }

    /// Gaps that the next document must tell of.
    pub fn untold_gaps(&self) -> Result<Vec<Gap>> {
        self.some_gaps("SELECT at, kind, source, reason, told_in FROM gap WHERE told_in IS NULL ORDER BY id")
    }

    fn some_gaps(&self, sql: &str) -> Result<Vec<Gap>> {
        self.run("list gaps", |db| {
            db.prepare(sql)?
                .query_map([], |row| {
                    Ok(Gap {
                        at: read_time(&row.get::<_, String>(0)?)?,
                        kind: GapKind::from_token(&row.get::<_, String>(1)?),
                        source: row.get(2)?,
                        reason: row.get(3)?,
                        told_in: told_in(row, 4)?,
                    })
                })?
                .collect()
        })
    }

    /// A capture was refused because `blocked_by` still waits for its pickup.
    pub fn skip(&mut self, at: DateTime<Utc>, blocked_by: &str) -> Result<()> {
        self.transact("note a skipped capture", |db| {
            db.execute(
                "INSERT INTO skip (at, blocked_by) VALUES (?1, ?2)",
                params![written(at), blocked_by],
            )
        })
        .map(drop)
    }

    /// Captures that were skipped since the last document was sealed.
    pub fn skipped(&self) -> Result<u32> {
        self.run("count skipped captures", |db| {
            db.query_row("SELECT count(*) FROM skip WHERE told_in IS NULL", [], |row| row.get(0))
        })
    }

    /// Captures that were skipped, oldest first.
    pub fn skips(&self) -> Result<Vec<Skip>> {
        self.run("list skipped captures", |db| {
            db.prepare("SELECT at, blocked_by, told_in FROM skip ORDER BY id")?
                .query_map([], |row| {
                    Ok(Skip {
                        at: read_time(&row.get::<_, String>(0)?)?,
                        blocked_by: row.get(1)?,
                        told_in: told_in(row, 2)?,
                    })
                })?
                .collect()
        })
    }
}

fn told_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.filter(|n| *n != NOT_TOLD).map(|n| n as u64))
}
