//! A Cisco Meeting Server: its spaces, its licences now and since the last document, its state, by its REST interface.
//!
//! A question that the CMS does not know (an older release) costs only its own records, one that it refuses, too, and
//! the source is incomplete then; a CMS that cannot be talked to has failed. Secrets and passcodes of spaces are never read: `protocol::cms` has no place for them.

mod delivered;
mod history;
mod paging;
mod rest;
mod spaces;

use std::time::Duration;

use super::{
    Asked, Captured, RecordSink, Source, SourceError,
    outlet::{Outlet, Story, head},
    web::{Conversation, Patience},
};
use crate::{
    config::{self, Device, LicenseHistory},
    protocol::cms::{self, SystemStatus},
    record::{ConferenceLicenseUsage, ConferenceSystem, DeviceHead},
};
use delivered::{Delivered, MOST_HOSTS, Millis};
use history::Span;
use rest::{Rest, Trouble};

/// The source `cms`.
pub struct Cms {
    device: Device,
    settings: config::Cms,
    patience: Patience,
}

impl Cms {
    /// The error is a sentence that names the key at fault.
    pub fn new(device: &Device, config: &config::Config) -> Result<Self, String> {
        crate::tls::client(&device.tls)?;
        Ok(Cms {
            device: device.clone(),
            settings: config.cms.clone(),
            patience: Patience::new(&config.capture),
        })
    }
}

impl Source for Cms {
    fn name(&self) -> &str {
        &self.device.name
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.device.timeout.0)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let web = Conversation::open(&self.device)?;
        let mut story = Story::default();
        let delivered = Delivered::remembered(asked.baseline).unwrap_or_else(|| {
            story.remark(
                "what was remembered of the history of licence use cannot be read: it begins anew, and entries may come \
                 a second time",
            );
            Delivered::default()
        });
        let mut questions = Questions {
            rest: Rest::new(&web, &self.device.user, self.patience.clone()),
            settings: &self.settings,
            head: head(&self.device, asked.now),
            outlet: Outlet::new(records),
            story,
            delivered,
        };
        questions.ask_all()?;
        let Questions { story, delivered, .. } = questions;
        Ok(Captured {
            incomplete: story.incomplete().map(|text| web.scrub(&text)),
            remark: story.remarks().map(|text| web.scrub(&text)),
            baseline: delivered.to_baseline(),
        })
    }
}

/// All questions for one CMS.
struct Questions<'a> {
    rest: Rest<'a>,
    settings: &'a config::Cms,
    head: DeviceHead,
    outlet: Outlet<'a>,
    story: Story,
    delivered: Delivered,
}

