//! Three collectors, each of which fails in each way at each point: whatever happens, every record is acknowledged, and who
//! removes what is flagged as duplicate has it once.

mod support;

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use support::{
    ipdr::{
        Acks, Act, Collector, Log, Order, Script, Seen, State, When,
        exporter::{Keys, NAME, QUICK, SESSION, Setup, body},
    },
    say,
};

const COLLECTORS: [(&str, &str, u32); 3] = [("a", "127.0.0.2", 1), ("b", "127.0.0.3", 2), ("c", "127.0.0.4", 3)];
const RECORDS: [u64; 2] = [700, 300];

const POINTS: [When; 9] = [
    When::Accepted,
    When::Connected,
    When::Listed,
    When::FlowStarted,
    When::Templated,
    When::Ready,
    When::SessionStarted,
    When::Records(130),
    When::SessionStopped,
];

const WAYS: [Act; 11] = [
    Act::Reset,
    Act::Finish,
    Act::Disconnect,
    Act::Error(3),
    Act::Everything,
    Act::SessionError(0),
    Act::FlowStop(1),
    Act::Restart,
    Act::Hang,
    Act::Slow,
    Act::Mute,
];

/// One exporter and three collectors; those before the one that fails go away while they have the document.
#[derive(Clone, Copy, Debug)]
struct Case {
    failing: usize,
    when: When,
    act: Act,
}

#[test]
fn every_record_is_acknowledged_once_whoever_fails_how_and_when() {
    let mut cases = Vec::new();
    for failing in 0..3 {
        for when in POINTS {
            // These are about a session: before there is one they mean nothing.
            let is_early = matches!(when, When::Accepted | When::Connected | When::Listed);
            let ways = WAYS.into_iter().filter(|act| {
                !is_early || !matches!(act, Act::SessionError(_) | Act::FlowStop(_) | Act::Restart | Act::Mute)
            });
            cases.extend(ways.map(|act| Case { failing, when, act }));
        }
    }
    let (next, report) = (AtomicUsize::new(0), Mutex::new(String::new()));
    thread::scope(|scope| {
        // They wait for time-outs more than they compute.
        for _ in 0..12 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = run(case);
                    writeln!(report.lock().unwrap(), "{told}").unwrap();
                }
            });
        }
    });
    say(&report.into_inner().unwrap());
    say(&format!("{} cases", cases.len()));
}

fn run(case: &Case) -> String {
    let setup = Setup::new(&COLLECTORS, &QUICK);
    setup.store(NAME, 0, &RECORDS);
    let log = Log::new();
    let collectors: Vec<Collector> = (0..)
        .zip(COLLECTORS)
        .map(|(index, (name, address, _))| {
            let script = match case.failing {
                failing if failing == index => Script::with(case.when, case.act),
                failing if failing > index => Script::with(When::Records(50), Act::Reset),
                _ => Script::default(),
            };
            Collector::dial(&log, name, address, setup.address, script)
        })
        .collect();
    let _exporter = setup.start();
    let failing = &collectors[case.failing];
    // Everybody does what they are there for, unless all is over before.
    let doers: Vec<String> = collectors[..=case.failing]
        .iter()
        .map(|collector| format!("{}: does", collector.name))
        .collect();
    let done = |seen: &Seen, doer: &String| seen.notes.iter().any(|note| note.starts_with(doer));
    log.wait(&format!("{case:?}"), |seen| {
        doers.iter().all(|doer| done(seen, doer)) || seen.are_taken(SESSION, RECORDS.len())
    });
    // When all have failed, somebody has to be there again.
    for collector in collectors.iter().filter(|_| case.failing == 2).rev() {
        collector.tell(Order::GoOn);
    }
    log.wait(&format!("{case:?}"), |seen| seen.are_taken(SESSION, RECORDS.len()));
    log.assert_taken(SESSION, &RECORDS, body);
    let seen = log.seen();
    let starts: Vec<String> = seen
        .documents
        .iter()
        .flat_map(|document| &document.starts)
        .map(|(who, start)| format!("{who}{}", start.first_sequence))
        .collect();
    let duplicates: u64 = seen.documents.iter().map(|document| document.duplicates).sum();
    format!(
        "{} {:?} {:?}: {}; {duplicates} duplicates",
        failing.name,
        case.when,
        case.act,
        starts.join(" ")
    )
}

