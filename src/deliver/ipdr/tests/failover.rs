//! Several collectors: who gets the document, and what becomes of it when that one fails.

use super::*;
use crate::protocol::ipdr::Failure;

/// How a collector can go.
#[derive(Debug, Clone, Copy)]
enum Way {
    Killed,
    HalfClosed,
    Disconnect,
    FlowStop,
    Hung,
    RepeatsItself,
}

#[test]
fn whatever_happens_to_the_active_collector_the_next_one_goes_on() {
    use Way::*;
    for way in [Killed, HalfClosed, Disconnect, FlowStop, Hung, RepeatsItself] {
        let without_return = Settings {
            hold_down: Duration::from_secs(600),
            ..settings(&[(1, 1), (2, 2), (3, 3)])
        };
        let mut stage = Stage::new(without_return, vec![session(1)]);
        let mut first = Collector::ready(&stage, 1);
        let mut second = Collector::ready(&stage, 2);
        let mut third = Collector::ready(&stage, 3);
        let id = stage.document(0, 500);
        assert_eq!(first.receive_start().document_id, id);
        first.receive_data(200);
        first.ack(99);
        first.receive_data(100);
        let expected = match way {
            Killed => {
                rustix::net::sockopt::set_socket_linger(&first.socket, Some(Duration::ZERO)).unwrap();
                drop(first);
                Failure::Disconnected
            }
            HalfClosed => {
                first.socket.shutdown(std::net::Shutdown::Write).unwrap();
                Failure::Disconnected
            }
            Disconnect => {
                first.send(0, Body::Disconnect);
                Failure::Disconnected
            }
            FlowStop => {
                let (reason, info) = (FlowStopReason::Normal, "maintenance".to_owned());
                first.send(1, Body::FlowStop { reason, info });
                Failure::FlowStopped
            }
            Hung => Failure::Stalled,
            RepeatsItself => {
                first.ack(99);
                first.ack(3);
                Failure::Stalled
            }
        };
        assert_eq!(stage.until_failed(), expected, "{way:?}");
        let start = second.receive_start();
        assert_eq!((start.document_id, start.first_sequence), (id, 100), "{way:?}");
        assert!(!start.is_primary);
        let (sequences, duplicates) = second.receive_data(200);
        assert_eq!(sequences, (100..300).collect::<Vec<_>>(), "{way:?}");
        assert_eq!(duplicates, sequences, "{way:?}");
        second.ack(299);
        let (sequences, duplicates) = second.receive_data(200);
        assert_eq!((sequences[199], duplicates.len()), (499, 0), "{way:?}");
        second.ack(499);
        assert_eq!(second.receive_stop(), SessionStopReason::EndOfData, "{way:?}");
        stage.until_delivered();
        // The third has nothing to do with all that.
        third.send(0, Body::GetSessions { request_id: 1 });
        assert!(
            matches!(third.receive().body, Body::GetSessionsResponse { .. }),
            "{way:?}"
        );
    }
}

#[test]
fn a_better_collector_gets_the_document_back() {
    let mut stage = Stage::new(settings(&[(1, 1), (2, 2)]), vec![session(1)]);
    let mut worse = Collector::ready(&stage, 2);
    stage.document(0, 100);
    worse.receive_start();
    worse.receive_data(100);
    worse.ack(49);
    let mut better = Collector::ready(&stage, 1);
    assert_eq!(worse.receive_stop(), SessionStopReason::HandingOff);
    let start = better.receive_start();
    assert_eq!((start.first_sequence, start.is_primary), (50, true));
    let (sequences, duplicates) = better.receive_data(50);
    assert_eq!((sequences.len(), duplicates.len()), (50, 50));
    let is_better = stage.until(|event| match event {
        Event::Started {
            collector, is_better, ..
        } if collector == "c1" => Some(*is_better),
        _ => None,
    });
    assert!(is_better);
    better.ack(99);
    assert_eq!(better.receive_stop(), SessionStopReason::EndOfData);
}

