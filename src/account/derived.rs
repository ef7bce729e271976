//! Values that the gatekeeper makes from others, by its rules. What an event gives itself is taken as it is.

use super::event::{Call, Moment, Text};

/// `%d`: seconds from connect to disconnect, or until `now`; a connected call that has ended lasted at least one.
pub fn duration(call: &Call, now: i64) -> u64 {
    call.duration
        .unwrap_or_else(|| match (seconds(&call.connect), seconds(&call.disconnect)) {
            (None, _) => 0,
            (Some(connect), None) => between(connect, now),
            (Some(connect), Some(disconnect)) => between(connect, disconnect).max(1),
        })
}

/// The duration in the standard line: 0 if the call was never connected, otherwise at least one second.
pub fn cdr_duration(call: &Call, now: i64) -> u64 {
    match seconds(&call.connect) {
        None => 0,
        Some(connect) => call
            .duration
            .unwrap_or_else(|| between(connect, seconds(&call.disconnect).unwrap_or(now)))
            .max(1),
    }
}

/// `%t`: seconds from setup to disconnect, at least one; 0 before the end. Without a setup time it is 0, too, where the
/// gatekeeper gives the seconds since 1970.
pub fn total_time(call: &Call) -> u64 {
    call.total_time
        .unwrap_or_else(|| match (seconds(&call.setup), seconds(&call.disconnect)) {
            (Some(setup), Some(disconnect)) => between(setup, disconnect).max(1),
            _ => 0,
        })
}

/// `%p`: seconds from setup to the first of alerting, connect and disconnect.
pub fn post_dial_delay(call: &Call) -> u64 {
    call.post_dial_delay.unwrap_or_else(|| {
        let answered = seconds(&call.alerting)
            .or(seconds(&call.connect))
            .or(seconds(&call.disconnect));
        match (seconds(&call.setup), answered) {
            (Some(setup), Some(answered)) => between(setup, answered),
            _ => 0,
        }
    })
}

/// `%{ring-time}`: seconds from alerting to connect, or to disconnect.
pub fn ring_time(call: &Call) -> u64 {
    call.ring_time.unwrap_or_else(|| {
        let end = seconds(&call.connect).or(seconds(&call.disconnect));
        match (seconds(&call.alerting), end) {
            (Some(alerting), Some(end)) => between(alerting, end),
            _ => 0,
        }
    })
}

/// `%{encryption}`: at least one codec is known, and every known one says `H.235`.
pub fn encrypted(call: &Call) -> bool {
    call.encryption.unwrap_or_else(|| {
        let codecs = [
            &call.caller_audio_codec,
            &call.callee_audio_codec,
            &call.caller_video_codec,
            &call.callee_video_codec,
        ];
        let mut known = codecs.into_iter().filter(|codec| !codec.is_empty()).peekable();
        known.peek().is_some() && known.all(|codec| codec.0.windows(5).any(|octets| octets == b"H.235"))
    })
}

/// `%u`: the user, or Calling-Station-Id, or the caller's address.
pub fn user(call: &Call, out: &mut Vec<u8>) {
    let given = [&call.user, &call.calling_station_id, &call.caller_ip];
    if let Some(user) = given.into_iter().find(|text| !text.is_empty()) {
        out.extend_from_slice(&user.0);
    }
}

/// `%{Calling-Station-Id}`, or the caller's address and port.
pub fn calling_station_id(call: &Call, out: &mut Vec<u8>) {
    number_or_address(&call.calling_station_id, &call.caller_ip, call.caller_port, out);
}

/// `%{Called-Station-Id}`, or the callee's address and port.
pub fn called_station_id(call: &Call, out: &mut Vec<u8>) {
    number_or_address(&call.called_station_id, &call.callee_ip, call.callee_port, out);
}

fn number_or_address(number: &Text, ip: &Text, port: u16, out: &mut Vec<u8>) {
    if !number.is_empty() {
        out.extend_from_slice(&number.0);
    } else if !ip.is_empty() {
        address(ip, port, out);
    }
}

