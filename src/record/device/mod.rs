//! Records of devices that are asked over the web: Cisco Unified Communications Manager (CUCM) and Cisco Meeting
//! Server (CMS).
//!
//! They all begin with the same fields, which [`DeviceHead`] fills. Each kind of record has a struct with the names of
//! its fields and a method `to_record`, so that nobody else counts positions.
//!
//! Texts are those of the device. Its answer has passed an XML parser, so no text can hold what XML cannot; if one
//! does nevertheless, U+FFFD stands in its place.

mod conference_history;
mod conference_license;
mod conference_space;
mod conference_system;
mod device_usage;
mod license_usage;
mod licensed_user;

use chrono::{DateTime, Utc};

use super::definition::Presence::{Optional, Required};
use super::{Decimal, Field, Kind, Record, ServiceDefinition, Text, Value};

pub use conference_history::{CONFERENCE_LICENSE_HISTORY, ConferenceLicenseHistory};
pub use conference_license::{CONFERENCE_LICENSE_USAGE, ConferenceLicenseUsage};
pub use conference_space::{CONFERENCE_SPACE, ConferenceSpace};
pub use conference_system::{CONFERENCE_SYSTEM, ConferenceSystem};
pub use device_usage::{DEVICE_USAGE, DeviceUsage};
pub use license_usage::{LICENSE_USAGE, LicenseSource, LicenseUsage};
pub use licensed_user::{LICENSED_USER, LicensedUser};

/// Every kind of record that begins with the fields of [`DeviceHead`].
pub static DEVICE_DEFINITIONS: &[&ServiceDefinition] = &[
    &LICENSE_USAGE,
    &DEVICE_USAGE,
    &LICENSED_USER,
    &CONFERENCE_SPACE,
    &CONFERENCE_LICENSE_USAGE,
    &CONFERENCE_LICENSE_HISTORY,
    &CONFERENCE_SYSTEM,
];

/// Characters of a text of a device. Far more than any device is known to give: a text that is longer must be an
/// error, because half a name is somebody else's name.
const MAX_CHARS: usize = 4096;

/// What every record of a device begins with: who was asked, for whom, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceHead {
    /// By our clock.
    pub created: DateTime<Utc>,
    pub source_name: String,
    pub contract: String,
    pub target: Target,
    pub serv_cnt: String,
    pub location: Location,
    /// As configured: an address or a host name.
    pub address: String,
    /// By the device's clock.
    pub device_time: Option<DateTime<Utc>>,
}

/// What kind of device was asked. The numbers are billdrop's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Cucm = 1,
    Cms = 2,
}

/// Where the device stands, as the contract says. The numbers are billdrop's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Local = 1,
    Remote = 2,
}

const TARGETS: &[(i32, &str)] = &[(1, "CUCM"), (2, "CMS")];
const LOCATIONS: &[(i32, &str)] = &[(1, "local"), (2, "remote")];

/// The fields of [`DeviceHead`], in the order of [`DeviceHead::values`].
const HEAD: [Field; 8] = [
    Field::new(
        "IPDRcreationTime",
        Kind::DateTimeMsec,
        Required,
        "When the capture began, by the recorder's clock.",
    ),
    Field::new(
        "sourceName",
        Kind::Text { max_chars: 255 },
        Required,
        "Name of the source, as configured.",
    ),
    Field::new(
        "contract",
        Kind::Text { max_chars: 255 },
        Required,
        "Contract that the device's usage belongs to, as configured.",
    ),
    Field::new(
        "target",
        Kind::Enum(TARGETS),
        Required,
        "What kind of device was asked: Cisco Unified Communications Manager or Cisco Meeting Server.",
    ),
    Field::new(
        "servCnt",
        Kind::Text { max_chars: 255 },
        Required,
        "Name of the device in the contract, as configured (serv_cnt).",
    ),
    Field::new(
        "localOrRemote",
        Kind::Enum(LOCATIONS),
        Required,
        "Where the device stands, as configured.",
    ),
    Field::new(
        "ipAddress",
        Kind::Text { max_chars: 255 },
        Required,
        "Where the device was asked, as configured: an address, or a host name.",
    ),
    Field::new(
        "deviceTime",
        Kind::DateTimeMsec,
        Optional,
        "When the device answered, by its own clock: the Date of its HTTP answer, or cdrTime of its system status. \
         Left out where it did not say.",
    ),
];

/// The head and then these fields.
macro_rules! fields_of_device {
    ($($field:expr),+ $(,)?) => {
        &[
            super::HEAD[0], super::HEAD[1], super::HEAD[2], super::HEAD[3],
            super::HEAD[4], super::HEAD[5], super::HEAD[6], super::HEAD[7],
            $($field),+
        ]
    };
}
use fields_of_device;

impl DeviceHead {
    /// In the order of the fields that every record of a device begins with.
    pub fn values(&self) -> Vec<Value> {
        vec![
            self.created.into(),
            text(&self.source_name),
            text(&self.contract),
            Value::Enum(self.target as i32),
            text(&self.serv_cnt),
            Value::Enum(self.location as i32),
            text(&self.address),
            self.device_time.into(),
        ]
    }

    fn record<const N: usize>(&self, definition: &'static ServiceDefinition, own: [Value; N]) -> Record {
        let mut values = self.values();
        values.extend(own);
        debug_assert_eq!(values.len(), definition.fields.len(), "{}", definition.name);
        Record { definition, values }
    }
}

fn text(text: &str) -> Value {
    Text::lossy(text.as_bytes()).0.into()
}

fn some_text(text: Option<&str>) -> Value {
    text.map_or(Value::Absent, self::text)
}

fn some_number(number: Option<u64>) -> Value {
    number.map_or(Value::Absent, Value::UnsignedLong)
}

fn some_decimal(decimal: &Option<Decimal>) -> Value {
    decimal.clone().into()
}

fn some_boolean(yes: Option<bool>) -> Value {
    yes.map_or(Value::Absent, Value::Boolean)
}

/// Fields that a device may leave out.
const fn optional_text(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Text { max_chars: MAX_CHARS }, Optional, doc)
}

const fn optional_number(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::UnsignedLong, Optional, doc)
}

const fn optional_decimal(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Decimal, Optional, doc)
}

const fn optional_boolean(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Boolean, Optional, doc)
}

#[cfg(test)]
mod tests;
