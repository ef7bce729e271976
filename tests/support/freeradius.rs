//! FreeRADIUS as an accounting server that writes every attribute of every packet into a detail file.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Peer, free_port, poll};

const PROGRAM: &str = "/usr/sbin/freeradius";

pub const SECRET: &str = "testing123";

pub struct FreeRadius {
    pub port: u16,
    process: Peer,
    directory: tempfile::TempDir,
}

impl FreeRadius {
    /// Accepts accounting from 127.0.0.1 with [`SECRET`].
    pub fn start() -> Self {
        FreeRadius::start_with("")
    }

    /// With more lines in the section for accounting.
    pub fn start_with(lines: &str) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing; install it: apt-get install -y --no-install-recommends freeradius freeradius-utils"
        );
        // Another process may take the port between the look and the start.
        (0..5)
            .find_map(|_| {
                let directory = tempfile::tempdir().unwrap();
                fs::create_dir(directory.path().join("run")).unwrap();
                let port = free_port();
                configure(directory.path(), port, lines);
                Some(FreeRadius {
                    process: listening(directory.path(), port)?,
                    port,
                    directory,
                })
            })
            .expect("freeradius does not start on any of five ports")
    }

    /// Ends it as a crash does. What it has written stays.
    pub fn kill(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
    }

    /// After [`FreeRadius::kill`], on the same port.
    pub fn start_again(&mut self) {
        self.process = listening(self.directory.path(), self.port).expect("freeradius does not start again");
    }

    /// One text a packet: its attributes, one a line.
    pub fn details(&self) -> Vec<String> {
        let text = fs::read(self.directory.path().join("detail")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split("\n\n")
            .filter(|packet| !packet.trim().is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Acct-Session-Id of every packet, in the order in which they were written.
    pub fn sessions(&self) -> Vec<String> {
        let all = self.details();
        all.iter()
            .filter_map(|packet| {
                let line = packet
                    .lines()
                    .find_map(|line| line.trim().strip_prefix("Acct-Session-Id = "))?;
                Some(line.trim_matches('"').to_owned())
            })
            .collect()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.path().join("log")).unwrap_or_default()).into_owned()
    }
}

fn listening(directory: &Path, port: u16) -> Option<Peer> {
    let output = fs::File::create(directory.join("output")).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["-f", "-n", "radiusd", "-d"])
        .arg(directory)
        .arg("-l")
        .arg(directory.join("log"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    let mut peer = Peer::spawn(&mut command, "freeradius freeradius-utils");
    let up = poll(Duration::from_secs(30), || {
        if peer.has_ended() {
            return Some(false);
        }
        listens(port).then_some(true)
    });
    let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
    match up {
        Some(true) => Some(peer),
        Some(false) => {
            eprintln!("freeradius ended at once: {}", log());
            None
        }
        None => panic!("freeradius does not listen after 30 s: {}", log()),
    }
}

/// Whether somebody listens on this UDP port of IPv4, without sending anything there.
fn listens(port: u16) -> bool {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    sockets.contains(&format!("0100007F:{port:04X} 00000000:0000"))
}

/// It takes one statement a line only.
fn configure(directory: &Path, port: u16, lines: &str) {
    let place = directory.display();
    let text = format!(
        "prefix = {place}
logdir = {place}
run_dir = {place}/run
libdir = /usr/lib/freeradius
pidfile = {place}/run/pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
proxy_requests = no
log {{
  destination = files
  file = {place}/log
}}
thread pool {{
  start_servers = 2
  max_servers = 2
  min_spare_servers = 1
  max_spare_servers = 2
}}
client tests {{
  ipaddr = 127.0.0.1
  secret = {SECRET}
}}
modules {{
  detail {{
    filename = {place}/detail
    permissions = 0600
    header = \"%t\"
    locking = no
  }}
}}
server accounting {{
  listen {{
    type = acct
    ipaddr = 127.0.0.1
    port = {port}
  }}
  accounting {{
    detail
    {lines}
  }}
}}
"
    );
    let path = directory.join("radiusd.conf");
    fs::write(&path, text).unwrap();
    // It refuses a configuration that others may write.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
