//! `[stream]`: documents are sent to a collector over TCP or TLS in place of the spool.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::{Config, Size, Span, Tls, device};

/// The name under which the ledger knows the collectors as a destination.
pub const STREAM: &str = "stream";

/// Least and longest time between two documents, in seconds (ccmtrCollectionRevInterval: 2 to 1440 minutes).
const INTERVAL: std::ops::RangeInclusive<u64> = 120..=86400;

/// Most retries (ccmtrCollectionRetries).
const RETRIES: u32 = 5;

/// `[stream]` as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stream {
    pub primary: Collector,
    /// Gets what the primary does not take.
    #[serde(default)]
    pub secondary: Option<Collector>,
    /// Time between two documents. They are due at whole multiples of it since midnight UTC.
    #[serde(default = "Stream::default_interval")]
    pub interval: Span,
    /// Local times of the day at which documents are due, in place of `interval`.
    #[serde(default)]
    pub schedule: Vec<TimeOfDay>,
    /// How often a collector that did not take a document is tried again.
    #[serde(default = "Stream::default_retries")]
    pub retries: u32,
    /// How long to wait before a retry of the same collector.
    #[serde(default = "Stream::default_retry_wait")]
    pub retry_wait: Span,
    #[serde(default)]
    pub order: Order,
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Own address that connections come from.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    #[serde(default = "Stream::default_connect_timeout")]
    pub connect_timeout: Span,
    /// How long a collector may take nothing, and how long it may stay when it has everything.
    #[serde(default = "Stream::default_idle_timeout")]
    pub idle_timeout: Span,
    /// For one document.
    #[serde(default = "Stream::default_total_timeout")]
    pub total_timeout: Span,
    /// How many octets of documents may wait before managers are alarmed.
    #[serde(default = "Stream::default_alarm_size")]
    pub alarm_size: Size,
}

/// `[stream.primary]` and `[stream.secondary]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collector {
    /// `HOST:PORT` or `[IPV6]:PORT`.
    pub address: String,
    #[serde(default)]
    pub security: Security,
    /// Certificates in PEM that are believed in place of the host's.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// SHA-256 of the collector's own certificate.
    #[serde(default)]
    pub tls_fingerprint: Option<String>,
    /// Name that the certificate must have, in place of the address.
    #[serde(default)]
    pub tls_name: Option<String>,
    /// Nothing is checked.
    #[serde(default)]
    pub tls_insecure: bool,
    /// Our own certificate, with those that vouch for it, and its private key: both in PEM.
    #[serde(default)]
    pub tls_certificate: Option<PathBuf>,
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
}

/// In the words of a CMTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// TLS 1.2 or 1.3.
    #[default]
    Secure,
    /// Plain text.
    NonSecure,
}

/// Who is tried when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The primary with all its retries, then the secondary with all of them.
    #[default]
    PrimaryFirst,
    /// Primary, secondary, primary, secondary, and so on.
    Alternate,
}

/// What becomes of a document that no collector took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It waits; when a collector is back it gets all that wait, oldest first.
    #[default]
    StoreAndForward,
    /// It is dropped, as a CMTS does; the next document tells of the gap.
    NextInterval,
}

/// `"06:30"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay {
    pub hour: u8,
    pub minute: u8,
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |digits: &str, below: u8| {
            let value = digits.parse().ok().filter(|value| *value < below)?;
            (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(value)
        };
        text.split_once(':')
            .and_then(|(hour, minute)| {
                Some(TimeOfDay {
                    hour: number(hour, 24)?,
                    minute: number(minute, 60)?,
                })
            })
            .ok_or_else(|| format!("{text:?} is not a time of the day; write it like \"06:30\""))
    }
}

/// A collector's table, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedCollector {
    pub host: String,
    pub port: u16,
    /// [`None`]: plain text.
    pub tls: Option<Tls>,
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is wrong with a key: its name below the table, and the reason.
type Finding = (String, String);

impl Stream {
    fn default_interval() -> Span {
        Span::seconds(1800)
    }

    fn default_retries() -> u32 {
        2
    }

    fn default_retry_wait() -> Span {
        Span::seconds(10)
    }

    fn default_connect_timeout() -> Span {
        Span::seconds(10)
    }

    fn default_idle_timeout() -> Span {
        Span::seconds(60)
    }

    fn default_total_timeout() -> Span {
        Span::hours(1)
    }

    fn default_alarm_size() -> Size {
        Size::mebibytes(1024)
    }

    /// In the ledger and in `status`: `stream://192.0.2.9:5300`, with both collectors where there are two.
    pub fn url(&self) -> String {
        match &self.secondary {
            Some(secondary) => format!("stream://{}, {}", self.primary.address, secondary.address),
            None => format!("stream://{}", self.primary.address),
        }
    }

