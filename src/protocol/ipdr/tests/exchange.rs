//! What a collector and an ARRIS E6000 said to each other in November 2019; only the MAC address was replaced.

use super::*;

const SCHEMA: &str = "http://www.cablelabs.com/namespaces/DOCSIS/3.0/xsd/ipdr/DOCSIS-CMTS-CM-REG-STATUS-TYPE/DOCSIS-CMTS-CM-REG-STATUS-TYPE_3.5.1-A.3.xsd";

const FIELDS: [(&str, Type); 21] = [
    ("CmtsHostName", Type::String),
    ("CmtsSysUpTime", Type::UnsignedInt),
    ("CmtsMdIfName", Type::String),
    ("CmtsMdIfIndex", Type::UnsignedInt),
    ("CmtsMdCmSgId", Type::UnsignedInt),
    ("CmtsRcpId", Type::HexBinary),
    ("CmtsRccStatusId", Type::UnsignedInt),
    ("CmtsRcsId", Type::UnsignedInt),
    ("CmtsTcsId", Type::UnsignedInt),
    ("CmMacAddr", Type::MacAddress),
    ("CmIpv4Addr", Type::Ipv4Addr),
    ("CmIpv6Addr", Type::Ipv6Addr),
    ("CmIpv6LinkLocalAddr", Type::Ipv6Addr),
    ("CmQosVersion", Type::Int),
    ("CmRegStatusValue", Type::Int),
    ("CmLastRegTime", Type::DateTime),
    ("CmEnergyMgtEnabled", Type::HexBinary),
    ("CmEnergyMgtOperStatus", Type::HexBinary),
    ("CmEnergyMgt1x1ModeTotalDuration", Type::UnsignedInt),
    ("RecType", Type::Int),
    ("RecCreationTime", Type::DateTimeMsec),
];

/// TEMPLATE_DATA, put together without our encoder.
fn template_data() -> Vec<u8> {
    let mut message = octets("02100100000002ec 0000 00 00000001 000d 00000083");
    message.extend_from_slice(SCHEMA.as_bytes());
    message.extend(octets("0000001e \"DOCSIS-CMTS-CM-REG-STATUS-TYPE\" 00000015"));
    for (number, (name, kind)) in (1_u32..).zip(FIELDS) {
        message.extend_from_slice(&(kind as u32).to_be_bytes());
        message.extend_from_slice(&number.to_be_bytes());
        message.extend_from_slice(&(name.len() as u32).to_be_bytes());
        message.extend_from_slice(name.as_bytes());
        message.push(1);
    }
    message
}

/// Everything that was said, with what it means.
fn exchange() -> Vec<(Vec<u8>, Message)> {
    let fields = (1..).zip(FIELDS).map(|(field_id, (name, kind))| FieldDescriptor {
        type_id: kind.id(),
        field_id,
        name: name.to_owned(),
        is_enabled: true,
    });
    let template = Template {
        template_id: 13,
        schema_name: SCHEMA.to_owned(),
        type_name: "DOCSIS-CMTS-CM-REG-STATUS-TYPE".to_owned(),
        fields: fields.collect(),
    };
    vec![
        (
            octets("0206000000000028 00000000 0000012c 00000014 \"ARRIS E6000 Exporter\""),
            Message::new(
                0,
                Body::ConnectResponse(ConnectResponse {
                    capabilities: Capabilities(0),
                    keep_alive_seconds: 300,
                    vendor: "ARRIS E6000 Exporter".to_owned(),
                }),
            ),
        ),
        (
            octets("021400000000000a 0010"),
            Message::new(0, Body::GetSessions { request_id: 16 }),
        ),
        (octets("0240000000000008"), Message::new(0, Body::KeepAlive)),
        (
            octets(
                "0215000000000041 0010 00000001 01 04 00000006 \"CM-REG\" 0000001b \"DOCSIS CM-REG EVENT SESSION\" \
                 00000001 000000c8",
            ),
            Message::new(
                0,
                Body::GetSessionsResponse {
                    request_id: 16,
                    sessions: vec![SessionBlock {
                        session_id: 1,
                        kind: SessionKind::Event,
                        name: "CM-REG".to_owned(),
                        description: "DOCSIS CM-REG EVENT SESSION".to_owned(),
                        ack_seconds: 1,
                        ack_records: 200,
                    }],
                },
            ),
        ),
        (octets("0201010000000008"), Message::new(1, Body::FlowStart)),
        (
            template_data(),
            Message::new(
                1,
                Body::TemplateData(Templates {
                    config_id: 0,
                    is_negotiable: false,
                    templates: vec![template],
                }),
            ),
        ),
        (octets("0213010000000008"), Message::new(1, Body::FinalTemplateDataAck)),
        (
            octets(
                "0208010000000035 5da8bea8 0000000000000000 0000000000000000 01 00000001 000000c8 \
                 5dbde3c4000000000000 00005e005310",
            ),
            Message::new(
                1,
                Body::SessionStart(SessionStart {
                    exporter_boot_time: 0x5da8_bea8,
                    first_sequence: 0,
                    dropped_records: 0,
                    is_primary: true,
                    ack_seconds: 1,
                    ack_records: 200,
                    document_id: DocumentIdForm::TimeMac.make(0x5dbd_e3c4, 7, [0, 0, 0x5e, 0, 0x53, 0x10]),
                }),
            ),
        ),
    ]
}

#[test]
fn what_a_cmts_and_its_collector_said_is_understood() {
    for (octets, meant) in exchange() {
        assert_eq!(message(&octets), meant);
    }
}

