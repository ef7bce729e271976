//! Whatever a manager answers: nothing but a true acknowledgement counts as one.

use std::{net::UdpSocket, thread, time::Duration};

use billdrop::config::Manager;

use super::{passwords, sender, test_event, unsent::unsent, v2c, v3};

#[test]
fn an_acknowledgement_counts_and_nothing_that_only_looks_like_one() {
    let (port, answering) = odd_manager(|number, inform| {
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
            Some("no answer within 200ms"),
            Some("no answer within 200ms"),
            Some("its answer does not fit the notification"),
            Some("it answered with the error genErr"),
        ]
    );
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&[], ("127.0.0.1", port))
        .unwrap();
    answering.join().unwrap();
}

#[test]
fn the_recorded_reports_are_understood() {
    let (port, answering) = odd_manager(|number, request| {
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
    answering.join().unwrap();
}

#[test]
fn garbage_for_an_acknowledgement_harms_nobody() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (port, answering) = odd_manager(move |number, inform| {
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
    answering.join().unwrap();
}

#[test]
fn garbage_for_a_discovery_or_a_report_harms_nobody() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (port, answering) = odd_manager(move |number, request| {
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
    answering.join().unwrap();
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

/// A manager that answers each datagram with what `answer` makes of it, until an empty one comes.
fn odd_manager(answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (u16, thread::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let answering = thread::spawn(move || {
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
    (port, answering)
}

/// An InformRequest of version 2c made into its Response: the tag of the PDU is all that differs.
fn acknowledgement(inform: &[u8]) -> Vec<u8> {
    let mut response = inform.to_vec();
    let tag = pdu(inform);
    assert_eq!(std::mem::replace(&mut response[tag], 0xA2), 0xA6);
    response
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

/// Where the PDU begins: after the community.
fn pdu(message: &[u8]) -> usize {
    let community = message.windows(6).position(|w| w == b"public").unwrap();
    community + 6
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
    // After version 3 and the head of a SEQUENCE: an INTEGER of mostly four octets, in the report always of four.
    let version = request.windows(4).position(|w| w == [2, 1, 3, 0x30]).unwrap();
    let (length, id) = (usize::from(request[version + 6]), &request[version + 7..]);
    report[9..13].fill(0);
    report[13 - length..13].copy_from_slice(&id[..length]);
    report
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

/// A small generator of pseudo-random numbers (xorshift), so that a failure can be repeated.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as usize
}
