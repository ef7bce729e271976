//! The messages that an exporter sends, read; those that a collector sends, written.

use super::octets::Octets;

/// Head of each message: version, number of the message, session, flags, length with the head.
pub const HEAD: usize = 8;
/// No message of ours is longer; one that says so is out of step.
const LONGEST: usize = 4 << 20;

/// What an exporter says, and CONNECT from either side.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Connect {
        address: u32,
        port: u16,
        capabilities: u32,
        keep_alive: u32,
        vendor: String,
    },
    ConnectResponse {
        capabilities: u32,
        keep_alive: u32,
        vendor: String,
    },
    Disconnect,
    SessionStart(SessionStart),
    SessionStop {
        reason: u16,
        info: String,
    },
    TemplateData {
        config_id: u16,
        flags: u8,
        templates: Vec<Template>,
    },
    SessionsResponse {
        request: [u8; 2],
        sessions: Vec<SessionBlock>,
    },
    TemplatesResponse {
        request: [u8; 2],
        config_id: u16,
        templates: Vec<Template>,
    },
    ModifyTemplateResponse {
        config_id: u16,
        templates: Vec<Template>,
    },
    StartNegotiationReject,
    Data(Data),
    Error {
        time: u32,
        code: u16,
        description: String,
    },
    KeepAlive,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SessionStart {
    pub boot_time: u32,
    pub first_sequence: u64,
    pub dropped: u64,
    pub primary: bool,
    /// Seconds.
    pub ack_time: u32,
    /// Records.
    pub ack_sequence: u32,
    pub document: [u8; 16],
}

#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    pub template_id: u16,
    pub config_id: u16,
    pub is_duplicate: bool,
    pub sequence: u64,
    pub record: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SessionBlock {
    pub id: u8,
    pub kind: u8,
    pub name: String,
    pub description: String,
    pub ack_time: u32,
    pub ack_sequence: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub id: u16,
    pub schema: String,
    pub type_name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub type_id: u32,
    pub id: u32,
    pub name: String,
    pub is_enabled: bool,
}

/// The next whole message of `octets`, with its session and its length; `None` when more is to come.
pub fn next(octets: &[u8]) -> Result<Option<(u8, Message, usize)>, String> {
    if octets.len() < HEAD {
        return Ok(None);
    }
    let mut head = Octets(&octets[..HEAD]);
    let (version, number, session, flags) = (head.u8("")?, head.u8("")?, head.u8("")?, head.u8("")?);
    let length = head.u32("")? as usize;
    if version != 2 || flags != 0 || !(HEAD..LONGEST).contains(&length) {
        return Err(format!("a head that cannot be: {:02x?}", &octets[..HEAD]));
    }
    let Some(body) = octets.get(HEAD..length) else {
        return Ok(None);
    };
    let message = read(number, body).map_err(|error| format!("message {number:#04x}: {error}"))?;
    Ok(Some((session, message, length)))
}

