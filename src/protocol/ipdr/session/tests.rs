//! A session with its collectors, told event by event.

use proptest::prelude::*;

use super::*;
use crate::protocol::ipdr::DocumentIdForm;

const A: Collector = Collector(0);
const B: Collector = Collector(1);
const C: Collector = Collector(2);

/// A session with three collectors, and what it wants done.
struct Stage {
    session: Session,
    now: Instant,
    actions: Vec<Action>,
}

impl Stage {
    fn new(window: u64) -> Stage {
        let mut session = Session::new(Patience {
            window,
            ..Patience::default()
        });
        assert_eq!([A, B, C].map(|_| session.add_collector()), [A, B, C]);
        Stage {
            session,
            now: Instant::now(),
            actions: Vec::new(),
        }
    }

    /// A document of so many records, all there, with A, B and C ready and A active.
    fn streaming(window: u64, records: u64) -> Stage {
        let mut stage = Stage::new(window);
        for collector in [A, B, C] {
            stage.ready(collector);
        }
        stage.session.open(document()).unwrap();
        stage.session.add(records).unwrap();
        stage.complete();
        assert_eq!(stage.activate(A), [start(A, 0)]);
        stage
    }

    fn ready(&mut self, collector: Collector) {
        assert_eq!(self.event(collector, Event::Connected), []);
        assert_eq!(self.event(collector, Event::FlowStart), [Action::Templates(collector)]);
        let ready = self.event(collector, Event::FinalTemplateDataAck);
        assert_eq!(ready, [Action::Ready(collector)]);
    }

    fn event(&mut self, collector: Collector, event: Event) -> Vec<Action> {
        self.session.handle(collector, event, self.now, &mut self.actions);
        std::mem::take(&mut self.actions)
    }

    fn activate(&mut self, collector: Collector) -> Vec<Action> {
        self.session.activate(collector, self.now, &mut self.actions).unwrap();
        std::mem::take(&mut self.actions)
    }

    fn complete(&mut self) -> Vec<Action> {
        self.session.complete(self.now, &mut self.actions).unwrap();
        std::mem::take(&mut self.actions)
    }

    fn ack(&mut self, collector: Collector, sequence: u64) -> Vec<Action> {
        self.event(collector, Event::DataAck { sequence })
    }

    /// Sends all that the window allows; which records, and which of them as duplicates.
    fn send(&mut self) -> (Vec<u64>, Vec<u64>) {
        let (mut sent, mut duplicates) = (Vec::new(), Vec::new());
        while let Some(next) = self.session.next_record() {
            sent.push(next.sequence);
            if next.is_duplicate {
                duplicates.push(next.sequence);
            }
            self.session.handle(
                next.collector,
                Event::Written {
                    sequence: next.sequence,
                },
                self.now,
                &mut self.actions,
            );
        }
        (sent, duplicates)
    }

    /// Lets the time go to the next deadline.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.session.deadline().expect("it waits for nothing");
        self.session.tick(self.now, &mut self.actions);
        std::mem::take(&mut self.actions)
    }
}

fn document() -> Document {
    Document::new(DocumentIdForm::TimeMac.make(0x5dbd_e3c4, 0, [0, 0, 0x5e, 0, 0x53, 0x10]))
}

fn start(collector: Collector, first_sequence: u64) -> Action {
    Action::Start {
        collector,
        first_sequence,
        dropped_records: 0,
    }
}

fn ignored(collector: Collector, ignored: Ignored) -> [Action; 1] {
    [Action::Ignored(collector, ignored)]
}

#[test]
fn a_document_goes_from_the_template_to_its_end() {
    let mut stage = Stage::streaming(200, 3);
    assert_eq!(
        (stage.session.state(A), stage.session.active()),
        (State::Active, Some(A))
    );
    assert_eq!(stage.send(), (vec![0, 1, 2], vec![]));
    assert_eq!(stage.ack(A, 1), [Action::Delivered { below: 2 }]);
    let end = [
        Action::Delivered { below: 3 },
        Action::Stop(A, SessionStopReason::EndOfData),
        Action::Done,
    ];
    assert_eq!(stage.ack(A, 2), end);
    assert_eq!((stage.session.state(A), stage.session.document()), (State::Ready, None));
    assert_eq!(stage.session.deadline(), None);
}

