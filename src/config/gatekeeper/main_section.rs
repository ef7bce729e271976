//! `[Gatekeeper::Main]` and `[CallTable]`: what the gatekeeper itself is called, and what holds for all modules.

use std::{net::IpAddr, time::Duration};

use super::{
    Gatekeeper,
    known::{CALL_TABLE, MAIN},
    reading::Reading,
};

/// The gatekeeper calls no module for updates more often, in seconds.
const SHORTEST_INTERVAL: i64 = 10;

/// Everything but the chain and its modules.
pub fn read(reading: &mut Reading<'_>) -> Gatekeeper {
    let home = reading.text(MAIN, "Home");
    // What they mean stands in `password`; here it is told when they are read otherwise than they look.
    reading.boolean(MAIN, "EncryptAllPasswords");
    reading.number(MAIN, "KeyFilled", i64::MIN);
    let interval = match reading.number(CALL_TABLE, "AcctUpdateInterval", 0) {
        0 => 0,
        seconds => seconds.max(SHORTEST_INTERVAL),
    };
    Gatekeeper {
        name: not_empty(reading, MAIN, "Name", "GnuGk"),
        home: home
            .split([' ', '\t', '\n', ',', ';'])
            .find(|item| !item.is_empty())
            .and_then(address),
        timestamp_format: not_empty(reading, MAIN, "TimestampFormat", "Cisco"),
        update_interval: Duration::from_secs(interval.unsigned_abs()),
        cdr_timestamp_format: not_empty(reading, CALL_TABLE, "TimestampFormat", "RFC822"),
        unconnected_cdr: reading.boolean(CALL_TABLE, "GenerateUCCDR"),
        called_station_id_to_dialed_ip: reading.boolean(CALL_TABLE, "SetCalledStationIdToDialedIP"),
        chain: Vec::new(),
        skipped: Vec::new(),
        file: None,
        radius: None,
        sql: None,
        status: None,
        syslog: None,
    }
}

fn not_empty(reading: &mut Reading<'_>, section: &str, key: &str, default: &str) -> String {
    reading.optional(section, key).unwrap_or_else(|| default.to_owned())
}

/// An address with or without the brackets of IPv6; none where it stands for all addresses.
pub fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}
