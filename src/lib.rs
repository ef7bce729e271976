//! billdrop: captures usage from the equipment that has it and offers it as billing record documents.
//!
//! # The flow
//!
//! Data runs one way, and the modules stand in its order. A later module may use an earlier one, never the other way
//! round.
//!
//! 1. [`config`] reads `billdrop.toml` and refuses what cannot work before anything is touched.
//! 2. [`record`] is the vocabulary of all that follows: service definitions (the only place where fields are written
//!    down) and typed values.
//! 3. [`xml`] splits the XML that others send into elements and texts, within limits.
//! 4. [`protocol`] puts the requests to devices into octets, and reads their answers.
//! 5. [`capture`] asks the sources for their usage. Each pushes its records one by one.
//! 6. [`document`] encodes records as they come and makes an IPDRDoc of them; reads, verifies and shows documents.
//! 7. [`ledger`] is the durable memory: which documents exist, what became of them, who is still to be told.
//! 8. [`spool`] is the heart: it brings a document into the drop-box directory so that it is whole or absent, offers one
//!    at a time, and repairs what a killed run has left.
//! 9. [`deliver`] brings documents to destinations (SCP, SFTP, TFTP) so that each is there whole or not at all, and records
//!    to collectors (IPDR/SP) until they have acknowledged them.
//! 10. [`notify`] takes events out of the ledger's outbox and tells SNMP managers.
//! 11. [`account`] logs call events of a gatekeeper through its chain of modules.
//! 12. [`log`] keeps a few files of what was captured and what went wrong, for people. The documents are the record.
//!
//! [`command`] wires these together, one file per subcommand; [`cli`] defines the command line, [`exit`] the exit statuses
//! and the error that every command ends with, [`trust`] says whose files are believed, [`tls`] whose certificates,
//! [`spill`] keeps octets that wait.
//!
//! # One capture
//!
//! `command::capture` takes the lock. `command::turn` then opens the ledger (`spool::rebuild` if it is damaged), lets
//! `spool::recover` finish what an earlier run left, and stops there if a document still waits for its pickup. Else it asks
//! the sources (`command::gather`), and `spool::commit` takes the five steps from a temporary file to an offered
//! document. Notifications leave last, from the outbox, so a document is never announced before it is there, and never
//! forgotten because a manager was down.
#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod exit;
pub mod spill;
pub mod trust;

pub mod config;

pub mod tls;

pub mod record;

pub mod xml;

pub mod protocol;

pub mod capture;

pub mod document;

pub mod ledger;

pub mod spool;

pub mod deliver;

pub mod notify;

pub mod account;

pub mod log;
