//! The options, as far as they have been read: every default filled in, every value checked.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::{EventKind, Events};
use crate::config::Secret;

/// What accounting needs of one ini.
#[derive(Debug, Clone, PartialEq)]
pub struct Gatekeeper {
    /// `[Gatekeeper::Main] Name`, default `GnuGk`.
    pub name: String,
    /// First address of `[Gatekeeper::Main] Home`, where it names one.
    pub home: Option<IpAddr>,
    /// `[Gatekeeper::Main] TimestampFormat`, default `Cisco`.
    pub timestamp_format: String,
    /// `[CallTable] AcctUpdateInterval`; zero: no updates. 1 to 9 s count as 10.
    pub update_interval: Duration,
    /// `[CallTable] TimestampFormat` of CDR lines at the status port, default `RFC822`.
    pub cdr_timestamp_format: String,
    /// `[CallTable] GenerateUCCDR`: CDR lines for calls that were never connected, too.
    pub unconnected_cdr: bool,
    /// `[CallTable] SetCalledStationIdToDialedIP`
    pub called_station_id_to_dialed_ip: bool,
    /// `[Gatekeeper::Acct]`, in file order.
    pub chain: Vec<Link>,
    /// Modules of the file's chain that billdrop lacks; their verdict is missing.
    pub skipped: Vec<Skipped>,
    pub file: Option<FileAcct>,
    pub radius: Option<RadAcct>,
    pub sql: Option<SqlAcct>,
    pub status: Option<StatusAcct>,
    pub syslog: Option<SyslogAcct>,
}

/// One line of `[Gatekeeper::Acct]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The line in the ini, from 1.
    pub line: usize,
    pub kind: LinkKind,
    pub control: Control,
    /// The configured events; what the module supports is another matter.
    pub events: Events,
}

/// A module of the gatekeeper's that billdrop lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The line in the ini, from 1.
    pub line: usize,
    pub module: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    FileAcct,
    RadAcct,
    SqlAcct,
    StatusAcct,
    SyslogAcct,
    /// Ours: into the billing documents.
    SpoolAcct,
    /// `default=accept` (true) or `default=fail`.
    Default(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Required,
    Optional,
    Sufficient,
    Alternative,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FileAcct {
    pub detail_file: PathBuf,
    pub standard_format: bool,
    pub cdr_string: String,
    /// Default: RFC822 for the standard line, the main setting for a template.
    pub timestamp_format: Option<String>,
    pub rotate: Rotate,
}

/// When the file is renamed and begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotate {
    Never,
    Lines(u64),
    Octets(u64),
    /// Minute of the hour.
    Hourly {
        minute: u8,
    },
    Daily {
        hour: u8,
        minute: u8,
    },
    /// 0: Sunday.
    Weekly {
        day: u8,
        hour: u8,
        minute: u8,
    },
    /// 1 to 31; beyond the month's end: its last day.
    Monthly {
        day: u8,
        hour: u8,
        minute: u8,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct RadAcct {
    pub servers: Vec<RadiusServer>,
    pub local_interface: Option<IpAddr>,
    pub port_range: (u16, u16),
    pub request_timeout: Duration,
    /// Transmissions to each server, the first included.
    pub transmissions: u32,
    pub round_robin: bool,
    pub id_cache_timeout: Duration,
    pub socket_delete_timeout: Duration,
    pub append_cisco_attributes: bool,
    pub use_dialed_number: bool,
    pub fixed_username: Option<String>,
    pub timestamp_format: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RadiusServer {
    /// Name or address, without brackets.
    pub host: String,
    pub acct_port: u16,
    pub secret: Secret,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SqlAcct {
    pub driver: SqlDriver,
    pub host: String,
    pub port: Option<u16>,
    pub database: String,
    pub username: String,
    pub password: Secret,
    pub min_pool_size: usize,
    pub max_pool_size: usize,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    /// Queries by event (`connect` uses that of `update`), with the line in the ini. An empty one is left out.
    pub queries: Vec<(EventKind, String, usize)>,
    /// StartQueryAlt, StopQueryAlt.
    pub alternatives: Vec<(EventKind, String, usize)>,
    pub timestamp_format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlDriver {
    MySql,
    PostgreSql,
    Sqlite,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StatusAcct {
    pub timestamp_format: Option<String>,
    /// One template for each event that has one; an empty one is kept: nothing is sent.
    pub templates: Vec<(EventKind, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SyslogAcct {
    /// The number of RFC 5424: `LOG_USER` 1.
    pub facility: u8,
    /// `LOG_INFO` 6.
    pub level: u8,
    pub timestamp_format: Option<String>,
    pub templates: Vec<(EventKind, String)>,
}
