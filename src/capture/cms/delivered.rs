//! Which entries of the history were delivered: each goes into one document, whatever the clocks do.
//!
//! Of the last week every time is remembered; of what was before only the runs, from the first to the last time of
//! entries that followed each other without a long pause. An entry within a run counts as delivered. So a clock that was
//! ahead for a while, or is set back, makes nothing be delivered twice, and costs only what cannot be told apart.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970.
pub type Millis = i64;

/// How far back entries that were delivered are asked for again, for those that appear late.
const OVERLAP: Millis = TimeDelta::days(1).num_milliseconds();

/// How far back every time is remembered. One entry every five minutes makes 2016.
const EXACT: Millis = TimeDelta::days(7).num_milliseconds();

/// Times remembered at most, some three months of them: while some are missing, all are remembered that are asked for
/// again.
const MOST_TIMES: usize = 30_000;

/// A CMS writes an entry every five minutes; a longer pause than this ends a run, and is remarked.
pub const PAUSE: Millis = TimeDelta::minutes(16).num_milliseconds();

const MOST_RUNS: usize = 64;
pub const MOST_HOSTS: usize = 100;

/// What is remembered, by hostId; the empty one stands for a CMS that did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    hosts: BTreeMap<String, Host>,
    /// The CMS's clock when all hosts were asked last: of a host that is new, entries are asked for from then on.
    asked: Option<Millis>,
}

/// Of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// As differences, which are short.
    #[serde(with = "differences")]
    times: BTreeSet<Millis>,
    runs: Vec<(Millis, Millis)>,
    /// From here on something may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<Millis>,
}

impl Delivered {
    /// What was remembered with the last document; [`None`] when it cannot be read.
    pub fn remembered(baseline: Option<&[u8]>) -> Option<Self> {
        match baseline {
            Some(octets) => serde_json::from_slice(octets).ok(),
            None => Some(Delivered::default()),
        }
    }

    pub fn to_baseline(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// The CMS's clock when all hosts were asked last, or from when on they should have been.
    pub fn asked(&self) -> Option<Millis> {
        self.asked
    }

    pub fn host(&mut self, id: &str) -> &mut Host {
        self.hosts.entry(id.to_owned()).or_default()
    }

    /// The history begins at `first`, however often it cannot be asked for from now on.
    pub fn begin_at(&mut self, first: Millis) {
        self.asked.get_or_insert(first);
    }

    /// All hosts have been asked.
    pub fn asked_at(&mut self, now: Millis) {
        self.asked = Some(now);
    }

    /// Keeps what is remembered small, whatever the CMS calls its hosts.
    pub fn forget_the_oldest(&mut self) {
        while self.hosts.len() > MOST_HOSTS {
            let oldest = self.hosts.iter().min_by_key(|(_, host)| host.latest(Millis::MAX));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                return;
            };
            self.hosts.remove(&id);
        }
    }
}

impl Host {
    /// The time of the latest entry that was delivered, of those up to `now`.
    pub fn latest(&self, now: Millis) -> Option<Millis> {
        let exact = self.times.range(..=now).next_back().copied();
        let runs = self.runs.iter().filter(|run| run.0 <= now).map(|run| run.1.min(now));
        runs.chain(exact).max()
    }

    /// From when on entries are to be asked for; `first` where none was delivered before `now`. Never from before the
    /// first that was delivered: the history begins there.
    pub fn from(&self, now: Millis, first: Millis) -> Millis {
        let earliest = self
            .times
            .first()
            .into_iter()
            .chain(self.runs.iter().map(|run| &run.0))
            .min();
        let from = match self.latest(now) {
            Some(latest) => latest.saturating_sub(OVERLAP).max(*earliest.unwrap_or(&latest)),
            None => first,
        };
        self.again.map_or(from, |again| again.min(from))
    }

    pub fn has_none(&self) -> bool {
        self.times.is_empty() && self.runs.is_empty()
    }

    pub fn was_delivered(&self, time: Millis) -> bool {
        self.times.contains(&time)
    }

    /// Whether it cannot be told from one that was delivered.
    pub fn is_within_a_run(&self, time: Millis) -> bool {
        self.runs.iter().any(|run| (run.0..=run.1).contains(&time))
    }

    pub fn deliver(&mut self, time: Millis) {
        self.times.insert(time);
    }

    /// All from `from` to `now` was asked for. What will not be asked for again becomes part of a run.
    pub fn asked(&mut self, from: Millis, now: Millis, is_complete: bool) {
        self.again = (!is_complete).then_some(from);
        let latest = self.latest(now).unwrap_or(now);
        let exact = latest.saturating_sub(EXACT).min(self.again.unwrap_or(Millis::MAX));
        while let Some(time) = self.times.first().copied()
            && (time < exact || self.times.len() > MOST_TIMES)
        {
            self.times.pop_first();
            self.add_to_run(time);
            self.again = self.again.map(|again| again.max(time));
        }
    }

    fn add_to_run(&mut self, time: Millis) {
        let near =
            |run: &&mut (Millis, Millis)| (run.0.saturating_sub(PAUSE)..=run.1.saturating_add(PAUSE)).contains(&time);
        match self.runs.iter_mut().find(near) {
            Some(run) => *run = (run.0.min(time), run.1.max(time)),
            None => self.runs.push((time, time)),
        }
        if self.runs.len() > MOST_RUNS {
            self.runs.sort_unstable();
            self.runs.remove(0);
        }
    }
}

