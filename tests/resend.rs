//! What the billing system has lost is sent again, octet for octet, under the interlock.

mod support;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use support::binary::{Place, names};

fn place(more: &str) -> Place {
    let place = Place::new();
    place.configure(&format!(
        "{more}[archive]\nkeep = \"1year\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n"
    ));
    place
}

struct Sent {
    path: PathBuf,
    octets: Vec<u8>,
    mode: u32,
    modified: (i64, i64),
}

fn look(path: &Path) -> Sent {
    let found = fs::metadata(path).unwrap();
    Sent {
        path: path.to_owned(),
        octets: fs::read(path).unwrap(),
        mode: found.mode(),
        modified: (found.mtime(), found.mtime_nsec()),
    }
}

fn rounds(place: &Place, count: usize) -> Vec<Sent> {
    let sent = (0..count).map(|_| {
        let sent = look(&place.capture());
        fs::remove_file(&sent.path).unwrap();
        sent
    });
    sent.collect()
}

fn ledger(place: &Place) -> Connection {
    Connection::open(place.state().join("ledger.sqlite")).unwrap()
}

#[test]
fn a_range_is_offered_again_one_after_the_other_before_anything_new() {
    let place = place("");
    let sent = rounds(&place, 4);
    let said = place.run(&["resend", "1..3"]).expect(0).stdout;
    assert!(said.contains("document 1: spool/"), "{said}");
    assert!(said.contains("document 3: will be offered"), "{said}");
    assert_eq!(place.status()["resends"], serde_json::json!([2, 3]));
    for (index, document) in sent[..3].iter().enumerate() {
        place.run(&["capture"]).expect(75);
        assert_eq!(place.listing(), [document.path.file_name().unwrap().to_str().unwrap()]);
        let again = look(&document.path);
        assert_eq!(again.octets, document.octets);
        assert_eq!((again.mode, again.modified), (document.mode, document.modified));
        let verified = place.run(&["verify", again.path.to_str().unwrap()]).expect(0).stdout;
        assert!(verified.contains("as written, says the ledger"), "{verified}");
        fs::remove_file(&document.path).unwrap();
        assert_eq!(place.status()["blocked"], false, "after {}", index + 1);
        if index == 0 {
            // The queue goes on with whatever run comes next.
            place.run(&["release"]).expect(0);
            let moved = place.state().join("released").join(sent[1].path.file_name().unwrap());
            assert_eq!(fs::read(moved).unwrap(), sent[1].octets);
            place.run(&["resend", "2"]).expect(0);
            fs::remove_file(&sent[2].path).unwrap();
            place.run(&["capture"]).expect(75);
            assert_eq!(
                fs::read(&sent[1].path).unwrap(),
                sent[1].octets,
                "from the queue, after document 3"
            );
            fs::remove_file(&sent[1].path).unwrap();
            break;
        }
    }
    let next = place.capture();
    assert_eq!(place.information(&next)["sequenceNumber"], 5);
    assert_eq!(place.run(&["gaps"]).expect(0).stdout.matches("released").count(), 2);
    let last = fs::read_to_string(place.state().join("last-document")).unwrap();
    assert!(last.contains("\"sequence\":5"), "{last}");
}

#[test]
fn a_queue_can_be_cancelled_in_part_and_as_a_whole() {
    let place = place("");
    let sent = rounds(&place, 5);
    place.run(&["resend", "--cancel"]).expect(69);
    place.run(&["resend"]).expect(64);
    place.run(&["resend", "1..5"]).expect(0);
    let said = place.run(&["resend", "--cancel", "2..3"]).expect(0).stdout;
    assert_eq!(
        said,
        "document 2: is not offered again\ndocument 3: is not offered again\n"
    );
    assert_eq!(place.status()["resends"], serde_json::json!([4, 5]));
    // The one that is offered is for `release`.
    let refused = place.run(&["resend", "--cancel", "1"]).expect(69);
    assert!(refused.stderr.contains("billdrop release"), "{refused:?}");
    place.run(&["resend", "--cancel"]).expect(0);
    assert_eq!(place.status()["resends"], serde_json::json!([]));
    let history = place.run(&["history", "4"]).expect(0).stdout;
    assert!(history.contains("not resent  cancelled by "), "{history}");
    fs::remove_file(&sent[0].path).unwrap();
    let next = place.capture();
    assert_eq!(place.information(&next)["sequenceNumber"], 6);
    // And they can be asked for again.
    fs::remove_file(next).unwrap();
    place.run(&["resend", "4"]).expect(0);
    assert_eq!(fs::read(&sent[3].path).unwrap(), sent[3].octets);
}

