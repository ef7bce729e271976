//! `billdrop notify`: sends what managers have not got yet, or a test.

use chrono::Utc;

use super::{print, setting::Setting};
use crate::{
    cli,
    exit::{Error, Exit, Result},
    ledger::{Event, Ledger},
    notify,
    spool::{Lock, Spool},
};

pub fn run(cli: &cli::Cli, args: &cli::Notify) -> Result<()> {
    let setting = Setting::load(cli)?;
    if args.test {
        return test(&setting);
    }
    // Before anything is made: where nothing was captured there is nothing to send.
    drop(Ledger::open_existing(&setting.config.state_directory())?);
    let spool = Spool::prepare(&setting.config)?;
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let lock = Lock::open(&spool.state)?;
    // Two processes with one outbox would tell everything twice.
    let Some(_locked) = lock.try_hold()? else {
        return Err(Error::new(
            Exit::Blocked,
            "a capture is running; it sends the notifications itself",
        ));
    };
    let mac = setting.mac(Some(&ledger))?;
    let round = notify::deliver(&mut ledger, &setting.config, mac, None).map_err(refuse)?;
    match (setting.config.managers.is_empty(), round.delivered + round.failed.len()) {
        (true, _) => tracing::info!("no manager is configured"),
        (false, 0) => tracing::info!("nothing is pending"),
        _ => {}
    }
    if round.delivered > 0 {
        print(|out| writeln!(out, "{} notifications delivered", round.delivered))?;
    }
    if round.dropped > 0 {
        tracing::warn!(
            "{} notifications to managers that are no longer configured were dropped",
            round.dropped
        );
    }
    answer(&round.failed)
}

/// Sends a test notification to every manager, past the outbox.
fn test(setting: &Setting) -> Result<()> {
    if setting.config.managers.is_empty() {
        return Err(Error::new(Exit::Configuration, "no manager is configured")
            .next("Add a [[notify]] table with an address to the configuration."));
    }
    let failed = send_test(setting)?;
    print(|out| {
        for manager in &setting.config.managers {
            let unsent = failed.iter().find(|unsent| unsent.manager == manager.address);
            let outcome = match (unsent, manager.inform) {
                (Some(_), _) => "failed",
                (None, true) => "acknowledged",
                (None, false) => "sent (a trap is not acknowledged)",
            };
            writeln!(out, "{}: {outcome}", manager.address)?;
        }
        Ok(())
    })?;
    answer(&failed)
}

/// Returns the managers that have not got it, and why.
pub fn send_test(setting: &Setting) -> Result<Vec<notify::Unsent>> {
    let spool = Spool::locate(&setting.config)?;
    let ledger = Ledger::open_existing(&spool.state).ok();
    let mac = setting.mac(ledger.as_ref())?;
    let event = Event::Test {
        recorder: setting.hostname.clone(),
        at: Utc::now(),
    };
    Ok(notify::send_at_once(ledger.as_ref(), &setting.config, mac, &[event]))
}

fn answer(failed: &[notify::Unsent]) -> Result<()> {
    for unsent in failed {
        tracing::error!("{unsent}");
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::already_told(Exit::Unavailable)),
    }
}

fn refuse(e: notify::RoundError) -> Error {
    match e {
        notify::RoundError::Ledger(e) => e.into(),
        notify::RoundError::Sender(reason) => Error::new(Exit::Configuration, reason),
    }
}
