//! What a CUCM is asked, in which order, and what becomes of each answer.

use std::io;

use super::{
    paging::{self, Rows},
    session::{Session, Trouble, sentence},
};
use crate::{
    capture::{
        SourceError,
        outlet::{Outlet, Story},
        web::Date,
    },
    config,
    protocol::axl::{self, Call, Entitlement, LicensedUser as User, Meaning, Row, Version},
    record::{DeviceHead, DeviceUsage, LicenseSource, LicenseUsage, LicensedUser, Record},
};

/// Rows that LicenseTotals had where it was seen (release 11.5). What is missing of them is remarked.
const LICENSE_TOTALS: &[&str] = &[
    "CUWL Standard",
    "EnhancedPlus",
    "Enhanced",
    "Basic",
    "Essential",
    "TelePresence Room",
    "TotalUsers",
    "TotalDevices",
];

/// The first version that has getSmartLicenseStatus (AXL schema).
const SMART: &str = "12.5";

/// All questions for one CUCM.
pub struct Questions<'a> {
    session: Session<'a>,
    settings: &'a config::Cucm,
    head: DeviceHead,
    outlet: Outlet<'a>,
    ccm_version: String,
    story: Story,
}

impl<'a> Questions<'a> {
    pub fn new(session: Session<'a>, settings: &'a config::Cucm, head: DeviceHead, outlet: Outlet<'a>) -> Self {
        Questions {
            session,
            settings,
            head,
            outlet,
            ccm_version: String::new(),
            story: Story::default(),
        }
    }

    /// Asks them all. A question that the server refuses is in the story; an error ends the conversation.
    pub fn ask_all(mut self) -> Result<(Version, Story), SourceError> {
        self.version()?;
        self.licenses()?;
        for class in &self.settings.device_classes {
            self.class(class)?;
        }
        if self.settings.device_models {
            self.models()?;
        }
        if self.settings.licensed_users {
            self.users()?;
        }
        Ok((self.session.version(), self.story))
    }

    /// Needed for all that follows: a server that refuses this refuses everything.
    fn version(&mut self) -> Result<(), SourceError> {
        let call = Call::CcmVersion;
        let asked = self.session.call(&call, |body, date| {
            self.head.device_time = date;
            axl::read_ccm_version(body)
        });
        match asked {
            Ok(version) => {
                self.ccm_version = version;
                Ok(())
            }
            Err(Trouble::Source(error)) => Err(error),
            Err(Trouble::Fault(fault)) => Err(match fault.meaning {
                Meaning::UserRank => self.session.denied(&sentence(call.operation(), &fault)),
                _ => self.session.unavailable(&sentence(call.operation(), &fault)),
            }),
        }
    }

    fn licenses(&mut self) -> Result<(), SourceError> {
        let query = &self.settings.license_query;
        let refused = match query.is_empty() {
            true => None,
            false => match self.license_totals(query)? {
                None => return Ok(()),
                Some(why) => Some(why),
            },
        };
        let smart: Version = SMART.parse().expect("a version that is known");
        if self.session.version() < smart {
            let older = format!("AXL {} has no getSmartLicenseStatus", self.session.version());
            self.story.missing(match refused {
                Some(why) => format!("licences: {why}; {older}"),
                None => format!("licences: {older}, and license-query is empty"),
            });
            return Ok(());
        }
        match (self.smart_license_status()?, refused) {
            (None, None) => {}
            (None, Some(why)) => self
                .story
                .remark(format!("licences are those of getSmartLicenseStatus: {why}")),
            (Some(smart), None) => self.story.missing(format!("licences: {smart}")),
            (Some(smart), Some(why)) => self.story.missing(format!("licences: {why}; {smart}")),
        }
        Ok(())
    }

