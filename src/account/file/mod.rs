//! FileAcct: call-detail lines in a text file, which gives way to a new one by the clock or when it is full.
//!
//! # What is in the file
//!
//! Whole lines, each once. Lines that come together go out in one `write(2)` ([`combine`]); what cannot be written whole is
//! taken back, and those who logged it are told ([`open`]). A file that was moved away is left alone and a new one begun.
//! Rotation gives a name that no file has yet ([`schedule`] says when). All this is otherwise in the gatekeeper, which writes
//! at the place where it was, keeps on in the moved file, and replaces a file of the same name.
//!
//! # After a crash
//!
//! A line is in the file before its event is answered, but nobody waits for the disk: the call journal has the event.
//! [`FileAcct::checkpoint`] makes durable what has been written and says where that ends; [`FileAcct::recover`] says which
//! of the events behind that place have no line. What a crash left of a line of ours is cut off; what others left without a
//! line end stays, and our next line begins on a new one.

mod combine;
mod detail;
mod open;
mod recover;
mod schedule;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, SystemTime},
};

pub use open::FilePosition;
pub use recover::Recovered;

use combine::Combiner;
use detail::Detail;

use super::cdr;
use super::event::{Event, EventKind, Events};
use super::module::{Attempt, Module, Outcome};
use super::parameters::{Context, Parameter};
use super::template::Template;
use super::timestamp::TimestampFormat;
use super::uuid;
use super::zone::Zone;
use crate::config::gatekeeper;

/// The module.
pub struct FileAcct {
    gatekeeper: String,
    home: String,
    timestamps: TimestampFormat,
    format: Format,
    combiner: Combiner,
    detail: Mutex<Detail>,
    clock: Arc<dyn Clock>,
    /// Dropped with the module: ends the thread that rotates.
    _stop: Option<Sender<()>>,
}

enum Format {
    Standard,
    Template {
        template: Template,
        names_uuid: bool,
    },
    /// `StandardCDRFormat=0` without a CDRString: the gatekeeper fails every event.
    Missing,
}

/// What `[Gatekeeper::Main]` says.
#[derive(Debug, Clone, Copy)]
pub struct Main<'a> {
    pub name: &'a str,
    /// First address of `Home`, or empty.
    pub home: &'a str,
    pub timestamp_format: &'a str,
}

/// The time by which the file is rotated.
pub trait Clock: Send + Sync {
    /// Seconds since 1970.
    fn seconds(&self) -> i64;
}

/// This host's clock.
#[derive(Debug, Clone, Copy)]
pub struct HostClock;

impl Clock for HostClock {
    fn seconds(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        }
    }
}

