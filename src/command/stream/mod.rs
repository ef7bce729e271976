//! `billdrop stream`: streaming mode. At each interval a document is captured, sealed and sent to a collector.
//!
//! A document is whole on the disk and known to the ledger before the first octet of it leaves: what a failed source had
//! given can be taken back until then, and what was begun at a collector can be sent again, the same octets under the
//! same docId, whatever happens to this process. A collector takes a document whole or not at all ([`queue`]).

mod clock;
mod queue;

use std::{
    cell::Cell,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{capture::tell_at_once, choose::all, counted, print, push, setting::Setting, turn::Turn};
use crate::{
    capture::Source,
    cli,
    config::Stream,
    exit::{Error, Exit, Result},
    ledger::Ledger,
    log::Logs,
    spool::{Lock, Locked, Spool},
};
pub(super) use queue::collector;
use queue::{Drained, Queue};

/// What waits is tried again after this long, then after twice as long, up to the longest; a new document tries at once.
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(900);

/// The clock may be set meanwhile: no sleep is longer than this.
const NAP: Duration = Duration::from_secs(60);

pub fn run(cli: &cli::Cli, args: &cli::Stream) -> Result<()> {
    let setting = Setting::load_with_devices(cli)?;
    let Some(stream) = setting.config.stream.clone() else {
        return Err(Error::new(Exit::Configuration, "no collector is configured")
            .next("A table [stream] in billdrop.toml names one."));
    };
    let sources = all(&setting)?;
    let spool = Spool::prepare(&setting.config).inspect_err(|e| tell_at_once(&setting, e))?;
    let lock = Lock::open(&spool.state).inspect_err(|e| tell_at_once(&setting, e))?;
    let streaming = Streaming {
        setting: &setting,
        stream: &stream,
        sources: &sources,
        spool: &spool,
        lock: &lock,
        skipped: Cell::new(0),
    };
    match args.once {
        true => streaming.once(),
        false => streaming.forever(),
    }
}

struct Streaming<'a> {
    setting: &'a Setting,
    stream: &'a Stream,
    sources: &'a [Arc<dyn Source>],
    spool: &'a Spool,
    lock: &'a Lock,
    /// Intervals that were skipped, and that the ledger has not heard of yet.
    skipped: Cell<u32>,
}

/// What one round came to.
struct Round {
    drained: Drained,
    /// A document was captured, whole or not.
    captured: Result<()>,
}

