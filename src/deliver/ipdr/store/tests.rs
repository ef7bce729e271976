use std::fs;

use super::*;
use crate::protocol::ipdr::{FieldDescriptor, Type};

fn template() -> Arc<Template> {
    Arc::new(Template {
        template_id: 13,
        schema_name: "http://schema.example/a.xsd".to_owned(),
        type_name: "DOCSIS-SAMIS-TYPE-1".to_owned(),
        fields: vec![FieldDescriptor {
            type_id: Type::String.id(),
            field_id: 1,
            name: "CmtsHostName".to_owned(),
            is_enabled: true,
        }],
    })
}

fn meta(number: u8) -> Meta {
    Meta {
        id: DocumentId::from_bytes([number; 16]),
        created: "2026-11-22T10:15:00Z".parse().unwrap(),
        config_id: 7,
        template: template(),
    }
}

struct Place {
    _root: tempfile::TempDir,
    directory: PathBuf,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("SAMIS-1");
        Place { _root: root, directory }
    }

    fn open(&self) -> Store {
        let (store, troubles) = Store::open(&self.directory).unwrap();
        assert_eq!(troubles, []);
        store
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    fn part(&self, number: u64, part: u32) -> PathBuf {
        segment::path(&self.directory, number, part)
    }
}

fn record(sequence: u64) -> Vec<u8> {
    let mut record = sequence.to_be_bytes().to_vec();
    record.resize(200, sequence as u8);
    record
}

fn fill(writing: &mut Writing, sequences: std::ops::Range<u64>) {
    for sequence in sequences {
        writing.push(&record(sequence)).unwrap();
    }
}

fn document(store: &Store, number: u8, records: u64) -> Stored {
    let mut writing = store.begin(meta(number)).unwrap();
    fill(&mut writing, 0..records);
    writing
        .seal(true, &[("ipdr/SAMIS-1/cmts-a".to_owned(), vec![number])])
        .unwrap()
}

fn read(store: &Store, number: u64, from: u64) -> Vec<Vec<u8>> {
    let mut reader = store.reader(number, from).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record.to_vec());
    }
    records
}

#[test]
fn what_was_sealed_is_read_back_from_any_record_on_also_after_a_restart() {
    let place = Place::new();
    let sealed = document(&place.open(), 1, 3000);
    let store = place.open();
    assert_eq!(store.oldest(), Some(sealed.clone()));
    assert_eq!((sealed.number, sealed.records, sealed.config_id), (1, 3000, 7));
    assert_eq!(*sealed.template, *template());
    for from in [0, 1, 654, 655, 656, 1999, 2999, 3000, 4000] {
        let expected: Vec<_> = (from..3000).map(record).collect();
        assert!(read(&store, 1, from) == expected, "from {from}");
    }
}

#[test]
fn a_document_that_was_not_sealed_has_never_been() {
    let place = Place::new();
    let store = place.open();
    let mut writing = store.begin(meta(1)).unwrap();
    fill(&mut writing, 0..2000);
    drop(writing);
    assert_eq!(store.oldest(), None);
    assert_eq!(place.files(), [""; 0]);
    assert_eq!(document(&store, 1, 1).number, 1, "its number was not given");
}

#[test]
fn whatever_a_kill_leaves_of_an_unsealed_document_is_removed() {
    let place = Place::new();
    document(&place.open(), 1, 1000);
    let whole = fs::read(place.part(1, 0)).unwrap();
    fs::remove_file(place.part(1, 0)).unwrap();
    for length in [0, 5, 100, 70_000, whole.len() - 1, whole.len()] {
        fs::write(place.directory.join("new"), &whole[..length]).unwrap();
        assert_eq!(place.open().oldest(), None, "{length} octets");
        assert_eq!(place.files(), [""; 0]);
    }
}

