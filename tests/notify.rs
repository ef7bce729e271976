//! Managers are told: a real snmptrapd receives every event, by name, in every way of sending; and whatever a manager
//! does instead of answering, the program goes on in time and says what is wrong.

mod support;

use std::{
    net::UdpSocket,
    process::Command,
    time::{Duration, Instant},
};

use billdrop::{
    config::{DEFAULT_ENTERPRISE, Manager},
    notify::{CollectionStatus, Engine, Event, Sender, Unsent},
};
use chrono::{TimeZone, Utc};
use support::snmptrapd::{AUTH_PASSWORD, COMMUNITY, PRIVACY_PASSWORD, SENDER_ENGINE, Snmptrapd, mib_directories};

/// Long enough for a busy machine. Nothing waits for it when all is well.
const SOON: Duration = Duration::from_secs(10);

fn sender() -> Sender {
    let id = Engine::parse_id(SENDER_ENGINE).unwrap();
    Sender::new(Engine { id, boots: 7 }, DEFAULT_ENTERPRISE).unwrap()
}

fn manager(address: &str, rest: &str) -> Manager {
    toml::from_str(&format!("address = '{address}'\n{rest}")).unwrap()
}

fn v2c(port: u16, inform: bool) -> Manager {
    manager(
        &format!("127.0.0.1:{port}"),
        &format!("community = '{COMMUNITY}'\ninform = {inform}\ntimeout = '5s'"),
    )
}

fn v3(port: u16, inform: bool, rest: &str) -> Manager {
    manager(
        &format!("127.0.0.1:{port}"),
        &format!("version = '3'\nuser = 'billdrop'\ninform = {inform}\ntimeout = '5s'\n{rest}"),
    )
}

fn passwords() -> String {
    format!("auth-password = '{AUTH_PASSWORD}'\nprivacy-password = '{PRIVACY_PASSWORD}'\n")
}

