//! Cisco Meeting Server: the answers of its REST interface, `/api/v1/`.
//!
//! Source: Cisco's CMS API blueprint, releases 2.8 to 3.0. One `read_…` function for each resource. Any element but the
//! `id` of a space may be absent; what is empty counts as absent. An answer with status 4xx or 5xx may say why:
//! [`read_failure`].
//!
//! A space has a secret and perhaps a passcode. There is no field for them, so they end here.

mod answer;
mod history;
mod space;
mod system;

#[cfg(test)]
mod tests;

pub use answer::{AnswerError, Page, is_temporary, read_failure};
pub use history::{LicenseUsage, read_known_hosts, read_license_usage};
pub use space::{CoSpace, read_co_space, read_co_spaces};
pub use system::{MultipartyLicensing, SystemStatus, read_multiparty_licensing, read_status};
