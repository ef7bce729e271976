//! Streaming mode in the hands of an operator: modes are changed, files and ledgers vanish, collectors stay away, clocks run.

mod support;

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use support::{
    binary::{Place, Ran, names},
    collector::Collector,
    free_port, wait_until,
};

const LIMIT: Duration = Duration::from_secs(30);

const LO: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";

const ARCHIVE: &str = "[archive]\nkeep = \"1day\"\n";

fn primary(port: u16) -> String {
    format!("primary = {{ address = \"127.0.0.1:{port}\", security = \"non-secure\" }}\n")
}

fn configure(place: &Place, more: &str, stream: &str) {
    place.configure(&format!(
        "{more}[stream]\nretries = 0\nretry-wait = \"0s\"\n{stream}\n{LO}"
    ));
}

fn once(place: &Place) -> Ran {
    place.run(&["-v", "stream", "--once"])
}

/// A place in which `documents` wait for a collector on this port, where nobody listens.
fn with_waiting(documents: usize, more: &str) -> (Place, u16) {
    let (place, port) = (Place::new(), free_port());
    configure(&place, more, &primary(port));
    for _ in 0..documents {
        once(&place).expect(69);
    }
    assert!(documents == 0 || waiting(&place).len() == documents);
    (place, port)
}

fn waiting(place: &Place) -> Vec<String> {
    names(&place.state().join("stream"))
}

fn collector(place: &Place, port: u16) -> Collector {
    Collector::start_on(&place.path().join("billing"), &format!("127.0.0.1:{port}"), &[])
}

fn gaps(place: &Place) -> String {
    place.run(&["gaps"]).expect(0).stdout
}

/// A program that runs until the test is over, with its children: faketime has one.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("tests/run installs what the tests need"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn a_dead_primary_costs_its_time_once_for_all_that_waits() {
    let (place, port) = with_waiting(5, "");
    let second = Collector::start(&place.path().join("second"), &[]);
    let keys = format!(
        "{}secondary = {{ address = \"{}\", security = \"non-secure\" }}\n",
        primary(port),
        second.address
    );
    configure(&place, "", &keys);
    let ran = once(&place).expect(0);
    let taken: Vec<u64> = (0..6).map(|_| second.taken()).collect();
    assert_eq!(taken, [1, 2, 3, 4, 5, 6]);
    assert_eq!(ran.stderr.matches("connection refused").count(), 1, "{ran:#?}");
}

#[test]
fn what_waits_when_the_rule_becomes_next_interval_is_not_dropped_all_at_once() {
    let (place, port) = with_waiting(3, "");
    configure(
        &place,
        "",
        &format!("{}on-failure = \"next-interval\"\n", primary(port)),
    );
    assert_eq!(
        once(&place).expect(69).stdout,
        "0 documents sent, 1 dropped, 3 waiting\n"
    );
    let collector = collector(&place, port);
    once(&place).expect(0);
    assert_eq!([(); 4].map(|()| collector.taken()), [2, 3, 4, 5]);
}

#[test]
fn what_an_operator_has_moved_aside_is_not_streamed() {
    let (place, port) = with_waiting(2, ARCHIVE);
    place.run(&["release", "--reason", "test"]).expect(0);
    let collector = collector(&place, port);
    assert_eq!(once(&place).expect(0).stdout, "2 documents sent\n");
    assert_eq!((collector.taken(), collector.taken()), (2, 3));
    assert!(gaps(&place).contains("test"));
    // Unless somebody wants it.
    place.run(&["resend", "1"]).expect(0);
    once(&place).expect(0);
    assert_eq!((collector.taken(), collector.taken()), (1, 4));
}

#[test]
fn a_document_that_is_dropped_is_dropped_or_sent_wherever_the_drop_is_killed() {
    let (place, port) = (Place::new(), free_port());
    configure(
        &place,
        ARCHIVE,
        &format!("{}on-failure = \"next-interval\"\n", primary(port)),
    );
    once(&place).expect(69);
    let calls = support::faults::file_changing_calls(&place, &["stream", "--once"]);
    // The drop is at the end of the run.
    for (name, number) in calls.iter().rev().take(30) {
        let fault = format!("inject={name}:signal=SIGKILL:when={number}");
        place.run_under(
            &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault],
            &["stream", "--once"],
        );
    }
    let collector = collector(&place, port);
    once(&place).expect(0);
    assert_eq!(waiting(&place), [""; 0]);
    let history = place.run(&["history", "--json"]).expect(0).stdout;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let gaps = gaps(&place);
    for document in history.as_array().unwrap() {
        let id = document["doc_id"].as_str().unwrap();
        let is_there = collector.directory.join(format!("{id}.xml")).exists();
        let is_gap = gaps.contains(&format!("document {} was released", document["sequence"]));
        assert!(is_there != is_gap, "{document:#}\n{gaps}");
    }
}

