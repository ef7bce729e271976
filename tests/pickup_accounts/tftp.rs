//! tftpd-hpa as `billdrop-tftpd.service` starts it, with curl and tftp-hpa: plain names are read, nothing is written.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::accounts::{Host, SPOOL, Snapshot, on_a_host_of_its_own};
use crate::support::binary::ran;
use crate::support::{Peer, wait_until};

const ADDRESS: &str = "192.0.2.1";
const UNIT: &str = "/etc/systemd/system/billdrop-tftpd.service";
const MARKERS: &str = "/etc/systemd/system/billdrop-tftpd.service.d/done.conf";

#[test]
fn a_document_is_read_by_tftp_and_done_with_over_ssh() {
    on_a_host_of_its_own("tftp::a_document_is_read_by_tftp_and_done_with_over_ssh", |host| {
        let _server = install(host);
        host.install_account(&["--scp", "--key", &host.key(), "pick"]).expect(0);
        host.serve();
        for client in ["curl", "tftp"] {
            let name = host.capture();
            let content = host.document(&name);
            let to = format!("in/{name}");
            match client {
                "curl" => host.run("curl", &["-sS", "-o", &to, &format!("tftp://{ADDRESS}/{name}")]),
                _ => host.run("tftp", &["-m", "binary", ADDRESS, "-c", "get", &name, &to]),
            }
            .expect(0);
            assert!(host.take_fetched(&name) == content, "{client}");
            host.billdrop(&["capture"]).expect(75);
            host.run("ssh", &["pick@host", &format!("done {name}")]).expect(0);
            assert_eq!(host.spooled(), [""; 0], "{client}");
        }
    });
}

#[test]
fn a_tftp_client_can_do_nothing_else() {
    on_a_host_of_its_own("tftp::a_tftp_client_can_do_nothing_else", |host| {
        let _server = install(host);
        let name = host.capture();
        bait(&name);
        let before = Snapshot::take();
        for path in hostile_paths(&name) {
            assert_eq!(get(host, &path), None, "{path}");
            before.assert_unchanged(&path);
        }
        // Only this address answers.
        assert_ne!(
            host.run("curl", &["-sS", "-m", "2", &format!("tftp://127.0.0.1/{name}")])
                .status,
            0
        );
        for path in [
            &name,
            "new.xml",
            "open.xml",
            &format!("{name}.done"),
            ".hidden",
            "inner/new",
            "../new",
            "/etc/new",
        ] {
            for file in ["data", "empty"] {
                assert!(!put(host, file, path), "{path}");
                before.assert_unchanged(path);
            }
        }
        assert!(
            get(host, &name).is_some_and(|content| content == host.document(&name)),
            "and yet it serves"
        );
    });
}

/// Without the service's own protection, with the map and the rights alone.
#[test]
fn with_markers_a_tftp_client_makes_markers_and_nothing_else() {
    on_a_host_of_its_own(
        "tftp::with_markers_a_tftp_client_makes_markers_and_nothing_else",
        |host| {
            drop(install(host));
            let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/pickup");
            fs::copy(contrib.join("tftpd-done.map"), "/etc/billdrop/tftpd.map").unwrap();
            let text = fs::read_to_string(contrib.join("billdrop-tftpd-done.conf")).unwrap();
            let text = text
                .replace("@ADDRESS@", &format!("{ADDRESS}:69"))
                .replace("@NAME@", "tftp-pick")
                .replace("@SPOOL@", SPOOL);
            fs::create_dir_all(Path::new(MARKERS).parent().unwrap()).unwrap();
            fs::write(MARKERS, &text).unwrap();
            assert!(text.contains("\nLimitFSIZE=0\n"));
            let _server = serve(MARKERS, &["prlimit", "--fsize=0"]);

            let name = host.capture();
            bait(&name);
            let before = Snapshot::take();
            for path in hostile_paths(&name) {
                assert_eq!(get(host, &path), None, "{path}");
                before.assert_unchanged(&path);
            }
            for path in [
                &name,
                "new.xml",
                "open.xml",
                ".hidden.done",
                "inner/x.done",
                "../new.done",
                "/etc/new.done",
                "x.done/y",
            ] {
                for file in ["data", "empty"] {
                    assert!(!put(host, file, path), "{path}");
                    before.assert_unchanged(path);
                }
            }
            let marker = format!("{name}.done");
            assert!(put(host, "empty", &marker));
            put(host, "data", &marker);
            let found = fs::metadata(Path::new(SPOOL).join(&marker)).unwrap();
            assert_eq!(found.len(), 0, "a marker has no content");
            assert_eq!(host.billdrop(&["status"]).expect(0).stderr, "");
        },
    );
}

