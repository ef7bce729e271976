//! What a start makes of the journal: the table in the head of [`crate::account::journal`], row by row.

use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};

use super::{
    Answer, Core, Origin, Setup,
    keep::Keeper,
    lane::Lanes,
    scan::{Scan, Unfinished},
    slot::{self, FILE, NAMES, Slot},
};
use crate::account::{
    event::{Event, Events},
    journal::{Body, EventRecord, Failed, Journal, Outcome, Place, Reader, Record},
    json,
    module::{Attempt, Module, Outcome as ModuleOutcome},
};

/// Events that a start tries at once.
const AT_ONCE: usize = 64;

/// The CDR file, as a start after a crash sees it.
pub trait CdrFile: Send + Sync {
    /// Brings every line to the disk that was written before the call; says where the file ended then, in a form that only it
    /// knows.
    fn checkpoint(&self) -> io::Result<Vec<u8>>;

    /// Which of these events, each with its key, have no line behind the place; empty: anywhere.
    fn missing(&self, place: &[u8], events: &mut dyn Iterator<Item = (Event, String)>) -> io::Result<Missing>;

    fn path(&self) -> PathBuf;
}

/// Lines that are not in the CDR file.
#[derive(Debug, Default)]
pub struct Missing {
    /// Which of the events, counted from 0.
    pub events: HashSet<usize>,
    /// Otherwise they may be in a file that was moved away: what was answered before the crash is not written again.
    pub is_certain: bool,
}

/// Reads the journal, and opens it to write.
pub fn open(setup: Setup) -> Result<(Core, Unfinished), Failed> {
    let mut scan = Scan {
        reads_updates: !setup.update_interval.is_zero(),
        ..Scan::default()
    };
    scan.read(&setup.directory)?;
    let journal = Journal::open(
        &setup.directory,
        setup.durability,
        setup.segment_octets,
        scan.next_number,
    )?;
    let mut slots: Vec<Slot> = setup
        .modules
        .into_iter()
        .filter_map(|(kind, module, spools)| Some(Slot::new(slot::bit(kind)?, module, spools)))
        .collect();
    for (bit, backlog) in scan.backlogs.into_iter().filter(|(_, backlog)| backlog.count() > 0) {
        let known = slots.iter().position(|slot| slot.bit == bit && slot.spools);
        let slot = match (known, NAMES.iter().find(|(b, _)| *b == bit)) {
            (Some(known), _) => &slots[known],
            (None, Some((_, name))) => {
                tracing::error!(
                    "{} events wait for {name}, which is not caught up any more; put it back into the chain, with [accounting] \
                     spool, or give them up: billdrop account --give-up {name}:all",
                    backlog.count()
                );
                slots.push(Slot::new(bit, Arc::new(Gone(name)), false));
                &slots[slots.len() - 1]
            }
            (None, None) => continue,
        };
        *slot.backlog() = backlog;
    }
    let lanes = Lanes::new();
    for (call, key, verdict) in scan.older_keys.into_iter().chain(scan.keys) {
        let hash = lanes.hash(&key);
        lanes.enter(call).remember(hash, verdict);
    }
    for (call, at) in scan.updates {
        lanes.enter(call).updated(call, at);
    }
    let core = Core {
        journal,
        lanes,
        slots,
        links: setup.links,
        gatekeeper: setup.gatekeeper,
        update_interval: setup.update_interval,
        called_is_dialed_ip: setup.called_is_dialed_ip,
        durability: setup.durability,
        sync_interval: setup.sync_interval,
        in_flight: setup.in_flight,
        file: setup.file,
        alarm_octets: setup.alarm_octets,
        min_free: setup.min_free,
        billed: setup.billed,
        alarm: setup.alarm,
        observe: setup.observe,
        spooled_up_to: AtomicU64::new(scan.spooled_up_to),
        accepted: AtomicU64::new(0),
        repeated: AtomicU64::new(0),
        is_ending: AtomicBool::new(false),
        has_ended: AtomicBool::new(false),
        keeper: Mutex::new(Keeper::new(scan.damaged, scan.billed)),
    };
    Ok((core, scan.unfinished))
}

