//! The logs: what was captured from devices (`data.log`) and what went wrong (`error.log`), for people and for programs
//! that follow them.
//!
//! The documents are the record, not the logs: these are a few files of a limited size, the oldest is deleted, and a log
//! that cannot be written is a warning and nothing more. They are made when there is something to write. Only the capture
//! that holds the lock writes them, so there is one writer for each file: rotation knows no other.
//!
//! # What lies where
//!
//! | path | what |
//! |---|---|
//! | `LOGS/data.log` | a line for each record of a device, and one for each capture from devices |
//! | `LOGS/error.log` | a line for each warning and error of a capture |
//! | `LOGS/data.log.1`, `.2`, … | older ones; the highest number is the oldest |

mod layer;
mod line;
mod rotating;

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::spill::Spill;

pub use layer::ErrorLayer;
pub use line::{Format, Lines};
use rotating::Rotating;

/// Where logs lie and how large they may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub directory: PathBuf,
    /// Octets of each file. A single line that is longer has a file of its own.
    pub size: u64,
    /// Files of each log, the one that is written included; at least 1.
    pub keep: usize,
    pub format: Format,
}

/// The logs of the capture that holds the lock. While it is there, warnings and errors go to `error.log`.
#[derive(Debug)]
pub struct Logs {
    /// None: nothing is logged.
    settings: Option<Settings>,
}

impl Logs {
    /// Call it when the lock is held, and drop what it returns before the lock is let go. Without settings nothing is
    /// logged.
    pub fn open(settings: Option<Settings>) -> Logs {
        if let Some(settings) = &settings {
            layer::begin(settings);
        }
        Logs { settings }
    }

    /// How lines are written; None: nowhere.
    pub fn format(&self) -> Option<Format> {
        self.settings.as_ref().map(|settings| settings.format)
    }

    /// Writes an error that goes nowhere else by way of `tracing`.
    pub fn error(&self, message: &str) {
        layer::write("ERROR", message);
    }

    /// Writes a warning that was said while there was no log.
    pub fn warning(&self, message: &str) {
        layer::write("WARN", message);
    }

    /// Appends these lines to `data.log`, then one that says what the capture came to. A failure is told once.
    pub fn data(&self, lines: Option<Spill>, at: DateTime<Utc>, summary: &str) {
        let Some(settings) = &self.settings else { return };
        let mut log = Rotating::new(settings, "data.log");
        let written = lines
            .map_or(Ok(()), |mut lines| {
                let mut whole = line::Whole::default();
                lines.copy_to(|piece| whole.each(piece, |line| log.write(line)))
            })
            .and_then(|()| log.write(&settings.format.message(at, "INFO", summary)));
        if let Err(e) = written {
            tracing::warn!(
                "cannot write the log {}: {e}; the document has everything",
                log.path().display()
            );
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(failure) = layer::end() {
            tracing::warn!("{failure}");
        }
    }
}
