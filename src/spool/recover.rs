//! Brings ledger and spool together at every start. The spool is the truth about what is offered.
//!
//! | ledger says | partial | final | it means | do |
//! |---|---|---|---|---|
//! | nothing | yes | any | died while writing: the sequence number was not given | discard the partial |
//! | sealed | yes | no | died before the rename | rename, offer |
//! | sealed | no | yes | died after the rename | offer |
//! | sealed | no | no | renamed, and already retrieved | offer, retrieve |
//! | sealed | yes | yes | another file has the name, or died between link and unlink | same file: discard the partial, offer; else stop |
//! | offered | any | yes | waiting for its pickup | wait |
//! | offered | yes | no | a power failure undid the rename | rename, offer |
//! | offered | no | no | picked up | retrieve |
//! | retrieved | any | yes | somebody put it back | offer again: it blocks like any other |
//! | retrieved | any | no | over | nothing |
//! | released | any | yes | died while moving it aside | move it |
//! | released | any | no | over | nothing |
//!
//! Before a document counts as retrieved, `refuse_unexplained` makes sure that it is this very directory which it has left.
//!
//! Documents that the ledger does not know are somebody's copy or another recorder's: reported as foreign, they do not
//! block.

use std::{io, os::unix::fs::MetadataExt, path::Path};

use chrono::{DateTime, Utc};

use super::{
    Listing, Locked, Spool,
    commit::{note_offer, offer},
    release,
};
use crate::{
    exit::{Error, Exit, Result},
    ledger::{LastDocument, Ledger, Row, State, Tell},
};

/// How things stand after recovery.
#[derive(Debug, Default)]
pub struct Standing {
    /// The document that waits for its pickup: no other may be offered.
    pub waiting: Option<Row>,
    /// The file that waits does not have the size that was written.
    pub damaged: bool,
    /// Files in the spool that are not documents of ours, with the reason.
    pub foreign: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Rename,
    Offer,
    OfferAndRetrieve,
    Obstructed,
    Wait,
    Retrieve,
    OfferAgain,
    MoveAside,
    Nothing,
}

/// The table of the module head.
fn decide(ledger: State, partial: bool, document: bool) -> Action {
    match (ledger, partial, document) {
        (State::Sealed, true, false) => Action::Rename,
        (State::Sealed, false, true) => Action::Offer,
        (State::Sealed, false, false) => Action::OfferAndRetrieve,
        (State::Sealed, true, true) => Action::Obstructed,
        (State::Offered, _, true) => Action::Wait,
        (State::Offered, true, false) => Action::Rename,
        (State::Offered, false, false) => Action::Retrieve,
        (State::Retrieved, _, true) => Action::OfferAgain,
        (State::Released, _, true) => Action::MoveAside,
        (State::Retrieved | State::Released, _, false) => Action::Nothing,
    }
}

/// Finishes or undoes what an earlier run left, and says what waits. `tell` makes the notification of a late offer.
pub fn recover(
    spool: &Spool,
    ledger: &mut Ledger,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
    _locked: &Locked<'_>,
) -> Result<Standing> {
    let listing = list(spool)?;
    let rows = rows_of_interest(ledger, &listing)?;
    for row in &rows {
        let partial = listing
            .partials
            .iter()
            .any(|(_, document)| document.to_string() == row.name);
        let document = listing.documents.iter().any(|entry| entry.name == row.name);
        let action = decide(row.state, partial, document);
        tracing::debug!("document {} ({}): {action:?}", row.sequence, row.name);
        act(action, spool, ledger, row, tell, now)?;
    }
    discard_unknown(spool, &listing, &rows)?;
    survey(spool, ledger)
}

/// Looks without changing anything: for `status`, and for the answer of [`recover`].
pub fn survey(spool: &Spool, ledger: &Ledger) -> Result<Standing> {
    let listing = list(spool)?;
    let mut standing = Standing::default();
    for entry in &listing.documents {
        match ledger.by_name(&entry.name)? {
            Some(row) if row.state == State::Released => standing.foreign.push((
                entry.name.clone(),
                "was moved aside before; the next capture does it again".to_owned(),
            )),
            Some(row) => {
                if standing.waiting.is_none() {
                    standing.damaged = row.octets != entry.octets;
                    standing.waiting = Some(row);
                }
            }
            None => standing
                .foreign
                .push((entry.name.clone(), "not written by this billdrop".to_owned())),
        }
    }
    let others = listing
        .foreign
        .into_iter()
        .map(|(name, reason)| (name, reason.to_owned()));
    standing.foreign.extend(others);
    Ok(standing)
}

fn list(spool: &Spool) -> Result<Listing> {
    spool.list().map_err(|e| {
        Error::file("read the spool", &spool.directory, &e)
            .next("Mount it or give this user the right to it; nothing is lost meanwhile.")
    })
}

/// Rows that are on their way, and rows whose file has come back.
fn rows_of_interest(ledger: &Ledger, listing: &Listing) -> Result<Vec<Row>> {
    let mut rows = ledger.unfinished()?;
    for entry in &listing.documents {
        if !rows.iter().any(|row| row.name == entry.name) {
            rows.extend(ledger.by_name(&entry.name)?);
        }
    }
    Ok(rows)
}

