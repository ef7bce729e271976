//! `billdrop push`, and what each capture does when it has let go of its lock: documents are brought to destinations.
//!
//! Destinations are served at the same time, each by a thread of its own with its own lock, so that a dead one keeps no
//! other waiting; see [`queue`]. Afterwards, if no capture is running, the rule for retrieval is applied to what has
//! arrived, and the managers are told.

mod forget;
mod queue;

use std::thread;

use chrono::Utc;
use queue::{End, Report};

use super::{counted, deliver, print, setting::Setting};
use crate::{
    cli,
    config::{Push, Retrieved, STREAM},
    exit::{Error, Exit, Result},
    ledger::{Destination, Ledger, Row},
    log::Logs,
    spool::{self, Lock, Spool},
};

pub fn run(cli: &cli::Cli, args: &cli::Push) -> Result<()> {
    let setting = Setting::load(cli)?;
    let spool = Spool::locate(&setting.config)?;
    Ledger::open_existing(&spool.state)?;
    // What root leaves here, a lock for one, is in the way of the user who captures.
    spool.examine(&spool.state, "state")?;
    if let Some(name) = &args.forget {
        return forget::run(&setting, &spool, name);
    }
    let pushes = chosen(&setting, args.to.as_deref())?;
    // What a killed capture has left is finished first: it is to be brought, too.
    settle(&setting, &spool, &[]);
    know(&setting, &mut Ledger::open_existing(&spool.state)?)?;
    let reports = bring(&setting, &spool, &pushes);
    settle(&setting, &spool, &reports);
    print(|out| reports.iter().try_for_each(|report| writeln!(out, "{}", report.line())))?;
    let failed: Vec<_> = reports.iter().filter_map(Report::failed).collect();
    match failed.len() {
        0 => Ok(()),
        _ if failed.iter().all(|failed| failed.is_refusal) => Err(Error::already_told(Exit::Denied)),
        _ => Err(Error::already_told(Exit::Unavailable)),
    }
}

/// Brings what there is to all destinations, whatever the capture came to. A capture that ended well ends with status 69
/// when a destination has failed for more than the first time.
pub fn after_capture(setting: &Setting, captured: Result<()>) -> Result<()> {
    let failed = everything(setting).unwrap_or_else(|e| {
        tracing::error!("nothing was brought to the destinations: {e}");
        true
    });
    match captured {
        Ok(()) if failed => Err(Error::already_told(Exit::Unavailable)),
        captured => captured,
    }
}

/// Whether bringing documents to destinations can free the spool.
pub fn can_free_the_spool(setting: &Setting) -> bool {
    setting.config.spool.retrieved != Retrieved::Pickup && !setting.config.destinations.is_empty()
}

/// Returns whether a destination fails, and not for the first time.
pub fn everything(setting: &Setting) -> Result<bool> {
    let spool = Spool::locate(&setting.config)?;
    let pushes: Vec<&Push> = setting.config.destinations.iter().collect();
    if pushes.is_empty() || !spool.state.join(crate::ledger::FILE).exists() {
        return Ok(false);
    }
    know(setting, &mut Ledger::open_existing(&spool.state)?)?;
    let reports = bring(setting, &spool, &pushes);
    if reports.iter().any(Report::is_news) {
        settle(setting, &spool, &reports);
    }
    Ok(reports
        .iter()
        .filter_map(Report::failed)
        .any(|failed| failed.is_alarming))
}

/// Destinations that the configuration does not have any more, and that have not got everything.
pub fn gone(setting: &Setting, ledger: &Ledger) -> Result<Vec<Destination>> {
    let configured = setting.config.destinations();
    let mut known = ledger.destinations()?;
    known.retain(|known| known.pending > 0 && !configured.contains(&known.name));
    Ok(known)
}

/// Says each time what will not be brought anywhere unless somebody does something.
pub fn warn_of_gone(setting: &Setting, ledger: &Ledger) {
    match gone(setting, ledger) {
        Ok(gone) => {
            for destination in gone {
                tracing::warn!("{}", gone_words(&destination));
            }
        }
        Err(e) => tracing::warn!("{e}"),
    }
}

pub fn gone_words(destination: &Destination) -> String {
    format!(
        "{} has not got {} and is not configured any more; configure it again, or run: billdrop push --forget {:?}",
        destination.name,
        counted(destination.pending, "document"),
        destination.name
    )
}

