//! The logs: lines that can be read back, files that give way to new ones, and failures that cost nothing.

mod document_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use billdrop::log::{Format, Lines, Logs, Settings};
use billdrop::record::*;
use chrono::{DateTime, Utc};
use document_support::*;
use proptest::prelude::*;

const FILE: &str = "demo-recorder1-20260115-093000.xml";

fn lines(format: Format, records: &[Record]) -> Lines {
    let mut lines = Lines::new(format, created(), FILE, &std::env::temp_dir());
    for record in records {
        lines.push(record);
    }
    lines
}

fn written(format: Format, records: &[Record]) -> String {
    let mut octets = Vec::new();
    let mut spill = lines(format, records).finish().unwrap();
    spill
        .copy_to(|piece| {
            octets.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    String::from_utf8(octets).unwrap()
}

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.join("logs"),
        size: 10 << 20,
        keep: 10,
        format: Format::Text,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Keys and values.
type Pairs = Vec<(String, String)>;

/// Reads a line of text as the head of `src/log/line.rs` describes it: time, level, pairs.
fn parsed(line: &str) -> Option<(DateTime<Utc>, String, Pairs)> {
    let (time, rest) = line.split_once(' ')?;
    let (level, mut rest) = rest.split_once(' ')?;
    let mut pairs = Vec::new();
    loop {
        let (key, behind) = rest.split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            None => {
                let end = behind.find(' ').unwrap_or(behind.len());
                (behind[..end].to_owned(), &behind[end..])
            }
            Some(quoted) => unquoted(quoted)?,
        };
        pairs.push((key.to_owned(), value));
        if behind.is_empty() {
            return Some((time.parse().ok()?, level.to_owned(), pairs));
        }
        rest = behind.strip_prefix(' ')?;
    }
}

/// From behind a quote: the value, and what stands behind the other quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()?.1 {
            '"' => return Some((value, characters.as_str())),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                'u' => {
                    let (digits, _) = characters.as_str().strip_prefix('{')?.split_once('}')?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    characters.nth(digits.len() + 1)?;
                }
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

/// A space with this name.
fn space(name: &str) -> Record {
    let space = ConferenceSpace {
        co_space_id: "11111111-0000-4000-8000-000000000001",
        name: Some(name),
        ..ConferenceSpace::default()
    };
    space.to_record(&device(Target::Cms, "cms-a", "192.0.2.21"))
}

#[test]
fn a_record_of_a_device_is_one_line() {
    let records = [
        space("R&D: a, \"b\"\n"),
        interface(1, "eth0", None),
        space("plain"),
        space(""),
    ];
    assert_eq!(
        written(Format::Text, &records[..1]),
        "2026-01-15T09:30:00.000Z INFO document=demo-recorder1-20260115-093000.xml type=ConferenceSpace-Type \
         IPDRcreationTime=2026-01-15T09:30:00Z sourceName=cms-a contract=12345678 target=CMS servCnt=cms-a \
         localOrRemote=local ipAddress=192.0.2.21 deviceTime=2026-01-15T09:30:02Z \
         coSpaceId=11111111-0000-4000-8000-000000000001 name=\"R&D: a, \\\"b\\\"\\n\"\n"
    );
    let text = written(Format::Text, &records);
    assert_eq!(text.lines().count(), 3, "interfaces are not logged: {text}");
    assert!(
        text.contains(" name=plain\n") && text.ends_with(" name=\"\"\n"),
        "{text}"
    );
}

#[test]
fn a_line_of_json_has_what_show_has() {
    let text = written(Format::Json, &[space("R&D: a, \"b\"\n"), space("plain")]);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["time"], "2026-01-15T09:30:00.000Z");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["document"], FILE);
    assert_eq!(lines[0]["recordType"], "ConferenceSpace-Type");
    assert_eq!(lines[0]["name"], "R&D: a, \"b\"\n");
}

