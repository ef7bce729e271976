//! Sends notifications on behalf of a command: a manager that cannot be reached is a warning, never a failure.

use chrono::Utc;

use super::{counted, setting::Setting};
use crate::{
    ledger::{Event, Ledger},
    notify,
};

/// Sends what is due. What fails stays in the outbox for the next run.
pub fn due(ledger: &mut Ledger, setting: &Setting) {
    let mac = match setting.mac(Some(ledger)) {
        Ok(mac) => mac,
        Err(e) => return tracing::warn!("cannot notify: {e}"),
    };
    match notify::deliver(ledger, &setting.config, mac, Some(Utc::now())) {
        Ok(round) => {
            if round.dropped > 0 {
                tracing::warn!(
                    "{} to managers that are no longer configured: dropped",
                    counted(round.dropped as u64, "notification")
                );
            }
            for unsent in &round.failed {
                tracing::warn!("{unsent} It is kept for a later run.");
            }
        }
        Err(e) => tracing::warn!("cannot notify: {e}"),
    }
}

/// Sends events that the ledger could not keep.
pub fn at_once(ledger: Option<&Ledger>, setting: &Setting, events: &[Event]) {
    match setting.mac(ledger) {
        Ok(mac) => {
            for unsent in notify::send_at_once(ledger, &setting.config, mac, events) {
                tracing::error!("{unsent}");
            }
        }
        Err(e) => tracing::error!("cannot notify: {e}"),
    }
}
