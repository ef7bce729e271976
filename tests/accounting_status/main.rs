//! The status port of a gatekeeper, from both sides: a made-up gatekeeper that says what a real one has said, and clients of
//! our own port.

mod client;
mod gatekeeper;
mod server;

use std::path::PathBuf;

use billdrop::{
    account::{event::Event, json, status::event_of},
    protocol::gatekeeper_status::{Item, Reader},
};

fn fixture(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "gnugk", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The events of a recorded feed, in order, the live ones and those of the backlog.
fn recorded_events(name: &str) -> Vec<Event> {
    let (mut reader, mut items) = (Reader::new(), Vec::new());
    reader.take(&fixture(name), &mut items);
    let records = items.iter().filter_map(|item| match item {
        Item::Record(record) => Some(event_of(record).unwrap()),
        _ => None,
    });
    records.collect()
}

#[test]
fn a_recorded_feed_and_its_twin_in_json_give_the_same_events() {
    for name in [
        "feed-answered-pipe-in-alias",
        "feed-answered-cr-in-alias",
        "feed-unanswered",
        "feed-rejected",
        "feed-register-unregister",
    ] {
        let events = recorded_events(&format!("{name}.bin"));
        let twin = fixture(&format!("{name}.jsonl"));
        let twin: Vec<&[u8]> = twin
            .split(|octet| *octet == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        // The backlog repeats what came live.
        assert!(twin.len() >= 2 && events.len().is_multiple_of(twin.len()), "{name}");
        for (event, line) in events.iter().zip(twin) {
            assert_eq!(*event, json::from_json(line).unwrap(), "{name}");
            assert_eq!(*event, json::from_json(&json::to_json(event)).unwrap(), "{name}");
        }
    }
}
