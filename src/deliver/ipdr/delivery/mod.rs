//! One session: its documents out of the store, its state machine, and the choice of the collector.
//!
//! The store has the documents, in their order; [`Session`] has the numbers of the one that is being delivered; the
//! connections have the octets. What the session wants done is done here.

mod act;
mod documents;
mod negotiation;
mod status;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{
    Encoding, Event, SessionSetting,
    choice::{Candidate, Rank, Rules, choose},
    feed::{Feed, Stopped},
    links::Around,
    store::{Store, Stored},
};
use crate::protocol::ipdr::{
    Action, Body, Collector, Event as SessionEvent, Failure, NotStreamable, Session, SessionBlock, SessionStopReason,
    State, Template,
};

/// How long to wait after the disk could not be read or written.
const AGAIN: Duration = Duration::from_secs(2);

/// How often the same trouble is told.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Delivery {
    index: usize,
    pub setting: SessionSetting,
    pub store: Store,
    session: Session,
    /// By peer.
    candidates: Vec<Candidate>,
    /// Who has the documents, or had the last one.
    incumbent: Option<usize>,
    /// Since when the incumbent has done well with a document.
    in_office_since: Option<Instant>,
    look_again: Option<Instant>,
    document: Option<Stored>,
    /// Records of it that could not be read.
    lost: u64,
    feed: Feed,
    /// Something has happened that [`Delivery::turn`] has not seen.
    needs_turn: bool,
    /// When the active collector counts as hung, if it takes nothing until then.
    hangs_at: Option<Instant>,
    /// The store may have something new.
    must_look: bool,
    /// The store did not work: when to try again.
    again_at: Option<Instant>,
    /// Which trouble was told last, and when.
    told: Option<(String, Instant)>,
    /// Delivered, and the store does not know yet.
    done: Option<u64>,
    /// Acknowledgements have moved, and the store does not know yet.
    is_moved: bool,
    moved_at: Option<DateTime<Utc>>,
    /// All fields switched on.
    whole: Arc<Template>,
    /// What collectors have, and acknowledge.
    encoding: Encoding,
    /// For documents that are not begun.
    wanted: Encoding,
    /// The last that was given.
    last_config_id: u16,
    /// The exporter has not told others of it.
    is_wanted_new: bool,
    /// Templates have changed: the incumbent is waited for until it has acknowledged them.
    awaits_incumbent: bool,
    /// What SESSION_STOP is to say in place of what the session says.
    stop_reason: Option<SessionStopReason>,
    /// It is negotiating, and must not get the templates again that it has just asked for.
    asker: Option<usize>,
    is_waiting: bool,
    delivered: (u64, u64),
    actions: Vec<Action>,
}

impl Delivery {
    pub(super) fn new(
        index: usize,
        setting: SessionSetting,
        store: Store,
        ranks: &[Option<Rank>],
    ) -> Result<Delivery, NotStreamable> {
        let whole = Template::of(setting.definition, setting.template_id, setting.names.clone())?;
        let encoding = Encoding {
            config_id: 0,
            template: Arc::new(whole),
        };
        let used = store.documents().iter().map(|stored| stored.config_id).max();
        let mut session = Session::new(setting.patience);
        let candidate = |rank: &Option<Rank>| {
            session.add_collector();
            Candidate {
                rank: *rank,
                ..Candidate::default()
            }
        };
        let candidates = ranks.iter().map(candidate).collect();
        Ok(Delivery {
            index,
            setting,
            store,
            session,
            candidates,
            incumbent: None,
            in_office_since: None,
            look_again: None,
            document: None,
            lost: 0,
            feed: Feed::default(),
            needs_turn: true,
            hangs_at: None,
            must_look: true,
            again_at: None,
            told: None,
            done: None,
            is_moved: false,
            moved_at: None,
            whole: Arc::clone(&encoding.template),
            wanted: encoding.clone(),
            encoding,
            last_config_id: used.unwrap_or(0),
            is_wanted_new: true,
            awaits_incumbent: false,
            stop_reason: None,
            asker: None,
            is_waiting: false,
            delivered: (0, 0),
            actions: Vec::new(),
        })
    }

