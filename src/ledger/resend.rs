//! Documents that somebody asked for again.
//!
//! For the spool they wait in a queue and are offered one after the other, before anything new is captured. One that is
//! offered again begins its life anew at *sealed*, so that whatever is true of a new document is true of it; its earlier
//! life is kept in the entry of the queue.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::{Identity, Ledger, Result, deliveries, deliveries::time, owed, written};

/// One wish of one operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Resend {
    pub id: i64,
    pub sequence: u64,
    pub at: DateTime<Utc>,
    pub who: String,
    /// [`None`]: the spool.
    pub destination: Option<String>,
    /// When the document began its life anew.
    pub begun: Option<DateTime<Utc>>,
    /// When it was retrieved again, or could not be sent.
    pub finished: Option<DateTime<Utc>>,
    /// Why it could not.
    pub failure: Option<String>,
    pub earlier_offered: Option<DateTime<Utc>>,
    /// In the spool; of a wish for a destination, when the destination had got it.
    pub earlier_retrieved: Option<DateTime<Utc>>,
    pub earlier_how: Option<String>,
}

const COLUMNS: &str = "id, sequence, at, who, destination, begun, finished, failure, earlier_offered, \
                       earlier_retrieved, earlier_how";

/// The document that was offered again has been retrieved, or was moved aside.
pub(super) fn finish(db: &Connection, sequence: u64, at: DateTime<Utc>) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE resend SET finished = ?2 \
         WHERE sequence = ?1 AND destination IS NULL AND begun IS NOT NULL AND finished IS NULL",
        params![sequence as i64, written(at)],
    )
    .map(drop)
}

impl Ledger {
    /// Somebody wants these documents again: in the spool, or at one destination.
    pub fn resend(&mut self, sequences: &[u64], destination: Option<&str>, who: &str, at: DateTime<Utc>) -> Result<()> {
        let directory = self.directory.clone();
        self.transact("note a wish for documents", |db| {
            for sequence in sequences {
                let sequence = *sequence as i64;
                // Asked for twice it is still sent once.
                db.execute(
                    "INSERT INTO resend (sequence, at, who, destination) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS \
                     (SELECT 1 FROM resend WHERE sequence = ?1 AND destination IS ?4 AND finished IS NULL)",
                    params![sequence, written(at), who, destination],
                )?;
                if let Some(destination) = destination {
                    // What became of it the first time belongs to the document's life, too.
                    db.execute(
                        "UPDATE resend SET (earlier_retrieved, earlier_how) = (SELECT d.delivered, \
                         coalesce(d.octets, 0) || ' octets, checked: ' || coalesce(d.verified, 'unknown') \
                         FROM delivery d WHERE d.sequence = ?1 AND d.destination = ?2 AND d.state = 'delivered') \
                         WHERE sequence = ?1 AND destination = ?2 AND finished IS NULL AND earlier_retrieved IS NULL",
                        params![sequence, destination],
                    )?;
                    deliveries::renew(db, sequence, destination)?;
                }
            }
            if destination.is_some() {
                owed::keep(db, &directory)?;
            }
            Ok(())
        })
    }

    /// What is still to be offered again, in order.
    pub fn queue(&self) -> Result<Vec<Resend>> {
        self.resends("destination IS NULL AND begun IS NULL AND finished IS NULL ORDER BY id")
    }

    /// Whether the document in the spool lies there because somebody wanted it again.
    pub fn is_resent(&self, sequence: u64) -> Result<bool> {
        let condition = format!(
            "sequence = {sequence} AND destination IS NULL AND begun IS NOT NULL AND finished IS NULL ORDER BY id"
        );
        Ok(!self.resends(&condition)?.is_empty())
    }

    /// All wishes, in order.
    pub fn all_resends(&self) -> Result<Vec<Resend>> {
        self.resends("true ORDER BY id")
    }

    /// The document is whole on the disk under its temporary name, once more: its life begins anew.
    pub fn seal_again(&mut self, resend: &Resend, identity: &Identity, at: DateTime<Utc>) -> Result<()> {
        let identity = identity.to_json();
        self.transact("offer a document again", |db| {
            db.execute(
                "UPDATE resend SET begun = ?2, (earlier_offered, earlier_retrieved, earlier_how) = \
                 (SELECT offered, retrieved, retrieved_how FROM document d WHERE d.sequence = resend.sequence) \
                 WHERE id = ?1",
                params![resend.id, written(at)],
            )?;
            db.execute(
                "UPDATE document SET state = 'sealed', offered = NULL, retrieved = NULL, retrieved_how = NULL \
                 WHERE sequence = ?1 AND state IN ('retrieved', 'released')",
                [resend.sequence as i64],
            )?;
            super::put_meta(db, super::IDENTITY, &identity)
        })
    }

    /// It cannot be sent again, for good.
    pub fn resend_failed(&mut self, id: i64, failure: &str, at: DateTime<Utc>) -> Result<()> {
        self.transact("give up a wish for a document", |db| {
            db.execute(
                "UPDATE resend SET finished = ?2, failure = ?3 WHERE id = ?1",
                params![id, written(at), failure],
            )
        })
        .map(drop)
    }

    fn resends(&self, condition: &str) -> Result<Vec<Resend>> {
        let sql = format!("SELECT {COLUMNS} FROM resend WHERE {condition}");
        self.run("list wishes for documents", |db| {
            db.prepare(&sql)?
                .query_map([], |row| {
                    Ok(Resend {
                        id: row.get(0)?,
                        sequence: row.get::<_, i64>(1)? as u64,
                        at: time(row, 2)?.unwrap_or_default(),
                        who: row.get(3)?,
                        destination: row.get(4)?,
                        begun: time(row, 5)?,
                        finished: time(row, 6)?,
                        failure: row.get(7)?,
                        earlier_offered: time(row, 8)?,
                        earlier_retrieved: time(row, 9)?,
                        earlier_how: row.get(10)?,
                    })
                })?
                .collect()
        })
    }
}
