//! Real peers for the tests: each in a directory and on a port of its own, stopped when it is dropped.
#![allow(dead_code, reason = "each test file uses the peers it needs")]

pub mod snmptrapd;

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::Child,
    time::{Duration, Instant},
};

/// A child process that does not outlive the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free for UDP and TCP on 127.0.0.1, below those that the kernel gives to clients.
///
/// Another process may take it before it is used: whoever starts a peer on it tries again with another one.
pub fn free_port() -> u16 {
    const RANGE: std::ops::Range<u32> = 12_000..32_000;
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |t| t.subsec_nanos());
    let mut port = nanos.wrapping_add(std::process::id().wrapping_mul(7919));
    for _ in 0..1000 {
        port = port.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let candidate = (RANGE.start + (port >> 8) % (RANGE.end - RANGE.start)) as u16;
        let address = (Ipv4Addr::LOCALHOST, candidate);
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return candidate;
        }
    }
    panic!("no free port on 127.0.0.1");
}

/// Asks again every 10 ms until there is an answer; `None` when `limit` is over.
pub fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() > deadline => return None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
