//! Which destination is to get which document, and has got it.
//!
//! A delivery is `pending` from the seal of its document until the destination has the document, whole. Nothing ends
//! it but that, or the operator who gives the destination up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use serde::{Deserialize, Serialize};

use super::{Ledger, Result, Row, Tell, outbox, owed, read_time, written};

/// One document for one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub sequence: u64,
    pub destination: String,
    pub state: DeliveryState,
    pub attempts: u32,
    pub next_attempt: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub delivered: Option<Delivered>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Pending,
    Delivered,
}

/// How a destination got a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    pub at: DateTime<Utc>,
    pub octets: u64,
    /// How far the arrival was checked: `size`, `sha256`, `nothing`.
    pub verified: String,
    /// Whether it got its name only when it was whole.
    pub renamed: bool,
}

/// How long it took to bring a document to a destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    pub sequence: u64,
    /// When it had arrived.
    pub at: DateTime<Utc>,
    pub octets: u64,
    /// From the first question to the last answer about it, its comparison included.
    pub milliseconds: u64,
}

/// How many of them are kept for each destination.
const TRANSFERS: usize = 5;

/// One place that documents are brought to, as the ledger remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    pub name: String,
    pub url: String,
    pub added: DateTime<Utc>,
    /// When the test file got there.
    pub tested: Option<DateTime<Utc>>,
    /// Runs that failed one after the other.
    pub failures: u32,
    /// Since when managers know that it fails.
    pub alarmed: Option<DateTime<Utc>>,
    /// Since when the configuration does not have it any more.
    pub removed: Option<DateTime<Utc>>,
    /// Documents that it is still to get.
    pub pending: u64,
}

const COLUMNS: &str =
    "sequence, destination, state, attempts, next_attempt, last_error, delivered, octets, verified, renamed";

pub(super) fn insert(db: &Connection, sequence: i64, destination: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO delivery (sequence, destination) VALUES (?1, ?2)",
        params![sequence, destination],
    )
    .map(drop)
}

/// Returns whether there was none.
pub(super) fn insert_if_new(db: &Connection, sequence: i64, destination: &str) -> rusqlite::Result<bool> {
    db.execute(
        "INSERT OR IGNORE INTO delivery (sequence, destination) VALUES (?1, ?2)",
        params![sequence, destination],
    )
    .map(|inserted| inserted > 0)
}

/// Pending whatever became of it before.
pub(super) fn renew(db: &Connection, sequence: i64, destination: &str) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM delivery WHERE sequence = ?1 AND destination = ?2",
        params![sequence, destination],
    )?;
    insert(db, sequence, destination)
}

impl Ledger {
    /// What a destination is still to get, in the order of the documents.
    pub fn pending_deliveries(&self, destination: &str) -> Result<Vec<Delivery>> {
        self.deliveries(
            "destination = ?1 AND state = 'pending' ORDER BY sequence",
            &[&destination],
        )
    }

    /// What a destination is to get next after the document `after`.
    pub fn next_delivery(&self, destination: &str, after: u64) -> Result<Option<Delivery>> {
        let found = self.deliveries(
            "destination = ?1 AND state = 'pending' AND sequence > ?2 ORDER BY sequence LIMIT 1",
            &[&destination, &(after as i64)],
        )?;
        Ok(found.into_iter().next())
    }

    /// What a destination got last.
    pub fn last_delivery(&self, destination: &str) -> Result<Option<Delivery>> {
        let found = self.deliveries(
            "destination = ?1 AND state = 'delivered' ORDER BY delivered DESC, sequence DESC LIMIT 1",
            &[&destination],
        )?;
        Ok(found.into_iter().next())
    }

    /// Every delivery of one document.
    pub fn deliveries_of(&self, sequence: u64) -> Result<Vec<Delivery>> {
        self.deliveries("sequence = ?1 ORDER BY destination", &[&(sequence as i64)])
    }

    /// All deliveries, in the order of the documents.
    pub fn all_deliveries(&self) -> Result<Vec<Delivery>> {
        self.deliveries("true ORDER BY sequence, destination", &[])
    }

    /// The transfers of late to a destination, oldest first.
    pub fn transfers(&self, destination: &str) -> Result<Vec<Transfer>> {
        let kept = self.meta(&transfers_key(destination))?;
        // Nothing hangs on them: what cannot be read is begun anew.
        Ok(kept
            .and_then(|kept| serde_json::from_str(&kept).ok())
            .unwrap_or_default())
    }

