//! net-snmp's snmptrapd, which writes one line for each notification, with the names of the MIBs.

use std::{
    fs,
    net::{Ipv6Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Peer, free_port, poll};

const PROGRAM: &str = "/usr/sbin/snmptrapd";

/// Community that is accepted.
pub const COMMUNITY: &str = "public";

/// Passwords of every user of version 3.
pub const AUTH_PASSWORD: &str = "authpass123";
pub const PRIVACY_PASSWORD: &str = "privpass123";

/// The engine whose version 3 traps are known, under the same user names as informs.
pub const SENDER_ENGINE: &str = "0x80001f8803525400c0ffee";

pub struct Snmptrapd {
    /// UDP port on 127.0.0.1, and on ::1 where the host has IPv6.
    pub port: u16,
    pub ipv6: bool,
    process: Peer,
    directory: tempfile::TempDir,
}

impl Snmptrapd {
    /// A receiver that knows all our MIBs, with the user `billdrop` (SHA-256, AES).
    pub fn start() -> Self {
        Snmptrapd::start_with(&[("billdrop", "SHA-256", "AES")])
    }

    /// A receiver with these users: name, authentication and privacy protocol as net-snmp calls them.
    pub fn start_with(users: &[(&str, &str, &str)]) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing; install it: apt-get install -y --no-install-recommends snmptrapd snmp smitools"
        );
        // Another process may take the port between the look and the start.
        (0..5)
            .find_map(|_| Snmptrapd::start_on(free_port(), users))
            .expect("snmptrapd does not start on any of five ports")
    }

    /// On a port that a test has chosen before, for a manager that comes back.
    pub fn start_on(port: u16, users: &[(&str, &str, &str)]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, port)).is_ok();
        fs::create_dir(path.join("persist")).unwrap();
        fs::write(path.join("traps.log"), "").unwrap();
        fs::write(path.join("snmptrapd.conf"), configuration(port, ipv6, users)).unwrap();
        let output = fs::File::create(path.join("output")).unwrap();
        let process = net_snmp(PROGRAM, path)
            // With Q in -O it would keep its remarks on wrong types to itself.
            .args(["-f", "-C", "-n", "-t", "-OSUt", "-c"])
            .arg(path.join("snmptrapd.conf"))
            .arg("-Lf")
            .arg(path.join("traps.log"))
            .arg("-p")
            .arg(path.join("pid"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut peer = Snmptrapd {
            port,
            ipv6,
            process: Peer(process),
            directory,
        };
        let up = poll(Duration::from_secs(10), || {
            if peer.process.0.try_wait().unwrap().is_some() {
                return Some(false);
            }
            listens(port).then_some(true)
        });
        match up {
            Some(true) => Some(peer),
            Some(false) => {
                eprintln!("snmptrapd ended at once: {}", peer.everything());
                None
            }
            None => panic!("snmptrapd does not listen after 10 s: {}", peer.everything()),
        }
    }

    /// The notifications so far, one line each, fields apart by TABs.
    pub fn lines(&self) -> Vec<String> {
        let log = self.read("traps.log");
        // Its own remarks stand between, without TABs. The last line may still be on its way.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .filter(|line| line.contains('\t'))
            .map(str::to_owned)
            .collect()
    }

    /// The first notification with `substring`.
    #[track_caller]
    pub fn wait_for(&self, substring: &str, limit: Duration) -> String {
        poll(limit, || self.lines().into_iter().find(|line| line.contains(substring))).unwrap_or_else(|| {
            panic!(
                "no notification with {substring:?} after {limit:?}: {}",
                self.everything()
            )
        })
    }

    /// Its log with its own remarks, and what it printed.
    pub fn everything(&self) -> String {
        format!("{}\n{}", self.read("traps.log"), self.read("output"))
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join(name)).unwrap()).into_owned()
    }
}

/// A program of net-snmp that sees our MIBs and nothing of the host's configuration or state.
pub fn net_snmp(program: &str, state: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("MIBDIRS", mib_directories())
        .env("MIBS", "BILLDROP-MIB:CISCO-CABLE-METERING-MIB:SNMPv2-MIB")
        .env("SNMP_PERSISTENT_DIR", state.join("persist"))
        .env("SNMPCONFPATH", state);
    command
}

/// The stand-ins for the standard modules, and ours.
pub fn mib_directories() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    format!(
        "{}:{}",
        root.join("tests/mibs").display(),
        root.join("contrib/mib").display()
    )
}

fn configuration(port: u16, ipv6: bool, users: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "snmpTrapdAddr udp:127.0.0.1:{port}{}\ndoNotRetainNotificationLogs yes\nauthCommunity log {COMMUNITY}\n",
        if ipv6 {
            format!(",udp6:[::1]:{port}")
        } else {
            String::new()
        }
    );
    for (user, auth, privacy) in users {
        let secrets = format!("{auth} {AUTH_PASSWORD} {privacy} {PRIVACY_PASSWORD}");
        // For informs the receiver's engine counts, for traps the sender's.
        text += &format!("createUser {user} {secrets}\ncreateUser -e {SENDER_ENGINE} {user} {secrets}\n");
        text += &format!("authUser log {user} priv\n");
    }
    // Time, address, kind and security, then the variable bindings.
    text + "format2 %.4y-%.2m-%.2lT%.2h:%.2j:%.2kZ\\t%b\\t%P\\t%v\\n\n"
}

/// Whether somebody listens on this UDP port of IPv4, without sending anything there.
fn listens(port: u16) -> bool {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    sockets.contains(&format!("0100007F:{port:04X} 00000000:0000"))
}
