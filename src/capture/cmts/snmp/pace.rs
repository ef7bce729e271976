//! How much is asked of an agent: how large a request, how many at a time, when the next. It learns from the answers.
//!
//! A request begins with as many cells as fit into a message that no network cuts into pieces. It grows as long as all
//! is answered, and shrinks when the agent refuses or when the same request is lost twice in a row: one loss says
//! nothing about the size, two may. A size that was lost is not tried again once a smaller one has been answered.

use std::time::{Duration, Instant};

/// Cells that fit into an unfragmented message (RFC 3417: 1472 octets; a cell of these tables takes up to 39).
const UNFRAGMENTED: u32 = 36;
/// More than this is more than a datagram holds.
const MOST_CELLS: u32 = 1500;
/// So many answers in time let the next request ask for more.
const GOOD_ANSWERS: u32 = 16;

pub struct Pace {
    most_repetitions: u32,
    gap: Duration,
    next: Option<Instant>,
    /// Cells for one request: now, at most, and what has been answered at most.
    size: u32,
    largest: u32,
    proven: u32,
    good: u32,
    /// Requests that may wait for an answer at the same time: now, and at most.
    window: u32,
    widest: u32,
}

impl Pace {
    pub fn new(requests_per_second: Option<u32>, in_flight: u16, most_repetitions: u16) -> Self {
        let widest = u32::from(in_flight).max(1);
        Pace {
            most_repetitions: u32::from(most_repetitions).max(1),
            gap: requests_per_second.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.max(1)),
            next: None,
            size: UNFRAGMENTED,
            largest: MOST_CELLS,
            proven: 0,
            good: 0,
            window: widest,
            widest,
        }
    }

    /// When the next request may be sent; [`None`]: now. It counts as sent.
    pub fn turn(&mut self, now: Instant) -> Option<Instant> {
        if self.gap.is_zero() {
            return None;
        }
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.gap);
        (at > now).then_some(at)
    }

    /// The rows to ask for in the next request for so many columns.
    pub fn repetitions(&self, columns: u32) -> u32 {
        (self.size / columns.max(1)).clamp(1, self.most_repetitions)
    }

    /// Requests that may wait for an answer now.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// An answer came with `given` of the `asked` cells. Whether one request more may wait for an answer now.
    pub fn answered(&mut self, asked: u32, given: u32) -> bool {
        self.proven = self.proven.max(given.min(asked));
        self.good += 1;
        if self.good < GOOD_ANSWERS {
            return false;
        }
        self.good = 0;
        // Only a request of full size says that more can be stood; one that was not filled says that it cannot.
        if asked >= self.size / 2 && given >= asked {
            self.size = self.size.saturating_mul(2).min(self.largest);
        }
        let wider = self.window < self.widest;
        self.window += u32::from(wider);
        wider
    }

    /// The agent could not answer a request for so many cells (tooBig, genErr).
    pub fn refused(&mut self, asked: u32) {
        self.good = 0;
        self.largest = self.largest.min((asked / 2).max(1));
        self.size = self.size.min(self.largest);
    }

    /// A request for so many cells had no answer again. Whether one request less may wait for an answer from now on.
    pub fn lost_again(&mut self, asked: u32) -> bool {
        self.good = 0;
        if asked > self.proven && self.proven > 0 {
            self.largest = self.largest.min(self.proven);
        }
        // Requests of the same size that were on their way are lost together: they shrink it once.
        self.size = self.size.min((asked / 2).max(1)).min(self.largest);
        let narrower = self.window > 1;
        self.window -= u32::from(narrower);
        narrower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(None, 4, 50)
    }

    #[test]
    fn requests_grow_as_long_as_they_are_answered_and_never_past_what_is_configured() {
        let mut pace = pace();
        assert_eq!(pace.repetitions(7), 5, "35 cells stay in one piece");
        for _ in 0..200 {
            let asked = 7 * pace.repetitions(7);
            pace.answered(asked, asked);
        }
        assert_eq!(pace.repetitions(7), 50);
        assert_eq!(pace.repetitions(1), 50);
    }

    #[test]
    fn what_the_agent_refused_is_never_asked_for_again() {
        let mut pace = pace();
        pace.refused(35);
        assert_eq!(pace.repetitions(7), 2);
        for _ in 0..200 {
            let asked = 7 * pace.repetitions(7);
            pace.answered(asked, asked);
        }
        assert_eq!(pace.repetitions(7), 2);
        for _ in 0..20 {
            pace.refused(pace.repetitions(7) * 7);
        }
        assert_eq!(pace.repetitions(7), 1);
    }

    #[test]
    fn a_size_that_was_lost_is_not_tried_again_when_a_smaller_one_was_answered() {
        let mut pace = pace();
        for _ in 0..16 {
            pace.answered(35, 35);
        }
        assert_eq!(pace.repetitions(7), 10);
        for _ in 0..4 {
            pace.lost_again(70);
        }
        for _ in 0..200 {
            let asked = 7 * pace.repetitions(7);
            pace.answered(asked, asked);
        }
        assert_eq!(pace.repetitions(7), 5);
    }

    #[test]
    fn losses_narrow_the_window_to_one_and_answers_open_it_again() {
        let mut pace = pace();
        for _ in 0..9 {
            pace.lost_again(7);
        }
        assert_eq!((pace.window(), pace.repetitions(7)), (1, 1));
        for _ in 0..64 {
            pace.answered(7, 7);
        }
        assert_eq!(pace.window(), 4);
    }

    #[test]
    fn requests_are_sent_no_faster_than_configured() {
        let mut pace = Pace::new(Some(40), 4, 50);
        let start = Instant::now();
        assert_eq!(pace.turn(start), None);
        for turn in 1..40 {
            assert_eq!(pace.turn(start), Some(start + turn * Duration::from_millis(25)));
        }
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.turn(later), None, "what was not used is not saved up");
        assert!(pace.turn(later).is_some());
    }

    #[test]
    fn an_agent_that_gives_fewer_rows_than_asked_is_not_asked_for_more() {
        let mut pace = pace();
        for _ in 0..200 {
            pace.answered(35, 14);
        }
        assert_eq!(pace.repetitions(7), 5);
    }
}
