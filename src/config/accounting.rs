//! `[accounting]`: call events through a gatekeeper's own chain.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{AccountingRadius, AccountingSql, Mode, Size, Span, StatusInput, StatusOutput};
use crate::account::journal::Durability;

/// `[accounting]`, and the tables below it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Accounting {
    /// The operator's gatekeeper ini, unchanged.
    pub gatekeeper_ini: Option<PathBuf>,
    /// What the gatekeeper takes silently is taken here, too.
    pub lenient: bool,
    /// `stdin`, `unix:PATH`, `status:HOST:PORT`. The command line's replace them.
    pub inputs: Vec<String>,
    pub sync: Durability,
    /// With `group`: how often.
    pub sync_interval: Span,
    /// Whether each finished call goes into the billing documents, whatever the ini says.
    pub into_spool: bool,
    /// Modules that are caught up with what they could not log.
    pub spool: Vec<SpoolingModule>,
    /// Events that are logged at once, each of another call.
    pub workers: u16,
    /// Size of the call journal from which on managers are alarmed.
    pub alarm_size: Size,
    /// Connections to a Unix socket.
    pub connections: u16,
    /// How long one may be silent.
    pub idle_timeout: Span,
    /// Mode of a Unix socket.
    pub socket_mode: Mode,
    /// Group of a Unix socket.
    pub socket_group: Option<String>,
    /// Where other programs get CDR lines, as at the gatekeeper's status port.
    pub status_listen: Option<SocketAddr>,
    pub gatekeeper: StatusInput,
    pub radius: AccountingRadius,
    pub sql: AccountingSql,
    pub status: StatusOutput,
}

/// A module that can be caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum SpoolingModule {
    FileAcct,
    RadAcct,
    #[serde(rename = "SQLAcct")]
    SqlAcct,
}

impl Default for Accounting {
    fn default() -> Self {
        Accounting {
            gatekeeper_ini: None,
            lenient: false,
            inputs: Vec::new(),
            sync: Durability::Each,
            sync_interval: Span::seconds(1),
            into_spool: false,
            spool: vec![SpoolingModule::RadAcct, SpoolingModule::SqlAcct],
            workers: 64,
            alarm_size: Size::mebibytes(1024),
            connections: 256,
            idle_timeout: Span::hours(1),
            socket_mode: Mode(0o600),
            socket_group: None,
            status_listen: None,
            gatekeeper: StatusInput::default(),
            radius: AccountingRadius::default(),
            sql: AccountingSql::default(),
            status: StatusOutput::default(),
        }
    }
}
