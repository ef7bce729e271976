//! Every document's whole life, and ledgers of an older format.

mod support;

use std::fs;

use rusqlite::Connection;
use support::{
    binary::{Place, names},
    snmptrapd::{COMMUNITY, Snmptrapd},
};

#[test]
fn the_whole_life_of_a_document_is_told_in_order() {
    let manager = Snmptrapd::start();
    let place = Place::new();
    place.configure(&format!(
        "[archive]\nkeep = \"1year\"\n[snmp]\nfilesystem = \"disk0:\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n\
         [[notify]]\naddress = \"127.0.0.1:{}\"\ncommunity = \"{COMMUNITY}\"\ninform = true\n",
        manager.port
    ));
    fs::remove_file(place.capture()).unwrap();
    let second = place.capture();
    place.run(&["release", "--reason", "by hand"]).expect(0);
    place.run(&["resend", "1"]).expect(0);

    let ran = place.run(&["history", "--json"]).expect(0);
    let lives: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let whats = |index: usize| -> Vec<String> {
        let events = lives[index]["events"].as_array().unwrap();
        let words = events.iter().map(|event| event["what"].as_str().unwrap().to_owned());
        words.collect()
    };
    let mut first = whats(0);
    first.sort();
    let expected = [
        "archived",
        "captured",
        "notified",
        "notified",
        "offered",
        "offered",
        "resend",
        "retrieved",
    ];
    assert_eq!(first, expected);
    assert_eq!(whats(0)[0], "captured");
    assert_eq!(whats(1).iter().filter(|what| *what == "released").count(), 1);
    assert_eq!(lives[0]["state"], "offered");
    assert_eq!(lives[1]["name"], second.file_name().unwrap().to_str().unwrap());
    assert_eq!(lives[0]["copy"]["expired"], false);
    let times: Vec<&str> = lives[0]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["at"].as_str())
        .collect();
    assert!(times.is_sorted(), "{times:?}");

    let text = place.run(&["history", "2"]).expect(0).stdout;
    assert!(text.starts_with("2  ") && text.contains(": by hand"), "{text}");
    assert_eq!(place.run(&["history", "7..9"]).expect(0).stdout, "");
}

#[test]
fn before_the_first_capture_there_is_no_history() {
    let place = Place::new();
    assert_eq!(place.run(&["history"]).expect(0).stdout, "");
    assert!(!place.state().exists());
}

/// A ledger as the last billdrop of format 1 left it.
fn old_ledger() -> Place {
    let place = Place::new();
    place.configure("[recorder]\nhostname = \"demo1\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n");
    fs::create_dir(place.state()).unwrap();
    fs::create_dir(place.spool()).unwrap();
    let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ledger/format-1.sql");
    let db = Connection::open(place.state().join("ledger.sqlite")).unwrap();
    db.execute_batch(&fs::read_to_string(dump).unwrap()).unwrap();
    place
}

fn format(place: &Place) -> i64 {
    let db = Connection::open(place.state().join("ledger.sqlite")).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_ledger_of_format_1_is_shown_as_it_is_and_changed_by_the_first_capture_only() {
    let place = old_ledger();
    for command in [
        &["status"][..],
        &["history"],
        &["gaps"],
        &["status", "--json"],
        &["notify"],
    ] {
        place.run(command).expect(0);
        assert_eq!(format(&place), 1, "{command:?}");
    }
    let history = place.run(&["history"]).expect(0).stdout;
    assert!(
        history.contains("moved by hand") && history.contains("3  demo1-"),
        "{history}"
    );

    let document = place.capture();
    assert_eq!(format(&place), 2);
    assert_eq!(place.information(&document)["sequenceNumber"], 4);
    assert_eq!(place.status()["released_documents"], 1);
    assert!(names(&place.state()).iter().all(|name| !name.contains("damaged")));
    let history = place.run(&["history"]).expect(0).stdout;
    assert!(history.contains("retrieved   deleted in the spool"), "{history}");
}

#[test]
fn a_ledger_of_format_1_and_a_new_one_get_the_same_tables() {
    let old = old_ledger();
    old.capture();
    let new = Place::new();
    new.capture();
    let tables = |place: &Place| -> Vec<String> {
        let db = Connection::open(place.state().join("ledger.sqlite")).unwrap();
        let mut statement = db
            .prepare("SELECT m.name || '.' || c.name || ' ' || c.type FROM sqlite_schema m, pragma_table_info(m.name) c ORDER BY 1")
            .unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(tables(&old), tables(&new));
}
