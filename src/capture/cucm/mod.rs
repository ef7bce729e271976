//! A Cisco Unified Communications Manager: licences and devices, by AXL.
//!
//! One question at a time is asked, as Cisco wants it. A question that the server refuses, or answers wrongly, costs
//! only its own records, and the source is incomplete then. A server that can no longer be talked to is incomplete, too,
//! as far as it has answered: what came is right. It has failed when it gave no record at all, when it refuses the
//! account, and when an answer goes beyond all limits.

mod paging;
mod questions;
mod session;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Asked, Captured, RecordSink, Source, SourceError,
    outlet::{Outlet, head},
    web::{Conversation, Patience},
};
use crate::{
    config::{self, Device},
    protocol::axl::Version,
};
use questions::{Questions, Told};
use session::Session;

/// The source `cucm`.
pub struct Cucm {
    device: Device,
    settings: config::Cucm,
    patience: Patience,
    version: Option<Version>,
}

/// What is remembered from one document to the next.
#[derive(Serialize, Deserialize)]
struct Baseline {
    /// The AXL version that the server spoke.
    axl: String,
    /// The server's release. Another one may speak a newer version.
    release: String,
}

impl Cucm {
    /// The error is a sentence that names the key at fault.
    pub fn new(device: &Device, config: &config::Config) -> Result<Self, String> {
        let version = config.cucm.axl_version.as_deref().map(|text| {
            text.parse::<Version>()
                .map_err(|_| format!("axl-version {text:?} is none that billdrop speaks"))
        });
        crate::tls::client(&device.tls)?;
        Ok(Cucm {
            device: device.clone(),
            settings: config.cucm.clone(),
            patience: Patience::new(&config.capture),
            version: version.transpose()?,
        })
    }

    /// The configured version, else the one that was spoken last, else the newest; and what was remembered, where that
    /// has chosen it.
    fn version(&self, baseline: Option<&[u8]>) -> (Version, Option<Baseline>) {
        if let Some(version) = self.version {
            return (version, None);
        }
        let remembered = baseline.and_then(|octets| serde_json::from_slice::<Baseline>(octets).ok());
        let spoken = remembered.as_ref().and_then(|baseline| baseline.axl.parse().ok());
        match spoken {
            Some(version) => (version, remembered),
            None => (Version::KNOWN[0], None),
        }
    }
}

impl Source for Cucm {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.device.timeout.0)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let web = Conversation::open(&self.device)?;
        let (version, remembered) = self.version(asked.baseline);
        let session = Session::new(&web, &self.device.user, version, self.patience.clone());
        let head = head(&self.device, asked.now);
        let release = remembered.map(|baseline| baseline.release);
        let questions = Questions::new(session, &self.settings, head, release, Outlet::new(records));
        let Told {
            version,
            release,
            story,
        } = questions.ask_all()?;
        let baseline = Baseline {
            axl: version.to_string(),
            release,
        };
        Ok(Captured {
            incomplete: story.incomplete().map(|text| web.scrub(&text)),
            remark: story.remarks().map(|text| web.scrub(&text)),
            baseline: serde_json::to_vec(&baseline).ok(),
        })
    }
}
