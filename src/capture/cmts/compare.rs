//! One poll beside the last document: which ends are new, which counters cannot be compared, what was lost.
//!
//! Counters are passed on as they are, smaller ones too. What happened to them is told in sentences, because the
//! DOCSIS record has no place for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::baseline::{Baseline, Unreadable};
use super::family::Family;
use super::join::{Flow, Identity, Modem, Poll, Span};
use super::tables::{InterfaceRow, Mac};
use super::uptime;

/// When and by what a poll was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub family: Family,
    pub boots: Option<u32>,
    pub span: Span,
    /// By our clock, milliseconds since 1970.
    pub read_ms: i64,
}

/// What goes into the document, and beside it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Ends that no document had yet, at most once each.
    pub stopped: Vec<Flow>,
    /// Modems of ended flows that are not there any more, as they were last seen.
    pub former: BTreeMap<Mac, Modem>,
    /// Usage that is known to be missing.
    pub missing: Vec<String>,
    /// What is remarkable though nothing is missing.
    pub remarks: Vec<String>,
    pub baseline: Option<Baseline>,
}

/// Compares `poll` with what was kept of the last document; [`None`]: there was none.
pub fn compare(
    poll: &Poll,
    interfaces: &BTreeMap<u32, InterfaceRow>,
    reading: Reading,
    before: Option<Result<Baseline, Unreadable>>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let before = match before {
        Some(Err(unreadable)) => {
            let told = "flows of the log may have had their Stop record in an earlier document";
            outcome.remarks.push(format!("{unreadable}: {told}"));
            None
        }
        Some(Ok(before)) => Some(before),
        None => None,
    };
    let ends: BTreeSet<(Identity, u32)> = poll.ended.iter().filter_map(end).collect();
    let delivered = before.as_ref().map(|before| &before.delivered);
    let is_new =
        |flow: &&Flow| end(flow).is_some_and(|end| delivered.is_none_or(|delivered| !delivered.contains(&end)));
    outcome.stopped = poll.ended.iter().filter(is_new).cloned().collect();
    if let Some(before) = &before {
        outcome.against(before, poll, interfaces, reading);
    }
    outcome.baseline = Some(Baseline {
        family: reading.family,
        boots: reading.boots,
        uptime_ticks: reading.span.ended_ticks,
        read_ms: reading.read_ms,
        modems: without_cpes(&poll.modems),
        live: poll
            .live
            .iter()
            .map(|flow| (flow.identity(), (flow.octets, flow.packets)))
            .collect(),
        // An entry that has left the log does not come again: it need not be remembered.
        delivered: ends,
    });
    outcome
}

impl Outcome {
    fn against(&mut self, before: &Baseline, poll: &Poll, interfaces: &BTreeMap<u32, InterfaceRow>, reading: Reading) {
        for flow in &self.stopped {
            if !poll.modems.contains_key(&flow.mac)
                && let Some(modem) = before.modems.get(&flow.mac)
            {
                self.former.insert(flow.mac, modem.clone());
            }
        }
        if restarted(before, reading) {
            let lost = before.live.len();
            self.missing.push(format!(
                "the CMTS has restarted since the last document: what {lost} service flows passed between the two is \
                 not known"
            ));
            return;
        }
        self.find_vanished(before, poll);
        if before.family != reading.family {
            self.remarks.push(format!(
                "service flows are counted by {} now, by {} in the last document: their counters are not compared",
                reading.family.name(),
                before.family.name()
            ));
            return;
        }
        self.compare_counters(before, poll, interfaces, reading);
    }

    /// A flow that is gone must be in the log, else its last usage is not known.
    fn find_vanished(&mut self, before: &Baseline, poll: &Poll) {
        let known: BTreeSet<Identity> = poll.live.iter().chain(&poll.ended).map(Flow::identity).collect();
        let in_doubt: BTreeSet<_> = poll.doubts.all().collect();
        let vanished = before.live.keys().filter(|identity| !known.contains(identity));
        let mut vanished = vanished.filter(|identity| !in_doubt.contains(&identity.key));
        if let Some(first) = vanished.next() {
            let count = 1 + vanished.count();
            self.missing.push(format!(
                "{count} service flows of the last document are gone and not in the log of the CMTS: their last usage \
                 is not known (the first is SFID {} in MAC domain ifIndex {})",
                first.key.id, first.key.domain
            ));
        }
    }

    fn compare_counters(
        &mut self,
        before: &Baseline,
        poll: &Poll,
        interfaces: &BTreeMap<u32, InterfaceRow>,
        reading: Reading,
    ) {
        let (mut wrapped, mut reset, mut lower) = (0_u64, 0_u64, 0_u64);
        for flow in poll.live.iter().chain(&self.stopped) {
            let Some((octets, packets)) = before.live.get(&flow.identity()) else {
                continue;
            };
            if flow.octets >= *octets && flow.packets >= *packets {
                continue;
            }
            let moved = interfaces
                .get(&flow.key.domain)
                .and_then(|interface| interface.discontinuity_ticks)
                .is_some_and(|ticks| moved_since(ticks, before.uptime_ticks, reading.span.ended_ticks));
            match (moved, flow.narrow) {
                (true, _) => reset += 1,
                (false, true) => wrapped += 1,
                (false, false) => lower += 1,
            }
        }
        let sentences = [
            (reset, "were set back with the counters of their MAC domain"),
            (wrapped, "have passed the end of their 32-bit counters, once or more"),
            (
                lower,
                "have lower counters than in the last document though the CMTS did not restart",
            ),
        ];
        let told = sentences.iter().filter(|(count, _)| *count > 0);
        self.remarks
            .extend(told.map(|(count, what)| format!("{count} service flows {what}")));
    }
}

fn end(flow: &Flow) -> Option<(Identity, u32)> {
    Some((flow.identity(), flow.deleted_ticks?))
}

/// snmpEngineBoots tells it for certain; sysUpTime where the agent does not show that.
fn restarted(before: &Baseline, reading: Reading) -> bool {
    if let (Some(then), Some(now)) = (before.boots, reading.boots)
        && then != now
    {
        return true;
    }
    let elapsed = reading.read_ms.saturating_sub(before.read_ms);
    let elapsed = Duration::from_millis(u64::try_from(elapsed).unwrap_or(0));
    uptime::restarted(before.uptime_ticks, reading.span.ended_ticks, elapsed)
}

/// Whether ifCounterDiscontinuityTime lies between the two readings.
fn moved_since(ticks: u32, before_ticks: u32, now_ticks: u32) -> bool {
    ticks != 0 && now_ticks.wrapping_sub(ticks) < now_ticks.wrapping_sub(before_ticks)
}

fn without_cpes(modems: &BTreeMap<Mac, Modem>) -> BTreeMap<Mac, Modem> {
    let modem = |modem: &Modem| Modem {
        cpes: Vec::new(),
        ..modem.clone()
    };
    modems.iter().map(|(mac, facts)| (*mac, modem(facts))).collect()
}
