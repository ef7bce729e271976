//! The modules of a chain: names, and which events they can log.

use std::fmt;

use super::{Control, EventKind, Events, LinkKind};

/// Modules that the gatekeeper has and billdrop lacks.
pub const LACKING: [&str; 6] = [
    "HttpAcct",
    "AMQPAcct",
    "MQTTAcct",
    "LuaAcct",
    "CapacityControl",
    "RequireOneNet",
];

const ON_OFF: u16 = 0x8 | 0x10;
const START_STOP_UPDATE: u16 = 0x1 | 0x2 | 0x4;
const CONNECT: u16 = 0x20;
const ALERT: u16 = 0x40;
const REGISTRATION: u16 = 0x100 | 0x200;
const REJECT_MEDIAFAIL: u16 = 0x400 | 0x800;

impl LinkKind {
    pub const ALL: [LinkKind; 7] = [
        LinkKind::FileAcct,
        LinkKind::RadAcct,
        LinkKind::SqlAcct,
        LinkKind::StatusAcct,
        LinkKind::SyslogAcct,
        LinkKind::SpoolAcct,
        LinkKind::Default(true),
    ];

    /// As the ini spells it. Case matters to the gatekeeper.
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::FileAcct => "FileAcct",
            LinkKind::RadAcct => "RadAcct",
            LinkKind::SqlAcct => "SQLAcct",
            LinkKind::StatusAcct => "StatusAcct",
            LinkKind::SyslogAcct => "SyslogAcct",
            LinkKind::SpoolAcct => "SpoolAcct",
            LinkKind::Default(_) => "default",
        }
    }

    /// The events that the module can log, whatever is configured.
    pub const fn supported(self) -> Events {
        Events::of(match self {
            LinkKind::FileAcct | LinkKind::SpoolAcct => EventKind::Stop.bit(),
            LinkKind::RadAcct => ON_OFF | START_STOP_UPDATE,
            LinkKind::SqlAcct => ON_OFF | START_STOP_UPDATE | CONNECT | ALERT | REGISTRATION,
            LinkKind::StatusAcct => START_STOP_UPDATE | CONNECT | ALERT | REGISTRATION | REJECT_MEDIAFAIL,
            LinkKind::SyslogAcct => START_STOP_UPDATE | CONNECT,
            LinkKind::Default(_) => return Events::ALL,
        })
    }

    /// What the module says whatever happens. `None`: that depends on its destination.
    pub fn always(self) -> Option<bool> {
        match self {
            LinkKind::FileAcct | LinkKind::RadAcct | LinkKind::SqlAcct => None,
            LinkKind::StatusAcct | LinkKind::SyslogAcct | LinkKind::SpoolAcct => Some(true),
            LinkKind::Default(says) => Some(says),
        }
    }
}

impl Control {
    pub const ALL: [Control; 4] = [
        Control::Required,
        Control::Optional,
        Control::Sufficient,
        Control::Alternative,
    ];

    /// The word of the ini.
    pub fn name(self) -> &'static str {
        match self {
            Control::Required => "required",
            Control::Optional => "optional",
            Control::Sufficient => "sufficient",
            Control::Alternative => "alternative",
        }
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = EventKind::ALL
            .into_iter()
            .filter(|kind| self.contains(*kind))
            .map(EventKind::name)
            .collect();
        match names.len() {
            0 => f.write_str("no event"),
            n if n == EventKind::ALL.len() => f.write_str("all events"),
            _ => f.write_str(&names.join(", ")),
        }
    }
}
