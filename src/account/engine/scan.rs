//! What reading the whole journal shows: which events are open, which wait for whom, whose keys are known.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::Path,
};

use super::{
    SPOOLED,
    backlog::{Backlog, Waiting},
    slot::{FILE, NAMES},
};
use crate::account::{
    journal::{Body, EventRecord, Failed, Item, Outcome, Reader, Record, Segment},
    json,
};

/// What a crash has left open.
#[derive(Default)]
pub struct Unfinished {
    /// Events without an outcome, by number.
    pub events: BTreeMap<u64, u64>,
    /// Events whose line was written, but perhaps never reached the disk.
    pub lines: BTreeMap<u64, u64>,
    /// Place in the CDR file behind which those are.
    pub place: Vec<u8>,
}

/// What reading the whole journal shows.
#[derive(Default)]
pub struct Scan {
    pub next_number: u64,
    pub backlogs: HashMap<u16, Backlog>,
    pub unfinished: Unfinished,
    /// Lane, key and verdict of the latest events, and of the generation before.
    pub keys: Vec<(u64, String, bool)>,
    pub older_keys: Vec<(u64, String, bool)>,
    /// Keys of events without an outcome so far.
    pub open_keys: HashMap<u64, String>,
    pub spooled_up_to: u64,
    pub billed: u64,
    pub damaged: BTreeSet<u64>,
    /// Whether updates are of interest.
    pub reads_updates: bool,
    /// When the last update of a call that goes on was logged, in seconds since 1970.
    pub updates: HashMap<u64, i64>,
}

/// Keys of one generation that a start reads: as many as the lanes remember.
const KEYS: usize = 1 << 18;

impl Scan {
    pub fn read(&mut self, directory: &Path) -> Result<(), Failed> {
        let refuse = |e: io::Error| Failed {
            doing: "read",
            path: directory.to_owned(),
            kind: e.kind(),
            reason: e.to_string(),
        };
        let mut reader = Reader::open(directory, 0).map_err(refuse)?;
        while let Some(item) = reader.next_item().map_err(refuse)? {
            match item {
                Item::Record(record) => self.record(record),
                Item::Damage { segment, from, to } => {
                    self.damaged.insert(segment);
                    tracing::error!(
                        "the journal of calls is damaged: {} octets of {} are no records; the file is kept as it is. \
                         Events that were there are lost: compare with the gatekeeper's own records",
                        to - from,
                        Segment::at(directory, segment).path.display()
                    );
                }
                Item::Torn { .. } => {}
            }
        }
        Ok(())
    }

    fn record(&mut self, record: Record) {
        let number = record.number;
        match record.body {
            Body::Event(event) => {
                if self.reads_updates {
                    self.update(&event);
                }
                self.next_number = self.next_number.max(number + 1);
                self.unfinished.events.insert(number, record.position);
                self.open_keys.insert(number, event.key);
            }
            Body::Outcome(outcome) => self.outcome(number, outcome),
            Body::Settled { lane, module } | Body::GivenUp { lane, module } => {
                if let Some(backlog) = self.backlogs.get_mut(&module) {
                    backlog.remove(number, lane);
                }
            }
            Body::Checkpoint { file, billed, .. } => {
                self.billed = self.billed.max(billed);
                // A number beyond all events that are left here.
                self.next_number = self.next_number.max(number);
                self.unfinished.lines.retain(|of, _| *of >= number);
                self.unfinished.place = file;
            }
        }
    }

    /// Calls that never end in the journal must not fill the memory: the oldest are as good as ended.
    fn update(&mut self, of: &EventRecord) {
        if of.json.starts_with(b"{\"event\":\"stop\"") {
            self.updates.remove(&of.lane);
        } else if of.json.starts_with(b"{\"event\":\"update\"")
            && let Ok(event) = json::from_journal(&of.json)
        {
            if self.updates.len() >= KEYS {
                self.updates.clear();
            }
            self.updates.insert(of.lane, event.time.seconds);
        }
    }

    fn outcome(&mut self, number: u64, outcome: Outcome) {
        self.unfinished.events.remove(&number);
        if let Some(key) = self.open_keys.remove(&number) {
            if self.keys.len() >= KEYS {
                self.older_keys = std::mem::take(&mut self.keys);
            }
            self.keys.push((outcome.lane, key, outcome.verdict));
        }
        for (bit, _) in NAMES.iter().filter(|(bit, _)| outcome.waits & bit != 0) {
            let waiting = Waiting {
                number,
                position: outcome.event,
            };
            self.backlogs.entry(*bit).or_default().add(waiting, outcome.lane);
        }
        if outcome.logged & SPOOLED != 0 {
            self.spooled_up_to = self.spooled_up_to.max(outcome.event + 1);
        }
        if outcome.logged & FILE != 0 {
            self.unfinished.lines.insert(number, outcome.event);
        }
    }
}
