//! `[StatusAcct]` and `[SyslogAcct]`: a line for each event, from a template.

use super::{
    EventKind, LinkKind, StatusAcct, SyslogAcct,
    reading::{Reading, hint, shortened},
};

/// Events that may have a template, and its key.
const TEMPLATES: [(EventKind, &str); 9] = [
    (EventKind::Start, "StartEvent"),
    (EventKind::Stop, "StopEvent"),
    (EventKind::Update, "UpdateEvent"),
    (EventKind::Connect, "ConnectEvent"),
    (EventKind::Alert, "AlertEvent"),
    (EventKind::Reject, "RejectEvent"),
    (EventKind::MediaFail, "MediaFailEvent"),
    (EventKind::Register, "RegisterEvent"),
    (EventKind::Unregister, "UnregisterEvent"),
];

/// With the numbers of RFC 5424.
const FACILITIES: [(&str, u8); 11] = [
    ("LOG_USER", 1),
    ("LOG_DAEMON", 3),
    ("LOG_AUTH", 4),
    ("LOG_LOCAL0", 16),
    ("LOG_LOCAL1", 17),
    ("LOG_LOCAL2", 18),
    ("LOG_LOCAL3", 19),
    ("LOG_LOCAL4", 20),
    ("LOG_LOCAL5", 21),
    ("LOG_LOCAL6", 22),
    ("LOG_LOCAL7", 23),
];

const LEVELS: [(&str, u8); 8] = [
    ("LOG_EMERG", 0),
    ("LOG_ALERT", 1),
    ("LOG_CRIT", 2),
    ("LOG_ERR", 3),
    ("LOG_WARNING", 4),
    ("LOG_NOTICE", 5),
    ("LOG_INFO", 6),
    ("LOG_DEBUG", 7),
];

pub fn status(reading: &mut Reading<'_>) -> StatusAcct {
    StatusAcct {
        timestamp_format: reading.optional("StatusAcct", "TimestampFormat"),
        templates: templates(reading, LinkKind::StatusAcct),
    }
}

pub fn syslog(reading: &mut Reading<'_>) -> SyslogAcct {
    SyslogAcct {
        facility: named(reading, "SyslogFacility", &FACILITIES),
        level: named(reading, "SyslogLevel", &LEVELS),
        timestamp_format: reading.optional("SyslogAcct", "TimestampFormat"),
        templates: templates(reading, LinkKind::SyslogAcct),
    }
}

fn templates(reading: &mut Reading<'_>, module: LinkKind) -> Vec<(EventKind, String)> {
    let supported = TEMPLATES
        .into_iter()
        .filter(|(kind, _)| module.supported().contains(*kind));
    supported
        .map(|(kind, key)| (kind, reading.text(module.name(), key)))
        .collect()
}

/// Case matters to the gatekeeper, and what it does not know is the default.
fn named(reading: &mut Reading<'_>, key: &str, names: &[(&str, u8)]) -> u8 {
    let number = |text: &str| names.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    let value = reading.value("SyslogAcct", key);
    if let Some(number) = number(&value.text) {
        return number;
    }
    let default = super::known::find("SyslogAcct", key).map_or("", super::known::Known::value);
    let text = format!(
        "[SyslogAcct] {key}: `{}` is not known{}; {default} is taken, as at the gatekeeper",
        shortened(&value.text),
        hint(&value.text, names.iter().map(|(name, _)| *name))
    );
    reading.notice(value.line, text);
    number(default).unwrap_or(0)
}
