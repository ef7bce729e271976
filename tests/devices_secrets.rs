//! No secret of a device gets out: not into a file, not into a message at any level, not into a core, not onto a command
//! line. What is looked for stands in every input, and devices repeat it in what they answer.

mod support;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};

use support::{
    Peer,
    binary::{BILLDROP, Place, Ran},
    captured::{Shown, document, documents, list, private},
    say,
    simulators::Simulators,
    wait_until,
};

/// Of all devices. It needs quoting in CSV, in XML, in a URL and in messages.
const PASSWORD: &str = "Kanarie-1\"<&%\\ pw";
/// Secret and passcode of all spaces.
const SPACE: &str = "Kanarie-2-der-Raeume";
const VARIABLE: &str = "BILLDROP_TEST_PASSWORD";

struct Planted {
    simulators: Simulators,
    place: Place,
}

/// One device for each way in which a password can be given. All repeat what they are told in a fault.
fn plant() -> Planted {
    let simulators = Simulators::start_with(
        &["--password", PASSWORD, "--canary", SPACE],
        &[
            "cucm:echo-password,from=2",
            "cucm:echo-password",
            "cucm",
            "cms:echo-password,from=3",
            "cms:spaces=5",
            "cms",
        ],
    );
    let place = Place::new();
    let inputs = place.path().join("inputs");
    fs::create_dir(&inputs).unwrap();
    private(&inputs.join("password"), &format!("{PASSWORD}\n"));
    let literal = format!("\"{}\"", PASSWORD.replace('"', "\"\""));
    let ca = simulators.ca();
    let mut list =
        String::from("contract,target,local_or_remote,ip_address,axlusr,axlpwd,axlpwd_from,serv_cnt,port,tls_ca\n");
    for (name, password) in [
        ("CUCM1", format!("{literal},")),
        ("CUCM2", ",file:inputs/password".to_owned()),
        ("CUCM3", format!(",env:{VARIABLE}")),
        ("CMS1", format!(",env:{VARIABLE}")),
        ("CMS2", format!("{literal},")),
    ] {
        let kind = &name[..name.len() - 1];
        let port = simulators.port(name);
        list.push_str(&format!(
            "22222222,{kind},local,127.0.0.1,billing,{password},{name},{port},{}\n",
            ca.display()
        ));
    }
    private(&place.path().join("billing_config.csv"), &list);
    place.configure(&format!(
        "[cms]\ndetails = true\n[cucm]\naxl-version = \"14.0\"\nlicensed-users = true\n[capture]\nretries = 0\n\
         [[source]]\ntype = \"cms\"\nname = \"CMS3\"\ncontract = \"1\"\nlocal-or-remote = \"remote\"\n\
         address = \"127.0.0.1\"\nport = {}\nuser = \"billing\"\npassword = {PASSWORD:?}\ntls-ca = {ca:?}\n",
        simulators.port("CMS3")
    ));
    Planted { simulators, place }
}

fn run(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    Ran::from(command.env(VARIABLE, PASSWORD).output().unwrap())
}

/// Everything that tells the password or the secret of a space.
fn needles() -> Vec<String> {
    let quoted = format!("{PASSWORD:?}");
    let basic = BASE64_STANDARD.encode(format!("billing:{PASSWORD}"));
    let mut needles = vec![
        PASSWORD.to_owned(),
        quoted.trim_matches('"').to_owned(),
        // Whatever becomes of the rest.
        "Kanarie-1".to_owned(),
        BASE64_STANDARD.encode(PASSWORD),
        basic[..basic.len() - 4].to_owned(),
        SPACE.to_owned(),
    ];
    needles.push(PASSWORD.replace('&', "&amp;").replace('<', "&lt;"));
    needles
}

