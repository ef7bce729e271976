//! `billdrop account`: call events through a gatekeeper's chain, until the input ends or it is told to end.
//!
//! SIGTERM and SIGINT: nothing more is read, what was read is answered, everything is brought to the disk, status 0. A
//! second one: at once; what was answered is safe all the same.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use chrono::Utc;
use nix::sys::signalfd::SignalFd;

use super::{deliver, setting::Setting, signals, waiting};
use crate::{
    account::{
        engine::{Engine, Origin, Setup},
        event::{Event, EventKind, Moment, Subject},
        input::{Connection, Input, Limits, Listener, SocketOptions, Workers},
        journal::{self, Failed},
        modules::Modules,
        status,
    },
    capture, cli,
    config::{
        Accounting,
        gatekeeper::{self, Gatekeeper, Leniency},
    },
    exit::{Error, Exit, Result, exit_of},
    ledger::{self, Ledger},
    spool::{self, Lock, Spool},
    trust,
};

/// Octets of one file of the journal.
const SEGMENT: u64 = 64 << 20;

/// Events that are caught up at once for one module.
const CAUGHT_UP_AT_ONCE: usize = 16;

/// How often it is looked whether the journal still takes events.
const LOOK: Duration = Duration::from_millis(200);

pub fn run(cli: &cli::Cli, args: &cli::Account) -> Result<()> {
    // Before any thread is made: each inherits that signals wait for whoever asks.
    let signals = signals::hold()?;
    let mut setting = Setting::load(cli)?;
    if args.waiting {
        return waiting::show(&setting);
    }
    if !args.give_up.is_empty() {
        return waiting::give_up(&setting, &args.give_up, SEGMENT);
    }
    setting.config.accounting.lenient |= args.lenient;
    let accounting = &setting.config.accounting;
    let inputs = inputs(accounting, args)?;
    let (gatekeeper, links) = chain(accounting)?;
    let spool = Spool::prepare(&setting.config)?;
    let directory = journal::directory(&spool.state);
    trust::private_directory(&directory).map_err(|e| Error::file("make", &directory, &e))?;
    let lock = Lock::open_file(journal::lock_path(&spool.state))?;
    let Some(_locked) = lock.try_hold()? else {
        let holder = lock
            .holder()
            .map_or("another process".to_owned(), |pid| format!("process {pid}"));
        return Err(Error::new(
            Exit::Blocked,
            format!("{holder} does the accounting in {} already", spool.state.display()),
        ));
    };
    let setting = Arc::new(setting);
    let running = Running::start(&setting, &spool, &gatekeeper, links, &inputs, signals)?;
    running.until_the_end()
}

/// The chain of the configured ini.
fn chain(accounting: &Accounting) -> Result<(Gatekeeper, Modules)> {
    let Some(ini) = &accounting.gatekeeper_ini else {
        return Err(Error::new(Exit::Configuration, "no gatekeeper's ini is configured")
            .next("Set [accounting] gatekeeper-ini."));
    };
    let leniency = match accounting.lenient {
        true => Leniency::Lenient,
        false => Leniency::Strict,
    };
    let (gatekeeper, notices) = gatekeeper::load(ini, leniency)?;
    for notice in notices {
        tracing::warn!("{notice}");
    }
    let modules = Modules::new(&gatekeeper, accounting, ini)
        .map_err(|problems| Error::new(Exit::Configuration, problems.join("\n")))?;
    if modules.links.is_empty() {
        tracing::warn!(
            "{}: [Gatekeeper::Acct] names no module: events are kept nowhere",
            ini.display()
        );
    }
    Ok((gatekeeper, modules))
}

fn inputs(accounting: &Accounting, args: &cli::Account) -> Result<Vec<Input>> {
    let (texts, exit) = match args.input.is_empty() {
        true => (&accounting.inputs, Exit::Configuration),
        false => (&args.input, Exit::Usage),
    };
    if texts.is_empty() {
        return Err(Error::new(Exit::Usage, "there is no input")
            .next("Name one with --input, or in [accounting] inputs: stdin, unix:PATH, status:HOST:PORT."));
    }
    let mut inputs = Vec::new();
    for text in texts {
        let input = Input::parse(text).map_err(|reason| Error::new(exit, reason))?;
        if inputs.contains(&input) {
            return Err(Error::new(exit, format!("the input {text:?} is named twice")));
        }
        inputs.push(input);
    }
    Ok(inputs)
}

/// What wakes the main thread.
enum News {
    Signal,
    /// Standard input has ended, and everything is answered.
    StdinEnded(io::Result<()>),
}