#[test]
fn a_document_without_records_begins_and_ends() {
    let mut stage = Stage::new(1);
    stage.ready(A);
    stage.session.open(document()).unwrap();
    assert_eq!(stage.activate(A), [start(A, 0)]);
    let end = [Action::Stop(A, SessionStopReason::EndOfData), Action::Done];
    assert_eq!(stage.complete(), end);
}

#[test]
fn the_next_document_waits_for_the_last_acknowledgement() {
    let mut stage = Stage::streaming(200, 2);
    stage.send();
    assert_eq!(stage.session.open(document()), Err(Refused::DocumentOpen));
    stage.ack(A, 1);
    assert_eq!(stage.session.open(document()), Ok(()));
    stage.session.add(1).unwrap();
    stage.activate(A);
    // The numbers begin again; an acknowledgement of the old document that comes late is beyond what was written.
    assert_eq!(stage.ack(A, 1), ignored(A, Ignored::NotWritten { sequence: 1 }));
    assert_eq!(stage.send(), (vec![0], vec![]));
    assert_eq!(stage.ack(A, 1), ignored(A, Ignored::NotWritten { sequence: 1 }));
}

#[test]
fn the_window_bounds_what_is_under_way() {
    for window in [1, 2, 200] {
        let mut stage = Stage::streaming(window, 1000);
        let mut next = 0;
        while next < 1000 {
            let expected: Vec<u64> = (next..1000.min(next + window)).collect();
            next += expected.len() as u64;
            assert_eq!(stage.send(), (expected, vec![]));
            assert_eq!(stage.ack(A, next - 1)[0], Action::Delivered { below: next });
        }
    }
}

#[test]
fn acknowledgements_out_of_order_move_only_forward() {
    let mut stage = Stage::streaming(200, 100);
    stage.send();
    let mut delivered = 0;
    for sequence in [11, 15, 19, 11, 3, 19] {
        let actions = stage.ack(A, sequence);
        if sequence >= delivered {
            delivered = sequence + 1;
            assert_eq!(actions, [Action::Delivered { below: delivered }]);
        } else {
            assert_eq!(actions, ignored(A, Ignored::Old { sequence }));
        }
    }
    assert_eq!(stage.session.document().unwrap().first_unacknowledged(), 20);
}

#[test]
fn an_acknowledgement_of_what_was_not_written_does_not_count() {
    let mut stage = Stage::streaming(200, 10);
    assert_eq!(stage.ack(A, 0), ignored(A, Ignored::NotWritten { sequence: 0 }));
    let given: Vec<u64> = std::iter::from_fn(|| stage.session.next_record())
        .map(|next| next.sequence)
        .collect();
    assert_eq!(given.len(), 10);
    assert_eq!(stage.ack(A, 0), ignored(A, Ignored::NotWritten { sequence: 0 }));
    stage.event(A, Event::Written { sequence: 4 });
    for sequence in [5, 9, 10, u64::MAX] {
        assert_eq!(stage.ack(A, sequence), ignored(A, Ignored::NotWritten { sequence }));
    }
    assert_eq!(stage.ack(A, 4), [Action::Delivered { below: 5 }]);
    // Nor does it help to report as written what was never given out.
    stage.event(A, Event::Written { sequence: 10 });
    assert_eq!(stage.ack(A, 10), ignored(A, Ignored::NotWritten { sequence: 10 }));
}

#[test]
fn whoever_takes_over_begins_with_the_oldest_record_that_is_not_acknowledged() {
    let mut stage = Stage::streaming(5, 10);
    assert_eq!(stage.send(), (vec![0, 1, 2, 3, 4], vec![]));
    stage.ack(A, 2);
    assert_eq!(
        stage.event(A, Event::Disconnected),
        [Action::Failed(A, Failure::Disconnected)]
    );
    let id = stage.session.document().unwrap().id();
    assert_eq!(stage.activate(B), [start(B, 3)]);
    assert_eq!(stage.send(), (vec![3, 4, 5, 6, 7], vec![3, 4]));
    assert_eq!(stage.ack(A, 7), ignored(A, Ignored::NotItsDocument));
    stage.ack(B, 7);
    assert_eq!(stage.session.document().unwrap().id(), id);
    assert_eq!(stage.send(), (vec![8, 9], vec![]));
}

