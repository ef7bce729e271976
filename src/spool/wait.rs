//! Waiting for the pickup: woken by the deletion itself.

use std::{
    io,
    time::{Duration, Instant},
};

use inotify::{Inotify, WatchMask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Lock, Spool};

/// How often to look without being woken: deletions by another host on a network file system make no event here.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Watches the spool for deletions, and the lock for being let go. Made before the first look, so nothing is missed.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
}

impl Watch {
    pub fn new(spool: &Spool) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let mut gone = WatchMask::DELETE | WatchMask::MOVED_FROM | WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
        if spool.done_marker {
            gone |= WatchMask::CREATE | WatchMask::MOVED_TO;
        }
        inotify.watches().add(&spool.directory, gone)?;
        inotify
            .watches()
            .add(Lock::path(&spool.state), WatchMask::CLOSE_WRITE)?;
        Ok(Watch { inotify })
    }

    /// Returns when it is worth looking again, at `deadline` at the latest; `false`: the deadline has come.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<bool> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let span = left.map_or(LOOK_ANYWAY, |left| left.min(LOOK_ANYWAY));
        let timeout = Timespec {
            tv_sec: span.as_secs() as i64,
            tv_nsec: i64::from(span.subsec_nanos()),
        };
        let mut watched = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(true),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let mut events = [0; 4096];
        match self.inotify.read_events(&mut events) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(true),
        }
    }
}
