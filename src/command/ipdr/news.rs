//! What the exporter and the sessions have to say: to the log, to managers, to `billdrop status`.
//!
//! The exporter's thread must not wait for a disk or a manager, so it hands its events over; a thread of its own writes the
//! status file, keeps the ledger and sends notifications.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{
    super::deliver,
    session::Common,
    standing::{Capture, Standing},
};
use crate::{
    deliver::ipdr::{self, Snapshot, Watch, store},
    ledger::{Event, Gap, GapKind},
};

/// How often is looked whether something is to be written or alarmed.
const TICK: Duration = Duration::from_millis(250);

/// The status file is not written more often.
const BETWEEN_WRITES: Duration = Duration::from_millis(500);

/// Nor, while anything lives, less often: who reads it knows by that whether we live.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How often notifications that nobody has got yet are tried again, as far as they are due.
const BETWEEN_DELIVERIES: Duration = Duration::from_secs(60);

/// Something to be done by the thread that has time.
pub enum News {
    Exporter(ipdr::Event),
    /// Gaps for the ledger, events for the managers.
    Note {
        gaps: Vec<Gap>,
        events: Vec<Event>,
    },
    End,
}

/// What everybody tells.
pub struct Told {
    sender: Sender<News>,
    board: Mutex<Board>,
}

/// How things stand.
#[derive(Default)]
struct Board {
    snapshot: Snapshot,
    captures: Vec<Capture>,
    /// Sessions for which a collector has got ready.
    ready: Vec<bool>,
    /// Sessions whose store has no room.
    full: Vec<bool>,
    is_changed: bool,
}

/// Listens to the exporter.
pub struct Listener(pub Arc<Told>);

impl Watch for Listener {
    fn event(&self, event: &ipdr::Event) {
        if let ipdr::Event::Ready { session, .. } = event {
            let mut board = self.0.board();
            let place = board.captures.iter().position(|capture| capture.session == *session);
            if let Some(index) = place {
                board.ready[index] = true;
            }
        }
        self.0.tell(News::Exporter(event.clone()));
    }

    fn snapshot(&self, snapshot: &Snapshot) {
        let mut board = self.0.board();
        board.snapshot = snapshot.clone();
        board.is_changed = true;
    }
}

impl Told {
    pub fn new(captures: Vec<Capture>, sender: Sender<News>) -> Told {
        let many = captures.len();
        let board = Board {
            captures,
            ready: vec![false; many],
            full: vec![false; many],
            is_changed: true,
            ..Board::default()
        };
        Told {
            sender,
            board: Mutex::new(board),
        }
    }

    pub fn tell(&self, news: News) {
        // Nobody listens any more at the very end.
        let _ = self.sender.send(news);
    }

    pub fn due(&self, index: usize, due: Option<DateTime<Utc>>) {
        let mut board = self.board();
        board.is_changed |= board.captures[index].due != due;
        board.captures[index].due = due;
    }

    pub fn came(&self, index: usize, at: DateTime<Utc>, records: u64) {
        let mut board = self.board();
        let capture = &mut board.captures[index];
        (capture.last, capture.last_records) = (Some(at), records);
        board.is_changed = true;
    }

    pub fn skipped(&self, index: usize, many: u64) {
        let mut board = self.board();
        let skipped = &mut board.captures[index].skipped;
        *skipped = skipped.saturating_add(many);
        board.is_changed = true;
    }

    /// Whether there is room; says whether that is new.
    pub fn room(&self, index: usize, has_room: bool) -> bool {
        let mut board = self.board();
        std::mem::replace(&mut board.full[index], !has_room) == has_room
    }

    /// Whether a collector has got ready for this session since the last time.
    pub fn take_ready(&self, index: usize) -> bool {
        std::mem::take(&mut self.board().ready[index])
    }

