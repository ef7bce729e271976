//! Quantities with units: times ("15m"), sizes ("64MiB"), file modes ("0640").

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// A span of time, written with units: `90s`, `15m`, `1h 30m`, `2days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of octets, written with units: `4096`, `64KiB`, `1.5GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Permission bits of a file or directory, written in octal: `"0640"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Span {
    pub const fn seconds(n: u64) -> Self {
        Span(Duration::from_secs(n))
    }

    pub const fn hours(n: u64) -> Self {
        Span(Duration::from_secs(3600 * n))
    }
}

impl Size {
    pub const fn mebibytes(n: u64) -> Self {
        Size(n << 20)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize(self.0).display().iec().fmt(f)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Span).map_err(|e| {
            de::Error::custom(format!(
                "{text:?} is not a span of time ({e}); write it like \"15m\" or \"1h 30m\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<bytesize::ByteSize>()
            .map(|size| Size(size.as_u64()))
            .map_err(|_| de::Error::custom(format!("{text:?} is not a size; write it like \"64MiB\" or \"4096\"")))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Mode(mode)),
            _ => Err(de::Error::custom(format!(
                "{text:?} is not a file mode; write it in octal, like \"0640\""
            ))),
        }
    }
}
