//! Devices that answer what no device should: each is refused within its limits, in a sentence that says what is wrong,
//! and the devices beside it are captured as if it were not there.

mod support;

use std::{
    fs,
    net::UdpSocket,
    time::{Duration, Instant},
};

use support::{
    captured::{Shown, Site, documents, private},
    namespace,
};

/// Of one conversation, where it is waited for.
const LIMIT: Duration = Duration::from_secs(3);
/// How much later the whole capture may be over, on a busy machine.
const SLACK: Duration = Duration::from_millis(1900);
/// Where nothing is to wait for it. A device that is refused at its first octets is over long before.
const FAR: Duration = Duration::from_secs(40);
/// KiB. Twice what an ordinary capture needs, and a fraction of what is sent.
const MEMORY: u64 = 64 << 10;

/// How soon it must be over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Long before the limit: what came was enough to refuse it.
    AtOnce,
    /// At the limit.
    InTime,
}
use When::{AtOnce, InTime};

/// Captures from a CUCM and a CMS with this quirk, and from one of each without.
fn refused(quirk: &str, when: When, cucm: &str, cms: &str) {
    let hostile = ["cucm", "cms"].map(|kind| format!("{kind}:{quirk}"));
    let (limit, most) = match when {
        AtOnce => (FAR, FAR / 2),
        InTime => (LIMIT, LIMIT + SLACK),
    };
    let site = Site::new(
        &[&hostile[0], &hostile[1], "cucm", "cms:spaces=30"],
        &format!("timeout = \"{}s\"", limit.as_secs()),
    );
    let run = site.run(&["capture"]);
    assert_eq!(run.ran.status, 69, "{:?}", run.ran);
    assert!(run.took < most, "{:?}", run.took);
    assert!(run.memory < MEMORY, "{} KiB", run.memory);
    let shown = Shown::of(&site.place, &site.document());
    for (name, sentence) in [("CUCM1", cucm), ("CMS1", cms)] {
        let status = shown.status(name);
        let told = format!("{}{sentence}", site.about(name));
        assert_eq!((status.state.as_str(), status.reason), ("failed", Some(told.clone())));
        assert_eq!(status.records, 0);
        let line = format!("billdrop: source {name} failed: {told}\n");
        assert!(run.ran.stderr.contains(&line), "{}", run.ran.stderr);
    }
    for name in ["CUCM2", "CMS2"] {
        let status = shown.status(name);
        assert_eq!((status.state.as_str(), status.reason), ("complete", None), "{name}");
    }
    assert_eq!(shown.records("LicenseUsage-Type", Some("CUCM2")).count(), 11);
    assert_eq!(shown.records("ConferenceSpace-Type", Some("CMS2")).count(), 30);
}

const VERSION: &str = "its answer to getCCMVersion is not right: ";
const STATUS: &str = "its answer to /api/v1/system/status is not right: ";
const NOTHING: &str = "has answered nothing within 3s; the limit is the device's timeout";
const TOO_SLOW: &str = "has not answered all questions within 3s; the limit is the device's timeout";

#[test]
fn entities_that_expand_to_gigabytes_are_not_expanded() {
    refused(
        "bomb",
        AtOnce,
        &format!("{VERSION}line 1, column 39: a document type declaration is not allowed"),
        &format!("{STATUS}line 1, column 22: a document type declaration is not allowed"),
    );
}

#[test]
fn a_hundred_thousand_levels_are_too_deep() {
    refused(
        "deep",
        AtOnce,
        &format!("{VERSION}line 2, column 337: elements are nested deeper than 16"),
        &format!("{STATUS}line 17, column 46: elements are nested deeper than 16"),
    );
}

#[test]
fn a_list_of_a_gigabyte_is_not_read_to_its_end() {
    let too_long = "its answer is longer than 16 MiB";
    refused("huge=1GB", AtOnce, too_long, too_long);
}

#[test]
fn a_text_of_a_gigabyte_is_not_kept() {
    refused(
        "padded=1GB",
        AtOnce,
        &format!("{VERSION}line 2, column 292: a text, a comment or an element has more than 1048576 octets"),
        &format!("{STATUS}line 16, column 55: a text, a comment or an element has more than 1048576 octets"),
    );
}

#[test]
fn header_lines_without_end_are_cut_off() {
    let sentence = "its answer cannot be understood: message head is too large";
    refused("endless-headers", AtOnce, sentence, sentence);
}

