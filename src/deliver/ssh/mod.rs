//! A way to run commands on the other host: libssh2, or a program such as ssh(1).
//!
//! SCP and SFTP are spoken above this by ourselves, because libssh2's own SCP neither ends properly nor reads the last
//! answer, and its SFTP waits too much. Only this module sees the library.

mod known_hosts;
mod library;
mod login;
mod program;
mod watchdog;

use std::{
    io::{Read, Write},
    time::Duration,
};

pub use login::check_identity;

use super::{Destination, Result};

/// Runs things at the other side, one at a time.
pub trait Ssh: Send {
    fn run(&mut self, command: &str) -> Result<Box<dyn Conversation>>;

    fn subsystem(&mut self, name: &str) -> Result<Box<dyn Conversation>>;

    /// Whether it is connected already, so that another command costs little.
    fn is_one_connection(&self) -> bool;
}

/// Standard input and output of what runs there. Each read and write that has to wait longer than the time limit fails
/// with `TimedOut`.
pub trait Conversation: Read + Write + Send {
    /// Replaces the time limit of the destination: some answers take as long as a disk needs.
    fn patience(&mut self, limit: Duration);

    /// No more is written.
    fn end_input(&mut self) -> std::io::Result<()>;

    /// Waits for the end.
    fn end(self: Box<Self>) -> Ended;
}

/// How a command ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// `None`: by a signal, or nobody knows.
    pub status: Option<i32>,
    /// What it wrote to standard error; at most [`LONGEST_ERROR`] octets.
    pub words: Vec<u8>,
}

/// Of standard error. The rest is thrown away.
const LONGEST_ERROR: u64 = 4096;

/// Connects and logs in.
pub fn connect(destination: &Destination) -> Result<Box<dyn Ssh>> {
    match destination.command.is_empty() {
        true => Ok(Box::new(library::Connection::open(destination)?)),
        false => Ok(Box::new(program::Program::new(destination))),
    }
}
