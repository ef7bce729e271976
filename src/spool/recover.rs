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
//! | offered | any | marked | the remote application says that it has it | take it out, retrieve |
//! | offered | any | pushed | destinations have it, as many as the rule wants | take it out, retrieve |
//! | offered | yes | no | a power failure undid the rename | rename, offer |
//! | offered | no | no | picked up | retrieve |
//! | retrieved | any | yes | somebody put it back | offer again: it blocks like any other |
//! | retrieved | yes | no | died before it was offered again, which is still to be done | discard the partial |
//! | retrieved | no | no | over | nothing |
//! | released | any | yes | died while moving it aside | move it |
//! | released | yes | no | died before it was offered again, which is still to be done | discard the partial |
//! | released | no | no | over | nothing |
//!
//! In streaming mode the spool is a directory of ours below the state: any number of documents wait there, *pushed* is what
//! a collector took, and nobody but us takes one out.
//!
//! *Marked* (its marker lies beside it) and *pushed* are kinds of *yes*: where a row is not about them, they are as good.
//! Once a document is offered by one row, it is looked at once more. Only then, with nothing waiting, the next document of
//! those that somebody wants again becomes a partial and is sealed ([`super::resend`]).
//!
//! Before a document counts as retrieved, `refuse_unexplained` makes sure that it is this very directory which it has left.
//!
//! A document that billdrop itself takes out of the spool has its copy if anybody is still to get it: else it stays.
//!
//! Documents that the ledger does not know are somebody's copy or another recorder's: reported as foreign, they do not
//! block. Manifests go when their document has gone, markers when they have done their work.

use std::{fs, io, io::ErrorKind, os::unix::fs::MetadataExt};

use chrono::{DateTime, Utc};

use super::{
    Listing, Locked, Spool,
    commit::{keep, note_offer, offer},
    expiry,
    missing::refuse_unexplained,
    release, resend,
};
use crate::{
    config,
    exit::{Error, Exit, Result},
    ledger::{DeliveryState, Ledger, Retrieval, Row, State, Tell},
};

/// How things stand after recovery.
#[derive(Debug, Default)]
pub struct Standing {
    /// The document that waits for its pickup: no other may be offered.
    pub waiting: Option<Row>,
    /// The file that waits does not have the size that was written.
    pub damaged: bool,
    /// The remote application has said that it has the document: the next capture takes it out.
    pub marked: bool,
    /// Files in the spool that are not documents of ours, with the reason.
    pub foreign: Vec<(String, String)>,
}

/// What lies under the final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Final {
    Missing,
    There,
    Marked,
    Pushed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Rename,
    Offer,
    OfferAndRetrieve,
    Obstructed,
    Wait,
    TakeOut,
    Retrieve,
    OfferAgain,
    Discard,
    MoveAside,
    Nothing,
}

/// The table of the module head.
fn decide(ledger: State, partial: bool, document: Final) -> Action {
    match (ledger, partial, document) {
        (State::Sealed, true, Final::Missing) => Action::Rename,
        (State::Sealed, false, Final::Missing) => Action::OfferAndRetrieve,
        (State::Sealed, false, _) => Action::Offer,
        (State::Sealed, true, _) => Action::Obstructed,
        (State::Offered, _, Final::There) => Action::Wait,
        (State::Offered, _, Final::Marked | Final::Pushed) => Action::TakeOut,
        (State::Offered, true, Final::Missing) => Action::Rename,
        (State::Offered, false, Final::Missing) => Action::Retrieve,
        (State::Retrieved | State::Released, true, Final::Missing) => Action::Discard,
        (State::Retrieved | State::Released, false, Final::Missing) => Action::Nothing,
        (State::Retrieved, _, _) => Action::OfferAgain,
        (State::Released, _, _) => Action::MoveAside,
    }
}

