//! Documents are brought to destinations: each one whole, in order, once; and whoever must know hears when they are not.

mod support;

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{
    Peer,
    binary::{Place, names},
    faults::{Call, file_changing_calls, speaking_calls, try_fault},
    free_port, proxy, say,
    snmptrapd::{COMMUNITY, Snmptrapd},
    sshd::{self, Sshd},
    tftpd::Tftpd,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(10);

/// What captures have without destinations.
const LO: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";

/// One attempt in each run: the tests wait for nothing.
const ONE_ATTEMPT: &str = "patience = \"0s\"\n";

/// A server, and a directory of its own for each destination.
struct Site {
    place: Place,
    sshd: Sshd,
}

impl Site {
    fn new() -> Self {
        Site::with("")
    }

    /// With these lines for the server's configuration.
    fn with(more: &str) -> Self {
        let place = Place::new();
        let sshd = Sshd::start_with(&place.path().join("ssh"), more);
        Site { place, sshd }
    }

    fn inbox(&self, name: &str) -> PathBuf {
        let inbox = self.place.path().canonicalize().unwrap().join("inbox").join(name);
        fs::create_dir_all(&inbox).unwrap();
        inbox
    }

    /// `[[push]]` with the server's own port.
    fn table(&self, name: &str, more: &str) -> String {
        self.table_at(name, self.sshd.port, more)
    }

    /// The same host behind another port.
    fn table_at(&self, name: &str, port: u16, more: &str) -> String {
        let known = fs::read_to_string(self.sshd.known_hosts()).unwrap();
        let file = self.sshd.known_hosts().with_extension(port.to_string());
        fs::write(&file, known.replace(&self.sshd.port.to_string(), &port.to_string())).unwrap();
        let url = format!(
            "sftp://{}@127.0.0.1:{port}{}/",
            sshd::account(),
            self.inbox(name).display()
        );
        format!(
            "[[push]]\nname = {name:?}\nurl = {url:?}\nidentity = {:?}\nknown-hosts = {file:?}\n{more}",
            self.sshd.identity()
        )
    }

    fn configure(&self, before: &str, tables: &[String]) {
        self.place.configure(&format!("{before}{LO}{}", tables.concat()));
    }

    /// Names of the documents that have arrived, and nothing else but the test file lies there.
    fn arrived(&self, name: &str) -> Vec<String> {
        let mut arrived = names(&self.inbox(name));
        arrived.retain(|name| name != TEST_FILE);
        arrived
    }

    fn destination(&self, name: &str) -> serde_json::Value {
        let status = self.place.status();
        let all = status["destinations"].as_array().unwrap().clone();
        let found = all.iter().find(|d| d["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {status:#}")).clone()
    }

    /// The remote application.
    fn pick_up(&self) -> String {
        let name = self.place.listing().pop().expect("a document is offered");
        fs::remove_file(self.place.spool().join(&name)).unwrap();
        name
    }

    /// What `history` says of each document, as `WHAT DETAIL`.
    fn lives(&self) -> Vec<Vec<String>> {
        let ran = self.place.run(&["history", "--json"]).expect(0);
        let lives: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
        let text = |event: &serde_json::Value| {
            format!(
                "{} {}",
                event["what"].as_str().unwrap(),
                event["detail"].as_str().unwrap_or("")
            )
        };
        let words = |life: &serde_json::Value| life["events"].as_array().unwrap().iter().map(text).collect();
        lives.iter().map(words).collect()
    }
}

const TEST_FILE: &str = ".billdrop-test";

fn notify(manager: &Snmptrapd) -> String {
    format!(
        "[[notify]]\naddress = \"127.0.0.1:{}\"\ncommunity = \"{COMMUNITY}\"\ninform = true\n",
        manager.port
    )
}

fn count(manager: &Snmptrapd, name: &str) -> usize {
    manager.lines().iter().filter(|line| line.contains(name)).count()
}

#[test]
fn a_dead_destination_gets_everything_in_order_when_it_is_back_and_the_other_is_not_kept_waiting() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let dead = free_port();
    let tables = [
        site.table("good", ONE_ATTEMPT),
        site.table_at("dead", dead, ONE_ATTEMPT),
    ];
    site.configure(&notify(&manager), &tables);
    let mut sent = Vec::new();
    for (run, status) in [(1, 0), (2, 69), (3, 69)] {
        let ran = site.place.run(&["capture"]).expect(status);
        assert!(ran.stderr.contains("dead (sftp://127.0.0.1:"), "{run}: {ran:#?}");
        assert_eq!(ran.stderr.contains("warning: dead"), run == 1, "{run}: {ran:#?}");
        sent.push(site.pick_up());
        assert_eq!(site.arrived("good"), sent, "at once");
        let dead = site.destination("dead");
        assert_eq!((&dead["pending"], &dead["failures"]), (&run.into(), &run.into()));
        assert_eq!(dead["alarmed"].is_null(), run == 1, "{dead:#}");
        assert!(dead["last_error"].as_str().unwrap().contains("127.0.0.1"), "{dead:#}");
        assert_eq!(count(&manager, "billdropDestinationFailed"), run - 1);
    }
    let line = manager.wait_for("billdropDeliveriesPending.0 = Gauge32: 3", LIMIT);
    assert!(line.contains("billdropDestinationName.0 = STRING: dead"), "{line}");
    let text = site.place.run(&["history"]).expect(0).stdout;
    assert!(
        text.contains("not yet               to be pushed to dead, 3 attempts"),
        "{text}"
    );
    let text = site.place.run(&["status"]).expect(0).stdout;
    assert!(text.contains("dead: 3 documents pending"), "{text}");
    assert!(text.contains("FAILS: 3 runs one after the other"), "{text}");
    assert!(text.contains("good: has everything, got document 3 at"), "{text}");
    let log = fs::read_to_string(site.place.path().join("logs/error.log")).unwrap();
    for (level, times) in [("WARN", 1), ("ERROR", 2)] {
        let is_meant = |line: &&str| line.contains(level) && line.contains("dead (sftp");
        assert_eq!(log.lines().filter(is_meant).count(), times, "{log}");
    }
    for life in site.lives() {
        assert!(life.iter().any(|event| event.starts_with("pushed to good")), "{life:?}");
        assert!(
            life.iter().any(|event| event.starts_with("to be pushed to dead")),
            "{life:?}"
        );
    }

    proxy::cutting_on(dead, site.sshd.port, u64::MAX);
    let ran = site.place.run(&["-v", "push"]).expect(0);
    assert!(ran.stdout.contains("dead: 3 documents"), "{ran:#?}");
    let order: Vec<usize> = sent
        .iter()
        .map(|name| ran.stderr.find(&format!("pushed {name} to dead")).unwrap())
        .collect();
    assert!(order.is_sorted(), "{ran:#?}");
    assert!(ran.stderr.contains("compared by SHA-256"), "{ran:#?}");
    assert_eq!(site.arrived("dead"), sent);
    manager.wait_for("BILLDROP-MIB::billdropDestinationRecovered", LIMIT);
    site.place.run(&["push"]).expect(0);
    assert_eq!(count(&manager, "billdropDestinationFailed"), 2, "{:?}", manager.lines());
    assert_eq!(count(&manager, "billdropDestinationRecovered"), 1);
    let dead = site.destination("dead");
    assert_eq!((&dead["pending"], &dead["failures"]), (&0.into(), &0.into()));
    assert!(dead["alarmed"].is_null());
    for life in site.lives() {
        let pushed = life.iter().filter(|event| event.starts_with("pushed ")).count();
        assert_eq!(pushed, 2, "{life:?}");
    }
    for name in &sent {
        let octets = |inbox: &str| fs::read(site.inbox(inbox).join(name)).unwrap();
        assert_eq!(octets("good"), octets("dead"));
    }
}

