//! When documents are due: at whole multiples of the interval since midnight UTC of 1970, so that a restart changes
//! nothing.

use chrono::{DateTime, Utc};

/// The first time after `now` that is a multiple.
pub fn next(interval: u64, now: DateTime<Utc>) -> DateTime<Utc> {
    at(interval, now, 1)
}

/// The last time up to `now` that is one.
pub fn current(interval: u64, now: DateTime<Utc>) -> DateTime<Utc> {
    at(interval, now, 0)
}

/// How many fell due after `due` and up to `now`.
pub fn missed(interval: u64, due: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    let passed = (current(interval, now) - current(interval, due)).num_seconds();
    u64::try_from(passed).unwrap_or(0) / interval.max(1)
}

fn at(interval: u64, now: DateTime<Utc>, later: i64) -> DateTime<Utc> {
    let interval = i64::try_from(interval.max(1)).unwrap_or(i64::MAX);
    let seconds = now
        .timestamp()
        .div_euclid(interval)
        .saturating_add(later)
        .saturating_mul(interval);
    DateTime::from_timestamp(seconds, 0).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn documents_are_due_on_a_grid_that_a_restart_does_not_move() {
        assert_eq!(next(900, time("2026-11-22T10:01:00Z")), time("2026-11-22T10:15:00Z"));
        assert_eq!(next(900, time("2026-11-22T10:15:00Z")), time("2026-11-22T10:30:00Z"));
        assert_eq!(
            current(900, time("2026-11-22T10:15:00.5Z")),
            time("2026-11-22T10:15:00Z")
        );
        assert_eq!(next(86400, time("2026-11-22T10:01:00Z")), time("2026-11-23T00:00:00Z"));
    }

    #[test]
    fn what_fell_due_meanwhile_is_counted() {
        let due = time("2026-11-22T10:15:00Z");
        assert_eq!(missed(900, due, time("2026-11-22T10:29:59Z")), 0);
        assert_eq!(missed(900, due, time("2026-11-22T10:30:00Z")), 1);
        assert_eq!(missed(900, due, time("2026-11-22T11:16:00Z")), 4);
        assert_eq!(
            missed(900, due, time("2026-11-21T11:16:00Z")),
            0,
            "the clock was set back"
        );
    }
}
