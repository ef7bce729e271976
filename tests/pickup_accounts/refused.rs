//! What an account that may fetch and delete tries besides. After each attempt everything is looked at: nothing changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::raw_sftp::{
    Answer, CREATE, EXCLUSIVE, EXTENDED, FSETSTAT, MKDIR, OPEN_FLAGS_THAT_CHANGE, READ_FLAG, READLINK, RENAME, RMDIR,
    SETSTAT, SYMLINK, Sftp, WRITE, string,
};
use crate::support::accounts::{Host, SPOOL, Snapshot, on_a_host_of_its_own};
use crate::support::binary::ran;
use crate::support::{Peer, wait_until};

/// A document that is being written.
const PARTIAL: &str = ".cmts1-20991231-235959.xml.partial";

/// Changes that SFTP clients know. Where an account may do them, each works.
const CHANGES: [&str; 14] = [
    "put data new.xml",
    "put -p data new.xml",
    "put data NAME",
    "reput data start",
    "put data .NAME.partial",
    "rename NAME renamed.xml",
    "rename -l NAME renamed.xml",
    "mkdir directory",
    "rmdir empty",
    "chmod 777 NAME",
    "ln NAME second.xml",
    "ln -s / link",
    "copy NAME copy.xml",
    "df",
];

/// What lies outside the spool, or is not for it.
const OUTSIDE: [&str; 20] = [
    "get /etc/passwd in/",
    "get ../../../../etc/passwd in/",
    "get ../../var/lib/billdrop/ledger.sqlite in/",
    "get /var/lib/billdrop/ledger.sqlite in/",
    "get /etc/billdrop/billdrop.toml in/",
    "get /srv/hostkey in/",
    "get ../../hostkey in/",
    "get .cmts1-20991231-235959.xml.partial in/",
    "get passwd.xml in/",
    "get toml.xml in/",
    "get state.xml in/",
    "get up.xml in/",
    "ls /etc",
    "ls state.xml/",
    "cd /var/lib",
    "rm ../../../../etc/passwd",
    "rm /var/lib/billdrop/ledger.sqlite",
    "rmdir /spool",
    "chown 0 /spool",
    "chmod 777 /",
];

#[test]
fn an_sftp_account_can_do_nothing_else() {
    on_a_host_of_its_own("refused::an_sftp_account_can_do_nothing_else", |host| {
        host.install_account(&["--sftp", "--key", &host.key(), "pick"])
            .expect(0);
        host.add_open_accounts();
        host.serve();
        let name = bait(host);
        let before = Snapshot::take();
        for attempt in CHANGES.iter().chain(&OUTSIDE).map(|line| line.replace("NAME", &name)) {
            let ran = host.sftp("pick", &attempt);
            assert_ne!(ran.status, 0, "{attempt}: {ran:?}");
            nothing_came_of(&attempt, host, &before);
        }
        assert_eq!(
            host.sftp("pick", "ls -1 /..").expect(0).stdout.trim_end(),
            "sftp> ls -1 /..\n/../spool"
        );
        for to in [
            "pick@host:/spool/new.xml",
            "pick@host:/etc/new",
            &format!("pick@host:{name}"),
        ] {
            for way in ["-s", "-O"] {
                assert_ne!(host.run("scp", &[way, "data", to]).status, 0, "scp {way} {to}");
                nothing_came_of(to, host, &before);
            }
        }

        for change in CHANGES {
            let change = change.replace("NAME", &name);
            renew_open_spool(&name);
            host.sftp("open-sftp", &change).expect(0);
        }
        host.sftp("open", "get /etc/passwd in/\nget ../../../../etc/passwd in/")
            .expect(0);
    });
}

