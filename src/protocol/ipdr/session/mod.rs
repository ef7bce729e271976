//! One session and its collectors: events in, actions out, the time as a parameter.
//!
//! Each collector of the session is in one of these states (IPDR/SP 2.1 §2.12):
//!
//! | state | what leads out of it |
//! |---|---|
//! | disconnected | the exchange of CONNECT: connected |
//! | connected | FLOW_START: TEMPLATE_DATA is sent, initiation |
//! | initiation | its acknowledgement: ready. None in time: an error of the session, connected |
//! | ready | [`Session::activate`]: SESSION_START, active |
//! | active | end of document, or another collector is activated: SESSION_STOP, ready |
//! | any | FLOW_STOP: connected. The connection ends: disconnected |
//!
//! At most one is active. Who shall be is not decided here: [`Action::Ready`] and [`Action::Failed`] tell when to choose.
//!
//! What is promised of the numbers:
//!
//! * A record counts as delivered only if the collector that has the document acknowledged it, or one behind it, after its
//!   octets were written to the socket. Some collectors acknowledge record 0 before they have it, repeat old numbers, go
//!   back, or name numbers that do not exist: none of that moves anything.
//! * Whoever gets the document next begins with the first record that is not acknowledged, and each record that may have been
//!   sent before, to whomever, is marked as duplicate.
//! * DATA_ACK does not say of which document it is. So the next one is opened only when all is acknowledged or given up,
//!   and a document that has ended still takes acknowledgements after its SESSION_STOP.

mod document;
mod run;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use document::Document;
use run::{Phase, Run};

use super::{ErrorKind, SessionStopReason};

/// A collector of the session, by the order in which it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collector(pub usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Disconnected,
    Connected,
    Initiation,
    Ready,
    Active,
}

/// How long is waited for a collector, and how much may be under way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The acknowledgement of templates.
    pub template_ack: Duration,
    /// `ackTimeInterval`: after this time a collector shall acknowledge what it has.
    pub ack_time: Duration,
    /// What is added for the way there and back.
    pub grace: Duration,
    /// Written records without an acknowledgement that advances. Longer than `ack_time` and two times `grace`, or each
    /// collector that acknowledges late counts as failed.
    pub stall: Duration,
    /// Records that may be under way. A multiple of what the collector is told as `ackSequenceInterval`, or each window
    /// costs a way there and back.
    pub window: u64,
}

/// The times of the reference exporter.
impl Default for Patience {
    fn default() -> Patience {
        Patience {
            template_ack: Duration::from_secs(15),
            ack_time: Duration::from_secs(1),
            grace: Duration::from_secs(2),
            stall: Duration::from_secs(10),
            window: 200,
        }
    }
}

/// What happened to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// CONNECT and CONNECT_RESPONSE were exchanged.
    Connected,
    /// The connection has ended: closed, DISCONNECT, a general ERROR, silence.
    Disconnected,
    FlowStart,
    FlowStop,
    FinalTemplateDataAck,
    DataAck {
        sequence: u64,
    },
    /// All DATA that [`Session::next_record`] gave out, up to this record, has gone to the socket.
    Written {
        sequence: u64,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send TEMPLATE_DATA.
    Templates(Collector),
    /// Send SESSION_START.
    Start {
        collector: Collector,
        first_sequence: u64,
        dropped_records: u64,
    },
    /// Send SESSION_STOP.
    Stop(Collector, SessionStopReason),
    /// Send KEEP_ALIVE: some collectors acknowledge when something comes, and not by a clock.
    Nudge(Collector),
    /// Send a session ERROR; the connection stays.
    SessionError(Collector, ErrorKind),
    /// The collector can be chosen from now on.
    Ready(Collector),
    /// The collector that had the document is to be replaced. It may be the one that is chosen again.
    Failed(Collector, Failure),
    /// The records below this number need not be kept any more.
    Delivered { below: u64 },
    /// An acknowledgement did not count. For the log.
    Ignored(Collector, Ignored),
    /// The document is delivered; the next one can be opened.
    Done,
}

/// Why a collector does not go on with the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Disconnected,
    FlowStopped,
    /// It began anew, and must acknowledge the templates first.
    Restarted,
    /// Records were written, and no acknowledgement advanced. It is still active: if nobody else is ready, it is better
    /// than none.
    Stalled,
    /// The document has ended, and it has not acknowledged the rest.
    Unacknowledged,
}

/// Why an acknowledgement did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The collector does not have the document.
    NotItsDocument,
    /// Acknowledged before.
    Old { sequence: u64 },
    /// Of a record that was not written to this collector.
    NotWritten { sequence: u64 },
}

/// What cannot be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the last document is still being delivered")]
    DocumentOpen,
    #[error("there is no document")]
    NoDocument,
    #[error("the collector is not ready")]
    NotReady,
}

/// The record to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub collector: Collector,
    pub sequence: u64,
    pub is_duplicate: bool,
}

