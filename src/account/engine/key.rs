//! What tells a repetition from a second event, and what must stay in order.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::account::event::{Event, EventKind, Subject, Text};

/// The dedupe key: the event's own UUID; otherwise gatekeeper, call and event. A call is told by its session id, call id
/// and setup time together, because callers count their session ids anew when they start. Events that a call has more than
/// once, and those of endpoints and of the gatekeeper itself, add their time.
///
/// What names neither itself nor its call cannot be known again: each such event is one of its own.
pub fn key(event: &Event, gatekeeper: &str) -> String {
    if let Some(uuid) = event.uuid.as_deref().filter(|uuid| !uuid.is_empty()) {
        return format!("uuid|{uuid}");
    }
    let mut key = String::with_capacity(120);
    name(&mut key, event, gatekeeper);
    let _ = write!(key, "|{}", event.kind.name());
    let repeats = match &event.subject {
        Subject::Call(call) => {
            if call.session_id.is_empty() && call.call_id.is_none() {
                let _ = write!(key, "|{}", unique());
            }
            matches!(event.kind, EventKind::Update | EventKind::MediaFail)
        }
        Subject::Gatekeeper | Subject::Endpoint(_) => true,
    };
    if repeats {
        let _ = write!(key, "|{}.{:06}", event.time.seconds, event.time.micros);
    }
    key
}

/// The same for all events of one call, or of one endpoint. Stable: it stands in the journal.
pub fn lane(event: &Event, gatekeeper: &str) -> u64 {
    let mut text = String::with_capacity(100);
    name(&mut text, event, gatekeeper);
    // FNV-1a, and a last stir so that the low bits are good ones.
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
            for octet in call.call_id.iter().flatten() {
                let _ = write!(out, "{octet:02x}");
            }
            if let Some(setup) = &call.setup {
                let _ = write!(out, "|{}", setup.seconds);
            }
        }
    }
}

/// Two different texts never look the same.
fn text(out: &mut String, text: &Text) {
    for &octet in &text.0 {
        match octet {
            b'|' | b'\\' | 0..=0x20 | 0x7f.. => {
                let _ = write!(out, "\\{octet:02x}");
            }
            octet => out.push(char::from(octet)),
        }
    }
}

fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}.{:x}.{count:x}", now.as_nanos(), std::process::id())
}
