//! net-snmp's snmpd, which shows the objects of a file in place of its own.

use std::{
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{Peer, free_port, poll};

const PROGRAM: &str = "/usr/sbin/snmpd";
pub const COMMUNITY: &str = "cmts";
pub const USER: &str = "poller";
pub const AUTH_PASSWORD: &str = "authpass123";
pub const PRIVACY_PASSWORD: &str = "privpass123";

pub struct Agent {
    pub port: u16,
    process: Peer,
    directory: tempfile::TempDir,
}

impl Agent {
    /// An agent that shows `file` of `fixtures/cmts/`; `more` is added to its configuration.
    pub fn start(file: &str, more: &str) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing; install it: apt-get install -y --no-install-recommends snmpd python3"
        );
        // Another process may take the port between the look and the start.
        let agent = (0..5).find_map(|_| Agent::start_on(free_port(), file, more));
        agent.expect("snmpd does not start on any of five ports")
    }

    fn start_on(port: u16, file: &str, more: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("persist")).unwrap();
        let rows = path.join("rows");
        fs::copy(fixture(file), &rows).unwrap();
        let script = root().join("tests/cmts/rows.py");
        let serve = |oid| {
            let (script, rows) = (script.display(), rows.display());
            format!("pass_persist {oid} /usr/bin/python3 {script} {rows}\n")
        };
        let configuration = [".1.3.6.1.2.1", ".1.3.6.1.3.83", ".1.3.6.1.4.1"].map(serve).concat();
        let configuration = format!(
            "agentAddress udp:127.0.0.1:{port}\nrocommunity {COMMUNITY} 127.0.0.1\n\
             createUser {USER} SHA-256 {AUTH_PASSWORD} AES {PRIVACY_PASSWORD}\nrouser {USER} priv\n\
             dontLogTCPWrappersConnects yes\n{configuration}{more}\n"
        );
        fs::write(path.join("snmpd.conf"), configuration).unwrap();
        let output = fs::File::create(path.join("output")).unwrap();
        let process = Command::new(PROGRAM)
            .env("MIBS", "")
            .env("SNMP_PERSISTENT_DIR", path.join("persist"))
            .env("SNMPCONFPATH", path)
            .args(["-f", "-C", "-c"])
            .arg(path.join("snmpd.conf"))
            .args(["-Lo", "-p"])
            .arg(path.join("pid"))
            // Only these modules: the host's own system group and interfaces stay out.
            .args([
                "-I",
                "vacm_conf,vacm_vars,usmConf,usmUser,snmpv3mibs,snmpEngine,pass_persist,pass",
            ])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut agent = Agent {
            port,
            process: Peer(process),
            directory,
        };
        let up = poll(Duration::from_secs(20), || {
            if agent.process.has_ended() {
                return Some(false);
            }
            answers(port).then_some(true)
        });
        match up {
            Some(true) => Some(agent),
            Some(false) => None,
            None => panic!("snmpd does not answer: {}", agent.output()),
        }
    }

    /// From the next request on it shows this file.
    pub fn show(&self, file: &str) {
        let next = self.directory.path().join("next");
        fs::copy(fixture(file), &next).unwrap();
        fs::rename(next, self.directory.path().join("rows")).unwrap();
    }

    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn fixture(file: &str) -> PathBuf {
    root().join("fixtures/cmts").join(file)
}

/// GET sysUpTime.0 in version 2c, octet by octet.
fn answers(port: u16) -> bool {
    let mut request = vec![0x30, 36, 2, 1, 1, 4, 4];
    request.extend(COMMUNITY.as_bytes());
    request.extend([0xa0, 25, 2, 1, 1, 2, 1, 0, 2, 1, 0, 0x30, 14, 0x30, 12]);
    request.extend([6, 8, 0x2b, 6, 1, 2, 1, 1, 3, 0, 5, 0]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(&request, ("127.0.0.1", port)).is_ok() && socket.recv(&mut [0; 1500]).is_ok()
}