/// Everything that runs.
struct Running {
    setting: Arc<Setting>,
    engine: Arc<Engine>,
    workers: Arc<Workers>,
    listeners: Vec<Listener>,
    clients: Vec<status::Client>,
    is_ending: Arc<AtomicBool>,
    news: Receiver<News>,
    reads_stdin: bool,
    ends_with_stdin: bool,
    says_on_and_off: bool,
}

impl Running {
    fn start(
        setting: &Arc<Setting>,
        spool: &Spool,
        gatekeeper: &Gatekeeper,
        modules: Modules,
        inputs: &[Input],
        signals: SignalFd,
    ) -> Result<Self> {
        let accounting = &setting.config.accounting;
        let engine = Engine::open(setup(setting, spool, gatekeeper, modules)).map_err(|e| stopped(setting, &e))?;
        let engine = Arc::new(engine);
        let workers = Workers::start(Arc::clone(&engine), accounting.workers.into())
            .map_err(|e| Error::new(Exit::Io, format!("cannot start threads: {e}")))?;
        let (tell, news) = mpsc::channel();
        let end = tell.clone();
        signals::listen(signals, "what is under way is logged at the next start", move || {
            let _ = end.send(News::Signal);
        });
        let mut running = Running {
            setting: Arc::clone(setting),
            engine,
            workers: Arc::new(workers),
            listeners: Vec::new(),
            clients: Vec::new(),
            is_ending: Arc::default(),
            news,
            reads_stdin: inputs.contains(&Input::Stdin),
            ends_with_stdin: inputs == [Input::Stdin],
            says_on_and_off: inputs == [Input::Stdin],
        };
        running.say(EventKind::On);
        for input in inputs {
            running.open(input, spool, &tell)?;
        }
        Ok(running)
    }

    fn open(&mut self, input: &Input, spool: &Spool, tell: &Sender<News>) -> Result<()> {
        match input {
            Input::Stdin => {
                let connection = Connection {
                    workers: Arc::clone(&self.workers),
                    is_ending: Arc::clone(&self.is_ending),
                    limits: Limits::default(),
                };
                let tell = tell.clone();
                thread::spawn(move || {
                    let served = connection.serve(io::stdin(), io::stdout());
                    let _ = tell.send(News::StdinEnded(served));
                });
            }
            Input::Unix(path) => {
                let accounting = &self.setting.config.accounting;
                let group = match &accounting.socket_group {
                    Some(name) => Some(
                        spool::group_id(name)
                            .map_err(|e| Error::new(Exit::Configuration, format!("[accounting] socket-group: {e}")))?,
                    ),
                    None => None,
                };
                let options = SocketOptions {
                    path: path.clone(),
                    mode: accounting.socket_mode.0,
                    group,
                    connections: accounting.connections.into(),
                    idle: accounting.idle_timeout.0,
                };
                let listener = Listener::start(options, Arc::clone(&self.workers), Arc::clone(&self.is_ending))
                    .map_err(|e| Error::file("listen at", path, &e))?;
                self.listeners.push(listener);
            }
            Input::Status(address) => {
                let options = self.client_options(address, spool)?;
                let sink = Arc::new(Sink {
                    setting: Arc::clone(&self.setting),
                    workers: Arc::clone(&self.workers),
                });
                let client = status::Client::start(address, options, sink)
                    .map_err(|reason| Error::new(Exit::Configuration, reason))?;
                self.clients.push(client);
            }
        }
        Ok(())
    }

    fn client_options(&self, address: &str, spool: &Spool) -> Result<status::ClientOptions> {
        let gatekeeper = &self.setting.config.accounting.gatekeeper;
        let password = match &gatekeeper.password {
            Some(secret) => secret.reveal().map_err(|reason| {
                Error::new(
                    Exit::Configuration,
                    format!("[accounting.gatekeeper] password: {reason}"),
                )
            })?,
            None => String::new(),
        };
        let name: String = address
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
            .collect();
        Ok(status::ClientOptions {
            login: status::client::Login {
                user: gatekeeper.user.clone(),
                password,
            },
            cdr_lines: gatekeeper.cdr_lines,
            memory: Some(journal::directory(&spool.state).join(format!("seen-{name}"))),
            timing: status::Timing {
                heartbeat: gatekeeper.heartbeat.0,
                ..status::Timing::default()
            },
            ..status::ClientOptions::default()
        })
    }

