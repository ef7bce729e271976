//! FreeRADIUS.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use billdrop::{
    account::{event::EventKind, module::Outcome},
    config::{AccountingRadius, DelayTime, MessageAuthenticator},
};

use crate::{
    site::{call, failure, log, module, module_with, on, options, server, start, stop},
    support::freeradius::FreeRadius,
};

fn address(server: &FreeRadius) -> std::net::SocketAddr {
    ([127, 0, 0, 1], server.port).into()
}

#[test]
fn every_attribute_is_in_its_detail_file() {
    let server = FreeRadius::start();
    let module = module(&options(&[address(&server)]));
    assert_eq!(log(&module, &on()), Outcome::Ok);
    assert_eq!(log(&module, &start()), Outcome::Ok);
    let hour = Duration::from_secs(3600);
    assert_eq!(
        log(&module, &call(EventKind::Stop, "6b02fada00000001", hour)),
        Outcome::Ok
    );
    let details = server.details();
    assert_eq!(details.len(), 3, "{}", server.log());
    for line in [
        "Acct-Status-Type = Accounting-On",
        "NAS-Identifier = \"example-gk\"",
        "NAS-Port-Type = Virtual",
    ] {
        assert!(details[0].contains(line), "{line}: {}", details[0]);
    }
    assert!(details[1].contains("Acct-Status-Type = Start"), "{}", details[1]);
    assert!(!details[1].contains("Acct-Session-Time"), "{}", details[1]);
    // As the dictionaries of FreeRADIUS show what the gatekeeper sends.
    let lines: Vec<&str> = details[2].lines().skip(1).map(str::trim).collect();
    let expected = [
        "Acct-Status-Type = Stop",
        "NAS-IP-Address = 127.0.0.1",
        "NAS-Identifier = \"example-gk\"",
        "NAS-Port-Type = Virtual",
        "Service-Type = Login-User",
        "Acct-Session-Id = \"6b02fada00000001\"",
        "User-Name = \"alice\"",
        "Framed-IP-Address = 127.0.0.1",
        "Acct-Session-Time = 12",
        "Calling-Station-Id = \"1001\"",
        "Called-Station-Id = \"2002\"",
        "h323-conf-id = \"h323-conf-id=21DAFF2 EDE4F111 81FC02FC 1\"",
        "h323-gw-id = \"h323-gw-id=example-gk\"",
        "h323-call-origin = \"h323-call-origin=proxy\"",
        "h323-call-type = \"h323-call-type=VoIP\"",
        "h323-setup-time = \"h323-setup-time=15:23:25.000 CET Sun Nov 22 2026\"",
        "h323-connect-time = \"h323-connect-time=15:23:25.000 CET Sun Nov 22 2026\"",
        "h323-disconnect-time = \"h323-disconnect-time=15:23:37.000 CET Sun Nov 22 2026\"",
        "h323-disconnect-cause = \"h323-disconnect-cause=10\"",
        "release-source = \"release-source=1\"",
        "preferred-codec = \"preferred-codec=G711A\"",
        "rewritten-e164-num = \"rewritten-e164-num=2002\"",
        "Cisco-AVPair = \"h323pddtime=0\"",
        "Cisco-AVPair = \"h323ringtime=0\"",
        "Cisco-AVPair = \"h323routeattempts=0\"",
        "Cisco-AVPair = \"h323_rtp_proxy=0\"",
        "Cisco-AVPair = \"RTP_source_IP=0.0.0.0\"",
        "Cisco-AVPair = \"RTP_destination_IP=0.0.0.0\"",
        "Cisco-AVPair = \"RTCP_source_packet_count=0\"",
        "Cisco-AVPair = \"RTCP_source_packet_lost=0\"",
        "Cisco-AVPair = \"RTCP_source_jitter=0|0|0\"",
        "Cisco-AVPair = \"RTCP_destination_packet_count=0\"",
        "Cisco-AVPair = \"RTCP_destination_packet_lost=0\"",
        "Cisco-AVPair = \"RTCP_destination_jitter=0|0|0\"",
        "h323-remote-address = \"h323-remote-address=127.0.0.1\"",
        "Cisco-AVPair = \"h323-ivr-out=h323-call-id:F81CAFF2 EDE4F111 81FC02FC 1\"",
    ];
    // Its dictionaries have other names for some of Cisco's, which say theirs in the text.
    let bare = |line: &str| match line.split_once(" = \"") {
        Some((_, text)) if text.contains('=') => text.to_owned(),
        _ => line.to_owned(),
    };
    let shown: Vec<String> = lines[..expected.len()].iter().map(|line| bare(line)).collect();
    assert_eq!(shown, expected.map(bare));
    let delay = lines
        .iter()
        .find_map(|line| line.strip_prefix("Acct-Delay-Time = "))
        .unwrap();
    assert!((3600..3700).contains(&delay.parse::<u32>().unwrap()), "{delay}");
}

