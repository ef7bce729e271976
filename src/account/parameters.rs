//! The gatekeeper's `%` parameters: their names, for which events they are known, and the texts of their values.
//!
//! Values go out as they are: the gatekeeper escapes nothing in files and at the status port, and neither is anything
//! escaped here. SQLAcct binds them.

use std::sync::OnceLock;

use super::derived;
use super::event::{Call, Endpoint, Event, EventKind, Moment, Subject, Text};
use super::timestamp::TimestampFormat;

macro_rules! parameters {
    ($($variant:ident $name:literal,)*) => {
        /// One parameter, `%{name}` or `%c`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Parameter {
            $($variant,)*
        }

        impl Parameter {
            pub const ALL: &[Parameter] = &[$(Parameter::$variant),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Parameter::$variant => $name,)*
                }
            }

            /// `,"name":`, as it stands in JSON behind another value.
            pub(super) fn json_key(self) -> &'static str {
                match self {
                    $(Parameter::$variant => concat!(",\"", $name, "\":"),)*
                }
            }
        }
    };
}

parameters! {
    Gatekeeper "g",
    GatekeeperIp "gkip",
    Number "n",
    SessionId "s",
    User "u",
    Duration "d",
    TotalTime "t",
    Cause "c",
    CauseTranslated "cause-translated",
    ReleaseSource "r",
    PostDialDelay "p",
    RingTime "ring-time",
    EventUuid "event-uuid",
    EventTime "event-time",
    CallId "CallId",
    ConfId "ConfId",
    CallLink "CallLink",
    SetupTime "setup-time",
    AlertingTime "alerting-time",
    ConnectTime "connect-time",
    DisconnectTime "disconnect-time",
    CallerIp "caller-ip",
    CallerPort "caller-port",
    CalleeIp "callee-ip",
    CalleePort "callee-port",
    SrcInfo "src-info",
    DestInfo "dest-info",
    CallingStationId "Calling-Station-Id",
    CalledStationId "Called-Station-Id",
    DialedNumber "Dialed-Number",
    CallerEpid "caller-epid",
    CalleeEpid "callee-epid",
    CallAttempts "call-attempts",
    LastCdr "last-cdr",
    ClientAuthId "client-auth-id",
    CallerVendor "caller-vendor",
    CalleeVendor "callee-vendor",
    SinfoIp "sinfo-ip",
    Bandwidth "bandwidth",
    BandwidthKbps "bandwidth-kbps",
    CallerAudioCodec "caller-audio-codec",
    CalleeAudioCodec "callee-audio-codec",
    CallerVideoCodec "caller-video-codec",
    CalleeVideoCodec "callee-video-codec",
    CallerAudioBitrate "caller-audio-bitrate",
    CalleeAudioBitrate "callee-audio-bitrate",
    CallerVideoBitrate "caller-video-bitrate",
    CalleeVideoBitrate "callee-video-bitrate",
    CallerMediaIp "caller-media-ip",
    CalleeMediaIp "callee-media-ip",
    Encryption "encryption",
    Codec "codec",
    MediaOip "media-oip",
    EndpointIp "endpoint-ip",
    EndpointPort "endpoint-port",
    EndpointVendor "endpoint-vendor",
    Aliases "aliases",
    Epid "epid",
}

impl Parameter {
    /// The parameter of a name. Capitals matter.
    pub fn named(name: &str) -> Option<Parameter> {
        // Every key of every event is looked up: a table instead of 58 comparisons.
        static TABLE: OnceLock<[Option<Parameter>; 256]> = OnceLock::new();
        let table = TABLE.get_or_init(|| {
            let mut table = [None; 256];
            for parameter in Parameter::ALL {
                let mut at = slot(parameter.name());
                while table[at].is_some() {
                    at = (at + 1) % table.len();
                }
                table[at] = Some(*parameter);
            }
            table
        });
        let mut at = slot(name);
        while let Some(parameter) = table[at] {
            if parameter.name() == name {
                return Some(parameter);
            }
            at = (at + 1) % table.len();
        }
        None
    }

