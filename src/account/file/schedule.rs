//! When the file is rotated by the clock.
//!
//! Each occurrence is what local clocks show, whatever happened to them since the one before: daily at 03:30 is 03:30 on the
//! day of a change, too. A time that is skipped when clocks are put forward comes as much later, one that they show twice is
//! the first time, but hourly rotation comes in both hours. A day that the month does not have is its last.

use crate::account::strftime::{date_of, days_before};
use crate::account::zone::Zone;
use crate::config::gatekeeper::Rotate;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

pub(super) fn is_by_clock(rotate: Rotate) -> bool {
    !matches!(rotate, Rotate::Never | Rotate::Lines(_) | Rotate::Octets(_))
}

/// The first occurrence after `now`, seconds since 1970. [`None`]: the file is not rotated by the clock.
pub(super) fn next(rotate: Rotate, now: i64, zone: &Zone) -> Option<i64> {
    around(rotate, now, zone).into_iter().filter(|at| *at > now).min()
}

/// The last occurrence until `now`.
pub(super) fn last(rotate: Rotate, now: i64, zone: &Zone) -> Option<i64> {
    around(rotate, now, zone).into_iter().filter(|at| *at <= now).max()
}

/// Occurrences before and after `now`, in no order: at least one each.
fn around(rotate: Rotate, now: i64, zone: &Zone) -> Vec<i64> {
    // Clocks show nothing beyond.
    let now = now.clamp(0, 253_402_300_799);
    let today = (now + i64::from(zone.at(now).0)).div_euclid(DAY);
    let of_day = |hour: u8, minute: u8| i64::from(hour) * HOUR + i64::from(minute) * 60;
    let on_days = |days: Vec<i64>, of_day: i64| days.into_iter().map(|day| zone.instant(day * DAY + of_day)).collect();
    match rotate {
        Rotate::Never | Rotate::Lines(_) | Rotate::Octets(_) => Vec::new(),
        Rotate::Hourly { minute } => hours_around(now, minute, zone),
        Rotate::Daily { hour, minute } => on_days((today - 2..=today + 2).collect(), of_day(hour, minute)),
        Rotate::Weekly { day, hour, minute } => {
            // 1 January 1970 was a Thursday.
            let fits = |of: &i64| (of + 4).rem_euclid(7) == i64::from(day % 7);
            on_days((today - 9..=today + 9).filter(fits).collect(), of_day(hour, minute))
        }
        Rotate::Monthly { day, hour, minute } => {
            let (year, month, _) = date_of(today);
            let months = (-2..=2).map(|months| {
                let month = year * 12 + i64::from(month) - 1 + months;
                let (year, month) = (month.div_euclid(12), month.rem_euclid(12) as u8 + 1);
                let first = days_before(year, month, 1);
                let next = if month == 12 {
                    days_before(year + 1, 1, 1)
                } else {
                    days_before(year, month + 1, 1)
                };
                (first + i64::from(day.max(1)) - 1).min(next - 1)
            });
            on_days(months.collect(), of_day(hour, minute))
        }
    }
}

/// Every minute of an hour that clocks show, twice where they show the hour twice. Some zones are not whole hours from UTC,
/// and some change by half an hour.
fn hours_around(now: i64, minute: u8, zone: &Zone) -> Vec<i64> {
    let wanted = i64::from(minute) * 60;
    let offset = |at: i64| i64::from(zone.at(at).0);
    let mut hours = Vec::new();
    for offset_near in [offset(now - 3 * HOUR), offset(now), offset(now + 3 * HOUR)] {
        let hour = (now + offset_near).div_euclid(HOUR) * HOUR;
        let of_hours = (-3..=3).map(|hours| hour + hours * HOUR + wanted - offset_near);
        hours.extend(of_hours.filter(|at| (at + offset(*at)).rem_euclid(HOUR) == wanted % HOUR));
    }
    hours
}
