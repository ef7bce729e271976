//! `billdrop ipdr`: an exporter of IPDR/SP. Sessions are captured by a thread each, kept in stores, and streamed to the best
//! collector by one more.
//!
//! SIGTERM and SIGINT: each collector hears that the exporter ends, then the process does. A second one, or SIGKILL: at
//! once. Nothing is lost either way: what was not acknowledged is sent again, marked as duplicate.

mod clock;
mod encode;
mod look;
mod memory;
mod news;
mod round;
mod session;
mod settings;
mod standing;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use chrono::Utc;

use super::{print, setting::Setting, signals};
use crate::{
    capture, cli,
    config::{Ipdr, IpdrKind},
    deliver::ipdr::{CannotBegin, Exporter, Inbox, store, store::Store},
    exit::{Error, Exit, Result},
    ledger::{Event, Gap, GapKind},
    spool::{Lock, Spool},
};
pub(super) use look::look;
use memory::Memory;
use news::{Desk, Listener, News, Told};
use session::{Common, Worker};
use settings::{Planned, sessions, settings};
pub(super) use settings::{chosen, definition};
use standing::Capture;
pub(super) use standing::Shown;

/// How long a start waits for another billdrop.
const START: Duration = Duration::from_secs(600);

pub fn run(cli: &cli::Cli, args: &cli::Ipdr) -> Result<()> {
    if let Some(session) = &args.request {
        return request(cli, session);
    }
    // Before any thread is made: each inherits that signals wait for whoever asks.
    let signals = signals::hold()?;
    let setting = Arc::new(Setting::load_with_devices(cli)?);
    let ipdr = configured(&setting)?;
    let planned = sessions(&setting.config, &ipdr)?;
    let exported = settings(&ipdr)?;
    let spool = Spool::prepare(&setting.config)?;
    store::prepare(&spool.state)?;
    let lock = Lock::open_file(store::lock_path(&spool.state))?;
    let Some(_locked) = lock.try_hold()? else {
        let holder = lock
            .holder()
            .map_or("another process".to_owned(), |pid| format!("process {pid}"));
        return Err(Error::new(
            Exit::Blocked,
            format!(
                "{holder} exports from {} already",
                store::directory(&spool.state).display()
            ),
        ));
    };
    let memory = Memory::open(&setting, &spool)?;
    let stores = open_stores(&setting, &spool, &memory, &planned)?;
    let mac = memory.with(START, |ledger| setting.mac(Some(ledger)))?;
    let inbox = Inbox::new().map_err(|e| Error::new(Exit::Io, format!("cannot make an eventfd: {e}")))?;
    let handle = inbox.handle();
    let (sender, receiver) = mpsc::channel();
    let told = Arc::new(Told::new(planned.iter().map(capture_of).collect(), sender));
    let paired = planned
        .iter()
        .map(|planned| planned.setting.clone())
        .zip(stores.iter().cloned());
    let exporter = Exporter::new(exported, paired.collect(), inbox, Box::new(Listener(Arc::clone(&told))))
        .map_err(cannot_begin)?;
    let common = Arc::new(Common {
        setting,
        ipdr,
        memory,
        mac,
        stores,
        handle: handle.clone(),
        told: Arc::clone(&told),
        is_ending: Arc::new(AtomicBool::new(false)),
    });
    let workers = planned
        .into_iter()
        .enumerate()
        .map(|(index, planned)| worker(&common, index, planned));
    let workers: Vec<Worker> = workers.collect::<Result<_>>()?;
    let desk = Desk::new(Arc::clone(&common), receiver);
    let desk = start("desk", move || desk.run())?;
    let end = handle.clone();
    signals::listen(
        signals,
        "what was not acknowledged is sent again at the next start",
        move || end.stop(),
    );
    let is_broken = Arc::new(AtomicBool::new(false));
    for worker in workers {
        let (handle, is_broken) = (handle.clone(), Arc::clone(&is_broken));
        start(&format!("session {}", worker.name()), move || {
            // Else a session would end without a word, while everything else looks well.
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                is_broken.store(true, Ordering::Release);
                handle.stop();
            }
        })?;
    }
    let exported = exporter.run();
    common.is_ending.store(true, Ordering::Release);
    told.tell(News::End);
    let _ = desk.join();
    if is_broken.load(Ordering::Acquire) {
        return Err(Error::new(Exit::Internal, "a session has ended; please report it")
            .next("Nothing is lost; start it again."));
    }
    exported.map_err(|e| Error::new(Exit::Io, format!("cannot wait for sockets: {e}")))
}

fn configured(setting: &Setting) -> Result<Ipdr> {
    setting.config.ipdr.clone().ok_or_else(|| {
        Error::new(Exit::Configuration, "no session is configured")
            .next("A table [ipdr] in billdrop.toml has sessions and collectors.")
    })
}