#[test]
fn a_better_collector_takes_over_and_the_other_is_told() {
    let mut stage = Stage::streaming(4, 10);
    stage.send();
    stage.ack(A, 0);
    let switched = [Action::Stop(A, SessionStopReason::HandingOff), start(B, 1)];
    assert_eq!(stage.activate(B), switched);
    assert_eq!(
        (stage.session.state(A), stage.session.active()),
        (State::Ready, Some(B))
    );
    assert_eq!(stage.send(), (vec![1, 2, 3, 4], vec![1, 2, 3]));
    assert_eq!(stage.activate(B), []);
    // And back: what B had and A had are duplicates.
    let switched = [Action::Stop(B, SessionStopReason::HandingOff), start(A, 1)];
    assert_eq!(stage.activate(A), switched);
    assert_eq!(stage.send(), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    assert_eq!(stage.ack(B, 4), ignored(B, Ignored::NotItsDocument));
}

#[test]
fn flow_stop_ends_the_turn_and_flow_start_begins_with_templates() {
    let mut stage = Stage::streaming(4, 10);
    stage.send();
    assert_eq!(
        stage.event(A, Event::FlowStop),
        [Action::Failed(A, Failure::FlowStopped)]
    );
    assert_eq!(stage.session.state(A), State::Connected);
    assert_eq!(
        stage.session.activate(A, stage.now, &mut stage.actions),
        Err(Refused::NotReady)
    );
    assert_eq!(stage.event(A, Event::FlowStop), []);
    assert_eq!(stage.event(A, Event::FlowStart), [Action::Templates(A)]);
    assert_eq!(stage.event(A, Event::FlowStart), [Action::Templates(A)]);
    stage.event(A, Event::FinalTemplateDataAck);
    stage.activate(A);
    let restarted = [
        Action::Stop(A, SessionStopReason::RenegotiationRequired),
        Action::Failed(A, Failure::Restarted),
        Action::Templates(A),
    ];
    assert_eq!(stage.event(A, Event::FlowStart), restarted);
    assert_eq!(
        (stage.session.state(A), stage.session.active()),
        (State::Initiation, None)
    );
}

#[test]
fn templates_that_are_not_acknowledged_in_time_are_an_error_of_the_session() {
    let mut stage = Stage::new(1);
    let early = stage.event(A, Event::FinalTemplateDataAck);
    assert_eq!(early, []);
    stage.event(A, Event::Connected);
    let early = stage.event(A, Event::FinalTemplateDataAck);
    assert_eq!(early, [Action::SessionError(A, ErrorKind::InvalidForState)]);
    stage.event(A, Event::FlowStart);
    let begin = stage.now;
    assert_eq!(stage.wait(), [Action::SessionError(A, ErrorKind::TEMPLATE_ACK_EXPIRED)]);
    assert_eq!(stage.now - begin, Patience::default().template_ack);
    assert_eq!(
        (stage.session.state(A), stage.session.deadline()),
        (State::Connected, None)
    );
}

#[test]
fn a_collector_that_only_repeats_itself_has_stalled() {
    let mut stage = Stage::streaming(4, 10);
    stage.send();
    stage.ack(A, 1);
    let begin = stage.now;
    stage.now += Duration::from_secs(9);
    assert_eq!(stage.ack(A, 1), ignored(A, Ignored::Old { sequence: 1 }));
    stage.session.tick(stage.now, &mut stage.actions);
    assert_eq!(stage.actions, []);
    assert_eq!(stage.wait(), [Action::Failed(A, Failure::Stalled)]);
    assert_eq!(stage.now - begin, Patience::default().stall);
    // Nobody else is there: it stays, is not told again, and may come back to life.
    assert_eq!((stage.session.active(), stage.session.deadline()), (Some(A), None));
    assert_eq!(stage.ack(A, 3), [Action::Delivered { below: 4 }]);
    stage.send();
    assert!(stage.session.deadline().is_some());
    // Who has nothing to acknowledge is not late.
    stage.ack(A, 7);
    assert_eq!(stage.session.deadline(), None);
}

#[test]
fn the_last_acknowledgement_is_asked_for_and_counts_after_the_stop() {
    let mut stage = Stage::streaming(200, 10);
    stage.send();
    stage.ack(A, 7);
    assert_eq!(stage.wait(), [Action::Nudge(A)]);
    assert_eq!(stage.wait(), [Action::Stop(A, SessionStopReason::EndOfData)]);
    assert_eq!((stage.session.state(A), stage.session.active()), (State::Ready, None));
    assert_eq!(stage.session.open(document()), Err(Refused::DocumentOpen));
    assert_eq!(stage.ack(A, 7), ignored(A, Ignored::Old { sequence: 7 }));
    assert_eq!(stage.event(A, Event::FlowStop), []);
    assert_eq!(stage.ack(A, 9), [Action::Delivered { below: 10 }, Action::Done]);
}

#[test]
fn what_is_never_acknowledged_goes_to_somebody_else_as_duplicate() {
    let mut stage = Stage::streaming(200, 10);
    stage.send();
    stage.ack(A, 7);
    stage.wait();
    stage.wait();
    assert_eq!(stage.wait(), [Action::Failed(A, Failure::Unacknowledged)]);
    assert_eq!(stage.ack(A, 9), ignored(A, Ignored::NotItsDocument));
    assert_eq!(stage.activate(C), [start(C, 8)]);
    assert_eq!(stage.send(), (vec![8, 9], vec![8, 9]));
    assert_eq!(stage.ack(C, 9).last(), Some(&Action::Done));
}

#[test]
fn after_a_restart_what_may_have_been_sent_is_marked() {
    let mut stage = Stage::new(200);
    stage.ready(A);
    stage.session.open(Document::resumed(document().id(), 5, 3, 0)).unwrap();
    assert_eq!(stage.activate(A), [start(A, 3)]);
    stage.session.add(2).unwrap();
    assert_eq!(stage.send(), (vec![3, 4, 5, 6], vec![3, 4]));
}

#[test]
fn what_is_given_up_is_counted_and_told() {
    let mut stage = Stage::streaming(4, 10);
    stage.send();
    assert_eq!(stage.session.give_up(3, &mut stage.actions), 0);
    stage.event(A, Event::Disconnected);
    assert_eq!(stage.session.give_up(3, &mut stage.actions), 3);
    assert_eq!(std::mem::take(&mut stage.actions), [Action::Delivered { below: 3 }]);
    let start = Action::Start {
        collector: B,
        first_sequence: 3,
        dropped_records: 3,
    };
    assert_eq!(stage.activate(B), [start]);
    assert_eq!(stage.send(), (vec![3, 4, 5, 6], vec![3]));
    stage.event(B, Event::Disconnected);
    assert_eq!(stage.session.give_up(u64::MAX, &mut stage.actions), 7);
    assert_eq!(stage.actions.last(), Some(&Action::Done));
}

#[test]
fn what_cannot_be_read_is_left_out_and_counted_when_all_before_it_is_acknowledged() {
    let mut stage = Stage::streaming(4, 12);
    assert_eq!(stage.send(), (vec![0, 1, 2, 3], vec![]));
    stage.ack(A, 1);
    assert_eq!(stage.session.next_record().unwrap().sequence, 4);
    stage.session.skip(4, 10, &mut stage.actions);
    assert_eq!(stage.actions, []);
    // The window is full until what is before the gap is acknowledged.
    assert_eq!(stage.session.next_record(), None);
    assert_eq!(stage.ack(A, 3), [Action::Delivered { below: 10 }]);
    assert_eq!(stage.session.document().unwrap().dropped(), 6);
    assert_eq!(stage.send(), (vec![10, 11], vec![]));
    // Whoever goes on does not try again.
    stage.event(A, Event::Disconnected);
    let start = Action::Start {
        collector: B,
        first_sequence: 10,
        dropped_records: 6,
    };
    assert_eq!(stage.activate(B), [start]);
    assert_eq!(stage.send(), (vec![10, 11], vec![10, 11]));
    assert_eq!(stage.ack(B, 11).last(), Some(&Action::Done));
}

#[test]
fn a_document_whose_end_cannot_be_read_ends_before_it() {
    let mut stage = Stage::streaming(200, 12);
    stage.session.patience.window = 10;
    assert_eq!(stage.send().0.len(), 10);
    stage.ack(A, 9);
    let next = stage.session.next_record().unwrap();
    assert_eq!(next.sequence, 10);
    stage.session.skip(10, 12, &mut stage.actions);
    let end = [
        Action::Delivered { below: 12 },
        Action::Stop(A, SessionStopReason::EndOfData),
        Action::Done,
    ];
    assert_eq!(stage.actions, end);
}

#[test]
fn new_templates_go_to_all_and_wait_for_the_end_of_the_document() {
    let mut stage = Stage::streaming(4, 1);
    let now = stage.now;
    let refused = stage.session.templates_changed(now, &mut stage.actions);
    assert_eq!(refused, Err(Refused::DocumentOpen));
    stage.send();
    stage.ack(A, 0);
    stage.event(B, Event::Disconnected);
    stage.session.templates_changed(now, &mut stage.actions).unwrap();
    assert_eq!(stage.actions, [Action::Templates(A), Action::Templates(C)]);
    assert_eq!(stage.session.state(A), State::Initiation);
}

/// Something that may happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Event(usize, Event),
    /// Sends up to so many records, and writes so many of them.
    Send(usize, usize),
    Activate(usize),
    Wait(u64),
    GiveUp(u64),
    Complete,
}

