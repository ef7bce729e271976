//! `verify` finds whatever is not as it was written.

mod document_support;

use std::path::Path;

use billdrop::config::Profile;
use billdrop::document::{Finding, Limits, Verified, hex, verify};
use document_support::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn check(octets: &[u8]) -> Result<Verified, Vec<Finding>> {
    verify(octets, Limits::default())
}

fn good() -> Vec<u8> {
    document(
        Profile::Full,
        true,
        &[interface(1, "lo", Some("ünïcode & more")), interface(2, "eth0", None)],
    )
}

fn unsealed() -> String {
    let octets = document(
        Profile::Full,
        false,
        &[interface(1, "lo", None), interface(2, "eth0", None)],
    );
    String::from_utf8(octets).unwrap()
}

#[track_caller]
fn assert_found(document: &str, what: &str) {
    let findings: Vec<String> = check(document.as_bytes())
        .unwrap_err()
        .iter()
        .map(Finding::to_string)
        .collect();
    assert!(findings.iter().any(|finding| finding.contains(what)), "{findings:?}");
}

#[test]
fn a_document_is_described() {
    let octets = good();
    let verified = check(&octets).unwrap();
    assert_eq!(verified.doc_id, header(Profile::Full).doc_id);
    assert_eq!(verified.created, created());
    assert_eq!(verified.recorder, text("recorder1"));
    assert_eq!((verified.sequence, verified.records), (42, 3));
    assert_eq!(verified.information, Some(information(2).to_record()));
    assert_eq!(verified.octets, octets.len() as u64);
    assert_eq!(hex(&verified.sha256), hex(&Sha256::digest(&octets)));
    assert!(verified.has_checksum);
    assert!(!check(unsealed().as_bytes()).unwrap().has_checksum);
    check(&document(Profile::Full, true, &[])).unwrap();
    check(&document(Profile::CiscoSamis, true, &[])).unwrap();
}

#[test]
fn the_digest_does_not_depend_on_how_the_octets_come() {
    let octets = good();
    for size in [1, 2, 80, 81, 82, 83, 4096] {
        let verified = verify(std::io::BufReader::with_capacity(size, &octets[..]), Limits::default()).unwrap();
        assert_eq!(hex(&verified.sha256), hex(&Sha256::digest(&octets)));
        assert!(verified.has_checksum);
    }
}

#[test]
fn the_committed_documents_are_right() {
    for name in ["demo-cmts1-20260115-093000.xml", "full.xml", "old-names.xml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/documents")
            .join(name);
        check(&std::fs::read(path).unwrap()).unwrap();
    }
}

#[test]
fn a_changed_octet_is_found() {
    let good = good();
    for at in 0..good.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = good.clone();
            changed[at] ^= bit;
            assert!(
                check(&changed).is_err(),
                "octet {at}, bit {bit}: {}",
                String::from_utf8_lossy(&changed)
            );
        }
    }
}

#[test]
fn a_cut_end_is_found() {
    let good = good();
    let last_line = good.len() - 81;
    for length in 0..good.len() {
        match check(&good[..length]) {
            Err(_) => {}
            // Only the ledger knows that there was a checksum.
            Ok(verified) => assert!(length == last_line && !verified.has_checksum, "cut after {length}"),
        }
    }
}

#[test]
fn octets_at_the_end_are_found() {
    for more in ["\n", " ", "x", "<!-- -->", "\0", "<IPDRDoc/>"] {
        let mut longer = good();
        longer.extend_from_slice(more.as_bytes());
        assert!(check(&longer).is_err(), "{more:?}");
        assert!(check((unsealed() + more).as_bytes()).is_err(), "{more:?}");
    }
    let mut twice = good();
    twice.extend(good());
    assert!(check(&twice).is_err());
}

#[test]
fn a_checksum_of_other_octets_is_told() {
    let mut changed = good();
    let at = changed.windows(8).position(|octets| octets == b"lo</ifNa").unwrap();
    changed[at] = b'k';
    let findings = check(&changed).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0]
            .message
            .starts_with("octets were changed: the checksum says ")
    );
}

/// Without a checksum the document must still agree with itself.
#[test]
fn a_missing_record_is_found() {
    let whole = unsealed();
    let begin = whole.rfind("<IPDR xsi").unwrap();
    let end = whole.find("<IPDRDoc.End").unwrap();
    let missing = format!("{}{}", &whole[..begin], &whole[end..]);
    assert_found(&missing, "IPDRDoc.End counts 3 records, but there are 2");
    assert_found(&missing, "the sources count 2 records, but there are 1");
    assert_found(&missing, "the source linux counts 2 records, but 1 bear its name");
}