/// Finishes or undoes what an earlier run left, offers again what somebody wants again, and says what waits. `tell`
/// makes the notification of an offer.
pub fn recover(
    spool: &Spool,
    ledger: &mut Ledger,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
    locked: &Locked<'_>,
) -> Result<Standing> {
    let listing = list(spool)?;
    let rows = rows_of_interest(ledger, &listing)?;
    for row in &rows {
        settle(spool, ledger, &listing, row, tell, now)?;
    }
    discard_unknown(spool, &listing, &rows)?;
    discard_company(spool, ledger, &listing)?;
    let mut standing = survey(spool, ledger)?;
    if standing.waiting.is_none() && resend::offer_next(spool, ledger, tell, now, locked)?.is_some() {
        standing = survey(spool, ledger)?;
    }
    expiry::expire(spool, ledger, now)?;
    Ok(standing)
}

/// One row of the ledger: decided and done, and decided once more when it has been offered by that.
fn settle(
    spool: &Spool,
    ledger: &mut Ledger,
    listing: &Listing,
    row: &Row,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut partial = listing
        .partials
        .iter()
        .any(|(_, document)| document.to_string() == row.name);
    let mut state = row.state;
    let there = listing.documents.iter().any(|entry| entry.name == row.name);
    let marked = listing.markers.contains(&row.name);
    let pushed = by_rule(spool, ledger, row)?;
    let document = match (there, marked, &pushed) {
        (false, _, _) => Final::Missing,
        (true, true, _) => Final::Marked,
        (true, false, Some(_)) => Final::Pushed,
        (true, false, None) => Final::There,
    };
    let how = match (marked, pushed) {
        (true, _) => Retrieval::DoneMarker,
        (false, Some(pushed)) => pushed,
        (false, None) => Retrieval::Pickup,
    };
    loop {
        let action = decide(state, partial, document);
        tracing::debug!("document {} ({}): {action:?}", row.sequence, row.name);
        act(action, spool, ledger, row, &how, tell, now)?;
        match action {
            Action::Offer | Action::Obstructed | Action::OfferAgain => (state, partial) = (State::Offered, false),
            _ => return Ok(()),
        }
    }
}

