//! A CUCM that refuses: what the operator reads, what the CUCM saw, and the exit status. One row for each fault of Cisco's
//! AXL Developer Guide, and for those that were seen elsewhere.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;

use support::{
    binary::{Place, Ran},
    simulators::Simulators,
};

/// Few questions, so that a table can name the requests: getCCMVersion, and the licences.
const BRIEF: &str = "[cucm]\ndevice-classes = []\ndevice-models = false\n";

/// One capture of one CUCM.
struct Capture {
    simulators: Simulators,
    place: Place,
    ran: Ran,
}

impl Capture {
    fn of(device: &str, toml: &str) -> Self {
        let simulators = Simulators::start(&[device]);
        let place = Place::new();
        place.configure(&format!(
            "[capture]\ndevices = \"{}\"\nretry-wait = \"10ms\"\n{toml}",
            simulators.devices_csv().display()
        ));
        let ran = place.run(&["capture"]);
        Capture { simulators, place, ran }
    }

    fn again(&mut self) {
        let document = self.place.path().join(self.ran.stdout.trim_end());
        std::fs::remove_file(document).unwrap();
        self.ran = self.place.run(&["capture"]);
    }

    fn name(&self) -> &str {
        self.simulators.names()[0]
    }

    /// Operation, version of AXL, what it was asked with, status of the answer; one line each.
    fn requests(&self) -> Vec<String> {
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

    fn document(&self) -> Value {
        let path = self.ran.stdout.trim_end();
        assert!(!path.is_empty(), "no document: {}", self.ran.stderr);
        self.place.shown(&self.place.path().join(path))
    }

    fn records(&self, kind: &str) -> Vec<Value> {
        let document = self.document();
        let records = document["records"].as_array().unwrap().iter();
        records.filter(|record| record["recordType"] == kind).cloned().collect()
    }

    /// State and reason of the source, as the document has them.
    fn told(&self) -> (String, String) {
        let document = self.document();
        let status = &document["records"][0]["sourceStatus"][0];
        (
            status["state"].as_str().unwrap().to_owned(),
            status["reason"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// `127.0.0.1:PORT`, as messages name the CUCM.
    fn at(&self) -> String {
        format!("127.0.0.1:{}", self.simulators.port(self.name()))
    }
}

/// `says`: the whole reason; `@` stands for the CUCM's address.
struct Row {
    device: &'static str,
    toml: &'static str,
    status: i32,
    state: &'static str,
    says: &'static str,
    requests: &'static [&'static str],
}

impl Default for Row {
    fn default() -> Self {
        Row {
            device: "cucm",
            toml: BRIEF,
            status: 69,
            state: "failed",
            says: "",
            requests: &[],
        }
    }
}

impl Row {
    fn check(&self) {
        let capture = Capture::of(self.device, self.toml);
        let device = self.device;
        assert_eq!(capture.requests(), self.requests, "{device}: {}", capture.ran.stderr);
        let says = self.says.replace('@', &capture.at());
        let line = match self.state {
            "failed" => format!("source CUCM1 failed: {says}\n"),
            "incomplete" => format!("source CUCM1 is incomplete: {says}\n"),
            _ => String::new(),
        };
        assert!(
            capture.ran.stderr.contains(&line),
            "{device}: not {line:?} but {}",
            capture.ran.stderr
        );
        assert_eq!(capture.ran.status, self.status, "{device}: {}", capture.ran.stderr);
        match self.state {
            "failed" => assert_eq!(capture.ran.stdout, "", "{device}: nothing came, nothing is offered"),
            state => assert_eq!(capture.told(), (state.to_owned(), says), "{device}"),
        }
    }
}

#[track_caller]
fn check(rows: &[Row]) {
    rows.iter().for_each(Row::check);
}

#[test]
fn refusals_by_status() {
    check(&[
        Row {
            device: "cucm:fail=401",
            says: "@: user billing is refused (HTTP 401): the name or the password is wrong, or the account has no role for \
                   AXL; see ACCOUNTS in billing_config.csv(5)",
            requests: &["getCCMVersion 15.0 password 401"],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=403",
            says: "@: user billing may not use AXL (HTTP 403): give the account the roles of ACCOUNTS in \
                   billing_config.csv(5)",
            requests: &["getCCMVersion 15.0 password 403"],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=404",
            says: "@: there is nothing at /axl/ (HTTP 404): activate the service Cisco AXL Web Service, and ask the publisher",
            requests: &["getCCMVersion 15.0 password 404"],
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,session-expires-after=0",
            status: 0,
            state: "complete",
            requests: &[
                "getCCMVersion 15.0 password 200",
                "executeSQLQuery 15.0 cookie 404",
                "executeSQLQuery 15.0 password 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fail=503*2",
            status: 0,
            state: "complete",
            requests: &[
                "getCCMVersion 15.0 password 503",
                "getCCMVersion 15.0 password 503",
                "getCCMVersion 15.0 password 200",
                "executeSQLQuery 15.0 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=503",
            says: "@: it is too busy (HTTP 503), asked 4 times; see which other application asks it without a pause",
            requests: &["getCCMVersion 15.0 password 503"; 4],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=500",
            says: "@: HTTP status 500 without a reason (no SOAP fault)",
            requests: &["getCCMVersion 15.0 password 500"],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=502",
            says: "@: HTTP status 502",
            requests: &["getCCMVersion 15.0 password 502"],
            ..Row::default()
        },
        Row {
            device: "cucm:redirect",
            says: "@: it sends us elsewhere (HTTP 302), which is not followed; is this the address of the publisher?",
            requests: &["getCCMVersion 15.0 password 302"],
            ..Row::default()
        },
    ]);
}

#[test]
fn versions_are_agreed_on_by_the_page_of_status_599() {
    const AGREED: &[&str] = &[
        "getCCMVersion 15.0 password 599",
        "getCCMVersion 12.5 cookie 200",
        "executeSQLQuery 12.5 cookie 200",
    ];
    check(&[
        Row {
            device: "cucm:version=12.5",
            status: 0,
            state: "complete",
            requests: AGREED,
            ..Row::default()
        },
        Row {
            device: "cucm:version=12.5,list-form=comma",
            status: 0,
            state: "complete",
            requests: AGREED,
            ..Row::default()
        },
        // "10.x, 11.x and 12.0" names 12.0 only; "12.x" of a release that has not all of them is found out.
        Row {
            device: "cucm:version=12.0",
            status: 0,
            state: "complete",
            requests: &[
                "getCCMVersion 15.0 password 599",
                "getCCMVersion 12.0 cookie 200",
                "executeSQLQuery 12.0 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=9.1",
            says: "@: it refuses AXL 15.0 (HTTP 599) and names none that billdrop speaks (15.0, 14.0, 12.5, 12.0, 11.5, \
                   11.0, 10.5)",
            requests: &["getCCMVersion 15.0 password 599"],
            ..Row::default()
        },
        // A page without a list: each version is tried once.
        Row {
            device: "cucm:version=12.5,fail=599*2",
            status: 0,
            state: "complete",
            requests: &[
                "getCCMVersion 15.0 password 599",
                "getCCMVersion 14.0 password 599",
                "getCCMVersion 12.5 password 200",
                "executeSQLQuery 12.5 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:fail=599",
            says: "@: it refuses AXL 15.0, 14.0, 12.5, 12.0, 11.5, 11.0, 10.5 (HTTP 599) and its page does not say which it \
                   speaks",
            requests: &[
                "getCCMVersion 15.0 password 599",
                "getCCMVersion 14.0 password 599",
                "getCCMVersion 12.5 password 599",
                "getCCMVersion 12.0 password 599",
                "getCCMVersion 11.5 password 599",
                "getCCMVersion 11.0 password 599",
                "getCCMVersion 10.5 password 599",
            ],
            ..Row::default()
        },
    ]);
}

#[test]
fn the_version_is_remembered_for_the_next_document() {
    let mut capture = Capture::of("cucm:version=11.5", BRIEF);
    assert_eq!(capture.requests()[0], "getCCMVersion 15.0 password 599");
    let before = capture.requests().len();
    capture.again();
    assert_eq!(
        capture.requests()[before..],
        ["getCCMVersion 11.5 password 200", "executeSQLQuery 11.5 cookie 200"]
    );
    let configured = Capture::of("cucm:version=14.0", &format!("{BRIEF}axl-version = \"12.5\"\n"));
    assert_eq!(
        configured.requests(),
        ["getCCMVersion 12.5 password 200", "executeSQLQuery 12.5 cookie 200"]
    );
}

/// The fault meets the first question: nothing else is asked.
#[test]
fn faults_of_the_first_question() {
    const ONCE: &[&str] = &["getCCMVersion 15.0 password 500"];
    let too_large = "getCCMVersion: it has no memory left for the answer, asked 4 times; see which other application asks it \
                     for so much: Maximum AXL Memory Allocation Consumed. Please retry once requests in progress have \
                     completed";
    let memory: &'static str = Box::leak(format!("@: {too_large}").into_boxed_str());
    check(&[
        Row {
            device: "cucm:version=15.0,memory=100",
            says: memory,
            requests: &[
                "getCCMVersion 15.0 password 500",
                "getCCMVersion 15.0 cookie 500",
                "getCCMVersion 15.0 cookie 500",
                "getCCMVersion 15.0 cookie 500",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=5003",
            says: "@: getCCMVersion: the user's rank is too low (axlcode 5003); raise it in its User Rank Configuration: You \
                   do not have the privilege to update this End User as you have lower User Rank",
            requests: ONCE,
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=5007",
            says: "@: getCCMVersion: it does not know what was asked for (axlcode 5007): Item not valid: the specified item \
                   was not found",
            requests: ONCE,
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=11617",
            says: "@: getCCMVersion: it refuses (axlcode 11617): Could not insert new row - duplicate value in a UNIQUE INDEX \
                   column",
            requests: ONCE,
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=4711",
            says: "@: getCCMVersion: it refuses (axlcode 4711): The request getCCMVersion failed with code 4711",
            requests: ONCE,
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=4711,fault-form=prefixed",
            says: "@: getCCMVersion: it refuses (axlcode 4711): The request getCCMVersion failed with code 4711",
            requests: ONCE,
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,fault=4711,fault-form=old",
            says: "@: getCCMVersion: it refuses (axlcode 4711): The request getCCMVersion failed with code 4711",
            requests: ONCE,
            ..Row::default()
        },
    ]);
}

/// The fault meets one question: the others have their answers.
#[test]
fn faults_of_one_question_cost_its_own_records_only() {
    const CLASSES: &str =
        "[cucm]\ndevice-classes = [\"Phone\", \"Rotary Phone\", \"Gateway\"]\ndevice-models = false\n";
    check(&[
        Row {
            device: "cucm:version=15.0,memory=2",
            status: 0,
            state: "complete",
            requests: &[
                "getCCMVersion 15.0 password 500",
                "getCCMVersion 15.0 cookie 500",
                "getCCMVersion 15.0 cookie 200",
                "executeSQLQuery 15.0 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0",
            toml: CLASSES,
            state: "incomplete",
            says: "devices of class Rotary Phone: getNumDevices: it does not know what was asked for (axlcode 5007): Item not \
                   valid: the specified item was not found",
            requests: &[
                "getCCMVersion 15.0 password 200",
                "executeSQLQuery 15.0 cookie 200",
                "getNumDevices 15.0 cookie 200",
                "getNumDevices 15.0 cookie 500",
                "getNumDevices 15.0 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=15.0,licenses=absent",
            status: 0,
            state: "complete",
            says: "licences are those of getSmartLicenseStatus: licence query: it refuses (axlcode -674): Routine \
                   (licensetotals) can not be resolved.",
            requests: &[
                "getCCMVersion 15.0 password 200",
                "executeSQLQuery 15.0 cookie 500",
                "getSmartLicenseStatus 15.0 cookie 200",
            ],
            ..Row::default()
        },
        Row {
            device: "cucm:version=11.5,licenses=absent",
            toml: "[cucm]\naxl-version = \"11.5\"\ndevice-classes = [\"Phone\"]\ndevice-models = false\n",
            state: "incomplete",
            says: "licences: licence query: it refuses (axlcode -674): Routine (licensetotals) can not be resolved.; AXL 11.5 \
                   has no getSmartLicenseStatus",
            requests: &[
                "getCCMVersion 11.5 password 200",
                "executeSQLQuery 11.5 cookie 500",
                "getNumDevices 11.5 cookie 200",
            ],
            ..Row::default()
        },
        // Nothing at all came.
        Row {
            device: "cucm:version=11.5,licenses=absent",
            toml: "[cucm]\naxl-version = \"11.5\"\ndevice-classes = []\ndevice-models = false\n",
            says: "@: licences: licence query: it refuses (axlcode -674): Routine (licensetotals) can not be resolved.; AXL \
                   11.5 has no getSmartLicenseStatus",
            requests: &["getCCMVersion 11.5 password 200", "executeSQLQuery 11.5 cookie 500"],
            ..Row::default()
        },
    ]);
}

/// Memory that is short passes: another kind of answer must not take the place of the licences for one document.
#[test]
fn licences_that_come_again_have_no_stand_in() {
    let toml = "[cucm]\ndevice-classes = [\"Phone\"]\ndevice-models = false\n";
    let capture = Capture::of("cucm:version=15.0,memory=100@executeSQLQuery", toml);
    let (state, reason) = capture.told();
    assert_eq!(state, "incomplete");
    assert!(
        reason.starts_with("licences: licence query: it has no memory left for the answer, asked 4 times; "),
        "{reason}"
    );
    assert_eq!(capture.records("LicenseUsage-Type").len(), 0);
    assert_eq!(capture.records("DeviceUsage-Type").len(), 1);
    assert_eq!(capture.requests().len(), 1 + 4 + 1);
}

#[test]
fn not_even_one_row() {
    let toml = "[cucm]\ndevice-classes = [\"Phone\"]\n";
    let capture = Capture::of("cucm:version=15.0,too-large=1", toml);
    let (state, reason) = capture.told();
    assert_eq!(state, "incomplete");
    assert!(
        reason.starts_with(
            "devices by model: model query: the answer is too large, in pages, too: Query request too large. Total rows \
             matched: 1 rows."
        ),
        "{reason}"
    );
    // All at once, then 500 rows, 250, .. 1, for the licences and for the models.
    assert_eq!(capture.requests().len(), 1 + 10 + 1 + 1 + 10);
}

#[test]
fn too_large_is_read_in_pages_in_both_spellings() {
    const USERS: &str = "[cucm]\nlicensed-users = true\ndevice-classes = []\n";
    for spelling in ["", ",suggested"] {
        let device = format!("cucm:version=15.0,too-large=50,users=345,models=120{spelling}");
        let capture = Capture::of(&device, USERS);
        assert_eq!(capture.ran.status, 0, "{}", capture.ran.stderr);
        let users = capture.records("LicensedUser-Type");
        let ids: Vec<&str> = users.iter().map(|user| user["userId"].as_str().unwrap()).collect();
        let wanted: Vec<String> = (0..345).map(|number| format!("user{number:05}")).collect();
        assert_eq!(ids, wanted);
        let mut models: Vec<String> = capture
            .records("DeviceUsage-Type")
            .iter()
            .map(|model| model["deviceModel"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(models.len(), 120);
        models.sort();
        models.dedup();
        assert_eq!(models.len(), 120);
        // 60 % of 50 rows a page: 345 users are 12 pages, 120 models 4 and one that is empty.
        let requests = capture.requests();
        let count = |operation: &str| requests.iter().filter(|of| of.starts_with(operation)).count();
        assert_eq!(count("listLicensedUser"), 1 + 12);
        assert_eq!(count("executeSQLQuery"), 1 + 1 + 5);
        let sql = capture.simulators.requests("CUCM1");
        let pages: Vec<&str> = sql
            .iter()
            .filter_map(|request| request["sql"].as_str())
            .filter_map(|sql| Some(sql.split_once(" * FROM (select tm.name")?.0))
            .collect();
        assert_eq!(
            pages,
            [
                "SELECT SKIP 0 LIMIT 30",
                "SELECT SKIP 30 LIMIT 30",
                "SELECT SKIP 60 LIMIT 30",
                "SELECT SKIP 90 LIMIT 30",
                "SELECT SKIP 120 LIMIT 30"
            ]
        );
    }
}

#[test]
fn the_password_is_sent_once_for_each_session() {
    for (device, with) in [
        ("cucm:version=15.0", ["password", "cookie", "cookie", "cookie"]),
        (
            "cucm:version=15.0,cookie=each",
            ["password", "cookie", "cookie", "cookie"],
        ),
        (
            "cucm:version=15.0,cookie=twice",
            ["password", "cookie", "cookie", "cookie"],
        ),
        // Without a session that we know there is only the password.
        ("cucm:version=15.0,cookie=none", ["password"; 4]),
        ("cucm:version=15.0,cookie=empty", ["password"; 4]),
        ("cucm:version=15.0,cookie=other", ["password"; 4]),
    ] {
        let toml = "[cucm]\ndevice-classes = [\"Phone\", \"Gateway\"]\ndevice-models = false\n";
        let capture = Capture::of(device, toml);
        assert_eq!(capture.ran.status, 0, "{device}: {}", capture.ran.stderr);
        let requests = capture.requests();
        let sent: Vec<&str> = requests.iter().map(|of| of.split(' ').nth(2).unwrap()).collect();
        assert_eq!(sent, with, "{device}");
    }
}

#[test]
fn a_session_that_expires_now_and_then_costs_one_request_each_time() {
    let toml = "[cucm]\ndevice-classes = [\"Phone\", \"Gateway\", \"Trunk\"]\ndevice-models = false\n";
    let capture = Capture::of("cucm:version=15.0,session-expires-after=1", toml);
    assert_eq!(capture.ran.status, 0, "{}", capture.ran.stderr);
    assert_eq!(
        capture.requests(),
        [
            "getCCMVersion 15.0 password 200",
            "executeSQLQuery 15.0 cookie 200",
            "getNumDevices 15.0 cookie 404",
            "getNumDevices 15.0 password 200",
            "getNumDevices 15.0 cookie 200",
            "getNumDevices 15.0 cookie 404",
            "getNumDevices 15.0 password 200",
        ]
    );
}

#[test]
fn licences_that_nobody_has_heard_of_are_kept_as_they_are() {
    let capture = Capture::of("cucm:version=15.0,unknown-license=Holo <Room> & Co,latin-names", BRIEF);
    assert_eq!(capture.told(), ("complete".to_owned(), String::new()));
    let licences = capture.records("LicenseUsage-Type");
    assert_eq!(licences.len(), 13);
    let named = |name: &str| licences.iter().find(|licence| licence["licenseName"] == name).unwrap();
    assert_eq!(
        named("Holo <Room> & Co")["licenseCount"].to_string().trim_matches('"'),
        "7"
    );
    assert_eq!(named("Téléprésence")["licenseValue"], "2");
    assert_eq!(named("Timestamp")["licenseCount"], Value::Null);
    assert_eq!(named("Elm")["licenseValue"], "elm-demo");
}

#[test]
fn one_row_is_as_many() {
    let toml = "[cucm]\ndevice-classes = []\nlicensed-users = true\n";
    let capture = Capture::of("cucm:version=15.0,users=1,models=1", toml);
    assert_eq!(capture.told().0, "complete");
    assert_eq!(capture.records("LicensedUser-Type").len(), 1);
    assert_eq!(capture.records("DeviceUsage-Type").len(), 1);
    let capture = Capture::of("cucm:version=15.0,users=0,models=0", toml);
    assert_eq!(capture.told().0, "complete", "none is no error");
    assert_eq!(capture.records("LicensedUser-Type").len(), 0);
}

#[test]
fn another_licence_query_may_have_the_values_of_users_and_devices() {
    let toml = format!(
        "{BRIEF}license-query = \"select name,value,UserValue,DeviceValue FROM TABLE (FUNCTION LicenseTotals()) \
         (pkid,name,value,UserValue,DeviceValue)\"\n"
    );
    for nulls in ["nil", "nil-once", "plain"] {
        let capture = Capture::of(&format!("cucm:version=15.0,null-style={nulls}"), &toml);
        assert_eq!(capture.told(), ("complete".to_owned(), String::new()));
        let licences = capture.records("LicenseUsage-Type");
        let named = |name: &str| licences.iter().find(|licence| licence["licenseName"] == name).unwrap();
        assert_eq!(named("Enhanced")["userValue"], "396");
        assert_eq!(named("Enhanced")["deviceValue"], "14");
        assert_eq!(named("TotalUsers")["userValue"], Value::Null, "{nulls}");
    }
    // A query without the names of the columns gives nothing that can be used.
    let toml =
        format!("{BRIEF}license-query = \"select a,value FROM TABLE (FUNCTION LicenseTotals()) (pkid,a,value,b,c)\"\n");
    let capture = Capture::of("cucm:version=15.0", &toml);
    let line = format!(
        "source CUCM1 failed: {}: licence query: 11 rows are left out, which have nothing in a column \"name\"\n",
        capture.at()
    );
    assert!(capture.ran.stderr.contains(&line), "{}", capture.ran.stderr);
}

#[test]
fn a_text_that_fits_no_field_costs_its_own_row_only() {
    let device = format!("cucm:version=15.0,unknown-license={}", "x".repeat(5000));
    let capture = Capture::of(&device, BRIEF);
    assert_eq!(capture.ran.status, 69);
    let (state, reason) = capture.told();
    assert_eq!(state, "incomplete");
    assert!(
        reason.starts_with("licence query: 1 rows are left out, of which the first is row 12: a record LicenseUsage-Type, field licenseName"),
        "{reason}"
    );
    assert_eq!(capture.records("LicenseUsage-Type").len(), 11);
}

#[test]
fn what_came_before_a_connection_broke_is_kept() {
    let toml = "[cucm]\ndevice-classes = [\"Phone\", \"Gateway\", \"Trunk\"]\ndevice-models = false\n";
    for (quirk, why) in [
        ("from=4,truncate=40", "the answer broke off"),
        ("from=4,hang-in-body", "has not answered all questions within"),
        ("from=4,hang", "has not answered all questions within"),
    ] {
        let toml = format!("timeout = \"1s\"\n{toml}");
        let started = Instant::now();
        let capture = Capture::of(&format!("cucm:version=15.0,{quirk}"), &toml);
        assert!(started.elapsed() < Duration::from_secs(5), "{quirk}");
        let (state, reason) = capture.told();
        assert_eq!(state, "incomplete", "{quirk}");
        assert!(reason.starts_with(&format!("{}: {why}", capture.at())), "{reason}");
        assert!(reason.ends_with("; nothing was asked after that"), "{reason}");
        assert_eq!(capture.records("LicenseUsage-Type").len(), 11);
        assert_eq!(capture.records("DeviceUsage-Type").len(), 1);
        assert_eq!(capture.requests().len(), 4);
    }
}

#[test]
fn an_answer_that_is_not_right_costs_its_own_question_only() {
    let toml = "[cucm]\ndevice-classes = [\"Phone\", \"Gateway\"]\ndevice-models = false\n";
    let capture = Capture::of("cucm:version=15.0,from=3,until=3,utf16", toml);
    let (state, reason) = capture.told();
    assert_eq!(state, "incomplete");
    assert!(
        reason.starts_with("devices of class Phone: getNumDevices: its answer to getNumDevices is not right: "),
        "{reason}"
    );
    assert_eq!(capture.records("DeviceUsage-Type").len(), 1);
    assert_eq!(capture.records("LicenseUsage-Type").len(), 11);
}

#[test]
fn a_cucm_that_gives_its_version_and_nothing_else_has_failed_and_tells_no_secret() {
    let capture = Capture::of("cucm:version=15.0,from=2,echo-password", BRIEF);
    assert_eq!(capture.ran.status, 69);
    assert_eq!(capture.ran.stdout, "");
    let stderr = &capture.ran.stderr;
    let line = format!(
        "source CUCM1 failed: {}: licences: licence query: it refuses (axlcode -1): user billing with password *** failed \
         (Authorization: none; Cookie: JSESSIONIDSSO=***); getSmartLicenseStatus: it refuses",
        capture.at()
    );
    assert!(stderr.contains(&line), "{stderr}");
    assert!(!stderr.contains(&capture.simulators.password("CUCM1")));
}

/// Each question may be asked again, but all of them together have the time limit.
#[test]
fn retries_do_not_multiply_beyond_the_time_limit() {
    let simulators = Simulators::start(&["cucm:version=15.0,from=1,memory=1000000"]);
    let place = Place::new();
    place.configure(&format!(
        "[capture]\ndevices = \"{}\"\nretry-wait = \"200ms\"\nretries = 10\ntimeout = \"1s\"\n",
        simulators.devices_csv().display()
    ));
    let started = Instant::now();
    let ran = place.run(&["capture"]).expect(69);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // 200, 400 ms; 800 ms more would be over the limit.
    assert!(ran.stderr.contains("asked 3 times"), "{}", ran.stderr);
    assert_eq!(simulators.requests("CUCM1").len(), 3);
}

/// What the manual explains is what the program says: every message there stands in a row here.
#[test]
fn every_message_of_the_manual_is_one_of_the_program() {
    let page = include_str!("../man/parts/billdrop-cucm.7");
    let messages = page
        .split(".SH MESSAGES")
        .nth(1)
        .unwrap()
        .split("\n.SH ")
        .next()
        .unwrap();
    let sources = [
        include_str!("cucm_faults.rs"),
        include_str!("../src/capture/cucm/paging/tests.rs"),
    ]
    .concat();
    let pieces: Vec<&str> = sources.split("\\\n").collect();
    let tests: String = pieces.iter().map(|piece| piece.trim_start()).collect();
    let entries: Vec<&str> = messages
        .lines()
        .filter_map(|line| line.strip_prefix('`')?.strip_suffix('`'))
        .collect();
    assert!(entries.len() >= 14, "{entries:?}");
    for entry in entries {
        assert!(tests.contains(entry), "no test has the message {entry:?}");
    }
}
