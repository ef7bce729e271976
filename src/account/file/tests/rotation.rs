//! When the file is rotated, and what it is called then.

use super::*;

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").expect("apt-get install tzdata")
}

/// The instant of a wall clock, `2027-03-10 10:44:54`.
fn at(zone: &Zone, wall: &str) -> i64 {
    let wall = wall.trim_end_matches(" UTC").replace(' ', "T") + "Z";
    let event = crate::account::json::from_json(format!(r#"{{"event":"on","event-time":"{wall}"}}"#).as_bytes());
    zone.instant(event.unwrap().time.seconds)
}

fn shown(zone: &Zone, at: i64) -> String {
    let (offset, name) = zone.at(at);
    let moment = Moment {
        seconds: at,
        micros: 0,
        zone: Some((offset, name.to_string())),
    };
    let text = TimestampFormat::parse("%Y-%m-%d %H:%M:%S %Z").unwrap().text(&moment);
    String::from_utf8(text).unwrap()
}

/// The occurrences after a wall clock, as clocks show them.
fn occurrences(zone: &Zone, rotate: Rotate, from: &str, count: usize) -> Vec<String> {
    let mut now = at(zone, from);
    let mut seen = Vec::new();
    for _ in 0..count {
        let next = schedule::next(rotate, now, zone).unwrap();
        assert!(next > now);
        assert_eq!(schedule::last(rotate, next, zone), Some(next));
        assert!(schedule::last(rotate, next - 1, zone).unwrap() <= now.max(next - 1));
        seen.push(shown(zone, next));
        now = next;
    }
    seen
}

/// A row's setting, with the gatekeeper's defaults for what it refuses.
fn setting(rotate: &str, time: &str, day: &str) -> Rotate {
    let number = |text: &str| text.parse::<i64>().ok();
    let (hour, minute) = match time.split_once(':') {
        Some((hour, minute)) => (number(hour), number(minute)),
        None => (number(time), Some(0)),
    };
    let valid = hour.is_some_and(|hour| hour < 24);
    let (hour, minute) = if valid {
        (hour.unwrap() as u8, minute.unwrap() as u8)
    } else {
        (0, 59)
    };
    match rotate.to_lowercase().as_str() {
        "hourly" => Rotate::Hourly {
            minute: match time {
                "" => 59,
                time => number(time).unwrap_or(0).rem_euclid(60) as u8,
            },
        },
        "daily" => Rotate::Daily { hour, minute },
        "weekly" => Rotate::Weekly {
            day: number(day).unwrap_or(0) as u8,
            hour,
            minute,
        },
        "monthly" => Rotate::Monthly {
            day: number(day).filter(|day| (1..=31).contains(day)).unwrap_or(1) as u8,
            hour,
            minute,
        },
        _ => Rotate::Never,
    }
}

#[test]
fn every_schedule_of_the_real_gatekeeper_is_kept() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gnugk/rotation-schedule.tsv");
    let table = fs::read_to_string(path).unwrap();
    let mut cases = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [case, start, rotate, time, day, first, _, files] = columns[..] else {
            panic!("{line}")
        };
        let zone = if start.ends_with("UTC") {
            Zone::named("UTC0").unwrap()
        } else {
            berlin()
        };
        let rotate = setting(rotate, time, day);
        let begin = at(&zone, start);
        // Printed with the offset at the start: what clocks show is meant.
        if let Some((wall, _)) = first.rsplit_once(' ') {
            let next = schedule::next(rotate, begin, &zone).unwrap();
            let (offset, name) = zone.at(next);
            let moment = Moment {
                seconds: next,
                micros: 0,
                zone: Some((offset, name.to_string())),
            };
            let text = String::from_utf8(TimestampFormat::rfc822().text(&moment)).unwrap();
            assert_eq!(text.rsplit_once(' ').unwrap().0, wall, "{case}");
        }
        cases += 1;
        if files.is_empty() {
            continue;
        }
        // The gatekeeper ran 4 to 14 seconds, and 30 hours in one case.
        let place = Place::new();
        place.clock.0.store(begin, Ordering::Relaxed);
        let octets = if matches!(case, "dst-daily-run" | "name-taken") {
            "abc\n"
        } else {
            "a\n"
        };
        fs::write(place.file(), octets).unwrap();
        File::options()
            .write(true)
            .open(place.file())
            .unwrap()
            .set_modified(UNIX_EPOCH + Duration::from_secs(begin as u64))
            .unwrap();
        let taken = place.directory.path().join("cdr.log.20270310-104500");
        if case == "name-taken" {
            fs::write(&taken, "another\n").unwrap();
        }
        let options = gatekeeper::FileAcct {
            detail_file: place.file(),
            standard_format: true,
            cdr_string: String::new(),
            timestamp_format: None,
            rotate,
        };
        let module = FileAcct::open_with(&options, MAIN, place.clock.clone(), zone).unwrap();
        let seconds = match case {
            "dst-daily-run" => 30 * 3600,
            "daily-hour-only" => 4,
            _ => 10,
        };
        for second in 0..=seconds {
            place.clock.0.store(begin + second, Ordering::Relaxed);
            module.tick();
        }
        // What differs, and is meant to: names that are taken stay, and rotation follows the clocks that were put forward.
        let expected = match case {
            "dst-daily-run" => "cdr.log:0 cdr.log.20270328-033000:4 cdr.log.20270329-033000:0",
            "name-taken" => "cdr.log:0 cdr.log.20270310-104500:8 cdr.log.20270310-104500.1:4",
            _ => files,
        };
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(place.files(), expected, "{case}");
    }
    assert_eq!(cases, 24);
}

