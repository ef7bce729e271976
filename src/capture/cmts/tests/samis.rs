//! The records of DOCSIS 3.0.

use std::collections::BTreeMap;

use super::super::compare::Outcome;
use super::super::family::{Column, Family};
use super::super::join::Poll;
use super::super::tables::{Cell, DateAndTime, Tables};
use super::super::usage::{Kind, Options};
use super::small::{MODEM, OTHER, ended, life, live, small};
use super::{DOMAIN, FIRST, Records, document, first, lines, now, reading, second};
use crate::record::{SAMIS_TYPE_1, SAMIS_TYPE_2, Text, Value};

const TYPE_1: Options = Options {
    records: Kind::SamisType1,
    flow_aggregate: false,
    cpe_list_suppress: false,
    full_records: false,
};
const TYPE_2: Options = Options {
    records: Kind::SamisType2,
    ..TYPE_1
};

fn documented(options: Options) -> (Poll, Outcome, Records) {
    document(&first(Family::Qos3), None, options)
}

impl Records {
    /// The first Interim record of this SFID.
    fn of(&self, sfid: u64) -> BTreeMap<&'static str, Value> {
        let all = 0..self.0.len();
        let mut same = all.filter(|record| self.number(*record, "ServiceIdentifier") == sfid);
        let record = &self.0[same.next().expect("there is a record")];
        let names = record.definition.fields.iter().map(|field| field.name);
        names.zip(record.values.iter().cloned()).collect()
    }
}

fn text(text: &str) -> Value {
    Value::Text(Text::new(text).unwrap())
}

#[test]
fn a_record_of_type_1_has_every_field_of_the_tables() {
    let (_, _, records) = documented(TYPE_1);
    let record = records.of(1001 + 5 * 64 + 1);
    assert_eq!(record.len(), 28);
    let expected = [
        ("CmtsHostName", text("cmts1.example.net")),
        ("CmtsSysUpTime", Value::UnsignedInt(60_000_000)),
        ("CmtsIpv4Addr", Value::Ipv4([192, 0, 2, 1].into())),
        ("CmtsIpv6Addr", Value::Ipv6("2001:db8::1".parse().unwrap())),
        ("CmtsMdIfName", text("cable-mac 1")),
        ("CmtsMdIfIndex", Value::UnsignedInt(DOMAIN)),
        ("CmMacAddr", Value::MacAddress([2, 0, 0x5e, 0, 0, 5])),
        ("CmIpv4Addr", Value::Ipv4([10, 1, 0, 6].into())),
        ("CmIpv6Addr", Value::Ipv6("2001:db8::6".parse().unwrap())),
        ("CmIpv6LinkLocalAddr", Value::Ipv6("fe80::5eff:fe00:5".parse().unwrap())),
        ("CmQosVersion", Value::Int(2)),
        ("CmRegStatusValue", Value::Int(8)),
        ("RecType", Value::Int(1)),
        ("RecCreationTime", Value::DateTime(now())),
        ("ServiceFlowChSet", Value::Octets(vec![3, 4, 7, 8])),
        ("ServiceAppId", Value::UnsignedInt(44)),
        ("ServiceDsMulticast", Value::Boolean(false)),
        ("ServiceIdentifier", Value::UnsignedInt(1322)),
        ("ServiceGateId", Value::UnsignedInt(0)),
        ("ServiceClassName", text("BronzeDS")),
        ("ServiceDirection", Value::Int(1)),
    ];
    for (name, value) in expected {
        assert_eq!(record[name], value, "{name}");
    }
    let counters = [
        ("ServicePktsPassed", 1),
        ("ServiceOctetsPassed", 2),
        ("ServiceTimeCreated", 3),
        ("ServiceTimeActive", 4),
        ("ServiceSlaDropPkts", 6),
        ("ServiceSlaDelayPkts", 7),
    ];
    for (name, number) in counters {
        let expected = cell(&format!("1.3.6.1.4.1.4491.2.1.21.1.4.1.{number}.{DOMAIN}.1322"));
        let seen = match record[name] {
            Value::UnsignedLong(number) => number,
            Value::UnsignedInt(number) => number.into(),
            _ => panic!("{name}"),
        };
        assert_eq!(seen, expected.parse::<u64>().unwrap(), "{name}");
    }
}

