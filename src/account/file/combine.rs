//! Many callers, one `write(2)`: whoever finds nobody writing writes for all who came meanwhile.
//!
//! A caller adds its line to the batch that is being filled. If nobody writes it takes the batch and does; otherwise it
//! waits until its batch is written, or until nobody writes. So a single caller waits for its own line only, and 64 callers
//! for at most two writes.

use std::{
    collections::HashMap,
    hint,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Looks at the counter before the caller gives the processor away, and then sleeps: a write takes about as long as a few
/// hundred looks, and putting a thread to sleep much longer.
const LOOKS: usize = 200;
const YIELDS: usize = 2;

/// The lines of those who wait, and who writes them.
pub(super) struct Combiner {
    state: Mutex<State>,
    /// One for the batch that is being written and one for that being filled: numbers that are even, and odd.
    done: [Condvar; 2],
    /// The batches that are written, or given up.
    finished: AtomicU64,
}

struct State {
    lines: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// The number of the batch that is being filled, from 1.
    filling: u64,
    writing: bool,
    sleeping: [usize; 2],
    /// Batches of which lines are missing, until all their callers know.
    failed: HashMap<u64, Failed>,
    /// Buffers of the last batch, to be used again.
    spare: (Vec<u8>, Vec<usize>),
}

struct Failed {
    /// Lines at the beginning that are in the file all the same.
    written: usize,
    reason: String,
    callers: usize,
}

/// Why lines are missing, and how many before them are not.
pub(super) struct Incomplete {
    pub written: usize,
    pub reason: String,
}

impl Combiner {
    pub(super) fn new() -> Self {
        Combiner {
            state: Mutex::new(State {
                lines: Vec::new(),
                ends: Vec::new(),
                filling: 1,
                writing: false,
                sleeping: [0; 2],
                failed: HashMap::new(),
                spare: (Vec::new(), Vec::new()),
            }),
            done: [Condvar::new(), Condvar::new()],
            finished: AtomicU64::new(0),
        }
    }

    /// Returns when the line, with its line end, is written by `write`, this caller's or another's.
    pub(super) fn write(
        &self,
        line: &[u8],
        write: impl FnOnce(&[u8], &[usize]) -> Result<(), Incomplete>,
    ) -> Result<(), String> {
        let mut state = self.state();
        let (batch, place) = (state.filling, state.ends.len());
        state.lines.extend_from_slice(line);
        let end = state.lines.len();
        state.ends.push(end);
        if state.writing {
            state = self.wait(state, batch);
        }
        if self.finished.load(Ordering::Acquire) >= batch {
            return state.outcome(batch, place);
        }
        // Nobody writes, and this batch is not written: it is the one that is being filled.
        let spare = std::mem::take(&mut state.spare);
        let lines = std::mem::replace(&mut state.lines, spare.0);
        let ends = std::mem::replace(&mut state.ends, spare.1);
        state.filling += 1;
        state.writing = true;
        drop(state);
        let mut turn = Turn {
            combiner: self,
            batch,
            buffers: (lines, ends),
            result: Err(Incomplete {
                written: 0,
                reason: "FileAcct broke off while it wrote".into(),
            }),
        };
        turn.result = write(&turn.buffers.0, &turn.buffers.1);
        drop(turn);
        if self.finished.load(Ordering::Acquire) >= batch {
            return self.state().outcome(batch, place);
        }
        Ok(())
    }

    /// Waits until the batch is finished or nobody writes.
    fn wait<'s>(&'s self, state: MutexGuard<'s, State>, batch: u64) -> MutexGuard<'s, State> {
        drop(state);
        // The batch before is the one that is being written.
        let awaited = || self.finished.load(Ordering::Acquire) + 1 >= batch;
        for _ in 0..LOOKS {
            if awaited() {
                break;
            }
            hint::spin_loop();
        }
        for _ in 0..YIELDS {
            if awaited() {
                break;
            }
            thread::yield_now();
        }
        let mut state = self.state();
        let own = (batch % 2) as usize;
        while state.writing && self.finished.load(Ordering::Acquire) < batch {
            state.sleeping[own] += 1;
            state = self.done[own].wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping[own] -= 1;
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn outcome(&mut self, batch: u64, place: usize) -> Result<(), String> {
        let Some(failed) = self.failed.get_mut(&batch) else {
            return Ok(());
        };
        let outcome = if place < failed.written {
            Ok(())
        } else {
            Err(failed.reason.clone())
        };
        failed.callers -= 1;
        if failed.callers == 0 {
            self.failed.remove(&batch);
        }
        outcome
    }
}

/// The right to write, given back in any case: also if writing panics, so that nobody waits for ever.
struct Turn<'c> {
    combiner: &'c Combiner,
    batch: u64,
    buffers: (Vec<u8>, Vec<usize>),
    result: Result<(), Incomplete>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        /// A buffer that one huge batch has made is not kept.
        const KEPT: usize = 1 << 20;
        let (mut lines, mut ends) = std::mem::take(&mut self.buffers);
        let callers = ends.len();
        lines.clear();
        ends.clear();
        let mut state = self.combiner.state();
        if lines.capacity() <= KEPT {
            state.spare = (lines, ends);
        }
        if let Err(Incomplete { written, reason }) = std::mem::replace(&mut self.result, Ok(())) {
            let failed = Failed {
                written,
                reason,
                callers,
            };
            state.failed.insert(self.batch, failed);
        }
        state.writing = false;
        self.combiner.finished.store(self.batch, Ordering::Release);
        let own = (self.batch % 2) as usize;
        let (these, next) = (state.sleeping[own], state.sleeping[1 - own]);
        drop(state);
        if these > 0 {
            self.combiner.done[own].notify_all();
        }
        if next > 0 {
            self.combiner.done[1 - own].notify_one();
        }
    }
}
