use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicI64, Ordering},
    time::UNIX_EPOCH,
};

use tempfile::TempDir;

use super::*;
use crate::account::event::{Call, Moment, Subject};
use crate::config::gatekeeper::Rotate;

mod recovery;
mod rotation;

/// 22 November 2026 14:43:47 in Berlin.
const NOW: i64 = 1_795_355_027;

struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A directory with a module whose clock the test moves.
struct Place {
    directory: TempDir,
    clock: Arc<FakeClock>,
}

impl Place {
    fn new() -> Place {
        Place {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(FakeClock(AtomicI64::new(NOW))),
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("cdr.log")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn open(&self, cdr_string: &str, rotate: Rotate) -> FileAcct {
        let options = gatekeeper::FileAcct {
            detail_file: self.file(),
            standard_format: cdr_string.is_empty(),
            cdr_string: cdr_string.to_string(),
            timestamp_format: None,
            rotate,
        };
        self.open_as(&options)
    }

    fn open_as(&self, options: &gatekeeper::FileAcct) -> FileAcct {
        let zone = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        FileAcct::open_with(options, MAIN, self.clock.clone(), zone).unwrap()
    }

    /// Names and sizes behind `cdr.log`, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap);
        let shown = |entry: fs::DirEntry| {
            format!(
                "{}:{}",
                entry.file_name().to_string_lossy(),
                entry.metadata().unwrap().len()
            )
        };
        let mut files: Vec<String> = entries.map(shown).collect();
        files.sort();
        files
    }
}

const MAIN: Main<'_> = Main {
    name: "example-gk",
    home: "127.0.0.1",
    timestamp_format: "Cisco",
};

fn stop(number: u64) -> Event {
    let at = |seconds| {
        Some(Moment {
            seconds,
            micros: 0,
            zone: Some((3600, "CET".into())),
        })
    };
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: at(NOW).unwrap(),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            number,
            user: format!("user{number}").as_str().into(),
            connect: at(NOW - 20),
            disconnect: at(NOW),
            ..Call::default()
        })),
    }
}

fn log(module: &FileAcct, number: u64) -> Outcome {
    let key = number.to_string();
    module.log(
        &stop(number),
        &Attempt {
            key: &key,
            again: false,
        },
    )
}

#[track_caller]
fn logged(module: &FileAcct, number: u64) {
    assert_eq!(log(module, number), Outcome::Ok);
}

#[test]
fn each_stop_event_is_a_line_and_other_events_are_refused() {
    let place = Place::new();
    let module = place.open("", Rotate::Never);
    logged(&module, 7);
    assert_eq!(
        place.text(),
        "CDR|7||20|Sun, 22 Nov 2026 14:43:27 +01:00|Sun, 22 Nov 2026 14:43:47 +01:00| | | | |||example-gk;\n"
    );
    assert!(module.supported().contains(EventKind::Stop) && !module.supported().contains(EventKind::Start));
    let mut start = stop(8);
    start.kind = EventKind::Start;
    let attempt = Attempt { key: "", again: false };
    assert!(matches!(module.log(&start, &attempt), Outcome::Fail(_)));
    assert_eq!(place.text().lines().count(), 1);
}

#[test]
fn a_template_uses_the_main_time_format_and_the_standard_line_does_not() {
    let place = Place::new();
    logged(&place.open("%n|%{connect-time}|%g|%{gkip}", Rotate::Never), 7);
    assert_eq!(
        place.text(),
        "7|14:43:27.000 CET Sun Nov 22 2026|example-gk|127.0.0.1\n"
    );
    let mut options = gatekeeper::FileAcct {
        detail_file: place.file(),
        standard_format: true,
        cdr_string: "%n".into(),
        timestamp_format: Some("MySQL".into()),
        rotate: Rotate::Never,
    };
    logged(&place.open_as(&options), 7);
    assert!(place.text().contains("|20|2026-11-22 14:43:27|2026-11-22 14:43:47|"));
    options.standard_format = false;
    options.cdr_string = "%{disconnect-time}".into();
    logged(&place.open_as(&options), 7);
    assert!(place.text().ends_with("\n2026-11-22 14:43:47\n"));
}

#[test]
fn the_uuid_of_a_line_is_the_same_for_each_attempt() {
    let place = Place::new();
    let module = place.open("%{event-uuid}", Rotate::Never);
    logged(&module, 7);
    logged(&module, 7);
    logged(&module, 8);
    let text = place.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0] == lines[1] && lines[1] != lines[2] && lines[0].len() == 36);
    assert_eq!(module.line(&stop(7), "7").unwrap(), lines[0].as_bytes());
}

#[test]
fn without_a_format_every_event_fails_and_nothing_is_written() {
    let place = Place::new();
    let options = gatekeeper::FileAcct {
        detail_file: place.file(),
        standard_format: false,
        cdr_string: String::new(),
        timestamp_format: None,
        rotate: Rotate::Never,
    };
    let module = place.open_as(&options);
    assert!(matches!(log(&module, 1), Outcome::Fail(reason) if reason.contains("CDRString")));
    assert_eq!(place.text(), "");
    // A template may give an empty line, too.
    let module = place.open("%{CallLink}", Rotate::Never);
    assert!(matches!(log(&module, 1), Outcome::Fail(_)));
}

