//! `billdrop capture`: file mode. Takes the lock, or waits for it; the rest is one [`Turn`].

use std::{io, time::Instant};

use chrono::Utc;

use super::{deliver, preview, setting::Setting, turn::Turn};
use crate::{
    capture::{self, Source},
    cli,
    exit::{Error, Exit, Result},
    spool::{Lock, Spool, Watch},
};

pub fn run(cli: &cli::Cli, args: &cli::Capture) -> Result<()> {
    let setting = Setting::load(cli)?;
    let sources = chosen(&setting, &args.source)?;
    if args.dry_run {
        return preview::dry_run(&setting, &sources);
    }
    if args.stdout {
        return preview::to_stdout(&setting, &sources);
    }
    let spool = Spool::prepare(&setting.config)?;
    let lock = Lock::open(&spool.state)?;
    let run = Run {
        setting: &setting,
        sources: &sources,
        spool: &spool,
    };
    match args.wait {
        None => run.attempt(&lock, false)?.or_blocked(),
        Some(limit) => run.wait(&lock, limit.map(|limit| Instant::now() + limit)),
    }
}

/// The configured sources, or those of them that `--source` names.
fn chosen(setting: &Setting, names: &[String]) -> Result<Vec<Box<dyn Source>>> {
    let configured = setting.config.sources();
    if let Some(unknown) = names.iter().find(|name| !configured.iter().any(|s| s.name() == *name)) {
        let known: Vec<&str> = configured.iter().map(|s| s.name()).collect();
        return Err(Error::new(
            Exit::Usage,
            format!("there is no source {unknown:?}; configured: {}", known.join(", ")),
        ));
    }
    configured
        .iter()
        .filter(|source| names.is_empty() || names.iter().any(|name| name == source.name()))
        .map(|source| capture::open(source).map_err(|e| Error::new(Exit::Configuration, e)))
        .collect()
}

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
    sources: &'a [Box<dyn Source>],
    spool: &'a Spool,
}

impl Run<'_> {
    /// Attempts again whenever a document leaves the spool or the lock is let go. A refusal that ends in a capture is
    /// no skipped capture, so only the last one is counted.
    fn wait(&self, lock: &Lock, deadline: Option<Instant>) -> Result<()> {
        let broken = |e: io::Error| Error::file("watch", &self.spool.directory, &e);
        let mut watch = Watch::new(self.spool).map_err(broken)?;
        loop {
            match self.attempt(lock, true)? {
                Attempt::Done => return Ok(()),
                Attempt::Blocked(why) => tracing::info!("waiting: {why}"),
            }
            if !watch.wait(deadline).map_err(broken)? {
                return self.attempt(lock, false)?.or_blocked();
            }
        }
    }

    fn attempt(&self, lock: &Lock, patient: bool) -> Result<Attempt> {
        let Some(locked) = lock.try_hold()? else {
            let holder = lock.holder().map_or(String::new(), |pid| format!(" (process {pid})"));
            return Ok(Attempt::Blocked(format!(
                "another capture is running{holder}; try again later"
            )));
        };
        let begun = Turn::begin(self.setting, self.sources, self.spool, &locked)
            .and_then(|mut turn| turn.recover().map(|waiting| (turn, waiting)));
        let (mut turn, waiting) = begun.inspect_err(|e| self.tell_at_once(e))?;
        let Some(waiting) = waiting else {
            return turn.capture().map(|()| Attempt::Done);
        };
        if !patient {
            turn.skip(&waiting)?;
        }
        turn.alarm(&waiting)?;
        turn.deliver();
        Ok(Attempt::Blocked(turn.blocked_because(&waiting)))
    }

    /// Without a ledger that works there is no outbox: the managers hear at once, or not at all.
    fn tell_at_once(&self, error: &Error) {
        if matches!(error.exit(), Exit::CannotCreate | Exit::Io | Exit::Denied) {
            let now = Utc::now();
            let name = self.setting.naming().name(now, None).to_string();
            deliver::at_once(None, self.setting, &[self.setting.failure(error, &name, now)]);
        }
    }
}
