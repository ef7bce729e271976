//! What a CMS says about its multiparty licences now.

use chrono::{DateTime, Utc};

use super::{DeviceHead, fields_of_device, optional_decimal, optional_number, some_decimal, some_number};
use crate::record::definition::Presence::Optional;
use crate::record::{Decimal, Field, Kind, Record, ServiceDefinition};

/// `ConferenceLicenseUsage-Type`: `/system/multipartyLicensing`.
pub static CONFERENCE_LICENSE_USAGE: ServiceDefinition = ServiceDefinition {
    name: "ConferenceLicenseUsage-Type",
    schema: "ConferenceLicenseUsage.xsd",
    doc: "What one Call Bridge says about the use of multiparty licences at this moment (CMS system/multipartyLicensing). \
          Each Call Bridge of a cluster counts its own calls: the sum of weightedCallsActive over the cluster is the number of \
          conferences.",
    fields: fields_of_device![
        Field::new(
            "timestamp",
            Kind::DateTimeMsec,
            Optional,
            "When this was so, as the CMS says. Caution: in Cisco's own examples it looks like local time that is \
             labelled as UTC, so IPDRcreationTime is the one to rely on.",
        ),
        optional_number(
            "personalLicenseLimit",
            "Personal licences (PMP) that were bought. Deprecated by Cisco from release 3.0.",
        ),
        optional_number(
            "sharedLicenseLimit",
            "Shared licences (SMP) that were bought. Deprecated by Cisco from release 3.0.",
        ),
        optional_number(
            "capacityUnitLimit",
            "Capacity units that were bought. Deprecated by Cisco from release 3.0.",
        ),
        optional_number("users", "Users that the CMS has."),
        optional_number("personalLicenses", "Personal licences that are assigned to users."),
        optional_number("participantsActive", "Participants in calls now."),
        optional_number("callsActive", "Calls on this Call Bridge now."),
        optional_decimal(
            "weightedCallsActive",
            "Calls now, each counted by the part of it that this Call Bridge has.",
        ),
        optional_number(
            "callsWithoutPersonalLicense",
            "Calls now that are of nobody with a personal licence.",
        ),
        optional_decimal(
            "weightedCallsWithoutPersonalLicense",
            "The same, each call counted by the part of it that this Call Bridge has.",
        ),
        optional_decimal("capacityUnitUsage", "Capacity units in use now."),
        optional_decimal(
            "capacityUnitUsageWithoutPersonalLicense",
            "Capacity units in use now by calls that are of nobody with a personal licence.",
        ),
    ],
};

/// The fields of [`CONFERENCE_LICENSE_USAGE`] behind the head.
#[derive(Debug, Clone, Default)]
pub struct ConferenceLicenseUsage {
    pub timestamp: Option<DateTime<Utc>>,
    pub personal_license_limit: Option<u64>,
    pub shared_license_limit: Option<u64>,
    pub capacity_unit_limit: Option<u64>,
    pub users: Option<u64>,
    pub personal_licenses: Option<u64>,
    pub participants_active: Option<u64>,
    pub calls_active: Option<u64>,
    pub weighted_calls_active: Option<Decimal>,
    pub calls_without_personal_license: Option<u64>,
    pub weighted_calls_without_personal_license: Option<Decimal>,
    pub capacity_unit_usage: Option<Decimal>,
    pub capacity_unit_usage_without_personal_license: Option<Decimal>,
}

impl ConferenceLicenseUsage {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &CONFERENCE_LICENSE_USAGE,
            [
                self.timestamp.into(),
                some_number(self.personal_license_limit),
                some_number(self.shared_license_limit),
                some_number(self.capacity_unit_limit),
                some_number(self.users),
                some_number(self.personal_licenses),
                some_number(self.participants_active),
                some_number(self.calls_active),
                some_decimal(&self.weighted_calls_active),
                some_number(self.calls_without_personal_license),
                some_decimal(&self.weighted_calls_without_personal_license),
                some_decimal(&self.capacity_unit_usage),
                some_decimal(&self.capacity_unit_usage_without_personal_license),
            ],
        )
    }
}
