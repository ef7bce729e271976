//! Documents from the store to the session, and what became of them back to the store.

use std::sync::Arc;

use super::{Around, Delivery, Encoding};
use crate::{
    deliver::ipdr::{Event, store::Stored},
    protocol::ipdr::Document,
};

impl Delivery {
    /// Opens the next document if there is none, and takes what was added to the one that is open.
    pub(super) fn take_documents(&mut self, around: &mut Around) {
        self.must_look = false;
        // As many turns as there are documents at most: each ends one or is the last.
        loop {
            if !self.settle_done(around) {
                return;
            }
            if self.session.document().is_none() {
                let oldest = self.store.oldest();
                self.change_templates(oldest.as_ref(), around);
                let Some(stored) = oldest else { return };
                self.open(stored);
            } else if let Some(stored) = self.document.as_ref().and_then(|open| self.store.get(open.number)) {
                self.grow(stored);
            }
            self.end_if_complete(around);
            if self.session.document().is_some() {
                return;
            }
        }
    }

    /// Tells the store which document is delivered. Whether it knows.
    pub(super) fn settle_done(&mut self, around: &mut Around) -> bool {
        let Some(number) = self.done else { return true };
        match self.store.delivered(number) {
            Ok(()) => {
                self.done = None;
                true
            }
            Err(error) => {
                self.trouble(&error, around);
                false
            }
        }
    }

    fn open(&mut self, stored: Stored) {
        let document = match stored.is_started {
            true => Document::resumed(stored.id, stored.records, stored.acknowledged, stored.dropped),
            false => Document::waiting(stored.id, stored.records, stored.dropped),
        };
        // There is none: that was looked at.
        if self.session.open(document).is_ok() {
            self.feed.reset();
            self.lost = 0;
            self.document = Some(stored);
        }
    }

    fn grow(&mut self, stored: Stored) {
        let known = self.session.document().map_or(0, Document::records);
        if stored.records > known {
            // A document is open: that was looked at.
            let _ = self.session.add(stored.records - known);
        }
        if let Some(open) = &mut self.document {
            open.records = stored.records;
            open.is_complete = stored.is_complete;
        }
    }

    /// An interval without a record is a document, too: somebody must have seen it begin before it ends.
    pub(super) fn end_if_complete(&mut self, around: &mut Around) {
        let (Some(stored), Some(document)) = (&self.document, self.session.document()) else {
            return;
        };
        let is_seen = stored.records > 0 || self.session.active().is_some();
        if stored.is_complete && !document.is_complete() && is_seen {
            let _ = self.session.complete(around.now, &mut self.actions);
            self.perform(around);
        }
    }

    /// The document is delivered.
    pub(super) fn close(&mut self, around: &mut Around) {
        let Some(stored) = self.document.take() else { return };
        self.delivered.0 += 1;
        self.delivered.1 += stored.records;
        self.feed.reset();
        self.is_moved = false;
        self.done = Some(stored.number);
        self.must_look = true;
        self.needs_turn = true;
        let delivered = Event::Delivered {
            session: self.setting.name.clone(),
            document: stored.id,
            records: stored.records,
            dropped: stored.dropped + self.lost,
        };
        around.tell(&delivered);
    }

    pub(super) fn note_acknowledged(&mut self, around: &mut Around) {
        let (Some(stored), Some(document)) = (&self.document, self.session.document()) else {
            return;
        };
        if !std::mem::take(&mut self.is_moved) {
            return;
        }
        let (below, dropped) = (document.first_unacknowledged(), document.dropped());
        if let Err(error) = self.store.note_acknowledged(stored.number, below, dropped) {
            self.trouble(&error, around);
        }
    }

    /// Between two documents collectors get the templates of the next one, if they are others.
    pub(super) fn change_templates(&mut self, next: Option<&Stored>, around: &mut Around) {
        let wanted = match next {
            Some(stored) => Encoding {
                config_id: stored.config_id,
                template: Arc::clone(&stored.template),
            },
            None => self.wanted.clone(),
        };
        if wanted == self.encoding {
            return;
        }
        self.encoding = wanted;
        self.awaits_incumbent = self.incumbent.is_some();
        // There is no document: that was looked at.
        let _ = self.session.templates_changed(around.now, &mut self.actions);
        self.perform(around);
    }
}
