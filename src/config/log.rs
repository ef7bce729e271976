//! Where captures are logged: `[log]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::Size;

/// `[log]`: `data.log`, a line for each record of a device, and `error.log`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Log {
    /// Default: `logs` beside the spool directory. Empty: nothing is logged. Never inside the spool.
    pub directory: Option<PathBuf>,
    /// Size at which a file is put aside and a new one begun.
    pub size: Size,
    /// How many files of each kind are kept.
    pub keep: u16,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            directory: None,
            size: Size::mebibytes(10),
            keep: 10,
            format: LogFormat::Text,
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}
