//! Whom a request goes to, when, and with which identifier.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    time::{Duration, Instant},
};

use billdrop::{
    account::{event::EventKind, module::Outcome},
    config::{AccountingRadius, DelayTime, Span, Updates, gatekeeper},
};

use crate::{
    site::{LONG, call, failure, log, module, module_with, on, options, server, start},
    support::radius::{Behaviour, FakeServer, Received, SECRET, answering, silent},
};

/// One transmission of the recorded gatekeeper.
struct Row {
    seconds: f64,
    server: usize,
    identifier: String,
    port: String,
    authenticator: String,
}

/// The rows of a group, in order.
fn recorded(group: &str, round_robin: &str, secret: &str) -> Vec<Row> {
    let text = include_str!("../../fixtures/gnugk/radius-retry-order.tsv");
    let rows: Vec<Row> = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|cells| cells[..3.min(cells.len())] == [group, round_robin, secret])
        .map(|cells| Row {
            seconds: cells[3].parse().unwrap(),
            server: if cells[4] == "S1" { 0 } else { 1 },
            identifier: cells[5].to_owned(),
            port: cells[6].to_owned(),
            authenticator: cells[7].to_owned(),
        })
        .collect();
    assert!(!rows.is_empty());
    rows
}

/// For each value, which of the values before it is the first that is the same.
fn pattern<T: PartialEq>(values: &[T]) -> Vec<usize> {
    let first = |value| values.iter().position(|other| other == value).unwrap();
    values.iter().map(first).collect()
}

/// What both servers got, by time.
fn transmissions(servers: &[FakeServer]) -> Vec<(usize, Received)> {
    let of = |(number, server): (usize, &FakeServer)| server.requests().into_iter().map(move |one| (number, one));
    let mut all: Vec<_> = servers.iter().enumerate().flat_map(of).collect();
    all.sort_by_key(|(_, received)| received.at);
    all
}

/// Logs Accounting-On to two servers as the gatekeeper did, and compares all transmissions.
fn reproduce(group: &str, round_robin: &str, secret: &str, timeout: Duration, behaviour: fn() -> Behaviour) {
    let rows = recorded(group, round_robin, secret);
    let servers = [FakeServer::start(behaviour()), FakeServer::start(behaviour())];
    let options = gatekeeper::RadAcct {
        request_timeout: timeout,
        transmissions: 3,
        round_robin: round_robin == "1",
        servers: servers
            .iter()
            .zip([SECRET, if secret == "different" { "another" } else { SECRET }])
            .map(|(fake, secret)| server(fake.address, secret))
            .collect(),
        ..options(&[])
    };
    let begin = Instant::now();
    let reason = failure(&module(&options), &on());
    let all = transmissions(&servers);
    let label = format!("{group} {round_robin} {secret}: {reason}");
    let servers: Vec<usize> = all.iter().map(|(server, _)| *server).collect();
    assert_eq!(
        servers,
        rows.iter().map(|row| row.server).collect::<Vec<_>>(),
        "{label}"
    );
    let identifiers: Vec<u8> = all.iter().map(|(_, one)| one.identifier()).collect();
    let theirs: Vec<_> = rows.iter().map(|row| &row.identifier).collect();
    assert_eq!(pattern(&identifiers), pattern(&theirs), "{label}");
    for (pair, theirs) in identifiers.windows(2).zip(rows.windows(2)) {
        let new = theirs[0].identifier != theirs[1].identifier;
        assert_eq!(pair[1], pair[0].wrapping_add(u8::from(new)), "{label}");
    }
    let authenticators: Vec<_> = all.iter().map(|(_, one)| one.authenticator()).collect();
    let theirs: Vec<_> = rows.iter().map(|row| &row.authenticator).collect();
    assert_eq!(pattern(&authenticators), pattern(&theirs), "{label}");
    let ports: Vec<_> = all.iter().map(|(_, one)| one.from.port()).collect();
    let theirs: Vec<_> = rows.iter().map(|row| &row.port).collect();
    assert_eq!(pattern(&ports), pattern(&theirs), "{label}");
    for ((_, one), row) in all.iter().zip(&rows) {
        // Theirs are rounded, from some hundredths after the event on.
        let sooner = Duration::from_secs_f64((row.seconds - rows[0].seconds - 0.02).max(0.0));
        assert!(
            one.at - begin >= sooner,
            "{label}: {:?} instead of {sooner:?}",
            one.at - begin
        );
    }
}

