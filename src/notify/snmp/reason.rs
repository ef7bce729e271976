//! Failures in words: what happened, and what the operator can do about it. No secret is ever among them.

use std::{io, time::Duration};

use async_snmp::{Error, v3::ReportStatus};

use super::Unsent;
use crate::config::{Manager, SnmpVersion};

/// Why a notification could not be sent, before it is known for which manager.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    reason: String,
    next: &'static str,
    extent: Extent,
}

/// What else the failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// This notification only.
    Notification,
    /// This address of the manager: it refused at once.
    Address,
    /// All that waits for the manager.
    Manager,
}

const LISTENS: &str = "See that the manager runs and listens on this port, and that no firewall is between.";
const ROUTE: &str = "See that there is a route to the manager and that no firewall is between.";
const COMMUNITY: &str = "See that the manager runs, that no firewall is between, and that it accepts the community: \
                         it does not answer a wrong one.";
const USER: &str = "Make the user known to the manager (snmptrapd: createUser, for informs without -e).";
const AUTH: &str = "Compare auth-protocol and auth-password with the manager's.";
const PRIVACY: &str = "Compare privacy-protocol and privacy-password with the manager's.";
const ENGINE: &str = "Nothing, if the manager was started anew: it is tried again. Else look at the manager's log.";
const ODD: &str = "Look at the manager's log.";

impl Failure {
    pub(super) fn of_all(reason: String, next: &'static str) -> Self {
        let extent = Extent::Manager;
        Failure { reason, next, extent }
    }

    pub(super) fn unresolved(host: &str, error: &io::Error) -> Self {
        let next = "Correct address in [[notify]], or see that the name service knows it.";
        Failure::of_all(format!("the name {host:?} cannot be resolved: {error}"), next)
    }

    pub(super) fn no_address() -> Self {
        let next = "Correct address in [[notify]], or see that the name service knows it.";
        Failure::of_all("its name has no address".to_owned(), next)
    }

    pub(super) fn out_of_time(patience: Duration) -> Self {
        Failure::of_all(format!("not told within {:.1} s", patience.as_secs_f64()), LISTENS)
    }

    /// The operating system's word on a datagram.
    pub(super) fn from_socket(error: &io::Error) -> Self {
        let (reason, next) = match error.kind() {
            io::ErrorKind::ConnectionRefused => ("refused: nothing listens on its port".to_owned(), LISTENS),
            _ => (error.to_string(), ROUTE),
        };
        let extent = Extent::Address;
        Failure { reason, next, extent }
    }

    /// `heard`: whether the manager has said anything at all.
    pub(super) fn from_library(error: &Error, manager: &Manager, heard: bool) -> Self {
        let notification = |reason: String| Failure {
            reason,
            next: ODD,
            extent: Extent::Notification,
        };
        match error.exchange_source() {
            Error::Network { source, .. } => Failure::from_socket(source),
            Error::Timeout { retries, .. } => {
                let silence = match retries {
                    0 => format!("no answer within {}", manager.timeout),
                    _ => format!(
                        "no answer in {} tries of {}",
                        retries.saturating_add(1),
                        manager.timeout
                    ),
                };
                match manager.version {
                    SnmpVersion::V2c => Failure::of_all(silence, COMMUNITY),
                    // It took part in the discovery of engines; what it cannot decipher it may drop without a word.
                    SnmpVersion::V3 if heard => Failure::of_all(silence + " to what is enciphered", PRIVACY),
                    SnmpVersion::V3 => Failure::of_all(silence, LISTENS),
                }
            }
            Error::Report { status, .. } => {
                let (reason, next) = reported(status);
                Failure::of_all(reason, next)
            }
            Error::Auth { .. } => {
                let reason = "authentication failed: its answer does not prove that it knows the password".to_owned();
                Failure::of_all(reason, AUTH)
            }
            Error::Snmp { status, .. } => notification(format!("it answered with the error {status}")),
            Error::MalformedResponse { .. } | Error::Decode(_) => {
                notification("its answer does not fit the notification".to_owned())
            }
            other => Failure::of_all(other.to_string(), ODD),
        }
    }

    /// Whether the manager cannot be told anything else either.
    pub(super) fn is_of_all(&self) -> bool {
        self.extent != Extent::Notification
    }

    /// Whether another address of the manager may do.
    pub(super) fn is_of_this_address(&self) -> bool {
        self.extent == Extent::Address
    }

    pub(super) fn of(&self, manager: &Manager) -> Unsent {
        Unsent {
            manager: manager.address.clone(),
            reason: self.reason.clone(),
            next: self.next.to_owned(),
        }
    }
}

/// The reports of the user-based security model (RFC 3414, section 3.2).
fn reported(status: &ReportStatus) -> (String, &'static str) {
    let (reason, next) = match status {
        ReportStatus::UnknownUserName { .. } => ("authentication failed: it does not know the user", USER),
        ReportStatus::WrongDigest { .. } => ("authentication failed: it has another password for the user", AUTH),
        ReportStatus::DecryptionError { .. } => ("it cannot decipher what the user sends", PRIVACY),
        ReportStatus::UnsupportedSecurityLevel { .. } => {
            ("it does not allow the user authentication with privacy", USER)
        }
        ReportStatus::UnknownEngineId { .. } => ("it does not know the engine that it named itself", ENGINE),
        ReportStatus::NotInTimeWindow { .. } => ("authentication failed: its clock and ours do not agree", ODD),
        other => return (format!("it refused: {other}"), ODD),
    };
    (reason.to_owned(), next)
}
