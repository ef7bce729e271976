//! Records: values of the examples of IPDR/XDR 3.5.1, and records of a real dump (host name and MAC address replaced).

use chrono::DateTime;

use super::*;
use crate::record::{DEFINITIONS, DOCSIS, Kind, Record, SAMIS_TYPE_1, SAMIS_TYPE_2, ServiceDefinition, Text, Value};

/// The first two records of the dump: up and down of one modem.
const DUMP: [&str; 2] = [
    "00000004 \"cmts\" 03e74c3d c0a873e7 00000010 00000000000000000000000000000000
     0000000b 6361626c652d6d61632031 20000002 0000 00005e005321 c0a8d852
     00000010 00000000000000000000000000000000 00000010 00000000000000000000000000000000
     00000002 00000008 5dfce12f 00000001 0000016f4ad265e7 00000003 010203
     00000000 00 00000001 00000000 00000000 00000002
     00000000007f55e3 0000000000005969 00000000 00000000 00009e5f 0009fc9e",
    "00000004 \"cmts\" 03e74c3d c0a873e7 00000010 00000000000000000000000000000000
     0000000b 6361626c652d6d61632031 20000002 0000 00005e005321 c0a8d852
     00000010 00000000000000000000000000000000 00000010 00000000000000000000000000000000
     00000002 00000008 5dfce12f 00000001 0000016f4ad265e7 00000010 030407080b0c0f101112131415161718
     00000000 00 00000002 00000000 00000000 00000001
     0000000000540f79 0000000000005a61 00000000 00000000 00009e5f 0009fc9e",
];

fn template(definition: &'static ServiceDefinition) -> Template {
    Template::of(definition, 13, TemplateNames::of(definition)).unwrap()
}

fn encoder(definition: &'static ServiceDefinition) -> RecordEncoder {
    RecordEncoder::new(definition, 1, 0, &template(definition)).unwrap()
}

/// What the dump says, in our terms. `None` of an address is sixteen zeros on the wire.
fn record(channels: &[u8], flow: u32, direction: i32, octets: u64, packets: u64) -> Record {
    let text = |text: &str| Value::Text(Text::new(text).unwrap());
    Record {
        definition: &SAMIS_TYPE_1,
        values: vec![
            text("cmts"),
            Value::UnsignedInt(65_489_981),
            Value::Ipv4([192, 168, 115, 231].into()),
            Value::Absent,
            text("cable-mac 1"),
            Value::UnsignedInt(0x2000_0002),
            Value::MacAddress([0, 0, 0x5e, 0, 0x53, 0x21]),
            Value::Ipv4([192, 168, 216, 82].into()),
            Value::Absent,
            Value::Absent,
            Value::Int(2),
            Value::Int(8),
            Value::DateTime(DateTime::from_timestamp(1_576_853_807, 0).unwrap()),
            Value::Int(1),
            Value::DateTime(DateTime::from_timestamp_millis(1_577_508_300_263).unwrap()),
            Value::Octets(channels.to_vec()),
            Value::UnsignedInt(0),
            Value::Boolean(false),
            Value::UnsignedInt(flow),
            Value::Absent,
            Value::Absent,
            Value::Int(direction),
            Value::UnsignedLong(octets),
            Value::UnsignedLong(packets),
            Value::UnsignedInt(0),
            Value::UnsignedInt(0),
            Value::UnsignedInt(40_543),
            Value::UnsignedInt(654_494),
        ],
    }
}

fn dumped() -> [Record; 2] {
    let down = octets("030407080b0c0f101112131415161718");
    [
        record(&[1, 2, 3], 1, 2, 8_345_059, 22_889),
        record(&down, 2, 1, 5_508_985, 23_137),
    ]
}

