//! One JSON object to an event.

use std::{borrow::Cow, fmt, ops::RangeInclusive, time::SystemTime};

use base64::Engine;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::names::{Key, read_kind};
use super::time::Time;
use super::{LONGEST_LINE, MOST_ITEMS};
use crate::account::event::{Call, Endpoint, Event, EventKind, Moment, Subject, Text};
use crate::account::parameters::Parameter;

/// Reads an event that came from outside, one line without its line end.
///
/// An event without `event-time` happened now.
///
/// # Errors
/// When the line is longer than 64 KiB, is no JSON object, has a key that is unknown, is there twice or is not of this
/// event, or a value of the wrong kind: which one, and what it may be.
pub fn from_json(line: &[u8]) -> Result<Event, String> {
    if line.len() > LONGEST_LINE {
        return Err(format!(
            "an event of {} octets: at most {LONGEST_LINE} are read",
            line.len()
        ));
    }
    let event = from_journal(line)?;
    if let Some(uuid) = &event.uuid
        && (uuid.len() > 64 || !uuid.bytes().all(|octet| octet.is_ascii_graphic()))
    {
        return Err("event-uuid is at most 64 printable ASCII characters".into());
    }
    if let Subject::Call(call) = &event.subject {
        for (name, items) in [("rtcp", call.rtcp.len()), ("class", call.class.len())] {
            if items > MOST_ITEMS {
                return Err(format!("{name} has {items} items: at most {MOST_ITEMS} are read"));
            }
        }
    }
    Ok(event)
}

