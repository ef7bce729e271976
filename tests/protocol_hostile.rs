//! What a device may answer at worst: cut off, bombs, wrong encodings, garbage. Whatever comes is refused within limits,
//! and nothing that is cut off passes for whole.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read};

use billdrop::protocol::{axl, cms, fuzz};
use proptest::prelude::*;

/// Reads an answer and drops what it says.
type Reads = fn(&mut dyn BufRead) -> Result<(), String>;

fn told<T, E: ToString>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

/// Every reader with an answer that it takes.
const READERS: [(&str, Reads, &str); 11] = [
    (
        "rows",
        |input| told(axl::read_rows(input, &mut |_| Ok(()))),
        include_str!("../fixtures/axl/reply_LicenseTotals_11.5.xml"),
    ),
    (
        "version",
        |input| told(axl::read_ccm_version(input)),
        include_str!("../fixtures/axl/reply_getCCMVersion_14.0.xml"),
    ),
    (
        "devices",
        |input| told(axl::read_num_devices(input)),
        include_str!("../fixtures/axl/reply_getNumDevices_14.0.xml"),
    ),
    (
        "smart licences",
        |input| told(axl::read_smart_license_status(input)),
        include_str!("../fixtures/axl/reply_getSmartLicenseStatus_14.0.xml"),
    ),
    (
        "users",
        |input| told(axl::read_licensed_users(input, &mut |_| Ok(()))),
        "<E><Body><listLicensedUserResponse><return><licensedUser><userId>a</userId></licensedUser></return>\
         </listLicensedUserResponse></Body></E>",
    ),
    (
        "fault",
        |input| {
            let mut octets = Vec::new();
            input
                .take(4 << 20)
                .read_to_end(&mut octets)
                .map_err(|error| error.to_string())?;
            axl::read_fault(&octets).map(drop).ok_or_else(|| "no fault".to_owned())
        },
        include_str!("../fixtures/axl/fault_query_too_large.xml"),
    ),
    (
        "spaces",
        |input| told(cms::read_co_spaces(input, &mut |_| Ok(()))),
        include_str!("../fixtures/cms/coSpaces_page1of2.xml"),
    ),
    (
        "space",
        |input| told(cms::read_co_space(input)),
        include_str!("../fixtures/cms/coSpace_detail.xml"),
    ),
    (
        "status",
        |input| told(cms::read_status(input)),
        include_str!("../fixtures/cms/system_status.xml"),
    ),
    (
        "licences",
        |input| told(cms::read_multiparty_licensing(input)),
        include_str!("../fixtures/cms/system_multipartyLicensing.xml"),
    ),
    (
        "history",
        |input| told(cms::read_license_usage(input, &mut |_| Ok(()))),
        include_str!("../fixtures/cms/system_MPLicenseUsage.xml"),
    ),
];

fn good(reader: usize) -> String {
    let (_, _, good) = READERS[reader];
    good.replace("<E>", "<Envelope>").replace("</E>", "</Envelope>")
}

/// The second half of a good answer begins here, within an element that has a text.
fn middle(good: &str) -> usize {
    let text = good
        .rmatch_indices("</")
        .find(|(at, _)| good[..*at].ends_with(|c: char| c.is_ascii_graphic() && c != '>'));
    text.unwrap().0
}

/// An input that never ends: `begin`, and then `piece` again and again.
struct Endless {
    begin: Vec<u8>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        for octet in into.iter_mut() {
            *octet = match self.begin.get(self.taken) {
                Some(octet) => *octet,
                None => self.piece[(self.taken - self.begin.len()) % self.piece.len()],
            };
            self.taken += 1;
        }
        Ok(into.len())
    }
}

