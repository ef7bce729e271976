//! Copies of documents: they cost nothing before the pickup, go when their time is over, and never before anybody has got
//! the document.

mod support;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use support::{
    binary::{Place, names},
    faults::file_changing_calls,
};

const SOURCE: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";

fn place(archive: &str) -> Place {
    let place = Place::new();
    place.configure(&format!("[archive]\n{archive}\n{SOURCE}"));
    place
}

fn archive(place: &Place) -> PathBuf {
    place.state().join("archive")
}

fn ledger(place: &Place) -> Connection {
    Connection::open(place.state().join("ledger.sqlite")).unwrap()
}

fn name(document: &Path) -> &str {
    document.file_name().unwrap().to_str().unwrap()
}

/// Captures and picks up; returns name and octets of the document.
fn round(place: &Place) -> (String, Vec<u8>) {
    let document = place.capture();
    let octets = fs::read(&document).unwrap();
    fs::remove_file(&document).unwrap();
    (name(&document).to_owned(), octets)
}

/// As if everything had happened two days earlier.
fn age(place: &Place) {
    ledger(place)
        .execute_batch(
            "UPDATE document SET retrieved = strftime('%Y-%m-%dT%H:%M:%fZ', retrieved, '-2 days'), \
             offered = strftime('%Y-%m-%dT%H:%M:%fZ', offered, '-2 days')",
        )
        .unwrap();
}

#[test]
fn a_copy_costs_nothing_before_the_pickup_and_goes_when_its_time_is_over() {
    let place = place("keep = \"1day\"");
    let first = place.capture();
    let copy = archive(&place).join(name(&first));
    assert_eq!(fs::metadata(&copy).unwrap().ino(), fs::metadata(&first).unwrap().ino());
    let octets = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let second = place.capture();
    assert_eq!(fs::read(&copy).unwrap(), octets, "it outlives the pickup");
    place.run(&["verify", copy.to_str().unwrap()]).expect(0);
    assert_eq!(place.status()["copies"], 2);

    age(&place);
    place.run(&["capture"]).expect(75);
    assert_eq!(
        names(&archive(&place)),
        [name(&second)],
        "that of the offered one stays"
    );
    let history = place.run(&["history", "1"]).expect(0).stdout;
    assert!(history.contains("the copy was removed"), "{history}");
}

#[test]
fn those_retrieved_first_go_first_when_there_are_too_many() {
    let place = place("keep = \"1year\"\nsize = \"5KiB\"");
    let kept: Vec<String> = (0..6).map(|_| round(&place).0).collect();
    let last = place.capture();
    let left = names(&archive(&place));
    assert!((2..5).contains(&left.len()), "{left:?}");
    let mut newest = kept;
    newest.push(name(&last).to_owned());
    assert_eq!(left, newest[newest.len() - left.len()..]);
}

#[test]
fn no_configuration_removes_the_copy_of_a_document_that_nobody_has_got() {
    type Make = fn(&Place);
    let kinds: [(&str, Make); 5] = [
        ("offered", |_| {}),
        ("released", |place| drop(place.run(&["release"]).expect(0))),
        ("for a destination that has not got it", |place| {
            fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
            ledger(place)
                .execute_batch("INSERT INTO delivery (sequence, destination) VALUES (1, 'billing')")
                .unwrap();
        }),
        ("to be sent again", |place| {
            fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
            place.capture();
            place.run(&["resend", "1"]).expect(0);
        }),
        ("known to nobody after the ledger was lost", |place| {
            fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
            for file in names(&place.state()).iter().filter(|name| name.starts_with("ledger")) {
                fs::remove_file(place.state().join(file)).unwrap();
            }
        }),
    ];
    for (kind, make) in kinds {
        for keep in ["keep = \"1ms\"\nsize = \"1B\"\ncompress = true", "keep = \"0s\""] {
            let place = place("keep = \"1year\"");
            let first = place.capture();
            make(&place);
            place.configure(&format!("[archive]\n{keep}\n{SOURCE}"));
            for _ in 0..3 {
                place.run(&["capture"]);
                age(&place);
            }
            assert!(
                archive(&place).join(name(&first)).exists(),
                "{kind}, {keep}: {:?}",
                names(&archive(&place))
            );
        }
    }
}

#[test]
fn a_compressed_copy_gives_back_the_same_octets_mode_and_time() {
    let place = place("keep = \"1year\"\ncompress = true");
    let document = place.capture();
    let (octets, before) = (fs::read(&document).unwrap(), fs::metadata(&document).unwrap());
    fs::remove_file(&document).unwrap();
    round(&place);
    let packed = archive(&place).join(format!("{}.zst", name(&document)));
    assert!(
        !archive(&place).join(name(&document)).exists(),
        "the other form has gone"
    );
    assert!(fs::metadata(&packed).unwrap().len() < octets.len() as u64 * 3 / 4);
    assert_eq!(zstd::decode_all(fs::File::open(&packed).unwrap()).unwrap(), octets);

    place.run(&["resend", "1"]).expect(0);
    assert_eq!(fs::read(&document).unwrap(), octets);
    let after = fs::metadata(&document).unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
    assert_eq!(names(&archive(&place)).len(), 2, "no second copy is made of it");
}