#[test]
fn a_file_that_has_gone_is_sent_from_its_copy_or_is_a_gap_but_was_not_picked_up() {
    for (has_copy, wanted) in [(true, "2 documents sent\n"), (false, "1 document sent, 1 dropped\n")] {
        let (place, port) = with_waiting(1, "");
        let name = &waiting(&place)[0];
        fs::remove_file(place.state().join("stream").join(name)).unwrap();
        if !has_copy {
            fs::remove_file(place.state().join("archive").join(name)).unwrap();
        }
        let collector = collector(&place, port);
        assert_eq!(once(&place).stdout, wanted);
        if !has_copy {
            assert_eq!(collector.taken(), 2);
            assert!(gaps(&place).contains("it has gone"), "{}", gaps(&place));
            assert!(!place.run(&["history"]).stdout.contains("deleted in the spool"));
        } else {
            assert_eq!((collector.taken(), collector.taken()), (1, 2));
            assert_eq!(gaps(&place), "");
        }
        once(&place).expect(0);
    }
}

#[test]
fn what_a_collector_had_before_is_no_gap_when_it_does_not_get_it_again() {
    let (place, port) = (Place::new(), free_port());
    let keys = format!("{}on-failure = \"next-interval\"\n", primary(port));
    configure(&place, ARCHIVE, &keys);
    {
        let collector = collector(&place, port);
        once(&place).expect(0);
        assert_eq!(collector.taken(), 1);
    }
    place.run(&["resend", "1"]).expect(0);
    assert_eq!(
        once(&place).expect(69).stdout,
        "0 documents sent, 1 dropped, 1 waiting\n"
    );
    assert_eq!(gaps(&place), "");
    let history = place.run(&["history", "1"]).expect(0).stdout;
    assert!(history.contains("not resent"), "{history}");
}

/// The ledger and the file that remembers deliveries: the collector knows the docIds of what comes a second time.
#[test]
fn a_lost_ledger_loses_nothing_that_waits_for_a_collector() {
    for also in [false, true] {
        let (place, port) = with_waiting(3, "");
        for name in names(&place.state()) {
            if name.starts_with("ledger") || (also && name == "deliveries") {
                fs::remove_file(place.state().join(name)).unwrap();
            }
        }
        let collector = collector(&place, port);
        once(&place).expect(0);
        assert_eq!([(); 4].map(|()| collector.taken()), [1, 2, 3, 4]);
        assert_eq!(waiting(&place), [""; 0]);
    }
}