impl Streaming<'_> {
    fn once(&self) -> Result<()> {
        let round = self.round(true, None)?;
        let line = round.drained.line();
        print(|out| writeln!(out, "{line}"))?;
        self.push(round.captured)?;
        match round.drained.is_complete() {
            true => Ok(()),
            false => Err(Error::already_told(Exit::Unavailable)),
        }
    }

    /// One document each time that one is due, until the process is ended, which is safe at any moment.
    fn forever(&self) -> Result<()> {
        let mut due = clock::next(self.stream, Utc::now());
        // What an earlier run left does not wait until then.
        let mut retry = Some(Instant::now());
        let mut wait = FIRST_RETRY;
        let mut is_first = true;
        tracing::info!("the next document is due at {}", super::turn::shown(due));
        loop {
            let is_due = self.sleep(&mut due, retry);
            let (began, clock) = (Utc::now(), Instant::now());
            let until = clock::next(self.stream, began);
            let slept = clock::missed(self.stream, due, began);
            if is_due && slept > 0 {
                let many = counted(slept.into(), "interval");
                tracing::warn!(
                    "{many} passed at once: this host slept, or its clock was set; the next document covers that time"
                );
            }
            let mut is_paused = false;
            let is_complete = match self.round(is_due, Some(until)) {
                Ok(round) => {
                    if let Err(e) = self.push(round.captured) {
                        said(&e);
                    }
                    tracing::info!("{}", round.drained.line());
                    is_paused = round.drained.paused;
                    round.drained.is_complete()
                }
                // It will not be another one in time.
                Err(e) if is_first && e.exit() == Exit::Configuration => return Err(e),
                // Nothing is lost by it, and it may be over at the next interval.
                Err(e) => {
                    said(&e);
                    if is_due && e.exit() == Exit::Blocked {
                        self.skipped.set(self.skipped.get().saturating_add(1));
                    }
                    false
                }
            };
            is_first = false;
            if is_due {
                wait = FIRST_RETRY;
            }
            // By a clock that nobody sets.
            let passed = TimeDelta::from_std(clock.elapsed()).unwrap_or_default();
            let missed = clock::missed(self.stream, began, began + passed);
            // What was only sent meanwhile does not cost the last of them, which is made now.
            let is_due_now = missed > 0 && (is_paused || !is_due);
            let skipped = missed - u32::from(is_due_now);
            if skipped > 0 {
                self.skip(skipped);
            }
            due = match is_due_now {
                true => Utc::now(),
                false => clock::next(self.stream, Utc::now()),
            };
            retry = match is_complete {
                true => None,
                false => {
                    let at = Instant::now() + wait;
                    wait = (wait * 2).min(LONGEST_RETRY);
                    Some(at)
                }
            };
        }
    }

    /// Under the lock: captures if `captures`, then sends what waits.
    fn round(&self, captures: bool, until: Option<DateTime<Utc>>) -> Result<Round> {
        let Some(locked) = self.lock.try_hold()? else {
            let holder = self
                .lock
                .holder()
                .map_or("another billdrop".to_owned(), |pid| format!("process {pid}"));
            return Err(Error::new(
                Exit::Blocked,
                format!("{holder} is at work; try again later"),
            ));
        };
        let logs = Logs::open(self.setting.log_settings());
        let round = self.round_locked(captures, until, &locked, &logs);
        if let Err(e) = &round
            && !e.is_already_told()
        {
            logs.error(e.message());
        }
        round
    }

    fn round_locked(
        &self,
        captures: bool,
        until: Option<DateTime<Utc>>,
        locked: &Locked<'_>,
        logs: &Logs,
    ) -> Result<Round> {
        let begun = Turn::begin(self.setting, self.sources, self.spool, locked, logs)
            .and_then(|mut turn| turn.recover().map(|waiting| (turn, waiting)));
        let (mut turn, waiting) = begun.inspect_err(|e| tell_at_once(self.setting, e))?;
        push::know(self.setting, turn.ledger_mut())?;
        self.note_skipped(turn.ledger_mut())?;
        let captured = match captures {
            true => turn.capture(),
            false => Ok(()),
        };
        if let Err(e) = &captured
            && !e.is_already_told()
        {
            logs.error(e.message());
        }
        let drained = Queue::new(self.setting, self.stream, self.spool, turn.ledger_mut()).drain(captures, until)?;
        if !drained.is_complete() {
            logs.warning(&drained.line());
        }
        // Takes what was sent out of the directory, at the time that it is by now.
        turn.go_on();
        let still = turn.recover()?;
        // One of this very round is not late yet.
        if let Some(waiting) = still.filter(|still| waiting.is_some_and(|before| before.sequence == still.sequence)) {
            turn.alarm(&waiting)?;
        }
        turn.deliver();
        turn.tidy();
        Ok(Round { drained, captured })
    }

    /// Copies for [[push]], outside of the lock.
    fn push(&self, captured: Result<()>) -> Result<()> {
        match self.setting.config.destinations.is_empty() {
            true => captured,
            false => push::after_capture(self.setting, captured),
        }
    }

    /// Intervals that fell due while one was still at work are counted: the next document tells.
    fn skip(&self, missed: u32) {
        let many = counted(missed.into(), "interval");
        tracing::warn!(
            "{many} fell due while the document before was still being sent; the next document covers that time"
        );
        self.skipped.set(self.skipped.get().saturating_add(missed));
        let noted = || -> Result<()> {
            // Who has the lock now has let it go by the next round.
            let Some(locked) = self.lock.try_hold()? else {
                return Ok(());
            };
            let logs = Logs::open(self.setting.log_settings());
            let mut turn = Turn::begin(self.setting, self.sources, self.spool, &locked, &logs)?;
            self.note_skipped(turn.ledger_mut())
        };
        if let Err(e) = noted() {
            tracing::warn!("this could not be noted yet: {e}");
        }
    }

    fn note_skipped(&self, ledger: &mut Ledger) -> Result<()> {
        while self.skipped.get() > 0 {
            let Some(last) = ledger.last()? else { return Ok(()) };
            ledger.skip(Utc::now(), &last.name)?;
            self.skipped.set(self.skipped.get() - 1);
        }
        Ok(())
    }

    /// Until a document is due, which is said, or it is time for a retry. Set back, the clock makes the next one due sooner
    /// than it was: else nothing would be captured for as long as it was set back.
    fn sleep(&self, due: &mut DateTime<Utc>, retry: Option<Instant>) -> bool {
        loop {
            let now = Utc::now();
            *due = clock::sooner(self.stream, *due, now);
            let Some(left) = (*due - now).to_std().ok().filter(|left| !left.is_zero()) else {
                return true;
            };
            let left = match retry.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(retry) if retry.is_zero() => return false,
                Some(retry) => left.min(retry),
                None => left,
            };
            thread::sleep(left.min(NAP));
        }
    }
}

fn said(e: &Error) {
    if !e.is_already_told() {
        tracing::error!("{e}");
    }
}