    /// How documents are to be encoded that are begun from now on, once each time that it changes.
    pub(super) fn take_encoding(&mut self) -> Option<Encoding> {
        std::mem::take(&mut self.is_wanted_new).then(|| self.wanted.clone())
    }

    /// Whether the session is for this collector.
    pub(super) fn is_for(&self, peer: usize) -> bool {
        self.candidates.get(peer).is_some_and(|one| one.rank.is_some())
    }

    pub(super) fn state(&self, peer: usize) -> State {
        self.session.state(Collector(peer))
    }

    pub(super) fn active(&self) -> Option<usize> {
        self.session.active().map(|collector| collector.0)
    }

    /// Whether records went to this collector that it has not acknowledged.
    pub(super) fn is_owed_by(&self, peer: usize) -> bool {
        let document = self.session.document();
        self.active() == Some(peer)
            && document.is_some_and(|document| document.first_unacknowledged() < document.sent())
    }

    pub(super) fn block(&self) -> SessionBlock {
        SessionBlock {
            session_id: self.setting.id,
            kind: self.setting.kind,
            name: self.setting.name.clone(),
            description: self.setting.description.clone(),
            ack_seconds: self.ack_seconds(),
            ack_records: self.setting.ack_records,
        }
    }

    /// For GET_TEMPLATES.
    pub(super) fn templates(&self, request_id: u16) -> Body {
        Body::GetTemplatesResponse {
            request_id,
            config_id: self.encoding.config_id,
            templates: vec![(*self.encoding.template).clone()],
        }
    }

    /// Something happened to a collector.
    pub(super) fn handle(&mut self, peer: usize, event: SessionEvent, around: &mut Around) {
        self.session
            .handle(Collector(peer), event, around.now, &mut self.actions);
        self.needs_turn |= !matches!(event, SessionEvent::Written { .. });
        if matches!(event, SessionEvent::Connected | SessionEvent::Disconnected) {
            self.candidates[peer].in_doubt_since = None;
        }
        self.perform(around);
        self.note_readiness(around.now);
    }

    /// The store has something new.
    pub(super) fn look(&mut self) {
        self.must_look = true;
    }

    /// We are ending: whoever has the document is told, and gets no more of it.
    pub(super) fn say_farewell(&mut self, around: &mut Around) {
        if let Some(peer) = self.active() {
            self.send_stop(peer, SessionStopReason::ExporterTerminating, around);
        }
    }

    /// What was acknowledged goes to the store.
    pub(super) fn settle(&mut self, around: &mut Around) {
        self.note_acknowledged(around);
        if self.again_at.is_none() {
            self.settle_done(around);
        }
    }

    /// Another collector has taken the place of this guest.
    pub(super) fn forget(&mut self, peer: usize) {
        if let Some(candidate) = self.candidates.get_mut(peer) {
            candidate.failures = 0;
        }
    }