/// Dies when everything is noted but the document has its temporary name still.
fn killed_before_the_rename(place: &Place, arguments: &[&str]) {
    let fault = "inject=renameat2:error=EIO:signal=SIGKILL:when=1";
    place.run_under(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", fault], arguments);
}

#[test]
fn file_mode_does_not_begin_while_a_document_waits_for_a_collector() {
    for killed in [false, true] {
        let (place, port) = with_waiting(usize::from(!killed), "");
        if killed {
            killed_before_the_rename(&place, &["stream", "--once"]);
        }
        let streaming = fs::read_to_string(place.path().join("billdrop.toml")).unwrap();
        place.configure(LO);
        let ran = place.run(&["capture"]).expect(78);
        assert!(
            ran.stderr.contains("document 1 still waits for a collector"),
            "{ran:#?}"
        );
        assert!(ran.stderr.contains("billdrop stream --once"), "{ran:#?}");
        assert_eq!(place.listing(), [""; 0]);
        // As it says.
        place.configure(&streaming);
        let collector = collector(&place, port);
        once(&place).expect(0);
        assert_eq!((collector.taken(), collector.taken()), (1, 2));
        place.configure(LO);
        place.capture();
    }
}

#[test]
fn streaming_does_not_begin_while_a_document_lies_in_the_spool() {
    for killed in [false, true] {
        let place = Place::new();
        place.configure(LO);
        match killed {
            true => killed_before_the_rename(&place, &["capture"]),
            false => drop(place.capture()),
        }
        let port = free_port();
        configure(&place, "", &primary(port));
        // The loop, too, ends: systemd shows it as failed.
        for arguments in [&["stream", "--once"][..], &["stream"]] {
            let ran = place.run(arguments).expect(78);
            assert!(ran.stderr.contains("document 1 still waits in the spool"), "{ran:#?}");
            assert!(ran.stderr.contains("Fetch and delete it"), "{ran:#?}");
        }
        place.configure(LO);
        place.run(&["release", "--reason", "other mode"]).expect(0);
        configure(&place, "", &primary(port));
        let collector = collector(&place, port);
        once(&place).expect(0);
        assert_eq!(collector.taken(), 2);
    }
}

#[test]
fn what_waits_is_sent_as_soon_as_the_program_is_started() {
    let (place, port) = with_waiting(1, "");
    configure(&place, "", &format!("{}interval = \"1day\"\n", primary(port)));
    let collector = collector(&place, port);
    let _running = Running::start(&mut place.command(&["stream"]));
    assert_eq!(collector.taken(), 1);
    wait_until("it is taken out", LIMIT, || waiting(&place).is_empty());
}

/// A minute of the program is a second.
#[test]
fn intervals_that_fall_due_while_a_document_is_sent_are_counted_and_told() {
    let place = Place::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let keys = format!(
        "{}interval = \"2min\"\nidle-timeout = \"1h\"\n",
        primary(listener.local_addr().unwrap().port())
    );
    configure(&place, "", &keys);
    let mut command = place.command_under(&["faketime", "-f", "@2026-11-22 10:01:30 x60"], &["stream"]);
    let _running = Running::start(&mut command);
    let mut documents = (0..2).map(|_| {
        let mut document = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_to_end(&mut document).unwrap();
        (document, stream)
    });
    let (_, slow) = documents.next().unwrap();
    // Not for something to happen: so long takes this collector, two intervals and more.
    thread::sleep(Duration::from_secs(6));
    drop(slow);
    let (second, _) = documents.next().unwrap();
    let file = place.path().join("second.xml");
    fs::write(&file, second).unwrap();
    let skipped = &place.information(&file)["capturesSkipped"];
    assert!(skipped.as_u64().is_some_and(|skipped| skipped >= 1), "{skipped}");
}

#[test]
fn check_tries_the_collectors_when_it_is_told_to() {
    let place = Place::new();
    let first = Collector::start(&place.path().join("billing"), &[]);
    let dead = free_port();
    let keys = format!(
        "primary = {{ address = \"{}\", security = \"non-secure\" }}\n\
         secondary = {{ address = \"127.0.0.1:{dead}\", security = \"non-secure\" }}\n",
        first.address
    );
    configure(&place, "", &keys);
    let ran = place.run(&["check"]).expect(0);
    assert!(
        ran.stdout.contains(&format!("{}, plain text\n", first.address)),
        "{ran:#?}"
    );
    assert!(first.is_silent(), "nobody is asked");
    let ran = place.run(&["check", "--connect"]).expect(69);
    assert!(
        ran.stdout.contains("answered; it saw a connection without a document"),
        "{ran:#?}"
    );
    let refused = format!("WRONG  127.0.0.1:{dead}: nobody listens there");
    assert!(ran.stdout.contains(&refused), "{ran:#?}");
    assert_eq!(names(&first.directory), [""; 0]);
}

#[test]
fn status_and_others_speak_of_collectors() {
    let (place, _) = with_waiting(1, "");
    let ran = place.run(&["status"]).expect(0);
    for words in ["waits for a collector since", "stream: 1 document pending"] {
        assert!(ran.stdout.contains(words), "{ran:#?}");
    }
    for words in ["spool ", "pickup", "offered"] {
        assert!(!ran.stdout.contains(words), "{words}: {ran:#?}");
    }
    let status = place.status();
    assert_eq!((&status["blocked"], &status["streams"]), (&false.into(), &true.into()));
    let ran = place.run(&["check"]).expect(0);
    assert!(ran.stdout.contains("waits for a collector"), "{ran:#?}");
    place.run(&["show"]).expect(0);
    place.run(&["release", "--reason", "test"]).expect(0);
    let ran = place.run(&["show"]).expect(69);
    assert!(ran.stderr.contains("no document waits for a collector"), "{ran:#?}");
}
