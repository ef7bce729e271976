//! An agent in a thread of its own. What it does wrong, a test tells it.

use std::{
    fs,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::cmts_agent::{Request, Rows, Value};

/// Most agents send no message that is larger.
pub const UNFRAGMENTED: usize = 1400;

pub enum Reply {
    Here(Vec<u8>),
    /// From another port.
    Elsewhere(Vec<u8>),
}

/// What an agent does with a request; the number counts from 1.
pub trait Act: FnMut(&Request<'_>, u64) -> Vec<Reply> + Send + 'static {}
impl<F: FnMut(&Request<'_>, u64) -> Vec<Reply> + Send + 'static> Act for F {}

pub struct Agent {
    pub port: u16,
    requests: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    pub fn start(mut act: impl Act) -> Self {
        Agent::start_with_octets(move |octets, number| {
            Request::read(octets).map_or_else(Vec::new, |request| act(&request, number))
        })
    }

    /// For messages that are not of version 2c.
    pub fn start_with_octets(mut act: impl FnMut(&[u8], u64) -> Vec<Reply> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (requests, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (requests.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut octets = [0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut octets) else {
                    continue;
                };
                let number = 1 + counted.fetch_add(1, Ordering::Relaxed);
                for reply in act(&octets[..length], number) {
                    // A message that is too large for a datagram is lost, as it would be.
                    let _ = match reply {
                        Reply::Here(octets) => socket.send_to(&octets, from),
                        Reply::Elsewhere(octets) => elsewhere.send_to(&octets, from),
                    };
                }
            }
        });
        Agent {
            port,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(e)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(e);
        }
    }
}

/// What an agent without faults replies.
pub fn right(rows: &Rows, request: &Request<'_>) -> Vec<u8> {
    let varbinds = rows
        .answer(request, UNFRAGMENTED)
        .expect("a request that is understood");
    request.response(0, 0, &varbinds)
}

/// The rows of a file of `fixtures/cmts/`.
pub fn rows(file: &str) -> Rows {
    let path = format!("{}/fixtures/cmts/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let mut rows = Rows::default();
    for line in text.lines() {
        let [name, tag, value] = line.splitn(3, '|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let name = arcs(name);
        let number = || value.parse::<u64>().unwrap();
        let narrow = || u32::try_from(number()).unwrap();
        match tag {
            "2" => rows.push(name, Value::Integer(value.parse().unwrap())),
            "4" => rows.push(name, Value::Octets(value.as_bytes())),
            "4x" => rows.push(name, Value::Octets(&hex(value))),
            "64" => rows.push(
                name,
                Value::IpAddress(value.parse::<std::net::Ipv4Addr>().unwrap().octets()),
            ),
            "65" => rows.push(name, Value::Counter32(narrow())),
            "66" => rows.push(name, Value::Gauge32(narrow())),
            "67" => rows.push(name, Value::TimeTicks(narrow())),
            "70" => rows.push(name, Value::Counter64(number())),
            // sysObjectID, which no poll asks for.
            "6" => {}
            _ => panic!("{line}"),
        }
    }
    rows.sort();
    rows
}

pub fn arcs(text: &str) -> Vec<u32> {
    text.split('.').map(|arc| arc.parse().unwrap()).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}
