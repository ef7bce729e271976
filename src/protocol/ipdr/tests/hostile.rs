//! What nobody should send.

use proptest::prelude::*;

use super::*;
use crate::protocol::fuzz;

/// One message of each kind whose end is a number or a list: cut off, it must be refused.
const WHOLE: [&str; 9] = [
    "0206000000000028 00000000 0000012c",
    "0208010000000035 5da8bea8 0000000000000000 0000000000000000 01 00000001 000000c8 5dbde3c4000000000000 00005e005310",
    "0210010000000000 0000 00 00000001 000d 00000001 \"s\" 00000001 \"t\" 00000001 00000028 00000001 00000001 \"f\" 01",
    "0214000000000000 0010",
    "0215000000000000 0010 00000001 01 04 00000001 \"n\" 00000001 \"d\" 00000001 000000c8",
    "0217010000000000 0010 0000 00000001 000d 00000001 \"s\" 00000001 \"t\" 00000001 00000028 00000001 00000001 \"f\" 01",
    "0220010000000000 000d 0000 00 0000000000000000 00000003 010203",
    "0221010000000000 0000 0000000000000007",
    "0230010000000000 000d 0001 00 0000000000000007 00000004 01020304",
];

/// The octets with the length in the header that they have.
fn with_length(mut octets: Vec<u8>) -> Vec<u8> {
    let length = octets.len() as u32;
    octets[4..8].copy_from_slice(&length.to_be_bytes());
    octets
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_refused() {
    for notation in WHOLE {
        let whole = octets(notation);
        assert!(decode(&with_length(whole.clone())).is_ok(), "{notation}");
        for length in 8..whole.len() {
            let cut = decode(&with_length(whole[..length].to_vec()));
            assert!(
                matches!(cut, Err(DecodeError::Broken { .. })),
                "{notation} to {length}: {cut:?}"
            );
        }
    }
}

#[test]
fn octets_behind_the_last_field_are_of_a_later_version() {
    for notation in WHOLE {
        let whole = decode(&with_length(octets(notation))).unwrap();
        if !matches!(whole.body, Body::ConnectResponse(_)) {
            let longer = [octets(notation), vec![0; 5]].concat();
            assert_eq!(decode(&with_length(longer)).unwrap(), whole);
        }
    }
}

#[test]
fn a_header_that_cannot_be_one_is_refused_before_anything_behind_it_is_read() {
    let refused = |notation: &str| {
        let header = octets(notation);
        let mut reader = FrameReader::new(1000);
        let mut rest = &header[..];
        let refused = reader.read(&mut rest).unwrap_err();
        let mut more = &[0; 100][..];
        assert_eq!(reader.read(&mut more), Err(refused));
        assert_eq!(more.len(), 100);
        refused
    };
    assert_eq!(refused("0105000000000021 0a01"), NotAMessage::Version(1));
    assert_eq!(refused("\"GET / HT\""), NotAMessage::Version(b'G'));
    for length in ["00000000", "00000007", "000003e9", "7fffffff", "ffffffff"] {
        let length_refused = refused(&format!("02050000 {length}"));
        assert!(matches!(length_refused, NotAMessage::Length { limit: 1000, .. }));
    }
}

#[test]
fn a_reader_takes_memory_only_for_what_has_come() {
    let mut reader = FrameReader::new(u32::MAX);
    let header = octets("02050000 ffffffff");
    assert_eq!(reader.read(&mut &header[..]), Ok(None));
    assert!(reader.is_within_message());
}

#[test]
fn silly_counts_and_lengths_are_refused_at_once() {
    for notation in [
        "0210010000000000 0000 00 ffffffff 000d",
        "0210010000000000 0000 00 00000002 000d 00000000 00000000 00000000",
        "0210010000000000 0000 00 00000001 000d 00000000 00000000 7fffffff 00000028",
        "0215000000000000 0010 10000000 0104",
        "0220010000000000 000d 0000 00 0000000000000000 ffffffff 010203",
        "0220010000000000 000d 0000 00 0000000000000000 00000004 010203",
        "0203010000000000 0001 ffffffff \"text\"",
    ] {
        let refused = decode(&with_length(octets(notation)));
        assert!(
            matches!(refused, Err(DecodeError::Broken { .. })),
            "{notation}: {refused:?}"
        );
    }
}

#[test]
fn an_unknown_message_is_told_by_its_number() {
    let refused = decode(&octets("0277000000000008")).unwrap_err();
    assert_eq!(refused, DecodeError::UnknownMessage(0x77));
    assert_eq!(refused.answer(), ErrorKind::InvalidForCapabilities);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", "\\PC{0,8}", Just(String::new())]
}

fn templates() -> impl Strategy<Value = Vec<Template>> {
    let field =
        (any::<u32>(), any::<u32>(), text(), any::<bool>()).prop_map(|(type_id, field_id, name, is_enabled)| {
            FieldDescriptor {
                type_id,
                field_id,
                name,
                is_enabled,
            }
        });
    let template = (any::<u16>(), text(), text(), prop::collection::vec(field, 0..4)).prop_map(
        |(template_id, schema_name, type_name, fields)| Template {
            template_id,
            schema_name,
            type_name,
            fields,
        },
    );
    prop::collection::vec(template, 0..3)
}

fn body() -> impl Strategy<Value = Body> {
    let bare = prop::sample::select(vec![
        Body::FlowStart,
        Body::Disconnect,
        Body::FinalTemplateDataAck,
        Body::StartNegotiation,
        Body::StartNegotiationReject,
        Body::KeepAlive,
    ]);
    let stops = (any::<u16>(), text(), any::<bool>()).prop_map(|(code, info, is_flow)| match is_flow {
        true => Body::FlowStop {
            reason: FlowStopReason::of(code),
            info,
        },
        false => Body::SessionStop {
            reason: SessionStopReason::of(code),
            info,
        },
    });
    let connects = (any::<[u8; 4]>(), any::<u16>(), any::<u32>(), any::<u32>(), text()).prop_map(
        |(address, port, capabilities, keep_alive_seconds, vendor)| match port % 2 {
            0 => Body::Connect(Connect {
                address,
                port,
                capabilities: Capabilities(capabilities),
                keep_alive_seconds,
                vendor,
            }),
            _ => Body::ConnectResponse(ConnectResponse {
                capabilities: Capabilities(capabilities),
                keep_alive_seconds,
                vendor,
            }),
        },
    );
    let starts = (any::<(u32, u64, u64, bool, u32, u32)>(), any::<[u8; 16]>()).prop_map(|(numbers, id)| {
        let (exporter_boot_time, first_sequence, dropped_records, is_primary, ack_seconds, ack_records) = numbers;
        Body::SessionStart(SessionStart {
            exporter_boot_time,
            first_sequence,
            dropped_records,
            is_primary,
            ack_seconds,
            ack_records,
            document_id: DocumentId::from_bytes(id),
        })
    });
    let of_templates = (any::<u16>(), any::<u16>(), any::<bool>(), templates(), 0..4).prop_map(
        |(request_id, config_id, is_negotiable, templates, which)| {
            let of_session = Templates {
                config_id,
                is_negotiable,
                templates: templates.clone(),
            };
            match which {
                0 => Body::TemplateData(of_session),
                1 => Body::ModifyTemplate(of_session),
                2 => Body::ModifyTemplateResponse(of_session),
                _ => Body::GetTemplatesResponse {
                    request_id,
                    config_id,
                    templates,
                },
            }
        },
    );
    let block = (any::<u8>(), any::<u8>(), text(), text(), any::<(u32, u32)>()).prop_map(
        |(session_id, kind, name, description, (ack_seconds, ack_records))| SessionBlock {
            session_id,
            kind: SessionKind::of(kind),
            name,
            description,
            ack_seconds,
            ack_records,
        },
    );
    let sessions = (any::<u16>(), prop::collection::vec(block, 0..3))
        .prop_map(|(request_id, sessions)| Body::GetSessionsResponse { request_id, sessions });
    let numbers = (any::<u16>(), any::<u64>(), 0..3).prop_map(|(number, sequence, which)| match which {
        0 => Body::GetSessions { request_id: number },
        1 => Body::GetTemplates { request_id: number },
        _ => Body::DataAck {
            config_id: number,
            sequence,
        },
    });
    let octets = prop::collection::vec(any::<u8>(), 0..40);
    let contents = (any::<(u16, u16, bool, u64)>(), octets, 0..3).prop_map(|(head, octets, which)| {
        let (template_id, config_id, flag, number) = head;
        let request = Request {
            template_id,
            config_id,
            flags: flag.into(),
            number,
            content: octets.clone(),
        };
        match which {
            0 => Body::Request(request),
            1 => Body::Response(request),
            _ => Body::Data(Data {
                template_id,
                config_id,
                is_duplicate: flag,
                sequence: number,
                record: octets,
            }),
        }
    });
    let errors = (any::<u32>(), any::<u16>(), text()).prop_map(|(time, code, description)| Body::Error {
        time,
        code: ErrorCode::of(code),
        description,
    });
    prop_oneof![
        bare,
        stops,
        connects,
        starts,
        of_templates,
        sessions,
        numbers,
        contents,
        errors
    ]
}

proptest! {
    #[test]
    fn every_message_comes_back_as_it_was(session_id: u8, body in body()) {
        let sent = Message::new(session_id, body);
        prop_assert_eq!(message(&encode(&sent)), sent);
    }

    #[test]
    fn octets_of_nobody_are_read_within_limits_and_written_again(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::ipdr(&octets);
    }

    #[test]
    fn broken_messages_are_read_within_limits_and_written_again(
        body in body(), at: prop::sample::Index, octet: u8, piece in 1_u8..,
    ) {
        let mut said = encode(&Message::new(1, body));
        // The header stays, or next to nothing would be read.
        if said.len() > 8 {
            let at = 8 + at.index(said.len() - 8);
            said[at] = octet;
        }
        fuzz::ipdr(&[vec![piece], said].concat());
    }
}
