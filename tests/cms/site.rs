//! A place where billdrop asks simulated Meeting Servers, and what its documents say.

use std::{fs, path::Path};

use serde_json::Value;

use super::support::{
    binary::{Place, Ran, ran},
    simulators::Simulators,
};

pub struct Site {
    pub place: Place,
    pub simulators: Simulators,
    toml: String,
}

impl Site {
    pub fn new(devices: &[&str], toml: &str) -> Self {
        Site::with(Simulators::start(devices), toml)
    }

    pub fn with(simulators: Simulators, toml: &str) -> Self {
        let site = Site {
            place: Place::new(),
            simulators,
            toml: toml.to_owned(),
        };
        site.configure();
        site
    }

    /// Others in the place of the former, with the same names and so with the same ids: later, or in another mood.
    pub fn replace(&mut self, devices: &[&str]) {
        self.simulators = Simulators::start(devices);
        self.configure();
    }

    fn configure(&self) {
        let list = self.simulators.devices_csv();
        let toml = format!(
            "[capture]\ndevices = {:?}\nretry-wait = \"20ms\"\n{}",
            list.to_str().unwrap(),
            self.toml
        );
        self.place.configure(&toml);
    }

    /// Captures, and fetches the document.
    #[track_caller]
    pub fn capture(&self, status: i32) -> Document {
        let ran = self.try_capture().expect(status);
        self.fetch(ran)
    }

    pub fn try_capture(&self) -> Ran {
        ran(&mut self.place.command(&["capture"]))
    }

    #[track_caller]
    pub fn fetch(&self, ran: Ran) -> Document {
        assert!(!ran.stdout.is_empty(), "no document was offered: {}", ran.stderr);
        let file = self.place.path().join(ran.stdout.trim_end());
        self.place.run(&["verify", file.to_str().unwrap()]).expect(0);
        let shown = self.place.shown(&file);
        fs::remove_file(&file).unwrap();
        Document { shown }
    }

    /// Paths that the first Meeting Server was asked for.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.simulators.requests("CMS1");
        requests
            .iter()
            .map(|request| request["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The number of the first request whose path begins so, from 1.
    pub fn first_asked(&self, path: &str) -> usize {
        let asked = self.asked();
        let found = asked.iter().position(|asked| asked.starts_with(path));
        1 + found.unwrap_or_else(|| panic!("{path} was not asked for: {asked:?}"))
    }
}

/// A document that was fetched.
pub struct Document {
    shown: Value,
}

impl Document {
    pub fn of(&self, definition: &str) -> Vec<&Value> {
        let records = self.shown["records"].as_array().unwrap();
        records
            .iter()
            .filter(|record| record["recordType"] == format!("{definition}-Type"))
            .collect()
    }

    /// A field of all records of a definition, in the order of the document.
    pub fn texts(&self, definition: &str, field: &str) -> Vec<String> {
        self.of(definition)
            .iter()
            .map(|record| record[field].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub fn spaces(&self) -> Vec<String> {
        self.texts("ConferenceSpace", "coSpaceId")
    }

    /// Times of the entries of the history.
    pub fn times(&self) -> Vec<String> {
        self.texts("ConferenceLicenseHistory", "time")
    }

    /// State and reason of the first source.
    pub fn source(&self) -> (&str, &str) {
        let status = &self.of("DocumentInformation")[0]["sourceStatus"][0];
        (
            status["state"].as_str().unwrap(),
            status["reason"].as_str().unwrap_or_default(),
        )
    }

    #[track_caller]
    pub fn is_complete(&self) {
        assert_eq!(self.source(), ("complete", ""));
    }

    #[track_caller]
    pub fn is_incomplete(&self, because: &str) {
        let (state, reason) = self.source();
        assert!(state == "incomplete" && reason.contains(because), "{state}: {reason}");
    }

    /// It is complete, and this is remarked.
    #[track_caller]
    pub fn remarks(&self, what: &str) {
        let (state, reason) = self.source();
        assert!(state == "complete" && reason.contains(what), "{state}: {reason}");
    }
}

/// Every octet of all files below a directory.
pub fn octets_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(octets_below(&path)),
            false => all.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    all
}