#[test]
fn good_answers_are_read_however_their_octets_come() {
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        for size in [1, 7, 8192] {
            read(&mut BufReader::with_capacity(size, good.as_bytes()))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let marked = format!("\u{FEFF}{}", good.replace('\n', "\r\n"));
        read(&mut marked.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_answer_that_is_cut_off_anywhere_is_an_error() {
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        let whole = good.trim_end().len();
        for end in 0..whole {
            assert!(
                read(&mut &good.as_bytes()[..end]).is_err(),
                "{name}: the first {end} octets"
            );
        }
        assert_eq!(read(&mut &good.as_bytes()[..whole]), Ok(()), "{name}");
    }
}

#[test]
fn entities_are_never_expanded() {
    let laughs =
        "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c SYSTEM \"file:///etc/passwd\">]>";
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        let (declaration, rest) = good
            .split_once('\n')
            .filter(|(line, _)| line.starts_with("<?xml"))
            .unwrap_or(("", &good));
        let error = read(&mut format!("{declaration}{laughs}{rest}").as_bytes()).unwrap_err();
        assert!(error.contains("document type") || name == "fault", "{name}: {error}");
        for reference in ["&b;", "&c;", "&nbsp;"] {
            let (begin, end) = good.split_at(middle(&good));
            let error = read(&mut format!("{begin}{reference}{end}").as_bytes()).unwrap_err();
            assert!(error.contains("is not known") || name == "fault", "{name}: {error}");
        }
    }
}

#[test]
fn other_encodings_are_refused() {
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        let (begin, end) = good.split_at(middle(&good));
        let latin_1 = [begin.as_bytes(), b"Caf\xE9", end.as_bytes()].concat();
        let error = read(&mut &latin_1[..]).unwrap_err();
        assert!(error.contains("not UTF-8") || name == "fault", "{name}: {error}");
        let overlong = [begin.as_bytes(), b"\xC0\xBC", end.as_bytes()].concat();
        assert!(read(&mut &overlong[..]).is_err(), "{name}");
        let body = good
            .split_once('\n')
            .filter(|(line, _)| line.starts_with("<?xml"))
            .map_or(&*good, |(_, body)| body);
        let declared = format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{body}");
        let error = read(&mut declared.as_bytes()).unwrap_err();
        assert!(
            error.contains("the encoding ISO-8859-1 is not known") || name == "fault",
            "{name}: {error}"
        );
        let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf_16_be: Vec<u8> = good.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for octets in [
            &utf_16,
            &utf_16_be,
            &[&[0xFF, 0xFE], &utf_16[..]].concat(),
            &[&[0xFE, 0xFF], &utf_16_be[..]].concat(),
        ] {
            assert!(read(&mut &octets[..]).is_err(), "{name}");
        }
    }
}

#[test]
fn what_never_ends_is_refused_after_some_megabytes() {
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        let (in_text, _) = good.split_at(middle(&good));
        let in_tag = format!("{}<new ", &good[..good.rfind("</").unwrap()]);
        for (begin, piece) in [
            (String::new(), " "),
            (String::new(), "<"),
            (String::new(), "<a>"),
            (String::new(), "<!--"),
            (String::new(), "\u{FEFF}"),
            (in_text.to_owned(), "x"),
            (in_text.to_owned(), "&amp;"),
            (in_text.to_owned(), "&"),
            (in_text.to_owned(), "<![CDATA[ ]]>"),
            (in_text.to_owned(), "<a>"),
            (in_text.to_owned() + "<!--", "x"),
            (in_text.to_owned() + "<?p ", "x"),
            (in_text.to_owned() + "<![CDATA[", "x"),
            (in_tag.clone(), "x"),
            (in_tag.clone(), "a='' "),
            (in_tag.clone(), "xmlns:a='b' "),
            (in_tag.clone() + "a='", "x"),
            (in_tag.clone() + "a='", "&lt;"),
        ] {
            let endless = Endless {
                begin: begin.clone().into_bytes(),
                piece: piece.into(),
                taken: 0,
            };
            let mut input = BufReader::new(endless);
            assert!(read(&mut input).is_err(), "{name}: {piece}");
            let taken = input.get_ref().taken;
            // A CDATA section has more octets than its text.
            assert!(taken < 20 << 20, "{name}: {taken} octets of {piece:?} after {begin:?}");
        }
    }
}

