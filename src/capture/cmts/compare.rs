//! One poll beside the last document: which ends are new, which counters cannot be compared, what was lost.
//!
//! Counters are passed on as they are, smaller ones too. What happened to them is told in sentences, because the
//! records have no place for it. A flow is the same as in the last document when the time of its begin is: a modem that
//! registered anew has other flows, whether their SFIDs are new or not.
//!
//! The end of a flow that is not in the log is missing usage, not a Stop record: nobody knows what it passed after the
//! last document. An end that was in the log before the first document has its record all the same, as the first
//! Interim records have all that was ever counted; who has records of that time from elsewhere finds the ends there by
//! their time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::baseline::{Baseline, Kept, Unreadable};
use super::family::Family;
use super::join::{End, Flow, Identity, Poll, Span};
use super::modems::Modem;
use super::snmp::Entry;
use super::tables::{FlowKey, InterfaceRow, Mac};
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
    /// Flows that have another modem than in the last document though they were made at the same time: the counters are
    /// still those of the flow of the first modem, or the modem is that of the next flow. They have no record.
    pub withheld: BTreeSet<Identity>,
    /// Flows without usage in whose place there was some in the last document.
    pub zeroed: Vec<Identity>,
    /// Entries of the log whose Stop record is in a document that was sealed before this poll: the CMTS need not keep
    /// them for us.
    pub releasable: Vec<Entry>,
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
        None => {
            if !poll.ended.is_empty() {
                let count = poll.ended.len();
                outcome.remarks.push(format!(
                    "{count} service flows had ended before this first document, some perhaps long before; they have \
                     their Stop record in it"
                ));
            }
            None
        }
    };
    let is_delivered = |end: &End| before.as_ref().is_some_and(|before| before.has_delivered(end));
    let new = poll
        .ended
        .iter()
        .filter(|flow| flow.end().is_some_and(|end| !is_delivered(&end)));
    outcome.stopped = new.cloned().collect();
    let releasable = poll.log.iter().filter(|entry| is_delivered(&entry.end));
    outcome.releasable = releasable
        .map(|entry| Entry {
            index: entry.index,
            key: entry.end.0.key,
            deleted_ticks: entry.end.1,
        })
        .collect();
    outcome.tell_of_unowned(before.as_ref(), poll);
    if let Some(before) = &before {
        outcome.complete_stopped(before, poll);
        outcome.against(before, poll, interfaces, reading);
    }
    let live = poll
        .live
        .iter()
        .filter(|flow| !outcome.withheld.contains(&flow.identity()));
    outcome.baseline = Some(Baseline::next(live, poll, reading, before));
    outcome
}

impl Outcome {
    /// Takes what the log does not have from the last document.
    fn complete_stopped(&mut self, before: &Baseline, poll: &Poll) {
        for flow in &mut self.stopped {
            if let Some(kept) = before.kept(&flow.identity()) {
                flow.channels = kept.channels.clone();
                (flow.app_id, flow.gate_id) = (kept.app_id, kept.gate_id);
            }
            if !poll.modems.contains_key(&flow.mac)
                && let Some(modem) = before.modems.get(&flow.mac)
            {
                self.former.insert(flow.mac, modem.clone());
            }
        }
    }

