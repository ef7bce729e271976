//! FileAcct on a disk that is full, and killed while many callers write.

mod support;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use billdrop::account::event::{Call, Event, EventKind, Moment, Subject};
use billdrop::account::file::{FileAcct, FilePosition, HostClock, Main};
use billdrop::account::module::{Attempt, Module, Outcome};
use billdrop::account::zone::Zone;
use billdrop::config::gatekeeper::{self, Rotate};
use support::namespace::again;

fn open(path: PathBuf, rotate: Rotate) -> FileAcct {
    let options = gatekeeper::FileAcct {
        detail_file: path,
        standard_format: false,
        cdr_string: "%u|%{src-info}|%{event-uuid}".into(),
        timestamp_format: None,
        rotate,
    };
    let main = Main {
        name: "example-gk",
        home: "",
        timestamp_format: "Cisco",
    };
    let zone = Zone::named("UTC0").unwrap();
    FileAcct::open_with(&options, main, std::sync::Arc::new(HostClock), zone).unwrap()
}

fn stop(user: &str, filling: usize) -> Event {
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: Moment {
            seconds: 1_795_355_027,
            micros: 0,
            zone: None,
        },
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            user: user.into(),
            src_info: "x".repeat(filling).as_str().into(),
            ..Call::default()
        })),
    }
}

fn log(module: &FileAcct, user: &str, filling: usize) -> Outcome {
    let attempt = Attempt {
        key: user,
        again: false,
    };
    module.log(&stop(user, filling), &attempt)
}

#[test]
fn on_a_full_disk_events_fail_and_no_part_of_their_lines_stays() {
    const TEST: &str = "on_a_full_disk_events_fail_and_no_part_of_their_lines_stays";
    if std::env::var_os("BILLDROP_TEST_NAMESPACE").is_none() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount"]);
        again(unshare, TEST, "mounted");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(place.path())
        .status();
    assert!(mounted.unwrap().success());
    let module = open(place.path().join("cdr.log"), Rotate::Never);
    let mut ok = 0;
    let reason = loop {
        match log(&module, &format!("call{ok}"), 3000) {
            Outcome::Ok => ok += 1,
            Outcome::Fail(reason) => break reason,
        }
        assert!(ok < 100);
    };
    assert!(reason.contains("cdr.log") && reason.contains("make room"), "{reason}");
    let whole = |count| {
        let text = fs::read_to_string(place.path().join("cdr.log")).unwrap();
        assert!(text.ends_with('\n'));
        assert_eq!(text.lines().count(), count);
        assert!(text.lines().all(|line| line.len() > 3000 && line.contains("x|")));
    };
    whole(ok);
    assert!(matches!(log(&module, "again", 3000), Outcome::Fail(_)));
    whole(ok);
    let options = "remount,size=1m";
    assert!(
        Command::new("mount")
            .args(["-o", options])
            .arg(place.path())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(log(&module, "room", 3000), Outcome::Ok);
    whole(ok + 1);
    assert!(
        Command::new("umount")
            .args(["-l"])
            .arg(place.path())
            .status()
            .unwrap()
            .success()
    );
}

/// Says each user whose event is logged, until it is killed.
fn log_until_killed(directory: &Path) {
    let module = open(directory.join("cdr.log"), Rotate::Lines(500));
    let position = serde_json::to_string(&module.checkpoint().unwrap()).unwrap();
    fs::write(directory.join("position"), position).unwrap();
    thread::scope(|scope| {
        for caller in 0..8 {
            let module = &module;
            scope.spawn(move || {
                for number in 0.. {
                    let user = format!("c{caller}n{number}");
                    assert_eq!(log(module, &user, 100), Outcome::Ok);
                    println!("logged {user}");
                }
            });
        }
    });
}

#[test]
fn a_killed_writer_leaves_each_line_that_was_answered_once_and_none_torn() {
    const TEST: &str = "a_killed_writer_leaves_each_line_that_was_answered_once_and_none_torn";
    const ROUNDS: u64 = 5;
    if let Some(directory) = std::env::var_os("BILLDROP_TEST_CDR_DIRECTORY") {
        return log_until_killed(Path::new(&directory));
    }
    for round in 0..ROUNDS {
        let place = tempfile::tempdir().unwrap();
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env("BILLDROP_TEST_CDR_DIRECTORY", place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = writer.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut said = String::new();
            stdout.read_to_string(&mut said).map(|_| said)
        });
        while !place.path().join("cdr.log").exists() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(100 + 37 * round));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let said = reader.join().unwrap().unwrap();
        // The last line may be cut off.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let answered: Vec<&str> = whole.lines().filter_map(|line| line.strip_prefix("logged ")).collect();
        assert!(!answered.is_empty(), "{said}");
        // What was answered, and what each caller may have had in hand.
        let position = fs::read_to_string(place.path().join("position")).unwrap();
        let position: FilePosition = serde_json::from_str(&position).unwrap();
        let module = open(place.path().join("cdr.log"), Rotate::Lines(500));
        let mut users: Vec<String> = answered.iter().map(|user| user.to_string()).collect();
        for caller in 0..8 {
            let mine = answered
                .iter()
                .filter(|user| user.starts_with(&format!("c{caller}n")))
                .count();
            users.extend((mine..mine + 2).map(|number| format!("c{caller}n{number}")));
        }
        let lines: Vec<Vec<u8>> = users
            .iter()
            .map(|user| module.line(&stop(user, 100), user).unwrap())
            .collect();
        let recovered = module.recover(Some(&position), lines.clone()).unwrap();
        assert!(recovered.certain);
        assert!(
            recovered.missing.iter().all(|at| *at >= answered.len()),
            "an answered event has no line"
        );
        for at in recovered.missing {
            assert_eq!(log(&module, &users[at], 100), Outcome::Ok);
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(place.path()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("cdr.log") {
                let text = fs::read(entry.path()).unwrap();
                assert!(text.is_empty() || text.ends_with(b"\n"));
                found.extend(
                    text.split(|octet| *octet == b'\n')
                        .filter(|line| !line.is_empty())
                        .map(<[u8]>::to_vec),
                );
            }
        }
        let mut expected = lines;
        expected.sort();
        found.sort();
        assert!(found == expected, "{} lines, {} events", found.len(), expected.len());
    }
}
