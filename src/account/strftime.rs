//! Text of a time as the C library's `strftime` makes it in the C locale, glibc's flags and widths included.
//!
//! Operators write these formats for the gatekeeper, which hands them to glibc. chrono's own formats differ (`%f`, `%v`, no
//! widths) and panic on what they do not know; here, as in glibc, what is unknown stays as it was typed.

use std::cell::Cell;

use super::zone::Zone;

/// The gatekeeper takes no longer result.
pub(super) const LONGEST: usize = 127;

pub(super) const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A time as clocks and calendars show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Civil<'a> {
    pub year: i64,
    /// 1 to 12, 1 to 31.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// 0: Sunday.
    pub weekday: u8,
    pub offset: i32,
    pub zone: &'a str,
    /// Seconds since 1970.
    pub seconds: i64,
}

impl<'a> Civil<'a> {
    pub(super) fn new(seconds: i64, offset: i32, zone: &'a str) -> Self {
        let local = seconds.saturating_add(i64::from(offset));
        let days = local.div_euclid(86_400);
        let of_day = local.rem_euclid(86_400);
        let (year, month, day) = date_of_many(days);
        Civil {
            year,
            month,
            day,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
            offset,
            zone,
            seconds,
        }
    }

    pub(super) fn local(seconds: i64, zone: &'a Zone) -> Self {
        let (offset, name) = zone.at(seconds);
        Civil::new(seconds, offset, name)
    }

    /// `HH:MM:SS`.
    pub(super) fn clock(&self) -> [u8; 8] {
        let ([h1, h2], [m1, m2], [s1, s2]) = (pair(self.hour), pair(self.minute), pair(self.second));
        [h1, h2, b':', m1, m2, b':', s1, s2]
    }

    /// `YYYY-MM-DD`; [`None`] where the year has not four digits.
    pub(super) fn date(&self) -> Option<[u8; 10]> {
        let year = u16::try_from(self.year).ok().filter(|year| *year <= 9999)?;
        let ([y1, y2], [y3, y4]) = (pair((year / 100) as u8), pair((year % 100) as u8));
        let ([m1, m2], [d1, d2]) = (pair(self.month), pair(self.day));
        Some([y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2])
    }

    /// 0: 1 January.
    fn yearday(&self) -> i64 {
        days_before(self.year, self.month, self.day) - days_before(self.year, 1, 1)
    }
}

/// Two digits of a number below 100.
pub(super) fn pair(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// The same as [`date_of`] for one who asks again and again: the times of a call are nearly all of one day.
fn date_of_many(days: i64) -> (i64, u8, u8) {
    thread_local! {
        static LAST: Cell<(i64, (i64, u8, u8))> = const { Cell::new((0, (1970, 1, 1))) };
    }
    LAST.with(|last| {
        let (known, date) = last.get();
        if known == days {
            return date;
        }
        let date = date_of(days);
        last.set((days, date));
        date
    })
}

/// Year, month and day of a day counted from 1 January 1970.
pub(super) fn date_of(days: i64) -> (i64, u8, u8) {
    // Years that begin in March: the leap day is the last one.
    let from_march_0 = days + 719_468;
    let era = from_march_0.div_euclid(146_097);
    let of_era = from_march_0.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Days from 1 January 1970 to a date.
pub(super) fn days_before(year: i64, month: u8, day: u8) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = i64::from((month + 9) % 12);
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// One step of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Literal(Vec<u8>),
    /// `%u`, which the gatekeeper replaces before `strftime` sees it.
    Micros,
    Conversion {
        conversion: u8,
        flag: Option<u8>,
        upper: bool,
        swap: bool,
        width: usize,
    },
}

pub(super) fn parse(format: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = format;
    while let Some((&octet, tail)) = rest.split_first() {
        if octet != b'%' {
            literal(&mut items, &[octet]);
            rest = tail;
        } else if tail.first() == Some(&b'u') {
            items.push(Item::Micros);
            rest = &tail[1..];
        } else {
            let (item, used) = conversion(tail);
            match item {
                Item::Literal(text) => literal(&mut items, &text),
                item => items.push(item),
            }
            rest = &tail[used..];
        }
    }
    items
}

fn literal(items: &mut Vec<Item>, octets: &[u8]) {
    match items.last_mut() {
        Some(Item::Literal(text)) => text.extend_from_slice(octets),
        _ => items.push(Item::Literal(octets.to_vec())),
    }
}

/// What stands behind a `%`, and how many octets it takes. What glibc does not know it copies, padded to the width.
fn conversion(text: &[u8]) -> (Item, usize) {
    let (mut flag, mut upper, mut swap, mut width) = (None, false, false, 0_usize);
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        match octet {
            b'_' | b'-' | b'0' => flag = Some(octet),
            b'^' => upper = true,
            b'#' => swap = true,
            _ => break,
        }
        at += 1;
    }
    while let Some(digit) = text.get(at).filter(|octet| octet.is_ascii_digit()) {
        width = width.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        at += 1;
    }
    width = width.min(LONGEST + 1);
    let modifier = text.get(at).copied().filter(|octet| matches!(octet, b'E' | b'O'));
    at += usize::from(modifier.is_some());
    let known: &[u8] = match modifier {
        None => b"abcdeghjklmnprstuwxyzABCDFGHIMPRSTUVWXYZ%",
        Some(b'E') => b"cnprstuxyzCPRTXYZ",
        Some(_) => b"bdeghjklmnprstuwyzBCGHIMPRSTUVWZ",
    };
    match text.get(at) {
        Some(&conversion) if known.contains(&conversion) => (
            Item::Conversion {
                conversion,
                flag,
                upper,
                swap,
                width,
            },
            at + 1,
        ),
        unknown => {
            let whole = at + usize::from(unknown.is_some());
            let mut copied = match unknown {
                Some(b'%') => b"%".to_vec(),
                _ => [b"%", &text[..whole]].concat(),
            };
            if upper {
                copied.make_ascii_uppercase();
            }
            let fill = if flag == Some(b'0') { b'0' } else { b' ' };
            let missing = width.saturating_sub(copied.len());
            copied.splice(..0, std::iter::repeat_n(fill, missing));
            (Item::Literal(copied), whole)
        }
    }
}

