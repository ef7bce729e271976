//! Every message: its fields, and both directions between them and octets. Writing keeps to the specification, reading
//! bears what peers in the field do. Octets behind the last field are passed over: later versions may have more.

use super::codes::id;
use super::frame::{self, DecodeError, Frame, Header};
use super::octets::{Defect, Input, TooLong, put_count, put_opaque};
use super::template::{SMALLEST_TEMPLATE, Template};
use super::{Capabilities, DocumentId, ErrorCode, FlowStopReason, SessionKind, SessionStopReason};

/// A message and the session that its header names.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// 0 where no session is meant.
    pub session_id: u8,
    pub body: Body,
}

/// What a message says, in the order of the ids. Times are seconds, as on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    FlowStart,
    FlowStop {
        reason: FlowStopReason,
        info: String,
    },
    Connect(Connect),
    ConnectResponse(ConnectResponse),
    Disconnect,
    SessionStart(SessionStart),
    SessionStop {
        reason: SessionStopReason,
        info: String,
    },
    TemplateData(Templates),
    FinalTemplateDataAck,
    /// The request id is given back as it came, right or wrong: some peers write it in the other order of octets.
    GetSessions {
        request_id: u16,
    },
    GetSessionsResponse {
        request_id: u16,
        sessions: Vec<SessionBlock>,
    },
    /// The session is that of the header.
    GetTemplates {
        request_id: u16,
    },
    GetTemplatesResponse {
        request_id: u16,
        config_id: u16,
        templates: Vec<Template>,
    },
    ModifyTemplate(Templates),
    ModifyTemplateResponse(Templates),
    StartNegotiation,
    StartNegotiationReject,
    Data(Data),
    DataAck {
        /// Of no use: peers write it in the other order of octets.
        config_id: u16,
        /// All records up to this one have been handled.
        sequence: u64,
    },
    Error {
        /// Seconds since 1970.
        time: u32,
        code: ErrorCode,
        description: String,
    },
    /// Since 2.2; DOCSIS does without.
    Request(Request),
    Response(Request),
    KeepAlive,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// IPv4 address of the opener, or whatever it has put there.
    pub address: [u8; 4],
    /// Never to be relied on.
    pub port: u16,
    pub capabilities: Capabilities,
    /// The longest silence that the sender bears, in seconds.
    pub keep_alive_seconds: u32,
    pub vendor: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectResponse {
    pub capabilities: Capabilities,
    /// The longest silence that the sender bears, in seconds.
    pub keep_alive_seconds: u32,
    pub vendor: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStart {
    /// Seconds since 1970.
    pub exporter_boot_time: u32,
    /// The first record that will be sent to this collector.
    pub first_sequence: u64,
    pub dropped_records: u64,
    pub is_primary: bool,
    pub ack_seconds: u32,
    pub ack_records: u32,
    pub document_id: DocumentId,
}

/// Templates of a session. Also a part of them, as a collector wants them changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    pub config_id: u16,
    pub is_negotiable: bool,
    pub templates: Vec<Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBlock {
    pub session_id: u8,
    pub kind: SessionKind,
    pub name: String,
    pub description: String,
    /// Seconds; one exporter writes milliseconds here.
    pub ack_seconds: u32,
    pub ack_records: u32,
}

/// One record. [`super::RecordEncoder`] writes it without this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    pub template_id: u16,
    pub config_id: u16,
    /// It may have been sent before, to this collector or to another.
    pub is_duplicate: bool,
    pub sequence: u64,
    pub record: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub template_id: u16,
    pub config_id: u16,
    pub flags: u8,
    pub number: u64,
    pub content: Vec<u8>,
}

/// The one flag bit that messages have.
pub(super) const FLAG: u8 = 1;

impl Message {
    pub fn new(session_id: u8, body: Body) -> Message {
        Message { session_id, body }
    }

