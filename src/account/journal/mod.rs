//! The call journal: every event that was accepted, on the disk before it is answered.
//!
//! `STATE/calls/` holds segments, files that are only ever appended to and then removed whole. The name of a segment is the
//! position of its first record, in octets of records since the journal began; a record's position is its name, for ever.
//! One process writes (it holds `STATE/calls/lock`); captures read beside it.
//!
//! # An event's life
//!
//! | records in the journal | it means | what a start makes of it |
//! |---|---|---|
//! | none, or a torn one at the end | it was never answered; the caller sends it again | the torn octets are cut off |
//! | event | accepted; nobody knows which modules have logged it | its chain is run again, `again` set |
//! | event, outcome | answered; each module has it, or waits for it, or has failed for good | modules that wait are caught up |
//! | event, outcome, settled for each module that waited | every module has it | nothing |
//! | the same with given up in place of settled | the operator does not want it there any more | nothing |
//! | checkpoint behind it | the lines of its CDR file are on the disk | its line is not looked for |
//!
//! Outcomes, notes that a module was caught up, and checkpoints are not synced by themselves: they go with the next event.
//! One that was lost in a crash makes an older row of the table true, whose remedy is harmless when it is not needed.
//! The order of records is the order in which they reach the disk: where a checkpoint is, everything before it is.
//!
//! # Durability
//!
//! Events are written (`write(2)`) before their modules see them, in every mode: a killed process loses none that was answered.
//! [`Durability`] says when the disk has them. Who waits for the disk waits together: one `fdatasync` serves all whose
//! records were written before it began. An error of writing or syncing is final ([`Failed`]): nothing is accepted from then on,
//! and the program ends. The kernel may have dropped what it could not write; asking once more would be answered "fine".
//!
//! # Damage
//!
//! Octets at the end of the last segment behind which no whole record follows are torn: the crash came while they were
//! written, and nobody was answered. Anything else that is not a record is damage: it is named, the records behind it are
//! read, and the segment is kept as `POSITION.damaged` when its time to be removed has come.

mod reader;
mod record;
mod segment;
mod writer;

pub use reader::{Item, Reader, Record};
pub use record::{Body, EventRecord, LONGEST, Outcome};
pub use segment::{Segment, directory, list, lock_path};
pub use writer::{Durability, Failed, Journal, Place};

#[cfg(test)]
mod tests;