#[test]
fn utf_16_is_not_guessed() {
    let sentence = "line 1, column 1: the text from here on is not UTF-8";
    refused(
        "utf16",
        AtOnce,
        &format!("{VERSION}{sentence}"),
        &format!("{STATUS}{sentence}"),
    );
}

#[test]
fn latin_1_that_says_so_is_refused_by_its_name() {
    let sentence = "line 1, column 1: the encoding ISO-8859-1 is not known, only UTF-8";
    refused(
        "latin1",
        AtOnce,
        &format!("{VERSION}{sentence}"),
        &format!("{STATUS}{sentence}"),
    );
}

/// Names are what it spoils, and those come after the first answer.
#[test]
fn latin_1_that_says_nothing_is_refused_where_it_stands() {
    let site = Site::new(&["cucm:latin1=undeclared", "cms:latin1=undeclared", "cucm", "cms"], "");
    assert_eq!(site.run(&["capture"]).ran.status, 69);
    let shown = Shown::of(&site.place, &site.document());
    for (name, question) in [
        ("CUCM1", "executeSQLQuery"),
        ("CMS1", "/api/v1/coSpaces?offset=0&limit=100"),
    ] {
        let status = shown.status(name);
        let reason = status.reason.unwrap();
        assert!(["failed", "incomplete"].contains(&status.state.as_str()), "{name}");
        assert!(
            reason.contains(&format!("its answer to {question} is not right: line ")),
            "{reason}"
        );
        assert!(reason.contains("the text from here on is not UTF-8"), "{reason}");
    }
    for name in ["CUCM2", "CMS2"] {
        assert_eq!(shown.status(name).state, "complete");
    }
}

#[test]
fn a_body_that_is_shorter_than_announced_is_not_taken_for_whole() {
    let sentence = "the answer broke off: it is shorter than announced";
    refused("truncate=100", AtOnce, sentence, sentence);
}

#[test]
fn tls_that_is_cut_in_the_body_is_not_taken_for_its_end() {
    let sentence = "the answer broke off: the connection was cut";
    refused("cut-tls", AtOnce, sentence, sentence);
}

#[test]
fn garbage_in_place_of_an_answer_is_none() {
    let sentence = "its answer cannot be understood: invalid HTTP version parsed";
    refused("garbage", AtOnce, sentence, sentence);
}

#[test]
fn garbage_without_end_in_the_body_is_not_read_on() {
    refused(
        "garbage=body",
        AtOnce,
        // In place of the page that names the versions (HTTP 599), which is read as a whole.
        "its answer is longer than 1 MiB",
        &format!("{STATUS}line 1, column 1: the text from here on is not UTF-8"),
    );
}

#[test]
fn redirections_are_not_followed() {
    refused(
        "redirect",
        AtOnce,
        "it sends us elsewhere (HTTP 302), which is not followed; is this the address of the publisher?",
        "it sends us elsewhere (HTTP 302), which is not followed; is this the port of the Web Admin?",
    );
}

#[test]
fn a_port_without_tls_gets_no_password() {
    let sentence =
        "what answers does not speak TLS: received corrupt message of type InvalidContentType; is the port right?";
    refused("not-tls", AtOnce, sentence, sentence);
}

#[test]
fn a_body_of_an_octet_a_second_ends_at_the_limit() {
    refused("slow-body=1s", InTime, TOO_SLOW, TOO_SLOW);
}

/// Each octet comes long before any limit that begins anew with it.
#[test]
fn a_body_of_an_octet_now_and_then_ends_at_the_limit() {
    refused("slow-body=20ms", InTime, TOO_SLOW, TOO_SLOW);
}

#[test]
fn who_never_shakes_hands_is_left_at_the_limit() {
    refused("hang=handshake", InTime, NOTHING, NOTHING);
}

#[test]
fn who_never_answers_is_left_at_the_limit() {
    refused("hang", InTime, NOTHING, NOTHING);
}

#[test]
fn who_stops_in_the_body_is_left_at_the_limit() {
    refused("hang-in-body", InTime, TOO_SLOW, TOO_SLOW);
}

