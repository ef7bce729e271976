//! One session: when its sources are asked, and what becomes of what they gave.
//!
//! | kind | a document is made | records are appended |
//! |---|---|---|
//! | time-interval | at each interval | never |
//! | event | with the first records of an interval | each time that the sources were polled |
//! | ad-hoc | when a collector is ready and nothing waits, or an operator asks | never |
//!
//! An interval that falls due while a collector still takes the last document is skipped and told (`overlap`). When there
//! is no collector at all, documents wait, up to the limits.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};

use super::super::{setting::Setting, turn::shown};
use super::{
    clock,
    memory::Memory,
    news::{News, Told},
    round::{Came, Round},
    settings::Planned,
};
use crate::{
    capture::Source,
    config::{Ipdr, IpdrKind, Overlap, WhenFull},
    deliver::ipdr::{
        Handle,
        store::{self, Remembered, Store},
    },
    ledger::{Event, Gap, GapKind},
};

/// How often it is looked whether something is due, or somebody has asked: the clock may be set meanwhile.
const NAP: Duration = Duration::from_millis(200);

/// A collector that comes and goes does not get an ad-hoc document each time.
const BETWEEN_ASKED: Duration = Duration::from_secs(10);

/// What all sessions have in common.
pub struct Common {
    pub setting: Arc<Setting>,
    pub ipdr: Ipdr,
    pub memory: Memory,
    pub mac: [u8; 6],
    pub stores: Vec<Store>,
    pub handle: Handle,
    pub told: Arc<Told>,
    pub is_ending: Arc<AtomicBool>,
}

/// A session that works.
pub struct Worker {
    pub common: Arc<Common>,
    pub index: usize,
    pub planned: Planned,
    pub sources: Vec<Arc<dyn Source>>,
    pub store: Store,
    /// Sources that failed when they were asked last, with the reason.
    pub failing: BTreeMap<String, String>,
    /// Why the last round failed, if it did.
    pub broken: Option<String>,
    /// Baselines that the ledger could not take.
    pub unnoted: Mutex<Vec<Remembered>>,
}

/// Where an operator's wish for a document lies.
pub fn request_path(state: &std::path::Path, session: &str) -> PathBuf {
    store::directory(state).join(session).join("request")
}

impl Worker {
    /// Works until the process ends.
    pub fn run(mut self) {
        match self.planned.session.kind {
            IpdrKind::TimeInterval => self.intervals(),
            IpdrKind::Event => self.events(),
            IpdrKind::AdHoc => self.asked(),
        }
    }

    pub fn name(&self) -> &str {
        &self.planned.session.name
    }

    fn interval(&self) -> u64 {
        self.planned.session.interval.0.as_secs()
    }

    fn is_ending(&self) -> bool {
        self.common.is_ending.load(Ordering::Acquire)
    }

    fn intervals(&mut self) {
        let mut due = clock::next(self.interval(), Utc::now());
        while !self.is_ending() {
            self.common.told.due(self.index, Some(due));
            let now = Utc::now();
            // Set back, the clock makes the next one due sooner than it was.
            due = due.min(clock::next(self.interval(), now));
            if now < due {
                thread::sleep(NAP.min((due - now).to_std().unwrap_or(NAP)));
                continue;
            }
            let slept = clock::missed(self.interval(), due, now);
            if slept > 0 {
                self.skip(due, slept, "this host slept, or its clock was set");
                due = clock::current(self.interval(), now);
            }
            self.document(due, true);
            let now = Utc::now();
            let missed = clock::missed(self.interval(), due, now);
            if missed > 0 {
                self.skip(due, missed, "the sources were still being asked");
            }
            due = clock::next(self.interval(), now);
        }
    }

