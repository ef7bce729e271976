//! What a CUCM is asked, in which order, and what becomes of each answer.

use super::{
    paging::{self, Rows},
    session::{Session, Trouble},
};
use crate::{
    capture::{
        SourceError,
        outlet::{Outlet, Story},
        records::{Records, Tally},
    },
    config,
    protocol::axl::{self, Call, Entitlement, LicensedUser as User, Meaning, Row, Version},
    record::{DeviceHead, DeviceUsage, LicenseSource, LicenseUsage, LicensedUser},
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

/// What came of all questions, besides the records.
pub struct Told {
    /// Of AXL.
    pub version: Version,
    /// Of the CUCM.
    pub release: String,
    pub story: Story,
}

/// All questions for one CUCM.
pub struct Questions<'a> {
    session: Session<'a>,
    settings: &'a config::Cucm,
    head: DeviceHead,
    outlet: Outlet<'a>,
    ccm_version: String,
    /// The release at the last capture, where that has chosen the version of AXL.
    last_release: Option<String>,
    story: Story,
    /// What is asked for just now, as it is called where there is no answer.
    asking: &'static str,
    /// Records so far.
    given: u64,
}

impl<'a> Questions<'a> {
    pub fn new(
        session: Session<'a>,
        settings: &'a config::Cucm,
        head: DeviceHead,
        last_release: Option<String>,
        outlet: Outlet<'a>,
    ) -> Self {
        Questions {
            session,
            settings,
            head,
            outlet,
            ccm_version: String::new(),
            last_release,
            story: Story::default(),
            asking: "",
            given: 0,
        }
    }

    /// Asks them all. A question without an answer is in the story; an error says that there is nothing to keep.
    pub fn ask_all(mut self) -> Result<Told, SourceError> {
        self.release()?;
        match self.usage() {
            Ok(()) => {}
            Err(SourceError::Unavailable(why)) if self.given > 0 => {
                let asking = self.asking;
                self.story
                    .missing(format!("{asking}: {why}; nothing was asked after that"));
            }
            Err(error) => return Err(error),
        }
        match self.story.incomplete() {
            Some(why) if self.given == 0 => Err(self.session.unavailable(&why)),
            _ => Ok(Told {
                version: self.session.version(),
                release: self.ccm_version,
                story: self.story,
            }),
        }
    }

    fn usage(&mut self) -> Result<(), SourceError> {
        self.asking = "licences";
        self.licenses()?;
        self.asking = "devices by class";
        self.classes()?;
        if self.settings.device_models {
            self.asking = "devices by model";
            self.models()?;
        }
        if self.settings.licensed_users {
            self.asking = "licensed users";
            self.users()?;
        }
        Ok(())
    }

    /// Needed for all that follows: a server that refuses this refuses everything. After an upgrade the version of AXL is
    /// agreed on anew, because an old one has not all operations.
    fn release(&mut self) -> Result<(), SourceError> {
        self.ccm_version = self.ccm_version()?;
        let is_another = self.last_release.as_ref().is_some_and(|last| *last != self.ccm_version);
        if is_another && self.session.try_newest() {
            self.ccm_version = self.ccm_version()?;
        }
        Ok(())
    }

    fn ccm_version(&mut self) -> Result<String, SourceError> {
        let call = Call::CcmVersion;
        let asked = self.session.call(&call, |body, date| {
            self.head.device_time = date;
            axl::read_ccm_version(body)
        });
        asked.map_err(|trouble| match trouble {
            Trouble::Source(error) => error,
            Trouble::Answer(why) => self.session.bad_data(&why),
            Trouble::Fault(fault) => {
                let sentence = self.session.sentence(call.operation(), &fault);
                match fault.meaning {
                    Meaning::UserRank => self.session.denied(&sentence),
                    _ => self.session.unavailable(&sentence),
                }
            }
        })
    }

