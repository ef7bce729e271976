//! A CUCM that refuses: what the operator reads, what the CUCM saw, and the exit status. One row for each fault of Cisco's
//! AXL Developer Guide, and for those that were seen elsewhere.

mod support;

use std::time::{Duration, Instant};

use support::binary::Place;
use support::cucm::{BRIEF, Capture};
use support::simulators::Simulators;

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

/// What the manual explains is what the program says: every message there stands in a test.
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
        include_str!("cucm_usage.rs"),
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