fn step() -> impl Strategy<Value = Step> {
    let sequence = prop_oneof![8 => 0_u64..60, 1 => any::<u64>()];
    let event = prop_oneof![
        2 => Just(Event::Connected),
        1 => Just(Event::Disconnected),
        3 => Just(Event::FlowStart),
        1 => Just(Event::FlowStop),
        4 => Just(Event::FinalTemplateDataAck),
        12 => sequence.prop_map(|sequence| Event::DataAck { sequence }),
    ];
    prop_oneof![
        20 => (0..4_usize, event).prop_map(|(collector, event)| Step::Event(collector, event)),
        12 => (0..12_usize, 0..12_usize).prop_map(|(given, written)| Step::Send(given, written)),
        6 => (0..4_usize).prop_map(Step::Activate),
        4 => (0..20_u64).prop_map(Step::Wait),
        1 => (0..5_u64).prop_map(Step::GiveUp),
        1 => Just(Step::Complete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever happens: an acknowledged record was written to the one who acknowledged it, a record that may have been sent
    /// before is marked, none is left out, and whoever begins is told the right number.
    #[test]
    fn no_order_of_events_loses_a_record_or_hides_a_duplicate(
        window in 1_u64..20, records in 0_u64..50, steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut stage = Stage::new(window);
        for collector in [A, B, C] {
            stage.ready(collector);
        }
        stage.session.open(document()).unwrap();
        stage.session.add(records).unwrap();
        let (mut given, mut gone, mut turn): (u64, u64, Option<(Collector, u64, u64)>) = (0, 0, None);
        for step in steps {
            let now = stage.now;
            match step {
                Step::Event(collector, event) => {
                    stage.session.handle(Collector(collector), event, now, &mut stage.actions);
                }
                Step::Send(most, written) => {
                    for index in 0..most {
                        let Some(next) = stage.session.next_record() else { break };
                        let (collector, expected, below) = turn.expect("nobody was told to start");
                        prop_assert_eq!((next.collector, next.sequence), (collector, expected));
                        prop_assert_eq!(next.is_duplicate, next.sequence < given);
                        prop_assert!(next.sequence < gone + window);
                        given = given.max(next.sequence + 1);
                        let is_written = index < written && below == next.sequence;
                        turn = Some((collector, expected + 1, if is_written { expected + 1 } else { below }));
                        if is_written {
                            let event = Event::Written { sequence: next.sequence };
                            stage.session.handle(collector, event, now, &mut stage.actions);
                        }
                    }
                }
                Step::Activate(collector) => {
                    let _ = stage.session.activate(Collector(collector), now, &mut stage.actions);
                }
                Step::Wait(seconds) => {
                    stage.now += Duration::from_secs(seconds);
                    stage.session.tick(stage.now, &mut stage.actions);
                    prop_assert!(stage.session.deadline().is_none_or(|deadline| deadline > stage.now));
                }
                Step::GiveUp(most) => {
                    let given_up = stage.session.give_up(most, &mut stage.actions);
                    gone += given_up;
                    given = given.max(gone);
                    let told: Vec<_> = stage.actions.drain(..).collect();
                    prop_assert_eq!(given_up > 0, told.contains(&Action::Delivered { below: gone }));
                }
                Step::Complete => drop(stage.session.complete(now, &mut stage.actions)),
            }
            for action in stage.actions.drain(..) {
                match action {
                    Action::Start { collector, first_sequence, .. } => {
                        prop_assert_eq!(first_sequence, gone);
                        turn = Some((collector, first_sequence, first_sequence));
                    }
                    Action::Delivered { below } => {
                        let (_, _, written) = turn.expect("nobody was told to start");
                        prop_assert!(gone < below && below <= written);
                        gone = below;
                    }
                    Action::Done => prop_assert_eq!(gone, records),
                    _ => {}
                }
            }
            let active = [A, B, C].into_iter().filter(|one| stage.session.state(*one) == State::Active);
            prop_assert_eq!(active.collect::<Vec<_>>(), stage.session.active().into_iter().collect::<Vec<_>>());
        }
    }
}