/// Reads what [`to_json`](super::to_json) wrote, however long: a text that is not UTF-8 is longer there than it was.
///
/// # Errors
/// As [`from_json`].
pub fn from_journal(line: &[u8]) -> Result<Event, String> {
    // Once for the whole line is cheaper than for each text.
    let line = std::str::from_utf8(line).map_err(|e| {
        let at = e.valid_up_to() + 1;
        format!("octet {at} is not UTF-8; a text that is not is {{\"base64\": \"…\"}}")
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let event = deserializer
        .deserialize_map(EventVisitor)
        .map_err(|e| without_line(&e))?;
    deserializer.end().map_err(|e| without_line(&e))?;
    Ok(event)
}

/// The error without `at line 1`: an event is one line, and which one its sender knows.
fn without_line(e: &serde_json::Error) -> String {
    e.to_string().replace(" at line 1 column ", " at octet ")
}

struct EventVisitor;

/// What has been read so far. Whether it fits is seen at the end, since `event` may come last.
struct Draft {
    kind: Option<EventKind>,
    uuid: Option<String>,
    time: Option<Moment>,
    gatekeeper: Text,
    gatekeeper_ip: Text,
    call: Box<Call>,
    /// The fields that calls do not have; the others are taken from the call.
    endpoint: Endpoint,
    codec: Text,
    bandwidth_kbps: Option<u64>,
    seen: u128,
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, {\"event\": \"stop\", …}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut draft = Draft {
            kind: None,
            uuid: None,
            time: None,
            gatekeeper: Text::default(),
            gatekeeper_ip: Text::default(),
            call: Box::new(Call {
                release_source: -1,
                ..Call::default()
            }),
            endpoint: Endpoint::default(),
            codec: Text::default(),
            bandwidth_kbps: None,
            seen: 0,
        };
        while let Some(Name(name)) = map.next_key()? {
            let key = Key::read(&name).map_err(de::Error::custom)?;
            if draft.seen & key.bit() != 0 {
                return Err(de::Error::custom(format!("the key {:?} is there twice", key.name())));
            }
            draft.seen |= key.bit();
            draft.take(key, &mut map)?;
        }
        draft.finish().map_err(de::Error::custom)
    }
}

impl Draft {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let call = &mut *self.call;
        match key {
            Key::Event => {
                let word: Name<'_> = map.next_value()?;
                self.kind = Some(read_kind(&word.0).map_err(de::Error::custom)?);
            }
            Key::RtpProxied => call.rtp_proxied = map.next_value()?,
            Key::Rtcp => call.rtcp = map.next_value_seed(Items)?,
            Key::Class => {
                let class = map.next_value_seed(Items)?;
                call.class = class.into_iter().map(|text| text.0).collect();
            }
            Key::Parameter(parameter) => self.take_parameter(parameter, map)?,
        }
        Ok(())
    }

    fn take_parameter<'de, A: MapAccess<'de>>(&mut self, parameter: Parameter, map: &mut A) -> Result<(), A::Error> {
        use Parameter as P;
        let call = &mut *self.call;
        // One line for each kind of value; the name in an error is the key.
        let text = |map: &mut A| map.next_value::<TextValue>().map(|value| value.0);
        let time = |map: &mut A| map.next_value::<Time>().map(|value| value.0);
        let number = |map: &mut A| map.next_value_seed(Number(parameter.name(), 0..=u64::MAX));
        let small = |map: &mut A| Ok(map.next_value_seed(Number(parameter.name(), 0..=u32::MAX.into()))? as u32);
        let port = |map: &mut A| Ok(map.next_value_seed(Number(parameter.name(), 0..=u16::MAX.into()))? as u16);
        match parameter {
            P::EventUuid => {
                let uuid: Name<'_> = map.next_value()?;
                self.uuid = Some(uuid.0.into_owned()).filter(|uuid| !uuid.is_empty());
            }
            P::EventTime => self.time = time(map)?,
            P::Gatekeeper => self.gatekeeper = text(map)?,
            P::GatekeeperIp => self.gatekeeper_ip = text(map)?,
            P::Number => call.number = number(map)?,
            P::SessionId => call.session_id = text(map)?,
            P::User => call.user = text(map)?,
            P::Duration => call.duration = Some(number(map)?),
            P::TotalTime => call.total_time = Some(number(map)?),
            P::PostDialDelay => call.post_dial_delay = Some(number(map)?),
            P::RingTime => call.ring_time = Some(number(map)?),
            P::Cause => call.cause = small(map)?,
            P::CauseTranslated => call.cause_translated = Some(small(map)?),
            P::ReleaseSource => call.release_source = map.next_value()?,
            P::CallId => call.call_id = map.next_value::<Id>()?.0,
            P::ConfId => call.conf_id = map.next_value::<Id>()?.0,
            P::CallLink => call.call_link = text(map)?,
            P::SetupTime => call.setup = time(map)?,
            P::AlertingTime => call.alerting = time(map)?,
            P::ConnectTime => call.connect = time(map)?,
            P::DisconnectTime => call.disconnect = time(map)?,
            P::CallerIp => call.caller_ip = text(map)?,
            P::CallerPort => call.caller_port = port(map)?,
            P::CalleeIp => call.callee_ip = text(map)?,
            P::CalleePort => call.callee_port = port(map)?,
            P::SrcInfo => call.src_info = text(map)?,
            P::DestInfo => call.dest_info = text(map)?,
            P::CallingStationId => call.calling_station_id = text(map)?,
            P::CalledStationId => call.called_station_id = text(map)?,
            P::DialedNumber => call.dialed_number = text(map)?,
            P::CallerEpid => call.caller_epid = text(map)?,
            P::CalleeEpid => call.callee_epid = text(map)?,
            P::CallAttempts => call.call_attempts = small(map)?,
            P::LastCdr => call.last_cdr = small(map)?,
            P::ClientAuthId => call.client_auth_id = number(map)?,
            P::CallerVendor => call.caller_vendor = text(map)?,
            P::CalleeVendor => call.callee_vendor = text(map)?,
            P::SinfoIp => call.sinfo_ip = text(map)?,
            P::Bandwidth => call.bandwidth = number(map)?,
            P::BandwidthKbps => self.bandwidth_kbps = Some(number(map)?),
            P::CallerAudioCodec => call.caller_audio_codec = text(map)?,
            P::CalleeAudioCodec => call.callee_audio_codec = text(map)?,
            P::CallerVideoCodec => call.caller_video_codec = text(map)?,
            P::CalleeVideoCodec => call.callee_video_codec = text(map)?,
            P::CallerAudioBitrate => call.caller_audio_bitrate = number(map)?,
            P::CalleeAudioBitrate => call.callee_audio_bitrate = number(map)?,
            P::CallerVideoBitrate => call.caller_video_bitrate = number(map)?,
            P::CalleeVideoBitrate => call.callee_video_bitrate = number(map)?,
            P::CallerMediaIp => call.caller_media_ip = text(map)?,
            P::CalleeMediaIp => call.callee_media_ip = text(map)?,
            P::Encryption => call.encryption = map.next_value::<OnOff>()?.0,
            P::Codec => self.codec = text(map)?,
            P::MediaOip => call.media_oip = text(map)?,
            P::EndpointIp => self.endpoint.ip = text(map)?,
            P::EndpointPort => self.endpoint.port = port(map)?,
            P::EndpointVendor => self.endpoint.vendor = text(map)?,
            P::Aliases => self.endpoint.aliases = text(map)?,
            P::Epid => self.endpoint.epid = text(map)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Event, String> {
        let kind = self.kind.ok_or("the key \"event\" is missing: start, stop, …")?;
        let strange = self.seen & !Key::bits_of(kind);
        if strange != 0
            && let Some(key) = Key::all().find(|key| strange & key.bit() != 0)
        {
            return Err(format!("{} events have no {:?}", kind.name(), key.name()));
        }
        let mut call = self.call;
        let subject = match kind {
            EventKind::On | EventKind::Off => Subject::Gatekeeper,
            EventKind::Register | EventKind::Unregister => Subject::Endpoint(Box::new(Endpoint {
                user: call.user,
                calling_station_id: call.calling_station_id,
                ..self.endpoint
            })),
            _ => {
                // The two parameters that are others under another name.
                if call.caller_audio_codec.is_empty() {
                    call.caller_audio_codec = self.codec;
                }
                if let (0, Some(kbps)) = (call.bandwidth, self.bandwidth_kbps) {
                    call.bandwidth = kbps.saturating_mul(10);
                }
                Subject::Call(call)
            }
        };
        let some = |text: Text| Some(text).filter(|text| !text.is_empty());
        Ok(Event {
            kind,
            uuid: self.uuid,
            time: self.time.unwrap_or_else(now),
            gatekeeper: some(self.gatekeeper),
            gatekeeper_ip: some(self.gatekeeper_ip),
            subject,
        })
    }
}

fn now() -> Moment {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Moment {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1),
        micros: since.subsec_micros(),
        zone: None,
    }
}

/// A key or a word, borrowed where it holds no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_string())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// A text, `{"base64": "…"}`, or nothing: `null`.
struct TextValue(Text);

impl<'de> Deserialize<'de> for TextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = TextValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or {\"base64\": \"…\"} if it is not UTF-8")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextValue, E> {
                Ok(TextValue(Text(text.as_bytes().to_vec())))
            }

            fn visit_unit<E>(self) -> Result<TextValue, E> {
                Ok(TextValue(Text::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextValue, A::Error> {
                let (Some(Name(key)), wrong) = (map.next_key()?, "a text is \"…\" or {\"base64\": \"…\"}") else {
                    return Err(de::Error::custom("a text is \"…\" or {\"base64\": \"…\"}"));
                };
                if key != "base64" {
                    return Err(de::Error::custom(wrong));
                }
                let Name(base64) = map.next_value()?;
                if map.next_key::<IgnoredAny>()?.is_some() {
                    return Err(de::Error::custom(wrong));
                }
                match base64::engine::general_purpose::STANDARD.decode(base64.as_bytes()) {
                    Ok(octets) => Ok(TextValue(Text(octets))),
                    Err(_) => Err(de::Error::custom("the base64 of a text is damaged")),
                }
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A number of a range; the name is that of the key.
struct Number(&'static str, RangeInclusive<u64>);

impl<'de> DeserializeSeed<'de> for Number {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Number {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a whole number from {} to {} for {:?}",
            self.1.start(),
            self.1.end(),
            self.0
        )
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        if self.1.contains(&number) {
            return Ok(number);
        }
        Err(E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }
}

/// An id of 16 octets, in hexadecimal with blanks, dashes or nothing between them.
struct Id(Option<[u8; 16]>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(Name(text)) = Option::deserialize(deserializer)? else {
            return Ok(Id(None));
        };
        if text.is_empty() {
            return Ok(Id(None));
        }
        let mut id = [0; 16];
        let mut count = 0;
        for octet in text.bytes().filter(|octet| !matches!(octet, b' ' | b'-')) {
            let digit = char::from(octet).to_digit(16).filter(|_| count < 32);
            let Some(digit) = digit else {
                count = 0;
                break;
            };
            id[count / 2] = id[count / 2] << 4 | digit as u8;
            count += 1;
        }
        if count == 32 {
            Ok(Id(Some(id)))
        } else {
            Err(de::Error::custom("an id is 16 octets in hexadecimal"))
        }
    }
}

/// `On`, `Off`, `true`, `false`.
struct OnOff(Option<bool>);

impl<'de> Deserialize<'de> for OnOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnOffVisitor;

        impl Visitor<'_> for OnOffVisitor {
            type Value = OnOff;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"On\" or \"Off\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OnOff, E> {
                match text {
                    "On" => Ok(OnOff(Some(true))),
                    "Off" => Ok(OnOff(Some(false))),
                    "" => Ok(OnOff(None)),
                    _ => Err(E::custom("encryption is \"On\" or \"Off\"")),
                }
            }

            fn visit_bool<E>(self, on: bool) -> Result<OnOff, E> {
                Ok(OnOff(Some(on)))
            }

            fn visit_unit<E>(self) -> Result<OnOff, E> {
                Ok(OnOff(None))
            }
        }

        deserializer.deserialize_any(OnOffVisitor)
    }
}

/// A list of texts.
struct Items;

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Vec<Text>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Text>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<Text>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Text>, A::Error> {
        let mut texts = Vec::new();
        while let Some(TextValue(text)) = items.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}