    /// Appends the message to `out`, or leaves `out` as it was.
    ///
    /// # Errors
    /// When it would be longer than a message can be.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let begin = out.len();
        Header::begin(out, self.body.id(), self.session_id);
        let written = self.body.put(out).and_then(|()| frame::finish(out, begin));
        if written.is_err() {
            out.truncate(begin);
        }
        written
    }

    /// # Errors
    /// When the message is not known, or its fields do not fit into it.
    pub fn decode(frame: &Frame<'_>) -> Result<Message, DecodeError> {
        let (message, read): (_, Read) = match frame.header.message_id {
            id::FLOW_START => ("FLOW_START", |_| Ok(Body::FlowStart)),
            id::FLOW_STOP => ("FLOW_STOP", flow_stop),
            id::CONNECT => ("CONNECT", connect),
            id::CONNECT_RESPONSE => ("CONNECT_RESPONSE", connect_response),
            id::DISCONNECT => ("DISCONNECT", |_| Ok(Body::Disconnect)),
            id::SESSION_START => ("SESSION_START", session_start),
            id::SESSION_STOP => ("SESSION_STOP", session_stop),
            id::TEMPLATE_DATA => ("TEMPLATE_DATA", |input| templates(input).map(Body::TemplateData)),
            id::FINAL_TEMPLATE_DATA_ACK => ("FINAL_TEMPLATE_DATA_ACK", |_| Ok(Body::FinalTemplateDataAck)),
            id::GET_SESSIONS => ("GET_SESSIONS", |input| {
                let request_id = input.u16("requestId")?;
                Ok(Body::GetSessions { request_id })
            }),
            id::GET_SESSIONS_RESPONSE => ("GET_SESSIONS_RESPONSE", get_sessions_response),
            id::GET_TEMPLATES => ("GET_TEMPLATES", |input| {
                let request_id = input.u16("requestId")?;
                Ok(Body::GetTemplates { request_id })
            }),
            id::GET_TEMPLATES_RESPONSE => ("GET_TEMPLATES_RESPONSE", get_templates_response),
            id::MODIFY_TEMPLATE => ("MODIFY_TEMPLATE", |input| templates(input).map(Body::ModifyTemplate)),
            id::MODIFY_TEMPLATE_RESPONSE => ("MODIFY_TEMPLATE_RESPONSE", |input| {
                templates(input).map(Body::ModifyTemplateResponse)
            }),
            id::START_NEGOTIATION => ("START_NEGOTIATION", |_| Ok(Body::StartNegotiation)),
            id::START_NEGOTIATION_REJECT => ("START_NEGOTIATION_REJECT", |_| Ok(Body::StartNegotiationReject)),
            id::DATA => ("DATA", data),
            id::DATA_ACK => ("DATA_ACK", |input| {
                Ok(Body::DataAck {
                    config_id: input.u16("configId")?,
                    sequence: input.u64("sequenceNum")?,
                })
            }),
            id::ERROR => ("ERROR", error),
            id::REQUEST => ("REQUEST", |input| request(input).map(Body::Request)),
            id::RESPONSE => ("RESPONSE", |input| response(input).map(Body::Response)),
            id::KEEP_ALIVE => ("KEEP_ALIVE", |_| Ok(Body::KeepAlive)),
            unknown => return Err(DecodeError::UnknownMessage(unknown)),
        };
        let body = read(&mut frame.input()).map_err(|defect| DecodeError::Broken { message, defect })?;
        Ok(Message {
            session_id: frame.header.session_id,
            body,
        })
    }
}

type Read = for<'a> fn(&mut Input<'a>) -> Result<Body, Defect>;

fn flow_stop(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::FlowStop {
        reason: FlowStopReason::of(input.u16("reasonCode")?),
        info: input.last_text("reasonInfo")?,
    })
}

fn connect(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::Connect(Connect {
        address: input.array("initiatorAddress")?,
        port: input.u16("initiatorPort")?,
        capabilities: Capabilities(input.u32("capabilities")?),
        keep_alive_seconds: input.u32("keepAliveInterval")?,
        vendor: input.last_text("vendorId")?,
    }))
}

fn connect_response(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::ConnectResponse(ConnectResponse {
        capabilities: Capabilities(input.u32("capabilities")?),
        keep_alive_seconds: input.u32("keepAliveInterval")?,
        vendor: input.last_text("vendorId")?,
    }))
}

fn session_start(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::SessionStart(SessionStart {
        exporter_boot_time: input.u32("exporterBootTime")?,
        first_sequence: input.u64("firstRecordSequenceNumber")?,
        dropped_records: input.u64("droppedRecordCount")?,
        is_primary: input.boolean("primary")?,
        ack_seconds: input.u32("ackTimeInterval")?,
        ack_records: input.u32("ackSequenceInterval")?,
        document_id: DocumentId::from_bytes(input.array("documentId")?),
    }))
}

fn session_stop(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::SessionStop {
        reason: SessionStopReason::of(input.u16("reasonCode")?),
        info: input.last_text("reasonInfo")?,
    })
}

fn templates(input: &mut Input<'_>) -> Result<Templates, Defect> {
    Ok(Templates {
        config_id: input.u16("configId")?,
        is_negotiable: input.u8("flags")? & FLAG != 0,
        templates: template_list(input)?,
    })
}