/// Writes the text behind what is in `out`; stops soon after [`LONGEST`] octets.
pub(super) fn write(items: &[Item], civil: &Civil<'_>, micros: u32, out: &mut Vec<u8>) {
    let begin = out.len();
    for item in items {
        match item {
            Item::Literal(text) => out.extend_from_slice(text),
            Item::Micros => write_micros(micros, out),
            Item::Conversion {
                conversion,
                flag: None,
                upper: false,
                swap: false,
                width: 0,
            } => write_plain(*conversion, civil, out),
            Item::Conversion {
                conversion,
                flag,
                upper,
                swap,
                width,
            } => write_styled(*conversion, (*flag, *upper, *swap, *width), civil, out),
        }
        if out.len() - begin > LONGEST {
            return;
        }
    }
}

/// The number of microseconds with at least three digits and no other padding: 470 is `470`, and 17162 is `17162`.
pub(super) fn write_micros(micros: u32, out: &mut Vec<u8>) {
    if micros < 1000 {
        digits(i64::from(micros), 3, out);
    } else {
        digits(i64::from(micros), 1, out);
    }
}

/// A number with leading zeros.
pub(super) fn digits(number: i64, least: usize, out: &mut Vec<u8>) {
    if let (2, 0..=99) = (least, number) {
        out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
        return;
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number.unsigned_abs());
    if number < 0 {
        out.push(b'-');
    }
    out.extend(std::iter::repeat_n(b'0', least.saturating_sub(text.len())));
    out.extend_from_slice(text.as_bytes());
}

/// A number or a text, and how it is padded.
enum Value<'a> {
    Number(i64, usize),
    Padded(i64),
    Text(&'a str),
    Format(&'static str),
    Octet(u8),
    Offset,
}

fn value<'a>(conversion: u8, civil: &Civil<'a>) -> Value<'a> {
    let two = |number: i64| Value::Number(number, 2);
    let hour = i64::from(civil.hour);
    let hour12 = (hour + 11) % 12 + 1;
    match conversion {
        b'a' => Value::Text(&weekday(civil)[..3]),
        b'A' => Value::Text(weekday(civil)),
        b'b' | b'h' => Value::Text(&month(civil)[..3]),
        b'B' => Value::Text(month(civil)),
        b'c' => Value::Format("%a %b %e %H:%M:%S %Y"),
        b'C' => two(civil.year.div_euclid(100)),
        b'd' => two(i64::from(civil.day)),
        b'D' | b'x' => Value::Format("%m/%d/%y"),
        b'e' => Value::Padded(i64::from(civil.day)),
        b'F' => Value::Format("%Y-%m-%d"),
        b'g' => two(iso_week(civil).0.rem_euclid(100)),
        b'G' => Value::Number(iso_week(civil).0, 1),
        b'H' => two(hour),
        b'I' => two(hour12),
        b'j' => Value::Number(civil.yearday() + 1, 3),
        b'k' => Value::Padded(hour),
        b'l' => Value::Padded(hour12),
        b'm' => two(i64::from(civil.month)),
        b'M' => two(i64::from(civil.minute)),
        b'n' => Value::Octet(b'\n'),
        b'p' => Value::Text(if civil.hour < 12 { "AM" } else { "PM" }),
        b'P' => Value::Text(if civil.hour < 12 { "am" } else { "pm" }),
        b'r' => Value::Format("%I:%M:%S %p"),
        b'R' => Value::Format("%H:%M"),
        b's' => Value::Number(civil.seconds, 1),
        b'S' => two(i64::from(civil.second)),
        b't' => Value::Octet(b'\t'),
        b'T' | b'X' => Value::Format("%H:%M:%S"),
        b'u' => Value::Number((i64::from(civil.weekday) + 6) % 7 + 1, 1),
        b'U' => two((civil.yearday() + 7 - i64::from(civil.weekday)) / 7),
        b'V' => two(iso_week(civil).1),
        b'w' => Value::Number(i64::from(civil.weekday), 1),
        b'W' => two((civil.yearday() + 7 - (i64::from(civil.weekday) + 6) % 7) / 7),
        b'y' => two(civil.year.rem_euclid(100)),
        b'Y' => Value::Number(civil.year, 1),
        b'z' => Value::Offset,
        b'Z' => Value::Text(civil.zone),
        other => Value::Octet(other),
    }
}

