//! Connections that we open: to whom, when, and when again.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with},
};
use rustls::{ClientConnection, pki_types::ServerName};

use super::{
    Dial,
    connection::{Connection, Stage},
    links::Redial,
    wire::Wire,
};
use crate::{
    protocol::ipdr::{Body, Capabilities, Connect},
    tls,
};

/// How many times the first wait the longest is.
const LONGEST: u32 = 10;

/// Begins to connect; the socket becomes writable when it is, or has failed.
pub(super) fn begin(dial: &Dial, limit: Duration, now: Instant) -> Result<Connection, String> {
    let socket = begin_tcp(dial).map_err(|e| format!("cannot connect to {}: {e}", dial.to))?;
    let security = match &dial.tls {
        None => None,
        Some(security) => {
            let identity = security
                .identity
                .as_ref()
                .map(|(chain, key)| (chain.as_path(), key.as_path()));
            let client = tls::client_with(&security.trust, identity)?;
            let name = ServerName::IpAddress(dial.to.ip().to_canonical().into());
            let session = ClientConnection::new(Arc::new(client.config), name);
            let session = session.map_err(|e| format!("TLS cannot be set up: {e}"))?;
            Some((session.into(), client.refusal))
        }
    };
    let stage = Stage::Dialling { until: now + limit };
    Ok(Connection::new(Wire::new(socket, security), dial.to, stage, now))
}

fn begin_tcp(dial: &Dial) -> io::Result<TcpStream> {
    let family = match dial.to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let Some(from) = dial.from {
        bind(&socket, &SocketAddr::new(from, 0))?;
    }
    match connect(&socket, &dial.to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(e) => Err(e.into()),
    }
}

/// Whether it is connected by now.
pub(super) fn is_connected(connection: &Connection) -> Result<bool, String> {
    let socket = connection.wire.socket();
    let failed = |e: io::Error| format!("cannot connect to {}: {e}", connection.address);
    if let Some(e) = socket.take_error().map_err(failed)? {
        return Err(failed(e));
    }
    match socket.peer_addr() {
        Ok(_) => socket.set_nodelay(true).map(|()| true).map_err(failed),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(e) => Err(failed(e)),
    }
}

/// Ours, as the opener.
pub(super) fn connect_message(
    connection: &Connection,
    capabilities: Capabilities,
    keep_alive_seconds: u32,
    vendor: &str,
) -> Body {
    let local = connection.wire.socket().local_addr().ok();
    let address = local.map(|address| address.ip().to_canonical());
    Body::Connect(Connect {
        address: match address {
            Some(std::net::IpAddr::V4(address)) => address.octets(),
            _ => [0; 4],
        },
        port: local.map_or(0, |address| address.port()),
        capabilities,
        keep_alive_seconds,
        vendor: vendor.to_owned(),
    })
}

impl Redial {
    pub(super) fn at_once(now: Instant) -> Redial {
        Redial {
            at: now,
            wait: Duration::ZERO,
        }
    }

    /// It did not work: wait twice as long as the last time, to ten times `first`.
    pub(super) fn put_off(&mut self, first: Duration, now: Instant) {
        self.wait = (self.wait * 2).clamp(first, first * LONGEST);
        self.at = now + self.wait;
    }

    /// It worked. When the connection ends, the first wait is the short one.
    pub(super) fn succeeded(&mut self, first: Duration, now: Instant) {
        self.wait = Duration::ZERO;
        self.at = now + first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_as_long_up_to_ten_times_the_first() {
        let now = Instant::now();
        let first = Duration::from_secs(10);
        let mut redial = Redial::at_once(now);
        let waits: Vec<u64> = (0..6)
            .map(|_| {
                redial.put_off(first, now);
                (redial.at - now).as_secs()
            })
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 100, 100]);
        redial.succeeded(first, now);
        redial.put_off(first, now);
        assert_eq!(redial.at - now, first);
    }
}
