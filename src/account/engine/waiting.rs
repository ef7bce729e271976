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
