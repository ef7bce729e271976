//! `billdrop push` against servers that refuse, are full, fall silent or are cut off: no part of a document under its final
//! name there, a clear error here, and the next run completes it, once.

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use support::{
    binary::{Place, Ran, names},
    free_port, namespace, proxy, say,
    sshd::{self, Sshd},
    wait_until,
};

const LO: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";

const LIMIT: Duration = Duration::from_secs(20);

/// A document of some size that a destination has not got, and that was picked up before.
struct Site {
    place: Place,
    sshd: Sshd,
    scheme: &'static str,
    user: String,
    name: String,
    content: Vec<u8>,
}

impl Site {
    fn new(scheme: &'static str, octets: usize) -> Self {
        let place = Place::new();
        let sshd = Sshd::start(&place.path().join("ssh"));
        Site::with(place, sshd, sshd::account(), scheme, octets)
    }

    fn with(place: Place, sshd: Sshd, user: String, scheme: &'static str, octets: usize) -> Self {
        let mut site = Site {
            place,
            sshd,
            scheme,
            user,
            name: String::new(),
            content: (0..octets).map(|n| (n * 31 % 251) as u8).collect(),
        };
        fs::create_dir_all(site.inbox()).unwrap();
        site.configure_at(free_port(), "");
        site.place.run(&["capture"]).expect(0);
        site.name = site.place.listing().pop().unwrap();
        fs::remove_file(site.place.spool().join(&site.name)).unwrap();
        // As if there had been so much to bill.
        fs::write(site.place.state().join("archive").join(&site.name), &site.content).unwrap();
        let sha256: String = Sha256::digest(&site.content)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let ledger = Connection::open(site.place.state().join("ledger.sqlite")).unwrap();
        ledger
            .execute(
                "UPDATE document SET octets = ?1, sha256 = ?2",
                params![octets as i64, sha256],
            )
            .unwrap();
        ledger
            .execute_batch("UPDATE destination SET failures = 0; UPDATE delivery SET attempts = 0, last_error = NULL")
            .unwrap();
        site.configure_at(site.sshd.port, "");
        site
    }

    fn inbox(&self) -> PathBuf {
        self.place.path().canonicalize().unwrap().join("inbox")
    }

    /// The destination behind this port. In each run one attempt.
    fn configure_at(&self, port: u16, more: &str) {
        let known = fs::read_to_string(self.sshd.known_hosts()).unwrap();
        let file = self.place.path().join("known_hosts");
        fs::write(&file, known.replace(&self.sshd.port.to_string(), &port.to_string())).unwrap();
        let url = format!(
            "{}://{}@127.0.0.1:{port}{}/",
            self.scheme,
            self.user,
            self.inbox().display()
        );
        self.place.configure(&format!(
            "[archive]\nkeep = \"1year\"\n{LO}[[push]]\nname = \"billing\"\nurl = {url:?}\nidentity = {:?}\nknown-hosts = {file:?}\npatience = \"0s\"\n\
             {more}",
            self.sshd.identity()
        ));
    }

    fn push(&self) -> Ran {
        self.place.run(&["push"])
    }

    /// Under names that others see.
    fn arrived(&self) -> Vec<String> {
        let mut arrived = names(&self.inbox());
        arrived.retain(|name| !name.starts_with('.'));
        arrived
    }

    /// The run has failed, says why, and there is no part of the document under its final name.
    #[track_caller]
    fn assert_failed(&self, ran: &Ran, status: i32, reason: &str) {
        assert_eq!(ran.status, status, "{ran:#?}");
        assert!(
            ran.stderr.contains("billing (") && ran.stderr.contains(reason),
            "{ran:#?}"
        );
        assert_eq!(self.arrived(), [""; 0], "{ran:#?}");
        let life = self.place.run(&["history"]).expect(0).stdout;
        assert!(life.contains("to be pushed") && life.contains(reason), "{life}");
        assert!(!life.contains("pushed      to"), "{life}");
    }

