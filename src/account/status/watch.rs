//! Sees what the gatekeeper did not tell: from session ids, which it counts without holes.
//!
//! A session id (`%s`) is the second in which the gatekeeper started and a counter, one up for each call and each refused
//! call. So a counter that never appears is an event that was missed; one that first appears with the stop of its call is a
//! start that was missed; and another start second means that the gatekeeper was restarted, and that calls which had no stop
//! by then never get one. Pure: no clock of its own.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::account::event::EventKind;

/// How many holes and calls are remembered. Holes beyond it are told at once.
const HOLES: usize = 1000;
const CALLS: usize = 100_000;

/// What has been seen of one gatekeeper. Serialised, it outlives a restart of billdrop.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Watch {
    /// `Startup` of the greeting.
    startup: Option<String>,
    /// Start second in session ids.
    start: Option<u32>,
    /// Counters up to here have been seen, but for the holes. [`None`]: none yet, and what was before is not ours.
    highest: Option<u32>,
    /// `%n` of the last call.
    number: u64,
    holes: Vec<Hole>,
    /// Calls without a stop.
    open: BTreeSet<u32>,
    /// Stops without a start, not told yet.
    startless: u64,
    a_startless: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hole {
    first: u32,
    last: u32,
    /// How many of them were calls; the others were refused.
    calls: Option<u64>,
    #[serde(skip, default = "Instant::now")]
    since: Instant,
}

impl Watch {
    /// The gatekeeper greets: gives what a restart has cost. [`None`]: it is the same as before, or the first one.
    pub(super) fn greeted(&mut self, startup: &str) -> Option<String> {
        let before = self.startup.replace(startup.to_owned())?;
        if before == startup {
            return None;
        }
        let text = format!(
            "the gatekeeper was restarted ({before} before, {startup} now), and its backlog does not survive that: \
             what it had not told is lost; {}",
            self.without_stop()
        );
        self.start = None;
        self.forget(Some(0));
        Some(text)
    }

    /// An event of a call. Gives what is wrong with its session id, and a restart that shows only in it.
    pub(super) fn saw(
        &mut self,
        kind: EventKind,
        session: &[u8],
        number: u64,
        now: Instant,
        today: i64,
    ) -> Vec<String> {
        let Some((start, counter)) = taken_apart(session) else {
            return Vec::new();
        };
        let mut told = Vec::new();
        match self.start {
            Some(known) if start < known => {
                return vec![format!(
                    "session id {} is older than the gatekeeper's start: another gatekeeper's, or forged",
                    String::from_utf8_lossy(session)
                )];
            }
            _ if i64::from(start) > today.saturating_add(86_400) => {
                return vec![format!(
                    "session id {} has a start in the future: the clock of the gatekeeper or of this host is wrong",
                    String::from_utf8_lossy(session)
                )];
            }
            Some(known) if start > known => {
                told.push(format!(
                    "the gatekeeper was restarted, its session ids show it; {}",
                    self.without_stop()
                ));
                self.forget(Some(0));
            }
            _ => {}
        }
        self.start = Some(start);
        let unseen = self.note(counter, number, now);
        match kind {
            EventKind::Stop => {
                if unseen && !self.open.contains(&counter) {
                    self.startless += 1;
                    self.a_startless.get_or_insert(counter);
                }
                self.open.remove(&counter);
            }
            EventKind::Reject | EventKind::MediaFail => {}
            _ if self.open.len() < CALLS => {
                self.open.insert(counter);
            }
            _ => {}
        }
        while self.holes.len() > HOLES {
            let hole = self.holes.remove(0);
            told.push(self.describe(&hole));
        }
        told
    }

    /// Holes that have been there for longer, and stops whose start was not told. Each is told once.
    pub(super) fn overdue(&mut self, patience: Duration, now: Instant) -> Vec<String> {
        let (late, young) = std::mem::take(&mut self.holes)
            .into_iter()
            .partition(|hole| now.saturating_duration_since(hole.since) >= patience);
        self.holes = young;
        let late: Vec<Hole> = late;
        let mut told: Vec<String> = late.iter().map(|hole| self.describe(hole)).collect();
        if let Some(first) = self.a_startless.take() {
            let count = std::mem::take(&mut self.startless);
            told.push(format!(
                "{} stopped whose start was not told, the first of them {}",
                calls(count),
                self.session_id(first)
            ));
        }
        told
    }

