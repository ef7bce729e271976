//! What a CUCM is asked, how, and what becomes of its answers, the strange ones too.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;

use support::cucm::{BRIEF, Capture};
use support::simulators::Simulators;

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

/// Nor must it stand beside half of them.
#[test]
fn half_of_the_licences_have_no_stand_in() {
    // The licences come in pages of three; the second page is no UTF-8.
    let capture = Capture::of("cucm:version=15.0,too-large=5,from=4,until=4,utf16", BRIEF);
    let (state, reason) = capture.told();
    assert_eq!(state, "incomplete");
    assert!(
        reason.starts_with("licences: licence query: its answer to executeSQLQuery is not right: "),
        "{reason}"
    );
    let licences = capture.records("LicenseUsage-Type");
    assert_eq!(licences.len(), 3);
    assert!(
        licences
            .iter()
            .all(|licence| licence["licenseSource"] == "LicenseTotals")
    );
}

#[test]
fn classes_that_are_missing_for_one_reason_are_told_at_once() {
    let toml = "[cucm]\ndevice-classes = [\"A\", \"Phone\", \"B\", \"C\"]\ndevice-models = false\n";
    let capture = Capture::of("cucm:version=15.0", toml);
    let (_, reason) = capture.told();
    assert!(
        reason.starts_with("devices of class A, B, C: getNumDevices: it does not know"),
        "{reason}"
    );
}

/// Release 14 speaks AXL 11.5, too, which lacks what the release has.
#[test]
fn after_an_upgrade_the_version_is_agreed_on_anew() {
    let mut capture = Capture::of("cucm:version=11.5", BRIEF);
    capture.simulators = Simulators::start(&["cucm:version=14.0"]);
    capture.place.configure(&format!(
        "[capture]\ndevices = \"{}\"\n{BRIEF}",
        capture.simulators.devices_csv().display()
    ));
    capture.again();
    assert_eq!(
        capture.requests(),
        [
            "getCCMVersion 11.5 password 200",
            "getCCMVersion 15.0 cookie 599",
            "getCCMVersion 14.0 cookie 200",
            "executeSQLQuery 14.0 cookie 200",
        ]
    );
    let before = capture.requests().len();
    capture.again();
    assert_eq!(
        capture.requests()[before..],
        ["getCCMVersion 14.0 password 200", "executeSQLQuery 14.0 cookie 200"]
    );
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
        assert!(
            reason.starts_with(&format!("devices by class: {}: {why}", capture.at())),
            "{reason}"
        );
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
