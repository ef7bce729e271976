//! The life of a document in the ledger: sealed, offered, then retrieved or released.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::Event;
use super::{
    ArchivedCopy, Gap, Identity, Ledger, Owed, Regained, Result, Tell, deliveries, outbox, owed, read_time, resend,
    written,
};

/// Where a document is in its life. `spool::recover` says what each state means together with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Whole and on the disk under its temporary name.
    Sealed,
    /// In the spool under its final name, waiting for the remote application.
    Offered,
    /// The remote application has it.
    Retrieved,
    /// An operator has moved it aside.
    Released,
}

/// How it was known that the remote application has a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retrieval {
    /// It deleted the document in the spool.
    Pickup,
    /// It put a marker beside it.
    DoneMarker,
    /// The destinations that the document was pushed to, and that count by the configured rule.
    Pushed(String),
    /// A collector took it, in streaming mode.
    Streamed,
    /// Nobody remembers: the ledger was rebuilt. Such a document may not have been retrieved at all.
    Unknown,
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub sequence: u64,
    pub doc_id: String,
    pub name: String,
    pub state: State,
    pub created: DateTime<Utc>,
    pub covers_from: Option<DateTime<Utc>>,
    pub covers_to: Option<DateTime<Utc>>,
    pub records: u64,
    pub octets: u64,
    pub sha256: String,
    pub offered: Option<DateTime<Utc>>,
    pub retrieved: Option<DateTime<Utc>>,
    /// [`None`] for documents that are not retrieved, and for those from before this was noted.
    pub retrieved_how: Option<Retrieval>,
    pub released: Option<DateTime<Utc>>,
    pub released_by: Option<String>,
    pub release_reason: Option<String>,
    /// The copy in the archive, if one was ever made.
    pub copy: Option<ArchivedCopy>,
}

/// What is known of a document when it is whole on the disk.
#[derive(Debug)]
pub struct Sealing<'a> {
    pub sequence: u64,
    pub doc_id: String,
    pub name: String,
    pub created: DateTime<Utc>,
    pub covers_from: Option<DateTime<Utc>>,
    pub covers_to: DateTime<Utc>,
    pub records: u64,
    pub octets: u64,
    pub sha256: String,
    /// Whether it has an information record, which tells of gaps and skipped captures.
    pub tells: bool,
    /// What was found missing in this capture.
    pub gaps: &'a [Gap],
    /// What each source wants to see at its next capture.
    pub baselines: &'a [(String, Vec<u8>)],
    /// The spool directory with the temporary file in it.
    pub identity: Identity,
    /// What managers are told of the capture.
    pub tell: &'a Tell,
    /// Names of the destinations that are to get the document.
    pub destinations: &'a [String],
}

/// Who moves a document aside, when and why.
#[derive(Debug, Clone, Copy)]
pub struct Releasing<'a> {
    pub at: DateTime<Utc>,
    pub who: &'a str,
    pub reason: &'a str,
    /// Who is told.
    pub managers: &'a [String],
}

/// In place of a document's number: the next document came, but had no information record to tell it.
pub(super) const NOT_TOLD: i64 = 0;

const COLUMNS: &str = "sequence, doc_id, name, state, created, covers_from, covers_to, records, octets, sha256, \
                       offered, retrieved, released, released_by, release_reason, retrieved_how, archived, \
                       archive_octets, compressed, expired";

