//! What becomes of a run for one destination that does not bring everything: who hears of it, and when.
//!
//! Runs are counted, not attempts: the first one that fails is a warning, from the second on each is an alarm, and the
//! first that brings something again ends it.

use std::time::Duration;

use chrono::Utc;

use super::{super::super::setting::Setting, End, Failed, Queue};
use crate::{
    config::Push,
    deliver::DeliveryError,
    exit::Result,
    ledger::{Event, Ledger, Tell},
    spool::{Lock, Spool},
};

/// How many failing runs, one after the other, are worth an alarm.
const ALARMING: u32 = 2;

/// Another run works for this destination. One in which nothing has moved for as long as a pickup may take hangs.
pub(super) fn overtaken(setting: &Setting, spool: &Spool, push: &Push, lock: &Lock) -> Result<End> {
    let name = &push.name;
    let limit = setting.config.spool.alarm_after.0;
    let Some(age) = lock.held_for().filter(|age| *age >= limit) else {
        tracing::info!("another billdrop is bringing documents to {name}");
        return Ok(End::Busy);
    };
    let holder = lock
        .holder()
        .map_or("another billdrop".to_owned(), |pid| format!("process {pid}"));
    let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
    let reason = format!("{name}: {holder} is bringing documents there, and nothing has moved for {age}");
    tracing::error!("{reason}\n  See what it waits for, and end it: nothing is lost by that.");
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let event = failed_event(&ledger, name, &reason)?;
    ledger.notify(&Tell::new(&setting.managers(), &[event]), Utc::now())?;
    Ok(End::Failed(Failed {
        reason,
        is_alarming: true,
        is_refusal: false,
    }))
}

/// What failed is ours: a disk, the configuration. Managers hear of it at once.
pub(super) fn note_own(setting: &Setting, spool: &Spool, push: &Push, reason: &str) -> Result<()> {
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let known = ledger.destinations()?;
    let Some(state) = known.into_iter().find(|known| known.name == push.name) else {
        return Ok(());
    };
    let now = Utc::now();
    let event = failed_event(&ledger, &push.name, &format!("{}: {reason}", push.name))?;
    let tell = Tell::new(&setting.managers(), &[event]);
    let failures = state.failures.saturating_add(1);
    ledger.destination_state(&push.name, failures, state.alarmed.or(Some(now)), &tell, now)?;
    Ok(())
}

impl Queue<'_> {
    /// It has taken something.
    pub(super) fn works(&mut self) -> Result<()> {
        if self.state.failures == 0 {
            return Ok(());
        }
        let now = Utc::now();
        let mut events = Vec::new();
        if self.state.alarmed.is_some() {
            tracing::warn!("{} takes documents again", self.push.name);
            events.push(Event::DestinationRecovered {
                destination: self.push.name.clone(),
                at: now,
            });
        }
        let tell = Tell::new(&self.setting.managers(), &events);
        self.ledger.destination_state(&self.push.name, 0, None, &tell, now)?;
        (self.state.failures, self.state.alarmed) = (0, None);
        Ok(())
    }

    /// Notes a failed attempt with the document that was next.
    pub(super) fn note(&mut self, error: &DeliveryError, wait: Duration) -> Result<()> {
        if let Some(next) = self.ledger.next_delivery(&self.push.name, self.done)? {
            let again = Utc::now() + wait;
            self.ledger
                .delivery_failed(next.sequence, &self.push.name, error.message(), again)?;
        }
        Ok(())
    }

    /// The run ends without having brought everything: from the second time on that is an alarm.
    pub(super) fn fails(&mut self, error: &DeliveryError) -> Result<End> {
        let now = Utc::now();
        let failures = self.state.failures.saturating_add(1);
        let is_alarming = failures >= ALARMING;
        let (mut alarmed, mut events) = (self.state.alarmed, Vec::new());
        if is_alarming {
            tracing::error!("{error}\n  {failures} runs have failed, one after the other; later ones try again.");
            alarmed = alarmed.or(Some(now));
            events.push(self.failed(error.message())?);
        } else {
            tracing::warn!("{error}\n  Later runs try again.");
        }
        let tell = Tell::new(&self.setting.managers(), &events);
        self.ledger
            .destination_state(&self.push.name, failures, alarmed, &tell, now)?;
        Ok(End::Failed(Failed {
            reason: error.message().to_owned(),
            is_alarming,
            is_refusal: error.failure().is_refusal(),
        }))
    }

    /// A document that can never be delivered is an error each time, and told once. It stays pending: nobody but an
    /// operator may forget it.
    pub(super) fn give_up(&mut self, sequence: u64, reason: &str) -> Result<()> {
        let name = &self.push.name;
        let reason = format!("document {sequence} cannot be brought to {name}: {reason}");
        tracing::error!("{reason}");
        let now = Utc::now();
        let before = self.ledger.next_delivery(name, sequence.saturating_sub(1))?;
        if before.and_then(|delivery| delivery.last_error).as_ref() != Some(&reason) {
            let tell = Tell::new(&self.setting.managers(), &[self.failed(&reason)?]);
            self.ledger.notify(&tell, now)?;
        }
        self.ledger.delivery_failed(sequence, name, &reason, now)?;
        self.done = sequence;
        self.hopeless.push(reason);
        Ok(())
    }

    fn failed(&self, reason: &str) -> Result<Event> {
        failed_event(&self.ledger, &self.push.name, reason)
    }

    pub(super) fn end(&self) -> End {
        match self.hopeless.first() {
            None => End::Complete,
            Some(reason) => End::Failed(Failed {
                reason: reason.clone(),
                is_alarming: true,
                is_refusal: false,
            }),
        }
    }
}

fn failed_event(ledger: &Ledger, destination: &str, reason: &str) -> Result<Event> {
    let pending = ledger.pending_deliveries(destination)?.len();
    Ok(Event::DestinationFailed {
        destination: destination.to_owned(),
        pending: u32::try_from(pending).unwrap_or(u32::MAX),
        reason: reason.to_owned(),
        at: Utc::now(),
    })
}
