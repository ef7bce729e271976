//! One device on its port: a thread that takes connections, and one for each of them.

use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chrono::{DateTime, Utc};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::content::Content;
use crate::credentials::Credentials;
use crate::delivery::{self, After, Delivery, Stream};
use crate::device::Device;
use crate::http::{Answer, Request, Unreadable};
use crate::journal::{Arrival, Journal, Seen};

/// What a CUCM and a CMS have in common: they answer.
pub trait Appliance: Send + Sync {
    /// `now` is the device's own time.
    fn answer(&self, request: &Request, now: DateTime<Utc>, seen: &mut Seen) -> Answer;

    /// The answer that is nothing but a status.
    fn refusal(&self, status: u16) -> Answer;
}

pub struct Machine {
    pub device: Device,
    pub credentials: Credentials,
    pub appliance: Box<dyn Appliance>,
    pub journal: Arc<Journal>,
    pub requests: AtomicU64,
    pub running: AtomicU64,
}

/// Serves until the process ends. `tls` None: plain HTTP.
pub fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, machine: Arc<Machine>) -> io::Result<()> {
    let name = machine.device.name.clone();
    thread::Builder::new().name(name.clone()).spawn(move || {
        let mut connections = 0;
        for connection in listener.incoming() {
            let Ok(tcp) = connection else { continue };
            connections += 1;
            let number = connections;
            let machine = machine.clone();
            let tls = tls.clone();
            let spawned = thread::Builder::new()
                .name(name.clone())
                .spawn(move || converse(tcp, tls, &machine, number));
            if let Err(error) = spawned {
                eprintln!("simulators: {name}: {error}");
            }
        }
    })?;
    Ok(())
}

fn converse(tcp: TcpStream, tls: Option<Arc<ServerConfig>>, machine: &Machine, connection: u64) {
    let _ = tcp.set_nodelay(true);
    if machine.device.delivery == Delivery::HangInHandshake {
        let mut tcp = tcp;
        let _ = io::copy(&mut tcp, &mut io::sink());
        return;
    }
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(tls) => match ServerConnection::new(tls) {
            Ok(session) => Stream::Tls(Box::new(StreamOwned::new(session, tcp))),
            Err(_) => return,
        },
    };
    let mut stream = BufReader::with_capacity(16 << 10, stream);
    loop {
        let after = match Request::read(&mut stream) {
            Ok(request) => machine.answer(&request, connection, &mut stream),
            Err(Unreadable::Closed) => return,
            Err(Unreadable::Wrong(status, why)) => {
                eprintln!("simulators: {}: {why}", machine.device.name);
                let answer = Answer::new(status, "text/plain", why);
                delivery::send(&mut stream, answer, Delivery::Ordinary, true, &machine.date())
            }
        };
        match after {
            Ok(After::Open) => {}
            Ok(after) => return stream.get_mut().end(&after),
            Err(_) => return,
        }
    }
}

impl Machine {
    fn answer(&self, request: &Request, connection: u64, stream: &mut BufReader<Stream>) -> io::Result<After> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let arrival = Arrival {
            device: &self.device.name,
            number,
            connection,
            concurrent: self.running.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let result = self.answer_to(request, &arrival, stream);
        self.running.fetch_sub(1, Ordering::Relaxed);
        result
    }

    fn answer_to(&self, request: &Request, arrival: &Arrival, stream: &mut BufReader<Stream>) -> io::Result<After> {
        let device = &self.device;
        let mut seen = Seen::default();
        let mut answer = match device.failure(arrival.number) {
            Some(status) => self.appliance.refusal(status),
            None => self.appliance.answer(request, device.clock.now(), &mut seen),
        };
        let (mut content, mut delivery) = (Content::Ordinary, Delivery::Ordinary);
        if (device.from..=device.until).contains(&arrival.number) {
            (content, delivery) = (device.content, device.delivery);
        }
        if content != Content::Ordinary {
            answer = content.apply(device.kind, answer, request, &self.credentials);
        }
        let silent = matches!(delivery, Delivery::Hang | Delivery::Garbage);
        let status = (!silent).then_some(answer.status);
        self.journal
            .write(arrival, request, self.credentials.of(request), status, seen);
        if !device.answer_after.is_zero() {
            thread::sleep(device.answer_after);
        }
        let close = device.close || request.wants_close();
        delivery::send(stream, answer, delivery, close, &self.date())
    }

    fn date(&self) -> String {
        self.device.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}
