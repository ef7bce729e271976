//! The attributes of an event, in the gatekeeper's order and texts.

use std::net::IpAddr;

use super::Identity;
use crate::{
    account::{
        derived,
        event::{Call, Event, EventKind, Subject, Text},
        timestamp::TimestampFormat,
    },
    config::gatekeeper,
    protocol::radius::{Attributes, CISCO, Fit, kind},
};

/// Virtual (RFC 2865 §5.41), Login (§5.6).
const PORT_TYPE: u32 = 5;
const SERVICE_TYPE: u32 = 1;

/// Numbers of Cisco's attributes.
mod cisco {
    pub const AV_PAIR: u8 = 1;
    pub const REMOTE_ADDRESS: u8 = 23;
    pub const CONF_ID: u8 = 24;
    pub const SETUP_TIME: u8 = 25;
    pub const CALL_ORIGIN: u8 = 26;
    pub const CALL_TYPE: u8 = 27;
    pub const CONNECT_TIME: u8 = 28;
    pub const DISCONNECT_TIME: u8 = 29;
    pub const DISCONNECT_CAUSE: u8 = 30;
    pub const GW_ID: u8 = 33;
    pub const RELEASE_SOURCE: u8 = 115;
    pub const PREFERRED_CODEC: u8 = 116;
    pub const REWRITTEN_NUMBER: u8 = 117;
}

/// What stands in all requests, and how values are written.
pub struct Writer {
    name: String,
    append_cisco: bool,
    use_dialed_number: bool,
    fixed_username: Option<String>,
    timestamps: TimestampFormat,
}

impl Writer {
    /// The error says what is wrong with the ini.
    pub fn new(options: &gatekeeper::RadAcct, identity: &Identity) -> Result<Self, String> {
        let format = options.timestamp_format.as_ref().unwrap_or(&identity.timestamp_format);
        let timestamps = TimestampFormat::parse(format).map_err(|e| format!("[RadAcct] TimestampFormat: {e}"))?;
        Ok(Writer {
            timestamps,
            name: identity.name.clone(),
            append_cisco: options.append_cisco_attributes,
            use_dialed_number: options.use_dialed_number,
            fixed_username: options.fixed_username.clone(),
        })
    }

    /// All attributes but Acct-Delay-Time. [`None`]: RADIUS has no request for such an event.
    pub fn attributes(&self, event: &Event, nas: Option<IpAddr>) -> Option<Attributes> {
        let status = match (event.kind, &event.subject) {
            (EventKind::On, _) => 7,
            (EventKind::Off, _) => 8,
            (EventKind::Start, Subject::Call(_)) => 1,
            (EventKind::Stop, Subject::Call(_)) => 2,
            (EventKind::Update, Subject::Call(_)) => 3,
            _ => return None,
        };
        let mut sheet = Sheet::new(event);
        let name = event.gatekeeper.as_ref().map_or(self.name.as_bytes(), |name| &name.0);
        sheet.number(kind::ACCT_STATUS_TYPE, status);
        if let Some(address) = nas {
            sheet.address(kind::NAS_IP_ADDRESS, kind::NAS_IPV6_ADDRESS, address);
        }
        sheet.text("NAS-Identifier", kind::NAS_IDENTIFIER, name);
        sheet.number(kind::NAS_PORT_TYPE, PORT_TYPE);
        if let (1..=3, Subject::Call(call)) = (status, &event.subject) {
            self.call(event, call, &mut sheet);
            if self.append_cisco {
                self.cisco(event.kind, call, name, &mut sheet);
            }
        }
        Some(sheet.attributes)
    }

