//! Simulated CUCMs and CMSs: the example `simulators`, on free loopback ports, ended on drop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    Peer,
    example::{example, profile_directory},
};

pub struct Simulators {
    directory: TempDir,
    devices: Vec<Value>,
    process: Peer,
}

impl Simulators {
    /// Starts these devices (`cucm`, `cms:page=20,spaces=50`; see `simulators --help`) and waits until all listen.
    pub fn start(devices: &[&str]) -> Self {
        Simulators::start_with(&[], devices)
    }

    /// The same with options before the devices: `--canary TEXT`.
    pub fn start_with(options: &[&str], devices: &[&str]) -> Self {
        let directory = TempDir::with_prefix("billdrop-simulators-").unwrap();
        let log = fs::File::create(directory.path().join("stderr")).unwrap();
        let mut command = Command::new(program());
        command
            .arg("--directory")
            .arg(directory.path())
            .arg("--until-stdin-closes")
            .args(options)
            .args(devices)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Peer::spawn(&mut command, "(the example is built by cargo)");
        let mut line = String::new();
        let out = process.0.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let said = fs::read_to_string(directory.path().join("stderr")).unwrap();
        assert_eq!(line, "ready\n", "the simulators did not start: {said}");
        let list = fs::read_to_string(directory.path().join("devices.json")).unwrap();
        Simulators {
            directory,
            devices: serde_json::from_str(&list).unwrap(),
            process,
        }
    }

    /// With every AXL request checked by Cisco's schema.
    pub fn start_checking(devices: &[&str]) -> Self {
        Simulators::start_with(&["--axl-schema", schemas().to_str().unwrap()], devices)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `billing_config.csv` with all devices.
    pub fn devices_csv(&self) -> PathBuf {
        self.directory().join("billing_config.csv")
    }

    pub fn ca(&self) -> PathBuf {
        self.directory().join("ca.pem")
    }

    /// The process, for tests that measure it.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Names of all devices, in the order in which they were asked for.
    pub fn names(&self) -> Vec<&str> {
        self.devices
            .iter()
            .map(|device| device["name"].as_str().unwrap())
            .collect()
    }

    fn device(&self, name: &str) -> &Value {
        let found = self.devices.iter().find(|device| device["name"] == name);
        found.unwrap_or_else(|| panic!("there is no device {name}: {:?}", self.names()))
    }

    pub fn port(&self, name: &str) -> u16 {
        self.device(name)["port"].as_u64().unwrap() as u16
    }

    /// SHA-256 of the certificate, hexadecimal.
    pub fn fingerprint(&self, name: &str) -> &str {
        self.device(name)["fingerprint"].as_str().unwrap()
    }

    /// As `billing_config.csv` has it.
    pub fn password(&self, name: &str) -> String {
        let mut list = csv::Reader::from_path(self.devices_csv()).unwrap();
        let found = list.records().map(Result::unwrap).find(|fields| &fields[6] == name);
        found.unwrap_or_else(|| panic!("{name} is not in the list"))[5].to_owned()
    }

    /// What was asked of the device so far, in the order of the answers.
    pub fn requests(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.directory().join("requests.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|request| request["device"] == name)
            .collect()
    }
}

/// Cisco's AXL schemas, which `tests/peers/fetch` fetches.
pub fn schemas() -> PathBuf {
    let directory = peers().join("schema");
    assert!(
        directory.join("14.0/AXLSoap.xsd").exists(),
        "{}: Cisco's schemas are missing; fetch them: tests/peers/fetch",
        directory.display()
    );
    directory
}

/// Where `tests/peers/fetch` puts what it fetches.
pub fn peers() -> PathBuf {
    profile_directory().parent().unwrap().join("peers")
}

pub fn program() -> PathBuf {
    example("simulators")
}
