//! The engine: events through the journal and the chain to an answer.
//!
//! [`Engine::submit`] takes the steps in the caller's own thread: enter the lane of the call, append to the journal, wait
//! until the disk has it (together with everybody else who waits), ask the modules, note what came of it, answer. So a
//! caller alone waits for one sync, and many share one. What a module could not log waits, as bits over the journal
//! ([`backlog`]), and threads of its own catch it up ([`catch_up`]); [`recover`] does that for what a crash has left open.
//!
//! An event whose key was seen lately is answered as it was then. The keys of the last segments survive a restart.

mod backlog;
mod catch_up;
mod keep;
mod key;
mod lane;
mod recover;
mod scan;
mod slot;
mod told;
mod waiting;

use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use chrono::Utc;

use super::{
    chain,
    event::{Event, EventKind, Events, Subject},
    journal::{self, Durability, Failed, Journal, Place},
    json,
    module::{Attempt, Module},
};
use crate::config::gatekeeper::{Link, LinkKind};
use backlog::{OfCall, Waiting};
use key::Names;
use lane::{Lane, Lanes};
use slot::Slot;

pub use recover::{CdrFile, Missing};
pub use slot::module_name;
pub use told::{ModuleState, Told, read as read_told};
pub use waiting::{Found, give_up, waiting};

/// What an engine is made of.
pub struct Setup {
    /// Where the journal lies.
    pub directory: PathBuf,
    pub durability: Durability,
    /// With [`Durability::Group`]: how often.
    pub sync_interval: Duration,
    pub segment_octets: u64,
    /// The gatekeeper's name, for events that do not say it.
    pub gatekeeper: String,
    /// `AcctUpdateInterval`; zero: no updates.
    pub update_interval: Duration,
    /// `SetCalledStationIdToDialedIP`
    pub called_is_dialed_ip: bool,
    pub links: Vec<Link>,
    /// The modules of the chain, each with whether it is caught up later.
    pub modules: Vec<(LinkKind, Arc<dyn Module>, bool)>,
    /// The CDR file, whose lines are looked for after a crash.
    pub file: Option<Arc<dyn CdrFile>>,
    /// Events that are caught up at once for one module.
    pub in_flight: usize,
    /// Octets of the journal from which on managers are alarmed.
    pub alarm_octets: u64,
    /// Free space below which they are, too.
    pub min_free: u64,
    /// Up to where the billing documents have the calls of the journal with this identity; asked now and then.
    pub billed: Box<dyn Fn(u64) -> Option<u64> + Send + Sync>,
    /// Takes what an operator must hear of, besides the log.
    pub alarm: Box<dyn Fn(&str) + Send + Sync>,
    /// Sees each new event once it is safe, before the chain.
    pub observe: Option<Observer>,
}

/// Sees events.
pub type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// Who sends an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A program, for which this is the gatekeeper: updates come as often as `AcctUpdateInterval` lets them.
    Caller,
    /// A gatekeeper that has applied its own interval.
    Gatekeeper,
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok,
    /// What the modules said that made it so.
    Fail(String),
}

