//! How each kind of value is written as text and read from it: the one place for both directions.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use crate::record::{Decimal, Kind, Text, Value};
pub(super) use crate::xml::{clip, is_space};

/// Why a value cannot be written in its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The variant of the value is not that of the field.
    Kind,
    TooLong {
        chars: usize,
        max_chars: usize,
    },
    TooManyOctets {
        octets: usize,
        max_octets: usize,
    },
    Code(i32),
    Year(i32),
    /// A list separates its items by blanks: an item that is empty or has one would come back as something else.
    ListItem,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Kind => f.write_str("the value is of another kind"),
            Misfit::TooLong { chars, max_chars } => write!(f, "{chars} characters, at most {max_chars} are allowed"),
            Misfit::TooManyOctets { octets, max_octets } => {
                write!(f, "{octets} octets, at most {max_octets} are allowed")
            }
            Misfit::Code(code) => write!(f, "{code} is none of its codes"),
            Misfit::Year(year) => write!(f, "the year {year} is not within 1 and 9999"),
            Misfit::ListItem => f.write_str("an item of a list must have a value without white space"),
        }
    }
}

/// The text of the last time written. The records of a capture have nearly always the same.
#[derive(Debug, Default)]
pub(super) struct Times {
    last: Option<DateTime<Utc>>,
    text: Vec<u8>,
}

/// Appends `value`; `text` appends a text and escapes it where that is needed. [`Value::Absent`] appends nothing.
#[inline]
pub(super) fn append(
    out: &mut Vec<u8>,
    kind: &Kind,
    value: &Value,
    times: &mut Times,
    text: fn(&mut Vec<u8>, &str),
) -> Result<(), Misfit> {
    match (kind, value) {
        (_, Value::Absent) => {}
        (Kind::UnsignedLong, Value::UnsignedLong(n)) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
        }
        (Kind::UnsignedInt, Value::UnsignedInt(n)) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
        }
        (Kind::Int, Value::Int(n)) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
        (Kind::Text { max_chars }, Value::Text(value)) => {
            let value = value.as_str();
            // A text has never more characters than octets.
            if value.len() > *max_chars {
                let chars = value.chars().count();
                if chars > *max_chars {
                    return Err(Misfit::TooLong {
                        chars,
                        max_chars: *max_chars,
                    });
                }
            }
            text(out, value);
        }
        (Kind::DateTimeMsec, Value::DateTime(time)) => times.append(out, *time)?,
        (Kind::DateTime, Value::DateTime(time)) => {
            let second = time.with_nanosecond(0).unwrap_or(*time);
            out.extend_from_slice(self::time(second)?.as_bytes());
        }
        (Kind::HexBinary { max_octets }, Value::Octets(octets)) => {
            if octets.len() > *max_octets {
                return Err(Misfit::TooManyOctets {
                    octets: octets.len(),
                    max_octets: *max_octets,
                });
            }
            out.extend(octets.iter().flat_map(|octet| hex_digits(*octet)));
        }
        (Kind::Enum(codes), Value::Enum(code)) => match codes.iter().find(|(number, _)| number == code) {
            Some((_, token)) => out.extend_from_slice(token.as_bytes()),
            None => return Err(Misfit::Code(*code)),
        },
        (Kind::MacAddress, Value::MacAddress(octets)) => {
            let mut digits = *b"00-00-00-00-00-00";
            for (index, octet) in octets.iter().enumerate() {
                digits[3 * index..3 * index + 2].copy_from_slice(&hex_digits(*octet));
            }
            out.extend_from_slice(&digits);
        }
        (Kind::Ipv4Addr, Value::Ipv4(address)) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        (Kind::Ipv6Addr, Value::Ipv6(address)) => {
            for (index, pair) in address.octets().chunks(2).enumerate() {
                if index > 0 {
                    out.push(b':');
                }
                out.extend(pair.iter().flat_map(|octet| hex_digits(*octet)));
            }
        }
        (Kind::Uuid, Value::Uuid(octets)) => {
            for (index, octet) in octets.iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                out.extend_from_slice(&hex_digits(*octet));
            }
        }
        (Kind::Decimal, Value::Decimal(decimal)) => out.extend_from_slice(decimal.as_str().as_bytes()),
        (Kind::Boolean, Value::Boolean(yes)) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        (Kind::List(kind), Value::List(items)) => list(out, kind, items, times, text)?,
        _ => return Err(Misfit::Kind),
    }
    Ok(())
}

