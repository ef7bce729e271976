//! What becomes of the rows, or items, of an answer: one that makes no record costs itself alone, and is counted.

use std::io;

use super::{SourceError, outlet::Outlet, web::Date};
use crate::record::{DeviceHead, Record};

/// The records of one question, each with the device's time of the answer that it comes from.
pub struct Records<'o, 'a> {
    head: DeviceHead,
    outlet: &'o mut Outlet<'a>,
    rows: u64,
    tally: Tally,
}

/// How many there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub given: u64,
    /// Rows that lack what makes a record of them.
    pub unusable: u64,
    /// Rows whose record does not fit its fields: a text that is too long. One such row does not cost the others.
    pub misfits: u64,
    /// Which one the first is, and what is wrong with it.
    pub first_misfit: Option<String>,
}

impl<'o, 'a> Records<'o, 'a> {
    pub fn of(head: &DeviceHead, outlet: &'o mut Outlet<'a>) -> Self {
        Records {
            head: head.clone(),
            outlet,
            rows: 0,
            tally: Tally::default(),
        }
    }

    /// A row while an answer is read. `record` gives nothing for a row that is unusable. An error is one of the outlet,
    /// which knows more of it.
    pub fn push(&mut self, date: Date, record: impl FnOnce(&DeviceHead) -> Option<Record>) -> io::Result<()> {
        let row = self.rows + 1;
        self.push_named(date, || format!("row {row}"), record).map(drop)
    }

    /// The same for an item that has a name for messages. Whether there is a record of it now.
    pub fn push_named(
        &mut self,
        date: Date,
        name: impl FnOnce() -> String,
        record: impl FnOnce(&DeviceHead) -> Option<Record>,
    ) -> io::Result<bool> {
        self.rows += 1;
        self.head.device_time = date.or(self.head.device_time);
        let Some(record) = record(&self.head) else {
            self.tally.unusable += 1;
            return Ok(false);
        };
        match self.outlet.push(&record) {
            Ok(()) => {
                self.tally.given += 1;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                self.outlet.refused();
                self.tally.misfits += 1;
                self.tally
                    .first_misfit
                    .get_or_insert_with(|| format!("{}: {e}", name()));
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// The reason why the outlet took no more.
    pub fn refused(&mut self) -> Option<SourceError> {
        self.outlet.refused()
    }

    /// The same outside of a parser.
    pub fn take(&mut self, date: Date, record: impl FnOnce(&DeviceHead) -> Option<Record>) -> Result<(), SourceError> {
        self.push(date, record)
            .map_err(|e| self.outlet.refused().unwrap_or(SourceError::Sink(e)))
    }

    pub fn end(self) -> Tally {
        self.tally
    }
}
