//! One destination in one run: its documents in their order, over one connection after the other until patience is over.
//!
//! Whatever happens to a run, the ledger says *delivered* only of what has arrived. A run that was killed after that and
//! before the ledger knew finds the document there at the next attempt, and sends nothing.
//!
//! | file | what |
//! |---|---|
//! | `STATE/push-NAME.lock` | held by the run that works for this destination |
//! | `STATE/push-NAME.file` | what is sent, where it is no file yet: the test, or a copy that was compressed |

use std::{
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use chrono::Utc;
use sha2::{Digest, Sha256};

use super::super::{progress, setting::Setting};
use crate::{
    config::{Push, Span},
    deliver::{
        self, DeliveryError, Destination, Failure, LONGEST_WAIT, Link, Naming, Receipt, Shipment, TEST_NAME, Verified,
    },
    document,
    exit::{Error, Exit, Result},
    ledger::{self, Delivered, Event, Ledger, Row, State, Tell},
    spool::{CopyError, Lock, Locked, Spool},
};

/// The same for everybody and always, so that one that is there already is the right one.
const TEST: &str = "billdrop can bring documents here. This file may be deleted.\n";

/// How many failing runs, one after the other, are worth an alarm.
const ALARMING: u32 = 2;

/// An attempt waits for answers at least this long, even if patience is nearly over.
const LEAST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a transfer says to other runs that it moves.
const BETWEEN_MOVES: Duration = Duration::from_secs(10);

/// What a run came to for one destination.
#[derive(Debug)]
pub struct Report {
    pub destination: String,
    /// Documents that have arrived.
    pub delivered: u64,
    pub end: End,
}

#[derive(Debug)]
pub enum End {
    /// It has everything.
    Complete,
    /// Another run works for it.
    Busy,
    Failed(Failed),
}

/// Why a destination has not got everything. It has been said in the diagnostics.
#[derive(Debug)]
pub struct Failed {
    pub reason: String,
    /// It is not for the first time, or nothing will help.
    pub is_alarming: bool,
    /// The host's key, or the log-in.
    pub is_refusal: bool,
}

/// Brings everything that is pending to this destination.
pub fn run(setting: &Setting, spool: &Spool, push: &Push) -> Report {
    let mut report = Report {
        destination: push.name.clone(),
        delivered: 0,
        end: End::Complete,
    };
    let ended = lock(spool, &push.name).and_then(|lock| match lock.try_hold()? {
        None => overtaken(setting, spool, push, &lock),
        Some(locked) => Queue::begin(setting, spool, push, &locked)?.work(&mut report.delivered),
    });
    report.end = ended.unwrap_or_else(|e| {
        tracing::error!("nothing can be brought to {}: {e}", push.name);
        if let Err(e) = note_own(setting, spool, push, e.message()) {
            tracing::warn!("{e}");
        }
        End::Failed(Failed {
            reason: format!("{}: {}", push.name, e.message()),
            is_alarming: true,
            is_refusal: false,
        })
    });
    report
}

/// Another run works for this destination. One in which nothing has moved for as long as a pickup may take hangs.
fn overtaken(setting: &Setting, spool: &Spool, push: &Push, lock: &Lock) -> Result<End> {
    let name = &push.name;
    let limit = setting.config.spool.alarm_after.0;
    let Some(age) = lock.held_for().filter(|age| *age >= limit) else {
        tracing::info!("another billdrop is bringing documents to {name}");
        return Ok(End::Busy);
    };
    let holder = lock
        .holder()
        .map_or("another billdrop".to_owned(), |pid| format!("process {pid}"));
    let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
    let reason = format!("{name}: {holder} is bringing documents there, and nothing has moved for {age}");
    tracing::error!("{reason}\n  See what it waits for, and end it: nothing is lost by that.");
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let event = failed_event(&ledger, name, &reason)?;
    ledger.notify(&Tell::new(&setting.managers(), &[event]), Utc::now())?;
    Ok(End::Failed(Failed {
        reason,
        is_alarming: true,
        is_refusal: false,
    }))
}

/// What failed is ours: a disk, the configuration. Managers hear of it at once.
fn note_own(setting: &Setting, spool: &Spool, push: &Push, reason: &str) -> Result<()> {
    let mut ledger = Ledger::open_existing(&spool.state)?;
    let known = ledger.destinations()?;
    let Some(state) = known.into_iter().find(|known| known.name == push.name) else {
        return Ok(());
    };
    let now = Utc::now();
    let event = failed_event(&ledger, &push.name, &format!("{}: {reason}", push.name))?;
    let tell = Tell::new(&setting.managers(), &[event]);
    let failures = state.failures.saturating_add(1);
    ledger.destination_state(&push.name, failures, state.alarmed.or(Some(now)), &tell, now)?;
    Ok(())
}

fn failed_event(ledger: &Ledger, destination: &str, reason: &str) -> Result<Event> {
    let pending = ledger.pending_deliveries(destination)?.len();
    Ok(Event::DestinationFailed {
        destination: destination.to_owned(),
        pending: u32::try_from(pending).unwrap_or(u32::MAX),
        reason: reason.to_owned(),
        at: Utc::now(),
    })
}

/// The lock of one destination.
pub fn lock(spool: &Spool, destination: &str) -> Result<Lock> {
    Lock::open_file(beside(spool, destination, "lock"))
}

fn beside(spool: &Spool, destination: &str, suffix: &str) -> PathBuf {
    spool.state.join(format!("push-{}.{suffix}", file_name(destination)))
}

/// A name of a destination as a part of a file's name; no two become one.
fn file_name(destination: &str) -> String {
    let mut name = String::new();
    for octet in destination.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(octet.into()),
            _ => {
                let _ = write!(name, "%{octet:02X}");
            }
        }
    }
    name
}

