//! TCP connections with a time limit and, if asked for, from a certain address of ours.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt},
};

use super::{DeliveryError, Failure, Result};

/// The addresses of a host; with `from`, only those that it can reach.
pub fn resolve(host: &str, port: u16, from: Option<IpAddr>) -> Result<Vec<SocketAddr>> {
    let unreachable = |reason: String| DeliveryError::new(Failure::Unreachable, reason);
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|e| unreachable(format!("cannot find the address of {host}: {e}")))?
        .filter(|address| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4()))
        .collect();
    match found.is_empty() {
        true => Err(unreachable(format!(
            "{host} has no address that could be reached from the address to bind to"
        ))),
        false => Ok(found),
    }
}

/// Tries one address after the other; the error is that of the last.
pub fn connect_tcp(host: &str, port: u16, from: Option<IpAddr>, limit: Duration) -> Result<TcpStream> {
    let mut last = None;
    for address in resolve(host, port, from)? {
        match connect_to(address, from, limit) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = Some((address, e)),
        }
    }
    let reason = last.map_or_else(String::new, |(address, e)| format!("cannot connect to {address}: {e}"));
    Err(DeliveryError::new(Failure::Unreachable, reason))
}

/// The error is the system's; [`io::ErrorKind::TimedOut`] when the time is over.
pub fn connect_to(address: SocketAddr, from: Option<IpAddr>, limit: Duration) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let Some(from) = from {
        bind(&socket, &SocketAddr::new(from, 0))?;
    }
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            wait_for(&socket, limit)?;
            sockopt::socket_error(&socket)??;
        }
        Err(e) => return Err(e.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn wait_for(socket: &impl std::os::fd::AsFd, limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = left
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&time)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
