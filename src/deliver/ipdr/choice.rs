//! Which collector shall have the documents of a session. Numbers and times in, a decision out.
//!
//! * The one of the best rank, of equal ones any. Whoever has them keeps them while nobody better is there.
//! * Who comes back must be ready for the hold-down before it replaces somebody; each time that it failed with a document
//!   doubles that, up to sixteen times. Where nobody has the documents it need not wait.
//! * Who acknowledges nothing is in doubt: everybody else is better, whatever the rank, until the hold-down is over. If
//!   there is nobody else it is better than none.
//! * At the begin the best one is waited for.

use std::time::{Duration, Instant};

/// Smaller is better.
pub(super) type Rank = u64;

/// What is known of a collector in a session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidate {
    /// [`None`]: the session is not for it.
    pub rank: Option<Rank>,
    /// [`None`]: it is not ready.
    pub ready_since: Option<Instant>,
    /// Since when it acknowledges nothing, though it should.
    pub in_doubt_since: Option<Instant>,
    /// How often it failed with a document since it last did well.
    pub failures: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub hold_down: Duration,
    /// The same for one in doubt: also without a hold-down it must not get the document back at once.
    pub penance: Duration,
    /// Until when the best collector is waited for.
    pub wait_until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// [`None`]: nobody.
    pub take: Option<usize>,
    /// When the choice may be another, if nothing happens before.
    pub look_again: Option<Instant>,
}

/// `incumbent` has the documents, or had the last one. `random` decides between equal ones.
pub(super) fn choose(
    candidates: &[Candidate],
    incumbent: Option<usize>,
    rules: &Rules,
    now: Instant,
    random: u64,
) -> Choice {
    let ready = |index: &usize| candidates[*index].is_ready();
    let all = || (0..candidates.len()).filter(ready);
    match incumbent.filter(|index| *index < candidates.len() && ready(index)) {
        None => first(candidates, rules, now, random),
        Some(holder) if candidates[holder].in_doubt_since.is_none() => {
            let rank = candidates[holder].rank;
            let due = |index: &usize| candidates[*index].due(rules) <= now;
            let take = all()
                .filter(|index| candidates[*index].rank < rank)
                .filter(due)
                .min_by_key(|index| candidates[*index].rank)
                .unwrap_or(holder);
            let later = all().filter(|index| candidates[*index].rank < candidates[take].rank && !due(index));
            Choice {
                take: Some(take),
                look_again: later.map(|index| candidates[index].due(rules)).min(),
            }
        }
        Some(holder) => {
            let others = || all().filter(|index| *index != holder);
            let sound = |index: &usize| candidates[*index].is_sound(rules, now);
            match others().filter(sound).min_by_key(|index| candidates[*index].rank) {
                Some(take) => Choice {
                    take: Some(take),
                    look_again: None,
                },
                None => Choice {
                    take: Some(holder),
                    look_again: others().map(|index| candidates[index].due(rules)).min(),
                },
            }
        }
    }
}

fn first(candidates: &[Candidate], rules: &Rules, now: Instant, random: u64) -> Choice {
    let best = candidates.iter().filter_map(|one| one.rank).min();
    let any_sound = candidates.iter().any(|one| one.is_ready() && one.is_sound(rules, now));
    let in_question = |one: &Candidate| one.is_ready() && (!any_sound || one.is_sound(rules, now));
    let found = candidates
        .iter()
        .filter(|one| in_question(one))
        .map(|one| one.rank)
        .min();
    let Some(rank) = found else {
        return Choice {
            take: None,
            look_again: None,
        };
    };
    if rank > best && now < rules.wait_until {
        return Choice {
            take: None,
            look_again: Some(rules.wait_until),
        };
    }
    let equal =
        || (0..candidates.len()).filter(|index| in_question(&candidates[*index]) && candidates[*index].rank == rank);
    let chosen = usize::try_from(random % equal().count().max(1) as u64).unwrap_or(0);
    Choice {
        take: equal().nth(chosen),
        look_again: None,
    }
}

impl Candidate {
    fn is_ready(&self) -> bool {
        self.rank.is_some() && self.ready_since.is_some()
    }

    /// From when on it may replace somebody who does well.
    fn due(&self, rules: &Rules) -> Instant {
        const MOST_DOUBLINGS: u32 = 4;
        let since = self.ready_since.max(self.in_doubt_since).unwrap_or(rules.wait_until);
        let wait = match self.in_doubt_since {
            None => rules.hold_down,
            Some(_) => rules.penance.max(rules.hold_down),
        };
        let doublings = self.failures.saturating_sub(1).min(MOST_DOUBLINGS);
        since.checked_add(wait.saturating_mul(1 << doublings)).unwrap_or(since)
    }

