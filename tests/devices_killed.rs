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
    faults::{file_changing_calls, try_fault},
    poll, say,
    simulators::Simulators,
};

const LICENCES: usize = 11;
const SPACES: usize = 25;

/// The same devices at two times. Their clocks stand still, so that the history is the same at every capture.
struct Devices {
    earlier: Simulators,
    later: Simulators,
}

impl Devices {
    fn start() -> Self {
        let [earlier, later] = ["09:31:00", "10:31:00"].map(|time| {
            let common = format!("now=2026-01-15T{time}Z,answer-after=5ms");
            Simulators::start(&[
                &format!("cucm:{common}"),
                &format!("cms:{common},page=10,spaces={SPACES},retention=3h"),
            ])
        });
        Devices { earlier, later }
    }
}

/// Whether there has been a document before the capture that is killed.
const SCENARIOS: [(&str, bool); 2] = [("the first capture", false), ("a later capture", true)];

/// A place that is about to capture from the devices as they are later, and what has been fetched before.
fn place(devices: &Devices, has_captured: bool) -> (Place, Vec<Shown>) {
    let place = Place::new();
    let mut fetched = Vec::new();
    if has_captured {
        configure(&place, &devices.earlier);
        place.run(&["capture"]).expect(0);
        fetch(&place, &mut fetched).unwrap();
        assert_eq!(fetched.len(), 1);
        fs::remove_dir_all(place.path().join("logs")).unwrap();
    }
    configure(&place, &devices.later);
    (place, fetched)
}

fn configure(place: &Place, simulators: &Simulators) {
    place.configure(&format!(
        "[capture]\ndevices = {:?}\n[log]\nformat = \"json\"\n",
        simulators.devices_csv()
    ));
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

/// Times of the entries of MPLicenseUsage that captures have which nobody disturbs.
fn whole_history(devices: &Devices, has_captured: bool) -> BTreeSet<String> {
    let (place, mut fetched) = place(devices, has_captured);
    place.run(&["capture"]).expect(0);
    fetch(&place, &mut fetched).unwrap();
    let documents = fetched.iter();
    let times: Vec<String> = documents
        .flat_map(|shown| shown.values("ConferenceLicenseHistory-Type", "CMS1", "time"))
        .collect();
    let all = BTreeSet::from_iter(times.iter().cloned());
    assert_eq!(all.len(), times.len(), "an entry came twice");
    assert!(all.len() >= if has_captured { 48 } else { 36 }, "{all:?}");
    all
}

/// Fetches what lies there, and captures until a capture has come to its end; then the books must balance.
fn balance(place: &Place, mut fetched: Vec<Shown>, history: &BTreeSet<String>) -> Result<(), String> {
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
    let devices = Devices::start();
    for (name, has_captured) in SCENARIOS {
        let history = whole_history(&devices, has_captured);
        let questions = killed_after_each_question(name, &devices, has_captured, &history);
        assert!(questions > 15, "{questions}");
        say(&format!("{name}, killed after each of {questions} questions"));
    }
}

fn killed_after_each_question(name: &str, devices: &Devices, has_captured: bool, history: &BTreeSet<String>) -> usize {
    let mut killed_after = 0;
    loop {
        let (place, fetched) = place(devices, has_captured);
        let before = requests(&devices.later);
        let mut child = place
            .command(&["capture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let is_over = poll(Duration::from_secs(20), || {
            let is_over = child.try_wait().unwrap().is_some();
            (is_over || requests(&devices.later) - before >= killed_after).then_some(is_over)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        if let Err(reason) = balance(&place, fetched, history) {
            panic!("{name}, killed after {killed_after} questions: {reason}");
        }
        // It has come to its end before there were as many.
        if is_over == Some(true) {
            return killed_after;
        }
        killed_after += 1;
    }
}

#[test]
fn killed_at_any_file_changing_call_the_next_captures_have_everything_once() {
    let devices = Devices::start();
    for (name, has_captured) in SCENARIOS {
        let history = whole_history(&devices, has_captured);
        let (example, _) = place(&devices, has_captured);
        let calls = file_changing_calls(&example, &["capture"]);
        assert!(calls.len() > 20, "strace saw only {calls:?}");
        let next = AtomicUsize::new(0);
        // The last of a kind: which thread makes a call is not the same each time.
        let spared = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(call) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let (place, fetched) = place(&devices, has_captured);
                        if try_fault(&place, &["capture"], call, "signal=KILL").is_err() {
                            spared.fetch_add(1, Ordering::Relaxed);
                        }
                        if let Err(reason) = balance(&place, fetched, &history) {
                            failures.lock().unwrap().push(format!("{call:?}: {reason}"));
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap();
        say(&format!(
            "{name}, killed at {} calls: {} failed",
            calls.len(),
            failures.len()
        ));
        let spared = spared.into_inner();
        assert!(
            spared * 10 < calls.len(),
            "{name}: {spared} of {} were not killed",
            calls.len()
        );
        assert!(failures.is_empty(), "{name}: {}", failures.join("\n"));
    }
}
