//! TFTP (RFC 1350) with the options blksize, timeout, tsize and windowsize.
//!
//! There are no users, no temporary names, no modes and no times: a file is written straight under its final name. What
//! is there is read back before, where the server lets us: the same document is not sent again, the beginning of it is
//! completed, and anything else is not touched.

mod packet;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use rustix::net::sockopt;

use self::packet::{Options, Packet};
use super::{
    DeliveryError, Destination, Failure, Link, Receipt, Result, Shipment, Verified,
    error::{classify, said},
    local::{self, Comparison, Likeness, Local, conflict},
    pace::Pace,
    socket,
};

/// Blocks that are sent before an acknowledgement is awaited, if the server agrees.
const WINDOW: u16 = 16;

/// After this time the last packet is sent again; doubled each time up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(8);

/// Largest block that the option may have (RFC 2348).
const LARGEST_BLOCK: usize = 65464;

pub fn connect(destination: &Destination) -> Result<Box<dyn Link>> {
    let endpoint = &destination.endpoint;
    let found = socket::resolve(&endpoint.host, endpoint.port, destination.bind)?;
    let server = found.first().copied();
    let server = server.ok_or_else(|| DeliveryError::new(Failure::Unreachable, "no address"))?;
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = destination.bind.unwrap_or(any);
    let block = largest_block(from, server)
        .map_err(|e| DeliveryError::new(Failure::Unreachable, format!("no way to {server} from {from}: {e}")))?;
    Ok(Box::new(Tftp {
        server,
        from,
        block,
        directory: endpoint.directory.clone(),
        timeout: destination.timeout,
        pace: destination.pace(),
    }))
}

/// The largest block that travels without being cut into fragments, as far as this host knows.
fn largest_block(from: IpAddr, server: SocketAddr) -> io::Result<usize> {
    const UDP_AND_TFTP: u32 = 8 + 4;
    let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
    socket.connect(server)?;
    let room = match server {
        SocketAddr::V4(_) => sockopt::ip_mtu(&socket)?.saturating_sub(20 + UDP_AND_TFTP),
        SocketAddr::V6(_) => sockopt::ipv6_mtu(&socket)?.saturating_sub(40 + UDP_AND_TFTP),
    };
    Ok((room as usize).clamp(packet::BLOCK, LARGEST_BLOCK))
}

struct Tftp {
    server: SocketAddr,
    from: IpAddr,
    block: usize,
    directory: String,
    timeout: Duration,
    pace: Pace,
}

impl Link for Tftp {
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let begin = Instant::now();
        let path = format!("{}{}", self.directory, shipment.remote_name);
        let mut receipt = Receipt {
            octets: shipment.octets,
            verified: Verified::Nothing,
            renamed: false,
            attributes: false,
            found: false,
            elapsed: Duration::ZERO,
        };
        match self.look(&path, shipment)? {
            Some(Likeness::Same) => {
                progress(shipment.octets);
                receipt.found = true;
                receipt.verified = Verified::Sha256;
            }
            Some(Likeness::Different) => return Err(conflict(shipment.remote_name)),
            Some(Likeness::Beginning) | None => {
                self.send(&path, shipment, progress)?;
                receipt.verified = self.compare_size(&path, shipment)?;
            }
        }
        receipt.elapsed = begin.elapsed();
        Ok(receipt)
    }
}

