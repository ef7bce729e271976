//! Promise 6: a real snmptrapd hears of each document and each failure from the program itself, by name.

mod support;

use std::{fs, time::Duration};

use support::{
    binary::Place,
    free_port,
    snmptrapd::{AUTH_PASSWORD, COMMUNITY, PRIVACY_PASSWORD, SENDER_ENGINE, Snmptrapd},
};

const LIMIT: Duration = Duration::from_secs(10);

fn v2c(port: u16, more: &str) -> String {
    format!("[[notify]]\naddress = \"127.0.0.1:{port}\"\ncommunity = \"{COMMUNITY}\"\n{more}\n")
}

fn v3(port: u16, more: &str) -> String {
    format!(
        "[[notify]]\naddress = \"localhost:{port}\"\nversion = \"3\"\nuser = \"billdrop\"\n\
         auth-password = \"{AUTH_PASSWORD}\"\nprivacy-password = \"{PRIVACY_PASSWORD}\"\n{more}\n"
    )
}

fn pending(place: &Place) -> usize {
    place.status()["notifications_pending"].as_array().unwrap().len()
}

/// The three varbinds of the MIB with their names, and the file they speak of.
fn assert_collection(line: &str, status: &str, name: &str) {
    for said in [
        "SNMPv2-MIB::snmpTrapOID.0 = OID: CISCO-CABLE-METERING-MIB::ccmtrCollectionNotification".to_owned(),
        format!("CISCO-CABLE-METERING-MIB::ccmtrCollectionStatus.0 = INTEGER: {status}"),
        format!("CISCO-CABLE-METERING-MIB::ccmtrCollectionDestination.0 = STRING: {name}"),
        "CISCO-CABLE-METERING-MIB::ccmtrCollectionTimestamp.0 = STRING: 20".to_owned(),
    ] {
        assert!(line.contains(&said), "{said:?} is not in {line:?}");
    }
    assert!(!line.contains("Wrong Type"), "{line}");
}

/// The notification of a new document left with the next run only: it was due after the moment the run had begun.
#[test]
fn a_manager_prints_trap_inform_and_version_3_with_all_names() {
    let manager = Snmptrapd::start();
    let place = Place::new();
    let port = manager.port;
    let snmp = format!("[snmp]\nengine-id = \"{SENDER_ENGINE}\"\nfilesystem = \"disk0:\"\n");
    for (kind, table, sign) in [
        ("trap", v2c(port, ""), "TRAP2, SNMP v2c"),
        ("inform", v2c(port, "inform = true"), "INFORM, SNMP v2c"),
        ("trap of version 3", v3(port, ""), "TRAP2, SNMP v3"),
        ("inform of version 3", v3(port, "inform = true"), "INFORM, SNMP v3"),
    ] {
        place.configure(&format!("{snmp}{table}"));
        let document = place.capture();
        let name = document.file_name().unwrap().to_str().unwrap();
        let line = manager.wait_for(name, LIMIT);
        assert!(line.contains(sign), "{kind}: {line}");
        assert_collection(&line, "success(2)", &format!("disk0:{name}"));
        assert_eq!(pending(&place), 0, "{kind}");
        fs::remove_file(document).unwrap();
    }
    assert_eq!(place.status()["notifications_delivered"], 4);
    assert_eq!(manager.lines().len(), 4, "each was told once: {:?}", manager.lines());
}

#[test]
fn a_manager_that_was_down_hears_of_it_late_and_the_file_is_offered_all_the_same() {
    let port = free_port();
    let place = Place::new();
    place.configure(&v2c(port, "inform = true\ntimeout = \"200ms\"\nretries = 1"));
    let ran = place.run(&["capture"]).expect(0);
    assert!(ran.stderr.contains(&format!("127.0.0.1:{port}")), "{}", ran.stderr);
    let name = ran.stdout.trim_end().strip_prefix("spool/").unwrap().to_owned();
    assert_eq!(place.listing(), [name.as_str()]);
    let waiting = &place.status()["notifications_pending"][0];
    assert_eq!(waiting["attempts"], 1);
    assert!(!waiting["last_error"].as_str().unwrap().is_empty());
    assert!(
        !ran.stderr.contains(COMMUNITY) && !waiting.to_string().contains(COMMUNITY),
        "the community is a secret"
    );

    let manager = Snmptrapd::start_on(port, &[]).expect("snmptrapd starts on the port that was free");
    // The next run is a blocked one: it delivers all the same.
    place.run(&["capture"]).expect(75);
    assert_collection(&manager.wait_for(&name, LIMIT), "success(2)", &name);
    assert_eq!(pending(&place), 0);
    place.run(&["notify"]).expect(0);
    assert_eq!(manager.lines().len(), 1, "it was told once: {:?}", manager.lines());
}