impl FileAcct {
    /// Opens the file and, where it is rotated by the clock, starts the thread that does so. A file that cannot be opened is
    /// tried again with each event, which fails until then.
    ///
    /// # Errors
    /// When a `TimestampFormat` cannot be read.
    pub fn open(options: &gatekeeper::FileAcct, main: Main<'_>) -> Result<Arc<FileAcct>, String> {
        let by_clock = schedule::is_by_clock(options.rotate);
        let (stop, stopped) = channel();
        let stop = by_clock.then_some(stop);
        let module = Arc::new(FileAcct::new(
            options,
            main,
            Arc::new(HostClock),
            Zone::local().clone(),
            stop,
        )?);
        if by_clock {
            let module: Weak<FileAcct> = Arc::downgrade(&module);
            let rotate = move || {
                while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                    let Some(module) = module.upgrade() else { return };
                    module.tick();
                }
            };
            let spawned = thread::Builder::new().name("rotate CDR file".into()).spawn(rotate);
            spawned.map_err(|e| format!("FileAcct cannot start the thread that rotates its file: {e}"))?;
        }
        Ok(module)
    }

    /// The same with another clock and zone, and without a thread: whoever calls it calls [`FileAcct::tick`].
    ///
    /// # Errors
    /// As [`FileAcct::open`].
    pub fn open_with(
        options: &gatekeeper::FileAcct,
        main: Main<'_>,
        clock: Arc<dyn Clock>,
        zone: Zone,
    ) -> Result<FileAcct, String> {
        FileAcct::new(options, main, clock, zone, None)
    }

    fn new(
        options: &gatekeeper::FileAcct,
        main: Main<'_>,
        clock: Arc<dyn Clock>,
        zone: Zone,
        stop: Option<Sender<()>>,
    ) -> Result<FileAcct, String> {
        let own = options.timestamp_format.as_deref().filter(|format| !format.is_empty());
        let timestamps = match own {
            Some(format) => TimestampFormat::parse(format)?,
            // The standard line does not look at the main setting.
            None if options.standard_format => TimestampFormat::rfc822(),
            None => TimestampFormat::parse(main.timestamp_format)?,
        };
        let format = if options.standard_format {
            Format::Standard
        } else if options.cdr_string.is_empty() {
            Format::Missing
        } else {
            let template = Template::parse(&options.cdr_string);
            let names_uuid = template.parameters().any(|parameter| parameter == Parameter::EventUuid);
            Format::Template { template, names_uuid }
        };
        let detail = Detail::open(&options.detail_file, options.rotate, zone, clock.seconds());
        Ok(FileAcct {
            gatekeeper: main.name.to_string(),
            home: main.home.to_string(),
            timestamps,
            format,
            combiner: Combiner::new(),
            detail: Mutex::new(detail),
            clock,
            _stop: stop,
        })
    }

    /// The line of an event, without its line end: always the same for the same event and key. [`None`]: there is none.
    pub fn line(&self, event: &Event, key: &str) -> Option<Vec<u8>> {
        let mut line = Vec::with_capacity(512);
        match &self.format {
            Format::Missing => return None,
            Format::Standard => cdr::write_line(event, &self.gatekeeper, &self.timestamps, &mut line),
            Format::Template { template, names_uuid } => {
                let uuid = if *names_uuid {
                    uuid::of(event, key)
                } else {
                    String::new()
                };
                let context = Context {
                    gatekeeper: &self.gatekeeper,
                    home: &self.home,
                    timestamps: &self.timestamps,
                    uuid: &uuid,
                    now: event.time.clone(),
                };
                template.render(event, &context, &mut line);
            }
        }
        Some(line).filter(|line| !line.is_empty())
    }

    /// Rotates the file if it is time. The first time, a rotation that was missed while nobody ran is made up for.
    pub fn tick(&self) {
        self.detail().rotate_by_clock(self.clock.seconds());
    }

    /// Makes durable every line whose event was logged before the call, and says where the file then ended. Events that were
    /// logged before need no [`recover`](FileAcct::recover).
    ///
    /// # Errors
    /// When the disk says that it failed: which file.
    pub fn checkpoint(&self) -> Result<FilePosition, String> {
        let unsynced = self.detail().unsynced()?;
        // Others go on writing meanwhile.
        match unsynced.sync() {
            Ok(()) => Ok(unsynced.position()),
            Err(reason) => {
                self.detail().still_unsynced(unsynced);
                Err(reason)
            }
        }
    }

    /// Says which lines are not behind a place in the file, or in those that followed it. To be called before the first
    /// event is logged, with the lines ([`FileAcct::line`]) of all events behind the checkpoint that were logged, or may have
    /// been. A line that a crash has torn is cut off and counts as missing.
    ///
    /// Without a place, the file and all that it was rotated to are searched.
    ///
    /// # Errors
    /// When a file cannot be read or mended: which one.
    pub fn recover(
        &self,
        from: Option<&FilePosition>,
        lines: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Recovered, String> {
        recover::recover(&mut self.detail(), from, lines.into_iter().collect())
    }

    fn detail(&self) -> MutexGuard<'_, Detail> {
        // A thread that panicked while it held the file left it as a failed write does.
        self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Module for FileAcct {
    fn name(&self) -> &'static str {
        "FileAcct"
    }

    fn supported(&self) -> Events {
        Events::of(EventKind::Stop.bit())
    }

    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome {
        if event.kind != EventKind::Stop {
            return Outcome::Fail("FileAcct logs stop events only".into());
        }
        let Some(mut line) = self.line(event, attempt.key) else {
            let what = "[FileAcct] has StandardCDRFormat=0 and no CDRString, or one that gives an empty line";
            return Outcome::Fail(format!("{what}: write a CDRString"));
        };
        line.push(b'\n');
        let written = self.combiner.write(&line, |lines, ends| {
            self.detail().append(lines, ends, self.clock.seconds())
        });
        match written {
            Ok(()) => Outcome::Ok,
            Err(reason) => Outcome::Fail(reason),
        }
    }
}

/// The file and what went wrong with it, in the words of an error.
fn cannot(what: &str, path: &Path, e: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let next = match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room",
        ErrorKind::PermissionDenied => "; let billdrop's user write there",
        ErrorKind::NotFound => "; make the directory",
        _ => "",
    };
    format!("FileAcct cannot {what} {}: {e}{next}", path.display())
}

#[cfg(test)]
mod tests;
