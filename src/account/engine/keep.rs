//! What is done beside the events: writing notes, checkpoints, removing what nobody needs, saying how it stands.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::Core;
use crate::account::journal::{Body, Durability, Failed};

/// How long a note may stay in memory: a crash makes the events of this time be tried again.
const NOTES: Duration = Duration::from_millis(100);
const TELLING: Duration = Duration::from_secs(1);
const CHECKPOINTS: Duration = Duration::from_secs(5);
const ALARMS: Duration = Duration::from_secs(3600);

/// Segments that stay whatever was done with them: their keys are known after a restart.
const KEPT_FOR_KEYS: usize = 2;

/// What is remembered from one time to the next.
#[derive(Debug, Default)]
pub struct Keeper {
    /// Events before the first position have their outcome before the second one.
    sweeps: VecDeque<(u64, u64)>,
    /// Events before this position have their lines in the CDR file for sure.
    lines: u64,
    billed: u64,
    /// Where the CDR file ended at the last checkpoint.
    place: Vec<u8>,
    /// Segments with octets that are no records.
    damaged: BTreeSet<u64>,
    /// Where the journal ended at the last checkpoint.
    checked: u64,
    alarmed: Option<Instant>,
}

impl Keeper {
    pub fn new(damaged: BTreeSet<u64>, billed: u64) -> Self {
        Keeper {
            damaged,
            billed,
            ..Keeper::default()
        }
    }
}

/// Runs until the engine ends.
///
/// A checkpoint waits for every event that is under way, and one for a dead server takes seconds: it has a thread of its own,
/// so that nothing is synced late meanwhile, and nobody is told that accounting does not run.
pub fn run(core: &Arc<Core>) {
    thread::scope(|scope| {
        scope.spawn(|| check_now_and_then(core));
        write_now_and_then(core);
    });
}

fn check_now_and_then(core: &Core) {
    let mut checked = Instant::now();
    while !core.is_ending() {
        thread::sleep(NOTES);
        if checked.elapsed() >= CHECKPOINTS {
            checked = Instant::now();
            // What fails here is heard of by whoever submits the next event.
            let _ = core.check();
        }
    }
}

fn write_now_and_then(core: &Core) {
    let (mut synced, mut told) = (Instant::now(), Instant::now());
    while !core.is_ending() {
        thread::sleep(NOTES);
        // What fails here is heard of by whoever submits the next event.
        let _ = core.journal.flush().and_then(|()| core.journal.sync_old());
        if core.durability == Durability::Group && synced.elapsed() >= core.sync_interval {
            synced = Instant::now();
            let _ = core.journal.sync();
        }
        if told.elapsed() >= TELLING {
            told = Instant::now();
            core.tell();
        }
    }
}

impl Core {
    /// A checkpoint, if anything has happened since the last one; then removes what nobody needs.
    pub(super) fn check(&self) -> Result<(), Failed> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.billed = (self.billed)(self.journal.identity()).unwrap_or(0).max(keeper.billed);
        let (number, position) = self.journal.next();
        if position != keeper.checked {
            // Whatever was under way is through then: its line is written, its outcome noted.
            self.lanes.sweep();
            // Where the file ended the last time: what comes from this event on is behind that.
            let place = self.checkpoint_of_file()?;
            let checkpoint = Body::Checkpoint {
                position,
                billed: keeper.billed,
                file: std::mem::replace(&mut keeper.place, place),
            };
            let end = self.journal.note(number, &checkpoint)?;
            self.journal.flush()?;
            keeper.lines = position;
            keeper.sweeps.push_back((position, end));
            keeper.checked = self.journal.next().1;
        }
        self.remove_what_nobody_needs(&mut keeper)?;
        self.alarm_if_long(&mut keeper);
        Ok(())
    }

    /// The first checkpoint, before the first new event is logged: all that was there is in the file, and synced.
    pub(super) fn begin_checkpoints(&self) -> Result<(), Failed> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.place = self.checkpoint_of_file()?;
        let (number, position) = self.journal.next();
        let checkpoint = Body::Checkpoint {
            position,
            billed: keeper.billed,
            file: keeper.place.clone(),
        };
        self.journal.note(number, &checkpoint)?;
        self.journal.flush()
    }

    fn checkpoint_of_file(&self) -> Result<Vec<u8>, Failed> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        file.checkpoint()
            .map_err(|e| self.journal.give_up("sync", &file.path(), &e))
    }

    fn remove_what_nobody_needs(&self, keeper: &mut Keeper) -> Result<(), Failed> {
        let segments = self.journal.segments();
        let waits = self.slots.iter().filter_map(|slot| slot.backlog().from()).min();
        let spooled = self.spooled_up_to.load(Ordering::Acquire);
        for pair in segments.windows(2).take(segments.len().saturating_sub(KEPT_FOR_KEYS)) {
            let (start, end) = (pair[0].start, pair[1].start);
            let Some((_, outcomes)) = keeper.sweeps.iter().find(|(position, _)| *position >= end).copied() else {
                return Ok(());
            };
            let is_billed = spooled <= start || keeper.billed >= outcomes;
            if !is_billed || keeper.lines < end || waits.is_some_and(|from| from < end) {
                return Ok(());
            }
            let is_damaged = keeper.damaged.remove(&start);
            self.journal.remove_oldest(is_damaged)?;
            keeper.sweeps.retain(|(position, _)| *position >= end);
        }
        // Most are never asked for: one for each segment is enough.
        let first = segments.first().map_or(0, |segment| segment.start);
        let mut last = None;
        keeper.sweeps.retain(|(position, _)| {
            let segment = segments.partition_point(|segment| segment.start <= *position);
            *position >= first && last.replace(segment) != Some(segment)
        });
        Ok(())
    }

    fn alarm_if_long(&self, keeper: &mut Keeper) {
        let (_, octets) = self.journal.extent();
        let free = fs2::available_space(self.journal.directory()).unwrap_or(u64::MAX);
        let reason = if octets > self.alarm_octets {
            let size = bytesize::ByteSize(octets).display().iec();
            format!("the journal of calls has grown to {size}")
        } else if free < self.min_free {
            let size = bytesize::ByteSize(free).display().iec();
            format!("only {size} are free for the journal of calls")
        } else {
            keeper.alarmed = None;
            return;
        };
        if keeper.alarmed.is_some_and(|at| at.elapsed() < ALARMS) {
            return;
        }
        keeper.alarmed = Some(Instant::now());
        let mut waits: Vec<String> = self
            .slots
            .iter()
            .map(|slot| (slot.module.name(), slot.backlog().count()))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} events wait for {name}"))
            .collect();
        if self.spooled_up_to.load(Ordering::Acquire) > keeper.billed {
            waits.push("calls wait for the next billing document".to_owned());
        }
        let message = format!("{reason}: {}", waits.join(", "));
        tracing::error!("{message}");
        (self.alarm)(&message);
    }

    /// The last checkpoint: after an orderly end nothing is left to be found out.
    pub(super) fn keep_at_end(&self) -> Result<(), Failed> {
        self.check()?;
        self.journal.sync()?;
        self.has_ended.store(true, Ordering::Release);
        self.tell();
        Ok(())
    }
}
