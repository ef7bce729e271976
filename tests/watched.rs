//! What somebody at a terminal sees, what cron must not see, and the log of errors.

mod support;

use std::{
    fs::{self, File},
    io::Read,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use support::binary::{BILLDROP, Place, names};
use support::sshd::{self, Sshd};
use support::{Peer, wait_until};

const TWO_SOURCES: &str = "[[source]]\ntype = \"linux\"\nname = \"lo\"\ninclude = [\"lo\"]\n\
                           [[source]]\ntype = \"linux\"\nname = \"all\"\n";
const ONE_FAILS: &str = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n\
                         [[source]]\ntype = \"linux\"\nname = \"gone\"\nnetwork-namespace = \"/nonexistent\"\n";

/// The command in a terminal of its own, 100 columns wide, with everything that appears on it.
fn in_a_terminal(place: &Place, arguments: &str) -> Terminal {
    let command = format!("stty cols 100 rows 24; exec {BILLDROP} --config billdrop.toml --spool spool {arguments}");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(place.path())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut peer = Peer::spawn(&mut script, "bsdutils");
    let mut output = peer.0.stdout.take().unwrap();
    let screen = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&screen);
    let reader = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(octets @ 1..) = output.read(&mut piece) {
            seen.lock().unwrap().extend_from_slice(&piece[..octets]);
        }
    });
    Terminal { peer, screen, reader }
}

struct Terminal {
    peer: Peer,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Exit status and everything that was shown.
    fn end(mut self) -> (i32, String) {
        let status = self.peer.0.wait().unwrap().code().unwrap();
        self.reader.join().unwrap();
        let screen = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        (status, screen)
    }
}

#[test]
fn without_a_terminal_a_capture_is_silent_and_makes_no_logs() {
    let place = Place::new();
    place.configure(TWO_SOURCES);
    let ran = place.run(&["capture"]).expect(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    assert_eq!(names(place.path()), ["billdrop.toml", "spool", "spool.state"]);
    // A document that waits is nothing wrong.
    place.run(&["capture"]).expect(75);
    assert_eq!(names(place.path()), ["billdrop.toml", "spool", "spool.state"]);
    let ran = place.run(&["-v", "capture", "--stdout"]).expect(0);
    assert!(
        ran.stderr
            .contains("billdrop: info: 2 sources asked, 2 answered, 0 failed, "),
        "{ran:?}"
    );
}

#[test]
fn a_terminal_shows_a_bar_and_then_what_the_capture_came_to() {
    let place = Place::new();
    place.configure(TWO_SOURCES);
    let (status, screen) = in_a_terminal(&place, "capture").end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("/2,") && screen.contains(" records"), "{screen:?}");
    let last = screen
        .rfind("billdrop: 2 sources asked, 2 answered, 0 failed, ")
        .unwrap();
    assert!(!screen[last..].contains("/2,"), "the bar is taken away: {screen:?}");
    assert!(screen[last..].contains(" s\r\nspool/"), "{screen:?}");
}

#[test]
fn quiet_is_quiet_on_a_terminal_too() {
    let place = Place::new();
    place.configure(TWO_SOURCES);
    let (status, screen) = in_a_terminal(&place, "--quiet capture").end();
    assert_eq!(status, 0, "{screen}");
    assert!(
        screen.starts_with("spool/") && screen.lines().count() == 1,
        "{screen:?}"
    );
}

#[test]
fn one_quick_source_is_nothing_to_talk_about() {
    let place = Place::new();
    place.configure("");
    let (status, screen) = in_a_terminal(&place, "capture").end();
    assert_eq!(status, 0, "{screen}");
    assert!(
        screen.starts_with("spool/") && screen.lines().count() == 1,
        "{screen:?}"
    );
}

#[test]
fn an_error_does_not_tear_the_bar() {
    let place = Place::new();
    place.configure(ONE_FAILS);
    let (status, screen) = in_a_terminal(&place, "capture").end();
    assert_eq!(status, 69, "{screen}");
    let error = screen.find("billdrop: source gone failed: ").unwrap();
    let before = screen[..error]
        .trim_end_matches("\u{1b}[2K")
        .trim_end_matches("\u{1b}[1A");
    assert!(before.is_empty() || before.ends_with(['\r', '\n']), "{screen:?}");
    assert!(
        screen.contains("billdrop: 2 sources asked, 1 answered, 1 failed, "),
        "{screen:?}"
    );
}

#[test]
fn a_single_source_that_takes_long_has_a_bar_too() {
    let place = Place::new();
    // Whoever opens it waits for somebody at the other end.
    let pipe = place.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    place.configure(&format!("[[source]]\ntype = \"linux\"\nnetwork-namespace = {pipe:?}\n"));
    let terminal = in_a_terminal(&place, "capture");
    wait_until("a bar", Duration::from_secs(20), || {
        terminal.screen().contains("sources 0/1,")
    });
    drop(File::options().write(true).open(&pipe).unwrap());
    let (status, screen) = terminal.end();
    assert_eq!(status, 69, "{screen}");
    assert!(
        screen.contains("billdrop: 1 source asked, 0 answered, 1 failed, 0 records in "),
        "{screen:?}"
    );
}

