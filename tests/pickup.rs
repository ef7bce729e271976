//! `contrib/pickup/billdrop-pickup` against a real sshd: fetched, checked, deleted, and nothing deleted wrongly.
//!
//! Every test runs the script with dash and with busybox; what depends on the transport also over the legacy protocol.

#[path = "pickup/interrupted.rs"]
mod interrupted;
#[path = "pickup/site.rs"]
mod site;
mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use support::sshd::Sshd;

use site::{Protocol, Shell, Site, all_in, document, everywhere, sftp, without_checksum, write_program};

const NAME: &str = "cmts1-20260115-093000.xml";

#[test]
fn one_call_fetches_checks_and_deletes() {
    everywhere("", |site| {
        site.offer(NAME, &document(3));
        let run = site.pick_up(&[]);
        run.expect(0, "");
        assert_eq!(run.stdout, format!("{}\n", site.fetched(NAME).display()));
        assert_eq!(fs::read(site.fetched(NAME)).unwrap(), document(3));
        assert_eq!(site.spooled(), [""; 0]);
        assert_eq!(site.names_in_inbox(), [NAME], "nothing else is left");
        site.pick_up(&[]).expect(1, "");
    });
}

#[test]
fn an_account_for_sftp_alone_is_enough() {
    let operations = "open,read,close,fstat,stat,lstat,opendir,readdir,realpath,remove,limits,expand-path";
    sftp(&format!("ForceCommand internal-sftp -p {operations}"), |site| {
        site.offer(NAME, &document(1));
        site.pick_up(&[]).expect(0, "");
        assert_eq!(site.spooled(), [""; 0]);
        let run = site.pick_up(&["--legacy"]);
        run.expect(3, "cannot list");
        run.expect(3, "sftp connections only");
        run.expect(3, "leave --legacy out");
    });
}

/// sftp itself takes this for success, with a complaint.
#[test]
fn a_spool_that_may_not_be_listed_is_not_taken_for_an_empty_one() {
    sftp("", |site| {
        site.offer(NAME, &document(1));
        site.pick_up(&["--keep"]).expect(0, "");
        let before = all_in(&site.inbox);
        // As a directory without the right to read it, which root has always; and one that cannot be read to its end.
        for refused in ["opendir", "readdir"] {
            let more = format!("ForceCommand internal-sftp -P {refused}");
            let closed = Sshd::start_with(&site.root.path().join(refused), &more);
            let run = site.pick_up_from(&closed, &[]);
            run.expect(3, "cannot list");
            run.expect(3, "Permission denied");
        }
        assert_eq!(site.spooled(), [NAME]);
        assert_eq!(all_in(&site.inbox), before, "what is known of the document is kept");
    });
}

#[test]
fn every_shape_of_name_and_document_is_taken() {
    everywhere("", |site| {
        let plain = without_checksum(&document(2));
        let names = [
            "a-b.c_d-20260115-093001",
            "cmts_20260115-093002",
            "x-20260115-093003.xml",
        ];
        for name in names {
            site.offer(name, &plain);
        }
        site.offer("empty-20260115-093004.xml", &document(0));
        site.pick_up(&[]).expect(0, "");
        assert_eq!(site.names_in_inbox().len(), 4);
        assert_eq!(site.spooled(), [""; 0]);
    });
}

