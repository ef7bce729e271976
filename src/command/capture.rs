//! `billdrop capture`: file mode. Takes the lock, or waits for it; the rest is one [`Turn`].

use std::{
    cell::Cell,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;

use super::{choose::chosen, deliver, preview, push, setting::Setting, turn::Turn};
use crate::{
    capture::Source,
    cli,
    exit::{Error, Exit, Result},
    ledger::Ledger,
    log::Logs,
    spool::{Lock, Locked, Spool, Watch},
};

pub fn run(cli: &cli::Cli, args: &cli::Capture) -> Result<()> {
    let mut setting = Setting::load_with_devices(cli)?;
    if args.dry_run || args.stdout {
        // Nothing is changed, not at the sources either.
        for source in &mut setting.config.sources {
            (source.release_log, source.write_community) = (false, None);
        }
    }
    let sources = chosen(&setting, args)?;
    if args.dry_run {
        return preview::dry_run(&setting, &sources);
    }
    if args.stdout {
        return preview::to_stdout(&setting, &sources);
    }
    if setting.config.stream.is_some() {
        return Err(Error::new(
            Exit::Configuration,
            "[stream] is configured: documents are streamed, not offered in a spool",
        )
        .next("Run billdrop stream --once; or use a configuration with another [state] directory for file mode."));
    }
    let has_pushed = Cell::new(false);
    let captured = file_mode(&setting, &sources, args, &has_pushed);
    match has_pushed.get() {
        true => captured,
        false => push::after_capture(&setting, captured),
    }
}

fn file_mode(
    setting: &Setting,
    sources: &[Arc<dyn Source>],
    args: &cli::Capture,
    has_pushed: &Cell<bool>,
) -> Result<()> {
    let tell = |e: &Error| tell_at_once(setting, e);
    if let Some(drop_box) = &setting.drop_box {
        drop_box.prepare(&setting.config).inspect_err(tell)?;
    }
    let spool = Spool::prepare(&setting.config).inspect_err(tell)?;
    let lock = Lock::open(&spool.state).inspect_err(tell)?;
    let run = Run {
        setting,
        sources,
        spool: &spool,
        has_pushed,
    };
    match args.wait {
        None => run.once(&lock),
        Some(limit) => run.wait(&lock, limit.map(|limit| Instant::now() + limit)),
    }
}

/// A capture that waits for its destinations brings documents there no more often than this: it is woken by each lock that
/// is let go, its own too.
const BETWEEN_PUSHES: Duration = Duration::from_secs(600);

/// What one attempt came to.
enum Attempt {
    Done,
    /// Why not, in one line.
    Blocked(String),
}

impl Attempt {
    fn or_blocked(self) -> Result<()> {
        match self {
            Attempt::Done => Ok(()),
            Attempt::Blocked(why) => Err(Error::new(Exit::Blocked, why)),
        }
    }
}

struct Run<'a> {
    setting: &'a Setting,
    sources: &'a [Arc<dyn Source>],
    spool: &'a Spool,
    /// Whether everything that there is has been brought to destinations.
    has_pushed: &'a Cell<bool>,
}

impl Run<'_> {
    fn once(&self, lock: &Lock) -> Result<()> {
        if push::can_free_the_spool(self.setting) {
            match self.attempt(lock, true)? {
                Attempt::Done => return Ok(()),
                Attempt::Blocked(why) => self.make_way(&why),
            }
        }
        self.attempt(lock, false)?.or_blocked()
    }

    /// What waits may leave the spool when it is brought to destinations.
    fn make_way(&self, why: &str) {
        tracing::info!("bringing documents to destinations first: {why}");
        self.has_pushed.set(true);
        if let Err(e) = push::everything(self.setting) {
            tracing::error!("nothing was brought to the destinations: {e}");
        }
    }

    /// Attempts again whenever a document leaves the spool or the lock is let go. A refusal that ends in a capture is
    /// no skipped capture, so only the last one is counted.
    fn wait(&self, lock: &Lock, deadline: Option<Instant>) -> Result<()> {
        let broken = |e: io::Error| Error::file("watch", &self.spool.directory, &e);
        let mut watch = Watch::new(self.spool).map_err(broken)?;
        let mut made_way: Option<Instant> = None;
        loop {
            match self.attempt(lock, true)? {
                Attempt::Done => return Ok(()),
                Attempt::Blocked(why)
                    if push::can_free_the_spool(self.setting)
                        && made_way.is_none_or(|at| at.elapsed() >= BETWEEN_PUSHES) =>
                {
                    self.make_way(&why);
                    made_way = Some(Instant::now());
                }
                Attempt::Blocked(why) => tracing::info!("waiting: {why}"),
            }
            if !watch.wait(deadline).map_err(broken)? {
                return self.attempt(lock, false)?.or_blocked();
            }
        }
    }

    fn attempt(&self, lock: &Lock, patient: bool) -> Result<Attempt> {
        let Some(locked) = lock.try_hold()? else {
            return self.overtaken(lock);
        };
        let logs = Logs::open(self.setting.log_settings());
        self.turn(&locked, &logs, patient).inspect_err(|e| {
            if !e.is_already_told() {
                logs.error(e.message());
            }
        })
    }

    fn turn(&self, locked: &Locked<'_>, logs: &Logs, patient: bool) -> Result<Attempt> {
        let begun = Turn::begin(self.setting, self.sources, self.spool, locked, logs)
            .and_then(|mut turn| turn.recover().map(|waiting| (turn, waiting)));
        let (mut turn, waiting) = begun.inspect_err(|e| tell_at_once(self.setting, e))?;
        let Some(waiting) = waiting else {
            self.has_pushed.set(false);
            let captured = turn.capture();
            turn.tidy();
            return captured.map(|()| Attempt::Done);
        };
        // Blocked it is, whatever the ledger can still take: a full disk must not keep the alarm back.
        let noted = if patient { Ok(()) } else { turn.skip(&waiting) };
        if let Err(e) = noted.and_then(|()| turn.alarm(&waiting)) {
            tracing::error!("{e}");
            tell_at_once(self.setting, &e);
        }
        turn.deliver();
        turn.tidy();
        Ok(Attempt::Blocked(turn.blocked_because(&waiting)))
    }

    /// Another capture has the lock. One that has had it for as long as a pickup may take hangs.
    fn overtaken(&self, lock: &Lock) -> Result<Attempt> {
        let holder = lock
            .holder()
            .map_or("another capture".to_owned(), |pid| format!("process {pid}"));
        let limit = self.setting.config.spool.alarm_after.0;
        match lock.held_for().filter(|age| *age >= limit) {
            None => Ok(Attempt::Blocked(format!("{holder} is capturing; try again later"))),
            Some(age) => {
                let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
                let error = Error::new(Exit::Io, format!("{holder} has been capturing for {age}"))
                    .next("See what it waits for, and end it: nothing is lost by that.");
                tell_at_once(self.setting, &error);
                Err(error)
            }
        }
    }
}

/// Without a ledger that works there is no outbox: the managers hear at once, or not at all.
pub fn tell_at_once(setting: &Setting, error: &Error) {
    if matches!(error.exit(), Exit::CannotCreate | Exit::Io | Exit::Denied) {
        let now = Utc::now();
        let name = setting.naming().name(now, None).to_string();
        let ledger = Ledger::open_existing(&setting.config.state_directory()).ok();
        deliver::at_once(ledger.as_ref(), setting, &[setting.failure(error, &name, now)]);
    }
}
