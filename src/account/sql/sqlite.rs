//! SQLite, which is built in: `Database` is a file, made if it is not there.

use std::{path::PathBuf, time::Duration};

use rusqlite::{
    ErrorCode,
    types::{ToSqlOutput, ValueRef},
};

use super::{
    driver::{Connection, Driver, Failure, Rows},
    value::Value,
};

pub struct Sqlite {
    file: PathBuf,
    place: String,
    /// How long a locked database is waited for.
    patience: Duration,
}

impl Sqlite {
    pub fn new(file: &str, patience: Duration) -> Self {
        Sqlite {
            file: PathBuf::from(file),
            place: format!("SQLite {file}"),
            patience,
        }
    }
}

impl Driver for Sqlite {
    fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let open = || {
            // No URI: a file's name is a file's name.
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
                | rusqlite::OpenFlags::SQLITE_OPEN_CREATE
                | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = rusqlite::Connection::open_with_flags(&self.file, flags)?;
            connection.busy_timeout(self.patience)?;
            // As everywhere but in the built-in library, and so for the gatekeeper.
            connection.pragma_update(None, "foreign_keys", false)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok::<_, rusqlite::Error>(connection)
        };
        match open() {
            Ok(connection) => Ok(Box::new(Open(connection))),
            Err(error) => Err(error.to_string()),
        }
    }

    fn place(&self) -> &str {
        &self.place
    }
}

struct Open(rusqlite::Connection);

impl Connection for Open {
    fn begin(&mut self) -> Result<(), Failure> {
        // Immediate: two who read first and write then could only lock each other out.
        self.0.execute_batch("BEGIN IMMEDIATE").map_err(failure)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.0.execute_batch("COMMIT").map_err(failure)
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        match self.0.is_autocommit() {
            true => Ok(()), // the error has ended the transaction
            false => self.0.execute_batch("ROLLBACK").map_err(failure),
        }
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<Rows, Failure> {
        let mut prepared = self.0.prepare_cached(statement).map_err(failure)?;
        for (at, value) in values.iter().enumerate() {
            let bound = match value {
                Value::Number(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
                Value::Text(octets) => ToSqlOutput::Borrowed(ValueRef::Text(octets)),
            };
            prepared.raw_bind_parameter(at + 1, bound).map_err(failure)?;
        }
        let mut returned = 0;
        let mut rows = prepared.raw_query();
        while rows.next().map_err(failure)?.is_some() {
            returned += 1;
        }
        drop(rows);
        let changed = changes_rows(statement).then(|| self.0.changes());
        Ok(Rows { changed, returned })
    }
}

/// Of anything else SQLite would tell the count of the statement before.
fn changes_rows(statement: &str) -> bool {
    let verb = super::words::verb(statement).unwrap_or_default();
    match verb.as_str() {
        "insert" | "update" | "delete" | "replace" => true,
        "with" => {
            let text = statement.to_ascii_lowercase();
            ["insert", "update", "delete", "replace"]
                .iter()
                .any(|verb| text.contains(verb))
        }
        _ => false,
    }
}

fn failure(error: rusqlite::Error) -> Failure {
    let lost = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    match lost {
        true => Failure::lost(error.to_string()),
        false => Failure::statement(error.to_string()),
    }
}