    /// Whether the gatekeeper knows the parameter when it logs such an event. Otherwise it leaves it in the text as it was
    /// typed.
    pub fn known_for(self, kind: EventKind) -> bool {
        use Parameter::{
            Aliases, CallingStationId, EndpointIp, EndpointPort, EndpointVendor, Epid, EventTime, EventUuid,
            Gatekeeper, GatekeeperIp, User,
        };
        let endpoint = matches!(self, EndpointIp | EndpointPort | EndpointVendor | Aliases | Epid);
        match kind {
            EventKind::On | EventKind::Off => matches!(self, Gatekeeper | GatekeeperIp),
            EventKind::Register | EventKind::Unregister => {
                let shared = [Gatekeeper, GatekeeperIp, EventUuid, EventTime, User, CallingStationId];
                endpoint || shared.contains(&self)
            }
            _ => !endpoint,
        }
    }
}

/// Where the table has a name, from the octets in which the names differ.
fn slot(name: &str) -> usize {
    let octets = name.as_bytes();
    let octet = |at: usize| octets.get(at).map_or(0, |octet| usize::from(*octet));
    let last = octets.last().map_or(0, |octet| usize::from(*octet));
    (octets.len() * 31 + octet(0) * 7 + octet(1) * 3 + octet(5) * 13 + octet(7) * 17 + last * 5) % 256
}

/// What values depend on besides the event.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// `%g` and `%{gkip}` where the event does not say them: `[Gatekeeper::Main] Name`, first address of `Home` or empty.
    pub gatekeeper: &'a str,
    pub home: &'a str,
    pub timestamps: &'a TimestampFormat,
    /// `%{event-uuid}`, see [`super::uuid::of`].
    pub uuid: &'a str,
    /// When the event happened: what a call without a disconnect time has lasted until.
    pub now: Moment,
}

/// Writes a value behind what is in `out`. What is unset, or not of this kind of event, is empty, or `0` where it is a number.
pub fn write_value(parameter: Parameter, event: &Event, context: &Context<'_>, out: &mut Vec<u8>) {
    match parameter {
        Parameter::Gatekeeper => match &event.gatekeeper {
            Some(name) => out.extend_from_slice(&name.0),
            None => out.extend_from_slice(context.gatekeeper.as_bytes()),
        },
        Parameter::GatekeeperIp => match &event.gatekeeper_ip {
            Some(address) => out.extend_from_slice(&address.0),
            None => out.extend_from_slice(context.home.as_bytes()),
        },
        Parameter::EventUuid => out.extend_from_slice(context.uuid.as_bytes()),
        Parameter::EventTime => context.timestamps.write(&event.time, out),
        _ => match &event.subject {
            Subject::Gatekeeper => {}
            Subject::Call(call) => write_call_value(parameter, call, context, out),
            Subject::Endpoint(endpoint) => write_endpoint_value(parameter, endpoint, out),
        },
    }
}

