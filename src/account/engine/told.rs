//! How accounting stands, for `billdrop status`: a small file beside the journal, written anew every second.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path, sync::atomic::Ordering};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Core, slot};
use crate::account::journal::{Body, Item, Reader};

const FILE: &str = "state.json";

/// How it stood.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    pub at: DateTime<Utc>,
    pub process: u32,
    /// It has ended in order.
    pub has_ended: bool,
    /// Events since the process began.
    pub accepted: u64,
    /// Of those that came twice, and were answered as before.
    pub repeated: u64,
    pub journal_octets: u64,
    pub modules: Vec<ModuleState>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleState {
    pub name: String,
    pub logged: u64,
    pub failed: u64,
    pub waiting: u64,
    /// When the event that waits longest was received.
    pub waiting_since: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub last_error_at: Option<DateTime<Utc>>,
}

/// What the file says; [`None`]: there is none.
pub fn read(directory: &Path) -> io::Result<Option<Told>> {
    match fs::read(directory.join(FILE)) {
        Ok(octets) => Ok(serde_json::from_slice(&octets).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

impl Core {
    pub(super) fn told(&self) -> Told {
        Told {
            at: Utc::now(),
            process: std::process::id(),
            has_ended: self.has_ended.load(Ordering::Acquire),
            accepted: self.accepted.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            journal_octets: self.journal.extent().1,
            modules: self.slots.iter().map(|slot| self.told_of(slot)).collect(),
        }
    }

    fn told_of(&self, slot: &slot::Slot) -> ModuleState {
        let (waiting, first) = {
            let backlog = slot.backlog();
            (backlog.count(), backlog.first_from(0))
        };
        let since = first.and_then(|first| {
            let known = slot.state().oldest.filter(|(number, _)| *number == first.number);
            known.map(|(_, at)| at).or_else(|| {
                let at = self.received(first.number, first.position)?;
                slot.state().oldest = Some((first.number, at));
                Some(at)
            })
        });
        let state = slot.state();
        ModuleState {
            name: slot.module.name().to_owned(),
            logged: slot.logged.load(Ordering::Relaxed),
            failed: slot.failed.load(Ordering::Relaxed),
            waiting,
            waiting_since: since.and_then(DateTime::from_timestamp_micros),
            last_error: state.last_error.as_ref().map(|(_, reason)| reason.clone()),
            last_error_at: state.last_error.as_ref().map(|(at, _)| *at),
        }
    }

    /// When this event, which lies at or behind the position, was received.
    fn received(&self, number: u64, position: u64) -> Option<i64> {
        let mut reader = Reader::open(self.journal.directory(), position).ok()?;
        while let Some(item) = reader.next_item().ok()? {
            if let Item::Record(record) = item
                && let Body::Event(event) = record.body
                && record.number >= number
            {
                return (record.number == number).then_some(event.received);
            }
        }
        None
    }

    /// For others to read; that it could not be written is no failure.
    pub(super) fn tell(&self) {
        let path = self.journal.directory().join(FILE);
        let temporary = path.with_extension("json.new");
        let written = serde_json::to_vec(&self.told())
            .map_err(io::Error::other)
            .and_then(|octets| {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&temporary)?;
                io::Write::write_all(&mut file, &octets)?;
                fs::rename(&temporary, &path)
            });
        if let Err(e) = written {
            tracing::debug!("cannot write {}: {e}", path.display());
        }
    }
}
