//! Where we can be reached: TCP listeners, and the UDP port that answers which versions we speak.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use super::{Settings, roster::Roster};
use crate::protocol::ipdr::{Asked, VersionRequest, version_response};

/// Datagrams that are looked at in one turn.
const DATAGRAMS: usize = 32;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

pub(super) struct Ports {
    pub listeners: Vec<TcpListener>,
    pub discovery: Option<UdpSocket>,
}

/// We cannot listen there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {source}")]
pub struct CannotListen {
    pub address: SocketAddr,
    pub source: io::Error,
}

impl Ports {
    pub(super) fn open(settings: &Settings) -> Result<Ports, CannotListen> {
        let failed = |address: SocketAddr| move |source| CannotListen { address, source };
        let listen = |address: &SocketAddr| {
            let listener = TcpListener::bind(address).map_err(failed(*address))?;
            listener.set_nonblocking(true).map_err(failed(*address))?;
            // More than the usual: a flood of others must not keep a collector from connecting.
            rustix::net::listen(&listener, BACKLOG).map_err(|e| failed(*address)(e.into()))?;
            Ok(listener)
        };
        let discovery = settings.discovery.map(|address| {
            let socket = UdpSocket::bind(address).map_err(failed(address))?;
            socket.set_nonblocking(true).map_err(failed(address))?;
            Ok(socket)
        });
        Ok(Ports {
            listeners: settings.listen.iter().map(listen).collect::<Result<_, _>>()?,
            discovery: discovery.transpose()?,
        })
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|one| one.local_addr().ok()).collect()
    }

    /// Answers questions for versions, to the address that they came from and to no other. Who may not connect gets no
    /// answer.
    pub(super) fn answer_versions(&self, roster: &Roster) {
        let Some(socket) = &self.discovery else { return };
        let mut datagram = [0; 64];
        for _ in 0..DATAGRAMS {
            let (octets, from) = match socket.recv_from(&mut datagram) {
                Ok(received) => received,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // Such as an ICMP error for an earlier answer.
                Err(_) => continue,
            };
            let asked = VersionRequest::decode(&datagram[..octets]).map(|request| request.asks_for);
            let port = self.port_near(socket.local_addr().ok().map(|address| address.ip()));
            if asked == Some(Asked::Ipdr)
                && roster.lets_in(from.ip())
                && let Some(port) = port
            {
                // Lost like any datagram.
                let _ = socket.send_to(&version_response(port), from);
            }
        }
    }

    /// Of the listener at the address that was asked, or of the first.
    fn port_near(&self, address: Option<IpAddr>) -> Option<u16> {
        let addresses = self.addresses();
        let same = addresses.iter().find(|one| Some(one.ip()) == address);
        same.or(addresses.first()).map(SocketAddr::port)
    }
}

/// The next connection that waits to be accepted.
pub(super) enum Accepted {
    One(TcpStream, SocketAddr),
    None,
    /// No descriptors or no memory are left.
    Exhausted(io::Error),
}

pub(super) fn accept(listener: &TcpListener) -> Accepted {
    loop {
        match listener.accept() {
            Ok((socket, address)) => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                let is_ready = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
                if is_ready.is_ok() {
                    return Accepted::One(socket, address);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Accepted::None,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            // The network errors that accept(2) passes on concern that connection alone.
            Err(e) => match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOBUFS)
                | Some(rustix::io::Errno::NOMEM) => return Accepted::Exhausted(e),
                _ => return Accepted::None,
            },
        }
    }
}
