//! Documents are brought to destinations: each one whole, in order, once; and whoever must know hears when they are not.

mod support;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use support::{
    binary::{Place, Ran, names},
    faults::{file_changing_calls, run_with_fault},
    free_port, poll, say,
    snmptrapd::{COMMUNITY, Snmptrapd},
    sshd::{self, Sshd},
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
        let place = Place::new();
        let sshd = Sshd::start(&place.path().join("ssh"));
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

/// A port that is open later: somebody who answers nothing has it until then.
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
    let text = site.place.run(&["status"]).expect(0).stdout;
    assert!(text.contains("dead: 3 documents pending"), "{text}");
    assert!(text.contains("FAILS: 3 runs one after the other"), "{text}");
    assert!(text.contains("good: has everything, got document 3 at"), "{text}");
    for life in site.lives() {
        assert!(life.iter().any(|event| event.starts_with("pushed to good")), "{life:?}");
        assert!(
            life.iter().any(|event| event.starts_with("to be pushed to dead")),
            "{life:?}"
        );
    }

    let _back = support::proxy::cutting_on(dead, site.sshd.port, u64::MAX);
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
