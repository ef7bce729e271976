//! What is written comes back unchanged, and looks as a CMTS writes it.

mod document_support;

use std::path::{Path, PathBuf};

use billdrop::capture::RecordSink;
use billdrop::config::Profile;
use billdrop::document::{self, Body, Writer, hex};
use billdrop::record::*;
use chrono::{TimeDelta, TimeZone, Utc};
use document_support::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/documents")
        .join(name)
}

#[test]
fn the_sample_of_a_cmts_is_written_again_octet_by_octet() {
    let sample = std::fs::read(fixture("demo-cmts1-20260115-093000.xml")).unwrap();
    let mut reader = reader(&sample);
    let header = reader.header().clone();
    assert_eq!(header.profile, Profile::CiscoSamis);
    let mut body = Body::new(&std::env::temp_dir());
    while let Some(record) = reader.next_record().unwrap() {
        body.push(&record).unwrap();
    }
    let end = reader.end().unwrap();
    assert_eq!(end.count, 2);
    let mut again = Vec::new();
    document::write(&mut again, &header, None, &mut body, end.end_time, true).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(sample).unwrap());
}

#[test]
fn a_document_of_profile_full_looks_like_the_golden_one() {
    let written = document(
        Profile::Full,
        true,
        &[
            interface(2, "eth0", Some("uplink <A> & \"B\"")),
            interface(3, "eth1", None),
        ],
    );
    let path = fixture("full.xml");
    if std::env::var_os("BILLDROP_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let written = String::from_utf8(written).unwrap();
    // The version of the program, and with it the checksum, is that of the day.
    let without = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.contains("recorderSoftware") && !line.contains("sha256:"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without(&written), without(&golden));
}

#[test]
fn names_and_order_of_older_releases_are_read() {
    let octets = std::fs::read(fixture("old-names.xml")).unwrap();
    let records = records(&octets);
    let value = |name: &str| &records[0].values[DOCSIS.field(name).unwrap().0];
    assert_eq!(value("CMTSsysUpTime"), &Value::UnsignedInt(51_840_000));
    assert_eq!(value("CMmacAddress"), &Value::MacAddress([0, 0, 0x5E, 0, 0x53, 0x21]));
    assert_eq!(value("CMdocsisMode"), &text("1.0").into());
    let addresses = ["203.0.113.21", "203.0.113.22"].map(|address| Value::Ipv4(address.parse().unwrap()));
    assert_eq!(value("CMCPEipAddress"), &Value::List(addresses.to_vec()));
    assert_eq!(value("serviceIdentifier"), &Value::UnsignedInt(u32::MAX));
    assert_eq!(value("serviceOctetsPassed"), &Value::UnsignedLong(u64::MAX));
    for absent in ["serviceClassName", "serviceSlaDropPkts", "CMTSupIfName"] {
        assert_eq!(value(absent), &Value::Absent, "{absent}");
    }
    document::verify(&octets[..], Default::default()).unwrap();
}

#[test]
fn what_was_written_is_told() {
    let (octets, written) = written(Profile::Full, true, &[interface(1, "lo", None)]);
    assert_eq!(written.count, 2);
    assert_eq!(written.octets, octets.len() as u64);
    assert_eq!(hex(&written.sha256), hex(&Sha256::digest(&octets)));
}

#[test]
fn the_last_line_is_the_digest_of_all_before_it() {
    let octets = document(Profile::Full, true, &[interface(1, "lo", None)]);
    let whole = String::from_utf8(octets).unwrap();
    let (before, line) = whole.trim_end_matches('\n').rsplit_once('\n').unwrap();
    assert!(before.ends_with("</IPDRDoc>"));
    let digest = hex(&Sha256::digest(format!("{before}\n")));
    assert_eq!(line, format!("<!-- sha256:{digest} -->"));
}

#[test]
fn the_checksum_can_be_had_with_a_shell() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        document(Profile::Full, true, &[interface(1, "lo", Some("ü"))]),
    )
    .unwrap();
    let script = r#"set -e
        is=$(sed '$d' "$1" | sha256sum | cut -d' ' -f1)
        test "$(tail -n 1 "$1")" = "<!-- sha256:$is -->""#;
    let status = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(file.path())
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_collector_that_knows_only_the_cmts_gets_only_what_a_cmts_writes() {
    let octets = document(Profile::CiscoSamis, true, &[interface(1, "lo", None)]);
    let whole = String::from_utf8(octets).unwrap();
    assert!(whole.contains("xsi:schemaLocation=\"DOCSIS-3.1-B.0.xsd\"\n"));
    assert!(whole.contains("<IPDRDoc.End count=\"1\""));
    assert!(whole.ends_with("</IPDRDoc>\n"));
    assert!(!whole.contains(DOCUMENT_INFORMATION.name));
}

