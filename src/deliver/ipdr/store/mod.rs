//! What one session has still to deliver: its documents, as records that are ready to be sent.
//!
//! `STATE/ipdr/SESSION/` belongs to one process, which holds `STATE/ipdr/lock`. In it:
//!
//! | file | what it is |
//! |---|---|
//! | `NUMBER-PART.ipdr` | a part of a document: its head, blocks of records, a trailer. Whole, synced, never changed |
//! | `NUMBER.ack` | how far the document is acknowledged. Not synced: an older number sends more duplicates, marked as such |
//! | `last` | the number and the documentId that were given last, up to which document all are delivered |
//! | `new` | a part that is being written |
//! | `*.damaged` | what could not be read; nobody looks at it again |
//!
//! # A document's life
//!
//! | files | it means | what a start makes of it |
//! |---|---|---|
//! | `new` | never sealed; nobody has seen a record of it | removed; its sources still have everything |
//! | `N-0` | sealed: the rename was the commit | delivered, from what `N.ack` says |
//! | `N-0`, `N-1`, … | of an event session, sealed part by part | the same |
//! | the last part says *complete* | no record follows | |
//! | `last` says N is delivered | every record is acknowledged, or was given up aloud | the files are removed |
//!
//! What the sources have to remember of what they gave stands in the trailer: so the same rename commits the records and
//! the place from which the next ones go on ([`Store::baselines_after`]).
//!
//! # Damage
//!
//! Each block has a checksum. A reader that finds a wrong one says which records are lost ([`Damaged`]); those before and
//! behind are delivered. Part files whose head or trailer cannot be read are set aside, and told when the store is opened
//! ([`Trouble`]). Nothing is left out silently.

mod files;
mod progress;
mod reader;
mod recover;
mod segment;
mod writing;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use crate::{
    protocol::ipdr::{DocumentId, Template},
    trust,
};
use files::Last;
use progress::{Noted, Progress};
pub use reader::{Damaged, Reader, damaged};
pub use segment::{Baseline, LONGEST_RECORD};
use segment::{Head, Part};
pub use writing::Writing;

/// One session's documents. Clones are the same store: one thread writes documents, another one delivers them.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<u64, Kept>,
    last: Last,
}

/// A document that waits.
#[derive(Debug)]
struct Kept {
    stored: Stored,
    parts: Vec<Part>,
    progress: Progress,
    /// A reader found damage in it: its files are kept when it is done.
    is_damaged: bool,
}

/// What a document is made with.
#[derive(Debug, Clone)]
pub struct Meta {
    pub id: DocumentId,
    pub created: DateTime<Utc>,
    /// What its records are encoded with.
    pub config_id: u16,
    pub template: Arc<Template>,
}

/// A sealed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3 … in the order in which documents were made.
    pub number: u64,
    pub id: DocumentId,
    /// Records so far; their sequence numbers are 0 to this, without it.
    pub records: u64,
    /// Records below need not be sent any more.
    pub acknowledged: u64,
    /// For `droppedRecordCount`.
    pub dropped: u64,
    /// Records of it may have been sent to somebody.
    pub is_started: bool,
    /// No record follows.
    pub is_complete: bool,
    pub created: DateTime<Utc>,
    pub config_id: u16,
    pub template: Arc<Template>,
}

/// What waits in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    pub documents: u64,
    /// Records that nobody has acknowledged.
    pub records: u64,
    /// On the disk.
    pub octets: u64,
}

/// What the sources have to remember after a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Document and part. Places grow.
    pub place: (u64, u32),
    pub baselines: Vec<Baseline>,
}

/// Something that was wrong when a store was opened. Each is a loss that must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    pub number: Option<u64>,
    /// Records that are lost, where that is known.
    pub lost: Option<u64>,
}

/// What went wrong with a file of the store.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct StoreError {
    pub doing: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

type Result<T> = std::result::Result<T, StoreError>;

/// Where all stores lie.
pub fn directory(state: &Path) -> PathBuf {
    state.join("ipdr")
}

/// The lock of the process that owns them.
pub fn lock_path(state: &Path) -> PathBuf {
    directory(state).join("lock")
}

/// Makes the place for all stores, and the state directory that it is in, for this user alone.
pub fn prepare(state: &Path) -> Result<()> {
    let directory = directory(state);
    [state, &directory]
        .into_iter()
        .try_for_each(|made| trust::private_directory(made).map_err(|e| StoreError::new("make", made, e)))
}

