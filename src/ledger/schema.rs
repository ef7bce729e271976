//! Tables of the ledger, and its format number.

use super::{Ledger, LedgerError, Result};

/// "bdrp": tells a ledger from any other SQLite file.
const APPLICATION: i64 = 0x6264_7270;

/// Format of the tables below. A ledger with a higher number is refused.
const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE document (
    sequence       INTEGER PRIMARY KEY,
    doc_id         TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL UNIQUE,
    state          TEXT NOT NULL CHECK (state IN ('sealed', 'offered', 'retrieved', 'released')),
    created        TEXT NOT NULL,
    covers_from    TEXT,
    covers_to      TEXT,
    records        INTEGER NOT NULL,
    octets         INTEGER NOT NULL,
    sha256         TEXT NOT NULL,
    offered        TEXT,
    retrieved      TEXT,
    released       TEXT,
    released_by    TEXT,
    release_reason TEXT
) STRICT;
-- What is known to be missing. told_in: the document whose information record says so.
CREATE TABLE gap (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    source  TEXT,
    reason  TEXT NOT NULL,
    told_in INTEGER
) STRICT;
-- A capture that was refused because document blocked_by was still waiting.
CREATE TABLE skip (
    id         INTEGER PRIMARY KEY,
    at         TEXT NOT NULL,
    blocked_by TEXT NOT NULL,
    told_in    INTEGER
) STRICT;
CREATE TABLE notification (
    id           INTEGER PRIMARY KEY,
    manager      TEXT NOT NULL,
    event        TEXT NOT NULL,
    created      TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_attempt TEXT NOT NULL,
    last_error   TEXT,
    delivered    TEXT
) STRICT;
CREATE INDEX undelivered ON notification (next_attempt) WHERE delivered IS NULL;
CREATE TABLE baseline (
    source   TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    content  BLOB NOT NULL
) STRICT;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
";

/// Makes the tables where the file is new; refuses what is not a ledger of this format.
pub(super) fn prepare(ledger: &Ledger) -> Result<()> {
    if pragma(ledger, "PRAGMA user_version")? == 0 && is_blank(ledger)? {
        let create = format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        );
        return ledger.run("make the tables", |db| db.execute_batch(&create));
    }
    refuse_newer(ledger)
}

pub(super) fn refuse_newer(ledger: &Ledger) -> Result<()> {
    if pragma(ledger, "PRAGMA application_id")? != APPLICATION {
        return Err(ledger.damaged("it is not a ledger of billdrop".to_owned()));
    }
    match pragma(ledger, "PRAGMA user_version")? {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(LedgerError::Newer {
            path: ledger.path(),
            found,
            known: FORMAT,
        }),
        found => Err(ledger.damaged(format!("format {found} never existed"))),
    }
}

fn is_blank(ledger: &Ledger) -> Result<bool> {
    Ok(pragma(ledger, "SELECT count(*) FROM sqlite_schema")? == 0)
}

fn pragma(ledger: &Ledger, sql: &str) -> Result<i64> {
    ledger.run("open", |db| db.query_row(sql, [], |row| row.get(0)))
}
