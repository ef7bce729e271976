//! Brings documents to destinations: SCP, SFTP and TFTP.
//!
//! A [`Link`] is one connection that takes many files. What it promises, and what a failure means for the next run:
//!
//! | transport | name while it is not whole | afterwards compared | final name there already |
//! |---|---|---|---|
//! | SFTP | `.NAME.partial`, renamed without replacing | size; octets by `sha256sum` where a command may be run | read back: the same is a success, another is refused |
//! | SCP with a shell | `.NAME.partial`, linked without replacing | size and SHA-256 | SHA-256 or size |
//! | SCP without a shell | **its final name** | size, where it can be read back | read back where that is allowed; a beginning of ours is completed |
//! | TFTP | **its final name** | size, where it can be read back | as with SCP without a shell |
//!
//! So a run that was killed, or a connection that was cut, leaves at most a file under the temporary name (or, where
//! there can be no rename, a beginning under the final one); the next `put` of the same shipment clears it away and
//! completes the delivery. If the connection died after the rename, the next `put` finds the document and sends nothing.
//! Nothing here knows of the ledger: who calls decides when to try again.

mod beside;
mod destination;
mod error;
pub mod ipdr;
mod local;
mod pace;
mod scp;
mod sftp;
mod shell;
mod socket;
mod ssh;
pub mod stream;
mod tftp;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

pub use destination::{Destination, LONGEST_WAIT, Naming, TEST_NAME, check};
pub use error::{DeliveryError, Failure};
pub use ssh::check_identity;

use crate::config::Scheme;

pub type Result<T> = std::result::Result<T, DeliveryError>;

/// A file that is to be delivered. It must not change meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Shipment<'a> {
    pub file: &'a Path,
    /// Plain name at the destination, from [`Destination::remote_name`], or [`TEST_NAME`].
    pub remote_name: &'a str,
    pub octets: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: &'a str,
    /// Permission bits, unless the destination has its own.
    pub mode: u32,
    pub modified: SystemTime,
}

/// What is known of a delivery that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub octets: u64,
    pub verified: Verified,
    /// Whether it came under a temporary name first. If not, a reader may have seen it while it was not whole.
    pub renamed: bool,
    /// Whether mode and time were kept.
    pub attributes: bool,
    /// Whether it was there before: an earlier run had brought it.
    pub found: bool,
    pub elapsed: Duration,
}

/// How the document at the destination was compared with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// The server answers no questions; its acknowledgements are all there is.
    Nothing,
    Size,
    /// Octet for octet.
    Sha256,
}

impl Verified {
    /// As the ledger keeps it.
    pub fn token(self) -> &'static str {
        match self {
            Verified::Nothing => "nothing",
            Verified::Size => "size",
            Verified::Sha256 => "sha256",
        }
    }
}

/// One connection that takes many files, one after the other. After an error it is not to be used again.
pub trait Link: Send {
    /// Delivers one file. `progress` is told how many octets have been sent so far.
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt>;

    /// Removes the test file again. Returns whether that is possible there.
    fn remove_test(&mut self) -> Result<bool> {
        Ok(false)
    }
}

/// Connects and logs in.
pub fn connect(destination: &Destination) -> Result<Box<dyn Link>> {
    let link: Result<Box<dyn Link>> = match destination.endpoint.scheme {
        Scheme::Sftp => sftp::connect(destination),
        Scheme::Scp => scp::connect(destination),
        Scheme::Tftp => tftp::connect(destination),
    };
    let link = link.map_err(|e| e.at(destination))?;
    Ok(Box::new(Named {
        link,
        destination: destination.clone(),
    }))
}

/// Says in each error which destination failed.
struct Named {
    link: Box<dyn Link>,
    destination: Destination,
}

impl Link for Named {
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let checked = match shipment.remote_name {
            TEST_NAME => Ok(()),
            name => destination::check_name(name),
        };
        checked
            .map_err(|reason| DeliveryError::new(Failure::Configuration, reason))
            .and_then(|()| self.link.put(shipment, progress))
            .map_err(|e| e.at(&self.destination))
    }

    fn remove_test(&mut self) -> Result<bool> {
        self.link.remove_test().map_err(|e| e.at(&self.destination))
    }
}

/// The name while a document is not whole. It begins with a dot, so that `*` of a shell does not find it.
fn partial_name(name: &str) -> String {
    format!(".{name}.partial")
}