#[test]
fn daily_rotation_follows_the_clocks_through_both_changes() {
    let daily = |hour, minute| Rotate::Daily { hour, minute };
    assert_eq!(
        occurrences(&berlin(), daily(3, 30), "2027-03-27 12:00:00", 2),
        ["2027-03-28 03:30:00 CEST", "2027-03-29 03:30:00 CEST"]
    );
    // 02:30 is skipped on 28 March, and comes twice on 31 October.
    assert_eq!(
        occurrences(&berlin(), daily(2, 30), "2027-03-27 02:30:00", 2),
        ["2027-03-28 03:30:00 CEST", "2027-03-29 02:30:00 CEST"]
    );
    assert_eq!(
        occurrences(&berlin(), daily(2, 30), "2027-10-30 02:30:00", 2),
        ["2027-10-31 02:30:00 CEST", "2027-11-01 02:30:00 CET"]
    );
}

#[test]
fn hourly_rotation_comes_in_every_hour_that_passes() {
    let hourly = Rotate::Hourly { minute: 45 };
    assert_eq!(
        occurrences(&berlin(), hourly, "2027-10-31 01:45:00", 3),
        [
            "2027-10-31 02:45:00 CEST",
            "2027-10-31 02:45:00 CET",
            "2027-10-31 03:45:00 CET"
        ]
    );
    assert_eq!(
        occurrences(&berlin(), hourly, "2027-03-28 00:45:00", 2),
        ["2027-03-28 01:45:00 CET", "2027-03-28 03:45:00 CEST"]
    );
    let kathmandu = Zone::named("<+0545>-5:45").unwrap();
    assert_eq!(
        occurrences(&kathmandu, hourly, "2027-03-28 00:44:00", 2),
        ["2027-03-28 00:45:00 +0545", "2027-03-28 01:45:00 +0545"]
    );
    // Changes by half an hour.
    let lord_howe = Zone::named("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").unwrap();
    assert_eq!(
        occurrences(&lord_howe, hourly, "2027-10-03 00:45:00", 3),
        [
            "2027-10-03 01:45:00 +1030",
            "2027-10-03 02:45:00 +11",
            "2027-10-03 03:45:00 +11"
        ]
    );
}

#[test]
fn months_are_as_long_as_they_are() {
    let monthly = |day| Rotate::Monthly {
        day,
        hour: 23,
        minute: 0,
    };
    assert_eq!(
        occurrences(&berlin(), monthly(31), "2027-12-15 00:00:00", 5),
        [
            "2027-12-31 23:00:00 CET",
            "2028-01-31 23:00:00 CET",
            "2028-02-29 23:00:00 CET",
            "2028-03-31 23:00:00 CEST",
            "2028-04-30 23:00:00 CEST"
        ]
    );
    assert_eq!(
        occurrences(&berlin(), monthly(29), "2027-01-30 00:00:00", 2),
        ["2027-02-28 23:00:00 CET", "2027-03-29 23:00:00 CEST"]
    );
    assert_eq!(
        occurrences(&berlin(), monthly(30), "2028-02-29 23:00:00", 1),
        ["2028-03-30 23:00:00 CEST"]
    );
}

#[test]
fn weeks_begin_on_sunday() {
    let weekly = Rotate::Weekly {
        day: 0,
        hour: 0,
        minute: 59,
    };
    assert_eq!(
        occurrences(&berlin(), weekly, "2027-03-14 00:59:00", 2),
        ["2027-03-21 00:59:00 CET", "2027-03-28 00:59:00 CET"]
    );
}

