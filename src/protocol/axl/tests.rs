//! Replies of AXL, good and bad.

use super::*;

const ROWS: &str = include_str!("../../../fixtures/axl/reply_LicenseTotals_11.5.xml");
const VERSION: &str = include_str!("../../../fixtures/axl/reply_getCCMVersion_14.0.xml");
const DEVICES: &str = include_str!("../../../fixtures/axl/reply_getNumDevices_14.0.xml");
const SMART: &str = include_str!("../../../fixtures/axl/reply_getSmartLicenseStatus_14.0.xml");
const TOO_LARGE: &str = include_str!("../../../fixtures/axl/fault_query_too_large.xml");
const MEMORY: &str = include_str!("../../../fixtures/axl/fault_memory_consumed.xml");
const USER_RANK: &str = include_str!("../../../fixtures/axl/fault_user_rank_5003.xml");

fn rows(reply: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let number = read_rows(reply.as_bytes(), &mut |row| {
        rows.push(row);
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    assert_eq!(number, rows.len() as u64);
    Ok(rows)
}

/// A reply with these rows.
fn with_rows(rows: &str) -> String {
    in_body(&format!(
        "<r:executeSQLQueryResponse xmlns:r=\"x\"><return>{rows}</return></r:executeSQLQueryResponse>"
    ))
}

fn in_body(body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header/><e:Body>{body}</e:Body></e:Envelope>"
    )
}

fn row(columns: &[(&str, Option<&str>)]) -> Row {
    columns
        .iter()
        .map(|(name, value)| (name.to_string(), value.map(str::to_owned)))
        .collect()
}

#[test]
fn every_row_comes_with_its_columns() {
    let rows = rows(ROWS).unwrap();
    assert_eq!(rows.len(), 11);
    assert_eq!(rows[0], row(&[("name", Some("CUWL Standard")), ("value", Some("12"))]));
    assert_eq!(rows[10], row(&[("name", Some("Elm")), ("value", Some("elm-demo"))]));
}

#[test]
fn one_row_is_as_many_and_none_is_no_error() {
    assert_eq!(
        rows(&with_rows("<row><n>1</n></row>")),
        Ok(vec![row(&[("n", Some("1"))])])
    );
    assert_eq!(rows(&with_rows("")), Ok(vec![]));
    assert_eq!(
        rows(&with_rows("").replace("<return></return>", "<return/>")),
        Ok(vec![])
    );
    assert_eq!(rows(&with_rows("<row/>")), Ok(vec![row(&[])]));
}

#[test]
fn null_is_empty_with_or_without_nil() {
    let reply = with_rows(
        "<row xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><a xsi:nil=\"true\"/><b/><c></c><d xsi:nil=\"1\"> </d>\
         <e> </e></row>",
    );
    let expected = row(&[("a", None), ("b", None), ("c", None), ("d", None), ("e", Some(" "))]);
    assert_eq!(rows(&reply), Ok(vec![expected]));
}

#[test]
fn all_pieces_of_a_text_are_kept_and_none_is_unescaped_twice() {
    let reply = with_rows("<row><a>R&amp;D<!-- x --> Caf&#233;<![CDATA[ <b>&amp;]]><?p i?>&amp;amp;\r\nend</a></row>");
    assert_eq!(
        rows(&reply),
        Ok(vec![row(&[("a", Some("R&D Café <b>&amp;&amp;\nend"))])])
    );
}

#[test]
fn a_sink_that_fails_ends_the_reading_as_itself() {
    let error = read_rows(ROWS.as_bytes(), &mut |_| Err(std::io::Error::other("the disk is full"))).unwrap_err();
    assert!(
        matches!(&error, ReplyError::Sink(error) if error.to_string() == "the disk is full"),
        "{error}"
    );
}

#[test]
fn an_input_that_fails_ends_the_reading_with_its_own_error() {
    #[derive(Debug, thiserror::Error)]
    #[error("the time is up")]
    struct TimeIsUp;
    struct Late<'a>(&'a [u8]);
    impl std::io::Read for Late<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, TimeIsUp)),
                octets => Ok(octets),
            }
        }
    }
    let late = std::io::BufReader::with_capacity(100, Late(&ROWS.as_bytes()[..500]));
    let error = read_rows(late, &mut |_| Ok(())).unwrap_err();
    let ReplyError::Input(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(error.get_ref().is_some_and(|error| error.is::<TimeIsUp>()), "{error:?}");
}

