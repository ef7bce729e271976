//! The library's messages over a UDP socket that is connected to one manager.
//!
//! Connected, so that the kernel hands over nothing but that manager's datagrams, and so that an ICMP "port
//! unreachable" comes back as an error in place of silence.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use async_snmp::{Candidate, Error, RequestRegistration, ResponseIdentity, Result, Transport, UDP_RECEIVE_BUFFER_SIZE};
use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout, timeout_at},
};

/// How long a refusal is waited for after a trap, to which there is no other answer. On the same host it is there at
/// once, in the same network within a millisecond.
const REFUSAL: Duration = Duration::from_millis(10);

pub(super) struct Connected {
    socket: UdpSocket,
    manager: SocketAddr,
    own: SocketAddr,
}

impl Connected {
    pub(super) async fn new(manager: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match manager {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(manager).await?;
        let own = socket.local_addr()?;
        Ok(Connected { socket, manager, own })
    }

    fn failed(&self, source: io::Error) -> Box<Error> {
        let target = self.manager;
        Box::new(Error::Network { target, source })
    }

    fn silent(&self, elapsed: Duration) -> Box<Error> {
        let (target, retries) = (self.manager, 0);
        Box::new(Error::Timeout {
            target,
            elapsed,
            retries,
        })
    }
}

impl Transport for Connected {
    /// Sends a trap.
    async fn send(&self, data: &[u8]) -> Result<()> {
        self.socket.send(data).await.map_err(|e| self.failed(e))?;
        match timeout(REFUSAL, self.socket.recv(&mut [0])).await {
            Ok(Err(e)) => Err(self.failed(e)),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    async fn request_with<T, F>(&self, data: &[u8], registration: RequestRegistration, mut validate: F) -> Result<T>
    where
        T: Send,
        F: FnMut(Bytes, SocketAddr) -> Result<Candidate<T>> + Send,
    {
        let start = Instant::now();
        let exchange = async {
            self.socket.send(data).await.map_err(|e| self.failed(e))?;
            let mut datagram = vec![0; UDP_RECEIVE_BUFFER_SIZE];
            loop {
                let length = self.socket.recv(&mut datagram).await.map_err(|e| self.failed(e))?;
                let answer = Bytes::copy_from_slice(&datagram[..length]);
                if registration.evaluate_response_identity(&answer, true) == ResponseIdentity::Reject {
                    continue;
                }
                if let Candidate::Accept(answer) = validate(answer, self.manager)? {
                    return Ok(answer);
                }
            }
        };
        timeout_at(registration.deadline(), exchange)
            .await
            .unwrap_or_else(|_| Err(self.silent(start.elapsed())))
    }

    fn peer_addr(&self) -> SocketAddr {
        self.manager
    }

    fn local_addr(&self) -> SocketAddr {
        self.own
    }

    fn is_reliable(&self) -> bool {
        false
    }
}