fn chosen<'a>(setting: &'a Setting, only: Option<&str>) -> Result<Vec<&'a Push>> {
    let configured = &setting.config.destinations;
    let pushes: Vec<&Push> = configured
        .iter()
        .filter(|push| only.is_none_or(|name| push.name == name))
        .collect();
    match (pushes.is_empty(), only) {
        (false, _) => Ok(pushes),
        (true, None) => Err(Error::new(Exit::Configuration, "no destination is configured")
            .next("A table [[push]] in billdrop.toml names one.")),
        (true, Some(name)) => Err(unknown(setting, name)),
    }
}

fn unknown(setting: &Setting, name: &str) -> Error {
    let next = match setting.config.destinations().join(", ") {
        none if none.is_empty() => "No destination is configured.".to_owned(),
        names => format!("There are: {names}."),
    };
    Error::new(Exit::Configuration, format!("there is no destination {name:?}")).next(next)
}

/// The ledger learns which destinations there are now.
pub fn know(setting: &Setting, ledger: &mut Ledger) -> Result<()> {
    let pushes = setting.config.destinations.iter();
    let stream = setting.config.stream.as_ref();
    let configured: Vec<(String, String)> = pushes
        .map(|push| (push.name.clone(), push.url.clone()))
        .chain(stream.map(|stream| (STREAM.to_owned(), stream.url())))
        .collect();
    let known = ledger.destinations()?;
    let active: Vec<&Destination> = known.iter().filter(|known| known.removed.is_none()).collect();
    let is_known = |(name, url): &(String, String)| active.iter().any(|d| d.name == *name && d.url == *url);
    if active.len() != configured.len() || !configured.iter().all(is_known) {
        ledger.know_destinations(&configured, Utc::now())?;
    }
    warn_of_gone(setting, ledger);
    Ok(())
}

/// All at the same time. The last one on this thread: with a single one there is no other.
fn bring(setting: &Setting, spool: &Spool, pushes: &[&Push]) -> Vec<Report> {
    let Some((last, others)) = pushes.split_last() else {
        return Vec::new();
    };
    thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter()
            .map(|push| scope.spawn(move || queue::run(setting, spool, push)))
            .collect();
        let last = queue::run(setting, spool, last);
        let mut reports: Vec<Report> = threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(report) => report,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect();
        reports.push(last);
        reports
    })
}

/// If no capture is running: what has arrived counts as retrieved where the rule says so, and managers are told. If one is
/// running, or this fails, the next capture does it.
fn settle(setting: &Setting, spool: &Spool, reports: &[Report]) {
    let settled = || -> Result<()> {
        let lock = Lock::open(&spool.state)?;
        let Some(locked) = lock.try_hold()? else {
            tracing::info!("a capture is running: it applies the rule for retrieval and tells the managers");
            return Ok(());
        };
        let logs = Logs::open(setting.log_settings());
        for failed in reports.iter().filter_map(Report::failed) {
            match failed.is_alarming {
                true => logs.error(&failed.reason),
                false => logs.warning(&failed.reason),
            }
        }
        let now = Utc::now();
        let mut ledger = spool::open_ledger(spool, &setting.hostname, &setting.managers(), now, &locked)?;
        let tell = |row: &Row| setting.tell_offer(row);
        let recovered = spool::recover(spool, &mut ledger, &tell, now, &locked);
        deliver::due(&mut ledger, setting);
        recovered.map(drop)
    };
    if let Err(e) = settled() {
        tracing::warn!("{e}");
    }
}

impl Report {
    fn failed(&self) -> Option<&queue::Failed> {
        match &self.end {
            End::Failed(failed) => Some(failed),
            _ => None,
        }
    }

    /// Whether there is something to do about it, under the lock of captures.
    fn is_news(&self) -> bool {
        self.delivered > 0 || self.failed().is_some()
    }

    fn line(&self) -> String {
        let documents = match self.delivered {
            0 => "nothing to bring".to_owned(),
            n => counted(n, "document"),
        };
        let name = &self.destination;
        match (&self.end, self.delivered) {
            (End::Complete, _) => format!("{name}: {documents}"),
            (End::Busy, _) => format!("{name}: another billdrop is at it"),
            (End::Failed(_), 0) => format!("{name}: failed"),
            (End::Failed(_), _) => format!("{name}: {documents}, then failed"),
        }
    }
}
