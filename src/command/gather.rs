//! Asks the sources, many at once, and gathers their records.
//!
//! A source that takes long, hangs, lies or breaks costs the others nothing: each is asked in a thread of its own, each has
//! a place of its own for its records, and one that has not ended soon after its time limit is left behind, because a
//! thread that hangs in the system cannot be ended. What comes out is in the order of the configuration, whoever answers
//! first. Only a source that needs no time limit, and is the only one, is asked without any of this.

use std::{
    borrow::BorrowMut,
    collections::HashMap,
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::progress::Tally;
use crate::{
    capture::{Asked, Captured, RecordSink, Source, SourceError},
    document::Body,
    ledger::{Gap, GapKind},
    log::{Format, Lines},
    record::{Record, SourceState, SourceStatus},
    spill::{PIECE, Spill},
};

/// How long after its time limit a source may say that it has failed by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Octets of records that one device may give. Nobody has as many; a device that goes on for ever must not fill our disk.
const ROOM: u64 = 1 << 30;

/// Answers that may wait for a source before them which has not answered: each takes memory, and two files.
const MOST_EARLY: u64 = 4096;

/// What a source gave for the last document, if it did; or why that cannot be told.
pub type Known = Result<Option<Vec<u8>>, String>;

/// How the sources are asked.
pub struct Asking<'a> {
    /// The time of this capture, the same for all sources.
    pub now: DateTime<Utc>,
    pub recorder: &'a str,
    /// Sources that are asked at once; at least one.
    pub concurrency: usize,
    /// Where records lie that do not fit into memory.
    pub directory: &'a Path,
    /// Lines for the log of data: how they are written, and the name of the document that they tell of.
    pub lines: Option<(Format, &'a str)>,
    /// What a source gave for the last document, or why that is not known: then the source is not asked, because what
    /// was delivered could be delivered again.
    pub baseline: &'a dyn Fn(&str) -> Known,
    pub tally: &'a Tally,
    /// Whether the outcome of each source is told as it comes; else whoever asks shows it.
    pub is_told: bool,
}

/// What the sources gave besides their records, which are in the [`Body`].
#[derive(Debug, Default)]
pub struct Gathered {
    pub statuses: Vec<SourceStatus>,
    /// Source name, and what it wants to see at its next capture.
    pub baselines: Vec<(String, Vec<u8>)>,
    /// Lines for the log of data, if they were asked for.
    pub lines: Option<Spill>,
}

/// Asks every source. An error is one of our own disk; that of a source is in its status.
pub fn gather(sources: &[Arc<dyn Source>], asking: &Asking<'_>, body: &mut Body) -> io::Result<Gathered> {
    let mut gathered = Gathered::default();
    if asking.lines.is_some() {
        gathered.lines = Some(Spill::new(asking.directory, PIECE));
    }
    match sources {
        [source] if source.time_limit().is_none() => {
            let answer = ask_here(source.as_ref(), asking, body)?;
            gathered.take(answer, body)?;
        }
        sources => Round::new(sources, asking).run(&mut gathered, body)?,
    }
    Ok(gathered)
}

/// What one source came to.
struct Answer {
    status: SourceStatus,
    baseline: Option<Vec<u8>>,
    lines: Option<Lines>,
    /// Its records, where they are not in the document's body yet.
    body: Option<Body>,
}

/// Asks the only source, straight into the document's body.
fn ask_here(source: &dyn Source, asking: &Asking<'_>, body: &mut Body) -> io::Result<Answer> {
    let mark = body.mark();
    let before = body.count();
    let kept = match (asking.baseline)(source.name()) {
        Ok(kept) => kept,
        Err(reason) => {
            let answer = Answer::failed(source.name(), reason);
            asking.tell(&answer.status);
            asking.tally.ended(0, &answer.status);
            return Ok(answer);
        }
    };
    let asked = Asked {
        now: asking.now,
        recorder: asking.recorder,
        baseline: kept.as_deref(),
    };
    let mut sink = Sink {
        body: &mut *body,
        lines: asking.new_lines(),
        pushed: asking.tally.started(0),
        room: u64::MAX,
        is_given_up: Arc::default(),
    };
    let outcome = ask(source, &asked, &mut sink);
    let lines = sink.lines;
    let answer = outcome_of(source.name(), outcome)?;
    if answer.status.state == SourceState::Failed {
        body.take_back(mark)?;
    }
    let answer = answer.with(body.count() - before, lines, None);
    asking.tell(&answer.status);
    asking.tally.ended(0, &answer.status);
    Ok(answer)
}

/// A panic of a source is its failure, not ours.
fn ask(source: &dyn Source, asked: &Asked<'_>, sink: &mut dyn RecordSink) -> Result<Captured, SourceError> {
    catch_unwind(AssertUnwindSafe(|| source.capture(asked, sink))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(SourceError::BadData(format!(
            "internal error: {what}; please report it"
        )))
    })
}

