//! Who may connect, who is who, who dials whom, and how long silence is borne.

use std::net::{TcpListener, UdpSocket};

use super::*;
use crate::protocol::ipdr::{ConnectResponse, ErrorKind};

fn until_connected(stage: &Stage) -> String {
    stage.until(|event| match event {
        Event::Connected { collector, .. } => Some(collector.clone()),
        _ => None,
    })
}

#[test]
fn a_stranger_is_sent_away() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut stranger = Collector::silent(&stage, 9);
    assert_eq!(stranger.next(), None);
    let refused = stage.until(|event| match event {
        Event::Refused { address, .. } => Some(address.ip()),
        _ => None,
    });
    assert_eq!(refused, address(9));
}

#[test]
fn from_an_allowed_address_a_collector_is_known_by_what_it_says() {
    let mut allowing = settings(&[(1, 1), (2, 2)]);
    allowing.allow = vec!["127.0.0.9".parse().unwrap()];
    allowing.collectors[1].initiator = Some(Ipv4Addr::new(10, 1, 1, 1));
    let stage = Stage::new(allowing, vec![session(1)]);
    Collector::connected(&stage, 9);
    assert_eq!(until_connected(&stage), "c2");
    let mut other = Collector::silent(&stage, 9);
    let Body::Connect(mut hello) = connect(0) else { panic!() };
    hello.address = [10, 1, 1, 2];
    other.send(0, Body::Connect(hello));
    assert_eq!(other.refused(), ErrorKind::UNKNOWN_COLLECTOR.general());
}

#[test]
fn where_any_collector_may_come_it_is_served_after_those_that_are_configured() {
    let open = Settings {
        any_collector: true,
        ..settings(&[(1, 1)])
    };
    let mut stage = Stage::new(open, vec![session(1)]);
    let mut guest = Collector::ready(&stage, 9);
    assert_eq!(until_connected(&stage), "127.0.0.9");
    stage.document(0, 2);
    assert_eq!(guest.take_document().1, [0, 1]);
    let mut known = Collector::ready(&stage, 1);
    stage.until(|event| matches!(event, Event::Ready { collector, .. } if collector == "c1").then_some(()));
    stage.document(0, 3);
    assert_eq!(known.take_document().1, [0, 1, 2]);
}

#[test]
fn a_new_connection_of_a_collector_takes_the_place_of_the_old() {
    let mut stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut old = Collector::ready(&stage, 1);
    stage.document(0, 10);
    old.receive_start();
    old.receive_data(10);
    let mut new = Collector::ready(&stage, 1);
    assert_eq!(old.receive().body, Body::Disconnect);
    let start = new.receive_start();
    assert_eq!(start.first_sequence, 0);
    assert_eq!(new.receive_data(10).1.len(), 10);
}

#[test]
fn connect_without_the_length_of_its_text_is_understood() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::silent(&stage, 1);
    // As a client in the field sent it to an E6000.
    let hello = b"\x02\x05\0\0\0\0\0\x21\x0a\x01\x01\x01\x1e\x8d\0\0\0\x01\0\0\0\x3cIPDR Client";
    collector.socket.write_all(hello).unwrap();
    let Body::ConnectResponse(response) = collector.receive().body else {
        panic!()
    };
    assert_eq!(
        (response.capabilities, response.keep_alive_seconds),
        (Capabilities(0), 30)
    );
    let vendor = stage.until(|event| match event {
        Event::Connected { vendor, .. } => Some(vendor.clone()),
        _ => None,
    });
    assert_eq!(vendor, "IPDR Client");
}

#[test]
fn something_else_in_place_of_connect_ends_the_connection() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::silent(&stage, 1);
    collector.send(0, Body::GetSessions { request_id: 1 });
    assert_eq!(collector.refused(), ErrorKind::InvalidForState.general());
    let mut twice = Collector::connected(&stage, 1);
    twice.send(0, connect(0));
    assert_eq!(twice.refused(), ErrorKind::InvalidForState.general());
}

#[test]
fn a_collector_is_dialled_until_it_is_there_and_again_when_it_is_gone() {
    // Nobody is there at first.
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = place.local_addr().unwrap();
    drop(place);
    let mut dialling = settings(&[(1, 1)]);
    dialling.listen = Vec::new();
    dialling.collectors[0].dial = Some(Dial {
        to,
        from: None,
        tls: None,
    });
    let mut stage = Stage::new(dialling, vec![session(1)]);
    stage.until(|event| matches!(event, Event::CannotConnect { .. }).then_some(()));
    let listener = TcpListener::bind(to).unwrap();
    stage.document(0, 2);
    for round in 0..2 {
        let mut collector = Collector::of(listener.accept().unwrap().0);
        let Body::Connect(hello) = collector.receive().body else {
            panic!()
        };
        assert_eq!((hello.address, hello.keep_alive_seconds), ([127, 0, 0, 1], 30));
        let response = ConnectResponse {
            capabilities: Capabilities(0),
            keep_alive_seconds: 60,
            vendor: "dialled".to_owned(),
        };
        collector.send(0, Body::ConnectResponse(response));
        collector.start_flow(1);
        assert_eq!(collector.receive_start().first_sequence, 0);
        collector.receive_data(2);
        if round == 1 {
            collector.ack(1);
            collector.receive_stop();
        }
    }
}