#[test]
fn records_of_a_real_cmts_are_sent_with_the_same_octets() {
    for (index, (record, dumped)) in dumped().iter().zip(DUMP).enumerate() {
        let mut out = Vec::new();
        let encoder = encoder(&SAMIS_TYPE_1);
        encoder.append(&mut out, index as u64, index == 1, record).unwrap();
        let values = octets(dumped);
        let head = match index {
            0 => "022001 00 000000d8 000d 0000 00 0000000000000000 000000bf",
            _ => "022001 00 000000e5 000d 0000 01 0000000000000001 000000cc",
        };
        assert_eq!(out, [octets(head), values.clone()].concat());
        let Body::Data(data) = message(&out).body else {
            panic!("no DATA");
        };
        assert_eq!((data.template_id, data.record), (13, values));
        assert_eq!((data.sequence, data.is_duplicate), (index as u64, index == 1));
    }
}

#[test]
fn records_of_a_real_cmts_are_read_by_the_template() {
    let [up, down] = DUMP.map(|record| read_record(&template(&SAMIS_TYPE_1).fields, &octets(record)).unwrap());
    let value = |values: &[XdrValue], name| values[SAMIS_TYPE_1.field(name).unwrap().0].clone();
    assert_eq!(value(&up, "CmtsHostName"), XdrValue::String("cmts".into()));
    assert_eq!(
        value(&up, "CmMacAddr"),
        XdrValue::MacAddress([0, 0, 0x5e, 0, 0x53, 0x21])
    );
    assert_eq!(value(&up, "CmLastRegTime"), XdrValue::DateTime(1_576_853_807));
    assert_eq!(value(&up, "RecCreationTime"), XdrValue::DateTimeMsec(1_577_508_300_263));
    assert_eq!(value(&up, "ServiceFlowChSet"), XdrValue::HexBinary(vec![1, 2, 3]));
    assert_eq!(value(&up, "ServiceOctetsPassed"), XdrValue::UnsignedLong(8_345_059));
    assert_eq!(value(&down, "ServicePktsPassed"), XdrValue::UnsignedLong(23_137));
    assert_eq!(value(&down, "ServiceDirection"), XdrValue::Int(1));
    assert_eq!(value(&down, "ServiceTimeActive"), XdrValue::UnsignedInt(654_494));
}

#[test]
fn the_template_of_samis_type_1_is_that_of_the_field() {
    let template = template(&SAMIS_TYPE_1);
    let types: Vec<u32> = template.fields.iter().map(|field| field.type_id).collect();
    let expected = [
        0x28, 0x22, 0x322, 0x427, 0x28, 0x22, 0x723, 0x322, 0x427, 0x427, 0x21, 0x21, 0x122, 0x21, 0x224, 0x27, 0x22,
        0x29, 0x22, 0x22, 0x28, 0x21, 0x24, 0x24, 0x22, 0x22, 0x22, 0x22,
    ];
    assert_eq!(types, expected);
    assert_eq!(template.fields[27].field_id, 28);
    assert_eq!(template.type_name, "DOCSIS-SAMIS-TYPE-1");
    assert_eq!(SAMIS_TYPE_2.fields.len(), 20);
    for field in SAMIS_TYPE_2.fields {
        assert!(SAMIS_TYPE_1.field(field.name).is_some(), "{}", field.name);
    }
}

