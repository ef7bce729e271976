//! Events that a module never takes.

use std::collections::HashSet;

use super::*;
use crate::account::engine::{give_up, waiting};

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
