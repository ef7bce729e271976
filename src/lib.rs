//! billdrop: captures usage from the equipment that has it and offers it as billing record documents.
#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod exit;

pub mod config;

pub mod capture;
pub mod record;

pub mod document;

pub mod ledger;
pub mod spool;

pub mod notify;
