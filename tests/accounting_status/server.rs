use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use billdrop::{
    account::{
        event::{Call, Event, EventKind, Moment, Subject},
        module::{Attempt, Module, Outcome},
        status::{ServerOptions, StatusAcct, StatusServer},
    },
    config::gatekeeper,
};

use super::recorded_events;

const LONG: Duration = Duration::from_secs(30);

fn of() -> gatekeeper::Gatekeeper {
    gatekeeper::Gatekeeper {
        name: "example-gk".into(),
        home: None,
        timestamp_format: "Cisco".into(),
        update_interval: Duration::ZERO,
        cdr_timestamp_format: "RFC822".into(),
        unconnected_cdr: false,
        called_station_id_to_dialed_ip: false,
        chain: Vec::new(),
        skipped: Vec::new(),
        file: None,
        radius: None,
        sql: None,
        status: None,
        syslog: None,
    }
}

fn server(change: impl FnOnce(&mut ServerOptions)) -> StatusServer {
    let mut options = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        max_clients: 20,
        queue: 1 << 20,
    };
    change(&mut options);
    StatusServer::start(options, &of()).unwrap()
}

struct Reader {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Reader {
    fn connect(server: &StatusServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Reader { stream, lines }
    }

    /// One that has been let in.
    fn greeted(server: &StatusServer) -> Self {
        let mut reader = Self::connect(server);
        while reader.line() != ";" {}
        reader
    }

    fn line(&mut self) -> String {
        let mut octets = Vec::new();
        self.lines.read_until(b'\n', &mut octets).unwrap();
        let line = octets.strip_suffix(b"\r\n").unwrap_or(&octets);
        String::from_utf8_lossy(line).into_owned()
    }

    fn ask(&mut self, command: &str) -> String {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        self.line()
    }
}

fn stop(number: u64) -> Event {
    let time = |seconds| {
        Some(Moment {
            seconds,
            micros: 0,
            zone: Some((3600, "CET".into())),
        })
    };
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: time(1_795_355_027).unwrap(),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            number,
            connect: time(1_795_355_007),
            disconnect: time(1_795_355_027),
            src_info: "x".repeat(200).as_str().into(),
            ..Call::default()
        })),
    }
}

#[test]
fn a_client_is_greeted_as_by_the_gatekeeper_and_gets_its_cdr_line() {
    let server = server(|_| {});
    let mut reader = Reader::connect(&server);
    let mut negotiation = [0; 9];
    reader.lines.read_exact(&mut negotiation).unwrap();
    assert_eq!(&negotiation, b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01");
    assert_eq!(reader.line(), "Version:");
    let version = reader.line();
    assert!(version.starts_with("Gatekeeper(billdrop) Version("), "{version}");
    let startup = reader.line();
    assert!(
        startup.starts_with("Startup: ") && startup.contains("   Running: 0 days 00:00:"),
        "{startup}"
    );
    assert_eq!(reader.line(), ";");
    for event in recorded_events("feed-answered-pipe-in-alias.bin") {
        server.observe(&event);
    }
    // As the gatekeeper wrote it for that call.
    let expected = super::fixture("feed-answered-pipe-in-alias.bin");
    let expected = String::from_utf8_lossy(&expected).into_owned();
    let expected = expected
        .lines()
        .find(|line| line.starts_with("CDR|"))
        .unwrap()
        .to_owned();
    assert_eq!(reader.line(), expected);
}

#[test]
fn calls_that_were_never_connected_have_no_cdr_line_unless_the_ini_says_so() {
    let silent = server(|_| {});
    let mut options = of();
    options.unconnected_cdr = true;
    let listen = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        allowed: vec!["127.0.0.1".parse().unwrap()],
        max_clients: 1,
        queue: 1 << 20,
    };
    let talking = StatusServer::start(listen, &options).unwrap();
    let (mut one, mut other) = (Reader::greeted(&silent), Reader::greeted(&talking));
    for event in recorded_events("feed-unanswered.bin") {
        silent.observe(&event);
        talking.observe(&event);
    }
    assert!(
        other
            .line()
            .contains("|0|unconnected|Sun, 22 Nov 2026 15:24:47 +01:00|")
    );
    assert_eq!(one.ask("trace"), "Output trace level is 2");
}

