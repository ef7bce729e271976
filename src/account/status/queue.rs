//! What has been read and not been taken yet: the reader of the port goes on while modules or a disk are slow.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Passes on in order, up to a number of octets.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
    limit: usize,
}

struct Inner<T> {
    waiting: VecDeque<(T, usize)>,
    octets: usize,
    closed: bool,
}

/// What came of [`Queue::offer`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered<T> {
    Taken,
    /// No room came up in time. The item is given back.
    Full(T),
    /// Nobody will take it any more.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Self {
        Queue {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                octets: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            limit,
        }
    }

    /// Waits for room, `patience` at most. An empty queue takes anything.
    pub(super) fn offer(&self, item: T, octets: usize, patience: Duration) -> Offered<T> {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        while !inner.closed && inner.octets > 0 && inner.octets.saturating_add(octets) > self.limit {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Offered::Full(item);
            }
            inner = self
                .changed
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if inner.closed {
            return Offered::Closed;
        }
        inner.octets = inner.octets.saturating_add(octets);
        inner.waiting.push_back((item, octets));
        self.changed.notify_all();
        Offered::Taken
    }

    /// The next one; [`None`] when none came within `patience`, or when the queue is closed and empty.
    pub(super) fn take(&self, patience: Duration) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        loop {
            if let Some((item, octets)) = inner.waiting.pop_front() {
                inner.octets -= octets;
                self.changed.notify_all();
                return Some(item);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if inner.closed || left.is_zero() {
                return None;
            }
            inner = self
                .changed
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Nothing is added any more; what is there can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        let inner = self.lock();
        inner.closed && inner.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    // Nothing under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