#[test]
fn a_better_collector_waits_for_the_hold_down() {
    let hold_down = Duration::from_millis(300);
    let with_hold_down = Settings {
        hold_down,
        ..settings(&[(1, 1), (2, 2)])
    };
    let mut stage = Stage::new(with_hold_down, vec![session(1)]);
    let mut worse = Collector::ready(&stage, 2);
    stage.document(0, 300);
    worse.receive_start();
    worse.receive_data(200);
    let mut better = Collector::ready(&stage, 1);
    let begin = Instant::now();
    better.receive_start();
    assert!(begin.elapsed() >= hold_down.mul_f32(0.9), "{:?}", begin.elapsed());
}

#[test]
fn at_the_begin_the_best_is_waited_for() {
    let patient = Settings {
        wait_for_best: Duration::from_secs(60),
        ..settings(&[(1, 1), (2, 2)])
    };
    let mut stage = Stage::new(patient, vec![session(1)]);
    let mut worse = Collector::ready(&stage, 2);
    stage.document(0, 5);
    stage.until(|event| matches!(event, Event::Ready { .. }).then_some(()));
    let mut best = Collector::ready(&stage, 1);
    assert_eq!(best.take_document().1, [0, 1, 2, 3, 4]);
    worse.send(0, Body::GetSessions { request_id: 1 });
    assert!(matches!(worse.receive().body, Body::GetSessionsResponse { .. }));
}

#[test]
fn the_order_of_priorities_can_be_the_other_one_and_each_session_its_own() {
    let descending = Settings {
        order: PriorityOrder::Descending,
        ..settings(&[(1, 1), (2, 2)])
    };
    let own = SessionSetting {
        collectors: Some(vec![(0, 9), (1, 3)]),
        ..session(2)
    };
    let of_one = SessionSetting {
        collectors: Some(vec![(0, 9)]),
        ..session(3)
    };
    let mut stage = Stage::new(descending, vec![session(1), own, of_one]);
    let mut first = Collector::connected(&stage, 1);
    let mut second = Collector::connected(&stage, 2);
    [1, 2, 3].iter().for_each(|id| first.start_flow(*id));
    [1, 2].iter().for_each(|id| second.start_flow(*id));
    second.send(3, Body::FlowStart);
    assert!(matches!(second.receive().body, Body::Error { .. }));
    for session in ["SAMIS-1", "SAMIS-2"] {
        let both = |event: &Event| matches!(event, Event::Ready { session: name, collector } if name == session && collector == "c2");
        stage.until(|event| both(event).then_some(()));
    }
    stage.document(0, 1);
    assert_eq!(second.receive().session_id, 1);
    stage.document(1, 1);
    assert_eq!(first.receive().session_id, 2);
}

#[test]
fn a_collector_that_takes_nothing_loses_the_document() {
    // What is under way is more than the sockets of both sides hold.
    let wide = SessionSetting {
        patience: Patience {
            window: 10_000_000,
            ..session(1).patience
        },
        ..session(1)
    };
    let without_return = Settings {
        hold_down: Duration::from_secs(600),
        ..settings(&[(1, 1), (2, 2)])
    };
    let mut stage = Stage::new(without_return, vec![wide]);
    let first = Collector::ready(&stage, 1);
    let mut second = Collector::ready(&stage, 2);
    stage.document(0, 400_000);
    assert_eq!(stage.until_failed(), Failure::Stalled);
    assert_eq!(second.receive_start().first_sequence, 0);
    let mut expected = 0;
    while expected < 400_000 {
        let Body::Data(data) = second.receive().body else {
            panic!()
        };
        assert_eq!(data.sequence, expected);
        expected += 1;
        if expected % 1000 == 0 {
            second.ack(data.sequence);
        }
    }
    assert_eq!(stage.until_delivered(), (400_000, 0));
    drop(first);
}

