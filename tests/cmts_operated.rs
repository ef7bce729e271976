//! CMTSs in the hands of an operator: the program itself against net-snmp's agent, and an application that was written
//! for a CMTS.

#[path = "cmts/agent.rs"]
mod agent;
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use agent::Agent;
use support::{
    binary::{Place, Ran, names},
    free_port,
    snmptrapd::Snmptrapd,
};

const FIRST: &str = "uptime-600000.snmprec";
const SECOND: &str = "uptime-600900.snmprec";
const LIMIT: Duration = Duration::from_secs(10);

/// How a CMTS names and announces its documents.
const AS_A_CMTS: &str = "[recorder]\nhostname = \"cmts1\"\n[spool]\nextension = \"\"\n\
                         [document]\nprofile = \"cisco-samis\"\n[snmp]\nfilesystem = \"disk0:\"\n";

fn source(name: &str, port: u16, more: &str) -> String {
    format!("[[source]]\ntype = \"cmts\"\nname = \"{name}\"\naddress = \"127.0.0.1\"\nport = {port}\n{more}")
}

fn v2c(name: &str, port: u16) -> String {
    source(name, port, &format!("community = \"{}\"\n", agent::COMMUNITY))
}

/// One that gives up soon.
fn impatient(name: &str, port: u16, community: &str) -> String {
    let soon = "answer-timeout = \"1s\"\nretries = 0\n";
    source(name, port, &format!("community = \"{community}\"\n{soon}"))
}

fn v3(name: &str, port: u16, auth_password: &str) -> String {
    let keys = format!(
        "version = \"3\"\nuser = \"{}\"\nauth-password = \"{auth_password}\"\nprivacy-password = \"{}\"\n\
         answer-timeout = \"5s\"\nretries = 0\n",
        agent::USER,
        agent::PRIVACY_PASSWORD
    );
    source(name, port, &keys)
}

fn text_of(document: &Path) -> String {
    fs::read_to_string(document).unwrap()
}

const INTERIM: u32 = 1;
const STOP: u32 = 2;

fn doc_id(document: &str) -> String {
    let behind = document.split("docId=\"").nth(1).unwrap();
    behind.split('"').next().unwrap().to_owned()
}

fn notify(manager: &Snmptrapd) -> String {
    let port = manager.port;
    format!("[[notify]]\naddress = \"127.0.0.1:{port}\"\ncommunity = \"public\"\n")
}

fn records(document: &str, rec_type: u32) -> usize {
    document.matches(&format!("<RecType>{rec_type}</RecType>")).count()
}

/// The agent shows a CMTS that has run for 600,000 s at first, and for 600,900 s then.
fn at(place: &Place, clock: &str, arguments: &[&str]) -> Ran {
    place.run_under(&["faketime", "-f", &format!("@2026-01-08 {clock}")], arguments)
}

const EARLY: &str = "00:00:00";
const LATE: &str = "00:15:00";

/// The documents that a capture has offered, by their path.
fn offered(place: &Place, ran: &Ran) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = ran.stdout.lines().map(|line| place.path().join(line)).collect();
    paths.sort();
    paths
}