/// Every kind of event, with what the receiver's line says of it. `mark` stands in each.
fn events(mark: &str) -> Vec<(Event, Vec<String>)> {
    let at = Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 15).unwrap();
    let time = |object: &str| format!("{object}.0 = STRING: 2026-1-15,9:30:15.0,+0:0");
    let trap = |name: &str| format!("SNMPv2-MIB::snmpTrapOID.0 = OID: {name}");
    let ours = |object: &str| format!("BILLDROP-MIB::{object}");
    vec![
        (
            Event::Collection {
                status: CollectionStatus::Success,
                destination: format!("disk0:{mark}-20260115-093000.xml"),
                at,
            },
            vec![
                trap("CISCO-CABLE-METERING-MIB::ccmtrCollectionNotification"),
                "CISCO-CABLE-METERING-MIB::ccmtrCollectionStatus.0 = INTEGER: success(2)".to_owned(),
                format!(
                    "CISCO-CABLE-METERING-MIB::ccmtrCollectionDestination.0 = STRING: disk0:{mark}-20260115-093000.xml"
                ),
                time("CISCO-CABLE-METERING-MIB::ccmtrCollectionTimestamp"),
            ],
        ),
        (
            Event::Blocked {
                document: format!("{mark}.xml"),
                sequence: u64::MAX,
                since: at,
                captures_skipped: u32::MAX,
            },
            vec![
                trap(&ours("billdropBlocked")),
                ours(&format!("billdropDocumentName.0 = STRING: {mark}.xml")),
                ours("billdropDocumentSequence.0 = Counter64: 18446744073709551615"),
                time(&ours("billdropDocumentSince")),
                ours("billdropCapturesSkipped.0 = Gauge32: 4294967295"),
            ],
        ),
        (
            Event::SourceFailed {
                source: mark.to_owned(),
                reason: "no answer\nfrom Köln".to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropSourceFailed")),
                ours(&format!("billdropSourceName.0 = STRING: {mark}")),
                ours("billdropReason.0 = STRING: no answer from Köln"),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::Gap {
                sequence: 42,
                reason: format!("moved aside: {mark}"),
                at,
            },
            vec![
                trap(&ours("billdropGap")),
                ours("billdropDocumentSequence.0 = Counter64: 42"),
                ours(&format!("billdropReason.0 = STRING: moved aside: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
        (
            Event::Test {
                recorder: mark.to_owned(),
                at,
            },
            vec![
                trap(&ours("billdropTest")),
                ours(&format!("billdropRecorder.0 = STRING: {mark}")),
                time(&ours("billdropEventTime")),
            ],
        ),
    ]
}

fn test_event(mark: &str) -> Event {
    events(mark).pop().unwrap().0
}

/// Sends every event and finds each, once, whole and by name, in the receiver's log.
#[track_caller]
fn assert_all_arrive(receiver: &Snmptrapd, manager: &Manager, kind: &str) {
    let expected = events("edge7");
    let jobs = expected
        .iter()
        .map(|(event, _)| (manager.clone(), event.clone()))
        .collect();
    for outcome in sender().deliver(jobs) {
        outcome.unwrap_or_else(|e| panic!("{e}\n{}", receiver.everything()));
    }
    for (_, parts) in &expected {
        let line = receiver.wait_for(&parts[0], SOON);
        assert!(line.contains(kind), "{line}");
        assert!(line.contains("SNMPv2-MIB::sysUpTime.0 = "), "{line}");
        let mut rest = line.as_str();
        for part in parts {
            let at = rest
                .find(part.as_str())
                .unwrap_or_else(|| panic!("{part:?} is missing, or not in order: {line}"));
            rest = &rest[at + part.len()..];
            assert!(rest.is_empty() || rest.starts_with('\t'), "after {part:?}: {rest:?}");
        }
    }
    assert_eq!(receiver.lines().len(), expected.len(), "{}", receiver.everything());
    assert!(
        !receiver.everything().contains("Wrong Type"),
        "{}",
        receiver.everything()
    );
}

#[test]
fn every_event_arrives_as_a_v2c_trap() {
    let receiver = Snmptrapd::start();
    assert_all_arrive(
        &receiver,
        &v2c(receiver.port, false),
        "TRAP2, SNMP v2c, community public",
    );
}

#[test]
fn every_event_arrives_as_a_v2c_inform() {
    let receiver = Snmptrapd::start();
    assert_all_arrive(
        &receiver,
        &v2c(receiver.port, true),
        "INFORM, SNMP v2c, community public",
    );
}

#[test]
fn every_event_arrives_as_a_v3_trap() {
    let receiver = Snmptrapd::start();
    let manager = v3(receiver.port, false, &passwords());
    assert_all_arrive(&receiver, &manager, "TRAP2, SNMP v3, user billdrop");
}

#[test]
fn every_event_arrives_as_a_v3_inform() {
    let receiver = Snmptrapd::start();
    let manager = v3(receiver.port, true, &passwords());
    assert_all_arrive(&receiver, &manager, "INFORM, SNMP v3, user billdrop");
}

#[test]
fn every_status_has_its_number() {
    let receiver = Snmptrapd::start();
    let event = |status| Event::Collection {
        status,
        destination: "x".to_owned(),
        at: Utc::now(),
    };
    use CollectionStatus::*;
    for (status, name) in [
        (Unknown, "unknown(1)"),
        (DeviceFull, "deviceFull(3)"),
        (WriteError, "writeError(4)"),
        (FileNotExist, "fileNotExist(5)"),
        (ConnectionTimeout, "connectionTimeout(6)"),
        (DataIncomplete, "dataIncomplete(7)"),
    ] {
        sender().send(&v2c(receiver.port, true), &event(status)).unwrap();
        receiver.wait_for(&format!("ccmtrCollectionStatus.0 = INTEGER: {name}\t"), SOON);
    }
}

#[test]
fn every_protocol_of_version_3_is_understood() {
    let auths = [
        ("MD5", "MD5"),
        ("SHA-1", "SHA"),
        ("SHA-224", "SHA-224"),
        ("SHA-256", "SHA-256"),
        ("SHA-384", "SHA-384"),
        ("SHA-512", "SHA-512"),
    ];
    let privacies = [("AES-128", "AES"), ("AES-256", "AES-256")];
    let pairs: Vec<_> = auths
        .iter()
        .flat_map(|a| privacies.iter().map(move |p| (*a, *p)))
        .collect();
    let names: Vec<String> = pairs.iter().map(|(a, p)| format!("u-{}-{}", a.0, p.0)).collect();
    let users: Vec<_> = pairs
        .iter()
        .zip(&names)
        .map(|((a, p), name)| (name.as_str(), a.1, p.1))
        .collect();
    let receiver = Snmptrapd::start_with(&users);
    let mut jobs = Vec::new();
    for ((auth, privacy), name) in pairs.iter().zip(&names) {
        for inform in [false, true] {
            let table = format!(
                "version = '3'\nuser = '{name}'\ninform = {inform}\ntimeout = '5s'\nauth-protocol = '{}'\n\
                 privacy-protocol = '{}'\n{}",
                auth.0,
                privacy.0,
                passwords()
            );
            let manager = manager(&format!("127.0.0.1:{}", receiver.port), &table);
            jobs.push((manager, test_event(&format!("{name}-{inform}"))));
        }
    }
    for outcome in sender().deliver(jobs) {
        outcome.unwrap_or_else(|e| panic!("{e}\n{}", receiver.everything()));
    }
    for name in &names {
        receiver.wait_for(&format!("billdropRecorder.0 = STRING: {name}-false"), SOON);
        receiver.wait_for(&format!("billdropRecorder.0 = STRING: {name}-true"), SOON);
    }
}

#[test]
fn a_process_with_more_boots_is_heard_and_one_with_fewer_is_not() {
    let receiver = Snmptrapd::start();
    let trap = |boots: u32| {
        let id = Engine::parse_id(SENDER_ENGINE).unwrap();
        let sender = Sender::new(Engine { id, boots }, DEFAULT_ENTERPRISE).unwrap();
        let manager = v3(receiver.port, false, &passwords());
        sender.send(&manager, &test_event(&format!("boots-{boots}."))).unwrap();
    };
    for boots in [7, 8] {
        trap(boots);
        receiver.wait_for(&format!("boots-{boots}."), SOON);
    }
    trap(6);
    trap(2_147_483_646);
    receiver.wait_for("boots-2147483646.", SOON);
    assert_eq!(receiver.lines().len(), 3, "{}", receiver.everything());
}

#[test]
fn a_name_and_ipv6_lead_to_the_manager_too() {
    let receiver = Snmptrapd::start();
    let by_name = manager(
        &format!("localhost:{}", receiver.port),
        "community = 'public'\ninform = true",
    );
    sender().send(&by_name, &test_event("by-name")).unwrap();
    receiver.wait_for("by-name", SOON);
    if !receiver.ipv6 {
        println!("this host has no IPv6 loopback address (::1 cannot be bound): not tried over IPv6");
        return;
    }
    for (inform, mark) in [(false, "v6-trap"), (true, "v6-inform")] {
        let address = format!("[::1]:{}", receiver.port);
        let v6 = manager(&address, &format!("community = 'public'\ninform = {inform}"));
        sender().send(&v6, &test_event(mark)).unwrap();
        receiver.wait_for(mark, SOON);
    }
}

/// Sends to a manager that cannot be told, in no more than (retries + 1) × timeout + 1 s.
#[track_caller]
fn unsent(manager: &Manager) -> Unsent {
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
    let port = support::free_port();
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

#[test]
fn a_secret_in_a_file_opens_the_manager() {
    let receiver = Snmptrapd::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "public\n").unwrap();
    let table = format!("community = {{ file = '{}' }}\ninform = true", file.path().display());
    let manager = manager(&format!("127.0.0.1:{}", receiver.port), &table);
    sender().send(&manager, &test_event("from-file")).unwrap();
    receiver.wait_for("from-file", SOON);
}

/// A manager that answers each datagram with what `answer` makes of it, until an empty one comes.
fn odd_manager(answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (u16, std::thread::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut datagram = [0; 65_535];
        for number in 0.. {
            let Ok((length, from)) = socket.recv_from(&mut datagram) else {
                return;
            };
            if length == 0 {
                return;
            }
            for answer in answer(number, &datagram[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    (port, thread)
}

/// An InformRequest of version 2c made into its Response: the tag of the PDU is all that differs.
fn acknowledgement(inform: &[u8]) -> Vec<u8> {
    let mut response = inform.to_vec();
    let tag = pdu(inform);
    assert_eq!(std::mem::replace(&mut response[tag], 0xA2), 0xA6);
    response
}

/// Where the PDU begins: after the community.
fn pdu(message: &[u8]) -> usize {
    let community = message.windows(6).position(|w| w == b"public").unwrap();
    community + 6
}

/// A Response of version 2c with the error genErr: the integer after the request id.
fn refusal(mut response: Vec<u8>) -> Vec<u8> {
    let pdu = pdu(&response);
    let id = pdu + 2 + usize::from(response[pdu + 1] == 0x81);
    let status = id + 2 + usize::from(response[id + 1]) + 2;
    assert_eq!((response[id], &response[status - 2..=status]), (2, &[2, 1, 0][..]));
    response[status] = 5;
    response
}

#[test]
fn an_acknowledgement_counts_and_nothing_that_only_looks_like_one() {
    let (port, thread) = odd_manager(|number, inform| {
        let mut response = acknowledgement(inform);
        match number {
            0 => vec![response],
            // The request as it was.
            1 => vec![inform.to_vec()],
            // Of another community.
            2 => {
                let at = response.windows(6).position(|w| w == b"public").unwrap();
                response[at] ^= 1;
                vec![response]
            }
            // With other values.
            3 => {
                *response.last_mut().unwrap() ^= 1;
                vec![response]
            }
            _ => vec![refusal(response)],
        }
    });
    let mut manager = v2c(port, true);
    (manager.timeout.0, manager.retries) = (Duration::from_millis(200), 0);
    let sender = sender();
    let said: Vec<_> = (0..5).map(|_| sender.send(&manager, &test_event("x"))).collect();
    let reasons: Vec<_> = said.into_iter().map(|s| s.err().map(|unsent| unsent.reason)).collect();
    assert_eq!(
        reasons.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [
            None,
            Some("no answer in 1 tries of 200ms"),
            Some("no answer in 1 tries of 200ms"),
            Some("its answer does not fit the notification"),
            Some("it answered with the error genErr"),
        ]
    );
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&[], ("127.0.0.1", port))
        .unwrap();
    thread.join().unwrap();
}

/// A small generator of pseudo-random numbers (xorshift), so that a failure can be repeated.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as usize
}

/// What an answer may become on its way through a bad line or a bad mind.
fn mutants(answer: &[u8], state: &mut u64) -> Vec<Vec<u8>> {
    (0..40)
        .map(|_| {
            let mut mutant = answer.to_vec();
            for _ in 0..1 + random(state) % 4 {
                let at = random(state) % mutant.len();
                match random(state) % 5 {
                    0 => mutant[at] ^= 1 << (random(state) % 8),
                    1 => mutant[at] = [0x00, 0x7F, 0x80, 0x81, 0x84, 0xFF][random(state) % 6],
                    2 => mutant.truncate(at.max(1)),
                    3 => mutant.insert(at, random(state) as u8),
                    _ if mutant.len() > 1 => drop(mutant.remove(at)),
                    _ => (),
                }
            }
            mutant
        })
        .collect()
}

/// Tells an odd manager again and again and finds that nothing but `Unsent` comes of it, in time.
#[track_caller]
fn assert_always_unsent(manager: &Manager) {
    for _ in 0..50 {
        let unsent = unsent(manager);
        assert!(!unsent.reason.contains("internal error"), "{unsent}");
    }
    let (_, port) = manager.address.split_once(':').unwrap();
    let stop = UdpSocket::bind("127.0.0.1:0").unwrap();
    stop.send_to(&[], ("127.0.0.1", port.parse().unwrap())).unwrap();
}

#[test]
fn garbage_for_an_acknowledgement_harms_nobody() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (port, thread) = odd_manager(move |number, inform| {
        // So wrong in three places that no mutant of it is an acknowledgement.
        let mut response = refusal(acknowledgement(inform));
        *response.last_mut().unwrap() ^= 1;
        let uptime = response.windows(2).position(|w| w[0] == 0x43 && w[1] <= 5).unwrap();
        response[uptime + 2] ^= 1;
        mutants(&response, &mut (seed + 1 + number as u64))
    });
    let mut manager = v2c(port, true);
    (manager.timeout.0, manager.retries) = (Duration::from_millis(30), 0);
    assert_always_unsent(&manager);
    thread.join().unwrap();
}

/// What snmptrapd 5.9.3 answers to a discovery, and to a wrong password of the user "billdrop".
const DISCOVERY_REPORT: &str = "306e020103301102 04586f8961 020300ffe3040100020103\
     0421301f041180001f88800f0f27393a0d036b0000000002010102010304000400040030 33041180001f88800f0f27393a0d036b00000000\
     0400a81c0201000201000201003011300f060a2b060106030f01010400410101";
const WRONG_DIGEST_REPORT: &str = "3076020103301102 04586f8962 020300ffe3040100020103\
     04293027041180001f88800f0f27393a0d036b00000000020101020103040862696c6c64726f7004000400 3033\
     041180001f88800f0f27393a0d036b000000000400a81c0201000201000201003011300f060a2b060106030f01010500410101";

/// The report, with the message id of the request that it answers.
fn report(hex: &str, request: &[u8]) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let mut report: Vec<u8> = (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    // SEQUENCE, version 3, SEQUENCE, INTEGER of four octets. Message ids of three are rare, and garbage is wanted.
    if let Some(at) = request.windows(5).position(|w| w == [2, 1, 3, 0x30, 0x11]) {
        report[9..13].copy_from_slice(&request[at + 7..at + 11]);
    }
    report
}

#[test]
fn the_recorded_reports_are_understood() {
    let (port, thread) = odd_manager(|number, request| {
        let hex = [DISCOVERY_REPORT, WRONG_DIGEST_REPORT][number % 2];
        vec![report(hex, request)]
    });
    let unsent = unsent(&v3(port, true, &passwords()));
    assert_eq!(
        unsent.reason,
        "authentication failed: it has another password for the user"
    );
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&[], ("127.0.0.1", port))
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn garbage_for_a_discovery_or_a_report_harms_nobody() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (port, thread) = odd_manager(move |number, request| {
        let mut state = seed + 1 + number as u64;
        let discovery = request.len() < 100;
        let hex = if discovery {
            DISCOVERY_REPORT
        } else {
            WRONG_DIGEST_REPORT
        };
        let report = report(hex, request);
        let mut answers = mutants(&report, &mut state);
        // Now and then the discovery succeeds, so that the next step gets garbage too.
        if discovery && number % 2 == 0 {
            answers = vec![report];
        }
        answers
    });
    let mut manager = v3(port, true, &passwords());
    (manager.timeout.0, manager.retries) = (Duration::from_millis(30), 0);
    assert_always_unsent(&manager);
    thread.join().unwrap();
}

#[test]
fn the_mib_is_without_a_remark_of_smilint() {
    let output = Command::new("smilint")
        .args(["-l", "6", "-s", "contrib/mib/BILLDROP-MIB.txt"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SMIPATH", mib_directories())
        .output()
        .expect("smilint is missing; install it: apt-get install -y --no-install-recommends smitools");
    let remarks = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && remarks.is_empty(), "{remarks}");
}
