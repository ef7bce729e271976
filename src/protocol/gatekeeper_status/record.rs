//! A record of the feed: which values it has, and how its octets fall apart.

use super::Damaged;
use crate::config::gatekeeper::EventKind;

/// Octets of a UUID as text.
pub(super) const UUID: usize = 36;

/// Fixed fields of a call's record, in order, by the name of the gatekeeper's parameter. Before them stand `BD1`, the event
/// and the UUID.
pub const CALL_FIELDS: [&str; 32] = [
    "event-time",
    "s",
    "n",
    "d",
    "t",
    "c",
    "cause-translated",
    "r",
    "p",
    "ring-time",
    "CallId",
    "ConfId",
    "setup-time",
    "alerting-time",
    "connect-time",
    "disconnect-time",
    "caller-ip",
    "caller-port",
    "callee-ip",
    "callee-port",
    "caller-media-ip",
    "callee-media-ip",
    "call-attempts",
    "last-cdr",
    "client-auth-id",
    "bandwidth",
    "caller-audio-bitrate",
    "callee-audio-bitrate",
    "caller-video-bitrate",
    "callee-video-bitrate",
    "encryption",
    "gkip",
];

/// Free texts of a call's record, in order.
pub const CALL_TEXTS: [&str; 17] = [
    "g",
    "u",
    "Calling-Station-Id",
    "Called-Station-Id",
    "Dialed-Number",
    "src-info",
    "dest-info",
    "caller-epid",
    "callee-epid",
    "caller-vendor",
    "callee-vendor",
    "caller-audio-codec",
    "callee-audio-codec",
    "caller-video-codec",
    "callee-video-codec",
    "CallLink",
    "sinfo-ip",
];

/// Fixed fields of an endpoint's record, after `BD1`, the event and the UUID.
pub const ENDPOINT_FIELDS: [&str; 4] = ["event-time", "endpoint-ip", "endpoint-port", "gkip"];

/// Free texts of an endpoint's record.
pub const ENDPOINT_TEXTS: [&str; 6] = ["g", "u", "Calling-Station-Id", "aliases", "epid", "endpoint-vendor"];

/// A record, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: EventKind,
    /// `%{event-uuid}`, 36 characters.
    pub uuid: String,
    /// As many as the event's fields and texts, in their order.
    fields: Vec<Vec<u8>>,
    texts: Vec<Vec<u8>>,
}

impl Record {
    /// The value of a parameter; empty if it is unset, or not among those of the event. Releases 4.9 to 5.1 leave an unset
    /// parameter as it was typed.
    pub fn value(&self, name: &str) -> &[u8] {
        let (fields, texts) = names(self.kind);
        let at = |names: &[&str]| names.iter().position(|each| *each == name);
        let value = match (at(fields), at(texts)) {
            (Some(index), _) => &self.fields[index],
            (None, Some(index)) => &self.texts[index],
            (None, None) => return b"",
        };
        if value == parameter_text(name).as_bytes() {
            b""
        } else {
            value
        }
    }

    /// What it takes of memory, more or less.
    pub fn octets(&self) -> usize {
        const EACH: usize = 48;
        let all = || self.fields.iter().chain(&self.texts);
        all().map(Vec::len).sum::<usize>() + all().count() * EACH
    }

    /// `text`: from `BD1|` to the full stop, without line end. `uuid` stands in it as often as [`boundaries`] says.
    pub(super) fn split(kind: EventKind, uuid: &[u8; UUID], text: &[u8]) -> Result<Self, &'static str> {
        let (fields, texts) = names(kind);
        let places: Vec<usize> = Occurrences::new(text, uuid).collect();
        if places.len() != boundaries(kind) {
            return Err("the UUID is not there as often as it must be");
        }
        let head: Vec<&[u8]> = text[..places[1]].split(|octet| *octet == b'|').collect();
        // Tag, event, UUID; and the empty rest behind the last bar.
        if head.len() != fields.len() + 4 || !head[fields.len() + 3].is_empty() {
            return Err("another number of fields than the template has");
        }
        let inner = places[1..]
            .windows(2)
            .map(|pair| text[pair[0] + UUID..pair[1]].to_vec());
        let record = Record {
            kind,
            uuid: uuid.iter().map(|octet| char::from(*octet)).collect(),
            fields: head[3..fields.len() + 3].iter().map(|field| field.to_vec()).collect(),
            texts: inner.collect(),
        };
        match record.texts.len() == texts.len() {
            true => Ok(record),
            false => Err("another number of texts than the template has"),
        }
    }
}

/// The template of an event, as it stands behind `=` in the gatekeeper's ini. [`None`]: not an event of the feed.
pub fn template(kind: EventKind) -> Option<String> {
    feed_event(kind.name().as_bytes())?;
    let uuid = parameter_text("event-uuid");
    let (fields, texts) = names(kind);
    let mut template = format!("BD1|{}|{uuid}|", kind.name());
    for name in fields {
        template += &parameter_text(name);
        template.push('|');
    }
    for name in texts {
        template += &uuid;
        template += &parameter_text(name);
    }
    Some(template + &uuid + ".")
}

/// How a parameter is typed in a template.
pub fn parameter_text(name: &str) -> String {
    match name.len() {
        1 => format!("%{name}"),
        _ => format!("%{{{name}}}"),
    }
}

/// Whether two UUIDs were made by the same host, as far as their text says so.
pub fn same_origin(one: &str, other: &str) -> bool {
    const NODE: usize = 24;
    matches!((one.get(NODE..), other.get(NODE..)), (Some(one), Some(other)) if one == other)
}

/// Event and UUID of a line that begins a record: the line, without line end, begins with `BD1|`.
pub(super) fn begin(line: &[u8]) -> Option<Result<(EventKind, [u8; UUID]), Damaged>> {
    let mut fields = line.splitn(4, |octet| *octet == b'|');
    let (_tag, event, uuid, _rest) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let uuid: [u8; UUID] = uuid.try_into().ok()?;
    if !uuid
        .iter()
        .all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f' | b'-'))
    {
        return None;
    }
    Some(feed_event(event).map(|kind| (kind, uuid)).ok_or_else(|| Damaged {
        uuid: Some(uuid.iter().map(|octet| char::from(*octet)).collect()),
        reason: "an event that the feed does not have",
    }))
}

/// How often the UUID stands in a record.
pub(super) fn boundaries(kind: EventKind) -> usize {
    names(kind).1.len() + 2
}

/// Where `needle` stands in a text, one after the other.
pub(super) struct Occurrences<'a> {
    text: &'a [u8],
    needle: &'a [u8; UUID],
    at: usize,
}

impl<'a> Occurrences<'a> {
    pub(super) fn new(text: &'a [u8], needle: &'a [u8; UUID]) -> Self {
        Occurrences { text, needle, at: 0 }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while let Some(step) = self.text[self.at..].iter().position(|octet| *octet == self.needle[0]) {
            let place = self.at + step;
            if self.text[place..].starts_with(self.needle) {
                self.at = place + UUID;
                return Some(place);
            }
            self.at = place + 1;
        }
        self.at = self.text.len();
        None
    }
}

fn feed_event(name: &[u8]) -> Option<EventKind> {
    EventKind::ALL
        .into_iter()
        .filter(|kind| !matches!(kind, EventKind::On | EventKind::Off))
        .find(|kind| kind.name().as_bytes() == name)
}

fn names(kind: EventKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        EventKind::Register | EventKind::Unregister => (&ENDPOINT_FIELDS, &ENDPOINT_TEXTS),
        _ => (&CALL_FIELDS, &CALL_TEXTS),
    }
}
