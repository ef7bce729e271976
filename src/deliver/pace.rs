//! Rate limit: a bucket that fills with time and from which each piece is taken before it is sent.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How much may be sent at once after a pause, as a time at full rate.
const BURST: Duration = Duration::from_millis(100);

pub struct Pace {
    /// Octets a second.
    rate: Option<u64>,
    /// When everything that was taken so far may have left.
    due: Instant,
}

impl Pace {
    pub fn new(rate: Option<u64>) -> Self {
        Pace {
            rate,
            due: Instant::now(),
        }
    }

    /// A size of pieces with which the rate is kept evenly; at most `largest`.
    pub fn piece(&self, largest: usize) -> usize {
        match self.rate {
            None => largest,
            Some(rate) => usize::try_from(rate / 10)
                .unwrap_or(largest)
                .clamp(512.min(largest), largest),
        }
    }

    /// Waits until so many octets may be sent.
    pub fn take(&mut self, octets: usize) {
        let wait = self.wait(octets, Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }

    fn wait(&mut self, octets: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        // What was not used a while ago is lost.
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.due = self.due.max(earliest) + Duration::from_secs_f64(octets as f64 / rate as f64);
        self.due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_leaves_than_the_rate_and_one_burst() {
        let mut pace = Pace::new(Some(1_000_000));
        let begin = Instant::now();
        let mut now = begin;
        for _ in 0..1000 {
            now += pace.wait(10_000, now);
        }
        let took = (now - begin).as_secs_f64();
        assert!((9.8..=10.1).contains(&took), "{took}");
        // A pause gives no more than a burst.
        now += Duration::from_secs(60);
        assert_eq!(pace.wait(50_000, now), Duration::ZERO);
        assert!(pace.wait(100_000, now) > Duration::from_millis(40));
    }

    #[test]
    fn pieces_are_small_enough_to_be_even() {
        assert_eq!(Pace::new(None).piece(65536), 65536);
        assert_eq!(Pace::new(Some(100_000)).piece(65536), 10_000);
        assert_eq!(Pace::new(Some(1024)).piece(65536), 512);
        assert_eq!(Pace::new(Some(1024)).piece(100), 100);
    }
}