#[test]
fn a_rotation_that_was_missed_is_made_up_for_once() {
    let place = Place::new();
    let daily = Rotate::Daily { hour: 3, minute: 0 };
    let zone = berlin();
    let written = |wall: &str| {
        let at = UNIX_EPOCH + Duration::from_secs(at(&zone, wall) as u64);
        File::options()
            .write(true)
            .open(place.file())
            .unwrap()
            .set_modified(at)
            .unwrap();
    };
    let start = |wall: &str| {
        place.clock.0.store(at(&zone, wall), Ordering::Relaxed);
        let module = place.open("%n", daily);
        module.tick();
        module.tick();
    };
    // Down over the moment, twice even.
    fs::write(place.file(), "old\n").unwrap();
    written("2027-03-08 12:00:00");
    start("2027-03-10 08:15:00");
    assert_eq!(place.files(), ["cdr.log.20270310-081500:4", "cdr.log:0"]);
    // Again at once, and with lines since then: it is not due.
    start("2027-03-10 08:15:01");
    fs::write(place.file(), "new\n").unwrap();
    written("2027-03-10 09:00:00");
    start("2027-03-10 10:00:00");
    start("2027-03-11 02:59:59");
    assert_eq!(place.files(), ["cdr.log.20270310-081500:4", "cdr.log:4"]);
    // A restart right after the moment.
    start("2027-03-11 03:00:01");
    assert_eq!(place.files().len(), 3);
    // An empty file has nothing that was missed.
    start("2027-03-15 03:00:01");
    assert_eq!(place.files().len(), 3);
}

#[test]
fn a_restart_right_after_a_rotation_does_not_rotate_again() {
    let place = Place::new();
    let daily = Rotate::Daily { hour: 14, minute: 44 };
    let module = place.open("%n", daily);
    logged(&module, 1);
    place.clock.0.store(NOW + 13, Ordering::Relaxed);
    module.tick();
    assert_eq!(place.files(), ["cdr.log.20261122-144400:2", "cdr.log:0"]);
    drop(module);
    place.open("%n", daily).tick();
    assert_eq!(place.files().len(), 2);
}

#[test]
fn a_file_with_its_lines_gives_way_to_the_next_however_many_write_at_once() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Lines(10));
    thread::scope(|scope| {
        for caller in 0..8 {
            let module = &module;
            scope.spawn(move || {
                for number in 0..25 {
                    logged(module, 100 + caller * 25 + number);
                }
            });
        }
    });
    // All within a second: the names have numbers.
    let mut expected: Vec<String> = (1..20)
        .map(|number| format!("cdr.log.20261122-144347.{number}:40"))
        .collect();
    expected.extend(["cdr.log.20261122-144347:40".into(), "cdr.log:0".into()]);
    expected.sort();
    assert_eq!(place.files(), expected);
}

#[test]
fn lines_that_are_there_at_the_start_count() {
    let place = Place::new();
    fs::write(place.file(), "a\nb\n").unwrap();
    let module = place.open("%n", Rotate::Lines(3));
    logged(&module, 1);
    assert_eq!(place.files(), ["cdr.log.20261122-144347:6", "cdr.log:0"]);
}

#[test]
fn a_file_is_rotated_after_the_line_that_makes_it_full() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Octets(8));
    for number in 1000..1004 {
        logged(&module, number);
    }
    assert_eq!(
        place.files(),
        [
            "cdr.log.20261122-144347.1:10",
            "cdr.log.20261122-144347:10",
            "cdr.log:0"
        ]
    );
}

#[test]
fn the_new_file_is_there_at_once_with_the_mode_of_the_gatekeepers() {
    let place = Place::new();
    let module = place.open("%n", Rotate::Hourly { minute: 44 });
    logged(&module, 1);
    let mode = fs::metadata(place.file()).unwrap().mode() & 0o777;
    place.clock.0.store(NOW + 60, Ordering::Relaxed);
    module.tick();
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, mode);
    assert_eq!(mode & !0o644, 0);
    assert_eq!(place.files(), ["cdr.log.20261122-144447:2", "cdr.log:0"]);
}

#[test]
fn the_thread_rotates_and_ends_with_its_module() {
    let place = Place::new();
    let options = gatekeeper::FileAcct {
        detail_file: place.file(),
        standard_format: true,
        cdr_string: String::new(),
        timestamp_format: None,
        rotate: Rotate::Hourly { minute: 0 },
    };
    fs::write(place.file(), "old\n").unwrap();
    File::options()
        .write(true)
        .open(place.file())
        .unwrap()
        .set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    let module = FileAcct::open(&options, MAIN).unwrap();
    let begin = std::time::Instant::now();
    while place.files().len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it was not rotated");
        thread::sleep(Duration::from_millis(20));
    }
    let watched = Arc::downgrade(&module);
    drop(module);
    while watched.upgrade().is_some() {
        assert!(begin.elapsed() < Duration::from_secs(60), "the thread holds the module");
        thread::sleep(Duration::from_millis(20));
    }
}
