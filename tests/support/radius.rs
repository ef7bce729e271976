//! RADIUS servers of the tests: each does what its test says with every request, and keeps them all.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use md5::{Digest, Md5};

pub const SECRET: &str = "testing123";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub from: SocketAddr,
    pub octets: Vec<u8>,
}

impl Received {
    pub fn identifier(&self) -> u8 {
        self.octets[1]
    }

    pub fn authenticator(&self) -> [u8; 16] {
        self.octets[4..20].try_into().unwrap()
    }

    /// Values of all attributes of this kind.
    pub fn values(&self, kind: u8) -> Vec<Vec<u8>> {
        let mut rest = &self.octets[20..];
        let mut found = Vec::new();
        while let [number, length, ..] = rest {
            let (attribute, behind) = rest.split_at(usize::from(*length));
            if *number == kind {
                found.push(attribute[2..].to_vec());
            }
            rest = behind;
        }
        found
    }

    pub fn delay(&self) -> Option<u32> {
        let values = self.values(41);
        values
            .first()
            .map(|value| u32::from_be_bytes(value[..].try_into().unwrap()))
    }

    /// A reply of this code with these attributes, signed as RFC 2866 §3 says.
    pub fn reply_with(&self, code: u8, attributes: &[u8], secret: &str) -> Vec<u8> {
        let length = (20 + attributes.len()) as u16;
        let mut packet = vec![code, self.identifier()];
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&self.authenticator());
        packet.extend_from_slice(attributes);
        let authenticator = Md5::new().chain_update(&packet).chain_update(secret).finalize();
        packet[4..20].copy_from_slice(&authenticator);
        packet
    }

    pub fn reply(&self) -> Vec<u8> {
        self.reply_with(5, &[], SECRET)
    }
}

/// What a server does: gets all requests so far, the newest last, and its socket.
pub type Behaviour = Box<dyn FnMut(&[Received], &UdpSocket) + Send>;

/// Answers everything.
pub fn answering() -> Behaviour {
    Box::new(|all, socket| answer(all.last().unwrap(), socket))
}

pub fn silent() -> Behaviour {
    Box::new(|_, _| {})
}

pub fn answer(request: &Received, socket: &UdpSocket) {
    socket.send_to(&request.reply(), request.from).unwrap();
}

pub struct FakeServer {
    pub address: SocketAddr,
    kept: Arc<(Mutex<Vec<Received>>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub fn start(behaviour: Behaviour) -> Self {
        FakeServer::start_on("127.0.0.1:0".parse().unwrap(), behaviour)
    }

    pub fn start_on(address: SocketAddr, mut behaviour: Behaviour) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let kept: Arc<(Mutex<Vec<Received>>, Condvar)> = Arc::default();
        let (keep, mut buffer) = (kept.clone(), [0; 5000]);
        let thread = std::thread::spawn(move || {
            loop {
                let (length, from) = match socket.recv_from(&mut buffer) {
                    Ok(came) => came,
                    // Somebody whom we answered is gone.
                    Err(_) => continue,
                };
                if length == 0 {
                    return;
                }
                let mut all = keep.0.lock().unwrap();
                all.push(Received {
                    at: Instant::now(),
                    from,
                    octets: buffer[..length].to_vec(),
                });
                behaviour(&all, &socket);
                keep.1.notify_all();
            }
        });
        FakeServer {
            address,
            kept,
            thread: Some(thread),
        }
    }

    pub fn requests(&self) -> Vec<Received> {
        self.kept.0.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    #[track_caller]
    pub fn wait_for(&self, many: usize) -> Vec<Received> {
        let limit = Duration::from_secs(60);
        let all = self.kept.0.lock().unwrap();
        let (all, waited) = self
            .kept
            .1
            .wait_timeout_while(all, limit, |all| all.len() < many)
            .unwrap();
        assert!(
            !waited.timed_out(),
            "{} requests instead of {many} within {limit:?}",
            all.len()
        );
        all.clone()
    }
}

impl Drop for FakeServer {
    /// Its port is closed then.
    fn drop(&mut self) {
        let local = if self.address.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let ender = UdpSocket::bind(local).unwrap();
        ender.send_to(&[], self.address).unwrap();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