impl Store {
    /// The documents of the session whose directory this is. What was never sealed, and what is delivered, is removed.
    pub fn open(directory: &Path) -> Result<(Store, Vec<Trouble>)> {
        let (inner, broken, troubles) = recover::recover(directory)?;
        let shared = Arc::new(Shared {
            directory: directory.to_owned(),
            inner: Mutex::new(inner),
        });
        let store = Store { shared };
        for document in broken {
            // The sequence numbers of what is lost are not known, so nothing can follow.
            store.complete(document.number)?;
            store.note_acknowledged(document.number, document.acknowledged, document.dropped)?;
        }
        Ok((store, troubles))
    }

    /// Begins a document. It exists when it is sealed, not before. One is written at a time.
    pub fn begin(&self, meta: Meta) -> Result<Writing> {
        let head = Head {
            number: self.shared.lock().last.number + 1,
            part: 0,
            first: 0,
            id: meta.id,
            created: meta.created,
            config_id: meta.config_id,
            template: meta.template,
        };
        Writing::create(Arc::clone(&self.shared), head)
    }

    /// Begins a further part of a document that is not complete.
    pub fn extend(&self, number: u64) -> Result<Writing> {
        let head = {
            let inner = self.shared.lock();
            let kept = self.shared.kept(&inner, number)?;
            if kept.stored.is_complete {
                return Err(self.shared.refused("extend", number, "the document is complete"));
            }
            let stored = &kept.stored;
            Head {
                number,
                part: kept.parts.last().map_or(0, |part| part.index + 1),
                first: stored.records,
                id: stored.id,
                created: stored.created,
                config_id: stored.config_id,
                template: Arc::clone(&stored.template),
            }
        };
        Writing::create(Arc::clone(&self.shared), head)
    }

    /// There will be no more records in the document.
    pub fn complete(&self, number: u64) -> Result<()> {
        if self.get(number).is_some_and(|stored| stored.is_complete) {
            return Ok(());
        }
        self.extend(number)?.seal(true, &[]).map(|_| ())
    }

    /// The document to deliver now. They go in their order.
    pub fn oldest(&self) -> Option<Stored> {
        let inner = self.shared.lock();
        inner.documents.values().next().map(|kept| kept.stored.clone())
    }

    /// The one that was made last, if it still waits.
    pub fn newest(&self) -> Option<Stored> {
        let inner = self.shared.lock();
        inner.documents.values().next_back().map(|kept| kept.stored.clone())
    }

    pub fn get(&self, number: u64) -> Option<Stored> {
        let inner = self.shared.lock();
        inner.documents.get(&number).map(|kept| kept.stored.clone())
    }

    /// The number and the documentId that were given last, also if that document is delivered.
    pub fn last(&self) -> Option<(u64, DocumentId)> {
        let inner = self.shared.lock();
        Some((inner.last.number, inner.last.id?))
    }

    /// The records of a document from the sequence number `from` on. Records of parts that are sealed later come, too.
    pub fn reader(&self, number: u64, from: u64) -> Result<Reader> {
        self.shared.kept(&self.shared.lock(), number)?;
        Ok(Reader::new(Arc::clone(&self.shared), number, from))
    }

    /// Records below `below` need not be sent again, whatever happens; `dropped` of the document were given up. Cheap: a
    /// write without a sync, unless more were given up.
    pub fn note_acknowledged(&self, number: u64, below: u64, dropped: u64) -> Result<()> {
        self.note(number, |stored| {
            stored.acknowledged = below.min(stored.records);
            stored.dropped = dropped;
        })
    }

    /// Records of the document are about to be sent: whoever finds it after a restart must take all of them as duplicates.
    /// Synced.
    pub fn note_started(&self, number: u64) -> Result<()> {
        self.note(number, |stored| stored.is_started = true)
    }

    fn note(&self, number: u64, change: impl FnOnce(&mut Stored)) -> Result<()> {
        let mut inner = self.shared.lock();
        let Some(kept) = inner.documents.get_mut(&number) else {
            return Err(self.shared.refused("note", number, "there is no such document"));
        };
        change(&mut kept.stored);
        let noted = Noted {
            acknowledged: kept.stored.acknowledged,
            dropped: kept.stored.dropped,
            is_started: kept.stored.is_started,
        };
        let path = files::progress_path(&self.shared.directory, number);
        kept.progress
            .note(&path, noted)
            .map_err(|e| StoreError::new("write", &path, e))
    }