#[test]
fn a_client_that_hangs_is_cut_off_and_the_other_one_gets_every_line() {
    const CALLS: u64 = 40_000;
    let server = server(|options| options.queue = 8 << 20);
    let mut hanging = Reader::greeted(&server);
    let mut reading = Reader::greeted(&server);
    let reader = thread::spawn(move || {
        for number in 1..=CALLS {
            let line = reading.line();
            assert!(
                line.starts_with(&format!("CDR|{number}|")) && line.ends_with("|example-gk;"),
                "{line}"
            );
        }
    });
    let mut slowest = Duration::ZERO;
    for number in 1..=CALLS {
        let begin = Instant::now();
        server.observe(&stop(number));
        slowest = slowest.max(begin.elapsed());
        // As fast as the reading client, so that only the hanging one falls behind.
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    reader.join().unwrap();
    assert!(slowest < Duration::from_secs(1), "a call waited {slowest:?}");
    let begin = Instant::now();
    while server.clients() > 1 {
        assert!(begin.elapsed() < LONG, "it is still there");
        thread::sleep(Duration::from_millis(10));
    }
    // What was in the sockets, and then the end.
    let mut rest = Vec::new();
    let _ = hanging.lines.read_to_end(&mut rest);
    assert!(rest.len() < 20 << 20);
}

#[test]
fn lines_of_statusacct_reach_clients_that_want_event_lines() {
    let server = Arc::new(server(|_| {}));
    let options = gatekeeper::StatusAcct {
        timestamp_format: None,
        templates: vec![(EventKind::Stop, "STOP|%n|%d".into())],
    };
    let module = StatusAcct::new(&options, &of(), server.clone()).unwrap();
    let mut all = Reader::greeted(&server);
    let mut none = Reader::greeted(&server);
    assert_eq!(none.ask("trace 0"), "Output trace level is 0");
    let attempt = Attempt { key: "k", again: false };
    assert_eq!(module.log(&stop(7), &attempt), Outcome::Ok);
    server.observe(&stop(8));
    assert_eq!(all.line(), "STOP|7|20");
    assert!(all.line().starts_with("CDR|8|"));
    assert_eq!(none.ask("bogus"), "Error: Unknown command 'bogus'");
}

#[test]
fn statistics_count_calls() {
    let server = server(|_| {});
    for event in recorded_events("feed-answered-pipe-in-alias.bin").into_iter().take(4) {
        server.observe(&event);
    }
    let mut reader = Reader::greeted(&server);
    assert_eq!(reader.ask("s"), "-- Call Statistics --");
    assert_eq!(reader.line(), "Current Calls: 1");
    assert_eq!(reader.line(), "Total Calls: 1  Successful: 1");
    assert!(reader.line().starts_with("Startup: "));
    assert_eq!(reader.line(), ";");
    assert_eq!(reader.ask("q"), "");
}

#[test]
fn who_is_not_allowed_or_too_many_is_sent_away() {
    let nobody = server(|options| options.allowed = vec!["192.0.2.0/24".parse().unwrap()]);
    let one = server(|options| options.max_clients = 1);
    let _first = Reader::greeted(&one);
    for server in [&nobody, &one] {
        let mut octets = Vec::new();
        Reader::connect(server).lines.read_to_end(&mut octets).unwrap();
        assert_eq!(octets, b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01\r\nAccess forbidden!\r\n");
    }
}

#[test]
fn a_client_that_types_without_end_is_sent_away() {
    let server = server(|_| {});
    let mut reader = Reader::greeted(&server);
    reader.stream.write_all(&[b'x'; 2000]).unwrap();
    assert_eq!(reader.line(), "");
}
