//! The engine with modules of which the test decides what they say.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Condvar, Mutex},
    time::Instant,
};

use super::*;
use crate::{
    account::{
        event::{Call, Moment},
        module::Outcome,
    },
    config::gatekeeper::Control,
};

mod callers;
mod given_up;

/// Logs into memory; fails while it is told to.
struct Fake {
    name: &'static str,
    logged: Mutex<Vec<(String, EventKind, bool)>>,
    is_down: AtomicBool,
    /// Sessions that it never takes.
    refused: Mutex<HashSet<String>>,
    changed: Condvar,
    asked: AtomicU64,
}

impl Fake {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Fake {
            name,
            logged: Mutex::default(),
            is_down: AtomicBool::new(false),
            refused: Mutex::default(),
            changed: Condvar::new(),
            asked: AtomicU64::new(0),
        })
    }

    fn down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn logged(&self) -> Vec<(String, EventKind, bool)> {
        self.logged.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut logged = self.logged.lock().unwrap();
        while logged.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count}", logged.len());
            logged = self.changed.wait_timeout(logged, left).unwrap().0;
        }
    }
}

impl Module for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn supported(&self) -> Events {
        Events::ALL
    }

    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome {
        let session = session_of(event);
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) || self.refused.lock().unwrap().contains(&session) {
            return Outcome::Fail("down".to_owned());
        }
        self.logged.lock().unwrap().push((session, event.kind, attempt.again));
        self.changed.notify_all();
        Outcome::Ok
    }
}

fn session_of(event: &Event) -> String {
    match &event.subject {
        Subject::Call(call) => call.session_id.to_string(),
        _ => String::new(),
    }
}

fn event(kind: EventKind, session: &str) -> Event {
    Event {
        kind,
        uuid: None,
        time: Moment {
            seconds: 1_800_000_000,
            micros: 0,
            zone: None,
        },
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            session_id: session.into(),
            ..Call::default()
        })),
    }
}

fn link(kind: LinkKind, control: Control) -> Link {
    Link {
        line: 1,
        kind,
        control,
        events: Events::ALL,
    }
}

fn setup(directory: &Path, modules: Vec<(LinkKind, Arc<dyn Module>, bool)>) -> Setup {
    Setup {
        directory: directory.join("calls"),
        durability: Durability::Each,
        sync_interval: Duration::from_secs(1),
        segment_octets: 8192,
        gatekeeper: "GnuGk".to_owned(),
        update_interval: Duration::ZERO,
        called_is_dialed_ip: false,
        links: modules
            .iter()
            .map(|(kind, ..)| link(*kind, Control::Required))
            .collect(),
        modules,
        file: None,
        in_flight: 4,
        alarm_octets: u64::MAX,
        min_free: 0,
        billed: Box::new(|_| None),
        alarm: Box::new(|_| {}),
        observe: None,
    }
}

fn engine(directory: &Path, radius: &Arc<Fake>) -> Engine {
    Engine::open(setup(directory, vec![(LinkKind::RadAcct, radius.clone(), true)])).unwrap()
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

fn submit(engine: &Engine, kind: EventKind, session: &str) -> Answer {
    engine.submit(&event(kind, session), Origin::Caller).unwrap()
}

/// What a killed process leaves: nothing is closed, and the lock of the threads is not waited for.
fn kill(engine: Engine) {
    engine.core.is_ending.store(true, Ordering::SeqCst);
    for thread in engine.threads.into_inner().unwrap() {
        thread.join().unwrap();
    }
}

#[test]
fn an_event_that_comes_twice_is_logged_once_and_answered_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let first = engine(directory.path(), &radius);
    assert_eq!(submit(&first, EventKind::Start, "1"), Answer::Ok);
    assert_eq!(submit(&first, EventKind::Start, "1"), Answer::Ok);
    radius.down(true);
    assert!(matches!(submit(&first, EventKind::Start, "2"), Answer::Fail(reason) if reason == "RadAcct: down"));
    radius.down(false);
    assert!(matches!(submit(&first, EventKind::Start, "2"), Answer::Fail(_)));
    first.close().unwrap();
    let again = engine(directory.path(), &radius);
    assert_eq!(submit(&again, EventKind::Start, "1"), Answer::Ok);
    assert!(matches!(submit(&again, EventKind::Start, "2"), Answer::Fail(_)));
    radius.wait_for(2);
    again.close().unwrap();
    assert_eq!(radius.logged().len(), 2);
}

