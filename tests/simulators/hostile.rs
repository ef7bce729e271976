//! Devices that hang, lie, and send without end: each does what it is there for, and a good client gets away from it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::asked::{Answer, Get};
use super::cucm::{LICENSE_TOTALS, sql, texts};
use super::support::simulators::Simulators;

const LIST: &str = "/api/v1/coSpaces";

fn list(simulators: &Simulators, name: &str) -> Get {
    Get::of(simulators, name, LIST)
}

/// The same list as an ordinary device of the same name gives it.
fn ordinary(name: &str) -> Answer {
    let simulators = Simulators::start(&[&format!("cms:name={name}")]);
    list(&simulators, name).ok()
}

#[test]
fn a_device_that_hangs_says_nothing_until_the_client_has_enough() {
    let simulators = Simulators::start(&["cms:hang", "cms:hang=handshake", "cms:hang-in-body", "cucm:hang"]);
    for (name, status) in [("CMS1", 0), ("CMS2", 0), ("CMS3", 200), ("CUCM1", 0)] {
        let answer = list(&simulators, name).seconds("0.5").run();
        assert_eq!((answer.exit, answer.status), (28, status), "{name}: {answer:?}");
    }
    assert_eq!(simulators.requests("CMS1")[0]["status"], serde_json::Value::Null);
    assert_eq!(simulators.requests("CMS2").len(), 0);
}

#[test]
fn a_dead_device_refuses_the_connection_and_one_without_tls_speaks_http() {
    let simulators = Simulators::start(&["cms:dead", "cms:not-tls"]);
    assert_eq!(list(&simulators, "CMS1").run().exit, 7);
    assert_eq!(list(&simulators, "CMS2").run().exit, 35);
    list(&simulators, "CMS2").plain_http().ok();
}

#[test]
fn octets_and_header_lines_come_without_end() {
    let simulators = Simulators::start(&["cms:garbage", "cms:garbage=body", "cms:endless-headers"]);
    let answer = list(&simulators, "CMS1")
        .arguments(&["--http0.9", "-o", "/dev/null"])
        .seconds("0.5")
        .run();
    assert_eq!(answer.exit, 28);
    let answer = list(&simulators, "CMS2")
        .arguments(&["-o", "/dev/null"])
        .seconds("0.5")
        .run();
    assert_eq!((answer.exit, answer.status), (28, 200));
    let answer = list(&simulators, "CMS3").run();
    assert!([56, 27, 100].contains(&answer.exit), "{}", answer.exit);
    assert!(answer.head.len() > 50_000);
}

#[test]
fn a_body_ends_too_early() {
    let simulators = Simulators::start(&["cms:truncate=100", "cms:cut-tls", "cms:no-content-length"]);
    let answer = list(&simulators, "CMS1").run();
    assert_eq!((answer.exit, answer.octets.len()), (18, 100));
    let answer = list(&simulators, "CMS2").run();
    assert_eq!(answer.header("Content-Length"), None);
    assert!(!answer.text().contains("</coSpaces>") && answer.text().contains("<coSpaces"));
    // curl does not mind; openssl does.
    assert!(end_of_conversation(&simulators, "CMS2").contains("unexpected eof"));
    assert!(!end_of_conversation(&simulators, "CMS3").contains("unexpected eof"));
}

