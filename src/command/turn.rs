//! One turn of file mode, while the lock is held: recover, capture, offer, notify.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};

use super::{
    deliver,
    gather::{Asking, Gathered, gather},
    print,
    progress::Tally,
    push,
    setting::Setting,
};
use crate::{
    capture::Source,
    config::Profile,
    document::{Body, DocId, Header},
    exit::{Error, Exit, Result},
    ledger::{CollectionStatus, Event, Gap, GapKind, Ledger, Row, Tell},
    log::Logs,
    record::{DocumentInformation, Text},
    spool::{self, CommitError, DocumentName, Draft, Locked, Spool},
};

/// What a turn works with. It ends when the lock is let go.
pub struct Turn<'a> {
    setting: &'a Setting,
    sources: &'a [Arc<dyn Source>],
    spool: &'a Spool,
    locked: &'a Locked<'a>,
    logs: &'a Logs,
    ledger: Ledger,
    now: DateTime<Utc>,
}

impl<'a> Turn<'a> {
    pub fn begin(
        setting: &'a Setting,
        sources: &'a [Arc<dyn Source>],
        spool: &'a Spool,
        locked: &'a Locked<'a>,
        logs: &'a Logs,
    ) -> Result<Self> {
        let now = Utc::now().trunc_subsecs(3);
        Ok(Turn {
            setting,
            sources,
            spool,
            locked,
            logs,
            ledger: spool::open_ledger(spool, &setting.hostname, &setting.managers(), now, locked)?,
            now,
        })
    }

    /// Finishes what an earlier run left; returns the document that waits for its pickup.
    pub fn recover(&mut self) -> Result<Option<Row>> {
        // Before anything is written: a ledger on a full disk can take no note of what has happened.
        self.make_room(0)?;
        let tell = |row: &Row| self.setting.tell_offer(row);
        if self.setting.config.destinations.is_empty() {
            push::warn_of_gone(self.setting, &self.ledger);
        }
        let standing = spool::recover(self.spool, &mut self.ledger, &tell, self.now, self.locked)?;
        for (name, reason) in &standing.foreign {
            let path = self.spool.path(name);
            tracing::warn!("{} lies in the spool but is no document: {reason}", path.display());
        }
        if let Some(waiting) = standing.waiting.as_ref().filter(|_| standing.damaged) {
            let path = self.spool.path(&waiting.name);
            tracing::error!(
                "{} is damaged: it does not have the size that was written",
                path.display()
            );
        }
        Ok(standing.waiting)
    }

    /// The capture is refused because of `waiting`: the next document tells how often.
    pub fn skip(&mut self, waiting: &Row) -> Result<()> {
        Ok(self.ledger.skip(self.now, &waiting.name)?)
    }

    /// Alarms the managers, and whoever reads errors, when a document waits for its pickup for too long, and again
    /// while it still waits.
    pub fn alarm(&mut self, waiting: &Row) -> Result<()> {
        let repeat = self.setting.config.spool.alarm_repeat.0;
        let last = self.ledger.last_alarm(waiting.sequence)?;
        // An alarm in the future was before the clock was set back.
        let due = last.is_none_or(|last| (self.now - last).to_std().map_or(true, |age| age >= repeat));
        if due && self.setting.is_late(waiting, self.now) {
            let event = Event::Blocked {
                document: waiting.name.clone(),
                sequence: waiting.sequence,
                since: waiting.offered.unwrap_or(waiting.created),
                captures_skipped: self.ledger.skipped()?,
            };
            let tell = Tell::new(&self.setting.managers(), &[event]);
            self.ledger.alarm(waiting.sequence, &tell, self.now)?;
            let nobody = if self.setting.config.stream.is_some() {
                "nobody takes it"
            } else {
                "nobody fetches"
            };
            tracing::error!("{nobody}: {}", self.blocked_because(waiting));
        }
        Ok(())
    }

    /// After what took long.
    pub fn go_on(&mut self) {
        self.now = Utc::now().trunc_subsecs(3);
    }

    /// For who does more under the same lock.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Sends the notifications that are due.
    pub fn deliver(&mut self) {
        deliver::due(&mut self.ledger, self.setting);
    }

