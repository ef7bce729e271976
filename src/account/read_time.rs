//! Times as gatekeepers write them, read again.

use super::event::Moment;
use super::strftime::{MONTHS, days_before};
use super::zone::Zone;

/// Reads a time in one of the named formats, in any of the forms that releases and their manual have: `RFC822` and `ISO8601`
/// with `+0100`, `+01:00`, `GMT` or `Z`, `Cisco`, `MySQL` and `Oracle`, and seconds since 1970 (`%s.%u`, with `%z %Z` or
/// without). A text without an offset is in `zone`. [`None`]: none of these.
pub fn read_time(text: &str, zone: &Zone) -> Option<Moment> {
    let words: Vec<&str> = text.split_ascii_whitespace().take(8).collect();
    match words.as_slice() {
        // Wed, 10 Nov 2004 16:02:01 +01:00
        [weekday, day, month, year, clock, offset] if weekday.ends_with(',') => {
            let date = (number(year)?, month_number(month)?, number(day)?);
            moment(date, read_clock(clock)?, Offset::read(offset)?, zone)
        }
        // 2004-11-10 T 16:02:01 +01:00
        [date, "T", clock, offset] => moment(numeric(date)?, read_clock(clock)?, Offset::read(offset)?, zone),
        // 16:02:01.000 CET Wed Nov 10 2004
        [clock, name, _, month, day, year] => {
            let date = (number(year)?, month_number(month)?, number(day)?);
            let offset = match *name {
                "UTC" | "GMT" | "Z" => Offset::Seconds(0),
                _ => Offset::Named(name),
            };
            moment(date, read_clock(clock)?, offset, zone)
        }
        // 10-Nov-2004 04:02:01 pm
        [date, clock, half] if half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm") => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            let (seconds, micros) = read_clock(clock)?;
            let hour = seconds / 3600;
            if !(1..=12).contains(&hour) {
                return None;
            }
            let afternoon = i64::from(half.eq_ignore_ascii_case("pm"));
            let seconds = hour % 12 * 3600 + afternoon * 12 * 3600 + seconds % 3600;
            let date = (number(year)?, month_number(month)?, number(day)?);
            moment(date, (seconds, micros), Offset::Unsaid, zone)
        }
        // 2004-11-10 16:02:01
        [date, clock] if date.contains('-') => moment(numeric(date)?, read_clock(clock)?, Offset::Unsaid, zone),
        // 1795355217.306196 +0100 CET
        [epoch, rest @ ..] => {
            let (seconds, micros) = epoch.split_once('.').unwrap_or((epoch, "0"));
            let own = match rest {
                [] => None,
                [offset, name] => match Offset::read(offset)? {
                    Offset::Seconds(offset) => Some((offset, name.to_string())),
                    _ => return None,
                },
                _ => return None,
            };
            Some(Moment {
                seconds: number(seconds).filter(|seconds| *seconds > 0)?,
                micros: read_micros(micros)?,
                zone: own,
            })
        }
        [] => None,
    }
}

enum Offset<'a> {
    Seconds(i32),
    Named(&'a str),
    Unsaid,
}

impl Offset<'_> {
    fn read(text: &str) -> Option<Self> {
        if matches!(text, "GMT" | "UTC" | "Z") {
            return Some(Offset::Seconds(0));
        }
        let (sign, digits) = match text.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let (hours, minutes) = match digits.split_once(':') {
            Some(both) => both,
            None if digits.len() == 4 => digits.split_at_checked(2)?,
            None => return None,
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        Some(Offset::Seconds(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?))
    }
}

