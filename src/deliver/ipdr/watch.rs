//! What happened, for logs, alarms and status.

use std::{fmt, net::SocketAddr};

use super::Snapshot;
use crate::protocol::ipdr::{DocumentId, ErrorCode, Failure};

/// Is told what happens. It is called by the exporter's thread, which waits meanwhile: it must not take long.
pub trait Watch: Send {
    fn event(&self, event: &Event);

    /// How things stand: after events, but not more often than every 200 ms, and every two seconds while anything moves.
    fn snapshot(&self, snapshot: &Snapshot);
}

/// Collectors and sessions are told by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Listening {
        address: SocketAddr,
    },
    /// A connection was sent away.
    Refused {
        address: SocketAddr,
        reason: String,
    },
    /// CONNECT was exchanged.
    Connected {
        collector: String,
        address: SocketAddr,
        vendor: String,
    },
    Disconnected {
        collector: String,
        reason: String,
    },
    CannotConnect {
        collector: String,
        reason: String,
    },
    /// The collector can have the session from now on. For ad-hoc sessions: it asks for a document.
    Ready {
        session: String,
        collector: String,
    },
    /// SESSION_START was sent.
    Started {
        session: String,
        collector: String,
        document: DocumentId,
        first_sequence: u64,
        /// Who had this document, or the one before it, if it was another.
        instead_of: Option<String>,
        /// A better one than that.
        is_better: bool,
    },
    /// The collector that had the document does not go on with it.
    Failed {
        session: String,
        collector: String,
        failure: Failure,
    },
    /// All is acknowledged or given up.
    Delivered {
        session: String,
        document: DocumentId,
        records: u64,
        dropped: u64,
    },
    /// Records that are in the store cannot be read and are given up.
    Lost {
        session: String,
        document: DocumentId,
        records: u64,
        reason: String,
    },
    /// The store cannot be used at the moment. It is tried again.
    StoreTrouble {
        session: String,
        reason: String,
    },
    /// There are documents and nobody takes them, or somebody does again.
    Waiting {
        session: String,
        is_waiting: bool,
    },
    /// The collector has switched fields off or on; valid from the next document.
    TemplateChanged {
        session: String,
        collector: String,
        config_id: u16,
    },
    /// The collector sent ERROR.
    PeerError {
        collector: String,
        code: ErrorCode,
        description: String,
    },
    /// The collector did what it may not do, and stays connected.
    Odd {
        collector: String,
        what: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { address } => write!(f, "listening at {address}"),
            Event::Refused { address, reason } => write!(f, "{address} is sent away: {reason}"),
            Event::Connected {
                collector,
                address,
                vendor,
            } => write!(f, "collector {collector} is connected from {address} ({vendor:?})"),
            Event::Disconnected { collector, reason } => write!(f, "collector {collector} is gone: {reason}"),
            Event::CannotConnect { collector, reason } => {
                write!(f, "collector {collector} cannot be reached: {reason}")
            }
            Event::Ready { session, collector } => write!(f, "session {session}: collector {collector} is ready"),
            Event::Started {
                session,
                collector,
                document,
                first_sequence,
                instead_of,
                is_better,
            } => {
                write!(
                    f,
                    "session {session}: collector {collector} gets document {document} from record {first_sequence} on"
                )?;
                match instead_of {
                    None => Ok(()),
                    Some(other) if *is_better => write!(f, ", back from {other}"),
                    Some(other) => write!(f, ", in place of {other}"),
                }
            }
            Event::Failed {
                session,
                collector,
                failure,
            } => {
                let why = match failure {
                    Failure::Disconnected => "is gone",
                    Failure::FlowStopped => "has stopped the flow",
                    Failure::Restarted => "begins anew",
                    Failure::Stalled => "acknowledges nothing any more",
                    Failure::Unacknowledged => "has not acknowledged the end of the document",
                };
                write!(f, "session {session}: collector {collector} {why}")
            }
            Event::Delivered {
                session,
                document,
                records,
                dropped,
            } => {
                write!(
                    f,
                    "session {session}: document {document} is delivered, {records} records"
                )?;
                match dropped {
                    0 => Ok(()),
                    dropped => write!(f, ", {dropped} of them given up"),
                }
            }
            Event::Lost {
                session,
                document,
                records,
                reason,
            } => write!(
                f,
                "session {session}: {records} records of document {document} are LOST: {reason}"
            ),
            Event::StoreTrouble { session, reason } => {
                write!(
                    f,
                    "session {session}: the store cannot be used, it is tried again: {reason}"
                )
            }
            Event::Waiting {
                session,
                is_waiting: true,
            } => write!(f, "session {session}: a document waits, and no collector is ready"),
            Event::Waiting { session, .. } => write!(f, "session {session}: a collector takes the documents again"),
            Event::TemplateChanged {
                session,
                collector,
                config_id,
            } => write!(
                f,
                "session {session}: collector {collector} has changed the template, configId {config_id} from the next \
                 document on"
            ),
            Event::PeerError {
                collector,
                code,
                description,
            } => write!(
                f,
                "collector {collector} sends ERROR {:#06x}: {description:?}",
                code.code()
            ),
            Event::Odd { collector, what } => write!(f, "collector {collector}: {what}"),
        }
    }
}
