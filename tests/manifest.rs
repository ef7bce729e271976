//! What may lie beside a document: the manifest, and the marker by which the remote application says that it is done.

mod support;

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use support::{
    binary::{Place, names},
    faults::run_with_fault,
    say,
};

fn place(spool: &str) -> Place {
    let place = Place::new();
    place.configure(&format!(
        "[spool]\n{spool}[archive]\nkeep = \"1year\"\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n"
    ));
    place
}

fn with(document: &Path, suffix: &str) -> std::path::PathBuf {
    document.with_file_name(format!("{}{suffix}", document.file_name().unwrap().to_str().unwrap()))
}

#[test]
fn a_manifest_is_there_before_its_document_and_goes_after_it() {
    for extension in ["xml", ""] {
        let place = place(&format!(
            "manifest = true\nmode = \"0600\"\nextension = \"{extension}\"\n"
        ));
        run_with_fault(&place, &["capture"], &("renameat2".to_owned(), 1), "signal=KILL").expect(137);
        let lies: Vec<String> = place.listing();
        assert_eq!(lies.len(), 2, "{lies:?}");
        assert!(
            lies[0].ends_with(".partial") && lies[1].ends_with(".manifest"),
            "{lies:?}"
        );

        place.run(&["capture"]).expect(75);
        let first = place.spool().join(lies[1].strip_suffix(".manifest").unwrap());
        let manifest = with(&first, ".manifest");
        assert_eq!(fs::metadata(&manifest).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&manifest).unwrap();
        let octets = fs::metadata(&first).unwrap().len();
        for line in [
            format!("name: {}\n", first.file_name().unwrap().to_str().unwrap()),
            format!("size: {octets}\n"),
            "records: 2\nsequence: 1\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line}: {text}");
        }
        assert!(!text.contains("previousDocId"), "{text}");
        let status = place.status();
        assert_eq!(status["waiting"]["sequence"], 1);
        assert_eq!(status["foreign_files"], serde_json::json!([]), "it counts for nothing");
        let id = status["waiting"]["doc_id"].as_str().unwrap().to_owned();

        fs::remove_file(&first).unwrap();
        let second = place.capture();
        assert!(!manifest.exists());
        let text = fs::read_to_string(with(&second, ".manifest")).unwrap();
        assert!(text.contains(&format!("previousDocId: {id}\n")), "{text}");
        place.run(&["release"]).expect(0);
        assert_eq!(place.listing(), [] as [&str; 0]);
        place.run(&["resend", "1"]).expect(0);
        let again = fs::read_to_string(&manifest).unwrap();
        assert!(
            again.contains("sequence: 1\n") && again.contains(&format!("size: {octets}\n")),
            "{again}"
        );
    }
}

#[test]
fn verify_compares_a_document_with_its_manifest_and_believes_no_other_path() {
    let place = place("manifest = true\n");
    let document = place.capture();
    let manifest = with(&document, ".manifest");
    let verify = |status: i32| {
        let shown = manifest.to_str().unwrap().to_owned();
        place.run(&["verify", "--manifest", &shown]).expect(status)
    };
    assert!(verify(0).stdout.contains("as its manifest says"));
    let text = fs::read_to_string(&manifest).unwrap();
    let size = fs::metadata(&document).unwrap().len();
    for (from, to, said) in [
        (format!("size: {size}"), "size: 1".to_owned(), "has size"),
        ("sha256: ".to_owned(), "sha256: 00".to_owned(), "has SHA-256"),
        ("records: 2".to_owned(), "records: 3".to_owned(), "has records 2"),
        ("sequence: 1".to_owned(), "sequence: 7".to_owned(), "has sequence 1"),
        ("docId: ".to_owned(), "docId: X".to_owned(), "has docId"),
        ("name: ".to_owned(), "name: ../../etc/".to_owned(), "it is that of"),
        ("size: ".to_owned(), "size ".to_owned(), "line 2"),
    ] {
        fs::write(&manifest, text.replace(&from, &to)).unwrap();
        let ran = verify(65);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    fs::write(&manifest, [0xFF, 0xFE]).unwrap();
    verify(65);
}

#[test]
fn a_marker_counts_as_the_deletion_of_the_document_that_is_offered() {
    let place = place("manifest = true\ndone-marker = true\n");
    let first = place.capture();
    fs::write(with(&first, ".done"), "").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(with(&first, ".done"), Some(65534), None).unwrap();
    } else {
        say("not root: the marker is our own");
    }
    assert_eq!(place.status()["marked"], true);
    let second = place.capture();
    assert_eq!(place.information(&second)["sequenceNumber"], 2);
    assert_eq!(
        place.listing().len(),
        2,
        "the second one and its manifest: {:?}",
        place.listing()
    );
    let history = place.run(&["history", "1"]).expect(0).stdout;
    assert!(history.contains("marked as done"), "{history}");

    // For others it means nothing; what is gone has no need of one.
    fs::write(with(&first, ".done"), "").unwrap();
    fs::write(place.spool().join("other-20260115-093000.xml.done"), "").unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(ran.stderr.contains("other-20260115-093000.xml.done"), "{}", ran.stderr);
    assert!(!with(&first, ".done").exists(), "it has done its work");
    assert!(second.exists());
}

