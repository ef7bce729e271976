//! `billdrop push --forget`: an operator gives up what a destination that is gone has not got.

use super::{super::print, queue};
use crate::{
    command::{release::operator, setting::Setting},
    exit::{Error, Exit, Result},
    ledger::Ledger,
    spool::Spool,
};

pub fn run(setting: &Setting, spool: &Spool, name: &str) -> Result<()> {
    if setting
        .config
        .destinations()
        .iter()
        .any(|configured| configured == name)
    {
        return Err(Error::new(Exit::Configuration, format!("{name} is still configured"))
            .next("Take it out of the configuration first: what is forgotten is never brought there."));
    }
    let lock = queue::lock(spool, name)?;
    let Some(_locked) = lock.try_hold()? else {
        return Err(Error::new(
            Exit::Blocked,
            format!("another billdrop is bringing documents to {name}; try again when it has ended"),
        ));
    };
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let pending = ledger.pending_deliveries(name)?;
    if pending.is_empty() {
        return Err(Error::new(
            Exit::Unavailable,
            format!("there is nothing that {name:?} has not got"),
        ));
    }
    let who = operator();
    let mut lines = Vec::new();
    for delivery in &pending {
        let document = match ledger.by_sequence(delivery.sequence)? {
            Some(row) => format!("document {} ({})", row.sequence, row.name),
            None => format!("document {}", delivery.sequence),
        };
        tracing::warn!("{document} is never brought to {name}: {who} has given that up");
        lines.push(document);
    }
    ledger.forget_destination(name)?;
    print(|out| {
        lines
            .iter()
            .try_for_each(|line| writeln!(out, "{line}: given up for {name}"))
    })
}
