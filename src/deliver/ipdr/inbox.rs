//! How other threads reach the exporter's one.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use super::Encoding;

/// What wakes the exporter. It is made before the exporter, and each [`Handle`] from it.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

/// For a thread that makes documents, or ends the exporter.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bell: OwnedFd,
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Sessions whose store has something new, by index.
    pub changed: Vec<usize>,
    pub stop: bool,
    /// How the next document of each session is to be encoded.
    encodings: Vec<Encoding>,
}

impl Inbox {
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> std::io::Result<Inbox> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let letters = Mutex::default();
        Ok(Inbox {
            shared: Arc::new(Shared { bell, letters }),
        })
    }

    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Readable when something has been said.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// What was said since the last time.
    pub(super) fn take(&self) -> (Vec<usize>, bool) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.shared.bell, &mut count);
        let mut letters = self.shared.letters();
        (std::mem::take(&mut letters.changed), letters.stop)
    }

    pub(super) fn set_encoding(&self, session: usize, encoding: Encoding) {
        let mut letters = self.shared.letters();
        match letters.encodings.get_mut(session) {
            Some(place) => *place = encoding,
            None => letters.encodings.push(encoding),
        }
    }
}

impl Handle {
    /// The store of this session has changed: a document was sealed, extended or completed.
    pub fn changed(&self, session: usize) {
        let mut letters = self.shared.letters();
        if !letters.changed.contains(&session) {
            letters.changed.push(session);
        }
        drop(letters);
        self.shared.ring();
    }

    /// Ends the exporter in an orderly way; [`super::Exporter::run`] returns soon after.
    pub fn stop(&self) {
        self.shared.letters().stop = true;
        self.shared.ring();
    }

    /// How the next document of this session is to be encoded. [`None`] for a session that there is not, or before the
    /// exporter was made.
    pub fn encoding(&self, session: usize) -> Option<Encoding> {
        self.shared.letters().encodings.get(session).cloned()
    }
}

impl Shared {
    fn ring(&self) {
        // A bell that cannot count further has been rung.
        let rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        debug_assert!(matches!(rung, Ok(_) | Err(Errno::AGAIN)), "{rung:?}");
    }

    // Each change is one assignment: the letters are whole at any time.
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
