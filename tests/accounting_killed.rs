//! `billdrop account` killed in the middle of events, again and again: what was answered is in the file once, and in a
//! document once.

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::binary::Place;

const KILLS: u64 = 50;
const CALLERS: u64 = 8;

/// Calls that a caller sends between two kills, so that the whole does not take for ever where nothing is synced.
const MOST: usize = 300;

fn place(sync: &str) -> Place {
    let place = Place::new();
    let ini = format!(
        "[Gatekeeper::Main]\nName=gk1\n\n[Gatekeeper::Acct]\nSpoolAcct=required;stop\nFileAcct=required\n\n\
         [FileAcct]\nDetailFile={}\nCDRString=%s|%d|%c\nRotate=L500\n",
        place.path().join("cdr.log").display()
    );
    fs::write(place.path().join("gatekeeper.ini"), ini).unwrap();
    place.configure(&format!(
        "[accounting]\ngatekeeper-ini = {:?}\nsync = {sync:?}\n[log]\ndirectory = \"\"\n",
        place.path().join("gatekeeper.ini")
    ));
    place
}

fn socket(place: &Place) -> PathBuf {
    place.path().join("calls.sock")
}

fn start(place: &Place) -> Child {
    let input = format!("unix:{}", socket(place).display());
    let child = place
        .command(&["account", "--input", &input])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while UnixStream::connect(socket(place)).is_err() {
        assert!(Instant::now() < deadline, "it does not start again");
        thread::sleep(Duration::from_millis(2));
    }
    child
}

/// What callers know: calls that were answered ok, and those that were sent and not answered.
#[derive(Default)]
struct Known {
    answered: Vec<String>,
    unanswered: Vec<String>,
}

fn stop(session: &str) -> String {
    format!(
        "{{\"event\":\"stop\",\"s\":\"{session}\",\"setup-time\":1800000000,\"connect-time\":1800000001,\
         \"disconnect-time\":1800000004,\"c\":16}}\n"
    )
}

/// Sends calls until the connection breaks. What an earlier one was not answered is sent first.
fn call(place: &Place, caller: u64, next: &AtomicU64, known: &Mutex<Known>, mut again: Vec<String>) {
    let Ok(mut stream) = UnixStream::connect(socket(place)) else {
        known.lock().unwrap().unanswered.append(&mut again);
        return;
    };
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..MOST {
        let session = again
            .pop()
            .unwrap_or_else(|| format!("{caller}x{}", next.fetch_add(1, Ordering::Relaxed)));
        let mut answer = String::new();
        let sent = stream.write_all(stop(&session).as_bytes());
        let read = sent.and_then(|()| answers.read_line(&mut answer));
        let mut known = known.lock().unwrap();
        match (read, answer.as_str()) {
            (Ok(_), "ok\n") => known.answered.push(session),
            (_, "") => {
                known.unanswered.push(session);
                known.unanswered.append(&mut again);
                return;
            }
            (_, other) => panic!("{session}: {other:?}"),
        }
    }
    known.lock().unwrap().unanswered.append(&mut again);
}

/// Every line of the CDR file and of those that it was rotated to; none is torn.
fn lines(place: &Place) -> HashMap<String, u32> {
    let mut lines = HashMap::new();
    for entry in fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("cdr.log") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{} is torn", path.display());
        for line in text.lines() {
            let session = line
                .strip_suffix("|3|16")
                .unwrap_or_else(|| panic!("a torn line: {line:?}"));
            *lines.entry(session.to_owned()).or_default() += 1;
        }
    }
    lines
}

fn documents(place: &Place, seen: &mut HashMap<String, u32>) {
    let captured = place.run(&["capture"]);
    assert!(captured.status == 0 || captured.status == 75, "{captured:?}");
    if captured.status == 0 {
        let document = place.path().join(captured.stdout.trim_end());
        let shown = place.shown(&document);
        for record in shown["records"].as_array().unwrap() {
            if let Some(session) = record["sessionId"].as_str() {
                *seen.entry(session.to_owned()).or_default() += 1;
            }
        }
        fs::remove_file(document).unwrap();
    }
}

fn killed_again_and_again(sync: &str) {
    let place = place(sync);
    let (next, known) = (AtomicU64::new(0), Mutex::new(Known::default()));
    let mut seen = HashMap::new();
    for kill in 0..KILLS {
        let mut child = start(&place);
        let again = std::mem::take(&mut known.lock().unwrap().unanswered);
        let mut shares: Vec<Vec<String>> = (0..CALLERS).map(|_| Vec::new()).collect();
        for (index, session) in again.into_iter().enumerate() {
            shares[index % CALLERS as usize].push(session);
        }
        thread::scope(|scope| {
            for (caller, share) in (0..).zip(shares) {
                let (place, next, known) = (&place, &next, &known);
                scope.spawn(move || call(place, caller, next, known, share));
            }
            // A capture beside it, whose reading is cut off by the kill as well as not.
            if kill % 5 == 3 {
                documents(&place, &mut seen);
            }
            thread::sleep(Duration::from_millis(5 + kill * 7 % 40));
            child.kill().unwrap();
        });
        child.wait().unwrap();
    }
    let mut child = start(&place);
    let known = known.into_inner().unwrap();
    let mut stream = UnixStream::connect(socket(&place)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for session in &known.unanswered {
        stream.write_all(stop(session).as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    documents(&place, &mut seen);

    let lines = lines(&place);
    let all: Vec<&String> = known.answered.iter().chain(&known.unanswered).collect();
    assert!(all.len() > 1000, "{}", all.len());
    let wrong = |found: &HashMap<String, u32>| {
        let wrong = all.iter().filter(|session| found.get(**session) != Some(&1));
        wrong
            .map(|session| (session.to_string(), found.get(*session).copied()))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong(&lines), [], "not once in the file");
    assert_eq!(wrong(&seen), [], "not once in the documents");
    assert_eq!(
        (lines.len(), seen.len()),
        (all.len(), all.len()),
        "what nobody has sent"
    );
}

#[test]
fn killed_fifty_times_every_call_that_was_answered_is_there_once() {
    killed_again_and_again("each");
}

#[test]
fn a_kill_costs_nothing_that_was_answered_without_sync_either() {
    killed_again_and_again("none");
}
