//! `[[source]]`: something that has usage.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    AuthProtocol, Capture, Cmts, CmtsRecords, Device, DeviceKind, Location, PrivacyProtocol, Secret, SnmpVersion, Span,
    Tls, device,
};

/// A source that has passed every check.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Linux(Linux),
    Device(Device),
    Cmts(Box<Cmts>),
    Calls(Calls),
}

/// Calls that have ended, as `billdrop account` has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Where the journal lies.
    pub directory: PathBuf,
    /// Name of the gatekeeper where an event does not say it.
    pub gatekeeper: String,
}

/// The network interfaces of this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Linux {
    pub name: String,
    /// Names of interfaces to take, with `*`, `?` and `[…]`. Empty: all.
    pub include: Vec<String>,
    /// Names of interfaces to leave out, even if included.
    pub exclude: Vec<String>,
    /// Network namespace to look into: a name below `/run/netns`, or a path.
    pub network_namespace: Option<String>,
}

impl Source {
    pub fn name(&self) -> &str {
        match self {
            Source::Linux(linux) => &linux.name,
            Source::Device(device) => &device.name,
            Source::Cmts(cmts) => &cmts.name,
            Source::Calls(_) => crate::capture::CALLS,
        }
    }
}

impl Linux {
    /// What is captured when nothing is configured: every interface of this host.
    pub fn embedded() -> Self {
        Linux {
            name: SourceKind::Linux.token().to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            network_namespace: None,
        }
    }
}

/// The table as it stands in the file, whatever its type. One struct for all of them, so that every error has its line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceTable {
    /// Name in documents and messages, unique. Default: the type.
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: SourceKind,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
    pub network_namespace: Option<String>,
    pub contract: Option<String>,
    pub local_or_remote: Option<Location>,
    pub address: Option<String>,
    /// Default: 8443 for a CUCM, 443 for a CMS, 161 for a CMTS.
    pub port: Option<u16>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub tls_ca: Option<PathBuf>,
    pub tls_fingerprint: Option<String>,
    pub tls_name: Option<String>,
    #[serde(default)]
    pub tls_insecure: bool,
    /// Default: that of `[capture]`; 15 minutes for a CMTS.
    pub timeout: Option<Span>,
    pub proxy: Option<String>,
    pub hostname: Option<String>,
    pub version: Option<SnmpVersion>,
    pub community: Option<Secret>,
    pub auth_protocol: Option<AuthProtocol>,
    pub auth_password: Option<Secret>,
    pub privacy_protocol: Option<PrivacyProtocol>,
    pub privacy_password: Option<Secret>,
    pub answer_timeout: Option<Span>,
    pub retries: Option<u8>,
    pub most_requests_per_second: Option<u32>,
    pub in_flight: Option<u16>,
    pub most_repetitions: Option<u16>,
    pub records: Option<CmtsRecords>,
    #[serde(default)]
    pub flow_aggregate: bool,
    #[serde(default)]
    pub cpe_list_suppress: bool,
    #[serde(default)]
    pub full_records: bool,
    pub source_address: Option<String>,
    #[serde(default)]
    pub release_log: bool,
    pub write_community: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The network interfaces of this host.
    Linux,
    /// A Cisco Unified Communications Manager.
    Cucm,
    /// A Cisco Meeting Server.
    Cms,
    /// A cable modem termination system of any make.
    Cmts,
}

impl SourceKind {
    fn token(self) -> &'static str {
        match self {
            SourceKind::Linux => "linux",
            SourceKind::Cucm => "cucm",
            SourceKind::Cms => "cms",
            SourceKind::Cmts => "cmts",
        }
    }
}

