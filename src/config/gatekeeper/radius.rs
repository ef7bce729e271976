//! `[RadAcct]`: RADIUS servers, and how they are asked.

use std::{net::IpAddr, time::Duration};

use super::{
    RadAcct, RadiusServer,
    main_section::address,
    password,
    reading::{Reading, shortened},
    values,
};
use crate::config::Secret;

const SECTION: &str = "RadAcct";

/// A day: longest time-out, in milliseconds.
const LONGEST: i64 = 86_400_000;

/// More transmissions to one server than anybody wants.
const MOST_TRANSMISSIONS: i64 = 1000;

pub fn read(reading: &mut Reading<'_>) -> RadAcct {
    let milliseconds = |reading: &mut Reading<'_>, key: &str| {
        let number = reading.number(SECTION, key, 0).min(LONGEST).unsigned_abs();
        if number == 0 {
            let text = format!("[RadAcct] {key} is 0: nothing is waited for");
            reading.notice(reading.line(SECTION, key), text);
        }
        Duration::from_millis(number)
    };
    let transmissions = reading
        .number(SECTION, "RequestRetransmissions", 0)
        .min(MOST_TRANSMISSIONS);
    if transmissions == 0 {
        let line = reading.line(SECTION, "RequestRetransmissions");
        let what = "[RadAcct] RequestRetransmissions is 0: nothing is ever sent (the number counts the first transmission, too)";
        reading.refuse(line, what, "fails each event");
    }
    RadAcct {
        servers: servers(reading),
        local_interface: local_interface(reading),
        port_range: port_range(reading),
        request_timeout: milliseconds(reading, "RequestTimeout"),
        transmissions: u32::try_from(transmissions).unwrap_or(0),
        round_robin: reading.boolean(SECTION, "RoundRobinServers"),
        // The gatekeeper counts whole seconds of it.
        id_cache_timeout: Duration::from_secs(milliseconds(reading, "IdCacheTimeout").as_secs()),
        socket_delete_timeout: milliseconds(reading, "SocketDeleteTimeout"),
        append_cisco_attributes: reading.boolean(SECTION, "AppendCiscoAttributes"),
        use_dialed_number: reading.boolean(SECTION, "UseDialedNumber"),
        fixed_username: reading.optional(SECTION, "FixedUsername"),
        timestamp_format: reading.optional(SECTION, "TimestampFormat"),
    }
}

fn servers(reading: &mut Reading<'_>) -> Vec<RadiusServer> {
    let shared = password::read(reading, SECTION, "SharedSecret");
    let number = reading.number(SECTION, "DefaultAcctPort", 1);
    let default_port = u16::try_from(number).unwrap_or_else(|_| {
        let line = reading.line(SECTION, "DefaultAcctPort");
        reading.wrong(line, format!("[RadAcct] DefaultAcctPort: {number} is not a port"));
        0
    });
    let value = reading.value(SECTION, "Servers");
    let items: Vec<&str> = value
        .text
        .split([' ', '\t', '\r', '\n', ';', ','])
        .filter(|item| !item.is_empty())
        .collect();
    if items.is_empty() {
        let line = reading.line(SECTION, "Servers");
        reading.refuse(line, "[RadAcct] Servers names no server", "fails each event");
    }
    let mut servers = Vec::new();
    for (number, item) in (1..).zip(items) {
        // An item may hold a secret, so only its host is ever shown.
        match server(item, default_port, &shared) {
            Ok((server, has_auth_port_only)) => {
                let host = shortened(&server.host);
                if has_auth_port_only {
                    let text = format!(
                        "[RadAcct] Servers: the only port of {host} is that for authentication; accounting goes to port \
                         {default_port} (HOST:AUTHPORT:ACCTPORT)"
                    );
                    reading.notice(value.line, text);
                }
                if server.secret == Secret::Text(String::new()) {
                    let text = format!("[RadAcct] Servers: {host} has no secret, and there is no SharedSecret");
                    reading.notice(value.line, text);
                }
                servers.push(server);
            }
            Err(why) => reading.wrong(value.line, format!("[RadAcct] Servers, server {number}: {why}")),
        }
    }
    servers
}

/// `HOST[:AUTHPORT[:ACCTPORT[:SECRET]]]`, and whether there is an authentication port alone. Empty parts count as if
/// they were not there.
fn server(item: &str, default_port: u16, shared: &Secret) -> Result<(RadiusServer, bool), String> {
    if item.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err("an IPv6 address stands in brackets".to_owned());
    }
    let (host, rest) = match item.strip_prefix('[') {
        Some(inside) => inside.split_once(']').ok_or("the bracket does not close")?,
        None => {
            let begin = item.trim_start_matches(':');
            begin.split_at(begin.find(':').unwrap_or(begin.len()))
        }
    };
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    let parts: Vec<&str> = rest.split(':').filter(|part| !part.is_empty()).collect();
    if parts.len() > 3 {
        return Err("HOST:AUTHPORT:ACCTPORT:SECRET is expected; a secret cannot have a colon in it".to_owned());
    }
    let ports = parts.iter().take(2).map(|part| match part.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("HOST:AUTHPORT:ACCTPORT:SECRET is expected, with ports from 1 to 65535".to_owned()),
    });
    let ports: Vec<u16> = ports.collect::<Result<_, _>>()?;
    let server = RadiusServer {
        host: host.to_owned(),
        acct_port: ports.get(1).copied().unwrap_or(default_port),
        secret: parts
            .get(2)
            .map_or(shared.clone(), |secret| Secret::Text((*secret).to_owned())),
    };
    Ok((server, ports.len() == 1))
}

/// A name is looked up once, here.
fn local_interface(reading: &mut Reading<'_>) -> Option<IpAddr> {
    let value = reading.value(SECTION, "LocalInterface");
    let text = value.text.as_str();
    if text.is_empty() || text == "*" {
        return None;
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return address(text);
    }
    let found = (reading.look_up)(bare);
    if found.is_none() {
        let shown = shortened(text);
        let text = format!(
            "[RadAcct] LocalInterface: `{shown}` is no address and no name that is known here; it is passed over"
        );
        reading.notice(value.line, text);
    }
    found
}

fn port_range(reading: &mut Reading<'_>) -> (u16, u16) {
    let value = reading.value(SECTION, "RadiusPortRange");
    let read = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = value
        .text
        .split_once('-')
        .and_then(|(first, last)| Some((read(first)?, read(last)?)));
    match range {
        Some((first, last)) => (first.min(last), first.max(last)),
        None => {
            if values::integer(&value.text) != 0 || !value.text.is_empty() {
                let what = format!(
                    "[RadAcct] RadiusPortRange: `{}` is not a range of ports such as 10000-11000",
                    shortened(&value.text)
                );
                reading.refuse(value.line, &what, "takes any port from 1024 on");
            }
            (1024, 65535)
        }
    }
}
