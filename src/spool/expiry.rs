//! Which copies leave the archive, and when: by age, by size, or because a new document needs the room.
//!
//! What may go at all is for the ledger to say ([`Ledger::may_go`]): a document that was not retrieved for sure, that a
//! destination is still to get or that is to be sent again keeps its copy, whatever the configuration wants.
//!
//! The file goes first, then the ledger says so: killed in between, the next run finds it gone and says so then. Nothing
//! here keeps a document from being captured; what fails is said in the log and tried again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{Locked, Spool, archive::Listed};
use crate::ledger::{ArchivedCopy, Ledger, LedgerError, Row};

/// How many copies are looked at in one go.
const BATCH: usize = 200;

/// Files that a capture needs to be able to make.
const FREE_FILES: u64 = 8;

/// Copies that were removed although their time had not come.
#[derive(Debug, Default, PartialEq)]
pub struct GaveWay {
    pub copies: u64,
    pub octets: u64,
    /// The last document of them.
    pub sequence: u64,
}

/// Removes what is too old or too much, and puts right what a killed run left. The caller holds the lock.
pub(super) fn expire(spool: &Spool, ledger: &mut Ledger, now: DateTime<Utc>) -> Result<(), LedgerError> {
    if !spool.archive.makes && ledger.copies()?.0 == 0 {
        return Ok(());
    }
    reconcile(spool, ledger)?;
    let keep = spool.archive.keep;
    let is_old = |row: &Row| {
        // Retrieved in the future: the clock was set back, and nobody knows for how long it has been kept.
        row.retrieved
            .is_some_and(|at| (now - at).to_std().is_ok_and(|age| age >= keep))
    };
    loop {
        let rows = ledger.may_go(BATCH)?;
        let old: Vec<&Row> = rows.iter().filter(|row| is_old(row)).collect();
        let removed = remove(spool, ledger, &old, now)?;
        if removed == 0 || removed < BATCH {
            break;
        }
    }
    let Some(limit) = spool.archive.limit else {
        return Ok(());
    };
    loop {
        let (_, octets) = ledger.copies()?;
        let mut too_much = octets.saturating_sub(limit);
        let rows = ledger.may_go(BATCH)?;
        let oldest: Vec<&Row> = rows
            .iter()
            .take_while(|row| {
                let goes = too_much > 0;
                too_much = too_much.saturating_sub(row.copy.as_ref().map_or(0, |copy| copy.octets));
                goes
            })
            .collect();
        if remove(spool, ledger, &oldest, now)? == 0 {
            return Ok(());
        }
    }
}

/// Before a capture is refused for lack of room the archive gives way, the oldest copies first. `wanted`: octets that are
/// to be free for the spool and for the ledger.
pub fn make_room(
    spool: &Spool,
    ledger: &mut Ledger,
    wanted: u64,
    now: DateTime<Utc>,
    _locked: &Locked<'_>,
) -> Result<Option<GaveWay>, LedgerError> {
    let directories = [&spool.directory, &spool.state];
    let narrow = || {
        directories
            .iter()
            .find(|directory| spool.archive.shares_disk_with(directory) && is_short(directory, wanted))
    };
    let mut gone = Vec::new();
    let mut gave_way = GaveWay::default();
    'full: while narrow().is_some() {
        // Without the ledger's word that they are gone the same ones would come again.
        let rows = ledger.may_go(BATCH + gone.len())?;
        let left: Vec<&Row> = rows.iter().filter(|row| !gone.contains(&row.sequence)).collect();
        if left.is_empty() {
            break;
        }
        for row in left {
            if let Err(e) = spool.archive.remove(&row.name) {
                tracing::error!("cannot remove the copy of {}: {e}", row.name);
                break 'full;
            }
            gone.push(row.sequence);
            gave_way.copies += 1;
            gave_way.octets += row.copy.as_ref().map_or(0, |copy| copy.octets);
            gave_way.sequence = gave_way.sequence.max(row.sequence);
            if narrow().is_none() {
                break;
            }
        }
    }
    ledger.expire(&gone, now)?;
    Ok((gave_way.copies > 0).then_some(gave_way))
}