/// What has no item ends at a megabyte, however it is filled. Lists of items go on: their octets are limited by whoever
/// receives them.
#[test]
fn an_item_has_a_limit_of_its_own() {
    let spaces = "<coSpaces total=\"1\"><coSpace id=\"a\">";
    let rows = "<Envelope><Body><executeSQLQueryResponse><return><row>";
    let smart = "<Envelope><Body><getSmartLicenseStatusResponse><LicenseDetails><LicenseStatus>";
    for (begin, piece) in [
        (spaces, "<new>xxxxxxxxxxxxxxxxxxxxxxxxx</new>"),
        (rows, &format!("<a>{}</a>", "x".repeat(5000))),
        (smart, "<Entitlement/>"),
        ("<status>", "<new/>"),
        ("<failureDetails>", "<a/>"),
        ("<Envelope><Body><Fault><detail>", "<a/>"),
    ] {
        for (name, read, _) in READERS {
            let endless = Endless {
                begin: begin.into(),
                piece: piece.into(),
                taken: 0,
            };
            let mut input = BufReader::new(endless.take(16 << 20));
            assert!(read(&mut input).is_err(), "{name}: {begin}{piece}");
        }
        let mut input = BufReader::new(Endless {
            begin: begin.into(),
            piece: piece.into(),
            taken: 0,
        });
        let error = match begin {
            _ if begin == spaces => told(cms::read_co_spaces(&mut input, &mut |_| Ok(()))),
            _ if begin == rows => told(axl::read_rows(&mut input, &mut |_| Ok(()))),
            _ if begin == smart => told(axl::read_smart_license_status(&mut input)),
            "<Envelope><Body><Fault><detail>" => told(axl::read_num_devices(&mut input)),
            _ => told(cms::read_status(&mut input)),
        };
        assert!(
            error
                .as_ref()
                .is_err_and(|error| error.contains("more than 1048576 octets")),
            "{begin}: {error:?}"
        );
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (reader, (name, read, _)) in READERS.into_iter().enumerate() {
        let good = good(reader);
        let (begin, end) = good.split_at(good.rfind("</").unwrap());
        for depth in [20, 100_000] {
            let nested = format!("{begin}{}{}{end}", "<a>".repeat(depth), "</a>".repeat(depth));
            let error = read(&mut nested.as_bytes()).unwrap_err();
            assert!(
                error.contains("nested deeper than 16") || name == "fault",
                "{name}: {error}"
            );
        }
    }
}

/// One row of a query's result.
fn row_of(columns: &[(String, String)]) -> axl::Row {
    columns
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone()).filter(|value| !value.is_empty())))
        .collect()
}

fn escaped(text: &str, way: u8) -> String {
    match way % 3 {
        0 => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\r', "&#13;"),
        1 => text.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect(),
        // A section cannot hold its own end, nor a carriage return.
        _ => {
            let text = text
                .replace("]]>", "]]]]><![CDATA[>")
                .replace('\r', "]]>&#13;<![CDATA[");
            format!("<![CDATA[{text}]]>")
        }
    }
}

/// Texts that XML can hold, with what is special in it.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        Just('&'),
        Just('<'),
        Just('>'),
        Just(']'),
        Just('"'),
        Just('\n'),
        Just('\r'),
        Just('\t'),
        Just(' '),
        Just(';'),
        Just('#'),
        prop::char::range(' ', '~'),
        prop::char::range('\u{A0}', '\u{D7FF}'),
        prop::char::range('\u{10000}', '\u{10FFFF}'),
    ];
    prop::collection::vec(character, 0..30).prop_map(|characters| characters.into_iter().collect())
}

