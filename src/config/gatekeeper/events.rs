//! The events that a chain can log.

/// The gatekeeper's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    Start,
    Stop,
    Update,
    On,
    Off,
    Connect,
    Alert,
    Register,
    Unregister,
    Reject,
    MediaFail,
}

impl EventKind {
    pub const ALL: [EventKind; 11] = [
        EventKind::Start,
        EventKind::Stop,
        EventKind::Update,
        EventKind::On,
        EventKind::Off,
        EventKind::Connect,
        EventKind::Alert,
        EventKind::Register,
        EventKind::Unregister,
        EventKind::Reject,
        EventKind::MediaFail,
    ];

    /// The word of the ini.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Start => "start",
            EventKind::Stop => "stop",
            EventKind::Update => "update",
            EventKind::On => "on",
            EventKind::Off => "off",
            EventKind::Connect => "connect",
            EventKind::Alert => "alert",
            EventKind::Register => "register",
            EventKind::Unregister => "unregister",
            EventKind::Reject => "reject",
            EventKind::MediaFail => "mediafail",
        }
    }

    /// The gatekeeper's bit for it.
    pub const fn bit(self) -> u16 {
        match self {
            EventKind::Start => 0x1,
            EventKind::Stop => 0x2,
            EventKind::Update => 0x4,
            EventKind::On => 0x8,
            EventKind::Off => 0x10,
            EventKind::Connect => 0x20,
            EventKind::Alert => 0x40,
            EventKind::Register => 0x100,
            EventKind::Unregister => 0x200,
            EventKind::Reject => 0x400,
            EventKind::MediaFail => 0x800,
        }
    }
}

/// A set of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events(pub u16);

impl Events {
    pub const NONE: Events = Events(0);
    pub const ALL: Events = Events(0xffff);

    pub const fn of(bits: u16) -> Self {
        Events(bits)
    }

    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    pub fn and(self, other: Events) -> Self {
        Events(self.0 & other.0)
    }
}

impl FromIterator<EventKind> for Events {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Events(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}