/// A session of an exporter.
#[derive(Debug)]
pub struct Session {
    patience: Patience,
    flows: Vec<Flow>,
    document: Option<Document>,
    run: Option<Run>,
}

#[derive(Debug)]
struct Flow {
    state: State,
    /// Until when templates must be acknowledged, in [`State::Initiation`].
    template_deadline: Option<Instant>,
}

impl Session {
    pub fn new(patience: Patience) -> Session {
        Session {
            patience,
            flows: Vec::new(),
            document: None,
            run: None,
        }
    }

    pub fn add_collector(&mut self) -> Collector {
        self.flows.push(Flow {
            state: State::Disconnected,
            template_deadline: None,
        });
        Collector(self.flows.len() - 1)
    }

    /// [`State::Disconnected`] for a collector that was never added.
    pub fn state(&self, collector: Collector) -> State {
        self.flows
            .get(collector.0)
            .map_or(State::Disconnected, |flow| flow.state)
    }

    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// The collector that gets records now.
    pub fn active(&self) -> Option<Collector> {
        let run = self.run.as_ref()?;
        (run.phase != Phase::Stopped).then_some(run.collector)
    }

    /// The collector that has the document: the active one, or one that has got its SESSION_STOP and may still acknowledge.
    pub fn holder(&self) -> Option<Collector> {
        self.run.as_ref().map(|run| run.collector)
    }

    /// Whether records were given out to the collector that has the document, and are not acknowledged.
    pub fn is_owed(&self) -> bool {
        matches!((&self.run, &self.document), (Some(run), Some(document))
            if run.cursor > document.first_unacknowledged())
    }

    /// # Errors
    /// While a document is open: an interval that falls due then is skipped.
    pub fn open(&mut self, document: Document) -> Result<(), Refused> {
        if self.document.is_some() {
            return Err(Refused::DocumentOpen);
        }
        self.document = Some(document);
        Ok(())
    }

    /// There are so many more records in the document.
    ///
    /// # Errors
    /// When there is no document.
    pub fn add(&mut self, records: u64) -> Result<(), Refused> {
        let document = self.document.as_mut().ok_or(Refused::NoDocument)?;
        document.add(records);
        Ok(())
    }

    /// There will be no more records in the document.
    pub fn complete(&mut self, now: Instant, actions: &mut Vec<Action>) -> Result<(), Refused> {
        let document = self.document.as_mut().ok_or(Refused::NoDocument)?;
        document.complete();
        if let Some(run) = &mut self.run {
            run.last_move = now;
        }
        self.end_if_done(actions);
        Ok(())
    }

    /// Gives up the oldest records and returns how many. While a collector has the document they are on their way, and
    /// none is given up.
    pub fn give_up(&mut self, records: u64, actions: &mut Vec<Action>) -> u64 {
        let Some(document) = self.document.as_mut().filter(|_| self.run.is_none()) else {
            return 0;
        };
        let given_up = document.give_up(records);
        if given_up > 0 {
            let below = document.first_unacknowledged();
            actions.push(Action::Delivered { below });
        }
        self.end_if_done(actions);
        given_up
    }

    /// Gives the document to `collector`. Another one that has it is stopped. One that has it and is active keeps it.
    ///
    /// # Errors
    /// When there is no document, or the collector is not ready for it.
    pub fn activate(&mut self, collector: Collector, now: Instant, actions: &mut Vec<Action>) -> Result<(), Refused> {
        let document = self.document.as_ref().ok_or(Refused::NoDocument)?;
        match self.state(collector) {
            State::Active => return Ok(()),
            State::Ready => {}
            State::Disconnected | State::Connected | State::Initiation => return Err(Refused::NotReady),
        }
        let first_sequence = document.first_unacknowledged();
        let dropped_records = document.dropped();
        self.stop(SessionStopReason::HandingOff, actions);
        self.flows[collector.0].state = State::Active;
        self.run = Some(Run::new(collector, first_sequence, now));
        actions.push(Action::Start {
            collector,
            first_sequence,
            dropped_records,
        });
        self.end_if_done(actions);
        Ok(())
    }

    /// The record to send next to the active collector, if there is one and the window allows it. Each is given once:
    /// the caller must send it, or report [`Event::Disconnected`].
    #[inline]
    pub fn next_record(&mut self) -> Option<Outgoing> {
        let (run, document) = (self.run.as_mut()?, self.document.as_mut()?);
        let sequence = document.behind_gaps(run.cursor);
        let is_under_way = sequence - document.first_unacknowledged();
        if run.phase != Phase::Streaming || sequence >= document.records() || is_under_way >= self.patience.window {
            return None;
        }
        let is_duplicate = sequence < document.sent;
        run.cursor = sequence + 1;
        document.sent = document.sent.max(run.cursor);
        Some(Outgoing {
            collector: run.collector,
            sequence,
            is_duplicate,
        })
    }

