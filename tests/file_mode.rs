//! File mode: one document at a time, until it is fetched and deleted.

mod support;

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use billdrop::spool::DocumentName;
use support::{
    binary::{Place, Ran, names, ran},
    poll, say,
};

#[test]
fn a_capture_offers_this_hosts_interfaces_and_prints_the_path_alone() {
    let place = Place::new();
    let ran = place.run(&["capture"]).expect(0);
    assert_eq!(ran.stderr, "", "cron hears nothing when all is well");
    let path = ran.stdout.strip_suffix('\n').unwrap();
    let name = path.strip_prefix("spool/").unwrap();
    let parsed = DocumentName::parse(name).expect("the name has the form of a CMTS's");
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(parsed.hostname, hostname.trim().split('.').next().unwrap());
    assert_eq!(parsed.extension, "xml");
    assert_eq!(place.listing(), [name]);

    let document = place.shown(&place.path().join(path));
    let mut captured: Vec<String> = document["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|record| Some(record["ifName"].as_str()?.to_owned()))
        .collect();
    captured.sort();
    assert_eq!(captured, names("/sys/class/net".as_ref()));
}

#[test]
fn nobody_else_may_read_a_document_before_its_number_is_given() {
    let place = Place::new();
    place.configure("[spool]\nmode = \"0640\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n");
    let log = place.path().join("calls");
    let trace = "trace=fchmod,fchmodat,chmod,pwrite64,renameat2,linkat";
    let strace = ["strace", "-f", "-y", "-qq", "-o", log.to_str().unwrap(), "-e", trace];
    place.run_under(&strace, &["capture"]).expect(0);
    let text = fs::read_to_string(log).unwrap();
    let calls: Vec<&str> = text.lines().collect();
    let of_partial = |what: &str| {
        let is_it = |call: &&str| call.contains(what) && call.contains(".partial");
        let found: Vec<usize> = (0..calls.len()).filter(|index| is_it(&calls[*index])).collect();
        found
    };
    let (permitted, renamed) = (of_partial("chmod("), of_partial("renameat2("));
    assert_eq!((permitted.len(), renamed.len()), (1, 1), "{text}");
    let sealed = calls
        .iter()
        .position(|call| call.contains("ledger.sqlite-wal"))
        .unwrap();
    let last = calls[..renamed[0]]
        .iter()
        .rposition(|call| call.contains("ledger.sqlite-wal"))
        .unwrap();
    assert!(sealed <= last && last < permitted[0], "{text}");
    assert!(permitted[0] < renamed[0], "{text}");
}

#[test]
fn a_second_capture_is_refused_until_the_first_file_is_gone() {
    let place = Place::new();
    let first = place.capture();
    let before = fs::read(&first).unwrap();

    let refused = place.run(&["capture"]).expect(75);
    assert_eq!(refused.stdout, "");
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    let name = first.file_name().unwrap().to_str().unwrap();
    for said in [name, "since 20", "delete it", "billdrop release"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    assert_eq!(place.listing(), [name]);
    assert_eq!(fs::read(&first).unwrap(), before);
    assert_eq!(
        place.run(&["-q", "capture"]).expect(75).stderr,
        "",
        "cron may want silence"
    );

    let status = place.status();
    assert_eq!(status["blocked"], true);
    assert_eq!(status["waiting"]["name"], name);
    assert_eq!(status["skipped_captures"], 2);

    fs::remove_file(&first).unwrap();
    let second = place.capture();
    assert_ne!(first, second);
    let information = place.information(&second);
    assert_eq!(information["sequenceNumber"], 2);
    assert_eq!(information["capturesSkipped"], 2);
    assert_eq!(information["previousDocId"], place_doc_id(&before));
    assert_eq!(information["coversFrom"], covers_to(&before));
    let status = place.status();
    assert_eq!(status["last"]["sequence"], 2);
    assert_eq!(status["retrieved_documents"], 1);
    assert_eq!(place.run(&["gaps"]).expect(0).stdout, "");
    let skipped = place.run(&["gaps", "--skipped"]).expect(0).stdout;
    assert_eq!(skipped.matches("capture-skipped").count(), 2, "{skipped}");
}

/// Taken with plain text tools: not with the program's own reader.
fn between<'a>(document: &'a [u8], before: &str, after: &str) -> &'a str {
    let text = std::str::from_utf8(document).unwrap();
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

fn place_doc_id(document: &[u8]) -> &str {
    between(document, "docId=\"", "\"")
}

fn covers_to(document: &[u8]) -> &str {
    between(document, "<coversTo>", "</coversTo>")
}

#[test]
fn twenty_captures_at_once_offer_one_file() {
    let place = Place::new();
    let running: Vec<_> = (0..20)
        .map(|_| {
            let mut command = place.command(&["capture"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ended: Vec<Ran> = running
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect();
    let count = |status| ended.iter().filter(|ran| ran.status == status).count();
    assert_eq!((count(0), count(75)), (1, 19), "{ended:#?}");
    assert_eq!(place.listing().len(), 1);
    assert_eq!(place.status()["last"]["sequence"], 1);
}

/// Two captures within one second were given the same name, because the fraction of the second counted as later.
#[test]
fn captures_within_one_second_have_rising_names() {
    let place = Place::new();
    let mut names = Vec::new();
    for _ in 0..3 {
        let path = place.capture();
        names.push(path.clone());
        fs::remove_file(path).unwrap();
    }
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}

#[test]
fn names_and_sequence_rise_when_the_clock_is_set_back_and_on_odd_days() {
    let place = Place::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for (clock, name, created) in [
        ("2024-02-29 23:59:59", "20240229-235959", "2024-02-29T23:59:59"),
        ("2024-02-29 22:59:59", "20240301-000000", "2024-02-29T22:59:59"),
        ("2036-02-07 06:28:16", "20360207-062816", "2036-02-07T06:28:16"),
        ("2038-01-19 03:14:08", "20380119-031408", "2038-01-19T03:14:08"),
        ("2026-01-01 00:00:00", "20380119-031409", "2026-01-01T00:00:00"),
    ] {
        // Stopped clock: what is asked for is what the program sees, however long it takes to start.
        let mut command = place.command_under(&["faketime", "-f", clock], &["capture"]);
        let ran = ran(command.env("TZ", "UTC")).expect(0);
        let document = place.path().join(ran.stdout.trim_end());
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
        let octets = fs::read(&document).unwrap();
        assert!(covers_to(&octets).starts_with(created), "inside stands the true clock");
        place.run(&["verify", document.to_str().unwrap()]).expect(0);
        seen.push((ran.stdout.clone(), place_doc_id(&octets).to_owned()));
        fs::remove_file(document).unwrap();
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0), "{seen:?}");
    let information = place.run(&["gaps"]).expect(0);
    assert_eq!(information.stdout, "", "a clock that goes back is no gap");
}

#[test]
fn a_waiting_capture_is_woken_by_the_deletion_itself() {
    let place = Place::new();
    let first = place.capture();
    let mut waiting = place
        .command(&["capture", "--wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = waiting.id();
    // It waits once it sleeps in poll(2) and has let the lock go.
    let asleep = poll(Duration::from_secs(10), || {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let poll_calls = ["7 ", "271 ", "73 "];
        poll_calls.iter().any(|number| call.starts_with(number)).then_some(())
    });
    assert!(asleep.is_some(), "the capture does not wait");
    let start = Instant::now();
    fs::remove_file(first).unwrap();
    let mut path = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut path).unwrap();
    let took = start.elapsed();
    assert!(waiting.wait().unwrap().success());
    assert_eq!(place.listing().len(), 1);
    // Not a measure of speed: a program that looks only now and then would need seconds.
    assert!(took < Duration::from_secs(5), "woken after {took:?}");
    say(&format!("woken, captured and offered {took:?} after the deletion"));
    let information = place.information(&place.path().join(path.trim_end()));
    assert_eq!(information["capturesSkipped"], 0, "waiting is not skipping");
}

#[test]
fn a_wait_with_a_limit_ends_as_blocked() {
    let place = Place::new();
    place.capture();
    let refused = place.run(&["capture", "--wait=50ms"]).expect(75);
    assert!(refused.stderr.contains("has not been retrieved"), "{}", refused.stderr);
    assert_eq!(place.status()["skipped_captures"], 1);
}

#[test]
fn dry_run_and_stdout_change_nothing() {
    let place = Place::new();
    let dry = place.run(&["capture", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("source linux:"), "{}", dry.stdout);
    let out = place.run(&["capture", "--stdout"]).expect(0);
    fs::write(place.path().join("out.xml"), &out.stdout).unwrap();
    let verified = place.run(&["verify", "out.xml"]).expect(0);
    assert!(
        verified.stdout.contains("-0000-0000-0000-"),
        "sequence number 0: {}",
        verified.stdout
    );
    assert_eq!(names(place.path()), ["out.xml"], "neither spool nor state were made");
}

#[test]
fn an_operator_releases_a_document_and_the_ledger_knows_who_when_and_why() {
    let place = Place::new();
    let first = place.capture();
    let released = place.run(&["release", "--reason", "collector is gone"]).expect(0);
    let aside = place.path().join(released.stdout.trim_end());
    assert_eq!(place.listing(), [] as [&str; 0]);
    assert_eq!(aside.file_name(), first.file_name());
    place.run(&["verify", aside.to_str().unwrap()]).expect(0);
    let gaps = place.run(&["gaps"]).expect(0).stdout;
    for said in ["released", "document 1", "collector is gone"] {
        assert!(gaps.contains(said), "{said}: {gaps}");
    }
    let second = place.capture();
    let information = place.information(&second);
    assert_eq!(information["sequenceNumber"], 2);
    assert!(information["remark"].as_str().unwrap().contains("collector is gone"));
    place.run(&["release"]).expect(0);
    place.run(&["release"]).expect(69);
}

#[test]
fn modes_and_group_are_those_of_the_configuration_whatever_the_umask() {
    let place = Place::new();
    place.configure("[spool]\nmode = \"0664\"\ndirectory-mode = \"2775\"\n");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "umask 077; exec \"$0\" \"$@\"", support::binary::BILLDROP])
        .args(["--config", "billdrop.toml", "--spool", "spool", "capture"])
        .current_dir(place.path());
    let ran = ran(&mut command).expect(0);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.path().join(ran.stdout.trim_end())), 0o664);
    assert_eq!(mode(&place.spool()), 0o2775);
    assert_eq!(mode(&place.state()), 0o700);
}

#[test]
fn foreign_files_are_reported_and_do_not_block() {
    let place = Place::new();
    fs::create_dir(place.spool()).unwrap();
    fs::write(place.spool().join("README"), "notes").unwrap();
    fs::write(place.spool().join("other-20200101-000000.xml"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.spool().join("x-20200101-000000.xml")).unwrap();
    let ran = place.run(&["capture"]).expect(0);
    for said in ["README", "other-20200101-000000.xml", "x-20200101-000000.xml"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let foreign = place.status()["foreign_files"].as_array().unwrap().len();
    assert_eq!(foreign, 3);
    assert_eq!(place.listing().len(), 4);
}

#[test]
fn a_document_that_comes_back_blocks_again() {
    let place = Place::new();
    let first = place.capture();
    let kept = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    let second = place.capture();
    fs::remove_file(second).unwrap();
    fs::write(&first, kept).unwrap();
    let refused = place.run(&["capture"]).expect(75);
    assert!(refused.stderr.contains("has come back"), "{}", refused.stderr);
    fs::remove_file(&first).unwrap();
    assert_eq!(place.information(&place.capture())["sequenceNumber"], 3);
}

/// When nobody read standard error any more, the log library panicked, and the capture died of its own message.
#[test]
fn a_closed_standard_error_stops_no_capture() {
    let place = Place::new();
    let mut command = place.command(&["-vv", "capture"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran: Ran = command
        .stderr(writer)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
        .into();
    ran.expect(0);
    assert_eq!(place.listing().len(), 1);
}

/// Root was refused the status of a service user's spool, as if that user were a stranger.
#[test]
fn root_may_look_at_what_a_service_user_captures_but_changes_nothing() {
    if !rustix::process::geteuid().is_root() {
        return say("not run: only root can be two users");
    }
    const NOBODY: &str = "--reuid=65534";
    let place = Place::new();
    std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    // The build directory may be out of that user's reach.
    let binary = place.path().join("billdrop");
    fs::copy(support::binary::BILLDROP, &binary).unwrap();
    let as_service = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args([NOBODY, "--regid=65534", "--clear-groups"]).arg(&binary);
        ran(command
            .args(["--spool", "spool"])
            .args(arguments)
            .current_dir(place.path()))
    };
    let offered = as_service(&["capture"]).expect(0);
    assert_eq!(place.status()["blocked"], true);
    place.run(&["show"]).expect(0);
    place.run(&["verify", offered.stdout.trim_end()]).expect(0);
    let refused = place.run(&["capture"]).expect(77);
    assert!(
        refused.stderr.contains("Run billdrop as that user"),
        "{}",
        refused.stderr
    );
    place.run(&["release"]).expect(77);
    as_service(&["capture"]).expect(75);
    fs::remove_file(place.path().join(offered.stdout.trim_end())).unwrap();
    as_service(&["capture"]).expect(0);
}

/// With standard output full, the managers heard of the document only with the next run.
#[test]
fn a_full_standard_output_does_not_undo_the_offer() {
    let place = Place::new();
    let manager = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = manager.local_addr().unwrap();
    place.configure(&format!("[[notify]]\naddress = \"{address}\"\ncommunity = \"c\"\n"));
    let full = fs::File::create("/dev/full").unwrap();
    let mut command = place.command(&["capture"]);
    let ran: Ran = command
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap()
        .into();
    let ran = ran.expect(74);
    assert!(ran.stderr.contains("offered all the same"), "{}", ran.stderr);
    let mut datagram = [0; 2048];
    let length = manager.recv(&mut datagram).expect("the trap is sent");
    let name = &place.listing()[0];
    assert!(String::from_utf8_lossy(&datagram[..length]).contains(name.as_str()));
}

#[test]
fn nobody_fetches_is_said_once_even_with_q() {
    let place = Place::new();
    place.configure("[spool]\nalarm-after = \"0s\"\n");
    place.capture();
    let first = place.run(&["-q", "capture"]).expect(75);
    assert!(first.stderr.contains("nobody fetches"), "{}", first.stderr);
    assert_eq!(place.run(&["-q", "capture"]).expect(75).stderr, "");
    assert_eq!(place.status()["late"], true);
}

#[test]
fn watching_ends_with_its_reader() {
    let place = Place::new();
    place.capture();
    let mut command = place.command(&["status", "--watch"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut watching = command.stdout(writer).spawn().unwrap();
    let ended = poll(Duration::from_secs(20), || watching.try_wait().unwrap());
    assert!(ended.is_some_and(|status| status.success()));
}
