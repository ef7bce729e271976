//! Documents of 1,000 modems, read by programs that nobody here wrote, and compared with what the simulated CMTS was made of.

#[path = "cmts/agent.rs"]
mod agent;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use agent::Agent;
use support::binary::{Place, ran};

const POLLS: [(u32, &str); 3] = [(600_000, "00:00:00"), (600_900, "00:15:00"), (601_800, "00:30:00")];

/// A record without what all records of a document have in common: RecType, MAC, SFID, direction, octets, packets, drops,
/// delays, created, active, class.
type Usage = Vec<String>;

/// A CMTS of 1,000 modems at one moment: the objects that its agent shows, and its usage.
fn poll(directory: &Path, family: &str, uptime: u32) -> (PathBuf, Vec<Usage>) {
    let (rows, usage) = (directory.join("next-rows"), directory.join("usage"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmts/make_rows.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).args([&rows, &usage]);
    ran(python.args(["--family", family, "--uptime", &uptime.to_string()])).expect(0);
    let text = fs::read_to_string(&usage).unwrap();
    let usage = text.lines().map(|line| line.split('\t').map(str::to_owned).collect());
    (rows, usage.collect())
}

fn source(port: u16, version: &str) -> String {
    let how = match version {
        "2c" => format!("community = \"{}\"\n", agent::COMMUNITY),
        _ => format!(
            "user = \"{}\"\nauth-password = \"{}\"\nprivacy-password = \"{}\"\n",
            agent::USER,
            agent::AUTH_PASSWORD,
            agent::PRIVACY_PASSWORD
        ),
    };
    format!(
        "[[source]]\ntype = \"cmts\"\naddress = \"127.0.0.1\"\nport = {port}\nversion = \"{version}\"\n\
         most-requests-per-second = 100000\nanswer-timeout = \"1m\"\n{how}"
    )
}

fn configure(place: &Place, profile: &str, source: &str) {
    place.configure(&format!(
        "[spool]\nextension = \"\"\n[document]\nprofile = \"{profile}\"\n{source}"
    ));
}

fn capture(place: &Place, clock: &str) -> PathBuf {
    let ran = place.run_under(&["faketime", "-f", &format!("@2026-01-08 {clock}")], &["capture"]);
    place.path().join(ran.expect(0).stdout.trim_end())
}

/// The usage of a document as this project's own reader has it.
fn usage_of(place: &Place, document: &Path) -> Vec<Usage> {
    const FIELDS: [&str; 11] = [
        "RecType",
        "CMmacAddress",
        "serviceIdentifier",
        "serviceDirection",
        "serviceOctetsPassed",
        "servicePktsPassed",
        "serviceSlaDropPkts",
        "serviceSlaDelayPkts",
        "serviceTimeCreated",
        "serviceTimeActive",
        "serviceClassName",
    ];
    let shown = place.shown(document);
    let records = shown["records"].as_array().unwrap();
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let record = |record: &serde_json::Value| FIELDS.iter().map(|field| text(&record[field])).collect();
    records.iter().map(record).collect()
}

fn assert_three_documents_have_everything(family: &str, version: &str) {
    let (directory, place) = (tempfile::tempdir().unwrap(), Place::new());
    let (rows, _) = poll(directory.path(), family, POLLS[0].0);
    let agent = Agent::start(rows.to_str().unwrap(), "");
    configure(&place, "cisco-samis", &source(agent.port, version));
    let mut told = BTreeSet::new();
    for (uptime, clock) in POLLS {
        let (rows, mut due) = poll(directory.path(), family, uptime);
        agent.show(rows.to_str().unwrap());
        let document = capture(&place, clock);
        // The log keeps what an earlier document has told.
        due.retain(|usage| usage[0] == "1" || told.insert(usage.clone()));
        let mut given = usage_of(&place, &document);
        assert!(
            due.len() > 2900 && due.iter().any(|usage| usage[0] == "2"),
            "{}",
            due.len()
        );
        due.sort();
        given.sort();
        for (given, due) in given.iter().zip(&due) {
            assert_eq!(given, due, "{family}, version {version}, {uptime}");
        }
        assert_eq!(given.len(), due.len());
        assert_valid(&document);
        fs::remove_file(document).unwrap();
    }
    let stopped: BTreeSet<&String> = told.iter().map(|usage| &usage[2]).collect();
    assert!(
        stopped.len() == told.len() && told.len() > 55,
        "each once: {}",
        told.len()
    );
}

fn assert_valid(document: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/schema/billdrop.xsd");
    let mut xmllint = Command::new("xmllint");
    xmllint
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg(document);
    ran(&mut xmllint).expect(0);
}

#[test]
fn every_counter_of_a_docsis_3_0_cmts_is_in_its_document_by_version_2c() {
    assert_three_documents_have_everything("qos3", "2c");
}

#[test]
fn every_counter_of_a_docsis_3_0_cmts_is_in_its_document_by_version_3() {
    assert_three_documents_have_everything("qos3", "3");
}

#[test]
fn every_counter_of_a_docsis_2_0_cmts_is_in_its_document_by_version_2c() {
    assert_three_documents_have_everything("ietf", "2c");
}

#[test]
fn every_counter_of_a_docsis_2_0_cmts_is_in_its_document_by_version_3() {
    assert_three_documents_have_everything("ietf", "3");
}

fn sums(usage: &[Usage]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for usage in usage.iter().filter(|usage| usage[0] == "1") {
        *sums.entry(usage[1].clone()).or_default() += usage[4].parse::<u64>().unwrap();
    }
    sums
}

#[test]
fn other_readers_find_the_same_octets_of_each_modem() {
    let (directory, place) = (tempfile::tempdir().unwrap(), Place::new());
    let (rows, due) = poll(directory.path(), "qos3", POLLS[0].0);
    let agent = Agent::start(rows.to_str().unwrap(), "");
    configure(&place, "cisco-samis-3.5", &source(agent.port, "2c"));
    let document = capture(&place, POLLS[0].1);
    let due = sums(&due);
    assert_eq!(due.len(), 999, "all but the modem that is offline");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmts/read_sax.py");
    let sax = ran(Command::new("/usr/bin/python3").arg(script).arg(&document)).expect(0);
    let read = sax.stdout.lines().map(|line| line.split_once(' ').unwrap());
    let read: BTreeMap<String, u64> = read
        .map(|(mac, octets)| (mac.to_owned(), octets.parse().unwrap()))
        .collect();
    assert_eq!(read, due);

    let text = fs::read_to_string(&document).unwrap();
    let mut read = BTreeMap::new();
    for fields in read_as_a_collector(&text)
        .iter()
        .filter(|fields| fields["RecType"] == "1")
    {
        *read.entry(fields["CMmacAddress"].to_owned()).or_default() +=
            fields["serviceOctetsPassed"].parse::<u64>().unwrap();
    }
    assert_eq!(read, due);
    assert_valid(&document);
}

/// The records that the Cisco part of the CPAN module IPDR (0.41) finds, which is no XML parser: it cuts the text at
/// certain marks, wants each record's element names at the places where a router writes them, and leaves out, without a
/// word, records that have too few of them or no direction. This follows what that module expects, not its code.
fn read_as_a_collector(text: &str) -> Vec<BTreeMap<&str, &str>> {
    let parts: Vec<&str> = text.split("<IPDRDoc").collect();
    let [_, body, end] = parts[..] else {
        panic!("a header and an end: {}", parts.len())
    };
    let attribute = |part: &'static str, name: &str| {
        let behind = part
            .split(&format!("{name}=\""))
            .nth(1)
            .unwrap_or_else(|| panic!("{name}"));
        behind.split('"').next().unwrap()
    };
    let (body, end): (&'static str, &'static str) = (leak(body), leak(end));
    assert!(!attribute(end, "endTime").is_empty() && attribute(end, "count").parse::<u64>().is_ok());
    for name in [
        "docId",
        "creationTime",
        "IPDRRecorderInfo",
        "xmlns",
        "xmlns:xsi",
        "xsi:schemaLocation",
    ] {
        assert!(!attribute(body, name).is_empty(), "{name}");
    }
    // By 3.1 it looks for the names of before IOS 12.3(17a)BC.
    assert_eq!(attribute(body, "version"), "3.5");
    let mut found = Vec::new();
    for record in body.split("<IPDR ").skip(1) {
        let (head, elements) = record.split_once("\">").unwrap();
        assert_eq!(head, "xsi:type=\"DOCSIS-Type");
        // What stands between the end of one element and that of the next: one begin, and nothing else.
        let between = elements.split("</").filter_map(|piece| piece.split('<').nth(1));
        let fields: BTreeMap<&str, &str> = between
            .map(|piece| piece.split_once('>').unwrap_or((piece, "")))
            .collect();
        assert!(fields.len() >= 22, "{fields:?}");
        assert!(["1", "2"].contains(&fields["serviceDirection"]), "{fields:?}");
        found.push(fields);
    }
    assert_eq!(found.len().to_string(), attribute(end, "count"));
    found
}

/// For as long as the test runs.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}