#[test]
fn a_file_that_cannot_be_opened_fails_its_events_until_it_can() {
    let place = Place::new();
    let directory = place.directory.path().join("later");
    let mut options = gatekeeper::FileAcct {
        detail_file: directory.join("cdr.log"),
        standard_format: true,
        cdr_string: String::new(),
        timestamp_format: None,
        rotate: Rotate::Never,
    };
    let module = place.open_as(&options);
    let Outcome::Fail(reason) = log(&module, 1) else {
        panic!()
    };
    assert!(
        reason.contains("later/cdr.log") && reason.contains("make the directory"),
        "{reason}"
    );
    fs::create_dir(&directory).unwrap();
    logged(&module, 2);
    for (path, expected) in [("", "DetailFile is not set"), ("/dev/null", "no regular file")] {
        options.detail_file = path.into();
        let Outcome::Fail(reason) = log(&place.open_as(&options), 1) else {
            panic!()
        };
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_file_that_was_moved_or_deleted_is_begun_anew() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Never);
    let moved = place.directory.path().join("cdr.log.1");
    logged(&module, 1);
    fs::rename(place.file(), &moved).unwrap();
    module.tick();
    thread::sleep(Duration::from_millis(2));
    logged(&module, 2);
    assert_eq!(
        (place.text().as_str(), fs::read_to_string(&moved).unwrap().as_str()),
        ("2\n", "1\n")
    );
    fs::remove_file(place.file()).unwrap();
    thread::sleep(Duration::from_millis(2));
    logged(&module, 3);
    assert_eq!(place.text(), "3\n");
}

#[test]
fn what_others_left_without_a_line_end_stays_and_our_line_begins_on_a_new_one() {
    let place = Place::new();
    fs::write(place.file(), "theirs\nhalf").unwrap();
    let module = place.open("%n", Rotate::Never);
    logged(&module, 1);
    logged(&module, 2);
    assert_eq!(place.text(), "theirs\nhalf\n1\n2\n");
}

#[test]
fn lines_that_another_program_appends_stay_whole() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Lines(5));
    logged(&module, 1);
    let mut other = OpenOptions::new().append(true).open(place.file()).unwrap();
    other.write_all(b"x\ny\nz").unwrap();
    thread::sleep(Duration::from_millis(2));
    logged(&module, 2);
    assert_eq!(place.text(), "1\nx\ny\nz\n2\n");
}

#[test]
fn many_threads_write_whole_lines_each_once() {
    const THREADS: u64 = 32;
    const EACH: u64 = 300;
    let place = Place::new();
    let module = place.open("%n|%u|%{CallLink}|%{setup-time}|%{connect-time}", Rotate::Never);
    thread::scope(|scope| {
        for caller in 0..THREADS {
            let module = &module;
            scope.spawn(move || {
                for number in 0..EACH {
                    logged(module, caller * EACH + number);
                }
            });
        }
    });
    let mut numbers: Vec<u64> = Vec::new();
    for line in place.text().lines() {
        let (number, rest) = line.split_once('|').unwrap();
        assert_eq!(rest, format!("user{number}|||14:43:27.000 CET Sun Nov 22 2026"));
        numbers.push(number.parse().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..THREADS * EACH).collect::<Vec<_>>());
}

#[test]
fn who_writes_for_others_and_fails_tells_each_of_them() {
    let combiner = Combiner::new();
    let outcomes: Mutex<Vec<(Vec<u8>, bool)>> = Mutex::default();
    let written: Mutex<Vec<u8>> = Mutex::default();
    thread::scope(|scope| {
        for caller in 0..16_u8 {
            let (combiner, outcomes, written) = (&combiner, &outcomes, &written);
            scope.spawn(move || {
                for number in 0..200_u8 {
                    let line = [caller, number];
                    let outcome = combiner.write(&line, |lines, ends| {
                        // The last line of each batch is lost.
                        let count = ends.len() - 1;
                        let end = if count == 0 { 0 } else { ends[count - 1] };
                        written.lock().unwrap().extend_from_slice(&lines[..end]);
                        Err(combine::Incomplete {
                            written: count,
                            reason: "full".into(),
                        })
                    });
                    outcomes.lock().unwrap().push((line.to_vec(), outcome.is_ok()));
                }
            });
        }
    });
    let written = written.into_inner().unwrap();
    let is_written = |line: &[u8]| written.chunks(2).any(|found| found == line);
    for (line, ok) in outcomes.into_inner().unwrap() {
        assert_eq!(ok, is_written(&line), "{line:?}");
    }
}

#[test]
fn a_caller_that_panics_holds_nobody_up() {
    let combiner = Combiner::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = combiner.write(b"x\n", |_, _| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    let next = combiner.write(b"y\n", |_, ends| {
        assert_eq!(ends, [2]);
        Ok(())
    });
    assert_eq!(next, Ok(()));
}
