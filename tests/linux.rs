//! The source `linux` asks a real kernel, in network namespaces that are made for each test and end with it.
//!
//! A test starts itself again under `unshare`. That needs root or unprivileged user namespaces; without either the test
//! fails and says so.

mod support;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use billdrop::capture::{Asked, Captured, Linux, RecordSink, Source, SourceError};
use billdrop::config;
use billdrop::record::{Discontinuity, INTERFACE_USAGE, Record, Value};
use serde_json::Value as Json;

use support::namespace::{ALIAS, Started, again, inside, ip, ip_json, output, three_pairs, traffic};

#[test]
fn every_counter_is_the_one_that_iproute2_reads() {
    inside(&[], "every_counter_is_the_one_that_iproute2_reads", |_| {
        three_pairs();
        traffic();
        let (records, captured) = capture(&embedded(), None).unwrap();
        assert!(
            captured.incomplete.is_none() && captured.remark.is_none(),
            "{captured:?}"
        );

        let expected = ip_json("-s link");
        let expected = expected.as_array().unwrap();
        assert_eq!(records.len(), expected.len());
        for (record, expected) in records.iter().zip(expected) {
            let name = text(record, "ifName");
            assert_eq!(name, expected["ifname"], "in order of ifIndex");
            assert_eq!(u64::from(index(record)), expected["ifindex"]);
            for (ours, direction, theirs) in [
                ("inOctets", "rx", "bytes"),
                ("outOctets", "tx", "bytes"),
                ("inPkts", "rx", "packets"),
                ("outPkts", "tx", "packets"),
                ("inErrors", "rx", "errors"),
                ("outErrors", "tx", "errors"),
                ("inDiscards", "rx", "dropped"),
                ("outDiscards", "tx", "dropped"),
            ] {
                let theirs: &Json = &expected["stats64"][direction][theirs];
                assert_eq!(counter(record, ours), *theirs, "{ours} of {name}");
            }
        }
        assert!(counter(of(&records, "lo"), "inPkts") >= 3);
        let (va1, vb1) = (of(&records, "va1"), of(&records, "vb1"));
        assert!(counter(va1, "outOctets") > 1500 && counter(va1, "inOctets") == 0);
        assert_eq!(counter(va1, "outOctets"), counter(vb1, "inOctets"));
        assert!(counter(of(&records, "vb2"), "outDiscards") > 0, "the other end is down");
    });
}

#[test]
fn alias_address_and_states_are_those_that_were_set() {
    inside(&[], "alias_address_and_states_are_those_that_were_set", |_| {
        three_pairs();
        let (records, _) = capture(&embedded(), None).unwrap();
        assert_eq!(text(of(&records, "va1"), "ifAlias"), ALIAS);
        assert_eq!(field(of(&records, "vb1"), "ifAlias"), &Value::Absent);
        let mac = Value::MacAddress([0x02, 0, 0x5e, 0, 0x53, 0x01]);
        assert_eq!(field(of(&records, "va1"), "ifPhysAddress"), &mac);
        assert_eq!(field(of(&records, "lo"), "ifPhysAddress"), &Value::Absent);
        let states = |name| ["ifAdminStatus", "ifOperStatus"].map(|status| code(of(&records, name), status));
        let (up, down, unknown, lower_layer_down) = (1, 2, 4, 7);
        assert_eq!(states("va1"), [up, up]);
        assert_eq!(states("va2"), [down, down]);
        assert_eq!(states("vb2"), [up, lower_layer_down]);
        assert_eq!(states("lo"), [up, unknown]);
        assert_eq!(text(of(&records, "lo"), "hostName"), "recorder1");
        assert_eq!(text(of(&records, "lo"), "sourceName"), "linux");
    });
}

