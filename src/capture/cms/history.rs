//! The history of licence use that a CMS keeps (MPLicenseUsage), each entry once over all documents.
//!
//! The next capture asks from the last entry that was delivered on, and from some time before it, so an outage of
//! billdrop loses nothing that the CMS still has, and an entry which appears late, or was missed because the list moved,
//! is delivered then. What was delivered is remembered with the document ([`Delivered`]), or not at all.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{
    delivered::{Delivered, Millis, PAUSE},
    paging,
    rest::{Rest, Trouble},
};
use crate::{
    capture::{SourceError, outlet::Story, records::Records},
    protocol::cms::{self, LicenseUsage},
    record::ConferenceLicenseHistory,
};

/// The time that is asked for, and whose usage. Whole seconds, as the CMS is asked for no less.
pub struct Span<'a> {
    pub host: Option<&'a str>,
    /// Whether other hosts are asked for, too.
    pub is_one_of_many: bool,
    /// The device's clock.
    pub now: Millis,
    /// From when on what was never asked for is asked for.
    pub first: Millis,
    pub page_size: u32,
}

/// Entries that are not delivered, for remarks.
#[derive(Default)]
struct PassedOver {
    /// Outside of the time that was asked for.
    unasked: u64,
    /// In a time whose entries were delivered.
    unsure: u64,
}

/// Makes a record of every entry that was not delivered before, and remembers it. What came before an answer that broke
/// off stays, and the rest is asked for again next time.
pub fn read(
    delivered: &mut Delivered,
    rest: &Rest<'_>,
    span: &Span<'_>,
    records: &mut Records<'_, '_>,
    story: &mut Story,
) -> Result<(), SourceError> {
    let host = delivered.host(span.host.unwrap_or_default());
    let before = host.latest(span.now);
    let from = whole_seconds(host.from(span.now, span.first)).min(span.now);
    let mut earliest_new: Option<Millis> = None;
    let mut passed_over = PassedOver::default();
    let mut left_out = false;
    let listed = paging::read(rest, "entries of MPLicenseUsage", |offset, seen| {
        rest.get(&path(span, from, offset), |body, date| {
            seen.begin_page();
            cms::read_license_usage(body, &mut |entry: LicenseUsage| {
                let time = entry.time.timestamp_millis();
                if !seen.insert(&time.to_string()) || host.was_delivered(time) {
                    return Ok(());
                }
                if !(from..=span.now).contains(&time) {
                    passed_over.unasked += 1;
                    return Ok(());
                }
                if host.is_within_a_run(time) {
                    passed_over.unsure += 1;
                    return Ok(());
                }
                let name = || format!("that of {}", entry.time);
                let is_taken =
                    records.push_named(date, name, |head| Some(record(span.host, &entry).to_record(head)))?;
                if is_taken {
                    host.deliver(time);
                } else {
                    left_out = true;
                }
                if before.is_some_and(|before| time > before) {
                    earliest_new = Some(earliest_new.map_or(time, |earliest| earliest.min(time)));
                }
                Ok(())
            })
        })
    });
    if let Some(refused) = records.refused() {
        return Err(refused);
    }
    let whose = match span.host {
        Some(id) if span.is_one_of_many => format!(" of host {id}"),
        _ => String::new(),
    };
    let mut broken = None;
    let missing = match listed {
        Ok(missing) => missing,
        Err(Trouble::NotThere(said)) if !span.is_one_of_many && host.has_none() => {
            story.remark(format!(
                "this CMS has no history of licence use ({said}); releases from 2.6 on have it"
            ));
            return Ok(());
        }
        Err(Trouble::NotThere(said) | Trouble::Refused(said)) => {
            Some(format!("the history of licence use is refused ({said})"))
        }
        Err(Trouble::Answer(why)) => Some(format!("history of licence use: {why}")),
        Err(Trouble::Source(error)) => {
            broken = Some(error);
            None
        }
    };
    let is_complete = missing.is_none() && broken.is_none() && !left_out;
    host.asked(from, span.now, is_complete);
    if let Some(error) = broken {
        return Err(error);
    }
    if let Some(why) = missing {
        story.missing(format!("{why}{whose}"));
    }
    passed_over.remark(&whose, story);
    if let Some(before) = before
        && is_complete
        && earliest_new.unwrap_or(span.now).saturating_sub(before) > PAUSE
    {
        let until = earliest_new.map_or("now".to_owned(), shown);
        story.remark(format!(
            "the CMS has no licence history between {} and {until}{whose}",
            shown(before)
        ));
    }
    Ok(())
}

impl PassedOver {
    fn remark(&self, whose: &str, story: &mut Story) {
        if self.unasked > 0 {
            story.remark(format!(
                "entries of MPLicenseUsage with times that were not asked for are passed over: {}{whose}",
                self.unasked
            ));
        }
        if self.unsure > 0 {
            story.remark(format!(
                "entries of MPLicenseUsage in a time whose entries were delivered before are not delivered again: \
                 {}{whose}",
                self.unsure
            ));
        }
    }
}

/// Down to a time that can be asked for.
pub fn whole_seconds(time: Millis) -> Millis {
    let time = time.max(0);
    time - time % 1000
}

/// Both ends are part of what is asked for.
fn path(span: &Span<'_>, from: Millis, offset: u64) -> String {
    let host = span
        .host
        .map_or(String::new(), |host| format!("&hostId={}", super::escaped(host)));
    format!(
        "/system/MPLicenseUsage?startTime={}&endTime={}{host}&offset={offset}&limit={}",
        shown(from),
        shown(span.now),
        paging::size(span.page_size)
    )
}

pub fn shown(time: Millis) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(time).unwrap_or_default();
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