fn read(number: u8, body: &[u8]) -> Result<Message, String> {
    let mut octets = Octets(body);
    let from = &mut octets;
    let message = match number {
        0x05 => Message::Connect {
            address: from.u32("initiatorAddress")?,
            port: from.u16("initiatorPort")?,
            capabilities: from.u32("capabilities")?,
            keep_alive: from.u32("keepAliveInterval")?,
            vendor: from.string("vendorId")?,
        },
        0x06 => Message::ConnectResponse {
            capabilities: from.u32("capabilities")?,
            keep_alive: from.u32("keepAliveInterval")?,
            vendor: from.string("vendorId")?,
        },
        0x07 => Message::Disconnect,
        0x08 => Message::SessionStart(SessionStart {
            boot_time: from.u32("exporterBootTime")?,
            first_sequence: from.u64("firstRecordSequenceNumber")?,
            dropped: from.u64("droppedRecordCount")?,
            primary: from.bool("primary")?,
            ack_time: from.u32("ackTimeInterval")?,
            ack_sequence: from.u32("ackSequenceInterval")?,
            document: from.fixed("documentId")?,
        }),
        0x09 => Message::SessionStop {
            reason: from.u16("reasonCode")?,
            info: from.string("reasonInfo")?,
        },
        0x10 => Message::TemplateData {
            config_id: from.u16("configId")?,
            flags: from.u8("flags")?,
            templates: from.list("templates", template)?,
        },
        0x15 => Message::SessionsResponse {
            request: from.fixed("requestId")?,
            sessions: from.list("sessions", session_block)?,
        },
        0x17 => Message::TemplatesResponse {
            request: from.fixed("requestId")?,
            config_id: from.u16("configId")?,
            templates: from.list("templates", template)?,
        },
        0x1b => {
            let config_id = from.u16("configId")?;
            from.u8("flags")?;
            Message::ModifyTemplateResponse {
                config_id,
                templates: from.list("templates", template)?,
            }
        }
        0x1e => Message::StartNegotiationReject,
        0x20 => {
            let (template_id, config_id, flags) = (from.u16("templateId")?, from.u16("configId")?, from.u8("flags")?);
            if flags > 1 {
                return Err(format!("flags {flags:#x}"));
            }
            Message::Data(Data {
                template_id,
                config_id,
                is_duplicate: flags == 1,
                sequence: from.u64("sequenceNum")?,
                record: from.opaque("dataRecord")?.to_vec(),
            })
        }
        0x23 => Message::Error {
            time: from.u32("timeStamp")?,
            code: from.u16("errorCode")?,
            description: from.string("description")?,
        },
        0x40 => Message::KeepAlive,
        _ => return Err("no exporter sends that".to_owned()),
    };
    octets.end("message")?;
    Ok(message)
}

fn template(from: &mut Octets<'_>) -> Result<Template, String> {
    Ok(Template {
        id: from.u16("templateId")?,
        schema: from.string("schemaName")?,
        type_name: from.string("typeName")?,
        fields: from.list("fields", field)?,
    })
}

fn field(from: &mut Octets<'_>) -> Result<Field, String> {
    Ok(Field {
        type_id: from.u32("typeId")?,
        id: from.u32("fieldId")?,
        name: from.string("fieldName")?,
        is_enabled: from.bool("isEnabled")?,
    })
}

fn session_block(from: &mut Octets<'_>) -> Result<SessionBlock, String> {
    Ok(SessionBlock {
        id: from.u8("sessionId")?,
        kind: from.u8("reserved")?,
        name: from.string("sessionName")?,
        description: from.string("sessionDescription")?,
        ack_time: from.u32("ackTimeInterval")?,
        ack_sequence: from.u32("ackSequenceInterval")?,
    })
}

/// A whole message of this number with this body.
pub fn write(number: u8, session: u8, body: &[&[u8]]) -> Vec<u8> {
    let length = HEAD + body.iter().map(|part| part.len()).sum::<usize>();
    let mut message = vec![2, number, session, 0];
    message.extend((length as u32).to_be_bytes());
    body.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// A length and a text.
pub fn string(text: &str) -> Vec<u8> {
    let mut octets = (text.len() as u32).to_be_bytes().to_vec();
    octets.extend_from_slice(text.as_bytes());
    octets
}

pub mod number {
    pub const FLOW_START: u8 = 0x01;
    pub const FLOW_STOP: u8 = 0x03;
    pub const CONNECT: u8 = 0x05;
    pub const CONNECT_RESPONSE: u8 = 0x06;
    pub const DISCONNECT: u8 = 0x07;
    pub const FINAL_TEMPLATE_DATA_ACK: u8 = 0x13;
    pub const GET_SESSIONS: u8 = 0x14;
    pub const GET_TEMPLATES: u8 = 0x16;
    pub const MODIFY_TEMPLATE: u8 = 0x1a;
    pub const START_NEGOTIATION: u8 = 0x1d;
    pub const DATA_ACK: u8 = 0x21;
    pub const ERROR: u8 = 0x23;
    pub const REQUEST: u8 = 0x30;
    pub const KEEP_ALIVE: u8 = 0x40;
}
