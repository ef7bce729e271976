//! Does what the session wants done.

use std::time::Duration;

use chrono::Utc;

use super::{Around, Delivery};
use crate::{
    deliver::ipdr::Event,
    protocol::ipdr::{
        Action, Body, Collector, ErrorKind, Failure, Ignored, SessionStart, SessionStopReason, Templates,
    },
};

impl Delivery {
    pub(super) fn perform(&mut self, around: &mut Around) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.act(action, around);
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action, around: &mut Around) {
        match action {
            Action::Templates(Collector(peer)) => self.send_templates(peer, around),
            Action::Start {
                collector: Collector(peer),
                first_sequence,
                dropped_records,
            } => self.start(peer, first_sequence, dropped_records, around),
            Action::Stop(Collector(peer), reason) => self.send_stop(peer, reason, around),
            Action::Nudge(Collector(peer)) => around.send(peer, 0, Body::KeepAlive),
            Action::SessionError(Collector(peer), kind) => self.send_error(peer, kind, around),
            Action::Ready(Collector(peer)) => {
                let (session, collector) = (self.setting.name.clone(), around.name(peer));
                around.tell(&Event::Ready { session, collector });
            }
            Action::Failed(Collector(peer), failure) => self.failed(peer, failure, around),
            Action::Delivered { .. } => self.advanced(around),
            Action::Ignored(Collector(peer), ignored) => ignored_acknowledgement(peer, ignored, around),
            Action::Done => self.close(around),
        }
    }

    fn start(&mut self, peer: usize, first_sequence: u64, dropped_records: u64, around: &mut Around) {
        let Some(document) = &self.document else { return };
        self.feed.reset();
        let start = SessionStart {
            exporter_boot_time: around.boot_time,
            first_sequence,
            dropped_records,
            is_primary: self.is_best(peer),
            ack_seconds: self.ack_seconds(),
            ack_records: self.setting.ack_records,
            document_id: document.id,
        };
        around.send(peer, self.setting.id, Body::SessionStart(start));
        let before = self.incumbent.replace(peer).filter(|before| *before != peer);
        if before.is_some() || self.in_office_since.is_none() {
            self.in_office_since = Some(around.now);
        }
        let rank = |peer: usize| self.candidates[peer].rank;
        let started = Event::Started {
            session: self.setting.name.clone(),
            collector: around.name(peer),
            document: document.id,
            first_sequence,
            instead_of: before.map(|before| around.name(before)),
            is_better: before.is_some_and(|before| rank(peer) < rank(before)),
        };
        around.tell(&started);
    }

    /// Of the best rank that the session has.
    pub(super) fn is_best(&self, peer: usize) -> bool {
        let best = self.candidates.iter().filter_map(|one| one.rank).min();
        self.candidates[peer].rank == best
    }

    fn send_templates(&mut self, peer: usize, around: &mut Around) {
        if self.asker == Some(peer) {
            return;
        }
        let templates = Templates {
            config_id: self.encoding.config_id,
            is_negotiable: self.may_negotiate(peer, around),
            templates: vec![(*self.encoding.template).clone()],
        };
        around.send(peer, self.setting.id, Body::TemplateData(templates));
    }

    pub(super) fn send_stop(&self, peer: usize, reason: SessionStopReason, around: &mut Around) {
        if around.is_ending && reason != SessionStopReason::ExporterTerminating {
            return;
        }
        let reason = self.stop_reason.unwrap_or(reason);
        let info = match reason {
            SessionStopReason::EndOfData => "end of the document",
            SessionStopReason::HandingOff => "another collector goes on",
            SessionStopReason::ExporterTerminating => "the exporter ends",
            SessionStopReason::RenegotiationRequired => "the flow begins anew",
            SessionStopReason::StartNegotiationAcknowledged => "negotiation begins",
            _ => "",
        };
        let info = info.to_owned();
        around.send(peer, self.setting.id, Body::SessionStop { reason, info });
    }

    pub(super) fn send_error(&self, peer: usize, kind: ErrorKind, around: &mut Around) {
        let description = if kind == ErrorKind::TEMPLATE_ACK_EXPIRED {
            "FINAL_TEMPLATE_DATA_ACK did not come in time"
        } else {
            "this cannot be done in the state of the session"
        };
        around.send_session_error(peer, self.setting.id, kind, description);
    }

    fn failed(&mut self, peer: usize, failure: Failure, around: &mut Around) {
        let candidate = &mut self.candidates[peer];
        candidate.failures = candidate.failures.saturating_add(1);
        if matches!(failure, Failure::Stalled | Failure::Unacknowledged) {
            candidate.in_doubt_since = Some(around.now);
        }
        self.in_office_since = None;
        let failed = Event::Failed {
            session: self.setting.name.clone(),
            collector: around.name(peer),
            failure,
        };
        around.tell(&failed);
    }

    /// An acknowledgement has advanced, or records were given up.
    fn advanced(&mut self, around: &mut Around) {
        self.is_moved = true;
        self.moved_at = Some(Utc::now());
        let Some(candidate) = self
            .session
            .holder()
            .and_then(|Collector(peer)| self.candidates.get_mut(peer))
        else {
            return;
        };
        candidate.in_doubt_since = None;
        let since = *self.in_office_since.get_or_insert(around.now);
        if around.now.saturating_duration_since(since) > FORGIVEN {
            candidate.failures = 0;
        }
    }
}

/// Who has done well for so long has not failed before.
const FORGIVEN: Duration = Duration::from_secs(300);

fn ignored_acknowledgement(peer: usize, ignored: Ignored, around: &mut Around) {
    let collector = around.name(peer);
    match ignored {
        Ignored::NotWritten { sequence } => tracing::info!(
            "collector {collector} acknowledges record {sequence}, which it has not got: it does not count"
        ),
        Ignored::NotItsDocument => tracing::debug!("collector {collector} acknowledges, and has no document"),
        Ignored::Old { sequence } => tracing::debug!("collector {collector} acknowledges record {sequence} again"),
    }
}
