//! A manager that cannot be told costs little time, and the reason is named.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use billdrop::{config::Manager, notify::Unsent};

use super::{
    SOON, manager, passwords, sender,
    support::{
        free_port,
        snmptrapd::{AUTH_PASSWORD, PRIVACY_PASSWORD, Snmptrapd},
    },
    test_event, v2c, v3,
};

/// Sends to a manager that cannot be told, in no more than (retries + 1) × timeout + 1 s.
#[track_caller]
pub fn unsent(manager: &Manager) -> Unsent {
    let start = Instant::now();
    let unsent = sender().send(manager, &test_event("lost")).unwrap_err();
    let limit = manager.timeout.0 * (u32::from(manager.retries) + 1) + Duration::from_secs(1);
    let took = start.elapsed();
    assert!(took < limit, "took {took:?}, more than {limit:?}: {unsent}");
    assert_eq!(unsent.manager, manager.address);
    let said = format!("{unsent} {unsent:?}");
    for secret in ["publik", "wrongpass", AUTH_PASSWORD, PRIVACY_PASSWORD] {
        assert!(!said.contains(secret), "{said}");
    }
    unsent
}

#[test]
fn a_wrong_community_is_no_answer() {
    let receiver = Snmptrapd::start();
    let address = format!("127.0.0.1:{}", receiver.port);
    let table = "community = 'publik'\ninform = true\ntimeout = '200ms'\nretries = 1";
    let unsent = unsent(&manager(&address, table));
    assert_eq!(unsent.reason, "no answer in 2 tries of 200ms");
    assert!(unsent.next.contains("community"), "{unsent}");
    assert_eq!(receiver.lines(), [""; 0]);
}

#[test]
fn a_wrong_password_or_user_is_named_as_such_at_once() {
    let receiver = Snmptrapd::start();
    let wrong_auth = passwords().replace(AUTH_PASSWORD, "wrongpass1");
    let wrong_privacy = passwords().replace(PRIVACY_PASSWORD, "wrongpass1");
    let start = Instant::now();
    let reason = |rest: &str| unsent(&v3(receiver.port, true, rest)).reason;
    let another_password = "authentication failed: it has another password for the user";
    assert_eq!(reason(&wrong_auth), another_password);
    assert_eq!(reason(&(passwords() + "auth-protocol = 'SHA-512'")), another_password);
    let mut stranger = v3(receiver.port, true, &passwords());
    stranger.user = Some("stranger".to_owned());
    assert_eq!(
        unsent(&stranger).reason,
        "authentication failed: it does not know the user"
    );
    assert!(start.elapsed() < Duration::from_secs(4), "each was waited for");
    // snmptrapd drops what it cannot decipher without a word.
    let mut unclear = v3(receiver.port, true, &wrong_privacy);
    (unclear.timeout.0, unclear.retries) = (Duration::from_millis(300), 1);
    let unclear = unsent(&unclear);
    assert_eq!(unclear.reason, "no answer in 2 tries of 300ms to what is enciphered");
    assert!(unclear.next.contains("privacy-password"), "{unclear}");
    assert_eq!(receiver.lines(), [""; 0]);
}

#[test]
fn a_manager_that_is_down_is_noticed_at_once_even_by_a_trap() {
    let port = free_port();
    for manager in [
        v2c(port, false),
        v2c(port, true),
        v3(port, false, &passwords()),
        v3(port, true, &passwords()),
    ] {
        let start = Instant::now();
        let unsent = unsent(&manager);
        assert_eq!(unsent.reason, "refused: nothing listens on its port");
        assert!(start.elapsed() < Duration::from_secs(2), "{unsent}");
    }
}

#[test]
fn a_manager_that_hangs_is_left_in_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for mut manager in [v2c(port, true), v3(port, true, &passwords())] {
        manager.timeout.0 = Duration::from_millis(150);
        manager.retries = 3;
        let start = Instant::now();
        assert_eq!(unsent(&manager).reason, "no answer in 4 tries of 150ms");
        assert!(
            start.elapsed() >= Duration::from_millis(600),
            "the tries were cut short"
        );
        assert_eq!(datagrams(&silent), 4);
    }
}

/// How many datagrams have come since this was asked last.
fn datagrams(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| socket.recv(&mut [0; 2000]).ok()).count()
}

#[test]
fn many_dead_managers_cost_the_time_of_one_and_the_living_is_told() {
    let receiver = Snmptrapd::start();
    let silent: Vec<_> = (0..10).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut jobs = Vec::new();
    for socket in &silent {
        for mark in ["first", "second"] {
            let mut manager = v2c(socket.local_addr().unwrap().port(), true);
            (manager.timeout.0, manager.retries) = (Duration::from_millis(500), 1);
            jobs.push((manager, test_event(mark)));
        }
    }
    jobs.push((v2c(receiver.port, true), test_event("living")));
    let start = Instant::now();
    let outcomes = sender().deliver(jobs);
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    let (living, dead) = outcomes.split_last().unwrap();
    assert_eq!(*living, Ok(()));
    assert!(dead.len() == 20 && dead.iter().all(Result::is_err));
    // What waits behind the first is not even tried.
    for socket in &silent {
        assert_eq!(datagrams(socket), 2);
    }
    receiver.wait_for("living", SOON);
}

#[test]
fn a_name_that_nobody_knows_is_named() {
    // ".invalid" never exists (RFC 2606).
    let unsent = unsent(&manager("nms.invalid", "community = 'public'\ntimeout = '10s'"));
    assert!(
        unsent
            .reason
            .starts_with("the name \"nms.invalid\" cannot be resolved: "),
        "{unsent}"
    );
}

#[test]
fn a_secret_that_is_not_there_is_named_without_being_shown() {
    let gone = manager("127.0.0.1:9", "community = { file = '/nonexistent/community' }");
    assert!(
        unsent(&gone)
            .reason
            .starts_with("community: secret file /nonexistent/community: ")
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sh0rt\n").unwrap();
    let short = format!(
        "auth-password = {{ file = '{}' }}\nprivacy-password = 'x'",
        file.path().display()
    );
    let unsent = unsent(&v3(9, true, &short));
    assert_eq!(unsent.reason, "auth-password is shorter than 8 octets");
    assert!(!format!("{unsent:?}").contains("sh0rt"));
}