fn act(
    action: Action,
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
) -> Result<()> {
    let partial = format!(".{}.partial", row.name);
    match action {
        Action::Wait | Action::Nothing => {}
        Action::Rename => {
            offer(spool, ledger, &LastDocument::of(row), &tell(row), now)?;
            tracing::info!("offered {}, which an earlier run had written", row.name);
        }
        Action::Offer => note_offer(spool, ledger, row.sequence, &tell(row), now)?,
        Action::OfferAndRetrieve => {
            refuse_unexplained(spool, ledger, row)?;
            note_offer(spool, ledger, row.sequence, &tell(row), now)?;
            ledger.retrieve(row.sequence, now)?;
        }
        Action::Obstructed => obstructed(spool, ledger, row, &partial, tell, now)?,
        Action::Retrieve => {
            refuse_unexplained(spool, ledger, row)?;
            ledger.retrieve(row.sequence, now)?;
            tracing::info!("{} has been retrieved", row.name);
        }
        Action::OfferAgain => {
            tracing::warn!("{} has come back to the spool; it is offered again", row.name);
            note_offer(spool, ledger, row.sequence, &Tell::nobody(), now)?;
        }
        Action::MoveAside => drop(release::move_aside(spool, &row.name)?),
    }
    Ok(())
}

fn obstructed(
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    partial: &str,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
) -> Result<()> {
    let same = same_file(spool, partial, &row.name).map_err(|e| Error::file("look at", &spool.path(&row.name), &e))?;
    if !same {
        return Err(Error::new(
            Exit::CannotCreate,
            format!(
                "another file lies in the spool under the name of document {}: {}",
                row.sequence,
                spool.path(&row.name).display()
            ),
        )
        .next("Move that file away; the document itself is safe, and the next run offers it."));
    }
    spool
        .discard(partial)
        .map_err(|e| Error::file("remove", &spool.path(partial), &e))?;
    Ok(note_offer(spool, ledger, row.sequence, &tell(row), now)?)
}

fn same_file(spool: &Spool, a: &str, b: &str) -> io::Result<bool> {
    let (a, b) = (spool.path(a).symlink_metadata()?, spool.path(b).symlink_metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// An offered file is missing. That is the pickup only if this is the directory it was in: not the empty mount point of
/// a disk that is not there, nor another spool with the same ledger. And a file of its size under its name, that is
/// merely no longer ours, has not been picked up either.
fn refuse_unexplained(spool: &Spool, ledger: &Ledger, row: &Row) -> Result<()> {
    let path = spool.path(&row.name);
    if path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() == row.octets)
    {
        return Err(Error::new(
            Exit::Denied,
            format!("{} still lies there, but belongs to another user now", path.display()),
        )
        .next("Give it back with chown, or delete it once it is fetched."));
    }
    let now = spool
        .identity()
        .map_err(|e| Error::file("look at", &spool.directory, &e))?;
    let Some(then) = ledger.spool_identity()? else {
        return Ok(());
    };
    let elsewhere = Path::new(&then.path).join(&row.name);
    if then.path != now.path && elsewhere.symlink_metadata().is_ok() {
        return Err(Error::new(
            Exit::Configuration,
            format!(
                "document {} still waits in another spool: {}",
                row.sequence,
                elsewhere.display()
            ),
        )
        .next("One ledger serves one spool. Give this spool a [state] directory of its own."));
    }
    if then.path == now.path && (then.inode, then.born) != (now.inode, now.born) {
        return Err(Error::new(
            Exit::CannotCreate,
            format!(
                "{} is not the directory in which {} was",
                spool.directory.display(),
                row.name
            ),
        )
        .next(
            "Is its disk mounted? If the directory was replaced on purpose, billdrop release gives the document up.",
        ));
    }
    Ok(())
}

/// The document whose file is missing together with its whole directory, if there is one.
pub fn missing(spool: &Spool, ledger: &Ledger) -> Result<Option<Row>> {
    for row in ledger.unfinished()? {
        let is_there = |name: &str| spool.path(name).symlink_metadata().is_ok();
        let lies_here = is_there(&row.name) || is_there(&format!(".{}.partial", row.name));
        if !lies_here && refuse_unexplained(spool, ledger, &row).is_err_and(|e| e.exit() == Exit::CannotCreate) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn discard_unknown(spool: &Spool, listing: &Listing, rows: &[Row]) -> Result<()> {
    for (partial, document) in &listing.partials {
        let name = document.to_string();
        if !rows.iter().any(|row| row.name == name) {
            spool
                .discard(partial)
                .map_err(|e| Error::file("remove", &spool.path(partial), &e))?;
            tracing::info!("{name} was not finished by an earlier run; its usage is captured anew");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Action::*, *};

    /// One row of the module head's table per line.
    #[test]
    fn every_row_of_the_table_is_decided_as_it_says() {
        let (yes, no) = (true, false);
        for (ledger, partial, document, action) in [
            (State::Sealed, yes, no, Rename),
            (State::Sealed, no, yes, Offer),
            (State::Sealed, no, no, OfferAndRetrieve),
            (State::Sealed, yes, yes, Obstructed),
            (State::Offered, no, yes, Wait),
            (State::Offered, yes, yes, Wait),
            (State::Offered, no, no, Retrieve),
            (State::Offered, yes, no, Rename),
            (State::Retrieved, no, yes, OfferAgain),
            (State::Retrieved, no, no, Nothing),
            (State::Retrieved, yes, no, Nothing),
            (State::Retrieved, yes, yes, OfferAgain),
            (State::Released, yes, no, Nothing),
            (State::Released, yes, yes, MoveAside),
            (State::Released, no, yes, MoveAside),
            (State::Released, no, no, Nothing),
        ] {
            assert_eq!(
                decide(ledger, partial, document),
                action,
                "{ledger:?} {partial} {document}"
            );
        }
    }
}
