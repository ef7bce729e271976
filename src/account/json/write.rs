//! An event to one JSON object, always the same for the same event: keys in the order of the parameters, nothing that is
//! unset.

use base64::Engine;

use super::time;
use crate::account::event::{Call, Endpoint, Event, Moment, Subject, Text};
use crate::account::parameters::{Parameter as P, write_id};

/// The event in one line, without a line end.
pub fn to_json(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(1536);
    write_json(event, &mut out);
    out
}

/// The same behind what is in `out`.
pub fn write_json(event: &Event, out: &mut Vec<u8>) {
    let object = &mut Object { out };
    object.out.extend_from_slice(b"{\"event\":\"");
    object.out.extend_from_slice(event.kind.name().as_bytes());
    object.out.push(b'"');
    if let Some(uuid) = &event.uuid {
        object.key(P::EventUuid);
        string(uuid, object.out);
    }
    object.time(P::EventTime, Some(&event.time));
    if let Some(name) = &event.gatekeeper {
        object.text(P::Gatekeeper, name);
    }
    if let Some(address) = &event.gatekeeper_ip {
        object.text(P::GatekeeperIp, address);
    }
    match &event.subject {
        Subject::Gatekeeper => {}
        Subject::Call(call) => write_call(call, object),
        Subject::Endpoint(endpoint) => write_endpoint(endpoint, object),
    }
    object.out.push(b'}');
}

fn write_call(call: &Call, object: &mut Object<'_>) {
    object.number(P::Number, call.number);
    object.text(P::SessionId, &call.session_id);
    object.text(P::User, &call.user);
    object.given(P::Duration, call.duration);
    object.given(P::TotalTime, call.total_time);
    object.number(P::Cause, call.cause.into());
    object.given(P::CauseTranslated, call.cause_translated.map(u64::from));
    if call.release_source != -1 {
        object.key(P::ReleaseSource);
        let mut buffer = itoa::Buffer::new();
        object
            .out
            .extend_from_slice(buffer.format(call.release_source).as_bytes());
    }
    object.given(P::PostDialDelay, call.post_dial_delay);
    object.given(P::RingTime, call.ring_time);
    object.id(P::CallId, call.call_id.as_ref());
    object.id(P::ConfId, call.conf_id.as_ref());
    object.text(P::CallLink, &call.call_link);
    object.time(P::SetupTime, call.setup.as_ref());
    object.time(P::AlertingTime, call.alerting.as_ref());
    object.time(P::ConnectTime, call.connect.as_ref());
    object.time(P::DisconnectTime, call.disconnect.as_ref());
    object.text(P::CallerIp, &call.caller_ip);
    object.number(P::CallerPort, call.caller_port.into());
    object.text(P::CalleeIp, &call.callee_ip);
    object.number(P::CalleePort, call.callee_port.into());
    object.text(P::SrcInfo, &call.src_info);
    object.text(P::DestInfo, &call.dest_info);
    object.text(P::CallingStationId, &call.calling_station_id);
    object.text(P::CalledStationId, &call.called_station_id);
    object.text(P::DialedNumber, &call.dialed_number);
    object.text(P::CallerEpid, &call.caller_epid);
    object.text(P::CalleeEpid, &call.callee_epid);
    object.number(P::CallAttempts, call.call_attempts.into());
    object.number(P::LastCdr, call.last_cdr.into());
    object.number(P::ClientAuthId, call.client_auth_id);
    object.text(P::CallerVendor, &call.caller_vendor);
    object.text(P::CalleeVendor, &call.callee_vendor);
    object.text(P::SinfoIp, &call.sinfo_ip);
    object.number(P::Bandwidth, call.bandwidth);
    object.text(P::CallerAudioCodec, &call.caller_audio_codec);
    object.text(P::CalleeAudioCodec, &call.callee_audio_codec);
    object.text(P::CallerVideoCodec, &call.caller_video_codec);
    object.text(P::CalleeVideoCodec, &call.callee_video_codec);
    object.number(P::CallerAudioBitrate, call.caller_audio_bitrate);
    object.number(P::CalleeAudioBitrate, call.callee_audio_bitrate);
    object.number(P::CallerVideoBitrate, call.caller_video_bitrate);
    object.number(P::CalleeVideoBitrate, call.callee_video_bitrate);
    object.text(P::CallerMediaIp, &call.caller_media_ip);
    object.text(P::CalleeMediaIp, &call.callee_media_ip);
    if let Some(on) = call.encryption {
        object.key(P::Encryption);
        object.out.extend_from_slice(if on { b"\"On\"" } else { b"\"Off\"" });
    }
    object.text(P::MediaOip, &call.media_oip);
    if call.rtp_proxied {
        object.out.extend_from_slice(b",\"rtp-proxied\":true");
    }
    object.list("rtcp", call.rtcp.iter().map(|text| text.0.as_slice()));
    object.list("class", call.class.iter().map(Vec::as_slice));
}