    /// Notes a counter, and says whether it is seen for the first time.
    fn note(&mut self, counter: u32, number: u64, now: Instant) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(counter);
            self.number = number;
            // Calls that run already had their start before we came.
            return false;
        };
        if counter > highest {
            if counter - highest > 1 {
                let calls = (number > self.number).then(|| number - self.number - 1);
                self.holes.push(Hole {
                    first: highest + 1,
                    last: counter - 1,
                    calls,
                    since: now,
                });
            }
            self.highest = Some(counter);
            self.number = self.number.max(number);
            return true;
        }
        let Some(at) = self
            .holes
            .iter()
            .position(|hole| (hole.first..=hole.last).contains(&counter))
        else {
            return false;
        };
        let hole = self.holes.remove(at);
        let parts = [
            (hole.first, counter.wrapping_sub(1)),
            (counter.saturating_add(1), hole.last),
        ];
        let left = parts
            .into_iter()
            .filter(|(first, last)| first <= last && hole.first <= *last && *first <= hole.last);
        self.holes.extend(left.map(|(first, last)| Hole {
            first,
            last,
            calls: None,
            since: hole.since,
        }));
        true
    }

    fn describe(&self, hole: &Hole) -> String {
        let count = u64::from(hole.last - hole.first) + 1;
        let range = match count {
            1 => format!("session id {} was never told", self.session_id(hole.first)),
            _ => format!(
                "{count} session ids were never told, {} to {}",
                self.session_id(hole.first),
                self.session_id(hole.last)
            ),
        };
        match hole.calls {
            Some(calls) if calls <= count => {
                format!("{range}: {calls} of them made, {} refused", count - calls)
            }
            _ => format!("{range}: calls made or refused"),
        }
    }

    fn without_stop(&self) -> String {
        const NAMED: usize = 20;
        let names: Vec<String> = self
            .open
            .iter()
            .take(NAMED)
            .map(|counter| self.session_id(*counter))
            .collect();
        match self.open.len() {
            0 => "no call is known that had no stop".to_owned(),
            count => format!(
                "{} without a stop will never get one: {}{}",
                calls(count as u64),
                names.join(" "),
                if count > NAMED { " …" } else { "" }
            ),
        }
    }

    fn session_id(&self, counter: u32) -> String {
        format!("{:08x}{counter:08x}", self.start.unwrap_or(0))
    }

    fn forget(&mut self, highest: Option<u32>) {
        self.highest = highest;
        self.number = 0;
        self.holes.clear();
        self.open.clear();
        self.startless = 0;
        self.a_startless = None;
    }
}

fn calls(count: u64) -> String {
    match count {
        1 => "1 call".to_owned(),
        _ => format!("{count} calls"),
    }
}