#[test]
fn what_was_captured_is_appended_with_what_the_capture_came_to() {
    let place = tempfile::tempdir().unwrap();
    let logs = Logs::open(Some(settings(place.path())));
    assert!(
        names(place.path()).is_empty(),
        "nothing is made before there is something to write"
    );
    for _ in 0..2 {
        // Many pieces.
        let records: Vec<Record> = (0..1000).map(|number| space(&format!("space {number}"))).collect();
        let waiting = lines(Format::Text, &records).finish().unwrap();
        logs.data(Some(waiting), created(), "1 device asked");
    }
    let directory = place.path().join("logs");
    assert_eq!(names(&directory), ["data.log"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&directory), mode(&directory.join("data.log"))), (0o750, 0o640));
    let text = fs::read_to_string(directory.join("data.log")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2002);
    assert_eq!(lines[2001], "2026-01-15T09:30:00.000Z INFO message=\"1 device asked\"");
    for (number, line) in lines[1001..2001].iter().enumerate() {
        let (_, _, pairs) = parsed(line).unwrap();
        assert_eq!(pairs.last().unwrap().1, format!("space {number}"));
    }
}

#[test]
fn a_full_log_gives_way_and_the_oldest_is_deleted() {
    let place = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 4000,
        keep: 10,
        ..settings(place.path())
    };
    let mut written = Vec::new();
    // As many captures as it takes, each a run of its own.
    for number in 0..300 {
        let name = format!("space {number}");
        let logs = Logs::open(Some(settings.clone()));
        logs.data(
            Some(lines(Format::Text, &[space(&name)]).finish().unwrap()),
            created(),
            &name,
        );
        written.push(name);
    }
    let mut expected: Vec<String> = (1..10).map(|number| format!("data.log.{number}")).collect();
    expected.insert(0, "data.log".to_owned());
    assert_eq!(names(&settings.directory), expected);
    let mut found = Vec::new();
    for name in expected.iter().rev() {
        let text = fs::read_to_string(settings.directory.join(name)).unwrap();
        assert!(text.len() <= 4000 && text.ends_with('\n'), "{name}: {}", text.len());
        let mode = fs::metadata(settings.directory.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o640, "{name}");
        found.extend(text.lines().filter_map(|line| {
            let (_, _, pairs) = parsed(line).unwrap();
            pairs.into_iter().find(|(key, _)| key == "name").map(|(_, name)| name)
        }));
    }
    assert_eq!(
        found,
        written[written.len() - found.len()..],
        "no line is lost at a change of files"
    );
    assert!(found.len() > 80, "{}", found.len());
}

#[test]
fn a_line_longer_than_a_file_may_be_is_written_whole() {
    let place = tempfile::tempdir().unwrap();
    let settings = Settings {
        size: 10,
        keep: 3,
        ..settings(place.path())
    };
    let logs = Logs::open(Some(settings.clone()));
    let records: Vec<Record> = (0..5).map(|number| space(&number.to_string())).collect();
    logs.data(Some(lines(Format::Text, &records).finish().unwrap()), created(), "end");
    assert_eq!(names(&settings.directory), ["data.log", "data.log.1", "data.log.2"]);
    for name in names(&settings.directory) {
        let text = fs::read_to_string(settings.directory.join(name)).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(parsed(text.trim_end()).is_some(), "{text}");
    }
}