    fn events(&mut self) {
        while !self.is_ending() {
            let now = Utc::now().trunc_subsecs(3);
            let begin = clock::current(self.interval(), now);
            let open = self.store.newest().filter(|document| !document.is_complete);
            if let Some(open) = open.filter(|open| open.created < begin) {
                match self.store.complete(open.number) {
                    Ok(()) => self.common.handle.changed(self.index),
                    Err(e) => tracing::error!("session {}: {e}", self.name()),
                }
            }
            if self.has_room(now) {
                self.take(begin, now, false);
            }
            self.common
                .told
                .due(self.index, Some(clock::next(self.interval(), now)));
            self.nap(self.planned.session.poll.0);
        }
    }

    fn asked(&mut self) {
        let mut last: Option<std::time::Instant> = None;
        while !self.is_ending() {
            let is_early = last.is_some_and(|last| last.elapsed() < BETWEEN_ASKED);
            let is_wanted = !is_early && self.common.told.take_ready(self.index) && self.store.oldest().is_none();
            if self.is_requested() || is_wanted {
                last = Some(std::time::Instant::now());
                self.document(Utc::now().trunc_subsecs(0), false);
            }
            thread::sleep(NAP);
        }
    }

    fn nap(&self, limit: Duration) {
        let began = std::time::Instant::now();
        while !self.is_ending() && began.elapsed() < limit {
            thread::sleep(NAP.min(limit.saturating_sub(began.elapsed())));
        }
    }

    /// Whether an operator has asked; he has not any more.
    fn is_requested(&self) -> bool {
        let path = request_path(&self.common.setting.config.state_directory(), self.name());
        match fs::remove_file(&path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => {
                tracing::warn!("cannot remove {}: {e}", path.display());
                false
            }
        }
    }

    /// A document of all that the sources have now.
    fn document(&mut self, at: DateTime<Utc>, may_overlap: bool) {
        let waiting = self.store.waiting();
        if may_overlap
            && self.common.ipdr.overlap == Overlap::Skip
            && waiting.documents > 0
            && let Some(active) = self.common.told.active(self.name())
        {
            let reason = format!("collector {active} still takes the last document");
            return self.skip(at, 1, &reason);
        }
        if self.has_room(at) {
            self.take(at, at, true);
        }
    }

    /// Asks the sources and seals what they gave: a whole document, or a part of one.
    fn take(&mut self, begin: DateTime<Utc>, now: DateTime<Utc>, is_whole: bool) {
        let came = Round {
            worker: self,
            begin,
            now,
            is_whole,
        }
        .run();
        match came {
            Ok(came) => {
                self.broken = None;
                self.conclude(now, is_whole, came);
            }
            Err(e) => {
                let reason = format!("session {}: no document: {}", self.name(), e.message());
                tracing::error!("{reason}");
                // Who is polled each few seconds is told of once.
                if is_whole || self.broken.as_ref() != Some(&reason) {
                    self.tell_gap(now, GapKind::CaptureFailed, &reason);
                }
                self.broken = Some(reason);
            }
        }
    }

    fn conclude(&mut self, now: DateTime<Utc>, is_whole: bool, came: Came) {
        if came.is_sealed {
            self.common.handle.changed(self.index);
        }
        self.common.told.came(self.index, now, came.records);
        // Who is polled each few seconds is told of once.
        let news: Vec<&Gap> = came
            .gaps
            .iter()
            .filter(|gap| {
                is_whole
                    || gap
                        .source
                        .as_ref()
                        .is_none_or(|source| !self.failing.contains_key(source))
            })
            .collect();
        let events: Vec<Event> = news
            .iter()
            .map(|gap| Event::SourceFailed {
                source: gap.source.clone().unwrap_or_default(),
                reason: gap.reason.clone(),
                at: gap.at,
            })
            .collect();
        let mut gaps: Vec<Gap> = news.into_iter().cloned().collect();
        if is_whole && !came.is_sealed {
            let reason = format!("session {}: no source gave any usage", self.name());
            tracing::error!("{reason}: there is no document of {}", shown(now));
            gaps.push(Gap::new(GapKind::CaptureFailed, now, reason));
        }
        self.failing = came
            .gaps
            .iter()
            .filter_map(|gap| Some((gap.source.clone()?, gap.reason.clone())))
            .collect();
        if !gaps.is_empty() {
            self.common.told.tell(News::Note { gaps, events });
        }
    }