/// The outcome as it stands in the document. An error is one of our own disk.
fn outcome_of(name: &str, outcome: Result<Captured, SourceError>) -> io::Result<Answer> {
    let mut baseline = None;
    let (state, reason) = match outcome {
        Ok(captured) => {
            baseline = captured.baseline;
            match (captured.incomplete, captured.remark) {
                (Some(reason), Some(remark)) => (SourceState::Incomplete, Some(format!("{reason}; {remark}"))),
                (Some(reason), None) => (SourceState::Incomplete, Some(reason)),
                (None, remark) => (SourceState::Complete, remark),
            }
        }
        // A record that no document can hold is the source's own.
        Err(SourceError::Sink(e)) if e.kind() != ErrorKind::InvalidData => return Err(e),
        Err(failure) => (SourceState::Failed, Some(failure.to_string())),
    };
    let status = SourceStatus {
        name: name.to_owned(),
        state,
        records: 0,
        reason,
    };
    Ok(Answer {
        status,
        baseline,
        lines: None,
        body: None,
    })
}

impl Answer {
    /// With its records; a source that failed has none.
    fn with(mut self, records: u64, lines: Option<Lines>, body: Option<Body>) -> Self {
        if self.status.state != SourceState::Failed {
            self.status.records = records;
            self.lines = lines;
            self.body = body;
        }
        self
    }

    fn failed(name: &str, reason: String) -> Self {
        Answer {
            status: SourceStatus {
                name: name.to_owned(),
                state: SourceState::Failed,
                records: 0,
                reason: Some(reason),
            },
            baseline: None,
            lines: None,
            body: None,
        }
    }
}

/// Takes the records of one source.
struct Sink<B> {
    body: B,
    lines: Option<Lines>,
    /// Records taken, for whoever watches.
    pushed: Arc<AtomicU64>,
    /// Octets of records that it may have.
    room: u64,
    is_given_up: Arc<AtomicBool>,
}

impl<B: BorrowMut<Body>> RecordSink for Sink<B> {
    fn push(&mut self, record: &Record) -> io::Result<()> {
        if self.is_given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("the source was given up"));
        }
        let body = self.body.borrow_mut();
        if body.octets() >= self.room {
            let text = format!("the source gives more than {} MiB of records", self.room >> 20);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        body.push(record)?;
        self.pushed.fetch_add(1, Ordering::Relaxed);
        if let Some(lines) = &mut self.lines {
            lines.push(record);
        }
        Ok(())
    }
}

