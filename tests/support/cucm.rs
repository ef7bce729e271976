//! A capture of one simulated CUCM: what it was asked, and what came of it.

use serde_json::Value;

use super::binary::{Place, Ran};
use super::simulators::Simulators;

/// Few questions, so that a table can name the requests: getCCMVersion, and the licences.
pub const BRIEF: &str = "[cucm]\ndevice-classes = []\ndevice-models = false\n";

/// One capture of one CUCM.
pub struct Capture {
    pub simulators: Simulators,
    pub place: Place,
    pub ran: Ran,
}

impl Capture {
    pub fn of(device: &str, toml: &str) -> Self {
        let simulators = Simulators::start(&[device]);
        let place = Place::new();
        place.configure(&format!(
            "[capture]\ndevices = \"{}\"\nretry-wait = \"10ms\"\n{toml}",
            simulators.devices_csv().display()
        ));
        let ran = place.run(&["capture"]);
        Capture { simulators, place, ran }
    }

    pub fn again(&mut self) {
        let document = self.place.path().join(self.ran.stdout.trim_end());
        std::fs::remove_file(document).unwrap();
        self.ran = self.place.run(&["capture"]);
    }

    pub fn name(&self) -> &str {
        self.simulators.names()[0]
    }

    /// Operation, version of AXL, what it was asked with, status of the answer; one line each.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.simulators.requests(self.name());
        requests
            .iter()
            .map(|request| {
                assert_eq!(request["concurrent"], 1, "one request at a time: {request}");
                let action = request["soapAction"].as_str().unwrap();
                let mut words = action.trim_matches('"').trim_start_matches("CUCM:DB ver=").split(' ');
                let (version, operation) = (words.next().unwrap(), words.next().unwrap());
                let with = match (
                    request["basic"].as_bool().unwrap(),
                    request["cookie"].as_bool().unwrap(),
                ) {
                    (true, false) => "password",
                    (false, true) => "cookie",
                    both => panic!("password and cookie: {both:?}"),
                };
                format!("{operation} {version} {with} {}", request["status"])
            })
            .collect()
    }

    pub fn document(&self) -> Value {
        let path = self.ran.stdout.trim_end();
        assert!(!path.is_empty(), "no document: {}", self.ran.stderr);
        self.place.shown(&self.place.path().join(path))
    }

    pub fn records(&self, kind: &str) -> Vec<Value> {
        let document = self.document();
        let records = document["records"].as_array().unwrap().iter();
        records.filter(|record| record["recordType"] == kind).cloned().collect()
    }

    /// State and reason of the source, as the document has them.
    pub fn told(&self) -> (String, String) {
        let document = self.document();
        let status = &document["records"][0]["sourceStatus"][0];
        (
            status["state"].as_str().unwrap().to_owned(),
            status["reason"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// `127.0.0.1:PORT`, as messages name the CUCM.
    pub fn at(&self) -> String {
        format!("127.0.0.1:{}", self.simulators.port(self.name()))
    }
}
