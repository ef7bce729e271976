//! Asking again what a device is too busy for now.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::config;

/// How often and after which time a question is asked again: the wait doubles each time.
#[derive(Debug, Clone)]
pub struct Patience {
    left: u8,
    wait: Duration,
}

impl Patience {
    pub fn new(capture: &config::Capture) -> Self {
        Patience {
            left: capture.retries,
            wait: capture.retry_wait.0,
        }
    }

    /// Waits, if there is still a try left and `deadline` would not pass meanwhile. Whether to ask again.
    pub fn wait(&mut self, deadline: Instant) -> bool {
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        if Instant::now() + self.wait >= deadline {
            return false;
        }
        thread::sleep(self.wait);
        self.left = left;
        self.wait = self.wait.saturating_mul(2);
        true
    }
}