#[test]
fn a_marker_means_nothing_where_it_is_not_configured() {
    let place = place("extension = \"\"\n");
    let first = place.capture();
    fs::write(with(&first, ".done"), "").unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(
        ran.stderr.contains(".done lies in the spool but is no document"),
        "{}",
        ran.stderr
    );
    assert!(first.exists());
}

#[test]
fn a_marker_from_before_the_offer_is_no_receipt() {
    let place = place("done-marker = true\n");
    let first = place.capture();
    let octets = fs::read(&first).unwrap();
    fs::write(with(&first, ".done"), "").unwrap();
    place.capture();
    fs::remove_file(place.spool().join(&place.listing()[0])).unwrap();
    fs::write(with(&first, ".done"), "").unwrap();
    place.run(&["resend", "1"]).expect(0);
    place.run(&["capture"]).expect(75);
    assert_eq!(fs::read(&first).unwrap(), octets);
}

#[test]
fn a_marker_that_is_put_there_before_the_rename_is_no_receipt_either() {
    let place = place("done-marker = true\n");
    run_with_fault(&place, &["capture"], &("renameat2".to_owned(), 1), "signal=KILL").expect(137);
    let partial = place.listing().remove(0);
    let name = partial
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".partial"))
        .unwrap();
    fs::write(place.spool().join(format!("{name}.done")), "").unwrap();
    for _ in 0..2 {
        place.run(&["capture"]).expect(75);
        assert_eq!(place.listing(), [name]);
    }
}

#[test]
fn a_waiting_capture_is_woken_by_a_marker() {
    let place = place("done-marker = true\n");
    let first = place.capture();
    let waiting = place.command(&["capture", "--wait=20s"]).spawn().unwrap();
    let mut waiting = support::Peer(waiting);
    fs::write(with(&first, ".done"), "").unwrap();
    support::wait_until("the next document", std::time::Duration::from_secs(10), || {
        waiting.has_ended() && !first.exists() && place.listing().len() == 1
    });
}

#[test]
fn manifests_that_are_not_of_our_documents_are_reported_and_left_alone() {
    let place = place("manifest = true\n");
    place.capture();
    fs::write(place.spool().join("other-20260115-093000.xml.manifest"), "x").unwrap();
    let ran = place.run(&["capture"]).expect(75);
    assert!(
        ran.stderr.contains("other-20260115-093000.xml.manifest"),
        "{}",
        ran.stderr
    );
    assert_eq!(names(&place.spool()).len(), 3);
}

#[test]
fn an_extension_that_would_be_taken_for_a_manifest_is_refused() {
    for extension in ["manifest", "done"] {
        let place = Place::new();
        place.configure(&format!("[spool]\nextension = \"{extension}\"\n"));
        place.run(&["capture"]).expect(78);
    }
}
