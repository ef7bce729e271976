//! Where events come from.
//!
//! Callers write JSON lines ([`super::json`]) to standard input or to a Unix socket, and read one line for each in the same
//! order: `ok`, or `fail` and the reason. [`connection`] serves one of them, [`unix`] listens, [`workers`] has many events
//! under way at once, those of one call one after the other.

mod connection;
mod unix;
mod workers;

use std::path::PathBuf;

pub use connection::{Connection, Limits};
pub use unix::{Listener, SocketOptions};
pub use workers::Workers;

/// An input as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// JSON lines on standard input, answers on standard output.
    Stdin,
    /// The same for whoever connects to this socket.
    Unix(PathBuf),
    /// A gatekeeper's status port.
    Status(String),
}

impl Input {
    /// # Errors
    /// What is expected in place of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdin" => Ok(Input::Stdin),
            Some(("unix", path)) if path.starts_with('/') || path.starts_with("./") => Ok(Input::Unix(path.into())),
            Some(("unix", path)) if !path.is_empty() => Err(format!(
                "{text:?}: write the socket's whole path, as in unix:/run/billdrop/calls"
            )),
            Some(("status", address)) if !address.is_empty() => Ok(Input::Status(address.to_owned())),
            _ => Err(format!(
                "{text:?} is no input; write stdin, unix:PATH or status:HOST:PORT"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
