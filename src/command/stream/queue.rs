//! What waits for a collector, sent in its order.
//!
//! Each document is tried at the primary and the secondary as configured. The ledger's delivery to `stream` is pending
//! until a collector has taken the document; then the managers are told, and recovery takes the file out. The first
//! document that nobody takes ends the round, so that the order is kept and a thousand that wait do not cost a thousand time
//! limits; with `next-interval` it is dropped, and the others have their turn in later rounds.

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::super::{counted, progress, setting::Setting};
use crate::{
    config::{self, CheckedCollector, OnFailure, Order, STREAM, Stream},
    deliver::stream::{Collector, Kind, Limits, Security, Sending, StreamError, Taken},
    document,
    exit::{Error, Exit, Result},
    ledger::{CollectionStatus, Delivered, Event, Ledger, Releasing, Resend, Row, State, Tell},
    spool::Spool,
};

/// Who drops a document, in the ledger.
const WHO: &str = "billdrop stream";

/// Octets that are read and sent at once.
const PIECE: usize = 256 << 10;

pub struct Queue<'a> {
    setting: &'a Setting,
    stream: &'a Stream,
    spool: &'a Spool,
    ledger: &'a mut Ledger,
    primary: Collector,
    secondary: Option<Collector>,
    /// The primary did not take a document: until then the secondary is asked first, so that what waits behind does not
    /// pay for a dead primary each time.
    primary_back: Option<Instant>,
}

/// A primary that failed is left alone for this long while there is a secondary, or for ten times what the failure cost.
const PAUSE: Duration = Duration::from_secs(60);

/// What a round came to.
#[derive(Debug, Default)]
pub struct Drained {
    /// Documents that a collector took.
    pub sent: u64,
    /// Documents that were dropped.
    pub dropped: u64,
    /// Documents that still wait.
    pub waiting: u64,
    /// The next document is due: what waits has to wait until it has been captured.
    pub paused: bool,
}

impl Drained {
    pub fn is_complete(&self) -> bool {
        self.waiting == 0 && self.dropped == 0
    }

    pub fn line(&self) -> String {
        let mut line = format!("{} sent", counted(self.sent, "document"));
        if self.dropped > 0 {
            line += &format!(", {} dropped", self.dropped);
        }
        if self.waiting > 0 {
            line += &format!(", {} waiting", self.waiting);
        }
        line
    }
}

/// Why one document was not sent.
enum Trouble {
    /// With the collector that was tried last.
    Theirs(String, StreamError),
    /// The file itself: no collector can help.
    Ours(Error),
}

impl<'a> Queue<'a> {
    pub fn new(setting: &'a Setting, stream: &'a Stream, spool: &'a Spool, ledger: &'a mut Ledger) -> Self {
        Queue {
            setting,
            stream,
            spool,
            ledger,
            primary: collector(stream, &stream.primary),
            secondary: stream.secondary.as_ref().map(|table| collector(stream, table)),
            primary_back: None,
        }
    }

    /// Sends what waits, oldest first. With `news`, a new document is among it, and a failure is told to managers; a mere
    /// repetition of what they know is not. `until`: when the next document is due, which goes before a second one.
    pub fn drain(mut self, news: bool, until: Option<DateTime<Utc>>) -> Result<Drained> {
        self.warn_of_insecure();
        let mut drained = Drained::default();
        let mut after = 0;
        while let Some(delivery) = self.ledger.next_delivery(STREAM, after)? {
            if after > 0 && until.is_some_and(|until| Utc::now() >= until) {
                drained.paused = true;
                break;
            }
            after = delivery.sequence;
            let Some(row) = self.ledger.by_sequence(delivery.sequence)? else {
                continue;
            };
            if row.state == State::Released && self.wishes(&row)?.is_empty() {
                // Moved aside by an operator, or a drop that was not finished.
                self.ledger.give_up_delivery(row.sequence, STREAM)?;
                continue;
            }
            match self.send(&row) {
                Ok((collector, taken)) => {
                    self.sent(&row, &collector, &taken)?;
                    drained.sent += 1;
                }
                Err(Trouble::Ours(e)) if self.is_gone(&row) => {
                    self.give_up(&row, &format!("it was to be sent, but it has gone: {}", e.message()))?;
                    drained.dropped += 1;
                }
                Err(Trouble::Ours(e)) => {
                    tracing::error!("document {} cannot be sent: {e}", row.sequence);
                    self.note(&row, e.message())?;
                }
                Err(Trouble::Theirs(address, error)) => {
                    drained.dropped += u64::from(self.failed(&row, &address, &error, news)?);
                    break;
                }
            }
        }
        drained.waiting = self.ledger.pending_deliveries(STREAM)?.len() as u64;
        self.alarm(drained.waiting)?;
        Ok(drained)
    }