#[track_caller]
fn same<T: PartialEq + Debug>(found: T, expected: T) -> Result<(), TestCaseError> {
    prop_assert_eq!(found, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_come_as_they_were_sent(
        rows in prop::collection::vec(prop::collection::vec(("[a-z_][a-z0-9_.-]{0,20}", text()), 0..6), 0..6),
        way in any::<u8>(),
    ) {
        let written: String = rows.iter().map(|row| {
            let columns = row.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value, way)));
            format!("<row>{}</row>", columns.collect::<String>())
        }).collect();
        let reply = format!("<s:Envelope xmlns:s='s'><s:Body><n:executeSQLQueryResponse xmlns:n='n'><return>{written}</return>\
                             </n:executeSQLQueryResponse></s:Body></s:Envelope>");
        let mut read = Vec::new();
        axl::read_rows(reply.as_bytes(), &mut |row| { read.push(row); Ok(()) }).unwrap();
        same(read, rows.iter().map(|row| row_of(row)).collect())?;
    }

    #[test]
    fn names_of_spaces_come_as_they_were_sent(name in text(), tag in text(), way in any::<u8>()) {
        let answer = format!("<coSpace id='a'><cdrTag>{}</cdrTag><name>{}</name></coSpace>", escaped(&tag, way), escaped(&name, way >> 4));
        let space = cms::read_co_space(answer.as_bytes()).unwrap();
        same(space.name.unwrap_or_default(), name)?;
        same(space.cdr_tag.unwrap_or_default(), tag)?;
    }

    #[test]
    fn a_query_arrives_as_it_was_meant(query in text(), class in text()) {
        let sent = axl::Call::Sql { query: &query }.envelope(axl::Version::KNOWN[0]);
        let echo = String::from_utf8(sent).unwrap().replace("executeSQLQuery>", "executeSQLQueryResponse>")
            .replacen("<sql>", "<return><row><sql>", 1).replace("</sql></ns:", "</sql></row></return></ns:");
        let mut read = Vec::new();
        axl::read_rows(echo.as_bytes(), &mut |row| { read.push(row); Ok(()) }).unwrap();
        same(read, vec![row_of(&[("sql".to_owned(), query)])])?;
        let sent = String::from_utf8(axl::Call::NumDevices { class: &class }.envelope(axl::Version::KNOWN[1])).unwrap();
        prop_assert_eq!(sent.matches("<class>").count(), 1);
    }

    #[test]
    fn garbage_is_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz::axl_reply(&octets);
        fuzz::axl_fault(&octets);
        fuzz::cms_answer(&octets);
        fuzz::gatekeeper_status(&octets);
        fuzz::devices_csv(&octets);
        for (name, read, _) in READERS {
            prop_assert!(read(&mut &octets[..]).is_err(), "{}", name);
        }
    }

    #[test]
    fn changed_answers_are_read_without_a_panic(
        reader in 0..READERS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, prop_oneof![
            prop::sample::select(vec![
                "<", ">", "/>", "</", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "&", ";", "&#", "\"", "'", "=", " ", "\n",
                "xml", "Envelope", "Body", "Fault", "row", "return", "coSpace", "xmlns", "xmlns:", "xsi:nil=\"true\"", ":", "a",
                "1", "<!DOCTYPE", "\u{FEFF}", "ü", "\u{1}", "<row>", "</row>", "<detail>", "total=\"1\"", "id=\"\"",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ]), 1..6),
    ) {
        let mut octets = good(reader).into_bytes();
        for (at, cut, piece) in changes {
            let begin = at.index(octets.len().max(1)).min(octets.len());
            let end = (begin + cut).min(octets.len());
            octets.splice(begin..end, piece);
        }
        fuzz::axl_reply(&octets);
        fuzz::axl_fault(&octets);
        fuzz::cms_answer(&octets);
    }

    #[test]
    fn a_changed_recording_of_a_gatekeeper_is_read_without_a_panic(
        file in 0..FEEDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..60, prop_oneof![
            prop::sample::select(vec![
                "BD1|", "\r\n", "\n", "\r", "|", ".", ";", "CDR|", "\r\nBD1|stop|", "061fcb16-eee4-f111-91e3-02fc00000001", "%{u}",
                "2026-11-22 15:24:26: ", "\r\nVersion:\r\n", " login: ", "Password: ", "\r\nStartup: ", "Total Calls: 99999999999999999999",
            ]).prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ]), 1..6),
    ) {
        let path = format!("{}/fixtures/gnugk/{}", env!("CARGO_MANIFEST_DIR"), FEEDS[file]);
        let mut octets = std::fs::read(path).unwrap();
        for (at, cut, piece) in changes {
            let begin = at.index(octets.len().max(1)).min(octets.len());
            let end = (begin + cut).min(octets.len());
            octets.splice(begin..end, piece);
        }
        fuzz::gatekeeper_status(&octets);
    }
}

const FEEDS: [&str; 3] = [
    "feed-answered-cr-in-alias.bin",
    "feed-rejected.bin",
    "feed-register-unregister.bin",
];