#[test]
fn the_version_and_the_number_of_devices_are_read() {
    assert_eq!(read_ccm_version(VERSION.as_bytes()).unwrap(), "14.0.1.12900(7)");
    assert_eq!(read_num_devices(DEVICES.as_bytes()).unwrap(), 525);
    assert_eq!(
        read_num_devices(DEVICES.replace("525", " 525\n").as_bytes()).unwrap(),
        525
    );
    for wrong in ["", "-1", "5 2", "1.0", "18446744073709551616", "<a/>"] {
        let error = read_num_devices(DEVICES.replace("525", wrong).as_bytes()).unwrap_err();
        assert!(matches!(error, ReplyError::Malformed(_)), "{wrong}: {error}");
    }
    for wrong in [
        "",
        "<version/>",
        "<version> </version>",
        "<version>1</version><version>2</version>",
    ] {
        let reply = VERSION.replace("<version>14.0.1.12900(7)</version>", wrong);
        assert!(read_ccm_version(reply.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_smart_licence_status_is_read_in_the_order_of_the_schema() {
    let licenses = read_smart_license_status(SMART.as_bytes()).unwrap();
    let names: Vec<&str> = licenses.details.iter().map(|(name, _)| name.as_str()).collect();
    // The two reasons for a failure are empty.
    assert_eq!(licenses.details.len(), 16);
    assert_eq!(
        names[..3],
        ["SmartLicensing", "Registration.Status", "Registration.SmartAccount"]
    );
    assert_eq!(licenses.details[1].1, "REGISTERED");
    assert_eq!(
        licenses.details[15],
        ("Authorization.EvaluationPeriodRemaining".to_owned(), "0".to_owned())
    );
    assert_eq!(licenses.entitlements.len(), 2);
    assert_eq!(licenses.entitlements[1].count, Some(34));
    assert_eq!(licenses.entitlements[1].status.as_deref(), Some("InCompliance"));
    let none = SMART.replace("LicenseDetails", "Other");
    let error = read_smart_license_status(none.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("has no LicenseDetails"), "{error}");
    let wrong = SMART.replace("<Count>34<", "<Count>many<");
    let error = read_smart_license_status(wrong.as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("line 2") && error.to_string().contains("Count must be"),
        "{error}"
    );
}

#[test]
fn licensed_users_come_one_by_one() {
    let reply = in_body(
        "<r:listLicensedUserResponse xmlns:r=\"x\"><return><licensedUser uuid=\"{1}\"><userId>anna</userId><new>x</new>\
         <deviceCount>2</deviceCount><licenseType/><licenseUsed>Enhanced</licenseUsed></licensedUser>\
         <licensedUser/></return></r:listLicensedUserResponse>",
    );
    let mut users = Vec::new();
    let number = read_licensed_users(reply.as_bytes(), &mut |user| {
        users.push(user);
        Ok(())
    });
    assert_eq!(number.unwrap(), 2);
    let anna = LicensedUser {
        user_id: Some("anna".to_owned()),
        device_count: Some("2".to_owned()),
        license_used: Some("Enhanced".to_owned()),
        ..LicensedUser::default()
    };
    assert_eq!(users, [anna, LicensedUser::default()]);
}

#[test]
fn known_faults_have_a_meaning() {
    let too_large = Meaning::TooLarge {
        matched: Some(51200),
        fewer_than: Some(9300),
    };
    for (reply, code, meaning) in [
        (TOO_LARGE, -1, too_large),
        (&TOO_LARGE.replace("Suggestive", "suggested"), -1, too_large),
        (&TOO_LARGE.replace("9300", "9,300"), -1, too_large),
        (MEMORY, -1, Meaning::Memory),
        (
            &MEMORY.to_string().replace("Maximum AXL", "maximum axl"),
            -1,
            Meaning::Memory,
        ),
        (USER_RANK, 5003, Meaning::UserRank),
        (&USER_RANK.replace("5003", "5007"), 5007, Meaning::NotFound),
        (&USER_RANK.replace("5003", " 11617\n"), 11617, Meaning::Duplicate),
        (&USER_RANK.replace("5003", "5000"), 5000, Meaning::Other),
    ] {
        let fault = read_fault(reply.as_bytes()).unwrap();
        assert_eq!((fault.code, fault.meaning), (Some(code), meaning), "{reply}");
    }
    let fault = read_fault(MEMORY.as_bytes()).unwrap();
    assert!(fault.text.starts_with("Maximum AXL Memory"), "{}", fault.text);
    assert_eq!(fault.request.as_deref(), Some("executeSQLQuery"));
    assert!(fault.to_string().ends_with("(axlcode -1)"), "{fault}");
}

#[test]
fn a_suggestion_that_is_no_number_is_none() {
    let reply = TOO_LARGE
        .replace("51200", "99999999999999999999")
        .replace("9300", "some");
    let meaning = Meaning::TooLarge {
        matched: None,
        fewer_than: None,
    };
    assert_eq!(read_fault(reply.as_bytes()).unwrap().meaning, meaning);
}

#[test]
fn the_error_in_a_fault_is_found_in_every_spelling() {
    let error = "<axlcode>5007</axlcode><axlmessage>gone</axlmessage><request>getPhone</request>";
    let old = "<code>5007</code><message>gone</message><request>getPhone</request>";
    for detail in [
        format!("<axlError>{error}</axlError>"),
        format!("<n:axlError xmlns:n=\"http://www.cisco.com/AXL/API/14.0\">{error}</n:axlError>"),
        format!("<a:error xmlns:a=\"y\">{old}</a:error>"),
        format!(
            "<a:Error xmlns:a=\"y\">{}</a:Error>",
            old.replace('<', "<a:").replace("<a:/", "</a:")
        ),
        format!("text<a><b>text</b>{}</a>", format_args!("<axlError>{error}</axlError>")),
    ] {
        for fault in [
            format!("<e:Fault><faultstring>gone</faultstring><detail>{detail}</detail></e:Fault>"),
            format!("<e:Fault><faultcode>x</faultcode><faultstring/><detail>{detail}</detail></e:Fault>"),
        ] {
            let fault = read_fault(in_body(&fault).as_bytes()).unwrap();
            assert_eq!(
                (fault.code, fault.text.as_str(), fault.meaning),
                (Some(5007), "gone", Meaning::NotFound)
            );
            assert_eq!(fault.request.as_deref(), Some("getPhone"));
        }
    }
    let fault = read_fault(in_body(&format!("<error>{old}</error>")).as_bytes()).unwrap();
    assert_eq!(fault.code, Some(5007));
    let fault = read_fault(in_body("<e:Fault><faultcode>e:Server</faultcode></e:Fault>").as_bytes()).unwrap();
    assert_eq!((fault.code, fault.text.as_str()), (None, "e:Server"));
    let fault = read_fault(in_body("<e:Fault/>").as_bytes()).unwrap();
    assert_eq!(fault.to_string(), "the device refused without a reason");
}

#[test]
fn a_fault_is_a_fault_whatever_the_status_was() {
    let is_fault =
        |result: Result<(), ReplyError>| matches!(result, Err(ReplyError::Fault(fault)) if fault.code == Some(5003));
    assert!(is_fault(read_rows(USER_RANK.as_bytes(), &mut |_| Ok(())).map(drop)));
    assert!(is_fault(read_ccm_version(USER_RANK.as_bytes()).map(drop)));
    assert!(is_fault(read_num_devices(USER_RANK.as_bytes()).map(drop)));
    assert!(is_fault(read_smart_license_status(USER_RANK.as_bytes()).map(drop)));
    assert!(is_fault(
        read_licensed_users(USER_RANK.as_bytes(), &mut |_| Ok(())).map(drop)
    ));
    assert_eq!(read_fault(ROWS.as_bytes()), None);
    assert_eq!(read_fault(b"<html>401</html>"), None);
    assert_eq!(read_fault(b""), None);
}

#[test]
fn another_answer_than_the_expected_one_is_refused_with_its_place() {
    for (reply, why) in [
        (String::new(), "line 1, column 1: the answer is empty"),
        ("Service Unavailable".to_owned(), "this is not XML"),
        (
            "<html><body>hello</body></html>".to_owned(),
            "a SOAP Envelope is expected, not html",
        ),
        (
            DEVICES.to_owned(),
            "executeSQLQueryResponse is expected, not getNumDevicesResponse",
        ),
        (in_body(""), "the Body is empty"),
        (in_body("").replace("e:Body", "e:Bod"), "the Envelope has no Body"),
        (
            in_body("<executeSQLQueryResponse/>"),
            "executeSQLQueryResponse has no return",
        ),
        (ROWS.replace("</return>", "</return><return/>"), "return is repeated"),
        (
            ROWS.replace("<row><name>Basic", "some<row><name>Basic"),
            "a text stands where an element is expected",
        ),
        (
            ROWS.replace("Basic<", "<b/>Basic<"),
            "an element stands within a column",
        ),
        (ROWS.replace("ns:exec", "nt:exec"), "the prefix … is not declared"),
        (format!("{ROWS}<a/>"), "something stands behind"),
        (format!("{ROWS}x"), "something stands behind"),
        (
            with_rows(&format!("<row>{}</row>", "<a/>".repeat(257))),
            "a row has more than 256 columns",
        ),
    ] {
        let error = rows(&reply).unwrap_err();
        assert!(error.contains(why) && error.contains("line "), "{why}: {error}");
    }
    let error = rows(&ROWS.replace("<name>Basic</name>", "\n<name>Basic\u{1}</name>")).unwrap_err();
    assert!(
        error.contains("line 3, column 7") && error.contains("U+0001"),
        "{error}"
    );
}
