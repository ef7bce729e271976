//! The configuration of devices, in `billdrop.toml` and in the list: what is refused, with which words, and what is read.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use billdrop::{
    command::requirements::problems,
    config::{self, COLUMNS, Device, Loaded, Secret, Source, Span, parse_devices},
    exit::Exit,
};
use support::binary::{Place, names, ran};

const HEADER: &str = "contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt";
const ROW: &str = "22222222,CUCM,local,192.0.2.10,billing,c4n4ry,CUCM1";

/// What every CUCM in `billdrop.toml` has.
const CUCM: &str = "[[source]]\ntype = \"cucm\"\ncontract = \"2\"\nlocal-or-remote = \"local\"\naddress = \"192.0.2.1\"\n\
                    user = \"u\"\npassword = \"c4n4ry\"\n";

fn list(place: &Place, rows: &str) -> PathBuf {
    let file = place.path().join("billing_config.csv");
    fs::write(&file, format!("{HEADER}\n{rows}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn a_key_that_cannot_be_right_is_refused_with_its_line() {
    let place = Place::new();
    let cucm = |key: &str| format!("{CUCM}{key}\n");
    for (toml, said) in [
        (
            "[capture]\ntimeout = \"0s\"\n".to_owned(),
            "billdrop.toml:2: capture.timeout: must be 1s to 1day",
        ),
        (
            "[capture]\ntimeout = \"2days\"\n".to_owned(),
            "billdrop.toml:2: capture.timeout: must be 1s to 1day",
        ),
        (
            "[capture]\nconcurrency = 0\n".to_owned(),
            "billdrop.toml:2: capture.concurrency: must be 1 to 1024",
        ),
        (
            "[capture]\nconcurrency = 1025\n".to_owned(),
            "billdrop.toml:2: capture.concurrency: must be 1 to 1024",
        ),
        (
            "[capture]\nretries = 11\n".to_owned(),
            "billdrop.toml:2: capture.retries: must be 0 to 10",
        ),
        (
            "[capture]\nretry-wait = \"11m\"\n".to_owned(),
            "billdrop.toml:2: capture.retry-wait: must be 0s to 10min",
        ),
        (
            "[capture]\ndevices = \"\"\n".to_owned(),
            "billdrop.toml:2: capture.devices: must be the path of a file",
        ),
        (
            "[cucm]\naxl-version = \"14\"\n".to_owned(),
            "billdrop.toml:2: cucm.axl-version: must be two numbers",
        ),
        (
            "[cucm]\nlicense-query = \" \"\n".to_owned(),
            "billdrop.toml:2: cucm.license-query: must be one SQL query",
        ),
        (
            "[cucm]\nmodel-query = \"\"\n".to_owned(),
            "billdrop.toml:2: cucm.model-query: must be one SQL query",
        ),
        (
            "[cucm]\ndevice-classes = [\"Phone\", \"Phone\"]\n".to_owned(),
            "billdrop.toml:2: cucm.device-classes: must be texts of 1 to 64 octets, none of them twice",
        ),
        (
            "[cms]\npage-size = 1001\n".to_owned(),
            "billdrop.toml:2: cms.page-size: must be 1 to 1000",
        ),
        (
            "[cms]\nlicense-history = \"each\"\n".to_owned(),
            "expected one of `own`, `all`, `off`",
        ),
        (
            "[log]\nsize = \"63KiB\"\n".to_owned(),
            "billdrop.toml:2: log.size: must be 64.0 KiB or more",
        ),
        (
            "[log]\nkeep = 0\n".to_owned(),
            "billdrop.toml:2: log.keep: must be 1 to 1000",
        ),
        (
            "[log]\ndirectory = \"spool/logs\"\n".to_owned(),
            "billdrop.toml:2: log.directory: spool/logs lies inside",
        ),
        (
            cucm("network-namespace = \"x\""),
            "billdrop.toml:8: source[0].network-namespace: is for sources of type linux",
        ),
        (
            "[[source]]\ntype = \"linux\"\nport = 1\n".to_owned(),
            "billdrop.toml:3: source[0].port: is for sources of type cucm, cms and cmts",
        ),
        (
            cucm("port = 0"),
            "billdrop.toml:8: source[0].port: must be a port, 1 to 65535",
        ),
        (
            cucm("timeout = \"0s\""),
            "billdrop.toml:8: source[0].timeout: must be 1s to 1day",
        ),
        (
            cucm("proxy = \"h\""),
            "billdrop.toml:8: source[0].proxy: must be http://HOST",
        ),
        (
            cucm("tls-fingerprint = \"\""),
            "billdrop.toml:8: source[0].tls-fingerprint: must be the SHA-256",
        ),
        (
            cucm("tls-ca = \"none.pem\""),
            "billdrop.toml:8: source[0].tls-ca: cannot read none.pem",
        ),
        (
            cucm("tls-name = \"h\"\ntls-insecure = true"),
            "billdrop.toml:9: source[0].tls-insecure: contradicts tls-name",
        ),
        (
            CUCM.replace("192.0.2.1", "h:1"),
            "billdrop.toml:5: source[0].address: has a port; give it as port",
        ),
        (
            CUCM.replace("\"u\"", "\"u:v\""),
            "billdrop.toml:6: source[0].user: has a colon",
        ),
        (
            CUCM.replace("c4n4ry", ""),
            "billdrop.toml:7: source[0].password: is empty",
        ),
        (
            CUCM.replace("contract = \"2\"\n", ""),
            "billdrop.toml:1: source[0].contract: is missing; a source of type cucm needs it",
        ),
        (CUCM.replace("\"local\"", "\"lokal\""), "Did you mean `local`?"),
    ] {
        place.configure(&toml);
        let ran = place.run(&["capture"]).expect(78);
        assert!(ran.stderr.contains(said), "{toml}: {said:?} is not in {}", ran.stderr);
        assert!(!ran.stderr.contains("c4n4ry"), "{}", ran.stderr);
        assert_eq!(names(place.path()), ["billdrop.toml"], "{toml}: nothing was made");
    }
    place.configure("[[source]]\ntype = \"cms\"\n");
    let ran = place.run(&["capture"]).expect(78);
    for key in ["contract", "local-or-remote", "address", "user", "password"] {
        assert!(
            ran.stderr.contains(&format!("source[0].{key}: is missing")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_list_that_is_wrong_stops_what_asks_devices_and_nothing_else() {
    let place = Place::new();
    let document = place.capture();
    list(&place, &format!("{ROW}\n{ROW}\n,VCS,local,h,u,c4n4ry,X"));
    let before = names(place.path());
    for command in ["capture", "check"] {
        let ran = place.run(&[command]).expect(78);
        let said: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(
            said,
            [
                "billdrop: billing_config.csv:3: column serv_cnt: is that of line 2, too; give each device its own",
                "billing_config.csv:4: column contract: is empty",
                "billing_config.csv:4: column target: must be CUCM or CMS",
            ],
            "{command}"
        );
    }
    assert_eq!(names(place.path()), before);
    place.status();
    place.run(&["verify", document.to_str().unwrap()]).expect(0);
    for command in ["show", "gaps", "notify", "release"] {
        place.run(&[command]).expect(0);
    }
}

#[test]
fn a_list_that_is_named_must_be_there_and_be_a_file() {
    let place = Place::new();
    place.configure("[capture]\ndevices = \"lists/none.csv\"\n");
    let ran = place.run(&["capture"]).expect(78);
    assert!(
        ran.stderr.contains("cannot read the list of devices /")
            && ran.stderr.contains("/lists/none.csv: No such file")
            && ran.stderr.contains("working directory"),
        "cron and systemd have a working directory of their own: {}",
        ran.stderr
    );
    fs::create_dir_all(place.path().join("lists/none.csv")).unwrap();
    let ran = place.run(&["check"]).expect(78);
    assert!(ran.stderr.contains("lists/none.csv is not a file"), "{}", ran.stderr);
}

#[test]
fn a_list_that_others_could_have_written_is_refused() {
    let place = Place::new();
    let file = list(&place, ROW);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o602)).unwrap();
    let ran = place.run(&["capture"]).expect(77);
    assert!(
        ran.stderr.contains("everybody may change it") && ran.stderr.contains("chmod o-w"),
        "{}",
        ran.stderr
    );

    if rustix::process::geteuid().is_root() {
        let file = list(&place, ROW);
        chown(&file, Some(65534), None).unwrap();
        let ran = place.run(&["capture"]).expect(77);
        assert!(
            ran.stderr.contains("belongs to another user (uid 65534)"),
            "{}",
            ran.stderr
        );
    } else {
        support::say("that a list of another user is refused was not tested: that needs root");
    }
}

fn load(toml: &str, directory: &Path) -> Result<Loaded, billdrop::exit::Error> {
    let file = directory.join("billdrop.toml");
    let devices = directory.join("billing_config.csv");
    let toml = format!(
        "[capture]\ntimeout = \"7s\"\ndevices = \"{}\"\n{toml}",
        devices.display()
    );
    fs::write(&file, toml).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut loaded = config::load(Some(&file), None, problems)?;
    assert_eq!(config::load_devices(&mut loaded)?, Some(devices));
    Ok(loaded)
}

#[test]
fn the_devices_of_the_list_follow_the_sources_of_the_configuration() {
    let place = Place::new();
    list(&place, ROW);
    let loaded = load(
        &format!("{CUCM}name = \"CUCM9\"\n[[source]]\ntype = \"linux\"\n"),
        place.path(),
    )
    .unwrap();
    let sources = loaded.config.sources();
    assert_eq!(
        sources.iter().map(Source::name).collect::<Vec<_>>(),
        ["CUCM9", "linux", "CUCM1"]
    );
    for source in [&sources[0], &sources[2]] {
        let Source::Device(device) = source else {
            panic!("{source:?}")
        };
        assert_eq!((device.port, device.timeout), (8443, Span::seconds(7)));
        assert_eq!(device.password, Secret::Text("c4n4ry".to_owned()));
    }
    // Own interfaces are captured beside devices only where that is configured.
    let alone = load("", place.path()).unwrap().config.sources();
    assert_eq!(alone.iter().map(Source::name).collect::<Vec<_>>(), ["CUCM1"]);
}

#[test]
fn the_list_is_held_against_the_rest() {
    let place = Place::new();
    let file = place.path().join("billing_config.csv");
    fs::write(&file, format!("{HEADER},tls_ca\n{ROW},c4n4ry.pem\n")).unwrap();
    let refused = load(&format!("{CUCM}name = \"CUCM1\"\n"), place.path()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Configuration);
    let file = file.display();
    assert_eq!(
        refused.message(),
        format!(
            "{file}:2: column serv_cnt: is the name of a [[source]] of the configuration; give each its own\n\
             {file}:2: column tls_ca: the file cannot be read: No such file or directory (os error 2)"
        )
    );
    fs::write(place.path().join("c4n4ry.pem"), "").unwrap();
    load("", place.path()).unwrap();
}

#[test]
fn one_device_under_two_names_is_warned_about() {
    let place = Place::new();
    let two = format!("{ROW}\n{}", ROW.replace("CUCM1", "CUCM2"));
    list(&place, &two);
    let said = "CUCM1 and CUCM2 are one device, 192.0.2.10 port 8443: its usage is in each document twice";
    assert_eq!(load("", place.path()).unwrap().warnings, [said]);
    list(&place, &two.replacen("192.0.2.10", "192.0.2.11", 1));
    assert_eq!(load("", place.path()).unwrap().warnings, [""; 0]);
}

#[test]
fn passwords_that_everybody_can_read_are_warned_about() {
    let place = Place::new();
    let file = list(&place, ROW);
    assert_eq!(load("", place.path()).unwrap().warnings, [""; 0]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load("", place.path()).unwrap().warnings;
    assert!(
        warnings[0].contains("everybody can read it (mode 0644)"),
        "{warnings:?}"
    );
    fs::write(
        &file,
        format!("{HEADER},axlpwd_from\n{},file:x\n", ROW.replace("c4n4ry", "")),
    )
    .unwrap();
    assert_eq!(load("", place.path()).unwrap().warnings, [""; 0]);

    let toml = place.path().join("own.toml");
    fs::write(&toml, CUCM).unwrap();
    fs::set_permissions(&toml, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(config::load(Some(&toml), None, problems).unwrap().warnings.len(), 1);
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn devices(text: &str) -> Vec<Device> {
    let listed = parse_devices(text.as_bytes(), Path::new("billing_config.csv"));
    let listed = listed.unwrap_or_else(|problems| panic!("{problems}"));
    listed.into_iter().map(|listed| listed.device).collect()
}

#[test]
fn the_example_list_is_one_and_explains_every_column() {
    let example = read("contrib/billing_config.csv");
    assert_eq!(devices(&example).len(), 4);
    let explained = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let explained: BTreeSet<String> = example
        .lines()
        .filter(|line| line.starts_with("# "))
        .filter_map(explained)
        .filter(|word| COLUMNS.contains(&word.as_str()))
        .collect();
    assert_eq!(explained, COLUMNS.map(str::to_owned).into());
}

#[test]
fn the_manual_has_every_column_and_no_other_and_its_list_is_one() {
    let page = read("man/parts/billing_config.csv.5");
    let columns = page
        .split(".SH COLUMNS\n")
        .nth(1)
        .unwrap()
        .split(".SH ")
        .next()
        .unwrap();
    let explained: Vec<&str> = columns
        .split(".TP\n`")
        .skip(1)
        .map(|entry| entry.split_once('`').unwrap().0)
        .collect();
    assert_eq!(explained.iter().collect::<BTreeSet<_>>(), COLUMNS.iter().collect());
    assert_eq!(explained[..7], COLUMNS[..7]);
    let example = page.split("@example\n").nth(1).unwrap().split("@end").next().unwrap();
    assert_eq!(devices(example).len(), 4);
}

/// A variable that was not UTF-8 was shown in the error, though it holds a secret.
#[test]
fn a_secret_that_is_not_text_is_not_shown() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.configure("[[notify]]\naddress = \"127.0.0.1:9\"\ncommunity = { env = \"BILLDROP_TEST_SECRET\" }\n");
    let mut command = place.command(&["-vv", "check"]);
    command.env("BILLDROP_TEST_SECRET", std::ffi::OsStr::from_bytes(b"c4n4ry\xFF"));
    let ran = ran(&mut command).expect(69);
    assert!(ran.stdout.contains("BILLDROP_TEST_SECRET: not UTF-8"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("c4n4ry"), "{ran:?}");
}
