//! `billdrop status`: what is offered, what is late, what went wrong.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ago, calls::Standing, counted, ipdr, print, setting::Setting};
use crate::{
    cli,
    exit::{Error, Exit, Result},
    ledger::{Event, Gap, Ledger, LedgerError, Pending, Row, State, Transfer},
    spool::{self, Spool, Watch},
};

pub fn run(cli: &cli::Cli, args: &cli::Status) -> Result<()> {
    let setting = Setting::load(cli)?;
    let spool = Spool::locate(&setting.config)?;
    if args.watch {
        return watch(&setting, &spool);
    }
    let status = match Status::read(&setting, &spool) {
        Err(e) if e.exit() == Exit::Unavailable => return accounting_alone(&spool, args.json, e),
        status => status?,
    };
    print(|out| match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&status)?),
        false => status.write(out),
    })
}

/// Where nothing was captured yet, accounting may have run all the same.
fn accounting_alone(spool: &Spool, json: bool, e: Error) -> Result<()> {
    let Some(accounting) = Standing::read(spool)? else {
        return Err(e);
    };
    print(|out| match json {
        true => writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&serde_json::json!({ "accounting": accounting }))?
        ),
        false => accounting.write(out, Utc::now()),
    })
}

/// Prints anew whenever a document leaves, a capture ends, or ten seconds have passed.
fn watch(setting: &Setting, spool: &Spool) -> Result<()> {
    Status::read(setting, spool)?;
    let broken = |e: io::Error| Error::file("watch", &spool.directory, &e);
    let mut watch = Watch::new(spool).map_err(broken)?;
    loop {
        let status = Status::read(setting, spool)?;
        let clears = io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let is_read = super::print_while_read(|out| {
            if clears {
                out.write_all(b"\x1b[H\x1b[2J")?;
            }
            status.write(out)
        })?;
        if !is_read {
            return Ok(());
        }
        watch
            .wait(Some(Instant::now() + Duration::from_secs(10)))
            .map_err(broken)?;
    }
}