struct Queue<'a> {
    setting: &'a Setting,
    spool: &'a Spool,
    push: &'a Push,
    locked: &'a Locked<'a>,
    ledger: Ledger,
    state: ledger::Destination,
    /// The last document that this run is done with, in whatever way.
    done: u64,
    delivered: u64,
    /// Why documents cannot be delivered any more.
    hopeless: Vec<String>,
    /// When patience is over.
    deadline: Instant,
}

/// Why an attempt has ended before its time.
enum Trouble {
    /// Theirs, or on the way: another attempt may help.
    Delivery(DeliveryError),
    /// Ours.
    Own(Error),
}

impl<'a> Queue<'a> {
    fn begin(setting: &'a Setting, spool: &'a Spool, push: &'a Push, locked: &'a Locked<'a>) -> Result<Self> {
        let ledger = Ledger::open_existing(&spool.state)?;
        let known = ledger.destinations()?;
        let Some(state) = known.into_iter().find(|known| known.name == push.name) else {
            return Err(Error::new(Exit::Internal, "the ledger does not know this destination"));
        };
        Ok(Queue {
            setting,
            spool,
            push,
            locked,
            ledger,
            state,
            done: 0,
            delivered: 0,
            hopeless: Vec::new(),
            deadline: Instant::now() + push.patience.0,
        })
    }

    fn work(mut self, delivered: &mut u64) -> Result<End> {
        let end = self.attempts();
        let _ = fs::remove_file(self.scratch());
        *delivered = self.delivered;
        end
    }