impl Ledger {
    /// The document is whole on the disk: its sequence number is given, what it tells is told.
    pub fn seal(&mut self, sealing: &Sealing<'_>) -> Result<()> {
        let sequence = sealing.sequence as i64;
        let identity = sealing.identity.to_json();
        self.transact("seal a document", |db| {
            db.execute(
                "INSERT INTO document (sequence, doc_id, name, state, created, covers_from, covers_to, records, octets, \
                 sha256) VALUES (?1, ?2, ?3, 'sealed', ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    sequence,
                    sealing.doc_id,
                    sealing.name,
                    written(sealing.created),
                    sealing.covers_from.map(written),
                    written(sealing.covers_to),
                    sealing.records as i64,
                    sealing.octets as i64,
                    sealing.sha256
                ],
            )?;
            for gap in sealing.gaps {
                gap.insert(db)?;
            }
            let told_in = if sealing.tells { sequence } else { NOT_TOLD };
            db.execute("UPDATE gap SET told_in = ?1 WHERE told_in IS NULL", [told_in])?;
            db.execute("UPDATE skip SET told_in = ?1 WHERE told_in IS NULL", [told_in])?;
            super::put_meta(db, super::IDENTITY, &identity)?;
            outbox::insert(db, sealing.tell, sealing.created)?;
            for destination in sealing.destinations {
                deliveries::insert(db, sequence, destination)?;
            }
            for (source, content) in sealing.baselines {
                db.execute(
                    "INSERT INTO baseline VALUES (?1, ?2, ?3) ON CONFLICT (source) \
                     DO UPDATE SET sequence = excluded.sequence, content = excluded.content",
                    params![source, sequence, content],
                )?;
            }
            Ok(())
        })
    }

    /// A document whose sealing failed is not there: makes sure of it. What its seal told is told by the next one.
    /// Managers who were to hear of a failed source hear of it all the same.
    pub fn unseal(&mut self, sequence: u64) -> Result<()> {
        self.transact("forget a document", |db| {
            let sequence = sequence as i64;
            db.execute(
                "DELETE FROM document WHERE sequence = ?1 AND state = 'sealed'",
                [sequence],
            )?;
            db.execute("DELETE FROM delivery WHERE sequence = ?1", [sequence])?;
            db.execute("UPDATE gap SET told_in = NULL WHERE told_in = ?1", [sequence])?;
            db.execute("UPDATE skip SET told_in = NULL WHERE told_in = ?1", [sequence])
        })
        .map(drop)
    }

    /// The document lies in the spool under its final name; the managers are to be told.
    ///
    /// `identity` is that of the spool directory with the file in it, see [`Ledger::spool_identity`]. `copy` is the
    /// one in the archive, if it was made.
    pub fn offer(
        &mut self,
        sequence: u64,
        at: DateTime<Utc>,
        identity: &Identity,
        copy: Option<&ArchivedCopy>,
        tell: &Tell,
    ) -> Result<()> {
        let identity = identity.to_json();
        self.transact("offer a document", |db| {
            let changed = db.execute(
                "UPDATE document SET state = 'offered', retrieved = NULL, retrieved_how = NULL, \
                 offered = CASE state WHEN 'retrieved' THEN ?2 ELSE coalesce(offered, ?2) END \
                 WHERE sequence = ?1 AND state <> 'offered'",
                params![sequence as i64, written(at)],
            )?;
            if changed == 0 {
                return Ok(());
            }
            if let Some(copy) = copy {
                copy.note(db, sequence)?;
            }
            super::put_meta(db, super::IDENTITY, &identity)?;
            outbox::insert(db, tell, at)
        })
    }

    /// The remote application has the document. Not synced: after a power failure the spool says it again.
    pub fn retrieve(&mut self, sequence: u64, how: &Retrieval, at: DateTime<Utc>) -> Result<()> {
        self.transact_unsynced("mark a document as retrieved", |db| {
            let changed = db.execute(
                "UPDATE document SET state = 'retrieved', retrieved = ?2, retrieved_how = ?3 \
                 WHERE sequence = ?1 AND state = 'offered'",
                params![sequence as i64, written(at), how.text()],
            )?;
            match changed {
                0 => Ok(()),
                _ => resend::finish(db, sequence, at),
            }
        })
    }

    /// An operator moves the document aside.
    pub fn release(&mut self, sequence: u64, releasing: &Releasing<'_>) -> Result<()> {
        let Releasing {
            at,
            who,
            reason,
            managers,
        } = *releasing;
        let gap = Gap::released(sequence, at, who, reason);
        let event = Event::Gap {
            sequence,
            reason: gap.reason.clone(),
            at,
        };
        self.transact("release a document", |db| {
            db.execute(
                "UPDATE document SET state = 'released', released = ?2, released_by = ?3, release_reason = ?4 \
                 WHERE sequence = ?1 AND state IN ('offered', 'sealed')",
                params![sequence as i64, written(at), who, reason],
            )?;
            resend::finish(db, sequence, at)?;
            gap.insert(db)?;
            outbox::insert(db, &Tell::new(managers, &[event]), at)
        })
    }

    /// The remote application has retrieved the document in the very moment of its release: it was never released.
    pub fn take_back_release(&mut self, sequence: u64, at: DateTime<Utc>) -> Result<()> {
        self.transact("take back a release", |db| {
            db.execute(
                "UPDATE document SET state = 'retrieved', retrieved = ?2, retrieved_how = ?3, released = NULL, \
                 released_by = NULL, release_reason = NULL WHERE sequence = ?1",
                params![sequence as i64, written(at), Retrieval::Pickup.text()],
            )?;
            db.execute("DELETE FROM gap WHERE kind = 'released' AND at = ?1", [written(at)])?;
            db.execute(
                "DELETE FROM notification WHERE delivered IS NULL AND created = ?1",
                [written(at)],
            )
        })
        .map(drop)
    }

    /// Takes in documents that are known again, and what destinations have not got of them; `also` are destinations that are
    /// to get what waits in the spool in any case. `told` makes of that the gap and what managers are told: all or nothing.
    /// What the ledger kept of counters is of no use then.
    pub fn rebuild(
        &mut self,
        rows: &[Row],
        owed: Option<&Owed>,
        also: &[String],
        at: DateTime<Utc>,
        told: impl FnOnce(&Regained) -> (Gap, Tell),
    ) -> Result<()> {
        self.transact("rebuild", |db| {
            db.execute("DELETE FROM baseline", [])?;
            for row in rows {
                db.execute(
                    "INSERT INTO document (sequence, doc_id, name, state, created, covers_from, covers_to, records, \
                     octets, sha256, offered, retrieved, retrieved_how, archived, archive_octets, compressed) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                    params![
                        row.sequence as i64,
                        row.doc_id,
                        row.name,
                        row.state.token(),
                        written(row.created),
                        row.covers_from.map(written),
                        row.covers_to.map(written),
                        row.records as i64,
                        row.octets as i64,
                        row.sha256,
                        row.offered.map(written),
                        row.retrieved.map(written),
                        row.retrieved_how.as_ref().map(Retrieval::text),
                        row.copy.as_ref().map(|copy| written(copy.made)),
                        row.copy.as_ref().map(|copy| copy.octets as i64),
                        row.copy.as_ref().map(|copy| copy.compressed),
                    ],
                )?;
            }
            let nothing = Owed {
                last: u64::MAX,
                destinations: Vec::new(),
            };
            let regained = owed::regain(db, owed.unwrap_or(&nothing), rows, also, at)?;
            let (gap, tell) = told(&regained);
            gap.insert(db)?;
            outbox::insert(db, &tell, at)
        })
    }

    /// The document with the highest sequence number that was given.
    pub fn last(&self) -> Result<Option<Row>> {
        self.one("true ORDER BY sequence DESC LIMIT 1", &[])
    }

    pub fn by_name(&self, name: &str) -> Result<Option<Row>> {
        self.one("name = ?1", &[&name])
    }

    pub fn by_doc_id(&self, doc_id: &str) -> Result<Option<Row>> {
        self.one("doc_id = ?1", &[&doc_id])
    }

    pub fn by_sequence(&self, sequence: u64) -> Result<Option<Row>> {
        self.one("sequence = ?1", &[&(sequence as i64)])
    }

    /// Documents with these numbers, both ends included, in order.
    pub fn between(&self, first: u64, last: u64) -> Result<Vec<Row>> {
        let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (first, last) = (bound(first), bound(last));
        self.many(&format!("sequence BETWEEN {first} AND {last} ORDER BY sequence"))
    }

    /// Documents that are somewhere on their way: sealed or offered, in order.
    pub fn unfinished(&self) -> Result<Vec<Row>> {
        self.many("state IN ('sealed', 'offered') ORDER BY sequence")
    }

    /// All documents, in order.
    pub fn documents(&self) -> Result<Vec<Row>> {
        self.many("true ORDER BY sequence")
    }

    /// How many documents there are in each state.
    pub fn count(&self, state: State) -> Result<u64> {
        self.run("count documents", |db| {
            db.query_row(
                "SELECT count(*) FROM document WHERE state = ?1",
                [state.token()],
                |row| row.get::<_, i64>(0).map(|n| n as u64),
            )
        })
    }

    fn one(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<Row>> {
        let sql = format!("SELECT {COLUMNS} FROM document WHERE {condition}");
        self.run("look up a document", |db| {
            db.query_row(&sql, values, Row::read).optional()
        })
    }

    pub(super) fn many(&self, condition: &str) -> Result<Vec<Row>> {
        let sql = format!("SELECT {COLUMNS} FROM document WHERE {condition}");
        self.run("list documents", |db| {
            db.prepare(&sql)?.query_map([], Row::read)?.collect()
        })
    }
}

