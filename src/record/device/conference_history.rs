//! What a CMS counted of its multiparty licences at one moment of the past.

use chrono::{DateTime, Utc};

use super::{DeviceHead, fields_of_device, optional_decimal, optional_text, some_decimal, some_text};
use crate::record::definition::Presence::Required;
use crate::record::{Decimal, Field, Kind, Record, ServiceDefinition};

/// `ConferenceLicenseHistory-Type`: an entry of `/system/MPLicenseUsage`.
pub static CONFERENCE_LICENSE_HISTORY: ServiceDefinition = ServiceDefinition {
    name: "ConferenceLicenseHistory-Type",
    schema: "ConferenceLicenseHistory.xsd",
    doc: "What a CMS has kept about the use of multiparty licences at one moment (an entry of \
          system/MPLicenseUsage, release 2.6 and later; one every five minutes in Cisco's example). The CMS leaves \
          out what is zero: a number that is not here is 0, and a record without any says that nothing was in use. \
          How long a CMS keeps entries is not verified.",
    fields: fields_of_device![
        optional_text(
            "hostId",
            "Id of the host whose usage it is, as in system/status. Left out where the CMS did not say.",
        ),
        Field::new(
            "time",
            Kind::DateTimeMsec,
            Required,
            "When it was so, as the CMS says; hostId and time together are unique.",
        ),
        optional_decimal(
            "pmp",
            "Personal licences (PMP) in use, counted by the part of each call that this host has.",
        ),
        optional_decimal(
            "pmpAssigned",
            "Personal licences (PMP) assigned to users; from release 3.0."
        ),
        optional_decimal(
            "smpAud",
            "Shared licences (SMP) in use by calls with audio only, counted by the part of each call that this host \
             has.",
        ),
        optional_decimal(
            "smpPtP",
            "Shared licences (SMP) in use by calls of two, counted by the part of each call that this host has.",
        ),
        optional_decimal(
            "smpFull",
            "Shared licences (SMP) in use by all other calls, counted by the part of each call that this host has.",
        ),
        optional_decimal("rec", "Recordings, a plain count."),
        optional_decimal("str", "Streams, a plain count."),
    ],
};

/// The fields of [`CONFERENCE_LICENSE_HISTORY`] behind the head. [`None`] is what the CMS left out, which is 0.
#[derive(Debug, Clone)]
pub struct ConferenceLicenseHistory<'a> {
    pub host_id: Option<&'a str>,
    pub time: DateTime<Utc>,
    pub pmp: Option<Decimal>,
    pub pmp_assigned: Option<Decimal>,
    pub smp_aud: Option<Decimal>,
    pub smp_ptp: Option<Decimal>,
    pub smp_full: Option<Decimal>,
    pub rec: Option<Decimal>,
    pub str: Option<Decimal>,
}

impl ConferenceLicenseHistory<'_> {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &CONFERENCE_LICENSE_HISTORY,
            [
                some_text(self.host_id),
                self.time.into(),
                some_decimal(&self.pmp),
                some_decimal(&self.pmp_assigned),
                some_decimal(&self.smp_aud),
                some_decimal(&self.smp_ptp),
                some_decimal(&self.smp_full),
                some_decimal(&self.rec),
                some_decimal(&self.str),
            ],
        )
    }
}
