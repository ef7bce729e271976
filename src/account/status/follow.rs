//! Makes events of what a connection passes on, keeps what must outlive it, and says what is missing.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    client::{Sink, Taken, Timing},
    event_of,
    queue::Queue,
    session::Note,
    watch::Watch,
};
use crate::{
    account::{
        cdr,
        event::{Event, EventKind, Moment, Subject},
        read_time::read_time,
        zone::Zone,
    },
    protocol::gatekeeper_status::{Damaged, Record, same_origin},
};

/// How often time limits are looked at.
const TICK: Duration = Duration::from_millis(100);
/// What has changed is written at most so often.
const SAVING: Duration = Duration::from_secs(1);
/// How many calls are remembered that were logged from their CDR line alone, and how many lines wait.
const REMEMBERED: usize = 10_000;

/// What outlives a connection, and billdrop's own restart if there is a file for it. It is not synced: after a crash it may be
/// a second old, and then the backlog says again what it does not know.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    watch: Watch,
    /// CDR lines whose stop event has not come.
    waiting: Vec<Line>,
    /// Call ids that were logged from their CDR line.
    by_line: BTreeSet<[u8; 16]>,
    /// Whether the gatekeeper has the feed.
    feed: bool,
    /// When the connection was last there, in seconds since 1970.
    contact: i64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    call_id: [u8; 16],
    octets: Vec<u8>,
    #[serde(skip, default = "Instant::now")]
    since: Instant,
}

pub(super) struct Follow {
    /// The input as configured, for messages and keys.
    pub(super) input: String,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) timing: Timing,
    pub(super) cdr_lines: bool,
    pub(super) file: Option<PathBuf>,
    pub(super) stop: Arc<AtomicBool>,
    memory: Memory,
    changed: bool,
    saved: Instant,
    /// The whole backlog of this connection has come.
    caught_up: bool,
    /// Since when there was no connection.
    lost: Option<i64>,
    total_calls: u64,
    total_calls_before: Option<u64>,
    origin: Origin,
    /// What was told of this connection and is not said again.
    said: HashSet<&'static str>,
}

/// Where UUIDs are made. A party can have text that looks like a record put into a line of another kind, but not with the
/// gatekeeper's own node in its UUID. Known once two records agree.
#[derive(Default)]
struct Origin {
    last: Option<String>,
    known: bool,
}