    /// The document has arrived. Returns whether that was news. `took`: unless it was there already.
    pub fn arrived(
        &mut self,
        sequence: u64,
        destination: &str,
        how: &Delivered,
        took: Option<Duration>,
    ) -> Result<bool> {
        self.arrived_and_tell(sequence, destination, how, took, &Tell::nobody())
    }

    /// The same, and the managers are to be told of it.
    pub fn arrived_and_tell(
        &mut self,
        sequence: u64,
        destination: &str,
        how: &Delivered,
        took: Option<Duration>,
        tell: &Tell,
    ) -> Result<bool> {
        let mut transfers = self.transfers(destination)?;
        if let Some(took) = took {
            transfers.push(Transfer {
                sequence,
                at: how.at,
                octets: how.octets,
                milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
            transfers.drain(..transfers.len().saturating_sub(TRANSFERS));
        }
        let transfers = serde_json::to_string(&transfers).unwrap_or_default();
        let directory = self.directory.clone();
        self.transact("note a delivery", |db| {
            let changed = db.execute(
                "UPDATE delivery SET state = 'delivered', attempts = attempts + 1, next_attempt = NULL, \
                 last_error = NULL, delivered = ?3, octets = ?4, verified = ?5, renamed = ?6 \
                 WHERE sequence = ?1 AND destination = ?2 AND state = 'pending'",
                params![
                    sequence as i64,
                    destination,
                    written(how.at),
                    how.octets as i64,
                    how.verified,
                    how.renamed
                ],
            )?;
            db.execute(
                "UPDATE resend SET finished = ?3 WHERE sequence = ?1 AND destination = ?2 AND finished IS NULL",
                params![sequence as i64, destination, written(how.at)],
            )?;
            super::put_meta(db, &transfers_key(destination), &transfers)?;
            outbox::insert(db, tell, how.at)?;
            owed::keep(db, &directory)?;
            Ok(changed > 0)
        })
    }

    /// An attempt has failed; it is not made again before `next`.
    pub fn delivery_failed(
        &mut self,
        sequence: u64,
        destination: &str,
        error: &str,
        next: DateTime<Utc>,
    ) -> Result<()> {
        self.transact("note a failed delivery", |db| {
            db.execute(
                "UPDATE delivery SET attempts = attempts + 1, last_error = ?3, next_attempt = ?4 \
                 WHERE sequence = ?1 AND destination = ?2 AND state = 'pending'",
                params![sequence as i64, destination, error, written(next)],
            )
        })
        .map(drop)
    }

    /// A destination does not get a document any more.
    pub fn give_up_delivery(&mut self, sequence: u64, destination: &str) -> Result<()> {
        let directory = self.directory.clone();
        self.transact("give up a delivery", |db| {
            db.execute(
                "DELETE FROM delivery WHERE sequence = ?1 AND destination = ?2 AND state = 'pending'",
                params![sequence as i64, destination],
            )?;
            owed::keep(db, &directory)
        })
        .map(drop)
    }

    /// Octets of the documents that a destination is still to get.
    pub fn pending_octets(&self, destination: &str) -> Result<u64> {
        self.run("measure what is pending", |db| {
            db.query_row(
                "SELECT coalesce(sum(document.octets), 0) FROM delivery JOIN document USING (sequence) \
                 WHERE destination = ?1 AND delivery.state = 'pending'",
                [destination],
                |row| row.get::<_, i64>(0).map(|octets| octets as u64),
            )
        })
    }

    /// Takes note of what the configuration has now: new destinations, and those that have gone.
    pub fn know_destinations(&mut self, configured: &[(String, String)], at: DateTime<Utc>) -> Result<()> {
        let directory = self.directory.clone();
        self.transact("note the destinations", |db| {
            db.execute(
                "UPDATE destination SET removed = ?1 WHERE removed IS NULL",
                [written(at)],
            )?;
            for (name, url) in configured {
                // Under another address it is another place, to be tried anew.
                db.execute(
                    "INSERT INTO destination (name, url, added) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET \
                     removed = NULL, tested = CASE WHEN url = excluded.url THEN tested END, url = excluded.url",
                    params![name, url, written(at)],
                )?;
            }
            owed::keep(db, &directory)
        })
    }

    /// The test file has arrived.
    pub fn destination_tested(&mut self, name: &str, at: DateTime<Utc>) -> Result<()> {
        self.transact("note that a destination works", |db| {
            db.execute(
                "UPDATE destination SET tested = ?2 WHERE name = ?1",
                params![name, written(at)],
            )
        })
        .map(drop)
    }

    /// Counts one more failure, or forgets all when it works again. `alarmed`: since when managers know of it; `tell`:
    /// what they are told now.
    pub fn destination_state(
        &mut self,
        name: &str,
        failures: u32,
        alarmed: Option<DateTime<Utc>>,
        tell: &Tell,
        at: DateTime<Utc>,
    ) -> Result<()> {
        self.transact("note the state of a destination", |db| {
            db.execute(
                "UPDATE destination SET failures = ?2, alarmed = ?3 WHERE name = ?1",
                params![name, failures, alarmed.map(written)],
            )?;
            outbox::insert(db, tell, at)
        })
    }

    /// The operator gives a destination up: what it has not got it will not get. Returns how many documents that were.
    pub fn forget_destination(&mut self, name: &str) -> Result<usize> {
        let directory = self.directory.clone();
        self.transact("forget a destination", |db| {
            db.execute("DELETE FROM destination WHERE name = ?1", [name])?;
            db.execute("DELETE FROM meta WHERE key = ?1", [transfers_key(name)])?;
            db.execute("DELETE FROM resend WHERE destination = ?1 AND finished IS NULL", [name])?;
            let forgotten = db.execute(
                "DELETE FROM delivery WHERE destination = ?1 AND state = 'pending'",
                [name],
            )?;
            owed::keep(db, &directory)?;
            Ok(forgotten)
        })
    }

    /// Every destination that is configured, or was and has not got everything.
    pub fn destinations(&self) -> Result<Vec<Destination>> {
        self.run("list destinations", |db| {
            db.prepare(
                "SELECT name, url, added, tested, failures, alarmed, removed, \
                 (SELECT count(*) FROM delivery WHERE destination = name AND state = 'pending') AS pending \
                 FROM destination WHERE removed IS NULL OR EXISTS \
                 (SELECT 1 FROM delivery WHERE destination = name AND state = 'pending') ORDER BY name",
            )?
            .query_map([], |row| {
                Ok(Destination {
                    name: row.get(0)?,
                    url: row.get(1)?,
                    added: time(row, 2)?.unwrap_or_default(),
                    tested: time(row, 3)?,
                    failures: row.get(4)?,
                    alarmed: time(row, 5)?,
                    removed: time(row, 6)?,
                    pending: row.get::<_, i64>(7)? as u64,
                })
            })?
            .collect()
        })
    }

    /// The document that the next in the sequence names as the one before.
    pub fn before(&self, row: &Row) -> Result<Option<String>> {
        self.run("look up a document", |db| {
            db.query_row(
                "SELECT doc_id FROM document WHERE sequence = ?1",
                [row.sequence.wrapping_sub(1) as i64],
                |row| row.get(0),
            )
            .optional()
        })
    }

    fn deliveries(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Delivery>> {
        let sql = format!("SELECT {COLUMNS} FROM delivery WHERE {condition}");
        self.run("list deliveries", |db| {
            db.prepare(&sql)?.query_map(values, Delivery::read)?.collect()
        })
    }
}

impl Delivery {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let delivered = match time(row, 6)? {
            Some(at) => Some(Delivered {
                at,
                octets: row.get::<_, Option<i64>>(7)?.unwrap_or(0) as u64,
                verified: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
                renamed: row.get::<_, Option<bool>>(9)?.unwrap_or(false),
            }),
            None => None,
        };
        Ok(Delivery {
            sequence: row.get::<_, i64>(0)? as u64,
            destination: row.get(1)?,
            state: match row.get::<_, String>(2)?.as_str() {
                "delivered" => DeliveryState::Delivered,
                _ => DeliveryState::Pending,
            },
            attempts: row.get(3)?,
            next_attempt: time(row, 4)?,
            last_error: row.get(5)?,
            delivered,
        })
    }
}

fn transfers_key(destination: &str) -> String {
    format!("transfers of {destination}")
}

pub(super) fn time(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    row.get::<_, Option<String>>(column)?
        .as_deref()
        .map(read_time)
        .transpose()
}
