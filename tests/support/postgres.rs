//! PostgreSQL with a database of its own, on a loopback port, with TLS. Never run by root: then it is `nobody`'s.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Peer, certificates, free_port, poll};

const PACKAGES: &str = "postgresql";

/// Role, password and database of the account under test.
pub const USER: &str = "billing";
pub const PASSWORD: &str = "b1-s3cret";

pub struct Postgres {
    pub port: u16,
    process: Option<Peer>,
    directory: tempfile::TempDir,
}

impl Postgres {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        certificates::make(path);
        fs::write(path.join("password"), PASSWORD).unwrap();
        give_to_nobody(path);
        let initdb = unprivileged(program("initdb"))
            .args([
                "-U",
                USER,
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(path.join("db"))
            .arg(format!("--pwfile={}", path.join("password").display()))
            .current_dir("/")
            .output()
            .unwrap();
        assert!(
            initdb.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        // Another process may take the port between the look and the start.
        let mut server = Postgres {
            port: 0,
            process: None,
            directory,
        };
        assert!(
            (0..5).any(|_| server.start_on(free_port())),
            "PostgreSQL starts on none of five ports"
        );
        server.sql_in("postgres", "CREATE DATABASE billing");
        server
    }

    /// Goes on with the same data, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.start_on(self.port), "PostgreSQL does not start again");
    }

    fn start_on(&mut self, port: u16) -> bool {
        self.port = port;
        let path = self.path();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path.join("log"))
            .unwrap();
        let setting = |name: &str, value: &str| format!("--{name}={value}");
        let at = |name: &str| path.join(name).display().to_string();
        let process = unprivileged(program("postgres"))
            .arg("-D")
            .arg(path.join("db"))
            .args([
                setting("listen_addresses", "127.0.0.1"),
                setting("port", &port.to_string()),
                setting("unix_socket_directories", ""),
                setting("ssl", "on"),
                setting("ssl_cert_file", &at("server.pem")),
                setting("ssl_key_file", &at("server.key")),
            ])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Peer(process);
        let up = poll(Duration::from_secs(30), || match process.has_ended() {
            true => Some(false),
            false => self.psql("postgres", "SELECT 1").is_ok().then_some(true),
        });
        self.process = Some(process);
        up == Some(true)
    }

    /// As a crash ends it: connections break, and the next start recovers.
    pub fn crash(&mut self) {
        self.end(rustix::process::Signal::QUIT);
    }

    fn end(&mut self, signal: rustix::process::Signal) {
        let Some(mut process) = self.process.take() else { return };
        let pid = rustix::process::Pid::from_raw(process.0.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, signal);
        let ended = poll(Duration::from_secs(20), || process.has_ended().then_some(()));
        assert!(ended.is_some(), "PostgreSQL does not end");
    }

    /// What psql answers: a line a row, `|` between columns.
    pub fn sql(&self, text: &str) -> String {
        self.sql_in("billing", text)
    }

    /// The same in another database.
    pub fn sql_in(&self, database: &str, text: &str) -> String {
        self.psql(database, text)
            .unwrap_or_else(|said| panic!("{text}: {said}"))
    }

    fn psql(&self, database: &str, text: &str) -> Result<String, String> {
        let output = Command::new("psql")
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                USER,
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                database,
                "-p",
            ])
            .arg(self.port.to_string())
            .args(["-c", text])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("psql: {e}; apt-get install -y --no-install-recommends {PACKAGES}"));
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Where `ca.pem` and `stranger.pem` are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Told to end, it takes its shared memory with it.
        if !std::thread::panicking() {
            self.end(rustix::process::Signal::QUIT);
        }
    }
}

/// Debian keeps the server's programs out of PATH.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    match found.pop() {
        Some(path) => path,
        None => panic!("{name} is missing; install it: apt-get install -y --no-install-recommends {PACKAGES}"),
    }
}

/// A command that root gives up being root for.
pub fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program);
    command
}

/// The directory and the files in it, so that the unprivileged server can use them.
pub fn give_to_nobody(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(directory.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        for entry in fs::read_dir(directory).unwrap() {
            std::os::unix::fs::chown(entry.unwrap().path(), Some(65534), Some(65534)).unwrap();
        }
        std::os::unix::fs::chown(directory, Some(65534), Some(65534)).unwrap();
    }
}
