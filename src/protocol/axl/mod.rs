//! Cisco Unified Communications Manager: AXL, which is SOAP 1.1 over HTTPS.
//!
//! Sources: Cisco's AXL Developer Guide and AXLSoap.xsd, releases 11.0 to 15.0. A [`Call`] becomes the octets of a
//! request, one `read_…` function for each call reads its reply. A device answers in four ways:
//!
//! * HTTP 200 and the reply.
//! * HTTP 500 and a fault: [`read_fault`]. A fault that comes with another status is found as well: each `read_…`
//!   returns [`ReplyError::Fault`].
//! * HTTP 599 when it does not speak the version asked for: [`supported_versions`].
//! * Anything else, with a body that says nothing of use.

mod call;
mod fault;
mod licenses;
mod reply;
mod version;

#[cfg(test)]
mod tests;

pub use call::{Call, Page, paged};
pub use fault::{Fault, Meaning, read_fault};
pub use licenses::{Entitlement, LicensedUser, SmartLicenses, read_licensed_users, read_smart_license_status};
pub use reply::{ReplyError, Row, read_ccm_version, read_num_devices, read_rows};
pub use version::{NotAVersion, Version, supported_versions};
