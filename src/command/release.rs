//! `billdrop release`: the operator moves the offered document aside.

use std::env;

use chrono::Utc;

use super::{deliver, print, setting::Setting};
use crate::{
    cli,
    exit::{Error, Exit, Result},
    ledger::{Ledger, Releasing, Row},
    spool::{self, Lock, Released, Spool},
};

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 500;

pub fn run(cli: &cli::Cli, args: &cli::Release) -> Result<()> {
    let setting = Setting::load(cli)?;
    let reason = args.reason.trim();
    if reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return Err(Error::new(
            Exit::Usage,
            format!("--reason takes at most {LONGEST_REASON} characters in one line"),
        ));
    }
    Ledger::open_existing(&setting.config.state_directory())?;
    let spool = Spool::prepare(&setting.config)?;
    let lock = Lock::open(&spool.state)?;
    let Some(locked) = lock.try_hold()? else {
        return Err(Error::new(
            Exit::Blocked,
            "a capture is running; try again when it has ended",
        ));
    };
    let now = Utc::now();
    let managers = setting.managers();
    let mut ledger = spool::open_ledger(&spool, &setting.hostname, &managers, now, &locked)?;
    let who = operator();
    let releasing = Releasing {
        at: now,
        who: &who,
        reason,
        managers: &managers,
    };
    if let Some(gone) = spool::missing(&spool, &ledger)? {
        spool::give_up(&mut ledger, &gone, &releasing, &locked)?;
        tracing::warn!(
            "document {} is given up: its file is not in the spool any more",
            gone.sequence
        );
        deliver::due(&mut ledger, &setting);
        return Ok(());
    }
    let standing = spool::recover(&spool, &mut ledger, &|row: &Row| setting.tell_offer(row), now, &locked)?;
    let Some(waiting) = standing.waiting else {
        return Err(Error::new(
            Exit::Unavailable,
            match setting.config.stream {
                Some(_) => "no document waits for a collector: there is nothing to release",
                None => "no document is offered: there is nothing to release",
            },
        ));
    };
    match spool::release(&spool, &mut ledger, &waiting, &releasing, &locked)? {
        Released::Aside(path) => {
            print(|out| writeln!(out, "{}", path.display()))?;
            tracing::warn!(
                "document {} was not retrieved by the billing system; bring it there from {}",
                waiting.sequence,
                path.display()
            );
        }
        Released::AlreadyRetrieved => tracing::warn!("{} had just been retrieved", waiting.name),
    }
    deliver::due(&mut ledger, &setting);
    Ok(())
}

/// The person behind sudo, else the user of the process.
pub(super) fn operator() -> String {
    let uid = nix::unistd::Uid::effective();
    let own = match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    };
    match env::var("SUDO_USER") {
        Ok(person) if !person.is_empty() && person.len() <= 64 && !person.chars().any(char::is_control) => {
            format!("{person} (as {own})")
        }
        _ => own,
    }
}
