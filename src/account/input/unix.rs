//! A Unix socket for callers on this host. Who may connect is said by the socket's mode and group.

use std::{
    fs, io,
    net::Shutdown,
    os::{
        fd::AsFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Connection, Limits, Workers};
use crate::trust;

/// How long a caller may take to read its answers.
const WRITING: Duration = Duration::from_secs(30);

/// How a socket is made.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    pub path: PathBuf,
    pub mode: u32,
    pub group: Option<u32>,
    pub connections: usize,
    /// How long a caller may be silent.
    pub idle: Duration,
}

/// A socket that listens.
pub struct Listener {
    path: PathBuf,
    inode: u64,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    options: SocketOptions,
    workers: Arc<Workers>,
    is_ending: Arc<AtomicBool>,
    open: Mutex<Vec<(u64, UnixStream)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Listener {
    /// Makes the socket and begins to serve. A socket that nobody listens to any more is replaced.
    ///
    /// # Errors
    /// Something else lies there, another process listens, or the system does not let us.
    pub fn start(options: SocketOptions, workers: Arc<Workers>, is_ending: Arc<AtomicBool>) -> io::Result<Self> {
        let path = options.path.clone();
        remove_stale(&path)?;
        // The umask lets nobody else in before the mode is set.
        let listener = UnixListener::bind(&path)?;
        if let Some(group) = options.group {
            chown(&path, None, Some(group))?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(options.mode))?;
        listener.set_nonblocking(true)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        let shared = Arc::new(Shared {
            options,
            workers,
            is_ending,
            open: Mutex::default(),
            threads: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("accept".into())
            .spawn(move || accepting.accept(&listener))?;
        Ok(Listener {
            path,
            inode,
            shared,
            acceptor,
        })
    }

    /// Takes nobody in and reads nothing any more; returns when everybody has the answers.
    pub fn end(self) {
        self.shared.is_ending.store(true, Ordering::Release);
        let _ = self.acceptor.join();
        for (_, stream) in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Read);
        }
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        const LOOK: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        let mut number = 0;
        while !self.is_ending.load(Ordering::Acquire) {
            let fd = listener.as_fd();
            if !matches!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&LOOK)), Ok(1..)) {
                continue;
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    number += 1;
                    if let Err(e) = self.serve(stream, number) {
                        tracing::warn!("a caller at {} was turned away: {e}", self.options.path.display());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => {
                    tracing::warn!("cannot accept a caller at {}: {e}", self.options.path.display());
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: UnixStream, number: u64) -> io::Result<()> {
        let count = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push((number, stream.try_clone()?));
            open.len()
        };
        let served = match count > self.options.connections {
            true => {
                let _ = io::Write::write_all(&mut &stream, b"fail too many connections\n");
                Err(io::Error::other(format!(
                    "there are {} connections already",
                    self.options.connections
                )))
            }
            false => self.serve_in_a_thread(stream, number),
        };
        served.inspect_err(|_| self.forget(number))
    }

    fn serve_in_a_thread(self: &Arc<Self>, stream: UnixStream, number: u64) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(self.options.idle).filter(|idle| !idle.is_zero()))?;
        stream.set_write_timeout(Some(WRITING))?;
        let shared = Arc::clone(self);
        let output = stream.try_clone()?;
        let thread = thread::Builder::new().name("answers".into()).spawn(move || {
            let connection = Connection {
                workers: Arc::clone(&shared.workers),
                is_ending: Arc::clone(&shared.is_ending),
                limits: Limits::default(),
            };
            let closing = output.try_clone();
            if let Err(e) = connection.serve(stream, output) {
                tracing::info!("a caller at {} has gone: {e}", shared.options.path.display());
            }
            if let Ok(closing) = closing {
                let _ = closing.shutdown(Shutdown::Both);
            }
            shared.forget(number);
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn forget(&self, number: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(of, _)| *of != number);
    }
}

/// Nobody listens to a socket that refuses connections: its process was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
    if !found.file_type().is_socket() {
        return refuse("something that is no socket lies there");
    }
    if !trust::is_ours(found.uid(), trust::effective()) {
        return refuse("a socket of another user lies there");
    }
    match UnixStream::connect(path) {
        Ok(_) => refuse("another process listens there"),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(e) => Err(e),
    }
}
