//! The `%{event-uuid}` of an event.

use sha1::{Digest, Sha1};

use super::event::Event;

/// The event's own, or one made from its key (RFC 9562, version 5): each attempt and each module writes the same, so that
/// what was written before a crash is recognised. The gatekeeper makes a new one for each module.
pub fn of(event: &Event, key: &str) -> String {
    match &event.uuid {
        Some(uuid) => uuid.clone(),
        None => from_key(key),
    }
}

fn from_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(b"billdrop call event ");
    hash.update(key.as_bytes());
    let mut octets = hash.finalize();
    octets[6] = octets[6] & 0x0f | 0x50;
    octets[8] = octets[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, octet) in octets.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [octet >> 4, octet & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_the_same_uuid_each_time_and_another_key_another() {
        let uuid = from_key("gk 6b02f14800000001 stop");
        assert_eq!(uuid, from_key("gk 6b02f14800000001 stop"));
        assert_ne!(uuid, from_key("gk 6b02f14800000002 stop"));
        assert_eq!(uuid.len(), 36);
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "5");
    }
}
