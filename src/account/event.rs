//! A call event, with the values of the gatekeeper's parameters.

use std::{fmt, net::IpAddr};

pub use crate::config::gatekeeper::{EventKind, Events};

/// Something that happened at a gatekeeper.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// `%{event-uuid}` as it came from outside.
    pub uuid: Option<String>,
    /// When it happened, `%{event-time}`.
    pub time: Moment,
    /// `%g` where the event says it: the name of the gatekeeper it comes from. Otherwise the ini's.
    pub gatekeeper: Option<Text>,
    /// `%{gkip}`, likewise.
    pub gatekeeper_ip: Option<Text>,
    pub subject: Subject,
}

/// Whom the event is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// `on` and `off`: the gatekeeper itself.
    Gatekeeper,
    /// All events of calls, and `reject` and `mediafail`.
    Call(Box<Call>),
    /// `register` and `unregister`.
    Endpoint(Box<Endpoint>),
}

/// A call at the time of the event. [`None`] and empty texts: unset. Numbers have the gatekeeper's units.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// `%s`, Acct-Session-Id.
    pub session_id: Text,
    /// `%n`, counted from 1; 0 for a rejected call.
    pub number: u64,
    /// `%u`
    pub user: Text,
    /// `%{CallId}`, `%{ConfId}`: 16 octets.
    pub call_id: Option<[u8; 16]>,
    pub conf_id: Option<[u8; 16]>,
    /// `%{CallLink}`
    pub call_link: Text,
    pub setup: Option<Moment>,
    pub alerting: Option<Moment>,
    pub connect: Option<Moment>,
    pub disconnect: Option<Moment>,
    /// `%d`, `%t`, `%p`, `%{ring-time}` in seconds where the event gives them; otherwise made from the times.
    pub duration: Option<u64>,
    pub total_time: Option<u64>,
    pub post_dial_delay: Option<u64>,
    pub ring_time: Option<u64>,
    /// `%c`, Q.931; `%{cause-translated}`: the same where it is unset.
    pub cause: u32,
    pub cause_translated: Option<u32>,
    /// `%r`: -1 unknown, 0 gatekeeper, 1 caller, 2 callee.
    pub release_source: i32,
    /// Addresses are kept as they came; [`Text::address`] reads them.
    pub caller_ip: Text,
    pub caller_port: u16,
    pub callee_ip: Text,
    pub callee_port: u16,
    pub src_info: Text,
    pub dest_info: Text,
    pub calling_station_id: Text,
    pub called_station_id: Text,
    pub dialed_number: Text,
    pub caller_epid: Text,
    pub callee_epid: Text,
    pub call_attempts: u32,
    pub last_cdr: u32,
    pub client_auth_id: u64,
    pub caller_vendor: Text,
    pub callee_vendor: Text,
    pub sinfo_ip: Text,
    /// `%{bandwidth}` in units of 100 bit/s.
    pub bandwidth: u64,
    pub caller_audio_codec: Text,
    pub callee_audio_codec: Text,
    pub caller_video_codec: Text,
    pub callee_video_codec: Text,
    /// kbit/s
    pub caller_audio_bitrate: u64,
    pub callee_audio_bitrate: u64,
    pub caller_video_bitrate: u64,
    pub callee_video_bitrate: u64,
    pub caller_media_ip: Text,
    pub callee_media_ip: Text,
    /// `%{media-oip}`
    pub media_oip: Text,
    /// `%{encryption}` where the event gives it (`On`, `Off`); otherwise made from the codecs.
    pub encryption: Option<bool>,
    /// What only RADIUS carries: whether media went through the gatekeeper, and the RTCP report texts, each as
    /// `RTCP_source_packet_count=…` in the order they are to be sent.
    pub rtp_proxied: bool,
    pub rtcp: Vec<Text>,
    /// Class attributes of the RADIUS authentication, octets.
    pub class: Vec<Vec<u8>>,
}

/// An endpoint that registered or left.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    pub ip: Text,
    pub port: u16,
    pub vendor: Text,
    /// `%{aliases}`, with commas.
    pub aliases: Text,
    pub user: Text,
    pub calling_station_id: Text,
    pub epid: Text,
}

/// A time, with the gatekeeper's own zone where the event says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970, UTC. Never 0, which means unset at the gatekeeper.
    pub seconds: i64,
    /// 0 to 999,999. Call times are whole seconds.
    pub micros: u32,
    /// Offset from UTC in seconds and the zone's short name. [`None`]: this host's zone.
    pub zone: Option<(i32, String)>,
}

/// Text of a party: octets, since the gatekeeper passes on what it got. [`fmt::Display`] replaces what is not UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Text(pub Vec<u8>);

impl Text {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address that the text spells, with or without the brackets of IPv6.
    pub fn address(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        bare.parse().ok()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}
