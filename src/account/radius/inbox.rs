//! Where a caller waits for what comes of its request.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use crate::protocol::radius::ReplyError;

/// News that may wait to be read.
const FLOOD: usize = 64;

/// Belongs to one event: whatever comes for any of its transmissions.
#[derive(Default)]
pub struct Inbox {
    news: Mutex<VecDeque<(usize, News)>>,
    bell: Condvar,
}

#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// A genuine reply, by its code.
    Reply(u8),
    /// A reply that is not believed.
    Wrong(ReplyError),
    /// The server's host, or something on the way, says that nobody listens there.
    Refused(String),
}

impl Inbox {
    pub fn put(&self, server: usize, news: News) {
        let mut waiting = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever forges replies does not fill our memory with them.
        if waiting.len() < FLOOD || matches!(news, News::Reply(_)) {
            waiting.push_back((server, news));
            self.bell.notify_one();
        }
    }

    /// Before another transmission: what went wrong with the last one is over. Replies stay.
    pub fn forget_troubles(&self) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.retain(|(_, news)| matches!(news, News::Reply(_)));
    }

    /// What came next, and from which server; [`None`] when nothing has come until `deadline`.
    pub fn take(&self, deadline: Instant) -> Option<(usize, News)> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(first) = news.pop_front() {
                return Some(first);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            news = self
                .bell
                .wait_timeout(news, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
