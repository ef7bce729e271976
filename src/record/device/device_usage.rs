//! How many devices of one class or model a CUCM has.

use super::{DeviceHead, fields_of_device, optional_text, some_text};
use crate::record::definition::Presence::Required;
use crate::record::{Field, Kind, Record, ServiceDefinition, Value};

/// `DeviceUsage-Type`: an answer of getNumDevices, or a row of the query for models.
pub static DEVICE_USAGE: ServiceDefinition = ServiceDefinition {
    name: "DeviceUsage-Type",
    schema: "DeviceUsage.xsd",
    doc: "How many devices of one class (AXL getNumDevices) or of one model (a query to its database) a CUCM has. \
          Configured devices are counted, registered or not.",
    fields: fields_of_device![
        optional_text("ccmVersion", "Version of the CUCM, as AXL getCCMVersion tells it."),
        optional_text(
            "deviceClass",
            "Class of the devices, in the words of AXL: Phone, Gateway, Conference Bridge and others. Left out where \
             devices are counted by model.",
        ),
        optional_text(
            "deviceModel",
            "Model of the devices, as the CUCM names it. Left out where devices are counted by class.",
        ),
        Field::new("deviceCount", Kind::UnsignedLong, Required, "Number of these devices."),
    ],
};

/// The fields of [`DEVICE_USAGE`] behind the head.
#[derive(Debug, Clone)]
pub struct DeviceUsage<'a> {
    pub ccm_version: Option<&'a str>,
    pub device_class: Option<&'a str>,
    pub device_model: Option<&'a str>,
    pub device_count: u64,
}

impl DeviceUsage<'_> {
    pub fn to_record(&self, head: &DeviceHead) -> Record {
        head.record(
            &DEVICE_USAGE,
            [
                some_text(self.ccm_version),
                some_text(self.device_class),
                some_text(self.device_model),
                Value::UnsignedLong(self.device_count),
            ],
        )
    }
}
