//! Which licence one user of a CUCM takes.

use super::{DeviceHead, MAX_CHARS, fields_of_device, optional_text, some_text, text};
use crate::record::definition::Presence::Required;
use crate::record::{Field, Kind, Record, ServiceDefinition};

/// `LicensedUser-Type`: a user of listLicensedUser.
pub static LICENSED_USER: ServiceDefinition = ServiceDefinition {
    name: "LicensedUser-Type",
    schema: "LicensedUser.xsd",
    doc: "Which licence one user of a CUCM takes (AXL listLicensedUser). Names of people are left out. All values are \
          texts as the CUCM wrote them, because the schema of AXL does not say what they may be, and no real answer \
          was seen: what they mean is not verified.",
    fields: fields_of_device![
        Field::new("userId", Kind::Text { max_chars: MAX_CHARS }, Required, "User ID."),
        optional_text("deviceCount", "Number of devices that the user owns."),
        optional_text("licenseType", "Licence that the user needs."),
        optional_text("licenseUsed", "Licence that the user takes."),
        optional_text(
            "snrEnabled",
            "Whether the user has Mobile Connect (single number reach): then the user takes a licence also without a \
             device.",
        ),
        optional_text(
            "emEnabled",
            "Whether the user has Extension Mobility. Some releases do not tell it.",
        ),
    ],
};

/// The fields of [`LICENSED_USER`] behind the head.
#[derive(Debug, Clone)]
pub struct LicensedUser<'a> {
    pub user_id: &'a str,
    pub device_count: Option<&'a str>,
    pub license_type: Option<&'a str>,
    pub license_used: Option<&'a str>,
    pub snr_enabled: Option<&'a str>,
    pub em_enabled: Option<&'a str>,
}

impl LicensedUser<'_> {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &LICENSED_USER,
            [
                text(self.user_id),
                some_text(self.device_count),
                some_text(self.license_type),
                some_text(self.license_used),
                some_text(self.snr_enabled),
                some_text(self.em_enabled),
            ],
        )
    }
}
