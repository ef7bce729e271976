//! Where the records of a device go, and the story of what went wrong with them.

use std::io;

use super::{RecordSink, SourceError};
use crate::{
    config::{self, Device},
    record::{DeviceHead, Location, Record, Target},
};

/// The beginning of every record of this device.
pub fn head(device: &Device, now: chrono::DateTime<chrono::Utc>) -> DeviceHead {
    DeviceHead {
        created: now,
        source_name: device.name.clone(),
        contract: device.contract.clone(),
        target: match device.kind {
            config::DeviceKind::Cucm => Target::Cucm,
            config::DeviceKind::Cms => Target::Cms,
        },
        serv_cnt: device.name.clone(),
        location: match device.location {
            config::Location::Local => Location::Local,
            config::Location::Remote => Location::Remote,
        },
        address: device.address.clone(),
        device_time: None,
    }
}

/// Takes records while an answer is read. Parsers hand on an [`io::Error`] only; the real one waits here.
pub struct Outlet<'a> {
    records: &'a mut dyn RecordSink,
    refused: Option<SourceError>,
}

impl<'a> Outlet<'a> {
    pub fn new(records: &'a mut dyn RecordSink) -> Self {
        Outlet { records, refused: None }
    }

    /// The error only says that there is one: [`Outlet::refused`] has it.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        self.records.push(record).map_err(|e| {
            let text = e.to_string();
            let kind = e.kind();
            // What does not fit a field is the device's fault; all else is our own disk's.
            self.refused = Some(match kind {
                io::ErrorKind::InvalidData => SourceError::BadData(text.clone()),
                _ => SourceError::Sink(e),
            });
            io::Error::new(kind, text)
        })
    }

    /// The reason why a record was not taken.
    pub fn refused(&mut self) -> Option<SourceError> {
        self.refused.take()
    }
}

/// What is missing, and what is remarkable: sentences for the document information record.
#[derive(Debug, Default)]
pub struct Story {
    incomplete: Vec<String>,
    remarks: Vec<String>,
}

impl Story {
    pub fn missing(&mut self, what: impl Into<String>) {
        self.incomplete.push(what.into());
    }

    pub fn remark(&mut self, what: impl Into<String>) {
        self.remarks.push(what.into());
    }

    pub fn incomplete(&self) -> Option<String> {
        (!self.incomplete.is_empty()).then(|| self.incomplete.join("; "))
    }

    pub fn remarks(&self) -> Option<String> {
        (!self.remarks.is_empty()).then(|| self.remarks.join("; "))
    }
}