#[test]
fn silent_servers_are_asked_in_the_gatekeepers_order_and_at_its_times() {
    std::thread::scope(|scope| {
        for round_robin in ["1", "0"] {
            for secret in ["shared", "same", "different"] {
                scope.spawn(move || reproduce("silent", round_robin, secret, Duration::from_millis(400), silent));
            }
        }
    });
}

#[test]
fn a_wrong_authenticator_ends_an_attempt_at_once() {
    let wrong = || -> Behaviour {
        Box::new(|all, socket| {
            let request = all.last().unwrap();
            socket
                .send_to(&request.reply_with(5, &[], "forged"), request.from)
                .unwrap();
        })
    };
    let begin = Instant::now();
    reproduce("wrong-authenticator", "1", "different", LONG, wrong);
    assert!(begin.elapsed() < LONG);
}

#[test]
fn a_genuine_reply_of_another_code_ends_it_all() {
    let reject = || -> Behaviour {
        Box::new(|all, socket| {
            let request = all.last().unwrap();
            socket
                .send_to(&request.reply_with(2, &[], SECRET), request.from)
                .unwrap();
        })
    };
    reproduce("wrong-code", "1", "different", LONG, reject);
}

#[test]
fn a_closed_port_ends_an_attempt_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let open = FakeServer::start(answering());
    let module = module(&options(&[closed, open.address]));
    assert_eq!(log(&module, &start()), Outcome::Ok);
    assert_eq!(open.requests().len(), 1);

    let options = gatekeeper::RadAcct {
        transmissions: 3,
        ..options(&[closed])
    };
    let reason = failure(&self::module(&options), &start());
    assert!(reason.contains(&closed.to_string()), "{reason}");
    assert!(reason.contains("nothing listens there"), "{reason}");
    assert!(reason.contains("(3 times)"), "{reason}");
}

#[test]
fn servers_may_go_away_in_turn() {
    let mut first = Some(FakeServer::start(answering()));
    let mut second = Some(FakeServer::start(answering()));
    let addresses = [&first, &second].map(|server| server.as_ref().unwrap().address);
    let module = module(&options(&addresses));
    let counts = |servers: [&Option<FakeServer>; 2]| servers.map(|one| one.as_ref().map(|one| one.requests().len()));
    assert_eq!(log(&module, &start()), Outcome::Ok);
    assert_eq!(counts([&first, &second]), [Some(1), Some(0)]);
    drop(first.take());
    assert_eq!(log(&module, &start()), Outcome::Ok);
    assert_eq!(counts([&first, &second]), [None, Some(1)]);
    drop(second.take());
    failure(&module, &start());
    first = Some(FakeServer::start_on(addresses[0], answering()));
    assert_eq!(log(&module, &start()), Outcome::Ok);
    assert_eq!(counts([&first, &second]), [Some(1), None]);
    second = Some(FakeServer::start_on(addresses[1], answering()));
    drop(first.take());
    assert_eq!(log(&module, &start()), Outcome::Ok);
    assert_eq!(counts([&first, &second]), [None, Some(1)]);
}

/// A server that answers nothing before the second transmission, and then the first.
fn late() -> Behaviour {
    Box::new(|all, socket| {
        if all.len() == 2 {
            socket.send_to(&all[0].reply(), all[0].from).unwrap();
        }
    })
}

#[test]
fn a_repetition_with_another_age_is_another_request_and_a_late_reply_to_the_first_one_counts() {
    let server = FakeServer::start(late());
    let options = gatekeeper::RadAcct {
        request_timeout: Duration::from_secs(1),
        ..options(&[server.address])
    };
    assert_eq!(log(&module(&options), &start()), Outcome::Ok);
    let all = server.requests();
    assert_eq!(all.len(), 2);
    assert!(all[0].delay() < all[1].delay(), "{all:?}");
    assert_ne!(all[0].authenticator(), all[1].authenticator());
    assert_eq!(all[1].identifier(), all[0].identifier().wrapping_add(1));
    assert_eq!(all[1].from, all[0].from);
}

