//! No account gets a shell, a terminal, or anything forwarded, from an sshd that would forward everything.
//!
//! Each attempt is made with an account without restrictions first, where it works.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::support::Peer;
use crate::support::accounts::{Host, OPEN_DIRECTORY, SPOOL, on_a_host_of_its_own};
use crate::support::binary::ran;
use crate::support::wait_until;

const GREETING: &str = "SSH-2.0-";

#[test]
fn nothing_is_forwarded_for_a_pickup_account() {
    on_a_host_of_its_own("forwarding::nothing_is_forwarded_for_a_pickup_account", |host| {
        host.install_account(&["--sftp", "--key", &host.key(), "pick-sftp"])
            .expect(0);
        host.install_account(&["--scp", "--key", &host.key(), "pick-scp"])
            .expect(0);
        host.add_open_accounts();
        // Only its key restricts this one.
        let line = fs::read_to_string("/etc/ssh/billdrop-keys/pick-scp").unwrap();
        ran(Command::new("useradd").args(["--system", "--gid", "billing", "--home-dir", OPEN_DIRECTORY, "by-key"]))
            .expect(0);
        ran(Command::new("usermod").args(["-p", "*", "-s", "/bin/sh", "by-key"])).expect(0);
        fs::write("/etc/ssh/open-keys/by-key", line).unwrap();
        let more = "Match User by-key\n AuthorizedKeysFile /etc/ssh/open-keys/%u\n";
        fs::write("/etc/ssh/sshd_config.d/91-by-key.conf", more).unwrap();
        leave_the_keys_bare(host);
        host.serve();
        greet_on_unix_socket();

        for account in ["open", "pick-sftp", "pick-scp", "by-key"] {
            let allowed = account == "open";
            let tried = [
                ("-W", local(host, account, "-W", "127.0.0.1:22")),
                ("-L", local(host, account, "-L", "PORT:127.0.0.1:22")),
                ("-L to a socket", local(host, account, "-L", "PORT:/srv/open/greeting")),
                ("-D", local(host, account, "-D", "PORT")),
                ("-R", remote(host, account, "PORT:127.0.0.1:22")),
                (
                    "-R from a socket",
                    remote(host, account, "/srv/open/remote:127.0.0.1:22"),
                ),
            ];
            for (what, greeting) in tried {
                assert_eq!(
                    greeting.starts_with(GREETING),
                    allowed,
                    "{account} {what}: {greeting:?}"
                );
            }
        }
    });
}

#[test]
fn there_is_no_shell_and_no_terminal_and_no_agent_for_a_pickup_account() {
    let test = "forwarding::there_is_no_shell_and_no_terminal_and_no_agent_for_a_pickup_account";
    on_a_host_of_its_own(test, |host| {
        host.install_account(&["--sftp", "--key", &host.key(), "pick-sftp"])
            .expect(0);
        host.install_account(&["--scp", "--key", &host.key(), "pick-scp"])
            .expect(0);
        host.add_open_accounts();
        leave_the_keys_bare(host);
        host.serve();
        let agent = host.at_remote("agent");
        let _agent = Peer::spawn(
            Command::new("ssh-agent")
                .args(["-D", "-a", &agent])
                .stdout(Stdio::null()),
            "openssh-client",
        );
        wait_until("the agent listens", Duration::from_secs(10), || {
            Path::new(&agent).exists()
        });

        for account in ["open", "pick-sftp", "pick-scp"] {
            let allowed = account == "open";
            let at = format!("{account}@host");
            for (arguments, input) in [
                (vec![at.as_str(), "id"], ""),
                (vec![&at, "sh -c id"], ""),
                (vec![&at], "id\n"),
                (vec!["-T", &at], "id\n"),
                (vec!["-tt", &at, "id"], ""),
                (vec!["-tt", &at], "id; exit\n"),
            ] {
                let mut ssh = Peer::spawn(
                    host.client("ssh", &arguments)
                        .stdin(Stdio::piped())
                        .stdout(Stdio::piped())
                        .stderr(Stdio::null()),
                    "openssh-client",
                );
                let _ = ssh.0.stdin.take().unwrap().write_all(input.as_bytes());
                let mut said = String::new();
                ssh.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
                assert_eq!(said.contains("uid="), allowed, "{arguments:?}: {said}");
                assert!(allowed || !ssh.0.wait().unwrap().success(), "{arguments:?}");
            }
            let terminal = host.run("ssh", &["-v", "-tt", &at, "tty"]);
            assert_eq!(
                terminal.stderr.contains("PTY allocation request failed"),
                !allowed,
                "{terminal:?}"
            );

            host.serve();
            let mut ssh = host.client("ssh", &["-v", "-A", "-Y", &at, "test -S \"$SSH_AUTH_SOCK\""]);
            let tried = ran(ssh.env("SSH_AUTH_SOCK", &agent).env("DISPLAY", ":9"));
            assert_eq!(tried.status == 0, allowed, "{tried:?}");
            let log = host.sshd_log();
            assert_eq!(log.contains("agent forwarding disabled"), !allowed, "{log}");
            assert_eq!(log.contains("X11 forwarding disabled"), !allowed, "{log}");
        }
        // There is no password, and no other account may come in with this one's key.
        let by_password = [
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "BatchMode=no",
            "-o",
            "NumberOfPasswordPrompts=0",
        ];
        for account in ["pick-sftp", "pick-scp"] {
            let tried = host.run(
                "ssh",
                &[&by_password[..], &["-v", &format!("{account}@host"), "ls"]].concat(),
            );
            assert!(
                tried
                    .stderr
                    .contains("Authentications that can continue: publickey\r\n"),
                "{tried:?}"
            );
        }
        let script = format!("cd {SPOOL} && ls -A");
        assert_eq!(
            ran(Command::new("sh").args(["-c", &script])).expect(0).stdout,
            "",
            "nothing was made"
        );
    });
}