/// The time of the answers before counts, too: the limit is one for all.
#[test]
fn who_stops_late_is_left_at_the_limit() {
    let quirk = "answer-after=700ms,hang-in-body,from=3";
    let hostile = ["cucm", "cms"].map(|kind| format!("{kind}:{quirk}"));
    let site = Site::new(
        &[&hostile[0], &hostile[1], "cucm", "cms"],
        &format!("timeout = \"{}s\"", LIMIT.as_secs()),
    );
    let run = site.run(&["capture"]);
    assert_eq!(run.ran.status, 69, "{:?}", run.ran);
    assert!(run.took < LIMIT + SLACK, "{:?}", run.took);
    let shown = Shown::of(&site.place, &site.document());
    for (name, question, after) in [
        ("CUCM1", "licences", "nothing was asked after that"),
        (
            "CMS1",
            "history of licence use",
            "after that nothing was asked of spaces",
        ),
    ] {
        let status = shown.status(name);
        let told = format!("{question}: {}{TOO_SLOW}; {after}", site.about(name));
        assert_eq!((status.state.as_str(), status.reason), ("incomplete", Some(told)));
        assert!(status.records > 0, "{name}: what came stays");
    }
    for name in ["CUCM2", "CMS2"] {
        assert_eq!(shown.status(name).state, "complete", "{name}");
    }
}

#[test]
fn nobody_on_the_port_is_told_at_once() {
    let sentence = "cannot connect: Connection refused (os error 111); does it run, and are address and port right?";
    refused("dead", AtOnce, sentence, sentence);
}

/// The look-up of the system's library cannot be ended; here it would take half a minute.
#[test]
fn a_name_server_that_does_not_answer_costs_no_more_than_the_limit() {
    let name = "a_name_server_that_does_not_answer_costs_no_more_than_the_limit";
    namespace::inside(&["--mount"], name, |_| {
        namespace::ip("link set lo up");
        let site = Site::new(&["cucm", "cms"], &format!("timeout = \"{}s\"", LIMIT.as_secs()));
        let resolver = site.place.path().join("resolv.conf");
        fs::write(&resolver, "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n").unwrap();
        namespace::output("mount", ["--bind", resolver.to_str().unwrap(), "/etc/resolv.conf"]);
        let silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        let list = fs::read_to_string(site.simulators.devices_csv()).unwrap();
        let named = list.replacen("127.0.0.1", "cucm.example.net", 1);
        private(&site.simulators.devices_csv(), &named);

        let begun = Instant::now();
        let run = site.run(&["capture"]);
        assert!(begun.elapsed() < LIMIT + SLACK, "{:?}", run.took);
        silent.set_nonblocking(true).unwrap();
        silent.recv(&mut [0; 512]).expect("the name server was asked");
        assert_eq!(run.ran.status, 69);
        let shown = Shown::of(&site.place, &site.document());
        assert_eq!(
            shown.status("CUCM1").reason.unwrap(),
            format!(
                "cucm.example.net:{}: no name server has told the address of cucm.example.net within 3s",
                site.simulators.port("CUCM1")
            )
        );
        assert_eq!(shown.status("CMS1").state, "complete");
    });
}

#[test]
fn a_name_that_nobody_knows_is_told_as_such_and_one_of_the_hosts_file_is_found() {
    let site = Site::new(&["cucm", "cms"], "timeout = \"20s\"");
    let list = fs::read_to_string(site.simulators.devices_csv()).unwrap();
    let named = list
        .replacen("127.0.0.1", "cucm.invalid", 1)
        .replacen("127.0.0.1", "localhost", 1);
    private(&site.simulators.devices_csv(), &named);
    assert_eq!(site.run(&["capture"]).ran.status, 69);
    let shown = Shown::of(&site.place, &site.document());
    let reason = shown.status("CUCM1").reason.unwrap();
    assert!(
        reason.contains(": the name cucm.invalid cannot be resolved: "),
        "{reason}"
    );
    assert_eq!(shown.status("CMS1").state, "complete", "{:?}", shown.status("CMS1"));
}

/// There is nothing to offer, and nothing is.
#[test]
fn when_all_are_hostile_no_document_is_offered() {
    let site = Site::new(&["cucm:garbage", "cms:bomb"], "");
    let run = site.run(&["capture"]);
    assert_eq!(run.ran.status, 69, "{:?}", run.ran);
    assert_eq!(documents(&site.place), Vec::<std::path::PathBuf>::new());
}
