//! Takes notifications out of the ledger's outbox and sends them, each manager its own in order.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{Engine, Sender, Unsent};
use crate::{
    config::{Config, Manager},
    ledger::{Event, LONGEST_WAIT, Ledger, LedgerError, Pending},
};

/// A capture holds its lock while it sends: a long backlog is left to the runs after it, or to `billdrop notify`.
const LONGEST_ROUND: Duration = Duration::from_secs(20);

/// What a round of sending came to.
#[derive(Debug, Default)]
pub struct Round {
    pub delivered: usize,
    /// What could not be delivered, and why; it stays in the outbox.
    pub failed: Vec<Unsent>,
    /// Notifications to managers that the configuration no longer has.
    pub dropped: usize,
}

/// When a round could not be held at all.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The `[snmp]` table or the engine is wrong.
    #[error("{0}")]
    Sender(String),
}

/// Sends what is due at `now`, or everything when `now` is `None`. After the first failure a manager is left alone
/// until the next round, so that a dead one costs the time of one notification however many wait for it.
pub fn deliver(
    ledger: &mut Ledger,
    config: &Config,
    mac: [u8; 6],
    now: Option<DateTime<Utc>>,
) -> Result<Round, RoundError> {
    let mut round = Round::default();
    let pending = ledger.pending()?;
    if pending.is_empty() {
        return Ok(round);
    }
    round.dropped = drop_strangers(ledger, config, &pending)?;
    let mut queues = queues(config, pending, now);
    if queues.is_empty() {
        return Ok(round);
    }
    let sender = Sender::new(engine(ledger, config, mac)?, &config.snmp.enterprise).map_err(RoundError::Sender)?;
    let begun = Instant::now();
    while !queues.is_empty() && (now.is_none() || begun.elapsed() < LONGEST_ROUND) {
        let jobs = queues
            .iter()
            .map(|(manager, queue)| (manager.clone(), queue[0].event.clone()));
        let results = sender.deliver(jobs.collect());
        let mut noted = Vec::new();
        let mut left = Vec::new();
        for ((manager, mut queue), result) in queues.into_iter().zip(results) {
            let tried = queue.remove(0);
            let attempts = tried.attempts.saturating_add(1);
            match result {
                Ok(()) => {
                    round.delivered += 1;
                    noted.push((tried.id, attempts, None));
                    if !queue.is_empty() {
                        left.push((manager, queue));
                    }
                }
                Err(unsent) => {
                    noted.push((tried.id, attempts, Some(unsent.to_string())));
                    round.failed.push(unsent);
                }
            }
        }
        ledger.attempted(&noted, Utc::now())?;
        queues = left;
    }
    Ok(round)
}

/// Sends events that the ledger could not take (its disk is full, say): once, to every manager.
pub fn send_at_once(ledger: Option<&Ledger>, config: &Config, mac: [u8; 6], events: &[Event]) -> Vec<Unsent> {
    let counted = ledger.and_then(|ledger| engine(ledger, config, mac).ok());
    let engine = counted.unwrap_or_else(|| Engine {
        id: engine_id(config, None, mac),
        boots: 1,
    });
    match Sender::new(engine, &config.snmp.enterprise) {
        Ok(sender) => {
            let jobs = config
                .managers
                .iter()
                .flat_map(|manager| events.iter().map(|event| (manager.clone(), event.clone())));
            sender
                .deliver(jobs.collect())
                .into_iter()
                .filter_map(Result::err)
                .collect()
        }
        Err(reason) => {
            tracing::error!("cannot notify: {reason}");
            Vec::new()
        }
    }
}

fn drop_strangers(ledger: &mut Ledger, config: &Config, pending: &[Pending]) -> Result<usize, RoundError> {
    // Without any manager this is rather the wrong configuration than one that gave up all of them.
    if config.managers.is_empty() {
        return Ok(0);
    }
    let known = |address: &str| config.managers.iter().any(|manager| manager.address == address);
    let strangers: Vec<i64> = pending.iter().filter(|p| !known(&p.manager)).map(|p| p.id).collect();
    if !strangers.is_empty() {
        ledger.drop_pending(&strangers)?;
    }
    Ok(strangers.len())
}

/// One from the future, or due later than any attempt is put off, is due: the clock was set back.
fn is_due(pending: &Pending, now: DateTime<Utc>) -> bool {
    pending.next_attempt <= now || pending.created > now || pending.next_attempt > now + LONGEST_WAIT
}

/// For each manager its notifications in order. One that is not due yet holds up those behind it.
fn queues(config: &Config, pending: Vec<Pending>, now: Option<DateTime<Utc>>) -> Vec<(Manager, Vec<Pending>)> {
    let mut queues: Vec<(Manager, Vec<Pending>)> = Vec::new();
    for manager in &config.managers {
        let queue: Vec<Pending> = pending
            .iter()
            .filter(|p| p.manager == manager.address)
            .cloned()
            .collect();
        let due = queue
            .first()
            .is_some_and(|first| now.is_none_or(|now| is_due(first, now)));
        let again = queues.iter().any(|(known, _)| known.address == manager.address);
        if due && !again {
            queues.push((manager.clone(), queue));
        }
    }
    queues
}

const BOOTS: &str = "snmp-engine-boots";
const ENGINE: &str = "snmp-engine-id";

/// The engine for this run. Its number of starts goes up each time, as RFC 3414 wants it, and survives in the ledger.
fn engine(ledger: &Ledger, config: &Config, mac: [u8; 6]) -> Result<Engine, RoundError> {
    let kept = ledger.meta(ENGINE)?;
    let id = engine_id(config, kept.as_deref(), mac);
    let shown = Engine {
        id: id.clone(),
        boots: 1,
    }
    .id_text();
    // Another id is another engine, which has never been started.
    let boots = match kept.as_deref() == Some(&shown) {
        true => ledger.meta(BOOTS)?.and_then(|text| text.parse().ok()).unwrap_or(0),
        false => {
            ledger.set_meta(ENGINE, &shown)?;
            0u32
        }
    };
    let engine = Engine {
        id,
        boots: boots.saturating_add(1),
    };
    ledger.set_meta(BOOTS, &engine.boots.to_string())?;
    Ok(engine)
}

/// The configured id, else the kept one, else one made of the MAC.
pub fn engine_id(config: &Config, kept: Option<&str>, mac: [u8; 6]) -> Vec<u8> {
    let configured = config.snmp.engine_id.as_deref();
    configured
        .or(kept)
        .and_then(|text| Engine::parse_id(text).ok())
        .unwrap_or_else(|| Engine::id_from_mac(mac))
}

/// The id that an operator gives to `createUser -e`: what the next notification will bear.
pub fn engine_id_text(ledger: Option<&Ledger>, config: &Config, mac: [u8; 6]) -> String {
    let kept = ledger.and_then(|ledger| ledger.meta(ENGINE).ok().flatten());
    Engine {
        id: engine_id(config, kept.as_deref(), mac),
        boots: 1,
    }
    .id_text()
}