#[test]
fn the_last_document_stays_the_last_when_an_earlier_one_is_offered_again() {
    let place = place("");
    rounds(&place, 3);
    place.run(&["resend", "1"]).expect(0);
    let last = fs::read_to_string(place.state().join("last-document")).unwrap();
    assert!(last.contains("\"sequence\":3"), "{last}");
    // And when the ledger is lost in that moment, no number is given twice.
    for file in names(&place.state()).iter().filter(|name| name.starts_with("ledger")) {
        fs::remove_file(place.state().join(file)).unwrap();
    }
    place.run(&["capture"]).expect(75);
    fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 4);
}

#[test]
fn a_document_is_found_by_its_doc_id_and_one_that_was_moved_aside_without_any_archive() {
    let place = Place::new();
    let document = place.capture();
    let (octets, id) = (
        fs::read(&document).unwrap(),
        place.status()["waiting"]["doc_id"].as_str().unwrap().to_owned(),
    );
    place.run(&["release"]).expect(0);
    place.run(&["resend", &id]).expect(0);
    assert_eq!(fs::read(&document).unwrap(), octets);
    assert_eq!(place.status()["waiting"]["state"], "offered");
    fs::remove_file(&document).unwrap();
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 2);
    let history = place.run(&["history", &id]).expect(0).stdout;
    for what in [
        "captured",
        "offered",
        "released",
        "resend",
        "retrieved   deleted in the spool",
    ] {
        assert!(history.contains(what), "{what}: {history}");
    }
}