#[test]
fn what_a_module_could_not_log_is_caught_up_in_order_for_each_call() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let engine = engine(directory.path(), &radius);
    radius.down(true);
    for kind in [EventKind::Start, EventKind::Connect, EventKind::Stop] {
        for call in 0..40 {
            assert!(matches!(submit(&engine, kind, &call.to_string()), Answer::Fail(_)));
        }
    }
    assert_eq!(engine.told().modules[0].waiting, 120);
    assert!(engine.told().modules[0].waiting_since.is_some());
    radius.down(false);
    radius.wait_for(120);
    let logged = radius.logged();
    for call in 0..40 {
        let of_call: Vec<_> = logged
            .iter()
            .filter(|(session, ..)| *session == call.to_string())
            .collect();
        let kinds: Vec<EventKind> = of_call.iter().map(|(_, kind, _)| *kind).collect();
        assert_eq!(kinds, [EventKind::Start, EventKind::Connect, EventKind::Stop]);
        assert!(of_call.iter().all(|(_, _, again)| *again));
    }
    engine.close().unwrap();
}

#[test]
fn what_waits_of_a_call_goes_before_its_next_event() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let engine = engine(directory.path(), &radius);
    radius.down(true);
    assert!(matches!(submit(&engine, EventKind::Start, "1"), Answer::Fail(_)));
    radius.down(false);
    assert_eq!(submit(&engine, EventKind::Stop, "1"), Answer::Ok);
    let logged = radius.logged();
    assert_eq!(
        logged,
        [
            ("1".to_owned(), EventKind::Start, true),
            ("1".to_owned(), EventKind::Stop, false)
        ]
    );
    engine.close().unwrap();
}

#[test]
fn an_event_that_a_module_never_takes_keeps_only_its_own_call_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let engine = engine(directory.path(), &radius);
    radius.refused.lock().unwrap().insert("poison".to_owned());
    radius.down(true);
    for session in ["poison", "a", "b", "c"] {
        assert!(matches!(submit(&engine, EventKind::Stop, session), Answer::Fail(_)));
    }
    radius.down(false);
    radius.wait_for(3);
    wait_until(|| engine.told().modules[0].waiting == 1);
    engine.close().unwrap();
}

#[test]
fn what_waits_survives_a_kill_and_is_logged_once() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    radius.down(true);
    let first = engine(directory.path(), &radius);
    for call in 0..300 {
        assert!(matches!(
            submit(&first, EventKind::Stop, &call.to_string()),
            Answer::Fail(_)
        ));
    }
    kill(first);
    let second = engine(directory.path(), &radius);
    assert_eq!(second.told().modules[0].waiting, 300);
    radius.down(false);
    radius.wait_for(300);
    second.close().unwrap();
    let third = engine(directory.path(), &radius);
    assert_eq!(third.told().modules[0].waiting, 0);
    third.close().unwrap();
    let sessions: HashSet<String> = radius.logged().into_iter().map(|(session, ..)| session).collect();
    assert_eq!((sessions.len(), radius.logged().len()), (300, 300));
}

#[test]
fn segments_go_when_nothing_waits_in_them_and_stay_while_something_does() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let engine = engine(directory.path(), &radius);
    radius.down(true);
    assert!(matches!(submit(&engine, EventKind::Stop, "waits"), Answer::Fail(_)));
    radius.down(false);
    radius.refused.lock().unwrap().insert("waits".to_owned());
    for call in 0..400 {
        assert_eq!(submit(&engine, EventKind::Stop, &call.to_string()), Answer::Ok);
    }
    engine.core.check().unwrap();
    let many = engine.core.journal.segments().len();
    assert!(many > 4, "{many}");
    radius.refused.lock().unwrap().clear();
    radius.wait_for(401);
    wait_until(|| engine.told().modules[0].waiting == 0);
    engine.core.check().unwrap();
    assert_eq!(engine.core.journal.segments().len(), 2);
    engine.close().unwrap();
}

#[test]
fn calls_for_the_billing_documents_stay_until_a_document_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let billed = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&billed);
    let mut setup = setup(directory.path(), Vec::new());
    setup.links = vec![link(LinkKind::SpoolAcct, Control::Required)];
    setup.billed = Box::new(move |_| Some(asked.load(Ordering::SeqCst)));
    let engine = Engine::open(setup).unwrap();
    for call in 0..400 {
        assert_eq!(submit(&engine, EventKind::Stop, &call.to_string()), Answer::Ok);
    }
    engine.core.check().unwrap();
    let many = engine.core.journal.segments().len();
    assert!(many > 4, "{many}");
    billed.store(engine.core.journal.next().1, Ordering::SeqCst);
    engine.core.check().unwrap();
    assert_eq!(engine.core.journal.segments().len(), 2);
    engine.close().unwrap();
}

#[test]
fn updates_come_as_often_as_the_interval_lets_them() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let mut setup = setup(directory.path(), vec![(LinkKind::RadAcct, radius.clone(), true)]);
    setup.update_interval = Duration::from_secs(60);
    let engine = Engine::open(setup).unwrap();
    for second in (0..300).step_by(20) {
        let mut update = event(EventKind::Update, "1");
        update.time.seconds += second;
        assert_eq!(engine.submit(&update, Origin::Caller).unwrap(), Answer::Ok);
    }
    assert_eq!(radius.logged().len(), 5);
    let gatekeepers_own = event(EventKind::Update, "2");
    assert_eq!(engine.submit(&gatekeepers_own, Origin::Gatekeeper).unwrap(), Answer::Ok);
    assert_eq!(radius.logged().len(), 6);
    engine.close().unwrap();
}

