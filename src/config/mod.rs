//! Configuration: `billdrop.toml`, and the list of devices `billing_config.csv`.
//!
//! Every key is optional; an unknown key is refused with its line and the nearest known key. The defaults written
//! here are the only ones: the man page and the example configuration are checked against them.

mod accounting;
mod accounting_radius;
mod accounting_sql;
mod accounting_status;
mod archive;
mod billing_config;
mod cmts;
pub(crate) mod device;
pub mod gatekeeper;
mod ipdr;
mod ipdr_tables;
mod load;
mod log;
mod manager;
mod push;
mod quantity;
mod secret;
mod source;
pub(crate) mod stream;
mod usage;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use accounting::{Accounting, SpoolingModule};
pub use accounting_radius::{AccountingRadius, DelayTime, MessageAuthenticator, Updates};
pub use accounting_sql::{AccountingSql, SqlTls};
pub use accounting_status::{Network, StatusInput, StatusOutput};
pub use archive::Archive;
pub use billing_config::{COLUMNS, DEFAULT_LIST, Listed, Problems, load_devices, parse_devices};
pub use cmts::{Cmts, CmtsCredentials, CmtsRecords};
pub use device::{Device, DeviceKind, Location, Tls};
pub use ipdr::{Ipdr, IpdrDocumentId, IpdrKind, Overlap, PriorityOrder, WhenFull};
pub use ipdr_tables::{CheckedDial, IpdrCollector, IpdrSession, IpdrTls};
pub use load::{DEFAULT_FILE, Loaded, Problem, load};
pub use log::{Log, LogFormat};
pub use manager::{AuthProtocol, DEFAULT_ENTERPRISE, Manager, PrivacyProtocol, SHORTEST_PASSWORD, Snmp, SnmpVersion};
pub use push::{Endpoint, Push, Scheme};
pub use quantity::{Mode, Size, Span};
pub use secret::Secret;
pub use source::{Calls, Linux, Source, SourceKind, SourceTable};
pub use stream::{CheckedCollector, Collector, OnFailure, Order, STREAM, Security, Stream, TimeOfDay};
pub use usage::{Capture, Cms, Cucm, Documents, LicenseHistory};

/// The whole configuration. Later tables use nothing of earlier ones.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    pub recorder: Recorder,
    pub spool: Spool,
    pub state: State,
    pub archive: Archive,
    pub document: Document,
    pub log: Log,
    pub capture: Capture,
    pub cucm: Cucm,
    pub cms: Cms,
    #[serde(rename = "source")]
    pub sources: Vec<SourceTable>,
    /// What `billing_config.csv` names, once it has been read.
    #[serde(skip)]
    pub devices: Vec<Device>,
    #[serde(rename = "push")]
    pub destinations: Vec<Push>,
    pub stream: Option<Stream>,
    pub ipdr: Option<Ipdr>,
    #[serde(rename = "notify")]
    pub managers: Vec<Manager>,
    pub snmp: Snmp,
    pub accounting: Accounting,
    /// Calls that have ended, if they are to be captured, once the gatekeeper's ini has been looked at.
    #[serde(skip)]
    pub calls: Option<Calls>,
}

/// `[recorder]`: who writes the documents.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Recorder {
    /// Default: the host's own name up to the first dot.
    pub hostname: Option<String>,
    /// Six octets for the docId, `00-00-5E-00-53-21` or with colons. Default: that of the first interface that has one.
    pub mac: Option<String>,
}

/// `[spool]`: the drop-box directory that the remote application sees.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Spool {
    pub directory: PathBuf,
    /// Mode of each document.
    pub mode: Mode,
    /// Mode of the spool directory, where billdrop makes it.
    pub directory_mode: Mode,
    /// Group of the spool directory and of each document.
    pub group: Option<String>,
    /// What follows the time in a file name; empty: nothing, as a CMTS does it.
    pub extension: String,
    /// Local time in place of UTC in file names.
    pub local_time: bool,
    /// Free space that a capture must leave on the file system.
    pub min_free: Size,
    /// How long a document may wait for its pickup before managers are alarmed.
    pub alarm_after: Span,
    /// How often the alarm is repeated while the document still waits.
    pub alarm_repeat: Span,
    /// When a document counts as retrieved.
    pub retrieved: Retrieved,
    /// Whether a manifest is put beside each document.
    pub manifest: bool,
    /// Whether a file `NAME.done` counts as the deletion of the document `NAME`.
    pub done_marker: bool,
}

