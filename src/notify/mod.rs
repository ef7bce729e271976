//! Notify: tells SNMP managers about each document and each failure, once.
//!
//! An [`Event`] is written to the ledger's outbox in the same transaction as the change it tells of, one row for each
//! manager, and taken out when the manager has it (a trap: when it has left; an inform: when it was acknowledged).
//! What a [`Sender`] gives back as [`Unsent`] stays in the outbox and is tried again: nothing here retries longer
//! than the manager's own `timeout` and `retries` say, so that a dead manager never holds up a capture.

mod check;
mod engine;
mod outbox;
mod snmp;
mod varbinds;

pub use crate::ledger::{CollectionStatus, Event};
pub use check::check;
pub use engine::Engine;
pub use outbox::{Round, RoundError, deliver, engine_id_text, send_at_once};

pub use snmp::{Sender, Unsent};
pub use varbinds::parse_oid;
