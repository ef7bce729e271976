use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use super::*;

fn open(directory: &Path, number: u64) -> Journal {
    Journal::open(directory, Durability::Each, 4096, number).unwrap()
}

fn put(journal: &Journal, from: u64, to: u64) {
    for n in from..to {
        let json = format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat((n * 37 % 300) as usize));
        let place = journal
            .event(n as i64, n % 7, &format!("key{n}"), |out| out.extend(json.as_bytes()))
            .unwrap();
        assert_eq!(place.number, n);
        journal.flush().unwrap();
    }
    journal.sync().unwrap();
}

/// Numbers of the events, and what was between them.
fn read(directory: &Path, from: u64) -> (Vec<u64>, Vec<Item>) {
    let mut reader = Reader::open(directory, from).unwrap();
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Record(record) => {
                let Body::Event(event) = &record.body else { continue };
                assert_eq!(event.key, format!("key{}", record.number));
                assert_eq!(reader.record_at(record.position).unwrap().as_ref(), Some(&record));
                numbers.push(record.number);
            }
            other => others.push(other),
        }
    }
    (numbers, others)
}

fn all(to: u64) -> (Vec<u64>, Vec<Item>) {
    ((0..to).collect(), Vec::new())
}

#[test]
fn what_was_appended_is_read_again_over_many_segments() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path(), 0), 0, 100);
    put(&open(directory.path(), 100), 100, 200);
    assert!(list(directory.path()).unwrap().len() > 5);
    assert_eq!(read(directory.path(), 0), all(200));
}

#[test]
fn a_journal_that_is_cut_at_any_octet_goes_on_behind_its_last_whole_record() {
    let whole = tempfile::tempdir().unwrap();
    let journal = Journal::open(whole.path(), Durability::None, 1 << 20, 0).unwrap();
    put(&journal, 0, 12);
    let name = list(whole.path()).unwrap().remove(0).path;
    let octets = fs::read(&name).unwrap();
    let mut most = 0;
    for length in 0..octets.len() {
        let cut = tempfile::tempdir().unwrap();
        fs::write(cut.path().join(name.file_name().unwrap()), &octets[..length]).unwrap();
        let (numbers, others) = read(cut.path(), 0);
        let n = numbers.len() as u64;
        assert!(others.iter().all(|item| matches!(item, Item::Torn { .. })), "{length}");
        assert!(n >= most, "{length}");
        most = n;
        put(&open(cut.path(), n), n, 20);
        assert_eq!(read(cut.path(), 0), all(20), "{length}");
    }
    assert_eq!(most, 11);
}

#[test]
fn a_changed_octet_is_found_and_the_records_behind_it_are_read() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path(), 0), 0, 40);
    let segments = list(directory.path()).unwrap();
    for (index, segment) in segments.iter().enumerate() {
        let octets = fs::read(&segment.path).unwrap();
        for at in [24, 28, 48, octets.len() / 2] {
            let mut changed = octets.clone();
            changed[at] ^= 0x20;
            fs::write(&segment.path, &changed).unwrap();
            let (numbers, others) = read(directory.path(), 0);
            let is_last = index + 1 == segments.len();
            assert_eq!(others.len(), 1, "{at}");
            let damage = matches!(others[0], Item::Damage { segment: found, .. } if found == segment.start);
            assert!(damage || (is_last && numbers.len() == 39), "{at} {others:?}");
            assert_eq!(numbers.len(), 39, "{at}");
        }
        fs::write(&segment.path, &octets).unwrap();
    }
    assert_eq!(read(directory.path(), 0), all(40));
}

#[test]
fn behind_damage_in_the_last_segment_a_new_one_is_begun() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Durability::Each, 1 << 20, 0).unwrap();
    put(&journal, 0, 10);
    drop(journal);
    let segment = list(directory.path()).unwrap().remove(0);
    let mut file = OpenOptions::new().write(true).open(&segment.path).unwrap();
    file.seek(SeekFrom::Start(200)).unwrap();
    file.write_all(b"!").unwrap();
    let before = fs::read(&segment.path).unwrap();
    put(&open(directory.path(), 10), 10, 12);
    assert_eq!(
        fs::read(&segment.path).unwrap(),
        before,
        "what is damaged stays as it is"
    );
    let (numbers, others) = read(directory.path(), 0);
    assert_eq!((numbers.len(), others.len()), (11, 1));
}

#[test]
fn octets_of_another_place_are_no_record() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path(), 0), 0, 40);
    let segments = list(directory.path()).unwrap();
    let mut other = fs::read(&segments[0].path).unwrap();
    other[8..16].copy_from_slice(&segments[1].start.to_le_bytes());
    fs::write(&segments[1].path, other).unwrap();
    let (numbers, others) = read(directory.path(), 0);
    assert!(
        numbers.len() < 40 && numbers.is_sorted() && others.len() == 1,
        "{numbers:?} {others:?}"
    );
}

#[test]
fn reading_can_begin_at_any_record() {
    let directory = tempfile::tempdir().unwrap();
    put(&open(directory.path(), 0), 0, 50);
    let mut reader = Reader::open(directory.path(), 0).unwrap();
    let mut n = 0;
    while let Some(Item::Record(record)) = reader.next_item().unwrap() {
        assert_eq!(read(directory.path(), record.position).0, (n..50).collect::<Vec<_>>());
        n += 1;
    }
    assert_eq!(n, 50);
}

#[test]
fn many_threads_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Durability::Each, 64 << 10, 0).unwrap();
    let all_numbers = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..16_u64 {
            let (journal, all_numbers) = (&journal, &all_numbers);
            scope.spawn(move || {
                for n in 0..50 {
                    let place = journal
                        .event(0, thread, &format!("{thread}.{n}"), |out| out.extend(b"{}"))
                        .unwrap();
                    journal.commit(place.end).unwrap();
                    let outcome = Outcome {
                        event: place.position,
                        ..Outcome::default()
                    };
                    journal.note(place.number, &Body::Outcome(outcome)).unwrap();
                    all_numbers.lock().unwrap().push(place.number);
                }
            });
        }
    });
    journal.flush().unwrap();
    let mut reader = Reader::open(directory.path(), 0).unwrap();
    let mut counts = (0, 0);
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Record(record) = item else { panic!("{item:?}") };
        match record.body {
            Body::Event(_) => {
                assert_eq!(record.number, counts.0);
                counts.0 += 1;
            }
            _ => counts.1 += 1,
        }
    }
    assert_eq!(counts, (800, 800));
}

#[test]
fn a_disk_that_takes_no_more_is_final() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), Durability::Each, 10, 0).unwrap();
    put(&journal, 0, 1);
    fs::remove_dir_all(directory.path()).unwrap();
    let place = journal.event(0, 0, "key", |out| out.extend(b"{}")).unwrap();
    let failed = journal.commit(place.end).unwrap_err();
    assert!(failed.to_string().starts_with("cannot make "), "{failed}");
    fs::create_dir(directory.path()).unwrap();
    assert!(journal.event(0, 0, "key", |out| out.extend(b"{}")).is_err());
    assert!(journal.commit(place.end).is_err() && journal.sync().is_err());
}

proptest::proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..400), position: u64) {
        let _ = record::look(&octets, position);
        for kind in 0..6 {
            let _ = Body::from_octets(kind, &octets);
        }
    }
}
