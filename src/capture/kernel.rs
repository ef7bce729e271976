//! Asks the kernel for the interfaces of a network namespace, in a thread of its own.
//!
//! Most of the time goes by inside the kernel. The thread does nothing but wait for it and hand the datagrams on, so
//! that records are made and written meanwhile. It may also move into another network namespace: it ends afterwards,
//! and the rest of the program never leaves the namespace in which it was started.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::SourceError;
use super::netlink::{ALIGNMENT, Answer, Fault, Progress, all_links};

/// How long the kernel may take for one part of its answer. It takes some 3 µs for an interface.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How often in all the kernel is asked when interfaces come and go while it goes through them.
const ATTEMPTS: u32 = 4;
/// The kernel fills datagrams of up to 32 KiB if the reader takes so much; larger buffers gain nothing.
const DATAGRAM: usize = 32 * 1024;
/// What is handed on at once. Each time wakes the thread that makes records.
const PIECE: usize = 8 * DATAGRAM;
/// Pieces that may wait for their records to be written: a mebibyte.
const WAITING: usize = 4;
/// Messages of one answer that are taken: more interfaces than a Linux host can have for practical reasons.
const MAX_MESSAGES: usize = 4_000_000;

const KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// What the thread hands on, in this order: one `Namespace`, any number of `Datagrams`, one `End`.
#[derive(Debug)]
pub enum Piece {
    /// Inode number of the network namespace, where it is known.
    Namespace(Option<u64>),
    /// Messages from the kernel, some datagrams one after the other.
    Datagrams { answer: Answer, octets: Vec<u8> },
    End {
        /// Each attempt was interrupted by interfaces that came or went. What was handed on is right, but something
        /// may be missing. When an earlier attempt was interrupted and the last was not, everything is there, though
        /// interfaces were handed on more than once.
        interrupted: bool,
    },
}

/// The answer as it comes in.
pub struct Pieces {
    receiver: Receiver<Result<Piece, SourceError>>,
    time_limit: Duration,
}

impl Pieces {
    /// Waits for the next piece. Not to be called after `End` or an error.
    pub fn next(&self) -> Result<Piece, SourceError> {
        match self.receiver.recv_timeout(self.time_limit) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => Err(SourceError::Unavailable(format!(
                "the kernel did not list the network interfaces within {} s; look for a driver that hangs (dmesg)",
                self.time_limit.as_secs_f32()
            ))),
            Err(RecvTimeoutError::Disconnected) => Err(SourceError::Unavailable(
                "the thread that reads the network interfaces ended before its answer did".to_owned(),
            )),
        }
    }

    #[cfg(test)]
    pub fn of(pieces: Vec<Result<Piece, SourceError>>) -> Self {
        let (sender, receiver) = sync_channel(pieces.len());
        for piece in pieces {
            sender.send(piece).expect("there is room for all pieces");
        }
        Pieces {
            receiver,
            time_limit: TIME_LIMIT,
        }
    }
}

/// Asks for all interfaces of the network namespace that this file stands for, or of our own.
pub fn ask(namespace: Option<PathBuf>) -> Result<Pieces, SourceError> {
    let (sender, receiver) = sync_channel(WAITING);
    // Not a scoped thread: one that hangs inside the kernel must not hold up the other sources.
    thread::Builder::new()
        .name("netlink".to_owned())
        .spawn(move || {
            if let Err(Stop::Failed(error)) = read(namespace.as_deref(), &sender) {
                let _ = sender.send(Err(error)); // who does not listen any more does not need it
            }
        })
        .map_err(|e| SourceError::Unavailable(format!("cannot start a thread to read the network interfaces: {e}")))?;
    Ok(Pieces {
        receiver,
        time_limit: TIME_LIMIT,
    })
}

enum Stop {
    Failed(SourceError),
    NobodyListens,
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Stop::Failed(error)
    }
}

