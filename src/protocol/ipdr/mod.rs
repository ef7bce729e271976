//! IPDR/SP version 2, by which an exporter streams records to collectors. Octets and decisions only: no sockets, no
//! clock.
//!
//! * [`FrameReader`] finds messages in what a socket gives, [`Message`] is one of them in both directions.
//! * [`Template`] tells a collector the fields of a definition, [`RecordEncoder`] writes its records as DATA.
//! * [`read_record`] reads a record by its template; the exporter does not need it, who tests it does.
//! * [`Session`] decides: who gets which record next, what an acknowledgement is worth, when a collector has failed.
//! * [`VersionRequest`] and [`version_response`] are the question and answer over UDP.
//!
//! Sources: IPDR/SP 2.1 and IPDR/XDR 3.5.1 of IPDR.org, and what an ARRIS E6000 sent. We write what both agree on; where
//! they do not, as the E6000 does. What we read may differ: texts without a length, numbers in the wrong order of octets,
//! three forms of IPv6 addresses.
//!
//! After [`NotAMessage`] the connection must be closed. After [`DecodeError`] the peer is told so; a general ERROR closes
//! the connection, too.

mod codes;
mod discovery;
mod document_id;
mod frame;
mod message;
mod octets;
mod record;
mod session;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use codes::{Capabilities, ErrorCode, ErrorKind, FlowStopReason, SessionKind, SessionStopReason};
pub use discovery::{Asked, VersionRequest, version_response};
pub use document_id::{DocumentId, DocumentIdForm, NotAForm};
pub use frame::{DecodeError, Frame, FrameReader, Header, MAX_FROM_COLLECTOR, NotAMessage, VERSION};
pub use message::{Body, Connect, ConnectResponse, Data, Message, Request, SessionBlock, SessionStart, Templates};
pub use octets::{Defect, Input, TooLong};
pub use record::{NotSendable, Reason, RecordEncoder};
pub use session::{Action, Collector, Document, Event, Failure, Ignored, Outgoing, Patience, Refused, Session, State};
pub use template::{FieldDescriptor, NotStreamable, Template, TemplateNames};
pub use value::{Type, XdrValue, read_record, read_value};