/// `ip:port`, `[ip]:port` for IPv6.
pub fn address(ip: &Text, port: u16, out: &mut Vec<u8>) {
    let bare = ip.0.contains(&b':') && !ip.0.starts_with(b"[");
    if bare {
        out.push(b'[');
    }
    out.extend_from_slice(&ip.0);
    if bare {
        out.push(b']');
    }
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
}

fn seconds(moment: &Option<Moment>) -> Option<i64> {
    moment.as_ref().map(|moment| moment.seconds)
}

/// A clock that was put back gives 0.
fn between(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Moment> {
        Some(Moment {
            seconds,
            micros: 0,
            zone: None,
        })
    }

    #[test]
    fn a_call_that_was_answered() {
        let call = Call {
            setup: at(100),
            alerting: at(103),
            connect: at(110),
            disconnect: at(170),
            ..Call::default()
        };
        assert_eq!((duration(&call, 999), cdr_duration(&call, 999)), (60, 60));
        assert_eq!(
            (total_time(&call), post_dial_delay(&call), ring_time(&call)),
            (70, 3, 7)
        );
        let running = Call {
            disconnect: None,
            ..call
        };
        assert_eq!((duration(&running, 115), cdr_duration(&running, 110)), (5, 1));
        assert_eq!((duration(&running, 110), total_time(&running)), (0, 0));
    }

    #[test]
    fn a_call_that_ended_at_once_lasted_a_second_and_an_unanswered_one_none() {
        let mut call = Call {
            setup: at(100),
            connect: at(100),
            disconnect: at(100),
            ..Call::default()
        };
        assert_eq!(
            (duration(&call, 0), total_time(&call), post_dial_delay(&call)),
            (1, 1, 0)
        );
        call.connect = None;
        call.disconnect = at(104);
        assert_eq!(
            (duration(&call, 0), cdr_duration(&call, 0), total_time(&call)),
            (0, 0, 4)
        );
        assert_eq!((post_dial_delay(&call), ring_time(&call)), (4, 0));
        call.setup = None;
        assert_eq!((total_time(&call), post_dial_delay(&call)), (0, 0));
    }

    #[test]
    fn a_clock_that_was_put_back_gives_no_wrong_duration() {
        let call = Call {
            setup: at(i64::MAX),
            alerting: at(200),
            connect: at(100),
            disconnect: at(i64::MIN),
            ..Call::default()
        };
        assert_eq!(
            (duration(&call, 0), total_time(&call), post_dial_delay(&call)),
            (1, 1, 0)
        );
        assert_eq!(ring_time(&call), 0);
    }

    #[test]
    fn media_are_encrypted_when_every_known_codec_is() {
        let mut call = Call::default();
        assert!(!encrypted(&call));
        call.caller_audio_codec = "G711A H.235 AES".into();
        assert!(encrypted(&call));
        call.callee_audio_codec = "G711A".into();
        assert!(!encrypted(&call));
        call.encryption = Some(true);
        assert!(encrypted(&call));
    }

    #[test]
    fn names_fall_back_to_numbers_and_addresses() {
        let said = |write: fn(&Call, &mut Vec<u8>), call: &Call| {
            let mut out = Vec::new();
            write(call, &mut out);
            String::from_utf8(out).unwrap()
        };
        let mut call = Call {
            caller_ip: "2001:db8::1".into(),
            caller_port: 1720,
            callee_ip: "192.0.2.7".into(),
            callee_port: 5,
            ..Call::default()
        };
        assert_eq!(said(user, &call), "2001:db8::1");
        assert_eq!(said(calling_station_id, &call), "[2001:db8::1]:1720");
        assert_eq!(said(called_station_id, &call), "192.0.2.7:5");
        call.calling_station_id = "1001".into();
        assert_eq!(said(user, &call), "1001");
    }
}
