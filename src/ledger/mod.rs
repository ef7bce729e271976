//! The ledger: the durable memory of which documents exist and what became of them.
//!
//! One SQLite file in the state directory, write-ahead log, `synchronous=FULL`: what a method has returned from is on
//! the disk. Beside it lies `last-document`, a few lines that are enough to go on with the right sequence number when
//! the ledger itself is lost. The spool directory, not the ledger, is the truth about what is offered; `spool::recover`
//! brings the two together at every start.
//!
//! A method that fails has changed nothing. [`LedgerError::Damaged`] means that the file is no longer a ledger: only
//! the capture, which holds the lock, may set it aside and rebuild (`spool::rebuild`).

mod copies;
mod deliveries;
mod documents;
mod event;
mod gaps;
mod history;
mod last;
mod outbox;
mod owed;
mod resend;
mod schema;
mod streamed;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig, ffi, params};
use serde::{Deserialize, Serialize};

pub use copies::ArchivedCopy;
pub use deliveries::{Delivered, Delivery, DeliveryState, Destination, Transfer};
pub use documents::{Releasing, Retrieval, Row, Sealing, State};
pub use event::{CollectionStatus, Event};
pub use gaps::{Gap, GapKind, Skip};
pub use last::LastDocument;
pub use outbox::{LONGEST_WAIT, Pending, Tell, retry_after};
pub use owed::{Owed, Regained};
pub use resend::Resend;

use crate::{
    exit::{Error, Exit, exit_of, is_full},
    trust,
};

/// File name of the ledger in the state directory.
pub const FILE: &str = "ledger.sqlite";

/// How long one process waits while another one writes.
const BUSY: Duration = Duration::from_secs(10);

/// An open ledger.
pub struct Ledger {
    db: Connection,
    directory: PathBuf,
}

/// Tells the spool directory from another one that is found in its place later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Absolute, without symbolic links. Where it is not UTF-8, as near as can be.
    pub path: String,
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970, where the file system knows: it may give an inode number again at
    /// once.
    pub born: Option<i64>,
}

impl Identity {
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a text and two numbers are always JSON")
    }
}

const IDENTITY: &str = "spool-identity";

/// Why the ledger could not do it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file is not a ledger (any more).
    #[error("the ledger {path} is damaged: {reason}", path = path.display())]
    Damaged { path: PathBuf, reason: String },
    /// A newer billdrop has written it; this one must not touch it.
    #[error("the ledger {path} has format {found}, written by a newer billdrop; this one knows format {known}", path = path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// There is none, and the caller did not want one to be made.
    #[error("there is no ledger in {path}", path = path.display())]
    Missing { path: PathBuf },
    #[error("cannot {doing} in the ledger {path}: {source}", path = path.display())]
    Sql {
        doing: &'static str,
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

pub type Result<T> = std::result::Result<T, LedgerError>;

impl Ledger {
    /// Opens the ledger to change it, and makes it if there is none. The caller holds the capture lock.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        refuse_what_is_not_ours(&path)?;
        let existed = path.exists();
        let ledger = Self::connect(
            directory,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        if existed && ledger.is_empty_file()? && LastDocument::read(directory)?.is_some() {
            return Err(ledger.damaged("it is empty, but documents were written before".to_owned()));
        }
        schema::prepare(&ledger)?;
        Ok(ledger)
    }

    /// Makes a new ledger where the old one was set aside.
    pub fn open_new(directory: &Path) -> Result<Self> {
        let ledger = Self::connect(
            directory,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        schema::prepare(&ledger)?;
        Ok(ledger)
    }

    /// Opens an existing ledger to look at it, or to change what every format has (the outbox, remembered values).
    pub fn open_existing(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        if matches!(fs::symlink_metadata(&path), Err(e) if e.kind() == ErrorKind::NotFound) {
            return Err(LedgerError::Missing {
                path: directory.to_owned(),
            });
        }
        refuse_what_is_not_ours(&path)?;
        let ledger = Self::connect(directory, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::show(&ledger)?;
        Ok(ledger)
    }

    fn connect(directory: &Path, flags: OpenFlags) -> Result<Self> {
        let path = directory.join(FILE);
        let flags = flags | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags).map_err(|source| classify("open", &path, source))?;
        let ledger = Ledger {
            db,
            directory: directory.to_owned(),
        };
        ledger.run("set up", |db| {
            db.busy_timeout(BUSY)?;
            // On file systems without shared memory the answer is another mode, which serves as well.
            db.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
            // The log stays when the last process ends: merging it each time would cost more than all the rest.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            db.execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=512; PRAGMA trusted_schema=OFF")
        })?;
        Ok(ledger)
    }

    /// Reads the whole file and says whether it is sound. A few milliseconds for a year of documents.
    pub fn check(&self) -> Result<()> {
        let answer: String = self.run("check", |db| {
            db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        })?;
        match answer.as_str() {
            "ok" => Ok(()),
            problem => Err(self.damaged(problem.replace('\n', " "))),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A remembered value: the recorder's MAC, the SNMP engine, the spool's inode.
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        self.run("read a setting", |db| {
            db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
                .optional()
        })
    }

    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.run("keep a setting", |db| put_meta(db, key, value))
    }

    /// What the spool directory was when the last document was offered.
    pub fn spool_identity(&self) -> Result<Option<Identity>> {
        let kept = self.meta(IDENTITY)?;
        Ok(kept.and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// What a source wanted to see again at its next capture.
    pub fn baseline(&self, source: &str) -> Result<Option<Vec<u8>>> {
        self.run("read a baseline", |db| {
            db.query_row("SELECT content FROM baseline WHERE source = ?1", [source], |row| {
                row.get(0)
            })
            .optional()
        })
    }

    fn is_empty_file(&self) -> Result<bool> {
        let pages: i64 = self.run("open", |db| db.query_row("PRAGMA page_count", [], |row| row.get(0)))?;
        Ok(pages == 0)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn damaged(&self, reason: String) -> LedgerError {
        LedgerError::Damaged {
            path: self.path(),
            reason,
        }
    }

    fn run<T>(&self, doing: &'static str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.db).map_err(|source| classify(doing, &self.path(), source))
    }

    /// All or nothing, but after a power failure perhaps nothing: only for what is found out anew.
    fn transact_unsynced<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.run(doing, |db| db.execute_batch("PRAGMA synchronous=NORMAL"))?;
        let done = self.transact(doing, work);
        self.run(doing, |db| db.execute_batch("PRAGMA synchronous=FULL"))?;
        done
    }

    /// All or nothing, on the disk when it returns.
    fn transact<T>(&mut self, doing: &'static str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let path = self.path();
        let transaction = self
            .db
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|source| classify(doing, &path, source))?;
        let done = work(&transaction).map_err(|source| classify(doing, &path, source))?;
        transaction.commit().map_err(|source| classify(doing, &path, source))?;
        Ok(done)
    }
}

fn put_meta(db: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )
    .map(drop)
}

/// A symbolic link or another user's file in place of the ledger would make us write where somebody else wants.
fn refuse_what_is_not_ours(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let owner = trust::owner(path.parent().unwrap_or(path));
    let reason = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(LedgerError::File {
                doing: "look at",
                path: path.to_owned(),
                source,
            });
        }
        Ok(found) if !found.is_file() => "it is not a regular file",
        Ok(found) if !trust::is_ours(found.uid(), owner) => "it belongs to another user",
        Ok(_) => return Ok(()),
    };
    Err(LedgerError::File {
        doing: "trust",
        path: path.to_owned(),
        source: std::io::Error::new(ErrorKind::PermissionDenied, reason),
    })
}

