//! `billdrop addpasswd`: the password is in the file, encrypted, and nothing else has changed.

mod support;

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use billdrop::config::gatekeeper::{self, Leniency};
use support::binary::{BILLDROP, Place, Ran, names, ran};
use support::{Peer, wait_until};

const INI: &str = "; the gatekeeper's\r\n[Gatekeeper::Main]\nEncryptAllPasswords=1\n\n[Gatekeeper::Acct]\nSQLAcct=optional;stop\n\
                   [SQLAcct]\nDriver=SQLite\nDatabase=/d\n  password =\told\nStopQuery=UPDATE \u{20AC}\n\n[Other]\nx=y";

struct Ini {
    place: Place,
    path: PathBuf,
}

impl Ini {
    fn new(text: &str) -> Self {
        let place = Place::new();
        let path = place.path().join("gk.ini");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        Ini { place, path }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// With this on standard input.
    fn add(&self, arguments: &[&str], input: &str) -> Ran {
        let arguments = [&["addpasswd", "gk.ini"][..], arguments].concat();
        let mut command = self.place.command(&arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses before it reads has closed its end.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::from(child.wait_with_output().unwrap())
    }

    /// What the gatekeeper would read.
    fn password(&self) -> String {
        let (gatekeeper, _) = gatekeeper::load(&self.path, Leniency::Strict).unwrap_or_else(|e| panic!("{e}"));
        gatekeeper.sql.unwrap().password.reveal().unwrap()
    }
}

/// All lines but those of the password.
fn other_lines(text: &str) -> Vec<&str> {
    text.split('\n')
        .filter(|line| !line.to_lowercase().contains("password ="))
        .collect()
}

#[test]
fn the_password_is_encrypted_and_every_other_octet_stays() {
    let ini = Ini::new(INI);
    let before = fs::metadata(&ini.path).unwrap();
    let ran = ini.add(&["sqlacct", "PASSWORD"], "s3cr\u{e9}t wörd\n").expect(0);
    assert_eq!(ran.stdout, "gk.ini: [SQLAcct] Password is encrypted\n");
    assert_eq!(ran.stderr, "");
    assert_eq!(ini.password(), "s3cr\u{e9}t wörd");
    assert_eq!(other_lines(&ini.text()), other_lines(INI));
    assert!(ini.text().contains("\n  password =\t"));
    let after = fs::metadata(&ini.path).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    assert_eq!(names(ini.place.path()), ["gk.ini"], "no other file is left");

    let first = ini.text();
    ini.add(&["SQLAcct", "Password"], "s3cr\u{e9}t wörd").expect(0);
    assert_ne!(ini.text(), first, "the same password looks different each time");
    assert_eq!(ini.password(), "s3cr\u{e9}t wörd");
}

#[test]
fn a_password_on_the_command_line_is_taken_with_a_warning_and_never_shown() {
    let ini = Ini::new(INI);
    let ran = ini.add(&["SQLAcct", "Password", "hunter2"], "").expect(0);
    assert!(
        ran.stderr
            .contains("warning: a password on the command line can be seen by other users"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("hunter2") && !ran.stdout.contains("hunter2") && !ini.text().contains("hunter2"));
    assert_eq!(ini.password(), "hunter2");
}

#[test]
fn owner_and_group_stay_although_root_writes() {
    let ini = Ini::new(INI);
    if std::os::unix::fs::chown(&ini.path, Some(65534), Some(65533)).is_err() {
        // Only root can give files away; then there is nothing to keep.
        return;
    }
    ini.add(&["SQLAcct", "Password"], "x").expect(0);
    let after = fs::metadata(&ini.path).unwrap();
    assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (65534, 65533, 0o640));
}

#[test]
fn behind_a_symbolic_link_the_file_is_replaced_and_the_link_stays() {
    let ini = Ini::new(INI);
    let other = ini.place.path().join("elsewhere");
    fs::create_dir(&other).unwrap();
    fs::rename(&ini.path, other.join("real.ini")).unwrap();
    symlink("elsewhere/real.ini", &ini.path).unwrap();
    ini.add(&["SQLAcct", "Password"], "x").expect(0);
    assert_eq!(fs::read_link(&ini.path).unwrap(), Path::new("elsewhere/real.ini"));
    assert_eq!(ini.password(), "x");
}

#[test]
fn key_and_section_are_added_where_they_are_missing() {
    let ini = Ini::new(&INI.replace("  password =\told\n", ""));
    ini.add(&["SQLAcct", "Password"], "x").expect(0);
    assert_eq!(ini.password(), "x");
    assert!(
        ini.text().contains("StopQuery=UPDATE \u{20AC}\nPassword="),
        "{}",
        ini.text()
    );
    ini.add(&["RadAcct", "SharedSecret"], "y").expect(0);
    assert!(
        ini.text().contains("\n[Other]\nx=y\n\n[RadAcct]\nSharedSecret="),
        "{}",
        ini.text()
    );
    let warned = ini.add(&["SQLAuth", "Password"], "z").expect(0);
    assert!(
        warned
            .stderr
            .contains("[SQLAuth] Password is nothing that billdrop reads"),
        "{warned:?}"
    );
}

#[test]
fn what_cannot_be_done_is_refused_and_the_file_stays_as_it_is() {
    let clear = INI.replace("EncryptAllPasswords=1", "EncryptAllPasswords=0");
    let twice = INI.replace("[Other]", "[SQLAcct]\nPassword=again\n[Other]");
    let long = "x".repeat(1025);
    for (text, arguments, input, status, says) in [
        (
            &*clear,
            &["SQLAcct", "Password"][..],
            "x",
            78,
            "passwords of [SQLAcct] stand there in clear",
        ),
        (
            &clear,
            &["SQLAcct", "Password"],
            "x",
            78,
            "EncryptAllPasswords=1 into [Gatekeeper::Main]",
        ),
        (
            &twice,
            &["SQLAcct", "Password"],
            "x",
            78,
            "password stands in lines 10, 14",
        ),
        (
            INI,
            &["SQLAcct", "Username"],
            "x",
            64,
            "[SQLAcct] Username is not a password",
        ),
        (
            INI,
            &["gkstatus::auth", "joe"],
            "x",
            64,
            "Use the addpasswd that comes with the gatekeeper.",
        ),
        (INI, &["Sec]", "Password"], "x", 78, "cannot be the name of a section"),
        (INI, &["Sec", "a=b"], "x", 78, "cannot be the name of a key"),
        (INI, &["SQLAcct", "Password"], "", 65, "the password is empty"),
        (INI, &["SQLAcct", "Password"], "\n", 65, "the password is empty"),
        (INI, &["SQLAcct", "Password"], "hunter2\nmore\n", 65, "a second line"),
        (INI, &["SQLAcct", "Password"], &long, 65, "longer than 1024 octets"),
        (INI, &["SQLAcct"], "", 64, "<KEY>"),
    ] {
        let ini = Ini::new(text);
        let ran = ini.add(arguments, input).expect(status);
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
        assert!(!ran.stderr.contains("hunter2"));
        assert_eq!(ini.text(), text);
        assert_eq!(names(ini.place.path()), ["gk.ini"]);
    }
    let place = Place::new();
    let missing = ran(&mut place.command(&["addpasswd", "gk.ini", "SQLAcct", "Password", "x"]));
    assert!(missing.expect(74).stderr.contains("cannot read gk.ini"));
}

/// The command at a terminal that `script` makes; what is written to its standard input is typed there.
fn at_a_terminal(ini: &Ini, typed: &[(&str, &str)]) -> (i32, String) {
    let screen = ini.place.path().join("screen");
    let command = format!(
        "{BILLDROP} addpasswd gk.ini SQLAcct Password; code=$?; stty -a | grep -o -- '-*\\<echo\\>'; exit $code"
    );
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--flush", "--command", &command])
        .arg(&screen)
        .current_dir(ini.place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut peer = Peer::spawn(&mut script, "bsdutils");
    let mut keyboard = peer.0.stdin.take().unwrap();
    let seen = || String::from_utf8_lossy(&fs::read(&screen).unwrap_or_default()).into_owned();
    for (prompt, keys) in typed {
        wait_until(prompt, std::time::Duration::from_secs(20), || seen().contains(prompt));
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
    let status = peer.0.wait().unwrap().code().unwrap();
    (status, seen())
}

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    let ini = Ini::new(INI);
    let (status, screen) = at_a_terminal(&ini, &[("Password: ", "hunter2\n"), ("Again: ", "hunter2\n")]);
    assert_eq!(status, 0, "{screen}");
    assert_eq!(ini.password(), "hunter2");
    assert!(!screen.contains("hunter2"), "{screen}");
    assert!(
        screen.contains("\necho") || screen.contains("\recho"),
        "the terminal shows again what is typed: {screen}"
    );
}

#[test]
fn two_different_passwords_and_an_interrupt_change_nothing() {
    for (typed, says) in [
        (
            &[("Password: ", "hunter2\n"), ("Again: ", "hunter3\n")][..],
            "the two passwords differ",
        ),
        (&[("Password: ", "hunt\x03")], "interrupted; nothing was changed"),
    ] {
        let ini = Ini::new(INI);
        let (status, screen) = at_a_terminal(&ini, typed);
        assert_ne!(status, 0, "{screen}");
        assert!(screen.contains(says) && !screen.contains("hunt"), "{screen}");
        assert!(
            !screen.contains("-echo"),
            "the terminal shows again what is typed: {screen}"
        );
        assert_eq!(ini.text(), INI);
    }
}