#[test]
fn acknowledgements_outlive_the_process() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 10);
    for below in 1..=7 {
        store.note_acknowledged(1, below, 0).unwrap();
    }
    store.note_acknowledged(1, 8, 2).unwrap();
    let stored = place.open().oldest().unwrap();
    assert_eq!((stored.acknowledged, stored.dropped), (8, 2));
    // The slot that was being written when the power failed.
    let path = files::progress_path(&place.directory, 1);
    let mut octets = fs::read(&path).unwrap();
    octets[10] ^= 1;
    fs::write(&path, octets).unwrap();
    let stored = place.open().oldest().unwrap();
    assert_eq!((stored.acknowledged, stored.dropped), (7, 0), "the one before");
}

#[test]
fn a_delivered_document_goes_and_its_number_is_not_given_again() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 10);
    document(&store, 2, 10);
    assert!(store.delivered(2).is_err(), "they go in their order");
    store.delivered(1).unwrap();
    assert_eq!(store.oldest().unwrap().number, 2);
    store.delivered(2).unwrap();
    assert_eq!(place.files(), ["last"]);
    let store = place.open();
    assert_eq!((store.oldest(), store.last()), (None, Some((2, meta(2).id))));
    assert_eq!(document(&store, 3, 1).number, 3);
}

#[test]
fn a_kill_while_a_delivered_document_goes_does_not_bring_it_back() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 10);
    document(&store, 2, 10);
    let whole = fs::read(place.part(1, 0)).unwrap();
    store.delivered(1).unwrap();
    fs::write(place.part(1, 0), whole).unwrap();
    let store = place.open();
    assert_eq!(store.oldest().unwrap().number, 2);
    assert!(!place.part(1, 0).exists());
}

#[test]
fn an_event_document_grows_by_parts_and_a_reader_goes_on_in_them() {
    let place = Place::new();
    let store = place.open();
    let mut writing = store.begin(meta(1)).unwrap();
    fill(&mut writing, 0..700);
    writing.seal(false, &[]).unwrap();
    let mut reader = store.reader(1, 690).unwrap();
    for sequence in 690..700 {
        assert_eq!(reader.next_record().unwrap(), Some(&record(sequence)[..]));
    }
    assert_eq!(reader.next_record().unwrap(), None);

    let store = place.open();
    let mut writing = store.extend(1).unwrap();
    fill(&mut writing, 700..1400);
    drop(writing);
    assert_eq!(
        store.oldest().unwrap().records,
        700,
        "a part that is not sealed has never been"
    );
    let mut writing = store.extend(1).unwrap();
    fill(&mut writing, 700..1500);
    writing.seal(false, &[]).unwrap();
    store.complete(1).unwrap();
    store.complete(1).unwrap();
    assert!(store.extend(1).is_err());
    let store = place.open();
    let stored = store.oldest().unwrap();
    assert_eq!((stored.records, stored.is_complete), (1500, true));
    assert!(read(&store, 1, 0) == (0..1500).map(record).collect::<Vec<_>>());

    let store = place.open();
    let mut reader = store.reader(1, 1500).unwrap();
    assert_eq!(reader.next_record().unwrap(), None);
    assert_eq!(store.waiting().records, 1500);
    store.delivered(1).unwrap();
    assert_eq!(place.files(), ["last"]);
}

#[test]
fn a_reader_that_is_open_gets_the_parts_that_come() {
    let place = Place::new();
    let store = place.open();
    store.begin(meta(1)).unwrap().seal(false, &[]).unwrap();
    let mut reader = store.reader(1, 0).unwrap();
    for sequence in 0..5 {
        assert_eq!(reader.next_record().unwrap(), None);
        let mut writing = store.extend(1).unwrap();
        fill(&mut writing, sequence..sequence + 1);
        writing.seal(false, &[]).unwrap();
        assert_eq!(reader.next_record().unwrap(), Some(&record(sequence)[..]));
    }
}

