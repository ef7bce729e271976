//! A Cisco Meeting Server: its spaces, its licences now and since the last document, its state, by its REST interface.
//!
//! What a failure means is the same as for a CUCM. A question that the CMS does not know (an older release), refuses, or
//! answers wrongly costs only its own records. A CMS that can no longer be talked to is incomplete, as far as it has
//! answered: what came is right. It has failed when it gave no record at all, when it refuses the account, and when an
//! answer goes beyond all limits. Secrets and passcodes of spaces are never read: `protocol::cms` has no place for them.

mod delivered;
mod history;
mod paging;
mod rest;
mod spaces;

use std::time::Duration;

use super::{
    Asked, Captured, RecordSink, Source, SourceError,
    outlet::{Outlet, Story, head},
    records::{Records, Tally},
    web::{Conversation, Date, Patience},
};
use crate::{
    config::{self, Device, LicenseHistory},
    protocol::cms::{self, SystemStatus},
    record::{ConferenceLicenseUsage, ConferenceSystem, DeviceHead, Record},
};
use delivered::{Delivered, MOST_HOSTS, Millis};
use history::Span;
use rest::{Rest, Trouble};

/// The source `cms`.
pub struct Cms {
    device: Device,
    settings: config::Cms,
    patience: Patience,
    /// Whether other CMSs are configured, which may be of the same cluster.
    has_siblings: bool,
}

