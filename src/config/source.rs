//! `[[source]]`: something that has usage.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Capture, Device, DeviceKind, Location, Secret, Span, Tls, device};

/// A source that has passed every check.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Linux(Linux),
    Device(Device),
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
    /// Default: 8443 for a CUCM, 443 for a CMS.
    pub port: Option<u16>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub tls_ca: Option<PathBuf>,
    pub tls_fingerprint: Option<String>,
    pub tls_name: Option<String>,
    #[serde(default)]
    pub tls_insecure: bool,
    /// Default: that of `[capture]`.
    pub timeout: Option<Span>,
    pub proxy: Option<String>,
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
}

impl SourceKind {
    fn token(self) -> &'static str {
        match self {
            SourceKind::Linux => "linux",
            SourceKind::Cucm => "cucm",
            SourceKind::Cms => "cms",
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
        let kind = match self.kind {
            SourceKind::Linux => None,
            SourceKind::Cucm => Some(DeviceKind::Cucm),
            SourceKind::Cms => Some(DeviceKind::Cms),
        };
        self.keys_of_other_types(kind.is_some(), &mut found);
        let source = match kind {
            None => Some(Source::Linux(self.linux())),
            Some(kind) => self.device(kind, capture, &mut found).map(Source::Device),
        };
        source.filter(|_| found.is_empty()).ok_or(found)
    }

    fn keys_of_other_types(&self, is_device: bool, found: &mut Vec<Finding>) {
        let of_linux = [
            ("include", !self.include.is_empty()),
            ("exclude", !self.exclude.is_empty()),
            ("network-namespace", self.network_namespace.is_some()),
        ];
        let of_devices = [
            ("contract", self.contract.is_some()),
            ("local-or-remote", self.local_or_remote.is_some()),
            ("address", self.address.is_some()),
            ("port", self.port.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("tls-ca", self.tls_ca.is_some()),
            ("tls-fingerprint", self.tls_fingerprint.is_some()),
            ("tls-name", self.tls_name.is_some()),
            ("tls-insecure", self.tls_insecure),
            ("timeout", self.timeout.is_some()),
            ("proxy", self.proxy.is_some()),
        ];
        let (others, whose) = match is_device {
            true => (&of_linux[..], "linux"),
            false => (&of_devices[..], "cucm and cms"),
        };
        let given = others.iter().filter(|(_, given)| *given);
        found.extend(given.map(|(key, _)| (*key, format!("is for sources of type {whose}"))));
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