    /// The next run brings it, and the one after it has nothing to do.
    #[track_caller]
    fn assert_completed(&self, what: &str) {
        let ran = self.push();
        assert_eq!(ran.status, 0, "{what}: {ran:#?}\n{}", self.sshd.log());
        assert_eq!(ran.stdout, "billing: 1 document\n", "{what}");
        self.assert_there(what);
        assert_eq!(self.push().expect(0).stdout, "billing: nothing to bring\n", "{what}");
    }

    #[track_caller]
    fn assert_there(&self, what: &str) {
        assert_eq!(self.arrived(), [self.name.as_str()], "{what}");
        assert!(
            fs::read(self.inbox().join(&self.name)).unwrap() == self.content,
            "{what}"
        );
        let left = names(&self.inbox());
        assert!(!left.iter().any(|name| name.ends_with(".partial")), "{what}: {left:?}");
        let life = self.place.run(&["history"]).expect(0).stdout;
        assert_eq!(life.matches("pushed      to billing").count(), 1, "{what}: {life}");
    }

    /// As if it had never been brought.
    fn forget(&self) {
        fs::remove_file(self.inbox().join(&self.name)).unwrap();
        let ledger = Connection::open(self.place.state().join("ledger.sqlite")).unwrap();
        ledger
            .execute_batch("UPDATE delivery SET state = 'pending', delivered = NULL, last_error = NULL")
            .unwrap();
    }
}

#[test]
fn a_wrong_host_key_is_refused_and_the_right_one_lets_it_through() {
    for scheme in ["sftp", "scp"] {
        let site = Site::new(scheme, 100_000);
        let right = fs::read_to_string(site.sshd.known_hosts()).unwrap();
        site.sshd.expect_another_host_key();
        site.configure_at(site.sshd.port, "");
        let ran = site.push();
        site.assert_failed(&ran, 77, "has changed");
        assert!(ran.stderr.contains("ssh-keygen -R"), "{ran:?}");
        assert_eq!(names(&site.inbox()), [""; 0], "not even a test file");
        fs::write(site.place.path().join("known_hosts"), right).unwrap();
        site.assert_completed(scheme);
    }
}

#[test]
fn a_directory_without_permission_is_refused_and_an_open_one_is_not() {
    if !rustix::process::geteuid().is_root() {
        return say("directories without permission: not tried; it needs root, for sshd to change accounts");
    }
    for scheme in ["sftp", "scp"] {
        let place = Place::new();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let sshd = Sshd::start_for_bill(&place.path().join("ssh"), "x", "");
        let site = Site::with(place, sshd, "bill".to_owned(), scheme, 100_000);
        let ran = site.push();
        site.assert_failed(&ran, 69, "ermission denied");
        chown(site.inbox(), Some(sshd::BILL), Some(sshd::BILL)).unwrap();
        site.assert_completed(scheme);
    }
}

#[test]
fn a_full_disk_there_is_told_and_the_next_run_goes_on_when_there_is_room() {
    const NAME: &str = "a_full_disk_there_is_told_and_the_next_run_goes_on_when_there_is_room";
    if std::env::var_os("BILLDROP_TEST_NAMESPACE").is_none() {
        if !rustix::process::geteuid().is_root() {
            return say("a full disk there: not tried; it needs root to mount");
        }
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        namespace::again(unshare, NAME, "made");
        return;
    }
    for scheme in ["sftp", "scp"] {
        let site = Site::new(scheme, 3_000_000);
        let inbox = site.inbox();
        namespace::output(
            "mount",
            ["-t", "tmpfs", "-o", "size=1m", "none", inbox.to_str().unwrap()],
        );
        let ran = site.push();
        let reason = if scheme == "sftp" {
            "the disk there is full"
        } else {
            "No space left"
        };
        site.assert_failed(&ran, 69, reason);
        let left = names(&inbox);
        assert!(
            !left.iter().any(|name| name.ends_with(".partial")),
            "{scheme}: {left:?}"
        );
        namespace::output("mount", ["-o", "remount,size=8m", inbox.to_str().unwrap()]);
        site.assert_completed(scheme);
    }
}