    /// From LicenseTotals; where that gives nothing, from getSmartLicenseStatus.
    fn licenses(&mut self) -> Result<(), SourceError> {
        let Totals::None(why) = self.license_totals()? else {
            return Ok(());
        };
        let (version, since) = (self.session.version(), Call::SmartLicenseStatus.since());
        let smart = match version < since {
            true => Some(format!("AXL {version} has no getSmartLicenseStatus")),
            false => self.smart_license_status()?,
        };
        match smart {
            None => self
                .story
                .remark(format!("licences are those of getSmartLicenseStatus: {why}")),
            Some(smart) => self.story.missing(format!("licences: {why}; {smart}")),
        }
        Ok(())
    }

    fn license_totals(&mut self) -> Result<Totals, SourceError> {
        const WHAT: &str = "licence query";
        let query = &self.settings.license_query;
        let mut absent = LICENSE_TOTALS.to_vec();
        let ccm_version = Some(self.ccm_version.clone());
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::query(&mut self.session, query, &mut |row, date| {
            records.push(date, |head| {
                let name = column(&row, "name")?;
                let value = column(&row, "value");
                absent.retain(|known| *known != name);
                let usage = LicenseUsage {
                    ccm_version: ccm_version.as_deref(),
                    license_name: name,
                    license_count: value.and_then(|value| value.trim().parse().ok()),
                    license_value: value,
                    user_value: column(&row, "uservalue"),
                    device_value: column(&row, "devicevalue"),
                    license_tag: None,
                    license_status: None,
                    license_source: LicenseSource::LicenseTotals,
                };
                Some(usage.to_record(head))
            })
        });
        let tally = records.end();
        let is_passing = matches!(&asked, Err(Trouble::Fault(fault)) if fault.meaning == Meaning::Memory);
        let given = tally.given;
        let settled = self.settle(WHAT, "nothing in a column \"name\"", asked, tally)?;
        match settled {
            Ok(Rows { count: 0, .. }) => Ok(Totals::None("the licence query gave no rows".to_owned())),
            Ok(_) => {
                if *query == config::Cucm::default().license_query && !absent.is_empty() {
                    self.story
                        .remark(format!("LicenseTotals has no row {}", absent.join(", ")));
                }
                Ok(Totals::Asked)
            }
            // Another answer must not stand beside half of this one, nor in place of one that comes again.
            Err(why) if given > 0 || is_passing => {
                self.story.missing(format!("licences: {why}"));
                Ok(Totals::Asked)
            }
            Err(why) => Ok(Totals::None(why)),
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
            Err(trouble) => return self.refusal(call.operation(), trouble).map(Some),
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
            records.take(date, |head| {
                let usage = LicenseUsage {
                    ccm_version: ccm_version.as_deref(),
                    license_name: name,
                    license_count: count.and_then(|count| u64::try_from(count).ok()),
                    license_value: text.or(count_text.as_deref()),
                    user_value: None,
                    device_value: None,
                    license_tag: tag,
                    license_status: status,
                    license_source: LicenseSource::SmartLicenseStatus,
                };
                Some(usage.to_record(head))
            })?;
        }
        let tally = records.end();
        self.count(call.operation(), "", tally);
        let none = value.entitlements.is_empty();
        Ok(none.then(|| "getSmartLicenseStatus names no entitlement".to_owned()))
    }

