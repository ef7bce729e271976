//! An end for what the library would do without end.
//!
//! Its time limits count while it waits. A server that never stops to talk (lines before its version, messages to be
//! ignored) keeps it busy, so it never waits. When its time is over, the connection is shut down under it.

use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long after the library's own limit, which has the better words.
const GRACE: Duration = Duration::from_secs(1);

/// How often the watchdog looks at the clock.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    deadline: Option<Instant>,
    is_over: bool,
}

pub struct Watchdog {
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// The time that is watched ends with this.
pub struct Watched<'a>(&'a Watchdog);

impl Watchdog {
    pub fn start(stream: TcpStream) -> io::Result<Self> {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let seen = Arc::clone(&shared);
        let watch = move || {
            let (state, over) = &*seen;
            let mut state = held(state);
            while !state.is_over {
                if state.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                (state, _) = over.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
            }
        };
        thread::Builder::new().name("ssh watchdog".to_owned()).spawn(watch)?;
        Ok(Watchdog { shared })
    }

    /// What is done while the returned value lives may take this long, and a little more.
    pub fn allow(&self, limit: Duration) -> Watched<'_> {
        held(&self.shared.0).deadline = Instant::now().checked_add(limit + GRACE);
        Watched(self)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        held(&self.0.shared.0).deadline = None;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        held(&self.shared.0).is_over = true;
        self.shared.1.notify_all();
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
