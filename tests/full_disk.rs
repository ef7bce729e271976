//! A file system that is really full: no document, no debris, a deviceFull trap, and the next capture goes on.

mod support;

use std::{process::Command, time::Duration};

use support::{
    binary::{BILLDROP, Place, Ran, ran},
    snmptrapd::{COMMUNITY, Snmptrapd},
};

/// Runs a shell script in a mount namespace of its own, where it may mount a tmpfs. `$0` is billdrop.
fn in_mount_namespace(place: &Place, script: &str) -> Ran {
    let ran = ran(Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-euc", script, BILLDROP])
        .current_dir(place.path()));
    assert!(
        !ran.stderr.contains("unshare failed") && !ran.stderr.contains("mount:"),
        "this needs root, or user namespaces for every user: {ran:?}"
    );
    ran
}

/// A place whose spool is on the disk that the script mounts, and that leaves `min_free` there.
fn place_with(manager: &Snmptrapd, min_free: &str, state: &str) -> Place {
    let place = Place::new();
    place.configure(&format!(
        "[spool]\ndirectory = \"disk/spool\"\nmin-free = \"{min_free}\"\n[state]\ndirectory = \"{state}\"\n\
         [[notify]]\naddress = \"127.0.0.1:{}\"\ncommunity = \"{COMMUNITY}\"\ninform = true\n",
        manager.port
    ));
    place
}