/// Sees to what was left open, before anything new is taken.
pub fn finish(core: &Arc<Core>, unfinished: Unfinished) -> Result<(), Failed> {
    let missing = match &core.file {
        Some(file) => missing_lines(core, file.as_ref(), &unfinished)?,
        None => HashSet::new(),
    };
    for (number, position) in unfinished.lines.iter().filter(|(number, _)| missing.contains(number)) {
        write_line(core, *number, *position)?;
    }
    if unfinished.events.is_empty() {
        return core.begin_checkpoints();
    }
    tracing::info!(
        "{} events have no outcome yet, and are logged again",
        unfinished.events.len()
    );
    let mut shares: Vec<Vec<Record>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    let mut reader = reader(core)?;
    for (number, position) in &unfinished.events {
        if let Some((record, event)) = event_at(core, &mut reader, *number, *position)? {
            shares[(event.lane % AT_ONCE as u64) as usize].push(record);
        }
    }
    let failed = thread::scope(|scope| {
        let threads: Vec<_> = shares
            .iter()
            .filter(|share| !share.is_empty())
            .map(|share| {
                scope.spawn(|| {
                    share.iter().try_for_each(|record| match &record.body {
                        Body::Event(event) => log_anew(core, record, event, !missing.contains(&record.number)),
                        _ => Ok(()),
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok()?.err())
            .next()
    });
    failed.map_or(Ok(()), Err)?;
    core.begin_checkpoints()
}

/// The chain once more for an event that nobody was answered, or whose outcome was lost.
fn log_anew(core: &Core, record: &Record, of: &EventRecord, line_is_there: bool) -> Result<(), Failed> {
    let mut lane = core.lanes.enter(of.lane);
    let place = Place {
        number: record.number,
        position: record.position,
        end: record.next,
    };
    let verdict = match json::from_journal(&of.json) {
        Ok(event) => {
            let line_is_there = core.file.is_some().then_some(line_is_there);
            let attempt = Attempt {
                key: &of.key,
                again: true,
            };
            core.log(&event, &attempt, place, of.lane, Origin::Caller, line_is_there)? == Answer::Ok
        }
        Err(reason) => {
            tracing::error!("the journal's event {} cannot be read: {reason}", record.number);
            let outcome = Outcome {
                event: record.position,
                lane: of.lane,
                ..Outcome::default()
            };
            core.journal.note(record.number, &Body::Outcome(outcome))?;
            false
        }
    };
    let hash = core.lanes.hash(&of.key);
    lane.remember(hash, verdict);
    Ok(())
}

/// The line of an event that was answered, and that the disk has lost.
fn write_line(core: &Core, number: u64, position: u64) -> Result<(), Failed> {
    let Some(slot) = core.slots.iter().find(|slot| slot.bit == FILE) else {
        return Ok(());
    };
    let mut reader = reader(core)?;
    let Some((_, of)) = event_at(core, &mut reader, number, position)? else {
        return Ok(());
    };
    let Ok(event) = json::from_journal(&of.json) else {
        return Ok(());
    };
    let attempt = Attempt {
        key: &of.key,
        again: true,
    };
    slot.log(&event, &attempt).map_err(|reason| {
        let path = core.file.as_ref().map(|file| file.path()).unwrap_or_default();
        core.journal.give_up(
            "write a line again that was answered to",
            &path,
            &io::Error::other(reason),
        )
    })
}

fn missing_lines(core: &Core, file: &dyn CdrFile, unfinished: &Unfinished) -> Result<HashSet<u64>, Failed> {
    let mut reader = reader(core)?;
    let mut all = unfinished.lines.clone();
    all.extend(unfinished.events.iter());
    let mut numbers = Vec::new();
    let mut events = all.into_iter().filter_map(|(number, position)| {
        let (_, of) = event_at(core, &mut reader, number, position).ok()??;
        let event = json::from_journal(&of.json).ok()?;
        numbers.push(number);
        Some((event, of.key))
    });
    let missing = file
        .missing(&unfinished.place, &mut events)
        .map_err(|e| core.journal.give_up("compare the journal with", &file.path(), &e))?;
    let is_known = |number: &u64| unfinished.lines.contains_key(number);
    let lost = missing.events.iter().filter_map(|index| numbers.get(*index)).copied();
    if missing.is_certain {
        return Ok(lost.collect());
    }
    let lost: HashSet<u64> = lost.collect();
    let doubtful = lost.iter().filter(|number| is_known(number)).count();
    if doubtful > 0 {
        tracing::error!(
            "{doubtful} lines are not to be found, and {} was moved away or replaced while accounting was down: they may be \
             there; compare them with the journal's events",
            file.path().display()
        );
    }
    Ok(lost.into_iter().filter(|number| !is_known(number)).collect())
}

fn reader(core: &Core) -> Result<Reader, Failed> {
    let directory = core.journal.directory();
    Reader::open(directory, 0).map_err(|e| core.journal.give_up("read", directory, &e))
}

fn event_at(
    core: &Core,
    reader: &mut Reader,
    number: u64,
    position: u64,
) -> Result<Option<(Record, EventRecord)>, Failed> {
    let found = reader
        .record_at(position)
        .map_err(|e| core.journal.give_up("read", core.journal.directory(), &e))?;
    Ok(found.filter(|record| record.number == number).and_then(|record| {
        let Body::Event(event) = &record.body else { return None };
        let event = event.clone();
        Some((record, event))
    }))
}

/// A module that events wait for and that the chain has no more: they stay in the journal, and are told of.
struct Gone(&'static str);

impl Module for Gone {
    fn name(&self) -> &'static str {
        self.0
    }

    fn supported(&self) -> Events {
        Events::NONE
    }

    fn log(&self, _: &Event, _: &Attempt<'_>) -> ModuleOutcome {
        ModuleOutcome::Fail("it is not in the chain".to_owned())
    }
}