    /// The collector that takes a document of this session now.
    pub fn active(&self, session: &str) -> Option<String> {
        let board = self.board();
        let session = board.snapshot.sessions.iter().find(|status| status.name == session)?;
        session.active.clone()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that has time.
pub struct Desk {
    pub common: Arc<Common>,
    pub receiver: Receiver<News>,
    /// Why a session's collector failed last.
    failures: HashMap<String, String>,
    /// Sessions whose documents nobody takes, since when, and whether managers know.
    waiting: HashMap<String, (Instant, bool)>,
    is_full_told: bool,
    written: Option<Instant>,
    delivered: Instant,
}

impl Desk {
    pub fn new(common: Arc<Common>, receiver: Receiver<News>) -> Desk {
        Desk {
            common,
            receiver,
            failures: HashMap::new(),
            waiting: HashMap::new(),
            is_full_told: false,
            written: None,
            delivered: Instant::now(),
        }
    }

    /// Until the end is told; everything that was told before is done then.
    pub fn run(mut self) {
        loop {
            match self.receiver.recv_timeout(TICK) {
                Ok(News::Exporter(event)) => self.exporter(&event),
                Ok(News::Note { gaps, events }) => self.note(&gaps, &events),
                Ok(News::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.alarm();
            self.write(false);
            self.deliver();
        }
        self.write(true);
    }

    fn exporter(&mut self, event: &ipdr::Event) {
        use ipdr::Event as E;
        match event {
            E::Lost { .. } | E::StoreTrouble { .. } => tracing::error!("{event}"),
            E::Refused { .. } | E::CannotConnect { .. } | E::Failed { .. } | E::PeerError { .. } => {
                tracing::warn!("{event}");
            }
            E::Waiting { is_waiting: true, .. } => tracing::warn!("{event}"),
            _ => tracing::info!("{event}"),
        }
        let at = Utc::now();
        match event {
            E::Failed { session, .. } => {
                self.failures.insert(session.clone(), event.to_string());
            }
            E::Started {
                session,
                collector,
                instead_of: Some(other),
                is_better,
                ..
            } => {
                let failure = self.failures.remove(session);
                let reason = match (is_better, failure) {
                    (true, _) => format!("it is better than {other}, and is back"),
                    (false, Some(failure)) => format!("in place of {other}: {failure}"),
                    (false, None) => format!("in place of {other}"),
                };
                let event = Event::CollectorSwitched {
                    session: session.clone(),
                    collector: collector.clone(),
                    reason,
                    at,
                };
                self.note(&[], &[event]);
            }
            E::Lost { session, .. } => {
                let sequence = self
                    .store(session)
                    .and_then(store::Store::oldest)
                    .map_or(0, |oldest| oldest.number);
                let reason = event.to_string();
                let gap = Gap::new(GapKind::RecordsLost, at, &reason);
                self.note(&[gap], &[Event::Gap { sequence, reason, at }]);
            }
            E::Waiting { session, is_waiting } => match is_waiting {
                true => {
                    self.waiting.entry(session.clone()).or_insert((Instant::now(), false));
                }
                false => {
                    if let Some((_, true)) = self.waiting.remove(session) {
                        let destination = format!("ipdr/{session}");
                        self.note(&[], &[Event::DestinationRecovered { destination, at }]);
                    }
                }
            },
            _ => {}
        }
    }

    fn store(&self, session: &str) -> Option<&store::Store> {
        let index = self
            .common
            .ipdr
            .session
            .iter()
            .position(|known| known.name == session)?;
        self.common.stores.get(index)
    }

    fn note(&self, gaps: &[Gap], events: &[Event]) {
        self.common.memory.note(&self.common.setting, gaps, events);
    }

    /// What managers have not got yet.
    fn deliver(&mut self) {
        if self.delivered.elapsed() < BETWEEN_DELIVERIES || self.common.setting.config.managers.is_empty() {
            return;
        }
        self.delivered = Instant::now();
        let setting = &self.common.setting;
        // Another billdrop that has the lock delivers by itself.
        let delivered = self.common.memory.with(Duration::ZERO, |ledger| {
            deliver::due(ledger, setting);
            Ok(())
        });
        if let Err(e) = delivered {
            tracing::debug!("notifications are sent later: {e}");
        }
    }

    fn alarm(&mut self) {
        let at = Utc::now();
        let patience = self.common.ipdr.alarm_after.0;
        let late: Vec<String> = self
            .waiting
            .iter_mut()
            .filter(|(_, (since, is_told))| !is_told && since.elapsed() >= patience)
            .map(|(session, (_, is_told))| {
                *is_told = true;
                session.clone()
            })
            .collect();
        for session in late {
            let waiting = self.store(&session).map(store::Store::waiting).unwrap_or_default();
            let event = Event::DestinationFailed {
                destination: format!("ipdr/{session}"),
                pending: u32::try_from(waiting.documents).unwrap_or(u32::MAX),
                reason: "no collector is ready".to_owned(),
                at,
            };
            tracing::error!("session {session}: no collector is ready; what waits is kept");
            self.note(&[], &[event]);
        }
        let all: Vec<store::Waiting> = self.common.stores.iter().map(store::Store::waiting).collect();
        let octets: u64 = all.iter().map(|waiting| waiting.octets).sum();
        let is_full = octets >= self.common.ipdr.store_alarm.0;
        if is_full != self.is_full_told {
            self.is_full_told = is_full;
            let destination = "ipdr".to_owned();
            let event = match is_full {
                true => {
                    let size = bytesize::ByteSize(octets).display().iec();
                    let reason = format!("what waits takes {size}, more than store-alarm");
                    tracing::error!("ipdr: {reason}");
                    let documents = all.iter().map(|waiting| waiting.documents).sum::<u64>();
                    Event::DestinationFailed {
                        destination,
                        pending: u32::try_from(documents).unwrap_or(u32::MAX),
                        reason,
                        at,
                    }
                }
                false => Event::DestinationRecovered { destination, at },
            };
            self.note(&[], &[event]);
        }
    }

    /// The status file, when something has changed or it would seem that we do not live.
    fn write(&mut self, has_ended: bool) {
        let age = self.written.map(|at| at.elapsed());
        let standing = {
            let mut board = self.common.told.board();
            let is_due = match age {
                None => true,
                Some(age) => (board.is_changed && age >= BETWEEN_WRITES) || age >= SIGN_OF_LIFE,
            };
            if !is_due && !has_ended {
                return;
            }
            board.is_changed = false;
            Standing {
                process: std::process::id(),
                has_ended,
                written: Utc::now(),
                exporter: board.snapshot.clone(),
                captures: board.captures.clone(),
            }
        };
        self.written = Some(Instant::now());
        let path = status_path(&self.common.setting.config.state_directory());
        if let Err(e) = replace(&path, &standing) {
            tracing::warn!("cannot write {}: {e}", path.display());
        }
    }
}

/// Where the status file lies.
pub fn status_path(state: &Path) -> PathBuf {
    store::directory(state).join("status.json")
}

fn replace(path: &Path, standing: &Standing) -> io::Result<()> {
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_vec_pretty(standing)?)?;
    fs::rename(new, path)
}
