//! Promises 1 and 3 when the power fails: what was not synced is gone, and the books balance all the same.
//!
//! Spool and state lie on an ext4 file system of their own. A capture is killed at each of its file-changing calls in
//! turn, the file system is shut down at once without writing anything back, and comes back with what its journal has.

mod support;

use std::{fs, path::Path, process::Command};

use support::{
    binary::{Place, ran},
    faults::{Call, file_changing_calls, run_with_fault},
    namespace::again,
    say,
};

const TEST: &str = "after_a_power_failure_at_any_call_the_books_balance";

#[test]
fn after_a_power_failure_at_any_call_the_books_balance() {
    if !rustix::process::geteuid().is_root() {
        say("not run: only root may mount a file system from a loop device");
        return;
    }
    // In a mount namespace of its own, so that nothing stays mounted whatever happens.
    if std::env::var_os("BILLDROP_TEST_NAMESPACE").is_none() {
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        let said = again(unshare, TEST, "mounted");
        let survived = said.lines().find(|line| line.ends_with("survived"));
        return say(survived.expect("it says how many it has survived"));
    }
    let disk = Disk::new();
    let calls = calls(&disk, "");
    for call in &calls {
        endure(&disk, Some(call), "");
    }
    endure(&disk, None, "");
    for call in &calls {
        recover_then_fail(&disk, call);
    }
    let calls_for_more = self::calls(&disk, MORE);
    for call in &calls_for_more {
        endure(&disk, Some(call), MORE);
    }
    endure(&disk, None, MORE);
    let count = 2 * calls.len() + calls_for_more.len() + 2;
    say(&format!("{count} power failures survived"));
}

/// With a copy and a manifest of each document.
const MORE: &str = "manifest = true\n[archive]\nkeep = \"1year\"\n";

fn calls(disk: &Disk, more: &str) -> Vec<Call> {
    disk.make_anew();
    disk.mount();
    let calls = file_changing_calls(&prepared_with(disk, more), &["capture"]);
    assert!(calls.len() > 10, "strace saw only {calls:?}");
    disk.unmount();
    calls
}

/// A capture is killed before this call (or ends), and the power fails.
fn endure(disk: &Disk, call: Option<&Call>, more: &str) {
    disk.make_anew();
    disk.mount();
    let place = prepared_with(disk, more);
    match call {
        Some(call) => drop(run_with_fault(&place, &["capture"], call, "signal=KILL")),
        None => drop(place.run(&["capture"]).expect(0)),
    }
    let visible = documents(&place);
    disk.fail();
    disk.mount();

    let after = documents(&place);
    assert!(after.len() <= 1, "{call:?}: {after:?}");
    for name in after.iter().filter(|_| !more.is_empty()) {
        let copy = place.state().join("archive").join(name);
        let document = fs::read(place.spool().join(name)).unwrap();
        assert_eq!(
            fs::read(&copy).ok(),
            Some(document),
            "{call:?}: what can be fetched has its copy"
        );
        let manifest = format!("spool/{name}.manifest");
        place.run(&["verify", "--manifest", &manifest]).expect(0);
    }
    if call.is_none() {
        assert_eq!(
            after, visible,
            "a document that was offered is there after a power failure"
        );
    }
    // The next run goes on by itself, with the number that comes next, and every document is whole.
    let mut sequence = 1;
    for _ in 0..3 {
        let next = place.run(&["capture"]);
        assert!(matches!(next.status, 0 | 75), "{call:?}: {next:?}");
        let offered = documents(&place);
        assert_eq!(offered.len(), 1, "{call:?}: {next:?}");
        let path = place.spool().join(&offered[0]);
        place.run(&["verify", path.to_str().unwrap()]).expect(0);
        let information = place.information(&path);
        sequence += 1;
        assert_eq!(information["sequenceNumber"], sequence, "{call:?}: {next:?}");
        if sequence == 2 && !visible.is_empty() {
            assert_eq!(
                offered, visible,
                "{call:?}: what somebody may have seen is that very document"
            );
        }
        fs::remove_file(path).unwrap();
    }
    assert_eq!(place.run(&["gaps"]).expect(0).stdout, "", "{call:?}");
    disk.unmount();
}

/// A capture is killed before this call, the next run finishes what it left, and then the power fails. The ledger lies on
/// another disk, which is not hit: what it says to be offered must be there.
///
/// Recovery told of a rename that nobody had synced: the document was undone with it, and passed for retrieved.
fn recover_then_fail(disk: &Disk, call: &Call) {
    disk.make_anew();
    disk.mount();
    let state = disk.place.path().join("state");
    let _ = fs::remove_dir_all(&state);
    let place = prepared_with(disk, &format!("[state]\ndirectory = \"{}\"\n", state.display()));
    run_with_fault(&place, &["capture"], call, "signal=KILL");
    let recovery = place.run(&["capture"]);
    assert!(matches!(recovery.status, 0 | 75), "{call:?}: {recovery:?}");
    let offered = documents(&place);
    assert_eq!(offered.len(), 1, "{call:?}: {recovery:?}");
    disk.fail();
    disk.mount();
    assert_eq!(documents(&place), offered, "{call:?}");
    place.run(&["verify", &format!("spool/{}", offered[0])]).expect(0);
    place.run(&["capture"]).expect(75);
    disk.unmount();
}

/// One document was captured, retrieved, and all of that is on the disk.
fn prepared_with(disk: &Disk, more: &str) -> Place {
    let place = Place::on(&disk.mounted);
    let source = "[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n";
    place.configure(&format!("[spool]\nmin-free = \"0\"\n{more}{source}"));
    fs::remove_file(place.capture()).unwrap();
    shell("sync -f .", place.path());
    place
}

fn documents(place: &Place) -> Vec<String> {
    place
        .listing()
        .into_iter()
        .filter(|name| !name.starts_with('.') && !name.ends_with(".manifest"))
        .collect()
}

/// An ext4 file system in a file.
struct Disk {
    place: Place,
    mounted: std::path::PathBuf,
}

impl Disk {
    fn new() -> Self {
        let place = Place::new();
        let mounted = place.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        let disk = Disk { place, mounted };
        disk.shell("truncate -s 24M empty && mkfs.ext4 -q empty");
        disk.make_anew();
        disk
    }

    fn make_anew(&self) {
        self.shell("cp --sparse=always empty image");
    }

    fn mount(&self) {
        self.shell("mount -o loop image mounted");
    }

    fn unmount(&self) {
        self.shell("umount mounted");
    }

    /// Nothing is written any more from now on, not even what the kernel still holds.
    fn fail(&self) {
        self.shell("xfs_io -x -c shutdown mounted && umount mounted");
    }

    fn shell(&self, script: &str) {
        shell(script, self.place.path());
    }
}

fn shell(script: &str, directory: &Path) {
    let ran = ran(Command::new("sh").args(["-ec", script]).current_dir(directory));
    assert_eq!(
        ran.status, 0,
        "{script}: {ran:?}\n  apt-get install --no-install-recommends e2fsprogs xfsprogs"
    );
}
