//! How things stand, for `billdrop status`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The exporter at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub time: DateTime<Utc>,
    /// Open connections, those without a CONNECT included.
    pub connections: usize,
    pub collectors: Vec<CollectorStatus>,
    pub sessions: Vec<SessionStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorStatus {
    pub name: String,
    /// Where its connection comes from; [`None`]: it is not connected.
    pub address: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub vendor: String,
    /// When a message of it came last.
    pub heard: Option<DateTime<Utc>>,
    /// Octets that wait until it reads.
    pub queued: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    pub id: u8,
    pub name: String,
    /// The collector that has the document.
    pub active: Option<String>,
    /// The document that is being delivered.
    pub document: Option<DocumentStatus>,
    /// Records that may be under way.
    pub window: u64,
    /// Documents in the store, and their records that are not acknowledged.
    pub waiting_documents: u64,
    pub waiting_records: u64,
    pub waiting_octets: u64,
    /// Since the exporter began.
    pub delivered_documents: u64,
    pub delivered_records: u64,
    pub collectors: Vec<FlowStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentStatus {
    pub number: u64,
    pub id: String,
    pub created: DateTime<Utc>,
    pub records: u64,
    pub sent: u64,
    pub acknowledged: u64,
    pub dropped: u64,
    pub is_complete: bool,
    /// When an acknowledgement advanced last.
    pub last_acknowledgement: Option<DateTime<Utc>>,
}

/// A collector in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStatus {
    pub name: String,
    pub priority: Option<u32>,
    /// `disconnected`, `connected`, `initiation`, `ready` or `active`.
    pub state: String,
    /// It failed when it had the document, and has not been given another chance.
    pub is_in_doubt: bool,
}
