//! Accounting: call events of an H.323 gatekeeper through GnuGk's chain, to file, RADIUS and SQL, and into the documents.
//!
//! An [`event::Event`] comes from outside. It passes the modules in the order of the operator's own gatekeeper ini
//! ([`crate::config::gatekeeper`]); each says `ok` or `fail`, and the controls make one verdict of that, exactly as the
//! gatekeeper does. What the gatekeeper loses when a destination is down waits here until it can be logged.

pub mod cdr;
pub mod chain;
pub mod derived;
pub mod engine;
pub mod event;
pub mod explain;
pub mod file;
pub mod fuzz;
pub mod input;
pub mod journal;
pub mod json;
pub mod module;
pub mod modules;
pub mod parameters;
pub mod radius;
pub mod read_time;
pub mod sql;
pub mod status;
mod strftime;
pub mod syslog;
pub mod template;
pub mod timestamp;
pub mod uuid;
pub mod zone;