#[test]
fn the_rule_says_when_a_document_has_done_its_work_in_the_spool() {
    let site = Site::new();
    let dead = free_port();
    let tables = [
        site.table("good", ONE_ATTEMPT),
        site.table_at("dead", dead, ONE_ATTEMPT),
    ];
    site.configure("", &tables);
    site.place.run(&["capture"]).expect(0);
    assert_eq!(site.place.listing(), site.arrived("good"), "a push is only a copy");
    site.place.run(&["capture"]).expect(75);

    // The document that waits was brought to one of them before the rule was another.
    site.configure("[spool]\nretrieved = \"any\"\n", &tables);
    site.place.run(&["capture"]).expect(69);
    assert_eq!(site.place.listing(), [""; 0], "taken out at once");
    assert_eq!(site.arrived("good").len(), 2);
    let life = &site.lives()[1];
    assert!(life.contains(&"retrieved pushed to good".to_owned()), "{life:?}");

    site.configure("[spool]\nretrieved = \"all\"\n", &tables);
    site.place.run(&["capture"]).expect(69);
    let waiting = site.place.listing();
    assert_eq!(waiting.len(), 1, "one of them has not got it");
    site.place.run(&["capture"]).expect(75);
    assert_eq!(site.place.listing(), waiting);
    proxy::cutting_on(dead, site.sshd.port, u64::MAX);
    let skipped = site.place.status()["skipped_captures"].clone();
    // Blocked, brought, and captured after all; that was no skipped capture.
    let document = site
        .place
        .path()
        .join(site.place.run(&["capture"]).expect(0).stdout.trim_end());
    assert_eq!(site.place.listing(), [""; 0]);
    assert_eq!(site.arrived("dead"), site.arrived("good"));
    let arrived = site.inbox("dead").join(document.file_name().unwrap());
    assert_eq!(site.place.information(&arrived)["capturesSkipped"], skipped);
    assert_eq!(site.arrived("good").len(), 4);
}

