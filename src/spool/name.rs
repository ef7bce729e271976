//! File names of documents: `<hostname>-<YYYYMMDD>-<HHMMSS>`, with or without an extension.

use std::fmt;

use chrono::{DateTime, Duration, Local, NaiveDateTime, SubsecRound, Utc};

use crate::config;

/// `YYYYMMDD-HHMMSS`
const STAMP: &str = "%Y%m%d-%H%M%S";
const STAMP_OCTETS: usize = 15;

/// Longest host name in a file name, in octets (RFC 1123 allows 255; `ccmtrCollectionDestination` holds 80 in all).
const LONGEST_HOSTNAME: usize = 64;

/// The name of a document, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentName {
    pub hostname: String,
    /// Second in which the document was begun, in the zone of the recorder's choice.
    pub stamp: NaiveDateTime,
    /// Without the dot; empty where there is none.
    pub extension: String,
}

/// How documents are named here.
#[derive(Debug, Clone)]
pub struct NamingRule {
    pub hostname: String,
    pub extension: String,
    pub local_time: bool,
}

impl NamingRule {
    pub fn new(hostname: &str, spool: &config::Spool) -> Self {
        NamingRule {
            hostname: hostname.to_owned(),
            extension: spool.extension.clone(),
            local_time: spool.local_time,
        }
    }

    /// The name of a document that begins `now`, later than that of the one before it.
    pub fn name(&self, now: DateTime<Utc>, last: Option<NaiveDateTime>) -> DocumentName {
        let clock = match self.local_time {
            true => now.with_timezone(&Local).naive_local(),
            false => now.naive_utc(),
        };
        DocumentName {
            hostname: self.hostname.clone(),
            stamp: next_stamp(clock, last),
            extension: self.extension.clone(),
        }
    }
}

/// Never back and never twice: when the clock is not past the second of the last stamp, one second after it.
pub fn next_stamp(clock: NaiveDateTime, last: Option<NaiveDateTime>) -> NaiveDateTime {
    let clock = clock.trunc_subsecs(0);
    match last {
        Some(last) if last >= clock => last + Duration::seconds(1),
        _ => clock,
    }
}

impl DocumentName {
    /// Takes a file name apart from the right, because host names have dashes too. Accepts the underscore that some
    /// CMTSs write before the date, and any extension of letters and digits.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if is_extension(extension) && is_stamped(stem) => (stem, extension),
            _ => (name, ""),
        };
        if !is_stamped(stem) {
            return None;
        }
        let (hostname, stamp) = stem.split_at(stem.len() - STAMP_OCTETS);
        let hostname = hostname.strip_suffix(['-', '_'])?;
        check_hostname(hostname).ok()?;
        Some(DocumentName {
            hostname: hostname.to_owned(),
            stamp: NaiveDateTime::parse_from_str(stamp, STAMP).ok()?,
            extension: extension.to_owned(),
        })
    }

    /// The temporary name in the same directory.
    pub fn partial(&self) -> String {
        format!(".{self}.partial")
    }

    /// The document that a temporary file is for.
    pub fn of_partial(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix('.')?.strip_suffix(".partial")?)
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.hostname, self.stamp.format(STAMP))?;
        match self.extension.as_str() {
            "" => Ok(()),
            extension => write!(f, ".{extension}"),
        }
    }
}

fn is_extension(text: &str) -> bool {
    !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Ends with `YYYYMMDD-HHMMSS`, digits only: chrono would take signs and blanks.
fn is_stamped(stem: &str) -> bool {
    let octets = stem.as_bytes();
    let Some(start) = octets.len().checked_sub(STAMP_OCTETS) else {
        return false;
    };
    octets[start..]
        .iter()
        .enumerate()
        .all(|(i, b)| if i == 8 { *b == b'-' } else { b.is_ascii_digit() })
}

/// Host names that can stand in a file name, in a shell command and in a trap.
pub fn check_hostname(hostname: &str) -> Result<(), String> {
    if hostname.is_empty() || hostname.len() > LONGEST_HOSTNAME {
        return Err(format!(
            "must have 1 to {LONGEST_HOSTNAME} octets, has {}",
            hostname.len()
        ));
    }
    if hostname.starts_with(['.', '-']) {
        return Err(format!("{hostname:?} must not begin with a dot or a dash"));
    }
    match hostname
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-'))
    {
        Some(c) => Err(format!(
            "{hostname:?} has {c:?} in it; file names take letters, digits, dot, dash and underscore"
        )),
        None => Ok(()),
    }
}

/// Octets of a document's name.
pub fn longest_name(hostname: &str, extension: &str) -> usize {
    let dot = usize::from(!extension.is_empty());
    hostname.len() + 1 + STAMP_OCTETS + dot + extension.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, STAMP).unwrap()
    }

    #[test]
    fn names_are_taken_apart_from_the_right_in_every_form_a_cmts_writes() {
        let parse = |name| DocumentName::parse(name).map(|n| (n.hostname, n.stamp.to_string(), n.extension));
        let parts = |h: &str, s: &str, e: &str| Some((h.to_owned(), s.to_owned(), e.to_owned()));
        assert_eq!(
            parse("R7519-UBR7246-20000308-004428"),
            parts("R7519-UBR7246", "2000-03-08 00:44:28", "")
        );
        assert_eq!(
            parse("CMTS01_20030211-155025"),
            parts("CMTS01", "2003-02-11 15:50:25", "")
        );
        assert_eq!(
            parse("a.b-c-20240229-235959.xml"),
            parts("a.b-c", "2024-02-29 23:59:59", "xml")
        );
    }

    #[test]
    fn what_is_no_document_name_is_not_taken_for_one() {
        for name in [
            "",
            "20000308-004428",
            "-20000308-004428",
            "host-20000308-004428.x/y",
            "host-20230229-000000.xml",
            "host-20000308-246060",
            "host-+2000308-004428",
            ".host-20000308-004428.xml",
            "ho st-20000308-004428.xml",
            "host-20000308-004428.xml.partial",
            "héte-20000308-004428",
            "host-20000308-004428.",
        ] {
            assert_eq!(DocumentName::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_name_survives_being_written_and_read() {
        for name in ["h-20380119-031408.xml", "a-b-20240229-000000"] {
            let parsed = DocumentName::parse(name).unwrap();
            assert_eq!(parsed.to_string(), name);
            assert_eq!(DocumentName::of_partial(&parsed.partial()), Some(parsed));
        }
    }

    #[test]
    fn names_rise_when_the_clock_does_not() {
        let last = Some(stamp("20260115-093000"));
        let next = |clock| next_stamp(stamp(clock), last).format(STAMP).to_string();
        assert_eq!(next("20260115-093001"), "20260115-093001");
        assert_eq!(next("20260115-093000"), "20260115-093001");
        assert_eq!(next("20260115-083000"), "20260115-093001");
        // Half a second after the last name is still the same second.
        let half = stamp("20260115-093000") + Duration::milliseconds(500);
        assert_eq!(next_stamp(half, last), stamp("20260115-093001"));
        assert_eq!(next_stamp(stamp("20260115-083000"), None), stamp("20260115-083000"));
        let end_of_day = next_stamp(stamp("20240228-235959"), Some(stamp("20240228-235959")));
        assert_eq!(end_of_day, stamp("20240229-000000"));
    }
}
