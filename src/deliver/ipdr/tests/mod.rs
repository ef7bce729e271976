//! An exporter that runs, with collectors at real sockets of this host.

mod connections;
mod failover;
mod flows;
mod hostile;
mod security;

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use chrono::Utc;

use super::{store::Store, *};
use crate::{
    protocol::ipdr::{
        Body, Capabilities, Connect, DocumentId, DocumentIdForm, FlowStopReason, FrameReader, Message, Patience,
        SessionKind, SessionStart, SessionStopReason, TemplateNames,
    },
    record::SAMIS_TYPE_1,
};

/// Nothing takes as long here, unless it is broken.
const LONG: Duration = Duration::from_secs(20);

/// Settings in which nobody waits.
fn settings(collectors: &[(u8, u32)]) -> Settings {
    let collector = |(last, priority): &(u8, u32)| CollectorSetting {
        name: format!("c{last}"),
        address: address(*last),
        initiator: None,
        priority: *priority,
        dial: None,
    };
    Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        keep_alive: Duration::from_secs(30),
        hold_down: Duration::ZERO,
        wait_for_best: Duration::ZERO,
        reconnect: Duration::from_millis(20),
        farewell: Duration::from_secs(2),
        collectors: collectors.iter().map(collector).collect(),
        ..Settings::default()
    }
}

/// 127.0.0.x: each collector of a test has its own.
fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn session(id: u8) -> SessionSetting {
    SessionSetting {
        id,
        name: format!("SAMIS-{id}"),
        description: "flows of modems".to_owned(),
        kind: SessionKind::TimeInterval,
        definition: &SAMIS_TYPE_1,
        template_id: 13,
        names: TemplateNames::of(&SAMIS_TYPE_1),
        collectors: None,
        patience: Patience {
            ack_time: Duration::from_millis(100),
            grace: Duration::from_millis(100),
            stall: Duration::from_millis(600),
            window: 200,
            ..Patience::default()
        },
        ack_records: 50,
        negotiable: false,
    }
}

/// A running exporter.
struct Stage {
    at: SocketAddr,
    discovery: Option<SocketAddr>,
    handle: Handle,
    stores: Vec<Store>,
    events: mpsc::Receiver<Event>,
    snapshots: mpsc::Receiver<Snapshot>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    directory: tempfile::TempDir,
    documents: u32,
}

struct Told {
    events: mpsc::Sender<Event>,
    snapshots: mpsc::Sender<Snapshot>,
}

impl Watch for Told {
    fn event(&self, event: &Event) {
        let _ = self.events.send(event.clone());
    }

    fn snapshot(&self, snapshot: &Snapshot) {
        let _ = self.snapshots.send(snapshot.clone());
    }
}

impl Stage {
    fn new(settings: Settings, sessions: Vec<SessionSetting>) -> Stage {
        Stage::at(tempfile::tempdir().unwrap(), settings, sessions)
    }