impl Tftp {
    fn send(&mut self, path: &str, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<()> {
        // There is no taking back what lies under its final name.
        local::check(shipment)?;
        let mut local = Local::open(shipment)?;
        let offered = self.pace.piece(self.block);
        let options = [
            ("tsize", shipment.octets),
            ("timeout", FIRST_WAIT.as_secs()),
            ("blksize", offered as u64),
            ("windowsize", u64::from(WINDOW)),
        ];
        let (mut transfer, agreed) = self.ask(packet::request(packet::WRITE, path, &options))?;
        let agreed = match agreed {
            // RFC 2348 and 7440: never more than was offered. All blocks of a window lie in memory.
            First::Options(agreed)
                if agreed.block.is_some_and(|block| block > offered)
                    || agreed.window.is_some_and(|window| window > WINDOW) =>
            {
                let _ = transfer.send(&packet::error(packet::OPTION_REFUSED, "more than was offered"));
                return Err(DeliveryError::new(
                    Failure::Remote,
                    format!("the TFTP server wants {agreed}, which was not offered"),
                ));
            }
            First::Options(agreed) => agreed,
            First::Ack => Options::default(),
            First::Error(code, words) => return Err(refused(code, &words)),
            First::Data => return Err(transfer.unexpected()),
        };
        let block = agreed.block.unwrap_or(packet::BLOCK).min(LARGEST_BLOCK);
        let mut window = Window::new(usize::from(agreed.window.unwrap_or(1)), block);
        let mut done = 0;
        loop {
            while window.fill(&mut local)? {}
            if window.is_empty() {
                return Ok(());
            }
            for datagram in window.unsent() {
                self.pace.take(datagram.len());
                transfer.send(datagram)?;
            }
            done += self.await_ack(&mut transfer, &mut window)?;
            progress(done);
        }
    }

    /// Waits until something of the window has arrived there; sends it again as often as it takes, within the time limit.
    /// Returns how many octets have arrived.
    fn await_ack(&mut self, transfer: &mut Transfer, window: &mut Window) -> Result<u64> {
        let deadline = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        let mut again = Instant::now() + wait;
        loop {
            // Whatever comes meanwhile and is of no use puts this off no further.
            match transfer.receive(again.min(deadline).saturating_duration_since(Instant::now()))? {
                // An acknowledgement that comes twice is not answered: each would double all that follow.
                Some(Reply::Ack(number)) => {
                    if let Some(octets) = window.acknowledged(number) {
                        return Ok(octets);
                    }
                }
                Some(Reply::Error(code, words)) => return Err(refused(code, &words)),
                Some(Reply::Options(_)) => {}
                Some(Reply::Data(_)) => return Err(transfer.unexpected()),
                None if Instant::now() >= deadline => {
                    return Err(DeliveryError::wire("sending the file", &io::ErrorKind::TimedOut.into()));
                }
                None => {
                    for datagram in window.all() {
                        self.pace.take(datagram.len());
                        transfer.send(datagram)?;
                    }
                    wait = (wait * 2).min(LAST_WAIT);
                    again = Instant::now() + wait;
                }
            }
        }
    }

    /// Reads back what has the name already. `None`: nothing has, or the server does not say.
    fn look(&mut self, path: &str, shipment: &Shipment<'_>) -> Result<Option<Likeness>> {
        let options = [("tsize", 0), ("blksize", self.block as u64)];
        let (mut transfer, first) = self.ask(packet::request(packet::READ, path, &options))?;
        let mut comparison = Comparison::with(shipment)?;
        let (mut next, block) = match first {
            First::Options(agreed) => {
                if agreed.size.is_some_and(|size| size > shipment.octets) {
                    transfer.send(&packet::enough())?;
                    return Ok(Some(Likeness::Different));
                }
                transfer.send(&packet::ack(0))?;
                (1, agreed.block.unwrap_or(packet::BLOCK))
            }
            // The first block is waiting to be acknowledged, and comes again.
            First::Data => (1, packet::BLOCK),
            First::Error(..) => return Ok(None),
            First::Ack => return Err(transfer.unexpected()),
        };
        let doing = "reading back what is there";
        let deadline = |limit| Instant::now() + limit;
        let mut until = deadline(self.timeout);
        let mut again = deadline(FIRST_WAIT);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match transfer.receive(again.saturating_duration_since(Instant::now()).min(left))? {
                Some(Reply::Data(number)) if number == next => {
                    until = deadline(self.timeout);
                    let data = transfer.data();
                    let (last, goes_on) = (data.len() < block, comparison.piece(data)?);
                    if !goes_on {
                        transfer.send(&packet::enough())?;
                        return comparison.end().map(Some);
                    }
                    transfer.send(&packet::ack(next))?;
                    if last {
                        return comparison.end().map(Some);
                    }
                    next = next.wrapping_add(1);
                    again = Instant::now() + FIRST_WAIT;
                }
                // The acknowledgement was lost. Only blocks are sent again by those who hear one twice.
                Some(Reply::Data(number)) if number == next.wrapping_sub(1) => transfer.send(&packet::ack(number))?,
                Some(Reply::Error(code, words)) => return Err(refused(code, &words)),
                Some(_) => {}
                None if left.is_zero() => return Err(DeliveryError::wire(doing, &io::ErrorKind::TimedOut.into())),
                None => {
                    transfer.send(&packet::ack(next.wrapping_sub(1)))?;
                    again = deadline(FIRST_WAIT);
                }
            }
        }
    }