#[test]
fn a_doubled_record_is_found() {
    let whole = unsealed();
    let begin = whole.rfind("<IPDR xsi").unwrap();
    let end = whole.find("<IPDRDoc.End").unwrap();
    let doubled = format!("{}{}{}", &whole[..end], &whole[begin..end], &whole[end..]);
    assert_found(&doubled, "IPDRDoc.End counts 3 records, but there are 4");
    assert_found(&doubled, "the source linux counts 2 records, but 3 bear its name");
}

#[test]
fn a_wrong_count_is_found() {
    let whole = unsealed();
    for count in ["2", "4", "0", "18446744073709551615"] {
        let wrong = whole.replace("count=\"3\"", &format!("count=\"{count}\""));
        assert_found(&wrong, &format!("IPDRDoc.End counts {count} records, but there are 3"));
    }
    let wrong = whole.replace("<recordCount>2<", "<recordCount>18446744073709551615<");
    assert_found(&wrong, "the sources count 18446744073709551615 records");
    let both = wrong.replace("<recordCount>0<", "<recordCount>3<");
    assert_found(&both, "the sources count too many records");
}

#[test]
fn records_of_another_source_are_found() {
    let wrong = unsealed().replacen(
        "<sourceName>linux</sourceName>\n<host",
        "<sourceName>lunix</sourceName>\n<host",
        1,
    );
    assert_found(
        &wrong,
        "1 records are of sources that the document does not name: lunix",
    );
    assert_found(&wrong, "the source linux counts 2 records, but 1 bear its name");
    let twice = unsealed().replace("<sourceName>cmts1<", "<sourceName>linux<");
    assert_found(&twice, "the source linux is named twice");
}

#[test]
fn a_doc_id_of_another_document_is_found() {
    let whole = unsealed();
    let time = whole.replace("docId=\"ED133218-", "docId=\"ED133219-");
    assert_found(&time, "is of another time than the creation time");
    let number = whole.replace("0000-0000-002A-", "0000-0000-002B-");
    assert_found(
        &number,
        "the sequence number is 42, but the docId ED133218-0000-0000-002B-00005E005310 says 43",
    );
}

#[test]
fn the_information_record_is_first_and_once() {
    let whole = unsealed();
    let begin = whole.find("<IPDR xsi").unwrap();
    let end = whole.find("</IPDR>\n").unwrap() + "</IPDR>\n".len();
    let information = &whole[begin..end];
    let last = whole.find("<IPDRDoc.End").unwrap();
    let without = format!("{}{}", &whole[..begin], &whole[end..]);
    assert_found(&without, "the first record is not the document information record");
    let moved = format!(
        "{}{}{information}{}",
        &whole[..begin],
        &whole[end..last],
        &whole[last..]
    );
    assert_found(&moved, "a document information record stands elsewhere than first");
    let doubled = format!("{}{information}{}", &whole[..end], &whole[end..]);
    assert_found(&doubled, "a document information record stands elsewhere than first");
    assert_found(
        &whole
            .replace(" billdrop.xsd", "")
            .replace(information, &information.repeat(2)),
        "elsewhere",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_no_finding_about_the_document() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::PermissionDenied.into())
        }
    }
    let findings = verify(std::io::BufReader::new(Broken), Limits::default()).unwrap_err();
    assert_eq!(findings[0].io, Some(std::io::ErrorKind::PermissionDenied));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_of_any_document_are_found(
        alias in any_text(2000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let good = document(Profile::Full, true, &[interface(1, "lo", Some(alias.as_str()))]);
        check(&good).unwrap();
        let mut changed = good.clone();
        for (at, bits) in changes {
            changed[at.index(good.len())] ^= bits;
        }
        prop_assume!(changed != good);
        prop_assert!(check(&changed).is_err());
    }

    #[test]
    fn octets_taken_out_or_put_in_are_found(
        begin in any::<prop::sample::Index>(), length in 0usize..200, more in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let good = good();
        let begin = begin.index(good.len());
        let end = (begin + length).min(good.len());
        let mut changed = good.clone();
        changed.splice(begin..end, more);
        prop_assume!(changed != good);
        match check(&changed) {
            Err(_) => {}
            Ok(verified) => prop_assert!(!verified.has_checksum && changed == good[..good.len() - 81]),
        }
    }
}
