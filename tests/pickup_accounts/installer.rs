//! `install-account`: says what it would do, does it once, refuses what would not be safe, and takes it away again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;
use crate::support::accounts::{JAIL, Snapshot, on_a_host_of_its_own};
use crate::support::binary::ran;

#[test]
fn a_dry_run_changes_nothing() {
    on_a_host_of_its_own("installer::a_dry_run_changes_nothing", |host| {
        let before = Snapshot::take();
        for kind in [&["--sftp"][..], &["--scp"], &["--tftp", "192.0.2.1"]] {
            let said = host
                .install_account(&[kind, &["--dry-run", "pick"]].concat())
                .expect(0)
                .stdout;
            before.assert_unchanged("a dry run");
            assert!(
                said.contains("would run: useradd") && said.contains("would write /etc/"),
                "{said}"
            );
            assert!(
                said.contains("would run: /usr/local/lib/billdrop/mount-spool"),
                "{said}"
            );
            assert!(!said.contains("Done"), "{said}");
        }
        host.install_account(&["--sftp", "pick"]).expect(0);
        let before = Snapshot::take();
        let said = host.install_account(&["--undo", "--dry-run", "pick"]).expect(0).stdout;
        before.assert_unchanged("a dry run of --undo");
        assert!(said.contains("would run: userdel pick"), "{said}");
    });
}

#[test]
fn a_second_run_changes_nothing_and_undo_leaves_nothing() {
    on_a_host_of_its_own(
        "installer::a_second_run_changes_nothing_and_undo_leaves_nothing",
        |host| {
            let before = contents();
            let kinds = [
                (&["--sftp"][..], "a"),
                (&["--scp"], "b"),
                (&["--tftp", "192.0.2.1"], "c"),
            ];
            for (kind, name) in kinds {
                let key = host.key();
                let keys = if kind[0] == "--tftp" {
                    vec![]
                } else {
                    vec!["--key", &key]
                };
                let arguments = [kind, &keys, &[name]].concat();
                let said = host.install_account(&arguments).expect(0).stdout;
                assert!(
                    said.contains("wrote /etc/") && said.contains("[spool] directory = "),
                    "{said}"
                );
                let once = contents();
                let said = host.install_account(&arguments).expect(0).stdout;
                assert!(!said.contains("wrote"), "{said}");
                same(&once);
            }
            for (_, name) in kinds {
                host.install_account(&["--undo", name]).expect(0);
            }
            same(&before);
            assert!(!Path::new(JAIL).exists());
            assert!(
                host.install_account(&["--undo", "a"])
                    .expect(1)
                    .stderr
                    .contains("there is no account a")
            );
        },
    );
}

#[test]
fn what_would_not_be_safe_is_refused_before_anything_changes() {
    on_a_host_of_its_own(
        "installer::what_would_not_be_safe_is_refused_before_anything_changes",
        |host| {
            host.add_open_accounts();
            let key = fs::read_to_string(host.key()).unwrap();
            let option = host.at_remote("option.pub");
            fs::write(&option, format!("no-pty {key}")).unwrap();
            let empty = host.at_remote("empty.pub");
            fs::write(&empty, "# nobody\n").unwrap();
            let broken = host.at_remote("broken.pub");
            fs::write(&broken, "ssh-ed25519 AAAAnonsense\n").unwrap();
            fs::create_dir("/srv/owned").unwrap();
            ran(Command::new("chown").args(["billdrop", "/srv/owned"])).expect(0);
            symlink("/srv", "/srv/link").unwrap();
            let before = Snapshot::take();
            for (arguments, status, reason) in [
                (&["pick"][..], 2, "one of --sftp, --scp, --tftp"),
                (&["--sftp", "--scp", "pick"], 2, "one of"),
                (&["--sftp", "a;b"], 2, "bad name"),
                (&["--sftp", "--from", "x\",command=\"y", "pick"], 2, "bad list"),
                (
                    &["--sftp", "--jail", "/srv/../x", "pick"],
                    2,
                    "not a plain absolute path",
                ),
                (&["--sftp", "open"], 1, "was not made by this script"),
                (&["--undo", "open"], 1, "was not made by this script"),
                (&["--sftp", "--owner", "nobody-here", "pick"], 1, "there is no user"),
                (&["--sftp", "--owner", "root", "pick"], 1, "must be a directory of root"),
                (
                    &["--sftp", "--jail", "/srv/open/jail", "pick"],
                    1,
                    "nobody else can write",
                ),
                (
                    &["--sftp", "--jail", "/srv/owned/jail", "pick"],
                    1,
                    "nobody else can write",
                ),
                (&["--sftp", "--jail", "/srv/link/jail", "pick"], 1, "symbolic link"),
                (&["--sftp", "--spool", "/srv/link", "pick"], 1, "symbolic link"),
                (&["--sftp", "--key", &option, "pick"], 1, "without options"),
                (&["--sftp", "--key", &empty, "pick"], 1, "no key"),
                (&["--sftp", "--key", &broken, "pick"], 1, "does not understand"),
            ] {
                let ran = host.install_account(arguments).expect(status);
                assert!(ran.stderr.contains(reason), "{arguments:?}: {ran:?}");
                before.assert_unchanged(&format!("{arguments:?}"));
            }
        },
    );
}

