//! `billdrop stream`: streaming mode. At each interval a document is captured, sealed and sent to a collector.
//!
//! A document is whole on the disk and known to the ledger before the first octet of it leaves: what a failed source had
//! given can be taken back until then, and what was begun at a collector can be sent again, the same octets under the
//! same docId, whatever happens to this process. A collector takes a document whole or not at all ([`queue`]).

mod clock;
mod queue;

use std::{sync::Arc, thread, time::Duration};

use chrono::{DateTime, Utc};

use super::{capture::tell_at_once, choose::all, counted, print, push, setting::Setting, turn::Turn};
use crate::{
    capture::Source,
    cli,
    config::Stream,
    exit::{Error, Exit, Result},
    log::Logs,
    spool::{Lock, Locked, Spool},
};
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
}

/// What one round came to.
struct Round {
    drained: Drained,
    /// A document was captured, whole or not.
    captured: Result<()>,
}

impl Streaming<'_> {
    fn once(&self) -> Result<()> {
        let round = self.round(true)?;
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
        let mut retry = None;
        let mut wait = FIRST_RETRY;
        tracing::info!("the next document is due at {}", super::turn::shown(due));
        loop {
            let wakes = retry.map_or(due, |retry: DateTime<Utc>| retry.min(due));
            self.sleep_until(wakes);
            let now = Utc::now();
            let is_due = now >= due;
            let is_complete = match self.round(is_due) {
                Ok(round) => {
                    if let Err(e) = self.push(round.captured) {
                        said(&e);
                    }
                    tracing::info!("{}", round.drained.line());
                    round.drained.is_complete()
                }
                // Nothing is lost by it, and it may be over at the next interval.
                Err(e) => {
                    said(&e);
                    false
                }
            };
            if is_due {
                let missed = clock::missed(self.stream, due, Utc::now());
                if missed > 0 {
                    self.skip(missed);
                }
                due = clock::next(self.stream, Utc::now());
                wait = FIRST_RETRY;
            }
            retry = match is_complete {
                true => None,
                false => {
                    let at = Utc::now() + wait;
                    wait = (wait * 2).min(LONGEST_RETRY);
                    Some(at)
                }
            };
        }
    }

    /// Under the lock: captures if `captures`, then sends what waits.
    fn round(&self, captures: bool) -> Result<Round> {
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
        let round = self.round_locked(captures, &locked, &logs);
        if let Err(e) = &round
            && !e.is_already_told()
        {
            logs.error(e.message());
        }
        round
    }

    fn round_locked(&self, captures: bool, locked: &Locked<'_>, logs: &Logs) -> Result<Round> {
        let begun = Turn::begin(self.setting, self.sources, self.spool, locked, logs)
            .and_then(|mut turn| turn.recover().map(|waiting| (turn, waiting)));
        let (mut turn, waiting) = begun.inspect_err(|e| tell_at_once(self.setting, e))?;
        push::know(self.setting, turn.ledger_mut())?;
        let captured = match captures {
            true => turn.capture(),
            false => Ok(()),
        };
        if let Err(e) = &captured
            && !e.is_already_told()
        {
            logs.error(e.message());
        }
        let drained = Queue::new(self.setting, self.stream, self.spool, turn.ledger_mut()).drain(captures)?;
        if !drained.is_complete() {
            logs.warning(&drained.line());
        }
        // Takes what was sent out of the directory.
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
        let noted = || -> Result<()> {
            let Some(locked) = self.lock.try_hold()? else {
                return Ok(());
            };
            let logs = Logs::open(self.setting.log_settings());
            let mut turn = Turn::begin(self.setting, self.sources, self.spool, &locked, &logs)?;
            if let Some(last) = turn.ledger_mut().last()? {
                for _ in 0..missed {
                    turn.ledger_mut().skip(Utc::now(), &last.name)?;
                }
            }
            Ok(())
        };
        if let Err(e) = noted() {
            tracing::warn!("this could not be noted: {e}");
        }
    }

    fn sleep_until(&self, at: DateTime<Utc>) {
        while let Ok(left) = (at - Utc::now()).to_std()
            && !left.is_zero()
        {
            thread::sleep(left.min(NAP));
        }
    }
}

fn said(e: &Error) {
    if !e.is_already_told() {
        tracing::error!("{e}");
    }
}
