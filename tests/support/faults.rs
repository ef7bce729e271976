//! Faults at system calls, by strace.

use std::{collections::BTreeMap, fs};

use super::binary::{Place, Ran};

/// Calls that change files. Of `openat` only those that may make a file count.
const CHANGING: &[&str] = &[
    "openat",
    "mkdir",
    "mkdirat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "symlink",
    "symlinkat",
    "copy_file_range",
    "sendfile",
];

/// One call of the program's main thread: its name, and the how manyth of that name it is.
pub type Call = (String, usize);

/// Calls that speak with a peer.
const SPEAKING: &[&str] = &["connect", "sendto", "recvfrom", "sendmsg", "recvmsg", "poll", "ppoll"];

/// Every file-changing call that the main thread makes when it runs with these arguments in this place.
pub fn file_changing_calls(place: &Place, arguments: &[&str]) -> Vec<Call> {
    calls(place, arguments, CHANGING)
}

/// Every call with which the main thread speaks with a peer. Their number is not always the same.
pub fn speaking_calls(place: &Place, arguments: &[&str]) -> Vec<Call> {
    calls(place, arguments, SPEAKING)
}

fn calls(place: &Place, arguments: &[&str], of: &[&str]) -> Vec<Call> {
    let log = place.path().join("calls");
    let trace = format!("trace={}", of.join(","));
    place.run_under(
        &["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace],
        arguments,
    );
    let text = fs::read_to_string(log).unwrap();
    let main = text.split_whitespace().next().expect("strace saw a call").to_owned();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((process, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, rest)) = call.trim_start().split_once('(') else {
            continue;
        };
        if process != main || !of.contains(&name) {
            continue;
        }
        let count = seen.entry(name).or_default();
        *count += 1;
        // What goes to the terminal changes no file.
        let to_standard = name == "write" && (rest.starts_with("1,") || rest.starts_with("2,"));
        if (name != "openat" || rest.contains("O_CREAT")) && !to_standard {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

/// Runs with a fault at one call: `signal=KILL`, `error=EIO`. Fails the test when the fault did not happen.
pub fn run_with_fault(place: &Place, arguments: &[&str], call: &Call, fault: &str) -> Ran {
    match try_fault(place, arguments, call, fault) {
        Ok(struck) => struck,
        Err(ran) => panic!("{call:?}: {fault} did not happen: {ran:?}"),
    }
}

/// The same where threads do their work in another order each time: `Err` when there was no such call.
pub fn try_fault(place: &Place, arguments: &[&str], (call, when): &Call, fault: &str) -> Result<Ran, Ran> {
    let log = place.path().join("injected");
    let inject = format!("inject={call}:{fault}:when={when}");
    let trace = format!("trace={call}");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        log.to_str().unwrap(),
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let struck = place.run_under(&strace, arguments);
    let injected = fs::read_to_string(&log).unwrap();
    match injected.contains("INJECTED") || injected.contains("killed by SIGKILL") {
        true => Ok(struck),
        false => Err(struck),
    }
}