#[test]
fn a_waiting_capture_is_let_on_by_its_own_push_and_asks_a_dead_destination_once() {
    let site = Site::new();
    let dead = free_port();
    let before = "[spool]\nretrieved = \"all\"\n";
    site.configure(before, &[site.table_at("billing", dead, ONE_ATTEMPT)]);
    site.place.run(&["capture"]).expect(0);
    site.place.run(&["capture", "--wait=1s"]).expect(75);
    assert_eq!(site.destination("billing")["attempts"], 2);
    proxy::cutting_on(dead, site.sshd.port, u64::MAX);
    site.place.run(&["capture", "--wait=1min"]).expect(0);
    assert_eq!(site.arrived("billing").len(), 2);
    assert_eq!(site.place.listing(), [""; 0]);
}

#[test]
fn a_new_destination_gets_a_test_file_and_a_removed_one_is_not_forgotten_in_silence() {
    let site = Site::new();
    site.configure("", &[site.table("first", ONE_ATTEMPT)]);
    site.place.capture();
    let before = site.pick_up();
    let both = [site.table("first", ONE_ATTEMPT), site.table("second/../x", ONE_ATTEMPT)];
    fs::create_dir_all(site.inbox("second")).unwrap();
    site.configure("", &both);
    site.place.capture();
    let name = site.pick_up();
    assert_eq!(names(&site.inbox("x")), [TEST_FILE, name.as_str()]);
    assert_eq!(site.arrived("first"), [before, name]);

    let gone = site.table_at("gone", free_port(), ONE_ATTEMPT);
    site.configure("", &[site.table("first", ONE_ATTEMPT), gone]);
    site.place.run(&["capture"]).expect(0);
    let pending = site.pick_up();
    let refused = site.place.run(&["push", "--forget", "gone"]).expect(78);
    assert!(refused.stderr.contains("still configured"), "{refused:?}");
    site.configure("", &[]);
    let warned = |arguments: &[&str], status| {
        let ran = site.place.run(arguments).expect(status);
        assert!(
            format!("{}{}", ran.stderr, ran.stdout).contains("push --forget"),
            "{arguments:?}: {ran:?}"
        );
    };
    warned(&["capture"], 0);
    warned(&["status"], 0);
    warned(&["check"], 69);
    assert_eq!(site.destination("gone")["configured"], false);
    site.pick_up();
    site.configure("", &[site.table("first", ONE_ATTEMPT)]);
    warned(&["capture"], 0);
    warned(&["push"], 0);

    let ran = site.place.run(&["push", "--forget", "gone"]).expect(0);
    assert_eq!(ran.stdout, format!("document 3 ({pending}): given up for gone\n"));
    assert!(ran.stderr.contains("is never brought to gone"), "{ran:?}");
    assert_eq!(site.place.run(&["push"]).expect(0).stderr, "");
    site.place.run(&["push", "--forget", "gone"]).expect(69);
    site.place.run(&["push", "--to", "gone"]).expect(78);
}