    /// Why nothing can be captured now, in one line.
    pub fn blocked_because(&self, waiting: &Row) -> String {
        let since = waiting.offered.unwrap_or(waiting.created);
        if self.setting.config.stream.is_some() {
            return format!(
                "no collector has taken document {} since {} ({})",
                waiting.sequence,
                shown(since),
                super::ago(since, self.now)
            );
        }
        format!(
            "{} has not been retrieved since {} ({}); fetch and delete it, or run billdrop release",
            self.spool.path(&waiting.name).display(),
            shown(since),
            super::ago(since, self.now)
        )
    }

    /// Asks the sources and offers a document of what they gave. Prints its path.
    pub fn capture(&mut self) -> Result<()> {
        let last = self.ledger.last()?;
        let name = self.next_name(last.as_ref());
        let wanted = self.setting.config.spool.min_free.0;
        if let Some(refusal) = self.too_full(wanted) {
            return Err(self.failed(&name, refusal));
        }
        let mut body = Body::new(&self.spool.state);
        let tally = Tally::new(self.setting.audience, self.sources);
        let asked = self.ask(&name, &tally, &mut body);
        let summary = tally.conclude();
        let mut gathered = match asked {
            Ok(gathered) => gathered,
            Err(e) => {
                let refusal = Error::file("keep records in", &self.spool.state, &e);
                return Err(self.failed(&name, refusal));
            }
        };
        let incomplete = gathered.failures().next().is_some();
        let lines = gathered.lines.take();
        let offered = self.offer_if_any(last.as_ref(), name, gathered, &mut body);
        if tally.has_devices() {
            let lines = lines.filter(|_| matches!(offered, Ok(Some(_))));
            self.logs.data(lines, self.now, &summary);
        }
        let Some(path) = offered? else { return Ok(()) };
        self.deliver();
        if self.setting.config.stream.is_none() {
            print(|out| writeln!(out, "{}", path.display()))
                .map_err(|e| e.next(format!("The document is offered all the same: {}", path.display())))?;
        }
        match incomplete {
            false => Ok(()),
            true => Err(Error::already_told(Exit::Unavailable)),
        }
    }

    /// [`None`]: there is nothing, and that is right so.
    fn offer_if_any(
        &mut self,
        last: Option<&Row>,
        name: DocumentName,
        gathered: Gathered,
        body: &mut Body,
    ) -> Result<Option<PathBuf>> {
        let incomplete = gathered.failures().next().is_some();
        let samis = self.setting.config.document.profile != Profile::Full;
        if body.count() == 0 && (incomplete || samis) {
            return self.nothing_to_offer(&name, &gathered).map(|()| None);
        }
        let wanted = self.setting.config.spool.min_free.0;
        self.make_room(body.octets())?;
        if let Some(refusal) = self.too_full(wanted.saturating_add(body.octets())) {
            return Err(self.failed(&name, refusal));
        }
        self.offer(last, name, gathered, body).map(Some)
    }

    fn ask(&self, name: &DocumentName, tally: &Tally, body: &mut Body) -> std::io::Result<Gathered> {
        let baseline = |source: &str| {
            let kept = self.ledger.baseline(source);
            kept.map_err(|e| format!("what was delivered of it is not known, so it was not asked: {e}"))
        };
        let document = name.to_string();
        let asking = Asking {
            now: self.now,
            recorder: &self.setting.hostname,
            concurrency: self.setting.config.capture.concurrency.into(),
            directory: &self.spool.state,
            lines: self.logs.format().map(|format| (format, document.as_str())),
            baseline: &baseline,
            tally,
            is_told: true,
        };
        let _shown = tally.show();
        gather(self.sources, &asking, body)
    }

    /// Later than the last name, and not that of any file which somebody has put there.
    fn next_name(&self, last: Option<&Row>) -> DocumentName {
        let naming = self.setting.naming();
        let last = last.and_then(|row| DocumentName::parse(&row.name));
        let mut name = naming.name(self.now, last.map(|last| last.stamp));
        while self.spool.path(&name.to_string()).symlink_metadata().is_ok() {
            name = naming.name(self.now, Some(name.stamp));
        }
        name
    }