/// Type, octets, value: the examples of IPDR/XDR 3.5.1 and one for each type that they leave out.
#[test]
fn values_have_the_octets_of_the_specification() {
    let address: std::net::Ipv6Addr = "ff:fe:fd:fc:fb:fa:0:1".parse().unwrap();
    let uuid = [0x12, 0x34, 0x56, 0x78].repeat(4).try_into().unwrap();
    let examples = [
        (0x29, "01", XdrValue::Boolean(true)),
        (0x2d, "ffff", XdrValue::UnsignedShort(65_535)),
        (
            0x28,
            "0000000b 546573745f537472696e67",
            XdrValue::String("Test_String".into()),
        ),
        (0x224, "0000000000000001", XdrValue::DateTimeMsec(1)),
        (0x122, "00000001", XdrValue::DateTime(1)),
        (0x322, "fefdfcfb", XdrValue::Ipv4Addr([254, 253, 252, 251].into())),
        (0x827, "00000004 01020304", XdrValue::IpAddr(Some([1, 2, 3, 4].into()))),
        (
            0x827,
            "00000010 00ff00fe00fd00fc00fb00fa00000001",
            XdrValue::IpAddr(Some(address.into())),
        ),
        (0x827, "00000000", XdrValue::IpAddr(None)),
        (
            0x427,
            "00000010 00ff00fe00fd00fc00fb00fa00000001",
            XdrValue::Ipv6Addr(Some(address)),
        ),
        (0x427, "00000000", XdrValue::Ipv6Addr(None)),
        (0x527, "00000010 12345678123456781234567812345678", XdrValue::Uuid(uuid)),
        (
            0x723,
            "0000fffefdfcfbfa",
            XdrValue::MacAddress([0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa]),
        ),
        (0x27, "00000002 ff00", XdrValue::HexBinary(vec![0xff, 0])),
        (0x21, "fffffffe", XdrValue::Int(-2)),
        (0x22, "fffffffe", XdrValue::UnsignedInt(4_294_967_294)),
        (0x23, "fffffffffffffffe", XdrValue::Long(-2)),
        (0x24, "fffffffffffffffe", XdrValue::UnsignedLong(u64::MAX - 1)),
        (0x25, "3fc00000", XdrValue::Float(1.5)),
        (0x26, "3ff8000000000000", XdrValue::Double(1.5)),
        (0x2a, "fe", XdrValue::Byte(-2)),
        (0x2b, "fe", XdrValue::UnsignedByte(254)),
        (0x2c, "fffe", XdrValue::Short(-2)),
        (0x623, "ffffffffffffffff", XdrValue::DateTimeUsec(-1)),
    ];
    for (type_id, notation, value) in examples {
        let mut out = Vec::new();
        value.put(&mut out).unwrap();
        assert_eq!(out, octets(notation), "{value:?}");
        assert_eq!(read_record(&[field(type_id)], &out), Ok(vec![value]));
    }
    assert_eq!(Type::of(0x4000_0022), None);
}

fn field(type_id: u32) -> FieldDescriptor {
    FieldDescriptor {
        type_id,
        field_id: 1,
        name: "a".to_owned(),
        is_enabled: true,
    }
}

#[test]
fn an_ipv6_address_is_read_in_the_forms_of_the_field() {
    let fields = [field(0x22), field(0x427), field(0x28)];
    let read = |address: &str| {
        let record = octets(&format!("00000001 {address} 00000002 \"ab\""));
        read_record(&fields, &record).map(|values| values[1].clone())
    };
    let address = Ok(XdrValue::Ipv6Addr(Some("2001:db8::1".parse().unwrap())));
    assert_eq!(read("00000010 20010db8000000000000000000000001"), address);
    assert_eq!(read("20010db8000000000000000000000001"), address);
    assert_eq!(read("00000000 20010db8000000000000000000000001"), address);
    assert_eq!(read("0000000b \"2001:db8::1\""), address);
    assert_eq!(read("00000004 \"none\""), Ok(XdrValue::Ipv6Text("none".into())));
    assert_eq!(read("00000000"), Ok(XdrValue::Ipv6Addr(None)));
    assert!(read("000000ff 2001").is_err());
}

#[test]
fn fields_that_are_switched_off_are_left_out() {
    let mut template = template(&SAMIS_TYPE_1);
    for field in &mut template.fields {
        field.is_enabled = matches!(field.name.as_str(), "CmMacAddr" | "ServiceOctetsPassed");
    }
    let encoder = RecordEncoder::new(&SAMIS_TYPE_1, 1, 3, &template).unwrap();
    let mut out = Vec::new();
    encoder.append(&mut out, 5, false, &dumped()[0]).unwrap();
    let data = "022001 00 00000029 000d 0003 00 0000000000000005 00000010 000000005e005321 00000000007f55e3";
    assert_eq!(out, octets(data));
    let values = read_record(&template.fields, &out[25..]).unwrap();
    assert_eq!(values.len(), 2);
}