#[test]
fn a_damaged_document_stays_where_it_is() {
    let whole = document(3);
    let text = String::from_utf8(whole.clone()).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("it is empty", vec![]),
        ("its end is missing", whole[..whole.len() / 2].to_vec()),
        ("its end is missing", text[..text.find("</IPDRDoc>").unwrap()].into()),
        (
            "it has 3 records, its end says 4",
            text.replace("count=\"3\"", "count=\"4\"").into(),
        ),
        (
            "its end has no count",
            text.replace("count=\"3\"", "count=\"many\"").into(),
        ),
        ("its checksum is wrong", text.replace("<v>2</v>", "<v>7</v>").into()),
        ("its checksum is not a SHA-256", text.replace(" -->", "0 -->").into()),
        (
            "the first line is no XML declaration",
            text.replace("<?xml", "\n<?xml").into(),
        ),
        (
            "it is not well-formed XML",
            without_checksum(text.replace("<v>2</v>", "<v>2").as_bytes()),
        ),
        (
            "there are zero octets",
            without_checksum(text.replace("<v>2</v>", "<v>\0</v>").as_bytes()),
        ),
    ];
    sftp("", |site| {
        let names: Vec<String> = (0..cases.len())
            .map(|n| format!("cmts{n}-20260115-093000.xml"))
            .collect();
        for (name, (_, document)) in names.iter().zip(&cases) {
            site.offer(name, document);
        }
        let run = site.pick_up(&[]);
        assert_eq!(run.stdout, "");
        for (name, (message, _)) in names.iter().zip(&cases) {
            run.expect(5, &format!("{name}: {message}"));
        }
        assert_eq!(site.spooled(), names);
        assert_eq!(all_in(&site.inbox), [""; 0]);
    });
}

#[test]
fn a_damaged_document_does_not_hold_up_the_next() {
    sftp("", |site| {
        site.offer("a-20260115-093000.xml", b"<?xml");
        site.offer("b-20260115-093000.xml", &document(1));
        site.pick_up(&[]).expect(5, "a-20260115-093000.xml: its end is missing");
        assert_eq!(site.spooled(), ["a-20260115-093000.xml"]);
        assert_eq!(site.names_in_inbox(), ["b-20260115-093000.xml"]);
    });
}

#[test]
fn a_file_of_the_same_name_is_never_replaced() {
    sftp("", |site| {
        site.offer(NAME, &document(3));
        fs::write(site.fetched(NAME), document(2)).unwrap();
        site.pick_up(&[]).expect(5, "exists and is not the same");
        assert_eq!(fs::read(site.fetched(NAME)).unwrap(), document(2));
        assert_eq!(site.spooled(), [NAME]);

        fs::remove_file(site.fetched(NAME)).unwrap();
        symlink("nowhere", site.fetched(NAME)).unwrap();
        site.pick_up(&[]).expect(5, "exists and is not the same");
        assert_eq!(site.spooled(), [NAME]);

        fs::remove_file(site.fetched(NAME)).unwrap();
        fs::write(site.fetched(NAME), document(3)).unwrap();
        let run = site.pick_up(&[]);
        run.expect(0, "is the same");
        assert_eq!(run.stdout, format!("{}\n", site.fetched(NAME).display()));
        assert_eq!(site.spooled(), [""; 0]);
    });
}

#[test]
fn hostile_names_are_reported_and_left_alone() {
    let hostile: &[&[u8]] = &[
        b"-rf",
        b"-rf-20260115-093000.xml",
        b"a b-20260115-093000.xml",
        b" a-20260115-093000.xml",
        b"a-20260115-093000.xml ",
        b"a-20260115-093000.xml.",
        b"'-20260115-093000.xml",
        b"\"-20260115-093000.xml",
        b"`touch pwned`-20260115-093000.xml",
        b"$(touch pwned)-20260115-093000.xml",
        b";touch pwned;-20260115-093000.xml",
        b"*-20260115-093000.xml",
        b"[a-z]-20260115-093000.xml",
        b"a\\-20260115-093000.xml",
        b"\x1b]0;pwned\x07-20260115-093000.xml",
        b"caf\xc3\xa9-20260115-093000.xml",
        b"\xff-20260115-093000.xml",
        b"first\nsecond line",
        b"sftp> ls",
        b"notes.txt",
    ];
    everywhere("", |site| {
        for name in hostile {
            fs::write(site.spool.join(std::ffi::OsStr::from_bytes(name)), document(1)).unwrap();
        }
        for hidden in [".cmts1-20260115-093000.xml", ".x-20260115-093000.xml.partial"] {
            site.offer(hidden, &document(1));
        }
        let before = site.spooled();
        let run = site.pick_up(&[]);
        run.expect(1, "ignored on peer, not a document: notes.txt");
        assert!(
            run.stderr.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)),
            "{}",
            run.stderr
        );
        site.pick_up(&["-q"]).expect(1, "");

        // Beside all these, a document is still found.
        site.offer(NAME, &document(1));
        site.pick_up(&["-q"]).expect(0, "");
        assert_eq!(site.spooled(), before);
        assert_eq!(site.names_in_inbox(), [NAME]);
        assert!(!site.root.path().join("pwned").exists() && !site.inbox.join("pwned").exists());
    });
}