fn name_of(document: &Path) -> &str {
    document.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_document_is_captured_announced_fetched_and_deleted_as_from_a_cmts() {
    let (agent, manager, place) = (Agent::start(FIRST, ""), Snmptrapd::start(), Place::new());
    let notify = notify(&manager);
    place.configure(&format!("{AS_A_CMTS}{}{notify}", v2c("cmts1", agent.port)));

    let first = offered(&place, &at(&place, EARLY, &["capture"]).expect(0)).remove(0);
    let name = name_of(&first);
    assert_eq!(name, "cmts1-20260108-000000", "no extension");
    let trap = manager.wait_for(&format!("disk0:{name}"), LIMIT);
    let bindings: Vec<&str> = trap.split('\t').skip(3).collect();
    let expected = [
        "sysUpTime",
        "snmpTrapOID",
        "ccmtrCollectionStatus",
        "ccmtrCollectionDestination",
        "ccmtrCollectionTimestamp",
    ];
    assert!(
        bindings.len() == expected.len() && bindings.iter().zip(expected).all(|(is, name)| is.contains(name)),
        "{trap}"
    );
    assert!(
        trap.contains("ccmtrCollectionNotification") && trap.contains("success(2)"),
        "{trap}"
    );

    // While it lies there no other is made.
    agent.show(SECOND);
    at(&place, LATE, &["capture"]).expect(75);
    let fetched = text_of(&first);
    assert!(
        !fetched.contains("DocumentInformation"),
        "the collector knows the CMTS's records only"
    );
    assert!(records(&fetched, INTERIM) > 30);
    assert_eq!(records(&fetched, STOP), 2, "the log has two ended flows");
    fs::remove_file(&first).unwrap();

    let second = offered(&place, &at(&place, LATE, &["capture"]).expect(0)).remove(0);
    assert_eq!(records(&text_of(&second), STOP), 2, "two more have ended since");
    manager.wait_for(name_of(&second), LIMIT);
    assert_eq!(
        manager
            .lines()
            .iter()
            .filter(|line| line.contains("success(2)"))
            .count(),
        2
    );
    place.run(&["verify", second.to_str().unwrap()]).expect(0);
}

#[test]
fn two_cmts_in_one_document_and_one_of_them_dead_is_said() {
    let (agent, place) = (Agent::start(FIRST, ""), Place::new());
    let dead = impatient("dead", free_port(), agent::COMMUNITY);
    place.configure(&format!("{}{dead}", v2c("alive", agent.port)));
    let ran = place.run(&["capture"]).expect(69);
    assert!(ran.stderr.contains("source dead failed: 127.0.0.1"), "{ran:?}");
    let document = offered(&place, &ran).remove(0);
    let information = place.information(&document);
    let sources = information["sourceStatus"].to_string();
    assert!(
        sources.contains("alive") && sources.contains("dead") && sources.contains("failed"),
        "{information}"
    );
    assert_eq!(records(&text_of(&document), STOP), 2);
}

const EACH: &str = "[capture]\ndocuments = \"each\"\n";

#[test]
fn each_cmts_has_a_drop_box_of_its_own() {
    let (one, two) = (Agent::start(FIRST, ""), Agent::start(FIRST, ""));
    let (manager, place) = (Snmptrapd::start(), Place::new());
    let second = v3("cmts2", two.port, agent::AUTH_PASSWORD) + "hostname = \"R7519-UBR7246\"\n";
    let everything = [
        "[spool]\nextension = \"\"\n[document]\nprofile = \"cisco-samis\"\n".to_owned(),
        EACH.to_owned(),
        v2c("cmts1", one.port),
        second,
        notify(&manager),
    ];
    place.configure(&everything.concat());
    place.run(&["check"]).expect(0);
    let documents = offered(&place, &at(&place, EARLY, &["capture"]).expect(0));
    let expected = ["cmts1/cmts1-20260108-000000", "cmts2/R7519-UBR7246-20260108-000000"];
    let within = |document: &PathBuf| document.strip_prefix(place.spool()).unwrap().to_owned();
    assert_eq!(
        documents.iter().map(within).collect::<Vec<_>>(),
        expected.map(PathBuf::from)
    );
    assert_eq!(names(&place.spool()), ["cmts1", "cmts2"], "nothing else lies there");
    for name in ["cmts1-2026", "R7519-UBR7246-2026"] {
        manager.wait_for(name, LIMIT);
    }
    let ids: Vec<String> = documents.iter().map(|document| doc_id(&text_of(document))).collect();
    assert_ne!(ids[0], ids[1], "in the same second");

    // One is fetched: its next document is made, the other still waits.
    fs::remove_file(&documents[0]).unwrap();
    one.show(SECOND);
    two.show(SECOND);
    let ran = at(&place, LATE, &["capture"]).expect(75);
    let after = offered(&place, &ran);
    assert_eq!(
        after.iter().map(within).collect::<Vec<_>>(),
        [PathBuf::from("cmts1/cmts1-20260108-001500")]
    );
    assert!(
        ran.stderr.contains("billdrop: cmts2: spool/cmts2/R7519") && !ran.stderr.contains("cmts1-2026"),
        "{ran:?}"
    );
    assert_eq!(records(&text_of(&after[0]), STOP), 2, "those that ended since");

    let status = place.run(&["status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["cmts1"]["last"]["sequence"], 2, "{status}");
    assert_eq!(status["cmts2"]["skipped_captures"], 1, "{status}");
    let shown = place.run(&["status"]).expect(0).stdout;
    assert!(
        shown.starts_with("cmts1:\n") && shown.contains("\n\ncmts2:\n"),
        "{shown}"
    );
    let only = place.run(&["status", "--drop-box", "cmts2", "--json"]).expect(0).stdout;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&only).unwrap()["skipped_captures"],
        1
    );
    place.run(&["release"]).expect(64);
    place.run(&["--drop-box", "cmts2", "release"]).expect(0);
    place.run(&["--drop-box", "cmts3", "status"]).expect(64);
}

#[test]
fn one_that_is_dead_costs_the_other_nothing() {
    let (agent, place) = (Agent::start(FIRST, ""), Place::new());
    let dead = impatient("dead", free_port(), agent::COMMUNITY);
    place.configure(&format!("{EACH}{dead}{}", v2c("alive", agent.port)));
    let ran = place.run(&["capture"]).expect(69);
    assert!(
        ran.stderr.contains("billdrop: dead: no source gave any usage"),
        "{ran:?}"
    );
    let documents = offered(&place, &ran);
    assert!(
        documents.len() == 1 && documents[0].starts_with(place.spool().join("alive")),
        "{ran:?}"
    );
    let gaps = place.run(&["gaps", "--json"]).expect(0).stdout;
    let gaps: serde_json::Value = serde_json::from_str(&gaps).unwrap();
    assert!(gaps["dead"].to_string().contains("source-failed"), "{gaps}");
    assert!(!gaps["alive"].to_string().contains("source-failed"), "{gaps}");
}

#[test]
fn records_of_docsis_3_0_are_written_where_they_are_wanted() {
    let agent = Agent::start(FIRST, "");
    for (records, definition) in [("1", "DOCSIS-SAMIS-TYPE-1"), ("2", "DOCSIS-SAMIS-TYPE-2")] {
        let place = Place::new();
        place.configure(&format!(
            "{}records = \"samis-type-{records}\"\n",
            v2c("cmts1", agent.port)
        ));
        let ran = place.run(&["capture"]).expect(0);
        let document = offered(&place, &ran).remove(0);
        let shown = place.shown(&document);
        let of_flows = |record: &&serde_json::Value| record["recordType"] == definition;
        // One more than of DOCSIS 2.0: a multicast flow, which is of no modem.
        let records = shown["records"].as_array().unwrap();
        assert_eq!(records.iter().filter(of_flows).count(), 43);
        place.run(&["verify", document.to_str().unwrap()]).expect(0);
    }
}

#[test]
fn the_options_of_the_cmts_are_obeyed() {
    let (agent, place) = (Agent::start(FIRST, ""), Place::new());
    let options = "flow-aggregate = true\ncpe-list-suppress = true\nsource-address = \"192.0.2.1\"\n";
    place.configure(&format!("{AS_A_CMTS}{}{options}", v2c("cmts1", agent.port)));
    let ran = place.run(&["capture"]).expect(0);
    let text = text_of(&offered(&place, &ran)[0]);
    let modems: Vec<&str> = text.split("<CMmacAddress>").skip(1).map(|rest| &rest[..17]).collect();
    let count = modems.len();
    let of_most = modems
        .iter()
        .map(|mac| modems.iter().filter(|other| other == &mac).count())
        .max();
    assert!(count < 42 && of_most.unwrap() <= 4, "up and down, active and ended");
    for element in [
        "<CMTSipAddress>192.0.2.1</CMTSipAddress>",
        "<CMCPEipAddress></CMCPEipAddress>",
        "<serviceIdentifier>0</serviceIdentifier>",
        "<serviceClassName></serviceClassName>",
    ] {
        assert_eq!(text.matches(element).count(), count, "{element}");
    }
}

#[test]
fn entries_of_the_log_are_released_when_a_document_has_them_and_never_in_a_preview() {
    let agent = Agent::start(FIRST, "rwcommunity writer 127.0.0.1");
    let place = Place::new();
    let release = "release-log = true\nwrite-community = \"writer\"\n";
    place.configure(&(v2c("cmts1", agent.port) + release));
    let run = |clock, arguments: &[&str]| {
        let ran = at(&place, clock, &[&["-v"], arguments].concat()).expect(0);
        let released = ran
            .stderr
            .lines()
            .find(|line| line.contains(" of the log are released"));
        (
            ran.stdout.clone(),
            released.map(|line| line.split_whitespace().nth(4).unwrap().to_owned()),
        )
    };
    let capture = |clock| {
        let (path, released) = run(clock, &["capture"]);
        let document = place.path().join(path.trim_end());
        let stops = records(&text_of(&document), STOP);
        fs::remove_file(document).unwrap();
        (stops, released)
    };
    assert_eq!(capture(EARLY), (2, None), "no document has them yet");
    assert_eq!(run(EARLY, &["capture", "--dry-run"]).1, None);
    assert_eq!(run(EARLY, &["check"]).1, None);
    agent.show(SECOND);
    assert_eq!(capture(LATE), (2, Some("2".to_owned())), "those of the first document");
    assert_eq!(capture("00:15:01"), (0, Some("2".to_owned())), "those of the second");
    assert_eq!(capture("00:15:02"), (0, None), "none is left");

    // Who may not write says so, and the document is whole.
    agent.show(FIRST);
    place.configure(&(v2c("cmts1", agent.port) + &release.replace("writer", agent::COMMUNITY)));
    let (refused, document) = (Place::new(), |ran: Ran| ran.stdout.trim_end().to_owned());
    refused.configure(&fs::read_to_string(place.path().join("billdrop.toml")).unwrap());
    let first = document(at(&refused, EARLY, &["capture"]).expect(0));
    fs::remove_file(refused.path().join(first)).unwrap();
    let ran = at(&refused, "00:00:01", &["-v", "capture"]).expect(0);
    assert!(
        ran.stderr
            .contains("entries of the log of ended flows are not released"),
        "{ran:?}"
    );
}

#[test]
fn wrong_credentials_are_said_and_never_shown() {
    let (agent, place) = (Agent::start(FIRST, ""), Place::new());
    for source in [
        impatient("cmts1", agent.port, "sesame99"),
        v3("cmts1", agent.port, "sesame99"),
    ] {
        place.configure(&source);
        for command in [&["capture"][..], &["check"], &["-vv", "capture", "--dry-run"]] {
            let ran = place.run(command).expect(69);
            assert!((ran.stdout.clone() + &ran.stderr).contains("127.0.0.1"), "{ran:?}");
            assert!(!format!("{ran:?}").contains("sesame99"), "{ran:?}");
        }
    }
    // A secret that is not there costs the source, not the capture.
    place.configure(&source("cmts1", agent.port, "community = { file = \"missing\" }\n"));
    let ran = place.run(&["capture"]).expect(69);
    assert!(
        ran.stderr.contains("source cmts1 failed: secret file missing"),
        "{ran:?}"
    );
}

#[test]
fn version_3_is_read_as_version_2c() {
    let (agent, place) = (Agent::start(FIRST, ""), Place::new());
    let of = |source: String| {
        place.configure(&source);
        let ran = place.run(&["capture", "--dry-run"]).expect(0);
        ran.stdout.lines().next().unwrap().to_owned()
    };
    let v2c = of(v2c("cmts1", agent.port));
    assert!(v2c.contains(" 42 records, complete"), "{v2c}");
    assert_eq!(v2c, of(v3("cmts1", agent.port, agent::AUTH_PASSWORD)));
}

#[test]
fn what_cannot_stand_beside_documents_of_its_own_is_refused_with_its_line() {
    let place = Place::new();
    let refused = |more: &str, said: &str| {
        place.configure(&format!("{EACH}{}{more}", v2c("cmts1", 161)));
        let ran = place.run(&["capture"]).expect(78);
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    };
    refused("[[source]]\ntype = \"linux\"\n", "source[1].type: [capture] documents");
    refused(&v2c("a/b", 161), "source[1].name: is that of a directory");
    refused(
        &(v2c("cmts2", 161) + "hostname = \"cmts1\"\n"),
        "billdrop.toml:15: source[1].hostname: \"cmts1\" is that of an",
    );
    refused(
        "[stream]\nprimary = { address = \"192.0.2.1:5300\", security = \"non-secure\" }\n",
        "stream: and [capture]",
    );
    refused(
        "[snmp]\nengine-id = \"0x80001f8803525400c0ffee\"\n",
        "snmp.engine-id: two drop-boxes",
    );
    place.configure(EACH);
    place.run(&["capture"]).expect(78);
    place.configure(&v2c("cmts1", 161));
    place.run(&["--drop-box", "cmts1", "status"]).expect(64);
}
