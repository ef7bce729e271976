//! The simulators of `contrib/simulators` keep to the protocols' documents, and every quirk does what `--help` says.
//!
//! The judges are curl, xmllint and openssl, not billdrop. Cisco's schemas come from `tests/peers/fetch`.

#[path = "simulators/asked.rs"]
mod asked;
#[path = "simulators/cms.rs"]
mod cms;
#[path = "simulators/cucm.rs"]
mod cucm;
#[path = "simulators/faults.rs"]
mod faults;
#[path = "simulators/hostile.rs"]
mod hostile;
#[path = "simulators/peers.rs"]
mod peers;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use asked::{Get, succeeds};
use support::simulators::{Simulators, program};
use support::wait_until;

/// The list of quirks in `--help` and the devices that these tests start are held together.
#[test]
fn every_quirk_of_the_manual_is_tested() {
    let output = succeeds(Command::new(program()).arg("--help"));
    let manual = String::from_utf8(output.stdout).unwrap();
    let quirks: Vec<&str> = manual
        .lines()
        .skip_while(|line| !line.starts_with("Quirks"))
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split(['=', '[', ' ']).next())
        .collect();
    assert!(quirks.len() > 50, "{quirks:?}");
    let longest = manual.lines().map(str::len).max();
    assert!(longest <= Some(120), "the manual is wrapped: {longest:?}");
    let tests = [
        include_str!("simulators.rs"),
        include_str!("simulators/cms.rs"),
        include_str!("simulators/cucm.rs"),
        include_str!("simulators/faults.rs"),
        include_str!("simulators/hostile.rs"),
    ]
    .concat();
    for quirk in quirks {
        let used = [":", ","]
            .iter()
            .flat_map(|before| ["=", ",", "\""].map(|after| format!("{before}{quirk}{after}")))
            .any(|form| tests.contains(&form));
        assert!(used, "no test starts a device with {quirk}");
    }
}

#[test]
fn a_device_that_cannot_be_is_refused_with_the_reason() {
    for (device, reason) in [
        ("router", "a device is cucm or cms"),
        ("cms:colour=red", "there is no quirk \"colour\""),
        ("cms:version=2.9,list-form=comma", "no quirk of a CMS"),
        ("cucm:version=13.0", "11.5, 12.0, 12.5, 14.0 or 15.0"),
        ("2*cms:name=CMS7", "name is for one device"),
        ("cms:page=0", "at least 1"),
        ("cucm:answer-after=50", "no span"),
        ("cucm:answer-after=99999999999999999999s", "no such number"),
        ("cucm:contract=12", "eight digits"),
        ("cms:close=yes", "takes no value"),
        ("cms:page", "page=N is wanted"),
    ] {
        let output = Command::new(program())
            .args(["--directory", "/nonexistent/never-made", device])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(69), "{device}: {said}");
        assert!(said.contains(reason), "{device}: {said}");
    }
}

