//! The three chains of the gatekeeper's manual, through the program, with FreeRADIUS up, down, and dying in the middle.

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    thread,
    time::Duration,
};

use support::{
    binary::Place,
    freeradius::{FreeRadius, SECRET},
    poll,
};

const LONG: Duration = Duration::from_secs(120);

/// Tries RADIUS, and always writes the file.
const FIRST: &str = "RadAcct=optional;start,stop\nFileAcct=required";
/// The file only where RADIUS fails; every call may start.
const SECOND: &str = "RadAcct=alternative;start,stop\nFileAcct=sufficient;stop\ndefault=accept";
/// The same, but no call starts that RADIUS does not know.
const THIRD: &str = "RadAcct=alternative;start,stop\nFileAcct=sufficient;stop\ndefault=fail;start";

fn place(chain: &str, radius: &FreeRadius) -> Place {
    let place = Place::new();
    let ini = format!(
        "[Gatekeeper::Main]\nName=gk1\nHome=127.0.0.1\n\n[Gatekeeper::Acct]\n{chain}\n\n\
         [RadAcct]\nServers=127.0.0.1:1812:{}\nSharedSecret={SECRET}\nRequestTimeout=3000\n\n\
         [FileAcct]\nDetailFile={}\nCDRString=%s\n",
        radius.port,
        place.path().join("cdr.log").display()
    );
    fs::write(place.path().join("gatekeeper.ini"), ini).unwrap();
    place.configure("[accounting]\ngatekeeper-ini = 'gatekeeper.ini'\n[log]\ndirectory = \"\"\n");
    place
}

fn event(kind: &str, session: &str) -> String {
    let end = if kind == "stop" {
        ",\"disconnect-time\":1800000061"
    } else {
        ""
    };
    let connect = if kind == "start" {
        ""
    } else {
        ",\"connect-time\":1800000001"
    };
    format!(
        "{{\"event\":\"{kind}\",\"s\":\"{session}\",\"n\":1,\"setup-time\":1800000000{connect}{end},\"c\":16,\
         \"Calling-Station-Id\":\"1001\",\"Called-Station-Id\":\"2002\"}}\n"
    )
}