    /// Tries the collectors as configured until one has taken the document.
    fn send(&mut self, row: &Row) -> std::result::Result<(String, Taken), Trouble> {
        let mut last = None;
        let mut tried: Vec<String> = Vec::new();
        for collector in self.plan() {
            let address = collector.to_string();
            if tried.contains(&address) && !self.stream.retry_wait.0.is_zero() {
                thread::sleep(self.stream.retry_wait.0);
            }
            tried.push(address.clone());
            let is_primary = address == self.primary.to_string();
            let began = Instant::now();
            match self.try_one(row, &collector) {
                Ok(taken) => {
                    if is_primary {
                        self.primary_back = None;
                    }
                    return Ok((address, taken));
                }
                Err(Trouble::Theirs(address, error)) => {
                    tracing::warn!("document {} was not taken: {error}", row.sequence);
                    if is_primary {
                        self.primary_back = Some(Instant::now() + PAUSE.max(began.elapsed() * 10));
                    }
                    last = Some(Trouble::Theirs(address, error));
                }
                Err(ours) => return Err(ours),
            }
        }
        // A plan has one collector at least.
        Err(last.unwrap_or_else(|| Trouble::Ours(Error::new(Exit::Internal, "there is no collector"))))
    }

    /// Who is tried, one after the other.
    fn plan(&self) -> Vec<Collector> {
        let tries = self.stream.retries as usize + 1;
        let has_failed = self.primary_back.is_some() && self.secondary.is_some();
        let of_primary = if has_failed { 1 } else { tries };
        let primary = |n| std::iter::repeat_n(&self.primary, n);
        let secondary = |n| self.secondary.iter().flat_map(move |s| std::iter::repeat_n(s, n));
        let is_left_alone = has_failed && self.primary_back.is_some_and(|back| Instant::now() < back);
        let plan: Vec<&Collector> = match self.stream.order {
            _ if is_left_alone => secondary(tries).chain(primary(1)).collect(),
            Order::PrimaryFirst => primary(of_primary).chain(secondary(tries)).collect(),
            Order::Alternate => (0..tries)
                .flat_map(|turn| primary(usize::from(turn < of_primary)).chain(secondary(1)))
                .collect(),
        };
        plan.into_iter().cloned().collect()
    }

    fn try_one(&self, row: &Row, collector: &Collector) -> std::result::Result<Taken, Trouble> {
        let theirs = |error| Trouble::Theirs(collector.to_string(), error);
        let (mut file, octets) = self.open(row).map_err(Trouble::Ours)?;
        let progress = Arc::new(AtomicU64::new(0));
        let what = format!("{collector}: {}", row.name);
        let _shown = progress::transfer(self.setting.audience, what, octets, Arc::clone(&progress));
        let mut sending = Sending::connect(collector).map_err(theirs)?;
        let mut digest = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut left = octets;
        // The last piece leaves only when all of them are known to be what was written.
        while left > 0 {
            let wanted = left.min(PIECE as u64) as usize;
            file.read_exact(&mut piece[..wanted])
                .map_err(|e| Trouble::Ours(Error::file("read", &self.path(row), &e)))?;
            digest.update(&piece[..wanted]);
            left -= wanted as u64;
            if left == 0 && document::hex(&digest.clone().finalize()) != row.sha256 {
                let message = format!(
                    "{} is not what was written: its SHA-256 is wrong",
                    self.path(row).display()
                );
                return Err(Trouble::Ours(Error::new(Exit::BadData, message)));
            }
            sending.send(&piece[..wanted]).map_err(theirs)?;
            progress.store(octets - left, Ordering::Relaxed);
        }
        sending.finish().map_err(theirs)
    }

