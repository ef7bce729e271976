//! The keys of an event.

use std::sync::OnceLock;

use crate::account::event::EventKind;
use crate::account::parameters::Parameter;

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Event,
    Parameter(Parameter),
    /// What only RADIUS carries.
    RtpProxied,
    Rtcp,
    Class,
}

/// The keys that are no parameters.
const OTHERS: [(&str, Key); 4] = [
    ("event", Key::Event),
    ("rtp-proxied", Key::RtpProxied),
    ("rtcp", Key::Rtcp),
    ("class", Key::Class),
];

impl Key {
    /// # Errors
    /// When there is no such key: names the nearest.
    pub(super) fn read(name: &str) -> Result<Key, String> {
        if let Some(parameter) = Parameter::named(name) {
            return Ok(Key::Parameter(parameter));
        }
        if let Some((_, key)) = OTHERS.iter().find(|(known, _)| *known == name) {
            return Ok(*key);
        }
        let shown: String = name.chars().take(40).collect();
        let known = Parameter::ALL.iter().map(|parameter| parameter.name());
        let nearest = nearest(&shown, known.chain(OTHERS.map(|(name, _)| name)));
        Err(match nearest {
            Some(nearest) => format!("there is no key {shown:?}; is {nearest:?} meant?"),
            None => format!("there is no key {shown:?}"),
        })
    }

    /// One bit for each key.
    pub(super) fn bit(self) -> u128 {
        let others = Parameter::ALL.len();
        1 << match self {
            Key::Parameter(parameter) => parameter as usize,
            Key::Event => others,
            Key::RtpProxied => others + 1,
            Key::Rtcp => others + 2,
            Key::Class => others + 3,
        }
    }

    /// Whether such an event has the key.
    pub(super) fn belongs_to(self, kind: EventKind) -> bool {
        match self {
            Key::Event | Key::Parameter(Parameter::EventUuid | Parameter::EventTime) => true,
            Key::Parameter(parameter) => parameter.known_for(kind),
            Key::RtpProxied | Key::Rtcp | Key::Class => Parameter::CallId.known_for(kind),
        }
    }

    /// The keys of such an event.
    pub(super) fn bits_of(kind: EventKind) -> u128 {
        static BITS: OnceLock<[u128; EventKind::ALL.len()]> = OnceLock::new();
        let bits = BITS.get_or_init(|| {
            let of = |kind| {
                Key::all()
                    .filter(|key| key.belongs_to(kind))
                    .fold(0, |bits, key| bits | key.bit())
            };
            EventKind::ALL.map(of)
        });
        let at = EventKind::ALL.iter().position(|known| *known == kind);
        at.map_or(0, |at| bits[at])
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Key::Parameter(parameter) => parameter.name(),
            Key::Event => "event",
            Key::RtpProxied => "rtp-proxied",
            Key::Rtcp => "rtcp",
            Key::Class => "class",
        }
    }

    pub(super) fn all() -> impl Iterator<Item = Key> {
        let parameters = Parameter::ALL.iter().map(|parameter| Key::Parameter(*parameter));
        parameters.chain(OTHERS.map(|(_, key)| key))
    }
}

pub(super) fn read_kind(word: &str) -> Result<EventKind, String> {
    if let Some(kind) = EventKind::ALL.into_iter().find(|kind| kind.name() == word) {
        return Ok(kind);
    }
    let shown: String = word.chars().take(40).collect();
    Err(match nearest(&shown, EventKind::ALL.map(EventKind::name)) {
        Some(nearest) => format!("there is no event {shown:?}; is {nearest:?} meant?"),
        None => format!("there is no event {shown:?}"),
    })
}

fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let folded = name.to_lowercase();
    let close = |known: &'static str| (strsim::damerau_levenshtein(&folded, &known.to_lowercase()), known);
    let (distance, nearest) = known.into_iter().map(close).min()?;
    (distance <= (name.len() / 3).max(1)).then_some(nearest)
}
