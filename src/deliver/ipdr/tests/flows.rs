//! One collector: what is said, in which order, and what comes of it.

use super::*;
use crate::protocol::ipdr::{ErrorKind, Request, Template, Templates};

#[test]
fn a_document_goes_to_its_collector_and_is_gone_when_it_is_acknowledged() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::connected(&stage, 1);
    collector.send(0, Body::GetSessions { request_id: 0x1000 });
    let Body::GetSessionsResponse { request_id, sessions } = collector.receive().body else {
        panic!()
    };
    assert_eq!((request_id, sessions.len()), (0x1000, 1));
    assert_eq!(
        (sessions[0].session_id, sessions[0].kind),
        (1, SessionKind::TimeInterval)
    );
    assert_eq!((sessions[0].ack_seconds, sessions[0].ack_records), (1, 50));
    collector.send(1, Body::GetTemplates { request_id: 7 });
    let Body::GetTemplatesResponse { templates, .. } = collector.receive().body else {
        panic!()
    };
    assert_eq!((templates[0].template_id, templates[0].fields.len()), (13, 28));
    collector.start_flow(1);
    let id = stage.document(0, 1000);
    let start = collector.receive_start();
    assert_eq!(
        (start.document_id, start.first_sequence, start.dropped_records),
        (id, 0, 0)
    );
    assert!(start.is_primary);
    // The window is 200.
    for round in 0..5 {
        let (sequences, duplicates) = collector.receive_data(200);
        assert_eq!(sequences, (round * 200..(round + 1) * 200).collect::<Vec<u64>>());
        assert_eq!(duplicates, Vec::<u64>::new());
        collector.ack(round * 200 + 199);
    }
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
    assert_eq!(stage.until_delivered(), (1000, 0));
    let next = stage.document(0, 3);
    assert_eq!(collector.take_document(), (next, vec![0, 1, 2]));
    stage.until_delivered();
    stage.stop();
    assert_eq!(stage.stores[0].waiting().documents, 0);
}

#[test]
fn several_sessions_go_over_one_connection() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1), session(2), session(9)]);
    let mut collector = Collector::connected(&stage, 1);
    for id in [1, 2, 9] {
        collector.start_flow(id);
    }
    for session in 0..3 {
        stage.document(session, 150);
    }
    let mut received = std::collections::BTreeMap::<u8, u64>::new();
    let mut ended = 0;
    while ended < 3 {
        let message = collector.receive();
        let id = message.session_id;
        match message.body {
            Body::SessionStart(start) => assert_eq!(start.first_sequence, 0),
            Body::Data(data) => {
                assert_eq!(data.sequence, *received.entry(id).or_default());
                received.insert(id, data.sequence + 1);
                if data.sequence == 149 {
                    let sequence = data.sequence;
                    collector.send(id, Body::DataAck { config_id: 0, sequence });
                }
            }
            Body::SessionStop { .. } => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, [(1, 150), (2, 150), (9, 150)].into());
}

#[test]
fn an_interval_without_a_record_is_told_too() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let id = stage.document(0, 0);
    let mut collector = Collector::ready(&stage, 1);
    assert_eq!(collector.receive_start().document_id, id);
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
    assert_eq!(stage.until_delivered(), (0, 0));
    // What waits behind it follows at once.
    let waiting: Vec<DocumentId> = [0, 3, 0, 0, 2].map(|records| stage.document(0, records)).to_vec();
    let got: Vec<DocumentId> = (0..5).map(|_| collector.take_document().0).collect();
    assert_eq!(got, waiting);
}

#[test]
fn the_records_of_an_event_session_come_as_they_are_made() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    let encoding = stage.handle.encoding(0).unwrap();
    let store = &stage.stores[0];
    let meta = store::Meta {
        id: DocumentId::from_bytes([7; 16]),
        created: Utc::now(),
        config_id: encoding.config_id,
        template: encoding.template,
    };
    let mut writing = store.begin(meta).unwrap();
    writing.push(&0_u64.to_be_bytes()).unwrap();
    let number = writing.seal(false, &[]).unwrap().number;
    stage.handle.changed(0);
    collector.receive_start();
    assert_eq!(collector.receive_data(1).0, [0]);
    collector.ack(0);
    for sequence in 1..4_u64 {
        let mut writing = store.extend(number).unwrap();
        writing.push(&sequence.to_be_bytes()).unwrap();
        writing.seal(false, &[]).unwrap();
        stage.handle.changed(0);
        assert_eq!(collector.receive_data(1).0, [sequence]);
        collector.ack(sequence);
    }
    store.complete(number).unwrap();
    stage.handle.changed(0);
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
    assert_eq!(stage.until_delivered(), (4, 0));
}

#[test]
fn a_late_last_acknowledgement_counts_after_the_stop() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    stage.document(0, 10);
    collector.receive_start();
    collector.receive_data(10);
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
    // Others have nothing to wait for: the next document does not begin.
    stage.document(0, 1);
    collector.ack(9);
    assert_eq!(stage.until_delivered(), (10, 0));
    assert_eq!(collector.take_document().1, [0]);
}

#[test]
fn acknowledgements_of_what_was_not_sent_do_not_count() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    collector.ack(0);
    stage.document(0, 300);
    collector.receive_start();
    collector.receive_data(200);
    collector.ack(u64::MAX);
    collector.ack(299);
    collector.ack(199);
    assert_eq!(collector.receive_data(100).0[99], 299);
    collector.ack(150);
    collector.ack(299);
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
}