#[test]
fn two_pushes_at_once_bring_each_document_once() {
    let site = Site::new();
    let dead = free_port();
    site.configure("", &[site.table_at("billing", dead, ONE_ATTEMPT)]);
    site.place.run(&["capture"]).expect(0);
    proxy::cutting_on(dead, site.sshd.port, u64::MAX);
    site.sshd.stop();
    let mut command = site.place.command(&["push"]);
    let mut first = Peer::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()), "billdrop");
    let lock = site.place.state().join("push-billing.lock");
    let pid = format!("{}\n", first.0.id());
    wait_until("the first has the lock", LIMIT, || {
        fs::read_to_string(&lock).is_ok_and(|holder| holder == pid)
    });
    let second = site.place.run(&["-v", "push"]).expect(0);
    assert_eq!(second.stdout, "billing: another billdrop is at it\n");
    assert!(second.stderr.contains("info: another billdrop"), "{second:?}");
    site.sshd.continue_();
    assert!(first.0.wait().unwrap().success());
    assert_eq!(site.arrived("billing"), site.place.listing());
}

#[test]
fn a_run_tries_again_while_its_patience_lasts_and_that_is_no_failure() {
    let site = Site::new();
    let dead = free_port();
    let table = site.table_at("billing", dead, "patience = \"1min\"\nretry-wait = \"1s\"\n");
    site.configure("", &[table]);
    let mut command = site.place.command(&["capture"]);
    let mut capture = Peer::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()), "billdrop");
    wait_until("there is a ledger", LIMIT, || {
        site.place.run(&["status"]).status == 0 && site.destination("billing")["attempts"] != 0
    });
    proxy::cutting_on(dead, site.sshd.port, u64::MAX);
    let errors = std::io::read_to_string(capture.0.stderr.take().unwrap()).unwrap();
    assert!(capture.0.wait().unwrap().success(), "{errors}");
    assert_eq!(errors, "");
    assert_eq!(site.arrived("billing"), site.place.listing());
    let state = site.destination("billing");
    assert_eq!((&state["failures"], &state["pending"]), (&0.into(), &0.into()));
}

#[test]
fn a_destination_that_says_nothing_holds_a_capture_up_no_longer_than_its_patience() {
    let site = Site::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let table = site.table_at("silent", port, "patience = \"1s\"\ntimeout = \"1h\"\n");
    site.configure("", &[table]);
    let begun = Instant::now();
    let ran = site.place.run(&["capture"]).expect(0);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(ran.stderr.contains("warning: silent"), "{ran:?}");
    assert_eq!(site.place.listing().len(), 1, "it is offered all the same");
}