#[test]
fn what_is_in_the_way_is_left_alone_and_costs_nothing() {
    type Obstacle = fn(&Path);
    let obstacles: [(&str, Obstacle); 8] = [
        ("a symbolic link", |logs| {
            fs::write(logs.join("other"), "").unwrap();
            symlink("other", logs.join("data.log")).unwrap();
        }),
        ("a directory", |logs| fs::create_dir(logs.join("data.log")).unwrap()),
        ("a pipe", |logs| {
            let made = std::process::Command::new("mkfifo").arg(logs.join("data.log")).status();
            assert!(made.unwrap().success());
        }),
        ("an older file that is a directory", |logs| {
            fs::write(logs.join("data.log"), "x".repeat(100)).unwrap();
            fs::create_dir(logs.join("data.log.1")).unwrap();
        }),
        ("an older file that is a link", |logs| {
            fs::write(logs.join("data.log"), "x".repeat(100)).unwrap();
            symlink("/etc/hostname", logs.join("data.log.1")).unwrap();
        }),
        ("an older file with a strange number", |logs| {
            fs::write(logs.join("data.log"), "x".repeat(100)).unwrap();
            fs::write(logs.join("data.log.01"), "").unwrap();
        }),
        ("an older file with a huge number", |logs| {
            fs::write(logs.join("data.log"), "x".repeat(100)).unwrap();
            fs::write(logs.join(format!("data.log.{}", usize::MAX)), "").unwrap();
        }),
        ("a packed older file", |logs| {
            fs::write(logs.join("data.log"), "x".repeat(100)).unwrap();
            fs::write(logs.join("data.log.1.gz"), "").unwrap();
        }),
    ];
    for (what, obstacle) in obstacles {
        let place = tempfile::tempdir().unwrap();
        let settings = Settings {
            size: 100,
            ..settings(place.path())
        };
        fs::create_dir(&settings.directory).unwrap();
        obstacle(&settings.directory);
        let before = names(&settings.directory);
        let logs = Logs::open(Some(settings.clone()));
        logs.data(
            Some(lines(Format::Text, &[space("a")]).finish().unwrap()),
            created(),
            "end",
        );
        drop(logs);
        assert_eq!(names(&settings.directory), before, "{what}");
        if let Ok(other) = fs::read_to_string(settings.directory.join("other")) {
            assert_eq!(other, "", "a link is not followed");
        }
    }
}

#[test]
fn a_directory_that_vanishes_or_cannot_be_made_costs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let logs = Logs::open(Some(settings(&place.path().join("not-mounted"))));
    logs.data(None, created(), "end");
    drop(logs);
    assert!(names(place.path()).is_empty(), "a missing parent is not made");

    let logs = Logs::open(Some(settings(place.path())));
    logs.data(None, created(), "before");
    fs::remove_dir_all(place.path().join("logs")).unwrap();
    logs.data(None, created(), "after");
    let text = fs::read_to_string(place.path().join("logs/data.log")).unwrap();
    assert!(text.ends_with(" INFO message=after\n"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_device_says_a_line_is_one_line_and_can_be_read_back(record in any_record()) {
        let text = written(Format::Text, std::slice::from_ref(&record));
        if !DEVICE_DEFINITIONS.contains(&record.definition) {
            prop_assert_eq!(text, "");
            return Ok(());
        }
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(line.chars().all(|c| !c.is_control() && (c == ' ' || !c.is_whitespace())));
        let (time, level, pairs) = parsed(line).unwrap();
        prop_assert_eq!(time, created());
        prop_assert_eq!(level, "INFO");
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        prop_assert_eq!(&pairs["document"], FILE);
        prop_assert_eq!(&pairs["type"], record.definition.name);
        let mut values = 2;
        for (field, value) in record.definition.fields.iter().zip(&record.values) {
            match value {
                Value::Absent => prop_assert!(!pairs.contains_key(field.name)),
                Value::Text(text) => prop_assert_eq!(&pairs[field.name], text.as_str()),
                Value::UnsignedLong(number) => prop_assert_eq!(&pairs[field.name], &number.to_string()),
                Value::Decimal(decimal) => prop_assert_eq!(&pairs[field.name], decimal.as_str()),
                _ => prop_assert!(!pairs[field.name].is_empty()),
            }
            values += usize::from(!matches!(value, Value::Absent));
        }
        prop_assert_eq!(pairs.len(), values);

        let text = written(Format::Json, std::slice::from_ref(&record));
        prop_assert_eq!(text.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&line["recordType"], record.definition.name);
    }
}
