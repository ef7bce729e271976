//! A module in its place in the chain, with what waits for it and what is told of it.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::backlog::Backlog;
use crate::{
    account::{
        event::Event,
        module::{Attempt, Module, Outcome},
    },
    config::gatekeeper::LinkKind,
};

/// The bit of a kind of module in the journal; [`None`] for `default`, which logs nothing.
pub fn bit(kind: LinkKind) -> Option<u16> {
    Some(match kind {
        LinkKind::FileAcct => 1,
        LinkKind::RadAcct => 1 << 1,
        LinkKind::SqlAcct => 1 << 2,
        LinkKind::StatusAcct => 1 << 3,
        LinkKind::SyslogAcct => 1 << 4,
        LinkKind::SpoolAcct => 1 << 5,
        LinkKind::Default(_) => return None,
    })
}

/// Bit of FileAcct.
pub const FILE: u16 = 1;

/// Every bit with the module's name.
pub const NAMES: [(u16, &str); 6] = [
    (1, "FileAcct"),
    (1 << 1, "RadAcct"),
    (1 << 2, "SQLAcct"),
    (1 << 3, "StatusAcct"),
    (1 << 4, "SyslogAcct"),
    (1 << 5, "SpoolAcct"),
];

/// The name of a module that can be caught up, as the journal's own.
pub fn module_name(name: &str) -> Option<&'static str> {
    let caught_up = &NAMES[..3];
    caught_up.iter().map(|(_, known)| *known).find(|known| *known == name)
}

/// How often the log tells that a module still fails.
const TOLD_AGAIN: Duration = Duration::from_secs(300);

/// A module of the chain.
pub struct Slot {
    pub bit: u16,
    pub module: Arc<dyn Module>,
    /// Whether what it could not log is caught up.
    pub spools: bool,
    pub logged: AtomicU64,
    pub failed: AtomicU64,
    backlog: Mutex<Backlog>,
    pub changed: Condvar,
    /// Whether the last attempt failed. Changed with `state` locked.
    is_failing: AtomicBool,
    state: Mutex<State>,
}

/// What is told of it.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub last_error: Option<(DateTime<Utc>, String)>,
    told: Option<Instant>,
    /// Event that waits longest, and when it was received, in microseconds since 1970.
    pub oldest: Option<(u64, i64)>,
    /// The module seems to work again: what waits is to be tried at once.
    pub is_nudged: bool,
}

impl Slot {
    pub fn new(bit: u16, module: Arc<dyn Module>, spools: bool) -> Self {
        Slot {
            bit,
            module,
            spools,
            logged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            backlog: Mutex::default(),
            changed: Condvar::new(),
            is_failing: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the module fails at present and others wait for it already: the threads that catch up will hear when it works
    /// again.
    pub fn is_to_wait(&self) -> bool {
        self.spools && self.is_failing.load(Ordering::Relaxed) && self.backlog().count() > 0
    }

    /// Has the module log the event. A panic of a module is a failure of it.
    pub fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Result<(), String> {
        let logged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.module.log(event, attempt)));
        match logged {
            Ok(Outcome::Ok) => {
                self.logged.fetch_add(1, Ordering::Relaxed);
                self.note_success();
                Ok(())
            }
            Ok(Outcome::Fail(reason)) => Err(self.note_failure(reason)),
            Err(_) => Err(self.note_failure("internal error; please report it".to_owned())),
        }
    }

    fn note_success(&self) {
        if !self.is_failing.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        if self.is_failing.swap(false, Ordering::Relaxed) {
            state.is_nudged = true;
            tracing::warn!("{} logs again", self.module.name());
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Tells the first failure of a row, and now and then that it goes on: a dead server must not fill the log.
    fn note_failure(&self, reason: String) -> String {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        let is_told =
            self.is_failing.load(Ordering::Relaxed) && state.told.is_some_and(|told| told.elapsed() < TOLD_AGAIN);
        if !is_told {
            state.told = Some(Instant::now());
            match self.spools {
                true => tracing::error!("{} does not log; events wait for it: {reason}", self.module.name()),
                false => tracing::error!("{} does not log: {reason}", self.module.name()),
            }
        }
        self.is_failing.store(true, Ordering::Relaxed);
        state.last_error = Some((Utc::now(), reason.clone()));
        reason
    }

    /// Waits until something changes, at most so long.
    pub fn wait(&self, at_most: Duration) {
        let backlog = self.backlog();
        let _ = self.changed.wait_timeout(backlog, at_most);
    }
}