    fn is_sound(&self, rules: &Rules, now: Instant) -> bool {
        self.in_doubt_since.is_none() || self.due(rules) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD_DOWN: Duration = Duration::from_secs(60);

    /// A time after the begin, and three collectors of which nobody is ready.
    struct Field {
        begin: Instant,
        rules: Rules,
        candidates: Vec<Candidate>,
    }

    impl Field {
        fn new(ranks: &[Rank]) -> Field {
            let begin = Instant::now();
            let with = |rank: &Rank| Candidate {
                rank: Some(*rank),
                ..Candidate::default()
            };
            Field {
                begin,
                rules: Rules {
                    hold_down: HOLD_DOWN,
                    penance: Duration::from_secs(10),
                    wait_until: begin + Duration::from_secs(30),
                },
                candidates: ranks.iter().map(with).collect(),
            }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.begin + Duration::from_secs(seconds)
        }

        fn ready(&mut self, index: usize, seconds: u64) {
            self.candidates[index].ready_since = Some(self.at(seconds));
        }

        fn doubt(&mut self, index: usize, seconds: u64) {
            self.candidates[index].in_doubt_since = Some(self.at(seconds));
            self.candidates[index].failures += 1;
        }

        fn choose(&self, incumbent: Option<usize>, seconds: u64) -> Choice {
            choose(&self.candidates, incumbent, &self.rules, self.at(seconds), 0)
        }

        fn take(&self, incumbent: Option<usize>, seconds: u64) -> Option<usize> {
            self.choose(incumbent, seconds).take
        }
    }

    #[test]
    fn the_best_is_taken_at_once_and_another_only_after_a_while() {
        let mut field = Field::new(&[1, 2, 3]);
        assert_eq!(field.take(None, 0), None);
        field.ready(1, 5);
        let wait = Choice {
            take: None,
            look_again: Some(field.at(30)),
        };
        assert_eq!(field.choose(None, 5), wait);
        assert_eq!(field.take(None, 30), Some(1));
        field.ready(0, 6);
        assert_eq!(field.take(None, 6), Some(0));
    }

    #[test]
    fn nobody_gets_a_session_that_is_not_for_it() {
        let mut field = Field::new(&[1, 2]);
        field.candidates[0].rank = None;
        field.ready(0, 0);
        assert_eq!(field.take(None, 99), None);
        field.ready(1, 0);
        assert_eq!(field.take(None, 0), Some(1));
        assert_eq!(field.take(Some(0), 0), Some(1));
    }

    #[test]
    fn a_better_one_takes_over_after_the_hold_down() {
        let mut field = Field::new(&[1, 2, 3]);
        field.ready(2, 0);
        field.ready(1, 100);
        let kept = Choice {
            take: Some(2),
            look_again: Some(field.at(160)),
        };
        assert_eq!(field.choose(Some(2), 100), kept);
        field.ready(0, 110);
        assert_eq!(field.take(Some(2), 159), Some(2));
        let next = Choice {
            take: Some(1),
            look_again: Some(field.at(170)),
        };
        assert_eq!(field.choose(Some(2), 160), next);
        assert_eq!(field.take(Some(1), 169), Some(1));
        assert_eq!(field.take(Some(1), 170), Some(0));
        // A worse one never does.
        assert_eq!(field.take(Some(0), 999), Some(0));
    }

    #[test]
    fn when_the_holder_is_gone_the_best_need_not_wait() {
        let mut field = Field::new(&[1, 2, 3]);
        field.ready(2, 0);
        field.ready(0, 100);
        assert_eq!(field.take(Some(1), 101), Some(0));
    }

    #[test]
    fn equal_ones_are_taken_by_chance_and_do_not_replace_each_other() {
        let mut field = Field::new(&[7, 7, 7, 8]);
        (0..4).for_each(|index| field.ready(index, 0));
        let chosen = |random| choose(&field.candidates, None, &field.rules, field.at(0), random).take;
        assert_eq!([0, 1, 2, 3].map(chosen), [Some(0), Some(1), Some(2), Some(0)]);
        assert_eq!(field.take(Some(1), 999), Some(1));
    }

    #[test]
    fn one_in_doubt_loses_against_anybody_and_is_better_than_nobody() {
        let mut field = Field::new(&[1, 2]);
        field.ready(0, 0);
        field.doubt(0, 100);
        assert_eq!(field.take(Some(0), 100), Some(0));
        assert_eq!(field.take(None, 100), Some(0));
        field.ready(1, 101);
        assert_eq!(field.take(Some(0), 101), Some(1));
        assert_eq!(field.take(None, 101), Some(1));
        // It gets its chance after the hold-down, once; then it must wait longer.
        assert_eq!(field.take(Some(1), 159), Some(1));
        assert_eq!(field.take(Some(1), 160), Some(0));
        field.doubt(0, 170);
        assert_eq!(field.take(Some(1), 289), Some(1));
        assert_eq!(field.take(Some(1), 290), Some(0));
    }

    #[test]
    fn without_a_hold_down_one_in_doubt_waits_all_the_same() {
        let mut field = Field::new(&[1, 2]);
        field.rules.hold_down = Duration::ZERO;
        field.ready(0, 0);
        field.ready(1, 0);
        assert_eq!(field.take(Some(1), 0), Some(0));
        field.doubt(0, 100);
        assert_eq!(field.take(Some(1), 109), Some(1));
        assert_eq!(field.take(Some(1), 110), Some(0));
    }

    #[test]
    fn two_in_doubt_take_turns_slowly() {
        let mut field = Field::new(&[1, 2]);
        field.ready(0, 0);
        field.ready(1, 0);
        field.doubt(0, 100);
        field.doubt(1, 110);
        let kept = Choice {
            take: Some(1),
            look_again: Some(field.at(160)),
        };
        assert_eq!(field.choose(Some(1), 110), kept);
        assert_eq!(field.take(Some(1), 160), Some(0));
    }

    #[test]
    fn who_keeps_failing_waits_sixteen_times_as_long_and_no_longer() {
        let mut field = Field::new(&[1, 2]);
        field.ready(1, 0);
        field.ready(0, 1000);
        for (failures, factor) in [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (6, 16), (u32::MAX, 16)] {
            field.candidates[0].failures = failures;
            let due = 1000 + 60 * factor;
            assert_eq!(field.take(Some(1), due - 1), Some(1), "{failures}");
            assert_eq!(field.take(Some(1), due), Some(0), "{failures}");
        }
    }
}
