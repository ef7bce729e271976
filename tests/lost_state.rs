//! State that is lost, damaged, restored from an old copy, or not the one it was: no number is given twice, no document
//! passes for retrieved that was not.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use support::{
    binary::{BILLDROP, Place, names, ran},
    say,
};

#[test]
fn a_state_directory_from_a_newer_version_is_refused_and_left_alone() {
    let place = Place::new();
    place.capture();
    let ledger = place.state().join("ledger.sqlite");
    let db = rusqlite::Connection::open(&ledger).unwrap();
    db.execute_batch("PRAGMA user_version = 3").unwrap();
    drop(db);
    for command in ["capture", "status", "gaps", "release"] {
        let ran = place.run(&[command]).expect(78);
        assert!(ran.stderr.contains("newer billdrop"), "{command}: {}", ran.stderr);
    }
    assert!(names(&place.state()).iter().all(|name| !name.contains("damaged")));
}

#[test]
fn a_damaged_ledger_is_set_aside_and_rebuilt_from_the_spool_said_aloud_and_not_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("overwritten with rubbish", |ledger| {
            fs::write(ledger, "rubbish ".repeat(4000)).unwrap()
        }),
        ("cut to nothing", |ledger| fs::write(ledger, "").unwrap()),
        ("cut in the middle of a page", |ledger| {
            let octets = fs::read(ledger).unwrap();
            fs::write(ledger, &octets[..octets.len() / 2 - 100]).unwrap();
        }),
        ("a page in the middle overwritten", |ledger| {
            let mut octets = fs::read(ledger).unwrap();
            let middle = octets.len() / 4096 / 2 * 4096;
            octets[4096..middle + 4096].fill(0xA5);
            fs::write(ledger, octets).unwrap();
        }),
        ("deleted", |ledger| fs::remove_file(ledger).unwrap()),
    ];
    for (damage, strike) in damages {
        let place = Place::new();
        fs::remove_file(place.capture()).unwrap();
        let second = place.capture();
        let name = second.file_name().unwrap().to_str().unwrap().to_owned();
        // With the log merged into it the ledger is one file, which the damage then takes whole.
        let ledger = place.state().join("ledger.sqlite");
        let db = rusqlite::Connection::open(&ledger).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(db);
        strike(&ledger);

        let ran = place.run(&["capture"]).expect(75);
        assert!(ran.stderr.contains("rebuilt"), "{damage}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(&name),
            "{damage}: the document in the spool still blocks: {}",
            ran.stderr
        );
        let again = place.run(&["capture"]).expect(75);
        assert!(
            !again.stderr.contains("rebuilt"),
            "{damage}: never a loop: {}",
            again.stderr
        );
        assert!(
            place.run(&["gaps"]).expect(0).stdout.contains("ledger-rebuilt"),
            "{damage}"
        );

        fs::remove_file(&second).unwrap();
        let third = place.capture();
        let information = place.information(&third);
        assert_eq!(information["sequenceNumber"], 3, "{damage}");
        assert!(information["remark"].as_str().unwrap().contains("ledger"), "{damage}");
        assert!(third.file_name() > second.file_name(), "{damage}");

        // And when nothing lies in the spool, last-document knows the count.
        fs::remove_file(&third).unwrap();
        for file in names(&place.state())
            .iter()
            .filter(|name| name.starts_with("ledger.sqlite"))
        {
            fs::remove_file(place.state().join(file)).unwrap();
        }
        assert_eq!(place.information(&place.capture())["sequenceNumber"], 4, "{damage}");
    }
}

#[test]
fn the_empty_mount_point_of_a_missing_disk_does_not_count_as_a_pickup() {
    let place = Place::new();
    place.capture();
    // The disk is gone; under the same path appears an older, empty directory.
    fs::rename(place.spool(), place.path().join("unmounted")).unwrap();
    fs::create_dir(place.spool()).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(86400);
    fs::File::open(place.spool()).unwrap().set_modified(old).unwrap();
    let ran = place.run(&["capture"]).expect(73);
    assert!(ran.stderr.contains("mounted?"), "{}", ran.stderr);
    fs::remove_dir(place.spool()).unwrap();
    fs::rename(place.path().join("unmounted"), place.spool()).unwrap();
    place.run(&["capture"]).expect(75);
}