mod differences {
    use super::{BTreeSet, Millis};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(times: &BTreeSet<Millis>, to: S) -> Result<S::Ok, S::Error> {
        let mut before = 0;
        to.collect_seq(times.iter().map(|time| {
            let difference = time.saturating_sub(before);
            before = *time;
            difference
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Millis>, D::Error> {
        let mut time: Millis = 0;
        let mut times = BTreeSet::new();
        for difference in Vec::<Millis>::deserialize(from)? {
            time = time
                .checked_add(difference)
                .ok_or_else(|| D::Error::custom("no time"))?;
            times.insert(time);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;
    const DAY: Millis = 1440 * MINUTE;

    /// A CMS that has an entry every five minutes, and is asked at `now`: what is new to a host that was asked before.
    fn capture(host: &mut Host, now: Millis, entries: impl Iterator<Item = Millis>) -> Vec<Millis> {
        let from = host.from(now, now - DAY);
        let mut new = Vec::new();
        for time in entries.filter(|time| (from..=now).contains(time)) {
            if !host.was_delivered(time) && !host.is_within_a_run(time) {
                host.deliver(time);
                new.push(time);
            }
        }
        host.asked(from, now, true);
        new
    }

    fn every_five_minutes(from: Millis, to: Millis) -> impl Iterator<Item = Millis> {
        (from..=to).step_by(5 * MINUTE as usize)
    }

    #[test]
    fn each_is_new_once_over_a_year_of_captures_and_little_is_remembered() {
        let begin = 20_000 * DAY;
        let mut host = Host::default();
        let mut count = 0;
        for day in 1..=365 {
            let now = begin + day * DAY;
            count += capture(&mut host, now, every_five_minutes(begin, now)).len();
        }
        assert_eq!(count, 365 * 288 + 1);
        assert_eq!((host.runs.len(), host.times.len()), (1, 7 * 288 + 1));
        let mut delivered = Delivered::default();
        delivered.hosts.insert("h".to_owned(), host);
        let baseline = delivered.to_baseline().unwrap();
        assert!(baseline.len() < 16 << 10, "{}", baseline.len());
        assert_eq!(Delivered::remembered(Some(&baseline)), Some(delivered));
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_costs_nothing() {
        let begin = 20_000 * DAY;
        let mut host = Host::default();
        assert_eq!(
            capture(&mut host, begin, every_five_minutes(begin - DAY, begin)).len(),
            289
        );
        let ahead = begin + 3650 * DAY;
        let wrong = || every_five_minutes(ahead, ahead + DAY);
        assert_eq!(capture(&mut host, ahead + DAY, wrong()).len(), 289);
        // Set right again; the wrong ones stay in the CMS.
        for day in 1..=30 {
            let now = begin + day * DAY;
            let right = every_five_minutes(begin - DAY, now);
            assert_eq!(capture(&mut host, now, right.chain(wrong())).len(), 288, "day {day}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_by_weeks_brings_nothing_again() {
        let begin = 20_000 * DAY;
        let mut host = Host::default();
        for day in 1..=30 {
            let now = begin + day * DAY;
            capture(&mut host, now, every_five_minutes(begin, now));
        }
        for days_back in [1, 5, 10, 29] {
            let mut host = host.clone();
            let now = begin + (30 - days_back) * DAY;
            let brought = capture(&mut host, now, every_five_minutes(begin, begin + 30 * DAY));
            assert_eq!(brought, [0; 0], "{days_back} days");
        }
    }

    #[test]
    fn what_was_missing_is_asked_for_again_however_long_ago() {
        let begin = 20_000 * DAY;
        let now = begin + 30 * DAY;
        let mut host = Host::default();
        let all = || every_five_minutes(begin, now);
        let missing = all().nth(100).unwrap();
        let from = host.from(now, begin);
        all()
            .filter(|time| *time != missing)
            .for_each(|time| host.deliver(time));
        host.asked(from, now, false);
        assert_eq!(capture(&mut host, now, all()), [missing]);
        assert_eq!(host.from(now, begin), now - OVERLAP);
    }

    #[test]
    fn memory_has_a_bound_whatever_the_times_are() {
        let mut delivered = Delivered::default();
        for id in 0..200_i64 {
            let host = delivered.host(&id.to_string());
            for n in 0..400 {
                host.deliver(n * DAY * 10 + id);
            }
            host.asked(0, 4000 * DAY, id % 2 == 0);
        }
        let host = delivered.host("0");
        (0..40_000).for_each(|time| host.deliver(time));
        host.asked(0, 40_000, false);
        assert!(host.times.len() <= MOST_TIMES && host.runs.len() <= MOST_RUNS);
        host.deliver(Millis::MAX);
        host.deliver(Millis::MIN);
        host.asked(Millis::MIN, Millis::MAX, true);
        delivered.forget_the_oldest();
        assert_eq!(delivered.hosts.len(), MOST_HOSTS);
        assert!(delivered.to_baseline().unwrap().len() < 1 << 20);
    }
}
