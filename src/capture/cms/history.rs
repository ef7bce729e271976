//! The history of licence use that a CMS keeps (MPLicenseUsage), each entry once over all documents.
//!
//! What the last document had is remembered: the time of the newest entry, and of all entries in the [`OVERLAP`] before
//! it. The next capture asks from there on, so an outage of billdrop loses nothing that the CMS still has, and an entry
//! which appears late, or was missed because the list moved, is delivered then.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    paging,
    rest::{Rest, Trouble},
};
use crate::{
    capture::{
        SourceError,
        outlet::{Outlet, Story},
    },
    protocol::cms::{self, LicenseUsage},
    record::{ConferenceLicenseHistory, DeviceHead},
};

/// How far back entries that were delivered are asked for again.
const OVERLAP: TimeDelta = TimeDelta::days(1);

/// Entries remembered for one host. One every five minutes makes 288 a day.
const REMEMBERED: usize = 4096;

/// A CMS writes an entry every five minutes; a longer pause than this is remarked.
const PAUSE: TimeDelta = TimeDelta::minutes(16);

/// What is remembered, by hostId; the empty one stands for a CMS that did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    hosts: BTreeMap<String, Host>,
}

/// Times of entries, in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Host {
    times: BTreeSet<i64>,
}

impl Host {
    fn newest(&self) -> Option<DateTime<Utc>> {
        self.times
            .last()
            .and_then(|time| DateTime::from_timestamp_millis(*time))
    }

    /// Forgets what will not be asked for again.
    fn forget(&mut self) {
        let Some(newest) = self.times.last().copied() else {
            return;
        };
        let oldest = newest.saturating_sub(OVERLAP.num_milliseconds());
        self.times = self.times.split_off(&oldest);
        while self.times.len() > REMEMBERED {
            self.times.pop_first();
        }
    }
}

/// The time that is asked for, and whose usage.
pub struct Span<'a> {
    pub host: Option<&'a str>,
    /// The device's clock.
    pub now: DateTime<Utc>,
    /// How far back the first document goes.
    pub first: TimeDelta,
    pub page_size: u32,
}

impl Delivered {
    /// What was remembered with the last document. What cannot be read is forgotten: then the history begins anew.
    pub fn remembered(baseline: Option<&[u8]>) -> Self {
        baseline
            .and_then(|octets| serde_json::from_slice(octets).ok())
            .unwrap_or_default()
    }

    pub fn to_baseline(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Makes a record of every entry that was not delivered before, and remembers it.
    pub fn read(
        &mut self,
        rest: &Rest<'_>,
        span: &Span<'_>,
        head: &DeviceHead,
        outlet: &mut Outlet<'_>,
        story: &mut Story,
    ) -> Result<(), SourceError> {
        let host = self.hosts.entry(span.host.unwrap_or_default().to_owned()).or_default();
        let before = host.newest();
        if let Some(newest) = before.filter(|newest| *newest > span.now) {
            story.remark(format!(
                "the CMS's clock was set back (its newest entry was of {}): entries with times that were delivered \
                 before are not delivered again",
                shown(newest)
            ));
        }
        let from = match before {
            Some(newest) => newest.min(span.now) - OVERLAP,
            None => span.now - span.first,
        };
        let mut earliest_new: Option<DateTime<Utc>> = None;
        let mut head = head.clone();
        let listed = paging::read(rest, "entries of MPLicenseUsage", |offset, seen| {
            rest.get(&path(span, from, offset), |body, date| {
                head.device_time = date.or(head.device_time);
                cms::read_license_usage(body, &mut |entry: LicenseUsage| {
                    let time = entry.time.timestamp_millis();
                    seen.insert(&time.to_string());
                    if !host.times.insert(time) {
                        return Ok(());
                    }
                    earliest_new = Some(earliest_new.map_or(entry.time, |earliest| earliest.min(entry.time)));
                    outlet.push(&record(span.host, &entry).to_record(&head))
                })
            })
        });
        host.forget();
        if let Some(refused) = outlet.refused() {
            return Err(refused);
        }
        match listed {
            Ok(None) => {}
            Ok(Some(why)) => story.missing(why),
            Err(Trouble::NotThere(said)) => {
                story.remark(format!(
                    "this CMS has no history of licence use ({said}); release 2.6 has it"
                ));
            }
            Err(Trouble::Source(error)) => return Err(error),
        }
        if let (Some(before), Some(earliest)) = (before, earliest_new)
            && earliest - before > PAUSE
        {
            story.remark(format!(
                "the CMS has no licence history between {} and {}",
                shown(before),
                shown(earliest)
            ));
        }
        Ok(())
    }
}

/// Both ends are part of what is asked for.
fn path(span: &Span<'_>, from: DateTime<Utc>, offset: u64) -> String {
    let host = span
        .host
        .map_or(String::new(), |host| format!("&hostId={}", super::escaped(host)));
    format!(
        "/system/MPLicenseUsage?startTime={}&endTime={}{host}&offset={offset}&limit={}",
        shown(from),
        shown(span.now),
        span.page_size
    )
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn record<'a>(host: Option<&'a str>, entry: &LicenseUsage) -> ConferenceLicenseHistory<'a> {
    ConferenceLicenseHistory {
        host_id: host,
        time: entry.time,
        pmp: entry.pmp.clone(),
        pmp_assigned: entry.pmp_assigned.clone(),
        smp_aud: entry.smp_aud.clone(),
        smp_ptp: entry.smp_ptp.clone(),
        smp_full: entry.smp_full.clone(),
        rec: entry.rec.clone(),
        str: entry.str.clone(),
    }
}