#[track_caller]
fn holds_no_secret(what: &str, octets: &[u8]) {
    for needle in needles() {
        let found = octets.windows(needle.len()).position(|part| part == needle.as_bytes());
        if let Some(at) = found {
            let around =
                String::from_utf8_lossy(&octets[at.saturating_sub(200)..(at + 60).min(octets.len())]).into_owned();
            panic!("{what} has {needle:?}: {around}");
        }
    }
    // The session's cookie is made by the simulator: whatever follows its name is one.
    let text = String::from_utf8_lossy(octets);
    for (at, name) in text.match_indices("JSESSIONIDSSO=") {
        assert!(
            text[at + name.len()..].starts_with("***"),
            "{what} has a cookie: {}",
            &text[at..]
        );
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn no_secret_is_in_any_file_or_message_at_the_most_verbose_level() {
    for format in ["text", "json"] {
        let planted = plant();
        let said = |arguments: &[&str]| said_without_a_secret(&planted.place, format, arguments);
        let captured = said(&["capture"]);
        // Else nothing was looked for: the devices did repeat what they were sent.
        for echo in [
            "with password ***",
            "Cookie: JSESSIONIDSSO=***",
            "Authorization: Basic ***",
        ] {
            assert!(captured.contains(echo), "{echo}: {captured}");
        }
        let shown = Shown::of(&planted.place, &document(&planted.place));
        assert_eq!(shown.records("ConferenceSpace-Type", Some("CMS2")).count(), 5);
        assert_eq!(shown.status("CMS3").state, "complete");
        for arguments in [
            &["capture", "--stdout"][..],
            &["capture", "--dry-run"],
            &["check"],
            &["status"],
            &["gaps"],
        ] {
            said(arguments);
        }
        devices_had_something_to_tell(&planted.simulators);
        no_file_has_a_secret(planted.place.path());
    }
}

fn said_without_a_secret(place: &Place, format: &str, arguments: &[&str]) -> String {
    let ran = run(place, &[&["-vv", "--log-format", format], arguments].concat());
    assert!([0, 69].contains(&ran.status), "{arguments:?}: {ran:?}");
    let what = arguments.join(" ");
    holds_no_secret(&format!("standard output of {what}"), ran.stdout.as_bytes());
    holds_no_secret(&format!("standard error of {what}"), ran.stderr.as_bytes());
    ran.stderr
}

fn devices_had_something_to_tell(simulators: &Simulators) {
    let requests = simulators.requests("CUCM3");
    assert!(requests.iter().any(|request| request["cookie"] == true));
    let requests = simulators.requests("CMS2");
    let details = requests
        .iter()
        .filter(|request| request["path"].as_str().unwrap().starts_with("/api/v1/coSpaces/"));
    assert!(details.count() >= 5, "secrets and passcodes stand in the details only");
}

fn no_file_has_a_secret(directory: &Path) {
    let inputs = ["billing_config.csv", "billdrop.toml", "inputs/password"].map(|name| directory.join(name));
    let files: Vec<PathBuf> = files_below(directory)
        .into_iter()
        .filter(|file| !inputs.contains(file))
        .collect();
    for file in &files {
        holds_no_secret(&file.display().to_string(), &fs::read(file).unwrap());
    }
    for name in ["logs/error.log", "logs/data.log", "spool.state/ledger.sqlite"] {
        assert!(files.contains(&directory.join(name)), "{name} is not in {files:?}");
    }
}

/// No authentication of a proxy is possible, and the refusal does not show it.
#[test]
fn a_password_in_the_url_of_a_proxy_is_refused_and_not_shown() {
    let place = Place::new();
    private(
        &place.path().join("billing_config.csv"),
        &format!(
            "contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt,proxy\n\
             1,CUCM,local,127.0.0.1,billing,x{SPACE},CUCM1,http://user:{SPACE}@127.0.0.1:3128\n"
        ),
    );
    for verbose in ["-q", "-vv"] {
        let ran = place.run(&[verbose, "capture"]).expect(78);
        holds_no_secret("the refusal", format!("{}{}", ran.stdout, ran.stderr).as_bytes());
        assert!(ran.stderr.contains("proxy"), "{}", ran.stderr);
    }
}

/// Waits until billdrop has sent a request, with a password, to a device that never answers.
fn hanging(place: &Place, simulators: &Simulators, under: &str) -> Peer {
    let script = format!("{under}; exec \"$@\"");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &script,
            "sh",
            BILLDROP,
            "--config",
            "billdrop.toml",
            "--spool",
            "spool",
            "capture",
        ])
        .current_dir(place.path())
        .env(VARIABLE, PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let before = simulators.requests("CUCM1").len();
    let peer = Peer::spawn(&mut command, "dash");
    wait_until("a request", Duration::from_secs(20), || {
        simulators.requests("CUCM1").len() > before
    });
    peer
}

fn place_that_hangs() -> Planted {
    let simulators = Simulators::start_with(&["--password", PASSWORD], &["cucm:hang"]);
    let place = Place::new();
    place.configure(&format!(
        "[capture]\ntimeout = \"1m\"\n[[source]]\ntype = \"cucm\"\nname = \"CUCM1\"\ncontract = \"1\"\n\
         local-or-remote = \"remote\"\naddress = \"127.0.0.1\"\nport = {}\nuser = \"billing\"\n\
         password = {{ env = \"{VARIABLE}\" }}\ntls-ca = {:?}\n",
        simulators.port("CUCM1"),
        simulators.ca()
    ));
    Planted { simulators, place }
}

/// A process that aborts leaves a core here; this one does not.
#[test]
fn a_core_is_not_written() {
    let Planted { simulators, place } = place_that_hangs();
    let control = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -ABRT $$"])
        .current_dir(tempfile::tempdir().unwrap().path())
        .status()
        .unwrap();
    assert_eq!(control.signal(), Some(6));
    if !control.core_dumped() {
        say(
            "cores are not written on this machine (ulimit -c, kernel.core_pattern): only the absence of one is checked",
        );
    }
    let mut peer = hanging(&place, &simulators, "ulimit -c unlimited");
    let pid = rustix::process::Pid::from_child(&peer.0);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = peer.0.wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status:?}");
    assert!(!status.core_dumped(), "a core was written");
    for file in files_below(place.path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.starts_with("core"), "{name}");
    }
}

