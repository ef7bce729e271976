//! Texts of times: the gatekeeper's `TimestampFormat`.
//!
//! | name (any case) | 1100098921 in Europe/Berlin |
//! |---|---|
//! | `RFC822` | `Wed, 10 Nov 2004 16:02:01 +01:00`, in UTC `… GMT` |
//! | `ISO8601` | `2004-11-10 T 16:02:01 +01:00`, in UTC `… Z` |
//! | `Cisco` | `16:02:01.000 CET Wed Nov 10 2004` |
//! | `MySQL` | `2004-11-10 16:02:01` |
//! | `Oracle` | `10-Nov-2004 04:02:01 pm` |
//! | anything else | `strftime` of it |
//!
//! `%u` is the number of microseconds, at least three digits and not padded further: `470` is 470 µs. A result that is empty
//! or longer than 127 octets is replaced by `16:02:01.000 +01:00 Wed Nov 10 2004`. A time is written with the offset that is
//! in force at that time; the gatekeeper's `RFC822` and `ISO8601` take the offset of the moment at which they write.

use super::event::Moment;
use super::strftime::{self, Civil, Item, LONGEST, MONTHS, WEEKDAYS, digits, pair};
use super::zone::Zone;

/// How times are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampFormat(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Rfc822,
    Iso8601,
    Strftime(Vec<Item>),
}

impl TimestampFormat {
    /// Reads a `TimestampFormat`. Every text is a format.
    ///
    /// # Errors
    /// When the text holds a NUL, which no configuration can hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("a time format holds a NUL octet".into());
        }
        let strftime = |format: &str| Kind::Strftime(strftime::parse(format.as_bytes()));
        Ok(TimestampFormat(match text.to_ascii_lowercase().as_str() {
            "rfc822" => Kind::Rfc822,
            "iso8601" => Kind::Iso8601,
            "cisco" => strftime("%H:%M:%S.%u %Z %a %b %d %Y"),
            "mysql" => strftime("%Y-%m-%d %H:%M:%S"),
            "oracle" => strftime("%d-%b-%Y %I:%M:%S %P"),
            _ => strftime(text),
        }))
    }

    pub fn rfc822() -> Self {
        TimestampFormat(Kind::Rfc822)
    }

    /// Writes the time behind what is in `out`, in its own zone or this host's.
    pub fn write(&self, moment: &Moment, out: &mut Vec<u8>) {
        let civil = match &moment.zone {
            Some((offset, name)) => Civil::new(moment.seconds, *offset, name),
            None => Civil::local(moment.seconds, Zone::local()),
        };
        match &self.0 {
            Kind::Rfc822 => {
                out.extend_from_slice(&WEEKDAYS[usize::from(civil.weekday)].as_bytes()[..3]);
                out.extend_from_slice(b", ");
                digits(civil.day.into(), 2, out);
                out.push(b' ');
                out.extend_from_slice(&MONTHS[usize::from(civil.month) - 1].as_bytes()[..3]);
                out.push(b' ');
                digits(civil.year, 4, out);
                out.push(b' ');
                out.extend_from_slice(&civil.clock());
                out.push(b' ');
                offset(civil.offset, b"GMT", out);
            }
            Kind::Iso8601 => {
                digits(civil.year, 4, out);
                out.push(b'-');
                digits(civil.month.into(), 2, out);
                out.push(b'-');
                digits(civil.day.into(), 2, out);
                out.extend_from_slice(b" T ");
                out.extend_from_slice(&civil.clock());
                out.push(b' ');
                offset(civil.offset, b"Z", out);
            }
            Kind::Strftime(items) => {
                let begin = out.len();
                strftime::write(items, &civil, moment.micros.min(999_999), out);
                if !(1..=LONGEST).contains(&(out.len() - begin)) {
                    out.truncate(begin);
                    write_instead(&civil, moment.micros, out);
                }
            }
        }
    }

    /// The text alone.
    pub fn text(&self, moment: &Moment) -> Vec<u8> {
        let mut text = Vec::with_capacity(40);
        self.write(moment, &mut text);
        text
    }
}

fn offset(seconds: i32, none: &[u8], out: &mut Vec<u8>) {
    let minutes = i64::from(seconds).abs() / 60;
    if minutes == 0 {
        out.extend_from_slice(none);
        return;
    }
    let ([h1, h2], [m1, m2]) = (pair((minutes / 60) as u8), pair((minutes % 60) as u8));
    out.extend_from_slice(&[if seconds < 0 { b'-' } else { b'+' }, h1, h2, b':', m1, m2]);
}

fn write_instead(civil: &Civil<'_>, micros: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&civil.clock());
    out.push(b'.');
    digits(i64::from(micros.min(999_999) / 1000), 3, out);
    out.push(b' ');
    offset(civil.offset, b"GMT", out);
    out.push(b' ');
    out.extend_from_slice(&WEEKDAYS[usize::from(civil.weekday)].as_bytes()[..3]);
    out.push(b' ');
    out.extend_from_slice(&MONTHS[usize::from(civil.month) - 1].as_bytes()[..3]);
    out.push(b' ');
    digits(civil.day.into(), 1, out);
    out.push(b' ');
    digits(civil.year, 4, out);
}

#[cfg(test)]
mod tests;