#[test]
fn who_is_refused_is_not_tried_again_and_secrets_are_not_shown() {
    const SECRET: &str = "hunter2-hunter2";
    let site = Site::with("PasswordAuthentication yes");
    let known = site.table("billing", "patience = \"10min\"\n");
    let by_password = known.replace("identity", "#identity") + &format!("password = {SECRET:?}\n");
    fs::write(site.place.path().join("none"), "").unwrap();
    let none = site.place.path().join("none");
    let unknown = format!(
        "{}known-hosts = {none:?}\n",
        known.replace("known-hosts", "#known-hosts")
    );
    for (table, reason) in [(by_password, "does not let"), (unknown, "is not in")] {
        site.configure("", &[table]);
        if site.place.run(&["status"]).status != 0 {
            site.place.run(&["capture"]).expect(0);
        }
        let ran = site.place.run(&["-vv", "push"]).expect(77);
        assert!(ran.stderr.contains(reason), "{ran:?}");
        let checked = site.place.run(&["check", "--connect"]).expect(69);
        assert!(checked.stdout.contains("destination billing  WRONG"), "{checked:?}");
        let rest = ["status", "history"].map(|command| site.place.run(&[command]).expect(0).stdout);
        let ledger = fs::read(site.place.state().join("ledger.sqlite-wal")).unwrap();
        let ledger = String::from_utf8_lossy(&ledger).into_owned();
        for text in [ran.stderr, ran.stdout, checked.stdout, ledger].iter().chain(&rest) {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    site.configure("", &[known]);
    site.place.run(&["push"]).expect(0);
    let checked = site.place.run(&["check", "--connect"]).expect(0);
    assert!(checked.stdout.contains(", answered"), "{checked:?}");
}

#[test]
fn a_compressed_copy_is_brought_as_it_was_and_one_that_is_lost_keeps_no_other_back() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let to = |port| site.table_at("billing", port, ONE_ATTEMPT);
    site.configure(&notify(&manager), &[to(free_port())]);
    let mut sent = Vec::new();
    for _ in 0..3 {
        site.place.run(&["capture"]);
        let name = site.place.listing().pop().unwrap();
        sent.push(fs::read(site.place.spool().join(&name)).unwrap());
        site.pick_up();
    }
    let archive = site.place.state().join("archive");
    let copies = names(&archive);
    let packed = fs::File::create(archive.join(format!("{}.zst", copies[0]))).unwrap();
    zstd::stream::copy_encode(&sent[0][..], packed, 3).unwrap();
    fs::remove_file(archive.join(&copies[0])).unwrap();
    fs::remove_file(archive.join(&copies[1])).unwrap();
    site.configure(&notify(&manager), &[to(site.sshd.port)]);
    for _ in 0..2 {
        let ran = site.place.run(&["push"]).expect(69);
        assert!(
            ran.stderr.contains("document 2 cannot be brought to billing"),
            "{ran:?}"
        );
        assert_eq!(site.arrived("billing"), [copies[0].as_str(), copies[2].as_str()]);
    }
    for (copy, octets) in [(&copies[0], &sent[0]), (&copies[2], &sent[2])] {
        assert_eq!(fs::read(site.inbox("billing").join(copy)).unwrap(), *octets);
    }
    manager.wait_for("document 2 cannot be brought to billing", LIMIT);
    assert_eq!(count(&manager, "document 2 cannot be brought"), 1, "told once");
    let strange: Vec<String> = names(&site.place.state())
        .into_iter()
        .filter(|name| name.ends_with(".file"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn what_the_billing_system_lost_is_brought_again() {
    let site = Site::new();
    site.configure(
        "[archive]\nkeep = \"1year\"\ncompress = true\n",
        &[site.table("billing", ONE_ATTEMPT)],
    );
    site.place.capture();
    let name = site.pick_up();
    site.place.run(&["capture"]).expect(0);
    let arrived = site.inbox("billing").join(&name);
    let octets = fs::read(&arrived).unwrap();
    fs::remove_file(&arrived).unwrap();
    site.place.run(&["resend", "1", "--to", "billing"]).expect(0);
    let ran = site.place.run(&["push", "--to", "billing"]).expect(0);
    assert_eq!(ran.stdout, "billing: 1 document\n");
    assert_eq!(fs::read(&arrived).unwrap(), octets);
}

#[test]
fn a_document_reaches_a_tftp_server() {
    let site = Site::new();
    let Some(tftpd) = Tftpd::start(site.place.path()) else {
        return;
    };
    let url = format!("tftp://127.0.0.1:{}/", tftpd.port);
    site.configure("", &[format!("[[push]]\nname = \"t\"\nurl = {url:?}\n{ONE_ATTEMPT}")]);
    let document = site.place.capture();
    let arrived = tftpd.root.join(document.file_name().unwrap());
    assert_eq!(fs::read(arrived).unwrap(), fs::read(document).unwrap());
}

/// Two documents that a destination has not got; the ledger does not know yet that it can be reached.
fn owing() -> (Site, Vec<(String, Vec<u8>)>) {
    let site = Site::new();
    site.configure("", &[site.table_at("billing", free_port(), ONE_ATTEMPT)]);
    let mut sent = Vec::new();
    for _ in 0..2 {
        site.place.run(&["capture"]);
        let name = site.place.listing().pop().expect("a document is offered");
        let octets = fs::read(site.place.spool().join(&name)).unwrap();
        site.pick_up();
        sent.push((name, octets));
    }
    site.configure("", &[site.table("billing", ONE_ATTEMPT)]);
    (site, sent)
}

/// No document is lost, none is there under two names, and the ledger says what is true.
#[test]
fn killed_or_failed_at_any_call_a_push_is_completed_by_the_next() {
    let changing = file_changing_calls(&owing().0.place, &["push"]);
    let speaking = speaking_calls(&owing().0.place, &["push"]);
    say(&format!(
        "a push: {} file-changing calls, {} to the server",
        changing.len(),
        speaking.len()
    ));
    assert!(changing.len() > 20 && speaking.len() > 50, "{changing:?} {speaking:?}");
    let mut cases: Vec<(Call, &str)> = Vec::new();
    for call in changing {
        cases.extend(["signal=KILL", "error=EIO"].map(|fault| (call.clone(), fault)));
    }
    for (index, call) in speaking.into_iter().enumerate() {
        cases.push((call, if index % 2 == 0 { "signal=KILL" } else { "error=EIO" }));
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((call, fault)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(reason) = endure(call, fault) {
                        failures.lock().unwrap().push(format!("{call:?}, {fault}: {reason}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    say(&format!("{} cases run, {} failed", cases.len(), failures.len()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn endure(call: &Call, fault: &str) -> Result<(), String> {
    let (site, sent) = owing();
    let (Ok(struck) | Err(struck)) = try_fault(&site.place, &["push"], call, fault);
    let wrong = |what: &str| Err(format!("{what}: {struck:?}"));
    if struck.status == 101 {
        return wrong("panicked");
    }
    let whole = |inbox: &[String]| {
        let is_whole = |name: &String| {
            let arrived = fs::read(site.inbox("billing").join(name)).unwrap();
            sent.iter().any(|(sent, octets)| sent == name && *octets == arrived)
        };
        inbox.iter().filter(|name| !name.starts_with('.')).all(is_whole)
    };
    if !whole(&site.arrived("billing")) {
        return wrong("a part lies under a final name");
    }
    let after = site.place.run(&["push"]);
    if after.status != 0 {
        return Err(format!("the next run fails: {after:?} after {struck:?}"));
    }
    let expected: Vec<&String> = sent.iter().map(|(name, _)| name).collect();
    let arrived = site.arrived("billing");
    if arrived.iter().collect::<Vec<_>>() != expected || !whole(&arrived) {
        return Err(format!("there lies {arrived:?}, not {expected:?}: {struck:?}"));
    }
    let state = site.destination("billing");
    if state["pending"] != 0 || state["failures"] != 0 || state["tested"].is_null() {
        return Err(format!("the ledger says {state}: {struck:?}"));
    }
    for life in site.lives() {
        if life
            .iter()
            .filter(|event| event.starts_with("pushed to billing"))
            .count()
            != 1
        {
            return Err(format!("history says {life:?}: {struck:?}"));
        }
    }
    Ok(())
}

fn lose_the_ledger(site: &Site) {
    for file in names(&site.place.state())
        .iter()
        .filter(|name| name.starts_with("ledger"))
    {
        fs::remove_file(site.place.state().join(file)).unwrap();
    }
}

#[test]
fn a_rebuilt_ledger_knows_what_destinations_have_not_got() {
    let site = Site::new();
    let dead = free_port();
    let tables = |port| {
        [
            site.table("good", ONE_ATTEMPT),
            site.table_at("late", port, ONE_ATTEMPT),
        ]
    };
    site.configure("", &tables(site.sshd.port));
    site.place.run(&["capture"]).expect(0);
    let first = site.pick_up();
    site.configure("", &tables(dead));
    let mut owed = Vec::new();
    for _ in 0..3 {
        site.place.run(&["capture"]);
        owed.push(site.pick_up());
    }
    // One more is sealed and offered, and no destination has heard of it.
    let mut all = site.arrived("good");
    site.configure(
        "",
        &[("good", dead), ("late", dead)].map(|(name, port)| site.table_at(name, port, ONE_ATTEMPT)),
    );
    site.place.run(&["capture"]).expect(69);
    all.push(site.place.listing().pop().unwrap());
    lose_the_ledger(&site);
    // What the billing system has taken away does not come again.
    fs::remove_file(site.inbox("good").join(&first)).unwrap();
    fs::remove_file(site.inbox("late").join(&first)).unwrap();
    site.configure("", &tables(site.sshd.port));
    let ran = site.place.run(&["capture"]).expect(75);
    assert!(ran.stderr.contains("late gets 4 of them"), "{ran:?}");
    assert!(ran.stderr.contains("good gets 1 of them"), "{ran:?}");
    assert_eq!(site.arrived("late"), all[1..], "{ran:?}");
    assert_eq!(site.arrived("good"), all[1..], "{ran:?}");
    assert_eq!(owed, all[1..4]);
}

#[test]
fn a_document_that_waits_for_a_push_is_pushed_by_a_rebuilt_ledger_without_any_memory() {
    let site = Site::new();
    let before = "[spool]\nretrieved = \"any\"\n";
    site.configure(before, &[site.table_at("billing", free_port(), ONE_ATTEMPT)]);
    site.place.run(&["capture"]).expect(0);
    let waiting = site.place.listing();
    fs::remove_dir_all(site.place.state()).unwrap();
    site.configure(before, &[site.table("billing", ONE_ATTEMPT)]);
    let ran = site.place.run(&["capture"]).expect(0);
    assert!(ran.stderr.contains("billing gets 1 of them"), "{ran:?}");
    assert!(ran.stderr.contains("billdrop resend"), "{ran:?}");
    assert_eq!(site.arrived("billing").len(), 2);
    assert_eq!(site.arrived("billing")[0], waiting[0]);
    assert_eq!(site.place.listing(), [""; 0], "nothing waits for ever");
}

#[test]
fn a_copy_that_was_damaged_keeps_no_later_document_back_and_never_arrives() {
    let site = Site::new();
    site.configure("", &[site.table_at("billing", free_port(), ONE_ATTEMPT)]);
    for _ in 0..3 {
        site.place.run(&["capture"]);
        site.pick_up();
    }
    let archive = site.place.state().join("archive");
    let copies = names(&archive);
    let mut octets = fs::read(archive.join(&copies[1])).unwrap();
    octets[300] ^= 1;
    fs::write(archive.join(&copies[1]), octets).unwrap();
    site.configure("", &[site.table("billing", ONE_ATTEMPT)]);
    for _ in 0..2 {
        let ran = site.place.run(&["push"]).expect(69);
        assert!(
            ran.stderr.contains("document 2 cannot be brought to billing"),
            "{ran:?}"
        );
        assert_eq!(site.arrived("billing"), [copies[0].as_str(), copies[2].as_str()]);
    }
}

#[test]
fn history_keeps_the_first_delivery_of_what_was_brought_again() {
    let site = Site::new();
    site.configure("[archive]\nkeep = \"1year\"\n", &[site.table("billing", ONE_ATTEMPT)]);
    site.place.capture();
    site.pick_up();
    site.place.run(&["resend", "1", "--to", "billing"]).expect(0);
    site.place.run(&["push"]).expect(0);
    let life = &site.lives()[0];
    let pushed = life
        .iter()
        .filter(|event| event.starts_with("pushed to billing: "))
        .count();
    assert_eq!(pushed, 2, "{life:?}");
}

#[test]
fn a_push_in_which_nothing_moves_is_told() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let table = site.table_at("silent", port, "patience = \"0s\"\ntimeout = \"1h\"\n");
    let before = format!("[spool]\nalarm-after = \"1s\"\n{}", notify(&manager));
    site.configure("", &[site.table_at("silent", free_port(), ONE_ATTEMPT)]);
    site.place.run(&["capture"]).expect(0);
    site.configure(&before, &[table]);
    let mut command = site.place.command(&["push"]);
    let _hangs = Peer::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()), "billdrop");
    let _connection = silent.accept().unwrap();
    let quick = site.place.run(&["push"]).expect(0);
    assert_eq!(quick.stdout, "silent: another billdrop is at it\n");
    thread::sleep(Duration::from_millis(1100));
    let ran = site.place.run(&["push"]).expect(69);
    assert!(ran.stderr.contains("nothing has moved for 1s"), "{ran:?}");
    manager.wait_for("nothing has moved", LIMIT);
}

#[test]
fn root_leaves_nothing_behind_that_is_in_the_way_of_the_user_who_captures() {
    if !rustix::process::geteuid().is_root() {
        return say("root_leaves_nothing_behind: not tried; this is not root");
    }
    let site = Site::new();
    site.configure("", &[site.table_at("billing", free_port(), ONE_ATTEMPT)]);
    site.place.run(&["capture"]).expect(0);
    let lock = site.place.state().join("push-billing.lock");
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::chown(site.place.state(), Some(22003), Some(22003)).unwrap();
    let ran = site.place.run(&["push"]).expect(77);
    assert!(ran.stderr.contains("Run billdrop as that user"), "{ran:?}");
    assert!(!lock.exists());
}

#[test]
fn two_destinations_at_one_place_are_a_mistake() {
    let site = Site::new();
    let table = site.table("billing", ONE_ATTEMPT);
    let twice = table.replace("name = \"billing\"", "name = \"again\"");
    site.configure("", &[table, twice.clone()]);
    let ran = site.place.run(&["capture"]).expect(78);
    assert!(ran.stderr.contains("the same place as that of \"billing\""), "{ran:?}");
    let other = format!("{twice}remote-name = \"again-{{name}}\"\n");
    site.configure("", &[site.table("billing", ONE_ATTEMPT), other]);
    site.place.run(&["capture"]).expect(0);
    // Both want to try the place with the same file at the same time.
    site.place.run(&["push"]).expect(0);
    assert_eq!(site.arrived("billing").len(), 2);
}

#[test]
fn what_fails_on_our_own_disk_is_told_too() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    site.configure(&notify(&manager), &[site.table("billing", ONE_ATTEMPT)]);
    fs::create_dir_all(site.place.state().join("push-billing.file")).unwrap();
    let state = site.place.state();
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let ran = site.place.run(&["capture"]).expect(69);
    assert!(ran.stderr.contains("nothing can be brought to billing"), "{ran:?}");
    manager.wait_for("BILLDROP-MIB::billdropDestinationFailed", LIMIT);
    fs::remove_dir(state.join("push-billing.file")).unwrap();
    site.place.run(&["push"]).expect(0);
    manager.wait_for("BILLDROP-MIB::billdropDestinationRecovered", LIMIT);
}

#[test]
fn check_says_how_a_host_is_made_known_and_what_is_wrong_with_a_key() {
    let site = Site::new();
    let table = site.table("billing", ONE_ATTEMPT);
    let none = site.place.path().join("none");
    let unknown = format!(
        "{}known-hosts = {none:?}\n",
        table.replace("known-hosts", "#known-hosts")
    );
    site.configure("", std::slice::from_ref(&unknown));
    let ran = site.place.run(&["check", "--connect"]).expect(69);
    let line = format!("\n  [127.0.0.1]:{} ssh-ed25519 ", site.sshd.port);
    let added = ran.stdout.split_once(&line).unwrap_or_else(|| panic!("{ran:?}")).1;
    let added = format!("{}{}\n", line.trim_start(), added.lines().next().unwrap());
    fs::write(&none, added).unwrap();
    site.place.run(&["check", "--connect"]).expect(0);

    let mode = |mode| fs::set_permissions(site.sshd.identity(), std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o640).unwrap();
    let ran = site.place.run(&["check"]).expect(69);
    assert!(ran.stdout.contains("others can read"), "{ran:?}");
    assert!(ran.stdout.contains("chmod 600"), "{ran:?}");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Of another user's file, as of one of root's in /etc, a group may read.
    std::os::unix::fs::chown(site.sshd.identity(), Some(22003), None).unwrap();
    site.place.run(&["check", "--connect"]).expect(0);
    mode(0o644).unwrap();
    site.place.run(&["check"]).expect(69);
}

#[test]
fn where_nobody_picks_up_resend_says_that_it_will_wait_for_that() {
    let site = Site::new();
    let table = site.table("billing", ONE_ATTEMPT);
    site.configure("[archive]\nkeep = \"1year\"\n[spool]\nretrieved = \"any\"\n", &[table]);
    site.place.run(&["capture"]).expect(0);
    let ran = site.place.run(&["resend", "1"]).expect(0);
    assert!(ran.stderr.contains("resend --to NAME"), "{ran:?}");
    let ran = site.place.run(&["resend", "1", "--to", "billing"]).expect(0);
    assert!(!ran.stderr.contains("resend --to NAME"), "{ran:?}");
}

#[test]
fn an_agent_that_does_not_answer_is_given_up_in_time() {
    let site = Site::new();
    let table = site.table("billing", "patience = \"0s\"\ntimeout = \"1s\"\nagent = true\n");
    site.configure("", &[table.replace("identity", "#identity")]);
    let socket = site.place.path().join("agent");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    site.place.run(&["capture"]).expect(0);
    let mut command = site.place.command(&["push"]);
    command
        .env("SSH_AUTH_SOCK", &socket)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut push = Peer::spawn(&mut command, "billdrop");
    wait_until("the push ends", LIMIT, || push.has_ended());
    let errors = std::io::read_to_string(push.0.stderr.take().unwrap()).unwrap();
    assert!(errors.contains("agent (no answer in time)"), "{errors}");
}

#[test]
fn an_alarm_is_over_when_nothing_is_lacking_any_more() {
    let (site, _) = owing();
    let struck = try_fault(&site.place, &["push"], &("fsync".to_owned(), 7), "error=EIO");
    let (Ok(struck) | Err(struck)) = struck;
    assert_eq!(struck.status, 69, "{struck:?}");
    site.place.run(&["push"]).expect(0);
    let state = site.destination("billing");
    assert_eq!(state["failures"], 0, "{state} after {struck:?}");
    assert!(state["alarmed"].is_null(), "{state} after {struck:?}");
}
