//! The far side with its spool and sshd, the near side with its inbox, and the script between them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::support::sshd::Sshd;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/pickup/billdrop-pickup");

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shell {
    Dash,
    Busybox,
}

impl Shell {
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Shell::Dash => vec!["dash", SCRIPT],
            Shell::Busybox => vec!["busybox", "sh", SCRIPT],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    Sftp,
    Legacy,
}

pub struct Site {
    pub root: tempfile::TempDir,
    pub sshd: Sshd,
    pub spool: PathBuf,
    pub inbox: PathBuf,
    pub shell: Shell,
    protocol: Protocol,
}

pub struct Run {
    /// None: killed.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    context: String,
}

/// A [`Site`] with a directory of replaced programs in front of the path.
pub struct WithPath<'a>(&'a Site, &'a Path);

pub fn everywhere(sshd_config: &str, test: impl Fn(&Site)) {
    for protocol in [Protocol::Sftp, Protocol::Legacy] {
        for shell in [Shell::Dash, Shell::Busybox] {
            test(&Site::new(shell, protocol, sshd_config));
        }
    }
}

pub fn sftp(sshd_config: &str, test: impl Fn(&Site)) {
    for shell in [Shell::Dash, Shell::Busybox] {
        test(&Site::new(shell, Protocol::Sftp, sshd_config));
    }
}

impl Site {
    pub fn new(shell: Shell, protocol: Protocol, sshd_config: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let sshd = Sshd::start_with(&root.path().join("ssh"), sshd_config);
        let [spool, inbox, tools] = ["spool", "inbox", "tools"].map(|name| {
            let directory = root.path().join(name);
            fs::create_dir(&directory).unwrap();
            directory
        });
        if shell == Shell::Busybox {
            let installed = Command::new("busybox").args(["--install", "-s"]).arg(&tools).status();
            assert!(
                installed.is_ok_and(|status| status.success()),
                "busybox is missing\n  apt-get install --no-install-recommends busybox"
            );
        }
        Site {
            root,
            sshd,
            spool,
            inbox,
            shell,
            protocol,
        }
    }

    pub fn offer(&self, name: &str, content: &[u8]) {
        fs::write(self.spool.join(name), content).unwrap();
    }

    pub fn fetched(&self, name: &str) -> PathBuf {
        self.inbox.join(name)
    }

    pub fn target(&self) -> String {
        format!("peer:{}", self.spool.display())
    }

    pub fn spooled(&self) -> Vec<String> {
        all_in(&self.spool)
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    pub fn names_in_inbox(&self) -> Vec<String> {
        all_in(&self.inbox)
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    /// `billdrop-pickup OPTIONS peer:SPOOL INBOX`
    pub fn pick_up(&self, options: &[&str]) -> Run {
        self.pick_up_from(&self.sshd, options)
    }

    pub fn pick_up_from(&self, sshd: &Sshd, options: &[&str]) -> Run {
        let (target, config) = (self.target(), sshd.ssh_config.to_str().unwrap());
        let args = [options, &["-F", config, &target, self.inbox.to_str().unwrap()]].concat();
        self.start(&self.shell.words(), &args, None)
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(&self.shell.words(), args)
    }

    pub fn run_with(&self, words: &[&str], args: &[&str]) -> Run {
        let args = [&["-F", self.sshd.ssh_config.to_str().unwrap()], args].concat();
        self.start(words, &args, None)
    }

    pub fn with_path<'a>(&'a self, first: &'a Path) -> WithPath<'a> {
        WithPath(self, first)
    }

    fn start(&self, words: &[&str], args: &[&str], first_in_path: Option<&Path>) -> Run {
        let mut path = first_in_path
            .map(|first| format!("{}:", first.display()))
            .unwrap_or_default();
        path += &format!(
            "{}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.root.path().join("tools").display()
        );
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args((self.protocol == Protocol::Legacy).then_some("--legacy"))
            .args(args);
        command
            .env("PATH", path)
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| {
            panic!(
                "{}: {error}\n  apt-get install --no-install-recommends dash busybox",
                words[0]
            )
        });
        Run {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            context: format!("{:?}, {:?}, {args:?}", self.shell, self.protocol),
        }
    }
}

impl WithPath<'_> {
    pub fn pick_up(&self, options: &[&str]) -> Run {
        let target = self.0.target();
        let config = self.0.sshd.ssh_config.to_str().unwrap();
        let args = [options, &["-F", config, &target, self.0.inbox.to_str().unwrap()]].concat();
        self.0.start(&self.0.shell.words(), &args, Some(self.1))
    }
}

impl Run {
    /// This status, and this text on standard error; no text at all when `message` is empty.
    pub fn expect(&self, status: i32, message: &str) {
        let Run {
            stdout,
            stderr,
            context,
            ..
        } = self;
        let told = if message.is_empty() {
            stderr.is_empty()
        } else {
            stderr.contains(message)
        };
        assert!(
            self.status == Some(status) && told,
            "wanted status {status} and \"{message}\"\n{context}\nstatus {:?}\nstdout: {stdout}\nstderr: {stderr}",
            self.status
        );
    }
}

pub fn all_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A document of `count` records with a true checksum.
pub fn document(count: usize) -> Vec<u8> {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<IPDRDoc xmlns=\"http://www.ipdr.org/namespaces/ipdr\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" version=\"3.1\">\n",
    );
    for record in 1..=count {
        text += &format!("<IPDR xsi:type=\"Test-Type\">\n<v>{record}</v>\n</IPDR>\n");
    }
    text += &format!("<IPDRDoc.End count=\"{count}\" endTime=\"2026-01-15T09:30:01Z\"/>\n</IPDRDoc>\n");
    let sum: String = Sha256::digest(&text)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    text += &format!("<!-- sha256:{sum} -->\n");
    text.into_bytes()
}

pub fn without_checksum(document: &[u8]) -> Vec<u8> {
    let end = document.windows(5).rposition(|octets| octets == b"<!-- ").unwrap();
    document[..end].to_vec()
}