#[test]
fn a_server_that_stops_reading_is_given_up_and_gets_it_when_it_reads_again() {
    for scheme in ["sftp", "scp"] {
        // More than all buffers on the way hold, at a rate that leaves time to stop it on the way.
        let site = Site::new(scheme, 30_000_000);
        site.configure_at(site.sshd.port, "timeout = \"1s\"\nrate-limit = \"20MB\"\n");
        let ran = thread::scope(|scope| {
            let push = scope.spawn(|| site.push());
            wait_until("a part has arrived", LIMIT, || {
                let partial = site.inbox().join(format!(".{}.partial", site.name));
                fs::metadata(partial).is_ok_and(|found| found.len() > 2_000_000)
            });
            site.sshd.stop();
            let stopped = Instant::now();
            let ran = push.join().unwrap();
            assert!(stopped.elapsed() < Duration::from_secs(12), "{:?}", stopped.elapsed());
            ran
        });
        site.sshd.continue_();
        site.assert_failed(&ran, 69, "no answer in time");
        site.configure_at(site.sshd.port, "");
        site.assert_completed(scheme);
    }
}

#[test]
fn a_server_that_is_killed_before_the_rename_gets_it_once() {
    for scheme in ["sftp", "scp"] {
        let site = Site::new(scheme, 2_000_000);
        site.configure_at(site.sshd.port, "rate-limit = \"4MB\"\n");
        let ran = thread::scope(|scope| {
            let push = scope.spawn(|| site.push());
            let partial = site.inbox().join(format!(".{}.partial", site.name));
            wait_until("nearly all has arrived", LIMIT, || {
                fs::metadata(&partial).is_ok_and(|found| found.len() > 1_900_000)
            });
            site.sshd.cut_connections();
            push.join().unwrap()
        });
        site.assert_failed(&ran, 69, "connection");
        site.configure_at(site.sshd.port, "");
        site.assert_completed(scheme);
    }
}

/// At each tenth of the file, and at the last packets: before the comparison, before the rename, before its answer.
#[test]
fn a_connection_that_is_cut_anywhere_leaves_no_part_and_the_next_run_completes_it_once() {
    const OCTETS: u64 = 200_000;
    let endure = |scheme| {
        let site = Site::new(scheme, OCTETS as usize);
        site.assert_completed("nothing is cut");
        site.forget();
        // Returns whether the run failed, and whether the document was there then.
        let cut = |after: u64| {
            let what = format!("{scheme}, cut after {after}");
            site.configure_at(proxy::cutting(site.sshd.port, after), "");
            let ran = site.push();
            let arrived = !site.arrived().is_empty();
            if arrived {
                assert!(
                    fs::read(site.inbox().join(&site.name)).unwrap() == site.content,
                    "{what}: a part"
                );
            }
            site.configure_at(site.sshd.port, "");
            match ran.status {
                0 => {}
                69 => drop(site.push().expect(0)),
                _ => panic!("{what}: {ran:?}"),
            }
            site.assert_there(&what);
            site.forget();
            (ran.status != 0, arrived)
        };
        for tenth in 0..=10 {
            assert_eq!(
                cut(3_000 + tenth * OCTETS / 10),
                (true, false),
                "{scheme}: tenth {tenth}"
            );
        }
        // With so many octets nothing is cut any more.
        let (mut less, mut enough) = (OCTETS, OCTETS + 30_000);
        while enough - less > 20 {
            let middle = u64::midpoint(less, enough);
            match cut(middle).0 {
                true => less = middle,
                false => enough = middle,
            }
        }
        let last: Vec<(bool, bool)> = (1..=8).map(|packet| cut(enough - packet * 40)).collect();
        say(&format!("{scheme}: at the last packets (failed, was there): {last:?}"));
        assert!(last.contains(&(true, false)), "{scheme}: {last:?}");
    };
    thread::scope(|scope| {
        scope.spawn(|| endure("sftp"));
        scope.spawn(|| endure("scp"));
    });
}
