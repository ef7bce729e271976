//! MariaDB with a database of its own, on a loopback port, with TLS. Never run by root: then it is `nobody`'s.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Peer, certificates, free_port, poll,
    postgres::{give_to_nobody, unprivileged},
};

const PACKAGES: &str = "mariadb-server";

/// User and password of the account under test; the database is `billing`.
pub const USER: &str = "billing";
pub const PASSWORD: &str = "b1-s3cret";

pub struct Mariadb {
    pub port: u16,
    process: Option<Peer>,
    directory: tempfile::TempDir,
}

impl Mariadb {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        certificates::make(path);
        give_to_nobody(path);
        let install = unprivileged("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", path.join("db").display()))
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=8M",
            ])
            // The place for temporary files of this user is not open to that one.
            .env("TMPDIR", path)
            .current_dir("/")
            .output()
            .unwrap_or_else(|e| panic!("mariadb-install-db: {e}; {}", missing()));
        assert!(
            install.status.success(),
            "{}{}",
            String::from_utf8_lossy(&install.stderr),
            missing()
        );
        let mut server = Mariadb {
            port: 0,
            process: None,
            directory,
        };
        assert!(
            (0..5).any(|_| server.start_on(free_port())),
            "MariaDB starts on none of five ports"
        );
        server.sql_as_root(&format!(
            "CREATE DATABASE billing CHARACTER SET utf8mb4; CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; \
             GRANT ALL ON *.* TO {USER}@'127.0.0.1'"
        ));
        server
    }

    /// Goes on with the same data, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.start_on(self.port), "MariaDB does not start again");
    }

    fn start_on(&mut self, port: u16) -> bool {
        self.port = port;
        let path = self.path();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path.join("log"))
            .unwrap();
        let at = |name: &str| path.join(name).display().to_string();
        let process = unprivileged("/usr/sbin/mariadbd")
            .args([
                "--no-defaults".to_owned(),
                format!("--datadir={}", at("db")),
                format!("--socket={}", self.socket().display()),
                format!("--pid-file={}", at("own.pid")),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--port={port}"),
                "--innodb-log-file-size=8M".to_owned(),
                "--innodb-buffer-pool-size=64M".to_owned(),
                "--skip-log-bin".to_owned(),
                "--skip-name-resolve".to_owned(),
                format!("--ssl-cert={}", at("server.pem")),
                format!("--ssl-key={}", at("server.key")),
            ])
            .env("TMPDIR", path)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("mariadbd: {e}; {}", missing()));
        let mut process = Peer(process);
        let up = poll(Duration::from_secs(60), || match process.has_ended() {
            true => Some(false),
            false => self.client("mysql", "SELECT 1").is_ok().then_some(true),
        });
        self.process = Some(process);
        up == Some(true)
    }

    /// Killed; the next start recovers.
    pub fn crash(&mut self) {
        drop(self.process.take());
    }

    /// What the client answers: a line a row, tabs between columns.
    pub fn sql(&self, text: &str) -> String {
        self.sql_in("billing", text)
    }

    /// The same in another database.
    pub fn sql_in(&self, database: &str, text: &str) -> String {
        self.client(database, text)
            .unwrap_or_else(|said| panic!("{text}: {said}"))
    }

    fn sql_as_root(&self, text: &str) {
        self.client("mysql", text)
            .unwrap_or_else(|said| panic!("{text}: {said}"));
    }

    fn client(&self, database: &str, text: &str) -> Result<String, String> {
        let output = Command::new("mariadb")
            .args([
                "--no-defaults",
                "-u",
                "root",
                "-N",
                "-B",
                "--raw",
                "--default-character-set=utf8mb4",
                "-S",
            ])
            .arg(self.socket())
            .args(["-e", text, database])
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("mariadb: {e}; {}", missing()));
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)
                .unwrap()
                .trim_end_matches('\n')
                .to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("s")
    }

    /// Where `ca.pem` and `stranger.pem` are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn missing() -> String {
    format!("apt-get install -y --no-install-recommends {PACKAGES}")
}
