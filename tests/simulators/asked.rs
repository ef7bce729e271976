//! Questions by curl, and what came back.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::support::simulators::Simulators;
use tempfile::TempDir;

/// One run of curl: GET, or POST with a body.
pub struct Get {
    command: Command,
    url: String,
    user: Option<String>,
    directory: TempDir,
}

#[derive(Debug)]
pub struct Answer {
    /// curl's exit status: 0 fine, 7 no connection, 18 body too short, 28 time limit, 52 no answer, 56 cut, 60 not verified.
    pub exit: i32,
    pub status: u16,
    pub head: String,
    pub octets: Vec<u8>,
}

impl Get {
    /// With the right password, and ten seconds of time.
    pub fn of(simulators: &Simulators, name: &str, path: &str) -> Self {
        let directory = TempDir::with_prefix("billdrop-curl-").unwrap();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"])
            .arg("--cacert")
            .arg(simulators.ca())
            .arg("--dump-header")
            .arg(directory.path().join("head"));
        Get {
            command,
            url: format!("https://127.0.0.1:{}{path}", simulators.port(name)),
            user: Some(simulators.password(name)),
            directory,
        }
    }

    pub fn password(mut self, password: &str) -> Self {
        self.user = Some(password.into());
        self
    }

    pub fn without_password(mut self) -> Self {
        self.user = None;
        self
    }

    pub fn cookie(self, cookie: &str) -> Self {
        self.without_password()
            .header(&format!("Cookie: JSESSIONIDSSO={cookie}"))
    }

    pub fn header(self, header: &str) -> Self {
        self.arguments(&["--header", header])
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn seconds(self, seconds: &str) -> Self {
        self.arguments(&["--max-time", seconds])
    }

    pub fn plain_http(mut self) -> Self {
        self.url = self.url.replacen("https", "http", 1);
        self
    }

    pub fn post(self, body: &str) -> Self {
        let file = self.directory.path().join("request");
        fs::write(&file, body).unwrap();
        let file = format!("@{}", file.display());
        self.arguments(&["--data-binary", &file])
    }

    /// In the background, without looking at the answer. The directory is curl's own.
    pub fn start(mut self) -> (Child, TempDir) {
        self.finished();
        let child = self.command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.expect("curl is missing: apt-get install -y --no-install-recommends curl");
        (child, self.directory)
    }

    fn finished(&mut self) {
        if let Some(password) = &self.user {
            self.command.arg("--user").arg(format!("billing:{password}"));
        }
        self.command.arg(&self.url);
    }

    pub fn run(mut self) -> Answer {
        self.finished();
        let output = self.command.output();
        let output = output.expect("curl is missing: apt-get install -y --no-install-recommends curl");
        let head = fs::read(self.directory.path().join("head")).unwrap_or_default();
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        Answer {
            exit: output.status.code().unwrap_or(-1),
            status,
            head,
            octets: output.stdout,
        }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        let answer = self.run();
        assert_eq!(
            (answer.exit, answer.status),
            (0, status),
            "{} {}",
            answer.head,
            answer.text()
        );
        answer
    }

    #[track_caller]
    pub fn ok(self) -> Answer {
        self.expect(200)
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(of, value)| of.eq_ignore_ascii_case(name).then_some(value.trim()))
    }

    /// The session that was begun.
    pub fn cookie(&self) -> String {
        let set = self.header("Set-Cookie").expect("a cookie is set");
        assert!(set.ends_with("; Path=/; Secure; HttpOnly"), "{set}");
        set.strip_prefix("JSESSIONIDSSO=")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }

    /// What an XPath selects, as xmllint prints it; namespaces do not count (`*[local-name()='row']`).
    pub fn xpath(&self, path: &str) -> String {
        let file = self.in_file();
        let output = succeeds(Command::new("xmllint").args(["--nonet", "--xpath", path]).arg(&file.1));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// xmllint's exit status and what it says: 0 for what is well-formed and within its limits.
    pub fn xmllint(&self, options: &[&str]) -> (i32, String, Vec<u8>) {
        let file = self.in_file();
        let output = Command::new("xmllint")
            .arg("--nonet")
            .args(options)
            .arg(&file.1)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), said, output.stdout)
    }

    fn in_file(&self) -> (TempDir, PathBuf) {
        let directory = TempDir::with_prefix("billdrop-curl-").unwrap();
        let file = directory.path().join("answer.xml");
        fs::write(&file, &self.octets).unwrap();
        (directory, file)
    }
}

#[track_caller]
pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{:?}: {error}; tests/run installs it", command.get_program()));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
