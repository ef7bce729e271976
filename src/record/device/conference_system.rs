//! What a CMS says about itself.

use chrono::{DateTime, Utc};

use super::{
    DeviceHead, fields_of_device, optional_boolean, optional_number, optional_text, some_boolean, some_number,
    some_text,
};
use crate::record::definition::Presence::Optional;
use crate::record::{Field, Kind, Record, ServiceDefinition};

/// `ConferenceSystem-Type`: `/system/status`.
pub static CONFERENCE_SYSTEM: ServiceDefinition = ServiceDefinition {
    name: "ConferenceSystem-Type",
    schema: "ConferenceSystem.xsd",
    doc: "The state of one Call Bridge (CMS system/status). cdrCorrelatorIndex tells whether call detail records have \
          been lost on their way.",
    fields: fields_of_device![
        optional_text(
            "hostId",
            "Id of the host; the same stands in ConferenceLicenseHistory-Type.",
        ),
        optional_text("softwareVersion", "Version of the CMS."),
        optional_number(
            "uptimeSeconds",
            "Seconds since the Call Bridge was started. Less than in the document before: it was started again, and \
             its counters began anew.",
        ),
        Field::new(
            "cdrTime",
            Kind::DateTimeMsec,
            Optional,
            "The clock of the CMS by which its call detail records are timed.",
        ),
        optional_number(
            "cdrCorrelatorIndex",
            "Index that the next call detail record of the CMS will bear; 0 when none was sent since it was started.",
        ),
        optional_number("callLegsActive", "Call legs now."),
        optional_number(
            "callLegsMaxActive",
            "Most call legs at the same time since the CMS was started."
        ),
        optional_number(
            "callLegsCompleted",
            "Call legs that have ended since the CMS was started; a counter.",
        ),
        optional_boolean("clusterEnabled", "Whether the Call Bridge is one of a cluster."),
    ],
};

/// The fields of [`CONFERENCE_SYSTEM`] behind the head.
#[derive(Debug, Clone, Default)]
pub struct ConferenceSystem<'a> {
    pub host_id: Option<&'a str>,
    pub software_version: Option<&'a str>,
    pub uptime_seconds: Option<u64>,
    pub cdr_time: Option<DateTime<Utc>>,
    pub cdr_correlator_index: Option<u64>,
    pub call_legs_active: Option<u64>,
    pub call_legs_max_active: Option<u64>,
    pub call_legs_completed: Option<u64>,
    pub cluster_enabled: Option<bool>,
}

impl ConferenceSystem<'_> {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &CONFERENCE_SYSTEM,
            [
                some_text(self.host_id),
                some_text(self.software_version),
                some_number(self.uptime_seconds),
                self.cdr_time.into(),
                some_number(self.cdr_correlator_index),
                some_number(self.call_legs_active),
                some_number(self.call_legs_max_active),
                some_number(self.call_legs_completed),
                some_boolean(self.cluster_enabled),
            ],
        )
    }
}
