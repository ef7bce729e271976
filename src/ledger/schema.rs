//! Tables of the ledger, and its format number.
//!
//! A ledger of an older format is brought up to date by the first capture that opens it, in one transaction. Who only
//! looks changes nothing: it sees an old ledger through temporary views that have the new columns, empty.

use super::{Ledger, LedgerError, Result};

/// "bdrp": tells a ledger from any other SQLite file.
const APPLICATION: i64 = 0x6264_7270;

/// Format of the tables below. A ledger with a higher number is refused.
const FORMAT: i64 = 2;

/// Format 1. Never changed: what came later is added below.
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

/// Format 2: what becomes of a document's copy, who else has got it, and what is sent once more.
const COLUMNS_2: &[(&str, &str)] = &[
    ("retrieved_how", "TEXT"),
    ("archived", "TEXT"),
    ("archive_octets", "INTEGER"),
    ("compressed", "INTEGER"),
    ("expired", "TEXT"),
];

const TABLES_2: &str = "
-- What each destination is to get, and has got.
CREATE TABLE delivery (
    sequence     INTEGER NOT NULL,
    destination  TEXT NOT NULL,
    state        TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_attempt TEXT,
    last_error   TEXT,
    delivered    TEXT,
    octets       INTEGER,
    verified     TEXT,
    renamed      INTEGER,
    PRIMARY KEY (sequence, destination)
) STRICT;
CREATE TABLE destination (
    name     TEXT PRIMARY KEY,
    url      TEXT NOT NULL,
    added    TEXT NOT NULL,
    tested   TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    alarmed  TEXT,
    removed  TEXT
) STRICT;
-- Documents that somebody asked for again. destination NULL: in the spool. The earlier_ columns keep what the document's
-- own row said before it was offered again.
CREATE TABLE resend (
    id                INTEGER PRIMARY KEY,
    sequence          INTEGER NOT NULL,
    at                TEXT NOT NULL,
    who               TEXT NOT NULL,
    destination       TEXT,
    begun             TEXT,
    finished          TEXT,
    failure           TEXT,
    earlier_offered   TEXT,
    earlier_retrieved TEXT,
    earlier_how       TEXT
) STRICT;
";

const INDEXES_2: &str = "
CREATE INDEX undelivered_document ON delivery (destination, sequence) WHERE state = 'pending';
CREATE INDEX unfinished_resend ON resend (id) WHERE finished IS NULL;
CREATE INDEX kept_copy ON document (retrieved, sequence) WHERE archived IS NOT NULL AND expired IS NULL;
";

/// Makes the tables where the file is new, brings an older format up to date, and refuses what is not a ledger.
pub(super) fn prepare(ledger: &Ledger) -> Result<()> {
    if pragma(ledger, "PRAGMA user_version")? == 0 && is_blank(ledger)? {
        let create = format!("{TABLES} PRAGMA application_id = {APPLICATION}; {}", from_1_to_2());
        return at_once(ledger, "make the tables", &create);
    }
    match format_of(ledger)? {
        1 => {
            tracing::info!("the ledger is brought from format 1 to format {FORMAT}");
            at_once(ledger, "bring the tables up to date", &from_1_to_2())
        }
        _ => Ok(()),
    }
}

/// For those who only look. An older format is shown as if it were of today, and stays as it is.
pub(super) fn show(ledger: &Ledger) -> Result<()> {
    if format_of(ledger)? == FORMAT {
        return Ok(());
    }
    let nothing: String = COLUMNS_2
        .iter()
        .map(|(column, _)| format!(", NULL AS {column}"))
        .collect();
    let shadows = format!(
        "PRAGMA temp_store = MEMORY; CREATE TEMP VIEW document AS SELECT *{nothing} FROM main.document; {}",
        TABLES_2.replace("CREATE TABLE", "CREATE TEMP TABLE")
    );
    ledger.run("show an older format", |db| db.execute_batch(&shadows))
}

fn from_1_to_2() -> String {
    let columns: String = COLUMNS_2
        .iter()
        .map(|(column, kind)| format!("ALTER TABLE document ADD COLUMN {column} {kind};\n"))
        .collect();
    format!("{columns}{TABLES_2}{INDEXES_2}PRAGMA user_version = 2;")
}

/// All or nothing: the connection is given up when it fails, and takes an unfinished transaction with it.
fn at_once(ledger: &Ledger, doing: &'static str, statements: &str) -> Result<()> {
    ledger.run(doing, |db| {
        db.execute_batch(&format!("BEGIN IMMEDIATE; {statements} COMMIT;"))
    })
}

/// The format of a ledger, 1 or the one of today.
fn format_of(ledger: &Ledger) -> Result<i64> {
    if pragma(ledger, "PRAGMA application_id")? != APPLICATION {
        return Err(ledger.damaged("it is not a ledger of billdrop".to_owned()));
    }
    match pragma(ledger, "PRAGMA user_version")? {
        found @ 1..=FORMAT => Ok(found),
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
