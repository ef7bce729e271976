//! Bad input: configurations, directories, ledgers and documents that cannot be right are refused with what to do next.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use support::binary::{BILLDROP, Place, Ran, names, ran};

#[test]
fn a_wrong_configuration_is_refused_with_file_line_key_and_the_nearest_known_key() {
    let place = Place::new();
    for (toml, said) in [
        (
            "[spol]\ndirectory = \"x\"\n",
            &["billdrop.toml:1:", "`spol`", "Did you mean `spool`?"][..],
        ),
        (
            "\n[spool]\nmin_free = \"1MiB\"\n",
            &["billdrop.toml:3:1:", "`min_free`", "Did you mean `min-free`?"],
        ),
        (
            "[spool]\nmin-free = \"lots\"\n",
            &["billdrop.toml:2:", "\"lots\" is not a size", "64MiB"],
        ),
        (
            "[spool]\nalarm-after = \"soon\"\n",
            &["billdrop.toml:2:", "span of time"],
        ),
        ("[spool]\nmode = \"0999\"\n", &["billdrop.toml:2:", "octal"]),
        (
            "[spool]\nmode = \"0666\"\n",
            &["billdrop.toml:2: spool.mode", "everybody"],
        ),
        (
            "[spool]\nextension = \".xml\"\n",
            &["billdrop.toml:2: spool.extension", "without a dot"],
        ),
        (
            "[spool]\ngroup = \"no-such-group-here\"\n",
            &["billdrop.toml:2: spool.group", "no-such-group-here"],
        ),
        (
            "[recorder]\nhostname = \"a/b\"\n",
            &["billdrop.toml:2: recorder.hostname", "'/'"],
        ),
        (
            "[recorder]\nmac = \"12\"\n",
            &["billdrop.toml:2: recorder.mac", "00-00-5E"],
        ),
        (
            "[state]\ndirectory = \"spool/inside\"\n",
            &["billdrop.toml:2: state.directory", "inside the spool"],
        ),
        (
            "[[source]]\ntype = \"linuks\"\n",
            &["billdrop.toml:2:", "Did you mean `linux`?"],
        ),
        (
            "[[source]]\ntype = \"linux\"\n[[source]]\ntype = \"linux\"\n",
            &["billdrop.toml:3: source[1].name", "earlier"],
        ),
        (
            "[[source]]\ntype = \"linux\"\ninclude = [\"[\"]\n",
            &["billdrop.toml:1: source[0]", "include"],
        ),
        (
            "[[notify]]\naddress = \"m\"\nversion = \"3\"\n",
            &["billdrop.toml:1: notify[0]", "user"],
        ),
        (
            "[snmp]\nenterprise = \"one.two\"\n",
            &["billdrop.toml:2: snmp.enterprise"],
        ),
        ("[snmp]\nengine-id = \"xyz\"\n", &["billdrop.toml:2: snmp.engine-id"]),
        (
            "[snmp]\nfilesystem = \"0123456789012345678901234567890123456789012345678901234567890123:\"\n",
            &["80"],
        ),
        ("directory = \"x\"\n[", &["billdrop.toml:2:"]),
    ] {
        place.configure(toml);
        let ran = place.run(&["capture"]).expect(78);
        for said in said {
            assert!(ran.stderr.contains(said), "{toml:?}: {said:?} is not in {}", ran.stderr);
        }
        assert_eq!(names(place.path()), ["billdrop.toml"], "{toml:?}: nothing was made");
    }
    let place = Place::new();
    let missing = place.run(&["--config", "none.toml", "status"]).expect(78);
    assert!(missing.stderr.contains("none.toml"), "{}", missing.stderr);
    fs::write(place.path().join("billdrop.toml"), b"[spool]\n# \xFF\n").unwrap();
    let ran = place.run(&["status"]).expect(78);
    assert!(ran.stderr.contains("billdrop.toml:2: not UTF-8"), "{}", ran.stderr);
}

