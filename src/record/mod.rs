//! The record model: service definitions and typed values. No input, no output, no clock.
//!
//! A new kind of usage begins here, with a [`ServiceDefinition`] in a file of its own and a line in [`DEFINITIONS`];
//! the document writer and reader, the XSD, JSON, CSV and tables follow from it.

mod call;
mod decimal;
mod definition;
mod device;
mod docsis;
mod information;
mod interface;
mod samis;
mod value;

pub use call::{CALL_DETAIL, CallDetail};
pub use decimal::Decimal;
pub use definition::{Field, Kind, Presence, ServiceDefinition, find};
pub use device::{
    CONFERENCE_LICENSE_HISTORY, CONFERENCE_LICENSE_USAGE, CONFERENCE_SPACE, CONFERENCE_SYSTEM,
    ConferenceLicenseHistory, ConferenceLicenseUsage, ConferenceSpace, ConferenceSystem, DEVICE_DEFINITIONS,
    DEVICE_USAGE, DeviceHead, DeviceUsage, LICENSE_USAGE, LICENSED_USER, LicenseSource, LicenseUsage, LicensedUser,
    Location, Target,
};
pub use docsis::DOCSIS;
pub use information::{ClosureReason, DOCUMENT_INFORMATION, DocumentInformation, SourceState, SourceStatus};
pub use interface::{ADMIN_STATUS, Discontinuity, INTERFACE_USAGE, OPER_STATUS};
pub use samis::{SAMIS_TYPE_1, SAMIS_TYPE_2};
pub use value::{ForbiddenCharacter, Record, Text, Value};

pub(crate) use value::forbidden_character;

/// Every service definition that billdrop writes or reads.
pub static DEFINITIONS: &[&ServiceDefinition] = &[
    &DOCUMENT_INFORMATION,
    &INTERFACE_USAGE,
    &DOCSIS,
    &SAMIS_TYPE_1,
    &SAMIS_TYPE_2,
    &LICENSE_USAGE,
    &DEVICE_USAGE,
    &LICENSED_USER,
    &CONFERENCE_SPACE,
    &CONFERENCE_LICENSE_USAGE,
    &CONFERENCE_LICENSE_HISTORY,
    &CONFERENCE_SYSTEM,
    &CALL_DETAIL,
];

/// The definition with this `xsi:type`, white space around it not counted (a CMTS was seen to write some).
pub fn definition(name: &str) -> Option<&'static ServiceDefinition> {
    DEFINITIONS.iter().copied().find(|d| d.name == name.trim())
}