#[test]
fn the_next_document_knows_what_was_made_again_and_what_is_gone() {
    inside(
        &[],
        "the_next_document_knows_what_was_made_again_and_what_is_gone",
        |_| {
            three_pairs();
            let (records, first) = capture(&embedded(), None).unwrap();
            assert!(
                records
                    .iter()
                    .all(|r| code(r, "discontinuity") == Discontinuity::NotCompared as i32)
            );

            traffic();
            ip("link del va3");
            ip("link add name va3 type veth peer name vc3");
            ip("link set va2 name vz2");
            let (records, second) = capture(&embedded(), first.baseline.as_deref()).unwrap();
            let found = records.iter().map(|r| (text(r, "ifName"), code(r, "discontinuity")));
            let expected = [
                ("lo", Discontinuity::None),
                ("va1", Discontinuity::None),
                ("vb1", Discontinuity::None),
                ("vb2", Discontinuity::None),
                ("vz2", Discontinuity::New),
                ("va3", Discontinuity::Recreated),
                ("vc3", Discontinuity::New),
            ];
            let expected = expected.iter().map(|(name, d)| (*name, *d as i32));
            assert_eq!(found.collect::<HashMap<_, _>>(), expected.collect::<HashMap<_, _>>());
            let remark = second.remark.unwrap();
            assert!(
                remark.contains("1 interface of the last document is gone: vb3"),
                "{remark}"
            );
            assert!(remark.contains("va2 to vz2"), "{remark}");
        },
    );
}

#[test]
fn a_name_that_is_not_utf_8_is_told_and_does_not_stop_the_capture() {
    inside(
        &[],
        "a_name_that_is_not_utf_8_is_told_and_does_not_stop_the_capture",
        |_| {
            ip("link add name va1 type veth peer name vb1");
            let rename = ["link", "set", "va1", "name"].map(OsStr::new);
            output("ip", rename.into_iter().chain([OsStr::from_bytes(b"a\xffb")]));
            let (records, captured) = capture(&embedded(), None).unwrap();
            assert!(records.iter().any(|r| text(r, "ifName") == "a\u{FFFD}b"));
            assert!(captured.remark.unwrap().contains("a\u{FFFD}b"));
        },
    );
}

#[test]
fn interfaces_that_come_and_go_meanwhile_cost_no_other_its_record() {
    inside(
        &[],
        "interfaces_that_come_and_go_meanwhile_cost_no_other_its_record",
        |_| {
            for pair in 0..200 {
                ip(&format!("link add name stay{pair} type veth peer name peer{pair}"));
            }
            let _churn = Started::shell(
                &[],
                "echo begin; while :; do ip link add name c0 type veth peer name c1; ip link del c0; done",
            );
            for _ in 0..50 {
                let (records, captured) = capture(&embedded(), None).unwrap();
                let mut indexes: Vec<u32> = records.iter().map(index).collect();
                indexes.sort_unstable();
                indexes.dedup();
                assert_eq!(indexes.len(), records.len(), "no interface is told twice");
                let lasting =
                    |r: &&Record| text(r, "ifName").starts_with("stay") || text(r, "ifName").starts_with("peer");
                let lasting = records.iter().filter(lasting).count();
                assert!(
                    lasting == 400 || captured.incomplete.is_some(),
                    "{lasting} of 400 passed off as all"
                );
            }
        },
    );
}

