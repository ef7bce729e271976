//! `/system/MPLicenseUsage` and its `knownHosts`: licences that were in use, a snapshot every few minutes.

use std::io::{self, BufRead};

use chrono::{DateTime, Utc};

use super::answer::{self, AnswerError, Page};
use crate::protocol::elements::{Elements, Failure};
use crate::record::Decimal;

/// One snapshot. The server leaves out what is zero; that is not decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseUsage {
    pub time: DateTime<Utc>,
    /// Personal multiparty licences.
    pub pmp: Option<Decimal>,
    /// Since release 3.0.
    pub pmp_assigned: Option<Decimal>,
    /// Shared multiparty licences: calls with audio only.
    pub smp_aud: Option<Decimal>,
    /// Shared multiparty licences: point to point.
    pub smp_ptp: Option<Decimal>,
    /// Shared multiparty licences: all other calls.
    pub smp_full: Option<Decimal>,
    /// Recordings.
    pub rec: Option<Decimal>,
    /// Streams.
    pub str: Option<Decimal>,
}

/// Reads a page of `/system/MPLicenseUsage` and gives its entries one by one, the newest first as the server has them.
///
/// # Errors
/// See [`AnswerError`]. What was given before is then not the whole page.
pub fn read_license_usage(
    input: impl BufRead,
    each: &mut dyn FnMut(LicenseUsage) -> io::Result<()>,
) -> Result<Page, AnswerError> {
    answer::collection(input, "MPLicenseUsage", "entry", entry, each)
}

fn entry<R: BufRead>(elements: &mut Elements<R>) -> Result<LicenseUsage, Failure> {
    let mut usage = LicenseUsage {
        time: elements.required("time")?,
        pmp: None,
        pmp_assigned: None,
        smp_aud: None,
        smp_ptp: None,
        smp_full: None,
        rec: None,
        str: None,
    };
    elements.fields(&mut [
        ("pmp", &mut usage.pmp),
        ("pmpAssigned", &mut usage.pmp_assigned),
        ("smpAud", &mut usage.smp_aud),
        ("smpPtP", &mut usage.smp_ptp),
        ("smpFull", &mut usage.smp_full),
        ("rec", &mut usage.rec),
        ("str", &mut usage.str),
    ])?;
    Ok(usage)
}

/// Reads a page of `/system/MPLicenseUsage/knownHosts` and gives the `hostId` of each Call Bridge that has entries.
///
/// # Errors
/// See [`AnswerError`]. What was given before is then not the whole page.
pub fn read_known_hosts(
    input: impl BufRead,
    each: &mut dyn FnMut(String) -> io::Result<()>,
) -> Result<Page, AnswerError> {
    answer::collection(input, "knownHosts", "host", host, each)
}

fn host<R: BufRead>(elements: &mut Elements<R>) -> Result<String, Failure> {
    let id = answer::id(elements)?;
    elements.skip()?;
    Ok(id)
}
