//! The remote application, with a real OpenSSH server between: fetched, deleted, and only then the next document.

mod support;

use std::{fs, process::Command};

use support::{
    binary::{Place, ran},
    sshd::Sshd,
};

#[test]
fn scp_in_both_modes_and_sftp_fetch_it_and_sftp_deletes_it() {
    let place = Place::new();
    let sshd = Sshd::start(&place.path().join("ssh"));
    let legacy = ["-O", "-q"];
    let modern = ["-q"];
    for (sequence, mode) in [Some(&legacy[..]), Some(&modern[..]), None].into_iter().enumerate() {
        let document = place.capture();
        let remote = document.canonicalize().unwrap().display().to_string();
        let local = place
            .path()
            .join(format!("fetched-{sequence}.xml"))
            .display()
            .to_string();
        let fetched = match mode {
            Some(options) => {
                let from = format!("peer:{remote}");
                sshd.scp(&[options, &[from.as_str(), local.as_str()][..]].concat())
            }
            None => sshd.sftp_batch(&format!("get {remote} {local}\n")),
        };
        assert!(fetched.status.success(), "{mode:?}: {fetched:?}");
        assert_eq!(fs::read(&local).unwrap(), fs::read(&document).unwrap());
        place.run(&["capture"]).expect(75);
        let deleted = sshd.sftp_batch(&format!("rm {remote}\n"));
        assert!(deleted.status.success(), "{deleted:?}");
        assert!(
            place
                .run(&["verify", &local])
                .expect(0)
                .stdout
                .contains("as written, says the ledger")
        );
    }
    let last = place.capture();
    assert_eq!(place.information(&last)["sequenceNumber"], 4);
    assert_eq!(place.status()["retrieved_documents"], 3);
}

#[test]
fn billdrop_pickup_does_it_in_one_call() {
    let place = Place::new();
    let sshd = Sshd::start(&place.path().join("ssh"));
    let document = place.capture();
    let bytes = fs::read(&document).unwrap();
    let inbox = place.path().join("inbox");
    fs::create_dir(&inbox).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/pickup/billdrop-pickup");
    let spool = place.spool().canonicalize().unwrap();
    let picked = ran(Command::new(script)
        .arg("-F")
        .arg(&sshd.ssh_config)
        .arg(format!("peer:{}", spool.display()))
        .arg(&inbox))
    .expect(0);
    let fetched = inbox.join(document.file_name().unwrap());
    assert_eq!(picked.stdout.trim_end(), fetched.display().to_string());
    assert_eq!(fs::read(&fetched).unwrap(), bytes);
    assert!(!document.exists(), "deleted there: the signal for the next one");
    let next = place.capture();
    assert_eq!(place.information(&next)["sequenceNumber"], 2);
}
