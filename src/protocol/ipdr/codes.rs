//! Numbers with a meaning: message ids, capabilities, reasons and errors. Unknown numbers are kept as they are.

use std::fmt;

/// Message ids (IPDR/SP 2.1 §8; the last two are of 2.2).
pub(super) mod id {
    pub const FLOW_START: u8 = 0x01;
    pub const FLOW_STOP: u8 = 0x03;
    pub const CONNECT: u8 = 0x05;
    pub const CONNECT_RESPONSE: u8 = 0x06;
    pub const DISCONNECT: u8 = 0x07;
    pub const SESSION_START: u8 = 0x08;
    pub const SESSION_STOP: u8 = 0x09;
    pub const TEMPLATE_DATA: u8 = 0x10;
    pub const FINAL_TEMPLATE_DATA_ACK: u8 = 0x13;
    pub const GET_SESSIONS: u8 = 0x14;
    pub const GET_SESSIONS_RESPONSE: u8 = 0x15;
    pub const GET_TEMPLATES: u8 = 0x16;
    pub const GET_TEMPLATES_RESPONSE: u8 = 0x17;
    pub const MODIFY_TEMPLATE: u8 = 0x1a;
    pub const MODIFY_TEMPLATE_RESPONSE: u8 = 0x1b;
    pub const START_NEGOTIATION: u8 = 0x1d;
    pub const START_NEGOTIATION_REJECT: u8 = 0x1e;
    pub const DATA: u8 = 0x20;
    pub const DATA_ACK: u8 = 0x21;
    pub const ERROR: u8 = 0x23;
    pub const REQUEST: u8 = 0x30;
    pub const RESPONSE: u8 = 0x31;
    pub const KEEP_ALIVE: u8 = 0x40;
}

/// What a side can do. The opener offers, the other answers with a part of it; unknown bits are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    pub const STRUCTURES: Capabilities = Capabilities(0x01);
    pub const MULTISESSION: Capabilities = Capabilities(0x02);
    pub const TEMPLATE_NEGOTIATION: Capabilities = Capabilities(0x04);

    /// What both sides can do.
    pub fn both(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    pub fn contains(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why a collector stops a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStopReason {
    /// 0
    Normal,
    /// 1
    ProcessError,
    /// Above 255: of the vendor; the rest is not assigned.
    Other(u16),
}

impl FlowStopReason {
    pub fn code(self) -> u16 {
        match self {
            FlowStopReason::Normal => 0,
            FlowStopReason::ProcessError => 1,
            FlowStopReason::Other(code) => code,
        }
    }

    pub fn of(code: u16) -> FlowStopReason {
        match code {
            0 => FlowStopReason::Normal,
            1 => FlowStopReason::ProcessError,
            code => FlowStopReason::Other(code),
        }
    }
}

impl fmt::Display for FlowStopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlowStopReason::Normal => f.write_str("its process ends normally"),
            FlowStopReason::ProcessError => f.write_str("an error in its process"),
            FlowStopReason::Other(code) => write!(f, "reason {code}"),
        }
    }
}

/// Why an exporter stops a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStopReason {
    /// 0
    EndOfData,
    /// 1: a collector of higher priority takes over.
    HandingOff,
    /// 2
    ExporterTerminating,
    /// 3
    Congestion,
    /// 4
    RenegotiationRequired,
    /// 5
    StartNegotiationAcknowledged,
    /// 6
    EndOfDocument,
    /// 7
    TemplatesUpdated,
    /// Above 255: of the vendor; the rest is not assigned.
    Other(u16),
}

impl SessionStopReason {
    pub fn code(self) -> u16 {
        match self {
            SessionStopReason::EndOfData => 0,
            SessionStopReason::HandingOff => 1,
            SessionStopReason::ExporterTerminating => 2,
            SessionStopReason::Congestion => 3,
            SessionStopReason::RenegotiationRequired => 4,
            SessionStopReason::StartNegotiationAcknowledged => 5,
            SessionStopReason::EndOfDocument => 6,
            SessionStopReason::TemplatesUpdated => 7,
            SessionStopReason::Other(code) => code,
        }
    }

