//! The exporter of IPDR/SP in the hands of an operator: its configuration, its schedule, what it tells, restarts.

mod support;

use std::{collections::HashSet, fs, ops::Range, thread, time::Duration};

use billdrop::{
    deliver::ipdr::store::{self, Meta, Store},
    ledger::Ledger,
    protocol::ipdr::{DocumentId, Template, TemplateNames},
    record::INTERFACE_USAGE,
};
use rustix::process::{Pid, Signal, kill_process};
use support::{
    Peer,
    ipdr::{
        Acks, Collector, Log, Script, Seen, State,
        exporter::{NAME, QUICK, SESSION, Setup},
    },
    snmptrapd::{COMMUNITY, Snmptrapd},
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(30);

/// The session of a test, of this kind, with one collector `a` whose priority is 1, and others.
fn setup(collectors: &[(&str, &str, u32)], session: &str, ipdr: &str, more: &str) -> Setup {
    let setup = Setup::new(collectors, &QUICK);
    let configuration = fs::read_to_string(setup.place.path().join("billdrop.toml")).unwrap();
    let (head, _) = configuration.split_once("[[ipdr.session]]").unwrap();
    let head = head.replace("[ipdr]\n", &format!("[ipdr]\n{ipdr}"));
    setup.place.configure(&format!(
        "{head}[[ipdr.session]]\nname = \"{NAME}\"\nid = {SESSION}\nsources = [\"here\"]\n{session}\n{more}"
    ));
    setup
}

const ONE: &[(&str, &str, u32)] = &[("a", "127.0.0.1", 1)];

fn open(setup: &Setup) -> Store {
    let directory = store::directory(&setup.place.state()).join(NAME);
    Store::open(&directory).unwrap().0
}

fn waiting(setup: &Setup) -> usize {
    let directory = store::directory(&setup.place.state()).join(NAME);
    let Ok(files) = fs::read_dir(directory) else { return 0 };
    files
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "ipdr"))
        .count()
}

/// What `gaps` says, once the exporter runs: it makes the ledger before.
fn gaps(setup: &Setup) -> String {
    if !setup.place.state().join("ipdr/status.json").exists() {
        return String::new();
    }
    setup.place.run(&["gaps"]).expect(0).stdout
}

fn notify(manager: &Snmptrapd) -> String {
    let port = manager.port;
    format!("[[notify]]\naddress = \"127.0.0.1:{port}\"\ncommunity = {COMMUNITY:?}\ninform = true\n")
}

fn end(peer: &mut Peer) -> i32 {
    kill_process(Pid::from_child(&peer.0), Signal::TERM).unwrap();
    peer.0.wait().unwrap().code().unwrap()
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_line() {
    let refused = |ipdr: &str, session: &str, words: &[&str]| {
        let setup = setup(ONE, session, ipdr, "");
        let ran = setup.place.run(&["ipdr"]).expect(78);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
        }
    };
    refused("window = 1\n", "", &["billdrop.toml:9", "window", "ack-sequence"]);
    refused("", "interval = \"0s\"", &["billdrop.toml:21", "interval", "1s to 1day"]);
    refused("", "record = \"Nonsense\"", &["billdrop.toml:21", "record", "Nonsense"]);
    refused(
        "",
        "record = \"CallDetail-Type\"",
        &["record", "none of its sources", "InterfaceUsage-Type"],
    );
    refused(
        "",
        "collectors = { b = 1 }",
        &["collectors", "no collector \"b\"", "configured: a"],
    );
    refused("", "kind = \"hourly\"", &["billdrop.toml:21", "time-interval"]);
    refused("keep-aliv = \"3s\"\n", "", &["keep-aliv", "Did you mean `keep-alive`?"]);
}

#[test]
fn without_a_session_there_is_nothing_to_do() {
    let setup = Setup::new(ONE, &QUICK);
    setup.place.configure("[recorder]\nhostname = \"exporter\"\n");
    let ran = setup.place.run(&["ipdr"]).expect(78);
    assert!(ran.stderr.contains("[ipdr]"), "{}", ran.stderr);
}