    /// Why there are none, if so.
    fn license_totals(&mut self, query: &str) -> Result<Option<String>, SourceError> {
        let mut seen = Vec::new();
        let mut nameless = 0_u64;
        let ccm_version = Some(self.ccm_version.clone());
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::query(&mut self.session, query, |row, date| {
            let Some(name) = column(&row, "name") else {
                nameless += 1;
                return Ok(());
            };
            let value = column(&row, "value");
            seen.push(name.to_owned());
            records.push(date, |head| {
                LicenseUsage {
                    ccm_version: ccm_version.as_deref(),
                    license_name: name,
                    license_count: value.and_then(|value| value.trim().parse().ok()),
                    license_value: value,
                    user_value: column(&row, "uservalue"),
                    device_value: column(&row, "devicevalue"),
                    license_tag: None,
                    license_status: None,
                    license_source: LicenseSource::LicenseTotals,
                }
                .to_record(head)
            })
        });
        let why = match self.settle("licence query", asked)? {
            Ok(Rows { count: 0, .. }) => Some("the licence query gave no rows".to_owned()),
            Ok(_) => None,
            Err(why) => Some(why),
        };
        if why.is_none() {
            self.judge_totals(query, &seen, nameless);
        }
        Ok(why)
    }

    fn judge_totals(&mut self, query: &str, seen: &[String], nameless: u64) {
        if nameless > 0 {
            self.story.missing(format!(
                "{nameless} rows of the licence query have no column \"name\"; license-query must give name and value"
            ));
        }
        let missing: Vec<&str> = LICENSE_TOTALS
            .iter()
            .copied()
            .filter(|name| !seen.iter().any(|seen| seen == name))
            .collect();
        if query == config::Cucm::default().license_query && !missing.is_empty() {
            self.story
                .remark(format!("LicenseTotals has no row {}", missing.join(", ")));
        }
    }

    /// Why there are none, if so.
    fn smart_license_status(&mut self) -> Result<Option<String>, SourceError> {
        let call = Call::SmartLicenseStatus;
        let asked = self
            .session
            .call(&call, |body, date| Ok((axl::read_smart_license_status(body)?, date)));
        let (value, date) = match asked {
            Ok(told) => told,
            Err(Trouble::Fault(fault)) => return Ok(Some(sentence(call.operation(), &fault))),
            Err(Trouble::Source(error)) => return Err(error),
        };
        let ccm_version = Some(self.ccm_version.clone());
        let mut records = Records::of(&self.head, &mut self.outlet);
        let details = value
            .details
            .iter()
            .map(|(name, text)| (name.as_str(), None, Some(text.as_str()), None, None));
        let entitlements = value.entitlements.iter().map(|Entitlement { tag, count, status }| {
            let name = tag.as_deref().unwrap_or("Entitlement");
            (name, *count, None, tag.as_deref(), status.as_deref())
        });
        for (name, count, text, tag, status) in details.chain(entitlements) {
            let count_text = count.map(|count| count.to_string());
            let pushed = records.take(date, |head| {
                LicenseUsage {
                    ccm_version: ccm_version.as_deref(),
                    license_name: name,
                    license_count: count.and_then(|count| u64::try_from(count).ok()),
                    license_value: text.or(count_text.as_deref()),
                    user_value: None,
                    device_value: None,
                    license_tag: tag,
                    license_status: status,
                    license_source: LicenseSource::SmartLicenseStatus,
                }
                .to_record(head)
            });
            pushed?;
        }
        let none = value.entitlements.is_empty();
        Ok(none.then(|| "getSmartLicenseStatus names no entitlement".to_owned()))
    }

    fn class(&mut self, class: &str) -> Result<(), SourceError> {
        let call = Call::NumDevices { class };
        let asked = self
            .session
            .call(&call, |body, date| Ok((axl::read_num_devices(body)?, date)));
        let (device_count, date) = match asked {
            Ok(told) => told,
            Err(Trouble::Source(error)) => return Err(error),
            Err(Trouble::Fault(fault)) => {
                let why = sentence(call.operation(), &fault);
                self.story.missing(format!("devices of class {class}: {why}"));
                return Ok(());
            }
        };
        let ccm_version = Some(self.ccm_version.as_str());
        Records::of(&self.head, &mut self.outlet).take(date, |head| {
            DeviceUsage {
                ccm_version,
                device_class: Some(class),
                device_model: None,
                device_count,
            }
            .to_record(head)
        })
    }

