//! `[FileAcct]`: CDR lines in a file, and when it is renamed and begun anew.

use super::{
    FileAcct, Rotate,
    reading::{Reading, Value, shortened},
    values,
};

const SECTION: &str = "FileAcct";

pub fn read(reading: &mut Reading<'_>) -> FileAcct {
    let detail_file = reading.value(SECTION, "DetailFile");
    if detail_file.text.is_empty() {
        let line = reading.line(SECTION, "DetailFile");
        let what = "[FileAcct] DetailFile names no file: each stop would fail";
        reading.refuse(line, what, "runs on without one");
    }
    let cdr_string = reading.text(SECTION, "CDRString");
    let standard = reading.value(SECTION, "StandardCDRFormat");
    let standard_format = match standard.line {
        0 => cdr_string.is_empty(),
        _ => reading.boolean(SECTION, "StandardCDRFormat"),
    };
    if cdr_string.is_empty() && !standard_format {
        let what = "[FileAcct] StandardCDRFormat is off and there is no CDRString: each stop would fail";
        reading.refuse(standard.line, what, "has no line to write");
    }
    if !cdr_string.is_empty() && standard_format {
        let text = "[FileAcct] CDRString is not used: StandardCDRFormat is on";
        reading.notice(standard.line, text);
    }
    FileAcct {
        detail_file: detail_file.text.into(),
        standard_format,
        cdr_string,
        timestamp_format: reading.optional(SECTION, "TimestampFormat"),
        rotate: rotate(reading),
    }
}

fn rotate(reading: &mut Reading<'_>) -> Rotate {
    let rotate = reading.value(SECTION, "Rotate");
    let word = rotate.text.to_ascii_lowercase();
    let rule = match word.as_str() {
        "" => Some(Rotate::Never),
        "hourly" => Some(Rotate::Hourly {
            minute: minute(reading),
        }),
        "daily" => {
            let (hour, minute) = time_of_day(reading);
            Some(Rotate::Daily { hour, minute })
        }
        "weekly" => {
            let (hour, minute) = time_of_day(reading);
            let day = day(reading, weekday, 0);
            Some(Rotate::Weekly { day, hour, minute })
        }
        "monthly" => {
            let (hour, minute) = time_of_day(reading);
            let day = day(
                reading,
                |text| text.parse().ok().filter(|day| (1..=31).contains(day)),
                1,
            );
            Some(Rotate::Monthly { day, hour, minute })
        }
        amount => match amount.as_bytes()[0] {
            b'l' => amount_of(&amount[1..], 1000).map(Rotate::Lines),
            b's' => amount_of(&amount[1..], 1024).map(Rotate::Octets),
            _ => None,
        },
    };
    rule.unwrap_or_else(|| {
        let text = format!(
            "[FileAcct] Rotate: `{}` is none of hourly, daily, weekly, monthly, L10000, S10k: as at the gatekeeper, the file \
             is never rotated",
            shortened(&rotate.text)
        );
        reading.notice(rotate.line, text);
        Rotate::Never
    })
}

/// `10000`, `10k`, `1m`. Not 0.
fn amount_of(text: &str, thousand: u64) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], thousand),
        b'm' => (&text[..text.len() - 1], thousand * thousand),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(unit).filter(|amount| *amount > 0)
}

/// Minute of the hour. The gatekeeper goes over the hour with what is beyond it.
fn minute(reading: &mut Reading<'_>) -> u8 {
    let time = reading.value(SECTION, "RotateTime");
    if time.line == 0 {
        return 59;
    }
    let minute = values::integer(&time.text).rem_euclid(60) as u8;
    if time.text.parse() != Ok(minute) {
        let text = format!(
            "[FileAcct] RotateTime: `{}` is not a minute from 0 to 59; it is read as {minute}, as at the gatekeeper",
            shortened(&time.text)
        );
        reading.notice(time.line, text);
    }
    minute
}

/// `H` or `H:M`.
fn time_of_day(reading: &mut Reading<'_>) -> (u8, u8) {
    let time = reading.value(SECTION, "RotateTime");
    if time.line == 0 {
        return (0, 59);
    }
    let (hour, minute) = time.text.split_once(':').unwrap_or((&time.text, "0"));
    let below = |text: &str, end: u8| text.trim().parse().ok().filter(|number| *number < end);
    match (below(hour, 24), below(minute, 60)) {
        (Some(hour), Some(minute)) => (hour, minute),
        _ => {
            fallback(reading, "RotateTime", &time, "a time such as 23:00", "00:59");
            (0, 59)
        }
    }
}

fn day(reading: &mut Reading<'_>, read: impl Fn(&str) -> Option<u8>, default: u8) -> u8 {
    let day = reading.value(SECTION, "RotateDay");
    if day.line == 0 {
        return default;
    }
    read(&day.text).unwrap_or_else(|| {
        let (expected, taken) = match default {
            0 => ("a day of the week", "Sun"),
            _ => ("a day of the month", "1"),
        };
        fallback(reading, "RotateDay", &day, expected, taken);
        default
    })
}

/// 0 is Sunday.
fn weekday(text: &str) -> Option<u8> {
    const NAMES: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    let lower = text.to_ascii_lowercase();
    let named = NAMES.iter().position(|name| lower == *name || lower == name[..3]);
    match named {
        Some(day) => u8::try_from(day).ok(),
        None => lower.parse().ok().filter(|day| *day < 7),
    }
}

fn fallback(reading: &mut Reading<'_>, key: &str, value: &Value, expected: &str, taken: &str) {
    let text = format!(
        "[FileAcct] {key}: `{}` is not {expected}; {taken} is taken, as at the gatekeeper",
        shortened(&value.text)
    );
    reading.notice(value.line, text);
}
