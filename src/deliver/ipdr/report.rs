//! Tells how things stand.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{CollectorStatus, Exporter, Snapshot};

/// Not more often than this.
const SELDOM: Duration = Duration::from_millis(200);

/// While records are under way.
const OFTEN: Duration = Duration::from_secs(2);

/// When was told last.
#[derive(Debug, Default)]
pub(super) struct Reports {
    last: Option<Instant>,
}

impl Exporter {
    pub(super) fn publish_if_due(&mut self) {
        if self.next_report().is_some_and(|at| at <= self.around.now) {
            self.publish();
        }
    }

    pub(super) fn next_report(&self) -> Option<Instant> {
        let wait = if self.around.is_changed {
            SELDOM
        } else if self.deliveries.iter().any(|delivery| delivery.active().is_some()) {
            OFTEN
        } else {
            return None;
        };
        Some(self.reports.last.map_or(self.around.now, |last| last + wait))
    }

    pub(super) fn publish(&mut self) {
        self.around.is_changed = false;
        self.reports.last = Some(self.around.now);
        let snapshot = self.snapshot();
        self.around.watch.snapshot(&snapshot);
    }

    fn snapshot(&self) -> Snapshot {
        let now = Utc::now();
        let links = &self.around.links;
        let moment = |at: Instant| -> DateTime<Utc> {
            let ago = TimeDelta::from_std(at.elapsed()).unwrap_or_default();
            now.checked_sub_signed(ago).unwrap_or(now)
        };
        let collector = |index: usize| {
            let connection = links.of_peer_ref(index);
            CollectorStatus {
                name: links.peers[index].name.clone(),
                address: connection.map(|one| one.address.to_string()),
                since: connection.map(|one| one.since),
                vendor: connection.map(|one| one.vendor.clone()).unwrap_or_default(),
                heard: connection.map(|one| moment(one.heard)),
                queued: connection.map_or(0, |one| one.wire.queued()),
            }
        };
        let is_known = |index: &usize| *index < self.settings.collectors.len() || links.is_connected(*index);
        let peers: Vec<usize> = (0..links.peers.len()).filter(is_known).collect();
        Snapshot {
            time: now,
            connections: links.len(),
            collectors: peers.iter().map(|index| collector(*index)).collect(),
            sessions: self
                .deliveries
                .iter()
                .map(|delivery| delivery.status(&self.settings, links, &peers))
                .collect(),
        }
    }
}
