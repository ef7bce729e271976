//! The library's messages over a UDP socket that is connected to one manager.
//!
//! Connected, so that the kernel hands over nothing but that manager's datagrams, and so that an ICMP "port
//! unreachable" comes back as an error in place of silence.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_snmp::{
    Candidate, Error, RequestRegistration, ResponseIdentity, Result, Transport, UDP_RECEIVE_BUFFER_SIZE,
    v3::ReportStatus,
};
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
    heard: Arc<AtomicBool>,
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
        let heard = Arc::default();
        Ok(Connected {
            socket,
            manager,
            own,
            heard,
        })
    }

    /// Whether the manager has said anything at all. Stays readable when the library has taken the socket.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        self.heard.clone()
    }

    fn failed(&self, source: io::Error) -> Box<Error> {
        let target = self.manager;
        Box::new(Error::Network { target, source })
    }

    fn reported(&self, status: ReportStatus) -> Box<Error> {
        Box::new(Error::Report {
            target: self.manager,
            status: Box::new(status),
            metadata: Box::default(),
        })
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
                self.heard.store(true, Ordering::Relaxed);
                let answer = Bytes::copy_from_slice(&datagram[..length]);
                if registration.evaluate_response_identity(&answer, true) == ResponseIdentity::Reject {
                    continue;
                }
                if let Candidate::Accept(answer) = validate(answer, self.manager)? {
                    return Ok(answer);
                }
                if let Some(status) = plain_report(&datagram[..length]) {
                    return Err(self.reported(status));
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

/// What a manager that cannot authenticate us says about it (RFC 3414, `usmStats`). It cannot authenticate that
/// either, so that the library does not listen to it. Nobody but the manager can have said it who does not see what we
/// send; and who sees it can as well take our notifications away.
fn plain_report(answer: &[u8]) -> Option<ReportStatus> {
    const USM_STATS: [u8; 8] = [0x2B, 6, 1, 6, 3, 15, 1, 1];
    let oid = answer
        .windows(USM_STATS.len() + 2)
        .find(|w| w.starts_with(&USM_STATS))?;
    // How often it said so, to whomever, is of no interest.
    let counter = 0;
    match oid[USM_STATS.len()..] {
        [1, 0] => Some(ReportStatus::UnsupportedSecurityLevel { counter }),
        [2, 0] => Some(ReportStatus::NotInTimeWindow { counter }),
        [3, 0] => Some(ReportStatus::UnknownUserName { counter }),
        [4, 0] => Some(ReportStatus::UnknownEngineId { counter }),
        [5, 0] => Some(ReportStatus::WrongDigest { counter }),
        [6, 0] => Some(ReportStatus::DecryptionError { counter }),
        _ => None,
    }
}