    /// The oldest document is delivered, or what was not is given up: its files go. Those that were damaged are kept
    /// under another name.
    pub fn delivered(&self, number: u64) -> Result<()> {
        let mut last = {
            let inner = self.shared.lock();
            if inner.documents.keys().next() != Some(&number) {
                return Err(self.shared.refused("end", number, "it is not the oldest document"));
            }
            inner.last.clone()
        };
        // From here on a start removes what is left of it.
        last.delivered = number;
        files::write_last(&self.shared.directory, &last)?;
        let kept = {
            let mut inner = self.shared.lock();
            inner.last.delivered = number;
            inner.documents.remove(&number)
        };
        kept.map_or(Ok(()), |kept| self.shared.remove(number, &kept))
    }

    /// Drops a document that is not the oldest, to make room: the one after it tells of its records in its
    /// `droppedRecordCount`. Returns how many they were.
    pub fn give_up(&self, number: u64) -> Result<u64> {
        // In one step with the question whether it is the oldest: whoever delivers must not find it any more.
        let (kept, next) = {
            let mut inner = self.shared.lock();
            if inner.documents.keys().next() == Some(&number) {
                return Err(self.shared.refused("drop", number, "it is being delivered"));
            }
            let Some(kept) = inner.documents.remove(&number) else {
                return Err(self.shared.refused("drop", number, "there is no such document"));
            };
            let next = inner.documents.range(number + 1..).next();
            (kept, next.map(|(_, kept)| kept.stored.clone()))
        };
        let lost = kept.stored.records - kept.stored.acknowledged + kept.stored.dropped;
        let told = match next {
            Some(next) => self.note(next.number, |stored| {
                stored.dropped = stored.dropped.saturating_add(lost)
            }),
            None => self.carry(lost),
        };
        if let Err(e) = told {
            self.shared.lock().documents.insert(number, kept);
            return Err(e);
        }
        self.shared.remove(number, &kept)?;
        Ok(lost)
    }

    /// The next document that is made will tell of these records.
    fn carry(&self, lost: u64) -> Result<()> {
        let mut last = self.shared.lock().last.clone();
        last.dropped = last.dropped.saturating_add(lost);
        files::write_last(&self.shared.directory, &last)?;
        self.shared.lock().last.dropped = last.dropped;
        Ok(())
    }

    /// All documents that wait, the oldest first.
    pub fn documents(&self) -> Vec<Stored> {
        let inner = self.shared.lock();
        inner.documents.values().map(|kept| kept.stored.clone()).collect()
    }

    pub fn waiting(&self) -> Waiting {
        let inner = self.shared.lock();
        inner.documents.values().fold(Waiting::default(), |sum, kept| Waiting {
            documents: sum.documents + 1,
            records: sum.records + (kept.stored.records - kept.stored.acknowledged),
            octets: sum.octets + kept.parts.iter().map(|part| part.octets).sum::<u64>(),
        })
    }

    /// The place of the last part: document and part. Places grow.
    pub fn place(&self) -> Option<(u64, u32)> {
        let inner = self.shared.lock();
        let (number, kept) = inner.documents.iter().next_back()?;
        Some((*number, kept.parts.last()?.index))
    }

    /// What the sources have to remember after the parts behind `place`, oldest first: for a memory that may have missed
    /// the last of them.
    pub fn baselines_after(&self, place: Option<(u64, u32)>) -> Result<Vec<Remembered>> {
        let parts: Vec<Part> = {
            let inner = self.shared.lock();
            let all = inner.documents.values().flat_map(|kept| &kept.parts);
            all.filter(|part| Some((part.number, part.index)) > place)
                .cloned()
                .collect()
        };
        let read = |part: &Part| {
            let path = part.path(&self.shared.directory);
            let trailer = segment::read_trailer(&path).map_err(|e| StoreError::new("read", &path, e))?;
            Ok(Remembered {
                place: (part.number, part.index),
                baselines: trailer.baselines,
            })
        };
        parts.iter().map(read).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept<'a>(&self, inner: &'a Inner, number: u64) -> Result<&'a Kept> {
        let kept = inner.documents.get(&number);
        kept.ok_or_else(|| self.refused("find", number, "there is no such document"))
    }

    #[cold]
    fn refused(&self, doing: &'static str, number: u64, why: &'static str) -> StoreError {
        let path = segment::path(&self.directory, number, 0);
        StoreError::new(doing, &path, io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    /// The first part goes first: what is left without it is nothing.
    fn remove(&self, number: u64, kept: &Kept) -> Result<()> {
        for part in &kept.parts {
            let path = part.path(&self.directory);
            files::remove(&path, kept.is_damaged)?;
        }
        files::remove(&files::progress_path(&self.directory, number), false)
    }
}

impl StoreError {
    fn new(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<StoreError> for crate::exit::Error {
    fn from(e: StoreError) -> Self {
        crate::exit::Error::file(e.doing, &e.path, &e.source)
    }
}