    pub fn of(code: u16) -> SessionStopReason {
        match code {
            0 => SessionStopReason::EndOfData,
            1 => SessionStopReason::HandingOff,
            2 => SessionStopReason::ExporterTerminating,
            3 => SessionStopReason::Congestion,
            4 => SessionStopReason::RenegotiationRequired,
            5 => SessionStopReason::StartNegotiationAcknowledged,
            6 => SessionStopReason::EndOfDocument,
            7 => SessionStopReason::TemplatesUpdated,
            code => SessionStopReason::Other(code),
        }
    }
}

/// What an ERROR says. A general one ends the connection, one of a session does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The most significant bit: the header's session is meant, and the connection may stay.
    pub of_session: bool,
    pub kind: ErrorKind,
}

/// The low 15 bits of an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 0
    KeepAliveExpired,
    /// 1: the message is of a capability that was not agreed on.
    InvalidForCapabilities,
    /// 2
    InvalidForState,
    /// 3
    Decode,
    /// 4
    ProcessTerminating,
    /// Above 255: of the vendor; the rest is not assigned.
    Other(u16),
}

/// Our own errors. The reference exporter has such codes below 256, where they mean something else to everybody.
impl ErrorKind {
    /// The collector did not acknowledge the templates in time.
    pub const TEMPLATE_ACK_EXPIRED: ErrorKind = ErrorKind::Other(0x100);
    /// Nobody knows this collector here.
    pub const UNKNOWN_COLLECTOR: ErrorKind = ErrorKind::Other(0x102);
    /// There is no such session, or not for this collector.
    pub const UNKNOWN_SESSION: ErrorKind = ErrorKind::Other(0x101);

    pub fn of_session(self) -> ErrorCode {
        ErrorCode {
            of_session: true,
            kind: self,
        }
    }

    pub fn general(self) -> ErrorCode {
        ErrorCode {
            of_session: false,
            kind: self,
        }
    }
}

impl ErrorCode {
    const OF_SESSION: u16 = 0x8000;

    pub fn code(self) -> u16 {
        let kind = match self.kind {
            ErrorKind::KeepAliveExpired => 0,
            ErrorKind::InvalidForCapabilities => 1,
            ErrorKind::InvalidForState => 2,
            ErrorKind::Decode => 3,
            ErrorKind::ProcessTerminating => 4,
            ErrorKind::Other(code) => code & !Self::OF_SESSION,
        };
        kind | if self.of_session { Self::OF_SESSION } else { 0 }
    }

    pub fn of(code: u16) -> ErrorCode {
        let kind = match code & !Self::OF_SESSION {
            0 => ErrorKind::KeepAliveExpired,
            1 => ErrorKind::InvalidForCapabilities,
            2 => ErrorKind::InvalidForState,
            3 => ErrorKind::Decode,
            4 => ErrorKind::ProcessTerminating,
            code => ErrorKind::Other(code),
        };
        ErrorCode {
            of_session: code & Self::OF_SESSION != 0,
            kind,
        }
    }
}

/// The octet of a session block that IPDR/SP reserves and DOCSIS gives a meaning. Only that of event sessions was seen
/// on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// 0: not told.
    Unspecified,
    /// 1
    TimeInterval,
    /// 2
    AdHoc,
    /// 4
    Event,
    Other(u8),
}

impl SessionKind {
    pub fn code(self) -> u8 {
        match self {
            SessionKind::Unspecified => 0,
            SessionKind::TimeInterval => 1,
            SessionKind::AdHoc => 2,
            SessionKind::Event => 4,
            SessionKind::Other(code) => code,
        }
    }

    pub fn of(code: u8) -> SessionKind {
        match code {
            0 => SessionKind::Unspecified,
            1 => SessionKind::TimeInterval,
            2 => SessionKind::AdHoc,
            4 => SessionKind::Event,
            code => SessionKind::Other(code),
        }
    }
}
