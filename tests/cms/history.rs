//! The history of licence use: every entry that the CMS has since the first document, once over all documents.
//!
//! The clocks of the simulated servers stand still, so what each document must have is known: an entry four seconds after
//! every full five minutes.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};

use super::{
    site::{Document, Site},
    support::wait_until,
};

const SPACES: &str = "spaces=3";

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn cms(now: &str, quirks: &str) -> String {
    format!("cms:now={now},{SPACES}{quirks}")
}

/// The times of all entries from `from` to `to`.
fn entries(from: &str, to: &str) -> Vec<String> {
    let first = time(from).timestamp().div_euclid(300) * 300 + 4;
    let all = (0..).map(|n| DateTime::from_timestamp(first + n * 300, 0).unwrap());
    all.skip_while(|entry| *entry < time(from))
        .take_while(|entry| *entry <= time(to))
        .map(|entry| entry.to_rfc3339_opts(SecondsFormat::Secs, true))
        .collect()
}

/// These and no others, each once, whatever the order is.
#[track_caller]
fn are(document: &Document, expected: &[String]) {
    are_together(&[document], expected);
}

/// The same of several documents.
#[track_caller]
fn are_together(documents: &[&Document], expected: &[String]) {
    let mut times: Vec<String> = documents.iter().flat_map(|document| document.times()).collect();
    let (count, there): (usize, BTreeSet<String>) = (times.len(), times.drain(..).collect());
    let expected: BTreeSet<String> = expected.iter().cloned().collect();
    let missing: Vec<_> = expected.difference(&there).collect();
    let others: Vec<_> = there.difference(&expected).collect();
    assert!(
        missing.is_empty() && others.is_empty(),
        "missing: {missing:?}; others: {others:?}"
    );
    assert_eq!(count, there.len(), "each once");
}

#[test]
fn each_entry_is_in_one_of_three_documents() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", "")], "");
    let first = site.capture(0);
    first.is_complete();
    are(&first, &entries("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"));
    site.replace(&[&cms("2026-06-02T10:15:10Z", "")]);
    let second = site.capture(0);
    second.is_complete();
    are(&second, &entries("2026-06-02T10:00:00Z", "2026-06-02T10:15:10Z"));
    // The same moment: nothing is new.
    are(&site.capture(0), &[]);
    site.replace(&[&cms("2026-06-03T09:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-02T10:15:10Z", "2026-06-03T09:00:00Z"),
    );
}

#[test]
fn values_are_as_the_server_has_them() {
    let site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",version=3.1.0")], "");
    let document = site.capture(0);
    let entries = document.of("ConferenceLicenseHistory");
    assert_eq!(
        document.times()[0],
        "2026-06-02T09:55:04Z",
        "the newest first, as the server has them"
    );
    let idle = entries.iter().filter(|entry| entry["pmpAssigned"].is_null()).count();
    assert!((57..=58).contains(&idle), "every fifth has no values: {idle}");
    assert!(entries.iter().any(|entry| entry["smpFull"] == 1.25));
    let host = &document.of("ConferenceSystem")[0]["hostId"];
    assert!(host.is_string() && entries.iter().all(|entry| entry["hostId"] == *host));
}

#[test]
fn an_outage_of_two_days_loses_nothing() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", "")], "");
    site.capture(0);
    site.replace(&[&cms("2026-06-04T11:00:00Z", "")]);
    let document = site.capture(0);
    document.is_complete();
    are(&document, &entries("2026-06-02T10:00:00Z", "2026-06-04T11:00:00Z"));
}

#[test]
fn what_the_server_has_not_kept_is_remarked() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", "")], "");
    site.capture(0);
    site.replace(&[&cms("2026-06-04T11:00:00Z", ",retention=6h")]);
    let document = site.capture(0);
    document.remarks("the CMS has no licence history between 2026-06-02T09:55:04Z and 2026-06-04T05:00:04Z");
    are(&document, &entries("2026-06-04T05:00:00Z", "2026-06-04T11:00:00Z"));
    // It keeps nothing at all any more.
    site.replace(&[&cms("2026-06-05T11:00:00Z", ",retention=1s")]);
    let document = site.capture(0);
    document.remarks("the CMS has no licence history between 2026-06-04T10:55:04Z and now");
    are(&document, &[]);
}

/// With these, the third request is that for the whole history, and the fourth that for the spaces.
const LARGE_PAGES: &str = "[cms]\npage-size = 1000\n";
const HISTORY: usize = 3;
const LIST: usize = 4;

#[test]
fn what_a_failed_capture_read_is_in_the_next_document() {
    let large = ",page=500";
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", large)], LARGE_PAGES);
    site.capture(0);
    assert_eq!(site.first_asked("/api/v1/system/MPLicenseUsage"), HISTORY);
    assert_eq!(site.first_asked("/api/v1/coSpaces"), LIST);
    // An answer beyond all limits costs all records of the source.
    site.replace(&[&cms("2026-06-02T13:00:00Z", &format!("{large},from={LIST},huge=1GB"))]);
    let ran = site.try_capture().expect(69);
    assert_eq!(ran.stdout, "", "{}", ran.stderr);
    site.replace(&[&cms("2026-06-02T13:00:00Z", large)]);
    are(
        &site.capture(0),
        &entries("2026-06-02T10:00:00Z", "2026-06-02T13:00:00Z"),
    );
}

