//! Catches up for one module: what waits is tried again until the module has it.
//!
//! A pass goes through the events that wait in their order, several calls at once, those of one call one after the other;
//! when one fails, the later ones of its call are left for the next pass. While nothing succeeds, events are tried one at a
//! time with growing pauses between, each of another call, so an event that the module will never take does not keep the
//! others waiting. The first success after that begins anew with the oldest event.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Core, slot::Slot};
use crate::account::journal::{Body, EventRecord, Failed, Item, Reader};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A pass begins anew no more often than this.
const BETWEEN_BEGINNINGS: Duration = Duration::from_secs(30);

/// Events that wait for another one of their call within a pass.
const MOST_PARKED: usize = 256;

/// Calls with a failure that a pass remembers; then it ends.
const MOST_FAILED: usize = 1 << 16;

/// Runs until the engine ends.
pub fn run(core: &Arc<Core>, index: usize) {
    let slot = &core.slots[index];
    let mut pace = Pace {
        is_alive: false,
        pause: FIRST_PAUSE,
        failures: 0,
        began_anew: None,
    };
    while !core.is_ending() {
        if slot.backlog().count() == 0 {
            slot.wait(Duration::from_millis(200));
            continue;
        }
        pause(core, slot, pace.pause);
        if core.is_ending() {
            return;
        }
        match Pass::new(core, slot, &mut pace).run() {
            Ok(()) => {}
            Err(Stop::Journal) => return,
            Err(Stop::Reading(e)) => tracing::error!("the journal cannot be read, {} waits: {e}", slot.module.name()),
        }
    }
}

/// How fast it may go.
struct Pace {
    /// The last attempt, or nearly the last, succeeded.
    is_alive: bool,
    pause: Duration,
    /// One after the other.
    failures: usize,
    began_anew: Option<Instant>,
}

enum Stop {
    /// It takes nothing any more: whoever submits the next event hears why.
    Journal,
    Reading(io::Error),
}

struct Task {
    number: u64,
    event: EventRecord,
}

struct Pass<'a> {
    core: &'a Core,
    slot: &'a Slot,
    pace: &'a mut Pace,
    /// Number from which on the pass goes on.
    from: u64,
    reader: Option<Reader>,
    /// Number of the last event that the reader gave.
    read: Option<u64>,
    failed: HashSet<u64>,
    busy: HashSet<u64>,
    parked: Vec<Task>,
}

/// Lane, and what came of it.
type Done = (u64, Result<Result<(), String>, Failed>);