#[test]
fn records_of_a_failed_source_are_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut body = Body::new(directory.path());
    body.push(&interface(1, "lo", None)).unwrap();
    let mark = body.mark();
    let octets = body.octets();
    // First so few that they wait in memory, then so many that they have gone to the file.
    for many in [1, 3, 40_000] {
        for index in 0..many {
            body.push(&interface(index, "gone", Some("gone"))).unwrap();
        }
        body.take_back(mark).unwrap();
        assert_eq!((body.count(), body.octets()), (1, octets));
    }
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "the file has no name"
    );
    // So many that they go where the forgotten ones were.
    let others: Vec<Record> = (2..1000).map(|index| interface(index, "eth0", None)).collect();
    for record in &others {
        body.push(record).unwrap();
    }
    let mut out = Vec::new();
    document::write(
        &mut out,
        &header(Profile::CiscoSamis),
        None,
        &mut body,
        created(),
        false,
    )
    .unwrap();
    let mut expected = vec![interface(1, "lo", None)];
    expected.extend(others);
    assert!(records(&out) == expected);
}

#[test]
fn a_large_body_comes_out_in_order() {
    let many: Vec<Record> = (0..30_000)
        .map(|index| interface(index, "eth0", Some("a large one")))
        .collect();
    let octets = document(Profile::CiscoSamis, false, &many);
    assert!(octets.len() > 16 << 20);
    assert_eq!(records(&octets), many);
}

#[test]
fn a_body_whose_directory_is_gone_fails_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let mut body = Body::new(&directory.path().join("gone"));
    let failed = (0..100_000)
        .find(|index| body.push(&interface(*index, "eth0", None)).is_err())
        .unwrap();
    let count = body.count();
    assert_eq!(count, u64::from(failed));
    let mut out = Vec::new();
    document::write(
        &mut out,
        &header(Profile::CiscoSamis),
        None,
        &mut body,
        created(),
        false,
    )
    .unwrap();
    assert_eq!(records(&out).len() as u64, count);
}

#[test]
fn a_disk_that_is_full_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = document::write(
        full,
        &header(Profile::Full),
        Some(&information(1)),
        &mut body(&[interface(1, "lo", None)]),
        created(),
        true,
    );
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

/// Pushes `record`, which must be refused because of the field, after and before one that is right.
#[track_caller]
fn assert_refused(record: Record, field: &str, why: &str) {
    let mut body = Body::new(&std::env::temp_dir());
    body.push(&interface(1, "lo", None)).unwrap();
    let octets = body.octets();
    let error = body.push(&record).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let message = error.to_string();
    assert!(
        message.contains(record.definition.name) && message.contains(field) && message.contains(why),
        "{message}"
    );
    assert_eq!((body.count(), body.octets()), (1, octets), "nothing is left of it");
    body.push(&interface(2, "eth0", None)).unwrap();
}

fn changed(field: &str, value: Value) -> Record {
    let mut record = interface(7, "eth7", Some("x"));
    record.values[INTERFACE_USAGE.field(field).unwrap().0] = value;
    record
}

#[test]
fn a_record_that_does_not_fit_its_definition_is_refused() {
    assert_refused(changed("ifIndex", Value::UnsignedLong(7)), "ifIndex", "another kind");
    assert_refused(changed("ifIndex", Value::Absent), "ifIndex", "required");
    assert_refused(changed("inOctets", Value::Absent), "inOctets", "required");
    assert_refused(
        changed("ifOperStatus", Value::Enum(8)),
        "ifOperStatus",
        "8 is none of its codes",
    );
    assert_refused(
        changed("ifName", text(&"ü".repeat(256)).into()),
        "ifName",
        "256 characters, at most 255",
    );
    for year in [-1, 0, 10_000] {
        let time = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
        assert_refused(
            changed("IPDRcreationTime", time.into()),
            "IPDRcreationTime",
            &format!("the year {year} "),
        );
    }
    let mut short = interface(7, "eth7", None);
    short.values.pop();
    assert_refused(short, "", "17 values for 18 fields");

    let mut inner = information(0).to_record();
    let (last, _) = DOCUMENT_INFORMATION.field("sourceStatus").unwrap();
    let Value::Structs(items) = &mut inner.values[last] else {
        panic!()
    };
    items[1][1] = Value::Enum(9);
    assert_refused(inner, "sourceStatus.state", "9 is none of its codes");

    let text_of_255 = changed("ifName", text(&"ü".repeat(255)).into());
    Body::new(&std::env::temp_dir()).push(&text_of_255).unwrap();
}

