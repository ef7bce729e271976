//! Local ports: sockets, and the identifiers of requests that are in flight on them.
//!
//! A request is known by its port, its identifier (256 a port) and the server. A port has one socket for each server, all
//! bound to the same number and each connected to its server: so the kernel takes replies from that address only, says
//! when the server's port is closed, and all servers see a request come from the same port. An identifier is
//! used again when it has rested; while none is free, one more port is opened. Ports that nobody needs any more are closed,
//! but for the first.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::epoll,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt},
};

use super::inbox::Inbox;

/// What the ini says of ports.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Address to send from.
    pub local: Option<IpAddr>,
    /// First and last port that may be used.
    pub range: (u16, u16),
    /// How long an identifier rests.
    pub id_rest: Duration,
    /// How long an extra port stays open without being used.
    pub idle: Duration,
    pub servers: usize,
    /// Bounded by the number of files that this process may open.
    pub most_ports: usize,
}

/// The ports that are open, in the order in which they were opened.
pub struct Ports {
    rules: Rules,
    open: Vec<Port>,
    next_serial: u64,
}

struct Port {
    /// Never given twice, so that news of a closed port's socket reach nobody.
    serial: u64,
    number: u16,
    /// By the server's place in the list.
    links: Vec<Option<Arc<Link>>>,
    slots: Vec<Option<Flight>>,
    /// The next identifier that was never used, and how many of these there are.
    fresh: (u8, u16),
    resting: VecDeque<Resting>,
    in_flight: u16,
    used: Instant,
    /// No new requests: a socket for one of the servers could not be opened on this port.
    retired: bool,
}

struct Resting {
    identifier: u8,
    until: Instant,
    /// The server has answered, so it has nothing left that it could take the next request for.
    answered: bool,
}

/// A socket from a port to a server.
pub struct Link {
    pub socket: UdpSocket,
    pub address: SocketAddr,
    pub port: u64,
    pub server: usize,
}

/// What is known of a request that is in flight.
#[derive(Clone)]
pub struct Flight {
    pub inbox: Arc<Inbox>,
    pub secret: Arc<[u8]>,
    pub authenticator: [u8; 16],
    /// Whom it was sent to last.
    pub server: usize,
    pub sent: Instant,
}

/// Where a request is known: the serial of its port, and its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub port: u64,
    pub identifier: u8,
}

impl Ports {
    pub fn new(rules: Rules) -> Self {
        Ports {
            rules,
            open: Vec::new(),
            next_serial: 1,
        }
    }

    /// An identifier for a request, on the first port that has one; opens another port if none has. [`None`]: all ports
    /// that may be open are, and everything on them is in flight.
    pub fn claim(&mut self, flight: &Flight, address: SocketAddr, epoll: &OwnedFd) -> io::Result<Option<Place>> {
        let now = Instant::now();
        if let Some(place) = self.place(flight, |port| port.rested(now)) {
            return Ok(Some(place));
        }
        if self.open.len() < self.rules.most_ports {
            match self.open_port(flight.server, address, epoll) {
                Ok(()) => return Ok(self.place(flight, |port| port.rested(now))),
                // There is at least one: somebody's identifier will become free.
                Err(_) if self.open.iter().any(|port| !port.retired) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.place(flight, Port::answered))
    }

    fn place(&mut self, flight: &Flight, free: impl Fn(&mut Port) -> Option<u8>) -> Option<Place> {
        let mut open = self.open.iter_mut().filter(|port| !port.retired);
        let (port, identifier) = open.find_map(|port| free(port).map(|identifier| (port, identifier)))?;
        port.slots[usize::from(identifier)] = Some(flight.clone());
        port.in_flight += 1;
        port.used = flight.sent;
        Some(Place {
            port: port.serial,
            identifier,
        })
    }

    /// Notes that the request in `place` is about to be sent to `server`, and gives the socket for it.
    pub fn send_to(
        &mut self,
        place: Place,
        server: usize,
        address: SocketAddr,
        authenticator: &[u8; 16],
        epoll: &OwnedFd,
    ) -> io::Result<Arc<Link>> {
        // Claimed and not released: the port is there.
        let port = port_of(&mut self.open, place.port).ok_or_else(|| io::Error::other("the port was closed"))?;
        if let Some(flight) = &mut port.slots[usize::from(place.identifier)] {
            flight.server = server;
            flight.authenticator = *authenticator;
            flight.sent = Instant::now();
            port.used = flight.sent;
        }
        let known = port.links.get(server).cloned().flatten();
        if let Some(link) = known.filter(|link| link.address == address) {
            return Ok(link);
        }
        let local = local_for(self.rules.local, address);
        let opened = open_link(port.serial, server, address, local, port.number, epoll);
        match opened {
            Ok(link) => {
                port.links[server] = Some(link.clone());
                Ok(link)
            }
            Err(e) => {
                port.retired = true;
                Err(e)
            }
        }
    }

    /// The request in `place` is over; its identifier rests.
    pub fn release(&mut self, place: Place, answered: bool) {
        let rest = self.rules.id_rest;
        let Some(port) = port_of(&mut self.open, place.port) else {
            return;
        };
        if let Some(flight) = port.slots[usize::from(place.identifier)].take() {
            port.in_flight -= 1;
            port.resting.push_back(Resting {
                identifier: place.identifier,
                until: flight.sent + rest,
                answered,
            });
        }
    }

    pub fn flight(&self, port: u64, identifier: u8) -> Option<&Flight> {
        let at = self.open.binary_search_by_key(&port, |port| port.serial).ok()?;
        self.open[at].slots[usize::from(identifier)].as_ref()
    }

    pub fn link(&self, port: u64, server: usize) -> Option<Arc<Link>> {
        let at = self.open.binary_search_by_key(&port, |port| port.serial).ok()?;
        self.open[at].links.get(server)?.clone()
    }

    /// Who waits for a reply through this socket.
    pub fn waiting(&self, link: &Link) -> Vec<(u8, Arc<Inbox>)> {
        let Ok(at) = self.open.binary_search_by_key(&link.port, |port| port.serial) else {
            return Vec::new();
        };
        let slots = (0..=u8::MAX).zip(&self.open[at].slots);
        slots
            .filter_map(|(identifier, slot)| Some((identifier, slot.as_ref()?)))
            .filter(|(_, flight)| flight.server == link.server)
            .map(|(identifier, flight)| (identifier, flight.inbox.clone()))
            .collect()
    }

    /// Closes the ports that are not needed any more.
    pub fn close_idle(&mut self) {
        let (now, idle) = (Instant::now(), self.rules.idle);
        let mut first = true;
        self.open.retain(|port| {
            let keep = port.in_flight > 0
                || !port.retired && (std::mem::take(&mut first) || now.duration_since(port.used) < idle);
            if keep && !port.retired {
                first = false;
            }
            keep
        });
    }

    /// Numbers of the ports that are open.
    pub fn numbers(&self) -> Vec<u16> {
        self.open.iter().map(|port| port.number).collect()
    }

    fn open_port(&mut self, server: usize, address: SocketAddr, epoll: &OwnedFd) -> io::Result<()> {
        let socket = bind_within(self.rules.range, local_for(self.rules.local, address))?;
        let number = socket.local_addr()?.port();
        // From now on the sockets for the other servers may have the same number. Set before, it would let this one
        // share the port of somebody else.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        socket.connect(address)?;
        let serial = self.next_serial;
        self.next_serial += 1;
        let link = watch(socket, serial, server, address, epoll)?;
        let mut links = vec![None; self.rules.servers.max(server + 1)];
        links[server] = Some(link);
        self.open.push(Port {
            serial,
            number,
            links,
            slots: vec![None; 256],
            fresh: (random() as u8, 256),
            resting: VecDeque::new(),
            in_flight: 0,
            used: Instant::now(),
            retired: false,
        });
        Ok(())
    }
}

impl Port {
    /// An identifier that was never used, else the one that has rested longest, if that was long enough.
    fn rested(&mut self, now: Instant) -> Option<u8> {
        if let (next, 1..) = self.fresh {
            self.fresh = (next.wrapping_add(1), self.fresh.1 - 1);
            return Some(next);
        }
        self.resting.front().filter(|resting| resting.until <= now)?;
        self.resting.pop_front().map(|resting| resting.identifier)
    }

