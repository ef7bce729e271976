//! What a crash leaves.

use super::*;

fn texts(lines: &[&str]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

fn missing(module: &FileAcct, from: Option<&FilePosition>, lines: &[&str]) -> Vec<usize> {
    let recovered = module.recover(from, texts(lines)).unwrap();
    assert!(recovered.certain);
    recovered.missing
}

#[test]
fn lines_behind_a_checkpoint_are_found_and_the_others_named() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Never);
    logged(&module, 1);
    let from = module.checkpoint().unwrap();
    logged(&module, 2);
    logged(&module, 3);
    let module = place.open("%n", Rotate::Never);
    assert_eq!(missing(&module, Some(&from), &["2", "3", "4"]), [2]);
    // What is before the place does not count.
    assert_eq!(missing(&module, Some(&from), &["1"]), [0]);
    assert_eq!(missing(&module, None, &["1", "4"]), [1]);
    assert_eq!(missing(&module, Some(&from), &[]), [0; 0]);
}

#[test]
fn a_line_that_several_events_have_is_counted() {
    let place = Place::new();
    let module = place.open("%c", Rotate::Never);
    let from = module.checkpoint().unwrap();
    logged(&module, 1);
    logged(&module, 2);
    assert_eq!(missing(&module, Some(&from), &["0", "0", "0", "16"]), [2, 3]);
}

#[test]
fn a_torn_line_of_ours_is_cut_off_and_one_of_others_stays() {
    let place = Place::new();
    let module = place.open("%u", Rotate::Never);
    logged(&module, 1);
    let from = module.checkpoint().unwrap();
    for (torn, lines) in [("user2\nus", "user2"), ("user2\nuser3", "user2"), ("u", "")] {
        fs::write(place.file(), format!("user1\n{torn}")).unwrap();
        let module = place.open("%u", Rotate::Never);
        let recovered = missing(&module, Some(&from), &["user2", "user3"]);
        assert_eq!(recovered, if lines.is_empty() { vec![0, 1] } else { vec![1] });
        let kept = if lines.is_empty() { "user1\n" } else { "user1\nuser2\n" };
        assert_eq!(place.text(), kept);
        logged(&module, 3);
        assert_eq!(place.text(), format!("{kept}user3\n"));
    }
    fs::write(place.file(), "user1\nuser2\ntheirs").unwrap();
    let module = place.open("%u", Rotate::Never);
    assert_eq!(missing(&module, Some(&from), &["user2", "user3"]), [1]);
    logged(&module, 3);
    assert_eq!(place.text(), "user1\nuser2\ntheirs\nuser3\n");
}

#[test]
fn lines_are_found_across_rotations_and_after_the_file_was_moved() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Lines(2));
    logged(&module, 1);
    let from = module.checkpoint().unwrap();
    for number in 2..7 {
        logged(&module, number);
    }
    assert_eq!(place.files().len(), 4);
    let module = place.open("%n", Rotate::Lines(2));
    assert_eq!(missing(&module, Some(&from), &["2", "3", "4", "5", "6", "7"]), [5]);
    fs::rename(place.file(), place.directory.path().join("cdr.log-old")).unwrap();
    let module = place.open("%n", Rotate::Lines(2));
    assert_eq!(missing(&module, Some(&from), &["6", "7"]), [1]);
}

#[test]
fn a_torn_line_in_a_file_that_was_rotated_since_is_cut_off_too() {
    let place = Place::new();
    let module = place.open("%u", Rotate::Never);
    let from = module.checkpoint().unwrap();
    logged(&module, 1);
    drop(module);
    let mut file = OpenOptions::new().append(true).open(place.file()).unwrap();
    file.write_all(b"user").unwrap();
    let rotated = place.directory.path().join("cdr.log.20261122-150000");
    fs::rename(place.file(), &rotated).unwrap();
    let module = place.open("%u", Rotate::Never);
    assert_eq!(missing(&module, Some(&from), &["user1", "user2"]), [1]);
    assert_eq!(fs::read_to_string(rotated).unwrap(), "user1\n");
}

#[test]
fn a_text_with_line_ends_is_found_as_a_whole() {
    let place = Place::new();
    fs::write(place.file(), "a\nb\nc\na\nb\na\nx\na\nb\nc").unwrap();
    let module = place.open("%n", Rotate::Never);
    // The last one is torn, and is a part of the first text.
    assert_eq!(missing(&module, None, &["a\nb\nc", "a\nx", "a\nb", "a\nb\nc"]), [3]);
    assert_eq!(place.text(), "a\nb\nc\na\nb\na\nx\n");
}

#[test]
fn a_long_line_of_others_is_passed_by() {
    let place = Place::new();
    let long = "x".repeat(700_000);
    fs::write(place.file(), format!("{long}\n1\n{long}\nx\n")).unwrap();
    let module = place.open("%n", Rotate::Never);
    assert_eq!(missing(&module, None, &["1", "x", "xx"]), [2]);
}

#[test]
fn without_the_file_of_the_checkpoint_nothing_is_certain() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Never);
    let from = FilePosition {
        inode: 1,
        ..module.checkpoint().unwrap()
    };
    logged(&module, 1);
    let recovered = module.recover(Some(&from), texts(&["1", "2"])).unwrap();
    assert_eq!((recovered.missing, recovered.certain), (vec![1], false));
}

#[test]
fn a_file_that_was_emptied_is_searched_from_its_begin() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Never);
    for number in 1..5 {
        logged(&module, number);
    }
    let from = module.checkpoint().unwrap();
    fs::write(place.file(), "7\n").unwrap();
    assert_eq!(missing(&module, Some(&from), &["7", "8"]), [1]);
}