fn classify(doing: &'static str, path: &Path, source: rusqlite::Error) -> LedgerError {
    match source.sqlite_error_code() {
        Some(ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase) => LedgerError::Damaged {
            path: path.to_owned(),
            reason: source.to_string(),
        },
        _ => LedgerError::Sql {
            doing,
            path: path.to_owned(),
            source,
        },
    }
}

impl LedgerError {
    pub fn is_damage(&self) -> bool {
        matches!(self, LedgerError::Damaged { .. })
    }
}

impl From<LedgerError> for Error {
    fn from(e: LedgerError) -> Self {
        let message = e.to_string();
        match &e {
            LedgerError::Damaged { .. } => Error::new(Exit::Io, message)
                .next("The next capture sets it aside and rebuilds it from the spool and from last-document."),
            LedgerError::Newer { .. } => Error::new(Exit::Configuration, message)
                .next("Run the newer billdrop, or name another [state] directory."),
            LedgerError::Missing { .. } => Error::new(Exit::Unavailable, message)
                .next("Nothing was captured here yet: check --config and --spool, or run billdrop capture."),
            LedgerError::File { source, path, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Error::new(Exit::Denied, message).next(format!(
                    "Run billdrop as the user who captures{}.",
                    trust::owner_name(path).map_or(String::new(), |name| format!(": sudo -u {name} billdrop ..."))
                ))
            }
            LedgerError::File { source, .. } => Error::new(exit_of(source), message).full_if(is_full(source)),
            LedgerError::Sql { source, .. } => {
                use ffi::ErrorCode::*;
                let exit = match source.sqlite_error_code() {
                    Some(DiskFull | CannotOpen) => Exit::CannotCreate,
                    Some(PermissionDenied | ReadOnly | AuthorizationForStatementDenied) => Exit::Denied,
                    Some(SystemIoFailure | FileLockingProtocolFailed | DatabaseBusy | DatabaseLocked) => Exit::Io,
                    _ => Exit::Internal,
                };
                Error::new(exit, message).full_if(source.sqlite_error_code() == Some(DiskFull))
            }
        }
    }
}

/// Times in the ledger: RFC 3339 in UTC with milliseconds, which sort as text.
pub(crate) fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn read_time(text: &str) -> rusqlite::Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}
