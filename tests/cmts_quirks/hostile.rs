//! Packets that no agent sends. Those that are no messages are passed over; those that are messages and make no sense
//! end the capture with a failure or with flows that are marked. Nothing panics, hangs or takes memory.

use std::time::{Duration, Instant};

use billdrop::capture::cmts::snmp::fuzz::snmp_answer;
use proptest::prelude::*;

use crate::agent::{Agent, Reply, UNFRAGMENTED, arcs, right};
use crate::cmts_agent::{self, GET_BULK, Request, element, name_octets, response, value_octets, varbind};
use crate::{ROWS, SAID, UPTIME, WHOLE, assert_harmless, capture_with, settings};

/// An element whose length is written in a given way.
fn with_length(tag: u8, length: &[u8], content: &[u8]) -> Vec<u8> {
    [&[tag], length, content].concat()
}

fn nested(depth: usize, tag: u8) -> Vec<u8> {
    // Innermost first; each length is written in three octets.
    let mut out = vec![5, 0];
    for _ in 0..depth {
        let length = (out.len() as u32).to_be_bytes();
        out.extend([length[3], length[2], length[1], 0x83, tag]);
        if out.len() > 65_000 {
            break;
        }
    }
    out.reverse();
    out
}

/// Octets that are no message, made from a right answer to the request.
fn broken(request: &Request<'_>, right: &[u8]) -> Vec<Vec<u8>> {
    let community = element(4, request.community);
    let pdu = |tag, content: &[u8]| {
        let message = [&[2, 1, 1], community.as_slice(), &element(tag, content)].concat();
        element(0x30, &message)
    };
    let id = element(2, request.id);
    let zeros = [2, 1, 0, 2, 1, 0];
    let head = |rest: &[u8]| pdu(0xa2, &[&id, &zeros[..], rest].concat());
    let cell = |name: &[u8], value: &[u8]| head(&element(0x30, &element(0x30, &[name, value].concat())));
    let name = element(6, &name_octets(&arcs(UPTIME)));
    let mut packets: Vec<Vec<u8>> = (0..right.len()).map(|length| right[..length].to_vec()).collect();
    packets.extend([
        Vec::new(),
        vec![0; 1400],
        vec![0xff; 1400],
        vec![0x30; 1400],
        nested(10_000, 0x30),
        nested(10_000, 0xa2),
        head(&nested(10_000, 0x30)),
        // Lengths: indefinite, of more octets than there are, of 2^64, of 2^32 - 1, one too many.
        with_length(0x30, &[0x80], &right[2..]),
        with_length(0x30, &[0x80], &[&right[2..], &[0, 0]].concat()),
        with_length(0x30, &[0xff], &right[2..]),
        with_length(0x30, &[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0], &right[2..]),
        with_length(0x30, &[0x84, 0xff, 0xff, 0xff, 0xff], &right[2..]),
        with_length(
            0x30,
            &[0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &right[2..],
        ),
        head(&with_length(0x30, &[0x84, 0x7f, 0xff, 0xff, 0xff], &[])),
        head(&with_length(0x30, &[0x80], &[0, 0])),
        // Numbers: none, of nine octets, of ten thousand, an error status of eight.
        pdu(0xa2, &[&[2, 0], &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa2, &[&element(2, &[1; 9]), &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa2, &[&element(2, &[1; 10_000]), &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa2, &[&id, &element(2, &[0x7f; 8])[..], &[2, 1, 0, 0x30, 0]].concat()),
        cell(&name, &element(0x41, &[1; 9])),
        cell(&name, &element(0x46, &[1; 10])),
        cell(&name, &element(0x46, &[0x7f; 20_000])),
        cell(&name, &element(2, &[0x7f; 20_000])),
        cell(&name, &element(0x40, &[10, 0, 0])),
        cell(&name, &element(0x40, &[10, 0, 0, 0, 1])),
        // Names: of too many parts, of a part that is too large, that does not end, of none.
        cell(&element(6, &[1; 129]), &[5, 0]),
        cell(&element(6, &[1; 60_000]), &[5, 0]),
        cell(&element(6, &[0x2b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), &[5, 0]),
        cell(&element(6, &[0x2b, 6, 0x81]), &[5, 0]),
        // A cell without a value, a value without a name, both twice, something that is no cell.
        head(&element(0x30, &element(0x30, &name))),
        head(&element(0x30, &element(0x30, &[5, 0]))),
        head(&element(0x30, &element(0x30, &[&name[..], &[5, 0, 5, 0]].concat()))),
        head(&element(0x30, &[5, 0])),
        head(&element(0x31, &[])),
        cell(&name, &[0x1f, 0x81, 0]),
        cell(&name, &[0x82, 4, 1, 2, 3, 4]),
        // Other messages than an answer, and other versions.
        pdu(0xa0, &[&id, &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa4, &[&id, &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa7, &[&id, &zeros[..], &[0x30, 0]].concat()),
        pdu(0xa8, &[&id, &zeros[..], &[0x30, 0]].concat()),
        pdu(0xbf, &[&id, &zeros[..], &[0x30, 0]].concat()),
    ]);
    for version in [0_u8, 2, 3, 0x7f, 0xff] {
        let mut packet = right.to_vec();
        let at = packet.iter().position(|octet| *octet == 2).unwrap() + 2;
        packet[at] = version;
        packets.push(packet);
    }
    packets
}

#[test]
fn what_is_no_message_is_passed_over() {
    let mut sent = 0_usize;
    let mut checked = false;
    assert_harmless(move |request: &Request<'_>, _| {
        let right = right(&ROWS, request);
        let broken = broken(request, &right);
        // In turn, so many before each answer that the receiver's buffer holds them.
        let these = (0..24).map(|number| broken[(sent + number) % broken.len()].clone());
        let mut replies: Vec<Reply> = these.map(Reply::Here).collect();
        sent += 24;
        replies.push(Reply::Here(right));
        if !checked {
            checked = true;
            assert!(broken.len() > 100);
        }
        replies
    });
}

/// For five rows of a column.
fn a_request() -> Request<'static> {
    Request {
        community: b"cmts",
        pdu: GET_BULK,
        id: &[1],
        first: 1,
        second: 5,
        names: vec![arcs("1.3.6.1.2.1.1.3"), arcs("1.3.6.1.4.1.4491.2.1.21.1.4.1.2")],
        values: Vec::new(),
    }
}

/// Messages that are right in form, in place of the answer to a GETBULK of this kind.
fn senseless(request: &Request<'_>) -> Vec<Vec<u8>> {
    let answer = |varbinds: &[Vec<u8>]| response(request.community, request.id, 0, 0, &varbinds.concat());
    let cells = |value: &[u8]| {
        let mut name = request.names[0].clone();
        name.push(0);
        let uptime = varbind(&name, &value_octets(cmts_agent::Value::TimeTicks(60_000_000)));
        let next = request.names[1..]
            .iter()
            .map(|name| varbind(&[name.as_slice(), &[1, 1]].concat(), value));
        answer(&[uptime].into_iter().chain(next).collect::<Vec<_>>())
    };
    let values: [&[u8]; 14] = [
        &[5, 0],
        &[2, 1, 0xff],
        &[2, 4, 0x80, 0, 0, 0],
        &[4, 0],
        &element(4, &[0xff; 1300]),
        &[6, 1, 0x2b],
        &[0x40, 4, 255, 255, 255, 255],
        &[0x41, 5, 0, 255, 255, 255, 255],
        &[0x42, 4, 255, 255, 255, 255],
        &[0x43, 1, 0],
        &[0x44, 2, 0x9f, 0x78],
        &[0x46, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0x80, 0],
        &[0x81, 0],
    ];
    let mut packets: Vec<Vec<u8>> = values.iter().map(|value| cells(value)).collect();
    packets.extend([
        // No cells at all, no sysUpTime, one that is text, one cell of many columns.
        answer(&[]),
        answer(&[varbind(&request.names[1], &[2, 1, 1])]),
        answer(&[varbind(&arcs(UPTIME), &[4, 1, 65])]),
        answer(&[varbind(&arcs(UPTIME), &[0x43, 4, 3, 147, 135, 0])]),
        // Numbers that their types cannot hold, which the library would cut off, and an empty one.
        cells(&[0x41, 6, 1, 0, 0, 0, 0, 0]),
        cells(&[2, 6, 1, 0, 0, 0, 0, 0]),
        cells(&[0x46, 0]),
        // Statuses that there are not, with and without an index.
        response(request.community, request.id, 99, 0, &[]),
        response(request.community, request.id, 5, 200, &[]),
        response(request.community, request.id, 19, 127, &varbind(&[1, 3], &[5, 0])),
    ]);
    packets
}

#[test]
fn what_makes_no_sense_is_a_failure_or_is_marked() {
    let count = senseless(&a_request()).len();
    for packet in 0..count {
        // In place of the answers for one table after the other.
        for table in ["10.127.1.3.3", "1.21.1.4", "1.21.1.11", "1.21.1.7", "1.21.1.2"] {
            let part = arcs(table);
            let agent = Agent::start(move |request: &Request<'_>, _| {
                let is_of = request.pdu == GET_BULK
                    && request.names.len() > 1
                    && request.names[1].windows(part.len()).any(|names| names == part);
                vec![Reply::Here(match is_of {
                    true => senseless(request).swap_remove(packet),
                    false => right(&ROWS, request),
                })]
            });
            let mut settings = settings(agent.port);
            (settings.answer_within, settings.retries) = (Duration::from_millis(150), 1);
            let (captured, records) = capture_with(settings);
            match captured {
                Err(_) => assert!(records.is_empty()),
                Ok(captured) => {
                    let is_marked = captured.incomplete.is_some() || captured.remark.as_deref() != Some(SAID);
                    // A log may be empty: nobody misses what nobody knows of.
                    let is_whole = match table {
                        "1.21.1.7" => records.iter().all(|record| WHOLE.contains(record)),
                        _ => records == *WHOLE,
                    };
                    let first = records.first();
                    assert!(is_marked || is_whole, "packet {packet} for {table}: {first:?}");
                }
            }
        }
    }
}

#[test]
fn the_fuzz_function_takes_all_of_them_in_no_time() {
    let request = a_request();
    let varbinds = ROWS.answer(&request, UNFRAGMENTED).unwrap();
    let right = request.response(0, 0, &varbinds);
    let list = element(0x30, &varbinds);
    // What no datagram holds, but a stream might: a name of a million parts, and a million levels.
    let million = element(6, &[1; 1_000_000]);
    let cell = element(0x30, &[&million[..], &[5, 0]].concat());
    let mut packets = [broken(&request, &right), senseless(&request)].concat();
    packets.extend([
        element(0x30, &cell),
        element(0x30, &[0x30, 0x80].repeat(500_000)),
        right,
        list,
    ]);
    let start = Instant::now();
    for packet in &packets {
        snmp_answer(packet);
    }
    let elapsed = start.elapsed();
    assert!(
        elapsed < Duration::from_secs(60),
        "{elapsed:?} for {} packets",
        packets.len()
    );
}

/// A right answer: sysUpTime, and five counters.
fn an_answer() -> Vec<u8> {
    let request = a_request();
    let varbinds = ROWS.answer(&request, UNFRAGMENTED).unwrap();
    request.response(0, 0, &varbinds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_an_answer_that_harms_nothing(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        snmp_answer(&octets);
        snmp_answer(&element(0x30, &octets));
    }

    #[test]
    fn a_changed_answer_harms_nothing(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut octets = an_answer();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        snmp_answer(&octets);
        // The list of its cells, without what stands before it.
        let list = octets.windows(2).position(|two| two == [0x30, 0x81] || two == [0x30, 0x82]);
        snmp_answer(&octets[list.unwrap_or(0)..]);
    }
}