/// Everything that `status` says; its JSON is for machines.
#[derive(Debug, Serialize)]
struct Status {
    spool: String,
    state: String,
    /// Documents go to collectors, and wait for them in `spool`; else somebody fetches them.
    streams: bool,
    blocked: bool,
    /// A document waits for longer than `[spool] alarm-after`.
    late: bool,
    waiting: Option<Document>,
    /// The waiting file is not what was written.
    damaged: bool,
    /// The remote application has said that it has the waiting document; the next capture takes it out.
    marked: bool,
    /// Documents that are still to be offered again, in order.
    resends: Vec<u64>,
    copies: u64,
    copies_octets: u64,
    destinations: Vec<Destination>,
    last: Option<Document>,
    skipped_captures: u32,
    retrieved_documents: u64,
    released_documents: u64,
    notifications_delivered: u64,
    notifications_pending: Vec<Notification>,
    gaps: usize,
    last_gap: Option<String>,
    foreign_files: Vec<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounting: Option<Standing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipdr: Option<ipdr::Shown>,
    free_octets: u64,
    min_free_octets: u64,
    #[serde(skip)]
    now: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Document {
    sequence: u64,
    name: String,
    doc_id: String,
    state: &'static str,
    records: u64,
    octets: u64,
    created: DateTime<Utc>,
    offered: Option<DateTime<Utc>>,
    retrieved: Option<DateTime<Utc>>,
}

/// A place that documents are brought to.
#[derive(Debug, Serialize)]
struct Destination {
    name: String,
    /// Whether the configuration has it still.
    configured: bool,
    /// Documents that it is still to get.
    pending: u64,
    /// When the test file got there.
    tested: Option<DateTime<Utc>>,
    /// Runs that failed, one after the other.
    failures: u32,
    alarmed: Option<DateTime<Utc>>,
    /// Of the document that is next.
    attempts: u32,
    last_error: Option<String>,
    last_delivered: Option<u64>,
    last_delivered_at: Option<DateTime<Utc>>,
    /// The last few, oldest first.
    transfers: Vec<Transferred>,
}

/// How fast a document was brought there.
#[derive(Debug, Serialize)]
struct Transferred {
    sequence: u64,
    at: DateTime<Utc>,
    octets: u64,
    seconds: f64,
    octets_per_second: u64,
}

#[derive(Debug, Serialize)]
struct Notification {
    manager: String,
    event: String,
    created: DateTime<Utc>,
    attempts: u32,
    next_attempt: DateTime<Utc>,
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Foreign {
    name: String,
    reason: String,
}

impl Status {
    fn read(setting: &Setting, spool: &Spool) -> Result<Self> {
        let ledger = match Ledger::open_existing(&spool.state) {
            Err(LedgerError::Missing { .. }) => {
                return Err(Error::new(
                    Exit::Unavailable,
                    format!("nothing was captured into {} yet", spool.directory.display()),
                )
                .next(match setting.config.stream {
                    Some(_) => "Run billdrop stream, or name the right place with --config.",
                    None => "Run billdrop capture, or name the right place with --config or --spool.",
                }));
            }
            ledger => ledger?,
        };
        let standing = spool::survey(spool, &ledger)?;
        // The spool is the truth: what the ledger calls offered and is gone has been retrieved.
        let gone = |row: &Row| row.state == State::Offered && standing.waiting.is_none();
        let unnoticed = ledger.unfinished()?.iter().filter(|row| gone(row)).count() as u64;
        let last = ledger.last()?.map(|row| Document::of(&row, gone(&row)));
        let gaps = ledger.gaps()?;
        let (copies, copies_octets) = ledger.copies()?;
        Ok(Status {
            spool: spool.directory.display().to_string(),
            state: spool.state.display().to_string(),
            streams: setting.config.stream.is_some(),
            // What waits for a collector keeps nothing back.
            blocked: standing.waiting.is_some() && setting.config.stream.is_none(),
            late: standing
                .waiting
                .as_ref()
                .is_some_and(|row| !standing.marked && setting.is_late(row, Utc::now())),
            damaged: standing.damaged,
            marked: standing.marked,
            resends: ledger.queue()?.into_iter().map(|resend| resend.sequence).collect(),
            copies,
            copies_octets,
            destinations: Destination::all(setting, &ledger)?,
            skipped_captures: ledger.skipped()?,
            retrieved_documents: ledger.count(State::Retrieved)? + unnoticed,
            released_documents: ledger.count(State::Released)?,
            notifications_delivered: ledger.delivered()?,
            notifications_pending: ledger.pending()?.into_iter().map(Notification::of).collect(),
            waiting: standing.waiting.as_ref().map(|row| Document::of(row, false)),
            last,
            gaps: gaps.len(),
            last_gap: gaps.last().map(describe),
            foreign_files: standing
                .foreign
                .into_iter()
                .map(|(name, reason)| Foreign { name, reason })
                .collect(),
            accounting: Standing::read(spool)?,
            ipdr: ipdr::Shown::read(&spool.state)?,
            free_octets: spool.free().unwrap_or(0),
            min_free_octets: setting.config.spool.min_free.0,
            now: Utc::now(),
        })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let size = |octets| bytesize::ByteSize(octets).display().iec();
        let mut line = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
        let (place, waits, whom, nothing) = match self.streams {
            true => ("stream", "waiting", "a collector", "nothing"),
            false => ("spool", "offered", "its pickup", "nothing: the next capture will be"),
        };
        line(place, format!("{} ({} free)", self.spool, size(self.free_octets)))?;
        match &self.waiting {
            Some(document) => {
                let since = document.offered.unwrap_or(document.created);
                line(waits, document.text())?;
                line(
                    "",
                    format!("waits for {whom} since {} ({})", shown(since), ago(since, self.now)),
                )?;
                if self.marked {
                    line("", "marked as done: the next capture takes it out".to_owned())?;
                }
                if self.late {
                    line("", "LATE: longer than [spool] alarm-after".to_owned())?;
                }
                if self.damaged {
                    line(
                        "",
                        "DAMAGED: the file does not have the size that was written".to_owned(),
                    )?;
                }
            }
            None => line(waits, nothing.to_owned())?,
        }
        if let Some(last) = self.last.as_ref().filter(|_| self.waiting.is_none()) {
            line("last", last.text())?;
            match (last.state, last.retrieved) {
                ("retrieved", Some(at)) => line("", format!("retrieved, noticed at {}", shown(at)))?,
                (state, _) => line("", state.to_owned())?,
            }
        }
        let released = match self.released_documents {
            0 => String::new(),
            n => format!(", {n} moved aside by hand"),
        };
        line("so far", format!("{} retrieved{released}", self.retrieved_documents))?;
        if let Some(first) = self.resends.first() {
            let documents = counted(self.resends.len() as u64, "document");
            line("to resend", format!("{documents}, next document {first}"))?;
        }
        if self.copies > 0 {
            let copies = super::counted_as(self.copies, "copy", "copies");
            line("archive", format!("{copies}, {}", size(self.copies_octets)))?;
        }
        for (index, destination) in self.destinations.iter().enumerate() {
            let title = if index == 0 { "destinations" } else { "" };
            line(title, destination.text(self.now))?;
            if let Some(throughput) = destination.throughput() {
                line("", format!("  {throughput}"))?;
            }
            if let Some(error) = &destination.last_error {
                let tries = counted(destination.attempts.into(), "attempt");
                line("", format!("  {tries} for the next one: {error}"))?;
            }
        }
        line(
            "skipped",
            format!(
                "{} since the last document",
                counted(self.skipped_captures.into(), "capture")
            ),
        )?;
        line(
            "gaps",
            match &self.last_gap {
                None => "none known".to_owned(),
                Some(gap) => format!("{}, the last: {gap} (billdrop gaps lists them)", self.gaps),
            },
        )?;
        line(
            "notifications",
            format!(
                "{} delivered, {} pending",
                self.notifications_delivered,
                self.notifications_pending.len()
            ),
        )?;
        let mut managers: Vec<&str> = self.notifications_pending.iter().map(|p| p.manager.as_str()).collect();
        managers.dedup();
        managers.sort_unstable();
        managers.dedup();
        for manager in managers {
            let pending: Vec<_> = self
                .notifications_pending
                .iter()
                .filter(|p| p.manager == manager)
                .collect();
            let Some(oldest) = pending.first() else { continue };
            let waiting = counted(pending.len() as u64, "notification");
            line(
                "",
                format!(
                    "{manager}: {waiting}, the oldest of {}: {}",
                    shown(oldest.created),
                    oldest.event
                ),
            )?;
            let why = oldest.last_error.as_deref().unwrap_or("not tried yet");
            let tries = counted(oldest.attempts.into(), "attempt");
            line(
                "",
                format!("  {tries}, next after {}: {why}", shown(oldest.next_attempt)),
            )?;
        }
        for (index, standing) in self.accounting.iter().flat_map(|a| a.lines(self.now)).enumerate() {
            line(if index == 0 { "accounting" } else { "" }, standing)?;
        }
        if let Some(ipdr) = &self.ipdr {
            for (index, standing) in ipdr.lines(self.now).into_iter().enumerate() {
                line(if index == 0 { "ipdr" } else { "" }, standing)?;
            }
        }
        for foreign in &self.foreign_files {
            line(
                "foreign file",
                format!("{}: {}", foreign.name.escape_debug(), foreign.reason),
            )?;
        }
        Ok(())
    }
}

impl Destination {
    fn all(setting: &Setting, ledger: &Ledger) -> Result<Vec<Self>> {
        let configured = setting.config.destinations();
        let known = ledger.destinations()?;
        let new = configured
            .iter()
            .filter(|name| !known.iter().any(|known| known.name == **name))
            .map(|name| Destination::named(name));
        let mut all: Vec<Self> = new.collect();
        for destination in known {
            // The ledger may not have heard yet that it is gone.
            let is_configured = configured.contains(&destination.name);
            if !is_configured && destination.pending == 0 {
                continue;
            }
            let next = ledger.next_delivery(&destination.name, 0)?;
            let last = ledger.last_delivery(&destination.name)?;
            all.push(Destination {
                configured: is_configured,
                pending: destination.pending,
                tested: destination.tested,
                failures: destination.failures,
                alarmed: destination.alarmed,
                attempts: next.as_ref().map_or(0, |next| next.attempts),
                last_error: next.and_then(|next| next.last_error),
                last_delivered: last.as_ref().map(|last| last.sequence),
                last_delivered_at: last.and_then(|last| last.delivered).map(|how| how.at),
                transfers: ledger
                    .transfers(&destination.name)?
                    .into_iter()
                    .map(Transferred::of)
                    .collect(),
                ..Destination::named(&destination.name)
            });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One that the ledger does not know yet.
    fn named(name: &str) -> Self {
        Destination {
            name: name.to_owned(),
            configured: true,
            pending: 0,
            tested: None,
            failures: 0,
            alarmed: None,
            attempts: 0,
            last_error: None,
            last_delivered: None,
            last_delivered_at: None,
            transfers: Vec::new(),
        }
    }

    /// `12.3 MB in 0.4 s, 30.0 MB/s; the last 5 together 28.1 MB/s`
    fn throughput(&self) -> Option<String> {
        let size = |octets: u64| bytesize::ByteSize(octets).display().si();
        let last = self.transfers.last()?;
        let mut text = format!(
            "last transfer: {} in {:.1} s, {}/s",
            size(last.octets),
            last.seconds,
            size(last.octets_per_second)
        );
        if self.transfers.len() > 1 {
            let octets = self.transfers.iter().fold(0, |sum, t| t.octets.saturating_add(sum));
            let seconds = self.transfers.iter().map(|t| t.seconds).sum();
            text += &format!(
                "; the last {} together {}/s",
                self.transfers.len(),
                size(rate(octets, seconds))
            );
        }
        Some(text)
    }

    fn text(&self, now: DateTime<Utc>) -> String {
        let mut parts = Vec::new();
        match (self.pending, self.last_delivered, self.last_delivered_at) {
            (0, None, _) if self.tested.is_none() => parts.push("not tried yet".to_owned()),
            (0, _, _) => parts.push("has everything".to_owned()),
            (pending, _, _) => parts.push(format!("{} pending", counted(pending, "document"))),
        }
        if let (Some(sequence), Some(at)) = (self.last_delivered, self.last_delivered_at) {
            parts.push(format!("got document {sequence} at {} ({})", shown(at), ago(at, now)));
        }
        if !self.configured {
            parts.push("NOT CONFIGURED any more (billdrop push --forget gives it up)".to_owned());
        }
        match (self.failures, self.alarmed) {
            (0, _) => {}
            (failures, None) => parts.push(format!("{} failed", counted(failures.into(), "run"))),
            (failures, Some(since)) => parts.push(format!(
                "FAILS: {} one after the other, alarmed since {}",
                counted(failures.into(), "run"),
                shown(since)
            )),
        }
        format!("{}: {}", self.name, parts.join(", "))
    }
}

impl Transferred {
    fn of(transfer: Transfer) -> Self {
        let seconds = transfer.milliseconds as f64 / 1000.0;
        Transferred {
            sequence: transfer.sequence,
            at: transfer.at,
            octets: transfer.octets,
            seconds,
            octets_per_second: rate(transfer.octets, seconds),
        }
    }
}

/// Octets a second. What took no time that could be measured took a millisecond.
fn rate(octets: u64, seconds: f64) -> u64 {
    (octets as f64 / seconds.max(0.001)) as u64
}

impl Document {
    fn of(row: &Row, gone: bool) -> Self {
        Document {
            sequence: row.sequence,
            name: row.name.clone(),
            doc_id: row.doc_id.clone(),
            state: if gone {
                State::Retrieved.token()
            } else {
                row.state.token()
            },
            records: row.records,
            octets: row.octets,
            created: row.created,
            offered: row.offered,
            retrieved: row.retrieved,
        }
    }

    fn text(&self) -> String {
        let size = bytesize::ByteSize(self.octets).display().iec();
        format!(
            "{} (sequence {}, {}, {size})",
            self.name,
            self.sequence,
            counted(self.records, "record")
        )
    }
}

impl Notification {
    fn of(pending: Pending) -> Self {
        let event = match &pending.event {
            Event::Collection {
                status, destination, ..
            } => format!("ccmtrCollectionNotification {} {destination}", status.label()),
            Event::Blocked { document, .. } => format!("billdropBlocked {document}"),
            Event::SourceFailed { source, .. } => format!("billdropSourceFailed {source}"),
            Event::Gap { sequence, .. } => format!("billdropGap {sequence}"),
            Event::ArchiveGaveWay { sequence, .. } => format!("billdropArchiveGaveWay {sequence}"),
            Event::DestinationFailed { destination, .. } => format!("billdropDestinationFailed {destination}"),
            Event::DestinationRecovered { destination, .. } => format!("billdropDestinationRecovered {destination}"),
            Event::CollectorSwitched { session, .. } => format!("billdropCollectorSwitched {session}"),
            Event::Test { .. } => "billdropTest".to_owned(),
        };
        Notification {
            manager: pending.manager,
            event,
            created: pending.created,
            attempts: pending.attempts,
            next_attempt: pending.next_attempt,
            last_error: pending.last_error,
        }
    }
}

fn describe(gap: &Gap) -> String {
    format!("{} {}: {}", shown(gap.at), gap.kind.token(), gap.reason)
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
