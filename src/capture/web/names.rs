//! Host names. The system's look-up cannot be ended, and may take minutes where no name server answers.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// The addresses of `host`, each with port 0; none are looked up for what is an address itself. A look-up that takes
/// longer than `limit` is left behind in its thread.
pub(super) fn look_up(host: &str, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    thread::Builder::new()
        .name(format!("look up {host}"))
        .spawn(move || {
            let found = (name.as_str(), 0)
                .to_socket_addrs()
                .map(|found| found.collect::<Vec<_>>());
            // Nobody waits for it when it came too late.
            let _ = sender.send(found);
        })
        .map_err(|e| format!("no thread can be started: {e}"))?;
    let found: io::Result<Vec<SocketAddr>> = match receiver.recv_timeout(limit) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => {
            let limit = humantime::format_duration(limit);
            return Err(format!("no name server has told the address of {host} within {limit}"));
        }
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the look-up broke off")),
    };
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("the name {host} has no address")),
        Err(e) => Err(format!("the name {host} cannot be resolved: {e}")),
    }
}

/// Host of a proxy's URL, `http://HOST:PORT`.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.rfind(':').filter(|colon| !rest[*colon..].contains(']')) {
        Some(colon) => &rest[..colon],
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_look_up() {
        for host in ["127.0.0.1", "::1", "[::1]"] {
            assert_eq!(look_up(host, Duration::ZERO), Ok(Vec::new()));
        }
    }

    #[test]
    fn the_host_of_a_proxy_is_what_stands_before_its_port() {
        for (url, host) in [
            ("http://proxy:3128", "proxy"),
            ("http://10.0.0.1", "10.0.0.1"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