/// Opens what waits, and brings the ledger what it has missed.
fn open_stores(setting: &Setting, spool: &Spool, memory: &Memory, planned: &[Planned]) -> Result<Vec<Store>> {
    let mut stores = Vec::new();
    for planned in planned {
        let name = &planned.session.name;
        let (store, troubles) = Store::open(&store::directory(&spool.state).join(name))?;
        for trouble in troubles {
            let (reason, at) = (format!("session {name}: {trouble}"), Utc::now());
            tracing::error!("{reason}");
            let gap = Gap::new(GapKind::RecordsLost, at, &reason);
            let sequence = trouble.number.unwrap_or(0);
            memory.note(setting, &[gap], &[Event::Gap { sequence, reason, at }]);
        }
        memory.with(START, |ledger| {
            for missed in store.baselines_after(ledger.streamed(name)?)? {
                tracing::info!(
                    "session {name}: the ledger had not heard of document {} yet",
                    missed.place.0
                );
                ledger.note_streamed(name, missed.place, &missed.baselines)?;
            }
            Ok(())
        })?;
        let waiting = store.waiting();
        if waiting.documents > 0 {
            tracing::info!(
                "session {name}: {} documents wait with {} records",
                waiting.documents,
                waiting.records
            );
        }
        stores.push(store);
    }
    warn_of_others(spool, planned);
    Ok(stores)
}

/// Documents of sessions that are no longer configured wait for ever.
fn warn_of_others(spool: &Spool, planned: &[Planned]) {
    let Ok(entries) = fs::read_dir(store::directory(&spool.state)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_known = planned.iter().any(|planned| *planned.session.name == *name);
        let has_documents = fs::read_dir(entry.path()).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|e| e == "ipdr")))
        });
        if !is_known && has_documents {
            tracing::warn!(
                "documents wait in {}, and no session has this name: configure it again until they are delivered",
                entry.path().display()
            );
        }
    }
}

fn capture_of(planned: &Planned) -> Capture {
    Capture {
        session: planned.session.name.clone(),
        kind: match planned.session.kind {
            IpdrKind::TimeInterval => "time-interval",
            IpdrKind::Event => "event",
            IpdrKind::AdHoc => "ad-hoc",
        }
        .to_owned(),
        ..Capture::default()
    }
}

fn worker(common: &Arc<Common>, index: usize, planned: Planned) -> Result<Worker> {
    let open = |source| capture::open(source, &common.setting.config).map_err(|e| Error::new(Exit::Configuration, e));
    Ok(Worker {
        sources: planned.sources.iter().map(open).collect::<Result<_>>()?,
        store: common.stores[index].clone(),
        common: Arc::clone(common),
        index,
        planned,
        failing: BTreeMap::new(),
        broken: None,
        unnoted: Mutex::default(),
    })
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>> {
    // Names of threads have fifteen octets; what is longer is cut.
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|e| Error::new(Exit::Io, format!("cannot start a thread: {e}")))
}

fn cannot_begin(e: CannotBegin) -> Error {
    let exit = match &e {
        CannotBegin::Listen(_) => Exit::Unavailable,
        CannotBegin::Tls(_) | CannotBegin::Session { .. } => Exit::Configuration,
    };
    Error::new(exit, e.to_string())
}

/// Leaves word for the exporter that runs.
fn request(cli: &cli::Cli, session: &str) -> Result<()> {
    let setting = Setting::load(cli)?;
    let ipdr = configured(&setting)?;
    let Some(found) = ipdr.session.iter().find(|known| known.name == *session) else {
        let known: Vec<&str> = ipdr.session.iter().map(|known| known.name.as_str()).collect();
        return Err(Error::new(
            Exit::Usage,
            format!("there is no session {session:?}; configured: {}", known.join(", ")),
        ));
    };
    if found.kind != IpdrKind::AdHoc {
        return Err(Error::new(
            Exit::Usage,
            format!(
                "session {session} makes its documents by itself; only those of kind \"ad-hoc\" can be asked for one"
            ),
        ));
    }
    let state = setting.config.state_directory();
    let lock = store::lock_path(&state);
    let is_running = lock.exists() && Lock::open_file(lock)?.try_hold()?.is_none();
    if !is_running {
        return Err(Error::new(
            Exit::Unavailable,
            "no billdrop ipdr is running with this state directory",
        )
        .next("Start it, or name the right configuration with --config."));
    }
    let path = session::request_path(&state, session);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options.open(&path).map_err(|e| Error::file("write", &path, &e))?;
    print(|out| writeln!(out, "session {session}: a document was asked for"))
}
