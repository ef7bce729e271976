//! Ending a program that runs for ever: at the first signal in order, at the second at once.

use std::{process, thread};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use crate::exit::{Error, Exit, Result};

/// Has SIGTERM and SIGINT wait until they are asked for. To be called before any thread is started.
pub fn hold() -> Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    let refuse = |e: nix::Error| Error::new(Exit::Internal, format!("cannot wait for signals: {e}"));
    signals.thread_block().map_err(refuse)?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(refuse)
}

/// At the first signal `end` is called. At the second the program ends, with a warning that says what becomes of what was
/// under way.
pub fn listen(signals: SignalFd, becomes: &'static str, end: impl Fn() + Send + 'static) {
    thread::spawn(move || {
        let mut is_second = false;
        loop {
            match signals.read_signal() {
                Ok(Some(_)) if is_second => {
                    tracing::warn!("told to end once more: {becomes}");
                    process::exit(Exit::Blocked.code().into());
                }
                Ok(Some(_)) => {
                    is_second = true;
                    end();
                }
                Ok(None) | Err(nix::Error::EINTR) => {}
                Err(_) => return,
            }
        }
    });
}