impl Row {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let time = |index| -> rusqlite::Result<Option<DateTime<Utc>>> {
            row.get::<_, Option<String>>(index)?
                .as_deref()
                .map(read_time)
                .transpose()
        };
        let number = |index| row.get::<_, Option<i64>>(index).map(|n| n.unwrap_or(0) as u64);
        Ok(Row {
            sequence: number(0)?,
            doc_id: row.get(1)?,
            name: row.get(2)?,
            state: State::from_token(&row.get::<_, String>(3)?),
            created: read_time(&row.get::<_, String>(4)?)?,
            covers_from: time(5)?,
            covers_to: time(6)?,
            records: number(7)?,
            octets: number(8)?,
            sha256: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
            offered: time(10)?,
            retrieved: time(11)?,
            released: time(12)?,
            released_by: row.get(13)?,
            release_reason: row.get(14)?,
            retrieved_how: row.get::<_, Option<String>>(15)?.map(|text| Retrieval::of_text(&text)),
            copy: match time(16)? {
                Some(made) => Some(ArchivedCopy {
                    made,
                    octets: number(17)?,
                    compressed: row.get::<_, Option<bool>>(18)?.unwrap_or(false),
                    expired: time(19)?,
                }),
                None => None,
            },
        })
    }
}

impl Retrieval {
    /// As it is kept in the ledger and printed in `history --json`.
    pub fn text(&self) -> String {
        match self {
            Retrieval::Pickup => "pickup".to_owned(),
            Retrieval::DoneMarker => "done-marker".to_owned(),
            Retrieval::Pushed(destinations) => format!("pushed to {destinations}"),
            Retrieval::Streamed => "streamed".to_owned(),
            Retrieval::Unknown => "unknown".to_owned(),
        }
    }

    fn of_text(text: &str) -> Self {
        match (text, text.strip_prefix("pushed to ")) {
            ("pickup", _) => Retrieval::Pickup,
            ("done-marker", _) => Retrieval::DoneMarker,
            ("streamed", _) => Retrieval::Streamed,
            (_, Some(destinations)) => Retrieval::Pushed(destinations.to_owned()),
            _ => Retrieval::Unknown,
        }
    }
}

const STATES: &[(State, &str)] = &[
    (State::Sealed, "sealed"),
    (State::Offered, "offered"),
    (State::Retrieved, "retrieved"),
    (State::Released, "released"),
];

impl State {
    /// The word in the ledger, in `status` and in the man page.
    pub fn token(self) -> &'static str {
        STATES
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, token)| token)
    }

    /// The table admits no other words than these.
    fn from_token(token: &str) -> State {
        STATES
            .iter()
            .find(|(_, known)| *known == token)
            .map_or(State::Sealed, |(state, _)| *state)
    }
}