#[test]
fn a_damaged_block_costs_its_records_and_no_others() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 3000);
    let path = place.part(1, 0);
    let mut octets = fs::read(&path).unwrap();
    let at = octets
        .windows(8)
        .position(|octets| octets == 1000u64.to_be_bytes())
        .unwrap();
    octets[at + 100] ^= 1;
    fs::write(&path, octets).unwrap();

    let store = place.open();
    let mut reader = store.reader(1, 0).unwrap();
    let mut got = 0;
    let error = loop {
        match reader.next_record() {
            Ok(Some(octets)) => assert_eq!(octets, record(got)),
            Ok(None) => panic!("the damage was not found"),
            Err(e) => break e,
        }
        got += 1;
    };
    let lost = damaged(&error).unwrap().clone();
    assert_eq!(lost.from, got);
    assert!(
        (600..=1000).contains(&lost.from) && (1001..1400).contains(&lost.to),
        "{lost}"
    );
    assert!(reader.next_record().is_err(), "nothing is skipped without a word");
    let rest: Vec<_> = (lost.to..3000).map(record).collect();
    assert!(read(&store, 1, lost.to) == rest);
    store.delivered(1).unwrap();
    assert_eq!(place.files(), ["00000000000000000001-000000.ipdr.damaged", "last"]);
}

#[test]
fn a_damaged_head_of_a_block_costs_the_rest_of_its_part() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 3000);
    let path = place.part(1, 0);
    let mut octets = fs::read(&path).unwrap();
    let second = octets
        .windows(8)
        .position(|octets| octets == 643u64.to_be_bytes())
        .unwrap();
    octets[second] ^= 1;
    fs::write(&path, octets).unwrap();
    let store = place.open();
    let mut reader = store.reader(1, 0).unwrap();
    let error = (0..3000).find_map(|_| reader.next_record().err()).unwrap();
    let lost = damaged(&error).unwrap();
    assert_eq!((lost.from, lost.to), (643, 3000), "{lost}");
}

#[test]
fn a_part_without_its_end_is_set_aside_and_told() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 3000);
    document(&store, 2, 5);
    let whole = fs::read(place.part(1, 0)).unwrap();
    fs::write(place.part(1, 0), &whole[..whole.len() / 2]).unwrap();
    let (store, troubles) = Store::open(&place.directory).unwrap();
    assert_eq!(troubles.len(), 1);
    assert_eq!(
        (troubles[0].number, troubles[0].lost),
        (Some(1), None),
        "{}",
        troubles[0]
    );
    assert_eq!(store.oldest().unwrap().number, 2);
    place.open();
}

#[test]
fn an_event_document_that_lost_a_part_takes_no_more() {
    let place = Place::new();
    let store = place.open();
    let mut writing = store.begin(meta(1)).unwrap();
    fill(&mut writing, 0..10);
    writing.seal(false, &[]).unwrap();
    for from in [10, 20, 30] {
        let mut writing = store.extend(1).unwrap();
        fill(&mut writing, from..from + 10);
        writing.seal(false, &[]).unwrap();
    }
    fs::remove_file(place.part(1, 1)).unwrap();
    let (store, troubles) = Store::open(&place.directory).unwrap();
    assert_eq!(
        (troubles.len(), troubles[0].lost),
        (1, Some(20)),
        "what is still there of it"
    );
    let stored = store.oldest().unwrap();
    assert_eq!((stored.records, stored.is_complete, stored.dropped), (10, true, 20));
    let stored = place.open().oldest().unwrap();
    assert_eq!((stored.records, stored.is_complete, stored.dropped), (10, true, 20));
}

#[test]
fn a_file_of_another_document_is_not_taken_for_this_one() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 3);
    fs::copy(place.part(1, 0), place.part(2, 0)).unwrap();
    let (store, troubles) = Store::open(&place.directory).unwrap();
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert_eq!(store.documents().len(), 1);
}