#[test]
fn a_record_that_does_not_fit_is_refused_and_leaves_nothing_behind() {
    let encoder = encoder(&SAMIS_TYPE_1);
    let refused = |name: &str, value: Value| {
        let mut record = dumped()[0].clone();
        record.values[SAMIS_TYPE_1.field(name).unwrap().0] = value;
        let mut out = vec![7];
        let refused = encoder.append(&mut out, 0, false, &record).unwrap_err();
        assert_eq!(out, [7]);
        match refused {
            NotSendable::Field { field, reason, .. } if field == name => reason,
            other => panic!("{other}"),
        }
    };
    let before_1970 = DateTime::from_timestamp_millis(-1).unwrap();
    let after_2106 = DateTime::from_timestamp(1 << 32, 0).unwrap();
    assert_eq!(refused("CmMacAddr", Value::Absent), Reason::Required);
    assert_eq!(refused("CmMacAddr", Value::Int(1)), Reason::Kind);
    assert_eq!(refused("RecCreationTime", before_1970.into()), Reason::Time);
    assert_eq!(refused("CmLastRegTime", after_2106.into()), Reason::Time);
    assert_eq!(
        refused("ServiceFlowChSet", Value::Octets(vec![0; 256])),
        Reason::TooLong
    );
    let long = Value::Text(Text::new("ö".repeat(256)).unwrap());
    assert_eq!(refused("CmtsHostName", long), Reason::TooLong);
    let mut other = dumped()[0].clone();
    other.values.pop();
    assert!(matches!(
        encoder.append(&mut Vec::new(), 0, false, &other),
        Err(NotSendable::Count {
            values: 27,
            fields: 28,
            ..
        })
    ));
    other.definition = &DOCSIS;
    assert!(encoder.append_values(&mut Vec::new(), &other).is_err());
}

#[test]
fn every_definition_has_a_template_unless_it_lists_elements() {
    for definition in DEFINITIONS {
        let made = Template::of(definition, 1, TemplateNames::of(definition));
        let lists = definition
            .fields
            .iter()
            .any(|field| matches!(field.kind, Kind::Structs(_)));
        assert_eq!(made.is_err(), lists, "{}", definition.name);
        assert!(made.is_err() || RecordEncoder::new(definition, 1, 0, &made.unwrap()).is_ok());
    }
}

#[test]
fn a_list_is_a_text_with_blanks_as_in_documents() {
    let values = DOCSIS.fields.iter().map(|field| match field.kind {
        Kind::DateTimeMsec => Value::DateTime(DateTime::from_timestamp_millis(1).unwrap()),
        Kind::MacAddress => Value::MacAddress([0; 6]),
        Kind::Int => Value::Int(1),
        Kind::UnsignedInt => Value::UnsignedInt(1),
        Kind::UnsignedLong => Value::UnsignedLong(1),
        Kind::List(_) => Value::List(vec![
            Value::Ipv4([10, 0, 0, 1].into()),
            Value::Ipv4([10, 0, 0, 2].into()),
        ]),
        _ => Value::Absent,
    });
    let record = Record {
        definition: &DOCSIS,
        values: values.collect(),
    };
    let mut out = Vec::new();
    encoder(&DOCSIS).append_values(&mut out, &record).unwrap();
    let values = read_record(&template(&DOCSIS).fields, &out).unwrap();
    let at = DOCSIS.field("CMCPEipAddress").unwrap().0;
    assert_eq!(values[at], XdrValue::String("10.0.0.1 10.0.0.2".into()));
}