#[test]
fn a_document_that_waits_too_long_is_alarmed_once_and_a_failed_source_each_time() {
    let manager = Snmptrapd::start();
    let place = Place::new();
    place.configure(&format!(
        "[spool]\nalarm-after = \"0s\"\n{}[[source]]\ntype = \"linux\"\n\
         [[source]]\ntype = \"linux\"\nname = \"vrf\"\nnetwork-namespace = \"there-is-none\"\n",
        v2c(manager.port, "inform = true")
    ));
    let ran = place.run(&["capture"]).expect(69);
    assert!(ran.stderr.contains("source vrf failed"), "{}", ran.stderr);
    let document = place.path().join(ran.stdout.trim_end());
    let line = manager.wait_for("BILLDROP-MIB::billdropSourceFailed", LIMIT);
    for said in ["vrf", "there-is-none"] {
        assert!(line.contains(said), "{said}: {line}");
    }
    let information = place.information(&document);
    assert_eq!(information["closureReason"], "abnormal");
    assert_eq!(information["sourceStatus"][0]["state"], "complete");
    assert_eq!(information["sourceStatus"][1]["state"], "failed");
    assert!(place.run(&["gaps"]).expect(0).stdout.contains("source-failed"));

    place.run(&["capture"]).expect(75);
    place.run(&["capture"]).expect(75);
    let line = manager.wait_for("BILLDROP-MIB::billdropBlocked", LIMIT);
    assert!(line.contains(document.file_name().unwrap().to_str().unwrap()), "{line}");
    let blocked = manager
        .lines()
        .iter()
        .filter(|line| line.contains("billdropBlocked"))
        .count();
    assert_eq!(blocked, 1, "repeated once a day, not at each run");

    place.run(&["release", "--reason", "test"]).expect(0);
    let line = manager.wait_for("BILLDROP-MIB::billdropGap", LIMIT);
    assert!(line.contains("was released by"), "{line}");
}

#[test]
fn when_every_source_fails_nothing_is_offered_and_the_manager_hears_why() {
    let manager = Snmptrapd::start();
    let place = Place::new();
    let failing = "[[source]]\ntype = \"linux\"\nnetwork-namespace = \"there-is-none\"\n";
    place.configure(&format!("{}{failing}", v2c(manager.port, "inform = true")));
    place.run(&["capture"]).expect(69);
    assert_eq!(place.listing(), [] as [&str; 0]);
    let line = manager.wait_for("ccmtrCollectionStatus", LIMIT);
    assert!(line.contains("dataIncomplete(7)"), "{line}");
    manager.wait_for("billdropSourceFailed", LIMIT);
    // The next document covers the time and tells of it.
    place.configure("");
    let information = place.information(&place.capture());
    assert_eq!(information["sequenceNumber"], 1);
    assert!(
        information["remark"].as_str().unwrap().contains("there-is-none"),
        "{information}"
    );
}

#[test]
fn a_test_notification_reaches_every_manager_and_says_which_it_did_not_reach() {
    let manager = Snmptrapd::start();
    let place = Place::new();
    let dead = v2c(free_port(), "inform = true\ntimeout = \"100ms\"\nretries = 0");
    place.configure(&format!("{}{dead}", v2c(manager.port, "inform = true")));
    let ran = place.run(&["notify", "--test"]).expect(69);
    manager.wait_for("BILLDROP-MIB::billdropTest", LIMIT);
    assert!(
        ran.stdout
            .contains(&format!("127.0.0.1:{}: acknowledged", manager.port)),
        "{ran:?}"
    );
    assert!(ran.stdout.contains(": failed"), "{ran:?}");
}
