//! A gatekeeper made up of what a real one has said, and one who takes events.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use billdrop::account::{
    event::Event,
    status::{Client, ClientOptions, Sink, Taken, Timing},
};

pub const STARTUP: &str = "Sun, 22 Nov 2026 15:24:40 +01:00";
const LONG: Duration = Duration::from_secs(30);

/// One connection, from the gatekeeper's side.
pub struct Connection {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Connection {
    pub fn say(&mut self, octets: impl AsRef<[u8]>) {
        // The client may be gone already.
        let _ = self.stream.write_all(octets.as_ref());
    }

    /// The next command; empty when the client has gone.
    pub fn command(&mut self) -> String {
        let mut line = String::new();
        let _ = self.lines.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// Greets, and answers the first commands as the real one does.
    pub fn greet(&mut self, startup: &str, backlog: &str) {
        self.say(b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01");
        self.banner(startup);
        self.catch_up(backlog);
    }

    pub fn banner(&mut self, startup: &str) {
        self.say(format!(
            "Version:\r\nGatekeeper(GNU) Version(5.15.0) Ext(radius=1) Sys(Linux x86_64)\r\n\
             Startup: {startup}   Running: 0 days 00:01:43\r\n;\r\n"
        ));
    }

    pub fn catch_up(&mut self, backlog: &str) {
        assert_eq!(self.command(), "trace 1");
        self.say("Output trace level is 1\r\n");
        assert_eq!(self.command(), "printeventbacklog");
        self.say(format!("{backlog};\r\n"));
        assert_eq!(self.command(), "s");
        self.statistics(1);
    }

    pub fn statistics(&mut self, calls: u64) {
        self.say(format!(
            "-- Endpoint Statistics --\r\nTotal Endpoints: 2  Terminals: 2  Gateways: 0  NATed: 0\r\n-- Call Statistics --\r\n\
             Total Calls: {calls}  Successful: 1  From Neighbor: 0\r\nStartup: {STARTUP}   Running: 0 days 00:01:44\r\n;\r\n"
        ));
    }

    /// Answers signs of life until the client goes.
    pub fn hold(&mut self) {
        while !self.command().is_empty() {
            self.statistics(1);
        }
    }
}

type Script = Box<dyn FnOnce(&mut Connection) + Send>;

/// Takes one connection for each script, one after the other, and closes it when the script is over.
pub fn gatekeeper(scripts: Vec<Script>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap());
            script(&mut Connection { stream, lines });
        }
    });
    address
}

pub fn script(script: impl FnOnce(&mut Connection) + Send + 'static) -> Script {
    Box::new(script)
}

/// A record as recorded, of another call: `number` takes the place of counter, call number and all that is made of them.
pub fn record(kind: &str, number: u32) -> String {
    let recording = super::fixture("feed-unanswered.bin");
    let text = String::from_utf8_lossy(&recording);
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("BD1|{kind}|")))
        .unwrap();
    let uuid = line.split('|').nth(2).unwrap().to_owned();
    let counter = |n: u32| format!("|6b02fb28{n:08x}|{n}|");
    let line = line
        .replace(&uuid, &uuid_of(kind, number))
        .replacen(&counter(1), &counter(number), 1)
        .replacen(
            "cc-f0-f1-20",
            &format!("{:02x}-{:02x}-f1-20", number >> 8 & 0xff, number & 0xff),
            1,
        );
    format!("{}\r\n", line.trim_end())
}

pub fn uuid_of(kind: &str, number: u32) -> String {
    let kind = kind.bytes().fold(0_u8, u8::wrapping_add);
    format!("{kind:02x}{number:06x}-eee4-f111-83b7-02fc00000001")
}

pub fn in_backlog(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("2026-11-22 15:24:26: {line}"))
        .collect()
}

/// A CDR line for the call of [`record`].
pub fn cdr_line(number: u32) -> String {
    format!(
        "CDR|{number}|{:02x} {:02x} f1 20 ee e4 f1 11 8c b2 02 fc 00 00 00 01|4|Sun, 22 Nov 2026 15:24:43 +01:00|\
         Sun, 22 Nov 2026 15:24:47 +01:00|127.0.0.1:39790|4119406410_endp|127.0.0.1:11820|4214524073_endp|2002:dialedDigits|\
         alice:h323_ID=1001:dialedDigits|example-gk;\r\n",
        number >> 8 & 0xff,
        number & 0xff
    )
}

/// Keeps what it is given.
#[derive(Default)]
pub struct Kept {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
pub struct Inner {
    pub events: Vec<(String, Event)>,
    keys: HashSet<String>,
    pub known: usize,
    pub gaps: Vec<String>,
    pub notices: Vec<String>,
    /// Events are held up.
    held: bool,
    /// So many times an event is refused.
    pub refusals: usize,
}

impl Sink for Kept {
    fn event(&self, key: &str, event: &Event) -> Result<Taken, String> {
        let mut inner = self.inner.lock().unwrap();
        // Not for ever: a test that has failed must end.
        let begin = Instant::now();
        while inner.held && begin.elapsed() < LONG * 2 {
            inner = self.changed.wait_timeout(inner, LONG).unwrap().0;
        }
        self.changed.notify_all();
        if inner.refusals > 0 {
            inner.refusals -= 1;
            return Err("no space left on device".into());
        }
        if !inner.keys.insert(key.to_owned()) {
            inner.known += 1;
            return Ok(Taken::Known);
        }
        inner.events.push((key.to_owned(), event.clone()));
        Ok(Taken::New)
    }

    fn gap(&self, text: &str) {
        self.inner.lock().unwrap().gaps.push(text.to_owned());
        self.changed.notify_all();
    }

    fn notice(&self, text: &str) {
        self.inner.lock().unwrap().notices.push(text.to_owned());
        self.changed.notify_all();
    }
}

impl Kept {
    pub fn hold(&self, held: bool) {
        self.inner.lock().unwrap().held = held;
        self.changed.notify_all();
    }

    pub fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock().unwrap());
    }

    /// Waits for what must come.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&Inner) -> bool) {
        let begin = Instant::now();
        let mut inner = self.inner.lock().unwrap();
        while !is_so(&inner) {
            inner = self.changed.wait_timeout(inner, Duration::from_millis(100)).unwrap().0;
            assert!(
                begin.elapsed() < LONG,
                "{what}\nevents {:?}\ngaps {:#?}\nnotices {:#?}",
                inner
                    .events
                    .iter()
                    .map(|(key, event)| (key, event.kind))
                    .collect::<Vec<_>>(),
                inner.gaps,
                inner.notices
            );
        }
    }

    pub fn keys(&self) -> Vec<String> {
        self.inner
            .lock()
            .unwrap()
            .events
            .iter()
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub fn gaps(&self) -> Vec<String> {
        self.inner.lock().unwrap().gaps.clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.inner
            .lock()
            .unwrap()
            .events
            .iter()
            .map(|(_, event)| event.clone())
            .collect()
    }
}

pub fn quick() -> ClientOptions {
    ClientOptions {
        timing: Timing {
            heartbeat: Duration::from_millis(100),
            first_pause: Duration::from_millis(20),
            last_pause: Duration::from_millis(200),
            cdr: Duration::from_millis(400),
            hole: LONG,
            ..Timing::default()
        },
        ..ClientOptions::default()
    }
}

pub fn follow(address: SocketAddr, options: ClientOptions) -> (Client, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let sink: Arc<dyn Sink> = kept.clone();
    (Client::start(&address.to_string(), options, sink).unwrap(), kept)
}