    fn models(&mut self) -> Result<(), SourceError> {
        let mut strange = 0_u64;
        let ccm_version = Some(self.ccm_version.clone());
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::query(&mut self.session, &self.settings.model_query, |row, date| {
            let count = column(&row, "n").and_then(|n| n.trim().parse().ok());
            let (Some(model), Some(count)) = (column(&row, "model"), count) else {
                strange += 1;
                return Ok(());
            };
            records.push(date, |head| {
                DeviceUsage {
                    ccm_version: ccm_version.as_deref(),
                    device_class: None,
                    device_model: Some(model),
                    device_count: count,
                }
                .to_record(head)
            })
        });
        if let Err(why) = self.settle("model query", asked)? {
            self.story.missing(format!("devices by model: {why}"));
        }
        if strange > 0 {
            self.story.missing(format!(
                "{strange} rows of the model query have no column \"model\" or no number in \"n\""
            ));
        }
        Ok(())
    }

    fn users(&mut self) -> Result<(), SourceError> {
        let mut nameless = 0_u64;
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::users(&mut self.session, |user: User, date| {
            let Some(user_id) = user.user_id.as_deref() else {
                nameless += 1;
                return Ok(());
            };
            records.push(date, |head| {
                LicensedUser {
                    user_id,
                    device_count: user.device_count.as_deref(),
                    license_type: user.license_type.as_deref(),
                    license_used: user.license_used.as_deref(),
                    snr_enabled: user.snr_enabled.as_deref(),
                    em_enabled: user.em_enabled.as_deref(),
                }
                .to_record(head)
            })
        });
        if let Err(why) = self.settle("listLicensedUser", asked)? {
            self.story.missing(format!("licensed users: {why}"));
        }
        if nameless > 0 {
            self.story.missing(format!("{nameless} licensed users have no userId"));
        }
        Ok(())
    }

    /// What a paged question came to: rows, or why not; an error ends the conversation.
    fn settle(&mut self, what: &str, asked: Result<Rows, Trouble>) -> Result<Result<Rows, String>, SourceError> {
        if let Some(refused) = self.outlet.refused() {
            return Err(refused);
        }
        match asked {
            Ok(rows) => {
                if let Some(expected) = rows.expected.filter(|expected| *expected != rows.count) {
                    self.story.missing(format!(
                        "{what}: {} rows came, where the server had counted {expected}; the table changed meanwhile",
                        rows.count
                    ));
                }
                Ok(Ok(rows))
            }
            Err(Trouble::Fault(fault)) => Ok(Err(sentence(what, &fault))),
            Err(Trouble::Source(error)) => Err(error),
        }
    }
}

/// Records with the device's time of the answer they come from.
struct Records<'o, 'a> {
    head: DeviceHead,
    outlet: &'o mut Outlet<'a>,
}

impl<'o, 'a> Records<'o, 'a> {
    fn of(head: &DeviceHead, outlet: &'o mut Outlet<'a>) -> Self {
        Records {
            head: head.clone(),
            outlet,
        }
    }

    fn push(&mut self, date: Date, record: impl FnOnce(&DeviceHead) -> Record) -> io::Result<()> {
        self.head.device_time = date.or(self.head.device_time);
        self.outlet.push(&record(&self.head))
    }

    fn take(&mut self, date: Date, record: impl FnOnce(&DeviceHead) -> Record) -> Result<(), SourceError> {
        self.head.device_time = date.or(self.head.device_time);
        self.outlet.take(&record(&self.head))
    }
}

/// The value of a column; Informix gives names in lower case.
fn column<'r>(row: &'r Row, name: &str) -> Option<&'r str> {
    let (_, value) = row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name))?;
    value.as_deref()
}
