//! The table that remembers which events are stored, so that none is stored twice.
//!
//! One row an event, written in the same transaction as the operator's query: both are there or neither. An event that
//! comes again, because the connection broke before the answer to COMMIT or because we were killed, finds its row
//! and is done. Where the table is not wanted or cannot be made, an event can be stored twice after such a break.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use super::{
    driver::{Connection, Failure, Kind},
    value::Value,
};
use crate::config::{AccountingSql, gatekeeper::SqlDriver};

/// The longest key that is stored as it is.
const LONGEST: usize = 150;

/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

const UNKNOWN: u8 = 0;
const READY: u8 = 1;
const MISSING: u8 = 2;

pub struct Marker {
    /// [`None`]: switched off.
    table: Option<String>,
    keep: Duration,
    insert: String,
    look: String,
    create: String,
    prune: String,
    state: AtomicU8,
    making: Mutex<()>,
    pruned: Mutex<Option<Instant>>,
}

impl Marker {
    pub fn new(settings: &AccountingSql, dialect: SqlDriver) -> Self {
        let table = &settings.marker_table;
        let (insert, look, create, prune) = match dialect {
            SqlDriver::PostgreSql => (
                format!("INSERT INTO {table} (event_key, at) VALUES ($1, $2) ON CONFLICT DO NOTHING"),
                format!("SELECT at FROM {table} WHERE event_key = $1"),
                format!("CREATE TABLE IF NOT EXISTS {table} (event_key text PRIMARY KEY, at bigint NOT NULL)"),
                format!("DELETE FROM {table} WHERE at < $1"),
            ),
            SqlDriver::MySql => (
                format!("INSERT IGNORE INTO {table} (event_key, at) VALUES (?, ?)"),
                format!("SELECT at FROM {table} WHERE event_key = ?"),
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (event_key VARCHAR({LONGEST}) CHARACTER SET ascii COLLATE \
                     ascii_bin NOT NULL PRIMARY KEY, at BIGINT NOT NULL, KEY (at)) ENGINE=InnoDB"
                ),
                format!("DELETE FROM {table} WHERE at < ? LIMIT 10000"),
            ),
            SqlDriver::Sqlite => (
                format!("INSERT OR IGNORE INTO {table} (event_key, at) VALUES (?1, ?2)"),
                format!("SELECT at FROM {table} WHERE event_key = ?1"),
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (event_key TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL) \
                     WITHOUT ROWID"
                ),
                format!("DELETE FROM {table} WHERE at < ?1"),
            ),
        };
        Marker {
            table: Some(table.clone()).filter(|table| !table.is_empty()),
            keep: settings.marker_keep.0,
            insert,
            look,
            create,
            prune,
            state: AtomicU8::new(UNKNOWN),
            making: Mutex::default(),
            pruned: Mutex::default(),
        }
    }

    /// Whether events can be marked in this database; makes the table if it is not there. Outside a transaction.
    pub fn ready(&self, connection: &mut dyn Connection) -> Result<bool, Failure> {
        let Some(table) = &self.table else {
            return Ok(false);
        };
        let known = |state| match state {
            READY => Some(true),
            MISSING => Some(false),
            _ => None,
        };
        if let Some(ready) = known(self.state.load(Ordering::Acquire)) {
            return Ok(ready);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = known(self.state.load(Ordering::Acquire)) {
            return Ok(ready);
        }
        // An account that may not make tables can still use one that somebody has made.
        let mut tried = self.try_out(connection);
        if tried.as_ref().is_err_and(|e| !e.is_lost()) {
            tried = connection
                .execute(&self.create, &[])
                .and_then(|_| self.try_out(connection));
        }
        match tried {
            Ok(()) => {
                self.state.store(READY, Ordering::Release);
                Ok(true)
            }
            Err(failure) if failure.is_lost() => Err(failure),
            Err(failure) => {
                self.state.store(MISSING, Ordering::Release);
                tracing::warn!(
                    "SQLAcct: table {table} cannot be made ({}): after a broken connection a call may be stored twice. \
                     Make it ({}), or set marker-table = \"\" in [accounting.sql]; then start again",
                    failure.why,
                    self.create
                );
                Ok(false)
            }
        }
    }

    /// Whether rows can be written and read; leaves none.
    fn try_out(&self, connection: &mut dyn Connection) -> Result<(), Failure> {
        let key = Value::Text(b"-".to_vec());
        connection.begin()?;
        let tried = connection
            .execute(&self.insert, &[key.clone(), Value::Number(0)])
            .and_then(|_| connection.execute(&self.look, &[key]));
        match tried {
            Err(failure) if failure.is_lost() => Err(failure),
            other => connection.rollback().and(other.map(drop)),
        }
    }

    /// Inside the transaction: marks the event as stored. False: it was already.
    pub fn mark(&self, connection: &mut dyn Connection, key: &str) -> Result<bool, Failure> {
        let values = [Value::Text(short(key).into_bytes()), Value::Number(now())];
        match connection.execute(&self.insert, &values) {
            Ok(rows) => Ok(rows.changed != Some(0)),
            Err(failure) if failure.is_lost() => Err(failure),
            Err(failure) => {
                // Perhaps somebody has dropped the table; the next attempt makes it again.
                self.state.store(UNKNOWN, Ordering::Release);
                Err(Failure {
                    kind: Kind::Conflict,
                    ..failure
                })
            }
        }
    }

    /// Whether the event is stored, seen from outside a transaction.
    pub fn is_marked(&self, connection: &mut dyn Connection, key: &str) -> Result<bool, Failure> {
        let values = [Value::Text(short(key).into_bytes())];
        connection.execute(&self.look, &values).map(|rows| rows.returned > 0)
    }

    /// Now and then: forgets what is too old to come again.
    pub fn prune(&self, connection: &mut dyn Connection) {
        {
            let mut pruned = self.pruned.lock().unwrap_or_else(PoisonError::into_inner);
            if self.state.load(Ordering::Acquire) != READY || pruned.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
                return;
            }
            *pruned = Some(Instant::now());
        }
        let oldest = now().saturating_sub_unsigned(self.keep.as_secs());
        if let Err(failure) = connection.execute(&self.prune, &[Value::Number(oldest)]) {
            tracing::warn!(
                "SQLAcct: old rows of {} stay: {}",
                self.table.as_deref().unwrap_or("-"),
                failure.why
            );
        }
    }
}

/// A key that fits each database and compares octet by octet.
fn short(key: &str) -> String {
    if key.len() <= LONGEST && key.bytes().all(|octet| octet.is_ascii_graphic()) {
        return key.to_owned();
    }
    Sha256::digest(key).iter().map(|octet| format!("{octet:02x}")).collect()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_no_database_could_mix_up() {
        assert_eq!(short("gk|6b02f31700000001|stop"), "gk|6b02f31700000001|stop");
        let long = "x".repeat(151);
        for odd in ["a b", "ü", long.as_str(), ""] {
            assert!(odd.is_empty() || short(odd).len() == 64, "{odd}");
        }
        assert_ne!(short("a "), short("a  "));
    }
}
