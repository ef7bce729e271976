//! What tells a repetition from a second event, and what must stay in order.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::account::{
    event::{Event, EventKind, Subject, Text},
    parameters::hex,
};

/// What an event is called, twice.
#[derive(Debug)]
pub struct Names {
    /// The dedupe key: the event's own UUID; otherwise gatekeeper, call and event. A call is told by its session id, call
    /// id and setup time together, because callers count their session ids anew when they start. Events that a call has
    /// more than once, and those of endpoints and of the gatekeeper itself, add their time.
    ///
    /// What names neither itself nor its call cannot be known again: each such event is one of its own.
    pub key: String,
    /// The same for all events of one call, or of one endpoint. Stable: it stands in the journal.
    pub lane: u64,
}

/// The names of an event. `key`: the one that it has already, if any.
pub fn names(event: &Event, gatekeeper: &str, key: Option<&str>) -> Names {
    let mut name = String::with_capacity(160);
    self::name(&mut name, event, gatekeeper);
    let lane = hash(&name);
    let key = match (key, event.uuid.as_deref().filter(|uuid| !uuid.is_empty())) {
        (Some(key), _) => key.to_owned(),
        (None, Some(uuid)) => format!("uuid|{uuid}"),
        (None, None) => of_call(name, event),
    };
    Names { key, lane }
}

fn of_call(mut name: String, event: &Event) -> String {
    name.push('|');
    name.push_str(event.kind.name());
    let repeats = match &event.subject {
        Subject::Call(call) => {
            if call.session_id.is_empty() && call.call_id.is_none() {
                let _ = write!(name, "|{}", unique());
            }
            matches!(event.kind, EventKind::Update | EventKind::MediaFail)
        }
        Subject::Gatekeeper | Subject::Endpoint(_) => true,
    };
    if repeats {
        let _ = write!(name, "|{}.{:06}", event.time.seconds, event.time.micros);
    }
    name
}

/// FNV-1a, and a last stir so that the low bits are good ones.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (hash >> 32)
}

fn name(out: &mut String, event: &Event, gatekeeper: &str) {
    match &event.gatekeeper {
        Some(name) => text(out, name),
        None => out.push_str(gatekeeper),
    }
    out.push('|');
    match &event.subject {
        Subject::Gatekeeper => {}
        Subject::Endpoint(endpoint) => {
            text(out, &endpoint.epid);
            out.push('|');
            text(out, &endpoint.ip);
        }
        Subject::Call(call) => {
            text(out, &call.session_id);
            out.push('|');
            if let Some(id) = &call.call_id {
                let mut text = [0; 32];
                for (digits, octet) in text.chunks_mut(2).zip(id) {
                    digits.copy_from_slice(&hex(*octet));
                }
                out.push_str(str::from_utf8(&text).unwrap_or_default());
            }
            if let Some(setup) = &call.setup {
                out.push('|');
                out.push_str(itoa::Buffer::new().format(setup.seconds));
            }
        }
    }
}

/// Two different texts never look the same.
fn text(out: &mut String, text: &Text) {
    let is_plain = |octet: &u8| !matches!(*octet, b'|' | b'\\' | 0..=0x20 | 0x7f..);
    if let Some(text) = str::from_utf8(&text.0).ok().filter(|_| text.0.iter().all(is_plain)) {
        out.push_str(text);
        return;
    }
    for octet in &text.0 {
        match is_plain(octet) {
            true => out.push(char::from(*octet)),
            false => {
                out.push('\\');
                out.extend(hex(*octet).map(char::from));
            }
        }
    }
}

fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}.{:x}.{count:x}", now.as_nanos(), std::process::id())
}
