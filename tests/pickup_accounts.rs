//! The accounts of `contrib/pickup`, made by `install-account`, with real sshd, in.tftpd and clients: fetching and
//! deleting works, everything else is refused, and billdrop, as its own user, goes on.

#[path = "pickup_accounts/forwarding.rs"]
mod forwarding;
#[path = "pickup_accounts/installer.rs"]
mod installer;
#[path = "pickup_accounts/raw_sftp.rs"]
mod raw_sftp;
#[path = "pickup_accounts/refused.rs"]
mod refused;
mod support;
#[path = "pickup_accounts/tftp.rs"]
mod tftp;
#[path = "pickup_accounts/words.rs"]
mod words;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::accounts::{Host, SPOOL, on_a_host_of_its_own};

const PICKUP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/pickup/billdrop-pickup");

#[test]
fn an_sftp_account_fetches_and_deletes_with_every_client() {
    on_a_host_of_its_own("an_sftp_account_fetches_and_deletes_with_every_client", |host| {
        host.install_account(&["--sftp", "--key", &host.key(), "pick"])
            .expect(0);
        host.serve();

        one_document(host, "sftp", |host, name| {
            let listing = host.sftp("pick", "ls -1\nls -la /spool\n").expect(0).stdout;
            assert!(listing.contains(&format!("\n{name}\n")), "{listing}");
            host.sftp("pick", &format!("get -p {name} in/\nrm {name}\n")).expect(0);
        });
        one_document(host, "scp over SFTP", |host, name| {
            let from = format!("pick@host:/spool/{name}");
            host.run("scp", &["-s", "-p", &from, "in/"]).expect(0);
            host.sftp("pick", &format!("rm /spool/{name}")).expect(0);
        });
        one_document(host, "scp with a pattern", |host, name| {
            host.run("scp", &["-s", "pick@host:/spool/*.xml", "in/"]).expect(0);
            host.sftp("pick", &format!("cd /spool\nrm {name}")).expect(0);
        });
        one_document(host, "libssh2", |host, name| {
            let deletion = format!("-rm /spool/{name}");
            curl(
                host,
                &format!("sftp://127.0.0.1/spool/{name}"),
                "pick",
                &["-Q", &deletion],
                name,
            );
        });
        one_document(host, "billdrop-pickup", |host, _| {
            pick_up(host, &["pick@host:/spool", "in"])
        });
    });
}

#[test]
fn an_account_for_plain_scp_fetches_and_deletes_with_every_client() {
    on_a_host_of_its_own(
        "an_account_for_plain_scp_fetches_and_deletes_with_every_client",
        |host| {
            let from = "127.0.0.0/8";
            host.install_account(&["--scp", "--key", &host.key(), "--from", from, "pick"])
                .expect(0);
            host.serve();
            plain_scp(host, "pick");
        },
    );
}

/// Without a line of ours in sshd's configuration, for an account that somebody made by hand.
#[test]
fn a_line_in_authorized_keys_is_enough_for_plain_scp() {
    on_a_host_of_its_own("a_line_in_authorized_keys_is_enough_for_plain_scp", |host| {
        host.add_open_accounts();
        fs::create_dir_all("/usr/local/lib/billdrop").unwrap();
        let script = Path::new(PICKUP).with_file_name("pickup-shell");
        fs::copy(script, "/usr/local/lib/billdrop/pickup-shell").unwrap();
        let key = fs::read_to_string(host.key()).unwrap();
        let line = format!("restrict,command=\"/usr/local/lib/billdrop/pickup-shell {SPOOL}\" {key}");
        fs::write("/etc/ssh/open-keys/open", line).unwrap();
        host.serve();
        plain_scp(host, "open");
        refused::plain_scp(host, "open");
    });
}

fn plain_scp(host: &Host, account: &str) {
    let at = format!("{account}@host");
    one_document(host, "plain scp", |host, name| {
        assert_eq!(host.run("ssh", &[&at, "ls"]).expect(0).stdout, format!("{name}\n"));
        let long = host.run("ssh", &[&at, "ls -l /spool"]).expect(0).stdout;
        assert!(long.starts_with("-rw-r----- 1 ") && long.contains(name), "{long}");
        host.run("scp", &["-O", "-p", &format!("{at}:{name}"), "in/"]).expect(0);
        let fetched = fs::metadata(host.at_remote(&format!("in/{name}"))).unwrap();
        let there = fs::metadata(Path::new(SPOOL).join(name)).unwrap();
        assert_eq!(
            (fetched.mtime(), fetched.mode()),
            (there.mtime(), there.mode()),
            "-p keeps time and mode"
        );
        host.run("ssh", &[&at, &format!("rm {name}")]).expect(0);
        // An answer that got lost on the way is asked for again.
        host.run("ssh", &[&at, &format!("rm -f /spool/{name}")]).expect(0);
        assert_eq!(
            host.run("ssh", &[&at, &format!("rm {name}")]).expect(1).stderr,
            format!("{name}: no such document\n")
        );
    });
    one_document(host, "plain scp with -v", |host, name| {
        host.run("scp", &["-O", "-v", &format!("{at}:/spool/{name}"), "in/"])
            .expect(0);
        host.run("ssh", &[&at, &format!("done {name}")]).expect(0);
    });
    one_document(host, "libssh2", |host, name| {
        curl(host, &format!("scp://127.0.0.1/spool/{name}"), account, &[], name);
        host.run("ssh", &[&at, &format!("rm -- {name}")]).expect(0);
    });
    one_document(host, "billdrop-pickup", |host, _| {
        pick_up(host, &["--legacy", &format!("{at}:/spool"), "in"]);
    });
}

/// A document is offered and refused a second one beside it, fetched as it is, and makes room by its deletion.
fn one_document(host: &Host, client: &str, fetch_and_delete: impl FnOnce(&Host, &str)) {
    let name = host.capture();
    let content = host.document(&name);
    host.billdrop(&["capture"]).expect(75);
    fetch_and_delete(host, &name);
    assert!(
        host.take_fetched(&name) == content,
        "{client}: what arrived is what was offered"
    );
    assert_eq!(host.spooled(), [""; 0], "{client}: deleted");
    let status = host.billdrop(&["status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["foreign_files"], serde_json::json!([]), "{status}");
    host.billdrop(&["check"]).expect(0);
}

fn pick_up(host: &Host, arguments: &[&str]) {
    let config = host.at_remote("ssh_config");
    let run = host.run(PICKUP, &[&["-F", &config], arguments].concat()).expect(0);
    assert!(run.stdout.starts_with("in/"), "{run:?}");
}

fn curl(host: &Host, url: &str, account: &str, more: &[&str], name: &str) {
    let (key, public, to) = (host.at_remote("id"), host.at_remote("id.pub"), format!("in/{name}"));
    let user = format!("{account}:");
    // Its way to check the host key is another one, and not what is tested here.
    let arguments = [
        "-sS", "-k", "--key", &key, "--pubkey", &public, "-u", &user, "-o", &to, url,
    ];
    host.run("curl", &[&arguments, more].concat()).expect(0);
}
