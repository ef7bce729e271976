//! An orderly end: SESSION_STOP, the last acknowledgements, DISCONNECT; and all that in bounded time.

use std::time::Instant;

use super::{Exporter, connection::Stage};
use crate::protocol::ipdr::Body;

#[derive(Debug)]
pub(super) struct Farewell {
    /// Until when acknowledgements are waited for.
    ask_until: Instant,
    /// Until when all this may take.
    until: Instant,
    is_disconnected: bool,
}

impl Farewell {
    pub(super) fn deadline(&self) -> Instant {
        if self.is_disconnected {
            self.until
        } else {
            self.ask_until
        }
    }
}

impl Exporter {
    pub(super) fn begin_farewell(&mut self) {
        if self.farewell.is_some() {
            return;
        }
        let now = self.around.now;
        let until = now.checked_add(self.settings.farewell).unwrap_or(now);
        self.farewell = Some(Farewell {
            // DISCONNECT wants some of the time, too.
            ask_until: until.checked_sub(self.settings.farewell / 4).unwrap_or(until),
            until,
            is_disconnected: false,
        });
        self.around.is_ending = true;
        for delivery in &mut self.deliveries {
            delivery.say_farewell(&mut self.around);
        }
    }

    /// When nobody owes an acknowledgement any more, or the time for that is over, everybody gets DISCONNECT.
    pub(super) fn go_on_with_farewell(&mut self) {
        let now = self.around.now;
        let Some(farewell) = &mut self.farewell else { return };
        if farewell.is_disconnected {
            return;
        }
        let owes =
            |delivery: &super::delivery::Delivery| delivery.active().is_some_and(|peer| delivery.is_owed_by(peer));
        if now < farewell.ask_until && self.deliveries.iter().any(owes) {
            return;
        }
        farewell.is_disconnected = true;
        for key in self.around.links.keys() {
            match self.around.links.get(key).map(|connection| connection.stage) {
                Some(Stage::Open) => self.leave(key, Some(Body::Disconnect), "we are ending"),
                Some(Stage::Dialling { .. } | Stage::Greeting { .. }) => self.around.links.remove(key),
                Some(Stage::Leaving { .. }) | None => {}
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.farewell.as_ref().is_some_and(|farewell| {
            farewell.is_disconnected && (self.around.links.len() == 0 || self.around.now >= farewell.until)
        })
    }
}