    /// What is due: deadlines, new documents, another collector.
    pub(super) fn turn(&mut self, rules: &Rules, around: &mut Around) {
        let now = around.now;
        self.needs_turn = false;
        self.session.tick(now, &mut self.actions);
        self.perform(around);
        self.note_hang(around);
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.must_look = true;
        }
        if self.must_look && self.again_at.is_none() {
            self.take_documents(around);
        }
        self.note_readiness(now);
        self.choose(rules, around);
        self.note_acknowledged(around);
    }

    /// Whether [`Delivery::turn`] has something to do at once.
    pub(super) fn needs_turn(&self) -> bool {
        self.needs_turn
    }

    /// When [`Delivery::turn`] has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.session.deadline(), self.look_again, self.again_at, self.hangs_at];
        deadlines.into_iter().flatten().min()
    }

    /// Gives the active collector's connection records, as many as it takes. Whether there may be more.
    pub(super) fn fill(&mut self, around: &mut Around) -> bool {
        let (Some(active), Some(document)) = (self.session.active(), &mut self.document) else {
            return false;
        };
        if self.again_at.is_some() {
            return false;
        }
        // Before the first record goes out: after a restart they may all be duplicates.
        if !document.is_started
            && let Err(error) = self.store.note_started(document.number)
        {
            self.trouble(&error, around);
            return false;
        }
        document.is_started = true;
        let Some(connection) = around.links.of_peer(active.0) else {
            return false;
        };
        let before = connection.wire.appended();
        let session = (self.index, self.setting.id);
        let stopped = self.feed.fill(connection, session, document, &self.store, || {
            self.session.next_record()
        });
        if connection.wire.appended() > before {
            connection.queued(around.now);
        }
        match stopped {
            Stopped::Enough => false,
            Stopped::Portion => true,
            Stopped::Damaged(damaged) => {
                let records = damaged.to.saturating_sub(damaged.from);
                self.lost = self.lost.saturating_add(records);
                around.tell(&Event::Lost {
                    session: self.setting.name.clone(),
                    document: document.id,
                    records,
                    reason: damaged.reason,
                });
                self.session.skip(damaged.from, damaged.to, &mut self.actions);
                self.needs_turn = true;
                self.perform(around);
                true
            }
            Stopped::Trouble(error) => {
                self.trouble(&error, around);
                false
            }
        }
    }

    fn choose(&mut self, rules: &Rules, around: &mut Around) {
        self.look_again = None;
        // Between SESSION_STOP and the last acknowledgement nobody else is asked.
        let is_ending = self.session.holder().is_some() && self.session.active().is_none();
        if self.session.document().is_none() || is_ending {
            return;
        }
        if self.awaits_incumbent {
            let state = self.incumbent.map(|peer| self.state(peer));
            self.awaits_incumbent = state == Some(State::Initiation);
            if self.awaits_incumbent {
                return;
            }
        }
        let random = RandomState::new().build_hasher().finish();
        let rules = Rules {
            penance: self.setting.patience.stall,
            ..*rules
        };
        let choice = choose(&self.candidates, self.incumbent, &rules, around.now, random);
        self.look_again = choice.look_again;
        if let Some(peer) = choice.take {
            // Whoever is not ready any more is told of below.
            let _ = self.session.activate(Collector(peer), around.now, &mut self.actions);
            self.perform(around);
            self.end_if_complete(around);
        }
        let is_waiting = self.session.active().is_none() && choice.take.is_none();
        if is_waiting != self.is_waiting {
            self.is_waiting = is_waiting;
            around.tell(&Event::Waiting {
                session: self.setting.name.clone(),
                is_waiting,
            });
        }
    }

    /// A collector whose connection takes nothing is not late with acknowledgements of what it never got. It hangs all
    /// the same.
    fn note_hang(&mut self, around: &mut Around) {
        self.hangs_at = None;
        let Some(Collector(peer)) = self.session.active() else {
            return;
        };
        let queueing = around.links.of_peer(peer).filter(|one| one.wire.queued() > 0);
        let Some(connection) = queueing.filter(|_| self.candidates[peer].in_doubt_since.is_none()) else {
            return;
        };
        let at = connection.moved + self.setting.patience.stall;
        if at > around.now {
            self.hangs_at = Some(at);
            return;
        }
        self.actions.push(Action::Failed(Collector(peer), Failure::Stalled));
        self.perform(around);
    }

    fn note_readiness(&mut self, now: Instant) {
        for (peer, candidate) in self.candidates.iter_mut().enumerate() {
            match self.session.state(Collector(peer)) {
                State::Ready | State::Active => {
                    candidate.ready_since.get_or_insert(now);
                }
                State::Disconnected | State::Connected | State::Initiation => candidate.ready_since = None,
            }
        }
    }

    /// The disk: it is tried again soon, and told now and then.
    fn trouble(&mut self, error: &dyn std::fmt::Display, around: &mut Around) {
        self.again_at = Some(around.now + AGAIN);
        let reason = error.to_string();
        let is_told = |(told, at): &(String, Instant)| *told == reason && *at + TOLD_AGAIN > around.now;
        if self.told.as_ref().is_some_and(is_told) {
            return;
        }
        self.told = Some((reason.clone(), around.now));
        around.tell(&Event::StoreTrouble {
            session: self.setting.name.clone(),
            reason,
        });
    }

    fn ack_seconds(&self) -> u32 {
        let seconds = self.setting.patience.ack_time.as_secs_f64().ceil();
        (seconds as u32).max(1)
    }
}
