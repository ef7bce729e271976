//! Promises 1 and 3: killed or failed at every single file-changing system call, nothing is lost, doubled or torn.
//!
//! Each scenario is run once under strace to learn which file-changing calls it makes. Then, for every one of them, it
//! is run anew with that very call killed (SIGKILL on entry), failed with EIO, and failed with ENOSPC. Afterwards the
//! program runs undisturbed until three documents have been picked up, and the books must balance.

mod support;

use std::{
    fs,
    net::UdpSocket,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use support::{
    binary::{Place, Ran, names},
    faults::{Call, file_changing_calls, run_with_fault},
    say,
};

const FAULTS: &[&str] = &["signal=KILL", "error=EIO", "error=ENOSPC"];

/// One way in which the program is run into the fault.
struct Scenario {
    name: &'static str,
    prepare: fn(&Place),
    arguments: &'static [&'static str],
    /// What the configuration has besides.
    more: &'static str,
}

/// Everything that makes more files: archive, manifest, marker.
const ALL: &str = "[spool]\nmanifest = true\ndone-marker = true\n[archive]\nkeep = \"1year\"\ncompress = true\n";

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the first capture",
        prepare: |_| {},
        arguments: &["capture"],
        more: "",
    },
    Scenario {
        name: "a later capture",
        prepare: captured_and_retrieved,
        arguments: &["capture"],
        more: "",
    },
    Scenario {
        name: "a capture that is refused",
        prepare: |place| {
            place.capture();
        },
        arguments: &["capture"],
        more: "",
    },
    Scenario {
        name: "a capture that finishes what a killed one has sealed",
        prepare: |place| {
            captured_and_retrieved(place);
            run_with_fault(place, &["capture"], &("renameat2".to_owned(), 1), "signal=KILL").expect(137);
            assert!(place.listing().iter().any(|name| name.ends_with(".partial")));
        },
        arguments: &["capture"],
        more: "",
    },
    Scenario {
        name: "a release",
        prepare: |place| {
            place.capture();
        },
        arguments: &["release", "--reason", "test"],
        more: "",
    },
    Scenario {
        name: "a later capture with everything",
        prepare: captured_and_retrieved,
        arguments: &["capture"],
        more: ALL,
    },
    Scenario {
        name: "a capture that finishes what a killed one has sealed, with everything",
        prepare: |place| {
            captured_and_retrieved(place);
            run_with_fault(place, &["capture"], &("renameat2".to_owned(), 1), "signal=KILL").expect(137);
        },
        arguments: &["capture"],
        more: ALL,
    },
    Scenario {
        name: "a capture that takes a marked document out",
        prepare: |place| {
            captured_and_retrieved(place);
            let document = place.capture();
            fs::write(document.with_extension("xml.done"), "").unwrap();
        },
        arguments: &["capture"],
        more: ALL,
    },
    Scenario {
        name: "a release with everything",
        prepare: |place| {
            place.capture();
        },
        arguments: &["release", "--reason", "test"],
        more: ALL,
    },
    Scenario {
        name: "a resend",
        prepare: captured_and_retrieved,
        arguments: &["resend", "1"],
        more: "[archive]\nkeep = \"1year\"\n",
    },
    Scenario {
        name: "a resend with everything",
        prepare: |place| {
            captured_and_retrieved(place);
            // Compresses the first one.
            captured_and_retrieved(place);
        },
        arguments: &["resend", "1..2"],
        more: ALL,
    },
    Scenario {
        name: "a capture that offers the next of the queue",
        prepare: |place| {
            captured_and_retrieved(place);
            captured_and_retrieved(place);
            place.run(&["resend", "1..2"]).expect(0);
            fs::remove_file(place.spool().join(&documents(place)[0])).unwrap();
        },
        arguments: &["capture"],
        more: ALL,
    },
];

fn captured_and_retrieved(place: &Place) {
    fs::remove_file(place.capture()).unwrap();
}

/// A place whose notifications go to a socket of the test.
fn place_with_manager(more: &str) -> (Place, UdpSocket) {
    let place = Place::in_memory();
    let manager = UdpSocket::bind("127.0.0.1:0").unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let address = manager.local_addr().unwrap();
    place.configure(&format!(
        "{more}[[notify]]\naddress = \"{address}\"\ncommunity = \"c\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n"
    ));
    (place, manager)
}

