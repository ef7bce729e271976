//! The exporter of IPDR/SP against collectors that were written from the protocol alone.

mod support;

use std::time::Duration;

use support::ipdr::{
    Acks, Act, Collector, Log, Order, Script, State, When,
    exporter::{Keys, NAME, QUICK, SESSION, Setup, body, session},
    message::{self, Message},
    octets::octets,
    value::{Value, read_record},
};

/// Everything that a collector may do with acknowledgements.
const ODD: [Acks; 7] = [
    Acks::Orderly,
    Acks::Late(Duration::from_millis(1100)),
    Acks::OutOfOrder,
    Acks::Twice,
    Acks::AfterStop,
    Acks::Silly,
    Acks::ZeroOnTimer,
];

/// The collector is right before it judges: what an E6000 sent, and a record of its documents.
#[test]
fn the_collector_of_these_tests_reads_what_an_e6000_sent() {
    let sent = octets(
        "0206000000000028 00000000 0000012c 00000014 \"ARRIS E6000 Exporter\"
         0215000000000041 0010 00000001 01 04 00000006 \"CM-REG\" 0000001b \"DOCSIS CM-REG EVENT SESSION\" 00000001 000000c8
         0208010000000035 5da8bea8 0000000000000000 0000000000000000 01 00000001 000000c8 5dbde3c4000000000000 00015c851c00",
    );
    let mut messages = Vec::new();
    let mut rest = &sent[..];
    while let Some((session, message, length)) = message::next(rest).unwrap() {
        messages.push((session, message));
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
    let [
        (
            0,
            Message::ConnectResponse {
                capabilities: 0,
                keep_alive: 300,
                vendor,
            },
        ),
        (
            0,
            Message::SessionsResponse {
                request: [0, 0x10],
                sessions,
            },
        ),
        (1, Message::SessionStart(start)),
    ] = &messages[..]
    else {
        panic!("{messages:#?}");
    };
    assert_eq!(vendor, "ARRIS E6000 Exporter");
    assert_eq!(
        (sessions[0].id, sessions[0].kind, &sessions[0].name[..]),
        (1, 4, "CM-REG")
    );
    assert_eq!((sessions[0].ack_time, sessions[0].ack_sequence), (1, 200));
    assert_eq!((start.first_sequence, start.dropped, start.primary), (0, 0, true));
    assert_eq!(start.document[..4], 0x5dbd_e3c4u32.to_be_bytes());

    let field = |name: &str, type_id| message::Field {
        type_id,
        id: 1,
        name: name.to_owned(),
        is_enabled: true,
    };
    let record = octets(
        "00000004 \"veex\" 03e74c3d c0a873e7 00000010 00000000000000000000000000000000 0000789684ec5bdc 0000016f4ad265e7",
    );
    let fields = [
        ("a", 0x28),
        ("b", 0x22),
        ("c", 0x322),
        ("d", 0x427),
        ("e", 0x723),
        ("f", 0x224),
    ]
    .map(|(name, id)| field(name, id));
    let values: Vec<Value> = read_record(&fields, &record)
        .unwrap()
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(
        values,
        [
            Value::Text("veex".to_owned()),
            Value::Unsigned(65_489_981),
            Value::Address("192.168.115.231".parse().unwrap()),
            Value::Address("::".parse().unwrap()),
            Value::Mac([0x78, 0x96, 0x84, 0xec, 0x5b, 0xdc]),
            Value::Time(1_577_508_300_263),
        ]
    );
    assert!(read_record(&fields, &record[..record.len() - 1]).is_err());
}

#[test]
fn ten_documents_arrive_one_record_at_a_time_however_they_are_acknowledged() {
    ten_documents(1, 1);
}

#[test]
fn ten_documents_arrive_in_windows_of_200_however_they_are_acknowledged() {
    ten_documents(200, 50);
}

#[test]
fn ten_documents_arrive_in_the_largest_windows_however_they_are_acknowledged() {
    ten_documents(65_535, 10_000);
}

fn ten_documents(window: u32, ack_sequence: u32) {
    const RECORDS: [u64; 10] = [50_000; 10];
    let keys = format!("ack-time = \"1s\"\nack-sequence = {ack_sequence}\nwindow = {window}\nack-timeout = \"30s\"\n");
    let setup = Setup::new(
        &[("a", "127.0.0.1", 1)],
        &Keys {
            session: &keys,
            ..QUICK
        },
    );
    setup.store(NAME, 0, &RECORDS);
    let log = Log::new();
    let mut script = Script::acknowledging(&ODD);
    script.acks.rotate_left(window as usize % 3);
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, script);
    let _exporter = setup.start();
    log.wait("ten documents", |seen| seen.are_taken(SESSION, RECORDS.len()));
    log.assert_taken(SESSION, &RECORDS, body);
    let seen = log.seen();
    assert_eq!(seen.connections, 1, "{}", seen.summary());
    for document in &seen.documents {
        assert_eq!(document.starts.len(), 1, "{}", seen.summary());
        assert_eq!(document.starts[0].1.ack_sequence, ack_sequence);
        assert_eq!(document.duplicates, 0);
    }
}

