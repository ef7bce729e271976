//! Killed at any moment of a capture from devices: the next captures have everything, once.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value as Json;

use support::{
    binary::Place,
    captured::{Shown, documents},
    faults::{file_changing_calls, run_with_fault},
    poll, say,
    simulators::Simulators,
};

/// The clocks of the devices stand still, so that the history is the same at every capture.
const DEVICES: &[&str] = &[
    "cucm:now=2026-01-15T09:31:00Z,answer-after=5ms",
    "cms:now=2026-01-15T09:31:00Z,answer-after=5ms,page=10,spaces=25,retention=3h",
];
const LICENCES: usize = 11;
const SPACES: usize = 25;

fn place(simulators: &Simulators) -> Place {
    let place = Place::new();
    place.configure(&format!(
        "[capture]\ndevices = {:?}\n[log]\nformat = \"json\"\n",
        simulators.devices_csv()
    ));
    place
}

fn requests(simulators: &Simulators) -> usize {
    let text = fs::read(simulators.directory().join("requests.jsonl")).unwrap();
    text.iter().filter(|octet| **octet == b'\n').count()
}

macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// Times of the entries of MPLicenseUsage that two captures have which nobody disturbs: the second looks further back.
fn whole_history(simulators: &Simulators) -> BTreeSet<String> {
    let place = place(simulators);
    let mut all = BTreeSet::new();
    for _ in 0..2 {
        place.run(&["capture"]).expect(0);
        let document = documents(&place).remove(0);
        let times = Shown::of(&place, &document).values("ConferenceLicenseHistory-Type", "CMS1", "time");
        let new = times.len();
        let before = all.len();
        all.extend(times);
        assert_eq!(all.len(), before + new, "an entry came twice");
        fs::remove_file(document).unwrap();
    }
    assert!(all.len() >= 30, "{all:?}");
    all
}

/// Fetches what lies there, and captures until a capture has come to its end; then the books must balance.
fn balance(place: &Place, history: &BTreeSet<String>) -> Result<(), String> {
    let mut fetched = Vec::new();
    fetch(place, &mut fetched)?;
    let mut ended = 0;
    for _ in 0..4 {
        let ran = place.run(&["capture"]);
        require!([0, 75].contains(&ran.status), "the next capture: {ran:?}");
        ended += usize::from(ran.status == 0);
        fetch(place, &mut fetched)?;
        if ended == 2 {
            break;
        }
    }
    require!(ended == 2, "two captures do not come to their end");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (index, shown) in fetched.iter().enumerate() {
        let sequence = &shown.0["records"][0]["sequenceNumber"];
        require!(*sequence == index + 1, "document {index} has the number {sequence}");
        let licences = shown.records("LicenseUsage-Type", Some("CUCM1")).count();
        let spaces = BTreeSet::from_iter(shown.values("ConferenceSpace-Type", "CMS1", "coSpaceId"));
        let rows = shown.records("ConferenceSpace-Type", Some("CMS1")).count();
        require!(licences == LICENCES, "document {sequence} has {licences} licences");
        require!(
            (rows, spaces.len()) == (SPACES, SPACES),
            "document {sequence} has {rows} spaces"
        );
        for name in ["CUCM1", "CMS1"] {
            let status = shown.status(name);
            require!(status.state == "complete", "{status:?}");
        }
        for time in shown.values("ConferenceLicenseHistory-Type", "CMS1", "time") {
            *times.entry(time).or_default() += 1;
        }
    }
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    require!(twice.is_empty(), "entries that came more than once: {twice:?}");
    let got: BTreeSet<String> = times.into_keys().collect();
    require!(got == *history, "{} entries of {}", got.len(), history.len());
    require!(place.listing().is_empty(), "left in the spool: {:?}", place.listing());
    logs_are_whole(&place.path().join("logs"))
}

fn fetch(place: &Place, fetched: &mut Vec<Shown>) -> Result<(), String> {
    if !place.spool().exists() {
        return Ok(());
    }
    let offered = documents(place);
    require!(offered.len() <= 1, "more than one document is offered: {offered:?}");
    for document in offered {
        let verified = place.run(&["verify", document.to_str().unwrap()]);
        require!(verified.status == 0, "a torn document: {verified:?}");
        fetched.push(Shown::of(place, &document));
        fs::remove_file(document).unwrap();
    }
    Ok(())
}

fn logs_are_whole(logs: &Path) -> Result<(), String> {
    for name in ["data.log", "error.log"] {
        let text = fs::read_to_string(logs.join(name)).unwrap_or_default();
        require!(text.is_empty() || text.ends_with('\n'), "{name} has no end");
        for line in text.lines() {
            let read: Result<Json, _> = serde_json::from_str(line);
            require!(read.is_ok(), "{name} has a torn line: {line}");
        }
    }
    Ok(())
}

#[test]
fn killed_after_any_question_the_next_captures_have_everything_once() {
    let simulators = Simulators::start(DEVICES);
    let history = whole_history(&simulators);
    let questions = requests(&simulators);
    assert!(questions > 15, "{questions}");
    for killed_after in 0..=questions {
        let place = place(&simulators);
        let before = requests(&simulators);
        let mut child = place
            .command(&["capture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The last may come to its end first: then it was not killed, and the books must balance all the same.
        poll(Duration::from_secs(20), || {
            let is_over = requests(&simulators) - before >= killed_after || child.try_wait().unwrap().is_some();
            is_over.then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        if let Err(reason) = balance(&place, &history) {
            panic!("killed after {killed_after} of {questions} questions: {reason}");
        }
    }
    say(&format!("killed after each of {questions} questions"));
}

#[test]
fn killed_at_any_file_changing_call_the_next_captures_have_everything_once() {
    let simulators = Simulators::start(DEVICES);
    let history = whole_history(&simulators);
    // Sealing and offering do not begin anew with the second document, the history does.
    let calls = file_changing_calls(&place(&simulators), &["capture"]);
    assert!(calls.len() > 20, "strace saw only {calls:?}");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(call) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let place = place(&simulators);
                    run_with_fault(&place, &["capture"], call, "signal=KILL");
                    if let Err(reason) = balance(&place, &history) {
                        failures.lock().unwrap().push(format!("{call:?}: {reason}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    say(&format!("killed at {} calls, {} failed", calls.len(), failures.len()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
