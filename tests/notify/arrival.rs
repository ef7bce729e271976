//! What is sent arrives, whole and by name.

use std::process::Command;

use billdrop::{
    config::{DEFAULT_ENTERPRISE, Manager},
    notify::{CollectionStatus, Engine, Event, Sender},
};
use chrono::{TimeZone, Utc};

use super::{
    SOON, manager, passwords, sender,
    support::{
        say,
        snmptrapd::{SENDER_ENGINE, Snmptrapd, mib_directories},
    },
    test_event, v2c, v3,
};

/// Every kind of event, with what the receiver's line says of it. `mark` stands in each.
fn events(mark: &str) -> Vec<(Event, Vec<String>)> {
    let at = Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 15).unwrap();
    let time = |object: &str| format!("{object}.0 = STRING: 2026-1-15,9:30:15.0,+0:0");
    let trap = |name: &str| format!("SNMPv2-MIB::snmpTrapOID.0 = OID: {name}");
    let ours = |object: &str| format!("BILLDROP-MIB::{object}");
    vec![
        (
            Event::Collection {
                status: CollectionStatus::Success,
                destination: format!("disk0:{mark}-20260115-093000.xml"),
                at,
            },
            vec![
                trap("CISCO-CABLE-METERING-MIB::ccmtrCollectionNotification"),
                "CISCO-CABLE-METERING-MIB::ccmtrCollectionStatus.0 = INTEGER: success(2)".to_owned(),
                format!(
                    "CISCO-CABLE-METERING-MIB::ccmtrCollectionDestination.0 = STRING: disk0:{mark}-20260115-093000.xml"
                ),
                time("CISCO-CABLE-METERING-MIB::ccmtrCollectionTimestamp"),
            ],
        ),
        (
            Event::Blocked {
                document: format!("{mark}.xml"),
                sequence: u64::MAX,
                since: at,
                captures_skipped: u32::MAX,
            },
            vec![
                trap(&ours("billdropBlocked")),
                ours(&format!("billdropDocumentName.0 = STRING: {mark}.xml")),
                ours("billdropDocumentSequence.0 = Counter64: 18446744073709551615"),
                time(&ours("billdropDocumentSince")),
                ours("billdropCapturesSkipped.0 = Gauge32: 4294967295"),
            ],
        ),
        (
            Event::SourceFailed {
                source: mark.to_owned(),
                reason: "no answer\nfrom Köln".to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropSourceFailed")),
                ours(&format!("billdropSourceName.0 = STRING: {mark}")),
                ours("billdropReason.0 = STRING: no answer from Köln"),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::Gap {
                sequence: 42,
                reason: format!("moved aside: {mark}"),
                at,
            },
            vec![
                trap(&ours("billdropGap")),
                ours("billdropDocumentSequence.0 = Counter64: 42"),
                ours(&format!("billdropReason.0 = STRING: moved aside: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::ArchiveGaveWay {
                sequence: 41,
                reason: format!("full: {mark}"),
                at,
            },
            vec![
                trap(&ours("billdropArchiveGaveWay")),
                ours("billdropDocumentSequence.0 = Counter64: 41"),
                ours(&format!("billdropReason.0 = STRING: full: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::DestinationFailed {
                destination: mark.to_owned(),
                pending: 3,
                reason: "no connection".to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropDestinationFailed")),
                ours(&format!("billdropDestinationName.0 = STRING: {mark}")),
                ours("billdropDeliveriesPending.0 = Gauge32: 3"),
                ours("billdropReason.0 = STRING: no connection"),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::DestinationRecovered {
                destination: mark.to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropDestinationRecovered")),
                ours(&format!("billdropDestinationName.0 = STRING: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::CollectorSwitched {
                session: mark.to_owned(),
                collector: "mediation-b".to_owned(),
                reason: "mediation-a is gone".to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropCollectorSwitched")),
                ours(&format!("billdropSessionName.0 = STRING: {mark}")),
                ours("billdropDestinationName.0 = STRING: mediation-b"),
                ours("billdropReason.0 = STRING: mediation-a is gone"),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::Test {
                recorder: mark.to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropTest")),
                ours(&format!("billdropRecorder.0 = STRING: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
    ]
}

/// Sends every event and finds each, once, whole and by name, in the receiver's log.
#[track_caller]
fn assert_all_arrive(receiver: &Snmptrapd, manager: &Manager, kind: &str) {
    let expected = events("edge7");
    let jobs = expected
        .iter()
        .map(|(event, _)| (manager.clone(), event.clone()))
        .collect();
    for outcome in sender().deliver(jobs) {
        outcome.unwrap_or_else(|e| panic!("{e}\n{}", receiver.everything()));
    }
    for (_, parts) in &expected {
        let line = receiver.wait_for(&parts[0], SOON);
        assert!(line.contains(kind), "{line}");
        assert!(line.contains("SNMPv2-MIB::sysUpTime.0 = "), "{line}");
        let mut rest = line.as_str();
        for part in parts {
            let at = rest
                .find(part.as_str())
                .unwrap_or_else(|| panic!("{part:?} is missing, or not in order: {line}"));
            rest = &rest[at + part.len()..];
            assert!(rest.is_empty() || rest.starts_with('\t'), "after {part:?}: {rest:?}");
        }
    }
    assert_eq!(receiver.lines().len(), expected.len(), "{}", receiver.everything());
    assert!(
        !receiver.everything().contains("Wrong Type"),
        "{}",
        receiver.everything()
    );
}

#[test]
fn every_event_arrives_as_a_v2c_trap() {
    let receiver = Snmptrapd::start();
    assert_all_arrive(
        &receiver,
        &v2c(receiver.port, false),
        "TRAP2, SNMP v2c, community public",
    );
}

#[test]
fn every_event_arrives_as_a_v2c_inform() {
    let receiver = Snmptrapd::start();
    assert_all_arrive(
        &receiver,
        &v2c(receiver.port, true),
        "INFORM, SNMP v2c, community public",
    );
}

#[test]
fn every_event_arrives_as_a_v3_trap() {
    let receiver = Snmptrapd::start();
    let manager = v3(receiver.port, false, &passwords());
    assert_all_arrive(&receiver, &manager, "TRAP2, SNMP v3, user billdrop");
}

#[test]
fn every_event_arrives_as_a_v3_inform() {
    let receiver = Snmptrapd::start();
    let manager = v3(receiver.port, true, &passwords());
    assert_all_arrive(&receiver, &manager, "INFORM, SNMP v3, user billdrop");
}

#[test]
fn every_status_has_its_number() {
    let receiver = Snmptrapd::start();
    let event = |status| Event::Collection {
        status,
        destination: "x".to_owned(),
        at: Utc::now(),
    };
    use CollectionStatus::*;
    for (status, name) in [
        (Unknown, "unknown(1)"),
        (DeviceFull, "deviceFull(3)"),
        (WriteError, "writeError(4)"),
        (FileNotExist, "fileNotExist(5)"),
        (ConnectionTimeout, "connectionTimeout(6)"),
        (DataIncomplete, "dataIncomplete(7)"),
    ] {
        sender().send(&v2c(receiver.port, true), &event(status)).unwrap();
        receiver.wait_for(&format!("ccmtrCollectionStatus.0 = INTEGER: {name}\t"), SOON);
    }
}

#[test]
fn every_protocol_of_version_3_is_understood() {
    let auths = [
        ("MD5", "MD5"),
        ("SHA-1", "SHA"),
        ("SHA-224", "SHA-224"),
        ("SHA-256", "SHA-256"),
        ("SHA-384", "SHA-384"),
        ("SHA-512", "SHA-512"),
    ];
    let privacies = [("AES-128", "AES"), ("AES-256", "AES-256")];
    let pairs: Vec<_> = auths
        .iter()
        .flat_map(|a| privacies.iter().map(move |p| (*a, *p)))
        .collect();
    let names: Vec<String> = pairs.iter().map(|(a, p)| format!("u-{}-{}", a.0, p.0)).collect();
    let users: Vec<_> = pairs
        .iter()
        .zip(&names)
        .map(|((a, p), name)| (name.as_str(), a.1, p.1))
        .collect();
    let receiver = Snmptrapd::start_with(&users);
    let mut jobs = Vec::new();
    for ((auth, privacy), name) in pairs.iter().zip(&names) {
        for inform in [false, true] {
            let table = format!(
                "version = '3'\nuser = '{name}'\ninform = {inform}\ntimeout = '5s'\nauth-protocol = '{}'\n\
                 privacy-protocol = '{}'\n{}",
                auth.0,
                privacy.0,
                passwords()
            );
            let manager = manager(&format!("127.0.0.1:{}", receiver.port), &table);
            jobs.push((manager, test_event(&format!("{name}-{inform}"))));
        }
    }
    for outcome in sender().deliver(jobs) {
        outcome.unwrap_or_else(|e| panic!("{e}\n{}", receiver.everything()));
    }
    for name in &names {
        receiver.wait_for(&format!("billdropRecorder.0 = STRING: {name}-false"), SOON);
        receiver.wait_for(&format!("billdropRecorder.0 = STRING: {name}-true"), SOON);
    }
}

#[test]
fn a_process_with_more_boots_is_heard_and_one_with_fewer_is_not() {
    let receiver = Snmptrapd::start();
    let trap = |boots: u32| {
        let id = Engine::parse_id(SENDER_ENGINE).unwrap();
        let sender = Sender::new(Engine { id, boots }, DEFAULT_ENTERPRISE).unwrap();
        let manager = v3(receiver.port, false, &passwords());
        sender.send(&manager, &test_event(&format!("boots-{boots}."))).unwrap();
    };
    for boots in [7, 8] {
        trap(boots);
        receiver.wait_for(&format!("boots-{boots}."), SOON);
    }
    trap(6);
    trap(2_147_483_646);
    receiver.wait_for("boots-2147483646.", SOON);
    assert_eq!(receiver.lines().len(), 3, "{}", receiver.everything());
}

#[test]
fn a_name_and_ipv6_lead_to_the_manager_too() {
    let receiver = Snmptrapd::start();
    let by_name = manager(
        &format!("localhost:{}", receiver.port),
        "community = 'public'\ninform = true",
    );
    sender().send(&by_name, &test_event("by-name")).unwrap();
    receiver.wait_for("by-name", SOON);
    if !receiver.ipv6 {
        say("this host has no IPv6 loopback address (::1 cannot be bound): not tried over IPv6");
        return;
    }
    for (inform, mark) in [(false, "v6-trap"), (true, "v6-inform")] {
        let address = format!("[::1]:{}", receiver.port);
        let v6 = manager(&address, &format!("community = 'public'\ninform = {inform}"));
        sender().send(&v6, &test_event(mark)).unwrap();
        receiver.wait_for(mark, SOON);
    }
}

#[test]
fn a_secret_in_a_file_opens_the_manager() {
    let receiver = Snmptrapd::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "public\n").unwrap();
    let table = format!("community = {{ file = '{}' }}\ninform = true", file.path().display());
    let manager = manager(&format!("127.0.0.1:{}", receiver.port), &table);
    sender().send(&manager, &test_event("from-file")).unwrap();
    receiver.wait_for("from-file", SOON);
}

#[test]
fn the_mib_is_without_a_remark_of_smilint() {
    let output = Command::new("smilint")
        .args(["-l", "6", "-s", "contrib/mib/BILLDROP-MIB.txt"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SMIPATH", mib_directories())
        .output()
        .expect("smilint is missing; install it: apt-get install -y --no-install-recommends smitools");
    let remarks = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && remarks.is_empty(), "{remarks}");
}