    /// Intervals without a document.
    fn skip(&self, due: DateTime<Utc>, many: u64, why: &str) {
        let intervals = super::super::counted(many, "interval");
        let reason = format!("session {}: {intervals} skipped at {}: {why}", self.name(), shown(due));
        tracing::warn!("{reason}");
        self.common.told.skipped(self.index, many);
        self.tell_gap(due, GapKind::IntervalSkipped, &reason);
    }

    fn tell_gap(&self, at: DateTime<Utc>, kind: GapKind, reason: &str) {
        let sequence = self.store.last().map_or(0, |(number, _)| number);
        self.common.told.tell(News::Note {
            gaps: vec![Gap::new(kind, at, reason)],
            events: vec![Event::Gap {
                sequence,
                reason: reason.to_owned(),
                at,
            }],
        });
    }

    /// Makes room, or says that there is none.
    fn has_room(&self, at: DateTime<Utc>) -> bool {
        loop {
            let Some(why) = self.full() else {
                self.common.told.room(self.index, true);
                return true;
            };
            let dropped = match self.common.ipdr.when_full {
                WhenFull::Skip => false,
                WhenFull::DropOldest => self.drop_oldest(at, &why),
            };
            if !dropped {
                // An event session is polled again soon, and its sources keep what they have.
                if self.planned.session.kind != IpdrKind::Event || self.common.told.room(self.index, false) {
                    self.skip(at, 1, &why);
                }
                return false;
            }
        }
    }

    /// Why no document can be stored, if so.
    fn full(&self) -> Option<String> {
        let own = self.store.waiting();
        let limit = self.common.ipdr.store_limit;
        let octets: u64 = self.common.stores.iter().map(|store| store.waiting().octets).sum();
        if octets >= limit.0 {
            return Some(format!(
                "what waits takes {} ([ipdr] store-limit)",
                bytesize::ByteSize(octets).display().iec()
            ));
        }
        if own.documents >= self.common.ipdr.most_documents.into() && self.planned.session.kind != IpdrKind::Event {
            return Some(format!("{} documents wait ([ipdr] most-documents)", own.documents));
        }
        let free = fs2::available_space(store::directory(&self.common.setting.config.state_directory())).ok()?;
        let wanted = self.common.setting.config.spool.min_free;
        (free < wanted.0).then(|| {
            let free = bytesize::ByteSize(free).display().iec();
            format!("the file system is too full: {free} free, {wanted} wanted ([spool] min-free)")
        })
    }

    /// Drops the oldest document of this session that nobody is taking.
    fn drop_oldest(&self, at: DateTime<Utc>, why: &str) -> bool {
        let Some(document) = self
            .store
            .documents()
            .into_iter()
            .nth(1)
            .filter(|document| document.is_complete)
        else {
            return false;
        };
        match self.store.give_up(document.number) {
            Ok(lost) => {
                let reason = format!(
                    "session {}: document {} of {} with {lost} records is dropped: {why}",
                    self.name(),
                    document.number,
                    shown(document.created)
                );
                tracing::error!("{reason}");
                self.common.handle.changed(self.index);
                self.tell_gap(at, GapKind::RecordsLost, &reason);
                true
            }
            Err(e) => {
                tracing::error!("session {}: {e}", self.name());
                false
            }
        }
    }

    pub fn limit(&self) -> Duration {
        // Another capture may take long; what is due at the next interval comes anyway.
        self.planned
            .session
            .interval
            .0
            .clamp(Duration::from_secs(5), Duration::from_secs(600))
    }
}