/// Captures once on a disk with room, then on the full one, then again with room. Prints the statuses and what is there.
const STORY: &str = "
    mkdir disk; mount -t tmpfs -o $OPTIONS tmpfs disk
    billdrop() { \"$0\" --config billdrop.toml \"$@\"; }
    rm \"$(billdrop capture)\"
    $FILL
    set +e; billdrop capture; echo status $?; set -e
    echo \"left: $(ls -A disk/spool | tr '\\n' ' ')\"
    rm -f disk/fill*
    billdrop show --format json \"$(billdrop capture)\"
    echo; billdrop gaps
";

fn story(place: &Place, options: &str, fill: &str) -> Ran {
    in_mount_namespace(place, &STORY.replace("$OPTIONS", options).replace("$FILL", fill))
}

fn assert_story(ran: &Ran, what: &str) {
    assert!(
        ran.stdout.contains("status 73") || ran.stdout.contains("status 74"),
        "{what}: {ran:?}"
    );
    assert!(ran.stdout.contains("left: \n"), "{what}: debris: {ran:?}");
    assert_eq!(ran.status, 0, "{what}: the next capture goes on: {ran:?}");
    assert!(
        ran.stdout.contains("\"sequenceNumber\":2"),
        "{what}: no number is lost: {ran:?}"
    );
}

const FILL_WITH_OCTETS: &str = "dd if=/dev/zero of=disk/fill bs=1k 2>/dev/null || :";

#[test]
fn a_full_spool_gives_no_document_and_a_device_full_trap() {
    let manager = Snmptrapd::start();
    let place = place_with(&manager, "0", "state");
    let ran = story(&place, "size=64k", FILL_WITH_OCTETS);
    assert_story(&ran, "spool full");
    assert!(ran.stdout.contains("capture-failed"), "{ran:?}");
    manager.wait_for("deviceFull(3)", Duration::from_secs(10));
}

#[test]
fn a_full_state_directory_gives_no_document_and_a_device_full_trap_all_the_same() {
    let manager = Snmptrapd::start();
    let place = place_with(&manager, "0", "disk/state");
    let ran = story(&place, "size=512k", FILL_WITH_OCTETS);
    assert_story(&ran, "spool and ledger full");
    manager.wait_for("deviceFull(3)", Duration::from_secs(10));
}

#[test]
fn a_spool_without_inodes_gives_no_document_and_a_device_full_trap() {
    let manager = Snmptrapd::start();
    let place = place_with(&manager, "0", "state");
    let fill = "for n in 1 2 3 4 5 6 7 8; do touch disk/fill$n || break; done 2>/dev/null";
    let ran = story(&place, "size=64k,nr_inodes=6", fill);
    assert_story(&ran, "no inodes");
    manager.wait_for("deviceFull(3)", Duration::from_secs(10));
}

#[test]
fn a_capture_that_would_leave_less_than_min_free_is_refused_before_it_starts() {
    let manager = Snmptrapd::start();
    let place = place_with(&manager, "512KiB", "state");
    let ran = story(
        &place,
        "size=1m",
        "dd if=/dev/zero of=disk/fill bs=1k count=700 2>/dev/null",
    );
    assert_story(&ran, "min-free");
    assert!(ran.stdout.contains("status 73"), "{ran:?}");
    assert!(ran.stderr.contains("512.0 KiB wanted"), "{ran:?}");
    manager.wait_for("deviceFull(3)", Duration::from_secs(10));
}

#[test]
fn a_full_disk_with_a_full_archive_still_captures_and_tells_but_keeps_what_nobody_has_got() {
    for (state, min_free) in [("state", "1MiB"), ("disk/state", "3MiB"), ("disk/state", "0")] {
        let manager = Snmptrapd::start();
        let place = place_with(&manager, min_free, state);
        let configuration = std::fs::read_to_string(place.path().join("billdrop.toml")).unwrap();
        place.configure(&format!(
            "{configuration}[archive]\nkeep = \"1year\"\ndirectory = \"disk/archive\"\n"
        ));
        let script = r#"
            mkdir disk; mount -t tmpfs -o size=8m tmpfs disk
            billdrop() { "$0" --config billdrop.toml "$@"; }
            billdrop capture >/dev/null; billdrop release >/dev/null
            for n in 1 2 3 4 5 6 7 8; do rm "$(billdrop capture)"; done
            # As if documents were large: what was retrieved takes half of the disk.
            set -- disk/archive/*; shift
            for copy; do dd if=/dev/zero of="$copy" bs=1k count=500 2>/dev/null; done
            dd if=/dev/zero of=disk/fill bs=1k 2>/dev/null || :
            for n in 1 2; do rm "$(billdrop capture)"; billdrop status | grep ^archive; done
            billdrop show --format json "$(billdrop capture)"
            echo; ls disk/archive | head -n 1; billdrop history 1; billdrop gaps
        "#;
        let ran = in_mount_namespace(&place, script);
        assert_eq!(ran.status, 0, "{min_free}: {ran:?}");
        assert!(ran.stdout.contains("\"sequenceNumber\":12"), "{min_free}: {ran:?}");
        assert!(
            ran.stderr.contains("had to go before their time"),
            "{min_free}: {ran:?}"
        );
        assert!(!ran.stdout.contains("capture-failed"), "{min_free}: {ran:?}");
        let released = ran.stdout.split("1  ").nth(1).unwrap();
        assert!(
            released.lines().next().unwrap().ends_with(", copy"),
            "never retrieved: {ran:?}"
        );
        manager.wait_for("billdropArchiveGaveWay", Duration::from_secs(10));
        assert!(!manager.everything().contains("deviceFull"), "{}", manager.everything());
    }
}

#[test]
fn a_read_only_spool_is_refused_and_told() {
    let manager = Snmptrapd::start();
    let place = place_with(&manager, "0", "state");
    let ran = in_mount_namespace(
        &place,
        "mkdir disk; mount -t tmpfs tmpfs disk
         rm \"$(\"$0\" --config billdrop.toml capture)\"
         mount -o remount,ro disk
         exec \"$0\" --config billdrop.toml capture",
    );
    assert_eq!(ran.status, 73, "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    manager.wait_for("writeError(4)", Duration::from_secs(10));
}

#[test]
fn a_full_disk_of_logs_costs_a_warning_and_leaves_no_half_line() {
    let place = Place::new();
    place.configure(
        "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n\
         [[source]]\ntype = \"linux\"\nname = \"gone\"\nnetwork-namespace = \"/nonexistent\"\n",
    );
    // Room for two pages: the next line begins on the one that is there, and ends on one that is not.
    let ran = in_mount_namespace(
        &place,
        "mkdir logs; mount -t tmpfs -o size=8k tmpfs logs
         printf '%4089s\\n' before >logs/error.log; head -c 4096 /dev/zero >logs/fill
         set +e; \"$0\" --config billdrop.toml --spool spool capture; echo status $?
         wc -c <logs/error.log",
    );
    let said: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        said[0].starts_with("spool/"),
        "the document is offered all the same: {ran:?}"
    );
    assert_eq!(said[1..], ["status 69", "4090"], "{ran:?}");
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 1, "{ran:?}");
    assert!(
        warnings[0].contains("cannot write the log logs/error.log: No space left on device"),
        "{ran:?}"
    );
}