#[test]
fn killed_or_failed_at_every_file_changing_call_the_books_balance() {
    let mut cases = Vec::new();
    for scenario in SCENARIOS {
        let (place, _manager) = place_with_manager(scenario.more);
        (scenario.prepare)(&place);
        let calls = file_changing_calls(&place, scenario.arguments);
        assert!(calls.len() > 10, "{}: strace saw only {calls:?}", scenario.name);
        say(&format!("{}: {} file-changing calls", scenario.name, calls.len()));
        for call in calls {
            cases.extend(FAULTS.iter().map(|fault| (scenario, call.clone(), *fault)));
        }
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((scenario, call, fault)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(reason) = endure(scenario, call, fault) {
                        let case = format!("{}: {call:?}, {fault}: {reason}", scenario.name);
                        failures.lock().unwrap().push(case);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    say(&format!("{} cases run, {} failed", cases.len(), failures.len()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

fn endure(scenario: &Scenario, call: &Call, fault: &str) -> Result<(), String> {
    let (place, manager) = place_with_manager(scenario.more);
    (scenario.prepare)(&place);
    let already_sealed = documents(&place).len();
    let struck = run_with_fault(&place, scenario.arguments, call, fault);
    require!(struck.status != 101, "panicked: {struck:?}");
    require!(
        !fault.starts_with("error") || struck.status != 137,
        "died of an error: {struck:?}"
    );

    if place.spool().exists() {
        let offered = documents(&place);
        require!(offered.len() <= 1, "more than one document is offered: {offered:?}");
        for name in &offered {
            whole(&place, name)?;
        }
        require!(
            offered.len() >= already_sealed || scenario.arguments[0] == "release" || scenario.name.contains("marked"),
            "a document has gone"
        );
    }
    let mut lost_copies = balance(&place, &manager, scenario)?;
    // A copy that cannot be made keeps no document back; whoever is killed makes it up.
    if fault.starts_with("error") {
        lost_copies.pop();
    }
    require!(
        scenario.more.is_empty() || lost_copies.is_empty(),
        "no copy of {lost_copies:?}: {struck:?}"
    );
    Ok(())
}

/// Runs undisturbed until three documents were picked up, then looks at everything that is left. Returns the documents that
/// have no copy in the archive.
fn balance(place: &Place, manager: &UdpSocket, scenario: &Scenario) -> Result<Vec<String>, String> {
    let mut picked: Vec<(String, serde_json::Value)> = Vec::new();
    let mut octets = Vec::new();
    // Each turn offers a document or finds one: with those of the preparation six turns are more than enough.
    for _ in 0..6 {
        if picked.len() == 3 {
            break;
        }
        let ran: Ran = place.run(&["capture"]);
        require!(
            matches!(ran.status, 0 | 75),
            "the next run does not go on by itself: {ran:?}"
        );
        let offered = documents(place);
        require!(offered.len() == 1, "{} documents are offered: {ran:?}", offered.len());
        whole(place, &offered[0])?;
        let path = place.spool().join(&offered[0]);
        if scenario.more.contains("manifest") {
            let manifest = format!("spool/{}.manifest", offered[0]);
            let ran = place.run(&["verify", "--manifest", &manifest]);
            require!(ran.status == 0, "not as its manifest says: {ran:?}");
        }
        octets.push(fs::read(&path).unwrap());
        picked.push((offered[0].clone(), place.information(&path)));
        fs::remove_file(path).unwrap();
    }
    require!(picked.len() == 3, "only {} documents in six turns", picked.len());
    place.run(&["capture"]).expect(0);

    // What cannot be offered again for the moment does not keep a new document back: it comes after that.
    let mut in_turn = picked.clone();
    let late = &picked[1];
    if scenario.name.contains("queue") && late.1["sequenceNumber"] == 2 {
        in_turn.remove(1);
    }
    for pair in in_turn.windows(2) {
        let ((name, before), (next_name, after)) = (&pair[0], &pair[1]);
        let number = |record: &serde_json::Value| record["sequenceNumber"].as_u64().unwrap();
        require!(name < next_name, "names do not rise: {name}, {next_name}");
        require!(
            number(after) == number(before) + 1,
            "sequence {} after {}",
            number(after),
            number(before)
        );
        require!(
            after["coversFrom"] == before["coversTo"],
            "{} covers from {}, but the one before up to {}",
            number(after),
            after["coversFrom"],
            before["coversTo"]
        );
    }
    let first = &picked[0].1;
    let expected_first = match scenario.name {
        "the first capture" | "a capture that is refused" => 1,
        // Released before or after the fault: the first that can be picked up is the next, or the released one itself.
        "a release" | "a release with everything" => first["sequenceNumber"].as_u64().unwrap().min(2),
        // Asked for before or after the fault, and then offered again from the first one on.
        "a resend" => first["sequenceNumber"].as_u64().unwrap().clamp(1, 2),
        "a resend with everything" => match first["sequenceNumber"].as_u64().unwrap() {
            1 => 1,
            _ => 3,
        },
        "a capture that offers the next of the queue" => first["sequenceNumber"].as_u64().unwrap().clamp(2, 3),
        // What was marked before the fault may be taken out before it or after it, never offered again.
        "a capture that takes a marked document out" => 3,
        _ => 2,
    };
    require!(
        first["sequenceNumber"] == expected_first,
        "begins with document {}, not {expected_first}",
        first["sequenceNumber"]
    );

    let gaps = place.run(&["gaps"]).stdout;
    require!(!gaps.contains(" sequence ") && !gaps.contains(" time "), "gaps: {gaps}");
    let debris: Vec<String> = place
        .listing()
        .into_iter()
        .filter(|name| name.starts_with('.') || name.ends_with(".done"))
        .collect();
    require!(debris.is_empty(), "debris in the spool: {debris:?}");
    let known = [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
        "last-document",
        "lock",
        "released",
        "archive",
    ];
    let strange: Vec<String> = names(&place.state())
        .into_iter()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    require!(strange.is_empty(), "debris in the state directory: {strange:?}");
    told(&picked, manager)?;
    copies(place, &picked, &octets)
}

/// Names of the documents that have no copy. One that there is must be what was fetched.
fn copies(place: &Place, picked: &[(String, serde_json::Value)], octets: &[Vec<u8>]) -> Result<Vec<String>, String> {
    let archive = place.state().join("archive");
    let mut without = Vec::new();
    for ((name, _), octets) in picked.iter().zip(octets) {
        let (plain, packed) = (archive.join(name), archive.join(format!("{name}.zst")));
        let copy = match (plain.exists(), packed.exists()) {
            (true, true) => return Err(format!("two copies of {name}")),
            (true, false) => fs::read(plain).unwrap(),
            (false, true) => zstd::decode_all(fs::File::open(packed).unwrap()).unwrap(),
            (false, false) => {
                without.push(name.clone());
                continue;
            }
        };
        require!(copy == *octets, "the copy of {name} is not what was fetched");
    }
    if archive.exists() {
        let debris: Vec<String> = names(&archive)
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        require!(debris.is_empty(), "debris in the archive: {debris:?}");
    }
    Ok(without)
}

/// Every document was notified: once, or once more when the fault fell between sending and noting it.
fn told(picked: &[(String, serde_json::Value)], manager: &UdpSocket) -> Result<(), String> {
    let mut datagrams = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(length) = manager.recv(&mut buffer) {
        datagrams.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    for (name, _) in picked {
        let times = datagrams
            .iter()
            .filter(|datagram| datagram.contains(name.as_str()))
            .count();
        require!(times >= 1, "nobody was told of {name}");
        require!(times <= 3, "{name} was told {times} times");
    }
    Ok(())
}

fn documents(place: &Place) -> Vec<String> {
    match place.spool().exists() {
        true => place
            .listing()
            .into_iter()
            .filter(|name| !name.starts_with('.') && !name.ends_with(".manifest") && !name.ends_with(".done"))
            .collect(),
        false => Vec::new(),
    }
}

fn whole(place: &Place, name: &str) -> Result<(), String> {
    let path = format!("spool/{name}");
    let ran = place.run(&["verify", &path]);
    require!(ran.status == 0, "{name} is not whole: {}", ran.stderr);
    Ok(())
}
