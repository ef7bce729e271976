//! How a session stands.

use super::Delivery;
use crate::{
    deliver::ipdr::{DocumentStatus, FlowStatus, PriorityOrder, SessionStatus, Settings, links::Links},
    protocol::ipdr::State,
};

impl Delivery {
    pub(in crate::deliver::ipdr) fn status(
        &self,
        settings: &Settings,
        links: &Links,
        peers: &[usize],
    ) -> SessionStatus {
        let waiting = self.store.waiting();
        let name = |peer: usize| links.peers[peer].name.clone();
        let document = self.document.as_ref().zip(self.session.document());
        SessionStatus {
            id: self.setting.id,
            name: self.setting.name.clone(),
            active: self.active().map(name),
            document: document.map(|(stored, document)| DocumentStatus {
                number: stored.number,
                id: stored.id.to_string(),
                created: stored.created,
                records: document.records(),
                sent: document.sent(),
                acknowledged: document.first_unacknowledged(),
                dropped: document.dropped(),
                is_complete: stored.is_complete,
                last_acknowledgement: self.moved_at,
            }),
            window: self.setting.patience.window,
            waiting_documents: waiting.documents,
            waiting_records: waiting.records,
            waiting_octets: waiting.octets,
            delivered_documents: self.delivered.0,
            delivered_records: self.delivered.1,
            collectors: peers
                .iter()
                .filter(|peer| self.is_for(**peer))
                .map(|peer| FlowStatus {
                    name: name(*peer),
                    priority: self.priority(settings, *peer),
                    state: word(self.state(*peer)).to_owned(),
                    is_in_doubt: self.candidates[*peer].in_doubt_since.is_some(),
                })
                .collect(),
        }
    }

    /// As it was configured.
    fn priority(&self, settings: &Settings, peer: usize) -> Option<u32> {
        let rank = u32::try_from(self.candidates[peer].rank?).ok()?;
        Some(match settings.order {
            PriorityOrder::Ascending => rank,
            PriorityOrder::Descending => u32::MAX - rank,
        })
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Disconnected => "disconnected",
        State::Connected => "connected",
        State::Initiation => "initiation",
        State::Ready => "ready",
        State::Active => "active",
    }
}
