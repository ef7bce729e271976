//! `[[ipdr.session]]` and `[[ipdr.collector]]`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    Span, Tls, device,
    ipdr::{Finding, Ipdr, IpdrKind},
};

/// `[[ipdr.session]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpdrSession {
    pub name: String,
    /// 1 to 255. Default: the place in the list, from 1 on.
    #[serde(default)]
    pub id: Option<u8>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub kind: IpdrKind,
    /// Time between two documents. They are due at whole multiples of it since midnight UTC.
    #[serde(default = "IpdrSession::default_interval")]
    pub interval: Span,
    /// How often the sources of an event session are asked.
    #[serde(default = "IpdrSession::default_poll")]
    pub poll: Span,
    /// Names of the sources. Empty: all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The service definition. Default: the one that all of the sources give.
    #[serde(default)]
    pub record: Option<String>,
    #[serde(default)]
    pub type_name: Option<String>,
    #[serde(default)]
    pub schema: Option<String>,
    /// Who gets it, with priorities. Empty: all, with their own.
    #[serde(default)]
    pub collectors: BTreeMap<String, u32>,
    #[serde(default)]
    pub ack_time: Option<Span>,
    #[serde(default)]
    pub ack_sequence: Option<u32>,
    #[serde(default)]
    pub window: Option<u32>,
    #[serde(default)]
    pub ack_timeout: Option<Span>,
    /// Whether the best collector may switch fields off.
    #[serde(default)]
    pub negotiable: bool,
}

/// `[[ipdr.collector]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpdrCollector {
    pub name: String,
    /// Where its connections come from.
    pub address: IpAddr,
    #[serde(default = "IpdrCollector::default_priority")]
    pub priority: u32,
    /// `HOST:PORT` that we connect to.
    #[serde(default)]
    pub dial: Option<String>,
    /// The initiatorAddress in its CONNECT.
    #[serde(default)]
    pub initiator_address: Option<Ipv4Addr>,
    /// Own address that we connect from.
    #[serde(default)]
    pub source_address: Option<IpAddr>,
    /// Whether TLS is spoken where we dial.
    #[serde(default)]
    pub tls: bool,
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    #[serde(default)]
    pub tls_fingerprint: Option<String>,
    #[serde(default)]
    pub tls_name: Option<String>,
    #[serde(default)]
    pub tls_insecure: bool,
    #[serde(default)]
    pub tls_certificate: Option<PathBuf>,
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
}

/// `tls` of `[ipdr]`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpdrTls {
    /// Our certificate first, then those that vouch for it.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Collectors must show a certificate that one of these has issued.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// `ack-time`, `ack-sequence`, `window`, `ack-timeout`.
pub type Acknowledgements = (Span, u32, u32, Span);

pub(super) fn acknowledgements(
    table: &str,
    (time, sequence, window, timeout): Acknowledgements,
    found: &mut Vec<Finding>,
) {
    let mut within = |key: &str, is: bool, range: &str| {
        if !is {
            found.push((format!("{table}{key}"), format!("must be {range}")));
        }
    };
    within(
        "ack-time",
        seconds(time, 1, 600) && time.0.subsec_nanos() == 0,
        "1s to 10min, in whole seconds",
    );
    within("ack-sequence", (1..=65_535).contains(&sequence), "1 to 65535");
    within(
        "window",
        (sequence..=1_000_000).contains(&window),
        "ack-sequence to 1000000",
    );
    let least = time.0.as_secs().saturating_mul(2).saturating_add(1);
    within(
        "ack-timeout",
        seconds(timeout, least, 3600),
        "more than two times ack-time, and at most 1h",
    );
}

impl IpdrSession {
    fn default_interval() -> Span {
        Span::seconds(900)
    }

    fn default_poll() -> Span {
        Span::seconds(10)
    }

    /// Its own, or those of `[ipdr]`.
    pub fn acknowledgements(&self, ipdr: &Ipdr) -> Acknowledgements {
        let sequence = self.ack_sequence.unwrap_or(ipdr.ack_sequence);
        (
            self.ack_time.unwrap_or(ipdr.ack_time),
            sequence,
            // One that is set for a session alone shall not contradict the window of all.
            self.window.unwrap_or(ipdr.window.max(sequence)),
            self.ack_timeout.unwrap_or(ipdr.ack_timeout),
        )
    }
}

/// A collector's TLS where we dial, checked.
pub struct CheckedDial {
    pub host: String,
    pub port: u16,
    /// [`None`]: plain text.
    pub tls: Option<Tls>,
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl IpdrCollector {
    fn default_priority() -> u32 {
        1
    }

    /// [`None`]: it dials us.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<Option<CheckedDial>, Vec<Finding>> {
        let mut found: Vec<Finding> = Vec::new();
        let mut problem = |key: &str, reason: &str| found.push((key.to_owned(), reason.to_owned()));
        let fingerprint = self.tls_fingerprint.as_deref().map(device::fingerprint).transpose();
        let fingerprint = fingerprint.unwrap_or_else(|reason| {
            problem("tls-fingerprint", reason);
            None
        });
        let tls = Tls {
            ca: self.tls_ca.clone(),
            fingerprint,
            name: self.tls_name.clone(),
            insecure: self.tls_insecure,
            ..Tls::default()
        };
        if let Some(setting) = tls.contradiction() {
            let reason = format!("contradicts tls-{setting}, which says what is to be checked");
            problem("tls-insecure", &reason);
        }
        let identity = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                problem("tls-certificate", "needs its private key, tls-key");
                None
            }
            (None, Some(_)) => {
                problem("tls-key", "needs its certificate, tls-certificate");
                None
            }
        };
        let has_identity = self.tls_certificate.is_some() || self.tls_key.is_some();
        if !self.tls && (tls != Tls::default() || has_identity) {
            problem(
                "tls",
                "is false, so no other TLS key has a meaning; set it, or remove them",
            );
        }
        if self.dial.is_none() && (self.tls || self.source_address.is_some()) {
            problem(
                "dial",
                "is missing: tls and source-address are of connections that we make",
            );
        }
        let endpoint = self.dial.as_deref().map(super::stream::endpoint).transpose();
        let endpoint = endpoint.unwrap_or_else(|reason| {
            problem("dial", &reason);
            None
        });
        for (key, file) in [
            ("tls-ca", &self.tls_ca),
            ("tls-certificate", &self.tls_certificate),
            ("tls-key", &self.tls_key),
        ] {
            if let Some(file) = file {
                unreadable(key, file, &mut found);
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(endpoint.map(|(host, port)| CheckedDial {
            host,
            port,
            tls: self.tls.then_some(tls),
            identity,
        }))
    }
}

pub(super) fn unreadable(key: &str, file: &std::path::Path, found: &mut Vec<Finding>) {
    if let Err(e) = device::readable(file) {
        found.push((key.to_owned(), format!("cannot read {}: {e}", file.display())));
    }
}

pub(super) fn seconds(span: Span, from: u64, to: u64) -> bool {
    let (from, to) = (std::time::Duration::from_secs(from), std::time::Duration::from_secs(to));
    (from..=to).contains(&span.0)
}

/// A directory gets this name.
pub(super) fn session_name(name: &str) -> Result<(), String> {
    /// Other files beside the sessions' directories.
    const TAKEN: [&str; 2] = ["lock", "status.json"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) || name.starts_with('.') {
        return Err(
            "must be 1 to 64 letters, digits, dashes, underscores and dots, and not begin with a dot".to_owned(),
        );
    }
    match TAKEN.contains(&name) {
        true => Err(format!("{name:?} is taken; call it something else")),
        false => Ok(()),
    }
}