#[test]
fn the_list_of_devices_is_complete_and_for_its_owner_only() {
    let simulators = Simulators::start(&[
        "2*cucm",
        "cms:user=api,contract=12345678",
        "cms:cert=self-signed,name=OTHER",
    ]);
    let list = fs::read_to_string(simulators.devices_csv()).unwrap();
    let mode = fs::metadata(simulators.devices_csv()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(
        rows[0].join(","),
        "contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt,port,tls_ca,tls_fingerprint"
    );
    let of = |column: usize| rows[1..].iter().map(|row| row[column]).collect::<Vec<_>>();
    assert_eq!(of(0), ["20000001", "20000002", "12345678", "70000002"]);
    assert_eq!(of(1), ["CUCM", "CUCM", "CMS", "CMS"]);
    assert_eq!(of(2), ["local", "remote", "local", "remote"]);
    assert_eq!(of(4), ["billing", "billing", "api", "billing"]);
    assert_eq!(of(6), ["CUCM1", "CUCM2", "CMS1", "OTHER"]);
    assert_eq!(of(9)[3], simulators.fingerprint("OTHER"));
    assert_eq!(of(8)[3], "");
    assert_eq!(of(8)[0], simulators.ca().to_str().unwrap());
    let mut passwords = of(5);
    passwords.sort();
    passwords.dedup();
    assert_eq!(passwords.len(), 4, "passwords are random");
}

#[test]
fn no_password_and_no_cookie_gets_into_the_list_of_requests() {
    let simulators = Simulators::start_with(&["--password", "canary-5f2c, \"x\"#"], &["cucm", "cms"]);
    let cookie = Get::of(&simulators, "CUCM1", "/axl/")
        .password("canary-5f2c, \"x\"#")
        .ok()
        .cookie();
    Get::of(&simulators, "CUCM1", "/axl/").cookie(&cookie).ok();
    Get::of(&simulators, "CMS1", "/api/v1/coSpaces")
        .password("canary-5f2c, \"x\"#")
        .ok();
    let list = fs::read_to_string(simulators.devices_csv()).unwrap();
    assert!(list.contains(",\"canary-5f2c, \"\"x\"\"#\","), "{list}");
    let written = fs::read_to_string(simulators.directory().join("requests.jsonl")).unwrap();
    assert_eq!(written.lines().count(), 3);
    assert!(!written.contains("canary"), "{written}");
    assert!(!written.contains(&cookie), "{written}");
}

#[test]
fn the_certificate_is_what_the_device_says() {
    let simulators = Simulators::start(&["cms", "cms:cert=self-signed", "cms:cert=wrong-name", "cms:cert=expired"]);
    for (name, verified) in [("CMS1", true), ("CMS2", false), ("CMS3", false), ("CMS4", false)] {
        let answer = Get::of(&simulators, name, "/api/v1/system/status").run();
        assert_eq!(answer.exit, if verified { 0 } else { 60 }, "{name}: {answer:?}");
        let shown = openssl(&simulators, name, &["-noout", "-fingerprint", "-sha256"]);
        let digits = shown.split_once('=').unwrap().1.trim().replace(':', "").to_lowercase();
        assert_eq!(digits, simulators.fingerprint(name));
    }
    let own = openssl(&simulators, "CMS2", &["-noout", "-text"]);
    assert!(own.contains("CA:TRUE"), "{own}");
    let expired = Command::new("openssl")
        .args(["x509", "-noout", "-checkend", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .and_then(|mut child| {
            let pem = openssl(&simulators, "CMS4", &[]);
            child.stdin.take().unwrap().write_all(pem.as_bytes())?;
            child.wait()
        })
        .unwrap();
    assert_eq!(expired.code(), Some(1));
}

/// What openssl shows of the certificate that the device presents.
fn openssl(simulators: &Simulators, name: &str, show: &[&str]) -> String {
    let address = format!("127.0.0.1:{}", simulators.port(name));
    let presented = Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut child = Command::new("openssl")
        .arg("x509")
        .args(show)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&presented.stdout).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{presented:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_hundred_devices_answer_at_once_each_in_its_own_time() {
    let simulators = Simulators::start(&["100*cucm:answer-after=300ms", "100*cms:answer-after=300ms"]);
    assert_eq!(simulators.names().len(), 200);
    let begun = Instant::now();
    let children: Vec<_> = simulators
        .names()
        .into_iter()
        .filter(|name| name.starts_with("CMS"))
        .take(30)
        .map(|name| Get::of(&simulators, name, "/api/v1/system/status").start())
        .collect();
    for child in children {
        let output = child.0.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_secs(8), "one after the other: {took:?}");
}

#[test]
fn the_simulators_end_with_their_standard_input_or_by_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(program())
        .args(["--until-stdin-closes", "--directory"])
        .arg(directory.path())
        .arg("cms")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    wait_until("the end", Duration::from_secs(20), || {
        child.try_wait().unwrap().is_some()
    });
    assert!(child.wait().unwrap().success());

    let simulators = Simulators::start(&["cms"]);
    let pid = rustix::process::Pid::from_raw(simulators.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wait_until("the end", Duration::from_secs(20), || {
        Get::of(&simulators, "CMS1", "/").run().exit == 7
    });
}

#[test]
fn a_port_that_was_asked_for_is_taken() {
    let port = support::free_port();
    let simulators = Simulators::start(&[&format!("cms:port={port}")]);
    assert_eq!(simulators.port("CMS1"), port);
    Get::of(&simulators, "CMS1", "/api/v1/coSpaces").ok();
}
