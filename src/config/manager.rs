//! Who is told: `[[notify]]` and `[snmp]`.

use std::fmt;

use serde::Deserialize;

use super::{Secret, Span};

/// Shortest password of SNMP version 3, in octets (RFC 3414, section 11.2).
pub const SHORTEST_PASSWORD: usize = 8;

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

impl fmt::Display for SnmpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnmpVersion::V2c => "2c",
            SnmpVersion::V3 => "3",
        })
    }
}