fn template_list(input: &mut Input<'_>) -> Result<Vec<Template>, Defect> {
    let count = input.count(SMALLEST_TEMPLATE, "list of templates")?;
    (0..count).map(|_| Template::read(input)).collect()
}

fn get_sessions_response(input: &mut Input<'_>) -> Result<Body, Defect> {
    const SMALLEST: usize = 1 + 1 + 4 + 4 + 4 + 4;
    let request_id = input.u16("requestId")?;
    let count = input.count(SMALLEST, "list of sessions")?;
    let session = |_| {
        Ok(SessionBlock {
            session_id: input.u8("sessionId")?,
            kind: SessionKind::of(input.u8("reserved")?),
            name: input.text("sessionName")?,
            description: input.text("sessionDescription")?,
            ack_seconds: input.u32("ackTimeInterval")?,
            ack_records: input.u32("ackSequenceInterval")?,
        })
    };
    Ok(Body::GetSessionsResponse {
        request_id,
        sessions: (0..count).map(session).collect::<Result<_, _>>()?,
    })
}

fn get_templates_response(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::GetTemplatesResponse {
        request_id: input.u16("requestId")?,
        config_id: input.u16("configId")?,
        templates: template_list(input)?,
    })
}

fn data(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::Data(Data {
        template_id: input.u16("templateId")?,
        config_id: input.u16("configId")?,
        is_duplicate: input.u8("flags")? & FLAG != 0,
        sequence: input.u64("sequenceNum")?,
        record: input.opaque("dataRecord")?.to_vec(),
    }))
}

fn error(input: &mut Input<'_>) -> Result<Body, Defect> {
    Ok(Body::Error {
        time: input.u32("timeStamp")?,
        code: ErrorCode::of(input.u16("errorCode")?),
        description: input.last_text("description")?,
    })
}

fn request(input: &mut Input<'_>) -> Result<Request, Defect> {
    Ok(Request {
        template_id: input.u16("templateId")?,
        config_id: input.u16("configId")?,
        flags: input.u8("flags")?,
        number: input.u64("requestNumber")?,
        content: input.opaque("dataRecord")?.to_vec(),
    })
}

/// One peer writes requestNumber with four octets. Then they are what fits.
fn response(input: &mut Input<'_>) -> Result<Request, Defect> {
    let mut short = *input;
    request(input).or_else(|defect| {
        let mut read = || -> Result<Request, Defect> {
            Ok(Request {
                template_id: short.u16("templateId")?,
                config_id: short.u16("configId")?,
                flags: short.u8("flags")?,
                number: short.u32("requestNumber")?.into(),
                content: short.opaque("dataRecord")?.to_vec(),
            })
        };
        read().map_err(|_| defect)
    })
}