/// A key of the table, and what is wrong with it.
pub type Finding = (&'static str, String);

impl SourceTable {
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind.token())
    }

    /// The source that the table describes, or everything that is wrong with it.
    pub fn check(&self, capture: &Capture) -> Result<Source, Vec<Finding>> {
        let mut found = Vec::new();
        if let Err(reason) = device::name(self.name()) {
            found.push(("name", reason.to_owned()));
        }
        self.keys_of_other_types(&mut found);
        let source = match self.kind {
            SourceKind::Linux => Some(Source::Linux(self.linux())),
            SourceKind::Cucm => self.device(DeviceKind::Cucm, capture, &mut found).map(Source::Device),
            SourceKind::Cms => self.device(DeviceKind::Cms, capture, &mut found).map(Source::Device),
            SourceKind::Cmts => self.cmts(&mut found).map(|cmts| Source::Cmts(Box::new(cmts))),
        };
        source.filter(|_| found.is_empty()).ok_or(found)
    }

    /// Every secret that may stand in the table.
    pub(super) fn secrets(&self) -> [&Option<Secret>; 5] {
        [
            &self.password,
            &self.community,
            &self.auth_password,
            &self.privacy_password,
            &self.write_community,
        ]
    }

    fn keys_of_other_types(&self, found: &mut Vec<Finding>) {
        use SourceKind::{Cms, Cmts, Cucm, Linux};
        const LINUX: &[SourceKind] = &[Linux];
        const DEVICES: &[SourceKind] = &[Cucm, Cms];
        const ASKED: &[SourceKind] = &[Cucm, Cms, Cmts];
        const CMTS: &[SourceKind] = &[Cmts];
        let keys = [
            ("include", !self.include.is_empty(), LINUX),
            ("exclude", !self.exclude.is_empty(), LINUX),
            ("network-namespace", self.network_namespace.is_some(), LINUX),
            ("contract", self.contract.is_some(), DEVICES),
            ("local-or-remote", self.local_or_remote.is_some(), DEVICES),
            ("address", self.address.is_some(), ASKED),
            ("port", self.port.is_some(), ASKED),
            ("user", self.user.is_some(), ASKED),
            ("password", self.password.is_some(), DEVICES),
            ("tls-ca", self.tls_ca.is_some(), DEVICES),
            ("tls-fingerprint", self.tls_fingerprint.is_some(), DEVICES),
            ("tls-name", self.tls_name.is_some(), DEVICES),
            ("tls-insecure", self.tls_insecure, DEVICES),
            ("timeout", self.timeout.is_some(), ASKED),
            ("proxy", self.proxy.is_some(), DEVICES),
            ("hostname", self.hostname.is_some(), CMTS),
            ("version", self.version.is_some(), CMTS),
            ("community", self.community.is_some(), CMTS),
            ("auth-protocol", self.auth_protocol.is_some(), CMTS),
            ("auth-password", self.auth_password.is_some(), CMTS),
            ("privacy-protocol", self.privacy_protocol.is_some(), CMTS),
            ("privacy-password", self.privacy_password.is_some(), CMTS),
            ("answer-timeout", self.answer_timeout.is_some(), CMTS),
            ("retries", self.retries.is_some(), CMTS),
            (
                "most-requests-per-second",
                self.most_requests_per_second.is_some(),
                CMTS,
            ),
            ("in-flight", self.in_flight.is_some(), CMTS),
            ("most-repetitions", self.most_repetitions.is_some(), CMTS),
            ("records", self.records.is_some(), CMTS),
            ("flow-aggregate", self.flow_aggregate, CMTS),
            ("cpe-list-suppress", self.cpe_list_suppress, CMTS),
            ("full-records", self.full_records, CMTS),
            ("source-address", self.source_address.is_some(), CMTS),
            ("release-log", self.release_log, CMTS),
            ("write-community", self.write_community.is_some(), CMTS),
        ];
        for (key, given, kinds) in keys {
            if given && !kinds.contains(&self.kind) {
                let whose: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
                let whose = match whose.split_last() {
                    Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
                    _ => whose.concat(),
                };
                found.push((key, format!("is for sources of type {whose}")));
            }
        }
    }

    fn linux(&self) -> Linux {
        Linux {
            name: self.name().to_owned(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            network_namespace: self.network_namespace.clone(),
        }
    }

    fn device(&self, kind: DeviceKind, capture: &Capture, found: &mut Vec<Finding>) -> Option<Device> {
        let mut finding = |key, reason: &str| found.push((key, reason.to_owned()));
        let mut required = |key: &'static str, text: &Option<String>, check: fn(&str) -> device::Checked<String>| {
            let missing = format!("is missing; a source of type {} needs it", self.kind.token());
            let checked = text.as_deref().ok_or(missing).and_then(|text| Ok(check(text)?));
            checked.inspect_err(|reason| finding(key, reason)).ok()
        };
        let contract = required("contract", &self.contract, device::contract);
        let address = required("address", &self.address, device::address);
        let user = required("user", &self.user, device::user);
        let missing = format!("is missing; a source of type {} needs it", self.kind.token());
        if self.local_or_remote.is_none() {
            finding("local-or-remote", &missing);
        }
        match &self.password {
            None => finding("password", &missing),
            Some(Secret::Text(text)) if text.is_empty() => finding("password", "is empty"),
            Some(_) => {}
        }
        if self.port == Some(0) {
            finding("port", "must be a port, 1 to 65535");
        }
        let timeout = self.timeout.unwrap_or(capture.timeout);
        if self.timeout.is_some_and(|span| device::timeout(span).is_err()) {
            finding("timeout", "must be 1s to 1day");
        }
        let mut optional = |key: &'static str, text: &Option<String>, check: fn(&str) -> device::Checked<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            check(text).inspect_err(|reason| finding(key, reason)).ok()
        };
        let proxy = optional("proxy", &self.proxy, device::proxy);
        let name = optional("tls-name", &self.tls_name, device::address);
        let fingerprint = self.tls_fingerprint.as_deref().and_then(|text| {
            let checked = device::fingerprint(text);
            checked.inspect_err(|reason| finding("tls-fingerprint", reason)).ok()
        });
        let tls = Tls {
            ca: self.tls_ca.clone(),
            fingerprint,
            name,
            any_name: false,
            insecure: self.tls_insecure,
        };
        if let Some(setting) = tls.contradiction() {
            let reason = format!("contradicts tls-{setting}: with it nothing is checked; remove one");
            finding("tls-insecure", &reason);
        }
        Some(Device {
            name: self.name().to_owned(),
            kind,
            contract: contract?,
            location: self.local_or_remote?,
            address: address?,
            port: self.port.unwrap_or(kind.default_port()),
            user: user?,
            password: self.password.clone()?,
            tls,
            timeout,
            proxy,
        })
    }
}