/// What the exporter says of its sessions is what is configured.
#[test]
fn several_sessions_run_on_one_connection_each_with_its_own_numbers() {
    let more = session(7, "seventh", QUICK.session) + &session(255, "last", "ack-time = \"2s\"\nack-sequence = 9\n");
    let setup = Setup::new(&[("a", "127.0.0.1", 1)], &Keys { more: &more, ..QUICK });
    setup.store(NAME, 0, &[3000, 10]);
    setup.store("seventh", 20, &[1, 2000]);
    setup.store("last", 40, &[700]);
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let _exporter = setup.start();
    log.wait("all sessions", |seen| {
        seen.are_taken(SESSION, 2) && seen.are_taken(7, 2) && seen.are_taken(255, 1)
    });
    log.assert_taken(SESSION, &[3000, 10], body);
    log.assert_taken(7, &[1, 2000], |document, at| body(20 + document, at));
    log.assert_taken(255, &[700], |document, at| body(40 + document, at));
    let seen = log.seen();
    let offered: Vec<_> = seen
        .offered
        .iter()
        .map(|block| (block.id, &block.name[..], block.kind))
        .collect();
    assert_eq!(offered, [(1, NAME, 1), (7, "seventh", 1), (255, "last", 1)]);
    assert_eq!((seen.offered[2].ack_time, seen.offered[2].ack_sequence), (2, 9));
    assert_eq!(seen.connections, 1);
}

/// vendorId without a length, u16 with the low octet first, KEEP_ALIVE with a session, FLOW_START for what nobody offers,
/// an initiatorAddress of somewhere else.
#[test]
fn a_collector_with_the_quirks_of_the_field_is_served() {
    let setup = Setup::new(
        &[("a", "127.0.0.1", 1)],
        &Keys {
            ipdr: "keep-alive = \"1s\"\nwait-for-best = \"0s\"\n",
            ..QUICK
        },
    );
    setup.store(NAME, 0, &[1000]);
    let log = Log::new();
    let script = Script {
        vendor_has_length: false,
        is_little_endian: true,
        keep_alive: 1,
        keep_alive_session: 42,
        capabilities: 1,
        initiator_address: Some("10.1.1.1".parse().unwrap()),
        misdeeds: vec![(When::Listed, Act::StartUnknown(99))],
        ..Script::default()
    };
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, script);
    let _exporter = setup.start();
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    // Both sides stay silent else: each is kept alive by the other.
    log.wait("three more signs of life", |seen| seen.keep_alives >= 3);
    log.assert_taken(SESSION, &[1000], body);
    let seen = log.seen();
    assert_eq!(seen.connections, 1, "{}", seen.summary());
    assert!(
        matches!(seen.errors[..], [code] if code & 0x8000 != 0),
        "{}",
        seen.summary()
    );
}

/// Some answer SESSION_STOP with FLOW_STOP and never start the flow again on that connection.
#[test]
fn a_collector_that_takes_one_document_per_connection_gets_all_of_them() {
    let setup = Setup::new(&[("a", "127.0.0.1", 1)], &QUICK);
    setup.store(NAME, 0, &[100, 100, 100]);
    let log = Log::new();
    let script = Script {
        stops_for_ever: true,
        ..Script::default()
    };
    let collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, script);
    let _exporter = setup.start();
    for documents in 1..=3 {
        log.wait("the next document", |seen| {
            seen.are_taken(SESSION, documents) && seen.state("a", SESSION) == State::Connected
        });
        assert_eq!(log.seen().documents.len(), documents);
        collector.tell(Order::Do(Act::Finish));
        collector.tell(Order::GoOn);
    }
    log.assert_taken(SESSION, &[100, 100, 100], body);
}

#[test]
fn a_collector_that_waits_to_be_dialled_is_dialled() {
    let log = Log::new();
    let collector = Collector::listen(&log, "b", "127.0.0.3", Script::default());
    let more = format!(
        "[[ipdr.collector]]\nname = \"b\"\naddress = \"127.0.0.3\"\npriority = 2\ndial = \"{}\"\n",
        collector.address.unwrap()
    );
    let setup = Setup::new(&[("a", "127.0.0.2", 1)], &Keys { more: &more, ..QUICK });
    setup.store(NAME, 0, &[500]);
    let _exporter = setup.start();
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    log.assert_taken(SESSION, &[500], body);
}

/// Memory and the other session are not the slow one's: 1024 octets wait in its kernel, and it is the only one that has to
/// do without.
#[test]
fn a_slow_collector_does_not_hold_up_another_session() {
    let more = session(2, "other", &format!("{}collectors = {{ b = 1 }}\n", QUICK.session));
    let keys = format!("{}collectors = {{ a = 1 }}\n", QUICK.session);
    let setup = Setup::new(
        &[("a", "127.0.0.2", 1), ("b", "127.0.0.3", 1)],
        &Keys {
            session: &keys,
            more: &more,
            ..QUICK
        },
    );
    setup.store(NAME, 0, &[100_000]);
    setup.store("other", 1, &[50_000, 50_000]);
    let log = Log::new();
    let slow = Script {
        sessions: Some(vec![SESSION]),
        receive_buffer: Some(1024),
        piece: 512,
        misdeeds: vec![(When::Records(2000), Act::Hang)],
        ..Script::default()
    };
    let a = Collector::dial(&log, "a", "127.0.0.2", setup.address, slow);
    let _exporter = setup.start();
    log.wait("the slow one has it", |seen| seen.state("a", SESSION) == State::Active);
    let other = Script {
        sessions: Some(vec![2]),
        ..Script::default()
    };
    let _b = Collector::dial(&log, "b", "127.0.0.3", setup.address, other);
    log.wait("the other session", |seen| seen.are_taken(2, 2));
    assert!(!log.seen().are_taken(SESSION, 1));
    log.assert_taken(2, &[50_000, 50_000], |document, at| body(1 + document, at));
    a.tell(Order::End);
}
