//! Notify: tells SNMP managers about each document and each failure, once.
//!
//! An [`Event`] is written to the ledger's outbox in the same transaction as the change it tells of, one row for each
//! manager, and taken out when the manager has it (a trap: when it has left; an inform: when it was acknowledged).

mod event;
mod snmp;
mod varbinds;

pub use event::{CollectionStatus, Event};
pub use snmp::{Engine, Sender, Unsent};