impl<'a> Pass<'a> {
    fn new(core: &'a Core, slot: &'a Slot, pace: &'a mut Pace) -> Self {
        Pass {
            core,
            slot,
            pace,
            from: 0,
            reader: None,
            read: None,
            failed: HashSet::new(),
            busy: HashSet::new(),
            parked: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(), Stop> {
        let (core, slot) = (self.core, self.slot);
        let at_once = core.in_flight.max(1);
        let (give, take) = mpsc::sync_channel::<Task>(at_once);
        let (end, ended) = mpsc::channel::<Done>();
        let take = Mutex::new(take);
        thread::scope(|scope| {
            for _ in 0..at_once {
                let (end, take) = (end.clone(), &take);
                scope.spawn(move || {
                    loop {
                        let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(task) = next else { return };
                        let _lane = core.lanes.enter(task.event.lane);
                        let done = core.log_again(slot, task.number, &task.event);
                        let _ = end.send((task.event.lane, done));
                    }
                });
            }
            self.give_out(at_once, give, &ended)
        })
    }

    fn give_out(&mut self, at_once: usize, give: SyncSender<Task>, ended: &Receiver<Done>) -> Result<(), Stop> {
        loop {
            let limit = if self.pace.is_alive { at_once } else { 1 };
            let next = match self.busy.len() < limit && !self.core.is_ending() {
                true => self.next()?,
                false => None,
            };
            match next {
                Some(task) => {
                    self.busy.insert(task.event.lane);
                    let _ = give.send(task);
                }
                None if self.busy.is_empty() => return Ok(()),
                None => {
                    let Ok((lane, done)) = ended.recv() else { return Ok(()) };
                    self.busy.remove(&lane);
                    match done.map_err(|_| Stop::Journal)? {
                        Ok(()) => self.succeeded(),
                        Err(_) => self.failed(lane, at_once),
                    }
                    if self.failed.len() >= MOST_FAILED {
                        self.from = u64::MAX;
                        self.parked.clear();
                    }
                }
            }
        }
    }

    fn succeeded(&mut self) {
        let was_dead = !self.pace.is_alive && self.pace.failures > 0;
        self.pace.is_alive = true;
        self.pace.failures = 0;
        self.pace.pause = FIRST_PAUSE;
        let is_due = |at: &Instant| at.elapsed() >= BETWEEN_BEGINNINGS;
        if was_dead && !self.failed.is_empty() && self.pace.began_anew.as_ref().is_none_or(is_due) {
            self.pace.began_anew = Some(Instant::now());
            self.failed.clear();
            self.parked.clear();
            (self.from, self.reader, self.read) = (0, None, None);
        }
    }

    fn failed(&mut self, lane: u64, at_once: usize) {
        self.failed.insert(lane);
        self.parked.retain(|task| task.event.lane != lane);
        self.pace.failures += 1;
        if self.pace.is_alive && self.pace.failures < 2 * at_once {
            return;
        }
        self.pace.is_alive = false;
        if self.busy.is_empty() {
            pause(self.core, self.slot, self.pace.pause);
            self.pace.pause = (self.pace.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The next event whose call is not being tried, nor has failed in this pass.
    fn next(&mut self) -> Result<Option<Task>, Stop> {
        let free = self
            .parked
            .iter()
            .position(|task| !self.busy.contains(&task.event.lane));
        if let Some(free) = free {
            return Ok(Some(self.parked.remove(free)));
        }
        while self.parked.len() < MOST_PARKED {
            let Some(task) = self.read_next().map_err(Stop::Reading)? else {
                return Ok(None);
            };
            match task.event.lane {
                lane if self.failed.contains(&lane) => {}
                lane if self.busy.contains(&lane) => self.parked.push(task),
                _ => return Ok(Some(task)),
            }
        }
        Ok(None)
    }

    /// The next event that waits, as the journal has it.
    fn read_next(&mut self) -> io::Result<Option<Task>> {
        loop {
            let Some(first) = self.slot.backlog().first_from(self.from) else {
                return Ok(None);
            };
            let goes_on = self.read.is_none_or(|read| read < first.number);
            let mut reader = match self.reader.take() {
                Some(reader) if goes_on && reader.position() >= first.position => reader,
                _ => Reader::open(self.core.journal.directory(), first.position)?,
            };
            let mut found = None;
            while found.is_none()
                && let Some(item) = reader.next_item()?
            {
                if let Item::Record(record) = item
                    && let Body::Event(event) = record.body
                    && record.number >= first.number
                {
                    found = Some((record.number, event));
                }
            }
            self.from = first.number + 1;
            match found {
                Some((number, event)) if number == first.number => {
                    self.read = Some(number);
                    self.reader = Some(reader);
                    return Ok(Some(Task { number, event }));
                }
                // The reader saw less of the journal than there is now.
                None if self.read.is_some() => (self.from, self.read) = (first.number, None),
                // Somebody else has logged it meanwhile.
                _ if !self.slot.backlog().contains(first.number) => self.read = None,
                _ => {
                    self.read = None;
                    self.slot.backlog().forget(first.number);
                    tracing::error!(
                        "{} cannot be given event {}: it is in a damaged part of the journal",
                        self.slot.module.name(),
                        first.number
                    );
                }
            }
        }
    }
}

/// Waits so long, or until the module is seen to work again, or the engine ends.
fn pause(core: &Core, slot: &Slot, pause: Duration) {
    let until = Instant::now() + pause;
    while !core.is_ending() && Instant::now() < until {
        if std::mem::take(&mut slot.state().is_nudged) {
            return;
        }
        slot.wait(Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())));
    }
}

impl Core {
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire) || self.journal.failed().is_some()
    }
}