/// What came before the connection broke, or the time was over, is in its document; the rest in the next.
#[test]
fn a_connection_that_breaks_costs_no_entry_and_doubles_none() {
    for (from, quirk, missing) in [
        (2, "cut-tls", "licence use: "),
        (HISTORY, "cut-tls", "history of licence use: "),
        (HISTORY, "truncate=4000", "history of licence use: "),
        (LIST, "cut-tls", "spaces: "),
        (LIST, "hang-in-body", "spaces: "),
    ] {
        let large = ",page=500";
        let toml = format!("timeout = \"3s\"\n{LARGE_PAGES}");
        let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", large)], &toml);
        let first = site.capture(0);
        site.replace(&[&cms("2026-06-02T22:00:00Z", &format!("{large},from={from},{quirk}"))]);
        let broken = site.capture(69);
        broken.is_incomplete(missing);
        if from < LIST {
            broken.is_incomplete("after that nothing was asked of ");
        }
        assert_eq!(broken.of("ConferenceSystem").len(), 1);
        site.replace(&[&cms("2026-06-04T13:00:00Z", large)]);
        let next = site.capture(0);
        are_together(
            &[&first, &broken, &next],
            &entries("2026-06-01T10:00:00Z", "2026-06-04T13:00:00Z"),
        );
    }
}

/// The history begins when the CMS was asked for the first time, not when it could be read for the first time.
#[test]
fn a_history_that_could_never_be_asked_for_comes_later() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",from=2,cut-tls")], LARGE_PAGES);
    are(&site.capture(69), &[]);
    site.replace(&[&cms("2026-06-05T10:00:00Z", ",page=500")]);
    are(
        &site.capture(0),
        &entries("2026-06-01T10:00:00Z", "2026-06-05T10:00:00Z"),
    );
}

/// One that is not right is read again next time, and costs no other answer.
#[test]
fn an_answer_that_is_not_right_costs_only_itself() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",page=500")], LARGE_PAGES);
    site.capture(0);
    let wrong = format!(",page=500,from={HISTORY},until={HISTORY},deep");
    site.replace(&[&cms("2026-06-02T13:00:00Z", &wrong)]);
    let document = site.capture(69);
    document.is_incomplete("history of licence use: its answer to /api/v1/system/MPLicenseUsage");
    assert_eq!(document.spaces().len(), 3);
    site.replace(&[&cms("2026-06-02T14:00:00Z", "")]);
    are_together(
        &[&document, &site.capture(0)],
        &entries("2026-06-02T10:00:00Z", "2026-06-02T14:00:00Z"),
    );
}

/// A CMS that has told its history before is not too old for it.
#[test]
fn a_history_that_is_not_there_any_more_is_missing() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", "")], "");
    site.capture(0);
    let gone = ",refuse=404/unrecognizedObject@system/mplicenseusage";
    site.replace(&[&cms("2026-06-04T10:00:00Z", gone)]);
    let document = site.capture(69);
    document.is_incomplete("the history of licence use is refused (HTTP 404, unrecognizedObject)");
    site.replace(&[&cms("2026-06-05T10:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-02T10:00:00Z", "2026-06-05T10:00:00Z"),
    );
}

/// Hosts that were not listed then have their history since then, not since they are listed.
#[test]
fn a_list_of_hosts_that_was_refused_costs_no_entry() {
    let all = "[cms]\nlicense-history = \"all\"\n";
    let refuse = ",hosts=3,refuse=500/error@system/mplicenseusage/knownhosts";
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", refuse)], all);
    let first = site.capture(69);
    first.is_incomplete("the list of hosts is refused (HTTP 500, error)");
    site.replace(&[&cms("2026-06-04T10:00:00Z", ",hosts=3")]);
    let count = first.times().len() + site.capture(0).times().len();
    assert_eq!(count, 3 * entries("2026-06-01T10:00:00Z", "2026-06-04T10:00:00Z").len());
}

#[test]
fn what_a_killed_capture_read_is_in_the_next_document() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",page=500")], LARGE_PAGES);
    site.capture(0);
    site.replace(&[&cms("2026-06-02T13:00:00Z", &format!(",page=500,from={LIST},hang"))]);
    let mut child = site.place.command(&["capture"]).spawn().unwrap();
    let is_read = || site.asked().len() == LIST;
    wait_until("the history is read", Duration::from_secs(20), is_read);
    child.kill().unwrap();
    child.wait().unwrap();
    site.replace(&[&cms("2026-06-02T13:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-02T10:00:00Z", "2026-06-02T13:00:00Z"),
    );
}