impl Cms {
    /// The error is a sentence that names the key at fault.
    pub fn new(device: &Device, config: &config::Config) -> Result<Self, String> {
        crate::tls::client(&device.tls)?;
        Ok(Cms {
            device: device.clone(),
            settings: config.cms.clone(),
            patience: Patience::new(&config.capture),
            has_siblings: config.cms_beside(&device.name),
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
            has_siblings: self.has_siblings,
            given: 0,
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

/// Characters of a hostId. It is a UUID; whatever it becomes, it must not fill the ledger.
const LONGEST_HOST: usize = 255;

/// All questions for one CMS.
struct Questions<'a> {
    rest: Rest<'a>,
    settings: &'a config::Cms,
    head: DeviceHead,
    outlet: Outlet<'a>,
    story: Story,
    delivered: Delivered,
    has_siblings: bool,
    /// Records so far.
    given: u64,
}

/// A question, as it is called where it has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Licenses,
    History,
    Spaces,
}

impl Questions<'_> {
    /// Asks them all. A question without an answer is in the story; an error says that there is nothing to keep.
    fn ask_all(&mut self) -> Result<(), SourceError> {
        let status = self.status()?;
        let mut wanted = vec![Topic::Licenses, Topic::History, Topic::Spaces];
        wanted.retain(|topic| match topic {
            Topic::Licenses => self.settings.license_usage,
            Topic::History => self.settings.license_history != LicenseHistory::Off,
            Topic::Spaces => true,
        });
        if wanted.contains(&Topic::History) {
            self.delivered.begin_at(self.clock(&status).1);
        }
        for (index, topic) in wanted.iter().enumerate() {
            let asked = match topic {
                Topic::Licenses => self.licenses(),
                Topic::History => self.history(&status),
                Topic::Spaces => self.spaces(),
            };
            match asked {
                Ok(()) => {}
                Err(SourceError::Unavailable(why)) if self.given > 0 => {
                    self.story.missing(format!("{}: {why}", topic.name()));
                    let unasked: Vec<&str> = wanted[index + 1..].iter().map(|topic| topic.name()).collect();
                    if !unasked.is_empty() {
                        self.story
                            .missing(format!("after that nothing was asked of {}", unasked.join(", ")));
                    }
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        match self.story.incomplete() {
            Some(why) if self.given == 0 => Err(self.rest.unavailable(why)),
            _ => Ok(()),
        }
    }

    /// Tells the host's id and the CMS's clock, which the other questions need: without it there is nothing.
    fn status(&mut self) -> Result<SystemStatus, SourceError> {
        let asked = self
            .rest
            .get("/system/status", |body, date| Ok((cms::read_status(body)?, date)));
        let (status, date) = match asked {
            Ok(told) => told,
            Err(Trouble::Source(error)) => return Err(error),
            Err(Trouble::Answer(why)) => return Err(self.rest.bad_data(why)),
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
        if status
            .host_id
            .as_ref()
            .is_some_and(|id| id.chars().count() > LONGEST_HOST)
        {
            return Err(self
                .rest
                .bad_data(format_args!("its hostId has more than {LONGEST_HOST} characters")));
        }
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
        if self.has_siblings && status.cluster_enabled == Some(true) {
            self.story.remark(
                "it is one of a cluster, whose members all have the same spaces: count each coSpaceId once where more \
                 than one of them is asked",
            );
        }
        self.take("its state", date, |head| record.to_record(head))?;
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
            Err(Trouble::Answer(why)) => {
                self.story.missing(format!("{}: {why}", Topic::Licenses.name()));
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
        self.take(Topic::Licenses.name(), date, |head| record.to_record(head))
    }

    /// The one record of an answer.
    fn take(&mut self, what: &str, date: Date, record: impl FnOnce(&DeviceHead) -> Record) -> Result<(), SourceError> {
        let mut records = Records::of(&self.head, &mut self.outlet);
        records.take(date, |head| Some(record(head)))?;
        let tally = records.end();
        self.count(what, tally);
        Ok(())
    }

    fn count(&mut self, what: &str, tally: Tally) {
        self.given += tally.given;
        if let Some(first) = tally.first_misfit {
            self.story.missing(format!(
                "{what}: {} records are left out, of which the first is {first}",
                tally.misfits
            ));
        }
    }

    fn spaces(&mut self) -> Result<(), SourceError> {
        let mut records = Records::of(&self.head, &mut self.outlet);
        let asked = spaces::read(&self.rest, self.settings, &mut records, &mut self.story);
        let tally = records.end();
        self.count(Topic::Spaces.name(), tally);
        asked
    }

    /// The CMS's clock, and from when on entries of a host are asked for that was never asked.
    fn clock(&self, status: &SystemStatus) -> (Millis, Millis) {
        let now = status
            .cdr_time
            .or(self.head.device_time)
            .unwrap_or(self.head.created)
            .timestamp_millis();
        let now = history::whole_seconds(now);
        (now, now.saturating_sub(span(self.settings.first_history)))
    }

    fn history(&mut self, status: &SystemStatus) -> Result<(), SourceError> {
        let (now, first) = self.clock(status);
        if let Some(before) = self.delivered.asked().filter(|before| *before > now) {
            self.story.remark(format!(
                "the CMS's clock was set back: it was {} when it was asked before, and is {}",
                history::shown(before),
                history::shown(now)
            ));
        }
        let Hosts { ids, are_all } = self.hosts(status)?;
        for host in &ids {
            let span = Span {
                host: host.as_deref(),
                is_one_of_many: ids.len() > 1,
                now,
                // A host that is new since the last document has its entries since then.
                first: self.delivered.asked().filter(|asked| *asked <= now).unwrap_or(first),
                page_size: self.settings.page_size,
            };
            let mut records = Records::of(&self.head, &mut self.outlet);
            let read = history::read(&mut self.delivered, &self.rest, &span, &mut records, &mut self.story);
            let tally = records.end();
            self.count(Topic::History.name(), tally);
            read?;
        }
        if are_all {
            self.delivered.asked_at(now);
        }
        self.delivered.forget_the_oldest();
        Ok(())
    }

    /// Whose history is asked for: hostIds, or [`None`] for whatever a CMS has that does not say its own.
    fn hosts(&mut self, status: &SystemStatus) -> Result<Hosts, SourceError> {
        let own = vec![status.host_id.clone()];
        match self.settings.license_history {
            LicenseHistory::All => self.known_hosts(own),
            _ if status.host_id.is_none() && status.cluster_enabled == Some(true) => {
                self.story.missing(
                    "it is one of a cluster and does not tell its hostId, so that its history of licence use cannot be \
                     told from that of the others",
                );
                Ok(Hosts {
                    ids: Vec::new(),
                    are_all: false,
                })
            }
            _ => Ok(Hosts {
                ids: own,
                are_all: true,
            }),
        }
    }

    /// Those that it lists; `own` where it has no list.
    fn known_hosts(&mut self, own: Vec<Option<String>>) -> Result<Hosts, SourceError> {
        let mut ids = Vec::new();
        let limit = paging::size(self.settings.page_size);
        let listed = paging::read(&self.rest, "hosts of the history of licence use", |offset, seen| {
            let path = format!("/system/MPLicenseUsage/knownHosts?offset={offset}&limit={limit}");
            self.rest.get(&path, |body, _| {
                seen.begin_page();
                cms::read_known_hosts(body, &mut |id| {
                    if seen.insert(&id) && ids.len() <= MOST_HOSTS {
                        ids.push(Some(id));
                    }
                    Ok(())
                })
            })
        });
        let missing = match listed {
            Ok(missing) => missing,
            Err(Trouble::NotThere(_)) if ids.is_empty() => None,
            Err(Trouble::NotThere(said) | Trouble::Refused(said)) => {
                Some(format!("the list of hosts is refused ({said})"))
            }
            Err(Trouble::Answer(why)) => Some(format!("the list of hosts: {why}")),
            Err(Trouble::Source(error)) => return Err(error),
        };
        let mut are_all = missing.is_none();
        if let Some(why) = missing {
            self.story.missing(why);
        }
        if ids.len() > MOST_HOSTS {
            ids.truncate(MOST_HOSTS);
            are_all = false;
            self.story.missing(format!(
                "the history of licence use is asked for of the first {MOST_HOSTS} hosts only"
            ));
        }
        if ids.is_empty() {
            ids = own;
        }
        Ok(Hosts { ids, are_all })
    }
}

/// Whose history is asked for.
struct Hosts {
    ids: Vec<Option<String>>,
    /// Whether no other one is known, or must be feared.
    are_all: bool,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Topic::Licenses => "licence use",
            Topic::History => "history of licence use",
            Topic::Spaces => "spaces",
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
