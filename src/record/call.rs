//! A call that has ended.

use chrono::{DateTime, Utc};

use super::definition::Presence::{Optional, Required};
use super::{Field, Kind, Record, ServiceDefinition, Text, Value};

/// `CallDetail-Type`: what the gatekeeper's stop event says, under names of ours in its order.
pub static CALL_DETAIL: ServiceDefinition = ServiceDefinition {
    name: "CallDetail-Type",
    schema: "CallDetail.xsd",
    doc: "A call that has ended, as an H.323 gatekeeper accounts for it. Each call is in one document, once, connected or not. \
          What the gatekeeper did not say is left out.",
    fields: &[
        Field::new(
            "IPDRcreationTime",
            Kind::DateTimeMsec,
            Required,
            "When billdrop accepted the end of the call.",
        ),
        text("sourceName", Required, "Name of the source: calls."),
        text(
            "eventId",
            Required,
            "Tells the call from every other one; the same in whatever else it was logged to.",
        ),
        text("gatekeeper", Required, "Name of the gatekeeper."),
        text("gatekeeperAddress", Optional, "Its address."),
        text("sessionId", Optional, "Acct-Session-Id, unique at the gatekeeper."),
        Field::new(
            "callNumber",
            Kind::UnsignedLong,
            Optional,
            "Counted from 1 since the gatekeeper's start.",
        ),
        text("callId", Optional, "H.323 call identifier: 32 hexadecimal digits."),
        text(
            "conferenceId",
            Optional,
            "H.323 conference identifier: 32 hexadecimal digits.",
        ),
        text("user", Optional, "H.323 ID of the caller."),
        text("callingStationId", Optional, "Number of the caller."),
        text(
            "calledStationId",
            Optional,
            "Number of the called party, as the gatekeeper has rewritten it.",
        ),
        text("dialedNumber", Optional, "Number as the caller dialled it."),
        text("callerAddress", Optional, "Signalling address of the caller."),
        Field::new("callerPort", Kind::UnsignedInt, Optional, "Its port."),
        text("calleeAddress", Optional, "Signalling address of the called party."),
        Field::new("calleePort", Kind::UnsignedInt, Optional, "Its port."),
        text(
            "callerAliases",
            Optional,
            "Aliases of the caller, alias:type with = between them.",
        ),
        text("calleeAliases", Optional, "Aliases of the called party, likewise."),
        time("setupTime", "When the call was set up."),
        time("alertingTime", "When the called party was alerted."),
        time(
            "connectTime",
            "When the call was connected; left out for one that never was.",
        ),
        time("disconnectTime", "When it ended."),
        Field::new(
            "duration",
            Kind::UnsignedLong,
            Required,
            "Seconds from connect to disconnect, at least 1; 0 for a call that was never connected.",
        ),
        Field::new(
            "ringTime",
            Kind::UnsignedLong,
            Required,
            "Seconds from alerting to connect, or to the end.",
        ),
        Field::new(
            "postDialDelay",
            Kind::UnsignedLong,
            Required,
            "Seconds from setup to the first sign of the called party.",
        ),
        Field::new(
            "releaseCause",
            Kind::UnsignedInt,
            Required,
            "Q.931 cause; 0 where none was given.",
        ),
        Field::new(
            "releaseSource",
            Kind::Enum(RELEASE_SOURCES),
            Required,
            "Who has ended the call.",
        ),
        Field::new("bandwidth", Kind::UnsignedLong, Optional, "In units of 100 bit/s."),
        text("callerCodec", Optional, "Audio codec of the caller."),
        text("calleeCodec", Optional, "Audio codec of the called party."),
    ],
};

const RELEASE_SOURCES: &[(i32, &str)] = &[(-1, "unknown"), (0, "gatekeeper"), (1, "caller"), (2, "callee")];

/// Characters of a text: far more than a signalling message holds.
const MAX_CHARS: usize = 65_535;

const fn text(name: &'static str, presence: super::Presence, doc: &'static str) -> Field {
    Field::new(name, Kind::Text { max_chars: MAX_CHARS }, presence, doc)
}

const fn time(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::DateTimeMsec, Optional, doc)
}

/// The fields of [`CALL_DETAIL`]. Empty texts are left out.
#[derive(Debug, Clone)]
pub struct CallDetail<'a> {
    pub created: DateTime<Utc>,
    pub source_name: &'a str,
    pub event_id: &'a str,
    pub gatekeeper: &'a [u8],
    pub gatekeeper_address: &'a [u8],
    pub session_id: &'a [u8],
    pub call_number: Option<u64>,
    pub call_id: Option<[u8; 16]>,
    pub conference_id: Option<[u8; 16]>,
    pub user: &'a [u8],
    pub calling_station_id: &'a [u8],
    pub called_station_id: &'a [u8],
    pub dialed_number: &'a [u8],
    pub caller: (&'a [u8], u16),
    pub callee: (&'a [u8], u16),
    pub caller_aliases: &'a [u8],
    pub callee_aliases: &'a [u8],
    pub setup: Option<DateTime<Utc>>,
    pub alerting: Option<DateTime<Utc>>,
    pub connect: Option<DateTime<Utc>>,
    pub disconnect: Option<DateTime<Utc>>,
    pub duration: u64,
    pub ring_time: u64,
    pub post_dial_delay: u64,
    pub cause: u32,
    /// What is none of the known ones is unknown.
    pub release_source: i32,
    pub bandwidth: u64,
    pub caller_codec: &'a [u8],
    pub callee_codec: &'a [u8],
}

impl CallDetail<'_> {
    pub fn to_record(&self) -> Record {
        let port = |port: u16| {
            Some(port)
                .filter(|port| *port != 0)
                .map(|port| Value::UnsignedInt(port.into()))
        };
        let source = match self.release_source {
            known @ 0..=2 => known,
            _ => -1,
        };
        let values = vec![
            self.created.into(),
            Text::lossy(self.source_name.as_bytes()).0.into(),
            Text::lossy(self.event_id.as_bytes()).0.into(),
            Text::lossy(self.gatekeeper).0.into(),
            some(self.gatekeeper_address),
            some(self.session_id),
            self.call_number.map(Value::UnsignedLong).into(),
            digits(self.call_id),
            digits(self.conference_id),
            some(self.user),
            some(self.calling_station_id),
            some(self.called_station_id),
            some(self.dialed_number),
            some(self.caller.0),
            port(self.caller.1).into(),
            some(self.callee.0),
            port(self.callee.1).into(),
            some(self.caller_aliases),
            some(self.callee_aliases),
            self.setup.into(),
            self.alerting.into(),
            self.connect.into(),
            self.disconnect.into(),
            Value::UnsignedLong(self.duration),
            Value::UnsignedLong(self.ring_time),
            Value::UnsignedLong(self.post_dial_delay),
            Value::UnsignedInt(self.cause),
            Value::Enum(source),
            Some(self.bandwidth).filter(|n| *n != 0).map(Value::UnsignedLong).into(),
            some(self.caller_codec),
            some(self.callee_codec),
        ];
        Record {
            definition: &CALL_DETAIL,
            values,
        }
    }
}

/// What cannot stand in XML becomes U+FFFD.
fn some(octets: &[u8]) -> Value {
    match octets.is_empty() {
        true => Value::Absent,
        false => Text::lossy(octets).0.into(),
    }
}

fn digits(id: Option<[u8; 16]>) -> Value {
    match id {
        None => Value::Absent,
        Some(id) => some(format!("{:032X}", u128::from_be_bytes(id)).as_bytes()),
    }
}