#[test]
fn directories_and_links_that_look_like_documents_are_not_fetched() {
    sftp("", |site| {
        fs::create_dir(site.spool.join("dir-20260115-093000.xml")).unwrap();
        symlink("/etc/passwd", site.spool.join("link-20260115-093000.xml")).unwrap();
        site.pick_up(&[]).expect(1, "not a document: link-20260115-093000.xml");
        assert_eq!(site.spooled().len(), 2);
    });
}

#[test]
fn directories_with_blanks_and_quotes_are_no_trouble() {
    everywhere("", |site| {
        let spool = site.root.path().join("the $HOME 'spool' *;x");
        let inbox = site.root.path().join("my $HOME 'inbox' *;x");
        fs::rename(&site.spool, &spool).unwrap();
        fs::create_dir(&inbox).unwrap();
        fs::write(spool.join(NAME), document(1)).unwrap();
        let run = site.run(&[&format!("peer:{}", spool.display()), inbox.to_str().unwrap()]);
        run.expect(0, "");
        assert_eq!(run.stdout, format!("{}/{NAME}\n", inbox.display()));
        assert!(!spool.join(NAME).exists());
    });
}

#[test]
fn another_document_under_a_name_that_came_before_is_not_deleted() {
    sftp("", |site| {
        site.offer(NAME, &document(2));
        site.pick_up(&["--keep"]).expect(0, "");
        assert_eq!(site.spooled(), [NAME]);
        fs::remove_file(site.fetched(NAME)).unwrap();
        site.offer(NAME, &document(3));
        site.pick_up(&[])
            .expect(5, "another document came under this name before");
        assert_eq!(site.spooled(), [NAME]);
    });
}

#[test]
fn a_second_run_is_told_that_the_first_is_at_work() {
    sftp("", |site| {
        site.offer(NAME, &document(1));
        let lock = site.inbox.join(".billdrop-pickup.lock");
        fs::create_dir(&lock).unwrap();
        let me = std::process::id();
        let stat = fs::read_to_string(format!("/proc/{me}/stat")).unwrap();
        let began = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .nth(19)
            .unwrap()
            .to_owned();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim();

        fs::write(lock.join("owner"), format!("{me} {host} {began}\n")).unwrap();
        site.pick_up(&[]).expect(8, "works in");
        fs::write(lock.join("owner"), "1 another-host 1\n").unwrap();
        site.pick_up(&[]).expect(8, "another-host");
        fs::write(lock.join("owner"), "").unwrap();
        site.pick_up(&[]).expect(8, "works in");
        assert_eq!(site.spooled(), [NAME]);

        // The same number, but another process: the owner is gone.
        fs::write(lock.join("owner"), format!("{me} {host} 1\n")).unwrap();
        site.pick_up(&[]).expect(0, "took over the lock");
        assert!(!lock.exists());
    });
}

#[test]
fn whoever_cannot_connect_learns_why() {
    everywhere("", |site| {
        site.offer(NAME, &document(1));
        let closed = format!("-p{}", support::free_port());
        site.pick_up(&[&closed]).expect(3, "Connection refused");
        site.run(&["peer:/nonexistent/spool", site.inbox.to_str().unwrap()])
            .expect(3, "o such file");
        site.sshd.expect_another_host_key();
        site.pick_up(&[]).expect(3, "HOST IDENTIFICATION HAS CHANGED");
        assert_eq!(site.spooled(), [NAME]);
        assert_eq!(all_in(&site.inbox), [""; 0]);
    });
}