    fn against(&mut self, before: &Baseline, poll: &Poll, interfaces: &BTreeMap<u32, InterfaceRow>, reading: Reading) {
        let silent = poll.live.iter().filter(|flow| !flow.has_passed_anything());
        self.zeroed = silent
            .map(Flow::identity)
            .filter(|flow| before.had_usage(flow))
            .collect();
        let vanished = vanished(before, poll);
        self.withhold_mixtures(&vanished, poll);
        if restarted(before, reading) {
            self.tell_of_restart(&vanished);
        } else {
            self.tell_of_vanished(before, &vanished);
        }
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

    /// Multicast flows of agents that do not say which they are never have a modem. One that had a modem has lost its
    /// record.
    fn tell_of_unowned(&mut self, before: Option<&Baseline>, poll: &Poll) {
        if poll.doubts.unowned.is_empty() {
            return;
        }
        let owned: BTreeSet<FlowKey> = before
            .iter()
            .flat_map(|before| &before.live)
            .map(|(flow, _)| flow.key)
            .collect();
        let (lost, nobodys): (Vec<FlowKey>, Vec<_>) = poll.doubts.unowned.iter().partition(|key| owned.contains(key));
        let tell = |flows: &[FlowKey], what: &str| {
            let FlowKey { domain, id } = flows.first()?;
            let count = flows.len();
            Some(format!(
                "{count} service flows {what} (the first is SFID {id} in MAC domain ifIndex {domain})"
            ))
        };
        self.missing.extend(tell(&lost, "have no modem any more and no record"));
        self.remarks.extend(tell(
            &nobodys,
            "belong to no modem and have no record: multicast, it seems",
        ));
    }

    /// An SFID that was given to another modem between the reading of the counters and that of the owners, of which no log
    /// tells.
    fn withhold_mixtures(&mut self, vanished: &[Identity], poll: &Poll) {
        let made = |flow: &Identity| (flow.key, flow.direction, flow.created_ticks);
        let gone: BTreeSet<_> = vanished.iter().map(made).collect();
        let live = poll.live.iter().map(Flow::identity);
        self.withheld = live.filter(|flow| gone.contains(&made(flow))).collect();
        if let Some(first) = self.withheld.first() {
            self.missing.push(format!(
                "{} service flows have another modem than in the last document and have no record, for the counters \
                 may be those of either (the first is SFID {} in MAC domain ifIndex {})",
                self.withheld.len(),
                first.key.id,
                first.key.domain
            ));
        }
    }

    /// Where the management of a CMTS alone started anew, or its standby took over, flows go on.
    fn tell_of_restart(&mut self, vanished: &[Identity]) {
        match vanished.len() {
            0 => self.remarks.push(
                "the CMTS, or the management of it, has restarted since the last document; its service flows went on \
                 or are in its log"
                    .to_owned(),
            ),
            lost => self.missing.push(format!(
                "the CMTS has restarted since the last document: what {lost} service flows passed between the two is \
                 not known"
            )),
        }
    }

    /// A flow that is gone must be in the log, else its last usage is not known. No CMTS logs SIDs of DOCSIS 1.0.
    fn tell_of_vanished(&mut self, before: &Baseline, vanished: &[Identity]) {
        let is_of_sid = |flow: &&Identity| before.modems.get(&flow.mac).is_some_and(|modem| modem.mode == Some(10));
        let (sids, flows): (Vec<_>, Vec<_>) = vanished.iter().partition(is_of_sid);
        let tell = |gone: &[&Identity], why: &str| {
            let first = gone.first()?;
            Some(format!(
                "{} {why} (the first is {} in MAC domain ifIndex {})",
                gone.len(),
                first.key.id,
                first.key.domain
            ))
        };
        let of_flows = "service flows of the last document are gone and not in the log of the CMTS: their last usage is \
                        not known; let the CMTS log the flows that end and keep them for longer than the time between \
                        two captures (Cisco: cable sflog)";
        let of_sids = "SIDs of DOCSIS 1.0 modems of the last document are gone: their last usage is not known, for no \
                       CMTS logs it";
        self.missing
            .extend([tell(&flows, of_flows), tell(&sids, of_sids)].into_iter().flatten());
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
            let Some(Kept { octets, packets, .. }) = before.kept(&flow.identity()) else {
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
                "have lower counters than in the last document though their MAC domain was not set back: set back one by \
                 one, or counted in 32 bits by the hardware",
            ),
        ];
        let told = sentences.iter().filter(|(count, _)| *count > 0);
        self.remarks
            .extend(told.map(|(count, what)| format!("{count} service flows {what}")));
    }
}

/// Flows of the last document that are neither there nor in the log, and not in doubt either.
fn vanished(before: &Baseline, poll: &Poll) -> Vec<Identity> {
    let known = |identity: &Identity| {
        poll.live.binary_search_by_key(identity, Flow::identity).is_ok()
            || poll.ended.binary_search_by_key(identity, Flow::identity).is_ok()
    };
    let in_doubt: BTreeSet<_> = poll.doubts.all().collect();
    let vanished = before.live.iter().map(|(identity, _)| *identity);
    vanished
        .filter(|identity| !in_doubt.contains(&identity.key) && !known(identity))
        .collect()
}

/// By sysUpTime, and by snmpEngineBoots where the agent shows it: that alone finds out a CMTS whose restart fell so that
/// sysUpTime is where it would be anyway.
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
