//! Restarts of a CMTS, by its sysUpTime: hundredths of a second in 32 bits, which wrap after 497 days.

use std::time::Duration;

/// What clocks that do not agree, and answers that overtake each other, may differ by.
const TOLERANCE: Duration = Duration::from_secs(30);

/// Whether the CMTS has started anew between two values of its sysUpTime that were read `elapsed` apart.
///
/// A value that went back is no restart when it wrapped: it then is where the clock says. One that is far ahead of the
/// clock is a restart, for it came all the way round. A hundredth of the time is allowed for a clock that is wrong.
pub fn restarted(before_ticks: u32, now_ticks: u32, elapsed: Duration) -> bool {
    let tolerance = ticks(TOLERANCE + elapsed / 100);
    let expected = i128::from(before_ticks) + ticks(elapsed);
    let turn = 1_i128 << 32;
    let off = (i128::from(now_ticks) - expected).rem_euclid(turn);
    off.min(turn - off) > tolerance
}

/// The same within one poll, where an agent may give a value that it has kept for some time.
pub fn restarted_meanwhile(first_ticks: u32, now_ticks: u32, elapsed: Duration) -> bool {
    let tolerance = ticks(TOLERANCE);
    let ahead = i128::from(now_ticks.wrapping_sub(first_ticks));
    let back = i128::from(first_ticks.wrapping_sub(now_ticks));
    back > tolerance && ahead > ticks(elapsed) + tolerance
}

/// How long ago sysUpTime had the value `then_ticks`.
pub fn since(then_ticks: u32, now_ticks: u32) -> Duration {
    Duration::from_millis(u64::from(now_ticks.wrapping_sub(then_ticks)) * 10)
}

fn ticks(time: Duration) -> i128 {
    i128::try_from(time.as_millis() / 10).unwrap_or(i128::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Duration = Duration::from_secs(900);

    #[test]
    fn a_wrap_is_no_restart() {
        let before = u32::MAX - 44_999;
        assert!(!restarted(before, 45_000, QUARTER));
        assert!(!restarted(3_299_348_631, 3_299_438_631, QUARTER));
    }

    #[test]
    fn a_clock_that_went_back_or_leapt_is_a_restart() {
        assert!(restarted(3_299_348_631, 100, QUARTER));
        assert!(restarted(90_000, 1_000, QUARTER));
        assert!(restarted(90_000, 89_000, QUARTER), "started 890 s before");
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert!(!restarted(1_000_000, 1_092_500, QUARTER));
        assert!(
            !restarted(1_000_000, 999_900, Duration::ZERO),
            "answers overtake each other"
        );
    }

    #[test]
    fn within_a_poll_a_clock_may_stand_but_not_leap() {
        assert!(!restarted_meanwhile(60_000_000, 60_000_000, Duration::from_secs(300)));
        assert!(!restarted_meanwhile(60_000_000, 60_030_000, Duration::from_secs(300)));
        assert!(!restarted_meanwhile(u32::MAX, 100, Duration::from_secs(1)), "a wrap");
        assert!(restarted_meanwhile(60_000_000, 500, Duration::from_secs(5)));
        assert!(restarted_meanwhile(3_299_348_631, 500, Duration::from_secs(5)));
    }

    #[test]
    fn no_time_is_too_long() {
        restarted(0, 0, Duration::MAX);
        assert_eq!(since(u32::MAX, 99), Duration::from_secs(1));
    }
}