impl Asking<'_> {
    fn new_lines(&self) -> Option<Lines> {
        let (format, document) = self.lines?;
        Some(Lines::new(format, self.now, document, self.directory))
    }

    fn tell(&self, status: &SourceStatus) {
        if !self.is_told {
            return;
        }
        let reason = status.reason.as_deref().unwrap_or("");
        match status.state {
            SourceState::Failed => tracing::error!("source {} failed: {reason}", status.name),
            SourceState::Incomplete => tracing::error!("source {} is incomplete: {reason}", status.name),
            SourceState::Complete if status.records == 0 && !reason.is_empty() => {
                tracing::warn!("source {} has no records: {reason}", status.name);
            }
            SourceState::Complete if reason.is_empty() => {
                tracing::info!("source {}: {} records", status.name, status.records);
            }
            SourceState::Complete => tracing::info!("source {}: {} records; {reason}", status.name, status.records),
        }
    }
}

/// Many sources at once.
struct Round<'a> {
    sources: &'a [Arc<dyn Source>],
    asking: &'a Asking<'a>,
    running: HashMap<usize, Running>,
    /// Answers of sources that stand behind one that has not answered yet.
    early: HashMap<usize, Answer>,
    most_early: usize,
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
}

/// A source that has been started.
struct Running {
    /// [`None`]: it may take as long as it likes.
    given_up_at: Option<Instant>,
    is_given_up: Arc<AtomicBool>,
}

/// What a thread says at its end.
struct Message {
    index: usize,
    outcome: Result<Captured, SourceError>,
    body: Body,
    lines: Option<Lines>,
}

impl<'a> Round<'a> {
    fn new(sources: &'a [Arc<dyn Source>], asking: &'a Asking<'a>) -> Self {
        let (sender, receiver) = mpsc::channel();
        Round {
            sources,
            asking,
            running: HashMap::new(),
            early: HashMap::new(),
            most_early: most_early(allow_many_files(), asking.concurrency),
            sender,
            receiver,
        }
    }

    fn run(mut self, gathered: &mut Gathered, body: &mut Body) -> io::Result<()> {
        let result = self.collect(gathered, body);
        for running in self.running.values() {
            running.is_given_up.store(true, Ordering::Relaxed);
        }
        result
    }

    fn collect(&mut self, gathered: &mut Gathered, body: &mut Body) -> io::Result<()> {
        let mut next = 0;
        while gathered.statuses.len() < self.sources.len() {
            while next < self.sources.len() && self.has_room() {
                self.start(next);
                next += 1;
            }
            match self.wait() {
                Some(message) => self.end(message)?,
                None => self.give_up_the_late(),
            }
            while let Some(answer) = self.early.remove(&gathered.statuses.len()) {
                gathered.take(answer, body)?;
            }
        }
        Ok(())
    }

    /// Whether one more source can be asked now. While none is running no answer waits for another.
    fn has_room(&self) -> bool {
        let running = self.running.len();
        running == 0 || (running < self.asking.concurrency && running + self.early.len() <= self.most_early)
    }

    fn start(&mut self, index: usize) {
        let source = Arc::clone(&self.sources[index]);
        let asking = self.asking;
        let kept = match (asking.baseline)(source.name()) {
            Ok(kept) => kept,
            Err(reason) => return self.note(index, Answer::failed(source.name(), reason)),
        };
        let is_given_up = Arc::new(AtomicBool::new(false));
        let (now, recorder) = (asking.now, asking.recorder.to_owned());
        let mut sink = Sink {
            body: Body::of_one_of_many(asking.directory),
            lines: asking.new_lines(),
            pushed: asking.tally.started(index),
            room: source.time_limit().map_or(u64::MAX, |_| ROOM),
            is_given_up: Arc::clone(&is_given_up),
        };
        let sender = self.sender.clone();
        let time_limit = source.time_limit();
        let thread = thread::Builder::new().name(format!("source {}", source.name()));
        let spawned = thread.spawn(move || {
            let asked = Asked {
                now,
                recorder: &recorder,
                baseline: kept.as_deref(),
            };
            let outcome = ask(source.as_ref(), &asked, &mut sink);
            // Nobody listens when the capture has ended without this source.
            let _ = sender.send(Message {
                index,
                outcome,
                body: sink.body,
                lines: sink.lines,
            });
        });
        match spawned {
            Ok(_) => {
                let given_up_at = time_limit.and_then(|limit| Instant::now().checked_add(limit)?.checked_add(GRACE));
                self.running.insert(
                    index,
                    Running {
                        given_up_at,
                        is_given_up,
                    },
                );
            }
            Err(e) => {
                let reason = format!("no thread can be started for it: {e}");
                self.note(index, Answer::failed(self.sources[index].name(), reason));
            }
        }
    }