/// A collector that acknowledges but slowly keeps the document; nothing is sent to the others.
#[test]
fn a_slow_collector_that_goes_on_keeps_its_document() {
    let setup = Setup::new(&COLLECTORS, &QUICK);
    setup.store(NAME, 0, &[2000]);
    let log = Log::new();
    let slow = Script {
        receive_buffer: Some(1024),
        piece: 256,
        ..Script::default()
    };
    let scripts = [slow, Script::default(), Script::default()];
    let _collectors: Vec<Collector> = COLLECTORS
        .into_iter()
        .zip(scripts)
        .map(|((name, address, _), script)| Collector::dial(&log, name, address, setup.address, script))
        .collect();
    let _exporter = setup.start();
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    log.assert_taken(SESSION, &[2000], body);
    let seen = log.seen();
    assert_eq!(seen.documents[0].duplicates, 0, "{}", seen.summary());
    assert_eq!(seen.documents[0].starts.len(), 1, "{}", seen.summary());
}

#[test]
fn the_better_collector_gets_the_document_back_with_the_same_id() {
    let keys = "ack-time = \"1s\"\nack-sequence = 50\nwindow = 200\nack-timeout = \"100s\"\n";
    let setup = Setup::new(&COLLECTORS, &Keys { session: keys, ..QUICK });
    setup.store(NAME, 0, &[5000]);
    let log = Log::new();
    let a = Collector::dial(
        &log,
        "a",
        "127.0.0.2",
        setup.address,
        Script::with(When::Records(300), Act::Finish),
    );
    // It keeps the document for ever: there is an end only if the better one gets it back.
    let _b = Collector::dial(
        &log,
        "b",
        "127.0.0.3",
        setup.address,
        Script::with(When::Records(500), Act::Mute),
    );
    let _exporter = setup.start();
    log.wait("b is stuck", |seen| {
        seen.notes.iter().any(|note| note.starts_with("b: does Mute"))
    });
    assert_eq!(log.seen().active(SESSION), ["b"]);
    a.tell(Order::GoOn);
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    log.assert_taken(SESSION, &[5000], body);
    let seen = log.seen();
    let [document] = &seen.documents[..] else {
        panic!("{}", seen.summary())
    };
    let who: Vec<&str> = document.starts.iter().map(|(who, _)| who.as_str()).collect();
    assert_eq!(who, ["a", "b", "a"], "{}", seen.summary());
    assert!(document.stops.contains(&("b".to_owned(), 1)), "{}", seen.summary());
    assert_eq!(seen.state("b", SESSION), State::Ready);
}

/// Alive enough to repeat its acknowledgement, not to advance it.
#[test]
fn a_collector_whose_acknowledgements_do_not_advance_loses_the_document() {
    // It stays connected, and is the better one all the time: it must not get the document back at once.
    let setup = Setup::new(
        &COLLECTORS,
        &Keys {
            ipdr: "hold-down = \"60s\"\nwait-for-best = \"1s\"\n",
            ..QUICK
        },
    );
    setup.store(NAME, 0, &[1000]);
    let log = Log::new();
    let stuck = Script::acknowledging(&[Acks::Stuck]);
    let _a = Collector::dial(&log, "a", "127.0.0.2", setup.address, stuck);
    let _b = Collector::dial(&log, "b", "127.0.0.3", setup.address, Script::default());
    let _exporter = setup.start();
    log.wait("b has taken it", |seen| seen.are_taken(SESSION, 1));
    log.assert_taken(SESSION, &[1000], body);
    let seen = log.seen();
    let starts: Vec<_> = seen.documents[0]
        .starts
        .iter()
        .map(|(who, start)| (&who[..], start.first_sequence))
        .collect();
    assert_eq!(starts, [("a", 0), ("b", 1)], "{}", seen.summary());
}

#[test]
fn documents_wait_for_days_without_a_collector_and_arrive_in_order() {
    let setup = Setup::new(&COLLECTORS, &QUICK);
    let records: Vec<u64> = (0..40).map(|document| document * 17).collect();
    setup.store(NAME, 0, &records);
    let exporter = setup.start();
    drop(exporter);
    let _exporter = setup.start();
    let log = Log::new();
    let _c = Collector::dial(&log, "c", "127.0.0.4", setup.address, Script::default());
    log.wait("all of them", |seen| seen.are_taken(SESSION, records.len()));
    log.assert_taken(SESSION, &records, body);
}
