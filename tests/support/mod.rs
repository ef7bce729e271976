//! Real peers for the tests: started in a temporary directory on a free loopback port, ended on drop.
//!
//! A peer that is not installed fails the test with the command that installs it; nothing is skipped.
#![allow(dead_code)] // each test binary uses a part

pub mod accounts;
pub mod binary;
pub mod captured;
pub mod certificates;
pub mod collector;
pub mod cucm;
pub mod example;
pub mod faults;
pub mod freeradius;
pub mod ipdr;
pub mod mariadb;
pub mod namespace;
pub mod postgres;
pub mod proxy;
pub mod radius;
pub mod simulators;
pub mod snmptrapd;
pub mod sshd;
pub mod tftpd;

use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A port that is free for TCP and UDP on 127.0.0.1, below the range that the kernel gives to outgoing connections.
///
/// Another process may take it before it is used: whoever starts a peer on it tries again with another one.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 12_000) as u16;
    for _ in 0..12_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + start.wrapping_add(step) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 31999");
}

/// Says something that must be seen although the test passes: the test runner keeps `println!` of those to itself.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Asks again every 10 ms until there is an answer; `None` when `limit` is over.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() > deadline => return None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Asks `ready` every 10 ms; panics with `what` when `limit` has passed.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    assert!(
        poll(limit, || ready().then_some(())).is_some(),
        "{what}: not within {limit:?}"
    );
}

/// A child process that is killed with all its descendants when it goes out of scope.
pub struct Peer(pub Child);

impl Peer {
    /// Starts `command`; `package` is what to install when it is missing.
    pub fn spawn(command: &mut Command, package: &str) -> Self {
        match command.spawn() {
            Ok(child) => Peer(child),
            Err(error) => panic!(
                "cannot start {}: {error}\n  apt-get install --no-install-recommends {package}",
                command.get_program().to_string_lossy()
            ),
        }
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Collected first: an orphan no longer shows whose child it was.
        let descendants = descendants_of(self.0.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
        for pid in descendants {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn descendants_of(ancestor: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The fourth field of /proc/PID/stat; the second is a name in parentheses that may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
