//! The CMS: pages of coSpaces, what is in them, and the history of licence usage.

use super::asked::{Answer, Get};
use super::cucm::texts;
use super::support::simulators::Simulators;

fn get(simulators: &Simulators, path: &str) -> Answer {
    Get::of(simulators, "CMS1", &format!("/api/v1/{path}")).ok()
}

/// The ids of one page, and the total that it says.
fn page(simulators: &Simulators, offset: usize, limit: usize) -> (Vec<String>, usize) {
    let answer = get(simulators, &format!("coSpaces?offset={offset}&limit={limit}"));
    let total = answer.xpath("string(/coSpaces/@total)").parse().unwrap();
    (texts(&answer, "coSpace/@id"), total)
}

/// All pages as a client reads them that trusts the first total.
fn read_through(simulators: &Simulators) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let (more, total) = page(simulators, ids.len(), 100);
        ids.extend(more.iter().cloned());
        if more.is_empty() || ids.len() >= total {
            return ids;
        }
    }
}

fn distinct(ids: &[String]) -> usize {
    ids.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_page_has_no_more_than_the_servers_own_number_of_items() {
    let simulators = Simulators::start(&["cms:page=7,spaces=50", "cms", "cms:spaces=0"]);
    assert_eq!(page(&simulators, 0, 100).0.len(), 7);
    assert_eq!(page(&simulators, 0, 3).0.len(), 3);
    assert_eq!(page(&simulators, 49, 100).0.len(), 1);
    assert_eq!(page(&simulators, 50, 100), (vec![], 50));
    let ids = read_through(&simulators);
    assert_eq!((ids.len(), distinct(&ids)), (50, 50));
    let empty = Get::of(&simulators, "CMS3", "/api/v1/coSpaces").ok();
    assert!(empty.text().contains("<coSpaces total=\"0\"/>"));
    let again = Simulators::start(&["cms:page=50,spaces=50"]);
    assert_eq!(page(&again, 0, 50).0, ids, "another run has the same spaces");
}

#[test]
fn the_names_hold_what_has_broken_other_readers() {
    let simulators = Simulators::start(&["cms"]);
    let answer = get(&simulators, "COSPACES");
    assert!(answer.text().contains("R&amp;D") && answer.text().contains("Caf&#233;"));
    let names: Vec<String> = (1..=8)
        .map(|n| answer.xpath(&format!("string(//coSpace[{n}]/name)")))
        .collect();
    assert_eq!(
        names,
        [
            "R&D Atrium 0",
            "Café Nord 1: planning, weekly",
            "",
            "Lena O'Hara <space> 3",
            "",
            "first line 5\nsecond: line, \"quoted\"",
            "Zoë & Co 6",
            "Room 7"
        ]
    );
    assert_eq!(answer.xpath("count(//coSpace[3]/name | //coSpace[3]/uri)"), "0");
    assert_eq!(answer.xpath("count(//coSpace[5]/name)"), "1");
}

#[test]
fn a_space_alone_has_its_secrets_and_an_unknown_one_is_not_there() {
    let simulators = Simulators::start_with(&["--canary", "canary-77"], &["cms"]);
    let list = get(&simulators, "coSpaces");
    assert!(!list.text().contains("canary"));
    let id = list.xpath("string(//coSpace[1]/@id)");
    let space = get(&simulators, &format!("coSpaces/{id}"));
    assert_eq!(space.xpath("string(/coSpace/secret)"), "canary-77");
    assert_eq!(space.xpath("string(/coSpace/passcode)"), "canary-77");
    assert_eq!(space.xpath("string(/coSpace/name)"), "R&D Atrium 0");
    for unknown in ["11111111-0000-4000-8000-000000000000", "x", "%20"] {
        let path = format!("/api/v1/coSpaces/{unknown}");
        let answer = Get::of(&simulators, "CMS1", &path).expect(404);
        assert_eq!(answer.xpath("count(/failureDetails/coSpaceDoesNotExist)"), "1");
    }
    let answer = Get::of(&simulators, "CMS1", "/api/v1/toasters").expect(404);
    assert_eq!(answer.xpath("count(/failureDetails/unrecognizedObject)"), "1");
}

#[test]
fn without_the_password_there_is_an_empty_401() {
    let simulators = Simulators::start(&["cms"]);
    for get in [
        Get::of(&simulators, "CMS1", "/api/v1/coSpaces").without_password(),
        Get::of(&simulators, "CMS1", "/api/v1/coSpaces").password("wrong"),
    ] {
        let answer = get.expect(401);
        assert_eq!(answer.header("WWW-Authenticate"), Some("Basic realm=\"acano\""));
        assert!(answer.octets.is_empty());
    }
}

/// Whoever trusts the total misses spaces, and cannot know it from one pass.
#[test]
fn spaces_move_between_the_pages_while_they_are_read() {
    let simulators = Simulators::start(&["cms:page=5,spaces=40,moving=2"]);
    let ids = read_through(&simulators);
    let (_, total) = page(&simulators, 0, 1);
    assert_eq!(total, 40);
    assert!(distinct(&ids) >= 36 && ids.len() == 40, "{ids:?}");
    let end = page(&simulators, 35, 5).0;
    assert!(!ids.contains(end.last().unwrap()), "a new last one came");

    let simulators = Simulators::start(&["cms:page=5,spaces=40,moving-once=1"]);
    read_through(&simulators);
    let (second, third) = (read_through(&simulators), read_through(&simulators));
    assert_eq!(
        (distinct(&second), &second),
        (40, &third),
        "it stands still after the first pass"
    );
}

#[test]
fn the_total_shrinks_while_it_is_read() {
    let simulators = Simulators::start(&[
        "cms:page=5,spaces=40,shrinking=1",
        "cms:page=5,spaces=40,shrinking-once=2",
    ]);
    let totals: Vec<usize> = (0..3).map(|_| page(&simulators, 0, 5).1).collect();
    assert_eq!(totals, [40, 39, 38]);
    let total = |offset: usize| {
        let path = format!("/api/v1/coSpaces?offset={offset}");
        let answer = Get::of(&simulators, "CMS2", &path).ok();
        answer.xpath("string(/coSpaces/@total)")
    };
    assert_eq!(
        [0, 5, 10, 38, 0, 0, 0].map(total),
        ["40", "40", "39", "39", "39", "39", "39"]
    );
}

#[test]
fn the_history_of_usage_is_newest_first_and_both_ends_are_in_it() {
    let simulators = Simulators::start(&[
        "cms:now=2026-01-15T09:31:00Z,page=300,hosts=2,version=3.0,retention=1days",
        "cms:now=2026-01-15T09:31:00Z",
    ]);
    let host = get(&simulators, "system/status").xpath("string(/status/hostId)");
    let hosts = texts(&get(&simulators, "system/MPLicenseUsage/knownHosts"), "host/@id");
    assert_eq!((hosts.len(), &hosts[0]), (2, &host));
    let usage = |query: &str| get(&simulators, &format!("system/MPLicenseUsage?hostId={host}&{query}"));
    let times = |query: &str| texts(&usage(query), "entry/@time");
    let all = times("limit=1000");
    assert_eq!(all.len(), 288, "a day of five minutes");
    assert_eq!(
        (all[0].as_str(), all[1].as_str()),
        ("2026-01-15T09:30:04Z", "2026-01-15T09:25:04Z")
    );
    let both = "startTime=2026-01-15T09:20:04Z&endTime=2026-01-15T09:25:04Z";
    assert_eq!(times(both), ["2026-01-15T09:25:04Z", "2026-01-15T09:20:04Z"]);
    let inside = "startTime=2026-01-15T09:20:05Z&endTime=2026-01-15T09:25:03Z";
    assert_eq!(usage(inside).xpath("string(/MPLicenseUsage/@total)"), "0");
    assert_eq!(times("offset=286"), all[286..]);
    assert_eq!(times("startTime=2020-01-01T00%3A00%3A00%2B01%3A00").len(), 288);
    let text = usage("").text();
    assert!(
        text.contains("<pmpAssigned>120.00</pmpAssigned>") && !text.contains(">0.00<"),
        "{text}"
    );
    assert!(text.contains("Z\"/>"), "an idle moment is an empty entry");
    let both_hosts = get(&simulators, "system/MPLicenseUsage");
    assert_eq!(both_hosts.xpath("string(/MPLicenseUsage/@total)"), "576");
    let answer = Get::of(&simulators, "CMS1", "/api/v1/system/MPLicenseUsage?startTime=yesterday").expect(400);
    assert_eq!(answer.xpath("count(/failureDetails/parameterError)"), "1");
    let other = Get::of(&simulators, "CMS2", "/api/v1/system/MPLicenseUsage").ok();
    assert_eq!(other.xpath("string(/MPLicenseUsage/@total)"), (90 * 288).to_string());
    assert!(!other.text().contains("pmpAssigned"));
}

#[test]
fn the_clock_is_the_devices_own() {
    let simulators = Simulators::start(&["cms:now=2026-01-15T09:31:00Z", "cms:now=2026-01-15T09:31:00Z,date=-90s"]);
    for (name, date, time) in [
        ("CMS1", "Thu, 15 Jan 2026 09:31:00 GMT", "2026-01-15T09:31:00Z"),
        ("CMS2", "Thu, 15 Jan 2026 09:29:30 GMT", "2026-01-15T09:29:30Z"),
    ] {
        let answer = Get::of(&simulators, name, "/api/v1/system/status").ok();
        assert_eq!(answer.header("Date"), Some(date));
        assert_eq!(answer.xpath("string(/status/cdrTime)"), time);
    }
    let licensing = get(&simulators, "system/multipartyLicensing");
    assert_eq!(licensing.xpath("string(//weightedCallsActive)"), "2.000");
}

/// A billing system with thousands of spaces asks for thousands of pages: the simulator must not be what is measured.
#[test]
fn many_pages_are_served_over_one_connection() {
    let simulators = Simulators::start(&["cms:spaces=50000"]);
    let path = "/api/v1/coSpaces?limit=20&offset=[0-49980:20]";
    let begun = std::time::Instant::now();
    let answer = Get::of(&simulators, "CMS1", path).arguments(&["-o", "/dev/null"]).run();
    let took = begun.elapsed();
    assert_eq!(answer.exit, 0);
    let requests = simulators.requests("CMS1");
    assert_eq!(requests.len(), 2500);
    assert!(
        requests
            .iter()
            .all(|request| request["connection"] == 1 && request["status"] == 200)
    );
    super::support::say(&format!("2,500 pages of 20 in {} ms", took.as_millis()));
}

#[test]
fn a_list_may_lie_about_its_total_and_repeat_its_first_page() {
    let simulators = Simulators::start(&["cms:total=7,spaces=30", "cms:stuck,spaces=30"]);
    let (ids, total) = page(&simulators, 0, 100);
    assert_eq!((ids.len(), total), (20, 7));
    assert_eq!(page(&simulators, 20, 100).0.len(), 10);
    let at = |offset: usize| {
        let path = format!("/api/v1/coSpaces?offset={offset}");
        texts(&Get::of(&simulators, "CMS2", &path).ok(), "coSpace/@id")
    };
    assert!(at(0) == at(20) && at(0).len() == 20);
}

#[test]
fn a_space_may_be_gone_when_it_is_asked_for_alone() {
    let simulators = Simulators::start(&["cms:deleted=2"]);
    let ids = page(&simulators, 0, 100).0;
    let answer = |n: usize| Get::of(&simulators, "CMS1", &format!("/api/v1/coSpaces/{}", ids[n])).run();
    assert_eq!((answer(0).status, answer(1).status), (404, 200));
}

#[test]
fn odd_ids_are_found_when_they_are_escaped() {
    let simulators = Simulators::start(&["cms:odd-ids,spaces=10"]);
    let ids = page(&simulators, 0, 100).0;
    assert_eq!((ids.len(), distinct(&ids)), (10, 10));
    for (escaped, id) in [("case", "case"), ("CASE", "CASE"), ("a%20b%2Bc%252%30%32", "a b+c%202")] {
        let space = get(&simulators, &format!("coSpaces/{escaped}"));
        assert_eq!(space.xpath("string(/coSpace/@id)"), id);
    }
}

#[test]
fn a_path_may_be_refused_and_a_server_may_be_nameless() {
    let simulators = Simulators::start(&["cms:refuse=400/someCode@System/Multi,nameless"]);
    let refused = Get::of(&simulators, "CMS1", "/api/v1/system/multipartyLicensing").run();
    assert_eq!(refused.status, 400);
    assert_eq!(refused.xpath("count(/failureDetails/someCode)"), "1");
    assert_eq!(get(&simulators, "system/status").xpath("count(/status/hostId)"), "0");
}

#[test]
fn a_history_may_have_an_entry_of_any_time() {
    let simulators = Simulators::start(&["cms:stray=9999-12-31T23:59:59Z"]);
    let history = get(&simulators, "system/MPLicenseUsage?limit=5");
    assert_eq!(history.xpath("count(//entry[@time='9999-12-31T23:59:59Z'])"), "1");
}
