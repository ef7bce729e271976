//! A host of the test's own, with accounts, sshd on port 22 and billdrop as its own user.
//!
//! Real accounts need root and are written to /etc. So the test runs itself again in mount, network and process
//! namespaces where /etc is a copy, and where /srv, /run, /usr/local, /var/spool and /var/lib are empty: nothing outside
//! changes, real ports are free, and whatever is left ends with the test.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::binary::{BILLDROP, Ran, names, ran};
use super::namespace::{STAGE, again};
use super::{Peer, say, wait_until};

pub const SPOOL: &str = "/var/spool/billdrop";
/// Where pickup accounts see it.
pub const JAIL: &str = "/srv/billdrop-pickup";
/// Everybody may write here: where an account that is let out would leave something.
pub const OPEN_DIRECTORY: &str = "/srv/open";

/// Places that no pickup account may change.
const WATCHED: [&str; 5] = [SPOOL, "/var/lib", "/etc", "/srv", "/usr/local"];

const PREPARE: &str = r#"
ip link set lo up
# With loopback addresses alone, getaddrinfo finds no address to listen on.
ip addr add 192.0.2.1/32 dev lo
mount -t tmpfs -o mode=755 tmpfs /srv
cp -a /etc /srv/.etc
mount --bind /srv/.etc /etc
for directory in /run /usr/local /var/spool /var/lib; do mount -t tmpfs -o mode=755 tmpfs $directory; done
install -d -m 755 /run/sshd /usr/local/bin /usr/local/lib /etc/billdrop
install -d -m 1777 /srv/open
rm -f /etc/nologin /etc/ssh/sshd_config.d/*
groupadd --system billing
useradd --system --user-group --home-dir /var/lib/billdrop --shell /usr/sbin/nologin billdrop
install -d -o billdrop -g billing -m 2770 /var/spool/billdrop
install -d -o billdrop -g billdrop -m 700 /var/lib/billdrop
"#;

/// Lets everything through that sshd can let through: what is refused is refused by the account's own lines.
const SSHD: &str = "Include /etc/ssh/sshd_config.d/*.conf
ListenAddress 127.0.0.1
HostKey /srv/hostkey
PidFile none
UsePAM yes
LogLevel DEBUG1
PasswordAuthentication yes
KbdInteractiveAuthentication no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
X11Forwarding yes
GatewayPorts yes
PermitTunnel yes
PermitUserRC yes
PermitUserEnvironment yes
AcceptEnv LANG LC_*
KexAlgorithms curve25519-sha256
Subsystem sftp internal-sftp
";

const BILLDROP_TOML: &str = r#"
[spool]
directory = "/var/spool/billdrop"
group = "billing"
[state]
directory = "/var/lib/billdrop"
[log]
directory = ""
[recorder]
hostname = "cmts1"
mac = "00-00-5E-00-53-01"
"#;

pub struct Host {
    /// The remote side's own files: keys, ssh_config, what it fetches.
    pub remote: tempfile::TempDir,
    sshd: Option<Peer>,
}

/// Runs the body of the test with this name on a host of its own. Without root it says so, and nothing is tested.
pub fn on_a_host_of_its_own(test: &str, body: impl FnOnce(&mut Host)) {
    if std::env::var(STAGE).is_ok() {
        return body(&mut Host::prepare());
    }
    if !rustix::process::geteuid().is_root() {
        return say(&format!("{test}: not tested, making accounts needs root"));
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    again(unshare, test, "accounts");
}

impl Host {
    fn prepare() -> Self {
        ran(Command::new("sh").args(["-euc", PREPARE])).expect(0);
        fs::copy(BILLDROP, "/usr/local/bin/billdrop").unwrap();
        fs::write("/etc/billdrop/billdrop.toml", BILLDROP_TOML).unwrap();
        ran(Command::new("chown").args(["root:billdrop", "/etc/billdrop/billdrop.toml"])).expect(0);
        fs::set_permissions("/etc/billdrop/billdrop.toml", fs::Permissions::from_mode(0o640)).unwrap();
        fs::write("/etc/ssh/sshd_config", SSHD).unwrap();

        let remote = tempfile::tempdir().unwrap();
        let dir = remote.path().display();
        for key in ["/srv/hostkey", &format!("{dir}/id")] {
            ran(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key])).expect(0);
        }
        let known = format!("127.0.0.1 {}", fs::read_to_string("/srv/hostkey.pub").unwrap());
        fs::write(remote.path().join("known_hosts"), known).unwrap();
        let config = format!(
            "Host *\nHostName 127.0.0.1\nIdentityFile {dir}/id\nIdentitiesOnly yes\nBatchMode yes\n\
             UserKnownHostsFile {dir}/known_hosts\nStrictHostKeyChecking yes\nLogLevel ERROR\n"
        );
        fs::write(remote.path().join("ssh_config"), config).unwrap();
        fs::create_dir(remote.path().join("in")).unwrap();
        fs::write(remote.path().join("data"), "mine").unwrap();
        Host { remote, sshd: None }
    }

    pub fn key(&self) -> String {
        self.at_remote("id.pub")
    }

    pub fn at_remote(&self, name: &str) -> String {
        self.remote.path().join(name).to_str().unwrap().to_owned()
    }

    /// `contrib/pickup/install-account ARGUMENTS`
    pub fn install_account(&self, arguments: &[&str]) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/pickup/install-account");
        ran(Command::new(script).args(arguments).stdin(Stdio::null()))
    }

    /// An account that the same sshd leaves everything: what is refused to the others works here, or the test is no test.
    /// It sees a spool of its own, for SFTP at the same place.
    pub fn add_open_accounts(&self) {
        let script = "
            useradd --system --gid billing --home-dir /srv/open --shell /bin/sh open
            useradd --system --gid billing --home-dir /srv/open --shell /bin/sh open-sftp
            usermod -p '*' open; usermod -p '*' open-sftp
            install -d -m 755 /srv/open-jail /etc/ssh/open-keys
            install -d -o open-sftp -g billing -m 2770 /srv/open-jail/spool
            cp \"$1\" /etc/ssh/open-keys/open; cp \"$1\" /etc/ssh/open-keys/open-sftp
            chmod 644 /etc/ssh/open-keys/*";
        ran(Command::new("sh").args(["-euc", script, "sh", &self.key()])).expect(0);
        let config = "Match User open,open-sftp\n AuthorizedKeysFile /etc/ssh/open-keys/%u\n\
                      Match User open-sftp\n ChrootDirectory /srv/open-jail\n ForceCommand internal-sftp -d /spool\n";
        fs::write("/etc/ssh/sshd_config.d/90-open.conf", config).unwrap();
    }

    /// Starts sshd, or starts it again with the configuration as it is now.
    pub fn serve(&mut self) {
        self.sshd = None;
        let log = fs::File::create(self.remote.path().join("sshd.log")).unwrap();
        let mut sshd = Peer::spawn(
            Command::new("/usr/sbin/sshd")
                .args(["-D", "-e"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
            "openssh-server",
        );
        wait_until("sshd answers", Duration::from_secs(20), || {
            assert!(!sshd.has_ended(), "sshd: {}", self.sshd_log());
            TcpStream::connect("127.0.0.1:22").is_ok()
        });
        self.sshd = Some(sshd);
    }

    pub fn sshd_log(&self) -> String {
        fs::read_to_string(self.remote.path().join("sshd.log")).unwrap_or_default()
    }

    /// A client program of the remote side with its configuration; one that hangs is ended.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["120", program])
            .current_dir(self.remote.path())
            .stdin(Stdio::null());
        if ["ssh", "scp", "sftp"].contains(&program) {
            command.args(["-F", &self.at_remote("ssh_config")]);
        }
        command.args(arguments);
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        ran(&mut self.client(program, arguments))
    }

    /// SFTP commands, one a line, until the first that fails.
    pub fn sftp(&self, account: &str, commands: &str) -> Ran {
        let batch = self.at_remote("batch");
        fs::write(&batch, commands).unwrap();
        self.run("sftp", &["-q", "-b", &batch, &format!("{account}@host")])
    }

    /// billdrop as the user billdrop.
    pub fn billdrop(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=billdrop", "--regid=billdrop", "--init-groups", "--"])
            .args(["billdrop", "--config", "/etc/billdrop/billdrop.toml"])
            .args(arguments)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/");
        ran(&mut command)
    }

    /// Captures as the user billdrop; the name of the new document.
    pub fn capture(&self) -> String {
        let said = self.billdrop(&["capture"]).expect(0).stdout;
        said.trim_end().rsplit('/').next().unwrap().to_owned()
    }

    pub fn spooled(&self) -> Vec<String> {
        names(Path::new(SPOOL))
    }

    pub fn document(&self, name: &str) -> Vec<u8> {
        fs::read(Path::new(SPOOL).join(name)).unwrap()
    }

    /// What was fetched to `in/NAME` on the remote side, once.
    pub fn take_fetched(&self, name: &str) -> Vec<u8> {
        let path = self.remote.path().join("in").join(name);
        let content = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        fs::remove_file(path).unwrap();
        content
    }
}

/// Everything that a change of anything would change: also the time of the last change, which nobody can set.
#[derive(Debug, PartialEq)]
pub struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    pub fn take() -> Self {
        let mut found = BTreeMap::new();
        WATCHED.iter().for_each(|place| walk(Path::new(place), &mut found));
        Snapshot(found)
    }

    #[track_caller]
    pub fn assert_unchanged(&self, after: &str) {
        let now = Snapshot::take();
        let of = |one: &Snapshot, other: &Snapshot| -> Vec<String> {
            let differs = |(path, state): &(&PathBuf, &String)| other.0.get(*path) != Some(*state);
            one.0
                .iter()
                .filter(differs)
                .map(|(p, s)| format!("{}: {s}", p.display()))
                .collect()
        };
        assert!(
            *self == now,
            "after {after}:\n was {:#?}\n is {:#?}",
            of(self, &now),
            of(&now, self)
        );
    }
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let Ok(m) = fs::symlink_metadata(path) else { return };
    let state = format!(
        "{:o} {}:{} {} octets, {} links, inode {}, {}.{:09} {}.{:09}",
        m.mode(),
        m.uid(),
        m.gid(),
        m.size(),
        m.nlink(),
        m.ino(),
        m.mtime(),
        m.mtime_nsec(),
        m.ctime(),
        m.ctime_nsec()
    );
    found.insert(path.to_owned(), state);
    // The copy is looked at where it is mounted.
    if m.is_dir() && path != Path::new("/srv/.etc") {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), found);
        }
    }
}