impl Body {
    fn id(&self) -> u8 {
        match self {
            Body::FlowStart => id::FLOW_START,
            Body::FlowStop { .. } => id::FLOW_STOP,
            Body::Connect(_) => id::CONNECT,
            Body::ConnectResponse(_) => id::CONNECT_RESPONSE,
            Body::Disconnect => id::DISCONNECT,
            Body::SessionStart(_) => id::SESSION_START,
            Body::SessionStop { .. } => id::SESSION_STOP,
            Body::TemplateData(_) => id::TEMPLATE_DATA,
            Body::FinalTemplateDataAck => id::FINAL_TEMPLATE_DATA_ACK,
            Body::GetSessions { .. } => id::GET_SESSIONS,
            Body::GetSessionsResponse { .. } => id::GET_SESSIONS_RESPONSE,
            Body::GetTemplates { .. } => id::GET_TEMPLATES,
            Body::GetTemplatesResponse { .. } => id::GET_TEMPLATES_RESPONSE,
            Body::ModifyTemplate(_) => id::MODIFY_TEMPLATE,
            Body::ModifyTemplateResponse(_) => id::MODIFY_TEMPLATE_RESPONSE,
            Body::StartNegotiation => id::START_NEGOTIATION,
            Body::StartNegotiationReject => id::START_NEGOTIATION_REJECT,
            Body::Data(_) => id::DATA,
            Body::DataAck { .. } => id::DATA_ACK,
            Body::Error { .. } => id::ERROR,
            Body::Request(_) => id::REQUEST,
            Body::Response(_) => id::RESPONSE,
            Body::KeepAlive => id::KEEP_ALIVE,
        }
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Body::FlowStart
            | Body::Disconnect
            | Body::FinalTemplateDataAck
            | Body::StartNegotiation
            | Body::StartNegotiationReject
            | Body::KeepAlive => Ok(()),
            Body::FlowStop { reason, info } => {
                out.extend_from_slice(&reason.code().to_be_bytes());
                put_opaque(out, info.as_bytes())
            }
            Body::Connect(connect) => {
                out.extend_from_slice(&connect.address);
                out.extend_from_slice(&connect.port.to_be_bytes());
                put_connection(out, connect.capabilities, connect.keep_alive_seconds, &connect.vendor)
            }
            Body::ConnectResponse(response) => put_connection(
                out,
                response.capabilities,
                response.keep_alive_seconds,
                &response.vendor,
            ),
            Body::SessionStart(start) => {
                out.extend_from_slice(&start.exporter_boot_time.to_be_bytes());
                out.extend_from_slice(&start.first_sequence.to_be_bytes());
                out.extend_from_slice(&start.dropped_records.to_be_bytes());
                out.push(start.is_primary.into());
                out.extend_from_slice(&start.ack_seconds.to_be_bytes());
                out.extend_from_slice(&start.ack_records.to_be_bytes());
                out.extend_from_slice(start.document_id.as_bytes());
                Ok(())
            }
            Body::SessionStop { reason, info } => {
                out.extend_from_slice(&reason.code().to_be_bytes());
                put_opaque(out, info.as_bytes())
            }
            Body::TemplateData(templates)
            | Body::ModifyTemplate(templates)
            | Body::ModifyTemplateResponse(templates) => {
                out.extend_from_slice(&templates.config_id.to_be_bytes());
                out.push(if templates.is_negotiable { FLAG } else { 0 });
                put_templates(out, &templates.templates)
            }
            Body::GetSessions { request_id } | Body::GetTemplates { request_id } => {
                out.extend_from_slice(&request_id.to_be_bytes());
                Ok(())
            }
            Body::GetSessionsResponse { request_id, sessions } => {
                out.extend_from_slice(&request_id.to_be_bytes());
                put_count(out, sessions.len())?;
                sessions.iter().try_for_each(|session| session.put(out))
            }
            Body::GetTemplatesResponse {
                request_id,
                config_id,
                templates,
            } => {
                out.extend_from_slice(&request_id.to_be_bytes());
                out.extend_from_slice(&config_id.to_be_bytes());
                put_templates(out, templates)
            }
            Body::Data(data) => {
                data.put_head(out);
                put_opaque(out, &data.record)
            }
            Body::DataAck { config_id, sequence } => {
                out.extend_from_slice(&config_id.to_be_bytes());
                out.extend_from_slice(&sequence.to_be_bytes());
                Ok(())
            }
            Body::Error {
                time,
                code,
                description,
            } => {
                out.extend_from_slice(&time.to_be_bytes());
                out.extend_from_slice(&code.code().to_be_bytes());
                put_opaque(out, description.as_bytes())
            }
            Body::Request(request) | Body::Response(request) => {
                out.extend_from_slice(&request.template_id.to_be_bytes());
                out.extend_from_slice(&request.config_id.to_be_bytes());
                out.push(request.flags);
                out.extend_from_slice(&request.number.to_be_bytes());
                put_opaque(out, &request.content)
            }
        }
    }
}

fn put_connection(
    out: &mut Vec<u8>,
    capabilities: Capabilities,
    keep_alive_seconds: u32,
    vendor: &str,
) -> Result<(), TooLong> {
    out.extend_from_slice(&capabilities.0.to_be_bytes());
    out.extend_from_slice(&keep_alive_seconds.to_be_bytes());
    put_opaque(out, vendor.as_bytes())
}

fn put_templates(out: &mut Vec<u8>, templates: &[Template]) -> Result<(), TooLong> {
    put_count(out, templates.len())?;
    templates.iter().try_for_each(|template| template.put(out))
}

impl SessionBlock {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.push(self.session_id);
        out.push(self.kind.code());
        put_opaque(out, self.name.as_bytes())?;
        put_opaque(out, self.description.as_bytes())?;
        out.extend_from_slice(&self.ack_seconds.to_be_bytes());
        out.extend_from_slice(&self.ack_records.to_be_bytes());
        Ok(())
    }
}

impl Data {
    fn put_head(&self, out: &mut Vec<u8>) {
        let head = DataHead {
            template_id: self.template_id,
            config_id: self.config_id,
            is_duplicate: self.is_duplicate,
            sequence: self.sequence,
        };
        head.put(out);
    }
}

/// What stands before the record in a DATA message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataHead {
    pub template_id: u16,
    pub config_id: u16,
    pub is_duplicate: bool,
    pub sequence: u64,
}

impl DataHead {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.template_id.to_be_bytes());
        out.extend_from_slice(&self.config_id.to_be_bytes());
        out.push(if self.is_duplicate { FLAG } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }
}