    fn offer(
        &mut self,
        last: Option<&Row>,
        name: DocumentName,
        gathered: Gathered,
        body: &mut Body,
    ) -> Result<PathBuf> {
        let sequence = last.map_or(1, |row| row.sequence + 1);
        let gaps = gathered.gaps(self.now);
        let covered_to = last.and_then(|row| row.covers_to);
        let information = DocumentInformation {
            created: self.now,
            sequence,
            previous_doc_id: last
                .and_then(|row| row.doc_id.parse::<DocId>().ok())
                .map(|id| *id.as_bytes()),
            covers_from: covered_to,
            covers_to: self.now,
            captures_skipped: self.ledger.skipped()?,
            remark: self.remark(covered_to)?,
            sources: gathered.statuses,
        };
        let header = Header {
            doc_id: DocId::new(self.now, sequence, self.setting.mac(Some(&self.ledger))?),
            created: self.now,
            recorder: Text::lossy(self.setting.hostname.as_bytes()).0,
            profile: self.setting.config.document.profile,
        };
        let source_events: Vec<Event> = source_events(&gaps).collect();
        let draft = Draft {
            name,
            header,
            information: &information,
            checksum: self.setting.config.document.checksum,
            gaps: &gaps,
            baselines: &gathered.baselines,
            tell: &Tell::new(&self.setting.managers(), &source_events),
            destinations: &self.setting.config.destinations(),
        };
        let tell = match self.setting.config.stream {
            // Nobody is to come for it.
            Some(_) => Tell::nobody(),
            None => Tell::new(
                &self.setting.managers(),
                &[self.collection(CollectionStatus::Success, &draft.name)],
            ),
        };
        match spool::commit(self.spool, &mut self.ledger, &draft, body, &tell, self.locked) {
            Ok(written) => {
                let path = self.spool.path(&draft.name.to_string());
                tracing::info!(
                    "document {sequence}: {} records, {} octets",
                    written.count,
                    written.octets
                );
                Ok(path)
            }
            Err(e) => Err(self.uncommitted(&draft.name, e)),
        }
    }

    /// What the document must say besides: a clock that went back, sources that were left out on purpose, and gaps that
    /// no document tells of yet, as many as there is room for.
    fn remark(&self, covered_to: Option<DateTime<Utc>>) -> Result<Option<String>> {
        const ROOM: usize = 900;
        let mut remarks = Vec::new();
        if let Some(before) = covered_to.filter(|before| *before > self.now) {
            remarks.push(format!(
                "the clock was set back: the document before covers up to {}",
                shown(before)
            ));
        }
        if self.sources.len() < self.setting.config.sources().len() {
            let asked: Vec<&str> = self.sources.iter().map(|source| source.name()).collect();
            let (verb, asked) = (if asked.len() == 1 { "was" } else { "were" }, some_of(&asked));
            remarks.push(format!("of the configured sources only {asked} {verb} asked"));
        }
        let untold = self.ledger.untold_gaps()?;
        for (index, gap) in untold.iter().enumerate() {
            let room = ROOM.saturating_sub(remarks.iter().map(|remark| remark.chars().count() + 2).sum());
            let told = format!("{} {}: {}", shown(gap.at), gap.kind.token(), gap.reason);
            if told.chars().count() > room {
                let more = super::counted((untold.len() - index) as u64, "gap");
                remarks.push(format!("and {more} up to {}, see billdrop gaps", shown(self.now)));
                break;
            }
            remarks.push(told);
        }
        Ok((!remarks.is_empty()).then(|| remarks.join("; ")))
    }

    fn collection(&self, status: CollectionStatus, name: &DocumentName) -> Event {
        self.setting.collection(status, &name.to_string(), self.now)
    }

    fn uncommitted(&mut self, name: &DocumentName, e: CommitError) -> Error {
        match e.is_unwritten() {
            true => self.failed(name, e.into()),
            false => {
                let error = Error::from(e);
                deliver::at_once(
                    Some(&self.ledger),
                    self.setting,
                    &[self.setting.failure(&error, &name.to_string(), self.now)],
                );
                error
            }
        }
    }

