//! The history of licence usage: a snapshot every five minutes, newest first, values computed from its time.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{DECLARATION, answer as found, failure, window};
use crate::device::CmsQuirks;
use crate::http::{Answer, Request};

/// Seconds between two snapshots, and how many seconds after the full five minutes they are taken.
const EVERY: i64 = 300;
const AFTER: i64 = 4;

pub fn host(seed: u32, index: usize) -> String {
    format!("{seed:08x}-0000-4000-a000-{index:012}")
}

pub fn known_hosts(quirks: &CmsQuirks, seed: u32) -> Vec<u8> {
    let mut body = format!("{DECLARATION}<knownHosts total=\"{}\">\n", quirks.hosts);
    for index in 0..quirks.hosts {
        let _ = writeln!(body, "  <host id=\"{}\"/>", host(seed, index));
    }
    body.push_str("</knownHosts>\n");
    body.into()
}

/// Without `hostId`: the snapshots of all hosts.
pub fn answer(quirks: &CmsQuirks, seed: u32, request: &Request, now: DateTime<Utc>) -> Answer {
    let (offset, limit) = match window(request, quirks.page) {
        Ok(window) => window,
        Err(answer) => return answer,
    };
    let time = |name: &str| match request.query(name) {
        None => Ok(None),
        Some(text) => DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(time.with_timezone(&Utc)))
            .map_err(|_| failure(400, &format!("<parameterError parameter=\"{name}\"/>"))),
    };
    let (start, end) = match (time("startTime"), time("endTime")) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let hosts: Vec<usize> = match request.query("hostId") {
        None => (0..quirks.hosts).collect(),
        Some(id) => (0..quirks.hosts).filter(|index| host(seed, *index) == id).collect(),
    };
    let oldest = now.checked_sub_signed(quirks.retention).unwrap_or(now);
    let first = first_from(start.map_or(oldest, |start| start.max(oldest)));
    let last = last_until(end.map_or(now, |end| end.min(now)));
    let there = usize::try_from(last - first + 1).unwrap_or(0) * hosts.len();
    let total = there + usize::from(quirks.stray.is_some());
    let mut body = format!("{DECLARATION}<MPLicenseUsage total=\"{total}\">\n");
    if let Some(time) = quirks.stray {
        let _ = writeln!(
            body,
            "  <entry time=\"{}\"/>",
            time.to_rfc3339_opts(SecondsFormat::Secs, true)
        );
    }
    for item in offset.min(there)..offset.saturating_add(limit).min(there) {
        let number = last - (item / hosts.len()) as i64;
        entry(&mut body, quirks, number, hosts[item % hosts.len()]);
    }
    body.push_str("</MPLicenseUsage>\n");
    found(body.into())
}

/// The number of the first snapshot at that time or later.
fn first_from(time: DateTime<Utc>) -> i64 {
    let exact = time.timestamp_subsec_nanos() == 0;
    let seconds = time.timestamp() - AFTER + i64::from(!exact);
    (seconds + EVERY - 1).div_euclid(EVERY)
}

fn last_until(time: DateTime<Utc>) -> i64 {
    (time.timestamp() - AFTER).div_euclid(EVERY)
}

/// Zero values are left out; every fifth snapshot is empty.
fn entry(body: &mut String, quirks: &CmsQuirks, number: i64, host: usize) {
    let time = DateTime::from_timestamp(number * EVERY + AFTER, 0).unwrap_or_default();
    let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let number = number.unsigned_abs().wrapping_add(host as u64 * 3);
    if number.is_multiple_of(5) {
        let _ = writeln!(body, "  <entry time=\"{time}\"/>");
        return;
    }
    let _ = writeln!(body, "  <entry time=\"{time}\">");
    let assigned = quirks.version.starts_with('3');
    let values = [
        ("pmp", number % 4 * 50),
        ("pmpAssigned", if assigned { 12_000 } else { 0 }),
        ("smpAud", number % 3 * 100),
        ("smpPtP", number % 7 / 5 * 200),
        ("smpFull", number % 6 * 25),
        ("rec", number % 8 / 7 * 100),
        ("str", number % 9 / 8 * 100),
    ];
    for (name, hundredths) in values {
        if hundredths > 0 {
            let _ = writeln!(
                body,
                "    <{name}>{}.{:02}</{name}>",
                hundredths / 100,
                hundredths % 100
            );
        }
    }
    body.push_str("  </entry>\n");
}
