//! Streaming mode: each document is at a collector whole, once, in order; and whoever must know hears when it is not.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use support::{
    Peer,
    binary::{Place, Ran, names},
    collector::Collector,
    free_port, namespace, say,
    snmptrapd::{COMMUNITY, Snmptrapd},
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(20);

/// What each document has.
const LO: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";

/// One try, and no waiting: the tests wait for nothing.
const ONE_TRY: &str = "retries = 0\nretry-wait = \"0s\"\n";

/// A place that streams.
struct Site {
    place: Place,
}

impl Site {
    fn new() -> Self {
        Site { place: Place::new() }
    }

    /// `stream` are the keys of [stream], `more` other tables.
    fn configure(&self, stream: &str, more: &str) {
        self.place
            .configure(&format!("{more}[stream]\n{ONE_TRY}{stream}\n{LO}"));
    }

    fn plain(&self, port: u16, more: &str) {
        self.configure(&format!("{}{more}", primary(port)), "");
    }

    fn stream(&self) -> Ran {
        self.place.run(&["-v", "stream", "--once"])
    }

    fn waiting(&self) -> Vec<String> {
        names(&self.place.state().join("stream"))
    }

    fn collector(&self) -> Collector {
        Collector::start(&self.place.path().join("billing"), &[])
    }

    fn destination(&self) -> serde_json::Value {
        self.place.status()["destinations"][0].clone()
    }
}

fn primary(port: u16) -> String {
    format!("primary = {{ address = \"127.0.0.1:{port}\", security = \"non-secure\" }}\n")
}

fn secondary(port: u16) -> String {
    format!("secondary = {{ address = \"127.0.0.1:{port}\", security = \"non-secure\" }}\n")
}

fn notify(manager: &Snmptrapd) -> String {
    format!(
        "[[notify]]\naddress = \"127.0.0.1:{}\"\ncommunity = {COMMUNITY:?}\ninform = true\n",
        manager.port
    )
}

#[test]
fn a_document_is_streamed_whole_and_the_manager_hears_where_to() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let collector = site.collector();
    // With a copy, to compare.
    let more = format!("[archive]\nkeep = \"1day\"\n{}", notify(&manager));
    site.configure(&primary(collector.address.port()), &more);
    for sequence in 1..=3 {
        let ran = site.stream().expect(0);
        assert_eq!(ran.stdout, "1 document sent\n");
        assert_eq!(collector.taken(), sequence);
        assert_eq!(site.waiting(), [""; 0]);
    }
    assert!(!site.place.spool().exists(), "no spool is made");
    let copies = site.place.state().join("archive");
    let mut copies: Vec<_> = names(&copies)
        .iter()
        .map(|name| fs::read(copies.join(name)).unwrap())
        .collect();
    let mut taken: Vec<_> = names(&collector.directory)
        .iter()
        .map(|name| fs::read(collector.directory.join(name)).unwrap())
        .collect();
    copies.sort();
    taken.sort();
    assert_eq!(copies.len(), 3);
    assert_eq!(copies, taken, "byte for byte what the archive holds");

    let line = manager.wait_for("ccmtrCollectionNotification", LIMIT);
    let destination = format!("ccmtrCollectionDestination.0 = STRING: {}", collector.address);
    assert!(line.contains(&destination), "{line}");
    assert!(line.contains("ccmtrCollectionStatus.0 = INTEGER: success"), "{line}");
    assert_eq!(manager.lines().len(), 3, "one for each document: {:?}", manager.lines());
    let history = site.place.run(&["history"]).expect(0).stdout;
    assert_eq!(history.matches("retrieved   streamed").count(), 3, "{history}");
    let status = site.place.run(&["status"]).expect(0).stdout;
    assert!(status.contains("stream: has everything, got document 3"), "{status}");
}

/// What one fault leads to: the words, the status of the trap, and how long it took.
struct Fault {
    words: &'static str,
    status: &'static str,
    longest: Duration,
}