#[test]
fn a_transfer_that_fails_deletes_nothing() {
    everywhere("", |site| {
        site.offer(NAME, &document(1));
        let bin = site.root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let lock = site.inbox.join(".billdrop-pickup.lock");
        let sftp = format!(
            "#!/bin/sh\ngrep -q ^get \"{}/batch\" && {{ echo Connection reset >&2; exit 255; }}\nexec /usr/bin/sftp \"$@\"\n",
            lock.display()
        );
        write_program(&bin.join("sftp"), &sftp);
        let scp = "#!/bin/sh\n[ $# -gt 1 ] || exec /usr/bin/scp \"$@\"\necho Connection reset >&2; exit 1\n";
        write_program(&bin.join("scp"), scp);
        let run = site.with_path(&bin).pick_up(&[]);
        run.expect(4, "Connection reset");
        assert_eq!(site.spooled(), [NAME]);
        assert_eq!(all_in(&site.inbox), [""; 0]);
    });
}

#[test]
fn a_missing_local_directory_is_not_made() {
    sftp("", |site| {
        site.offer(NAME, &document(1));
        let target = site.target();
        site.run(&[&target, "/nonexistent/inbox"])
            .expect(6, "is not a directory");
        assert_eq!(site.spooled(), [NAME]);
    });
}

#[test]
fn a_sync_that_fails_is_final() {
    // busybox's shell takes its own sync, whatever stands in the path.
    let site = Site::new(Shell::Dash, Protocol::Sftp, "");
    site.offer(NAME, &document(1));
    let bin = site.root.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let sync = "#!/bin/sh\ncase ${1-} in --help) echo FILE;; *) echo 'Input/output error' >&2; exit 1;; esac\n";
    write_program(&bin.join("sync"), sync);
    site.with_path(&bin).pick_up(&[]).expect(6, "cannot sync");
    assert_eq!(site.spooled(), [NAME]);
    assert_eq!(site.names_in_inbox(), [""; 0]);
    site.pick_up(&[]).expect(0, "");
}

#[test]
fn a_full_disk_is_told_from_a_failed_transfer() {
    sftp("", |site| {
        let records = 20_000;
        site.offer(NAME, &document(records));
        // EFBIG stands for ENOSPC: both come from the local write.
        let script = format!(
            "ulimit -f 100; trap '' XFSZ; exec {} \"$@\"",
            site.shell.words().join(" ")
        );
        let run = site.run_with(
            &["dash", "-c", &script, "-"],
            &[&site.target(), site.inbox.to_str().unwrap()],
        );
        run.expect(6, "File too large");
        assert_eq!(site.spooled(), [NAME]);
        assert_eq!(all_in(&site.inbox), [""; 0]);
    });
}

#[test]
fn a_reader_that_has_gone_does_not_cost_a_document() {
    sftp("", |site| {
        site.offer(NAME, &document(1));
        let script = format!("exec {} \"$@\" >/dev/full", site.shell.words().join(" "));
        let run = site.run_with(
            &["dash", "-c", &script, "-"],
            &[&site.target(), site.inbox.to_str().unwrap()],
        );
        run.expect(6, "standard output");
        assert_eq!(site.spooled(), [NAME]);
        let run = site.pick_up(&[]);
        run.expect(0, "was fetched before");
        assert_eq!(run.stdout, format!("{}\n", site.fetched(NAME).display()));
    });
}

#[test]
fn a_wrong_command_line_is_refused() {
    sftp("", |site| {
        for (args, message) in [
            (&[][..], "no host given"),
            (&["-oProxyCommand=x", "-x", "peer"], "unknown option -x"),
            (&["--", "-oProxyCommand=touch pwned"], "bad host"),
            (&["a;b@peer"], "bad user"),
            (&["peer:a\"b"], "control characters"),
            (&["peer:a\nb"], "control characters"),
            (&["peer", "in", "more"], "too many arguments"),
            (&["peer", "-i"], "-i needs a value"),
        ] {
            site.run(args).expect(2, message);
        }
        let help = site.run(&["--help"]);
        help.expect(0, "");
        for status in 0..=8 {
            assert!(
                help.stdout.contains(&format!("\n  {status}  ")),
                "status {status} is not in --help"
            );
        }
    });
}