/// Whether as many destinations have the document as the rule wants, and which. Never of one that lies in the spool
/// because somebody wanted it there again.
fn by_rule(spool: &Spool, ledger: &Ledger, row: &Row) -> Result<Option<Retrieval>> {
    if spool.streams {
        let is_taken = |delivery: &crate::ledger::Delivery| {
            delivery.destination == config::STREAM && delivery.state == DeliveryState::Delivered
        };
        let is_taken = ledger.deliveries_of(row.sequence)?.iter().any(is_taken);
        return Ok(is_taken.then_some(Retrieval::Streamed));
    }
    if spool.rule == config::Retrieved::Pickup || ledger.is_resent(row.sequence)? {
        return Ok(None);
    }
    let deliveries = ledger.deliveries_of(row.sequence)?;
    let has = |state| move |delivery: &&crate::ledger::Delivery| delivery.state == state;
    let delivered: Vec<&str> = deliveries
        .iter()
        .filter(has(DeliveryState::Delivered))
        .map(|delivery| delivery.destination.as_str())
        .collect();
    let wanted = match spool.rule {
        config::Retrieved::All => deliveries.len(),
        _ => 1,
    };
    let met = !delivered.is_empty() && delivered.len() >= wanted;
    Ok(met.then(|| Retrieval::Pushed(delivered.join(", "))))
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
                    standing.marked = listing.markers.contains(&row.name);
                    standing.waiting = Some(row);
                }
            }
            None => standing
                .foreign
                .push((entry.name.clone(), "not written by this billdrop".to_owned())),
        }
    }
    let is_waiting = |name: &String| standing.waiting.as_ref().is_some_and(|row| row.name == *name);
    for marker in listing.markers.iter().filter(|name| !is_waiting(name)) {
        standing.foreign.push((
            format!("{marker}.done"),
            "says that a document is done which is not offered".to_owned(),
        ));
    }
    for manifest in &listing.manifests {
        if ledger.by_name(manifest)?.is_none() {
            standing.foreign.push((
                format!("{manifest}{}", super::MANIFEST_SUFFIX),
                "is the manifest of a document that was not written by this billdrop".to_owned(),
            ));
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
    let documents = listing.documents.iter().map(|entry| entry.name.clone());
    let partials = listing.partials.iter().map(|(_, document)| document.to_string());
    for name in documents.chain(partials) {
        if !rows.iter().any(|row| row.name == name) {
            rows.extend(ledger.by_name(&name)?);
        }
    }
    Ok(rows)
}

fn act(
    action: Action,
    spool: &Spool,
    ledger: &mut Ledger,
    row: &Row,
    how: &Retrieval,
    tell: &dyn Fn(&Row) -> Tell,
    now: DateTime<Utc>,
) -> Result<()> {
    let partial = format!(".{}.partial", row.name);
    match action {
        Action::Nothing => {}
        Action::Wait => keep_now(spool, ledger, row)?,
        Action::Rename => {
            offer(spool, ledger, row, &tell(row), now)?;
            tracing::info!("offered {}, which an earlier run had written", row.name);
        }
        Action::Offer => {
            let copy = keep(spool, row, &row.name);
            note_offer(spool, ledger, row, copy.as_ref(), &tell(row), now)?;
        }
        Action::OfferAndRetrieve => {
            refuse_unexplained(spool, ledger, row)?;
            note_offer(spool, ledger, row, None, &tell(row), now)?;
            if is_lost(spool, ledger, row, how)? {
                return Ok(());
            }
            ledger.retrieve(row.sequence, how, now)?;
        }
        Action::TakeOut => take_out(spool, ledger, row, how, now)?,
        Action::Obstructed => obstructed(spool, ledger, row, &partial, tell, now)?,
        Action::Retrieve => {
            refuse_unexplained(spool, ledger, row)?;
            if is_lost(spool, ledger, row, how)? {
                return Ok(());
            }
            ledger.retrieve(row.sequence, how, now)?;
            tracing::info!("{} has been retrieved", row.name);
        }
        Action::OfferAgain => {
            tracing::warn!("{} has come back to the spool; it is offered again", row.name);
            note_offer(spool, ledger, row, None, &Tell::nobody(), now)?;
        }
        Action::Discard => spool
            .discard(&partial)
            .map_err(|e| Error::file("remove", &spool.path(&partial), &e))?,
        Action::MoveAside => drop(release::move_aside(spool, &row.name)?),
    }
    Ok(())
}

/// In streaming mode a file that is missing was not picked up by anybody: it is sent from its copy, or it is a gap. Which of
/// both is for who sends it to say.
fn is_lost(spool: &Spool, ledger: &Ledger, row: &Row, how: &Retrieval) -> Result<bool> {
    let waits = |delivery: &crate::ledger::Delivery| delivery.destination == config::STREAM;
    Ok(spool.streams && *how == Retrieval::Pickup && ledger.deliveries_of(row.sequence)?.iter().any(waits))
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
    let copy = keep(spool, row, &row.name);
    Ok(note_offer(spool, ledger, row, copy.as_ref(), &tell(row), now)?)
}

/// A document waits without the copy that it should have: the archive is new, or was full.
fn keep_now(spool: &Spool, ledger: &mut Ledger, row: &Row) -> Result<()> {
    if let Some(copy) = keep(spool, row, &row.name) {
        ledger.archived(row.sequence, &copy)?;
    }
    Ok(())
}

/// The document has done its work in the spool. Gone for good before the ledger says so: else a power failure would bring
/// it back as a second offer.
fn take_out(spool: &Spool, ledger: &mut Ledger, row: &Row, how: &Retrieval, now: DateTime<Utc>) -> Result<()> {
    keep_now(spool, ledger, row)?;
    let is_pending = |delivery: &crate::ledger::Delivery| delivery.state == DeliveryState::Pending;
    if ledger.deliveries_of(row.sequence)?.iter().any(is_pending) && !spool.archive.has(&row.name) {
        tracing::error!(
            "{} stays in the spool: it has no copy, and not every destination has got it",
            row.name
        );
        return Ok(());
    }
    let path = spool.path(&row.name);
    let taken = match fs::remove_file(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        taken => taken,
    };
    taken
        .and_then(|()| spool.sync())
        .map_err(|e| Error::file("take out of the spool", &path, &e))?;
    ledger.retrieve(row.sequence, how, now)?;
    tracing::info!("{} has been retrieved and was taken out of the spool", row.name);
    Ok(())
}

fn same_file(spool: &Spool, a: &str, b: &str) -> io::Result<bool> {
    let (a, b) = (spool.path(a).symlink_metadata()?, spool.path(b).symlink_metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
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

/// Manifests and markers of documents that have gone. They bar nothing: what cannot be removed is tried again.
fn discard_company(spool: &Spool, ledger: &Ledger, before: &Listing) -> Result<()> {
    if before.manifests.is_empty() && before.markers.is_empty() && before.debris.is_empty() {
        return Ok(());
    }
    let listing = list(spool)?;
    let has_gone = |name: &String| !listing.documents.iter().any(|entry| entry.name == *name);
    for name in listing
        .manifests
        .iter()
        .chain(&listing.markers)
        .filter(|name| has_gone(name))
    {
        let known = ledger.by_name(name)?;
        if known.is_some_and(|row| matches!(row.state, State::Retrieved | State::Released))
            && let Err(e) = spool.discard_company(name)
        {
            tracing::warn!("cannot remove what lies beside {name}: {e}");
        }
    }
    for debris in &listing.debris {
        spool
            .discard(debris)
            .map_err(|e| Error::file("remove", &spool.path(debris), &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Action::*, Final::*, *};

    /// One row of the module head's table per line.
    #[test]
    fn every_row_of_the_table_is_decided_as_it_says() {
        let (yes, no) = (true, false);
        for (ledger, partial, document, action) in [
            (State::Sealed, yes, Missing, Rename),
            (State::Sealed, no, There, Offer),
            (State::Sealed, no, Marked, Offer),
            (State::Sealed, no, Pushed, Offer),
            (State::Sealed, no, Missing, OfferAndRetrieve),
            (State::Sealed, yes, There, Obstructed),
            (State::Sealed, yes, Marked, Obstructed),
            (State::Sealed, yes, Pushed, Obstructed),
            (State::Offered, no, There, Wait),
            (State::Offered, yes, There, Wait),
            (State::Offered, no, Marked, TakeOut),
            (State::Offered, yes, Marked, TakeOut),
            (State::Offered, no, Pushed, TakeOut),
            (State::Offered, yes, Pushed, TakeOut),
            (State::Offered, no, Missing, Retrieve),
            (State::Offered, yes, Missing, Rename),
            (State::Retrieved, no, There, OfferAgain),
            (State::Retrieved, no, Marked, OfferAgain),
            (State::Retrieved, no, Pushed, OfferAgain),
            (State::Retrieved, no, Missing, Nothing),
            (State::Retrieved, yes, Missing, Discard),
            (State::Retrieved, yes, There, OfferAgain),
            (State::Retrieved, yes, Marked, OfferAgain),
            (State::Retrieved, yes, Pushed, OfferAgain),
            (State::Released, yes, Missing, Discard),
            (State::Released, yes, There, MoveAside),
            (State::Released, yes, Marked, MoveAside),
            (State::Released, yes, Pushed, MoveAside),
            (State::Released, no, There, MoveAside),
            (State::Released, no, Marked, MoveAside),
            (State::Released, no, Pushed, MoveAside),
            (State::Released, no, Missing, Nothing),
        ] {
            assert_eq!(
                decide(ledger, partial, document),
                action,
                "{ledger:?} {partial} {document:?}"
            );
        }
    }
}