#[test]
fn who_writes_0_for_its_only_session_is_answered_so() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(7)]);
    let mut collector = Collector::connected(&stage, 1);
    collector.start_flow(0);
    stage.document(0, 2);
    let start = collector.receive();
    assert!(matches!((start.session_id, start.body), (0, Body::SessionStart(_))));
    let data = collector.receive();
    assert!(matches!((data.session_id, data.body), (0, Body::Data(_))));
    collector.receive();
    collector.send(
        0,
        Body::DataAck {
            config_id: 0,
            sequence: 1,
        },
    );
    assert_eq!(collector.receive_stop(), SessionStopReason::EndOfData);
}

#[test]
fn to_ask_for_templates_of_session_0_changes_nothing_for_the_rest() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(7)]);
    let mut collector = Collector::connected(&stage, 1);
    collector.send(0, Body::GetTemplates { request_id: 3 });
    assert_eq!(collector.receive().session_id, 7);
    collector.start_flow(7);
}

#[test]
fn what_cannot_be_done_is_answered_and_the_connection_stays() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::connected(&stage, 1);
    let request = Request {
        template_id: 1,
        config_id: 0,
        flags: 0,
        number: 1,
        content: vec![1, 2, 3],
    };
    let questions = [
        (9, Body::FlowStart, ErrorKind::UNKNOWN_SESSION),
        (1, Body::FinalTemplateDataAck, ErrorKind::InvalidForState),
        (1, Body::Request(request), ErrorKind::InvalidForCapabilities),
        (
            1,
            Body::SessionStop {
                reason: SessionStopReason::EndOfData,
                info: String::new(),
            },
            ErrorKind::InvalidForState,
        ),
    ];
    for (session, body, expected) in questions {
        collector.send(session, body);
        let answer = collector.receive();
        let Body::Error { code, .. } = answer.body else {
            panic!()
        };
        assert_eq!((answer.session_id, code), (session, expected.of_session()));
    }
    // A message that nobody knows.
    collector.socket.write_all(&[2, 0x77, 0, 0, 0, 0, 0, 8]).unwrap();
    let Body::Error { code, .. } = collector.receive().body else {
        panic!()
    };
    assert_eq!(code, ErrorKind::InvalidForCapabilities.of_session());
    collector.send(1, Body::StartNegotiation);
    assert_eq!(collector.receive().body, Body::StartNegotiationReject);
    collector.start_flow(1);
    // Templates of a session that there is not: this one ends the connection.
    collector.send(5, Body::GetTemplates { request_id: 1 });
    assert_eq!(collector.refused(), ErrorKind::UNKNOWN_SESSION.general());
}

#[test]
fn the_best_collector_switches_fields_off_for_all_from_the_next_document_on() {
    let negotiable = SessionSetting {
        negotiable: true,
        ..session(1)
    };
    let mut stage = Stage::new(settings(&[(1, 1), (2, 2)]), vec![negotiable]);
    let mut other = Collector::ready(&stage, 2);
    let mut best = Collector::silent(&stage, 1);
    best.send(0, connect(0x07));
    let Body::ConnectResponse(response) = best.receive().body else {
        panic!()
    };
    assert_eq!(response.capabilities, Capabilities(0x06));
    best.send(1, Body::FlowStart);
    let Body::TemplateData(offered) = best.receive().body else {
        panic!()
    };
    assert!(offered.is_negotiable);
    let wish = |templates: &[Template]| {
        let mut templates = templates.to_vec();
        templates[0]
            .fields
            .iter_mut()
            .for_each(|field| field.is_enabled = field.field_id % 2 == 1);
        Body::ModifyTemplate(Templates {
            config_id: 0,
            is_negotiable: false,
            templates,
        })
    };
    best.send(1, wish(&offered.templates));
    let Body::ModifyTemplateResponse(agreed) = best.receive().body else {
        panic!()
    };
    assert_eq!(agreed.config_id, 1);
    assert!(
        agreed.templates[0]
            .fields
            .iter()
            .all(|field| field.is_enabled == (field.field_id % 2 == 1))
    );
    best.send(1, Body::FinalTemplateDataAck);
    // The others get the same, and have no say in it.
    let Body::TemplateData(told) = other.receive().body else {
        panic!()
    };
    assert_eq!(
        (told.config_id, told.is_negotiable, &told.templates),
        (1, false, &agreed.templates)
    );
    other.send(1, Body::FinalTemplateDataAck);
    let encoding = stage.handle.encoding(0).unwrap();
    assert_eq!((encoding.config_id, &*encoding.template), (1, &agreed.templates[0]));
    stage.document(0, 1);
    best.receive_start();
    let Body::Data(data) = best.receive().body else {
        panic!()
    };
    assert_eq!(data.config_id, 1);
    // While the document is open its template stays.
    best.send(1, Body::StartNegotiation);
    assert_eq!(best.receive_stop(), SessionStopReason::StartNegotiationAcknowledged);
    let Body::TemplateData(again) = best.receive().body else {
        panic!()
    };
    assert_eq!((again.config_id, again.is_negotiable), (1, true));
    best.send(1, Body::ModifyTemplate(Templates { ..offered }));
    let Body::ModifyTemplateResponse(unchanged) = best.receive().body else {
        panic!()
    };
    assert_eq!(unchanged.templates, agreed.templates);
    assert_eq!(stage.handle.encoding(0).unwrap().config_id, 0);
    // The other one has taken over meanwhile. When it is done, all get the new ones.
    assert_eq!(other.take_document().1, Vec::<u64>::new());
    for collector in [&mut other, &mut best] {
        let Body::TemplateData(told) = collector.receive().body else {
            panic!()
        };
        assert_eq!(told.config_id, 0);
    }
}