    fn classes(&mut self) -> Result<(), SourceError> {
        // All classes that are missing for one reason are told at once: there may be many.
        let mut missing: Vec<(String, Vec<&str>)> = Vec::new();
        let mut ended = Ok(());
        for class in &self.settings.device_classes {
            match self.class(class) {
                Ok(None) => {}
                Ok(Some(why)) => match missing.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, classes)) => classes.push(class),
                    None => missing.push((why, vec![class])),
                },
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        for (why, classes) in missing {
            self.story
                .missing(format!("devices of class {}: {why}", classes.join(", ")));
        }
        ended
    }

    /// Why they are not counted, if so.
    fn class(&mut self, class: &str) -> Result<Option<String>, SourceError> {
        let call = Call::NumDevices { class };
        let asked = self
            .session
            .call(&call, |body, date| Ok((axl::read_num_devices(body)?, date)));
        let (device_count, date) = match asked {
            Ok(told) => told,
            Err(trouble) => return self.refusal(call.operation(), trouble).map(Some),
        };
        let ccm_version = Some(self.ccm_version.as_str());
        let mut records = Records::of(&self.head, &mut self.outlet);
        records.take(date, |head| {
            let usage = DeviceUsage {
                ccm_version,
                device_class: Some(class),
                device_model: None,
                device_count,
            };
            Some(usage.to_record(head))
        })?;
        let tally = records.end();
        self.count(call.operation(), "", tally);
        Ok(None)
    }

    fn models(&mut self) -> Result<(), SourceError> {
        let ccm_version = Some(self.ccm_version.clone());
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::query(&mut self.session, &self.settings.model_query, &mut |row, date| {
            records.push(date, |head| {
                let usage = DeviceUsage {
                    ccm_version: ccm_version.as_deref(),
                    device_class: None,
                    device_model: Some(column(&row, "model")?),
                    device_count: column(&row, "n")?.trim().parse().ok()?,
                };
                Some(usage.to_record(head))
            })
        });
        let tally = records.end();
        let unusable = "nothing in a column \"model\", or no number in a column \"n\"";
        if let Err(why) = self.settle("model query", unusable, asked, tally)? {
            self.story.missing(format!("devices by model: {why}"));
        }
        Ok(())
    }

    fn users(&mut self) -> Result<(), SourceError> {
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = paging::users(&mut self.session, &mut |user: User, date| {
            records.push(date, |head| {
                let licensed = LicensedUser {
                    user_id: user.user_id.as_deref()?,
                    device_count: user.device_count.as_deref(),
                    license_type: user.license_type.as_deref(),
                    license_used: user.license_used.as_deref(),
                    snr_enabled: user.snr_enabled.as_deref(),
                    em_enabled: user.em_enabled.as_deref(),
                };
                Some(licensed.to_record(head))
            })
        });
        let tally = records.end();
        if let Err(why) = self.settle("listLicensedUser", "no userId", asked, tally)? {
            self.story.missing(format!("licensed users: {why}"));
        }
        Ok(())
    }

    /// What a question for rows came to: rows, or why not; an error ends the conversation. `unusable` says what rows
    /// have that become no record.
    fn settle(
        &mut self,
        what: &str,
        unusable: &str,
        asked: Result<Rows, Trouble>,
        tally: Tally,
    ) -> Result<Result<Rows, String>, SourceError> {
        if let Some(refused) = self.outlet.refused() {
            return Err(refused);
        }
        self.count(what, unusable, tally);
        match asked {
            Ok(rows) => {
                if let Some(why) = &rows.missing {
                    self.story.missing(format!("{what}: {why}"));
                }
                Ok(Ok(rows))
            }
            Err(trouble) => self.refusal(what, trouble).map(Err),
        }
    }

    fn count(&mut self, what: &str, unusable: &str, tally: Tally) {
        self.given += tally.given;
        if tally.unusable > 0 {
            let rows = tally.unusable;
            self.story
                .missing(format!("{what}: {rows} rows are left out, which have {unusable}"));
        }
        if let Some(first) = tally.first_misfit {
            let rows = tally.misfits;
            self.story.missing(format!(
                "{what}: {rows} rows are left out, of which the first is {first}"
            ));
        }
    }

    /// Why a question has no answer; an error ends the conversation.
    fn refusal(&self, what: &str, trouble: Trouble) -> Result<String, SourceError> {
        match trouble {
            Trouble::Fault(fault) => Ok(self.session.sentence(what, &fault)),
            Trouble::Answer(why) => Ok(format!("{what}: {why}")),
            Trouble::Source(error) => Err(error),
        }
    }
}

/// What came of the licence query.
enum Totals {
    /// Its records, or the story of why they are missing.
    Asked,
    /// Nothing, for this reason; there may be another way to know.
    None(String),
}

/// The value of a column; Informix gives names in lower case.
fn column<'r>(row: &'r Row, name: &str) -> Option<&'r str> {
    let (_, value) = row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name))?;
    value.as_deref()
}