fn read(namespace: Option<&Path>, to: &SyncSender<Result<Piece, SourceError>>) -> Result<(), Stop> {
    let hand_on = |piece| to.send(Ok(piece)).map_err(|_| Stop::NobodyListens);
    let inode = match namespace {
        Some(path) => Some(enter(path)?),
        None => std::fs::metadata(OWN_NAMESPACE).ok().map(|m| m.ino()),
    };
    hand_on(Piece::Namespace(inode))?;

    let (socket, port) = open().map_err(|e| failed("open a netlink socket", e))?;
    let interrupted = until_uninterrupted(|sequence| dump(&socket, Answer { sequence, port }, hand_on))?;
    hand_on(Piece::End { interrupted })
}

/// Asks again, with the next sequence number, until an answer was not interrupted. Returns whether the last one was.
fn until_uninterrupted(mut ask: impl FnMut(u32) -> Result<bool, Stop>) -> Result<bool, Stop> {
    for sequence in 1..=ATTEMPTS {
        if !ask(sequence)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads one answer to its end. Returns whether it was interrupted.
fn dump(socket: &OwnedFd, answer: Answer, hand_on: impl Fn(Piece) -> Result<(), Stop>) -> Result<bool, Stop> {
    let request = all_links(answer.sequence);
    retry_on_intr(|| rustix::net::sendto(socket, &request, SendFlags::empty(), &KERNEL)).map_err(asking)?;

    let mut whole = Progress::default();
    while !whole.done {
        let mut octets = Vec::with_capacity(PIECE);
        while !whole.done && octets.capacity() - octets.len() >= DATAGRAM {
            whole.add(receive(socket, answer, &mut octets)?);
        }
        if whole.messages > MAX_MESSAGES {
            return Err(refused(Fault::Malformed("it does not end")).into());
        }
        hand_on(Piece::Datagrams { answer, octets })?;
    }
    Ok(whole.interrupted)
}

/// Appends the next datagram that is the kernel's.
fn receive(socket: &OwnedFd, answer: Answer, octets: &mut Vec<u8>) -> Result<Progress, SourceError> {
    let begin = octets.len();
    loop {
        // With TRUNC the length is that of the datagram, even where the buffer is shorter.
        let (_, length, from) =
            retry_on_intr(|| rustix::net::recvfrom(socket, spare_capacity(octets), RecvFlags::TRUNC))
                .map_err(asking)?;
        let from = from.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        if from.is_none_or(|address| address.pid() != KERNEL.pid()) {
            octets.truncate(begin); // any process may send to our port, only the kernel has port 0
            continue;
        }
        if length > octets.len() - begin {
            return Err(refused(Fault::Malformed("a datagram is longer than the buffer")));
        }
        let progress = answer.progress(&octets[begin..]).map_err(refused)?;
        octets.resize(octets.len().next_multiple_of(ALIGNMENT), 0);
        return Ok(progress);
    }
}

fn asking(error: Errno) -> SourceError {
    failed("ask the kernel for its network interfaces", error)
}

/// A socket to the kernel with its port.
fn open() -> rustix::io::Result<(OwnedFd, u32)> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // NETLINK_ROUTE
    )?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?; // port 0: any that is free
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TIME_LIMIT))?;
    let port = SocketAddrNetlink::try_from(rustix::net::getsockname(&socket)?)?.pid();
    Ok((socket, port))
}