#[test]
fn check_says_what_each_session_and_collector_is() {
    let setup = setup(ONE, "kind = \"event\"\ninterval = \"1h\"\npoll = \"30s\"", "", "");
    let said = setup.place.run(&["check"]).expect(0).stdout;
    for words in [
        "1 InterfaceUsage-Type of 1 source, polled every 30s, a document every 1h",
        "connects from 127.0.0.1",
        &format!("listens at {}", setup.address),
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn an_interval_gives_a_document_of_what_the_sources_have() {
    let setup = setup(ONE, "interval = \"1s\"", "", "");
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let mut exporter = setup.start();
    log.wait("three documents", |seen| seen.are_taken(SESSION, 3));
    let status = setup.place.status()["ipdr"].clone();
    assert_eq!(status["running"], true, "{status:#}");
    assert_eq!(status["collectors"][0]["name"], "a");
    assert_eq!(status["sessions"][0]["name"], NAME);
    assert_eq!(status["sessions"][0]["kind"], "time-interval");
    assert_eq!(
        status["sessions"][0]["last_records"], 1,
        "the loopback interface: {status:#}"
    );
    let shown = setup.place.run(&["status"]).expect(0).stdout;
    assert!(
        shown.contains("session usage (1)") && shown.contains("collector a: 127.0.0.1"),
        "{shown}"
    );
    assert_eq!(end(&mut exporter), 0, "{}", setup.said());
    let seen = log.seen();
    let mut ids: Vec<u32> = Vec::new();
    for document in &seen.documents[..3] {
        assert_eq!(document.records.len(), 1, "{}", seen.summary());
        ids.push(u32::from_be_bytes(document.id[..4].try_into().unwrap()));
        assert_eq!(
            document.id[10..],
            [0x00, 0x00, 0x5e, 0x00, 0x53, 0x21],
            "the MAC of [recorder]"
        );
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "each has its own second: {ids:?}");
    drop(seen);
    assert_eq!(setup.place.status()["ipdr"]["running"], false);
}

#[test]
fn an_interval_that_falls_due_while_the_last_document_is_taken_is_skipped_and_told() {
    let manager = Snmptrapd::start();
    let more = notify(&manager);
    let setup = setup(ONE, "interval = \"1s\"\nack-timeout = \"1h\"", "", &more);
    let log = Log::new();
    let _collector = Collector::dial(
        &log,
        "a",
        "127.0.0.1",
        setup.address,
        Script::acknowledging(&[Acks::Never]),
    );
    let _exporter = setup.start();
    wait_until("a skipped interval", LIMIT, || {
        gaps(&setup).contains("interval-skipped")
    });
    assert!(
        gaps(&setup).contains("collector a still takes the last document"),
        "{}",
        gaps(&setup)
    );
    manager.wait_for("billdropGap", LIMIT);
    wait_until("status knows", LIMIT, || {
        setup.place.status()["ipdr"]["sessions"][0]["skipped_intervals"].as_u64() > Some(0)
    });
    assert_eq!(waiting(&setup), 1, "{}", setup.said());
}

#[test]
fn with_overlap_queue_the_intervals_wait_instead() {
    let setup = setup(
        ONE,
        "interval = \"1s\"\nack-timeout = \"1h\"",
        "overlap = \"queue\"\n",
        "",
    );
    let log = Log::new();
    let _collector = Collector::dial(
        &log,
        "a",
        "127.0.0.1",
        setup.address,
        Script::acknowledging(&[Acks::Never]),
    );
    let _exporter = setup.start();
    wait_until("three documents wait", LIMIT, || waiting(&setup) >= 3);
    assert_eq!(gaps(&setup), "");
}

#[test]
fn without_a_collector_documents_wait_up_to_the_limit_and_all_come_after_a_kill() {
    let setup = setup(ONE, "interval = \"1s\"", "most-documents = 3\n", "");
    let exporter = setup.start();
    wait_until("the limit", LIMIT, || gaps(&setup).contains("most-documents"));
    drop(exporter);
    assert_eq!(waiting(&setup), 3);
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let _exporter = setup.start();
    log.wait("three documents", |seen| seen.are_taken(SESSION, 3));
    let seen = log.seen();
    assert!(seen.faults.is_empty(), "{}", seen.summary());
    assert!(
        seen.documents.iter().all(|document| document.starts[0].1.dropped == 0),
        "{}",
        seen.summary()
    );
}

#[test]
fn with_drop_oldest_the_newest_documents_stay_and_the_dropped_ones_are_counted() {
    let keys = "most-documents = 3\nwhen-full = \"drop-oldest\"\n";
    let setup = setup(ONE, "interval = \"1s\"", keys, "");
    let exporter = setup.start();
    wait_until("a dropped document", LIMIT, || {
        gaps(&setup).matches("records-lost").count() >= 2
    });
    drop(exporter);
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let _exporter = setup.start();
    log.wait("three documents", |seen| seen.are_taken(SESSION, 3));
    let seen = log.seen();
    let dropped: Vec<u64> = seen
        .documents
        .iter()
        .map(|document| document.starts[0].1.dropped)
        .collect();
    assert!(dropped[0] == 0 && dropped[1] >= 2, "{dropped:?}");
}

#[test]
fn an_event_session_appends_to_one_document() {
    let setup = setup(ONE, "kind = \"event\"\ninterval = \"1day\"\npoll = \"1s\"", "", "");
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let mut exporter = setup.start();
    log.wait("two polls", has(2));
    drop(exporter);
    exporter = setup.start();
    log.wait("two more after a kill", has(4));
    assert_eq!(end(&mut exporter), 0);
    let seen = log.seen();
    assert_eq!(seen.documents.len(), 1, "{}", seen.summary());
    assert!(!seen.documents[0].is_over(), "{}", seen.summary());
    assert!(seen.faults.is_empty(), "{}", seen.summary());
    assert!(!open(&setup).oldest().unwrap().is_complete);
}

#[test]
fn an_ad_hoc_document_is_made_when_a_collector_is_ready_and_when_an_operator_asks() {
    let setup = setup(ONE, "kind = \"ad-hoc\"", "", "");
    setup.place.run(&["ipdr", "--request", NAME]).expect(69);
    setup.place.run(&["ipdr", "--request", "nobody"]).expect(64);
    let log = Log::new();
    let _exporter = setup.start();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    log.wait("the first document", |seen| seen.are_taken(SESSION, 1));
    let asked = setup.place.run(&["ipdr", "--request", NAME]).expect(0);
    assert!(asked.stdout.contains("asked for"), "{}", asked.stdout);
    log.wait("another one", |seen| seen.are_taken(SESSION, 2));
}

#[test]
fn a_second_exporter_of_one_state_directory_is_refused() {
    let setup = setup(ONE, "", "", "");
    let _exporter = setup.start();
    wait_until("the first one runs", LIMIT, || {
        setup.place.state().join("ipdr/status.json").exists()
    });
    let ran = setup.place.run(&["ipdr"]).expect(75);
    assert!(ran.stderr.contains("exports from"), "{}", ran.stderr);
}

#[test]
fn sigterm_tells_the_collectors_and_ends_with_status_0() {
    let setup = setup(ONE, "ack-timeout = \"1h\"", "", "");
    setup.store(NAME, 0, &[5000]);
    let log = Log::new();
    let script = Script::acknowledging(&[Acks::Never]);
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, script);
    let mut exporter = setup.start();
    log.wait("the document", |seen| seen.state("a", SESSION) == State::Active);
    assert_eq!(end(&mut exporter), 0, "{}", setup.said());
    log.wait("the end", |seen| seen.state("a", SESSION) == State::Away);
    let seen = log.seen();
    assert!(
        seen.documents[0].stops.iter().any(|(_, reason)| *reason == 2),
        "exporter terminating: {}",
        seen.summary()
    );
    assert_eq!(waiting(&setup), 1);
}

#[test]
fn a_start_brings_the_ledger_what_it_has_missed() {
    let setup = setup(ONE, "", "", "");
    store::prepare(&setup.place.state()).unwrap();
    let template = Template::of(&INTERFACE_USAGE, 1, TemplateNames::of(&INTERFACE_USAGE)).unwrap();
    let meta = Meta {
        id: DocumentId::from_bytes([7; 16]),
        created: "2026-11-22T10:15:00Z".parse().unwrap(),
        config_id: 0,
        template: template.into(),
    };
    let baseline = ("ipdr/usage/here".to_owned(), b"counters".to_vec());
    open(&setup).begin(meta).unwrap().seal(true, &[baseline]).unwrap();
    let mut exporter = setup.start();
    wait_until("it runs", LIMIT, || {
        setup.place.state().join("ipdr/status.json").exists()
    });
    end(&mut exporter);
    let ledger = Ledger::open_existing(&setup.place.state()).unwrap();
    assert_eq!(ledger.baseline("ipdr/usage/here").unwrap().unwrap(), b"counters");
    assert_eq!(ledger.streamed(NAME).unwrap(), Some((1, 0)));
}

#[test]
fn managers_hear_that_nobody_takes_the_documents_that_somebody_does_again_and_who_took_over() {
    let manager = Snmptrapd::start();
    let more = notify(&manager);
    let collectors = &[("a", "127.0.0.2", 1), ("b", "127.0.0.3", 2)];
    let setup = setup(collectors, "ack-timeout = \"1h\"", "alarm-after = \"1s\"\n", &more);
    setup.store(NAME, 0, &[20_000]);
    let _exporter = setup.start();
    manager.wait_for("billdropDestinationFailed", LIMIT);
    let log = Log::new();
    let never = || Script::acknowledging(&[Acks::Never]);
    let a = Collector::dial(&log, "a", "127.0.0.2", setup.address, never());
    manager.wait_for("billdropDestinationRecovered", LIMIT);
    let _b = Collector::dial(&log, "b", "127.0.0.3", setup.address, Script::default());
    log.wait("both", |seen| {
        seen.state("a", SESSION) == State::Active && seen.state("b", SESSION) == State::Ready
    });
    drop(a);
    let told = manager.wait_for("billdropCollectorSwitched", LIMIT);
    assert!(told.contains("b") && told.contains("in place of a"), "{told}");
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
}

#[test]
fn managers_hear_that_the_store_fills() {
    let manager = Snmptrapd::start();
    let more = notify(&manager);
    let setup = setup(ONE, "", "store-alarm = \"1MiB\"\nstore-limit = \"2MiB\"\n", &more);
    setup.store(NAME, 0, &[10_000]);
    let _exporter = setup.start();
    let told = manager.wait_for("store-alarm", LIMIT);
    assert!(told.contains("billdropDestinationFailed"), "{told}");
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    manager.wait_for("billdropDestinationRecovered", LIMIT);
}

/// An event session of finished calls.
fn with_calls() -> Setup {
    let ini = "[Gatekeeper::Main]\nName=gk1\n\n[Gatekeeper::Acct]\nSpoolAcct=required;stop\n";
    let more = "[accounting]\ngatekeeper-ini = \"gatekeeper.ini\"\n";
    let session = "kind = \"event\"\ninterval = \"1day\"\npoll = \"1s\"";
    let setup = setup(ONE, session, "", more);
    let configuration = fs::read_to_string(setup.place.path().join("billdrop.toml")).unwrap();
    let configuration = configuration.replace("sources = [\"here\"]\n", "sources = [\"calls\"]\n");
    setup.place.configure(&configuration);
    fs::write(setup.place.path().join("gatekeeper.ini"), ini).unwrap();
    setup
}

/// These calls have ended, and are logged.
fn account(setup: &Setup, calls: Range<u64>) {
    let events: String = calls
        .map(|call| {
            format!(
                "{{\"event\":\"stop\",\"s\":\"{call:016x}\",\"n\":{},\"setup-time\":1800000000,\"connect-time\":1800000001,\
                 \"disconnect-time\":1800000009,\"c\":16,\"Calling-Station-Id\":\"1001\",\"Called-Station-Id\":\"2002\"}}\n",
                call + 1
            )
        })
        .collect();
    let file = setup.place.path().join("events");
    fs::write(&file, events).unwrap();
    let mut command = setup.place.command(&["account", "--input", "stdin"]);
    let ended = command.stdin(fs::File::open(file).unwrap()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn has(records: u64) -> impl Fn(&Seen) -> bool {
    move |seen| seen.documents.iter().map(|one| one.acknowledged).sum::<u64>() >= records
}

#[test]
fn a_call_is_in_one_document_of_whichever_mode() {
    let setup = with_calls();
    account(&setup, 0..20);
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let mut exporter = setup.start();
    log.wait("twenty calls", has(20));
    account(&setup, 20..25);
    log.wait("five more", has(25));
    assert_eq!(end(&mut exporter), 0, "{}", setup.said());
    let seen = log.seen();
    assert_eq!(seen.documents[0].records.len(), 25, "each once: {}", seen.summary());
    drop(seen);
    account(&setup, 25..26);
    let document = setup.place.capture();
    let shown = fs::read_to_string(document).unwrap();
    assert_eq!(
        shown.matches("<sessionId>").count(),
        1,
        "file mode has the new one only: {shown}"
    );
}

/// Between the rename of a document and its note in the ledger, before, behind, and while it is sent.
#[test]
fn however_often_the_exporter_is_killed_each_call_is_exported_once() {
    const KILLS: u64 = 25;
    const CALLS: u64 = 7;
    let setup = with_calls();
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    let mut seed = u64::from(std::process::id());
    println!("seed {seed}");
    for round in 0..KILLS {
        account(&setup, round * CALLS..(round + 1) * CALLS);
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let exporter = setup.start();
        // Its first poll comes when it has just started.
        thread::sleep(Duration::from_millis(10 + (seed >> 33) % 250));
        drop(exporter);
    }
    let mut exporter = setup.start();
    log.wait("all calls", has(KILLS * CALLS));
    account(&setup, KILLS * CALLS..KILLS * CALLS + 1);
    log.wait("the last one", has(KILLS * CALLS + 1));
    assert_eq!(end(&mut exporter), 0, "{}", setup.said());
    let seen = log.seen();
    assert!(seen.faults.is_empty(), "{}", seen.summary());
    let bodies = || {
        seen.documents
            .iter()
            .flat_map(|document| &document.records)
            .map(|record| &record.body)
    };
    assert_eq!(bodies().count() as u64, KILLS * CALLS + 1, "{}", seen.summary());
    assert_eq!(
        bodies().collect::<HashSet<_>>().len() as u64,
        KILLS * CALLS + 1,
        "{}",
        seen.summary()
    );
}