    /// The records from `from` on and before `to` cannot be read: they are given up, and nobody gets them. Their sequence
    /// numbers are missing, and count as dropped once all before them are acknowledged. `from` is the record that
    /// [`Session::next_record`] gave out last.
    pub fn skip(&mut self, from: u64, to: u64, actions: &mut Vec<Action>) {
        let Some(document) = &mut self.document else { return };
        let before = document.first_unacknowledged();
        document.lose(from, to);
        if let Some(run) = &mut self.run {
            run.cursor = document.behind_gaps(run.cursor);
            run.pass(document);
        }
        let below = document.first_unacknowledged();
        if below > before {
            actions.push(Action::Delivered { below });
        }
        self.end_if_done(actions);
    }

    /// Templates have changed: every collector that has them gets the new ones and must acknowledge them.
    ///
    /// # Errors
    /// While a document is open: its records are of the old templates.
    pub fn templates_changed(&mut self, now: Instant, actions: &mut Vec<Action>) -> Result<(), Refused> {
        if self.document.is_some() {
            return Err(Refused::DocumentOpen);
        }
        for index in 0..self.flows.len() {
            if !matches!(self.flows[index].state, State::Disconnected | State::Connected) {
                self.send_templates(Collector(index), now, actions);
            }
        }
        Ok(())
    }

    /// Something happened to a collector. Events of collectors that were never added are ignored.
    pub fn handle(&mut self, collector: Collector, event: Event, now: Instant, actions: &mut Vec<Action>) {
        let Some(flow) = self.flows.get_mut(collector.0) else {
            return;
        };
        match (event, flow.state) {
            (Event::Connected, State::Disconnected) => flow.state = State::Connected,
            // A second connection takes the place of the first.
            (Event::Connected, _) => {
                self.leave(collector, State::Connected, Failure::Disconnected, actions);
            }
            (Event::Disconnected, _) => self.leave(collector, State::Disconnected, Failure::Disconnected, actions),
            (Event::FlowStart, State::Connected | State::Initiation | State::Ready) => {
                self.send_templates(collector, now, actions);
            }
            (Event::FlowStart, State::Active) => {
                actions.push(Action::Stop(collector, SessionStopReason::RenegotiationRequired));
                self.leave(collector, State::Initiation, Failure::Restarted, actions);
                self.send_templates(collector, now, actions);
            }
            (Event::FlowStop, State::Initiation | State::Ready | State::Active) => {
                self.flow_stopped(collector, actions);
            }
            (Event::FinalTemplateDataAck, State::Initiation) => {
                flow.state = State::Ready;
                flow.template_deadline = None;
                actions.push(Action::Ready(collector));
            }
            (Event::FinalTemplateDataAck, State::Connected) => {
                actions.push(Action::SessionError(collector, ErrorKind::InvalidForState));
            }
            (Event::DataAck { sequence }, _) => self.acknowledged(collector, sequence, now, actions),
            (Event::Written { sequence }, _) => self.written(collector, sequence, now),
            (
                Event::FlowStart | Event::FlowStop | Event::FinalTemplateDataAck,
                State::Disconnected | State::Connected | State::Ready | State::Active,
            ) => {}
        }
    }

    fn send_templates(&mut self, collector: Collector, now: Instant, actions: &mut Vec<Action>) {
        let flow = &mut self.flows[collector.0];
        flow.state = State::Initiation;
        flow.template_deadline = now.checked_add(self.patience.template_ack);
        actions.push(Action::Templates(collector));
    }

    /// A collector that has got its SESSION_STOP may still acknowledge: some stop their flow first.
    fn flow_stopped(&mut self, collector: Collector, actions: &mut Vec<Action>) {
        let is_stopped = |run: &Run| run.collector == collector && run.phase == Phase::Stopped;
        if self.run.as_ref().is_some_and(is_stopped) {
            self.flows[collector.0].state = State::Connected;
        } else {
            self.leave(collector, State::Connected, Failure::FlowStopped, actions);
        }
    }

    /// The collector is in `state` now, and if it had the document, it has not any more.
    fn leave(&mut self, collector: Collector, state: State, failure: Failure, actions: &mut Vec<Action>) {
        let flow = &mut self.flows[collector.0];
        flow.state = state;
        flow.template_deadline = None;
        if self.run.take_if(|run| run.collector == collector).is_some() {
            actions.push(Action::Failed(collector, failure));
        }
    }

    /// Takes the document from whoever has it, and tells it if it does not know yet.
    fn stop(&mut self, reason: SessionStopReason, actions: &mut Vec<Action>) {
        let Some(run) = self.run.take().filter(|run| run.phase != Phase::Stopped) else {
            return;
        };
        self.flows[run.collector.0].state = State::Ready;
        actions.push(Action::Stop(run.collector, reason));
    }

    fn end_if_done(&mut self, actions: &mut Vec<Action>) {
        if self.document.take_if(|document| document.is_done()).is_some() {
            self.stop(SessionStopReason::EndOfData, actions);
            actions.push(Action::Done);
        }
    }
}