/// Events go in at one end; see the module's head.
pub struct Engine {
    core: Arc<Core>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// What all threads share.
struct Core {
    journal: Journal,
    lanes: Lanes,
    slots: Vec<Slot>,
    links: Vec<Link>,
    gatekeeper: String,
    update_interval: Duration,
    called_is_dialed_ip: bool,
    durability: Durability,
    sync_interval: Duration,
    in_flight: usize,
    file: Option<Arc<dyn CdrFile>>,
    alarm_octets: u64,
    min_free: u64,
    billed: Box<dyn Fn(u64) -> Option<u64> + Send + Sync>,
    alarm: Box<dyn Fn(&str) + Send + Sync>,
    observe: Option<Observer>,
    /// Position of the last event that went to the billing documents, and one octet more.
    spooled_up_to: AtomicU64,
    accepted: AtomicU64,
    repeated: AtomicU64,
    is_ending: AtomicBool,
    has_ended: AtomicBool,
    keeper: Mutex<keep::Keeper>,
}

impl Engine {
    /// Brings the journal to where it was, sees to what a crash has left open, and begins to catch up.
    ///
    /// # Errors
    /// The journal cannot be read or written, or the CDR file cannot be compared with it.
    pub fn open(setup: Setup) -> Result<Self, Failed> {
        let (core, unfinished) = recover::open(setup)?;
        let core = Arc::new(core);
        recover::finish(&core, unfinished)?;
        let mut threads = Vec::new();
        for index in 0..core.slots.len() {
            if core.slots[index].spools {
                let core = Arc::clone(&core);
                threads.push(thread::spawn(move || catch_up::run(&core, index)));
            }
        }
        let keeping = Arc::clone(&core);
        threads.push(thread::spawn(move || keep::run(&keeping)));
        Ok(Engine {
            core,
            threads: Mutex::new(threads),
        })
    }

    /// Logs an event. Returns when the answer is certain; from then on the event cannot be lost.
    ///
    /// # Errors
    /// The journal does not take anything any more: nothing is known of this event, and the program should end.
    pub fn submit(&self, event: &Event, origin: Origin) -> Result<Answer, Failed> {
        self.core.submit(event, None, origin, &mut |_| {})
    }

    /// The same for an event that has its key already, or none. `is_safe` is called as soon as the event cannot be lost, and
    /// before any module is asked; it is told whether the event had come before.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_with(
        &self,
        event: &Event,
        key: Option<&str>,
        origin: Origin,
        is_safe: &mut dyn FnMut(bool),
    ) -> Result<Answer, Failed> {
        self.core.submit(event, key, origin, is_safe)
    }

    /// What must stay in order: events with the same number are to be submitted one after the other.
    pub fn lane(&self, event: &Event) -> u64 {
        key::names(event, &self.core.gatekeeper, Some("")).lane
    }

    /// Why nothing is taken any more, if so.
    pub fn failed(&self) -> Option<Failed> {
        self.core.journal.failed()
    }

    pub fn told(&self) -> Told {
        self.core.told()
    }

    /// Ends in order: everything is on the disk, and noted as such, when it returns.
    /// Nothing is to be submitted any more.
    pub fn close(&self) -> Result<(), Failed> {
        self.core.is_ending.store(true, Ordering::Release);
        for slot in &self.core.slots {
            slot.changed.notify_all();
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        self.core.keep_at_end()
    }
}

impl Core {
    fn submit(
        &self,
        event: &Event,
        key: Option<&str>,
        origin: Origin,
        is_safe: &mut dyn FnMut(bool),
    ) -> Result<Answer, Failed> {
        let event = self.called(event, origin);
        let event = event.as_ref();
        let Names { key, lane: call } = key::names(event, &self.gatekeeper, key);
        let hash = self.lanes.hash(&key);
        let mut lane = self.lanes.enter(call);
        if let Some(verdict) = lane.verdict(hash) {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            is_safe(true);
            return Ok(match verdict {
                true => Answer::Ok,
                false => Answer::Fail("this event failed before".to_owned()),
            });
        }
        if event.kind == EventKind::Update && origin == Origin::Caller && self.is_early(event, call, &mut lane) {
            is_safe(false);
            return Ok(Answer::Ok);
        }
        let received = Utc::now().timestamp_micros();
        let place = self
            .journal
            .event(received, call, &key, |out| json::write_json(event, out))?;
        self.journal.commit(place.end)?;
        self.accepted.fetch_add(1, Ordering::Relaxed);
        is_safe(false);
        if let Some(observe) = &self.observe {
            observe(event);
        }
        let attempt = Attempt {
            key: &key,
            again: false,
        };
        let answer = self.log(event, &attempt, place, call, origin, None)?;
        lane.remember(hash, answer == Answer::Ok);
        if event.kind == EventKind::Stop {
            lane.ended(call);
        }
        Ok(answer)
    }

