//! Events that wait for a module, for the operator: which they are, and giving up what a module will never take.
//!
//! Such an event keeps its part of the journal on the disk, and is tried again for ever. Nobody but the operator can say
//! that it is not wanted any more; then the journal says so, too.

use std::{collections::HashSet, io, path::Path};

use super::{scan::Scan, slot::NAMES};
use crate::account::journal::{Body, Durability, Failed, Item, Journal, Reader};

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub module: &'static str,
    pub number: u64,
    /// Microseconds since 1970.
    pub received: i64,
    /// The event as JSON, in one line.
    pub json: Vec<u8>,
    bit: u16,
    lane: u64,
}

/// Shows each event that waits, in the order in which they came. Events that a crash has left open are not among them: the
/// next start logs them.
///
/// # Errors
/// The journal cannot be read, or `show` fails.
pub fn waiting(directory: &Path, show: &mut dyn FnMut(Found) -> io::Result<()>) -> Result<(), Failed> {
    let mut scan = Scan::default();
    scan.read(directory)?;
    look(directory, &scan, show).map_err(|e| refuse(directory, &e))
}

/// Gives up the events with these numbers for the module of this name, or all that wait for it. Returns what was given up; it
/// is on the disk then. Events that do not wait for it are not among them.
///
/// The caller holds the journal's lock.
///
/// # Errors
/// The journal cannot be read or written.
pub fn give_up(
    directory: &Path,
    segment_octets: u64,
    module: &str,
    numbers: Option<&HashSet<u64>>,
) -> Result<Vec<Found>, Failed> {
    let mut scan = Scan::default();
    scan.read(directory)?;
    let mut given_up = Vec::new();
    let is_wanted = |found: &Found| found.module == module && numbers.is_none_or(|these| these.contains(&found.number));
    let mut keep = |found: Found| {
        if is_wanted(&found) {
            given_up.push(found);
        }
        Ok(())
    };
    look(directory, &scan, &mut keep).map_err(|e| refuse(directory, &e))?;
    if given_up.is_empty() {
        return Ok(given_up);
    }
    let journal = Journal::open(directory, Durability::Each, segment_octets, scan.next_number)?;
    for found in &given_up {
        let note = Body::GivenUp {
            lane: found.lane,
            module: found.bit,
        };
        journal.note(found.number, &note)?;
    }
    journal.sync()?;
    Ok(given_up)
}

fn look(directory: &Path, scan: &Scan, show: &mut dyn FnMut(Found) -> io::Result<()>) -> io::Result<()> {
    let Some(from) = scan.backlogs.values().filter_map(|backlog| backlog.from()).min() else {
        return Ok(());
    };
    let mut reader = Reader::open(directory, from)?;
    while let Some(item) = reader.next_item()? {
        let Item::Record(record) = item else { continue };
        let Body::Event(event) = record.body else { continue };
        for (bit, module) in NAMES {
            if scan
                .backlogs
                .get(&bit)
                .is_some_and(|backlog| backlog.contains(record.number))
            {
                show(Found {
                    module,
                    number: record.number,
                    received: event.received,
                    json: event.json.clone(),
                    bit,
                    lane: event.lane,
                })?;
            }
        }
    }
    Ok(())
}

fn refuse(directory: &Path, e: &io::Error) -> Failed {
    Failed {
        doing: "read",
        path: directory.to_owned(),
        kind: e.kind(),
        reason: e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::account::{
        engine::{
            Answer, Engine, Origin,
            tests::{Fake, engine, event, setup, submit, wait_until},
        },
        event::{EventKind, Subject},
    };
    use crate::config::gatekeeper::LinkKind;

    fn waits(directory: &Path) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        waiting(&directory.join("calls"), &mut |found| {
            let json: serde_json::Value = serde_json::from_slice(&found.json).unwrap();
            all.push((found.number, json["s"].as_str().unwrap().to_owned()));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn what_is_given_up_is_never_tried_again_and_frees_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        let radius = Fake::new("RadAcct");
        let first = engine(directory.path(), &radius);
        for session in ["poison", "other"] {
            radius.refused.lock().unwrap().insert(session.to_owned());
            assert!(matches!(submit(&first, EventKind::Stop, session), Answer::Fail(_)));
        }
        for call in 0..400 {
            assert_eq!(submit(&first, EventKind::Stop, &call.to_string()), Answer::Ok);
        }
        first.core.check().unwrap();
        assert!(first.core.journal.segments().len() > 4);
        first.close().unwrap();

        assert_eq!(waits(directory.path()), [(0, "poison".into()), (1, "other".into())]);
        let numbers = HashSet::from([0, 77]);
        let given_up = |module: &str, numbers: Option<&HashSet<u64>>| -> Vec<u64> {
            let calls = directory.path().join("calls");
            let given_up = give_up(&calls, 8192, module, numbers).unwrap();
            given_up.iter().map(|found| found.number).collect()
        };
        assert_eq!(given_up("SQLAcct", None), [0; 0]);
        assert_eq!(given_up("RadAcct", Some(&numbers)), [0]);
        assert_eq!(given_up("RadAcct", Some(&numbers)), [0; 0]);
        assert_eq!(waits(directory.path()), [(1, "other".into())]);

        radius.refused.lock().unwrap().clear();
        let second = engine(directory.path(), &radius);
        radius.wait_for(401);
        wait_until(|| second.told().modules[0].waiting == 0);
        // New numbers go on behind the old ones.
        assert_eq!(submit(&second, EventKind::Stop, "new"), Answer::Ok);
        second.core.check().unwrap();
        assert_eq!(second.core.journal.segments().len(), 2);
        second.close().unwrap();
        assert!(radius.logged().iter().all(|(session, ..)| session != "poison"));
    }

    #[test]
    fn what_waits_for_a_module_that_is_gone_can_be_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let radius = Fake::new("RadAcct");
        radius.down(true);
        let first = engine(directory.path(), &radius);
        for call in 0..5 {
            assert!(matches!(
                submit(&first, EventKind::Stop, &call.to_string()),
                Answer::Fail(_)
            ));
        }
        first.close().unwrap();
        let calls = directory.path().join("calls");
        assert_eq!(give_up(&calls, 8192, "RadAcct", None).unwrap().len(), 5);
        let second = Engine::open(setup(directory.path(), Vec::new())).unwrap();
        assert!(second.told().modules.is_empty());
        second.close().unwrap();
    }

    #[test]
    fn the_interval_of_updates_holds_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let radius = Fake::new("RadAcct");
        let open = || {
            let mut setup = setup(directory.path(), vec![(LinkKind::RadAcct, radius.clone(), true)]);
            setup.update_interval = std::time::Duration::from_secs(60);
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
        let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let open = |on: bool, name: &str| {
            let mut setup = setup(&directory.path().join(name), Vec::new());
            std::fs::create_dir(directory.path().join(name)).unwrap();
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
        let asked = radius.asked.load(std::sync::atomic::Ordering::SeqCst);
        assert!(asked < 100, "{asked}");
        // A caller is told what its own event came to.
        let before = radius.asked.load(std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(submit(&engine, EventKind::Start, "own"), Answer::Fail(_)));
        assert!(radius.asked.load(std::sync::atomic::Ordering::SeqCst) > before);
        radius.down(false);
        radius.wait_for(501);
        wait_until(|| engine.told().modules[0].waiting == 0);
        let event = event(EventKind::Stop, "live");
        assert_eq!(engine.submit(&event, Origin::Gatekeeper).unwrap(), Answer::Ok);
        engine.close().unwrap();
    }
}
