//! Those who do what nobody should. The collector that behaves must not notice.

use super::*;
use crate::protocol::ipdr::ErrorKind;

/// Takes documents while `attack` goes on.
fn with_a_real_collector(settings: Settings, attack: impl FnOnce(&Stage) + Send) {
    let mut stage = Stage::new(settings, vec![session(1)]);
    let mut real = Collector::ready(&stage, 1);
    stage.document(0, 20_000);
    stage.document(0, 100);
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let first = real.take_document().1.len();
            (first, real.take_document().1.len())
        });
        attack(&stage);
        assert_eq!(taking.join().unwrap(), (20_000, 100));
    });
}

#[test]
fn a_flood_of_connections_that_say_nothing_does_not_keep_collectors_out() {
    with_a_real_collector(settings(&[(1, 1), (2, 2)]), |stage| {
        let mut flood: Vec<TcpStream> = Vec::new();
        for round in 0..600 {
            flood.push(dial(address(2), stage.at));
            flood.push(dial(address(1), stage.at));
            if round % 100 == 0 {
                // Whoever comes meanwhile is served.
                let mut late = Collector::connected(stage, 2);
                late.send(0, Body::GetSessions { request_id: 1 });
                assert!(matches!(late.receive().body, Body::GetSessionsResponse { .. }));
            }
        }
        let mut still = Collector::connected(stage, 2);
        still.start_flow(1);
    });
}

#[test]
fn garbage_and_oversized_lengths_end_their_connection_only() {
    with_a_real_collector(settings(&[(1, 1), (2, 2)]), |stage| {
        let garbage: [&[u8]; 5] = [
            b"GET / HTTP/1.0\r\n\r\n",
            &[1, 5, 0, 0, 0, 0, 0, 26],
            &[2, 5, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[2, 5, 0, 0, 0, 0, 0, 3],
            &[2, 5, 0, 0, 0, 0, 0, 12, 1, 2, 3, 4],
        ];
        for octets in garbage {
            let mut collector = Collector::silent(stage, 2);
            collector.socket.write_all(octets).unwrap();
            assert_eq!(collector.refused(), ErrorKind::Decode.general());
        }
        for octets in [&[2, 0x21, 1, 0, 0, 0, 0, 9, 0][..], &[2, 0x21, 1, 0, 0, 0x20, 0, 0]] {
            let mut collector = Collector::ready(stage, 2);
            collector.socket.write_all(octets).unwrap();
            assert_eq!(collector.refused(), ErrorKind::Decode.general());
        }
    });
}

#[test]
fn whoever_takes_too_long_to_say_connect_is_gone() {
    let hasty = Settings {
        connect_timeout: Duration::from_millis(300),
        ..settings(&[(1, 1), (2, 2)])
    };
    with_a_real_collector(hasty, |stage| {
        let mut slow = Collector::silent(stage, 2);
        let begin = Instant::now();
        let mut octets = Vec::new();
        Message::new(0, connect(0)).encode(&mut octets).unwrap();
        for octet in octets {
            std::thread::sleep(Duration::from_millis(25));
            if slow.socket.write_all(&[octet]).is_err() {
                break;
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(slow.next(), None);
    });
}

#[test]
fn one_that_asks_and_does_not_read_costs_no_memory_and_no_time() {
    with_a_real_collector(settings(&[(1, 1), (2, 2)]), |stage| {
        let mut asking = Collector::connected(stage, 2);
        asking
            .socket
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut question = Vec::new();
        Message::new(1, Body::GetTemplates { request_id: 1 })
            .encode(&mut question)
            .unwrap();
        let many = question.repeat(10_000);
        // It is not read any more when too much waits for it: then its own octets get stuck.
        let stuck = (0..1000).any(|_| asking.socket.write_all(&many).is_err());
        assert!(stuck);
        let queued = |snapshot: &Snapshot| snapshot.collectors[1].queued;
        let most = stage.snapshots.try_iter().map(|snapshot| queued(&snapshot)).max();
        assert!(most.unwrap_or(0) < 1 << 20, "{most:?}");
    });
}

#[test]
fn nonsense_is_borne_for_a_while_and_told_seldom() {
    let stage = Stage::new(settings(&[(1, 1)]), vec![session(1)]);
    let mut collector = Collector::connected(&stage, 1);
    let mut nonsense = Vec::new();
    Message::new(1, Body::StartNegotiationReject)
        .encode(&mut nonsense)
        .unwrap();
    collector.socket.write_all(&nonsense.repeat(1001)).unwrap();
    let answers = std::iter::from_fn(|| collector.next()).count();
    assert_eq!(answers, 1001);
    let told = std::cell::Cell::new(0);
    stage.until(|event| match event {
        Event::Odd { .. } => {
            told.set(told.get() + 1);
            None
        }
        Event::Disconnected { .. } => Some(()),
        _ => None,
    });
    assert_eq!(told.get(), 3);
}

#[test]
fn a_slow_collector_does_not_slow_another_session() {
    let only = |peer, id| SessionSetting {
        collectors: Some(vec![(peer, 1)]),
        patience: Patience {
            window: 1_000_000,
            stall: LONG,
            ..session(id).patience
        },
        ..session(id)
    };
    let mut stage = Stage::new(settings(&[(1, 1), (2, 2)]), vec![only(0, 1), only(1, 2)]);
    let socket = dial(address(2), stage.at);
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1024).unwrap();
    let mut slow = Collector::of(socket);
    slow.send(0, connect(0));
    slow.receive();
    slow.start_flow(2);
    let mut fast = Collector::ready(&stage, 1);
    stage.document(1, 200_000);
    slow.receive_start();
    stage.document(0, 50_000);
    let begin = Instant::now();
    assert_eq!(fast.take_document().1.len(), 50_000);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
