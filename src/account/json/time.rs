//! Times in JSON.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::account::event::Moment;
use crate::account::strftime::{Civil, days_before, digits, pair};

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;

/// A time, or none: `null`, an empty text and 0.
pub(super) struct Time(pub Option<Moment>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time of RFC 3339 or seconds since 1970, until the year 9999")
    }

    fn visit_unit<E>(self) -> Result<Time, E> {
        Ok(Time(None))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        if text.is_empty() {
            return Ok(Time(None));
        }
        match read(text) {
            Some(moment) => Ok(Time(Some(moment))),
            None => Err(E::invalid_value(de::Unexpected::Str(shortened(text)), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
        match i64::try_from(seconds) {
            Ok(0) => Ok(Time(None)),
            Ok(seconds @ ..=LAST) => Ok(Time(Some(Moment {
                seconds,
                micros: 0,
                zone: None,
            }))),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(seconds), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
        if seconds == 0.0 {
            return Ok(Time(None));
        }
        if !(1.0..LAST as f64).contains(&seconds) {
            return Err(E::invalid_value(de::Unexpected::Float(seconds), &self));
        }
        // Microseconds of every second of this range are exact in 64 bits, and the nearest one is what was meant.
        let micros = (seconds * 1e6).round() as i64;
        Ok(Time(Some(Moment {
            seconds: micros / 1_000_000,
            micros: (micros % 1_000_000) as u32,
            zone: None,
        })))
    }
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(64).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// `2026-11-22T14:43:27.604017+01:00[CET]`. The name of the zone is what is between the brackets, whatever that is.
fn read(text: &str) -> Option<Moment> {
    let (time, name) = match text.split_once('[') {
        Some((time, name)) => (time, Some(name.strip_suffix(']')?)),
        None => (text, None),
    };
    let octets = time.as_bytes();
    let (clock, mut rest) = octets.split_at_checked(19)?;
    for (at, expected) in [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")] as [(usize, &[u8]); 5] {
        if !expected.contains(&clock[at]) {
            return None;
        }
    }
    let number = |from: usize, to: usize| digits_of(&clock[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let end = fraction.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if end == 0 {
            return None;
        }
        let first = fraction[..end].iter().chain(b"00000").take(6);
        micros = first.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'));
        rest = &fraction[end..];
    }
    let offset = read_offset(rest)?;
    let days = days_before(i64::from(year), month as u8, day as u8);
    let local = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    let seconds = local - i64::from(offset);
    (1..=LAST).contains(&seconds).then(|| Moment {
        seconds,
        micros,
        zone: name.map(|name| (offset, name.to_string())),
    })
}

/// `Z`, `+01:00`, and with seconds, as zones had them long ago.
fn read_offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text.split_first()? {
        (b'Z' | b'z', []) => return Some(0),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes, seconds) = match rest {
        [h1, h2, b':', m1, m2] => (digits_of(&[*h1, *h2])?, digits_of(&[*m1, *m2])?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => (
            digits_of(&[*h1, *h2])?,
            digits_of(&[*m1, *m2])?,
            digits_of(&[*s1, *s2])?,
        ),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    i32::try_from(hours * 3600 + minutes * 60 + seconds)
        .ok()
        .map(|offset| sign * offset)
}

fn digits_of(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, octet| {
        octet.is_ascii_digit().then(|| number * 10 + u32::from(octet - b'0'))
    })
}

/// Writes a time without its quotes; what a [`Moment`] promises not to hold is brought to the nearest that it may hold.
/// Returns the zone's name, which the caller writes in brackets.
pub(super) fn write<'m>(moment: &'m Moment, out: &mut Vec<u8>) -> Option<&'m str> {
    let offset = moment
        .zone
        .as_ref()
        .map_or(0, |(offset, _)| (*offset).clamp(-86_399, 86_399));
    let civil = Civil::new(moment.seconds.clamp(1, LAST), offset, "");
    // Local time may be a few hours beyond the years that fit.
    let (civil, offset) = match civil.year {
        1..=9999 => (civil, offset),
        _ => (Civil::new(moment.seconds.clamp(1, LAST), 0, ""), 0),
    };
    out.extend_from_slice(&civil.date().unwrap_or(*b"1970-01-01"));
    out.push(b'T');
    out.extend_from_slice(&civil.clock());
    if moment.micros > 0 {
        out.push(b'.');
        digits(moment.micros.min(999_999).into(), 6, out);
    }
    let Some((_, name)) = &moment.zone else {
        out.push(b'Z');
        return None;
    };
    let sign = if offset < 0 { b'-' } else { b'+' };
    let offset = offset.unsigned_abs();
    let ([h1, h2], [m1, m2]) = (pair((offset / 3600) as u8), pair((offset / 60 % 60) as u8));
    out.extend_from_slice(&[sign, h1, h2, b':', m1, m2]);
    if offset % 60 > 0 {
        let [s1, s2] = pair((offset % 60) as u8);
        out.extend_from_slice(&[b':', s1, s2]);
    }
    Some(name)
}
