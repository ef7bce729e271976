//! A record of the feed as an event.

use crate::{
    account::{
        cdr::read_id,
        event::{Call, Endpoint, Event, EventKind, Moment, Subject, Text},
        read_time::read_time,
        zone::Zone,
    },
    protocol::gatekeeper_status::Record,
};

/// The event that a record tells, with the gatekeeper's own zone in its times.
///
/// # Errors
/// The field that has not the form it must have. Such a record is damaged: nothing of it can be billed.
pub fn event_of(record: &Record) -> Result<Event, String> {
    let read = Values { record };
    let subject = match record.kind {
        EventKind::Register | EventKind::Unregister => Subject::Endpoint(Box::new(read.endpoint()?)),
        _ => Subject::Call(Box::new(read.call()?)),
    };
    Ok(Event {
        kind: record.kind,
        uuid: Some(record.uuid.clone()),
        time: read.moment("event-time")?.ok_or("event-time is not set")?,
        gatekeeper: read.set("g"),
        gatekeeper_ip: read.set("gkip"),
        subject,
    })
}

struct Values<'a> {
    record: &'a Record,
}

impl Values<'_> {
    fn call(&self) -> Result<Call, String> {
        Ok(Call {
            session_id: self.session_id()?,
            number: self.number("n")?.unwrap_or(0),
            user: self.text("u"),
            call_id: self.id("CallId")?,
            conf_id: self.id("ConfId")?,
            call_link: self.text("CallLink"),
            setup: self.moment("setup-time")?,
            alerting: self.moment("alerting-time")?,
            connect: self.moment("connect-time")?,
            disconnect: self.moment("disconnect-time")?,
            duration: self.number("d")?,
            total_time: self.number("t")?,
            post_dial_delay: self.number("p")?,
            ring_time: self.number("ring-time")?,
            cause: self.number("c")?.unwrap_or(0),
            cause_translated: self.number("cause-translated")?,
            release_source: self.release_source()?,
            caller_ip: self.text("caller-ip"),
            caller_port: self.number("caller-port")?.unwrap_or(0),
            callee_ip: self.text("callee-ip"),
            callee_port: self.number("callee-port")?.unwrap_or(0),
            src_info: self.text("src-info"),
            dest_info: self.text("dest-info"),
            calling_station_id: self.text("Calling-Station-Id"),
            called_station_id: self.text("Called-Station-Id"),
            dialed_number: self.text("Dialed-Number"),
            caller_epid: self.text("caller-epid"),
            callee_epid: self.text("callee-epid"),
            call_attempts: self.number("call-attempts")?.unwrap_or(0),
            last_cdr: self.number("last-cdr")?.unwrap_or(0),
            client_auth_id: self.number("client-auth-id")?.unwrap_or(0),
            caller_vendor: self.vendor("caller-vendor"),
            callee_vendor: self.vendor("callee-vendor"),
            sinfo_ip: self.text("sinfo-ip"),
            bandwidth: self.number("bandwidth")?.unwrap_or(0),
            caller_audio_codec: self.text("caller-audio-codec"),
            callee_audio_codec: self.text("callee-audio-codec"),
            caller_video_codec: self.text("caller-video-codec"),
            callee_video_codec: self.text("callee-video-codec"),
            caller_audio_bitrate: self.number("caller-audio-bitrate")?.unwrap_or(0),
            callee_audio_bitrate: self.number("callee-audio-bitrate")?.unwrap_or(0),
            caller_video_bitrate: self.number("caller-video-bitrate")?.unwrap_or(0),
            callee_video_bitrate: self.number("callee-video-bitrate")?.unwrap_or(0),
            caller_media_ip: self.text("caller-media-ip"),
            callee_media_ip: self.text("callee-media-ip"),
            encryption: self.encryption()?,
            // The feed has nothing for them.
            media_oip: Text::default(),
            rtp_proxied: false,
            rtcp: Vec::new(),
            class: Vec::new(),
        })
    }

    fn endpoint(&self) -> Result<Endpoint, String> {
        Ok(Endpoint {
            ip: self.text("endpoint-ip"),
            port: self.number("endpoint-port")?.unwrap_or(0),
            vendor: self.vendor("endpoint-vendor"),
            aliases: self.text("aliases"),
            user: self.text("u"),
            calling_station_id: self.text("Calling-Station-Id"),
            epid: self.text("epid"),
        })
    }

    fn text(&self, name: &str) -> Text {
        Text(self.record.value(name).to_vec())
    }

    fn set(&self, name: &str) -> Option<Text> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The gatekeeper puts a blank between vendor and version, also where it knows neither.
    fn vendor(&self, name: &str) -> Text {
        match self.record.value(name) {
            b" " => Text::default(),
            text => Text(text.to_vec()),
        }
    }

    /// Digits; releases before 4.0 leave an unset number empty.
    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, String> {
        let value = self.record.value(name);
        if value.is_empty() {
            return Ok(None);
        }
        let digits = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
        match digits
            .and_then(|digits| digits.parse().ok())
            .and_then(|number: u64| number.try_into().ok())
        {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{name} is not a number that it can be")),
        }
    }

    fn release_source(&self) -> Result<i32, String> {
        match self.record.value("r") {
            b"" | b"-1" => Ok(-1),
            b"0" => Ok(0),
            b"1" => Ok(1),
            b"2" => Ok(2),
            _ => Err("r is none of -1, 0, 1, 2".into()),
        }
    }

    /// 8 hexadecimal digits of the gatekeeper's start, 8 of a counter. An empty one would hide the call from its own stop.
    fn session_id(&self) -> Result<Text, String> {
        let value = self.record.value("s");
        match value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit) {
            true => Ok(Text(value.to_vec())),
            false => Err("s is not 16 hexadecimal digits".into()),
        }
    }

    fn id(&self, name: &str) -> Result<Option<[u8; 16]>, String> {
        match self.record.value(name) {
            b"" => Ok(None),
            value => read_id(value)
                .map(Some)
                .ok_or(format!("{name} is not 16 octets in hexadecimal")),
        }
    }

    fn moment(&self, name: &str) -> Result<Option<Moment>, String> {
        let value = self.record.value(name);
        if value.is_empty() {
            return Ok(None);
        }
        let wrong = || format!("{name} is not a time as TimestampFormat of the feed gives it");
        let text = std::str::from_utf8(value).map_err(|_| wrong())?;
        match read_time(text, Zone::local()) {
            Some(moment) if moment.zone.is_some() => Ok(Some(moment)),
            _ => Err(wrong()),
        }
    }

    fn encryption(&self) -> Result<Option<bool>, String> {
        match self.record.value("encryption") {
            b"" => Ok(None),
            b"On" => Ok(Some(true)),
            b"Off" => Ok(Some(false)),
            _ => Err("encryption is neither On nor Off".into()),
        }
    }
}
