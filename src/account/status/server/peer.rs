//! One client of our status port: what waits for it, and its two threads.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    Hub,
    command::{self, Input, Reply},
};
use crate::account::status::queue::{Offered, Queue};

/// What a piece costs besides its octets.
const PIECE: usize = 64;

pub(super) struct Peer {
    stream: TcpStream,
    from: SocketAddr,
    queue: Queue<Arc<[u8]>>,
    /// Trace level: from 1 on the client gets event lines.
    trace: AtomicU8,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, from: SocketAddr, queue: usize) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        // A client whose host is gone says nothing any more.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        Ok(Peer {
            stream,
            from,
            queue: Queue::new(queue),
            trace: AtomicU8::new(2),
        })
    }

    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    pub(super) fn wants_lines(&self) -> bool {
        self.trace.load(Ordering::Relaxed) > 0
    }

    pub(super) fn put(&self, octets: &[u8]) -> bool {
        self.put_shared(&octets.into())
    }

    /// Whether there was room. Never waits.
    pub(super) fn put_shared(&self, octets: &Arc<[u8]>) -> bool {
        let offered = self
            .queue
            .offer(Arc::clone(octets), octets.len() + PIECE, Duration::ZERO);
        offered == Offered::Taken
    }

    /// Ends both threads, also where one writes to a client that does not read.
    pub(super) fn close(&self) {
        self.queue.close();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn write(&self) -> io::Result<()> {
        const LONG: Duration = Duration::from_secs(3600);
        while !self.queue.is_over() {
            let Some(octets) = self.queue.take(LONG) else { continue };
            (&self.stream).write_all(&octets)?;
        }
        Ok(())
    }

    /// Until the client goes, or says that it does.
    fn read(&self, hub: &Hub) -> io::Result<()> {
        let mut input = Input::default();
        let mut octets = [0; 1024];
        loop {
            let count = (&self.stream).read(&mut octets)?;
            if count == 0 {
                return Ok(());
            }
            for line in input.take(&octets[..count]) {
                let reply = match line {
                    Ok(line) => command::answer(&line, self.trace.load(Ordering::Relaxed)),
                    Err(()) => Reply::Leave,
                };
                let text = match reply {
                    Reply::Nothing => continue,
                    Reply::Leave => return Ok(()),
                    Reply::Text(text) => text,
                    Reply::Version => hub.version(),
                    Reply::Statistics => hub.statistics(),
                    Reply::Who => hub.who(),
                    Reply::Trace(level, text) => {
                        self.trace.store(level, Ordering::Relaxed);
                        text
                    }
                };
                if !self.put(text.as_bytes()) {
                    return Ok(());
                }
            }
        }
    }
}

/// Starts both threads.
pub(super) fn serve(hub: &Arc<Hub>, peer: &Arc<Peer>) -> io::Result<()> {
    let (of, writing) = (Arc::clone(hub), Arc::clone(peer));
    thread::Builder::new().name("status-write".into()).spawn(move || {
        let _ = writing.write();
        of.forget(&writing);
    })?;
    let (of, reading) = (Arc::clone(hub), Arc::clone(peer));
    thread::Builder::new().name("status-read".into()).spawn(move || {
        let _ = reading.read(&of);
        of.forget(&reading);
    })?;
    Ok(())
}
