//! What callers and gatekeepers that are followed notice of an engine.

use std::fs;

use super::*;
use crate::account::engine::read_told;

#[test]
fn the_interval_of_updates_holds_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let open = || {
        let mut setup = setup(directory.path(), vec![(LinkKind::RadAcct, radius.clone(), true)]);
        setup.update_interval = Duration::from_secs(60);
        Engine::open(setup).unwrap()
    };
    let update = |engine: &Engine, session: &str, second: i64| {
        let mut update = event(EventKind::Update, session);
        update.time.seconds += second;
        assert_eq!(engine.submit(&update, Origin::Caller).unwrap(), Answer::Ok);
        radius.logged().len()
    };
    let first = open();
    assert_eq!(update(&first, "1", 100), 1);
    first.close().unwrap();
    let second = open();
    assert_eq!(update(&second, "1", 130), 1, "too early");
    assert_eq!(update(&second, "2", 130), 2, "another call");
    assert_eq!(update(&second, "1", 160), 3);
    second.close().unwrap();
}

#[test]
fn a_dialled_address_is_the_called_station_where_the_ini_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let open = |on: bool, name: &str| {
        let mut setup = setup(&directory.path().join(name), Vec::new());
        fs::create_dir(directory.path().join(name)).unwrap();
        setup.called_is_dialed_ip = on;
        let seen = Arc::clone(&seen);
        setup.observe = Some(Box::new(move |event| {
            if let Subject::Call(call) = &event.subject {
                seen.lock().unwrap().push(call.called_station_id.to_string());
            }
        }));
        Engine::open(setup).unwrap()
    };
    let dialled = |engine: &Engine, session: &str, number: &str, origin| {
        let mut event = event(EventKind::Stop, session);
        if let Subject::Call(call) = &mut event.subject {
            call.called_station_id = "2002".into();
            call.dialed_number = number.into();
        }
        engine.submit(&event, origin).unwrap();
        seen.lock().unwrap().pop().unwrap()
    };
    let (on, off) = (open(true, "on"), open(false, "off"));
    assert_eq!(dialled(&on, "1", "198.51.100.7", Origin::Caller), "198.51.100.7");
    assert_eq!(dialled(&on, "2", "+34911", Origin::Caller), "2002");
    assert_eq!(dialled(&on, "3", "198.51.100.7", Origin::Gatekeeper), "2002");
    assert_eq!(dialled(&off, "1", "198.51.100.7", Origin::Caller), "2002");
    on.close().unwrap();
    off.close().unwrap();
}

/// Logs nothing until it is let go.
struct Stuck(Mutex<()>);

impl Module for Stuck {
    fn name(&self) -> &'static str {
        "RadAcct"
    }

    fn supported(&self) -> Events {
        Events::ALL
    }

    fn log(&self, _: &Event, _: &Attempt<'_>) -> Outcome {
        drop(self.0.lock());
        Outcome::Ok
    }
}

#[test]
fn a_module_that_takes_long_does_not_make_accounting_look_dead() {
    let directory = tempfile::tempdir().unwrap();
    let stuck = Arc::new(Stuck(Mutex::new(())));
    let engine = Engine::open(setup(directory.path(), vec![(LinkKind::RadAcct, stuck.clone(), true)])).unwrap();
    let held = stuck.0.lock().unwrap();
    thread::scope(|scope| {
        let under_way = scope.spawn(|| submit(&engine, EventKind::Stop, "1"));
        // Longer than it takes until a checkpoint is due, which waits for the event.
        let begin = Instant::now();
        let told = || read_told(&directory.path().join("calls")).unwrap();
        while begin.elapsed() < Duration::from_secs(9) {
            thread::sleep(Duration::from_millis(100));
        }
        let age = chrono::Utc::now() - told().unwrap().at;
        assert!(age.num_milliseconds() < 3000, "{age}");
        drop(held);
        assert_eq!(under_way.join().unwrap(), Answer::Ok);
    });
    engine.close().unwrap();
}

#[test]
fn a_gatekeepers_events_do_not_wait_for_a_dead_server_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let radius = Fake::new("RadAcct");
    let engine = engine(directory.path(), &radius);
    radius.down(true);
    for call in 0..500 {
        let event = event(EventKind::Stop, &call.to_string());
        let answer = engine.submit(&event, Origin::Gatekeeper).unwrap();
        assert!(matches!(answer, Answer::Fail(_)));
    }
    // The first one, and those that the thread that catches up has tried.
    let asked = radius.asked.load(Ordering::SeqCst);
    assert!(asked < 100, "{asked}");
    // A caller is told what its own event came to.
    let before = radius.asked.load(Ordering::SeqCst);
    assert!(matches!(submit(&engine, EventKind::Start, "own"), Answer::Fail(_)));
    assert!(radius.asked.load(Ordering::SeqCst) > before);
    radius.down(false);
    radius.wait_for(501);
    wait_until(|| engine.told().modules[0].waiting == 0);
    let event = event(EventKind::Stop, "live");
    assert_eq!(engine.submit(&event, Origin::Gatekeeper).unwrap(), Answer::Ok);
    engine.close().unwrap();
}
