//! Capture: asks the sources for their usage.
//!
//! A source pushes its records into a [`RecordSink`] one by one; nobody holds them all in memory. It says at the end
//! whether everything is there. A source that fails costs the others nothing: its records are taken back, its
//! failure is named, the rest goes on.

mod baseline;
mod calls;
mod cms;
pub mod cmts;
mod cucm;
mod kernel;
mod linux;
mod netlink;
mod outlet;
mod records;
mod remark;
mod web;

use std::{io, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    config::{self, CmtsRecords, DeviceKind},
    record::{self, Record, ServiceDefinition},
};
use cms::Cms;
use cucm::Cucm;

pub use calls::{Calls, NAME as CALLS, position as billed};
pub use linux::Linux;

/// The source that a configuration describes. The error is a sentence that names the key at fault.
pub fn open(source: &config::Source, config: &config::Config) -> Result<Arc<dyn Source>, String> {
    match source {
        config::Source::Calls(calls) => Ok(Arc::new(Calls::new(calls))),
        config::Source::Cmts(cmts) => Ok(Arc::new(cmts::source::Configured::new(cmts))),
        config::Source::Linux(linux) => Ok(Arc::new(Linux::new(linux)?)),
        config::Source::Device(device) => match device.kind {
            DeviceKind::Cucm => Ok(Arc::new(Cucm::new(device, config)?)),
            DeviceKind::Cms => Ok(Arc::new(Cms::new(device, config)?)),
        },
    }
}

/// The definitions of the records that a source may give.
pub fn gives(source: &config::Source) -> &'static [&'static ServiceDefinition] {
    static OF_CALLS: &[&ServiceDefinition] = &[&record::CALL_DETAIL];
    static OF_LINUX: &[&ServiceDefinition] = &[&record::INTERFACE_USAGE];
    static OF_CUCM: &[&ServiceDefinition] = &[&record::LICENSE_USAGE, &record::DEVICE_USAGE, &record::LICENSED_USER];
    static OF_CMS: &[&ServiceDefinition] = &[
        &record::CONFERENCE_SPACE,
        &record::CONFERENCE_LICENSE_USAGE,
        &record::CONFERENCE_LICENSE_HISTORY,
        &record::CONFERENCE_SYSTEM,
    ];
    static OF_CMTS: &[&ServiceDefinition] = &[&record::DOCSIS];
    static OF_CMTS_TYPE_1: &[&ServiceDefinition] = &[&record::SAMIS_TYPE_1];
    static OF_CMTS_TYPE_2: &[&ServiceDefinition] = &[&record::SAMIS_TYPE_2];
    match source {
        config::Source::Calls(_) => OF_CALLS,
        config::Source::Linux(_) => OF_LINUX,
        config::Source::Device(device) => match device.kind {
            DeviceKind::Cucm => OF_CUCM,
            DeviceKind::Cms => OF_CMS,
        },
        config::Source::Cmts(cmts) => match cmts.records {
            CmtsRecords::Docsis => OF_CMTS,
            CmtsRecords::SamisType1 => OF_CMTS_TYPE_1,
            CmtsRecords::SamisType2 => OF_CMTS_TYPE_2,
        },
    }
}

/// Something that has usage and can be asked for it, from any thread.
pub trait Source: Send + Sync {
    /// Name as configured, unique among the sources.
    fn name(&self) -> &str;

    /// How long the source may take in all; it keeps to that by itself. [`None`]: it is known to answer at once, as
    /// this host's kernel does. One that has not ended soon after its time is given up: it failed.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Reads all the usage that the source has now and pushes it, record by record.
    ///
    /// On [`Err`] whatever was pushed is taken back by the caller: no half answer passes as a whole one.
    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError>;
}

/// What a source is told when it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The time of this capture, the same for all sources.
    pub now: DateTime<Utc>,
    /// Host name of the recorder.
    pub recorder: &'a str,
    /// What the source returned as [`Captured::baseline`] for the last document that was sealed.
    pub baseline: Option<&'a [u8]>,
}

/// Takes the records of a source.
pub trait RecordSink {
    /// Stores one record. An error is one of the recorder's own disk: the source gives up and hands it on.
    fn push(&mut self, record: &Record) -> io::Result<()>;
}

/// What a source says when it has been read to the end.
#[derive(Debug, Default)]
pub struct Captured {
    /// Why some records are known to be missing; `None` when everything is there.
    pub incomplete: Option<String>,
    /// What was remarkable though nothing of the answer is missing. Goes into the document information record.
    pub remark: Option<String>,
    /// What this source wants to see at the next capture, in a form that only it knows: the counters to compare with.
    /// Kept in the ledger together with the document, or not at all.
    pub baseline: Option<Vec<u8>>,
}

/// Why a source has no records to give.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source did not answer, or not in time. What was asked, and why it failed.
    #[error("{0}")]
    Unavailable(String),
    /// The source answered with something that cannot be right.
    #[error("{0}")]
    BadData(String),
    /// The source refused us.
    #[error("{0}")]
    Denied(String),
    /// The recorder could not store a record. Not the source's fault: the capture stops.
    #[error(transparent)]
    Sink(#[from] io::Error),
}
