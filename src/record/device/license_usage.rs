//! How many licences of one name a CUCM counts.

use super::{DeviceHead, MAX_CHARS, fields_of_device, optional_number, optional_text, some_number, some_text, text};
use crate::record::definition::Presence::Required;
use crate::record::{Field, Kind, Record, ServiceDefinition, Value};

/// `LicenseUsage-Type`: a row of LicenseTotals, or an entitlement of getSmartLicenseStatus.
pub static LICENSE_USAGE: ServiceDefinition = ServiceDefinition {
    name: "LicenseUsage-Type",
    schema: "LicenseUsage.xsd",
    doc: "One line of a CUCM's licence usage: a row of the function LicenseTotals of its database, or an entitlement \
          of the AXL operation getSmartLicenseStatus. A CUCM counts by the users and devices that are configured, \
          registered or not. All lines of the answer are here, also those that are no licence (TotalUsers, \
          TotalDevices, Timestamp, Elm, ElmLastContact) and those that nobody has heard of before.",
    fields: fields_of_device![
        optional_text("ccmVersion", "Version of the CUCM, as AXL getCCMVersion tells it."),
        Field::new(
            "licenseName",
            Kind::Text { max_chars: MAX_CHARS },
            Required,
            "Name of the line, as the CUCM wrote it. LicenseTotals of release 11.5: CUWL Standard, EnhancedPlus, \
             Enhanced, Basic, Essential, TelePresence Room, TotalUsers, TotalDevices, Timestamp, ElmLastContact, Elm; \
             of later releases not verified. getSmartLicenseStatus: the Tag of the entitlement.",
        ),
        optional_number(
            "licenseCount",
            "The value as a number: licences, users or devices. Left out where the value is none, as for Timestamp.",
        ),
        optional_text(
            "licenseValue",
            "The value as the CUCM wrote it. Of Timestamp it is a time without a zone. The meaning of Elm and of \
             ElmLastContact is not verified.",
        ),
        optional_text(
            "userValue",
            "Column UserValue of LicenseTotals, as the CUCM wrote it, where the query asks for it. Its meaning is not \
             verified.",
        ),
        optional_text(
            "deviceValue",
            "Column DeviceValue of LicenseTotals, as the CUCM wrote it, where the query asks for it. Its meaning is \
             not verified.",
        ),
        optional_text(
            "licenseTag",
            "Tag of the entitlement in getSmartLicenseStatus. The form of tags is not verified.",
        ),
        optional_text(
            "licenseStatus",
            "Status of the entitlement in getSmartLicenseStatus, as the CUCM wrote it. The words are not verified.",
        ),
        Field::new(
            "licenseSource",
            Kind::Enum(SOURCES),
            Required,
            "Which of the CUCM's answers has the line.",
        ),
    ],
};

const SOURCES: &[(i32, &str)] = &[(1, "LicenseTotals"), (2, "getSmartLicenseStatus")];

/// Which answer a line comes from. The numbers are billdrop's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenseSource {
    LicenseTotals = 1,
    SmartLicenseStatus = 2,
}

/// The fields of [`LICENSE_USAGE`] behind the head.
#[derive(Debug, Clone)]
pub struct LicenseUsage<'a> {
    pub ccm_version: Option<&'a str>,
    pub license_name: &'a str,
    pub license_count: Option<u64>,
    pub license_value: Option<&'a str>,
    pub user_value: Option<&'a str>,
    pub device_value: Option<&'a str>,
    pub license_tag: Option<&'a str>,
    pub license_status: Option<&'a str>,
    pub license_source: LicenseSource,
}

impl LicenseUsage<'_> {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &LICENSE_USAGE,
            [
                some_text(self.ccm_version),
                text(self.license_name),
                some_number(self.license_count),
                some_text(self.license_value),
                some_text(self.user_value),
                some_text(self.device_value),
                some_text(self.license_tag),
                some_text(self.license_status),
                Value::Enum(self.license_source as i32),
            ],
        )
    }
}