    fn open(&self, row: &Row) -> Result<(File, u64)> {
        let path = self.path(row);
        let file = File::open(&path).map_err(|e| Error::file("open", &path, &e))?;
        let octets = file.metadata().map_err(|e| Error::file("look at", &path, &e))?.len();
        match octets == row.octets && octets > 0 {
            true => Ok((file, octets)),
            false => Err(Error::new(
                Exit::BadData,
                format!(
                    "{} has {octets} octets, and {} were written",
                    path.display(),
                    row.octets
                ),
            )),
        }
    }

    fn path(&self, row: &Row) -> std::path::PathBuf {
        self.spool
            .stored(&row.name)
            .unwrap_or_else(|| self.spool.path(&row.name))
    }

    fn sent(&mut self, row: &Row, address: &str, taken: &Taken) -> Result<()> {
        let now = Utc::now();
        let seconds = taken.elapsed.as_secs_f64().max(1e-6);
        tracing::info!(
            "document {}: {address} took {} octets in {:.3} s ({:.1} MB/s)",
            row.sequence,
            taken.octets,
            seconds,
            taken.octets as f64 / seconds / 1e6
        );
        let how = Delivered {
            at: now,
            octets: taken.octets,
            verified: "closed".to_owned(),
            renamed: false,
        };
        let event = collection(CollectionStatus::Success, address, now);
        let tell = Tell::new(&self.setting.managers(), &[event]);
        self.ledger
            .arrived_and_tell(row.sequence, STREAM, &how, Some(taken.elapsed), &tell)?;
        let managers = Tell::nobody();
        self.ledger
            .destination_state(STREAM, 0, self.alarmed()?, &managers, now)?;
        Ok(())
    }

    /// Returns whether the document is dropped.
    fn failed(&mut self, row: &Row, address: &str, error: &StreamError, news: bool) -> Result<bool> {
        let now = Utc::now();
        self.note(row, error.reason())?;
        if error.kind == Kind::Own {
            tracing::error!("{error}");
        }
        if news {
            let event = collection(error.kind.status(), address, now);
            let known = self.ledger.destinations()?;
            let failures = known
                .iter()
                .find(|known| known.name == STREAM)
                .map_or(0, |known| known.failures);
            let tell = Tell::new(&self.setting.managers(), &[event]);
            self.ledger
                .destination_state(STREAM, failures.saturating_add(1), self.alarmed()?, &tell, now)?;
        }
        if self.stream.on_failure == OnFailure::StoreAndForward {
            return Ok(false);
        }
        let reason = format!(
            "no collector took it, and [stream] on-failure is next-interval: {}",
            error.reason()
        );
        self.give_up(row, &reason)?;
        Ok(true)
    }

    /// Nobody gets the document, and everybody is to know. Killed in between, the next run finishes it.
    fn give_up(&mut self, row: &Row, reason: &str) -> Result<()> {
        tracing::error!("document {} is dropped: {reason}", row.sequence);
        let now = Utc::now();
        let is_ours = matches!(row.state, State::Offered | State::Sealed);
        if is_ours {
            let releasing = Releasing {
                at: now,
                who: WHO,
                reason,
                managers: &self.setting.managers(),
            };
            self.ledger.release(row.sequence, &releasing)?;
        }
        // A collector had it before: that it does not get it again is no gap.
        for wish in self.wishes(row)? {
            self.ledger.resend_failed(wish.id, reason, now)?;
        }
        self.ledger.give_up_delivery(row.sequence, STREAM)?;
        if is_ours {
            crate::spool::drop_released(self.spool, &row.name)?;
        }
        Ok(())
    }