/// Moves this thread into a network namespace; returns its inode number.
fn enter(path: &Path) -> Result<u64, SourceError> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => SourceError::Unavailable(format!(
            "the network namespace {shown} is missing; make it (ip netns add) or correct network-namespace"
        )),
        io::ErrorKind::PermissionDenied => SourceError::Denied(format!(
            "cannot open the network namespace {shown}: {e}; let the user who captures read it"
        )),
        _ => SourceError::Unavailable(format!("cannot open the network namespace {shown}: {e}")),
    })?;
    let inode = file.metadata().map(|m| m.ino());
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|e| match e {
        Errno::PERM => SourceError::Denied(format!(
            "cannot enter the network namespace {shown}: {e}; this needs CAP_SYS_ADMIN \
             (AmbientCapabilities=CAP_SYS_ADMIN in a systemd unit, or root)"
        )),
        Errno::INVAL => SourceError::Unavailable(format!(
            "{shown} is not a network namespace; correct network-namespace, or make it anew (ip netns delete, then add)"
        )),
        _ => SourceError::Unavailable(format!("cannot enter the network namespace {shown}: {e}")),
    })?;
    inode.map_err(|e| SourceError::Unavailable(format!("cannot tell which network namespace {shown} is: {e}")))
}

fn failed(doing: &str, error: impl Into<io::Error>) -> SourceError {
    let error: io::Error = error.into();
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if is(Errno::PERM) || is(Errno::ACCESS) {
        SourceError::Denied(format!("cannot {doing}: {error}"))
    } else if is(Errno::AFNOSUPPORT) {
        SourceError::Unavailable(format!(
            "cannot {doing}: {error}; a sandbox must allow AF_NETLINK (RestrictAddressFamilies= in a systemd unit)"
        ))
    } else if is(Errno::AGAIN) {
        SourceError::Unavailable(format!("cannot {doing}: no answer within {TIME_LIMIT:?}"))
    } else if is(Errno::NOBUFS) {
        SourceError::Unavailable(format!("cannot {doing}: {}", Fault::Overrun))
    } else {
        SourceError::Unavailable(format!("cannot {doing}: {error}"))
    }
}

/// The error for an answer that cannot be used.
pub fn refused(fault: Fault) -> SourceError {
    const DOING: &str = "read the network interfaces";
    match fault {
        Fault::Malformed(_) => SourceError::BadData(format!("cannot {DOING}: {fault}")),
        Fault::Refused(errno) => failed(DOING, io::Error::from_raw_os_error(errno)),
        Fault::Overrun => SourceError::Unavailable(format!("cannot {DOING}: {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_hangs_costs_no_more_than_the_time_limit() {
        let (_hangs, receiver) = sync_channel(1);
        let pieces = Pieces {
            receiver,
            time_limit: Duration::from_millis(20),
        };
        let error = pieces.next().unwrap_err();
        assert!(
            matches!(&error, SourceError::Unavailable(reason) if reason.contains("0.02 s")),
            "{error}"
        );
    }

    #[test]
    fn the_kernel_is_asked_again_until_nothing_came_or_went_meanwhile() {
        let attempts = |interrupted: &[bool]| {
            let mut asked = Vec::new();
            let ended = until_uninterrupted(|sequence| {
                asked.push(sequence);
                Ok(interrupted[asked.len() - 1])
            });
            (ended.ok(), asked)
        };
        assert_eq!(attempts(&[false]), (Some(false), vec![1]));
        assert_eq!(attempts(&[true, true, false]), (Some(false), vec![1, 2, 3]));
        assert_eq!(attempts(&[true; 4]), (Some(true), vec![1, 2, 3, 4]));
    }

    #[test]
    fn a_refusal_says_who_must_do_what() {
        let denied = refused(Fault::Refused(Errno::PERM.raw_os_error()));
        assert!(matches!(denied, SourceError::Denied(_)), "{denied}");
        let sandbox = failed("open a netlink socket", Errno::AFNOSUPPORT).to_string();
        assert!(sandbox.contains("AF_NETLINK"), "{sandbox}");
        let unheard_of = refused(Fault::Refused(i32::MAX));
        assert!(matches!(unheard_of, SourceError::Unavailable(_)), "{unheard_of}");
    }

    #[test]
    fn who_stops_listening_stops_the_thread() {
        let (sender, receiver) = sync_channel(WAITING);
        drop(receiver);
        assert!(matches!(read(None, &sender), Err(Stop::NobodyListens)));
    }
}
