//! One connection to a gatekeeper's status port: login, the commands, and reading without ever waiting for who logs.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{
    client::{Login, Timing},
    queue::{Offered, Queue},
};
use crate::protocol::gatekeeper_status::{Damaged, Item, Reader, Record};

/// How often the connection looks up from reading.
const LOOK_UP: Duration = Duration::from_millis(200);
/// How long a command's reply, or the end of a record that has begun, may take.
const REPLY: Duration = Duration::from_secs(20);

/// What a connection passes on.
#[derive(Debug)]
pub(super) enum Note {
    /// The gatekeeper let us in, and started then.
    Greeted {
        startup: String,
    },
    Record(Box<Record>),
    Cdr(Vec<u8>),
    Damaged(Damaged),
    /// Calls since its start.
    TotalCalls(u64),
    /// All of the backlog has come.
    CaughtUp,
    /// The connection is over.
    Lost,
}

/// Why a connection is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Not let in; the reason, with what to do. Trying again at once is of no use.
    Refused(String),
    Lost(String),
    /// We were told to stop.
    Stopped,
}

/// What is asked next, once the reply to the last command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    LoggingIn,
    Greeting,
    Trace,
    Backlog,
    Statistics,
    Live,
}

pub(super) struct Session<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) login: &'a Login,
    pub(super) timing: &'a Timing,
    pub(super) queue: &'a Queue<Note>,
    pub(super) stop: &'a AtomicBool,
    /// Says trouble that has lost nothing yet.
    pub(super) notice: &'a dyn Fn(&str),
    step: Step,
    since: Instant,
    asked_for_user: bool,
    full: bool,
    /// Since when there was no connection before this one.
    away: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        stream: &'a TcpStream,
        login: &'a Login,
        timing: &'a Timing,
        queue: &'a Queue<Note>,
        stop: &'a AtomicBool,
        notice: &'a dyn Fn(&str),
    ) -> Self {
        Session {
            stream,
            login,
            timing,
            queue,
            stop,
            notice,
            step: Step::LoggingIn,
            since: Instant::now(),
            asked_for_user: false,
            full: false,
            away: None,
        }
    }

    /// Runs until the connection ends. Whether the gatekeeper let us in, and why it is over.
    pub(super) fn run(mut self, away: Option<Instant>) -> (bool, End) {
        self.away = away;
        let end = self.read().unwrap_or_else(|end| end);
        let _ = self.stream.shutdown(Shutdown::Both);
        (self.step != Step::LoggingIn, end)
    }

    fn read(&mut self) -> Result<End, End> {
        self.stream
            .set_read_timeout(Some(LOOK_UP))
            .and_then(|()| self.stream.set_write_timeout(Some(REPLY)))
            .map_err(|e| End::Lost(format!("the connection cannot be used: {e}")))?;
        let mut reader = Reader::new();
        let mut items = Vec::new();
        let mut octets = vec![0; 64 << 10];
        let mut heard = Instant::now();
        let mut asked = Instant::now();
        let mut within: Option<Instant> = None;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(End::Stopped);
            }
            let ended = match (&mut &*self.stream).read(&mut octets) {
                Ok(0) => Some("the gatekeeper closed the connection".to_owned()),
                Ok(count) => {
                    heard = Instant::now();
                    reader.take(&octets[..count], &mut items);
                    None
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    None
                }
                Err(e) => Some(format!("reading failed: {e}")),
            };
            if let Some(reason) = ended {
                reader.finish(&mut items);
                self.pass(&mut items)?;
                return Ok(End::Lost(reason));
            }
            within = within.filter(|_| reader.is_within());
            if reader.is_within() && within.get_or_insert_with(Instant::now).elapsed() > REPLY {
                reader.give_up(&mut items);
                within = None;
            }
            let waiting = Instant::now();
            self.pass(&mut items)?;
            heard += waiting.elapsed();
            if heard.elapsed() > self.timing.silence {
                return Ok(End::Lost(format!("no answer for {} s", heard.elapsed().as_secs())));
            }
            self.go_on_without_reply()?;
            if self.step == Step::Live && asked.elapsed() > self.timing.heartbeat {
                asked = Instant::now();
                self.send(b"s\r\n")?;
            }
        }
    }

    fn pass(&mut self, items: &mut Vec<Item>) -> Result<(), End> {
        items.drain(..).try_for_each(|item| self.take(item))
    }

    fn take(&mut self, item: Item) -> Result<(), End> {
        match item {
            Item::LoginPrompt => self.answer_login(),
            Item::PasswordPrompt => {
                let line = format!("{}\r\n", self.login.password);
                self.send(line.as_bytes())
            }
            Item::Forbidden if self.asked_for_user => Err(End::Refused(self.wrong_login())),
            Item::Forbidden => Err(End::Refused(
                "the gatekeeper forbids access from this address: allow it in its section [GkStatus::Auth]".into(),
            )),
            Item::Version(_) if self.step == Step::LoggingIn => {
                self.goes_to(Step::Greeting);
                if let Some(away) = self.away.take() {
                    (self.notice)(&format!("connected again after {} s", away.elapsed().as_secs()));
                }
                Ok(())
            }
            // Only the greeting is believed: later lines may be text of a party.
            Item::Startup(startup) if self.step == Step::Greeting => self.put(
                Note::Greeted {
                    startup: String::from_utf8_lossy(&startup).into_owned(),
                },
                startup.len(),
            ),
            Item::End if self.step == Step::Greeting => self.ask(Step::Trace, b"trace 1\r\n"),
            Item::Line(line) if self.step == Step::Trace && line.starts_with(b"Output trace level is") => {
                self.ask(Step::Backlog, b"printeventbacklog\r\n")
            }
            Item::Line(line) if self.step == Step::Backlog && line.starts_with(b"Error: Unknown command") => {
                (self.notice)(
                    "the gatekeeper has no backlog (GnuGk before 4.1): what it says while billdrop is away is lost",
                );
                self.ask(Step::Statistics, b"s\r\n")
            }
            // It may be the end of a line that was on its way before; the statistics come after the backlog in any case.
            Item::End if self.step == Step::Backlog => self.ask(Step::Statistics, b"s\r\n"),
            Item::TotalCalls(total) => {
                self.put(Note::TotalCalls(total), 16)?;
                if self.step == Step::Statistics {
                    self.goes_to(Step::Live);
                    self.put(Note::CaughtUp, 16)?;
                }
                Ok(())
            }
            Item::Record(record) => {
                let octets = record.octets();
                self.put(Note::Record(record), octets)
            }
            Item::Cdr(line) => {
                let octets = line.len();
                self.put(Note::Cdr(line), octets)
            }
            Item::Damaged(damaged) => self.put(Note::Damaged(damaged), 64),
            Item::Line(line) if line.starts_with(b"BD1|") => {
                let reason = "a line begins with BD1| and has no event UUID: the feed needs GnuGk 4.9 or later";
                self.put(Note::Damaged(Damaged { uuid: None, reason }), 64)
            }
            Item::Line(_) | Item::Startup(_) | Item::Version(_) | Item::End => Ok(()),
        }
    }

    fn answer_login(&mut self) -> Result<(), End> {
        let Some(user) = &self.login.user else {
            return Err(End::Refused(
                "the gatekeeper asks for a user: set user and password in [accounting.gatekeeper]".into(),
            ));
        };
        if std::mem::replace(&mut self.asked_for_user, true) {
            return Err(End::Refused(self.wrong_login()));
        }
        self.send(format!("{user}\r\n").as_bytes())
    }

    fn wrong_login(&self) -> String {
        format!(
            "the gatekeeper refuses user {} with this password: compare [accounting.gatekeeper] with its [GkStatus::Auth]",
            self.login.user.as_deref().unwrap_or_default()
        )
    }

    /// A gatekeeper that does not answer a command as known ones do is not asked again.
    fn go_on_without_reply(&mut self) -> Result<(), End> {
        if self.since.elapsed() < REPLY {
            return Ok(());
        }
        match self.step {
            Step::LoggingIn => Err(End::Lost(
                "no greeting and no login prompt came: is this a status port?".into(),
            )),
            Step::Greeting => self.ask(Step::Trace, b"trace 1\r\n"),
            Step::Trace => self.ask(Step::Backlog, b"printeventbacklog\r\n"),
            Step::Backlog | Step::Statistics => self.ask(Step::Statistics, b"s\r\n"),
            Step::Live => Ok(()),
        }
    }

    fn ask(&mut self, next: Step, command: &[u8]) -> Result<(), End> {
        self.goes_to(next);
        self.send(command)
    }

    fn goes_to(&mut self, next: Step) {
        self.step = next;
        self.since = Instant::now();
    }

    fn send(&self, octets: &[u8]) -> Result<(), End> {
        (&mut &*self.stream)
            .write_all(octets)
            .map_err(|e| End::Lost(format!("writing failed: {e}")))
    }

    /// Nothing is dropped for want of room: the connection is not read until there is some. A gatekeeper that has to wait too
    /// long closes; its backlog then has what was not read.
    fn put(&mut self, note: Note, octets: usize) -> Result<(), End> {
        let mut note = note;
        loop {
            note = match self.queue.offer(note, octets, LOOK_UP) {
                Offered::Taken => {
                    if self.full && self.queue.len() < 100 {
                        self.full = false;
                        (self.notice)("the events that waited have been taken");
                    }
                    return Ok(());
                }
                Offered::Closed => return Err(End::Stopped),
                Offered::Full(note) => note,
            };
            if !std::mem::replace(&mut self.full, true) {
                (self.notice)(&format!(
                    "{} events wait to be logged: reading stops until modules and disk have caught up",
                    self.queue.len()
                ));
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(End::Stopped);
            }
        }
    }
}