/// The document of an incomplete source moves what is remembered, too.
#[test]
fn an_incomplete_source_has_each_entry_once() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",total=99")], "");
    let first = site.capture(69);
    first.is_incomplete("spaces: the CMS counts 99");
    are(&first, &entries("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"));
    site.replace(&[&cms("2026-06-02T13:00:00Z", ",total=99")]);
    are(
        &site.capture(69),
        &entries("2026-06-02T10:00:00Z", "2026-06-02T13:00:00Z"),
    );
}

#[test]
fn a_history_that_was_refused_comes_later() {
    let refuse = ",refuse=500/error@system/mplicenseusage";
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", refuse)], "");
    are(&site.capture(69), &[]);
    for day in 3..=5 {
        site.replace(&[&cms(&format!("2026-06-0{day}T10:00:00Z"), refuse)]);
        are(&site.capture(69), &[]);
    }
    site.replace(&[&cms("2026-06-06T10:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-01T10:00:00Z", "2026-06-06T10:00:00Z"),
    );
}

#[test]
fn a_clock_that_is_set_back_brings_no_entry_twice() {
    for back in ["2026-06-02T08:00:00Z", "2026-05-30T10:00:00Z"] {
        let mut site = Site::new(
            &[&cms("2026-06-02T10:00:00Z", "")],
            "[cms]\nfirst-history = \"10days\"\n",
        );
        site.capture(0);
        site.replace(&[&cms(back, "")]);
        let document = site.capture(0);
        document.remarks("the CMS's clock was set back: it was 2026-06-02T10:00:00Z when it was asked before, and is");
        are(&document, &[]);
        // When it has come to where it was, the rest follows.
        site.replace(&[&cms("2026-06-02T11:00:00Z", "")]);
        are(
            &site.capture(0),
            &entries("2026-06-02T10:00:00Z", "2026-06-02T11:00:00Z"),
        );
    }
}

#[test]
fn a_clock_that_was_years_ahead_costs_no_entry() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", "")], "");
    site.capture(0);
    site.replace(&[&cms("2036-06-02T10:00:00Z", ",retention=2h")]);
    are(
        &site.capture(0),
        &entries("2036-06-02T08:00:00Z", "2036-06-02T10:00:00Z"),
    );
    site.replace(&[&cms("2026-06-02T12:00:00Z", "")]);
    let document = site.capture(0);
    document.remarks("the CMS's clock was set back");
    are(&document, &entries("2026-06-02T10:00:00Z", "2026-06-02T12:00:00Z"));
    site.replace(&[&cms("2026-06-04T12:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-02T12:00:00Z", "2026-06-04T12:00:00Z"),
    );
}

#[test]
fn an_entry_that_was_not_asked_for_changes_nothing() {
    for stray in [
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-06-02T10:00:01Z",
    ] {
        let quirk = format!(",stray={stray},page=500");
        let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", &quirk)], "[cms]\npage-size = 1000\n");
        let document = site.capture(0);
        document.remarks("entries of MPLicenseUsage with times that were not asked for are passed over: 1");
        are(&document, &entries("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"));
        site.replace(&[&cms("2026-06-02T13:00:00Z", "")]);
        are(
            &site.capture(0),
            &entries("2026-06-02T10:00:00Z", "2026-06-02T13:00:00Z"),
        );
    }
}

#[test]
fn of_a_cluster_every_host_is_told_apart() {
    let all = "[cms]\nlicense-history = \"all\"\n";
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",hosts=3")], all);
    let expected = entries("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z").len();
    for now in ["2026-06-02T10:00:00Z", "2026-06-03T10:00:00Z"] {
        site.replace(&[&cms(now, ",hosts=3")]);
        let document = site.capture(0);
        document.is_complete();
        let mut hosts = document.texts("ConferenceLicenseHistory", "hostId");
        assert_eq!(hosts.len(), 3 * expected, "{now}");
        hosts.sort();
        hosts.dedup();
        assert_eq!(hosts.len(), 3);
    }
    let own = Site::new(&[&cms("2026-06-02T10:00:00Z", ",hosts=3")], "");
    let document = own.capture(0);
    let host = document.texts("ConferenceSystem", "hostId").remove(0);
    let hosts = document.texts("ConferenceLicenseHistory", "hostId");
    assert!(hosts.len() == expected && hosts.iter().all(|of| *of == host));
}

#[test]
fn a_server_that_does_not_say_who_it_is_is_asked_where_that_is_clear() {
    let mut site = Site::new(&[&cms("2026-06-02T10:00:00Z", ",nameless")], "");
    are(
        &site.capture(0),
        &entries("2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z"),
    );
    // From now on it says it: what was delivered without is not delivered again.
    site.replace(&[&cms("2026-06-02T13:00:00Z", "")]);
    are(
        &site.capture(0),
        &entries("2026-06-02T10:00:00Z", "2026-06-02T13:00:00Z"),
    );

    let cluster = Site::new(&[&cms("2026-06-02T10:00:00Z", ",nameless,hosts=2")], "");
    let document = cluster.capture(69);
    document.is_incomplete("it is one of a cluster and does not tell its hostId");
    are(&document, &[]);
    assert_eq!(document.spaces().len(), 3);
}