fn write_endpoint(endpoint: &Endpoint, object: &mut Object<'_>) {
    object.text(P::EndpointIp, &endpoint.ip);
    object.number(P::EndpointPort, endpoint.port.into());
    object.text(P::EndpointVendor, &endpoint.vendor);
    object.text(P::Aliases, &endpoint.aliases);
    object.text(P::User, &endpoint.user);
    object.text(P::CallingStationId, &endpoint.calling_station_id);
    object.text(P::Epid, &endpoint.epid);
}

/// What is written; something stands before each key.
struct Object<'o> {
    out: &'o mut Vec<u8>,
}

impl Object<'_> {
    fn key(&mut self, parameter: P) {
        self.out.extend_from_slice(parameter.json_key().as_bytes());
    }

    fn text(&mut self, parameter: P, text: &Text) {
        if !text.is_empty() {
            self.key(parameter);
            octets(&text.0, self.out);
        }
    }

    /// A number, unless it is 0.
    fn number(&mut self, parameter: P, number: u64) {
        self.given(parameter, Some(number).filter(|number| *number != 0));
    }

    fn given(&mut self, parameter: P, number: Option<u64>) {
        if let Some(number) = number {
            self.key(parameter);
            self.out
                .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
    }

    fn id(&mut self, parameter: P, id: Option<&[u8; 16]>) {
        if id.is_some() {
            self.key(parameter);
            self.out.push(b'"');
            write_id(id, b' ', self.out);
            self.out.push(b'"');
        }
    }

    fn time(&mut self, parameter: P, moment: Option<&Moment>) {
        let Some(moment) = moment else { return };
        self.key(parameter);
        self.out.push(b'"');
        if let Some(zone) = time::write(moment, self.out) {
            self.out.push(b'[');
            escaped(zone, self.out);
            self.out.push(b']');
        }
        self.out.push(b'"');
    }

    fn list<'t>(&mut self, name: &str, texts: impl ExactSizeIterator<Item = &'t [u8]>) {
        if texts.len() == 0 {
            return;
        }
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        for (at, text) in texts.enumerate() {
            self.out.push(if at == 0 { b'[' } else { b',' });
            octets(text, self.out);
        }
        self.out.push(b']');
    }
}

fn octets(text: &[u8], out: &mut Vec<u8>) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    match std::str::from_utf8(text) {
        Ok(text) => string(text, out),
        Err(_) => {
            out.extend_from_slice(b"{\"base64\":\"");
            out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(text).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escaped(text, out);
    out.push(b'"');
}

/// Whether JSON takes the text as it is, and it is ASCII: nearly all are. Eight octets at a time.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    // The top bit of the lowest octet below n is set; of others perhaps, but only if there is one.
    let below = |eight: u64, n: u8| eight.wrapping_sub(ONES * u64::from(n)) & !eight & TOPS;
    let odd = |eight: u64| {
        let (quotes, backslashes) = (eight ^ (ONES * u64::from(b'"')), eight ^ (ONES * u64::from(b'\\')));
        eight & TOPS | below(eight, 0x20) | below(quotes, 1) | below(backslashes, 1)
    };
    let (eights, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = eights
        .iter()
        .fold(0, |found, eight| found | odd(u64::from_le_bytes(*eight)));
    found | odd(u64::from_le_bytes(last)) == 0
}

/// The text with what JSON does not bear in a string escaped.
fn escaped(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|octet| matches!(octet, 0..0x20 | b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            octet @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', octet]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            octet => out.extend_from_slice(format!("\\u{octet:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}