fn list(
    out: &mut Vec<u8>,
    kind: &Kind,
    items: &[Value],
    times: &mut Times,
    text: fn(&mut Vec<u8>, &str),
) -> Result<(), Misfit> {
    if matches!(kind, Kind::List(_) | Kind::Structs(_)) {
        return Err(Misfit::Kind);
    }
    for (index, item) in items.iter().enumerate() {
        let splits = match item {
            Value::Absent => true,
            Value::Text(text) => text.as_str().is_empty() || text.as_str().contains(is_space),
            _ => false,
        };
        if splits {
            return Err(Misfit::ListItem);
        }
        if index > 0 {
            out.push(b' ');
        }
        append(out, kind, item, times, text)?;
    }
    Ok(())
}

impl Times {
    pub(super) fn append(&mut self, out: &mut Vec<u8>, time: DateTime<Utc>) -> Result<(), Misfit> {
        if self.last != Some(time) {
            self.last = None;
            self.text.clear();
            self.text.extend_from_slice(self::time(time)?.as_bytes());
            self.last = Some(time);
        }
        out.extend_from_slice(&self.text);
        Ok(())
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`, with `.mmm` before the Z when the milliseconds are not zero.
///
/// What is below a millisecond is left out. A leap second is written as the last millisecond before it, because the
/// schema language has none. Year 0 does not exist there either.
pub(super) fn time(time: DateTime<Utc>) -> Result<String, Misfit> {
    let year = time.year();
    if !(1..=9999).contains(&year) {
        return Err(Misfit::Year(year));
    }
    let mut text = format!(
        "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    match time.timestamp_subsec_millis().min(999) {
        0 => {}
        milliseconds => text.push_str(&format!(".{milliseconds:03}")),
    }
    text.push('Z');
    Ok(text)
}

fn hex_digits(octet: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]
}

/// The value as it stands in JSON strings, CSV cells and tables: like in XML, but without escaping.
pub(super) fn plain(kind: &Kind, value: &Value) -> Result<String, Misfit> {
    let mut out = Vec::new();
    append(&mut out, kind, value, &mut Times::default(), |out, text| {
        out.extend_from_slice(text.as_bytes());
    })?;
    // Every branch of `append` writes ASCII or a whole `str`.
    Ok(String::from_utf8(out).unwrap_or_default())
}

/// Reads what [`append`] wrote, and other spellings of the same value. White space around it does not count, except
/// in texts. On failure says what was expected.
pub(super) fn parse(kind: &Kind, text: &str) -> Result<Value, String> {
    if let Kind::Text { max_chars } = kind {
        return parse_text(text, *max_chars);
    }
    let word = text.trim_matches(is_space);
    let value = match kind {
        Kind::Text { .. } | Kind::Structs(_) => None,
        Kind::Boolean => match word {
            "true" | "1" => Some(Value::Boolean(true)),
            "false" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        Kind::Int => number(word.strip_prefix('-').unwrap_or(word)).and_then(|_| word.parse().ok().map(Value::Int)),
        Kind::UnsignedInt => number(word).and_then(|digits| digits.parse().ok().map(Value::UnsignedInt)),
        Kind::UnsignedLong => number(word).and_then(|digits| digits.parse().ok().map(Value::UnsignedLong)),
        Kind::Decimal => Decimal::new(word).map(Value::Decimal),
        Kind::DateTime => parse_time(word)
            .filter(|time| time.timestamp_subsec_nanos() == 0)
            .map(Value::DateTime),
        Kind::HexBinary { max_octets } => hex(word, *max_octets).map(Value::Octets),
        Kind::DateTimeMsec => parse_time(word).map(Value::DateTime),
        Kind::MacAddress => mac(word).map(Value::MacAddress),
        Kind::Ipv4Addr => word.parse().ok().map(Value::Ipv4),
        Kind::Ipv6Addr => word.parse().ok().map(Value::Ipv6),
        Kind::Uuid => uuid(word).map(Value::Uuid),
        Kind::Enum(codes) => codes
            .iter()
            .find(|(_, token)| *token == word)
            .map(|(code, _)| Value::Enum(*code)),
        Kind::List(kind) => {
            let items = word.split(is_space).filter(|item| !item.is_empty());
            return items
                .map(|item| parse(kind, item))
                .collect::<Result<_, _>>()
                .map(Value::List);
        }
    };
    value.ok_or_else(|| format!("{} is expected, not {:?}", expected(kind), clip(word)))
}

fn parse_text(text: &str, max_chars: usize) -> Result<Value, String> {
    if text.len() > max_chars {
        let chars = text.chars().count();
        if chars > max_chars {
            return Err(Misfit::TooLong { chars, max_chars }.to_string());
        }
    }
    Text::new(text).map(Value::Text).map_err(|error| error.to_string())
}

/// Digits only: the standard parsers would take a plus sign too.
fn number(word: &str) -> Option<&str> {
    (!word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit())).then_some(word)
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Text { max_chars } => format!("a text of at most {max_chars} characters"),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Int => format!("a number from {} to {}", i32::MIN, i32::MAX),
        Kind::UnsignedInt => format!("a number from 0 to {}", u32::MAX),
        Kind::UnsignedLong => format!("a number from 0 to {}", u64::MAX),
        Kind::Decimal => format!("a decimal number of at most {} digits", Decimal::MAX_DIGITS),
        Kind::DateTime => "a time YYYY-MM-DDThh:mm:ssZ".to_owned(),
        Kind::HexBinary { max_octets } => format!("hexadecimal digits, two for each of at most {max_octets} octets"),
        Kind::DateTimeMsec => "a time YYYY-MM-DDThh:mm:ss[.mmm]Z".to_owned(),
        Kind::MacAddress => "a MAC address such as 00-00-5E-00-53-21".to_owned(),
        Kind::Ipv4Addr => "an IPv4 address".to_owned(),
        Kind::Ipv6Addr => "an IPv6 address".to_owned(),
        Kind::Uuid => "a UUID".to_owned(),
        Kind::Enum(codes) => {
            let tokens: Vec<_> = codes.iter().map(|(_, token)| *token).collect();
            format!("one of {}", tokens.join(", "))
        }
        Kind::List(kind) => format!("a list, each item {}", expected(kind)),
        Kind::Structs(_) => "child elements".to_owned(),
    }
}

pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let octets = text.as_bytes();
    let milliseconds = match octets.len() {
        20 => 0,
        24 if octets[19] == b'.' => decimal(&octets[20..23])?,
        _ => return None,
    };
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (octets.len() - 1, b'Z'),
    ];
    if marks.iter().any(|(at, mark)| octets[*at] != *mark) {
        return None;
    }
    let year = decimal(&octets[..4])?;
    let date = NaiveDate::from_ymd_opt(year as i32, decimal(&octets[5..7])?, decimal(&octets[8..10])?)?;
    let [hour, minute, second] = [11, 14, 17].map(|at| decimal(&octets[at..at + 2]));
    let time = date.and_hms_milli_opt(hour?, minute?, second?, milliseconds)?;
    (year > 0).then(|| time.and_utc())
}

fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })
}

/// Six octets with dashes, or with colons as everybody else writes them.
fn mac(text: &str) -> Option<[u8; 6]> {
    let octets = text.as_bytes();
    let separator = *octets.get(2)?;
    if octets.len() != 17 || !matches!(separator, b'-' | b':') {
        return None;
    }
    let mut mac = [0; 6];
    for (index, value) in mac.iter_mut().enumerate() {
        if index > 0 && octets[3 * index - 1] != separator {
            return None;
        }
        *value = hex_octet(octets[3 * index], octets[3 * index + 1])?;
    }
    Some(mac)
}

/// 8-4-4-4-12 hexadecimal digits.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let octets = text.as_bytes();
    if octets.len() != 36 {
        return None;
    }
    let mut uuid = [0; 16];
    let mut at = 0;
    for (index, value) in uuid.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if octets[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *value = hex_octet(octets[at], octets[at + 1])?;
        at += 2;
    }
    Some(uuid)
}

fn hex(text: &str, max_octets: usize) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() / 2 > max_octets {
        return None;
    }
    digits.chunks(2).map(|pair| hex_octet(pair[0], pair[1])).collect()
}

fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |octet| char::from(octet).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_to_the_second_unless_there_are_milliseconds() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        assert_eq!(time(at(1_768_469_400_000)).unwrap(), "2026-01-15T09:30:00Z");
        assert_eq!(time(at(1_768_469_400_007)).unwrap(), "2026-01-15T09:30:00.007Z");
        assert_eq!(time(at(-1)).unwrap(), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(DateTime::<Utc>::MAX_UTC), Err(Misfit::Year(262_142)));
        assert_eq!(time(DateTime::<Utc>::MIN_UTC), Err(Misfit::Year(-262_143)));
    }

    #[test]
    fn a_leap_second_is_written_as_a_time_that_exists() {
        let leap = NaiveDate::from_ymd_opt(2016, 12, 31)
            .unwrap()
            .and_hms_nano_opt(23, 59, 59, 1_500_000_000);
        assert_eq!(time(leap.unwrap().and_utc()).unwrap(), "2016-12-31T23:59:59.999Z");
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        assert!(parse_time("2024-02-29T00:00:00Z").is_some());
        for text in [
            "2023-02-29T00:00:00Z",
            "2026-01-15 09:30:00Z",
            "2026-01-15T09:30:00",
            "2026-01-15T09:30:00+00:00",
            "2026-01-15T24:00:00Z",
            "2026-01-15T23:59:60Z",
            "2026-01-15T09:30:00.1Z",
            "2026-01-15T09:30:00.1234Z",
            "0000-01-15T09:30:00Z",
            "+026-01-15T09:30:00Z",
            "２０２６-1-5T0:00Z",
            "",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_and_within_their_range() {
        assert_eq!(
            parse(&Kind::UnsignedInt, " 51840000 \n"),
            Ok(Value::UnsignedInt(51_840_000))
        );
        assert_eq!(
            parse(&Kind::UnsignedLong, "18446744073709551615"),
            Ok(Value::UnsignedLong(u64::MAX))
        );
        assert_eq!(parse(&Kind::Int, "-2147483648"), Ok(Value::Int(i32::MIN)));
        for (kind, text) in [
            (Kind::UnsignedInt, "4294967296"),
            (Kind::UnsignedInt, "+1"),
            (Kind::UnsignedInt, "-1"),
            (Kind::UnsignedInt, "1 2"),
            (Kind::UnsignedInt, ""),
            (Kind::UnsignedLong, "18446744073709551616"),
            (Kind::UnsignedLong, "1e3"),
            (Kind::UnsignedLong, "\u{A0}1"),
            (Kind::Int, "2147483648"),
            (Kind::Int, "--1"),
            (Kind::Int, "-"),
        ] {
            assert!(parse(&kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_are_two_digits_each_and_no_more_than_the_field_takes() {
        let kind = Kind::HexBinary { max_octets: 3 };
        let octets = Value::Octets(vec![0x01, 0xAB, 0xFF]);
        assert_eq!(plain(&kind, &octets).unwrap(), "01ABFF");
        assert_eq!(parse(&kind, " 01abff "), Ok(octets));
        for text in ["1", "01ABF", "01ABFF00", "0x01", "g0", "é"] {
            assert!(parse(&kind, text).is_err(), "{text}");
        }
        let long = Value::Octets(vec![0; 4]);
        assert_eq!(
            append(&mut Vec::new(), &kind, &long, &mut Times::default(), |_, _| ()),
            Err(Misfit::TooManyOctets {
                octets: 4,
                max_octets: 3
            })
        );
    }

    #[test]
    fn a_time_of_whole_seconds_leaves_the_milliseconds_out() {
        let time = Value::DateTime(DateTime::from_timestamp_millis(1_768_469_400_007).unwrap());
        assert_eq!(plain(&Kind::DateTime, &time).unwrap(), "2026-01-15T09:30:00Z");
        assert!(parse(&Kind::DateTime, "2026-01-15T09:30:00Z").is_ok());
        assert!(parse(&Kind::DateTime, "2026-01-15T09:30:00.007Z").is_err());
    }

    #[test]
    fn addresses_are_read_in_every_usual_spelling() {
        let mac = Ok(Value::MacAddress([0, 0, 0x5E, 0, 0x53, 0x21]));
        assert_eq!(parse(&Kind::MacAddress, "00-00-5E-00-53-21"), mac);
        assert_eq!(parse(&Kind::MacAddress, "00:00:5e:00:53:21"), mac);
        for text in [
            "00-00-5E-00-53",
            "00-00:5E-00-53-21",
            "00-00-5E-00-53-2G",
            "000-0-5E-00-53-21",
            "é",
        ] {
            assert!(parse(&Kind::MacAddress, text).is_err(), "{text}");
        }
        let address = Value::Ipv6("2001:db8::1".parse().unwrap());
        assert_eq!(parse(&Kind::Ipv6Addr, "2001:DB8:0:0:0:0:0:1"), Ok(address.clone()));
        assert_eq!(
            plain(&Kind::Ipv6Addr, &address).unwrap(),
            "2001:0DB8:0000:0000:0000:0000:0000:0001"
        );
    }
}