#[test]
fn another_namespace_is_read_by_path_and_by_name() {
    inside(&["--mount"], "another_namespace_is_read_by_path_and_by_name", |_| {
        let there = Started::shell(
            &["unshare", "--net"],
            "ip link add name inner0 type veth peer name inner1 && echo ready && exec sleep 60",
        );
        let path = format!("/proc/{}/ns/net", there.0.id());
        output("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
        std::fs::create_dir("/run/netns").unwrap();
        symlink(&path, "/run/netns/blue").unwrap();

        let mut baseline: Option<Vec<u8>> = None;
        for (namespace, expected) in [
            (path.as_str(), Discontinuity::NotCompared),
            ("blue", Discontinuity::None),
        ] {
            let (records, captured) = capture(&in_namespace(namespace), baseline.as_deref()).unwrap();
            let names: Vec<&str> = records.iter().map(|r| text(r, "ifName")).collect();
            assert_eq!(names, ["lo", "inner1", "inner0"]);
            assert!(records.iter().all(|r| code(r, "discontinuity") == expected as i32));
            baseline = captured.baseline;
        }
        drop(there);
        // We have stayed where we were, and the same name here is another interface.
        let (records, _) = capture(&embedded(), baseline.as_deref()).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(code(&records[0], "discontinuity"), Discontinuity::Recreated as i32);
    });
}

#[test]
fn a_namespace_that_cannot_be_entered_is_named_with_the_reason() {
    inside(
        &[],
        "a_namespace_that_cannot_be_entered_is_named_with_the_reason",
        |_| {
            let missing = capture(&in_namespace("no-such-namespace"), None).unwrap_err();
            assert!(matches!(missing, SourceError::Unavailable(_)), "{missing}");
            let missing = missing.to_string();
            assert!(missing.contains("/run/netns/no-such-namespace is missing"), "{missing}");
            assert!(missing.contains("ip netns add"), "{missing}");
            for other in ["/etc/passwd", "/proc/self/ns/mnt"] {
                let error = capture(&in_namespace(other), None).unwrap_err().to_string();
                assert!(
                    error.contains(&format!("{other} is not a network namespace")),
                    "{error}"
                );
            }
        },
    );
}

#[test]
fn without_cap_sys_admin_another_namespace_is_denied() {
    const TEST: &str = "without_cap_sys_admin_another_namespace_is_denied";
    inside(&[], TEST, |stage| {
        if stage != "bounded" {
            let mut bounded = Command::new("setpriv");
            bounded.args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]);
            again(bounded, TEST, "bounded");
            return;
        }
        let denied = capture(&in_namespace("/proc/self/ns/net"), None).unwrap_err();
        assert!(matches!(denied, SourceError::Denied(_)), "{denied}");
        let denied = denied.to_string();
        assert!(
            denied.contains("/proc/self/ns/net") && denied.contains("CAP_SYS_ADMIN"),
            "{denied}"
        );
        let (records, _) = capture(&embedded(), None).expect("our own namespace needs no capability");
        assert_eq!(records.len(), 1);
    });
}

#[test]
fn a_disk_that_is_full_is_handed_on() {
    struct Full;
    impl RecordSink for Full {
        fn push(&mut self, _: &Record) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let error = Linux::new(&embedded())
        .unwrap()
        .capture(&asked(None), &mut Full)
        .unwrap_err();
    assert!(matches!(error, SourceError::Sink(e) if e.kind() == io::ErrorKind::StorageFull));
}

fn embedded() -> config::Linux {
    config::Linux::embedded()
}

fn in_namespace(namespace: &str) -> config::Linux {
    config::Linux {
        network_namespace: Some(namespace.to_owned()),
        ..embedded()
    }
}

fn asked(baseline: Option<&[u8]>) -> Asked<'_> {
    Asked {
        now: std::time::SystemTime::now().into(),
        recorder: "recorder1",
        baseline,
    }
}

fn capture(source: &config::Linux, baseline: Option<&[u8]>) -> Result<(Vec<Record>, Captured), SourceError> {
    struct Kept(Vec<Record>);
    impl RecordSink for Kept {
        fn push(&mut self, record: &Record) -> io::Result<()> {
            self.0.push(record.clone());
            Ok(())
        }
    }
    let mut kept = Kept(Vec::new());
    let captured = Linux::new(source).unwrap().capture(&asked(baseline), &mut kept)?;
    Ok((kept.0, captured))
}

/// The record of the interface with this name.
fn of<'a>(records: &'a [Record], name: &str) -> &'a Record {
    let record = records.iter().find(|r| text(r, "ifName") == name);
    record.unwrap_or_else(|| panic!("there is a record of {name}"))
}

fn field<'a>(record: &'a Record, name: &str) -> &'a Value {
    &record.values[INTERFACE_USAGE.field(name).unwrap().0]
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    match field(record, name) {
        Value::Text(text) => text.as_str(),
        other => panic!("{name} is {other:?}"),
    }
}

fn index(record: &Record) -> u32 {
    match field(record, "ifIndex") {
        Value::UnsignedInt(index) => *index,
        other => panic!("ifIndex is {other:?}"),
    }
}

fn counter(record: &Record, name: &str) -> u64 {
    match field(record, name) {
        Value::UnsignedLong(count) => *count,
        other => panic!("{name} is {other:?}"),
    }
}

fn code(record: &Record, name: &str) -> i32 {
    match field(record, name) {
        Value::Enum(code) => *code,
        other => panic!("{name} is {other:?}"),
    }
}