#[test]
fn a_dialled_collector_that_does_not_answer_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut dialling = settings(&[(1, 1)]);
    dialling.connect_timeout = Duration::from_millis(100);
    dialling.collectors[0].dial = Some(Dial {
        to: listener.local_addr().unwrap(),
        from: Some(address(1)),
        tls: None,
    });
    let stage = Stage::new(dialling, vec![session(1)]);
    let (mute, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), address(1));
    let mut mute = Collector::of(mute);
    assert!(matches!(mute.receive().body, Body::Connect(_)));
    assert_eq!(mute.next(), None);
    stage.until(|event| matches!(event, Event::CannotConnect { .. }).then_some(()));
}

#[test]
fn silence_is_broken_after_a_third_of_what_the_peer_bears() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::silent(&stage, 1);
    let Body::Connect(mut hello) = connect(0) else { panic!() };
    hello.keep_alive_seconds = 1;
    collector.send(0, Body::Connect(hello));
    collector.receive();
    let begin = Instant::now();
    let mut octets = [0; 16];
    collector.socket.read_exact(&mut octets).unwrap();
    assert_eq!(octets, *b"\x02\x40\0\0\0\0\0\x08\x02\x40\0\0\0\0\0\x08");
    let elapsed = begin.elapsed();
    assert!(
        (Duration::from_millis(600)..Duration::from_millis(1000)).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[test]
fn who_is_silent_for_too_long_is_told_and_gone() {
    let impatient = Settings {
        keep_alive: Duration::from_secs(1),
        ..settings(&[(1, 1), (2, 2)])
    };
    let stage = Stage::new(impatient, vec![session(1)]);
    let mut silent = Collector::ready(&stage, 1);
    let mut speaking = Collector::ready(&stage, 2);
    let end = Instant::now() + Duration::from_millis(2600);
    // Half a message is no message.
    silent.socket.write_all(&[2, 0x40]).unwrap();
    while Instant::now() < end {
        speaking.send(9, Body::KeepAlive);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(silent.refused(), ErrorKind::KeepAliveExpired.general());
    speaking.send(0, Body::GetSessions { request_id: 1 });
    assert!(matches!(speaking.receive().body, Body::GetSessionsResponse { .. }));
}

#[test]
fn versions_are_told_to_who_asks_and_to_nobody_else() {
    let discoverable = Settings {
        discovery: Some("127.0.0.1:0".parse().unwrap()),
        ..settings(&[(1, 1)])
    };
    let stage = Stage::new(discoverable, vec![session(1)]);
    let at = stage.discovery.unwrap();
    let somebody = UdpSocket::bind("127.0.0.2:0").unwrap();
    somebody.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    // The address in the question is somebody else's.
    let question = b"\x7f\0\0\x02\0\0\0\0IPDR";
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_read_timeout(Some(LONG)).unwrap();
    asker.send_to(question, at).unwrap();
    let mut answer = [0; 64];
    let octets = asker.recv(&mut answer).unwrap();
    let [high, low] = stage.at.port().to_be_bytes();
    assert_eq!(answer[..octets], [0, 0, 0, 1, 0, 0, 0, 2, high, low, 0, 0, 0, 0, 0, 0]);
    // Nor does a stranger get one, nor is anything else answered.
    somebody.send_to(question, at).unwrap();
    assert!(somebody.recv(&mut answer).is_err());
    asker.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    for other in [&b"\x7f\0\0\x01\0\0\0\0CRAN"[..], b"IPDR", &[0; 64]] {
        asker.send_to(other, at).unwrap();
        assert!(asker.recv(&mut answer).is_err());
    }
}

#[test]
fn the_snapshot_says_how_things_stand() {
    let mut stage = Stage::new(settings(&[(1, 5), (2, 6)]), vec![session(1)]);
    let mut collector = Collector::ready(&stage, 1);
    let id = stage.document(0, 300);
    collector.receive_start();
    collector.receive_data(200);
    collector.ack(99);
    collector.receive_data(100);
    let begin = Instant::now();
    let snapshot = loop {
        let snapshot = stage.snapshots.recv_timeout(LONG).unwrap();
        let document = snapshot.sessions[0].document.as_ref();
        if document.is_some_and(|document| document.sent == 300) {
            break snapshot;
        }
        assert!(begin.elapsed() < LONG);
    };
    let session = &snapshot.sessions[0];
    assert_eq!((session.active.as_deref(), session.waiting_records), (Some("c1"), 200));
    let document = session.document.as_ref().unwrap();
    assert_eq!(
        (document.id.as_str(), document.acknowledged),
        (id.to_string().as_str(), 100)
    );
    let flows: Vec<_> = session
        .collectors
        .iter()
        .map(|flow| (flow.priority, flow.state.as_str()))
        .collect();
    assert_eq!(flows, [(Some(5), "active"), (Some(6), "disconnected")]);
    assert!(snapshot.collectors[0].address.is_some() && snapshot.collectors[1].address.is_none());
    assert_eq!(snapshot.collectors[0].vendor, "test");
    let again: Snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
    assert_eq!(again, snapshot);
}