#[test]
fn a_list_that_would_come_back_as_another_is_refused() {
    let addresses = |value| {
        let mut record = any_docsis();
        record.values[DOCSIS.field("CMCPEipAddress").unwrap().0] = value;
        record
    };
    assert_refused(
        addresses(Value::List(vec![Value::Absent])),
        "CMCPEipAddress",
        "without white space",
    );
    assert_refused(
        addresses(Value::List(vec![Value::UnsignedInt(1)])),
        "CMCPEipAddress",
        "another kind",
    );
}

fn any_docsis() -> Record {
    let sample = std::fs::read(fixture("demo-cmts1-20260115-093000.xml")).unwrap();
    records(&sample).remove(0)
}

#[test]
fn a_document_that_contradicts_itself_is_not_written() {
    let write = |header: &document::Header, information: Option<&DocumentInformation>, records: &[Record]| {
        let mut out = Vec::new();
        let error = document::write(&mut out, header, information, &mut body(records), created(), true).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(out.is_empty());
        error.to_string()
    };
    let one = [interface(1, "lo", None)];
    let header = header(Profile::Full);
    let mut of_another_time = header.clone();
    of_another_time.created += TimeDelta::seconds(1);
    let mut of_another_number = information(1);
    of_another_number.sequence = 43;
    assert!(write(&of_another_time, Some(&information(1)), &one).contains("creation time"));
    assert!(write(&header, Some(&of_another_number), &one).contains("sequence number 43"));
    assert!(write(&header, Some(&information(2)), &one).contains("the sources count 2 records, but there are 1"));
    assert!(write(&header, None, &one).contains("needs a document information record"));
}

#[test]
fn a_document_of_another_era_is_not_written() {
    let mut out = Vec::new();
    let far = Utc.with_ymd_and_hms(10_000, 1, 1, 0, 0, 0).unwrap();
    let error = document::write(&mut out, &header(Profile::CiscoSamis), None, &mut body(&[]), far, true).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_back_unchanged(record in any_record(), full in any::<bool>()) {
        let profile = if full { Profile::Full } else { Profile::CiscoSamis };
        let mut writer = Writer::begin(Vec::new(), &header(profile)).unwrap();
        writer.record(&record).unwrap();
        let (octets, count) = writer.end(created()).unwrap();
        prop_assert_eq!(count, 1);
        prop_assert_eq!(records(&octets), [record]);
    }

    #[test]
    fn any_text_comes_back_unchanged(
        recorder in any_text(20_000), host in any_text(255), name in any_text(255), alias in any_text(65_536),
    ) {
        let mut header = header(Profile::Full);
        header.recorder = recorder;
        let mut record = interface(1, "", None);
        for (field, text) in [("hostName", host), ("ifName", name), ("ifAlias", alias)] {
            record.values[INTERFACE_USAGE.field(field).unwrap().0] = text.into();
        }
        let mut octets = Vec::new();
        let information = information(1);
        document::write(&mut octets, &header, Some(&information), &mut body(std::slice::from_ref(&record)), created(), true)
            .unwrap();
        prop_assert_eq!(reader(&octets).header().clone(), header);
        prop_assert_eq!(records(&octets), [information.to_record(), record]);
        let verified = document::verify(&octets[..], Default::default()).unwrap();
        prop_assert!(verified.has_checksum);
    }

    /// What another parser makes of our texts is the same, too.
    #[test]
    fn any_alias_is_read_alike_by_libxml2(alias in any_text(2000)) {
        let mut record = interface(1, "eth0", None);
        record.values[INTERFACE_USAGE.field("ifAlias").unwrap().0] = alias.clone().into();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), document(Profile::Full, true, &[record])).unwrap();
        let said = std::process::Command::new("xmllint")
            .args(["--nonet", "--xpath", "string(//*[local-name()='ifAlias'])"])
            .arg(file.path())
            .output()
            .expect("xmllint is needed: apt-get install libxml2-utils");
        let said = String::from_utf8(said.stdout).unwrap();
        prop_assert_eq!(said, format!("{}\n", alias.as_str()));
    }
}
