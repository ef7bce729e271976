//! What is not a document is refused with its place, and whatever comes, memory stays small.

mod document_support;

use std::io::{BufReader, Read};

use billdrop::config::Profile;
use billdrop::document::{Limits, ReadError, Reader, verify};
use document_support::*;
use proptest::prelude::*;

fn good() -> String {
    String::from_utf8(document(Profile::Full, false, &[interface(2, "eth0", Some("uplink"))])).unwrap()
}

fn read(octets: &[u8]) -> Result<u64, ReadError> {
    read_with(octets, Limits::default())
}

fn read_with(input: impl Read, limits: Limits) -> Result<u64, ReadError> {
    let mut reader = Reader::new(BufReader::new(input), limits)?;
    loop {
        match reader.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(reader.records()),
            Err(error) => {
                assert_eq!(reader.next_record(), Err(error.clone()), "an error stays");
                return Err(error);
            }
        }
    }
}

/// The good document with `from` replaced by `to` must be refused on this line, with this reason.
#[track_caller]
fn assert_refused(from: &str, to: &str, line: u64, why: &str) {
    let good = good();
    assert!(good.contains(from), "{from}");
    let error = read(good.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(error.message.contains(why), "{error}");
    assert_eq!(error.line, line, "{error}");
    assert_eq!(error.io, None);
}

#[test]
fn an_error_names_line_and_column() {
    let bad = good().replace(
        "<ifAlias>uplink</ifAlias>\n",
        "<ifAlias>ü</ifAlias> <ifAlia>x</ifAlia>\n",
    );
    let error = read(bad.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 37, column 22: InterfaceUsage-Type has no field ifAlia"
    );
}

#[test]
fn what_is_no_xml_is_refused() {
    assert_refused(
        "<?xml ",
        "<!DOCTYPE IPDRDoc [<!ENTITY a \"b\">]><?xml ",
        1,
        "document type declaration",
    );
    assert_refused("uplink", "&nbsp;", 37, "the reference &nbsp; is not known");
    assert_refused("uplink", "a & b", 37, "reference not closed");
    assert_refused("uplink", "&#1;", 37, "U+0001");
    assert_refused("uplink", "&#xD800;", 37, "not known");
    assert_refused("uplink", "&#0;", 37, "not known");
    assert_refused("uplink", "up\u{1}link", 37, "U+0001");
    assert_refused("uplink", "]]>", 37, "]]>");
    assert_refused("uplink", "<!-- a -- b -->", 37, "`--`");
    assert_refused("uplink", "<?xml version=\"1.0\"?>", 37, "XML declaration");
    assert_refused("uplink", "<b>", 37, "an element b stands within ifAlias");
    assert_refused("</ifAlias>", "</ifName>", 37, "expected `</ifAlias>`");
    assert_refused("</ifAlias>\n", "", 37, "an element ifPhysAddress stands within ifAlias");
    assert_refused("version=\"3.1\"", "version=\"3.1\" version=\"3.1\"", 2, "duplicate");
    assert_refused("version=\"3.1\"", "version=\"3.1\"docid=\"1\"", 2, "white space");
    assert_refused("version=\"3.1\"", "version=3.1", 2, "");
    assert_refused("recorder1", "a<b", 2, "<");
    assert_refused("UTF-8", "ISO-8859-1", 1, "the encoding ISO-8859-1 is not known");
    assert_refused("version=\"1.0\"", "version=\"1.1\"", 1, "XML 1.1 is not known");
    assert_refused("<?xml", " <?xml", 1, "XML declaration");
    for declaration in [
        "version=\"1.0\"encoding=\"UTF-8\"",
        "encoding=\"UTF-8\" version=\"1.0\"",
        "encoding=\"UTF-8\"",
        "version=\"1.0\" standalone=\"maybe\"",
        "version=\"1.0\" version=\"1.0\"",
        "version=1.0",
        "",
    ] {
        assert_refused(
            "version=\"1.0\" encoding=\"UTF-8\"",
            declaration,
            1,
            "declaration is not well-formed",
        );
    }
}

#[test]
fn what_is_not_utf_8_is_refused() {
    let mut octets = good().into_bytes();
    let at = octets.windows(6).position(|octets| octets == b"uplink").unwrap();
    octets[at] = 0xFF;
    let error = read(&octets).unwrap_err();
    assert_eq!(
        (error.line, error.message.as_str()),
        (37, "the text from here on is not UTF-8")
    );
    let utf_16: Vec<u8> = good().encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(read(&utf_16).is_err());
    assert!(read(&[&[0xFF, 0xFE], &utf_16[..]].concat()).is_err());
}

#[test]
fn other_spellings_of_the_same_document_are_read() {
    let good = good();
    let marked = format!("\u{FEFF}{good}");
    assert_eq!(read(marked.as_bytes()), Ok(2));
    let octet_by_octet = Reader::new(BufReader::with_capacity(1, marked.as_bytes()), Limits::default());
    assert!(octet_by_octet.is_ok());
    for (from, to) in [
        ("UTF-8", "us-ascii"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", ""),
        (
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<?xml version='1.0'?><!-- c --><?p i?>",
        ),
        ("namespaces/ipdr\"", "namespaces/IPDR\""),
        ("\n", "\r\n"),
        ("xsi", "i"),
        ("\"InterfaceUsage-Type\"", "\" InterfaceUsage-Type \""),
        ("<ifIndex>2<", "<ifIndex> 2\n<"),
        ("uplink", "<![CDATA[up]]><!-- -->li&#110;k"),
        ("\" version", "\"\n\n\tversion"),
        (
            "endTime=\"2026-01-15T09:30:01.250Z\"/>",
            "endTime='2026-01-15T09:30:01.250Z'><!-- --> </IPDRDoc.End >",
        ),
    ] {
        let other = good.replace(from, to);
        assert_eq!(records(other.as_bytes()), records(good.as_bytes()), "{from} → {to}");
    }
    let prefixed = good
        .replace("<IPDR", "<p:IPDR")
        .replace("</IPDR", "</p:IPDR")
        .replace("xmlns=", "xmlns:p=\"http://www.ipdr.org/namespaces/ipdr\" xmlns=")
        .replace("xsi:type=\"", "xsi:type=\"p:");
    assert_eq!(records(prefixed.as_bytes()), records(good.as_bytes()));
}

#[test]
fn line_ends_in_texts_are_those_of_xml() {
    let read = |alias: &str| records(good().replace("uplink", alias).as_bytes())[1].values[5].clone();
    assert_eq!(read("a\r\nb\rc\nd"), text("a\nb\nc\nd").into());
    assert_eq!(read("a&#13;&#10;b"), text("a\r\nb").into());
    assert_eq!(read("  a\t"), text("  a\t").into());
}

#[test]
fn what_is_no_ipdr_is_refused() {
    assert_refused("namespaces/ipdr\"", "namespaces/other\"", 2, "is not in the namespace");
    assert_refused("xmlns=", "xmlns:p=", 2, "is not in the namespace");
    assert_refused("docId", "docid", 2, "the attribute docid of IPDRDoc is not known");
    assert_refused("ED133218-", "ED13321-", 2, "docId: not a docId");
    assert_refused(
        "docId=\"ED133218-0000-0000-002A-00005E005310\"",
        "",
        2,
        "the document has no docId",
    );
    assert_refused(
        "creationTime=\"2026-01-15T09:30:00Z\"",
        "",
        2,
        "the document has no creationTime",
    );
    assert_refused("version=\"3.1\"", "version=\"4.0\"", 2, "IPDR 4.0 is not known");
    assert_refused(
        "version=\"3.1\"",
        "x:version=\"3.1\"",
        2,
        "the attribute x:version is not known",
    );
    assert_refused(
        "<IPDR ",
        "text<IPDR ",
        10,
        "an element is expected, not the text \"text\"",
    );
    assert_refused("<IPDR ", "&#32;x<IPDR ", 10, "an element is expected");
    assert_refused("<IPDR ", "<IPDRx/><IPDR ", 10, "the element IPDRx is not known here");
    assert_refused(
        "DocumentInformation-Type",
        "Other-Type",
        10,
        "the record type \"Other-Type\" is not known",
    );
    assert_refused(
        " xsi:type=\"DocumentInformation-Type\"",
        "",
        10,
        "the record does not say its xsi:type",
    );
    assert_refused(
        "<IPDR xsi:",
        "<IPDR a=\"b\" xsi:",
        10,
        "the attribute a of IPDR is not known",
    );
    assert_refused(
        "<sequenceNumber>42",
        "<sequenceNumber>-1",
        12,
        "sequenceNumber: a number from 0 to 184467440737",
    );
    assert_refused(
        "<capturesSkipped>",
        "<capturesSkipped b=\"\">",
        17,
        "the attribute b of capturesSkipped is not known",
    );
    assert_refused(
        "<ifIndex>2<",
        "<ifIndex>4294967296<",
        35,
        "ifIndex: a number from 0 to 4294967295 is expected",
    );
    assert_refused("<ifIndex>2<", "<ifIndex><", 35, "ifIndex: a number");
    assert_refused("<ifIndex>2</ifIndex>\n", "", 31, "the field ifIndex is missing");
    assert_refused(
        "<ifIndex>2</ifIndex>",
        "<ifIndex>2</ifIndex><ifIndex>2</ifIndex>",
        35,
        "ifIndex is repeated",
    );
    assert_refused(
        "<recordCount>0</recordCount>\n",
        "",
        24,
        "sourceStatus: the field recordCount is missing",
    );
    assert_refused(
        "<state>failed<",
        "<state>fallen<",
        26,
        "one of complete, incomplete, failed is expected",
    );
    assert_refused(
        "uplink",
        &"ü".repeat(65_537),
        37,
        "65537 characters, at most 65536 are allowed",
    );
    assert_refused(" count=\"2\"", "", 51, "IPDRDoc.End has no count");
    assert_refused("01.250Z\"/>", "01.250Z\">x</IPDRDoc.End>", 51, "an element is expected");
    assert_refused(
        "<IPDRDoc.End count=\"2\" endTime=\"2026-01-15T09:30:01.250Z\"/>\n",
        "",
        51,
        "no IPDRDoc.End",
    );
    assert_refused(
        "</IPDRDoc>",
        "<IPDR/></IPDRDoc>",
        52,
        "something stands behind IPDRDoc.End",
    );
    assert_refused(
        "</IPDRDoc>",
        "</IPDRDoc><IPDRDoc/>",
        52,
        "something stands behind the document",
    );
    assert_refused("</IPDRDoc>", "</IPDRDoc>x", 52, "an element is expected");
    assert_refused("</IPDRDoc>", "</IPDRDoc>&#32;", 52, "outside of the document");
    assert_refused("</IPDRDoc>", "</IPDRDoc><![CDATA[]]>", 52, "outside of the document");
    assert_refused("</IPDRDoc>\n", "", 52, "the input ends before the end of the document");
    for none in ["", " ", "<!-- -->", "IPDRDoc", "{}", "<a/>", "\0"] {
        assert!(read(none.as_bytes()).is_err(), "{none}");
    }
}

/// Begins a document, then repeats a piece as long as anybody reads, up to what no test may take.
struct Endless {
    begin: Vec<u8>,
    piece: Vec<u8>,
    taken: u64,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.taken > 64 << 20 {
            return Err(std::io::Error::other("far too much was read"));
        }
        let begin = self.begin.len() as u64;
        for octet in into.iter_mut() {
            *octet = match self.begin.get(self.taken as usize) {
                Some(octet) => *octet,
                None => self.piece[((self.taken - begin) % self.piece.len() as u64) as usize],
            };
            self.taken += 1;
        }
        Ok(into.len())
    }
}

/// What is read before the error is all that can be held in memory.
#[test]
fn endless_input_is_refused_soon() {
    let whole = good();
    let until = |mark: &str| whole[..whole.find(mark).unwrap() + mark.len()].to_owned();
    let in_records = until("version=\"3.1\">\n");
    let in_alias = until("<ifAlias>");
    for (begin, piece, why) in [
        ("", "x", "octets"),
        ("", " ", "octets"),
        ("<", "a", "octets"),
        ("<!--", "a", "octets"),
        ("<?p ", "a", "octets"),
        ("<IPDRDoc a=\"", "a", "octets"),
        ("<IPDRDoc", " xmlns:a=\"b\"", "octets"),
        ("<IPDRDoc ", "\n", "octets"),
        (&until("recorder1"), "&amp;", "octets"),
        (&in_records, " ", "octets"),
        (&in_records, "&#32;", "octets"),
        (&in_records, "<![CDATA[ ]]>", "octets"),
        (&in_records, "<IPDR>", "xsi:type"),
        (&in_records, "<IPDR xsi:type=\"InterfaceUsage-Type\">", "no field IPDR"),
        (&in_alias, "x", "octets"),
        (&in_alias, "&lt;", "octets"),
        (&in_alias, "&#x1D11E;", "octets"),
        (&in_alias, "<![CDATA[x]]>", "octets"),
        (&until("&lt;within&gt;"), "&", "reference"),
        (&(in_alias.clone() + "&"), "a", "octets"),
        (
            &until("<recorderSoftware>billdrop 0.1.0</recorderSoftware>\n"),
            "<sourceStatus><sourceName/><state>failed</state><recordCount>0</recordCount></sourceStatus>",
            "the record has more octets than allowed",
        ),
    ] {
        let mut endless = Endless {
            begin: begin.into(),
            piece: piece.into(),
            taken: 0,
        };
        let error = read_with(&mut endless, Limits::default()).unwrap_err();
        assert!(error.message.contains(why), "{begin}{piece}: {error}");
        // A character reference has more octets than its character.
        assert!(endless.taken < 20 << 20, "{begin}{piece}: {} octets", endless.taken);
    }
}

#[test]
fn the_limits_are_those_that_were_set() {
    let good = good();
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        read_with(good.as_bytes(), limits).map_err(|error| error.message)
    };
    assert_eq!(limits(|limits| limits.text = 64), Ok(2));
    assert_eq!(
        limits(|limits| limits.text = 15),
        Err("a text has more than 15 octets".to_owned())
    );
    assert_eq!(
        limits(|limits| limits.tag = 100),
        Err("an element with its attributes has more than 100 octets".to_owned())
    );
    assert_eq!(limits(|limits| limits.depth = 4), Ok(2));
    assert_eq!(
        limits(|limits| limits.depth = 3),
        Err("elements are nested deeper than 3".to_owned())
    );
    assert_eq!(
        limits(|limits| limits.record = 100),
        Err("the record has more octets than allowed".to_owned())
    );
    assert!(limits(|limits| limits.text = usize::MAX).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&octets).is_err());
        prop_assert!(verify(&octets[..], Limits::default()).is_err());
    }

    #[test]
    fn garbage_of_xml_is_read_without_a_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<", ">", "/>", "</", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "&", ";", "&#", "\"", "'", "=", " ", "\n",
            "xml", "IPDRDoc", "IPDR", "IPDRDoc.End", "xsi:type", "xmlns", "xmlns:", ":", "a", "1", "<!DOCTYPE", "[", "]",
            "<IPDR xsi:type=\"DOCSIS-Type\">", "</IPDR>", "<sourceStatus>", "\u{FEFF}", "ü",
        ]), 0..40),
        at in any::<prop::sample::Index>(),
        cut in 0usize..60,
    ) {
        let mut octets = good().into_bytes();
        let begin = at.index(octets.len());
        let end = (begin + cut).min(octets.len());
        octets.splice(begin..end, pieces.concat().into_bytes());
        let _ = read(&octets);
        let _ = verify(&octets[..], Limits::default());
        let _ = read(pieces.concat().as_bytes());
    }

    /// What our reader takes, libxml2 takes.
    #[test]
    fn what_is_read_is_well_formed(
        change in prop::sample::select(vec!["<", ">", "&", "&#10;", "\"", "]]>", "--", " ", "<!-- x -->", "<?a b?>", "=", "\u{7}", "<a/>", "'", "\t", "/", "x"]),
        at in any::<prop::sample::Index>(),
        length in 0usize..3,
    ) {
        let mut octets = good().into_bytes();
        let begin = at.index(octets.len());
        let end = (begin + length).min(octets.len());
        octets.splice(begin..end, change.bytes());
        if read(&octets).is_ok() {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &octets).unwrap();
            let said = std::process::Command::new("xmllint")
                .args(["--nonet", "--noout"])
                .arg(file.path())
                .output()
                .expect("xmllint is needed: apt-get install libxml2-utils");
            prop_assert!(said.status.success(), "{}\n{}", String::from_utf8_lossy(&said.stderr), String::from_utf8_lossy(&octets));
        }
    }
}