#[test]
fn a_secret_in_a_file_that_everybody_can_read_is_warned_about_and_never_shown() {
    let place = Place::new();
    place.configure("[[notify]]\naddress = \"127.0.0.1:9\"\ncommunity = \"c4n4ry\"\n");
    let file = place.path().join("billdrop.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run(&["-vv", "capture"]).expect(0);
    assert!(ran.stderr.contains("everybody can read it"), "{}", ran.stderr);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let quiet = place.run(&["-vv", "check"]).expect(0);
    assert!(!quiet.stderr.contains("everybody can read it"), "{}", quiet.stderr);
    let everything = format!("{ran:?}{quiet:?}{}", place.status());
    assert!(!everything.contains("c4n4ry"), "{everything}");
}

#[test]
fn a_program_that_crashes_leaves_no_core_with_secrets_in_it() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new();
    place.capture();
    let mut waiting = Command::new("sh")
        .args([
            "-c",
            "ulimit -c unlimited; exec \"$0\" \"$@\"",
            BILLDROP,
            "--spool",
            "spool",
            "-v",
            "capture",
            "--wait",
        ])
        .current_dir(place.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(waiting.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("waiting"), "{said}");
    let pid = rustix::process::Pid::from_child(&waiting);
    // Not SIGQUIT: what a shell starts in the background ignores it, this test included.
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = waiting.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    let place = Place::new();
    place.run(&["captur"]).expect(64);
    place.run(&["capture", "--wait", "1h"]).expect(64);
    place.run(&["capture", "--wait=never"]).expect(64);
    let unknown = place.run(&["capture", "--source", "nobody"]).expect(64);
    assert!(
        unknown.stderr.contains("linux"),
        "the known ones are named: {}",
        unknown.stderr
    );
    place.run(&["--help"]).expect(0);
    place.run(&["--version"]).expect(0);
}

#[test]
fn a_spool_that_cannot_be_is_refused_with_what_to_do() {
    let place = Place::new();
    let at = |path: &Path| ran(Command::new(BILLDROP).arg("--spool").arg(path).arg("capture"));

    let ran = at(&place.path().join("not/mounted"));
    assert_eq!(ran.status, 73, "{ran:?}");
    assert!(ran.stderr.contains("mount it"), "{}", ran.stderr);

    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(at(&file).status, 73);

    let real = place.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = place.path().join("link");
    symlink(&real, &link).unwrap();
    let ran = at(&link);
    assert_eq!(ran.status, 73, "{ran:?}");
    assert!(ran.stderr.contains("symbolic link"), "{}", ran.stderr);

    fs::set_permissions(&real, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = at(&real);
    assert_eq!(ran.status, 77, "{ran:?}");
    assert!(ran.stderr.contains("chmod o-w"), "{}", ran.stderr);
}

#[test]
fn symbolic_links_in_place_of_our_files_are_not_followed() {
    for name in ["lock", "ledger.sqlite"] {
        let place = Place::new();
        fs::create_dir(place.state()).unwrap();
        let victim = place.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, place.state().join(name)).unwrap();
        let ran = place.run(&["capture"]);
        assert_ne!(ran.status, 0, "{name}: {ran:?}");
        assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}

#[test]
fn a_document_that_somebody_edited_is_found_by_verify_and_said_by_status() {
    let place = Place::new();
    let document = place.capture();
    let octets = fs::read(&document).unwrap();
    let text = String::from_utf8(octets).unwrap();
    let verify = |text: &str| {
        fs::write(&document, text).unwrap();
        place.run(&["verify", document.to_str().unwrap()])
    };
    let edits: [(&str, String); 5] = [
        ("a changed value", text.replacen("<outErrors>0<", "<outErrors>9<", 1)),
        ("a wrong count", text.replacen("count=\"", "count=\"1", 1)),
        ("a cut end", text[..text.len() - 120].to_owned()),
        ("a missing record", {
            let start = text.rfind("<IPDR xsi").unwrap();
            let end = text.rfind("</IPDR>").unwrap() + "</IPDR>\n".len();
            format!("{}{}", &text[..start], &text[end..])
        }),
        ("something behind the end", format!("{text}<!-- more -->\n")),
    ];
    for (edit, edited) in edits {
        assert_ne!(edited, text, "{edit}: the edit does something");
        let ran = verify(&edited).expect(65);
        assert!(
            ran.stderr.contains(document.file_name().unwrap().to_str().unwrap()),
            "{edit}: {}",
            ran.stderr
        );
    }
    assert_eq!(place.status()["damaged"], true);
    // A whole document without its own checksum, with the same count: only the ledger can tell.
    let bare = text
        .lines()
        .filter(|line| !line.starts_with("<!--"))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    let ran = verify(&bare.replacen("<outErrors>0<", "<outErrors>9<", 1)).expect(65);
    assert!(ran.stderr.contains("in the ledger"), "{}", ran.stderr);
    verify(&text).expect(0);
    assert_eq!(place.run(&["show", "."]).status, 65);
}

/// A lost state directory made the document in the spool a foreign file: a second one was offered beside it.
/// With one state directory for two spools, the document in the first passed for retrieved.
/// Documents of profile cisco-samis have no information record, yet the ledger said that they told of gaps.
#[test]
fn a_document_without_information_record_tells_of_nothing() {
    let place = Place::new();
    let failing =
        "[[source]]\ntype = \"linux\"\n[[source]]\ntype = \"linux\"\nname = \"gone\"\nnetwork-namespace = \"none\"\n";
    place.configure(&format!("[document]\nprofile = \"cisco-samis\"\n{failing}"));
    place.run(&["capture"]).expect(69);
    place.run(&["capture"]).expect(75);
    fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
    place.run(&["capture"]).expect(69);
    let gaps = place.run(&["gaps", "--skipped"]).expect(0).stdout;
    assert_eq!(gaps.lines().count(), 3, "{gaps}");
    assert!(!gaps.contains("told in"), "{gaps}");
    assert_eq!(
        place.status()["skipped_captures"],
        0,
        "counted since the last document all the same"
    );
}

/// A released document that somebody copied back was shown as offered, and replaced the one that was kept.
#[test]
fn a_released_document_that_comes_back_is_moved_aside_beside_the_kept_one() {
    let place = Place::new();
    let first = place.capture();
    let kept = place.run(&["release"]).expect(0).stdout;
    fs::write(&first, "edited").unwrap();
    assert_eq!(place.status()["blocked"], false);
    assert_eq!(
        place.status()["foreign_files"][0]["name"],
        first.file_name().unwrap().to_str().unwrap()
    );
    place.capture();
    place.run(&["verify", kept.trim_end()]).expect(0);
    assert_eq!(names(&place.state().join("released")).len(), 2);
}

/// A file that is missing ended with the status of one that cannot be made.
#[test]
fn a_document_that_is_not_there_cannot_be_read() {
    let place = Place::new();
    for command in ["show", "verify"] {
        let ran = place.run(&[command, "nothing-here.xml"]).expect(74);
        assert!(ran.stderr.contains("nothing-here.xml"), "{}", ran.stderr);
    }
    let document = place.capture();
    fs::write(place.path().join("bad.xml"), "rubbish").unwrap();
    place
        .run(&["verify", "bad.xml", "nothing-here.xml", document.to_str().unwrap()])
        .expect(65);
}

/// Ledger and last-document were readable by everybody in a state directory that the operator had made.
#[test]
fn a_capture_of_some_sources_says_so_in_the_document() {
    let place = Place::new();
    place.configure("[[source]]\ntype = \"linux\"\n[[source]]\ntype = \"linux\"\nname = \"two\"\n");
    let ran = place.run(&["capture", "--source", "two"]).expect(0);
    let information = place.information(&place.path().join(ran.stdout.trim_end()));
    assert_eq!(information["sourceStatus"].as_array().unwrap().len(), 1);
    assert!(
        information["remark"].as_str().unwrap().contains("only two"),
        "{information}"
    );
}

/// The log of the ledger holds many documents; a bad octet in it ends its replay without an error, and numbers were given twice.
/// A new directory on the mount point of a missing disk, newer than the offer, passed for the old one after a pickup.
/// A document that changed hands (a file server that maps users, say) no longer blocked, and counted as retrieved.
/// A capture that hung blocked all others without a word.
#[test]
fn a_remark_that_has_no_room_for_every_gap_says_so() {
    let place = Place::new();
    let failing = "[[source]]\ntype = \"linux\"\nnetwork-namespace = \"there-is-none\"\n";
    place.configure(failing);
    for _ in 0..12 {
        place.run(&["capture"]).expect(69);
    }
    place.configure("[[source]]\ntype = \"linux\"\n[[source]]\ntype = \"linux\"\nname = \"two\"\n");
    let ran = place.run(&["capture", "--source", "two"]).expect(0);
    let information = place.information(&place.path().join(ran.stdout.trim_end()));
    let remark = information["remark"].as_str().unwrap();
    assert!(
        remark.contains("only two was asked") && remark.contains("see billdrop gaps"),
        "{remark}"
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let place = Place::new();
    place.configure("[[notify]]\naddress = \"m\"\nauth-protocol = \"hunter2secret\"\n");
    let ran = place.run(&["capture"]).expect(78);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("billdrop.toml:3:") && ran.stderr.contains("SHA-256"),
        "{}",
        ran.stderr
    );
}

#[test]
fn check_finds_what_would_stop_a_capture() {
    let place = Place::new();
    let ok = place.run(&["check"]).expect(0);
    assert!(ok.stdout.contains("will be made by the first capture"), "{ok:?}");
    place.capture();
    assert!(place.run(&["check"]).expect(0).stdout.contains("waits for its pickup"));

    fs::set_permissions(place.spool(), fs::Permissions::from_mode(0o2777)).unwrap();
    let wrong = place.run(&["check"]).expect(69);
    assert!(wrong.stdout.contains("everybody may delete"), "{wrong:?}");
    fs::set_permissions(place.spool(), fs::Permissions::from_mode(0o2770)).unwrap();

    place.configure("[[notify]]\naddress = \"127.0.0.1:9\"\ncommunity = { file = \"there-is-none\" }\n");
    let wrong = place.run(&["check"]).expect(69);
    assert!(
        wrong.stdout.contains("WRONG") && wrong.stdout.contains("there-is-none"),
        "{wrong:?}"
    );

    place.configure("[spool]\nalarm-after = \"0s\"\n");
    let wrong = place.run(&["check"]).expect(69);
    assert!(wrong.stdout.contains("nobody fetches it"), "{wrong:?}");

    place.configure("");
    let finding = |ran: &Ran| {
        let found = ran.stdout.lines().find(|line| line.starts_with("logs "));
        found.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        finding(&place.run(&["check"]).expect(0)).unwrap(),
        "ok logs will be made by the first capture"
    );
    let logs = place.path().join("logs");
    fs::create_dir(&logs).unwrap();
    assert_eq!(
        finding(&place.run(&["check"]).expect(0)).unwrap(),
        "ok logs can be written"
    );
    fs::create_dir(logs.join("error.log")).unwrap();
    assert_eq!(
        finding(&place.run(&["check"]).expect(69)).unwrap(),
        "WRONG logs/error.log is no regular file"
    );
    fs::remove_dir_all(&logs).unwrap();
    std::os::unix::fs::symlink("nowhere", &logs).unwrap();
    assert!(
        finding(&place.run(&["check"]).expect(69))
            .unwrap()
            .starts_with("WRONG logs: No such file")
    );
    place.configure("[log]\ndirectory = \"\"\n");
    assert_eq!(finding(&place.run(&["check"]).expect(0)), None, "there are none");
}