/// What sshd's configuration says has to be enough: somebody may add a key without options.
fn leave_the_keys_bare(host: &Host) {
    for account in ["pick-sftp", "pick-scp"] {
        fs::copy(host.key(), format!("/etc/ssh/billdrop-keys/{account}")).unwrap();
    }
}

/// A service on a socket that only this host reaches.
fn greet_on_unix_socket() {
    let listener = UnixListener::bind(format!("{OPEN_DIRECTORY}/greeting")).unwrap();
    ran(Command::new("chmod").args(["666", &format!("{OPEN_DIRECTORY}/greeting")])).expect(0);
    std::thread::spawn(move || {
        for caller in listener.incoming() {
            let _ = caller.unwrap().write_all(format!("{GREETING}socket\r\n").as_bytes());
        }
    });
}

/// What a client near the ssh hears from a service of the host.
fn local(host: &Host, account: &str, option: &str, value: &str) -> String {
    let at = format!("{account}@host");
    if option == "-W" {
        // The connection would last until sshd gives up waiting for our version.
        let mut ssh = Peer::spawn(
            host.client("ssh", &[option, value, &at]).stdout(Stdio::piped()),
            "openssh-client",
        );
        return hear(ssh.0.stdout.take().unwrap());
    }
    let port = next_port();
    let mut ssh = tunnel(host, &at, option, &value.replace("PORT", &format!("127.0.0.1:{port}")));
    wait_until("ssh listens or has ended", Duration::from_secs(30), || {
        ssh.has_ended() || TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return String::new();
    };
    if option == "-D" {
        // SOCKS 5: no password; then connect to 127.0.0.1:22.
        stream
            .write_all(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16")
            .unwrap();
        let mut answers = [0; 12];
        if stream.read_exact(&mut answers).is_err() || answers[3] != 0 {
            return String::new();
        }
    }
    hear(stream)
}

/// What a client on the host hears from a service that is near the ssh.
fn remote(host: &Host, account: &str, value: &str) -> String {
    let port = next_port();
    let listen = value.replace("PORT", &format!("127.0.0.1:{port}"));
    let mut ssh = tunnel(host, &format!("{account}@host"), "-R", &listen);
    let socket = Path::new("/srv/open/remote");
    let mut connected = None;
    wait_until("sshd listens, or ssh has ended", Duration::from_secs(30), || {
        connected = match value.starts_with('/') {
            true => UnixStream::connect(socket).ok().map(hear),
            false => TcpStream::connect(("127.0.0.1", port)).ok().map(hear),
        };
        connected.is_some() || ssh.has_ended()
    });
    connected.unwrap_or_default()
}

/// The network is the test's own. A port that was used may be held for a moment by the one that is ending.
fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(2001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn tunnel(host: &Host, at: &str, option: &str, value: &str) -> Peer {
    let arguments = ["-N", "-o", "ExitOnForwardFailure=yes", option, value, at];
    Peer::spawn(host.client("ssh", &arguments).stderr(Stdio::null()), "openssh-client")
}

fn hear(mut from: impl Read) -> String {
    let mut said = vec![0; GREETING.len()];
    match from.read_exact(&mut said) {
        Ok(()) => String::from_utf8_lossy(&said).into_owned(),
        Err(_) => String::new(),
    }
}