/// When a document counts as retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieved {
    /// When the remote application has deleted it: what is brought to destinations is only a copy.
    #[default]
    Pickup,
    /// Or when one destination has it.
    Any,
    /// Or when every destination has it.
    All,
}

impl Default for Spool {
    fn default() -> Self {
        Spool {
            directory: PathBuf::from("spool"),
            mode: Mode(0o640),
            directory_mode: Mode(0o2770),
            group: None,
            extension: "xml".to_owned(),
            local_time: false,
            min_free: Size::mebibytes(16),
            alarm_after: Span::hours(1),
            alarm_repeat: Span::hours(24),
            retrieved: Retrieved::Pickup,
            manifest: false,
            done_marker: false,
        }
    }
}

/// `[state]`: where the ledger and the lock live.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct State {
    /// Default: the spool's path with `.state` appended. Never inside the spool.
    pub directory: Option<PathBuf>,
}

/// `[document]`: what a document looks like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Document {
    pub profile: Profile,
    /// Whether the last line is a comment with the SHA-256 of all before it. Never in profile `cisco-samis`.
    pub checksum: bool,
}

impl Default for Document {
    fn default() -> Self {
        Document {
            profile: Profile::Full,
            checksum: true,
        }
    }
}

/// Which records stand in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The document information record first, then the usage.
    #[default]
    Full,
    /// The usage only, for collectors that know only the CMTS.
    CiscoSamis,
    /// The same with another number in the header, for collectors that go by it.
    #[serde(rename = "cisco-samis-3.5")]
    CiscoSamis35,
}

impl Config {
    /// Where ledger and lock live.
    pub fn state_directory(&self) -> PathBuf {
        match &self.state.directory {
            Some(directory) => directory.clone(),
            None => beside(&self.spool.directory, ".state"),
        }
    }

    /// Where `data.log` and `error.log` are kept. `None`: nowhere.
    pub fn log_directory(&self) -> Option<PathBuf> {
        match &self.log.directory {
            Some(directory) if directory.as_os_str().is_empty() => None,
            Some(directory) => Some(directory.clone()),
            None => Some(self.spool.directory.with_file_name("logs")),
        }
    }

    /// Whether any secret stands in the configuration itself.
    fn has_plain_secrets(&self) -> bool {
        let of_managers = self
            .managers
            .iter()
            .flat_map(|m| [&m.community, &m.auth_password, &m.privacy_password]);
        let of_sources = self.sources.iter().flat_map(SourceTable::secrets);
        let of_destinations = self.destinations.iter().flat_map(|d| [&d.password, &d.passphrase]);
        of_managers
            .chain(of_sources)
            .chain(of_destinations)
            .flatten()
            .any(Secret::is_plain_text)
    }

    /// Whether a CMS is configured besides that of this name.
    pub fn cms_beside(&self, name: &str) -> bool {
        let listed = self.devices.iter().filter(|device| device.kind == DeviceKind::Cms);
        let tables = self.sources.iter().filter(|table| table.kind == SourceKind::Cms);
        listed
            .map(|device| device.name.as_str())
            .chain(tables.map(SourceTable::name))
            .any(|other| other != name)
    }

    /// What is to be asked: the sources of the configuration, then the devices of `billing_config.csv`. When there are
    /// none, this host's interfaces.
    ///
    /// A table that cannot be a source is left out: [`SourceTable::check`] has refused it before.
    pub fn sources(&self) -> Vec<Source> {
        let tables = self.sources.iter().filter_map(|table| table.check(&self.capture).ok());
        let devices = self.devices.iter().cloned().map(Source::Device);
        let calls = self.calls.clone().map(Source::Calls);
        let sources: Vec<Source> = tables.chain(devices).chain(calls).collect();
        if sources.is_empty() {
            return vec![Source::Linux(Linux::embedded())];
        }
        sources
    }
}

/// `path` with `suffix` appended to its last component: `spool/` becomes `spool.state`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: std::ffi::OsString = path.components().as_path().into();
    name.push(suffix);
    PathBuf::from(name)
}

/// Six octets in hexadecimal with dashes or colons between them.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut octets = text.split(['-', ':']);
    for octet in &mut mac {
        let digits = octets
            .next()
            .filter(|d| d.len() == 2 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *octet = u8::from_str_radix(digits, 16).ok()?;
    }
    octets.next().is_none().then_some(mac)
}