#[test]
fn what_cannot_be_sent_again_is_an_error_that_says_why_and_nothing_is_sent() {
    let place = place("");
    let sent = rounds(&place, 3);
    let copy = |n: usize| place.state().join("archive").join(sent[n].path.file_name().unwrap());
    place.capture();
    let refused = |document: &str, status: i32, why: &str| {
        let ran = place.run(&["resend", document]).expect(status);
        assert!(ran.stderr.contains(why), "{document}: {}", ran.stderr);
        assert_eq!(place.status()["resends"], serde_json::json!([]), "{document}");
    };
    refused("9", 69, "document 9 is not in the ledger");
    refused("1..9", 69, "document 5 is not in the ledger");
    refused("3..4", 69, "is offered already");
    refused("ED133218-0000-0000-002A-00005E005310", 69, "not in the ledger");
    for wrong in ["0", "3..1", "x", "1..", "-1", "1...3", "99999999999999999999"] {
        place.run(&["resend", "--", wrong]).expect(64);
    }
    let mut octets = sent[0].octets.clone();
    octets[200] ^= 1;
    fs::write(copy(0), octets).unwrap();
    refused("1..2", 65, "is not what was written: its SHA-256 is");
    fs::write(copy(0), [&sent[0].octets[..], b" "].concat()).unwrap();
    refused("1", 65, "is not what was written");
    fs::remove_file(copy(0)).unwrap();
    refused("1", 69, "there is no copy of it");
    ledger(&place)
        .execute_batch("UPDATE document SET expired = '2026-11-22T10:00:00.000Z' WHERE sequence = 1")
        .unwrap();
    refused("1", 69, "its copy was removed on 2026-11-22 at 10:00 UTC");
    let ran = place.run(&["resend", "2", "--to", "nowhere"]).expect(78);
    assert!(
        ran.stderr.contains("there is no destination \"nowhere\""),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_copy_that_is_damaged_while_it_waits_for_its_turn_is_given_up_aloud() {
    let place = place("");
    let sent = rounds(&place, 3);
    place.run(&["resend", "1..3"]).expect(0);
    let second = place.state().join("archive").join(sent[1].path.file_name().unwrap());
    fs::write(second, "not any more").unwrap();
    fs::remove_file(&sent[0].path).unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(
        ran.stderr.contains("document 2 cannot be offered again"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read(&sent[2].path).unwrap(), sent[2].octets);
    let history = place.run(&["history", "2"]).expect(0).stdout;
    assert!(history.contains("not resent"), "{history}");
}

#[test]
fn a_compressed_bomb_in_place_of_a_copy_is_read_no_further_than_the_document_is_long() {
    let place = place("");
    let sent = rounds(&place, 1);
    place.capture();
    let copy = place.state().join("archive").join(sent[0].path.file_name().unwrap());
    fs::remove_file(&copy).unwrap();
    let mut encoder = zstd::stream::Encoder::new(fs::File::create(copy.with_extension("xml.zst")).unwrap(), 3).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..4096 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    encoder.finish().unwrap();
    let begun = std::time::Instant::now();
    place.run(&["resend", "1"]).expect(65);
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
}

#[test]
fn a_destination_gets_it_once_more_and_reads_the_file_itself() {
    let place = place("");
    let sent = rounds(&place, 1);
    place.configure("[archive]\nkeep = \"1year\"\ncompress = true\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n");
    place.capture();
    place.run(&["capture"]).expect(75);
    let mut known = billdrop::ledger::Ledger::open(&place.state()).unwrap();
    let destination = [("billing".to_owned(), "sftp://billing/in".to_owned())];
    known.know_destinations(&destination, chrono::Utc::now()).unwrap();
    let name = sent[0].path.file_name().unwrap().to_str().unwrap();
    assert!(names(&place.state().join("archive")).contains(&format!("{name}.zst")));
    let said = place.run(&["resend", "1", "--to", "billing"]).expect(0).stdout;
    assert!(said.contains("will be brought to billing"), "{said}");
    assert_eq!(
        fs::read(place.state().join("archive").join(name)).unwrap(),
        sent[0].octets
    );
    assert_eq!(known.pending_deliveries("billing").unwrap().len(), 1);
    place.run(&["capture"]).expect(75);
    assert!(
        place.state().join("archive").join(name).exists(),
        "not compressed while it is pending"
    );

    let how = billdrop::ledger::Delivered {
        at: chrono::Utc::now(),
        octets: 7,
        verified: "sha256".to_owned(),
        renamed: true,
    };
    assert!(known.arrived(1, "billing", &how, None).unwrap());
    assert!(!known.arrived(1, "billing", &how, None).unwrap(), "once");
    place.run(&["capture"]).expect(75);
    assert!(!place.state().join("archive").join(name).exists(), "compressed again");
    let history = place.run(&["history", "1"]).expect(0).stdout;
    assert!(history.contains("to billing: 7 octets, checked: sha256"), "{history}");
}

#[test]
fn by_the_rule_a_pushed_document_leaves_the_spool_but_not_one_that_was_asked_for_again() {
    for (rule, one, both) in [("pickup", false, false), ("any", true, true), ("all", false, true)] {
        let place = place(&format!("[spool]\nretrieved = \"{rule}\"\n"));
        let document = place.capture();
        let octets = fs::read(&document).unwrap();
        let deliver = |name: &str| {
            ledger(&place)
                .execute_batch(&format!(
                    "UPDATE delivery SET state = 'delivered', delivered = '2026-11-22T10:00:00.000Z' \
                     WHERE destination = '{name}'"
                ))
                .unwrap();
        };
        ledger(&place)
            .execute_batch("INSERT INTO delivery (sequence, destination) VALUES (1, 'a'), (1, 'b')")
            .unwrap();
        place.run(&["capture"]).expect(75);
        deliver("a");
        let status = place.run(&["capture"]).status;
        assert_eq!(status == 0, one, "{rule}: one has it");
        assert_eq!(document.exists(), !one, "{rule}");
        deliver("b");
        if !one {
            assert_eq!(place.run(&["capture"]).status == 0, both, "{rule}: both have it");
        }
        if !both {
            continue;
        }
        let history = place.run(&["history", "1"]).expect(0).stdout;
        assert!(history.contains("retrieved   pushed to a"), "{history}");
        fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
        place.run(&["resend", "1"]).expect(0);
        place.run(&["capture"]).expect(75);
        assert_eq!(fs::read(&document).unwrap(), octets, "{rule}: it waits for its pickup");
    }
}

#[test]
fn a_document_without_a_copy_stays_in_the_spool_for_those_who_have_not_got_it() {
    let place = Place::new();
    place.configure("[spool]\nretrieved = \"any\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n");
    let document = place.capture();
    ledger(&place)
        .execute_batch(
            "INSERT INTO delivery (sequence, destination, state, delivered) VALUES (1, 'a', 'delivered', \
             '2026-11-22T10:00:00.000Z'), (1, 'b', 'pending', NULL)",
        )
        .unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(
        ran.stderr.contains("not every destination has got it"),
        "{}",
        ran.stderr
    );
    assert!(document.exists());
}