    fn at(directory: tempfile::TempDir, settings: Settings, sessions: Vec<SessionSetting>) -> Stage {
        let open = |session: &SessionSetting| {
            let (store, troubles) = Store::open(&directory.path().join(&session.name)).unwrap();
            assert_eq!(troubles, []);
            store
        };
        let stores: Vec<Store> = sessions.iter().map(open).collect();
        let (tell_event, events) = mpsc::channel();
        let (tell_snapshot, snapshots) = mpsc::channel();
        let told = Told {
            events: tell_event,
            snapshots: tell_snapshot,
        };
        let inbox = Inbox::new().unwrap();
        let handle = inbox.handle();
        let sessions = sessions.into_iter().zip(stores.clone()).collect();
        let exporter = Exporter::new(settings, sessions, inbox, Box::new(told)).unwrap();
        Stage {
            at: exporter
                .addresses()
                .first()
                .copied()
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 1))),
            discovery: exporter.discovery_address(),
            handle,
            stores,
            events,
            snapshots,
            thread: Some(
                std::thread::Builder::new()
                    .name("ipdr-exporter".to_owned())
                    .spawn(move || exporter.run())
                    .unwrap(),
            ),
            directory,
            documents: 0,
        }
    }

    /// A whole document of so many records, which are their sequence numbers.
    fn document(&mut self, session: usize, records: u64) -> DocumentId {
        self.documents += 1;
        let id = DocumentIdForm::TimeNumberMac.make(1, self.documents.into(), [2; 6]);
        let encoding = self.handle.encoding(session).unwrap();
        let meta = super::store::Meta {
            id,
            created: Utc::now(),
            config_id: encoding.config_id,
            template: encoding.template,
        };
        let mut writing = self.stores[session].begin(meta).unwrap();
        for sequence in 0..records {
            writing.push(&sequence.to_be_bytes()).unwrap();
        }
        writing.seal(true, &[]).unwrap();
        self.handle.changed(session);
        id
    }

    /// Waits for an event that fits.
    fn until<T>(&self, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        let begin = Instant::now();
        let mut told = Vec::new();
        while let Some(left) = LONG.checked_sub(begin.elapsed()) {
            let Ok(event) = self.events.recv_timeout(left) else {
                break;
            };
            if let Some(found) = fits(&event) {
                return found;
            }
            told.push(event.to_string());
        }
        panic!("it did not happen; what did: {told:#?}");
    }

    fn until_delivered(&self) -> (u64, u64) {
        self.until(|event| match event {
            Event::Delivered { records, dropped, .. } => Some((*records, *dropped)),
            _ => None,
        })
    }

    fn until_failed(&self) -> crate::protocol::ipdr::Failure {
        self.until(|event| match event {
            Event::Failed { failure, .. } => Some(*failure),
            _ => None,
        })
    }

    /// Ends it in an orderly way.
    fn stop(&mut self) {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A collector that does what it is told.
struct Collector {
    socket: TcpStream,
    reader: FrameReader,
    input: Vec<u8>,
    at: usize,
}

impl Collector {
    /// Connects from 127.0.0.`last`, and says nothing.
    fn silent(stage: &Stage, last: u8) -> Collector {
        Collector::of(dial(address(last), stage.at))
    }

    fn of(socket: TcpStream) -> Collector {
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.set_nodelay(true).unwrap();
        Collector {
            socket,
            reader: FrameReader::new(1 << 24),
            input: Vec::new(),
            at: 0,
        }
    }

    /// CONNECT is exchanged.
    fn connected(stage: &Stage, last: u8) -> Collector {
        let mut collector = Collector::silent(stage, last);
        collector.send(0, connect(0));
        assert!(matches!(collector.receive().body, Body::ConnectResponse(_)));
        collector
    }

    /// The templates of session 1 are acknowledged.
    fn ready(stage: &Stage, last: u8) -> Collector {
        let mut collector = Collector::connected(stage, last);
        collector.start_flow(1);
        collector
    }

    fn start_flow(&mut self, session: u8) {
        self.send(session, Body::FlowStart);
        let message = self.receive();
        assert_eq!(message.session_id, session);
        assert!(matches!(message.body, Body::TemplateData(_)), "{message:?}");
        self.send(session, Body::FinalTemplateDataAck);
    }

    fn send(&mut self, session_id: u8, body: Body) {
        let mut octets = Vec::new();
        Message::new(session_id, body).encode(&mut octets).unwrap();
        self.socket.write_all(&octets).unwrap();
    }

    fn ack(&mut self, sequence: u64) {
        self.send(1, Body::DataAck { config_id: 0, sequence });
    }

    /// The next message that is no KEEP_ALIVE; [`None`]: the connection has ended.
    fn next(&mut self) -> Option<Message> {
        loop {
            let mut rest = &self.input[self.at..];
            let before = rest.len();
            let read = self.reader.read(&mut rest).unwrap();
            self.at += before - rest.len();
            match read {
                Some(frame) => match Message::decode(&frame).unwrap() {
                    Message {
                        body: Body::KeepAlive, ..
                    } => {}
                    message => return Some(message),
                },
                None => {
                    self.input.resize(64 << 10, 0);
                    let octets = self.socket.read(&mut self.input).unwrap_or_else(|e| match e.kind() {
                        std::io::ErrorKind::ConnectionReset => 0,
                        _ => panic!("{e}"),
                    });
                    self.input.truncate(octets);
                    self.at = 0;
                    if octets == 0 {
                        return None;
                    }
                }
            }
        }
    }

    fn receive(&mut self) -> Message {
        self.next().expect("the connection has ended")
    }

    fn receive_start(&mut self) -> SessionStart {
        match self.receive().body {
            Body::SessionStart(start) => start,
            other => panic!("no SESSION_START: {other:?}"),
        }
    }

    fn receive_stop(&mut self) -> SessionStopReason {
        match self.receive().body {
            Body::SessionStop { reason, .. } => reason,
            other => panic!("no SESSION_STOP: {other:?}"),
        }
    }

    /// So many DATA: their sequence numbers, and which are duplicates.
    fn receive_data(&mut self, count: usize) -> (Vec<u64>, Vec<u64>) {
        let (mut sequences, mut duplicates) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let Body::Data(data) = self.receive().body else {
                panic!()
            };
            assert_eq!(data.record, data.sequence.to_be_bytes());
            sequences.push(data.sequence);
            if data.is_duplicate {
                duplicates.push(data.sequence);
            }
        }
        (sequences, duplicates)
    }

    /// Takes one document to its end, and acknowledges as a good collector does. Which records were no duplicates.
    fn take_document(&mut self) -> (DocumentId, Vec<u64>) {
        let start = self.receive_start();
        let mut fresh = Vec::new();
        let (mut count, mut expected) = (0, start.first_sequence);
        loop {
            match self.receive().body {
                Body::Data(data) => {
                    assert_eq!(data.sequence, expected);
                    expected += 1;
                    if !data.is_duplicate {
                        fresh.push(data.sequence);
                    }
                    count += 1;
                    if count % start.ack_records == 0 {
                        self.ack(data.sequence);
                    }
                    assert_eq!(data.record, data.sequence.to_be_bytes());
                }
                Body::SessionStop { .. } => return (start.document_id, fresh),
                other => panic!("{other:?}"),
            }
            if !self.has_more() {
                self.ack(expected - 1);
            }
        }
    }

    /// Whether there is something that was received and is not looked at.
    fn has_more(&mut self) -> bool {
        if self.at < self.input.len() {
            return true;
        }
        self.socket.set_nonblocking(true).unwrap();
        let has_more = self.socket.peek(&mut [0]).is_ok();
        self.socket.set_nonblocking(false).unwrap();
        has_more
    }

    /// The error that comes before the connection ends.
    fn refused(&mut self) -> crate::protocol::ipdr::ErrorCode {
        let Body::Error { code, .. } = self.receive().body else {
            panic!()
        };
        assert_eq!(self.next(), None);
        code
    }
}

fn connect(capabilities: u32) -> Body {
    Body::Connect(Connect {
        address: [10, 1, 1, 1],
        port: 7821,
        capabilities: Capabilities(capabilities),
        keep_alive_seconds: 60,
        vendor: "test".to_owned(),
    })
}

/// From an address of this host.
fn dial(from: IpAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}
