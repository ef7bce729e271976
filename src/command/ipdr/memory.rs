//! The ledger, which belongs to whoever has the lock of the state directory: taken for moments, and waited for.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use chrono::Utc;

use super::super::{deliver, setting::Setting};
use crate::{
    exit::{Error, Exit, Result},
    ledger::{Event, Gap, Ledger, Tell},
    spool::{self, Lock, Spool},
};

/// How often the lock is tried while another billdrop has it.
const NAP: Duration = Duration::from_millis(100);

/// The ledger of a process that runs for ever.
pub struct Memory {
    state: PathBuf,
    managers: Vec<String>,
    /// For one thread of ours at a time; other processes have to do with the file.
    lock: Mutex<Lock>,
}

impl Memory {
    /// Opens the ledger once, as a capture would: one that is damaged is set aside and rebuilt.
    pub fn open(setting: &Setting, spool: &Spool) -> Result<Memory> {
        let memory = Memory {
            state: spool.state.clone(),
            managers: setting.managers(),
            lock: Mutex::new(Lock::open(&spool.state)?),
        };
        let lock = memory.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let locked = hold(&lock, Duration::from_secs(600))?;
        drop(spool::open_ledger(
            spool,
            &setting.hostname,
            &memory.managers,
            Utc::now(),
            &locked,
        )?);
        drop(locked);
        drop(lock);
        Ok(memory)
    }

    /// Does something with the ledger, when the lock is free within this time.
    pub fn with<T>(&self, limit: Duration, work: impl FnOnce(&mut Ledger) -> Result<T>) -> Result<T> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let _locked = hold(&lock, limit)?;
        work(&mut Ledger::open(&self.state)?)
    }

    /// Notes gaps and leaves it to the outbox to tell. Where the ledger cannot take it, managers are told at once.
    pub fn note(&self, setting: &Setting, gaps: &[Gap], events: &[Event]) {
        let tell = Tell::new(&self.managers, events);
        let noted = self.with(Duration::from_secs(60), |ledger| {
            ledger.note_streaming_gaps(gaps, &tell, Utc::now())?;
            if !events.is_empty() {
                deliver::due(ledger, setting);
            }
            Ok(())
        });
        if let Err(e) = noted {
            tracing::error!("{e}");
            deliver::at_once(None, setting, events);
        }
    }
}

fn hold(lock: &Lock, limit: Duration) -> Result<spool::Locked<'_>> {
    let began = Instant::now();
    loop {
        if let Some(locked) = lock.try_hold()? {
            return Ok(locked);
        }
        if began.elapsed() >= limit {
            let holder = lock
                .holder()
                .map_or("another billdrop".to_owned(), |pid| format!("process {pid}"));
            return Err(Error::new(
                Exit::Blocked,
                format!("{holder} has been at work for too long"),
            ));
        }
        thread::sleep(NAP);
    }
}
