//! A real OpenSSH server for the account that runs the tests, reachable with a key that lives as long as the test.
//!
//! Nothing of the host's own configuration is read: server and clients have their own files, all in one directory.
//! A server that is not run by root lets in only its own account, whose login shell must be a real one.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::{Peer, free_port, wait_until};

const PACKAGES: &str = "openssh-server openssh-client libnss-wrapper";

/// uid and gid of the made-up account.
pub const BILL: u32 = 22003;

pub struct Sshd {
    pub port: u16,
    /// For `-F` of ssh, scp and sftp: host `peer`, with key and known host.
    pub ssh_config: PathBuf,
    directory: PathBuf,
    process: Peer,
}

impl Sshd {
    /// Starts a server that keeps its files in `directory`, and waits until it answers.
    pub fn start(directory: &Path) -> Self {
        Sshd::start_with(directory, "")
    }

    /// The same with more lines for `sshd_config`, such as a `ForceCommand`.
    pub fn start_with(directory: &Path, more: &str) -> Self {
        Sshd::start_for(&account(), &[], directory, more)
    }

    /// The same for another account that there is. Only root can let others in.
    pub fn start_for_account(account: &str, directory: &Path, more: &str) -> Self {
        Sshd::start_for(account, &[], directory, more)
    }

    /// A server for the made-up account `bill` (uid 22003), who has this password. Only root can let others in.
    ///
    /// Nothing is written to /etc: libnss_wrapper shows the account to the server and to what it starts.
    pub fn start_for_bill(directory: &Path, password: &str, more: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        let directory = directory.canonicalize().unwrap();
        let at = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let home = directory.display();
        let passwd = format!(
            "root:x:0:0:root:/root:/bin/sh\nsshd:x:22100:65534::/run/sshd:/usr/sbin/nologin\n\
             bill:x:{BILL}:{BILL}::{home}:/bin/sh\n"
        );
        fs::write(at("passwd"), passwd).unwrap();
        fs::write(at("group"), format!("root:x:0:\nnogroup:x:65534:\nbill:x:{BILL}:\n")).unwrap();
        let hash = run(Command::new("openssl").args(["passwd", "-6", password]), "");
        let hash = String::from_utf8(hash.stdout).unwrap();
        fs::write(at("shadow"), format!("bill:{}:20000:0:99999:7:::\n", hash.trim())).unwrap();
        fs::set_permissions(at("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let mut environment = vec![
            ("LD_PRELOAD".to_owned(), "libnss_wrapper.so".to_owned()),
            ("NSS_WRAPPER_PASSWD".to_owned(), at("passwd")),
            ("NSS_WRAPPER_GROUP".to_owned(), at("group")),
        ];
        let set: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        environment.push(("NSS_WRAPPER_SHADOW".to_owned(), at("shadow")));
        let more = format!("{more}\nSetEnv {}", set.join(" "));
        Sshd::start_for("bill", &environment, &directory, &more)
    }

    fn start_for(account: &str, environment: &[(String, String)], directory: &Path, more: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        let directory = directory.canonicalize().unwrap();
        for key in ["hostkey", "id"] {
            make_key(&directory.join(key));
        }
        fs::copy(directory.join("id.pub"), directory.join("authorized_keys")).unwrap();
        if rustix::process::geteuid().is_root() {
            // Debian's sshd will not start without it, and only its service unit makes it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Somebody else may take the port between our look and sshd's bind.
        for _ in 0..5 {
            if let Some(sshd) = Sshd::try_start(account, environment, &directory, more) {
                return sshd;
            }
        }
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        panic!("sshd does not start:\n{log}");
    }

    fn try_start(account: &str, environment: &[(String, String)], directory: &Path, more: &str) -> Option<Self> {
        let port = free_port();
        let config = write_server_config(account, directory, port, more);
        let ssh_config = write_client_config(account, directory, port);
        let log = fs::File::create(directory.join("log")).unwrap();
        // By its full path: sshd starts itself anew for each connection and insists on one.
        let mut process = Peer::spawn(
            Command::new("/usr/sbin/sshd")
                .args(["-D", "-e", "-f"])
                .arg(config)
                .envs(environment.iter().cloned())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
            PACKAGES,
        );
        let mut up = false;
        wait_until("sshd answers or ends", Duration::from_secs(10), || {
            up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            up || process.has_ended()
        });
        // What answers must be ours: one that could not bind has ended by now.
        (up && log_says_listening(directory, port)).then(|| Sshd {
            port,
            ssh_config,
            directory: directory.to_owned(),
            process,
        })
    }

    /// `scp ARGS`, with `peer:PATH` for the far side. `-O` among them asks for the legacy protocol.
    pub fn scp(&self, args: &[&str]) -> Output {
        run(
            Command::new("scp").arg("-q").arg("-F").arg(&self.ssh_config).args(args),
            "",
        )
    }

    /// `sftp` with these commands, one a line; it ends at the first that fails.
    pub fn sftp_batch(&self, commands: &str) -> Output {
        run(
            Command::new("sftp")
                .args(["-q", "-b", "-", "-F"])
                .arg(&self.ssh_config)
                .arg("peer"),
            commands,
        )
    }

    /// `ssh peer COMMAND`
    pub fn ssh(&self, command: &str) -> Output {
        run(
            Command::new("ssh")
                .arg("-F")
                .arg(&self.ssh_config)
                .args(["peer", command]),
            "",
        )
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Replaces the key that clients expect, as if the host had been exchanged.
    pub fn expect_another_host_key(&self) {
        let other = self.directory.join("otherkey");
        make_key(&other);
        write_known_hosts(&self.directory, self.port, &other.with_extension("pub"));
    }

    /// The file with the key that clients expect.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// The private key that the server takes.
    pub fn identity(&self) -> PathBuf {
        self.directory.join("id")
    }

    /// The server and everything it has started stops reading, until it is continued.
    pub fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn continue_(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Ends every connection that there is, without a farewell; new ones are taken.
    pub fn cut_connections(&self) {
        for pid in super::descendants_of(self.id()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        for pid in super::descendants_of(self.id()).into_iter().chain([self.id()]) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.process.0.id()
    }
}

fn write_server_config(account: &str, directory: &Path, port: u16, more: &str) -> PathBuf {
    let path = directory.join("sshd_config");
    let dir = directory.display();
    // KexAlgorithms: the default of OpenSSH 9 takes twice as long, which tests with many connections feel.
    // StrictModes would refuse keys below a world-writable directory, as every temporary directory is.
    // Of two lines with one keyword the first counts.
    let config = format!(
        "{more}\n\
         ListenAddress 127.0.0.1\n\
         Port {port}\n\
         HostKey {dir}/hostkey\n\
         PidFile none\n\
         AuthorizedKeysFile {dir}/authorized_keys\n\
         StrictModes no\n\
         UsePAM no\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         AllowUsers {account}\n\
         Subsystem sftp internal-sftp\n\
         KexAlgorithms curve25519-sha256\n",
    );
    fs::write(&path, config).unwrap();
    path
}

fn write_client_config(account: &str, directory: &Path, port: u16) -> PathBuf {
    write_known_hosts(directory, port, &directory.join("hostkey.pub"));
    let path = directory.join("ssh_config");
    let dir = directory.display();
    let config = format!(
        "Host peer 127.0.0.1\n\
         \x20 HostName 127.0.0.1\n\
         \x20 Port {port}\n\
         \x20 User {account}\n\
         \x20 IdentityFile {dir}/id\n\
         \x20 IdentitiesOnly yes\n\
         \x20 BatchMode yes\n\
         \x20 UserKnownHostsFile {dir}/known_hosts\n\
         \x20 StrictHostKeyChecking yes\n\
         \x20 LogLevel ERROR\n",
    );
    fs::write(&path, config).unwrap();
    path
}

/// Only port 22 is looked up without brackets and number.
fn write_known_hosts(directory: &Path, port: u16, public_key: &Path) {
    let key = fs::read_to_string(public_key).unwrap();
    fs::write(directory.join("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
}

fn log_says_listening(directory: &Path, port: u16) -> bool {
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    log.contains(&format!("Server listening on 127.0.0.1 port {port}"))
}

fn make_key(path: &Path) {
    if !path.exists() {
        make_key_of("ed25519", "", path);
    }
}

/// A key of this type, with a passphrase.
pub fn make_key_of(kind: &str, passphrase: &str, path: &Path) {
    let output = run(
        Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-f"])
            .arg(path),
        "",
    );
    assert!(output.status.success(), "ssh-keygen: {output:?}");
}

pub fn account() -> String {
    let output = run(Command::new("id").arg("-un"), "");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(command: &mut Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut peer = Peer::spawn(command, PACKAGES);
    // A client that ends before it has read everything is no failure of the test.
    let _ = peer.0.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let stdout = peer.0.stdout.take().unwrap();
    let stderr = peer.0.stderr.take().unwrap();
    let errors = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
    let stdout = std::io::read_to_string(stdout).unwrap_or_default().into_bytes();
    Output {
        status: peer.0.wait().unwrap(),
        stdout,
        stderr: errors.join().unwrap().into_bytes(),
    }
}