fn install(host: &Host) -> Peer {
    host.install_account(&["--tftp", ADDRESS, "tftp-pick"]).expect(0);
    fs::write(host.at_remote("empty"), "").unwrap();
    serve(UNIT, &[])
}

/// What systemd would start, without the protection that systemd adds.
fn serve(unit: &str, under: &[&str]) -> Peer {
    let text = fs::read_to_string(unit).unwrap();
    let line = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="))
        .next_back()
        .unwrap();
    let words: Vec<&str> = under.iter().copied().chain(line.split(' ')).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
    let mut server = Peer::spawn(&mut command, "tftpd-hpa tftp-hpa");
    wait_until("in.tftpd has its port", Duration::from_secs(10), || {
        assert!(!server.has_ended(), "in.tftpd has ended");
        UdpSocket::bind((ADDRESS, 69)).is_err()
    });
    server
}

/// Files that the rights alone would not protect.
fn bait(name: &str) {
    let script = "cd \"$1\"; echo hidden >.hidden; mkdir inner; echo inner >inner/file; cp \"$2\" .whole.xml.partial
        echo open >open.xml; chmod 666 open.xml .hidden; chmod 777 inner
        chown billdrop:billing .whole.xml.partial; chmod 640 .whole.xml.partial
        ln -s /etc/passwd passwd.xml; ln -s ../../../etc/passwd up.xml; ln -s / root";
    ran(Command::new("sh").args(["-euc", script, "sh", SPOOL, name])).expect(0);
}

fn hostile_paths(name: &str) -> Vec<String> {
    let paths = [
        ".hidden",
        "/.hidden",
        "//.hidden",
        "./.hidden",
        ".whole.xml.partial",
        "inner/file",
        "/inner/file",
        "inner",
        ".",
        "/",
        "../NAME",
        "./NAME",
        "//NAME",
        "/spool/NAME",
        "NAME/",
        "inner/../NAME",
        "/var/spool/billdrop/NAME",
        "/etc/passwd",
        "../../../../etc/passwd",
        "/../../../../etc/passwd",
        "..",
        "passwd.xml",
        "up.xml",
        "root/etc/passwd",
        "/etc/billdrop/billdrop.toml",
        "/var/lib/billdrop/ledger.sqlite",
        "../../lib/billdrop/ledger.sqlite",
        "NAM?",
        "*",
    ];
    paths.map(|path| path.replace("NAME", name)).to_vec()
}

/// What comes from tftp-hpa's client, which sends names as they are and says "success" in any case.
fn get(host: &Host, path: &str) -> Option<Vec<u8>> {
    let to = host.at_remote("got");
    let _ = fs::remove_file(&to);
    host.run("tftp", &["-m", "binary", ADDRESS, "-c", "get", path, &to]);
    fs::read(&to).ok().filter(|content| !content.is_empty())
}

fn put(host: &Host, file: &str, path: &str) -> bool {
    let ran = host.run("tftp", &["-m", "binary", ADDRESS, "-c", "put", file, path]);
    !ran.stdout.contains("Error code") && !ran.stderr.contains("Error code")
}
