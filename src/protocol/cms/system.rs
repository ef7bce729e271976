//! `/system/status` and `/system/multipartyLicensing`: the state of one Call Bridge now.

use std::io::BufRead;

use chrono::{DateTime, Utc};

use super::answer::{self, AnswerError};
use crate::record::Decimal;

/// The state of a Call Bridge. The numbers of calls count since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemStatus {
    pub host_id: Option<String>,
    pub software_version: Option<String>,
    pub uptime_seconds: Option<u64>,
    /// The server's clock.
    pub cdr_time: Option<DateTime<Utc>>,
    pub cluster_enabled: Option<bool>,
    /// Of the next call detail record; 0 when none was sent yet.
    pub cdr_correlator_index: Option<u64>,
    pub call_legs_active: Option<u64>,
    pub call_legs_max_active: Option<u64>,
    pub call_legs_completed: Option<u64>,
}

/// Licences in use on a Call Bridge. A call that spans several of them is weighted: the sum over all is 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultipartyLicensing {
    /// Samples suggest that this may be local time although it ends in Z.
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

/// Reads `/system/status`.
///
/// # Errors
/// See [`AnswerError`].
pub fn read_status(input: impl BufRead) -> Result<SystemStatus, AnswerError> {
    answer::single(input, "status", |elements| {
        let mut status = SystemStatus::default();
        elements.fields(&mut [
            ("hostId", &mut status.host_id),
            ("softwareVersion", &mut status.software_version),
            ("uptimeSeconds", &mut status.uptime_seconds),
            ("cdrTime", &mut status.cdr_time),
            ("clusterEnabled", &mut status.cluster_enabled),
            ("cdrCorrelatorIndex", &mut status.cdr_correlator_index),
            ("callLegsActive", &mut status.call_legs_active),
            ("callLegsMaxActive", &mut status.call_legs_max_active),
            ("callLegsCompleted", &mut status.call_legs_completed),
        ])?;
        Ok(status)
    })
}

/// Reads `/system/multipartyLicensing`.
///
/// # Errors
/// See [`AnswerError`].
pub fn read_multiparty_licensing(input: impl BufRead) -> Result<MultipartyLicensing, AnswerError> {
    answer::single(input, "multipartyLicensing", |elements| {
        let mut now = MultipartyLicensing::default();
        elements.fields(&mut [
            ("timestamp", &mut now.timestamp),
            ("personalLicenseLimit", &mut now.personal_license_limit),
            ("sharedLicenseLimit", &mut now.shared_license_limit),
            ("capacityUnitLimit", &mut now.capacity_unit_limit),
            ("users", &mut now.users),
            ("personalLicenses", &mut now.personal_licenses),
            ("participantsActive", &mut now.participants_active),
            ("callsActive", &mut now.calls_active),
            ("weightedCallsActive", &mut now.weighted_calls_active),
            ("callsWithoutPersonalLicense", &mut now.calls_without_personal_license),
            (
                "weightedCallsWithoutPersonalLicense",
                &mut now.weighted_calls_without_personal_license,
            ),
            ("capacityUnitUsage", &mut now.capacity_unit_usage),
            (
                "capacityUnitUsageWithoutPersonalLicense",
                &mut now.capacity_unit_usage_without_personal_license,
            ),
        ])?;
        Ok(now)
    })
}
