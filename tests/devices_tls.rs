//! Whose certificate is believed, and which way a conversation takes.

mod support;

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use support::{
    binary::Place,
    captured::{Shown, Status, documents, list, private, watched},
    simulators::Simulators,
};

/// Captures from these devices with these cells beside them. What came of it, and what was said.
fn capture(simulators: &Simulators, columns: &str, rows: &[(&str, &str)]) -> (Vec<Status>, String) {
    capture_with(simulators, columns, rows, &[])
}

fn capture_with(
    simulators: &Simulators,
    columns: &str,
    rows: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> (Vec<Status>, String) {
    let place = Place::new();
    private(
        &place.path().join("billing_config.csv"),
        &list(simulators, columns, rows),
    );
    let run = watched(place.command(&["capture"]).envs(environment.iter().copied()));
    let documents = documents(&place);
    let statuses = documents.first().map(|document| Shown::of(&place, document).statuses());
    (statuses.unwrap_or_default(), run.ran.stderr)
}

fn is_complete(status: &Status) -> bool {
    status.state == "complete" && status.records > 0
}

/// The certificate that a device shows, by OpenSSL.
fn certificate(port: u16) -> String {
    let connected = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("openssl: {e}; apt-get install openssl"));
    let said = String::from_utf8_lossy(&connected.stdout).into_owned();
    let begin = said.find("-----BEGIN CERTIFICATE-----").expect("a certificate");
    let end = said.find("-----END CERTIFICATE-----").expect("its end");
    format!("{}-----END CERTIFICATE-----\n", &said[begin..end])
}

#[test]
fn certificates_are_believed_by_authority_by_fingerprint_by_file_and_by_name() {
    let simulators = Simulators::start(&[
        "cucm",
        "cucm:cert=self-signed",
        "cucm:cert=self-signed",
        "cms:cert=wrong-name",
        "cms:cert=expired",
    ]);
    let ca = simulators.ca();
    let own = simulators.directory().join("own.pem");
    std::fs::write(&own, certificate(simulators.port("CUCM3"))).unwrap();
    let (ca, own) = (ca.to_str().unwrap(), own.to_str().unwrap());
    let (statuses, said) = capture(
        &simulators,
        "tls_ca,tls_fingerprint,tls_name",
        &[
            ("CUCM1", &format!("{ca},,")),
            ("CUCM2", &format!(",{},", simulators.fingerprint("CUCM2"))),
            ("CUCM3", &format!("{own},,")),
            ("CMS1", &format!("{ca},,elsewhere.example.com")),
            ("CMS2", &format!(",{},", simulators.fingerprint("CMS2"))),
        ],
    );
    assert_eq!(statuses.len(), 5, "{said}");
    assert!(statuses.iter().all(is_complete), "{statuses:?}");
    assert_eq!(said, "");
}

#[test]
fn a_certificate_is_refused_with_the_reason_and_before_a_password_is_sent() {
    let simulators = Simulators::start(&[
        "cucm",
        "cucm:cert=self-signed",
        "cucm:cert=self-signed",
        "cms:cert=wrong-name",
        "cms:cert=expired",
        "cms",
        "cms",
    ]);
    let ca = simulators.ca();
    let ca = ca.to_str().unwrap();
    let later = Simulators::start(&["cms"]);
    let later = later.ca();
    let (statuses, said) = capture(
        &simulators,
        "tls_ca,tls_fingerprint,tls_name",
        &[
            ("CUCM1", ",,"),
            ("CUCM2", ",,"),
            ("CUCM3", &format!(",{},", simulators.fingerprint("CUCM2"))),
            ("CMS1", &format!("{ca},,")),
            ("CMS2", &format!("{ca},,")),
            ("CMS3", &format!("{},,", later.display())),
            ("CMS4", &format!("{ca},,")),
        ],
    );
    let hint = |name: &str| {
        let digits = simulators.fingerprint(name).to_uppercase();
        let pairs: Vec<&str> = (0..64).step_by(2).map(|at| &digits[at..at + 2]).collect();
        (
            format!(
                ". Its SHA-256 fingerprint is {}; once you have compared that with the device's own, configure it \
                 (tls_fingerprint), or a CA file (tls_ca)",
                pairs.join(":")
            ),
            pairs.join(":"),
        )
    };
    let unbelieved = |name: &str, why: &str| {
        let port = simulators.port(name);
        format!(
            "127.0.0.1:{port}: its certificate is not to be believed: {why}{}",
            hint(name).0
        )
    };
    let expected = [
        unbelieved("CUCM1", "no authority that is trusted here has issued it"),
        unbelieved("CUCM2", "the device has issued it for itself"),
        format!(
            "127.0.0.1:{}: its certificate has another fingerprint than configured. If the device itself shows this \
             one, configure it: {}; otherwise somebody else answers in its place",
            simulators.port("CUCM3"),
            hint("CUCM3").1
        ),
        unbelieved(
            "CMS1",
            "it is not made out for 127.0.0.1 (tls_name can name the one that stands in it)",
        ),
        unbelieved("CMS2", "it has expired"),
        unbelieved(
            "CMS3",
            "an authority is trusted here under the same name, but it has not signed it; has it been made anew?",
        ),
    ];
    for (status, expected) in statuses.iter().zip(&expected) {
        assert_eq!(status.state, "failed");
        assert_eq!(status.reason.as_ref(), Some(expected));
        assert!(said.contains(expected), "{said}");
        assert_eq!(simulators.requests(&status.name).len(), 0, "{} was asked", status.name);
    }
    assert!(is_complete(&statuses[6]), "{statuses:?}");
}