/// A CDR file in memory, of which a crash takes the lines that were not synced.
#[derive(Default)]
struct FakeFile {
    lines: Mutex<Vec<String>>,
    synced: AtomicU64,
}

impl Module for FakeFile {
    fn name(&self) -> &'static str {
        "FileAcct"
    }

    fn supported(&self) -> Events {
        [EventKind::Stop].into_iter().collect()
    }

    fn log(&self, event: &Event, _: &Attempt<'_>) -> Outcome {
        self.lines.lock().unwrap().push(session_of(event));
        Outcome::Ok
    }
}

impl CdrFile for FakeFile {
    fn checkpoint(&self) -> io::Result<Vec<u8>> {
        let end = self.lines.lock().unwrap().len() as u64;
        self.synced.store(end, Ordering::SeqCst);
        Ok(end.to_le_bytes().to_vec())
    }

    fn missing(&self, place: &[u8], events: &mut dyn Iterator<Item = (Event, String)>) -> io::Result<Missing> {
        let from = place.try_into().map_or(0, u64::from_le_bytes) as usize;
        let lines = self.lines.lock().unwrap();
        let events = events
            .enumerate()
            .filter(|(_, (event, _))| !lines[from..].contains(&session_of(event)))
            .map(|(index, _)| index)
            .collect();
        Ok(Missing {
            events,
            is_certain: true,
        })
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("cdr.log")
    }
}

#[test]
fn every_line_that_was_answered_is_in_the_file_once_whatever_a_crash_takes() {
    let directory = tempfile::tempdir().unwrap();
    let file = Arc::new(FakeFile::default());
    let open = || {
        let mut setup = setup(directory.path(), vec![(LinkKind::FileAcct, file.clone(), false)]);
        setup.file = Some(file.clone());
        Engine::open(setup).unwrap()
    };
    let mut next = 0;
    for round in 0..6 {
        let engine = open();
        for _ in 0..30 {
            assert_eq!(submit(&engine, EventKind::Stop, &next.to_string()), Answer::Ok);
            next += 1;
        }
        if round % 3 == 1 {
            engine.core.check().unwrap();
        }
        for _ in 0..7 {
            assert_eq!(submit(&engine, EventKind::Stop, &next.to_string()), Answer::Ok);
            next += 1;
        }
        kill(engine);
        if round % 2 == 0 {
            // The machine died: what was not synced is gone, but for one line that came to the disk by chance.
            let synced = file.synced.load(Ordering::SeqCst) as usize;
            let mut lines = file.lines.lock().unwrap();
            let by_chance = lines.pop();
            lines.truncate(synced);
            lines.extend(by_chance);
        }
    }
    open().close().unwrap();
    let mut lines: Vec<u32> = file
        .lines
        .lock()
        .unwrap()
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..next).collect::<Vec<_>>());
}

#[test]
fn events_that_nobody_was_answered_are_logged_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let calls = directory.path().join("calls");
    let journal = Journal::open(&calls, Durability::Each, 8192, 0).unwrap();
    for call in 0..50 {
        let event = event(EventKind::Stop, &call.to_string());
        let Names { lane, key } = key::names(&event, "GnuGk", None);
        let place = journal
            .event(0, lane, &key, |out| json::write_json(&event, out))
            .unwrap();
        journal.commit(place.end).unwrap();
    }
    drop(journal);
    let engine = engine(directory.path(), &radius);
    assert_eq!(radius.logged().len(), 50);
    assert!(radius.logged().iter().all(|(_, _, again)| *again));
    assert_eq!(submit(&engine, EventKind::Stop, "7"), Answer::Ok);
    assert_eq!(radius.logged().len(), 50);
    engine.close().unwrap();
}

#[test]
fn two_calls_never_have_the_same_key() {
    let of = |gatekeeper: &str, session: &str| {
        let mut event = event(EventKind::Stop, session);
        event.gatekeeper = Some(gatekeeper.into());
        key::names(&event, "", None).key
    };
    assert_ne!(of("a|b", "c"), of("a", "b|c"));
    assert_ne!(of("a", ""), of("a", ""), "a call without any id is one of its own");
    let mut other = event(EventKind::Stop, "1");
    let same = key::names(&other, "g", None).key;
    assert_eq!(key::names(&event(EventKind::Stop, "1"), "g", None).key, same);
    if let Subject::Call(call) = &mut other.subject {
        call.setup = Some(other.time.clone());
    }
    assert_ne!(
        key::names(&other, "g", None).key,
        same,
        "the session id of an earlier run of the caller"
    );
}
