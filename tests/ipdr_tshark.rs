//! A judge that is neither ours nor of these tests: Wireshark reads a whole session of SAMIS-TYPE-1 records, and finds in
//! each field what the source said.

mod support;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use billdrop::{
    protocol::ipdr::{RecordEncoder, Template, TemplateNames},
    record::{Record, SAMIS_TYPE_1, Text, Value},
};
use chrono::{DateTime, Utc};
use support::{
    binary::Place,
    ipdr::{
        Collector, Log, Script,
        exporter::{NAME, QUICK, SESSION, Setup},
        message,
        pcap::{PORT, capture},
    },
    say,
};

const RECORDS: u64 = 1000;

/// What Wireshark calls the fields, in the order of the record; a list where it makes several of one.
const FIELDS: [&str; 29] = [
    "ipdr.sequence_num",
    "ipdr.cmts_host_name",
    "ipdr.cmts_uptime",
    "ipdr.cmts_ipv4_addr",
    "ipdr.cmts_ipv6_addr",
    "ipdr.cmts_md_if_name",
    "ipdr.cmts_md_if_index",
    "ipdr.cm_mac_address",
    "ipdr.cm_ipv4_addr",
    // The link-local address is the second of them.
    "ipdr.cm_ipv6_addr",
    "ipdr.cm_qos_version",
    "ipdr.cm_reg_status",
    "ipdr.cm_last_reg_time",
    "ipdr.record_type",
    "ipdr.rec_creation_time",
    "ipdr.channel_id",
    "ipdr.svc_app_id",
    "ipdr.service_ds_multicast",
    "ipdr.service_identifier",
    "ipdr.service_gate_id",
    "ipdr.service_class_name",
    "ipdr.service_direction",
    "ipdr.octets_passed",
    "ipdr.packets_passed",
    "ipdr.sla_drop_pkts",
    "ipdr.sla_delay_pkts",
    "ipdr.service_time_created",
    "ipdr.service_time_active",
    "ipdr.message_len",
];

/// A record, and what Wireshark is to say of it.
fn samis(at: u64) -> (Record, Vec<String>) {
    let number = at as u32;
    let mac = [0, 0, 0x5e, 0, 0x53, number as u8];
    let [v4, v6] = [0xc0a8_0000 + number, 0xfe80_0000 + number];
    let v4 = Ipv4Addr::from(v4);
    let v6 = Ipv6Addr::from(u128::from(v6) << 96 | u128::from(number));
    let registered = DateTime::from_timestamp(1_576_853_807 + i64::from(number), 0).unwrap();
    let created = DateTime::from_timestamp_millis(1_577_508_300_263 + i64::from(number)).unwrap();
    // Wireshark calls a set without a channel too big.
    let channels: Vec<u8> = (1..=1 + (number % 17) as u8).collect();
    let class = ["", "gold", "size 2"][number as usize % 3];
    let text = |text: &str| Value::Text(Text::new(text).unwrap());
    let big = u64::MAX - at;
    let values = vec![
        text("cmts.example"),
        Value::UnsignedInt(u32::MAX - number),
        Value::Ipv4(v4),
        Value::Ipv6(v6),
        text("cable-mac 1"),
        Value::UnsignedInt(0x2000_0000 + number),
        Value::MacAddress(mac),
        Value::Ipv4(v4),
        Value::Ipv6(v6),
        Value::Absent,
        Value::Int(2),
        Value::Int(8),
        Value::DateTime(registered),
        Value::Int(1 + (number % 4) as i32),
        Value::DateTime(created),
        Value::Octets(channels.clone()),
        Value::UnsignedInt(number * 3),
        Value::Boolean(number.is_multiple_of(2)),
        Value::UnsignedInt(number),
        Value::UnsignedInt(number * 5),
        text(class),
        Value::Int(1 + (number % 2) as i32),
        Value::UnsignedLong(big),
        Value::UnsignedLong(big / 1000),
        Value::UnsignedInt(number * 7),
        Value::UnsignedInt(number * 11),
        Value::UnsignedInt(number * 13),
        Value::UnsignedInt(number * 17),
    ];
    let time = |time: DateTime<Utc>| time.format("%b %e, %Y %H:%M:%S%.9f UTC").to_string();
    let channels: Vec<String> = channels.iter().map(u8::to_string).collect();
    let said = vec![
        at.to_string(),
        "cmts.example".to_owned(),
        (u32::MAX - number).to_string(),
        v4.to_string(),
        v6.to_string(),
        "cable-mac 1".to_owned(),
        (0x2000_0000 + number).to_string(),
        mac.map(|octet| format!("{octet:02x}")).join(":"),
        v4.to_string(),
        format!("{v6};::"),
        "2".to_owned(),
        "8".to_owned(),
        time(registered),
        (1 + number % 4).to_string(),
        time(created),
        channels.join(";"),
        (number * 3).to_string(),
        u32::from(number.is_multiple_of(2)).to_string(),
        number.to_string(),
        (number * 5).to_string(),
        class.to_owned(),
        (1 + number % 2).to_string(),
        big.to_string(),
        (big / 1000).to_string(),
        (number * 7).to_string(),
        (number * 11).to_string(),
        (number * 13).to_string(),
        (number * 17).to_string(),
    ];
    let record = Record {
        definition: &SAMIS_TYPE_1,
        values,
    };
    (record, said)
}