impl Questions<'_> {
    fn ask_all(&mut self) -> Result<(), SourceError> {
        let status = self.status()?;
        if self.settings.license_usage {
            self.licenses()?;
        }
        self.history(&status)?;
        let Questions {
            rest,
            settings,
            head,
            outlet,
            story,
            ..
        } = self;
        spaces::read(rest, settings.page_size, settings.details, head, outlet, story)
    }

    /// Tells the host's id and the CMS's clock, which the other questions need.
    fn status(&mut self) -> Result<SystemStatus, SourceError> {
        let asked = self
            .rest
            .get("/system/status", |body, date| Ok((cms::read_status(body)?, date)));
        let (status, date) = match asked {
            Ok(told) => told,
            Err(Trouble::Source(error)) => return Err(error),
            Err(Trouble::NotThere(said)) => {
                return Err(self.rest.unavailable(format_args!(
                    "there is no CMS at /api/v1 ({said}); is this the port of the Web Admin?"
                )));
            }
            Err(Trouble::Refused(said)) => {
                return Err(self
                    .rest
                    .unavailable(format_args!("/api/v1/system/status is refused ({said})")));
            }
        };
        self.head.device_time = date.or(status.cdr_time);
        let record = ConferenceSystem {
            host_id: status.host_id.as_deref(),
            software_version: status.software_version.as_deref(),
            uptime_seconds: status.uptime_seconds,
            cdr_time: status.cdr_time,
            cdr_correlator_index: status.cdr_correlator_index,
            call_legs_active: status.call_legs_active,
            call_legs_max_active: status.call_legs_max_active,
            call_legs_completed: status.call_legs_completed,
            cluster_enabled: status.cluster_enabled,
        };
        self.outlet.take(&record.to_record(&self.head))?;
        Ok(status)
    }

    fn licenses(&mut self) -> Result<(), SourceError> {
        let asked = self.rest.get("/system/multipartyLicensing", |body, date| {
            Ok((cms::read_multiparty_licensing(body)?, date))
        });
        let (now, date) = match asked {
            Ok(told) => told,
            Err(Trouble::Source(error)) => return Err(error),
            Err(Trouble::NotThere(said)) => {
                self.story
                    .remark(format!("this CMS does not tell its licence use ({said})"));
                return Ok(());
            }
            Err(Trouble::Refused(said)) => {
                self.story.missing(format!("its licence use is refused ({said})"));
                return Ok(());
            }
        };
        let record = ConferenceLicenseUsage {
            timestamp: now.timestamp,
            personal_license_limit: now.personal_license_limit,
            shared_license_limit: now.shared_license_limit,
            capacity_unit_limit: now.capacity_unit_limit,
            users: now.users,
            personal_licenses: now.personal_licenses,
            participants_active: now.participants_active,
            calls_active: now.calls_active,
            weighted_calls_active: now.weighted_calls_active,
            calls_without_personal_license: now.calls_without_personal_license,
            weighted_calls_without_personal_license: now.weighted_calls_without_personal_license,
            capacity_unit_usage: now.capacity_unit_usage,
            capacity_unit_usage_without_personal_license: now.capacity_unit_usage_without_personal_license,
        };
        let head = self.head_at(date);
        self.outlet.take(&record.to_record(&head))
    }

    fn history(&mut self, status: &SystemStatus) -> Result<(), SourceError> {
        let Some(hosts) = self.hosts(status)? else {
            return Ok(());
        };
        let now = status
            .cdr_time
            .or(self.head.device_time)
            .unwrap_or(self.head.created)
            .timestamp_millis();
        let now = history::whole_seconds(now);
        let first = now.saturating_sub(span(self.settings.first_history));
        if let Some(before) = self.delivered.asked().filter(|before| *before > now) {
            self.story.remark(format!(
                "the CMS's clock was set back: it was {} when it was asked before, and is {}",
                history::shown(before),
                history::shown(now)
            ));
        }
        for host in &hosts {
            let span = Span {
                host: host.as_deref(),
                is_one_of_many: hosts.len() > 1,
                now,
                // A host that is new since the last document has its entries since then.
                first: self.delivered.asked().filter(|asked| *asked <= now).unwrap_or(first),
                page_size: self.settings.page_size,
            };
            match history::read(
                &mut self.delivered,
                &self.rest,
                &span,
                &self.head,
                &mut self.outlet,
                &mut self.story,
            ) {
                Ok(()) => {}
                // That of a host which is refused is told of there.
                Err(Trouble::NotThere(said) | Trouble::Refused(said)) => {
                    self.story.remark(format!(
                        "this CMS has no history of licence use ({said}); releases from 2.6 on have it"
                    ));
                    return Ok(());
                }
                Err(Trouble::Source(error)) => return Err(error),
            }
        }
        self.delivered.asked_at(now);
        Ok(())
    }

    /// Whose history is asked for: hostIds, or [`None`] for whatever a CMS has that does not say its own.
    fn hosts(&mut self, status: &SystemStatus) -> Result<Option<Vec<Option<String>>>, SourceError> {
        let own = vec![status.host_id.clone()];
        match self.settings.license_history {
            LicenseHistory::Off => Ok(None),
            LicenseHistory::Own if status.host_id.is_none() && status.cluster_enabled == Some(true) => {
                self.story.missing(
                    "it is one of a cluster and does not tell its hostId, so that its history of licence use cannot be \
                     told from that of the others",
                );
                Ok(None)
            }
            LicenseHistory::Own => Ok(Some(own)),
            LicenseHistory::All => Ok(Some(self.known_hosts()?.unwrap_or(own))),
        }
    }

    /// [`None`]: it does not tell of any.
    fn known_hosts(&mut self) -> Result<Option<Vec<Option<String>>>, SourceError> {
        let mut hosts = Vec::new();
        let limit = paging::size(self.settings.page_size);
        let listed = paging::read(&self.rest, "hosts of the history of licence use", |offset, seen| {
            let path = format!("/system/MPLicenseUsage/knownHosts?offset={offset}&limit={limit}");
            self.rest.get(&path, |body, _| {
                seen.begin_page();
                cms::read_known_hosts(body, &mut |id| {
                    if seen.insert(&id) && hosts.len() <= MOST_HOSTS {
                        hosts.push(Some(id));
                    }
                    Ok(())
                })
            })
        });
        match listed {
            Ok(None) => {}
            Ok(Some(why)) => self.story.missing(why),
            Err(Trouble::NotThere(_)) => return Ok(None),
            Err(Trouble::Refused(said)) => self.story.missing(format!("the list of hosts is refused ({said})")),
            Err(Trouble::Source(error)) => return Err(error),
        }
        if hosts.len() > MOST_HOSTS {
            hosts.truncate(MOST_HOSTS);
            self.story.missing(format!(
                "the history of licence use is asked for of the first {MOST_HOSTS} hosts only"
            ));
        }
        Ok((!hosts.is_empty()).then_some(hosts))
    }

    fn head_at(&self, date: super::web::Date) -> DeviceHead {
        DeviceHead {
            device_time: date.or(self.head.device_time),
            ..self.head.clone()
        }
    }
}

fn span(configured: config::Span) -> Millis {
    i64::try_from(configured.0.as_millis()).unwrap_or(Millis::MAX)
}

/// A text of a device as part of a URL: nothing in it may become another parameter or another path.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