#[test]
fn what_sshd_would_not_do_is_taken_back() {
    on_a_host_of_its_own("installer::what_sshd_would_not_do_is_taken_back", |host| {
        let good = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
        let snippet = Path::new("/etc/ssh/sshd_config.d/10-billdrop-pick.conf");
        for (config, reason) in [
            (
                good.replace("Include /etc/ssh/sshd_config.d/*.conf\n", ""),
                "does sshd_config begin with",
            ),
            (
                format!("Match User pick\n PermitTTY yes\nMatch all\n{good}"),
                "\"permittty no\"",
            ),
            (
                format!("Match all\n ForceCommand /bin/sh\nMatch all\n{good}"),
                "\"forcecommand ",
            ),
            (format!("{good}\nNonsense yes\n"), "Nonsense"),
        ] {
            fs::write("/etc/ssh/sshd_config", config).unwrap();
            let ran = host
                .install_account(&["--sftp", "--key", &host.key(), "pick"])
                .expect(1);
            assert!(
                ran.stderr.contains(reason) && ran.stderr.contains("was taken back"),
                "{ran:?}"
            );
            assert!(!snippet.exists());
        }
        fs::write("/etc/ssh/sshd_config", format!("{good}AcceptEnv *\n")).unwrap();
        let ran = host.install_account(&["--scp", "--key", &host.key(), "pick"]).expect(1);
        assert!(ran.stderr.contains("AcceptEnv"), "{ran:?}");
        fs::write("/etc/ssh/sshd_config", good).unwrap();
        host.install_account(&["--sftp", "--key", &host.key(), "pick"])
            .expect(0);
        assert!(snippet.exists());
    });
}

/// systemd is no package that the tests ask for: where its checker is missing, they say so and go on.
#[test]
fn systemd_understands_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/pickup");
    let copies = [
        ("billdrop-pickup-mount.service", "billdrop-pickup-mount.service"),
        ("billdrop-tftpd.service", "billdrop-tftpd.service"),
        ("billdrop-tftpd-done.conf", "billdrop-tftpd.service.d/done.conf"),
    ]
    .map(|(name, to)| {
        let text = fs::read_to_string(contrib.join(name)).unwrap();
        let text = text.replace("@SPOOL@", "/var/spool/billdrop").replace("@JAIL@", JAIL);
        let text = text.replace("@NAME@", "pick").replace("@ADDRESS@", "192.0.2.1:69");
        // The checker wants programs that are there.
        let text = text.replace(
            "/usr/local/lib/billdrop/mount-spool",
            contrib.join("mount-spool").to_str().unwrap(),
        );
        let copy = directory.path().join(to);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, text).unwrap();
        copy
    });
    let checked = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&copies[..2])
        .output();
    let output = match checked {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return support::say("the systemd units were not checked: systemd-analyze is not installed");
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("billdrop")).collect();
    assert!(output.status.success() && ours.is_empty(), "{complaints}");
}

#[track_caller]
fn same(before: &BTreeMap<PathBuf, String>) {
    let now = contents();
    let differs = |path: &&PathBuf| before.get(*path) != now.get(*path);
    let changed: Vec<&PathBuf> = before.keys().chain(now.keys()).filter(differs).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

/// Everything in the places where the script works, without times.
fn contents() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = ["/etc/ssh", "/etc/billdrop", "/etc/systemd/system", "/usr/local", JAIL]
        .map(PathBuf::from)
        .to_vec();
    for file in ["/etc/passwd", "/etc/shadow", "/etc/group"] {
        found.insert(PathBuf::from(file), fs::read_to_string(file).unwrap());
    }
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, about) = (entry.path(), entry.metadata().unwrap());
            let content = match about.is_file() {
                true => fs::read(&path).unwrap(),
                false => Vec::new(),
            };
            if about.is_dir() {
                directories.push(path.clone());
            }
            let state = format!("{:o} {}:{}", about.permissions().mode(), about.uid(), about.gid());
            found.insert(path, format!("{state} {}", String::from_utf8_lossy(&content)));
        }
    }
    found
}