    /// The size there, from the answer to a request to read, which is then given up.
    fn compare_size(&mut self, path: &str, shipment: &Shipment<'_>) -> Result<Verified> {
        let (transfer, first) = self.ask(packet::request(packet::READ, path, &[("tsize", 0)]))?;
        if let First::Options(agreed) = first {
            transfer.send(&packet::enough())?;
            return match agreed.size {
                Some(size) if size != shipment.octets => Err(DeliveryError::new(
                    Failure::Damaged,
                    format!(
                        "{} has {size} octets there, {} were sent; it was overwritten or cut",
                        shipment.remote_name, shipment.octets
                    ),
                )),
                Some(_) => Ok(Verified::Size),
                None => Ok(Verified::Nothing),
            };
        }
        if !matches!(first, First::Error(..)) {
            transfer.send(&packet::enough())?;
        }
        Ok(Verified::Nothing)
    }

    /// Begins a transfer. The server answers from a port of its own, which is the only one that is listened to then.
    fn ask(&self, request: Vec<u8>) -> Result<(Transfer, First)> {
        let doing = "waiting for the TFTP server's first answer";
        let failed = |e: &io::Error| DeliveryError::wire(doing, e);
        let socket = UdpSocket::bind(SocketAddr::new(self.from, 0)).map_err(|e| failed(&e))?;
        let mut transfer = Transfer {
            socket,
            server: self.server,
            begun: false,
            buffer: vec![0; LARGEST_BLOCK + 4],
            received: 0,
        };
        let deadline = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        let mut again = Instant::now() + wait;
        transfer.send(&request)?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let first = match transfer.receive(again.saturating_duration_since(Instant::now()).min(left))? {
                Some(Reply::Ack(0)) => First::Ack,
                Some(Reply::Options(agreed)) => First::Options(agreed),
                Some(Reply::Data(1)) => First::Data,
                Some(Reply::Error(code, words)) => First::Error(code, words),
                Some(_) => continue,
                None if left.is_zero() => {
                    let reason = format!("no answer from the TFTP server at {}", self.server);
                    return Err(DeliveryError::new(Failure::Unreachable, reason));
                }
                None => {
                    transfer.send(&request)?;
                    wait = (wait * 2).min(LAST_WAIT);
                    again = Instant::now() + wait;
                    continue;
                }
            };
            return Ok((transfer, first));
        }
    }
}

/// How a server answers a request.
enum First {
    /// Without options.
    Ack,
    Options(Options),
    /// The first block, without options.
    Data,
    Error(u16, String),
}

fn refused(code: u16, words: &str) -> DeliveryError {
    let failure = match code {
        packet::NOT_FOUND => Failure::Missing,
        2 => Failure::Denied,
        3 => Failure::RemoteFull,
        6 => Failure::Conflict,
        _ => classify(words),
    };
    DeliveryError::new(
        failure,
        format!("the TFTP server refuses the file: {words} (error {code})"),
    )
}

/// One transfer: a port of ours, and the port of theirs that has answered first.
struct Transfer {
    socket: UdpSocket,
    server: SocketAddr,
    begun: bool,
    buffer: Vec<u8>,
    received: usize,
}

/// A packet of our transfer; the octets of a block stay in the buffer.
enum Reply {
    Ack(u16),
    Options(Options),
    Data(u16),
    Error(u16, String),
}

impl Transfer {
    fn send(&self, datagram: &[u8]) -> Result<()> {
        match self.socket.send_to(datagram, self.server) {
            Ok(_) => Ok(()),
            Err(e) => Err(DeliveryError::wire("sending", &e)),
        }
    }

    /// `None` when the time is over.
    fn receive(&mut self, limit: Duration) -> Result<Option<Reply>> {
        let doing = "waiting for the TFTP server";
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let received = self
                .socket
                .set_read_timeout(Some(left))
                .and_then(|()| self.socket.recv_from(&mut self.buffer));
            let (octets, from) = match received {
                Ok(received) => received,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
                Err(e) => return Err(DeliveryError::wire(doing, &e)),
            };
            // What is no packet of TFTP does not become the server of this transfer.
            let packet = packet::parse(&self.buffer[..octets]);
            if packet.is_none() && !self.begun {
                continue;
            }
            let reply = match packet {
                _ if !is_ours(&self.socket, &mut self.server, &mut self.begun, from) => continue,
                Some(Packet::Ack(number)) => Reply::Ack(number),
                Some(Packet::Data(number, _)) => Reply::Data(number),
                Some(Packet::Options(agreed)) => Reply::Options(agreed),
                Some(Packet::Error(code, words)) => Reply::Error(
                    code,
                    match said(words) {
                        words if words.is_empty() => packet::meaning(code).to_owned(),
                        words => words,
                    },
                ),
                None => continue,
            };
            self.received = octets;
            return Ok(Some(reply));
        }
    }

    /// Octets of the block that was received last.
    fn data(&self) -> &[u8] {
        self.buffer[..self.received].get(4..).unwrap_or_default()
    }

    fn unexpected(&self) -> DeliveryError {
        let _ = self.send(&packet::illegal());
        DeliveryError::new(
            Failure::Remote,
            "the TFTP server answers something that does not belong here",
        )
    }
}

