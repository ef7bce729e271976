//! The schemas under contrib/schema: they are made from the definitions, and xmllint says that documents follow them.

mod document_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use billdrop::config::Profile;
use billdrop::document::{Writer, xsd};
use billdrop::record::{DEFINITIONS, DOCSIS, INTERFACE_USAGE, Record, Value};
use document_support::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/schema")
}

#[test]
fn the_schemas_are_those_of_the_definitions() {
    for definition in DEFINITIONS {
        let path = schemas().join(definition.schema);
        let made = xsd::schema(definition);
        if std::env::var_os("BILLDROP_BLESS").is_some_and(|bless| bless == "1") {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == made,
            "{} is not what the definition says: run BILLDROP_BLESS=1 cargo test --release --test schema",
            path.display()
        );
        let all = std::fs::read_to_string(schemas().join("billdrop.xsd")).unwrap();
        assert!(
            all.contains(&format!("schemaLocation=\"{}\"", definition.schema)),
            "{}",
            definition.schema
        );
    }
}

/// What xmllint says to a document: 0 valid, 3 not valid, 1 not well-formed.
fn xmllint(document: &[u8]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("document.xml");
    std::fs::write(&path, document).unwrap();
    Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schemas().join("billdrop.xsd"))
        .arg(&path)
        .output()
        .expect("xmllint is needed: apt-get install libxml2-utils")
}

#[track_caller]
fn assert_valid(document: &[u8]) {
    let said = xmllint(document);
    assert_eq!(
        said.status.code(),
        Some(0),
        "{}\n{}",
        String::from_utf8_lossy(&said.stderr),
        String::from_utf8_lossy(document)
    );
}

#[test]
fn the_sample_of_a_cmts_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents/demo-cmts1-20260115-093000.xml");
    assert_valid(&std::fs::read(path).unwrap());
}

#[test]
fn documents_of_interfaces_are_valid_in_both_profiles() {
    let records = [
        interface(1, "lo", None),
        interface(2, "eth0", Some("<uplink> & \"more\"\r\n]]> 𝄞")),
        interface(3, "", Some("")),
    ];
    assert_valid(&document(Profile::Full, true, &records));
    assert_valid(&document(Profile::Full, false, &records));
    assert_valid(&document(Profile::CiscoSamis, true, &records));
    assert_valid(&document(Profile::Full, true, &[]));
    assert_valid(&document(Profile::CiscoSamis, true, &[]));
}

#[test]
fn documents_of_any_records_are_valid() {
    let mut runner = TestRunner::deterministic();
    for profile in [Profile::Full, Profile::CiscoSamis] {
        let mut writer = Writer::begin(Vec::new(), &header(profile)).unwrap();
        for _ in 0..200 {
            writer
                .record(&any_record().new_tree(&mut runner).unwrap().current())
                .unwrap();
        }
        assert_valid(&writer.end(created()).unwrap().0);
    }
}

#[test]
fn a_record_with_nothing_but_what_is_required_is_valid() {
    let required = [
        "IPDRcreationTime",
        "CMmacAddress",
        "RecType",
        "serviceIdentifier",
        "serviceDirection",
    ];
    let values = DOCSIS.fields.iter().map(|field| match field.name {
        "IPDRcreationTime" => created().into(),
        "CMmacAddress" => Value::MacAddress([0; 6]),
        "serviceIdentifier" => Value::UnsignedInt(0),
        name if required.contains(&name) => Value::Int(1),
        "serviceOctetsPassed" | "servicePktsPassed" => Value::UnsignedLong(u64::MAX),
        _ => Value::Absent,
    });
    let record = Record {
        definition: &DOCSIS,
        values: values.collect(),
    };
    assert_valid(&document(Profile::CiscoSamis, false, &[record]));
}

#[test]
fn broken_documents_are_not_valid() {
    let good = String::from_utf8(document(Profile::Full, false, &[interface(2, "eth0", Some("uplink"))])).unwrap();
    assert_valid(good.as_bytes());
    let definition = INTERFACE_USAGE.name;
    for (from, to) in [
        ("<ifIndex>2</ifIndex>\n", ""),
        ("<ifIndex>2<", "<ifIndex>4294967296<"),
        ("<ifIndex>2<", "<ifIndex><"),
        ("<ifIndex>2<", "<ifIndex>2</ifIndex><ifIndex>2<"),
        ("<ifOperStatus>lowerLayerDown<", "<ifOperStatus>lowerlayerdown<"),
        ("<ifPhysAddress>02-", "<ifPhysAddress>02:"),
        ("2026-01-15T09:30:00Z</IPDR", "2026-02-30T09:30:00Z</IPDR"),
        ("2026-01-15T09:30:00Z</IPDR", "2026-01-15T09:30:00+00:00</IPDR"),
        ("<state>failed<", "<state>fallen<"),
        ("count=\"2\"", "count=\"two\""),
        ("count=\"2\" ", ""),
        ("docId=\"ED133218-", "docId=\"ED13321-"),
        ("IPDRRecorderInfo=\"recorder1\"\n", ""),
        ("version=\"3.1\"", "version=\"4.0\""),
        (definition, "Unknown-Type"),
        (definition, "IPDRType"),
        ("inOctets", "octets"),
        ("namespaces/ipdr\"", "namespaces/other\""),
    ] {
        let broken = good.replace(from, to);
        assert_ne!(broken, good, "{from}");
        let said = xmllint(broken.as_bytes());
        assert_eq!(
            said.status.code(),
            Some(3),
            "{from} → {to}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
}