fn taken_apart(session: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(session).ok().filter(|text| text.len() == 16)?;
    let read = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some((read(text.get(..8)?)?, read(text.get(8..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u32 = 0x6b02_fb0b;
    const TODAY: i64 = 0x6b02_fc00;

    fn saw(watch: &mut Watch, kind: EventKind, counter: u32, number: u64) -> Vec<String> {
        saw_from(watch, START, kind, counter, number)
    }

    fn saw_from(watch: &mut Watch, start: u32, kind: EventKind, counter: u32, number: u64) -> Vec<String> {
        let session = format!("{start:08x}{counter:08x}");
        watch.saw(kind, session.as_bytes(), number, Instant::now(), TODAY)
    }

    fn overdue(watch: &mut Watch) -> Vec<String> {
        watch.overdue(Duration::ZERO, Instant::now())
    }

    #[test]
    fn calls_that_are_told_in_any_order_leave_no_hole() {
        let mut watch = Watch::default();
        for counter in [7, 9, 11, 10, 8] {
            saw(&mut watch, EventKind::Start, counter, counter.into());
            saw(&mut watch, EventKind::Stop, counter, counter.into());
        }
        assert_eq!(overdue(&mut watch), Vec::<String>::new());
    }

    #[test]
    fn a_hole_is_told_once_and_only_when_it_is_old_enough() {
        let mut watch = Watch::default();
        saw(&mut watch, EventKind::Start, 1, 1);
        saw(&mut watch, EventKind::Reject, 2, 0);
        saw(&mut watch, EventKind::Start, 6, 3);
        assert_eq!(
            watch.overdue(Duration::from_secs(300), Instant::now()),
            Vec::<String>::new()
        );
        let told = overdue(&mut watch);
        assert_eq!(
            told,
            ["3 session ids were never told, 6b02fb0b00000003 to 6b02fb0b00000005: 1 of them made, 2 refused"]
        );
        assert_eq!(overdue(&mut watch), Vec::<String>::new());
    }

    #[test]
    fn what_comes_later_makes_a_hole_smaller() {
        let mut watch = Watch::default();
        saw(&mut watch, EventKind::Start, 1, 1);
        saw(&mut watch, EventKind::Start, 6, 6);
        saw(&mut watch, EventKind::Start, 4, 4);
        saw(&mut watch, EventKind::Start, 2, 2);
        let told = overdue(&mut watch);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().any(|text| text.contains("6b02fb0b00000003 was never told")));
        assert!(told.iter().any(|text| text.contains("6b02fb0b00000005 was never told")));
    }

    #[test]
    fn a_stop_without_a_start_is_told_but_not_that_of_a_call_before_our_time() {
        let mut watch = Watch::default();
        saw(&mut watch, EventKind::Stop, 5, 5);
        saw(&mut watch, EventKind::Stop, 3, 3);
        assert_eq!(overdue(&mut watch), Vec::<String>::new());
        saw(&mut watch, EventKind::Stop, 6, 6);
        assert_eq!(
            overdue(&mut watch),
            ["1 call stopped whose start was not told, the first of them 6b02fb0b00000006"]
        );
    }

    #[test]
    fn a_restart_names_the_calls_that_never_get_a_stop() {
        let mut watch = Watch::default();
        assert_eq!(watch.greeted("Sun, 22 Nov 2026 15:24:11 +01:00"), None);
        saw(&mut watch, EventKind::Start, 1, 1);
        saw(&mut watch, EventKind::Start, 2, 2);
        saw(&mut watch, EventKind::Stop, 1, 1);
        assert_eq!(watch.greeted("Sun, 22 Nov 2026 15:24:11 +01:00"), None);
        let told = watch.greeted("Sun, 22 Nov 2026 16:00:00 +01:00").unwrap();
        assert!(
            told.ends_with("1 call without a stop will never get one: 6b02fb0b00000002"),
            "{told}"
        );
        // After it, the gatekeeper counts from 1 again.
        saw_from(&mut watch, START + 600, EventKind::Start, 2, 2);
        assert_eq!(overdue(&mut watch).len(), 1);
    }

    #[test]
    fn a_restart_shows_in_session_ids_alone_too() {
        let mut watch = Watch::default();
        saw(&mut watch, EventKind::Start, 40, 40);
        let told = saw_from(&mut watch, START + 1, EventKind::Start, 1, 1);
        assert!(told[0].contains("6b02fb0b00000028"), "{told:?}");
        assert_eq!(overdue(&mut watch), Vec::<String>::new());
        assert_eq!(saw(&mut watch, EventKind::Start, 41, 41).len(), 1);
        assert_eq!(saw_from(&mut watch, u32::MAX, EventKind::Start, 1, 1).len(), 1);
    }

    #[test]
    fn what_was_seen_survives_as_text() {
        let mut watch = Watch::default();
        watch.greeted("then");
        saw(&mut watch, EventKind::Start, 1, 1);
        saw(&mut watch, EventKind::Start, 4, 4);
        let text = serde_json::to_string(&watch).unwrap();
        let mut watch: Watch = serde_json::from_str(&text).unwrap();
        saw(&mut watch, EventKind::Start, 5, 5);
        assert_eq!(overdue(&mut watch).len(), 1);
        assert!(watch.greeted("now").unwrap().contains("3 calls without a stop"));
    }
}