/// The first answer comes from another port than the one that was asked, but from the same host; all others from
/// that port. Whoever else sends is told so, and does not disturb (RFC 1350, section 4).
fn is_ours(socket: &UdpSocket, server: &mut SocketAddr, begun: &mut bool, from: SocketAddr) -> bool {
    if from.ip() == server.ip() && (!*begun || from.port() == server.port()) {
        server.set_port(from.port());
        *begun = true;
        return true;
    }
    if *begun {
        let _ = socket.send_to(&packet::error(packet::UNKNOWN_TRANSFER, "unknown transfer"), from);
    }
    false
}

/// Blocks that are on the way. Numbers begin again at 0 after 65535.
struct Window {
    size: usize,
    block: usize,
    /// Whole datagrams, oldest first.
    waiting: std::collections::VecDeque<Vec<u8>>,
    /// How many of them have been sent.
    sent: usize,
    /// Number of the first in `waiting`.
    first: u16,
    /// A block that is not full has been taken: it is the last one.
    ended: bool,
}

impl Window {
    fn new(size: usize, block: usize) -> Self {
        Window {
            size: size.max(1),
            block,
            waiting: std::collections::VecDeque::new(),
            sent: 0,
            first: 1,
            ended: false,
        }
    }

    /// Takes one more block. Returns whether there is room for another one.
    fn fill(&mut self, local: &mut Local<'_>) -> Result<bool> {
        if self.ended || self.waiting.len() >= self.size {
            return Ok(false);
        }
        let number = self.first.wrapping_add(self.waiting.len() as u16);
        let mut datagram = vec![0; 4 + self.block];
        datagram[..4].copy_from_slice(&packet::data_head(number));
        let octets = local.fill(&mut datagram[4..])?;
        datagram.truncate(4 + octets);
        self.ended = octets < self.block;
        self.waiting.push_back(datagram);
        Ok(true)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What has not been sent yet; counts as sent then.
    fn unsent(&mut self) -> impl Iterator<Item = &Vec<u8>> {
        let from = std::mem::replace(&mut self.sent, self.waiting.len());
        self.waiting.range(from..)
    }

    fn all(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.waiting.iter()
    }

    /// The server has everything up to this block. Returns how many octets those are, none in an empty
    /// last block; `None` for an old acknowledgement.
    fn acknowledged(&mut self, number: u16) -> Option<u64> {
        let blocks = usize::from(number.wrapping_sub(self.first).wrapping_add(1));
        if blocks == 0 || blocks > self.waiting.len() {
            return None;
        }
        self.first = number.wrapping_add(1);
        // Something was lost on the way when not everything is acknowledged: what follows is sent again.
        self.sent = 0;
        let arrived = self.waiting.drain(..blocks);
        Some(arrived.map(|datagram| datagram.len() as u64 - 4).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(blocks: usize, size: usize) -> Window {
        let mut window = Window::new(size, 4);
        window.waiting.extend((0..blocks).map(|_| vec![0; 8]));
        window
    }

    #[test]
    fn an_acknowledgement_that_comes_twice_changes_nothing() {
        let mut window = window(1, 1);
        window.first = 7;
        assert_eq!(window.acknowledged(6), None);
        assert_eq!(window.acknowledged(8), None);
        assert_eq!(window.acknowledged(7), Some(4));
        assert_eq!(window.acknowledged(7), None);
        assert_eq!(window.first, 8);
    }

    #[test]
    fn numbers_begin_again_at_zero() {
        let mut window = window(4, 4);
        window.first = 65534;
        assert_eq!(window.unsent().count(), 4);
        assert_eq!(window.acknowledged(0), Some(12));
        assert_eq!((window.first, window.waiting.len()), (1, 1));
        assert_eq!(window.unsent().count(), 1, "what follows a gap is sent again");
    }
}