    /// What the RFCs have for a call.
    fn call(&self, event: &Event, call: &Call, sheet: &mut Sheet<'_>) {
        let mut value = Vec::with_capacity(64);
        let mut made = |make: &dyn Fn(&Call, &mut Vec<u8>), sheet: &mut Sheet<'_>, name, kind| {
            value.clear();
            make(call, &mut value);
            sheet.text(name, kind, &value);
        };
        sheet.number(kind::SERVICE_TYPE, SERVICE_TYPE);
        sheet.text("Acct-Session-Id", kind::ACCT_SESSION_ID, &call.session_id.0);
        for class in &call.class {
            sheet.opaque("Class", kind::CLASS, class);
        }
        match &self.fixed_username {
            Some(user) => sheet.text("User-Name", kind::USER_NAME, user.as_bytes()),
            None => made(&derived::user, sheet, "User-Name", kind::USER_NAME),
        }
        if let Some(address) = call.caller_ip.address() {
            sheet.address(kind::FRAMED_IP_ADDRESS, kind::FRAMED_IPV6_ADDRESS, address);
        }
        if event.kind != EventKind::Start {
            let seconds = derived::duration(call, event.time.seconds);
            sheet.number(kind::ACCT_SESSION_TIME, u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        made(
            &derived::calling_station_id,
            sheet,
            "Calling-Station-Id",
            kind::CALLING_STATION_ID,
        );
        match self.use_dialed_number {
            true => sheet.text("Called-Station-Id", kind::CALLED_STATION_ID, &call.dialed_number.0),
            false => made(
                &derived::called_station_id,
                sheet,
                "Called-Station-Id",
                kind::CALLED_STATION_ID,
            ),
        }
    }

    /// What Cisco's gateways send of a call, as far as the gatekeeper sends it, too.
    fn cisco(&self, event: EventKind, call: &Call, name: &[u8], sheet: &mut Sheet<'_>) {
        sheet.vendor(cisco::CONF_ID, "h323-conf-id=", words(call.conf_id).as_bytes());
        sheet.vendor(cisco::GW_ID, "h323-gw-id=", name);
        sheet.vendor(cisco::CALL_ORIGIN, "h323-call-origin=", b"proxy");
        sheet.vendor(cisco::CALL_TYPE, "h323-call-type=", b"VoIP");
        let mut times = vec![(cisco::SETUP_TIME, "h323-setup-time=", &call.setup)];
        if event != EventKind::Start {
            times.push((cisco::CONNECT_TIME, "h323-connect-time=", &call.connect));
        }
        if event == EventKind::Stop {
            times.push((cisco::DISCONNECT_TIME, "h323-disconnect-time=", &call.disconnect));
        }
        for (kind, name, time) in times {
            if let Some(time) = time {
                sheet.vendor(kind, name, &self.timestamps.text(time));
            }
        }
        if event == EventKind::Stop {
            stop(call, sheet);
        }
        if call.callee_ip.address().is_some() {
            sheet.vendor(cisco::REMOTE_ADDRESS, "h323-remote-address=", &call.callee_ip.0);
        }
        sheet.vendor(
            cisco::AV_PAIR,
            "h323-ivr-out=h323-call-id:",
            words(call.call_id).as_bytes(),
        );
    }
}

/// What only the end of a call has.
fn stop(call: &Call, sheet: &mut Sheet<'_>) {
    sheet.vendor(
        cisco::DISCONNECT_CAUSE,
        "h323-disconnect-cause=",
        format!("{:X}", call.cause).as_bytes(),
    );
    sheet.vendor(
        cisco::RELEASE_SOURCE,
        "release-source=",
        call.release_source.to_string().as_bytes(),
    );
    sheet.vendor(cisco::PREFERRED_CODEC, "preferred-codec=", &call.caller_audio_codec.0);
    sheet.vendor(
        cisco::REWRITTEN_NUMBER,
        "rewritten-e164-num=",
        &call.called_station_id.0,
    );
    let mut pair = |name: &str, value: &[u8]| sheet.vendor(cisco::AV_PAIR, name, value);
    pair("h323pddtime=", derived::post_dial_delay(call).to_string().as_bytes());
    pair("h323ringtime=", derived::ring_time(call).to_string().as_bytes());
    pair("h323routeattempts=", call.call_attempts.to_string().as_bytes());
    pair("h323_rtp_proxy=", if call.rtp_proxied { b"1" } else { b"0" });
    // The gatekeeper knows where media come from only when they pass through it.
    let known = |address: &Text| call.rtp_proxied && address.address().is_some();
    for (name, address) in [
        ("RTP_source_IP=", &call.caller_media_ip),
        ("RTP_destination_IP=", &call.callee_media_ip),
    ] {
        pair(name, if known(address) { &address.0 } else { b"0.0.0.0" });
    }
    for text in rtcp(&call.rtcp) {
        pair("", &text);
    }
}

/// The reports on what was received: three figures for each direction, which are always there, and behind them what else the
/// event has for that direction.
fn rtcp(given: &[Text]) -> Vec<Vec<u8>> {
    let mut all = Vec::with_capacity(6 + given.len());
    for direction in ["RTCP_source_", "RTCP_destination_"] {
        let figures = [("packet_count=", "0"), ("packet_lost=", "0"), ("jitter=", "0|0|0")];
        let names = figures.map(|(name, _)| format!("{direction}{name}"));
        for (name, (_, none)) in names.iter().zip(figures) {
            let told = given.iter().find(|text| text.0.starts_with(name.as_bytes()));
            all.push(told.map_or_else(|| format!("{name}{none}").into_bytes(), |text| text.0.clone()));
        }
        let is_figure = |text: &Text| names.iter().any(|name| text.0.starts_with(name.as_bytes()));
        let others = given
            .iter()
            .filter(|text| text.0.starts_with(direction.as_bytes()) && !is_figure(text));
        all.extend(others.map(|text| text.0.clone()));
    }
    all
}

/// An identifier of H.323 as Cisco writes it: four words, without leading zeros.
fn words(id: Option<[u8; 16]>) -> String {
    let id = u128::from_be_bytes(id.unwrap_or_default());
    // Each the low 32 bits of what is left.
    let word = |shift: u32| (id >> shift) as u32;
    format!("{:X} {:X} {:X} {:X}", word(96), word(64), word(32), word(0))
}

/// Attributes that are being written. Says in the log what did not fit.
struct Sheet<'a> {
    attributes: Attributes,
    event: &'a Event,
}