    /// `on` and `off` are the gatekeeper's own start and end. Only a program that runs as long as its standard input stands in
    /// for one: whoever comes by a socket, or a real gatekeeper, has starts and ends of its own, and RADIUS servers close
    /// every session when they hear of them.
    fn say(&self, kind: EventKind) {
        if !self.says_on_and_off {
            return;
        }
        let now = Utc::now();
        let event = Event {
            kind,
            uuid: None,
            time: Moment {
                seconds: now.timestamp(),
                micros: now.timestamp_subsec_micros(),
                zone: None,
            },
            gatekeeper: None,
            gatekeeper_ip: None,
            subject: Subject::Gatekeeper,
        };
        // As at the gatekeeper, the verdict does not matter.
        if let Err(e) = self.engine.submit(&event, Origin::Caller) {
            tracing::error!("{e}");
        }
    }

    fn until_the_end(mut self) -> Result<()> {
        let mut written = Ok(());
        loop {
            match self.news.recv_timeout(LOOK) {
                Ok(News::Signal) => break,
                Ok(News::StdinEnded(served)) => {
                    self.reads_stdin = false;
                    written = served;
                    if self.ends_with_stdin || written.is_err() {
                        break;
                    }
                }
                Err(_) => {}
            }
            if let Some(failed) = self.engine.failed() {
                // Callers are told before the connections break; nothing is lost by not waiting longer.
                self.is_ending.store(true, Ordering::Release);
                thread::sleep(LOOK);
                return Err(stopped(&self.setting, &failed));
            }
        }
        self.end()?;
        written.map_err(|e| Error::new(Exit::Io, format!("cannot answer on standard output: {e}")))
    }

    /// In this order: nothing new comes in, what is under way is answered, then all is brought to the disk.
    fn end(&mut self) -> Result<()> {
        self.is_ending.store(true, Ordering::Release);
        for client in self.clients.drain(..) {
            client.stop();
        }
        for listener in self.listeners.drain(..) {
            listener.end();
        }
        while self.reads_stdin {
            match self.news.recv() {
                Ok(News::Signal) => {}
                Ok(News::StdinEnded(_)) | Err(_) => self.reads_stdin = false,
            }
        }
        self.workers.end();
        self.say(EventKind::Off);
        self.engine.close().map_err(|e| stopped(&self.setting, &e))
    }
}

fn setup(setting: &Arc<Setting>, spool: &Spool, gatekeeper: &Gatekeeper, modules: Modules) -> Setup {
    let accounting = &setting.config.accounting;
    let state = spool.state.clone();
    let alarmed = Arc::clone(setting);
    let server = modules.server;
    Setup {
        directory: journal::directory(&spool.state),
        durability: accounting.sync,
        sync_interval: accounting.sync_interval.0,
        segment_octets: SEGMENT,
        gatekeeper: gatekeeper.name.clone(),
        update_interval: gatekeeper.update_interval,
        called_is_dialed_ip: gatekeeper.called_station_id_to_dialed_ip,
        links: modules.links,
        modules: modules.modules,
        file: modules.file,
        in_flight: CAUGHT_UP_AT_ONCE,
        alarm_octets: accounting.alarm_size.0,
        min_free: setting.config.spool.min_free.0,
        billed: Box::new(move |journal| {
            let ledger = Ledger::open_existing(&state).ok()?;
            capture::billed(&ledger.baseline(capture::CALLS).ok()??, journal)
        }),
        alarm: Box::new(move |reason| alarm(&alarmed, reason)),
        observe: server.map(|server| Box::new(move |event: &Event| server.observe(event)) as _),
    }
}

/// Managers hear of it as of a source that has failed.
fn alarm(setting: &Setting, reason: &str) {
    let event = ledger::Event::SourceFailed {
        source: capture::CALLS.to_owned(),
        reason: reason.to_owned(),
        at: Utc::now(),
    };
    let ledger = Ledger::open_existing(&setting.config.state_directory()).ok();
    deliver::at_once(ledger.as_ref(), setting, &[event]);
}

fn stopped(setting: &Setting, failed: &Failed) -> Error {
    alarm(setting, &format!("accounting has stopped: {failed}"));
    let error = io::Error::from(failed.kind);
    Error::new(exit_of(&error), failed.to_string()).next(
        "What was answered is safe. Find out what is wrong with the disk, then start accounting again: it begins by logging \
         what was under way.",
    )
}

/// Takes the events of a gatekeeper that is followed.
struct Sink {
    setting: Arc<Setting>,
    workers: Arc<Workers>,
}

impl status::Sink for Sink {
    fn event(&self, key: &str, event: &Event) -> std::result::Result<status::Taken, String> {
        match self.workers.take(key, event)? {
            true => Ok(status::Taken::Known),
            false => Ok(status::Taken::New),
        }
    }

    fn gap(&self, text: &str) {
        tracing::error!("{text}");
        alarm(&self.setting, text);
    }
}