#[test]
fn with_the_age_of_the_first_transmission_repetitions_are_the_same_packet() {
    let server = FakeServer::start(late());
    let options = gatekeeper::RadAcct {
        request_timeout: Duration::from_secs(1),
        ..options(&[server.address])
    };
    let more = AccountingRadius {
        delay_time: DelayTime::Attempt,
        ..AccountingRadius::default()
    };
    let event = call(EventKind::Stop, "s", Duration::from_secs(86_400));
    assert_eq!(log(&module_with(&options, more), &event), Outcome::Ok);
    let all = server.requests();
    assert_eq!(all[0].octets, all[1].octets);
    assert!(
        (86_400..86_500).contains(&all[0].delay().unwrap()),
        "{:?}",
        all[0].delay()
    );
}

#[test]
fn a_late_reply_counts_although_another_server_is_being_asked() {
    // The first server answers when the second one is asked, which stays silent.
    let (asked, when_asked) = std::sync::mpsc::channel();
    let first = FakeServer::start(Box::new(move |all, socket| {
        let (request, socket) = (all[0].clone(), socket.try_clone().unwrap());
        asked.send((request, socket)).unwrap();
    }));
    let second = FakeServer::start(Box::new(move |_, _| {
        let (request, socket) = when_asked.recv().unwrap();
        socket.send_to(&request.reply(), request.from).unwrap();
    }));
    let mut options = options(&[first.address, second.address]);
    options.request_timeout = Duration::from_millis(300);
    options.transmissions = 1;
    assert_eq!(log(&module(&options), &on()), Outcome::Ok);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn updates_go_to_all_servers_or_once_to_the_first_as_the_gatekeeper_sends_them() {
    let update = || call(EventKind::Update, "s", Duration::ZERO);
    let (first, second) = (FakeServer::start(silent()), FakeServer::start(answering()));
    let mut options = options(&[first.address, second.address]);
    options.request_timeout = Duration::from_millis(50);
    assert_eq!(log(&module(&options), &update()), Outcome::Ok);
    assert_eq!((first.wait_for(1).len(), second.requests().len()), (1, 1));
    options.request_timeout = LONG;
    let more = AccountingRadius {
        updates: Updates::Unacknowledged,
        ..AccountingRadius::default()
    };
    assert_eq!(log(&module_with(&options, more), &update()), Outcome::Ok);
    assert_eq!((first.wait_for(2).len(), second.requests().len()), (2, 1));
}

#[test]
fn a_silent_server_is_asked_first_again_unless_it_is_to_rest() {
    let silent = FakeServer::start(silent());
    let open = FakeServer::start(answering());
    let mut options = options(&[silent.address, open.address]);
    options.request_timeout = Duration::from_millis(50);
    let forgetful = module(&options);
    for n in 1..=3 {
        assert_eq!(log(&forgetful, &on()), Outcome::Ok);
        assert_eq!((silent.wait_for(n).len(), open.requests().len()), (n, n));
    }
    let more = AccountingRadius {
        dead_time: Span(LONG),
        ..AccountingRadius::default()
    };
    let remembering = module_with(&options, more);
    for n in 1..=3 {
        assert_eq!(log(&remembering, &on()), Outcome::Ok);
        assert_eq!((silent.wait_for(4).len(), open.requests().len()), (4, 3 + n));
    }
}

#[test]
fn without_servers_or_addresses_events_fail_with_the_reason() {
    let reason = failure(&module(&options(&[])), &on());
    assert!(reason.contains("[RadAcct] Servers is empty"), "{reason}");

    let open = FakeServer::start(answering());
    let mut options = options(&[open.address, open.address]);
    options.servers[0].host = "no-such-host.invalid".into();
    let module = module(&options);
    assert_eq!(log(&module, &on()), Outcome::Ok, "the other one is asked");
    options.servers.truncate(1);
    let reason = failure(&self::module(&options), &on());
    assert!(reason.contains("no-such-host.invalid"), "{reason}");
    assert!(reason.contains("not resolved"), "{reason}");
    options.transmissions = 0;
    let reason = failure(&self::module(&options), &on());
    assert!(reason.contains("RequestRetransmissions"), "{reason}");
}

#[test]
fn a_name_is_looked_up() {
    let open = FakeServer::start(answering());
    let mut options = options(&[open.address]);
    options.servers[0].host = "localhost".into();
    options.local_interface = Some("127.0.0.1".parse().unwrap());
    assert_eq!(log(&module(&options), &on()), Outcome::Ok);
    let kinds: BTreeSet<Vec<u8>> = open.requests()[0].values(40).into_iter().collect();
    assert_eq!(kinds, BTreeSet::from([vec![0, 0, 0, 7]]));
}