    /// An identifier whose request was answered, however short it has rested.
    fn answered(&mut self) -> Option<u8> {
        self.resting.front().filter(|resting| resting.answered)?;
        self.resting.pop_front().map(|resting| resting.identifier)
    }
}

/// What epoll says of a socket: its port and its server.
pub fn token(port: u64, server: usize) -> u64 {
    port << 16 | server as u64 & 0xffff
}

/// The reverse of [`token`].
pub fn of_token(token: u64) -> (u64, usize) {
    (token >> 16, (token & 0xffff) as usize)
}

fn port_of(open: &mut [Port], serial: u64) -> Option<&mut Port> {
    let at = open.binary_search_by_key(&serial, |port| port.serial).ok()?;
    open.get_mut(at)
}

fn open_link(
    port: u64,
    server: usize,
    address: SocketAddr,
    local: IpAddr,
    number: u16,
    epoll: &OwnedFd,
) -> io::Result<Arc<Link>> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(ipproto::UDP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(local, number))?;
    connect(&socket, &address)?;
    watch(UdpSocket::from(socket), port, server, address, epoll)
}

fn watch(socket: UdpSocket, port: u64, server: usize, address: SocketAddr, epoll: &OwnedFd) -> io::Result<Arc<Link>> {
    let data = epoll::EventData::new_u64(token(port, server));
    epoll::add(epoll, &socket, data, epoll::EventFlags::IN)?;
    Ok(Arc::new(Link {
        socket,
        address,
        port,
        server,
    }))
}

/// A socket on a random free port of the range.
fn bind_within((first, last): (u16, u16), local: IpAddr) -> io::Result<UdpSocket> {
    let many = u64::from(last.saturating_sub(first)) + 1;
    let start = random();
    let mut failed = None;
    for step in 0..many {
        // Below `many`, which is at most 65,536.
        let port = first + (start.wrapping_add(step) % many) as u16;
        match UdpSocket::bind((local, port)) {
            Ok(socket) => return Ok(socket),
            Err(e) if matches!(e.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                failed = Some(e)
            }
            Err(e) => return Err(e),
        }
    }
    let reason = failed.map_or_else(String::new, |e| e.to_string());
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("no port of {first} to {last} is free ({reason}); widen [RadAcct] RadiusPortRange"),
    ))
}

/// The local address, where it can reach the server's family.
fn local_for(local: Option<IpAddr>, server: SocketAddr) -> IpAddr {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    local.filter(|local| local.is_ipv4() == server.is_ipv4()).unwrap_or(any)
}

/// Not for secrets: only that two programs do not begin with the same port and identifier.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// For [`epoll::wait`] and reading, without giving the descriptor away.
impl std::os::fd::AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