/// What an operator does with the message.
#[test]
fn the_fingerprint_of_the_message_works_when_it_is_configured() {
    let simulators = Simulators::start(&["cucm:cert=self-signed", "cms:cert=expired"]);
    let (_, said) = capture(&simulators, "tls_fingerprint", &[("CUCM1", ""), ("CMS1", "")]);
    let told: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split("SHA-256 fingerprint is ").nth(1)?.split(';').next())
        .collect();
    assert_eq!(told.len(), 2, "{said}");
    let of = |name: &str| {
        let port = format!(":{}:", simulators.port(name));
        let line = said.lines().find(|line| line.contains(&port)).unwrap();
        told.iter().find(|told| line.contains(**told)).unwrap().to_string()
    };
    let (statuses, said) = capture(
        &simulators,
        "tls_fingerprint",
        &[("CUCM1", &of("CUCM1")), ("CMS1", &of("CMS1"))],
    );
    assert!(statuses.len() == 2 && statuses.iter().all(is_complete), "{said}");
}

#[test]
fn no_check_at_all_is_warned_of_each_time() {
    let simulators = Simulators::start(&["cucm:cert=self-signed", "cms:cert=expired"]);
    for _ in 0..2 {
        let (statuses, said) = capture(&simulators, "tls_insecure", &[("CUCM1", "yes"), ("CMS1", "yes")]);
        assert!(statuses.len() == 2 && statuses.iter().all(is_complete), "{said}");
        for name in ["CUCM1", "CMS1"] {
            let warning = format!("billdrop: warning: {name}: its certificate is not checked (tls_insecure)");
            assert_eq!(said.matches(&warning).count(), 1, "{said}");
        }
    }
}

/// A proxy that opens tunnels (CONNECT, RFC 9110, section 9.3.6) and counts who came.
struct Proxy {
    port: u16,
    seen: Arc<AtomicUsize>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || tunnel(client));
            }
        });
        Proxy { port, seen }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn tunnel(mut client: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(target) = target else {
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    };
    assert!(
        !head.to_lowercase().contains("authorization"),
        "a password for the proxy"
    );
    let mut device = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, device.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = io::copy(&mut device, &mut client);
    client.shutdown(std::net::Shutdown::Both)
}

#[test]
fn a_proxy_of_the_environment_is_not_used_and_a_configured_one_is() {
    let simulators = Simulators::start(&["cucm", "cms"]);
    let ca = simulators.ca();
    let ca = ca.to_str().unwrap();
    let proxy = Proxy::start();
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
    ];
    let environment = names.map(|name| (name, url.as_str()));
    let row = format!("{ca},");
    let direct = [("CUCM1", row.as_str()), ("CMS1", row.as_str())];
    let (statuses, said) = capture_with(&simulators, "tls_ca,proxy", &direct, &environment);
    assert!(statuses.len() == 2 && statuses.iter().all(is_complete), "{said}");
    assert_eq!(proxy.seen(), 0);

    // By a name, too: the proxy's is looked up, not the device's.
    let through = format!("{ca},http://localhost:{}", proxy.port);
    let (statuses, said) = capture(
        &simulators,
        "tls_ca,proxy",
        &[("CUCM1", &through), ("CMS1", row.as_str())],
    );
    assert!(statuses.len() == 2 && statuses.iter().all(is_complete), "{said}");
    assert_eq!(proxy.seen(), 1, "one connection for the one device");
}

#[test]
fn a_proxy_that_is_not_there_is_told() {
    let simulators = Simulators::start(&["cucm", "cms"]);
    let ca = simulators.ca();
    let ca = ca.to_str().unwrap();
    let port = support::free_port();
    let through = format!("{ca},http://127.0.0.1:{port}");
    let (statuses, said) = capture(
        &simulators,
        "tls_ca,proxy",
        &[("CUCM1", &through), ("CMS1", &format!("{ca},"))],
    );
    let reason = statuses[0].reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains("cannot connect") && reason.contains("Connection refused"),
        "{said}"
    );
    assert!(is_complete(&statuses[1]));
}