fn moment(date: (i64, i64, i64), clock: (i64, u32), offset: Offset<'_>, zone: &Zone) -> Option<Moment> {
    let (year, month, day) = date;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (seconds, micros) = clock;
    let local = days_before(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?) * 86_400 + seconds;
    let (seconds, own) = match offset {
        Offset::Seconds(offset) => {
            let seconds = local - i64::from(offset);
            // The name that the zone has with that offset, if it has it.
            let name = match zone.at(seconds) {
                (found, name) if found == offset => name.to_string(),
                _ if offset == 0 => "UTC".to_string(),
                _ => {
                    let minutes = offset.abs() / 60;
                    let sign = if offset < 0 { '-' } else { '+' };
                    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
                }
            };
            (seconds, Some((offset, name)))
        }
        Offset::Named(name) => {
            // A time that clocks show twice is the one that the name fits.
            let first = zone.instant(local);
            let other = first.saturating_add(3600);
            let shown = |seconds: i64| seconds + i64::from(zone.at(seconds).0);
            let fits = |seconds: i64| zone.at(seconds).1 == name && shown(seconds) == local;
            let seconds = if !fits(first) && fits(other) { other } else { first };
            (seconds, Some((zone.at(seconds).0, zone.at(seconds).1.to_string())))
        }
        Offset::Unsaid => {
            let seconds = zone.instant(local);
            let (offset, name) = zone.at(seconds);
            (seconds, Some((offset, name.to_string())))
        }
    };
    (seconds > 0).then_some(Moment {
        seconds,
        micros,
        zone: own,
    })
}

/// `16:02:01`, with `.` and microseconds or without.
fn read_clock(text: &str) -> Option<(i64, u32)> {
    let (clock, micros) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second, read_micros(micros)?))
}

/// A number of microseconds, not a fraction: `470` is 470 µs.
fn read_micros(text: &str) -> Option<u32> {
    u32::try_from(number(text)?).ok().filter(|micros| *micros < 1_000_000)
}

/// `2004-11-10`
fn numeric(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split('-').map(number);
    let date = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(date)
}

fn month_number(text: &str) -> Option<i64> {
    let at = MONTHS
        .iter()
        .position(|month| text.len() == 3 && month.starts_with(text))?;
    i64::try_from(at).ok().map(|at| at + 1)
}

/// Digits, at most 18.
fn number(text: &str) -> Option<i64> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(i64, u32, i32)> {
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moment = read_time(text, &berlin)?;
        Some((
            moment.seconds,
            moment.micros,
            moment.zone.map_or(0, |(offset, _)| offset),
        ))
    }

    #[test]
    fn every_named_format_is_read() {
        for text in [
            "Wed, 10 Nov 2004 16:02:01 +01:00",
            "Wed, 10 Nov 2004 16:02:01 +0100",
            "2004-11-10 T 16:02:01 +01:00",
            "16:02:01.000 CET Wed Nov 10 2004",
            "2004-11-10 16:02:01",
            "10-Nov-2004 04:02:01 pm",
            "1100098921.000 +0100 CET",
        ] {
            assert_eq!(read(text), Some((1_100_098_921, 0, 3600)), "{text}");
        }
        assert_eq!(read("Wed, 10 Nov 2004 15:02:01 GMT"), Some((1_100_098_921, 0, 0)));
        assert_eq!(read("2004-11-10 T 15:02:01 Z"), Some((1_100_098_921, 0, 0)));
        assert_eq!(read("1795357495.470 +0100 CET"), Some((1_795_357_495, 470, 3600)));
        assert_eq!(read("10-Nov-2004 12:02:01 am").unwrap().0, 1_100_098_921 - 16 * 3600);
    }

    #[test]
    fn a_name_tells_the_two_hours_of_autumn_apart() {
        let summer = read("02:30:00.000 CEST Sun Oct 31 2027").unwrap();
        let winter = read("02:30:00.000 CET Sun Oct 31 2027").unwrap();
        assert_eq!((winter.0 - summer.0, summer.2, winter.2), (3600, 7200, 3600));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "unconnected",
            "Wed, 10 Nov 2004 16:02:01",
            "Wed, 10 Xyz 2004 16:02:01 +01:00",
            "2004-13-10 16:02:01",
            "2004-11-10 24:02:01",
            "0",
            "-5",
            "1.1000000",
            "Wed, 10 Nov 999999999999999999 16:02:01 +01:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