/// A caller on standard input.
struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start(place: &Place) -> Self {
        let mut child = place
            .command(&["account", "--input", "stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Caller { child, input, output }
    }

    fn verdict(&mut self, kind: &str, session: &str) -> String {
        self.input.write_all(event(kind, session).as_bytes()).unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.split_whitespace().next().unwrap_or_default().to_owned()
    }

    fn end(mut self) {
        drop(self.input);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// Sessions in the CDR file.
fn written(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path().join("cdr.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// `start` or `stop` and the session of every packet in the detail file, with how often it is there.
fn heard(radius: &FreeRadius) -> HashMap<(String, String), u32> {
    let mut heard = HashMap::new();
    for packet in radius.details() {
        let value = |name: &str| {
            let line = packet.lines().find_map(|line| line.trim().strip_prefix(name));
            line.map(|value| value.trim_matches('"').to_lowercase())
        };
        let (Some(kind), Some(session)) = (value("Acct-Status-Type = "), value("Acct-Session-Id = ")) else {
            continue;
        };
        *heard.entry((kind, session)).or_default() += 1;
    }
    heard
}

fn calls(kinds: &[&str], sessions: &[&str]) -> HashMap<(String, String), u32> {
    let all = sessions
        .iter()
        .flat_map(|session| kinds.iter().map(move |kind| (kind, session)));
    all.map(|(kind, session)| ((kind.to_string(), session.to_string()), 1))
        .collect()
}

/// What an example says with RADIUS up and then down: verdicts of start, connect and stop, and whether the file has the call.
struct Says {
    up: [&'static str; 3],
    up_in_file: bool,
    down: [&'static str; 3],
}

fn behaves(chain: &str, says: &Says) {
    let mut radius = FreeRadius::start();
    let place = place(chain, &radius);
    let mut caller = Caller::start(&place);
    let mut ask = |session: &str| ["start", "connect", "stop"].map(|kind| caller.verdict(kind, session));
    assert_eq!(ask("up"), says.up, "up");
    let in_file: &[&str] = if says.up_in_file { &["up"] } else { &[] };
    assert_eq!(written(&place), in_file);
    assert_eq!(heard(&radius), calls(&["start", "stop"], &["up"]));

    radius.kill();
    assert_eq!(ask("down"), says.down, "down");
    assert_eq!(written(&place), [in_file, &["down"]].concat());

    // What it missed it gets, and nothing else changes.
    radius.start_again();
    let all = calls(&["start", "stop"], &["up", "down"]);
    poll(LONG, || (heard(&radius) == all).then_some(())).unwrap_or_else(|| panic!("{:?}", heard(&radius)));
    assert_eq!(ask("again"), says.up, "up again");
    let again: &[&str] = if says.up_in_file { &["again"] } else { &[] };
    assert_eq!(written(&place), [in_file, &["down"], again].concat());
    assert_eq!(heard(&radius), calls(&["start", "stop"], &["up", "down", "again"]));
    caller.end();
}

#[test]
fn the_first_one_always_writes_the_file() {
    behaves(
        FIRST,
        &Says {
            up: ["ok", "ok", "ok"],
            up_in_file: true,
            // RADIUS is the last one that is asked for start, and connect is asked of nobody.
            down: ["fail", "ok", "ok"],
        },
    );
}

#[test]
fn the_second_one_writes_the_file_where_radius_fails_and_lets_every_call_start() {
    behaves(
        SECOND,
        &Says {
            up: ["ok", "ok", "ok"],
            up_in_file: false,
            down: ["ok", "ok", "ok"],
        },
    );
}

#[test]
fn the_third_one_starts_no_call_that_radius_does_not_know() {
    behaves(
        THIRD,
        &Says {
            up: ["ok", "ok", "ok"],
            up_in_file: false,
            down: ["fail", "ok", "ok"],
        },
    );
}

const CALLERS: u32 = 8;
const CALLS: u32 = 60;

fn socket(place: &Place) -> PathBuf {
    place.path().join("calls.sock")
}

/// Verdicts of start and stop of each of a caller's calls.
fn call_many(place: &Place, caller: u32) -> Vec<(String, bool, bool)> {
    let mut stream = UnixStream::connect(socket(place)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |kind: &str, session: &str| {
        stream.write_all(event(kind, session).as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert!(answer.starts_with("ok") || answer.starts_with("fail "), "{answer:?}");
        answer == "ok\n"
    };
    (0..CALLS)
        .map(|call| {
            let session = format!("{caller}x{call}");
            let start = ask("start", &session);
            // As the gatekeeper: a call that may not start ends at once, and that is logged.
            (session.clone(), start, ask("stop", &session))
        })
        .collect()
}

/// FreeRADIUS dies while calls come and goes on later; the server has every event, and the file what the chain says.
fn endures(chain: &str, check: impl Fn(&(String, bool, bool), bool)) {
    let mut radius = FreeRadius::start();
    let place = place(chain, &radius);
    let input = format!("unix:{}", socket(&place).display());
    let child = place
        .command(&["account", "--input", &input])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    poll(LONG, || UnixStream::connect(socket(&place)).ok()).expect("it does not listen");
    let verdicts: Vec<(String, bool, bool)> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let place = &place;
                scope.spawn(move || call_many(place, caller))
            })
            .collect();
        poll(LONG, || (radius.details().len() >= 100).then_some(())).expect("no event arrives");
        radius.kill();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    radius.start_again();
    // The first event that it takes shows that it is back; otherwise that is found out within a minute.
    let mut stream = UnixStream::connect(socket(&place)).unwrap();
    stream.write_all(event("start", "later").as_bytes()).unwrap();
    BufReader::new(&stream).read_line(&mut String::new()).unwrap();
    let sessions: Vec<&str> = verdicts.iter().map(|(session, ..)| session.as_str()).collect();
    let wanted = calls(&["start", "stop"], &sessions);
    let missing = || {
        let heard = heard(&radius);
        wanted.keys().filter(|key| !heard.contains_key(*key)).count()
    };
    poll(LONG, || (missing() == 0).then_some(())).unwrap_or_else(|| panic!("{} events are missing", missing()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert!({ child }.wait().unwrap().success());

    // What it had written when it died, and not confirmed, came again: at most one event a caller.
    let twice = heard(&radius).values().filter(|count| **count > 1).count();
    assert!(twice <= CALLERS as usize, "{twice} events are there twice");
    let written = written(&place);
    let mut in_file: HashMap<&str, u32> = HashMap::new();
    for session in &written {
        *in_file.entry(session).or_default() += 1;
    }
    assert!(in_file.values().all(|count| *count == 1), "{in_file:?}");
    assert!(verdicts.iter().any(|(_, start, _)| *start), "none before it died");
    for verdict in &verdicts {
        check(verdict, in_file.contains_key(verdict.0.as_str()));
    }
}

#[test]
fn when_radius_dies_in_the_middle_the_first_one_has_every_call_in_the_file() {
    endures(FIRST, |(session, _, stop), is_in_file| {
        assert!(*stop && is_in_file, "{session}");
    });
}

#[test]
fn when_radius_dies_in_the_middle_the_second_one_lets_every_call_start() {
    endures(SECOND, |(session, start, stop), _| {
        assert!(*start && *stop, "{session}");
    });
}

#[test]
fn when_radius_dies_in_the_middle_the_third_one_refuses_calls_and_loses_none() {
    endures(THIRD, |(session, start, stop), is_in_file| {
        assert!(*stop, "{session}");
        // What could not start ended after RADIUS had died: the file has it.
        assert!(*start || is_in_file, "{session}");
    });
}