/// Nor what the kernel shows of it to others: it has what the caller put there, and not more.
#[test]
fn nothing_is_added_to_the_command_line_or_the_environment() {
    let Planted { simulators, place } = place_that_hangs();
    let peer = hanging(&place, &simulators, ":");
    let shown = |name: &str| fs::read(format!("/proc/{}/{name}", peer.0.id())).unwrap();
    holds_no_secret("the command line", &shown("cmdline"));
    let environment = shown("environ");
    let holding: Vec<_> = environment
        .split(|octet| *octet == 0)
        .filter(|pair| String::from_utf8_lossy(pair).contains("Kanarie"))
        .collect();
    assert_eq!(holding, [format!("{VARIABLE}={PASSWORD}").as_bytes()]);
    for task in fs::read_dir(format!("/proc/{}/task", peer.0.id())).unwrap() {
        let comm = fs::read(task.unwrap().path().join("comm")).unwrap();
        holds_no_secret("the name of a thread", &comm);
    }
    assert_eq!(documents(&place), Vec::<PathBuf>::new());
}

/// Where a word of ours gives way to `***`, everybody can tell which word the password is.
#[test]
fn a_password_that_is_an_ordinary_word_is_not_told_by_its_gap() {
    let simulators = Simulators::start(&["cucm", "cms", "cucm:fail=403", "cms:fail=403"]);
    let names = simulators.names();
    let ca = simulators.ca().display().to_string();
    let place = Place::new();
    for password in ["password", "wrong", "account"] {
        let rows: Vec<_> = names.iter().map(|name| (*name, ca.as_str())).collect();
        let mut text = list(&simulators, "tls_ca", &rows);
        for name in &names {
            text = text.replace(&simulators.password(name), password);
        }
        private(&place.path().join("billing_config.csv"), &text);
        let ran = place.run(&["check"]).expect(69);
        for status in ["401", "403"] {
            assert_eq!(ran.stdout.matches(&format!("(HTTP {status})")).count(), 2, "{ran:?}");
        }
        assert!(!ran.stdout.contains("***"), "{ran:?}");
        assert_eq!(
            ran.stderr, "billdrop: 4 of 12 things are wrong; see above\n",
            "each reason is told once, in the table"
        );
    }
}
