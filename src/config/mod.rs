//! Configuration: `billdrop.toml`.
//!
//! Every key is optional; an unknown key is refused with its line and the nearest known key. The defaults written
//! here are the only ones: the man page and the example configuration are checked against them.

mod load;
mod quantity;
mod secret;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use load::{DEFAULT_FILE, Loaded, Problem, load};
pub use quantity::{Mode, Size, Span};
pub use secret::Secret;

/// The whole configuration. Later tables use nothing of earlier ones.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    pub recorder: Recorder,
    pub spool: Spool,
    pub state: State,
    pub document: Document,
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    #[serde(rename = "notify")]
    pub managers: Vec<Manager>,
    pub snmp: Snmp,
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
}

/// `[[source]]`: something that has usage. Without any, this host's own interfaces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Name in documents and messages, unique. Default: the type.
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: SourceKind,
    /// Names of interfaces to take, with `*`, `?` and `[…]`. Default: all.
    #[serde(default)]
    pub include: Vec<String>,
    /// Names of interfaces to leave out, even if included.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Network namespace to look into: a name below `/run/netns`, or a path.
    #[serde(default)]
    pub network_namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// The network interfaces of this host.
    Linux,
}

impl Source {
    /// What is captured when nothing is configured: every interface of this host.
    pub fn embedded() -> Self {
        Source {
            name: None,
            kind: SourceKind::Linux,
            include: Vec::new(),
            exclude: Vec::new(),
            network_namespace: None,
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.kind {
            SourceKind::Linux => "linux",
        })
    }
}

/// `[[notify]]`: an SNMP manager.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manager {
    /// `HOST` or `HOST:PORT`, `[IPv6]:PORT`; port 162 by default.
    pub address: String,
    #[serde(default)]
    pub version: SnmpVersion,
    /// Community of version 2c.
    #[serde(default)]
    pub community: Option<Secret>,
    /// User of version 3.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub auth_protocol: AuthProtocol,
    #[serde(default)]
    pub auth_password: Option<Secret>,
    #[serde(default)]
    pub privacy_protocol: PrivacyProtocol,
    #[serde(default)]
    pub privacy_password: Option<Secret>,
    /// Whether an acknowledgement is asked for (InformRequest) or not (SNMPv2-Trap).
    #[serde(default)]
    pub inform: bool,
    /// How long an acknowledgement may take, each time.
    #[serde(default = "Manager::default_timeout")]
    pub timeout: Span,
    /// How often an inform is sent again in one run.
    #[serde(default = "Manager::default_retries")]
    pub retries: u8,
}

impl Manager {
    fn default_timeout() -> Span {
        Span::seconds(2)
    }

    fn default_retries() -> u8 {
        2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum SnmpVersion {
    #[default]
    #[serde(rename = "2c")]
    V2c,
    #[serde(rename = "3")]
    V3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum AuthProtocol {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-1")]
    Sha1,
    #[serde(rename = "SHA-224")]
    Sha224,
    #[default]
    #[serde(rename = "SHA-256")]
    Sha256,
    #[serde(rename = "SHA-384")]
    Sha384,
    #[serde(rename = "SHA-512")]
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum PrivacyProtocol {
    #[default]
    #[serde(rename = "AES-128")]
    Aes128,
    #[serde(rename = "AES-256")]
    Aes256,
}

/// `[snmp]`: what all notifications have in common.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Snmp {
    /// Engine of version 3, hexadecimal, 5 to 32 octets. Default: made once from the recorder's MAC, kept in the ledger.
    pub engine_id: Option<String>,
    /// Where BILLDROP-MIB hangs. Default: a branch of net-snmp's playpen.
    pub enterprise: String,
    /// Text before the file name in `ccmtrCollectionDestination`, as in `disk0:`. Default: none.
    pub filesystem: String,
}

/// `netSnmpPlaypen.1`
pub const DEFAULT_ENTERPRISE: &str = "1.3.6.1.4.1.8072.9999.9999.1";

impl Default for Snmp {
    fn default() -> Self {
        Snmp {
            engine_id: None,
            enterprise: DEFAULT_ENTERPRISE.to_owned(),
            filesystem: String::new(),
        }
    }
}

impl Config {
    /// Where ledger and lock live.
    pub fn state_directory(&self) -> PathBuf {
        match &self.state.directory {
            Some(directory) => directory.clone(),
            None => beside(&self.spool.directory, ".state"),
        }
    }

    /// Whether any secret stands in the configuration itself.
    fn has_plain_secrets(&self) -> bool {
        let secrets = |m: &Manager| [m.community.clone(), m.auth_password.clone(), m.privacy_password.clone()];
        self.managers
            .iter()
            .flat_map(secrets)
            .flatten()
            .any(|secret| secret.is_plain_text())
    }

    /// The configured sources, or this host's interfaces when there is none.
    pub fn sources(&self) -> Vec<Source> {
        if self.sources.is_empty() {
            vec![Source::embedded()]
        } else {
            self.sources.clone()
        }
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

impl std::fmt::Display for SnmpVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SnmpVersion::V2c => "2c",
            SnmpVersion::V3 => "3",
        })
    }
}