fn write_call_value(parameter: Parameter, call: &Call, context: &Context<'_>, out: &mut Vec<u8>) {
    let now = context.now.seconds;
    match parameter {
        Parameter::Number => unsigned(call.number, out),
        Parameter::SessionId => text(&call.session_id, out),
        Parameter::User => derived::user(call, out),
        Parameter::Duration => unsigned(derived::duration(call, now), out),
        Parameter::TotalTime => unsigned(derived::total_time(call), out),
        Parameter::Cause => unsigned(call.cause.into(), out),
        Parameter::CauseTranslated => unsigned(call.cause_translated.unwrap_or(call.cause).into(), out),
        Parameter::ReleaseSource => {
            out.extend_from_slice(itoa::Buffer::new().format(call.release_source).as_bytes());
        }
        Parameter::PostDialDelay => unsigned(derived::post_dial_delay(call), out),
        Parameter::RingTime => unsigned(derived::ring_time(call), out),
        Parameter::CallId => write_id(call.call_id.as_ref(), b' ', out),
        Parameter::ConfId => write_id(call.conf_id.as_ref(), b' ', out),
        Parameter::CallLink => text(&call.call_link, out),
        Parameter::SetupTime => time(call.setup.as_ref(), context, out),
        Parameter::AlertingTime => time(call.alerting.as_ref(), context, out),
        Parameter::ConnectTime => time(call.connect.as_ref(), context, out),
        Parameter::DisconnectTime => time(call.disconnect.as_ref(), context, out),
        Parameter::CallerIp => text(&call.caller_ip, out),
        Parameter::CallerPort => unsigned(call.caller_port.into(), out),
        Parameter::CalleeIp => text(&call.callee_ip, out),
        Parameter::CalleePort => unsigned(call.callee_port.into(), out),
        Parameter::SrcInfo => text(&call.src_info, out),
        Parameter::DestInfo => text(&call.dest_info, out),
        Parameter::CallingStationId => derived::calling_station_id(call, out),
        Parameter::CalledStationId => derived::called_station_id(call, out),
        Parameter::DialedNumber => text(&call.dialed_number, out),
        Parameter::CallerEpid => text(&call.caller_epid, out),
        Parameter::CalleeEpid => text(&call.callee_epid, out),
        Parameter::CallAttempts => unsigned(call.call_attempts.into(), out),
        Parameter::LastCdr => unsigned(call.last_cdr.into(), out),
        Parameter::ClientAuthId => unsigned(call.client_auth_id, out),
        Parameter::CallerVendor => vendor(&call.caller_vendor, out),
        Parameter::CalleeVendor => vendor(&call.callee_vendor, out),
        Parameter::SinfoIp => text(&call.sinfo_ip, out),
        Parameter::Bandwidth => unsigned(call.bandwidth, out),
        Parameter::BandwidthKbps => unsigned(call.bandwidth / 10, out),
        Parameter::CallerAudioCodec | Parameter::Codec => text(&call.caller_audio_codec, out),
        Parameter::CalleeAudioCodec => text(&call.callee_audio_codec, out),
        Parameter::CallerVideoCodec => text(&call.caller_video_codec, out),
        Parameter::CalleeVideoCodec => text(&call.callee_video_codec, out),
        Parameter::CallerAudioBitrate => unsigned(call.caller_audio_bitrate, out),
        Parameter::CalleeAudioBitrate => unsigned(call.callee_audio_bitrate, out),
        Parameter::CallerVideoBitrate => unsigned(call.caller_video_bitrate, out),
        Parameter::CalleeVideoBitrate => unsigned(call.callee_video_bitrate, out),
        Parameter::CallerMediaIp => text(&call.caller_media_ip, out),
        Parameter::CalleeMediaIp => text(&call.callee_media_ip, out),
        Parameter::Encryption => out.extend_from_slice(if derived::encrypted(call) { b"On" } else { b"Off" }),
        Parameter::MediaOip if call.media_oip.is_empty() => text(&call.callee_media_ip, out),
        Parameter::MediaOip => text(&call.media_oip, out),
        // Not of calls, or written for every event.
        Parameter::EndpointPort => out.push(b'0'),
        Parameter::EndpointIp
        | Parameter::EndpointVendor
        | Parameter::Aliases
        | Parameter::Epid
        | Parameter::Gatekeeper
        | Parameter::GatekeeperIp
        | Parameter::EventUuid
        | Parameter::EventTime => {}
    }
}

fn write_endpoint_value(parameter: Parameter, endpoint: &Endpoint, out: &mut Vec<u8>) {
    match parameter {
        Parameter::EndpointIp => text(&endpoint.ip, out),
        Parameter::EndpointPort => unsigned(endpoint.port.into(), out),
        Parameter::EndpointVendor => vendor(&endpoint.vendor, out),
        Parameter::Aliases => text(&endpoint.aliases, out),
        Parameter::User => text(&endpoint.user, out),
        Parameter::CallingStationId => text(&endpoint.calling_station_id, out),
        Parameter::Epid => text(&endpoint.epid, out),
        _ => {}
    }
}

/// 16 octets in lower-case hexadecimal: the gatekeeper has blanks between them, and dashes in `%{CallId}` of StatusAcct.
pub fn write_id(id: Option<&[u8; 16]>, between: u8, out: &mut Vec<u8>) {
    let Some(id) = id else { return };
    let mut text = [between; 47];
    for (digits, octet) in text.chunks_mut(3).zip(id) {
        digits[..2].copy_from_slice(&hex(*octet));
    }
    out.extend_from_slice(&text);
}

/// Two hexadecimal digits, in lower case.
pub(super) fn hex(octet: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]
}

fn text(value: &Text, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.0);
}

/// Vendor and version with a blank between them, and that alone where both are unset.
fn vendor(value: &Text, out: &mut Vec<u8>) {
    if value.is_empty() {
        out.push(b' ');
    } else {
        text(value, out);
    }
}

fn unsigned(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn time(moment: Option<&Moment>, context: &Context<'_>, out: &mut Vec<u8>) {
    if let Some(moment) = moment {
        context.timestamps.write(moment, out);
    }
}

#[cfg(test)]
mod tests;