    /// The event as the gatekeeper would log it that `SetCalledStationIdToDialedIP` is set for. One that is followed has
    /// done so itself.
    fn called<'e>(&self, event: &'e Event, origin: Origin) -> Cow<'e, Event> {
        if self.called_is_dialed_ip
            && origin == Origin::Caller
            && let Subject::Call(call) = &event.subject
            && call.dialed_number.address().is_some()
            && call.called_station_id != call.dialed_number
        {
            let mut changed = event.clone();
            if let Subject::Call(call) = &mut changed.subject {
                call.called_station_id = call.dialed_number.clone();
            }
            return Cow::Owned(changed);
        }
        Cow::Borrowed(event)
    }

    /// GnuGk's rule for updates; an interval of zero is one that never ends.
    fn is_early(&self, event: &Event, call: u64, lane: &mut Lane) -> bool {
        if self.update_interval.is_zero() {
            return true;
        }
        let created = match &event.subject {
            Subject::Call(of_call) => of_call.setup.as_ref().map(|setup| setup.seconds),
            _ => None,
        };
        let interval = i64::try_from(self.update_interval.as_secs()).unwrap_or(i64::MAX);
        lane.is_early(call, created, event.time.seconds, interval)
    }

    /// The chain for an event that is in the journal. The caller has its lane. `line_is_there`: whether the CDR file has
    /// its line already, where that was looked up.
    fn log(
        &self,
        event: &Event,
        attempt: &Attempt<'_>,
        place: Place,
        call: u64,
        origin: Origin,
        line_is_there: Option<bool>,
    ) -> Result<Answer, Failed> {
        let waiting = Waiting {
            number: place.number,
            position: place.position,
        };
        let mut outcome = journal::Outcome {
            event: place.position,
            lane: call,
            ..journal::Outcome::default()
        };
        let mut reasons: Vec<String> = Vec::new();
        let mut broken = None;
        let supported = |link: &Link| self.supported(link.kind);
        let verdict = chain::verdict(&self.links, supported, event.kind, |link| {
            let Some(bit) = slot::bit(link.kind) else {
                let accepts = link.kind == LinkKind::Default(true);
                if !accepts {
                    reasons.push("default=fail".to_owned());
                }
                return accepts;
            };
            if link.kind == LinkKind::SpoolAcct {
                outcome.logged |= bit;
                return true;
            }
            let Some(slot) = self.slots.iter().find(|slot| slot.bit == bit) else {
                return true;
            };
            if link.kind == LinkKind::FileAcct && line_is_there == Some(true) {
                outcome.logged |= bit;
                return true;
            }
            // Nobody hears the verdict of what a gatekeeper has done already, and while one event waits for a dead server the
            // gatekeeper's next ones would, too, until it cuts the connection.
            if origin == Origin::Gatekeeper && slot.is_to_wait() {
                reasons.push(format!("{}: it does not log at present", slot.module.name()));
                outcome.failed |= bit;
                if !slot.module.can_never_log(event.kind) {
                    outcome.waits |= bit;
                }
                return false;
            }
            match self.ask(slot, event, attempt, call) {
                Ok(Ok(())) => {
                    outcome.logged |= bit;
                    true
                }
                Ok(Err(reason)) => {
                    reasons.push(match reason.starts_with(slot.module.name()) {
                        true => reason,
                        false => format!("{}: {reason}", slot.module.name()),
                    });
                    outcome.failed |= bit;
                    if slot.spools && !slot.module.can_never_log(event.kind) {
                        outcome.waits |= bit;
                    }
                    false
                }
                Err(failed) => {
                    broken = Some(failed);
                    false
                }
            }
        });
        if let Some(failed) = broken {
            return Err(failed);
        }
        outcome.verdict = verdict.ok;
        self.note(outcome, waiting)?;
        Ok(match verdict.ok {
            true => Answer::Ok,
            false => Answer::Fail(reasons.join("; ")),
        })
    }

    /// Notes an outcome, and lets wait what waits.
    fn note(&self, outcome: journal::Outcome, waiting: Waiting) -> Result<(), Failed> {
        for slot in self.slots.iter().filter(|slot| outcome.waits & slot.bit != 0) {
            let mut backlog = slot.backlog();
            backlog.add(waiting, outcome.lane);
            if backlog.count() == 1 {
                drop(backlog);
                slot.changed.notify_all();
            }
        }
        if outcome.logged & SPOOLED != 0 {
            self.spooled_up_to.fetch_max(waiting.position + 1, Ordering::AcqRel);
        }
        self.journal
            .note(waiting.number, &journal::Body::Outcome(outcome))
            .map(drop)
    }

    fn supported(&self, kind: LinkKind) -> Events {
        match kind {
            LinkKind::Default(_) => Events::ALL,
            LinkKind::SpoolAcct => [EventKind::Stop].into_iter().collect(),
            kind => slot::bit(kind)
                .and_then(|bit| self.slots.iter().find(|slot| slot.bit == bit))
                .map_or(Events::NONE, |slot| slot.module.supported()),
        }
    }

    /// Asks one module. Earlier events of the call that wait for it go first; if they still cannot be logged, or are
    /// too many to be known here, this one waits behind them.
    fn ask(&self, slot: &Slot, event: &Event, attempt: &Attempt<'_>, call: u64) -> Result<Result<(), String>, Failed> {
        if slot.spools {
            let earlier = slot.backlog().of_call(call);
            let is_first = matches!(event.kind, EventKind::Start | EventKind::On | EventKind::Reject);
            match earlier {
                OfCall::None => {}
                OfCall::These(waiting) => {
                    for waiting in waiting {
                        if let Err(reason) = self.log_waiting(slot, waiting)? {
                            return Ok(Err(format!("an earlier event of the call waits: {reason}")));
                        }
                    }
                }
                OfCall::Perhaps if is_first => {}
                OfCall::Perhaps => return Ok(Err("earlier events wait".to_owned())),
            }
        }
        Ok(slot.log(event, attempt))
    }

    /// Tries an event that waits again. The caller has the lane of its call.
    fn log_waiting(&self, slot: &Slot, waiting: Waiting) -> Result<Result<(), String>, Failed> {
        let found = journal::Reader::open(self.journal.directory(), waiting.position)
            .and_then(|mut reader| reader.record_at(waiting.position));
        match found {
            Ok(Some(journal::Record {
                body: journal::Body::Event(event),
                number,
                ..
            })) if number == waiting.number => self.log_again(slot, waiting.number, &event),
            Ok(_) => Ok(Err("it is not in the journal any more".to_owned())),
            Err(e) => Ok(Err(format!("the journal cannot be read: {e}"))),
        }
    }

    /// The same with what the journal says of it.
    fn log_again(&self, slot: &Slot, number: u64, record: &journal::EventRecord) -> Result<Result<(), String>, Failed> {
        if !slot.backlog().contains(number) {
            return Ok(Ok(()));
        }
        let event = match json::from_journal(&record.json) {
            Ok(event) => event,
            Err(reason) => return Ok(Err(format!("the journal's event {number} cannot be read: {reason}"))),
        };
        let attempt = Attempt {
            key: &record.key,
            again: true,
        };
        if let Err(reason) = slot.log(&event, &attempt) {
            return Ok(Err(reason));
        }
        slot.backlog().remove(number, record.lane);
        let settled = journal::Body::Settled {
            lane: record.lane,
            module: slot.bit,
        };
        self.journal.note(number, &settled)?;
        Ok(Ok(()))
    }
}

/// Bit of SpoolAcct.
pub const SPOOLED: u16 = 1 << 5;

#[cfg(test)]
mod tests;
