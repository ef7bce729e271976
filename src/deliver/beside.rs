//! What goes on over the first connection while a large document goes over a faster second one: octets that have arrived
//! are brought to the disk there, and the server sees that the connection is still used.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{DeliveryError, Result};

/// Documents of this many octets and more are worth a second connection.
pub const LARGE: u64 = 16 << 20;

/// Octets that are worth being brought to the disk at once.
const SOME: u64 = 32 << 20;

/// Octets that may have been sent and not have arrived, as far as anybody knows.
pub const ON_THE_WAY: u64 = 12 << 20;

/// How long a connection may be silent. Servers that ask their clients (`ClientAliveInterval`) want an answer to one of
/// three questions, and seldom ask more often than each fifteen seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// How often is looked what there is to do.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// So many octets have been sent, and all but [`ON_THE_WAY`] of them have arrived.
    Sync(u64),
    /// Nothing was said for a while.
    Life,
}

/// Runs `send`, which says how many octets have been sent, and as long as it takes `keep` in a thread beside it. After an
/// error of `keep` it is not called again. Returns what both came to.
pub fn beside<T>(
    keep: impl FnMut(Need) -> Result<()> + Send,
    send: impl FnOnce(&AtomicU64) -> Result<T>,
) -> Result<(Result<T>, Result<()>)> {
    let sent = AtomicU64::new(0);
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("beside".to_owned());
        let keeper = thread
            .spawn_scoped(scope, {
                let sent = &sent;
                move || keep_up(keep, sent, ended)
            })
            .map_err(|e| DeliveryError::wire("starting a thread", &e))?;
        let outcome = send(&sent);
        drop(end);
        let kept = keeper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((outcome, kept))
    })
}

fn keep_up(mut keep: impl FnMut(Need) -> Result<()>, sent: &AtomicU64, ended: mpsc::Receiver<()>) -> Result<()> {
    let (mut synced, mut spoken) = (0, Instant::now());
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
        let now = sent.load(Ordering::Relaxed);
        let need = match (now.saturating_sub(synced) >= SOME, spoken.elapsed() >= SILENCE) {
            (true, _) => Need::Sync(now),
            (false, true) => Need::Life,
            (false, false) => continue,
        };
        keep(need)?;
        (synced, spoken) = (now, Instant::now());
    }
    Ok(())
}
