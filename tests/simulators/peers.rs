//! An AXL client that is not ours talks to the simulated CUCM: PyPI's ciscoaxl, over zeep and requests.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::cucm::{LICENSE_TOTALS, MODELS, call, texts};
use super::support::simulators::{Simulators, peers};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/ciscoaxl-client.py");

fn client(simulators: &Simulators, name: &str, version: &str, queries: &[&str]) -> Value {
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
        .expect("python3 is missing: apt-get install -y --no-install-recommends python3-zeep python3-requests");
    writeln!(child.stdin.take().unwrap(), "{}", simulators.password(name)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "apt-get install -y --no-install-recommends python3-zeep python3-requests, and tests/peers/fetch? {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn another_client_gets_the_same_rows_in_every_version_and_its_requests_are_valid() {
    let simulators = Simulators::start_checking(&[
        "cucm:version=11.5,now=2026-01-15T02:00:07Z",
        "cucm:version=12.5,now=2026-01-15T02:00:07Z",
        "cucm:version=14.0,now=2026-01-15T02:00:07Z,latin-names",
        "cucm:version=15.0,now=2026-01-15T02:00:07Z",
    ]);
    for (name, version) in [
        ("CUCM1", "11.5"),
        ("CUCM2", "12.5"),
        ("CUCM3", "14.0"),
        ("CUCM4", "15.0"),
    ] {
        let got = client(&simulators, name, version, &[LICENSE_TOTALS, MODELS, "select nothing"]);
        for (query, columns, rows) in [
            (LICENSE_TOTALS, ["name", "value"], &got["queries"][0]),
            (MODELS, ["model", "n"], &got["queries"][1]),
        ] {
            let answer = call(
                &simulators,
                name,
                version,
                "executeSQLQuery",
                &format!("<sql>{query}</sql>"),
            )
            .ok();
            let [left, right] = columns.map(|column| texts(&answer, &format!("row/{column}")));
            let wanted: Vec<Value> = left
                .iter()
                .zip(&right)
                .map(|(left, right)| json!([[columns[0], left], [columns[1], right]]))
                .collect();
            assert!(wanted.len() >= 6);
            assert_eq!(*rows, json!(wanted), "{version}");
        }
        assert_eq!(got["queries"][2]["fault"], "A syntax error has occurred.");
        assert_eq!(got["phones"], 525);
        assert!(got["version"].as_str().unwrap().starts_with(version), "{got}");
        assert_eq!(got["users"].as_array().unwrap().len(), 3);
        assert_eq!(got["entitlements"].is_array(), version != "11.5");
        let requests = simulators.requests(name);
        let posts: Vec<&Value> = requests.iter().filter(|request| request["method"] == "POST").collect();
        assert!(posts.len() >= 8);
        for request in posts {
            assert_eq!(request["validated"], true, "{request}");
        }
    }
}
