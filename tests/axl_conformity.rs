//! What billdrop asks a CUCM is what Cisco's schema allows, in every version, and it reads what another client reads.
//!
//! The judges are xmllint with AXLSoap.xsd and PyPI's ciscoaxl, both by way of `tests/peers/fetch`. Replies that zeep
//! builds from the WSDL are read in `tests/axl_replies.rs`.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::binary::Place;
use support::simulators::{Simulators, peers};

const VERSIONS: [&str; 4] = ["11.5", "12.5", "14.0", "15.0"];

/// Every question there is, and texts that XML and SQL do not like.
const EVERYTHING: &str = r#"
[cucm]
licensed-users = true
device-classes = ["Phone", "Gateway", "Add-on modules", "<R&D> ]]> 'Café' \"x\""]
license-query = "select name,value,UserValue,DeviceValue FROM TABLE (FUNCTION LicenseTotals()) (pkid,name,value,UserValue,DeviceValue)"
"#;

/// A capture of all simulated devices; the status and what stands in the document.
fn captured(simulators: &Simulators, toml: &str) -> (i32, Value) {
    let place = Place::new();
    place.configure(&format!(
        "[capture]\ndevices = \"{}\"\nretry-wait = \"10ms\"\n{toml}",
        simulators.devices_csv().display()
    ));
    let ran = place.run(&["capture"]);
    assert!(!ran.stdout.is_empty(), "{}", ran.stderr);
    (ran.status, place.shown(&place.path().join(ran.stdout.trim_end())))
}

#[test]
fn every_request_is_valid_by_cisco_s_schema_in_every_version() {
    let mut devices = Vec::new();
    for version in VERSIONS {
        devices.push(format!("cucm:version={version},name=ALL{version},users=8,models=8"));
        // The same in pages, and the licences by getSmartLicenseStatus.
        devices.push(format!(
            "cucm:version={version},name=PAGED{version},users=8,models=8,too-large=5"
        ));
        devices.push(format!("cucm:version={version},name=SMART{version},licenses=absent"));
    }
    let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
    let simulators = Simulators::start_checking(&devices);
    // Nobody knows the last class, and release 11.5 has no getSmartLicenseStatus.
    let (status, _) = captured(&simulators, EVERYTHING);
    assert_eq!(status, 69);
    for version in VERSIONS {
        let mut operations = BTreeSet::new();
        let mut pages = 0;
        for kind in ["ALL", "PAGED", "SMART"] {
            for request in simulators.requests(&format!("{kind}{version}")) {
                // Of a version that the CUCM does not speak, only the status is of interest.
                if request["status"] == 599 {
                    continue;
                }
                let action = request["soapAction"].as_str().unwrap();
                assert!(action.starts_with(&format!("\"CUCM:DB ver={version} ")), "{request}");
                assert_eq!(request["validated"], true, "{request}");
                let sql = request["sql"].as_str().unwrap_or_default();
                pages += usize::from(sql.starts_with("SELECT SKIP"));
                operations.insert(request["operation"].as_str().unwrap().to_owned());
            }
        }
        let mut wanted = vec!["executeSQLQuery", "getCCMVersion", "getNumDevices", "listLicensedUser"];
        if version != "11.5" {
            wanted.push("getSmartLicenseStatus");
        }
        wanted.sort();
        assert_eq!(
            operations.iter().map(String::as_str).collect::<Vec<_>>(),
            wanted,
            "{version}"
        );
        assert_eq!(pages, 7, "{version}: {pages} pages");
    }
}

/// What ciscoaxl gets from the CUCM: see `tests/peers/ciscoaxl-client.py`.
fn ciscoaxl(simulators: &Simulators, name: &str, version: &str, queries: &[&str]) -> Value {
    const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/ciscoaxl-client.py");
    const MISSING: &str =
        "apt-get install -y --no-install-recommends python3-zeep python3-requests, and tests/peers/fetch?";
    let mut child = Command::new("/usr/bin/python3")
        .arg(CLIENT)
        .arg(peers())
        .args([&simulators.port(name).to_string(), version, "billing"])
        .arg(simulators.ca())
        .args(queries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(MISSING);
    writeln!(child.stdin.take().unwrap(), "{}", simulators.password(name)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{MISSING} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn another_client_reads_the_same_rows() {
    let query = "select name,value,UserValue,DeviceValue FROM TABLE (FUNCTION LicenseTotals()) \
                 (pkid,name,value,UserValue,DeviceValue)";
    let models = "select tm.name as model, count(*) as n from device as d inner join typemodel as tm on \
                  tm.enum=d.tkmodel where d.tkclass=1 and not (d.tkmodel=72 or d.tkmodel=645) group by tm.name";
    for version in VERSIONS {
        let device = format!("cucm:version={version},now=2026-01-15T02:00:07Z,latin-names,users=3,models=40");
        let simulators = Simulators::start(&[&device]);
        let theirs = ciscoaxl(&simulators, "CUCM1", version, &[query, models]);
        let toml =
            format!("[cucm]\nlicensed-users = true\ndevice-classes = [\"Phone\"]\nlicense-query = \"{query}\"\n");
        let (status, document) = captured(&simulators, &toml);
        assert_eq!(status, 0);
        let ours = |kind: &str, fields: &[(&str, &str)]| -> Vec<Value> {
            let records = document["records"].as_array().unwrap().iter();
            records
                .filter(|record| record["recordType"] == kind && !record[fields[0].1].is_null())
                .map(|record| {
                    json!(
                        fields
                            .iter()
                            .map(|(column, field)| json!([column, text(&record[field])]))
                            .collect::<Vec<_>>()
                    )
                })
                .collect()
        };
        let licences = ours(
            "LicenseUsage-Type",
            &[
                ("name", "licenseName"),
                ("value", "licenseValue"),
                ("uservalue", "userValue"),
                ("devicevalue", "deviceValue"),
            ],
        );
        assert!(licences.len() == 12, "{licences:?}");
        assert_eq!(json!(licences), theirs["queries"][0], "{version}");
        let counted = ours("DeviceUsage-Type", &[("model", "deviceModel"), ("n", "deviceCount")]);
        assert_eq!(counted.len(), 40);
        assert_eq!(json!(counted), theirs["queries"][1], "{version}");
        let phones = ours("DeviceUsage-Type", &[("class", "deviceClass"), ("n", "deviceCount")]);
        assert_eq!(
            json!(phones),
            json!([[["class", "Phone"], ["n", text(&theirs["phones"])]]])
        );
        let users = ours(
            "LicensedUser-Type",
            &[("userId", "userId"), ("licenseType", "licenseType")],
        );
        let their_users = theirs["users"].as_array().unwrap().iter();
        let their_users: Vec<Value> = their_users
            .map(|user| json!([["userId", user["userId"]], ["licenseType", user["licenseType"]]]))
            .collect();
        assert_eq!(users, their_users, "{version}");
        let record = &document["records"][1];
        assert_eq!(record["ccmVersion"], theirs["version"], "{version}");
    }
}

/// The value without its JSON type: ciscoaxl has texts where records have numbers.
fn text(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}
