//! Replies about licences: the smart licence status, and the users with what each of them uses.

use std::io::{self, BufRead};

use super::ReplyError;
use super::reply::reply;
use crate::protocol::elements::{Elements, Failure, Slot};

/// Children of `Registration`, in the order of AXLSoap.xsd.
const REGISTRATION: [&str; 10] = [
    "Status",
    "SmartAccount",
    "VirtualAccount",
    "LastRenewalAttempt",
    "NextRenewalAttempt",
    "LastRenewalStatus",
    "RegistrationFailedReason",
    "RegistrationExpires",
    "ProductUDI",
    "ExportControlFunctionality",
];

/// Children of `Authorization`, in the order of AXLSoap.xsd.
const AUTHORIZATION: [&str; 7] = [
    "Status",
    "LastCommunicationAttempt",
    "NextCommunicationAttempt",
    "LastCommunicationStatus",
    "AuthorizationFailedReason",
    "AuthorizationExpires",
    "EvaluationPeriodRemaining",
];

/// What a device says of its smart licences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SmartLicenses {
    /// `SmartLicensing`, `Registration.Status`, … with their texts, in the order of AXLSoap.xsd. Those that are absent
    /// or empty are left out.
    pub details: Vec<(String, String)>,
    pub entitlements: Vec<Entitlement>,
}

/// One kind of licence and how many of it are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entitlement {
    /// Names the kind of licence, such as `regid.2016-07.com.cisco.UCM_Enhanced,12.0_…`.
    pub tag: Option<String>,
    pub count: Option<i64>,
    /// Such as `InCompliance`.
    pub status: Option<String>,
}

/// A user with the licence that he uses. The schema has texts only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LicensedUser {
    pub user_id: Option<String>,
    pub snr_enabled: Option<String>,
    /// Absent before version 12.5.
    pub em_enabled: Option<String>,
    pub device_count: Option<String>,
    pub license_type: Option<String>,
    pub license_used: Option<String>,
}

/// Reads the reply to [`super::Call::SmartLicenseStatus`].
///
/// # Errors
/// See [`ReplyError`].
pub fn read_smart_license_status(input: impl BufRead) -> Result<SmartLicenses, ReplyError> {
    let mut elements = Elements::new(input);
    elements.begin_item();
    let mut licenses = SmartLicenses::default();
    let mut parts = Parts::default();
    // It stands beside the element `return`, not within it.
    reply(
        &mut elements,
        "getSmartLicenseStatusResponse",
        "LicenseDetails",
        |elements| {
            while elements.child()? {
                match elements.name() {
                    "SmartLicensing" => parts.smart_licensing = elements.text("SmartLicensing")?,
                    "Registration" => texts(elements, &REGISTRATION, &mut parts.registration)?,
                    "Authorization" => texts(elements, &AUTHORIZATION, &mut parts.authorization)?,
                    "LicenseStatus" => entitlements(elements, &mut licenses.entitlements)?,
                    _ => elements.skip()?,
                }
            }
            Ok(())
        },
    )?;
    licenses.details = parts.named();
    Ok(licenses)
}

#[derive(Default)]
struct Parts {
    smart_licensing: Option<String>,
    registration: [Option<String>; 10],
    authorization: [Option<String>; 7],
}

impl Parts {
    fn named(self) -> Vec<(String, String)> {
        let first = [("SmartLicensing".to_owned(), self.smart_licensing)];
        let of = |part: &str, name: &&str| format!("{part}.{name}");
        let registration = REGISTRATION
            .iter()
            .map(|name| of("Registration", name))
            .zip(self.registration);
        let authorization = AUTHORIZATION
            .iter()
            .map(|name| of("Authorization", name))
            .zip(self.authorization);
        let all = first.into_iter().chain(registration).chain(authorization);
        all.filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

fn texts<R: BufRead>(
    elements: &mut Elements<R>,
    names: &[&'static str],
    texts: &mut [Option<String>],
) -> Result<(), Failure> {
    let slots = names.iter().zip(texts);
    let mut slots: Vec<(&'static str, &mut dyn Slot)> =
        slots.map(|(name, text)| (*name, text as &mut dyn Slot)).collect();
    elements.fields(&mut slots)
}

fn entitlements<R: BufRead>(elements: &mut Elements<R>, into: &mut Vec<Entitlement>) -> Result<(), Failure> {
    while elements.child()? {
        if elements.name() != "Entitlement" {
            elements.skip()?;
            continue;
        }
        let mut entitlement = Entitlement::default();
        elements.fields(&mut [
            ("Tag", &mut entitlement.tag),
            ("Count", &mut entitlement.count),
            ("Status", &mut entitlement.status),
        ])?;
        into.push(entitlement);
    }
    Ok(())
}

/// Reads the reply to [`super::Call::LicensedUsers`] and gives the users one by one. Returns their number.
///
/// # Errors
/// See [`ReplyError`]. What was given before is then not the whole answer.
pub fn read_licensed_users(
    input: impl BufRead,
    each: &mut dyn FnMut(LicensedUser) -> io::Result<()>,
) -> Result<u64, ReplyError> {
    let mut elements = Elements::new(input);
    let mut users = 0;
    reply(&mut elements, "listLicensedUserResponse", "return", |elements| {
        while elements.child()? {
            if elements.name() != "licensedUser" {
                elements.skip()?;
                continue;
            }
            elements.begin_item();
            let mut user = LicensedUser::default();
            elements.fields(&mut [
                ("userId", &mut user.user_id),
                ("snrEnabled", &mut user.snr_enabled),
                ("emEnabled", &mut user.em_enabled),
                ("deviceCount", &mut user.device_count),
                ("licenseType", &mut user.license_type),
                ("licenseUsed", &mut user.license_used),
            ])?;
            elements.end_item();
            each(user).map_err(Failure::Sink)?;
            users += 1;
        }
        Ok(())
    })?;
    Ok(users)
}