fn write_plain(conversion: u8, civil: &Civil<'_>, out: &mut Vec<u8>) {
    match value(conversion, civil) {
        Value::Number(number, least) => digits(number, least, out),
        Value::Padded(number) => {
            if number < 10 {
                out.push(b' ');
            }
            digits(number, 1, out);
        }
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Format(format) => write(&parse(format.as_bytes()), civil, 0, out),
        Value::Octet(octet) => out.push(octet),
        Value::Offset => {
            let minutes = i64::from(civil.offset).abs() / 60;
            out.push(if civil.offset < 0 { b'-' } else { b'+' });
            digits(minutes / 60 * 100 + minutes % 60, 4, out);
        }
    }
}

/// Flags and width: `%-d`, `%_H`, `%^a`, `%10Y`.
fn write_styled(
    conversion: u8,
    (flag, upper, swap, width): (Option<u8>, bool, bool, usize),
    civil: &Civil<'_>,
    out: &mut Vec<u8>,
) {
    let fill = if flag == Some(b'0') { b'0' } else { b' ' };
    let mut text = Vec::new();
    match value(conversion, civil) {
        // Of the numbers, only this one is padded as a text.
        Value::Number(number, _) if conversion == b's' => digits(number, 1, &mut text),
        Value::Number(number, least) => styled_number(number, least.max(width), flag.unwrap_or(b'0'), &mut text),
        Value::Padded(number) => styled_number(number, width.max(2), flag.unwrap_or(b'_'), &mut text),
        Value::Offset => {
            // glibc pads the sign and the number, each to the width.
            out.extend(std::iter::repeat_n(fill, width.saturating_sub(1)));
            out.push(if civil.offset < 0 { b'-' } else { b'+' });
            let minutes = i64::from(civil.offset).abs() / 60;
            let number = minutes / 60 * 100 + minutes % 60;
            styled_number(number, width.max(4), flag.unwrap_or(b'0'), &mut text);
        }
        _ => write_plain(conversion, civil, &mut text),
    }
    match conversion {
        b'p' | b'Z' if swap => text.make_ascii_lowercase(),
        b'a' | b'A' | b'b' | b'B' | b'h' if swap => text.make_ascii_uppercase(),
        b'P' => {}
        _ if upper => text.make_ascii_uppercase(),
        _ => {}
    }
    out.extend(std::iter::repeat_n(fill, width.saturating_sub(text.len())));
    out.extend_from_slice(&text);
}

/// A number padded with zeros (flag `0`), blanks (`_`) or nothing (`-`).
fn styled_number(number: i64, least: usize, flag: u8, out: &mut Vec<u8>) {
    match flag {
        b'-' => digits(number, 1, out),
        b'_' => {
            let text = number.to_string();
            out.extend(std::iter::repeat_n(b' ', least.saturating_sub(text.len())));
            out.extend_from_slice(text.as_bytes());
        }
        _ => digits(number, least, out),
    }
}

fn weekday(civil: &Civil<'_>) -> &'static str {
    WEEKDAYS[usize::from(civil.weekday % 7)]
}

fn month(civil: &Civil<'_>) -> &'static str {
    MONTHS[usize::from(civil.month.clamp(1, 12) - 1)]
}

/// Year and week of ISO 8601: a week belongs to the year that has its Thursday.
fn iso_week(civil: &Civil<'_>) -> (i64, i64) {
    let day = days_before(civil.year, civil.month, civil.day);
    let thursday = day + 3 - (i64::from(civil.weekday) + 6) % 7;
    let (year, _, _) = date_of(thursday);
    (year, (thursday - days_before(year, 1, 1)) / 7 + 1)
}
