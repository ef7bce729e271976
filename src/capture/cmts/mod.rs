//! Subscriber usage from a cable modem termination system (CMTS), by SNMP.
//!
//! The way of a poll: `family` says which columns there are, `tables` takes their cells, `join` makes flows of them
//! (`sids` those of DOCSIS 1.0, `modems` whose they are) and names those that must be read again, `compare` finds the
//! ends that no document had yet and what became of the counters since the last document (`baseline`), `usage` and
//! `samis` make records. None of these does any input or output; `snmp` asks.
//!
//! A CMTS that fails in the middle has no records at all in this document. Flows that cannot be told of with
//! certainty have none either, and the document says how many they are: never a record that is mixed of two flows.

pub mod baseline;
pub mod cell;
pub mod compare;
pub mod family;
pub mod join;
pub mod modems;
mod samis;
mod sids;
pub mod snmp;
pub mod source;
pub mod tables;
pub mod uptime;
pub mod usage;

#[cfg(test)]
mod tests;