impl Follow {
    pub(super) fn new(
        input: String,
        sink: Arc<dyn Sink>,
        timing: Timing,
        cdr_lines: bool,
        file: Option<PathBuf>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let memory = file.as_ref().and_then(|file| match fs::read(file) {
            Ok(octets) => serde_json::from_slice(&octets)
                .map_err(|e| {
                    sink.notice(&format!(
                        "{input}: {} is not readable and begins anew: {e}",
                        file.display()
                    ))
                })
                .ok(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                sink.notice(&format!("{input}: {} cannot be read: {e}", file.display()));
                None
            }
        });
        let memory: Memory = memory.unwrap_or_default();
        Follow {
            input,
            sink,
            timing,
            cdr_lines,
            file,
            stop,
            lost: Some(memory.contact).filter(|contact| *contact > 0),
            memory,
            changed: false,
            saved: Instant::now(),
            caught_up: false,
            total_calls: 0,
            total_calls_before: None,
            origin: Origin::default(),
            said: HashSet::new(),
        }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue<Note>) {
        let mut ticked = Instant::now();
        while !queue.is_over() {
            if let Some(note) = queue.take(TICK) {
                self.take(note);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
        self.changed = true;
        self.save();
    }

    fn take(&mut self, note: Note) {
        self.changed = true;
        match note {
            Note::Greeted { startup } => self.greeted(&startup),
            Note::Record(record) => self.take_record(&record),
            Note::Cdr(line) => self.take_line(line),
            Note::Damaged(damaged) => self.damaged(&damaged),
            Note::TotalCalls(total) => self.total_calls = total,
            Note::CaughtUp => self.take_stock(),
            Note::Lost => {
                let last = if self.memory.contact > 0 {
                    self.memory.contact
                } else {
                    today()
                };
                self.lost.get_or_insert(last);
                self.caught_up = false;
                self.total_calls_before = Some(self.total_calls);
            }
        }
    }

    fn greeted(&mut self, startup: &str) {
        self.origin = Origin::default();
        self.said.clear();
        let Some(told) = self.memory.watch.greeted(startup) else {
            return;
        };
        self.gap(&told);
        self.total_calls_before = None;
        // Calls from before are over for it, and so they are for whoever counts sessions.
        let Some(time) = read_time(startup, Zone::local()) else {
            return;
        };
        let event = Event {
            kind: EventKind::On,
            uuid: None,
            time,
            gatekeeper: None,
            gatekeeper_ip: None,
            subject: Subject::Gatekeeper,
        };
        let key = format!("{} on {startup}", self.input);
        self.deliver(&key, &event);
    }

    fn take_record(&mut self, record: &Record) {
        self.memory.feed = true;
        if self.origin.known
            && self
                .origin
                .last
                .as_ref()
                .is_some_and(|last| !same_origin(last, &record.uuid))
        {
            return self.gap(&format!(
                "record {} was not made where the others were: text of a party that passes itself off as an event? \
                 It was not taken",
                record.uuid
            ));
        }
        if let Some(last) = self.origin.last.replace(record.uuid.clone()) {
            self.origin.known |= last != record.uuid && same_origin(&last, &record.uuid);
        }
        let event = match event_of(record) {
            Ok(event) => event,
            Err(reason) => {
                return self.gap(&format!(
                    "record {} ({}) is damaged and was not taken: {reason}",
                    record.uuid,
                    record.kind.name()
                ));
            }
        };
        let Subject::Call(call) = &event.subject else {
            return self.deliver(&record.uuid, &event);
        };
        if event.kind == EventKind::Stop
            && let Some(call_id) = &call.call_id
        {
            self.memory.waiting.retain(|line| line.call_id != *call_id);
            if self.memory.by_line.remove(call_id) {
                return self.gap(&format!(
                    "the stop event {} of session id {} came after its call had been logged from its CDR line: it was not \
                     taken, or the call would count twice",
                    record.uuid, call.session_id
                ));
            }
        }
        let (session, number) = (call.session_id.0.clone(), call.number);
        self.deliver(&record.uuid, &event);
        let told = self
            .memory
            .watch
            .saw(event.kind, &session, number, Instant::now(), today());
        told.iter().for_each(|text| self.gap(text));
    }

    /// The stop event of the feed says more than the CDR line before it, so the line waits whether it comes.
    fn take_line(&mut self, octets: Vec<u8>) {
        if !self.cdr_lines {
            return;
        }
        match cdr::read_line(&octets, Zone::local()) {
            Ok(line) => {
                if self.memory.waiting.len() >= REMEMBERED {
                    let first = self.memory.waiting.remove(0);
                    self.log_line(&first);
                }
                let Some(call_id) = line.call.call_id else { return };
                self.memory.waiting.retain(|line| line.call_id != call_id);
                self.memory.waiting.push(Line {
                    call_id,
                    octets,
                    since: Instant::now(),
                });
            }
            Err(reason) => self.gap(&format!("a CDR line is damaged and was not taken: {reason}")),
        }
    }

    fn log_line(&mut self, line: &Line) {
        let Ok(read) = cdr::read_line(&line.octets, Zone::local()) else {
            return;
        };
        let (number, gatekeeper) = (read.call.number, read.gatekeeper.clone());
        let event = read.into_event(now());
        if self.memory.feed {
            self.gap(&format!(
                "the feed told no stop of call {number}: it is logged from its CDR line, without session id and cause"
            ));
            while self.memory.by_line.len() >= REMEMBERED {
                self.memory.by_line.pop_first();
            }
            self.memory.by_line.insert(line.call_id);
        }
        let call_id: String = line.call_id.iter().map(|octet| format!("{octet:02x}")).collect();
        let key = format!("{gatekeeper} cdr {call_id} {number} {}", event.time.seconds);
        self.deliver(&key, &event);
    }

    fn damaged(&mut self, damaged: &Damaged) {
        match &damaged.uuid {
            Some(uuid) => self.gap(&format!(
                "record {uuid} is damaged and was not taken: {}",
                damaged.reason
            )),
            None if self.said.insert(damaged.reason) => {
                self.gap(&format!(
                    "{}; it was not taken, nor will be others like it",
                    damaged.reason
                ));
            }
            None => {}
        }
    }

    /// The connection is as far as the gatekeeper: what was missed while there was none shows now.
    fn take_stock(&mut self) {
        self.caught_up = true;
        self.memory.contact = today();
        let before = self.total_calls_before.take();
        let Some(lost) = self.lost.take() else { return };
        if self.memory.feed {
            let told = self.memory.watch.overdue(Duration::ZERO, Instant::now());
            told.iter().for_each(|text| self.gap(text));
            return;
        }
        let meanwhile = match before {
            Some(before) if self.total_calls >= before => {
                format!("{} calls began meanwhile", self.total_calls - before)
            }
            _ => "nobody knows how many calls there were".to_owned(),
        };
        self.gap(&format!(
            "away for {} s, and the gatekeeper has no feed, so CDR lines of calls that ended in that time are lost; {meanwhile}",
            today().saturating_sub(lost).max(0)
        ));
    }

    fn tick(&mut self) {
        if self.caught_up {
            self.memory.contact = today();
            let told = self.memory.watch.overdue(self.timing.hole, Instant::now());
            told.iter().for_each(|text| self.gap(text));
        }
        // Without a connection the stop event may still be in the backlog.
        let patience = if self.caught_up {
            self.timing.cdr
        } else {
            self.timing.cdr * 60
        };
        while let Some(at) = self
            .memory
            .waiting
            .iter()
            .position(|line| line.since.elapsed() >= patience)
        {
            let line = self.memory.waiting.remove(at);
            self.log_line(&line);
            self.changed = true;
        }
        if self.saved.elapsed() >= SAVING {
            self.save();
        }
    }

    /// Does not come back before the event is in safe hands, or billdrop stops: then the backlog still has it, or its CDR line
    /// was noted.
    fn deliver(&mut self, key: &str, event: &Event) {
        let mut wait = Duration::from_millis(100);
        loop {
            match self.sink.event(key, event) {
                Ok(Taken::New | Taken::Known) => return,
                Err(reason) if self.stop.load(Ordering::Relaxed) => {
                    return self.gap(&format!("event {key} could not be taken before the stop: {reason}"));
                }
                Err(reason) => {
                    if self.said.insert("cannot be taken") {
                        self.sink
                            .notice(&format!("{}: events cannot be taken and wait: {reason}", self.input));
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    fn gap(&self, text: &str) {
        self.sink.gap(&format!("{}: {text}", self.input));
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        let Some(file) = self.file.as_ref().filter(|_| std::mem::take(&mut self.changed)) else {
            return;
        };
        let mut temporary = file.clone().into_os_string();
        temporary.push(".new");
        let written = serde_json::to_vec(&self.memory)
            .map_err(io::Error::from)
            .and_then(|octets| fs::write(&temporary, octets))
            .and_then(|()| fs::rename(&temporary, file));
        if let Err(e) = written
            && self.said.insert("cannot be written")
        {
            self.sink.notice(&format!(
                "{}: {} cannot be written, so what is missed across a restart of billdrop is not seen: {e}",
                self.input,
                file.display()
            ));
        }
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        micros: since.subsec_micros(),
        zone: None,
    }
}

fn today() -> i64 {
    now().seconds
}
