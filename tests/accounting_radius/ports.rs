//! Local ports and identifiers.

use std::{
    collections::BTreeSet,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use billdrop::{
    account::module::Outcome,
    config::{AccountingRadius, DelayTime},
};

use crate::{
    site::{log, module, module_with, on, options, start, stop},
    support::{
        free_port,
        radius::{Behaviour, FakeServer, Received, answer, answering},
        say, wait_until,
    },
};

/// Answers all when so many different ones have come, in the reverse order, and then whatever comes.
fn after(many: usize) -> Behaviour {
    let mut seen = BTreeSet::new();
    Box::new(move |all, socket| {
        let last = all.last().unwrap();
        let new = seen.insert((last.from.port(), last.identifier()));
        match seen.len() {
            len if len < many => {}
            _ if new => all.iter().rev().for_each(|request| answer(request, socket)),
            _ => answer(last, socket),
        }
    })
}

/// Port and identifier of each.
fn places(all: &[Received]) -> BTreeSet<(u16, u8)> {
    all.iter().map(|one| (one.from.port(), one.identifier())).collect()
}

#[test]
fn more_requests_are_in_flight_than_a_port_has_identifiers() {
    const MANY: usize = 600;
    let fake = FakeServer::start(after(MANY));
    let mut options = options(&[fake.address]);
    options.socket_delete_timeout = Duration::ZERO;
    options.append_cisco_attributes = false;
    // Some are lost where the server's buffer is full.
    options.request_timeout = Duration::from_secs(1);
    options.transmissions = 100;
    let more = AccountingRadius {
        delay_time: DelayTime::Attempt,
        ..AccountingRadius::default()
    };
    let module = module_with(&options, more);
    std::thread::scope(|scope| {
        for n in 0..MANY {
            let module = &module;
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, move || {
                    assert_eq!(log(module, &stop(&format!("session-{n}"))), Outcome::Ok);
                })
                .unwrap();
        }
    });
    let all = fake.requests();
    let sessions: BTreeSet<Vec<u8>> = all.iter().flat_map(|one| one.values(44)).collect();
    assert_eq!(sessions.len(), MANY);
    assert_eq!(places(&all).len(), MANY, "an identifier was given twice");
    let ports: BTreeSet<u16> = all.iter().map(|one| one.from.port()).collect();
    assert_eq!(ports.len(), 3);
    let first = all[0].from.port();
    wait_until("extra ports are closed", Duration::from_secs(30), || {
        module.ports() == [first]
    });
}

#[test]
fn identifiers_go_up_by_one_and_rest_before_they_are_used_again() {
    let fake = FakeServer::start(answering());
    let mut options = options(&[fake.address]);
    options.id_cache_timeout = Duration::from_secs(3600);
    let resting = module(&options);
    for _ in 0..260 {
        assert_eq!(log(&resting, &on()), Outcome::Ok);
    }
    let all = fake.requests();
    for pair in all[..256].windows(2) {
        assert_eq!(pair[1].identifier(), pair[0].identifier().wrapping_add(1));
        assert_eq!(pair[1].from, pair[0].from);
    }
    assert_ne!(all[256].from.port(), all[0].from.port());
    assert_eq!(resting.ports().len(), 2);

    options.id_cache_timeout = Duration::ZERO;
    let restless = module(&options);
    for _ in 0..260 {
        assert_eq!(log(&restless, &on()), Outcome::Ok);
    }
    assert_eq!(restless.ports().len(), 1);
}

#[test]
fn the_port_is_one_of_the_range_and_when_there_is_no_more_answered_identifiers_do_not_rest() {
    let fake = FakeServer::start(answering());
    let port = free_port();
    let mut options = options(&[fake.address]);
    options.port_range = (port, port);
    options.id_cache_timeout = Duration::from_secs(3600);
    let module = module(&options);
    for _ in 0..300 {
        assert_eq!(log(&module, &on()), Outcome::Ok);
    }
    assert!(fake.requests().iter().all(|one| one.from.port() == port));
}

#[test]
fn a_range_without_a_free_port_fails_with_the_key_to_change() {
    let fake = FakeServer::start(answering());
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut options = options(&[fake.address]);
    options.port_range = (port, port);
    let module = module(&options);
    let reason = crate::site::failure(&module, &on());
    assert!(reason.contains("RadiusPortRange"), "{reason}");
    drop(taken);
    assert_eq!(log(&module, &on()), Outcome::Ok);
}

#[test]
fn requests_come_from_the_local_interface_unless_it_is_not_ours() {
    let fake = FakeServer::start(answering());
    let mut options = options(&[fake.address]);
    options.local_interface = Some("127.0.0.2".parse().unwrap());
    assert_eq!(log(&module(&options), &on()), Outcome::Ok);
    options.local_interface = Some("192.0.2.77".parse().unwrap());
    assert_eq!(log(&module(&options), &on()), Outcome::Ok);
    let all = fake.requests();
    assert_eq!(all[0].from.ip(), SocketAddr::from(([127, 0, 0, 2], 0)).ip());
    assert_eq!(all[0].values(4), [[127, 0, 0, 2]]);
    assert_eq!(all[1].from.ip(), SocketAddr::from(([127, 0, 0, 1], 0)).ip());
    assert_eq!(all[1].values(4), [[127, 0, 0, 1]], "Home");
}

#[test]
fn servers_of_both_families_are_asked_from_the_same_port() {
    let Ok(probe) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        say("this host has no IPv6: not tested");
        return;
    };
    drop(probe);
    let silent = FakeServer::start(crate::support::radius::silent());
    let ipv6 = FakeServer::start_on(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), answering());
    let mut options = options(&[silent.address, ipv6.address]);
    options.request_timeout = Duration::from_millis(100);
    options.append_cisco_attributes = false;
    assert_eq!(log(&module(&options), &start()), Outcome::Ok);
    let (first, second) = (silent.wait_for(1), ipv6.requests());
    assert_eq!(first[0].from.port(), second[0].from.port());
    assert!(second[0].from.is_ipv6());
}