impl<'a> Sheet<'a> {
    fn new(event: &'a Event) -> Self {
        Sheet {
            attributes: Attributes::new(),
            event,
        }
    }

    fn number(&mut self, kind: u8, value: u32) {
        // Among the first, where there is room.
        let _ = self.attributes.number(kind, value);
    }

    fn address(&mut self, ipv4: u8, ipv6: u8, address: IpAddr) {
        let _ = self.attributes.address(ipv4, ipv6, address);
    }

    /// Nothing for an empty text.
    fn text(&mut self, name: &str, kind: u8, text: &[u8]) {
        if !text.is_empty() {
            let fit = self.attributes.text(kind, text);
            self.note(fit, name, text.len());
        }
    }

    fn opaque(&mut self, name: &str, kind: u8, value: &[u8]) {
        let fit = self.attributes.opaque(kind, value);
        self.note(fit, name, value.len());
    }

    fn vendor(&mut self, kind: u8, name: &str, text: &[u8]) {
        let fit = self.attributes.vendor_text(CISCO, kind, name, text);
        let shown = if name.is_empty() { "Cisco-AVPair" } else { name };
        self.note(fit, shown, text.len());
    }

    fn note(&self, fit: Fit, name: &str, octets: usize) {
        let became = match fit {
            Fit::Whole => return,
            Fit::Cut => "cut",
            Fit::Left => "left out",
        };
        let name = name.trim_end_matches(['=', ':']);
        let kind = self.event.kind.name();
        match &self.event.subject {
            Subject::Call(call) => {
                let session = &call.session_id;
                tracing::warn!(
                    "RadAcct, {kind} of call {session}: {name} of {octets} octets was {became}; it does not fit"
                );
            }
            _ => tracing::warn!("RadAcct, {kind}: {name} of {octets} octets was {became}; it does not fit"),
        }
    }
}

#[cfg(test)]
mod tests;
