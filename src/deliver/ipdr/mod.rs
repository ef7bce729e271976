//! The exporter of IPDR/SP: one thread that brings the documents of each session to the best collector there is.
//!
//! * [`Settings`] and [`SessionSetting`] say what it does, an [`Inbox`] wakes it from other threads.
//! * [`Event`]s say what happened, a [`Snapshot`] how things stand.
//!
//! Who makes documents puts them into the session's store and calls [`Handle::changed`]. The store is behind a lock that
//! the exporter takes for moments; who writes a document must not keep it meanwhile.

mod choice;
mod connection;
mod delivery;
mod dial;
mod exporter;
mod farewell;
mod feed;
mod inbox;
mod links;
mod messages;
mod ports;
mod report;
mod roster;
mod setting;
mod snapshot;
pub mod store;
mod visitors;
mod watch;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use exporter::{CannotBegin, Exporter};
pub use inbox::{Handle, Inbox};
pub use ports::CannotListen;
pub use setting::{CollectorSetting, Dial, DialTls, ListenerTls, PriorityOrder, SessionSetting, Settings};
pub use snapshot::{CollectorStatus, DocumentStatus, FlowStatus, SessionStatus, Snapshot};
pub use watch::{Event, Watch};

use crate::protocol::ipdr::Template;

/// How the records of a document are encoded: what [`RecordEncoder`](crate::protocol::ipdr::RecordEncoder) needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// 0: all fields are switched on.
    pub config_id: u16,
    pub template: Arc<Template>,
}