/// Streams a document into a fault; then a collector is there, and gets it once.
fn fails(what: &str, keys: &str, fault: &Fault, listener: Option<JoinHandle<()>>) {
    let site = Site::new();
    let manager = Snmptrapd::start();
    site.configure(keys, &notify(&manager));
    let begin = Instant::now();
    let ran = site.stream().expect(69);
    let took = begin.elapsed();
    assert!(ran.stderr.contains(fault.words), "{what}: {ran:#?}");
    assert_eq!(ran.stdout, "0 documents sent, 1 waiting\n", "{what}");
    assert!(took < fault.longest, "{what} was detected after {took:?}");
    let line = manager.wait_for("ccmtrCollectionNotification", LIMIT);
    let status = format!("ccmtrCollectionStatus.0 = INTEGER: {}", fault.status);
    assert!(line.contains(&status) && line.contains("127.0.0.1:"), "{what}: {line}");
    assert_eq!(manager.lines().len(), 1, "{what}: {:?}", manager.lines());
    say(&format!(
        "{what}: detected after {} ms, {}",
        took.as_millis(),
        fault.status
    ));
    if let Some(listener) = listener {
        listener.join().unwrap();
    }
    assert_eq!(site.waiting().len(), 1, "{what}: nothing is lost");

    let collector = site.collector();
    site.plain(collector.address.port(), "");
    assert_eq!(site.stream().expect(0).stdout, "2 documents sent\n", "{what}");
    assert_eq!(
        (collector.taken(), collector.taken()),
        (1, 2),
        "{what}: the oldest first"
    );
    assert!(collector.is_silent(), "{what}: each once");
}

/// Serves one connection in its own way.
fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_collector_that_is_not_there_refuses_and_the_document_waits() {
    let fault = Fault {
        words: "connection refused",
        status: "connectionTimeout",
        longest: 10 * SECOND,
    };
    fails("refused", &primary(free_port()), &fault, None);
}

#[test]
fn a_collector_that_is_unreachable_costs_the_time_of_a_connection() {
    const TEST: &str = "a_collector_that_is_unreachable_costs_the_time_of_a_connection";
    namespace::inside(&[], TEST, |_| {
        // Packets to it are dropped: nobody at the other end has that address.
        for arguments in [
            "link set lo up",
            "link add dead0 type veth peer name other0",
            "link set dead0 up",
            "link set other0 up",
            "addr add 192.0.2.1/24 dev dead0",
            "neigh add 192.0.2.9 lladdr 02:00:5e:00:53:09 dev dead0",
        ] {
            let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
            assert!(status.success(), "ip {arguments}");
        }
        let site = Site::new();
        let manager = Snmptrapd::start();
        let keys = "primary = { address = \"192.0.2.9:5300\", security = \"non-secure\" }\nconnect-timeout = \"1s\"\n";
        site.configure(keys, &notify(&manager));
        let begin = Instant::now();
        let ran = site.stream().expect(69);
        let took = begin.elapsed();
        assert!(
            ran.stderr.contains("192.0.2.9:5300: no connection within 1s"),
            "{ran:#?}"
        );
        assert!(took >= SECOND && took < 10 * SECOND, "{took:?}");
        let line = manager.wait_for("ccmtrCollectionNotification", LIMIT);
        assert!(
            line.contains("INTEGER: connectionTimeout") && line.contains("192.0.2.9:5300"),
            "{line}"
        );
        assert_eq!(site.waiting().len(), 1);
        say(&format!("unreachable: detected after {} ms", took.as_millis()));
    });
}