    /// What an operator wants to be streamed again, and was not yet.
    fn wishes(&self, row: &Row) -> Result<Vec<Resend>> {
        let mut wishes = self.ledger.all_resends()?;
        wishes.retain(|wish| {
            wish.sequence == row.sequence && wish.destination.as_deref() == Some(STREAM) && wish.finished.is_none()
        });
        Ok(wishes)
    }

    /// Neither the file nor a copy is there any more.
    fn is_gone(&self, row: &Row) -> bool {
        let missing = |e: std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        self.path(row).symlink_metadata().is_err_and(missing) && !self.spool.archive.has(&row.name)
    }

    fn note(&mut self, row: &Row, reason: &str) -> Result<()> {
        Ok(self.ledger.delivery_failed(row.sequence, STREAM, reason, Utc::now())?)
    }

    fn alarmed(&self) -> Result<Option<DateTime<Utc>>> {
        let known = self.ledger.destinations()?;
        Ok(known
            .iter()
            .find(|known| known.name == STREAM)
            .and_then(|known| known.alarmed))
    }

    /// Managers are told once when more waits than may, and once when nothing does any more.
    fn alarm(&mut self, waiting: u64) -> Result<()> {
        let now = Utc::now();
        let alarmed = self.alarmed()?;
        let known = self.ledger.destinations()?;
        let Some(known) = known.iter().find(|known| known.name == STREAM) else {
            return Ok(());
        };
        let octets = self.ledger.pending_octets(STREAM)?;
        let limit = self.stream.alarm_size;
        let (event, alarmed) = match alarmed {
            None if octets > limit.0 => {
                let reason = format!(
                    "{} wait for a collector, more than [stream] alarm-size ({limit})",
                    counted(waiting, "document")
                );
                tracing::error!("{reason}");
                let event = Event::DestinationFailed {
                    destination: STREAM.to_owned(),
                    pending: u32::try_from(waiting).unwrap_or(u32::MAX),
                    reason,
                    at: now,
                };
                (event, Some(now))
            }
            Some(_) if waiting == 0 => {
                let event = Event::DestinationRecovered {
                    destination: STREAM.to_owned(),
                    at: now,
                };
                (event, None)
            }
            _ => return Ok(()),
        };
        let tell = Tell::new(&self.setting.managers(), &[event]);
        Ok(self
            .ledger
            .destination_state(STREAM, known.failures, alarmed, &tell, now)?)
    }

    fn warn_of_insecure(&self) {
        for collector in [Some(&self.primary), self.secondary.as_ref()].into_iter().flatten() {
            if collector.tls.as_ref().is_some_and(|tls| tls.trust.insecure) {
                tracing::warn!(
                    "{collector}: the certificate is not checked (tls-insecure): anybody could take its place"
                );
            }
        }
    }
}

/// A collector of the configuration.
pub fn collector(stream: &Stream, table: &config::Collector) -> Collector {
    // It was checked when the configuration was read.
    let checked = table.check().unwrap_or_else(|_| CheckedCollector {
        host: String::new(),
        port: 0,
        tls: None,
        identity: None,
    });
    Collector {
        host: checked.host,
        port: checked.port,
        tls: checked.tls.map(|trust| Security {
            trust,
            identity: checked.identity,
        }),
        source: stream.source_address,
        limits: Limits {
            connect: stream.connect_timeout.0,
            idle: stream.idle_timeout.0,
            total: stream.total_timeout.0,
        },
    }
}

/// As a CMTS says it: the collector in place of a file.
fn collection(status: CollectionStatus, address: &str, at: DateTime<Utc>) -> Event {
    Event::Collection {
        status,
        destination: address.to_owned(),
        at,
    }
}