#[test]
fn a_collector_alone_is_better_than_none() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut only = Collector::ready(&stage, 1);
    stage.document(0, 300);
    only.receive_start();
    only.receive_data(200);
    assert_eq!(stage.until_failed(), Failure::Stalled);
    only.ack(199);
    only.receive_data(100);
    only.ack(299);
    assert_eq!(only.receive_stop(), SessionStopReason::EndOfData);
}

#[test]
fn when_nobody_is_there_documents_wait_and_go_in_their_order() {
    let mut stage = Stage::new(settings(&[(1, 1), (2, 2)]), vec![session(1)]);
    let documents: Vec<DocumentId> = (1..4).map(|records| stage.document(0, records)).collect();
    stage.until(|event| matches!(event, Event::Waiting { is_waiting: true, .. }).then_some(()));
    let mut collector = Collector::ready(&stage, 2);
    for (id, records) in documents.into_iter().zip(1..4) {
        assert_eq!(collector.take_document(), (id, (0..records).collect()));
    }
}

#[test]
fn after_a_restart_the_document_goes_on_and_what_may_have_been_sent_is_marked() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    let id = stage.document(0, 300);
    let waiting = stage.document(0, 2);
    collector.receive_start();
    collector.receive_data(200);
    collector.ack(9);
    collector.receive_data(10);
    stage.stop();
    let directory = std::mem::replace(&mut stage.directory, tempfile::tempdir().unwrap());
    drop(stage);
    let stage = Stage::at(directory, settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    let start = collector.receive_start();
    assert_eq!((start.document_id, start.first_sequence), (id, 10));
    let (sequences, duplicates) = collector.receive_data(200);
    assert_eq!((sequences.len(), duplicates.len()), (200, 200));
    collector.ack(209);
    collector.receive_data(90);
    collector.ack(299);
    collector.receive_stop();
    // Of this one nothing was sent before.
    assert_eq!(collector.take_document(), (waiting, vec![0, 1]));
}

#[test]
fn an_orderly_end_waits_for_the_last_acknowledgement_and_says_goodbye() {
    let mut stage = Stage::new(settings(&[(1, 1), (2, 2)]), vec![session(1)]);
    let mut active = Collector::ready(&stage, 1);
    let mut standby = Collector::ready(&stage, 2);
    stage.document(0, 300);
    active.receive_start();
    active.receive_data(200);
    stage.handle.stop();
    assert_eq!(active.receive_stop(), SessionStopReason::ExporterTerminating);
    active.ack(199);
    assert_eq!(active.receive().body, Body::Disconnect);
    assert_eq!(standby.receive().body, Body::Disconnect);
    assert_eq!((active.next(), standby.next()), (None, None));
    drop((active, standby));
    stage.stop();
    assert_eq!(stage.stores[0].oldest().unwrap().acknowledged, 200);
}

#[test]
fn an_end_takes_no_longer_than_it_may_whatever_collectors_do() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut hung = Collector::ready(&stage, 1);
    stage.document(0, 300);
    hung.receive_start();
    let begin = Instant::now();
    stage.stop();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[test]
fn records_that_cannot_be_read_are_told_and_the_others_arrive() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    stage.document(0, 50_000);
    let file = std::fs::read_dir(stage.directory.path().join("SAMIS-1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "ipdr"))
        .unwrap();
    let mut octets = std::fs::read(&file).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&file, octets).unwrap();
    let mut collector = Collector::ready(&stage, 1);
    collector.receive_start();
    let (mut received, mut last) = (0, None);
    loop {
        match collector.receive().body {
            Body::Data(data) => {
                received += 1;
                last = Some(data.sequence);
                if received % 50 == 0 || data.sequence == 49_999 || !collector.has_more() {
                    collector.ack(data.sequence);
                }
            }
            Body::SessionStop { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    let lost = stage.until(|event| match event {
        Event::Lost { records, .. } => Some(*records),
        _ => None,
    });
    assert!(lost > 0);
    assert_eq!((received + lost, last), (50_000, Some(49_999)));
    assert_eq!(stage.until_delivered(), (50_000, lost));
}