fn cell(oid: &str) -> &'static str {
    let name: Vec<u32> = oid.split('.').map(|part| part.parse().unwrap()).collect();
    lines(FIRST).find(|(oid, ..)| *oid == name).unwrap().2
}

#[test]
fn a_record_of_type_2_is_one_of_type_1_without_what_the_mac_tells() {
    let (ones, twos) = (documented(TYPE_1).2, documented(TYPE_2).2);
    assert_eq!(ones.0.len(), twos.0.len());
    for (one, two) in ones.0.iter().zip(&twos.0) {
        assert_eq!((one.definition, two.definition), (&SAMIS_TYPE_1, &SAMIS_TYPE_2));
        let value = |name| &one.values[one.definition.field(name).unwrap().0];
        let fields = two.definition.fields.iter().zip(&two.values);
        assert_eq!(fields.len(), 20);
        for (field, seen) in fields {
            assert_eq!(seen, value(field.name), "{}", field.name);
        }
    }
}

#[test]
fn a_flow_on_one_channel_a_gate_and_a_flow_of_nobody_are_told() {
    let (_, _, records) = documented(TYPE_1);
    assert_eq!(records.of(1321)["ServiceFlowChSet"], Value::Octets(vec![1]));
    assert_eq!(records.of(1001 + 6 * 64)["ServiceGateId"], Value::UnsignedInt(77));
    let multicast = records.of(7001);
    let expected = [
        ("CmMacAddr", Value::MacAddress([0; 6])),
        ("CmIpv4Addr", Value::Absent),
        ("CmRegStatusValue", Value::Absent),
        ("CmLastRegTime", Value::Absent),
        ("ServiceDsMulticast", Value::Boolean(true)),
        ("ServiceFlowChSet", Value::Octets(vec![3])),
        ("ServiceDirection", Value::Int(1)),
    ];
    for (name, value) in expected {
        assert_eq!(multicast[name], value, "{name}");
    }
}

#[test]
fn a_gate_of_an_sfid_that_two_mac_domains_use_is_not_told() {
    let (mut tables, reading) = first(Family::Qos3);
    let row = tables.flows.values().next().unwrap().clone();
    let elsewhere = super::super::tables::FlowKey {
        domain: DOMAIN + 1,
        id: 1001 + 6 * 64,
    };
    tables.flows.insert(elsewhere, row);
    let (_, _, records) = document(&(tables, reading), None, TYPE_1);
    assert_eq!(records.of(1001 + 6 * 64)["ServiceGateId"], Value::UnsignedInt(0));
}

