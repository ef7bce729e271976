//! Captures from simulated devices, and what they came to.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use super::{
    binary::{Place, Ran},
    simulators::Simulators,
};

/// Simulated devices, and a place where billdrop is configured to ask them.
pub struct Site {
    pub simulators: Simulators,
    pub place: Place,
}

impl Site {
    /// `capture` are lines of `[capture]`; others may follow them.
    pub fn new(devices: &[&str], capture: &str) -> Self {
        Site::with(&[], devices, capture)
    }

    pub fn with(options: &[&str], devices: &[&str], capture: &str) -> Self {
        let simulators = Simulators::start_with(options, devices);
        let place = Place::new();
        let list = simulators.devices_csv();
        place.configure(&format!("[capture]\ndevices = {list:?}\n{capture}\n"));
        Site { simulators, place }
    }

    pub fn run(&self, arguments: &[&str]) -> Watched {
        watched(&mut self.place.command(arguments))
    }

    /// The document that lies in the spool.
    pub fn document(&self) -> PathBuf {
        document(&self.place)
    }

    /// `127.0.0.1:PORT: `, with which every sentence about this device begins.
    pub fn about(&self, device: &str) -> String {
        format!("127.0.0.1:{}: ", self.simulators.port(device))
    }
}

/// The document that lies in the spool: there is one.
pub fn document(place: &Place) -> PathBuf {
    let mut documents = documents(place);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

/// Documents that are offered; hidden files are not.
pub fn documents(place: &Place) -> Vec<PathBuf> {
    let names = place.listing();
    let offered = names
        .iter()
        .filter(|name| name.ends_with(".xml") && !name.starts_with('.'));
    offered.map(|name| place.spool().join(name)).collect()
}

/// What a document says of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub name: String,
    pub state: String,
    pub records: u64,
    pub reason: Option<String>,
}

/// A document as `show --format json` prints it.
pub struct Shown(pub Json);

impl Shown {
    pub fn of(place: &Place, document: &Path) -> Self {
        Shown(place.shown(document))
    }

    pub fn statuses(&self) -> Vec<Status> {
        let statuses = self.0["records"][0]["sourceStatus"].as_array().unwrap();
        statuses
            .iter()
            .map(|status| Status {
                name: status["sourceName"].as_str().unwrap().to_owned(),
                state: status["state"].as_str().unwrap().to_owned(),
                records: status["recordCount"].as_u64().unwrap(),
                reason: status["reason"].as_str().map(str::to_owned),
            })
            .collect()
    }

    pub fn status(&self, source: &str) -> Status {
        let all = self.statuses();
        let found = all.iter().find(|status| status.name == source);
        found.unwrap_or_else(|| panic!("{source} is not in {all:?}")).clone()
    }

    /// The records of a kind, of one source or of all.
    pub fn records<'a>(&'a self, kind: &'a str, source: Option<&'a str>) -> impl Iterator<Item = &'a Json> {
        let records = self.0["records"].as_array().unwrap();
        records.iter().filter(move |record| {
            record["recordType"] == kind && source.is_none_or(|source| record["sourceName"] == source)
        })
    }

    /// The values of a field in the records of a kind and a source, in order.
    pub fn values(&self, kind: &str, source: &str, field: &str) -> Vec<String> {
        let values = self.records(kind, Some(source)).map(|record| &record[field]);
        values
            .map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
            .collect()
    }
}

/// A run, how long it took, and how much memory it had at most, in KiB.
#[derive(Debug)]
pub struct Watched {
    pub ran: Ran,
    pub took: Duration,
    pub memory: u64,
}

/// Runs to the end. Memory is looked at all the time: only the kernel knows it, and only while the process lives.
pub fn watched(command: &mut Command) -> Watched {
    let directory = tempfile::tempdir().unwrap();
    let [out, error] = ["out", "error"].map(|name| directory.path().join(name));
    command
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&error).unwrap());
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut memory = 0;
    let status = loop {
        memory = most_memory(child.id()).unwrap_or(memory).max(memory);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(3)),
        }
    };
    let took = begun.elapsed();
    let ran = Ran::from(std::process::Output {
        status,
        stdout: fs::read(&out).unwrap(),
        stderr: fs::read(&error).unwrap(),
    });
    Watched { ran, took, memory }
}

/// VmHWM, in KiB.
fn most_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// A file that only its owner can read.
pub fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// A list of these devices: the seven columns, the port, and `columns` with what stands there for each device.
pub fn list(simulators: &Simulators, columns: &str, rows: &[(&str, &str)]) -> String {
    let mut list = format!("contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt,port,{columns}\n");
    for (name, rest) in rows {
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let (password, port) = (simulators.password(name), simulators.port(name));
        list.push_str(&format!(
            "22222222,{kind},local,127.0.0.1,billing,\"{password}\",{name},{port},{rest}\n"
        ));
    }
    list
}
