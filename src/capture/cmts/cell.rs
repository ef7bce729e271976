//! Values as an agent gives them, and what may be made of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, NaiveDate};

pub type Mac = [u8; 6];

/// A value that an agent gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    Number(u64),
    Octets(&'a [u8]),
    /// Anything else: a negative number, an object identifier.
    Other,
}

/// What a name may have at most. Longer ones are no names.
const LONGEST_TEXT: usize = 255;

impl<'a> Cell<'a> {
    pub fn number(self) -> Option<u64> {
        match self {
            Cell::Number(number) => Some(number),
            _ => None,
        }
    }

    pub fn narrow(self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A code of a list that is short.
    pub fn code(self) -> Option<u8> {
        self.number()?.try_into().ok()
    }

    /// 1 downstream, 2 upstream.
    pub fn direction(self) -> Option<u32> {
        self.narrow().filter(|direction| matches!(direction, 1 | 2))
    }

    pub fn octets(self) -> Option<&'a [u8]> {
        match self {
            Cell::Octets(octets) => Some(octets),
            _ => None,
        }
    }

    pub fn mac(self) -> Option<Mac> {
        self.octets()?.try_into().ok()
    }

    pub fn ipv4(self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(self.octets()?).ok()?))
    }

    pub fn ipv6(self) -> Option<Ipv6Addr> {
        Some(Ipv6Addr::from(<[u8; 16]>::try_from(self.octets()?).ok()?))
    }

    pub fn text(self) -> Option<&'a [u8]> {
        self.octets().filter(|text| text.len() <= LONGEST_TEXT)
    }
}

/// DateAndTime (RFC 2579), without its tenths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateAndTime {
    /// What the clock on the wall showed, as if it were UTC: seconds since 1970.
    pub shown: i64,
    /// How far that is ahead of UTC, where it is told.
    pub zone_minutes: Option<i32>,
}

impl DateAndTime {
    /// [`None`]: no octets of this form, or no time that a record of usage can have.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let (&[high, low, month, day, hour, minute, second, _tenths], zone) = octets.split_first_chunk::<8>()?;
        let date = NaiveDate::from_ymd_opt(u16::from_be_bytes([high, low]).into(), month.into(), day.into())?;
        // 60 is a leap second.
        let time = date.and_hms_opt(hour.into(), minute.into(), second.min(59).into())?;
        let zone_minutes = match *zone {
            [] => None,
            [sign, hours, minutes] if hours <= 14 && minutes < 60 => {
                let minutes = i32::from(hours) * 60 + i32::from(minutes);
                Some(match sign {
                    b'+' => minutes,
                    b'-' => -minutes,
                    _ => return None,
                })
            }
            _ => return None,
        };
        // IPDR/SP counts seconds in 32 bits, from 1970 on.
        ((1970..2106).contains(&u16::from_be_bytes([high, low])) && second <= 60).then_some(DateAndTime {
            shown: time.and_utc().timestamp(),
            zone_minutes,
        })
    }

    /// The moment, by the zone that it tells or else by `zone_minutes`.
    pub fn moment(self, zone_minutes: i32) -> Option<DateTime<chrono::Utc>> {
        let zone = i64::from(self.zone_minutes.unwrap_or(zone_minutes));
        let seconds = self.shown - zone * 60;
        DateTime::from_timestamp(seconds, 0).filter(|_| (0..=u32::MAX.into()).contains(&seconds))
    }

    /// How far a clock is ahead of UTC that showed this at `now`: by what it tells, or else to the next quarter of an
    /// hour. [`None`]: no zone on earth, so the clock is wrong.
    pub fn zone(self, now: DateTime<chrono::Utc>) -> Option<i32> {
        const QUARTER: i64 = 900;
        let ahead = (self.shown - now.timestamp() + QUARTER / 2).div_euclid(QUARTER) * 15;
        self.zone_minutes.or_else(|| {
            i32::try_from(ahead)
                .ok()
                .filter(|ahead| (-14 * 60..=14 * 60).contains(ahead))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(octets: &[u8], zone_minutes: i32) -> String {
        let moment = DateAndTime::read(octets).unwrap().moment(zone_minutes);
        moment.unwrap().to_rfc3339()
    }

    #[test]
    fn the_time_of_a_registration_is_read_with_its_zone_and_without() {
        // The example of RFC 2579: 1992-5-26,13:30:15.0,-4:0.
        let example = [0x07, 0xc8, 5, 26, 13, 30, 15, 0, b'-', 4, 0];
        assert_eq!(moment(&example, 120), "1992-05-26T17:30:15+00:00");
        assert_eq!(moment(&example[..8], 0), "1992-05-26T13:30:15+00:00");
        assert_eq!(moment(&example[..8], 120), "1992-05-26T11:30:15+00:00");
        let leap = [0x07, 0xe0, 12, 31, 23, 59, 60, 9, b'+', 0, 0];
        assert_eq!(moment(&leap, 0), "2016-12-31T23:59:59+00:00");
    }

    #[test]
    fn what_is_no_time_is_none() {
        let whole = [0x07, 0xc8, 5, 26, 13, 30, 15, 0, b'-', 4, 0];
        for length in [0, 1, 7, 9, 10] {
            assert_eq!(DateAndTime::read(&whole[..length]), None);
        }
        let wrong = [
            (0, 0),
            (0, 0xff),
            (2, 0),
            (2, 13),
            (3, 32),
            (4, 24),
            (5, 60),
            (6, 61),
            (8, b'x'),
            (9, 15),
        ];
        for (place, octet) in wrong {
            let mut octets = whole;
            octets[place] = octet;
            assert_eq!(DateAndTime::read(&octets), None, "{place}");
        }
        assert_eq!(DateAndTime::read(&[0; 8]), None);
        let earliest = DateAndTime::read(&[0x07, 0xb2, 1, 1, 0, 0, 0, 0]).unwrap();
        assert_eq!(earliest.moment(60), None, "before 1970");
    }

    #[test]
    fn the_zone_of_a_clock_is_told_or_found() {
        let now: DateTime<chrono::Utc> = "2026-01-08T00:00:00Z".parse().unwrap();
        let clock = |seconds: i64, zone_minutes| DateAndTime {
            shown: now.timestamp() + seconds,
            zone_minutes,
        };
        assert_eq!(clock(3600 + 200, None).zone(now), Some(60));
        assert_eq!(clock(-3600 * 5 - 1800 - 400, None).zone(now), Some(-330));
        assert_eq!(clock(20, None).zone(now), Some(0));
        assert_eq!(clock(0, Some(-240)).zone(now), Some(-240));
        assert_eq!(clock(-86_400 * 365, None).zone(now), None, "the clock is wrong");
    }
}