/// Compresses copies for about this long, and at least one. Not in haste: it is done when all else is.
pub fn shrink(spool: &Spool, ledger: &mut Ledger, budget: Duration, _locked: &Locked<'_>) -> Result<(), LedgerError> {
    if !spool.archive.compress {
        return Ok(());
    }
    let begun = Instant::now();
    for row in ledger.may_shrink(BATCH)? {
        match spool.archive.shrink(&row) {
            Ok(copy) => {
                ledger.archived(row.sequence, &copy)?;
                if let Err(e) = spool.archive.drop_other(&row.name, true) {
                    tracing::warn!("cannot remove the copy of {} that is compressed now: {e}", row.name);
                }
            }
            // It is as good as it was. Told once, as long as it is the same.
            Err(e) if e.is_final() => {
                let (key, reason) = (format!("copy of {}", row.sequence), e.to_string());
                if ledger.meta(&key)?.as_ref() != Some(&reason) {
                    tracing::error!("document {} cannot be compressed: {reason}", row.sequence);
                    ledger.set_meta(&key, &reason)?;
                }
            }
            Err(e) => {
                tracing::warn!("document {} cannot be compressed: {e}", row.sequence);
                return Ok(());
            }
        }
        if begun.elapsed() >= budget {
            break;
        }
    }
    Ok(())
}

/// Removes these copies; one that cannot be removed stays, and the rest with it.
fn remove(spool: &Spool, ledger: &mut Ledger, rows: &[&Row], now: DateTime<Utc>) -> Result<usize, LedgerError> {
    let mut gone = Vec::new();
    for row in rows {
        match spool.archive.remove(&row.name) {
            Ok(()) => gone.push(row.sequence),
            Err(e) => {
                tracing::error!("cannot remove the copy of {}: {e}", row.name);
                break;
            }
        }
    }
    if !gone.is_empty() {
        ledger.expire(&gone, now)?;
    }
    Ok(gone.len())
}

/// What lies in the archive against what the ledger says of it.
fn reconcile(spool: &Spool, ledger: &mut Ledger) -> Result<(), LedgerError> {
    let listed = match spool.archive.list() {
        Ok(listed) => listed,
        Err(e) => {
            tracing::error!(
                "cannot look into the archive {}: {e}",
                spool.archive.directory.display()
            );
            return Ok(());
        }
    };
    let known = ledger.names_of_copies()?;
    for entry in &listed {
        if known.contains(&entry.name) && !(entry.plain && entry.compressed) {
            continue;
        }
        if let Some(row) = ledger.by_name(&entry.name)? {
            put_right(spool, ledger, entry, &row)?;
        }
    }
    Ok(())
}

fn put_right(spool: &Spool, ledger: &mut Ledger, entry: &Listed, row: &Row) -> Result<(), LedgerError> {
    let done = match &row.copy {
        // A power failure has brought it back.
        Some(copy) if copy.expired.is_some() => spool.archive.remove(&row.name),
        Some(copy) => spool.archive.drop_other(&row.name, copy.compressed),
        // Made, but not noted any more.
        None => match spool.archive.find(&entry.name) {
            Ok(Some(found)) if found.compressed || found.octets == row.octets => {
                return ledger.archived(row.sequence, &ArchivedCopy::of(&found));
            }
            found => found.map(drop),
        },
    };
    if let Err(e) = done {
        tracing::warn!("cannot put the copy of {} right: {e}", row.name);
    }
    Ok(())
}

fn is_short(directory: &Path, wanted: u64) -> bool {
    let Ok(found) = rustix::fs::statvfs(directory) else {
        return false;
    };
    let octets = found.f_bavail.saturating_mul(found.f_frsize);
    octets < wanted || (found.f_files > 0 && found.f_favail < FREE_FILES)
}
