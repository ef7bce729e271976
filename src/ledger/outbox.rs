//! Notifications that managers have not got yet.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::Event;
use super::{Ledger, Result, read_time, written};

/// One event that one manager is still to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub id: i64,
    /// The manager's address, as configured.
    pub manager: String,
    pub event: Event,
    pub created: DateTime<Utc>,
    pub attempts: u32,
    pub next_attempt: DateTime<Utc>,
    pub last_error: Option<String>,
}

/// The longest that an attempt is put off.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long to wait after this many failed attempts: the next run tries again at once, then one minute, doubled up to
/// an hour.
pub fn retry_after(attempts: u32) -> Duration {
    match attempts {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(60 << (n - 2).min(6)).min(LONGEST_WAIT),
    }
}

/// Delivered notifications are kept this long, for `billdrop status` and for disputes.
const KEPT_DAYS: i64 = 90;

const ALARM: &str = "blocked-alarm";

/// Who is to be told of what: one row in the outbox for each manager and event.
#[derive(Debug, Clone, Default)]
pub struct Tell {
    managers: Vec<String>,
    events: Vec<Event>,
}

impl Tell {
    /// `managers` are addresses as configured.
    pub fn new(managers: &[String], events: &[Event]) -> Self {
        Tell {
            managers: managers.to_vec(),
            events: events.to_vec(),
        }
    }

    pub fn nobody() -> Self {
        Tell::default()
    }
}

pub(super) fn insert(db: &Connection, tell: &Tell, at: DateTime<Utc>) -> rusqlite::Result<()> {
    for event in &tell.events {
        let json = serde_json::to_string(event).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        for manager in &tell.managers {
            db.execute(
                "INSERT INTO notification (manager, event, created, next_attempt) VALUES (?1, ?2, ?3, ?3)",
                params![manager, json, written(at)],
            )?;
        }
    }
    Ok(())
}

impl Ledger {
    /// Puts events into the outbox, one row for each manager.
    pub fn notify(&mut self, tell: &Tell, at: DateTime<Utc>) -> Result<()> {
        self.transact("keep a notification", |db| insert(db, tell, at))
    }

    /// Puts the alarm about a document that waits too long into the outbox, and notes when.
    pub fn alarm(&mut self, sequence: u64, tell: &Tell, at: DateTime<Utc>) -> Result<()> {
        self.transact("keep an alarm", |db| {
            super::put_meta(db, ALARM, &format!("{sequence} {}", written(at)))?;
            insert(db, tell, at)
        })
    }

    /// When the managers were last alarmed about this document.
    pub fn last_alarm(&self, sequence: u64) -> Result<Option<DateTime<Utc>>> {
        let kept = self.meta(ALARM)?;
        Ok(kept.and_then(|text| {
            let (about, at) = text.split_once(' ')?;
            (about.parse() == Ok(sequence)).then(|| read_time(at).ok())?
        }))
    }

    /// Undelivered notifications, oldest first.
    pub fn pending(&self) -> Result<Vec<Pending>> {
        self.run("list notifications", |db| {
            db.prepare(
                "SELECT id, manager, event, created, attempts, next_attempt, last_error FROM notification \
                 WHERE delivered IS NULL ORDER BY id",
            )?
            .query_map([], |row| {
                let event = serde_json::from_str(&row.get::<_, String>(2)?).map_err(|e| {
                    rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e))
                })?;
                Ok(Pending {
                    id: row.get(0)?,
                    manager: row.get(1)?,
                    event,
                    created: read_time(&row.get::<_, String>(3)?)?,
                    attempts: row.get(4)?,
                    next_attempt: read_time(&row.get::<_, String>(5)?)?,
                    last_error: row.get(6)?,
                })
            })?
            .collect()
        })
    }

    /// Takes notes of a round of attempts: for each notification its id and, if it failed, why.
    pub fn attempted(&mut self, results: &[(i64, u32, Option<String>)], at: DateTime<Utc>) -> Result<()> {
        self.transact("note attempts to notify", |db| {
            for (id, attempts, error) in results {
                let next = at + retry_after(*attempts);
                db.execute(
                    "UPDATE notification SET attempts = ?2, last_error = ?3, next_attempt = ?4, \
                     delivered = CASE WHEN ?3 IS NULL THEN ?5 END WHERE id = ?1",
                    params![id, attempts, error, written(next), written(at)],
                )?;
            }
            let old = at - chrono::Duration::days(KEPT_DAYS);
            db.execute("DELETE FROM notification WHERE delivered < ?1", [written(old)])
        })
        .map(drop)
    }

    /// Gives up notifications to a manager that the configuration no longer has.
    pub fn drop_pending(&mut self, ids: &[i64]) -> Result<()> {
        self.transact("drop notifications", |db| {
            for id in ids {
                db.execute("DELETE FROM notification WHERE id = ?1", [id])?;
            }
            Ok(())
        })
    }

    /// How many notifications were delivered in the last ninety days.
    pub fn delivered(&self) -> Result<u64> {
        self.run("count notifications", |db| {
            db.query_row(
                "SELECT count(*) FROM notification WHERE delivered IS NOT NULL",
                [],
                |row| row.get::<_, i64>(0).map(|n| n as u64),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_tries_again_at_once_and_later_ones_ever_less_often() {
        let minutes = |n| retry_after(n).as_secs() / 60;
        assert_eq!(
            [0, 1, 2, 3, 4, 7, 8, 9, 4_000_000].map(minutes),
            [0, 0, 1, 2, 4, 32, 60, 60, 60]
        );
    }
}