#[test]
fn a_lost_state_directory_leaves_the_offered_document_offered() {
    let place = Place::new();
    fs::remove_file(place.capture()).unwrap();
    let second = place.capture();
    fs::remove_dir_all(place.state()).unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(ran.stderr.contains("rebuilt"), "{}", ran.stderr);
    assert_eq!(place.listing().len(), 1);
    fs::remove_file(second).unwrap();
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 3);
}

#[test]
fn a_ledger_does_not_change_its_spool_while_a_document_waits_there() {
    let place = Place::new();
    place.configure("[state]\ndirectory = \"state\"\n");
    let first = place.capture();
    let other = |expected| {
        let mut command = Command::new(BILLDROP);
        command.args(["--config", "billdrop.toml", "--spool", "other", "capture"]);
        ran(command.current_dir(place.path())).expect(expected)
    };
    let refused = other(78);
    assert!(
        refused.stderr.contains(first.file_name().unwrap().to_str().unwrap()),
        "{}",
        refused.stderr
    );
    place.run(&["capture"]).expect(75);
    fs::remove_file(first).unwrap();
    other(0);
}

#[test]
fn what_lies_in_the_state_directory_is_for_its_owner_alone() {
    let place = Place::new();
    fs::create_dir(place.state()).unwrap();
    fs::set_permissions(place.state(), fs::Permissions::from_mode(0o755)).unwrap();
    place.capture();
    for name in names(&place.state()) {
        let mode = fs::metadata(place.state().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn a_ledger_that_has_gone_back_gives_no_number_twice() {
    let place = Place::new();
    for _ in 0..12 {
        fs::remove_file(place.capture()).unwrap();
    }
    let log = place.state().join("ledger.sqlite-wal");
    let mut octets = fs::read(&log).unwrap();
    let middle = octets.len() * 6 / 10;
    octets[middle] ^= 1;
    fs::write(&log, octets).unwrap();
    let ran = place.run(&["capture"]).expect(0);
    assert!(ran.stderr.contains("gone back"), "{}", ran.stderr);
    let document = place.path().join(ran.stdout.trim_end());
    assert_eq!(place.information(&document)["sequenceNumber"], 13);
    assert!(place.run(&["gaps"]).expect(0).stdout.contains("ledger-rebuilt"));
    assert!(
        !place.run(&["capture"]).expect(75).stderr.contains("gone back"),
        "said once"
    );
}

#[test]
fn a_directory_that_was_made_anew_does_not_count_as_a_pickup_until_it_is_released() {
    let place = Place::new();
    place.capture();
    fs::remove_dir_all(place.spool()).unwrap();
    place.run(&["capture"]).expect(73);
    place.run(&["capture"]).expect(73);
    place.run(&["release", "--reason", "new disk"]).expect(0);
    assert!(place.run(&["gaps"]).expect(0).stdout.contains("new disk"));
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 2);
}

#[test]
fn a_document_that_changed_hands_still_blocks() {
    if !rustix::process::geteuid().is_root() {
        return say("not run: only root can give a file away");
    }
    let place = Place::new();
    let document = place.capture();
    std::os::unix::fs::chown(&document, Some(65534), None).unwrap();
    let ran = place.run(&["capture"]).expect(77);
    assert!(ran.stderr.contains("chown"), "{}", ran.stderr);
    fs::remove_file(document).unwrap();
    place.run(&["capture"]).expect(0);
}

#[test]
fn a_capture_that_hangs_is_told() {
    let place = Place::new();
    fs::remove_file(place.capture()).unwrap();
    let lock = fs::File::open(place.state().join("lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    assert_eq!(place.run(&["-q", "capture"]).expect(75).stderr, "");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 3600);
    fs::File::options()
        .write(true)
        .open(place.state().join("lock"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let ran = place.run(&["-q", "capture"]).expect(74);
    assert!(ran.stderr.contains("has been capturing for 2h"), "{}", ran.stderr);
}
