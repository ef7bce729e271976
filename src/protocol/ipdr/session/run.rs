//! The time for which one collector has the document: what was written to it, what it acknowledged, and when it has been
//! silent for too long.

use std::time::{Duration, Instant};

use super::{Action, Collector, Document, Failure, Ignored, Session, State};
use crate::protocol::ipdr::{ErrorKind, SessionStopReason};

#[derive(Debug)]
pub(super) struct Run {
    pub collector: Collector,
    pub phase: Phase,
    /// The record that is given out next.
    pub cursor: u64,
    /// Records below have gone to the socket.
    written: u64,
    /// When an acknowledgement advanced last, or, with none due, when the first record after it was written.
    pub last_move: Instant,
    /// Silence was told, and nothing has moved since.
    is_stalled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Streaming,
    /// Everything was written, and a KEEP_ALIVE was sent because the last acknowledgement is late.
    Nudged,
    /// SESSION_STOP was sent, and acknowledgements are still missing.
    Stopped,
}

impl Run {
    pub(super) fn new(collector: Collector, first: u64, now: Instant) -> Run {
        Run {
            collector,
            phase: Phase::Streaming,
            cursor: first,
            written: first,
            last_move: now,
            is_stalled: false,
        }
    }

    /// What cannot be sent counts as written once all before it is.
    pub(super) fn pass(&mut self, document: &Document) {
        self.written = document.behind_gaps(self.written).max(document.first_unacknowledged());
    }
}

impl Session {
    pub(super) fn written(&mut self, collector: Collector, sequence: u64, now: Instant) {
        let (Some(run), Some(document)) = (&mut self.run, &self.document) else {
            return;
        };
        if run.collector != collector || sequence < run.written || sequence >= run.cursor {
            return;
        }
        if run.written == document.first_unacknowledged() {
            run.last_move = now;
        }
        run.written = sequence + 1;
        run.pass(document);
        // The last octets may have waited long for the collector to read.
        if document.is_complete() && run.written == document.records() {
            run.last_move = now;
        }
    }

    pub(super) fn acknowledged(
        &mut self,
        collector: Collector,
        sequence: u64,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let (Some(run), Some(document)) = (&mut self.run, &mut self.document) else {
            actions.push(Action::Ignored(collector, Ignored::NotItsDocument));
            return;
        };
        let ignored = if run.collector != collector {
            Some(Ignored::NotItsDocument)
        } else if sequence < document.first_unacknowledged() {
            Some(Ignored::Old { sequence })
        } else if sequence >= run.written {
            Some(Ignored::NotWritten { sequence })
        } else {
            None
        };
        if let Some(ignored) = ignored {
            actions.push(Action::Ignored(collector, ignored));
            return;
        }
        document.acknowledge(sequence + 1);
        let below = document.first_unacknowledged();
        run.pass(document);
        run.last_move = now;
        run.is_stalled = false;
        if run.phase == Phase::Nudged {
            run.phase = Phase::Streaming;
        }
        actions.push(Action::Delivered { below });
        self.end_if_done(actions);
    }

    /// When [`Session::tick`] has something to do, if nothing happens before. It may be past.
    pub fn deadline(&self) -> Option<Instant> {
        let templates = self.flows.iter().filter_map(|flow| flow.template_deadline);
        templates.chain(self.run_deadline()).min()
    }

    /// It is `now`.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for (index, flow) in self.flows.iter_mut().enumerate() {
            if flow.template_deadline.take_if(|deadline| *deadline <= now).is_some() {
                flow.state = State::Connected;
                actions.push(Action::SessionError(Collector(index), ErrorKind::TEMPLATE_ACK_EXPIRED));
            }
        }
        if self.run_deadline().is_some_and(|deadline| deadline <= now) {
            self.step(now, actions);
        }
    }

    fn run_deadline(&self) -> Option<Instant> {
        let (run, document) = (self.run.as_ref()?, self.document.as_ref()?);
        if run.written == document.first_unacknowledged() {
            return None;
        }
        let patience = &self.patience;
        let wait = match run.phase {
            Phase::Streaming if self.is_all_written() => patience.ack_time.saturating_add(patience.grace),
            Phase::Streaming if run.is_stalled => return None,
            Phase::Streaming | Phase::Stopped => patience.stall,
            Phase::Nudged => patience.grace,
        };
        run.last_move.checked_add(wait.max(Duration::from_nanos(1)))
    }

    fn is_all_written(&self) -> bool {
        matches!((&self.run, &self.document), (Some(run), Some(document))
            if document.is_complete() && run.written == document.records())
    }

    fn step(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_all_written = self.is_all_written();
        let Some(run) = &mut self.run else {
            return;
        };
        let collector = run.collector;
        run.last_move = now;
        match run.phase {
            Phase::Streaming if is_all_written => {
                run.phase = Phase::Nudged;
                actions.push(Action::Nudge(collector));
            }
            Phase::Streaming => {
                run.is_stalled = true;
                actions.push(Action::Failed(collector, Failure::Stalled));
            }
            Phase::Nudged => {
                run.phase = Phase::Stopped;
                self.flows[collector.0].state = State::Ready;
                actions.push(Action::Stop(collector, SessionStopReason::EndOfData));
            }
            Phase::Stopped => {
                self.run = None;
                actions.push(Action::Failed(collector, Failure::Unacknowledged));
            }
        }
    }
}