#[test]
fn a_collector_that_connects_and_hangs_is_given_up() {
    let (port, listener) = peer(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
        // Until the other side has gone.
        let mut octet = [0];
        while stream.write(&octet).is_ok() && stream.read(&mut octet).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let fault = Fault {
        words: "has not closed the connection after the end of the document",
        status: "dataIncomplete",
        longest: 10 * SECOND,
    };
    fails(
        "hangs",
        &format!("{}idle-timeout = \"1s\"\n", primary(port)),
        &fault,
        Some(listener),
    );
}

#[test]
fn a_collector_that_closes_half_way_has_nothing() {
    let (port, listener) = peer(|mut stream| {
        let mut some = [0; 100];
        stream.read_exact(&mut some).unwrap();
        // What else has come by then is not read.
        let _ = stream.peek(&mut some);
    });
    let fault = Fault {
        words: "the connection before",
        status: "dataIncomplete",
        longest: 10 * SECOND,
    };
    fails("closes half way", &primary(port), &fault, Some(listener));
}

#[test]
fn a_collector_that_resets_half_way_has_nothing() {
    let (port, listener) = peer(|mut stream| {
        let mut some = [0; 100];
        stream.read_exact(&mut some).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let fault = Fault {
        words: "it reset the connection before it had read the whole document",
        status: "dataIncomplete",
        longest: 10 * SECOND,
    };
    fails("resets half way", &primary(port), &fault, Some(listener));
}

#[test]
fn a_collector_that_reads_an_octet_a_second_has_a_limit() {
    // It goes on until it has read what it has got, which nobody waits for.
    let (port, _) = peer(|mut stream| {
        let mut octet = [0];
        while stream.read_exact(&mut octet).is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    let fault = Fault {
        words: "for 2s",
        status: "dataIncomplete",
        longest: 15 * SECOND,
    };
    fails(
        "reads an octet a second",
        &format!("{}idle-timeout = \"2s\"\n", primary(port)),
        &fault,
        None,
    );
}

#[test]
fn plain_text_to_a_collector_with_tls_is_recognised() {
    let site = Site::new();
    let tls = Authority::new(site.place.path());
    let secure = tls.collector(&site, "127.0.0.1");
    let manager = Snmptrapd::start();
    site.configure(&primary(secure.address.port()), &notify(&manager));
    let ran = site.stream().expect(69);
    assert!(
        ran.stderr.contains("this collector wants a secure connection"),
        "{ran:#?}"
    );
    let line = manager.wait_for("ccmtrCollectionNotification", LIMIT);
    assert!(line.contains("INTEGER: dataIncomplete"), "{line}");
    assert!(secure.line().starts_with("refused: "), "it has nothing");
    assert_eq!(names(&secure.directory), [""; 0]);
    assert_eq!(site.waiting().len(), 1);
}

#[test]
fn tls_to_a_collector_without_is_recognised() {
    let site = Site::new();
    // One that names itself, as some do; of a silent one nothing could be told.
    let plain = Collector::start(&site.place.path().join("billing"), &["--greeting", "AcmeBilling"]);
    let manager = Snmptrapd::start();
    let keys = format!("primary = {{ address = \"{}\" }}\n", plain.address);
    site.configure(&keys, &notify(&manager));
    let ran = site.stream().expect(69);
    assert!(
        ran.stderr.contains("this collector wants a non-secure connection"),
        "{ran:#?}"
    );
    let line = manager.wait_for("ccmtrCollectionNotification", LIMIT);
    assert!(line.contains("INTEGER: connectionTimeout"), "{line}");
    assert_eq!(names(&plain.directory), [""; 0]);
}

#[test]
fn a_certificate_that_is_wrong_expired_or_of_another_name_is_refused_and_nothing_is_sent() {
    let site = Site::new();
    let tls = Authority::new(site.place.path());
    let other = Authority::new(&site.place.path().join("other"));
    let expired = tls.collector_until(&site, "127.0.0.1", 2020);
    let named = tls.collector(&site, "billing.example.net");
    let right = tls.collector(&site, "127.0.0.1");
    let ca = |authority: &Authority| format!("tls-ca = {:?}", authority.ca);
    let manager = Snmptrapd::start();
    for (what, collector, keys, words) in [
        (
            "wrong certificate",
            &right,
            ca(&other),
            "is not to be believed: an authority is trusted here under the same name, but it has not signed it",
        ),
        ("expired certificate", &expired, ca(&tls), "it has expired"),
        ("wrong name", &named, ca(&tls), "it is not made out for 127.0.0.1"),
    ] {
        let keys = format!("primary = {{ address = \"{}\", {keys} }}\n", collector.address);
        site.configure(&keys, &notify(&manager));
        let begin = Instant::now();
        let ran = site.stream().expect(69);
        say(&format!("{what}: detected after {} ms", begin.elapsed().as_millis()));
        assert!(ran.stderr.contains(words), "{what}: {ran:#?}");
        assert!(collector.line().starts_with("refused: "), "{what}");
        assert_eq!(names(&collector.directory), [""; 0], "{what}");
        let line = manager.wait_for(&collector.address.to_string(), LIMIT);
        assert!(line.contains("INTEGER: connectionTimeout"), "{what}: {line}");
    }
    // The same one, by its name, gets all that waits.
    let keys = format!(
        "primary = {{ address = \"{}\", {}, tls-name = \"billing.example.net\" }}\n",
        named.address,
        ca(&tls)
    );
    site.configure(&keys, "");
    assert_eq!(site.stream().expect(0).stdout, "4 documents sent\n");
    assert_eq!([(); 4].map(|()| named.taken()), [1, 2, 3, 4]);
}

#[test]
fn a_collector_may_want_to_see_our_certificate() {
    let site = Site::new();
    let tls = Authority::new(site.place.path());
    let (certificate, key) = tls.issue("billdrop", 2100);
    let server = tls.issue("127.0.0.1", 2100);
    let directory = site.place.path().join("billing");
    let (c, k, ca) = (text(&server.0), text(&server.1), text(&tls.ca));
    let collector = Collector::start(&directory, &["--certificate", c, "--key", k, "--client-ca", ca]);
    let keys = |more: String| {
        format!(
            "primary = {{ address = \"{}\", tls-ca = {:?}{more} }}\n",
            collector.address, tls.ca
        )
    };
    site.configure(&keys(String::new()), "");
    site.stream().expect(69);
    assert!(collector.line().starts_with("refused: "));
    site.configure(
        &keys(format!(", tls-certificate = {certificate:?}, tls-key = {key:?}")),
        "",
    );
    assert_eq!(site.stream().expect(0).stdout, "2 documents sent\n");
    assert_eq!((collector.taken(), collector.taken()), (1, 2));
}

#[test]
fn the_secondary_gets_what_the_primary_does_not_take_and_the_primary_the_next() {
    let site = Site::new();
    let port = free_port();
    let second = Collector::start(&site.place.path().join("second"), &[]);
    let both = format!("{}{}", primary(port), secondary(second.address.port()));
    site.configure(&both, "");
    let ran = site.stream().expect(0);
    assert!(ran.stderr.contains("connection refused"), "{ran:#?}");
    assert!(ran.stderr.contains(&format!("{} took", second.address)), "{ran:#?}");
    assert_eq!(second.taken(), 1);
    let first = Collector::start_on(&site.place.path().join("first"), &format!("127.0.0.1:{port}"), &[]);
    site.stream().expect(0);
    assert_eq!(first.taken(), 2);
    assert!(second.is_silent());
}

#[test]
fn retries_come_in_the_configured_order() {
    let site = Site::new();
    let (one, two) = (free_port(), free_port());
    for (order, wanted) in [("primary-first", "PPPSSS"), ("alternate", "PSPSPS")] {
        let keys = format!("{}{}order = {order:?}\n", primary(one), secondary(two));
        let text = format!("[stream]\nretries = 2\nretry-wait = \"0s\"\n{keys}{LO}");
        site.place.configure(&text);
        let ran = site.stream().expect(69);
        let document = ran
            .stderr
            .lines()
            .find_map(|line| line.split("warning: document ").nth(1));
        let document = document.unwrap().split(' ').next().unwrap().to_owned();
        let tried: String = ran
            .stderr
            .lines()
            .filter(|line| line.contains(&format!("warning: document {document} was not taken")))
            .map(|line| if line.contains(&format!(":{one}:")) { 'P' } else { 'S' })
            .collect();
        assert_eq!(tried, wanted, "{ran:#?}");
    }
}

#[test]
fn what_waited_for_ten_intervals_is_delivered_in_order_once() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let (one, two) = (free_port(), free_port());
    let both = format!("{}{}", primary(one), secondary(two));
    site.configure(&both, &notify(&manager));
    for waiting in 1..=10 {
        site.stream().expect(69);
        assert_eq!(site.waiting().len(), waiting);
    }
    wait_until("ten failures are told", LIMIT, || manager.lines().len() == 10);
    assert_eq!(site.destination()["pending"], 10);
    assert_eq!(site.destination()["failures"], 10);
    let collector = Collector::start_on(&site.place.path().join("billing"), &format!("127.0.0.1:{one}"), &[]);
    assert_eq!(site.stream().expect(0).stdout, "11 documents sent\n");
    let taken: Vec<u64> = (0..11).map(|_| collector.taken()).collect();
    assert_eq!(taken, (1..=11).collect::<Vec<u64>>());
    assert_eq!(names(&collector.directory).len(), 11, "none twice by docId");
    assert_eq!(site.waiting(), [""; 0]);
    assert_eq!(site.destination()["failures"], 0);
    assert_eq!(site.place.run(&["gaps"]).expect(0).stdout, "");
}

#[test]
fn a_cmts_s_rule_drops_what_is_not_taken_and_shows_each_gap() {
    let site = Site::new();
    let port = free_port();
    let keys = format!("{}on-failure = \"next-interval\"\n", primary(port));
    site.configure(&keys, "");
    for _ in 0..10 {
        let ran = site.stream().expect(69);
        assert_eq!(ran.stdout, "0 documents sent, 1 dropped\n");
        assert_eq!(site.waiting(), [""; 0], "it takes no room");
    }
    let gaps = site.place.run(&["gaps"]).expect(0).stdout;
    assert_eq!(
        gaps.lines().filter(|line| line.contains("next-interval")).count(),
        10,
        "{gaps}"
    );
    let collector = Collector::start_on(&site.place.path().join("billing"), &format!("127.0.0.1:{port}"), &[]);
    site.stream().expect(0);
    assert_eq!(collector.taken(), 11, "the sequence number shows the gap");
    let document = collector.directory.join(&names(&collector.directory)[0]);
    let remark = site.place.information(&document)["remark"].to_string();
    assert!(remark.contains("document 10 was released"), "{remark}");
}

#[test]
fn managers_are_told_when_too_much_waits_and_when_nothing_does() {
    let site = Site::new();
    let manager = Snmptrapd::start();
    let port = free_port();
    site.configure(&format!("{}alarm-size = \"1KiB\"\n", primary(port)), &notify(&manager));
    for _ in 0..3 {
        site.stream().expect(69);
    }
    let line = manager.wait_for("billdropDestinationFailed", LIMIT);
    assert!(line.contains("alarm-size"), "{line}");
    let _collector = Collector::start_on(&site.place.path().join("billing"), &format!("127.0.0.1:{port}"), &[]);
    site.stream().expect(0);
    manager.wait_for("billdropDestinationRecovered", LIMIT);
    let count = |name: &str| manager.lines().iter().filter(|line| line.contains(name)).count();
    assert_eq!(count("billdropDestinationFailed"), 1, "{:?}", manager.lines());
}

/// Whatever it is doing: afterwards each document that was sealed is at the collector, under one docId.
#[test]
fn killed_at_any_moment_of_a_send_nothing_is_lost() {
    let site = Site::new();
    let collector = site.collector();
    site.plain(collector.address.port(), "");
    site.stream().expect(0);
    let calls = support::faults::speaking_calls(&site.place, &["stream", "--once"]);
    let files = support::faults::file_changing_calls(&site.place, &["stream", "--once"]);
    assert!(calls.len() > 5 && files.len() > 20, "{} {}", calls.len(), files.len());
    let mut killed = 0;
    for (name, number) in calls.iter().chain(&files) {
        let fault = format!("inject={name}:signal=SIGKILL:when={number}");
        site.place.run_under(
            &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault],
            &["stream", "--once"],
        );
        killed += 1;
    }
    site.stream().expect(0);
    assert_eq!(site.waiting(), [""; 0]);
    assert_eq!(site.place.run(&["gaps"]).expect(0).stdout, "");
    let history = site.place.run(&["history", "--json"]).expect(0).stdout;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let documents = history.as_array().unwrap();
    let there = names(&collector.directory);
    let mut ids: Vec<String> = documents
        .iter()
        .map(|document| format!("{}.xml", document["doc_id"].as_str().unwrap()))
        .collect();
    ids.sort();
    assert_eq!(there, ids, "every document of the ledger is at the collector");
    for (index, document) in documents.iter().enumerate() {
        assert_eq!(document["sequence"], index + 1, "{document:#}");
    }
    say(&format!("killed {killed} times, {} documents", there.len()));
}

#[test]
fn file_mode_and_streaming_mode_do_not_mix() {
    let site = Site::new();
    site.plain(free_port(), "");
    let ran = site.place.run(&["capture"]).expect(78);
    assert!(ran.stderr.contains("[stream] is configured"), "{ran:?}");
    site.place.run(&["capture", "--dry-run"]).expect(0);
    site.place.configure(LO);
    let ran = site.place.run(&["stream", "--once"]).expect(78);
    assert!(ran.stderr.contains("no collector is configured"), "{ran:?}");
}

#[test]
fn what_the_billing_system_lost_is_streamed_again() {
    let site = Site::new();
    let collector = site.collector();
    site.configure(&primary(collector.address.port()), "[archive]\nkeep = \"1day\"\n");
    for _ in 0..3 {
        site.stream().expect(0);
    }
    assert_eq!([(); 3].map(|()| collector.taken()), [1, 2, 3]);
    let before: Vec<_> = names(&collector.directory)
        .iter()
        .map(|name| fs::read(collector.directory.join(name)).unwrap())
        .collect();
    for name in names(&collector.directory) {
        fs::remove_file(collector.directory.join(name)).unwrap();
    }
    site.place.run(&["resend", "1..3"]).expect(0);
    assert_eq!(site.stream().expect(0).stdout, "4 documents sent\n");
    assert_eq!([(); 4].map(|()| collector.taken()), [1, 2, 3, 4]);
    let after: Vec<_> = names(&collector.directory)
        .iter()
        .map(|name| fs::read(collector.directory.join(name)).unwrap())
        .collect();
    assert_eq!(before, after[..3]);
}

/// A CA of the test's own.
struct Authority {
    ca: PathBuf,
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca = directory.join("ca.pem");
        fs::write(&ca, issuer.pem()).unwrap();
        Authority {
            ca,
            directory: directory.to_owned(),
            issuer,
        }
    }

    /// Files of a certificate and its key.
    fn issue(&self, name: &str, until: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.directory.join(format!("{name}-{until}.{end}"));
        fs::write(file("pem"), certificate.pem()).unwrap();
        fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }

    fn collector(&self, site: &Site, name: &str) -> Collector {
        self.collector_until(site, name, 2100)
    }

    fn collector_until(&self, site: &Site, name: &str, until: i32) -> Collector {
        let (certificate, key) = self.issue(name, until);
        let directory = site.place.path().join(format!("billing-{name}-{until}"));
        Collector::start(&directory, &["--certificate", text(&certificate), "--key", text(&key)])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

mod others {
    //! Collectors that nobody here wrote.

    use super::*;

    /// What `program` has written into `file` when the document has been taken.
    fn takes(site: &Site, keys: &str, command: &mut Command, package: &str, port: u16) {
        let _peer = Peer::spawn(command.stdin(Stdio::piped()).stderr(Stdio::null()), package);
        wait_until("it listens", LIMIT, || listens(port));
        site.configure(keys, "[archive]\nkeep = \"1day\"\n");
        let ran = site.stream();
        assert_eq!(ran.stdout, "1 document sent\n", "{ran:#?}");
    }

    /// Without a connection, which would be taken for a document.
    fn listens(port: u16) -> bool {
        let wanted = format!(":{port:04X} 00000000:0000 0A");
        fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted)
    }

    fn copy(site: &Site) -> Vec<u8> {
        let copies = site.place.state().join("archive");
        fs::read(copies.join(&names(&copies)[0])).unwrap()
    }

    #[test]
    fn socat_takes_a_document() {
        let site = Site::new();
        let port = free_port();
        let file = site.place.path().join("got");
        let mut command = Command::new("socat");
        command.arg("-u");
        command.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"));
        command.arg(format!("OPEN:{},creat", file.display()));
        command.stdout(Stdio::null());
        takes(&site, &primary(port), &mut command, "socat", port);
        wait_until("it is written", LIMIT, || {
            fs::read(&file).is_ok_and(|got| got == copy(&site))
        });
    }

    #[test]
    fn openssl_s_server_takes_a_document() {
        for version in ["-tls1_2", "-tls1_3"] {
            let site = Site::new();
            let tls = Authority::new(site.place.path());
            let (certificate, key) = tls.issue("127.0.0.1", 2100);
            let port = free_port();
            let file = site.place.path().join("got");
            let mut command = Command::new("openssl");
            command.args([
                "s_server",
                "-quiet",
                "-naccept",
                "1",
                version,
                "-accept",
                &format!("127.0.0.1:{port}"),
            ]);
            command.arg("-cert").arg(&certificate).arg("-key").arg(&key);
            command.stdout(fs::File::create(&file).unwrap());
            let keys = format!(
                "primary = {{ address = \"127.0.0.1:{port}\", tls-ca = {:?} }}\n",
                tls.ca
            );
            takes(&site, &keys, &mut command, "openssl", port);
            wait_until("it is written", LIMIT, || {
                fs::read(&file).is_ok_and(|got| got == copy(&site))
            });
        }
    }
}