    /// One attempt after the other, with ever longer waits between, while patience lasts. What arrives renews it.
    fn attempts(&mut self) -> Result<End> {
        let mut wait = self.push.retry_wait.0;
        loop {
            let before = self.delivered;
            self.locked.moves();
            let error = match self.attempt() {
                Ok(()) => {
                    // What failed may have been our own ledger, which knows of the arrival all the same.
                    if self.ledger.next_delivery(&self.push.name, 0)?.is_none() {
                        self.works()?;
                    }
                    return Ok(self.end());
                }
                Err(Trouble::Own(e)) => return Err(e),
                Err(Trouble::Delivery(e)) => e,
            };
            if self.delivered > before {
                wait = self.push.retry_wait.0;
                self.deadline = Instant::now() + self.push.patience.0;
            }
            let goes_on = !error.failure().needs_a_person() && Instant::now() + wait < self.deadline;
            self.note(&error, if goes_on { wait } else { Duration::ZERO })?;
            if !goes_on {
                return self.fails(&error);
            }
            tracing::info!("{error}; the next attempt is in {}", humantime::format_duration(wait));
            thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Over one connection, unless a document of ours cannot be read: after that it needs another.
    fn attempt(&mut self) -> std::result::Result<(), Trouble> {
        let mut link = None;
        if self.state.tested.is_none() {
            self.test(connected(&mut link, || self.connect())?)?;
        }
        while let Some(delivery) = self.ledger.next_delivery(&self.push.name, self.done)? {
            let row = self.ledger.by_sequence(delivery.sequence)?;
            let row = match row {
                // Its capture is still at it, or was killed: it may yet be undone, and has no name in the spool.
                Some(row) if row.state == State::Sealed => break,
                Some(row) => row,
                None => {
                    self.give_up(delivery.sequence, "the ledger does not know it any more")?;
                    continue;
                }
            };
            let file = match self.file(&row) {
                Ok(file) => file,
                Err(e) if e.is_final() => {
                    self.give_up(row.sequence, &e.to_string())?;
                    continue;
                }
                Err(e) => return Err(Trouble::Own(Error::new(Exit::Io, e.to_string()))),
            };
            match self.put(connected(&mut link, || self.connect())?, &row, &file) {
                Ok(receipt) => self.arrived(&row, &receipt)?,
                Err(Trouble::Delivery(e)) if e.failure() == Failure::Local => {
                    match self.spool.archive.checked(&row) {
                        Err(damage) if damage.is_final() => self.give_up(row.sequence, e.message())?,
                        _ => return Err(Trouble::Delivery(e)),
                    }
                    link = None;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn connect(&self) -> std::result::Result<Box<dyn Link>, Trouble> {
        let mut push = self.push.clone();
        if !push.patience.0.is_zero() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            push.timeout = Span(push.timeout.0.min(left.max(LEAST_TIMEOUT)));
        }
        let destination = self.destination(&push)?;
        deliver::connect(&destination).map_err(Trouble::Delivery)
    }

    fn destination(&self, push: &Push) -> std::result::Result<Destination, Trouble> {
        Destination::new(push).map_err(|reason| Trouble::Own(Error::new(Exit::Configuration, reason)))
    }

    /// Whether it is a place for documents shows with a small file, before the first of them is sent there.
    fn test(&mut self, link: &mut dyn Link) -> std::result::Result<(), Trouble> {
        let file = self.scratch();
        fs::write(&file, TEST).map_err(|e| Error::file("write", &file, &e))?;
        let shipment = Shipment {
            file: &file,
            remote_name: TEST_NAME,
            octets: TEST.len() as u64,
            sha256: &document::hex(&Sha256::digest(TEST)),
            mode: self.setting.config.spool.mode.0,
            modified: SystemTime::now(),
        };
        let receipt = link.put(&shipment, &mut |_| ()).map_err(Trouble::Delivery)?;
        let now = Utc::now();
        self.ledger.destination_tested(&self.push.name, now)?;
        self.state.tested = Some(now);
        tracing::info!(
            "tried {} with the file {TEST_NAME}: {}",
            self.push.name,
            compared(&receipt)
        );
        Ok(self.works()?)
    }

    /// Where the octets of this document can be read.
    fn file(&self, row: &Row) -> std::result::Result<PathBuf, CopyError> {
        if let Some(path) = self.spool.stored(&row.name) {
            return Ok(path);
        }
        let found = self.spool.archive.checked(row)?;
        if !found.compressed {
            return Ok(found.path);
        }
        // Not into the archive, which belongs to whoever has the lock of captures.
        let path = self.scratch();
        let unpacked = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            io::copy(&mut found.open()?, &mut file)?;
            file.set_modified(found.path.metadata()?.modified()?)
        };
        match unpacked() {
            Ok(()) => Ok(path),
            Err(source) => Err(CopyError::Unwritten { path, source }),
        }
    }

    fn put(&self, link: &mut dyn Link, row: &Row, file: &Path) -> std::result::Result<Receipt, Trouble> {
        let naming = Naming {
            name: &row.name,
            hostname: &self.setting.hostname,
            sequence: row.sequence,
            date: row.created,
        };
        let remote_name = self
            .destination(self.push)?
            .remote_name(&naming)
            .map_err(|reason| Trouble::Own(Error::new(Exit::Configuration, reason)))?;
        let modified = file.metadata().and_then(|found| found.modified());
        let shipment = Shipment {
            file,
            remote_name: &remote_name,
            octets: row.octets,
            sha256: &row.sha256,
            mode: self.setting.config.spool.mode.0,
            // What cannot be looked at cannot be read either: that is found out when it is sent.
            modified: modified.unwrap_or_else(|_| SystemTime::from(row.created)),
        };
        let sent = Arc::new(AtomicU64::new(0));
        let what = format!("{}: {}", self.push.name, row.name);
        let _shown = progress::transfer(self.setting.audience, what, row.octets, Arc::clone(&sent));
        let mut moved = Instant::now();
        self.locked.moves();
        let mut progress = |octets| {
            sent.store(octets, Ordering::Relaxed);
            if moved.elapsed() >= BETWEEN_MOVES {
                self.locked.moves();
                moved = Instant::now();
            }
        };
        link.put(&shipment, &mut progress).map_err(Trouble::Delivery)
    }

    fn arrived(&mut self, row: &Row, receipt: &Receipt) -> Result<()> {
        let how = Delivered {
            at: Utc::now(),
            octets: receipt.octets,
            verified: receipt.verified.token().to_owned(),
            renamed: receipt.renamed,
        };
        self.ledger.arrived(row.sequence, &self.push.name, &how)?;
        (self.done, self.delivered) = (row.sequence, self.delivered + 1);
        tracing::info!("pushed {} to {}: {}", row.name, self.push.name, throughput(receipt));
        self.works()
    }

    /// It has taken something.
    fn works(&mut self) -> Result<()> {
        if self.state.failures == 0 {
            return Ok(());
        }
        let now = Utc::now();
        let mut events = Vec::new();
        if self.state.alarmed.is_some() {
            tracing::warn!("{} takes documents again", self.push.name);
            events.push(Event::DestinationRecovered {
                destination: self.push.name.clone(),
                at: now,
            });
        }
        let tell = Tell::new(&self.setting.managers(), &events);
        self.ledger.destination_state(&self.push.name, 0, None, &tell, now)?;
        (self.state.failures, self.state.alarmed) = (0, None);
        Ok(())
    }

    /// Notes a failed attempt with the document that was next.
    fn note(&mut self, error: &DeliveryError, wait: Duration) -> Result<()> {
        if let Some(next) = self.ledger.next_delivery(&self.push.name, self.done)? {
            let again = Utc::now() + wait;
            self.ledger
                .delivery_failed(next.sequence, &self.push.name, error.message(), again)?;
        }
        Ok(())
    }

    /// The run ends without having brought everything: from the second time on that is an alarm.
    fn fails(&mut self, error: &DeliveryError) -> Result<End> {
        let now = Utc::now();
        let failures = self.state.failures.saturating_add(1);
        let is_alarming = failures >= ALARMING;
        let (mut alarmed, mut events) = (self.state.alarmed, Vec::new());
        if is_alarming {
            tracing::error!("{error}\n  {failures} runs have failed, one after the other; later ones try again.");
            alarmed = alarmed.or(Some(now));
            events.push(self.failed(error.message())?);
        } else {
            tracing::warn!("{error}\n  Later runs try again.");
        }
        let tell = Tell::new(&self.setting.managers(), &events);
        self.ledger
            .destination_state(&self.push.name, failures, alarmed, &tell, now)?;
        Ok(End::Failed(Failed {
            reason: error.message().to_owned(),
            is_alarming,
            is_refusal: error.failure().is_refusal(),
        }))
    }

    /// A document that can never be delivered is an error each time, and told once. It stays pending: nobody but an
    /// operator may forget it.
    fn give_up(&mut self, sequence: u64, reason: &str) -> Result<()> {
        let name = &self.push.name;
        let reason = format!("document {sequence} cannot be brought to {name}: {reason}");
        tracing::error!("{reason}");
        let now = Utc::now();
        let before = self.ledger.next_delivery(name, sequence.saturating_sub(1))?;
        if before.and_then(|delivery| delivery.last_error).as_ref() != Some(&reason) {
            let tell = Tell::new(&self.setting.managers(), &[self.failed(&reason)?]);
            self.ledger.notify(&tell, now)?;
        }
        self.ledger.delivery_failed(sequence, name, &reason, now)?;
        self.done = sequence;
        self.hopeless.push(reason);
        Ok(())
    }

    fn failed(&self, reason: &str) -> Result<Event> {
        failed_event(&self.ledger, &self.push.name, reason)
    }

    fn end(&self) -> End {
        match self.hopeless.first() {
            None => End::Complete,
            Some(reason) => End::Failed(Failed {
                reason: reason.clone(),
                is_alarming: true,
                is_refusal: false,
            }),
        }
    }

    fn scratch(&self) -> PathBuf {
        beside(self.spool, &self.push.name, "file")
    }
}

/// The connection that there is, or a new one.
fn connected(
    link: &mut Option<Box<dyn Link>>,
    connect: impl FnOnce() -> std::result::Result<Box<dyn Link>, Trouble>,
) -> std::result::Result<&mut dyn Link, Trouble> {
    let there = match link.take() {
        Some(link) => link,
        None => connect()?,
    };
    Ok(link.insert(there).as_mut())
}

/// `12.3 MB in 0.4 s, 30 MB/s, compared by SHA-256`
fn throughput(receipt: &Receipt) -> String {
    if receipt.found {
        return format!("it was there already, {}", compared(receipt));
    }
    let seconds = receipt.elapsed.as_secs_f64();
    let size = |octets: u64| bytesize::ByteSize(octets).display().si();
    let speed = (receipt.octets as f64 / seconds.max(0.001)) as u64;
    format!(
        "{} in {seconds:.1} s, {}/s, {}",
        size(receipt.octets),
        size(speed),
        compared(receipt)
    )
}

fn compared(receipt: &Receipt) -> &'static str {
    match receipt.verified {
        Verified::Nothing => "not compared",
        Verified::Size => "compared by size",
        Verified::Sha256 => "compared by SHA-256",
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Trouble::Own(e)
    }
}

impl From<ledger::LedgerError> for Trouble {
    fn from(e: ledger::LedgerError) -> Self {
        Trouble::Own(e.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_two_destinations_are_never_one() {
        assert_eq!(file_name("billing-1.example"), "billing-1.example");
        assert_eq!(file_name("../a b"), "..%2Fa%20b");
        assert_ne!(file_name("a/b"), file_name("a%2Fb"));
        assert!(file_name(&"ä".repeat(32)).len() < 200);
    }

    #[test]
    fn throughput_is_said_in_words() {
        let receipt = |found| Receipt {
            octets: 12_300_000,
            verified: Verified::Sha256,
            renamed: true,
            attributes: true,
            found,
            elapsed: Duration::from_millis(410),
        };
        assert_eq!(
            throughput(&receipt(false)),
            "12.3 MB in 0.4 s, 30.0 MB/s, compared by SHA-256"
        );
        assert_eq!(throughput(&receipt(true)), "it was there already, compared by SHA-256");
    }
}