fn tshark(place: &Path, file: &str, arguments: &[&str]) -> String {
    let decode = format!("tcp.port=={PORT},ipdr");
    let sessions = format!("ipdr.sessions.samis_type_1:{SESSION}");
    let output = Command::new("tshark")
        .current_dir(place)
        .args(["-n", "-r", file, "-d", &decode, "-o", &sessions])
        .args(arguments)
        .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("HOME", place.to_str().unwrap())])
        .output()
        .unwrap_or_else(|e| panic!("tshark: {e}; apt-get install --no-install-recommends tshark"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn wireshark_reads_a_whole_session_and_every_field_is_that_of_the_source() {
    let template = Template::of(&SAMIS_TYPE_1, 1, TemplateNames::of(&SAMIS_TYPE_1)).unwrap();
    let encoder = RecordEncoder::new(&SAMIS_TYPE_1, SESSION, 0, &template).unwrap();
    let setup = Setup::new(&[("a", "127.0.0.1", 1)], &QUICK);
    setup.store_with(NAME, &SAMIS_TYPE_1, &[RECORDS], |_, at| {
        let mut octets = Vec::new();
        encoder.append_values(&mut octets, &samis(at).0).unwrap();
        octets
    });
    let log = Log::new();
    let tape = Arc::new(Mutex::new(Vec::new()));
    let script = Script {
        tape: Some(Arc::clone(&tape)),
        ..Script::default()
    };
    let collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, script);
    let exporter = setup.start();
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    log.assert_no_faults();
    drop((collector, exporter));
    let tape = tape.lock().unwrap();
    let place: &Place = &setup.place;
    fs::write(
        place.path().join("as-sent.pcap"),
        capture(tape.iter().map(|(by, octets)| (*by, &octets[..]))),
    )
    .unwrap();

    // As it went over the wire, cut wherever a read ended: nothing is malformed, every message is known.
    let malformed = "_ws.malformed || ipdr.message_id.unknown || ipdr.sf_ch_set.too_big";
    assert_eq!(tshark(place.path(), "as-sent.pcap", &["-Y", malformed]), "");
    let data = tshark(
        place.path(),
        "as-sent.pcap",
        &["-Y", "ipdr", "-T", "fields", "-e", "ipdr.message_id"],
    );
    let ids: Vec<&str> = data.split([',', '\n']).filter(|id| !id.is_empty()).collect();
    let count = |id: &str| ids.iter().filter(|found| **found == id).count() as u64;
    // CONNECT and its answer, FLOW_START, sessions, TEMPLATE_DATA and its acknowledgement, SESSION_START, DATA, SESSION_STOP.
    // The document's template is another one than that of the session's source, so there are two.
    let counts = ["5", "6", "1", "21", "23", "16", "19", "8", "32", "9"].map(count);
    assert_eq!(counts, [1, 1, 1, 1, 1, 2, 2, 1, RECORDS, 1], "{ids:?}");

    // One message in each packet, so that each packet is one record.
    let theirs: Vec<u8> = tape
        .iter()
        .filter(|(theirs, _)| *theirs)
        .flat_map(|(_, octets)| octets.clone())
        .collect();
    let mut messages = Vec::new();
    let mut rest = &theirs[..];
    while let Some((_, _, length)) = message::next(rest).unwrap() {
        messages.push((true, &rest[..length]));
        rest = &rest[length..];
    }
    fs::write(place.path().join("messages.pcap"), capture(messages)).unwrap();
    assert_eq!(tshark(place.path(), "messages.pcap", &["-Y", malformed]), "");
    let mut arguments = vec![
        "-Y",
        "ipdr.message_id == 32",
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=;",
    ];
    arguments.extend(FIELDS.iter().flat_map(|field| ["-e", field]));
    let said = tshark(place.path(), "messages.pcap", &arguments);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len() as u64, RECORDS);
    for (at, line) in (0..).zip(lines) {
        let (_, wanted) = samis(at);
        let found: Vec<&str> = line.split('\t').collect();
        assert_eq!(found.len(), FIELDS.len(), "{line}");
        for (index, wanted) in wanted.iter().enumerate() {
            assert_eq!(found[index], wanted, "record {at}: {}", FIELDS[index]);
        }
    }
    say(&format!(
        "{} fields of {RECORDS} records are those of the source",
        FIELDS.len() - 1
    ));
}