/// Every request of the protocol and of OpenSSH's extensions, also those that no client sends.
#[test]
fn the_server_answers_no_other_request_of_an_sftp_account() {
    on_a_host_of_its_own(
        "refused::the_server_answers_no_other_request_of_an_sftp_account",
        |host| {
            host.install_account(&["--sftp", "--key", &host.key(), "pick"])
                .expect(0);
            host.serve();
            let name = bait(host);
            let before = Snapshot::take();
            let mut sftp = Sftp::connect(host, "pick");
            assert_eq!(sftp.extensions, ["limits@openssh.com", "expand-path@openssh.com"]);

            for flags in OPEN_FLAGS_THAT_CHANGE {
                for path in [
                    &name,
                    "new.xml",
                    ".new.xml.partial",
                    PARTIAL,
                    "passwd.xml",
                    "/new",
                    "/etc/new",
                ] {
                    let creates_nothing = flags == READ_FLAG | CREATE && path == name;
                    let answer = sftp.open(path, flags);
                    assert!(
                        answer.is_refusal() || creates_nothing,
                        "open {path} {flags:#x}: {answer:?}"
                    );
                    before.assert_unchanged(&format!("open {path} {flags:#x}"));
                }
            }

            let Answer::Handle(handle) = sftp.open(&name, READ_FLAG) else {
                panic!("the document can be read");
            };
            let (handle, path, other) = (string(&handle), string(name.as_bytes()), string(b"other.xml"));
            let (zeros, mode, size) = (
                [0; 8],
                [0, 0, 0, 4, 0, 0, 1, 0o377],
                [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            );
            let owner = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
            let times = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
            let mut requests: Vec<(u8, Vec<&[u8]>)> = vec![
                (WRITE, vec![&handle, &zeros, &other]),
                (MKDIR, vec![&other, &zeros[..4]]),
                (RMDIR, vec![&other]),
                (RENAME, vec![&path, &other]),
                (READLINK, vec![&path]),
                (SYMLINK, vec![&path, &other]),
            ];
            for attributes in [&mode[..], &size, &owner, &times] {
                requests.push((SETSTAT, vec![&path, attributes]));
                requests.push((FSETSTAT, vec![&handle, attributes]));
            }
            let extensions: [(&[u8], Vec<&[u8]>); 9] = [
                (b"posix-rename@openssh.com", vec![&path, &other]),
                (b"hardlink@openssh.com", vec![&path, &other]),
                (b"fsync@openssh.com", vec![&handle]),
                (b"lsetstat@openssh.com", vec![&path, &mode]),
                (b"copy-data", vec![&handle, &zeros, &zeros, &handle, &zeros]),
                (b"statvfs@openssh.com", vec![&path]),
                (b"fstatvfs@openssh.com", vec![&handle]),
                (b"home-directory", vec![&other]),
                (b"users-groups-by-id@openssh.com", vec![&other, &other]),
            ];
            let extensions = extensions.map(|(name, parts)| (string(name), parts));
            requests.extend(
                extensions
                    .iter()
                    .map(|(name, parts)| (EXTENDED, [&[&name[..]], &parts[..]].concat())),
            );
            for (kind, parts) in requests {
                let what = format!("request {kind} {}", String::from_utf8_lossy(parts[0]));
                let answer = sftp.ask(kind, &parts);
                assert!(answer.is_refusal(), "{what}: {answer:?}");
                before.assert_unchanged(&what);
            }
        },
    );
}

#[test]
fn an_account_for_plain_scp_can_do_nothing_else() {
    on_a_host_of_its_own("refused::an_account_for_plain_scp_can_do_nothing_else", |host| {
        host.install_account(&["--scp", "--key", &host.key(), "pick"]).expect(0);
        host.add_open_accounts();
        host.serve();
        plain_scp(host, "pick");
        for command in ["id", "true; id", "echo $(id)", "sh -c id", "cat /etc/passwd"] {
            host.run("ssh", &["open@host", command]).expect(0);
        }
        host.run("scp", &["-O", "open@host:/etc/passwd", "in/"]).expect(0);
    });
}

/// Some kernels and file systems cannot map owners. What the account can make then is empty, unreadable, and no document.
#[test]
fn without_the_mapping_empty_files_are_all_that_an_account_can_make() {
    on_a_host_of_its_own(
        "refused::without_the_mapping_empty_files_are_all_that_an_account_can_make",
        |host| {
            host.install_account(&["--plain", "--sftp", "--key", &host.key(), "pick"])
                .expect(0);
            host.serve();
            let name = host.capture();
            let made = ["cmts1-20991231-235959.xml", ".cmts1-20991231-235958.xml.partial"];
            let mut sftp = Sftp::connect(host, "pick");
            for file in made {
                let Answer::Handle(handle) = sftp.open(file, READ_FLAG | CREATE | EXCLUSIVE) else {
                    panic!("the reason for the mapping");
                };
                assert!(
                    sftp.ask(WRITE, &[&string(&handle), &[0; 8], &string(b"data")])
                        .is_refusal()
                );
                let found = fs::metadata(Path::new(SPOOL).join(file)).unwrap();
                assert_eq!((found.len(), found.mode() & 0o7777), (0, 0));
            }
            drop(sftp);
            // Of one file it is the owner: there the list of requests alone stands in its way.
            let script = "printf own >\"$1\"; chown pick \"$1\"; chmod 600 \"$1\"";
            let own = format!("{SPOOL}/own");
            ran(Command::new("sh").args(["-euc", script, "sh", &own])).expect(0);
            for name in [&name, "own"] {
                for attempt in CHANGES {
                    let ran = host.sftp("pick", &attempt.replace("NAME", name));
                    assert_ne!(ran.status, 0, "{attempt}: {ran:?}");
                }
            }
            let found = fs::metadata(&own).unwrap();
            assert_eq!((found.mode() & 0o7777, found.nlink()), (0o600, 1));
            host.sftp("pick", "ls").expect(0);
            let left = host.spooled();
            let ours: Vec<&String> = left
                .iter()
                .filter(|name| fs::metadata(Path::new(SPOOL).join(name)).unwrap().len() > 0)
                .collect();
            assert_eq!(ours, [&name]);

            host.billdrop(&["capture"]).expect(75);
            host.sftp("pick", &format!("rm {name}")).expect(0);
            let next = host.capture();
            let status = host.billdrop(&["status", "--json"]).expect(0).stdout;
            assert!(
                status.contains(made[0]) && status.contains("belongs to another user"),
                "{status}"
            );
            assert!(host.spooled().contains(&next));
        },
    );
}

/// Commands that the account's only program refuses. Also for accounts of other tests.
pub fn plain_scp(host: &Host, account: &str) {
    let at = format!("{account}@host");
    let name = bait(host);
    let before = Snapshot::take();
    // One connection for all of them: each command is a session of its own.
    let control = host.at_remote("control");
    let _master = Peer::spawn(
        &mut host.client("ssh", &["-M", "-N", "-S", &control, &at]),
        "openssh-client",
    );
    wait_until("the connection is there", Duration::from_secs(30), || {
        Path::new(&control).exists()
    });
    let second = format!("NAME {PARTIAL}");
    let refused = [
        "id",
        "sh",
        "/bin/sh",
        "bash -i",
        "true",
        "cat NAME",
        "cp NAME new.xml",
        "mv NAME new.xml",
        "ln NAME new.xml",
        "ln -s / new.xml",
        "mkdir new",
        "rmdir /spool",
        "touch new.xml",
        "touch NAME",
        "chmod 777 NAME",
        "chown 0 NAME",
        "sftp-server",
        "internal-sftp",
        "/usr/lib/openssh/sftp-server",
        "rsync --server . .",
        "env",
        "busybox sh",
        "scp",
        "scp -f",
        "scp NAME",
        "scp -t NAME",
        "scp -t new.xml",
        "scp -t /spool",
        "scp -d -t .",
        "scp -p -t -- new.xml",
        "scp -r -f /spool",
        "scp -f -r NAME",
        "scp -rf NAME",
        "scp -tf NAME",
        "scp -f -t NAME",
        "scp -S sh -f NAME",
        "scp -o x -f NAME",
        "scp -f NAME NAME",
        "scp -f .",
        "scp -f ..",
        "scp -f /etc/passwd",
        "scp -f ../../../etc/passwd",
        "scp -f /spool/../../../etc/passwd",
        "scp -f /var/lib/billdrop/ledger.sqlite",
        "scp -f /etc/billdrop/billdrop.toml",
        "scp -f /spool//NAME",
        "scp -f ./NAME",
        "scp -f state.xml/ledger.sqlite",
        "scp -f --",
        "scp -f -- -x",
        "scp -f *",
        "scp -f ~/x",
        "scp -f 'NAME",
        "scp -f ''NAME''",
        "scp -f \"NAME\"",
        "scp -f N\\AME",
        "rm",
        "rm -rf NAME",
        "rm -r /spool",
        "rm -f -- -x",
        "rm .",
        "rm ..",
        "rm *",
        "rm /etc/passwd",
        "rm ../../open/x",
        "rm NAME ../x",
        "done",
        "done -f NAME",
        "done ../NAME",
        "done /etc/passwd",
        "ls /",
        "ls ..",
        "ls -a",
        "ls -R",
        "ls -la",
        "ls /etc",
        "ls NAME",
        "ls /var/lib/billdrop",
        "ls; id",
        "ls && id",
        "ls || id",
        "ls | id",
        "ls & id",
        "ls\nid",
        "ls\n",
        "\nls",
        "ls\tid",
        "$(id)",
        "`id`",
        "ls $HOME",
        "ls > new.xml",
        "ls < NAME",
        "ls {,}",
        "ls !",
        "ls #",
        "",
        " ",
        "LC_ALL=C ls",
        "ls=1",
        "\u{e4}",
    ];
    let mine =
        [PARTIAL, &second].map(|names| ["scp -f ", "rm ", "rm -f ", "done "].map(|verb| format!("{verb}{names}")));
    for attempt in refused.iter().map(|line| line.to_string()).chain(mine.concat()) {
        let attempt = attempt.replace("NAME", &name);
        let ran = host.run("ssh", &["-S", &control, &at, &attempt]);
        assert!(
            ran.status == 126 && ran.stdout.is_empty() && ran.stderr.starts_with("refused: "),
            "{attempt:?}: {ran:?}"
        );
        nothing_came_of(&attempt, host, &before);
    }
    // A symbolic link is nothing that could be fetched or deleted.
    for link in ["passwd.xml", "toml.xml", "state.xml", "up.xml"] {
        for verb in ["scp -f", "scp -p -f", "rm", "rm -f", "done"] {
            let attempt = format!("{verb} {link}");
            let ran = host.run("ssh", &["-S", &control, &at, &attempt]).expect(1);
            assert_eq!(ran.stderr, format!("{link}: no such document\n"));
            nothing_came_of(&attempt, host, &before);
        }
    }
    for (program, arguments) in [
        ("scp", ["-O", "data", &format!("{at}:new.xml")]),
        ("scp", ["-O", "data", &format!("{at}:{name}")]),
        ("scp", ["-O", "-r", &format!("{at}:/spool")]),
        ("scp", ["-s", "data", &format!("{at}:new.xml")]),
        ("ssh", ["-s", &at, "sftp"]),
        ("sftp", ["-b", "batch", &at]),
    ] {
        fs::write(host.at_remote("batch"), "ls").unwrap();
        let more = arguments.contains(&"-r").then_some("in");
        let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
        assert_ne!(host.run(program, &arguments).status, 0, "{program} {arguments:?}");
        nothing_came_of(program, host, &before);
    }
    let long = format!("rm {}", "x ".repeat(4000));
    host.run("ssh", &[&at, &long]).expect(126);
    before.assert_unchanged("a long line");
}

/// A document, one that is being written, and symbolic links to what should stay secret.
fn bait(host: &Host) -> String {
    let name = host.capture();
    let spool = Path::new(SPOOL);
    fs::write(spool.join(PARTIAL), "<?xml half").unwrap();
    fs::set_permissions(spool.join(PARTIAL), fs::Permissions::from_mode(0o600)).unwrap();
    ran(Command::new("chown").arg("billdrop").arg(spool.join(PARTIAL))).expect(0);
    for (link, target) in [
        ("passwd.xml", "/etc/passwd"),
        ("toml.xml", "/etc/billdrop/billdrop.toml"),
        ("state.xml", "/var/lib/billdrop"),
        ("up.xml", "../../../etc/passwd"),
    ] {
        symlink(target, spool.join(link)).unwrap();
    }
    name
}

#[track_caller]
fn nothing_came_of(attempt: &str, host: &Host, before: &Snapshot) {
    let fetched = fs::read_dir(host.remote.path().join("in"))
        .unwrap()
        .map(|entry| entry.unwrap());
    // A client makes its file before it is refused the content.
    let fetched: Vec<_> = fetched
        .filter(|file| file.metadata().unwrap().len() > 0)
        .map(|file| file.path())
        .collect();
    assert!(fetched.is_empty(), "{attempt}: {fetched:?}");
    before.assert_unchanged(attempt);
}

/// The spool of the account that may do everything, as it was.
fn renew_open_spool(name: &str) {
    let script = "cd /srv/open-jail/spool; rm -rf * .c*; echo document >\"$1\"; printf m >start; mkdir empty; chown -R open-sftp .";
    ran(Command::new("sh").args(["-euc", script, "sh", name])).expect(0);
}