#[test]
fn a_registration_without_a_zone_is_of_the_clock_of_the_cmts() {
    let sfid = 1001 + 3 * 64;
    let octets = super::hex(cell("1.3.6.1.4.1.4491.2.1.20.1.3.1.14.4"));
    let shown = DateAndTime::read(&octets).unwrap().moment(0).unwrap();
    let (mut tables, reading) = first(Family::Qos3);
    let last = |tables: &Tables, poll: &Poll, outcome: &Outcome| {
        super::records(tables, poll, outcome, reading, TYPE_1).of(sfid)["CmLastRegTime"].clone()
    };
    let (poll, outcome, _) = document(&(first(Family::Qos3).0, reading), None, TYPE_1);
    let two_hours = chrono::TimeDelta::hours(2);
    assert_eq!(last(&tables, &poll, &outcome), Value::DateTime(shown - two_hours));
    tables.clock = None;
    assert_eq!(last(&tables, &poll, &outcome), Value::DateTime(shown));
    let told = super::cmts(&tables, &poll, &outcome, reading, TYPE_1).remarks();
    assert!(told.concat().contains("taken for UTC"), "{told:?}");
    let told = super::cmts(&tables, &poll, &outcome, reading, TYPE_2).remarks();
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn a_stop_record_has_the_channels_and_the_modem_of_the_last_poll_that_saw_the_flow() {
    let mut tables = small(Family::Qos3);
    live(&mut tables, MODEM, 11, life(1000, 500));
    let cells: [(Column, &[u32], Cell<'_>); 9] = [
        (Column::ChannelSet, &[DOMAIN, 11], Cell::Number(300)),
        (Column::DownChannels, &[DOMAIN, 300], Cell::Octets(&[5, 6])),
        (Column::AppId, &[DOMAIN, 1, 11], Cell::Number(44)),
        (Column::Gate, &[1, 9], Cell::Number(11)),
        (Column::RegMac, &[7], Cell::Octets(&MODEM)),
        (Column::RegIpv6, &[7], Cell::Octets(&[0x20; 16])),
        (Column::RegLinkLocal, &[7], Cell::Octets(&[0xfe; 16])),
        (Column::RegStatus, &[7], Cell::Number(8)),
        (
            Column::RegTime,
            &[7],
            Cell::Octets(&[0x07, 0xea, 1, 1, 2, 0, 0, 0, b'+', 1, 0]),
        ),
    ];
    for (column, index, cell) in cells {
        tables.take(column, index, cell);
    }
    let (_, one, _) = document(&(tables, reading(Family::Qos3, 2_000_000)), None, TYPE_1);
    // The modem has gone with its flow.
    let mut tables = Tables::new(Family::Qos3);
    live(&mut tables, OTHER, 12, life(1, 500));
    ended(&mut tables, 1, MODEM, 11, life(2000, 500), 2_040_000);
    let before = super::super::baseline::Baseline::read(&one.baseline.unwrap().to_octets()).unwrap();
    let (_, _, records) = document(&(tables, reading(Family::Qos3, 2_090_000)), Some(before), TYPE_1);
    let record = records.of(11);
    let expected = [
        ("RecType", Value::Int(2)),
        (
            "RecCreationTime",
            Value::DateTime(now() - chrono::TimeDelta::seconds(500)),
        ),
        ("ServiceFlowChSet", Value::Octets(vec![5, 6])),
        ("ServiceAppId", Value::UnsignedInt(44)),
        ("ServiceGateId", Value::UnsignedInt(9)),
        ("CmIpv6Addr", Value::Ipv6([0x20; 16].into())),
        ("CmIpv6LinkLocalAddr", Value::Ipv6([0xfe; 16].into())),
        ("CmRegStatusValue", Value::Int(8)),
        (
            "CmLastRegTime",
            Value::DateTime("2026-01-01T01:00:00Z".parse().unwrap()),
        ),
        ("ServiceOctetsPassed", Value::UnsignedLong(2000)),
    ];
    for (name, value) in expected {
        assert_eq!(record[name], value, "{name}");
    }
}

#[test]
fn sums_are_of_all_channels_and_of_no_class_application_or_gate() {
    let options = Options {
        flow_aggregate: true,
        ..TYPE_1
    };
    let (_, _, records) = documented(options);
    let of_modem = |record: &usize| records.value(*record, "CmMacAddr") == &Value::MacAddress([2, 0, 0x5e, 0, 0, 5]);
    let both: Vec<usize> = (0..records.0.len()).filter(of_modem).collect();
    assert_eq!(both.len(), 2, "one each way");
    for record in both {
        let absent = [("ServiceIdentifier", 0), ("ServiceAppId", 0), ("ServiceGateId", 0)];
        for (name, number) in absent {
            assert_eq!(records.number(record, name), number, "{name}");
        }
        assert_eq!(records.value(record, "ServiceClassName"), &text(""));
        let channels: &[u8] = match records.number(record, "ServiceDirection") {
            1 => &[3, 4, 7, 8],
            _ => &[1],
        };
        assert_eq!(
            records.value(record, "ServiceFlowChSet"),
            &Value::Octets(channels.to_vec())
        );
    }
}

#[test]
fn ends_have_one_stop_record_of_this_kind_too() {
    let (_, one, _) = documented(TYPE_1);
    let (_, two, records) = document(&second(Family::Qos3), one.baseline, TYPE_1);
    let stops = (0..records.0.len()).filter(|record| records.number(*record, "RecType") == 2);
    assert_eq!((stops.count(), two.stopped.len()), (2, 2));
    for record in 0..records.0.len() {
        let stop = records.number(record, "RecType") == 2;
        let known = records.value(record, "ServiceFlowChSet") != &Value::Absent;
        assert!(known || !stop, "the channels of the last poll");
    }
}