#[test]
fn octets_that_are_no_part_never_panic() {
    let place = Place::new();
    document(&place.open(), 1, 20);
    let whole = fs::read(place.part(1, 0)).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut octets = whole.clone();
        octets[at] ^= 0xff;
        fs::write(place.part(1, 0), &octets).unwrap();
        let (store, troubles) = Store::open(&place.directory).unwrap();
        let is_told = !troubles.is_empty();
        let is_found = store.reader(1, 0).is_ok_and(|mut reader| {
            (0..20).any(|sequence| !matches!(reader.next_record(), Ok(Some(octets)) if octets == record(sequence)))
        });
        assert!(is_told || is_found, "a change at {at} went unnoticed");
        fs::remove_dir_all(&place.directory).unwrap();
        fs::create_dir(&place.directory).unwrap();
    }
}

#[test]
fn long_records_go_through_and_too_long_ones_are_refused() {
    let place = Place::new();
    let store = place.open();
    let mut writing = store.begin(meta(1)).unwrap();
    let long = vec![7; 5 << 20];
    writing.push(&record(0)).unwrap();
    writing.push(&long).unwrap();
    writing.push(&[]).unwrap();
    assert!(writing.push(&vec![0; LONGEST_RECORD + 1]).is_err());
    writing.push(&record(3)).unwrap();
    assert_eq!(writing.seal(true, &[]).unwrap().records, 4);
    assert!(read(&store, 1, 0) == [record(0), long, Vec::new(), record(3)]);
}

#[test]
fn a_dropped_document_is_told_by_the_next_one() {
    let place = Place::new();
    let store = place.open();
    for number in 1..=3 {
        document(&store, number, 10 * u64::from(number));
    }
    assert!(store.give_up(1).is_err(), "it is being delivered");
    assert_eq!(store.give_up(2).unwrap(), 20);
    assert_eq!(store.get(3).unwrap().dropped, 20);
    assert_eq!(store.give_up(3).unwrap(), 50);
    assert_eq!(document(&store, 4, 1).dropped, 50);
    let store = place.open();
    assert_eq!(
        store
            .documents()
            .iter()
            .map(|d| (d.number, d.dropped))
            .collect::<Vec<_>>(),
        [(1, 0), (4, 50)]
    );
}

#[test]
fn a_dropped_document_whose_removal_was_cut_short_is_no_damage() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 1);
    store.begin(meta(2)).unwrap().seal(false, &[]).unwrap();
    store.complete(2).unwrap();
    fs::remove_file(place.part(2, 0)).unwrap();
    assert_eq!(place.open().documents().len(), 1);
    assert_eq!(document(&place.open(), 3, 1).number, 3);
}

#[test]
fn a_memory_that_missed_the_last_parts_can_catch_up() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 1);
    store
        .begin(meta(2))
        .unwrap()
        .seal(false, &[("a".to_owned(), vec![1])])
        .unwrap();
    store
        .extend(2)
        .unwrap()
        .seal(false, &[("b".to_owned(), vec![2; 100_000])])
        .unwrap();
    let store = place.open();
    assert_eq!(store.place(), Some((2, 1)));
    assert_eq!(store.baselines_after(None).unwrap().len(), 3);
    let missed = store.baselines_after(Some((2, 0))).unwrap();
    let baselines = vec![("b".to_owned(), vec![2; 100_000])];
    assert_eq!(
        missed,
        [Remembered {
            place: (2, 1),
            baselines
        }]
    );
}

#[test]
fn what_waits_is_counted() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 10);
    document(&store, 2, 20);
    store.note_acknowledged(1, 4, 0).unwrap();
    let waiting = store.waiting();
    let octets = [1, 2].map(|number| fs::metadata(place.part(number, 0)).unwrap().len());
    assert_eq!(
        (waiting.documents, waiting.records, waiting.octets),
        (2, 26, octets[0] + octets[1])
    );
}

#[test]
fn an_unreadable_number_is_told_and_what_waits_keeps_its_own() {
    let place = Place::new();
    let store = place.open();
    document(&store, 1, 1);
    document(&store, 2, 1);
    store.delivered(1).unwrap();
    fs::write(place.directory.join("last"), "what?").unwrap();
    let (store, troubles) = Store::open(&place.directory).unwrap();
    assert_eq!((troubles.len(), store.last().unwrap().0), (1, 2));
}