#[test]
fn it_checks_our_message_authenticator_and_we_check_its() {
    let server = FreeRadius::start_with("update reply {\n      Message-Authenticator := 0x00\n    }");
    let more = AccountingRadius {
        message_authenticator: MessageAuthenticator::Require,
        ..AccountingRadius::default()
    };
    let module = module_with(&options(&[address(&server)]), more);
    assert_eq!(log(&module, &stop("s")), Outcome::Ok, "{}", server.log());
    assert!(
        server.details()[0].contains("Message-Authenticator"),
        "{:?}",
        server.details()
    );
}

#[test]
fn it_ignores_a_wrong_secret_and_the_failure_says_so() {
    let fake = FreeRadius::start();
    let mut options = options(&[]);
    options.request_timeout = Duration::from_millis(200);
    options.servers = vec![server(address(&fake), "wrong")];
    let reason = failure(&module(&options), &stop("s"));
    assert!(reason.contains("no reply within 200ms (2 times)"), "{reason}");
    assert!(fake.details().is_empty());
}

#[test]
fn a_server_that_dies_in_the_middle_and_comes_back_has_every_event() {
    const EVENTS: usize = 400;
    const CALLERS: usize = 8;
    let mut server = FreeRadius::start();
    let mut options = options(&[address(&server)]);
    options.request_timeout = Duration::from_millis(500);
    let module = module(&options);
    let waiting = Mutex::new((0..EVENTS).map(|n| format!("session-{n}")).collect::<Vec<_>>());
    let failed = Mutex::new(Vec::new());
    let confirmed = AtomicUsize::new(0);
    let (half, dead) = (Barrier::new(CALLERS + 1), Barrier::new(CALLERS + 1));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let work = |until: usize| {
                    while let Some(session) = {
                        let mut waiting = waiting.lock().unwrap();
                        if waiting.len() > until { waiting.pop() } else { None }
                    } {
                        match log(&module, &stop(&session)) {
                            Outcome::Ok => drop(confirmed.fetch_add(1, Ordering::Relaxed)),
                            Outcome::Fail(_) => failed.lock().unwrap().push(session),
                        }
                    }
                };
                work(EVENTS / 2);
                half.wait();
                dead.wait();
                work(0);
            });
        }
        half.wait();
        server.kill();
        dead.wait();
    });
    let failed = failed.into_inner().unwrap();
    assert_eq!(confirmed.load(Ordering::Relaxed), EVENTS / 2);
    assert_eq!(failed.len(), EVENTS / 2);
    server.start_again();
    for session in &failed {
        assert_eq!(log(&module, &stop(session)), Outcome::Ok);
    }
    let sessions = server.sessions();
    assert_eq!(sessions.len(), EVENTS);
    assert_eq!(sessions.into_iter().collect::<BTreeSet<_>>().len(), EVENTS);
}

#[test]
fn twenty_thousand_calls_are_in_its_detail_file_once_each() {
    const EVENTS: usize = 20_000;
    const CALLERS: usize = 128;
    let server = FreeRadius::start();
    // Where its buffer is full packets are lost, and the same ones are sent again.
    let mut options = options(&[address(&server)]);
    options.request_timeout = Duration::from_secs(2);
    options.transmissions = 100;
    let more = AccountingRadius {
        delay_time: DelayTime::Attempt,
        ..AccountingRadius::default()
    };
    let module = module_with(&options, more);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let caller = || {
                while let n @ ..EVENTS = next.fetch_add(1, Ordering::Relaxed) {
                    assert_eq!(log(&module, &stop(&format!("6b02fada{n:08x}"))), Outcome::Ok);
                }
            };
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, caller)
                .unwrap();
        }
    });
    let mut times = BTreeMap::new();
    for session in server.sessions() {
        *times.entry(session).or_insert(0) += 1;
    }
    assert_eq!(times.len(), EVENTS);
    assert!(times.values().all(|times| *times == 1), "some came more than once");
}
