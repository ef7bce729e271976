//! Network namespaces of a test's own, with interfaces that nobody else uses.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

/// Set inside a namespace: how far the test has come with its preparations.
pub(super) const STAGE: &str = "BILLDROP_TEST_NAMESPACE";

/// Alias of `va1`.
pub const ALIAS: &str = "<&>\"' Größe 𝄞";

/// Runs the body of the test with this name in a network namespace of its own, as its root. `more` are further options
/// of unshare(1). The body is told the stage, `made` at first.
pub fn inside(more: &[&str], test: &str, body: impl FnOnce(&str)) {
    if let Ok(stage) = std::env::var(STAGE) {
        return body(&stage);
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]).args(more);
    again(unshare, test, "made");
}

/// Starts this program again under another, for one test. Returns what it said.
pub fn again(mut under: Command, test: &str, stage: &str) -> String {
    let output = under
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(STAGE, stage)
        .output()
        .unwrap_or_else(|e| panic!("{:?}: {e}; apt-get install util-linux", under.get_program()));
    let said = [output.stdout.as_slice(), &output.stderr]
        .map(String::from_utf8_lossy)
        .join("");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{under:?}: {}\nThis needs root, or user namespaces for every user (sysctl user.max_user_namespaces, \
         kernel.apparmor_restrict_unprivileged_userns).\n{said}",
        output.status
    );
    said
}

/// lo, and three pairs: the first is up and has an alias, the second is up on one side only, the third is down. Nothing
/// is sent but what the test sends.
pub fn three_pairs() {
    ip("link set lo up");
    for pair in 1..=3 {
        ip(&format!("link add name va{pair} type veth peer name vb{pair}"));
        ip(&format!("link set va{pair} addrgenmode none"));
        ip(&format!("link set vb{pair} addrgenmode none"));
    }
    ip("link set va1 address 02:00:5e:00:53:01");
    output("ip", ["link", "set", "va1", "alias", ALIAS]);
    for name in ["va1", "vb1", "vb2"] {
        ip(&format!("link set {name} up"));
    }
    for (address, to, device) in [
        ("192.0.2.1/25", "192.0.2.2", "va1"),
        ("192.0.2.129/25", "192.0.2.130", "vb2"),
    ] {
        ip(&format!("addr add {address} dev {device}"));
        ip(&format!("neigh add {to} lladdr 02:00:5e:00:53:02 dev {device}"));
    }
}

/// Datagrams of three sizes over lo, and from va1 to vb1. Returns when all are counted.
pub fn traffic() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
    for size in [1, 100, 1400] {
        let datagram = vec![0x55; size];
        sender.send_to(&datagram, receiver.local_addr().unwrap()).unwrap();
        receiver.recv(&mut [0; 2000]).unwrap();
        sender.send_to(&datagram, "192.0.2.2:9").unwrap();
        let _ = sender.send_to(&datagram, "192.0.2.130:9");
    }
    let packets =
        |name, direction| ip_json(&format!("-s link show {name}"))[0]["stats64"][direction]["packets"].clone();
    while packets("va1", "tx") != packets("vb1", "rx") || packets("va1", "tx") == 0 {
        std::thread::yield_now();
    }
}

/// A process that ends with the test.
pub struct Started(pub Child);

impl Started {
    /// Runs a shell script under another program, or under none; returns when the script has written a line.
    pub fn shell(under: &[&str], script: &str) -> Self {
        let command = [under, &["sh", "-c", script]].concat();
        let child = Command::new(command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .spawn();
        let mut started = Started(child.unwrap_or_else(|e| panic!("{}: {e}", command[0])));
        let mut line = String::new();
        BufReader::new(started.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty(), "{script:?} has begun");
        started
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn ip(arguments: &str) {
    output("ip", arguments.split(' '));
}

pub fn ip_json(arguments: &str) -> Json {
    serde_json::from_slice(&output("ip", ["-j"].into_iter().chain(arguments.split(' ')))).unwrap()
}

/// Standard output of a program that has to succeed.
pub fn output(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; apt-get install iproute2 mount"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
