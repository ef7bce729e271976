//! A real TFTP server, tftpd-hpa, on a free port.
//!
//! It needs root (it calls setgroups and chroot) and then works as `nobody`.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Peer, free_port, wait_until};

const NOBODY: u32 = 65534;

pub struct Tftpd {
    pub port: u16,
    /// What it serves.
    pub root: PathBuf,
    _process: Peer,
}

impl Tftpd {
    /// `None`, after it has said why, when this is not root.
    pub fn start(directory: &Path) -> Option<Self> {
        Tftpd::start_with(directory, &[])
    }

    /// The same with more options.
    pub fn start_with(directory: &Path, more: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            super::say("tftpd-hpa was not tried: it needs root, because it calls setgroups and chroot");
            return None;
        }
        let root = directory.join("tftp");
        fs::create_dir_all(&root).unwrap();
        chown(&root, Some(NOBODY), Some(NOBODY)).unwrap();
        for above in directory
            .ancestors()
            .filter(|above| above.starts_with(std::env::temp_dir()))
        {
            let mode = fs::metadata(above).unwrap().permissions().mode();
            let _ = fs::set_permissions(above, fs::Permissions::from_mode(mode | 0o011));
        }
        for _ in 0..5 {
            let port = free_port();
            let log = fs::File::create(directory.join("tftpd.log")).unwrap();
            let mut process = Peer::spawn(
                Command::new("/usr/sbin/in.tftpd")
                    .args([
                        "--foreground",
                        "--secure",
                        "--create",
                        "--permissive",
                        "--user",
                        "nobody",
                        "--umask",
                        "022",
                    ])
                    .args(more)
                    .args(["--address", &format!("127.0.0.1:{port}")])
                    .arg(&root)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(log),
                "tftpd-hpa",
            );
            let mut taken = false;
            wait_until("tftpd takes its port or ends", Duration::from_secs(10), || {
                taken = UdpSocket::bind(("127.0.0.1", port)).is_err();
                taken || process.has_ended()
            });
            if taken && !process.has_ended() {
                return Some(Tftpd {
                    port,
                    root,
                    _process: process,
                });
            }
        }
        panic!(
            "tftpd does not start: {:?}",
            fs::read_to_string(directory.join("tftpd.log"))
        );
    }
}
