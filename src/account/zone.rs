//! The zone in which a gatekeeper writes its times.
//!
//! chrono knows the offset of this host's zone but not its name (`CET`), which the gatekeeper's default format prints. tz-rs
//! reads the same files as the C library and knows both. A zone that cannot be read is UTC, as it is for the C library.

use std::sync::OnceLock;

use tz::TimeZone;

/// Offsets from UTC and their names.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// This host's: `TZ` where it is set, else `/etc/localtime`. Read once.
    pub fn local() -> &'static Zone {
        static LOCAL: OnceLock<Zone> = OnceLock::new();
        LOCAL.get_or_init(|| {
            let zone = match std::env::var("TZ") {
                Ok(name) if name.is_empty() => Ok(TimeZone::utc()),
                Ok(name) => TimeZone::from_posix_tz(&name),
                Err(_) => TimeZone::local(),
            };
            Zone(zone.unwrap_or_else(|_| TimeZone::utc()))
        })
    }

    /// A zone by what `TZ` may hold: `Europe/Berlin`, `CET-1CEST,M3.5.0,M10.5.0/3`.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn named(name: &str) -> Result<Zone, String> {
        match TimeZone::from_posix_tz(name) {
            Ok(zone) => Ok(Zone(zone)),
            Err(e) => Err(format!("the zone {name} cannot be read: {e}")),
        }
    }

    /// Seconds that local time is ahead of UTC at a second since 1970, and what the zone is called then.
    pub fn at(&self, seconds: i64) -> (i32, &str) {
        match self.0.find_local_time_type(seconds) {
            Ok(found) => match found.time_zone_designation() {
                "" => (found.ut_offset(), "UTC"),
                name => (found.ut_offset(), name),
            },
            Err(_) => (0, "UTC"),
        }
    }

    /// The second since 1970 at which local clocks show so many seconds since 1970. What they show twice is the first time;
    /// what they skip is as much later as they are put forward.
    pub fn instant(&self, local: i64) -> i64 {
        const DAY: i64 = 86_400;
        let offset = |seconds| i64::from(self.at(seconds).0);
        let before = offset(local.saturating_sub(DAY));
        let after = offset(local.saturating_add(DAY));
        // The earlier instant is that of the greater offset.
        for candidate in [before.max(after), before.min(after)].map(|offset| local.saturating_sub(offset)) {
            if candidate.saturating_add(offset(candidate)) == local {
                return candidate;
            }
        }
        local.saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_names_follow_the_seasons() {
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(berlin.at(1_100_098_921), (3600, "CET"));
        assert_eq!(berlin.at(1_783_080_000), (7200, "CEST"));
        assert_eq!(Zone::named("UTC0").unwrap().at(0), (0, "UTC"));
        assert!(Zone::named("Nowhere/Atall").is_err());
    }

    #[test]
    fn what_clocks_show_twice_is_the_first_time_and_what_they_skip_is_later() {
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 31 October 2027 02:30: first in summer time, 00:30 UTC.
        assert_eq!(berlin.instant(1_824_949_800), 1_824_949_800 - 7200);
        // 28 March 2027 02:30 is skipped: 03:30 summer time, 01:30 UTC.
        assert_eq!(berlin.instant(1_806_201_000), 1_806_201_000 - 3600);
        // An ordinary day.
        assert_eq!(berlin.instant(1_795_355_007 + 3600), 1_795_355_007);
        let york = Zone::named("EST5EDT,M3.2.0,M11.1.0").unwrap();
        // 7 November 2027 01:30, twice; the first is in summer time.
        assert_eq!(york.instant(1_825_551_000), 1_825_551_000 + 4 * 3600);
    }

    #[test]
    fn hostile_seconds_are_no_fault() {
        for seconds in [i64::MIN, i64::MAX, -1, 1 << 40] {
            let _ = Zone::local().at(seconds);
            let _ = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap().instant(seconds);
        }
    }
}