    /// The next source that ends; [`None`] when one is late, or none is running.
    fn wait(&self) -> Option<Message> {
        let first = self.running.values().filter_map(|running| running.given_up_at).min();
        let received = match first {
            _ if self.running.is_empty() => return None,
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => self.receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        received.ok()
    }

    fn end(&mut self, message: Message) -> io::Result<()> {
        // One that was given up has its answer already.
        if self.running.remove(&message.index).is_some() {
            let answer = outcome_of(self.sources[message.index].name(), message.outcome)?;
            let records = message.body.count();
            self.note(message.index, answer.with(records, message.lines, Some(message.body)));
        }
        Ok(())
    }

    fn give_up_the_late(&mut self) {
        let now = Instant::now();
        let is_late = |running: &Running| running.given_up_at.is_some_and(|at| at <= now);
        let late: Vec<usize> = self
            .running
            .iter()
            .filter(|(_, r)| is_late(r))
            .map(|(index, _)| *index)
            .collect();
        for index in late {
            if let Some(running) = self.running.remove(&index) {
                running.is_given_up.store(true, Ordering::Relaxed);
            }
            let source = &self.sources[index];
            let limit = humantime::format_duration(source.time_limit().unwrap_or_default());
            let reason = format!("has not ended within its time limit ({limit})");
            self.note(index, Answer::failed(source.name(), reason));
        }
    }

    fn note(&mut self, index: usize, answer: Answer) {
        self.asking.tell(&answer.status);
        self.asking.tally.ended(index, &answer.status);
        self.early.insert(index, answer);
    }
}

/// Each source may need a connection and two files; a soft limit of 1024 is usual, and not meant for us. Returns what is
/// allowed then.
fn allow_many_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Answers that may wait where so many files are allowed.
fn most_early(files: u64, concurrency: usize) -> usize {
    const OWN: u64 = 64;
    // Of a source that is being asked: connection, runtime, certificates, records.
    const EACH: u64 = 10;
    let left = files
        .saturating_sub(OWN)
        .saturating_sub(EACH.saturating_mul(concurrency as u64));
    ((left / 2).min(MOST_EARLY) as usize).max(concurrency)
}

impl Gathered {
    /// In the order of the configuration.
    fn take(&mut self, answer: Answer, body: &mut Body) -> io::Result<()> {
        if let Some(records) = answer.body {
            body.append(records)?;
        }
        if let (Some(all), Some(lines)) = (&mut self.lines, answer.lines)
            && let Err(e) = lines.finish().and_then(|lines| all.append(lines))
        {
            tracing::warn!(
                "the log of data will not have the records of {}: {e}",
                answer.status.name
            );
        }
        self.baselines
            .extend(answer.baseline.map(|baseline| (answer.status.name.clone(), baseline)));
        self.statuses.push(answer.status);
        Ok(())
    }

    /// Sources that failed or are incomplete.
    pub fn failures(&self) -> impl Iterator<Item = &SourceStatus> {
        self.statuses.iter().filter(|s| s.state != SourceState::Complete)
    }

    pub fn gaps(&self, at: DateTime<Utc>) -> Vec<Gap> {
        self.failures()
            .map(|status| {
                let kind = match status.state {
                    SourceState::Failed => GapKind::SourceFailed,
                    _ => GapKind::SourceIncomplete,
                };
                let mut gap = Gap::new(kind, at, status.reason.clone().unwrap_or_default());
                gap.source = Some(status.name.clone());
                gap
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