#[test]
fn what_goes_wrong_in_a_capture_is_in_the_log_of_errors() {
    let place = Place::new();
    place.configure(ONE_FAILS);
    // Also when standard error is to have less of it.
    let ran = place.run(&["-q", "capture"]).expect(69);
    assert_eq!(names(&place.path().join("logs")), ["error.log"], "no device was asked");
    let log = fs::read_to_string(place.path().join("logs/error.log")).unwrap();
    let said = ran.stderr.strip_prefix("billdrop: ").unwrap().trim_end();
    let (time, rest) = log.split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{log}");
    assert_eq!(rest, format!("ERROR message=\"{said}\"\n"));

    // A failure that ends the capture, too.
    place.configure("[[source]]\ntype = \"linux\"\nnetwork-namespace = \"/nonexistent\"\n");
    fs::remove_dir_all(place.spool()).unwrap();
    fs::remove_dir_all(place.state()).unwrap();
    place.run(&["capture"]).expect(69);
    let log = fs::read_to_string(place.path().join("logs/error.log")).unwrap();
    assert!(
        log.ends_with(" ERROR message=\"no source gave any usage: no document was offered\"\n"),
        "{log}"
    );
}

#[test]
fn nobody_writes_logs_but_who_holds_the_lock() {
    let place = Place::new();
    place.configure(ONE_FAILS);
    for arguments in [&["check"][..], &["capture", "--stdout"], &["capture", "--dry-run"]] {
        place.run(arguments).expect(69);
    }
    assert!(!place.path().join("logs").exists());
    place.run(&["capture"]).expect(69);
    fs::remove_dir_all(place.path().join("logs")).unwrap();
    fs::remove_dir_all(place.spool()).unwrap();
    let lock = File::options().write(true).open(place.state().join("lock")).unwrap();
    lock.lock().unwrap();
    place.run(&["capture"]).expect(75);
    assert!(!place.path().join("logs").exists());
}

#[test]
fn a_log_that_cannot_be_written_is_one_warning() {
    let place = Place::new();
    place.configure(ONE_FAILS);
    fs::write(place.path().join("logs"), "a file").unwrap();
    let ran = place.run(&["capture"]).expect(69);
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{ran:?}");
    assert!(
        warnings[0].starts_with("billdrop: warning: cannot write the log ./logs/error.log: ")
            || warnings[0].starts_with("billdrop: warning: cannot write the log logs/error.log: "),
        "{warnings:?}"
    );
    assert_eq!(place.listing().len(), 1, "the document is offered all the same");
}

#[test]
fn a_capture_of_many_sources_out_of_more_names_a_few() {
    let place = Place::new();
    let sources: Vec<String> = (1..=100)
        .map(|number| format!("[[source]]\ntype = \"linux\"\nname = \"s{number}\"\ninclude = [\"lo\"]\n"))
        .collect();
    place.configure(&sources.concat());
    let names: Vec<String> = (1..=99).map(|number| format!("--source=s{number}")).collect();
    let mut arguments = vec!["capture"];
    arguments.extend(names.iter().map(String::as_str));
    let ran = place.run(&arguments).expect(0);
    let document = place.path().join(ran.stdout.trim_end());
    assert_eq!(
        place.information(&document)["remark"],
        "of the configured sources only s1, s2, s3, s4, s5 and 94 more were asked"
    );
}

#[test]
fn a_transfer_that_takes_long_is_shown_on_a_terminal_and_only_there() {
    let place = Place::new();
    let sshd = Sshd::start(&place.path().join("ssh"));
    let inbox = place.path().canonicalize().unwrap().join("inbox");
    fs::create_dir(&inbox).unwrap();
    // Twenty times the same interface makes enough octets to take longer than two seconds.
    let sources: String = (0..20)
        .map(|n| format!("[[source]]\ntype = \"linux\"\nname = \"lo{n}\"\ninclude = [\"lo\"]\n"))
        .collect();
    place.configure(&format!(
        "{sources}[[push]]\nname = \"billing\"\nurl = \"sftp://{}@127.0.0.1:{}{}/\"\nidentity = {:?}\n\
         known-hosts = {:?}\nrate-limit = \"4KiB\"\n",
        sshd::account(),
        sshd.port,
        inbox.display(),
        sshd.identity(),
        sshd.known_hosts()
    ));
    let (status, screen) = in_a_terminal(&place, "capture").end();
    assert_eq!(status, 0, "{screen}");
    let name = place.listing().pop().unwrap();
    assert!(screen.contains(&format!("billing: {name} ")), "{screen:?}");
    fs::remove_file(place.spool().join(name)).unwrap();
    let ran = place.run(&["capture"]).expect(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(names(&inbox).len(), 2, "the test file was taken away again");
}
