//! `billdrop account` with callers on standard input and on a Unix socket, and its calls in the billing documents.

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use support::binary::Place;

/// A place with a gatekeeper's ini whose chain this is; CDR lines go to `cdr.log`.
fn place(chain: &str, more: &str) -> Place {
    let place = Place::new();
    configure(&place, chain, more);
    place
}

fn configure(place: &Place, chain: &str, more: &str) {
    let cdr = place.path().join("cdr.log");
    let ini = format!(
        "[Gatekeeper::Main]\nName=gk1\nHome=192.0.2.1\n\n[Gatekeeper::Acct]\n{chain}\n\n[FileAcct]\nDetailFile={}\n\
         CDRString=%s|%d|%c\n",
        cdr.display()
    );
    fs::write(place.path().join("gatekeeper.ini"), ini).unwrap();
    place.configure(&format!(
        "[accounting]\ngatekeeper-ini = {:?}\n{more}\n[log]\ndirectory = \"\"\n",
        place.path().join("gatekeeper.ini")
    ));
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(&[&["account"], arguments].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Stop event of the call with this number.
fn stop(call: u64) -> String {
    format!(
        "{{\"event\":\"stop\",\"s\":\"{call:016x}\",\"n\":{},\"setup-time\":1800000000,\"connect-time\":1800000001,\
         \"disconnect-time\":{},\"c\":16,\"Calling-Station-Id\":\"1001\",\"Called-Station-Id\":\"2002\"}}\n",
        call + 1,
        1_800_000_001 + 1 + call % 100
    )
}

/// The line of that call.
fn line(call: u64) -> String {
    format!("{call:016x}|{}|16", 1 + call % 100)
}

fn lines(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path().join("cdr.log")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line at the end");
    text.lines().map(str::to_owned).collect()
}

/// A caller on standard input.
struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = start(place, &[&["--input", "stdin"], arguments].concat());
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Caller { child, input, output }
    }

    fn say(&mut self, text: &str) -> String {
        self.input.write_all(text.as_bytes()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Ends the input; exit status and standard error.
    fn end(self) -> (i32, String) {
        let Caller { mut child, input, .. } = self;
        drop(input);
        ended(&mut child)
    }
}

fn ended(child: &mut Child) -> (i32, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    (status.code().unwrap_or(-1), stderr)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn socket(place: &Place) -> PathBuf {
    place.path().join("calls.sock")
}

fn connect(place: &Place) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(socket(place)) {
            Ok(stream) => return stream,
            Err(e) if Instant::now() > deadline => panic!("nobody listens: {e}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn input(place: &Place) -> String {
    format!("unix:{}", socket(place).display())
}

/// Session ids of the calls of a document.
fn calls(place: &Place, document: &std::path::Path) -> Vec<String> {
    let shown = place.shown(document);
    let records = shown["records"].as_array().unwrap().iter();
    records
        .filter_map(|record| record["sessionId"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn each_event_is_answered_in_order_and_logged() {
    let place = place("FileAcct=required", "");
    let mut caller = Caller::start(&place, &[]);
    assert_eq!(caller.say("{\"event\":\"start\",\"s\":\"1\"}\n"), "ok");
    assert_eq!(caller.say(&stop(1)), "ok");
    let answer = caller.say("{\"event\":\"stop\",\"durration\":1}\n");
    assert!(answer.starts_with("fail ") && answer.contains("durration"), "{answer}");
    let answer = caller.say(&format!("{{\"event\":\"stop\",\"s\":\"{}\"}}\n", "x".repeat(70_000)));
    assert_eq!(answer, "fail the line is longer than 65536 octets");
    assert!(caller.say("\n").starts_with("fail "));
    assert!(caller.say("{\"event\":\0}\n").starts_with("fail "));
    let many: String = (2..500).map(stop).collect();
    caller.input.write_all(many.as_bytes()).unwrap();
    assert!((2..500).all(|_| caller.answer() == "ok"));
    let (status, stderr) = caller.end();
    assert_eq!((status, stderr.as_str()), (0, ""));
    let mut logged = lines(&place);
    logged.sort_unstable();
    assert_eq!(logged, (1..500).map(line).collect::<Vec<_>>());
}

#[test]
fn a_verdict_that_fails_is_answered_with_its_reason() {
    let place = place("FileAcct=required;stop\ndefault=fail;start", "");
    let mut caller = Caller::start(&place, &[]);
    assert_eq!(caller.say("{\"event\":\"start\",\"s\":\"1\"}\n"), "fail default=fail");
    assert_eq!(caller.say(&stop(1)), "ok");
    assert_eq!(caller.end().0, 0);
}

#[test]
fn an_event_that_is_sent_again_after_a_restart_is_logged_once() {
    let place = place("FileAcct=required", "");
    for _ in 0..3 {
        let mut caller = Caller::start(&place, &[]);
        assert_eq!(caller.say(&stop(1)), "ok");
        assert_eq!(caller.say(&stop(1)), "ok");
        assert_eq!(caller.end().0, 0);
    }
    assert_eq!(lines(&place), [line(1)]);
}

#[test]
fn many_callers_share_a_socket_and_a_last_signal_ends_it_in_order() {
    let place = place("FileAcct=required", "");
    let mut child = start(&place, &["--input", &input(&place)]);
    connect(&place);
    let mode = fs::symlink_metadata(socket(&place)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    thread::scope(|scope| {
        for caller in 0..20 {
            let place = &place;
            scope.spawn(move || {
                let mut stream = connect(place);
                let mut answers = BufReader::new(stream.try_clone().unwrap());
                for call in 0..50 {
                    stream.write_all(stop(caller * 1000 + call).as_bytes()).unwrap();
                    let mut answer = String::new();
                    answers.read_line(&mut answer).unwrap();
                    assert_eq!(answer, "ok\n");
                }
            });
        }
    });
    // Sent, but not waited for: all that is answered is logged, and all that was read is answered.
    let mut last = connect(&place);
    let many: String = (90_000..90_500).map(stop).collect();
    last.write_all(many.as_bytes()).unwrap();
    let mut answers = BufReader::new(last.try_clone().unwrap());
    let mut first = String::new();
    answers.read_line(&mut first).unwrap();
    assert_eq!(first, "ok\n");
    signal(&child, Signal::TERM);
    let answered = 1 + answers
        .lines()
        .map_while(Result::ok)
        .filter(|answer| answer == "ok")
        .count();
    let (status, stderr) = ended(&mut child);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(!socket(&place).exists());
    let mut logged = lines(&place);
    assert_eq!(logged.len(), 1000 + answered);
    logged.sort_unstable();
    logged.dedup();
    assert_eq!(logged.len(), 1000 + answered);
}

#[test]
fn only_one_process_accounts_in_a_state_directory() {
    let place = place("FileAcct=required", "");
    let mut caller = Caller::start(&place, &[]);
    assert_eq!(caller.say(&stop(1)), "ok");
    let second = place.run(&["account", "--input", "stdin"]).expect(75);
    assert!(
        second
            .stderr
            .contains(&format!("process {} does the accounting", caller.child.id())),
        "{second:?}"
    );
    assert_eq!(caller.end().0, 0);
}

#[test]
fn the_socket_of_a_killed_process_is_replaced_and_that_of_a_living_one_is_not() {
    let place = place("FileAcct=required", "");
    let mut child = start(&place, &["--input", &input(&place)]);
    connect(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(socket(&place).exists());
    let mut child = start(&place, &["--input", &input(&place)]);
    connect(&place);
    let other = Place::new();
    configure(&other, "FileAcct=required", "");
    let refused = other.run(&["account", "--input", &input(&place)]);
    assert!(refused.stderr.contains("another process listens there"), "{refused:?}");
    signal(&child, Signal::INT);
    assert_eq!(ended(&mut child).0, 0);
}

#[test]
fn inputs_that_cannot_be_are_refused() {
    let place = place("FileAcct=required", "");
    for (input, status) in [("http://x", 64), ("unix:", 64), ("unix:relative", 64), ("status:", 64)] {
        let refused = place.run(&["account", "--input", input]);
        assert_eq!(refused.status, status, "{input}: {refused:?}");
    }
    place.run(&["account"]).expect(64);
    place
        .run(&["account", "--input", "stdin", "--input", "stdin"])
        .expect(64);
    configure(&place, "FileAcct=requird", "");
    let refused = place.run(&["account", "--input", "stdin"]).expect(78);
    assert!(refused.stderr.contains("gatekeeper.ini:6"), "{refused:?}");
    place.run(&["account", "--input", "stdin", "--lenient"]).expect(0);
}

#[test]
fn finished_calls_are_in_the_documents_once_each() {
    let place = place("SpoolAcct=required;stop\nFileAcct=required", "");
    let mut caller = Caller::start(&place, &[]);
    let mut seen: HashMap<String, u32> = HashMap::new();
    for round in 0..3 {
        for call in 0..50 {
            assert_eq!(caller.say(&stop(round * 50 + call)), "ok");
        }
        // What is not in the journal yet is in the next document.
        let document = place.capture();
        for call in calls(&place, &document) {
            *seen.entry(call).or_default() += 1;
        }
        place.run(&["capture"]).expect(75);
        fs::remove_file(document).unwrap();
    }
    assert_eq!(caller.end().0, 0);
    let document = place.capture();
    for call in calls(&place, &document) {
        *seen.entry(call).or_default() += 1;
    }
    assert_eq!(seen.len(), 150);
    assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    let xml = fs::read_to_string(&document).unwrap();
    let xmllint = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/schema/billdrop.xsd"))
        .arg(&document)
        .output()
        .expect("xmllint is needed: apt-get install libxml2-utils");
    assert!(xmllint.status.success(), "{xmllint:?}\n{xml}");
}

#[test]
fn into_spool_needs_no_line_in_the_ini() {
    let place = place("FileAcct=required", "into-spool = true");
    let mut caller = Caller::start(&place, &[]);
    assert_eq!(caller.say(&stop(7)), "ok");
    assert_eq!(caller.end().0, 0);
    assert_eq!(calls(&place, &place.capture()), ["0000000000000007"]);
}

#[test]
fn what_a_module_never_takes_is_given_up_by_its_number() {
    let place = place("FileAcct=required\nRadAcct=optional;stop\ndefault=accept", "");
    let mut ini = fs::read_to_string(place.path().join("gatekeeper.ini")).unwrap();
    let port = support::free_port();
    ini.push_str(&format!(
        "[RadAcct]\nServers=127.0.0.1:1812:{port}\nSharedSecret=hunter2\n"
    ));
    fs::write(place.path().join("gatekeeper.ini"), ini).unwrap();
    place.run(&["account", "--give-up", "RadAcct:all"]).expect(64);

    let mut caller = Caller::start(&place, &[]);
    for call in 0..3 {
        assert_eq!(caller.say(&stop(call)), "ok");
    }
    // Anybody may look beside it, and nobody may change anything.
    let waiting = support::poll(Duration::from_secs(20), || {
        let ran = place.run(&["account", "--waiting"]).expect(0);
        (ran.stdout.lines().count() == 3).then_some(ran.stdout)
    })
    .expect("three events wait");
    let fields: Vec<Vec<&str>> = waiting.lines().map(|line| line.split('\t').collect()).collect();
    assert!(fields.iter().all(|fields| fields[0] == "RadAcct" && fields.len() == 4));
    let json: serde_json::Value = serde_json::from_str(fields[1][3]).unwrap();
    assert_eq!(json["s"], "0000000000000001");
    let one = format!("RadAcct:{}", fields[1][1]);
    let running = place.run(&["account", "--give-up", &one]).expect(75);
    assert!(running.stderr.contains("does the accounting"), "{running:?}");
    assert_eq!(caller.end().0, 0);

    for wrong in ["RadAcct", "radacct:1", "StatusAcct:1", "RadAcct:x"] {
        place.run(&["account", "--give-up", wrong]).expect(64);
    }
    let unknown = place.run(&["account", "--give-up", "RadAcct:9999"]).expect(64);
    assert!(
        unknown.stderr.contains("no such event waits: RadAcct:9999"),
        "{unknown:?}"
    );
    let given_up = place.run(&["account", "--give-up", &one]).expect(0);
    assert_eq!(
        given_up.stdout.lines().collect::<Vec<_>>(),
        [waiting.lines().nth(1).unwrap()]
    );
    assert!(given_up.stderr.contains("given up for RadAcct"), "{given_up:?}");
    assert_eq!(place.run(&["account", "--waiting"]).expect(0).stdout.lines().count(), 2);
    assert_eq!(
        place
            .run(&["account", "--give-up", "RadAcct:all"])
            .expect(0)
            .stdout
            .lines()
            .count(),
        2
    );

    // Its line in the file is as it was, and the next start has nothing to catch up.
    assert_eq!(lines(&place), [line(0), line(1), line(2)]);
    let caller = Caller::start(&place, &[]);
    assert_eq!(caller.end().0, 0);
    assert_eq!(place.run(&["account", "--waiting"]).expect(0).stdout, "");
    assert_eq!(lines(&place).len(), 3);
}

#[test]
fn a_disk_that_is_full_stops_accounting_and_what_was_answered_is_there_afterwards() {
    let place = place("FileAcct=required", "");
    let mut command = Command::new("prlimit");
    command
        .arg("--fsize=60000")
        .arg(support::binary::BILLDROP)
        .args([
            "--config",
            "billdrop.toml",
            "--spool",
            "spool",
            "account",
            "--input",
            "stdin",
        ])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("prlimit is needed: apt-get install util-linux");
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut answered = 0;
    loop {
        if stdin.write_all(stop(answered).as_bytes()).is_err() {
            break;
        }
        let mut answer = String::new();
        if stdout.read_line(&mut answer).unwrap() == 0 || answer != "ok\n" {
            break;
        }
        answered += 1;
        assert!(answered < 10_000);
    }
    let (status, stderr) = ended(&mut child);
    assert!(status != 0, "{stderr}");
    assert!(answered > 20, "{answered}");
    let mut caller = Caller::start(&place, &[]);
    assert_eq!(caller.say(&stop(answered)), "ok");
    assert_eq!(caller.end().0, 0);
    let mut logged = lines(&place);
    logged.sort_unstable();
    assert_eq!(logged, (0..=answered).map(line).collect::<Vec<_>>());
}