#[test]
fn a_damaged_copy_is_not_replaced_by_a_compressed_one() {
    let place = place("keep = \"1year\"");
    let (first, _) = round(&place);
    fs::write(archive(&place).join(&first), "something else").unwrap();
    place.configure(&format!("[archive]\nkeep = \"1year\"\ncompress = true\n{SOURCE}"));
    let ran = place.run(&["capture"]).expect(0);
    assert!(ran.stderr.contains("not what was written"), "{}", ran.stderr);
    for _ in 0..2 {
        fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
        let ran = place.run(&["capture"]).expect(0);
        assert!(!ran.stderr.contains("not what was written"), "once: {}", ran.stderr);
    }
    assert_eq!(fs::read(archive(&place).join(&first)).unwrap(), b"something else");
}

#[test]
fn on_another_file_system_and_for_documents_that_others_may_change_a_copy_is_a_file_of_its_own() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let place = Place::new();
    assert_ne!(
        fs::metadata(elsewhere.path()).unwrap().dev(),
        fs::metadata(place.path()).unwrap().dev()
    );
    let other = elsewhere.path().join("archive");
    for (directory, spool) in [
        (other.clone(), ""),
        (place.path().join("here"), "[spool]\nmode = \"0660\"\n"),
    ] {
        let own = format!("directory = \"{}\"\n", directory.display());
        place.configure(&format!("{spool}[archive]\nkeep = \"1year\"\n{own}{SOURCE}"));
        let document = place.capture();
        let copy = directory.join(name(&document));
        assert_ne!(
            fs::metadata(&copy).unwrap().ino(),
            fs::metadata(&document).unwrap().ino()
        );
        let octets = fs::read(&document).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), octets);
        fs::remove_file(&document).unwrap();
        let sequence = place.status()["last"]["sequence"].to_string();
        place.run(&["resend", &sequence]).expect(0);
        assert_eq!(fs::read(&document).unwrap(), octets);
        fs::remove_file(&document).unwrap();
    }
}

#[test]
fn a_copy_that_cannot_be_made_keeps_no_document_back_and_is_made_up_for() {
    let place = Place::new();
    let missing = place.path().join("not-mounted/archive");
    place.configure(&format!(
        "[archive]\nkeep = \"1year\"\ndirectory = \"{}\"\n{SOURCE}",
        missing.display()
    ));
    let ran = place.run(&["capture"]).expect(0);
    assert!(ran.stderr.contains("no copies are made"), "{}", ran.stderr);
    fs::create_dir(missing.parent().unwrap()).unwrap();
    place.run(&["capture"]).expect(75);
    assert_eq!(names(&missing), place.listing());
    assert_eq!(place.status()["copies"], 1);
}

#[test]
fn an_archive_costs_one_link_and_one_sync_and_none_costs_nothing() {
    let count = |archive: &str| {
        let place = place(archive);
        round(&place);
        let calls = file_changing_calls(&place, &["capture"]);
        ["link", "linkat", "fsync", "fdatasync"].map(|call| calls.iter().filter(|(made, _)| made == call).count())
    };
    let (without, with) = (count(""), count("keep = \"1year\""));
    assert_eq!(without[..2], [0, 0]);
    assert_eq!(with, [without[0], 1, without[2] + 1, without[3]]);
}

#[test]
fn a_lost_ledger_knows_documents_again_by_their_copies() {
    let place = place("keep = \"1year\"\ncompress = true");
    let octets: Vec<(String, Vec<u8>)> = (0..3).map(|_| round(&place)).collect();
    let fourth = place.capture();
    for file in names(&place.state()).iter().filter(|name| name.starts_with("ledger")) {
        fs::remove_file(place.state().join(file)).unwrap();
    }
    let ran = place.run(&["capture"]).expect(75);
    assert!(ran.stderr.contains("documents up to 4"), "{}", ran.stderr);
    let history = place.run(&["history"]).expect(0).stdout;
    assert!(history.contains("nobody knows whether"), "{history}");
    fs::remove_file(fourth).unwrap();
    place.run(&["resend", "1..3"]).expect(0);
    for (name, octets) in &octets {
        assert_eq!(place.listing(), [name.as_str()]);
        assert_eq!(&fs::read(place.spool().join(name)).unwrap(), octets);
        fs::remove_file(place.spool().join(name)).unwrap();
        place.run(&["capture"]);
    }
    assert_eq!(
        place.information(&place.spool().join(&place.listing()[0]))["sequenceNumber"],
        5
    );
}

#[test]
fn an_archive_elsewhere_remembers_the_count_when_state_and_spool_are_gone() {
    let place = Place::new();
    let own = place.path().join("archive");
    place.configure(&format!(
        "[archive]\nkeep = \"1year\"\ndirectory = \"{}\"\n{SOURCE}",
        own.display()
    ));
    round(&place);
    round(&place);
    fs::remove_dir_all(place.state()).unwrap();
    fs::remove_dir_all(place.spool()).unwrap();
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 3);
    assert_eq!(names(&own).len(), 3);
}

#[test]
fn what_a_power_failure_brought_back_and_what_a_killed_run_left_goes() {
    let place = place("keep = \"1day\"");
    let (first, octets) = round(&place);
    fs::remove_file(place.capture()).unwrap();
    age(&place);
    place.capture();
    assert!(!names(&archive(&place)).contains(&first));
    fs::write(archive(&place).join(&first), octets).unwrap();
    fs::write(archive(&place).join(format!(".{first}.partial")), "half").unwrap();
    fs::write(archive(&place).join("notes"), "somebody's own").unwrap();
    place.run(&["capture"]).expect(75);
    let left = names(&archive(&place));
    assert!(!left.iter().any(|name| name.contains(&first)), "{left:?}");
    assert!(left.contains(&"notes".to_owned()), "{left:?}");
}