#[test]
fn we_say_it_with_the_same_octets() {
    for (octets, meant) in exchange() {
        assert_eq!(encode(&meant), octets, "{meant:?}");
    }
}

#[test]
fn the_template_has_748_octets_as_it_had_on_the_wire() {
    assert_eq!(template_data().len(), 748);
}

#[test]
fn a_connect_without_the_length_of_its_text_is_understood_and_is_said_rightly() {
    let said = octets("0205000000000021 0a010101 1e8d 00000001 0000003c \"IPDR Client\"");
    let understood = message(&said);
    let meant = Body::Connect(Connect {
        address: [10, 1, 1, 1],
        port: 7821,
        capabilities: Capabilities::STRUCTURES,
        keep_alive_seconds: 60,
        vendor: "IPDR Client".to_owned(),
    });
    assert_eq!(understood, Message::new(0, meant));
    let right = octets("0205000000000025 0a010101 1e8d 00000001 0000003c 0000000b \"IPDR Client\"");
    assert_eq!(encode(&understood), right);
    for vendor in ["", "\"I\"", "\"IPD\""] {
        let body = octets(&format!("0a010101 1e8d 00000001 0000003c {vendor}"));
        let mut said = vec![2, 5, 0, 0, 0, 0, 0, body.len() as u8 + 8];
        said.extend(body);
        let Body::Connect(connect) = message(&said).body else {
            panic!("no CONNECT");
        };
        assert_eq!(connect.vendor, vendor.trim_matches('"'));
    }
}

#[test]
fn the_exchange_is_understood_in_pieces_of_every_size() {
    let said: Vec<u8> = exchange().into_iter().flat_map(|(octets, _)| octets).collect();
    let meant: Vec<Message> = exchange().into_iter().map(|(_, meant)| meant).collect();
    for size in (1..60).chain([700, 5000]) {
        let mut reader = FrameReader::new(1000);
        let mut understood = Vec::new();
        for mut piece in said.chunks(size) {
            while let Some(frame) = reader.read(&mut piece).unwrap() {
                understood.push(Message::decode(&frame).unwrap());
            }
        }
        assert!(!reader.is_within_message());
        assert_eq!(understood, meant, "in pieces of {size} octets");
    }
}

#[test]
fn codes_have_the_numbers_of_the_specification() {
    let stop = |reason| {
        encode(&Message::new(
            1,
            Body::SessionStop {
                reason,
                info: "x".into(),
            },
        ))
    };
    assert_eq!(
        stop(SessionStopReason::HandingOff),
        octets("020901000000000f 0001 00000001 \"x\"")
    );
    for code in 0..=u16::MAX {
        assert_eq!(SessionStopReason::of(code).code(), code);
        assert_eq!(FlowStopReason::of(code).code(), code);
        assert_eq!(ErrorCode::of(code).code(), code);
    }
    for code in 0..=u8::MAX {
        assert_eq!(SessionKind::of(code).code(), code);
    }
    assert_eq!(ErrorKind::Decode.general().code(), 3);
    assert_eq!(ErrorKind::InvalidForState.of_session().code(), 0x8002);
    let own = [ErrorKind::TEMPLATE_ACK_EXPIRED, ErrorKind::UNKNOWN_SESSION];
    assert!(own.iter().all(|kind| kind.general().code() > 255));
    let error = octets("0223010000000015 5dbde3c4 8002 00000003 \"who\"");
    let meant = Body::Error {
        time: 0x5dbd_e3c4,
        code: ErrorKind::InvalidForState.of_session(),
        description: "who".to_owned(),
    };
    assert_eq!(message(&error), Message::new(1, meant));
    assert_eq!(encode(&message(&error)), error);
}

#[test]
fn requests_of_later_versions_are_known_also_with_a_short_number() {
    let request = octets("023001000000001d 000d 0001 00 0000000000000007 00000004 01020304");
    let content = Request {
        template_id: 13,
        config_id: 1,
        flags: 0,
        number: 7,
        content: vec![1, 2, 3, 4],
    };
    assert_eq!(message(&request), Message::new(1, Body::Request(content.clone())));
    assert_eq!(encode(&message(&request)), request);
    let short = octets("0231010000000019 000d 0001 00 00000007 00000004 01020304");
    assert_eq!(message(&short), Message::new(1, Body::Response(content)));
}

#[test]
fn the_question_for_versions_is_answered_with_one_protocol() {
    let question = octets("0a010101 5da8bea8 \"IPDR\"");
    let asked = VersionRequest::decode(&question).unwrap();
    assert_eq!((asked.asks_for, asked.boot_time), (Asked::Ipdr, 0x5da8_bea8));
    assert_eq!(
        version_response(0xaec1)[..],
        octets("00000001 00000002 aec1 0000 00000000")
    );
    for wrong in ["", "0a010101 5da8bea8 \"ipdr\"", "0a010101 5da8bea8 \"IPDR\" 00"] {
        assert_eq!(VersionRequest::decode(&octets(wrong)), None);
    }
}

#[test]
fn a_document_id_is_time_and_mac_address_and_where_wanted_a_number() {
    let mac = [0, 0, 0x5e, 0, 0x53, 0x10];
    let id = |word: &str| word.parse::<DocumentIdForm>().unwrap().make(0x5dbd_e3c4, 42, mac);
    assert_eq!(id("time-mac").to_string(), "5DBDE3C4-0000-0000-0000-00005E005310");
    assert_eq!(
        id("time-number-mac").to_string(),
        "5DBDE3C4-0000-0000-002A-00005E005310"
    );
    assert!("uuid".parse::<DocumentIdForm>().is_err());
}