/// What openssl says when the device has closed the connection.
fn end_of_conversation(simulators: &Simulators, name: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect"])
        .arg(format!("127.0.0.1:{}", simulators.port(name)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(input);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_proper_way_to_end_a_body_gives_the_same_body() {
    let simulators = Simulators::start(&[
        "cms:name=A,no-content-length",
        "cms:name=B,chunked",
        "cms:name=C,slow-body=1ms",
        "cms:name=D,close",
    ]);
    for (name, header, value) in [
        ("A", "Connection", Some("close")),
        ("B", "Transfer-Encoding", Some("chunked")),
        ("C", "Connection", None),
        ("D", "Connection", Some("close")),
    ] {
        let begun = Instant::now();
        let answer = list(&simulators, name).ok();
        assert_eq!(answer.header(header), value, "{name}");
        assert_eq!(answer.text(), ordinary(name).text(), "{name}");
        assert!(name != "C" || begun.elapsed() > Duration::from_millis(answer.octets.len() as u64));
    }
}

#[test]
fn a_connection_is_kept_open_unless_the_device_closes_each() {
    let simulators = Simulators::start(&["cms", "cms:close"]);
    for (name, connections) in [("CMS1", vec![1, 1, 1]), ("CMS2", vec![1, 2, 3])] {
        let path = format!("{LIST}?offset=[0-2]");
        let answer = Get::of(&simulators, name, &path).run();
        assert_eq!(answer.exit, 0);
        let requests = simulators.requests(name);
        let seen: Vec<u64> = requests
            .iter()
            .map(|request| request["connection"].as_u64().unwrap())
            .collect();
        assert_eq!(seen, connections);
    }
}

#[test]
fn a_huge_answer_is_well_formed_to_its_end() {
    let simulators = Simulators::start(&["cms:huge=3MB", "cucm:huge=3MB", "cms:padded=3MB", "cms:huge=1GB"]);
    let answers = [
        list(&simulators, "CMS1").ok(),
        sql(&simulators, "CUCM1", LICENSE_TOTALS).ok(),
        list(&simulators, "CMS2").ok(),
        Get::of(&simulators, "CMS1", "/api/v1/system/MPLicenseUsage").ok(),
    ];
    for answer in answers {
        let length: usize = answer.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(length, answer.octets.len());
        assert!((3_000_000..3_010_000).contains(&length), "{length}");
        let (status, said, _) = answer.xmllint(&["--noout", "--huge"]);
        assert_eq!(status, 0, "{said}");
    }
    let huge = list(&simulators, "CMS1").ok();
    assert_eq!(huge.xpath("string(/coSpaces/@total)"), huge.xpath("count(//coSpace)"));
    let answer = list(&simulators, "CMS3")
        .arguments(&["--max-filesize", "1000000"])
        .run();
    assert_eq!(answer.exit, 63, "curl knows the length beforehand");
    assert!(answer.header("Content-Length").unwrap().len() == "1000000000".len());
}

#[test]
fn entities_and_elements_grow_beyond_what_xmllint_takes() {
    let simulators = Simulators::start(&["cms:bomb", "cucm:bomb", "cms:deep", "cms:deep=200"]);
    for bomb in [
        list(&simulators, "CMS1").ok(),
        sql(&simulators, "CUCM1", LICENSE_TOTALS).ok(),
    ] {
        assert!(bomb.text().contains("<!DOCTYPE"));
        let (status, said, _) = bomb.xmllint(&["--noout", "--noent"]);
        assert!(status != 0 && said.contains("ntity"), "{said}");
    }
    let (status, said, _) = list(&simulators, "CMS2").ok().xmllint(&["--noout"]);
    assert!(status != 0 && said.contains("depth"), "{said}");
    let shallow = list(&simulators, "CMS3").ok();
    assert_eq!(shallow.xpath("count(//d)"), "200");
}

#[test]
fn the_other_encodings_say_the_same() {
    let simulators = Simulators::start(&[
        "cms:name=X,utf16",
        "cms:name=Y,latin1",
        "cms:name=Z,latin1=undeclared",
        "cucm:utf16",
        "cucm:latin1",
    ]);
    for name in ["X", "Y"] {
        let answer = list(&simulators, name).ok();
        assert!(std::str::from_utf8(&answer.octets).is_err(), "{name}");
        let names = texts(&answer, "coSpace/name");
        assert_eq!(names, texts(&ordinary(name), "coSpace/name"), "{name}");
    }
    let (status, said, _) = list(&simulators, "Z").ok().xmllint(&["--noout"]);
    assert!(status != 0 && said.contains("not proper UTF-8"), "{said}");
    for name in ["CUCM1", "CUCM2"] {
        let answer = sql(&simulators, name, LICENSE_TOTALS).ok();
        assert!(
            texts(&answer, "row/name")[..].contains(&"Essential".to_owned()),
            "{name}"
        );
    }
}

#[test]
fn a_redirect_leads_to_a_place_where_a_follower_is_seen() {
    let simulators = Simulators::start(&["cms:redirect"]);
    let answer = list(&simulators, "CMS1").expect(302);
    assert_eq!(answer.header("Location"), Some("/elsewhere/"));
    list(&simulators, "CMS1")
        .arguments(&["--location", "--max-redirs", "1"])
        .run();
    assert_eq!(simulators.requests("CMS1").pop().unwrap()["path"], "/elsewhere/");
}

#[test]
fn a_quirk_can_begin_and_end_in_the_middle_of_a_conversation() {
    let simulators = Simulators::start(&["cms:hang,from=2,until=3"]);
    let exits: Vec<i32> = (0..4)
        .map(|_| list(&simulators, "CMS1").seconds("0.5").run().exit)
        .collect();
    assert_eq!(exits, [0, 28, 28, 0]);
}
