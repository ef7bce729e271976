//! Replies that zeep builds from Cisco's WSDL, an implementation of SOAP that shares nothing with ours, are read right.

mod support;

use std::process::Command;

use billdrop::protocol::axl;
use serde_json::{Map, Value, json};

use support::simulators::schemas;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/zeep-replies.py");

#[test]
fn replies_of_every_operation_and_version_are_read_as_they_were_meant() {
    let output = Command::new("/usr/bin/python3").arg(SCRIPT).arg(schemas()).output();
    let output = output.expect("python3 is missing: apt-get install -y --no-install-recommends python3-zeep");
    assert!(
        output.status.success(),
        "apt-get install -y --no-install-recommends python3-zeep? {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for version in ["11.5", "12.5", "14.0", "15.0"] {
        let of_version = cases.iter().filter(|case| case["version"] == version);
        assert!(of_version.count() >= 14, "{version}");
    }
    for case in &cases {
        let envelope = case["envelope"].as_str().unwrap().as_bytes();
        let operation = case["operation"].as_str().unwrap();
        let expected = &case["expected"];
        match operation {
            "getCCMVersion" => {
                let version = axl::read_ccm_version(envelope).unwrap();
                assert_eq!(version, expected.as_str().unwrap().trim());
            }
            "executeSQLQuery" => assert_eq!(rows(envelope), *expected, "{}", case["version"]),
            "getNumDevices" => assert_eq!(axl::read_num_devices(envelope).unwrap(), expected.as_u64().unwrap()),
            "listLicensedUser" => assert_eq!(users(envelope), wanted_users(expected), "{}", case["version"]),
            "getSmartLicenseStatus" => smart_licenses(envelope, expected),
            other => panic!("{other}"),
        }
    }
}

fn rows(envelope: &[u8]) -> Value {
    let mut rows = Vec::new();
    let count = axl::read_rows(envelope, &mut |row| {
        rows.push(json!(row));
        Ok(())
    })
    .unwrap();
    assert_eq!(count, rows.len() as u64);
    json!(rows)
}

fn users(envelope: &[u8]) -> Vec<Value> {
    let mut users = Vec::new();
    axl::read_licensed_users(envelope, &mut |user| {
        users.push(json!([
            user.user_id,
            user.snr_enabled,
            user.em_enabled,
            user.device_count,
            user.license_type,
            user.license_used
        ]));
        Ok(())
    })
    .unwrap();
    users
}

fn wanted_users(expected: &Value) -> Vec<Value> {
    const FIELDS: [&str; 6] = [
        "userId",
        "snrEnabled",
        "emEnabled",
        "deviceCount",
        "licenseType",
        "licenseUsed",
    ];
    let users = expected.as_array().unwrap().iter();
    users.map(|user| json!(FIELDS.map(|field| user.get(field)))).collect()
}

fn smart_licenses(envelope: &[u8], expected: &Value) {
    let status = axl::read_smart_license_status(envelope).unwrap();
    let details: Map<String, Value> = status
        .details
        .into_iter()
        .map(|(name, text)| (name, text.into()))
        .collect();
    let mut wanted = Map::new();
    wanted.insert("SmartLicensing".into(), expected["SmartLicensing"].clone());
    for part in ["Registration", "Authorization"] {
        for (name, text) in expected[part].as_object().unwrap() {
            wanted.insert(format!("{part}.{name}"), text.clone());
        }
    }
    assert_eq!(details, wanted);
    let entitlements: Vec<Value> = status
        .entitlements
        .into_iter()
        .map(|of| json!({"Tag": of.tag, "Count": of.count, "Status": of.status}))
        .collect();
    assert_eq!(json!(entitlements), expected["entitlements"]);
}
