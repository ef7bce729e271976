//! Which replies are believed.

use std::{net::UdpSocket, time::Duration};

use billdrop::{
    account::module::Outcome,
    config::{AccountingRadius, MessageAuthenticator},
};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::{
    site::{failure, log, module, module_with, on, options, server, start},
    support::radius::{Behaviour, FakeServer, Received, SECRET, answer, answering},
};

fn with(message_authenticator: MessageAuthenticator) -> AccountingRadius {
    AccountingRadius {
        message_authenticator,
        ..AccountingRadius::default()
    }
}

#[test]
fn a_wrong_secret_is_told_and_never_shown() {
    let fake = FakeServer::start(answering());
    let mut options = options(&[]);
    options.servers = vec![server(fake.address, "not-their-secret")];
    let module = module(&options);
    let reason = failure(&module, &start());
    assert!(reason.contains("wrong authenticator"), "{reason}");
    assert!(reason.contains(&fake.address.to_string()), "{reason}");
    assert!(!reason.contains("not-their-secret"), "{reason}");
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn each_server_has_its_own_secret() {
    let reply_with = |secret: &'static str| -> Behaviour {
        Box::new(move |all: &[Received], socket: &UdpSocket| {
            let request = all.last().unwrap();
            socket
                .send_to(&request.reply_with(5, &[], secret), request.from)
                .unwrap();
        })
    };
    let (first, second) = (
        FakeServer::start(reply_with("one")),
        FakeServer::start(reply_with("two")),
    );
    let mut options = options(&[]);
    options.servers = vec![server(first.address, "wrong"), server(second.address, "two")];
    assert_eq!(log(&module(&options), &on()), Outcome::Ok);
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn what_others_send_and_what_is_no_reply_is_ignored() {
    // First a stranger answers, then the server itself: with noise, with another identifier, and at last rightly.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let fake = FakeServer::start(Box::new(move |all, socket| {
        let request = all.last().unwrap();
        stranger
            .send_to(&request.reply_with(2, &[], SECRET), request.from)
            .unwrap();
        for noise in [vec![], vec![5], vec![5, request.identifier(), 0, 20], vec![0xff; 4096]] {
            socket.send_to(&noise, request.from).unwrap();
        }
        let mut other = request.clone();
        other.octets[1] ^= 1;
        socket.send_to(&other.reply_with(2, &[], SECRET), request.from).unwrap();
        // Genuine, but its attributes are none.
        socket
            .send_to(&request.reply_with(2, &[1], SECRET), request.from)
            .unwrap();
        answer(request, socket);
        // Twice is as good as once.
        answer(request, socket);
    }));
    let module = module(&options(&[fake.address]));
    for n in 1..=20 {
        assert_eq!(log(&module, &start()), Outcome::Ok);
        assert_eq!(fake.requests().len(), n);
    }
}

#[test]
fn a_lost_reply_costs_one_more_transmission() {
    let fake = FakeServer::start(Box::new(|all, socket| {
        if all.len() % 2 == 0 {
            answer(all.last().unwrap(), socket);
        }
    }));
    let mut options = options(&[fake.address]);
    options.request_timeout = Duration::from_millis(100);
    let module = module(&options);
    for n in 1..=3 {
        assert_eq!(log(&module, &on()), Outcome::Ok);
        let all = fake.requests();
        assert_eq!(all.len(), 2 * n);
        assert_eq!(all[2 * n - 1].octets, all[2 * n - 2].octets);
    }
}

#[test]
fn a_reply_that_comes_when_all_is_over_is_not_taken_for_the_next_events() {
    // Each request is answered when the next one comes, and with the code of a failure.
    let fake = FakeServer::start(Box::new(|all, socket| {
        if let [.., earlier, last] = all {
            socket
                .send_to(&earlier.reply_with(3, &[], SECRET), earlier.from)
                .unwrap();
            answer(last, socket);
        }
    }));
    let mut options = options(&[fake.address]);
    options.request_timeout = Duration::from_millis(100);
    options.transmissions = 1;
    let module = module(&options);
    failure(&module, &start());
    options.request_timeout = crate::site::LONG;
    assert_eq!(log(&module, &start()), Outcome::Ok);
}

/// HMAC-MD5 of the packet with zeros in its place, and the given octets for the packet's authenticator (RFC 3579 §3.2).
fn message_authenticator(packet: &[u8], place: usize, authenticator: [u8; 16]) -> [u8; 16] {
    let mut packet = packet.to_vec();
    packet[4..20].copy_from_slice(&authenticator);
    packet[place..place + 16].fill(0);
    let mut code = Hmac::<Md5>::new_from_slice(SECRET.as_bytes()).unwrap();
    code.update(&packet);
    code.finalize().into_bytes().into()
}

#[test]
fn a_message_authenticator_is_sent_first_and_is_right() {
    let fake = FakeServer::start(answering());
    let module = module_with(&options(&[fake.address]), with(MessageAuthenticator::Send));
    assert_eq!(log(&module, &start()), Outcome::Ok);
    let request = &fake.requests()[0];
    assert_eq!(request.octets[20..22], [80, 18]);
    assert_eq!(
        request.octets[22..38],
        message_authenticator(&request.octets, 22, [0; 16])
    );
}

#[test]
fn a_reply_without_the_message_authenticator_that_is_required_is_refused() {
    let without = FakeServer::start(answering());
    let module = module_with(&options(&[without.address]), with(MessageAuthenticator::Require));
    let reason = failure(&module, &start());
    assert!(reason.contains("no Message-Authenticator"), "{reason}");
    assert_eq!(without.requests().len(), 2);

    let signing = FakeServer::start(Box::new(|all, socket| {
        let request = all.last().unwrap();
        let mut attributes = [[80, 18].as_slice(), &[0; 16]].concat();
        let unsigned = request.reply_with(5, &attributes, SECRET);
        let code = message_authenticator(&unsigned, 22, request.authenticator());
        attributes[2..].copy_from_slice(&code);
        socket
            .send_to(&request.reply_with(5, &attributes, SECRET), request.from)
            .unwrap();
    }));
    let module = module_with(&options(&[signing.address]), with(MessageAuthenticator::Require));
    assert_eq!(log(&module, &start()), Outcome::Ok);
}