    /// Everything that is wrong with it.
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut within = |key: &str, is: bool, range: &str| {
            if !is {
                found.push((key.to_owned(), format!("must be {range}")));
            }
        };
        let seconds = |span: Span, from: u64, to: u64| (from..=to).contains(&span.0.as_secs());
        let interval = self.interval.0;
        within(
            "interval",
            INTERVAL.contains(&interval.as_secs()) && interval.subsec_nanos() == 0,
            "2min to 1day, in whole seconds",
        );
        within("retries", self.retries <= RETRIES, "0 to 5");
        within("retry-wait", seconds(self.retry_wait, 0, 600), "0s to 10min");
        within("connect-timeout", seconds(self.connect_timeout, 1, 600), "1s to 10min");
        within("idle-timeout", seconds(self.idle_timeout, 1, 3600), "1s to 1h");
        within("total-timeout", seconds(self.total_timeout, 1, 86400), "1s to 1day");
        within(
            "schedule",
            self.schedule.len() <= 1440 && self.schedule.is_sorted_by(|a, b| a < b),
            "times in their order, none of them twice",
        );
        let collectors = [("primary", Some(&self.primary)), ("secondary", self.secondary.as_ref())];
        for (table, collector) in collectors {
            if let Some(Err(findings)) = collector.map(Collector::check) {
                found.extend(
                    findings
                        .into_iter()
                        .map(|(key, reason)| (format!("{table}.{key}"), reason)),
                );
            }
        }
        found
    }
}

impl Collector {
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<CheckedCollector, Vec<Finding>> {
        let mut found: Vec<Finding> = Vec::new();
        let endpoint = endpoint(&self.address).map_err(|reason| found.push(("address".to_owned(), reason)));
        let fingerprint = self
            .tls_fingerprint
            .as_deref()
            .map(device::fingerprint)
            .transpose()
            .map_err(|reason| found.push(("tls-fingerprint".to_owned(), reason.to_owned())));
        let tls = Tls {
            ca: self.tls_ca.clone(),
            fingerprint: fingerprint.unwrap_or_default(),
            name: self.tls_name.clone(),
            insecure: self.tls_insecure,
            ..Tls::default()
        };
        if let Some(setting) = tls.contradiction() {
            let reason = format!("contradicts tls-{setting}, which says what is to be checked");
            found.push(("tls-insecure".to_owned(), reason));
        }
        let files = [
            ("tls-ca", &self.tls_ca),
            ("tls-certificate", &self.tls_certificate),
            ("tls-key", &self.tls_key),
        ];
        for (key, file) in files {
            if let Some(file) = file
                && let Err(e) = device::readable(file)
            {
                found.push((key.to_owned(), format!("cannot read {}: {e}", file.display())));
            }
        }
        let identity = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                found.push((
                    "tls-certificate".to_owned(),
                    "needs its private key, tls-key".to_owned(),
                ));
                None
            }
            (None, Some(_)) => {
                found.push((
                    "tls-key".to_owned(),
                    "needs its certificate, tls-certificate".to_owned(),
                ));
                None
            }
        };
        let is_plain = self.security == Security::NonSecure;
        if is_plain && (tls != Tls::default() || identity.is_some()) {
            let reason = "is non-secure, so no TLS key has a meaning; remove them, or make it secure".to_owned();
            found.push(("security".to_owned(), reason));
        }
        match endpoint {
            Ok((host, port)) if found.is_empty() => Ok(CheckedCollector {
                host,
                port,
                tls: (!is_plain).then_some(tls),
                identity,
            }),
            _ => Err(found),
        }
    }
}

pub(super) fn endpoint(text: &str) -> Result<(String, u16), String> {
    /// `ccmtrCollectionDestination` has to hold it.
    const LONGEST: usize = 80;
    let (host, port) = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        .ok_or("must be HOST:PORT or [IPV6]:PORT")?;
    if text.len() > LONGEST {
        return Err(format!("is longer than the {LONGEST} octets of a trap"));
    }
    let port = device::port(port).map_err(|reason| format!("port {reason}"))?;
    let host = device::address(host).map_err(|reason| format!("host {reason}"))?;
    Ok((host, port))
}

impl Config {
    /// Where documents wait for a collector, when they are streamed.
    pub fn stream_directory(&self) -> PathBuf {
        self.state_directory().join(STREAM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let stream = stream("primary = { address = \"[2001:db8::9]:5300\" }");
        assert_eq!(stream.check(), []);
        let primary = stream.primary.check().unwrap();
        assert_eq!((primary.host.as_str(), primary.port), ("2001:db8::9", 5300));
        assert_eq!(primary.tls, Some(Tls::default()), "secure unless said otherwise");
        assert_eq!(stream.interval, Span::seconds(1800));
    }

    #[test]
    fn each_key_that_cannot_be_is_named() {
        let keys = |text: &str| -> Vec<String> { stream(text).check().into_iter().map(|(key, _)| key).collect() };
        assert_eq!(
            keys(
                "interval = \"90s\"\nretries = 6\nretry-wait = \"1h\"\nconnect-timeout = \"0s\"\nidle-timeout = \"2h\"\n\
                 total-timeout = \"2days\"\nschedule = [\"06:00\", \"05:00\"]\nprimary = { address = \"h\" }\n\
                 secondary = { address = \"2001:db8::9:5300\", security = \"non-secure\", tls-insecure = true }"
            ),
            [
                "interval",
                "retries",
                "retry-wait",
                "connect-timeout",
                "idle-timeout",
                "total-timeout",
                "schedule",
                "primary.address",
                "secondary.address",
                "secondary.security",
            ]
        );
        assert_eq!(
            keys("primary = { address = \"h:1\", tls-key = \"/nowhere/key\", tls-fingerprint = \"12\" }"),
            ["primary.tls-fingerprint", "primary.tls-key", "primary.tls-key"]
        );
    }

    #[test]
    fn a_time_of_the_day_has_four_digits() {
        assert_eq!(
            TimeOfDay::try_from("23:59".to_owned()),
            Ok(TimeOfDay { hour: 23, minute: 59 })
        );
        for text in ["24:00", "1:00", "+1:00", "12:60", "1200", ""] {
            assert!(TimeOfDay::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