    /// Where there is no room for `octets`, the archive gives way, and managers are told, now and then.
    fn make_room(&mut self, octets: u64) -> Result<()> {
        /// Without min-free the ledger's log needs a little all the same.
        const LEAST: u64 = 256 << 10;
        let min_free = self.setting.config.spool.min_free.0.max(LEAST);
        let wanted = min_free.saturating_add(octets);
        let Some(gone) = spool::make_room(self.spool, &mut self.ledger, wanted, self.now, self.locked)? else {
            return Ok(());
        };
        let reason = format!(
            "the disk is full: {} of retrieved documents had to go before their time, the last of document {}",
            super::counted_as(gone.copies, "copy", "copies"),
            gone.sequence
        );
        tracing::warn!("{reason}");
        let repeat = self.setting.config.spool.alarm_repeat.0;
        let last = self.ledger.last_gave_way()?;
        if last.is_none_or(|last| (self.now - last).to_std().map_or(true, |age| age >= repeat)) {
            let event = Event::ArchiveGaveWay {
                sequence: gone.sequence,
                reason,
                at: self.now,
            };
            let tell = Tell::new(&self.setting.managers(), &[event]);
            self.ledger.tell_gave_way(&tell, self.now)?;
        }
        Ok(())
    }

    /// What is not in haste, when all else is done: copies are compressed.
    pub fn tidy(&mut self) {
        const BUDGET: Duration = Duration::from_secs(2);
        if let Err(e) = spool::shrink(self.spool, &mut self.ledger, BUDGET, self.locked) {
            tracing::warn!("copies are not compressed: {e}");
        }
    }

    /// The spool's file system must have room for the document; that of the state for the ledger's log.
    fn too_full(&self, wanted: u64) -> Option<Error> {
        const LOG: u64 = 1 << 20;
        let min_free = self.setting.config.spool.min_free.0;
        let spool = (&self.spool.directory, wanted);
        let state = (&self.spool.state, min_free.min(LOG));
        [spool, state]
            .into_iter()
            .find_map(|(directory, wanted)| refuse_full(directory, wanted))
    }

    /// No document could be written: ledger and managers are to know.
    fn failed(&mut self, name: &DocumentName, error: Error) -> Error {
        let events = [self.setting.failure(&error, &name.to_string(), self.now)];
        let gap = Gap::new(GapKind::CaptureFailed, self.now, error.message());
        self.tell_failure(&[gap], &events);
        error
    }

    /// Where the ledger cannot take it (its disk is full, say), the managers are told at once.
    fn tell_failure(&mut self, gaps: &[Gap], events: &[Event]) {
        let tell = Tell::new(&self.setting.managers(), events);
        match self.ledger.note_gaps(gaps, &tell, self.now) {
            Ok(()) => self.deliver(),
            Err(e) => {
                tracing::error!("{e}");
                deliver::at_once(Some(&self.ledger), self.setting, events);
            }
        }
    }

    fn nothing_to_offer(&mut self, name: &DocumentName, gathered: &Gathered) -> Result<()> {
        let mut gaps = gathered.gaps(self.now);
        if gaps.is_empty() {
            tracing::warn!(
                "no source has any usage, and profile cisco-samis knows no document without: nothing written"
            );
            return Ok(());
        }
        let mut events = vec![self.collection(CollectionStatus::DataIncomplete, name)];
        events.extend(source_events(&gaps));
        gaps.push(Gap::new(GapKind::CaptureFailed, self.now, "no source gave any usage"));
        self.tell_failure(&gaps, &events);
        Err(
            Error::new(Exit::Unavailable, "no source gave any usage: no document was offered")
                .next("The reasons stand above. The next document covers this time too."),
        )
    }
}

fn refuse_full(directory: &Path, wanted: u64) -> Option<Error> {
    let free = match fs2::available_space(directory) {
        Ok(free) if free >= wanted => return None,
        Ok(free) => free,
        Err(e) => return Some(Error::file("ask for the free space of", directory, &e)),
    };
    let size = |octets| bytesize::ByteSize(octets).display().iec();
    let message = format!(
        "the file system of {} is too full: {} free, {} wanted ([spool] min-free)",
        directory.display(),
        size(free),
        size(wanted)
    );
    let next = "Make room; nothing was captured. Counters go on, and the next document covers this time too.";
    Some(Error::new(Exit::CannotCreate, message).next(next).full_if(true))
}

fn source_events(gaps: &[Gap]) -> impl Iterator<Item = Event> + '_ {
    gaps.iter().map(|gap| Event::SourceFailed {
        source: gap.source.clone().unwrap_or_default(),
        reason: gap.reason.clone(),
        at: gap.at,
    })
}

/// The first names, and how many there are besides: there may be hundreds.
fn some_of(names: &[&str]) -> String {
    const NAMED: usize = 5;
    // One more name takes no more room than saying that there is one more.
    match names.len().checked_sub(NAMED).filter(|more| *more > 1) {
        None => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

pub fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
