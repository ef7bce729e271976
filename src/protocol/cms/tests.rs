//! Answers of a Meeting Server, good and bad.

use std::io;

use super::*;

const PAGE_1: &str = include_str!("../../../fixtures/cms/coSpaces_page1of2.xml");
const PAGE_2: &str = include_str!("../../../fixtures/cms/coSpaces_page2of2.xml");
const DETAIL: &str = include_str!("../../../fixtures/cms/coSpace_detail.xml");
const STATUS: &str = include_str!("../../../fixtures/cms/system_status.xml");
const LICENSING: &str = include_str!("../../../fixtures/cms/system_multipartyLicensing.xml");
const USAGE: &str = include_str!("../../../fixtures/cms/system_MPLicenseUsage.xml");
const FAILURE: &str = include_str!("../../../fixtures/cms/failureDetails.xml");

fn spaces(answer: &str) -> Result<(Page, Vec<CoSpace>), String> {
    let mut spaces = Vec::new();
    let page = read_co_spaces(answer.as_bytes(), &mut |space| {
        spaces.push(space);
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    Ok((page, spaces))
}

fn usage(answer: &str) -> Result<(Page, Vec<LicenseUsage>), String> {
    let mut entries = Vec::new();
    let page = read_license_usage(answer.as_bytes(), &mut |entry| {
        entries.push(entry);
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    Ok((page, entries))
}

fn named(name: &str) -> String {
    format!("<?xml version=\"1.0\"?><coSpaces total=\"1\"><coSpace id=\"a\"><name>{name}</name></coSpace></coSpaces>")
}

#[test]
fn the_spaces_of_a_page_come_as_they_are() {
    let (page, spaces) = spaces(PAGE_1).unwrap();
    assert_eq!(page, Page { total: 5, returned: 3 });
    let atrium = CoSpace {
        id: "11111111-0000-4000-8000-000000000001".to_owned(),
        name: Some("R&D Atrium".to_owned()),
        auto_generated: Some(false),
        uri: Some("rd.atrium".to_owned()),
        call_id: Some("700001".to_owned()),
        secondary_uri: Some("700101".to_owned()),
        ..CoSpace::default()
    };
    assert_eq!(spaces[0], atrium);
    assert_eq!(spaces[1].name.as_deref(), Some("Café Nord: planning, weekly"));
    assert_eq!((&spaces[2].name, &spaces[2].uri), (&None, &None));
    assert_eq!(
        spaces[2].tenant.as_deref(),
        Some("22222222-0000-4000-8000-000000000001")
    );
}

#[test]
fn an_empty_name_is_absent() {
    let (page, spaces) = spaces(PAGE_2).unwrap();
    assert_eq!(page, Page { total: 5, returned: 2 });
    assert_eq!(spaces[0].name.as_deref(), Some("Lena O'Hara <space>"));
    assert_eq!(spaces[1].name, None);
}

#[test]
fn names_keep_every_character() {
    for (written, name) in [
        ("R&amp;D &amp;amp; &#x1D11E;", "R&D &amp; 𝄞"),
        (" line 1\nline 2:\t,  ", " line 1\nline 2:\t,  "),
        ("a\r\nb&#13;c", "a\nb\rc"),
        ("a<!-- no -->b<![CDATA[<c>&amp;]]>d<?p x?>e", "ab<c>&amp;de"),
        ("\"'`|;=\\u{2028}", "\"'`|;=\\u{2028}"),
    ] {
        assert_eq!(spaces(&named(written)).unwrap().1[0].name.as_deref(), Some(name));
    }
}

#[test]
fn a_page_may_be_empty() {
    for (answer, total) in [
        ("<coSpaces total=\"0\"/>", 0),
        ("<coSpaces total=\" 7 \"></coSpaces>", 7),
        ("<coSpaces total=\"7\" more=\"x\"><new><a/></new></coSpaces>\n", 7),
    ] {
        assert_eq!(spaces(answer).unwrap(), (Page { total, returned: 0 }, vec![]));
    }
}

#[test]
fn what_is_not_known_is_passed_over() {
    let answer = "<coSpaces total=\"1\" xmlns:n=\"new\"><n:info>x<a/></n:info><coSpace id=\" a \" n:id=\"b\" kind=\"c\"><new><name>no\
                  </name></new><uri n:x=\"\">yes</uri></coSpace></coSpaces>";
    let (page, spaces) = spaces(answer).unwrap();
    assert_eq!(page.returned, 1);
    assert_eq!(
        spaces[0],
        CoSpace {
            id: "a".to_owned(),
            uri: Some("yes".to_owned()),
            ..CoSpace::default()
        }
    );
}

#[test]
fn the_details_of_a_space_are_read_without_its_secrets() {
    let space = read_co_space(DETAIL.as_bytes()).unwrap();
    assert_eq!(space.owner_jid.as_deref(), Some("lena@example.com"));
    assert_eq!(space.cdr_tag.as_deref(), Some("cost-centre-demo"));
    assert_eq!(space.non_member_access, Some(true));
    assert_eq!(space.num_access_methods, None);
    let shown = format!("{space:?}");
    assert!(DETAIL.contains("PLACEHOLDER-SECRET") && DETAIL.contains("PLACEHOLDER-PASSCODE"));
    assert!(!shown.contains("PLACEHOLDER"), "{shown}");
}

/// The canary stands where a password may stand, in every way that breaks the answer.
#[test]
fn no_error_quotes_what_may_be_a_secret() {
    const CANARY: &str = "KANARI3NVOGEL";
    for inside in [
        "<CANARY",
        "<CANARY>",
        "<CANARY/>",
        "</CANARY>",
        "<CANARY:a/>",
        "<a CANARY:b=''/>",
        "<a xmlns:CANARY=''/>",
        "<a xmlns:xml='CANARY'/>",
        "<a b='&CANARY;'/>",
        "<a b='CANARY' b='CANARY'/>",
        "<a CANARY=CANARY/>",
        "<a CANARY/>",
        "<a 1CANARY='1'/>",
        "<a b='CANARY<'/>",
        "<a b='CANARY'c='CANARY'/>",
        "CANARY&",
        "&CANARY;",
        "&#CANARY;",
        "CANARY\u{1}",
        "CANARY&#1;",
        "CANARY]]>",
        "<!-- CANARY -- -->",
        "<!CANARY>",
        "<!DOCTYPE CANARY>",
        "<?CANARY",
        "<?xml CANARY?>",
        "<?xml version='CANARY'?>",
        "<![CDATA[CANARY",
        "<name><CANARY/></name>",
        "<name/>CANARY",
    ] {
        let inside = inside.replace("CANARY", CANARY);
        for answer in [
            DETAIL.replace("PLACEHOLDER-PASSCODE", &inside),
            DETAIL.replace("PLACEHOLDER-SECRET", &inside),
            DETAIL.replace("PLACEHOLDER-SECRET</secret>", &inside),
            DETAIL.replace("<secret>", &format!("{inside}<secret>")),
        ] {
            match read_co_space(answer.as_bytes()) {
                Ok(space) => assert!(!format!("{space:?}").contains(CANARY), "{inside}: {space:?}"),
                Err(error) => {
                    assert!(!error.to_string().contains(CANARY), "{inside}: {error}");
                    assert!(!format!("{error:?}").contains(CANARY), "{inside}: {error:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_malformed_is_an_error_with_its_place() {
    for (from, to, why) in [
        (
            " id=\"11111111-0000-4000-8000-000000000002\"",
            "",
            "line 10, column 3: coSpace has no id",
        ),
        (
            "11111111-0000-4000-8000-000000000002",
            " ",
            "line 10, column 3: coSpace has no id",
        ),
        (
            "11111111-0000-4000-8000-000000000002",
            &"a".repeat(256),
            "line 10, column 3: an id has more than 255 characters",
        ),
        (" total=\"5\"", "", "line 2, column 1: coSpaces has no total"),
        (
            "total=\"5\"",
            "total=\"five\"",
            "line 2, column 1: total of coSpaces must be a whole number",
        ),
        ("total=\"5\"", "total=\"-5\"", "must be a whole number"),
        (
            ">false<",
            ">maybe<",
            "line 5, column 5: autoGenerated must be true or false, not \"maybe\"",
        ),
        (
            "<uri>rd.atrium</uri>",
            "<uri>a</uri><uri>b</uri>",
            "line 6, column 17: uri is repeated",
        ),
        ("rd.atrium", "rd<b/>", "line 6, column 12: an element stands within uri"),
        (
            "<uri>rd.atrium</uri>",
            "rd.atrium",
            "a text stands where an element is expected",
        ),
        ("</coSpaces>", "", "is cut off"),
        ("</coSpaces>", "</coSpaces>x", "something stands behind the end"),
        ("<?xml", "<html/><?xml", "coSpaces is expected, not html"),
    ] {
        assert!(PAGE_1.contains(from), "{from}");
        let error = spaces(&PAGE_1.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(why), "{to}: {error}");
    }
}

#[test]
fn the_status_is_read() {
    let status = read_status(STATUS.as_bytes()).unwrap();
    assert_eq!(status.host_id.as_deref(), Some("44444444-0000-4000-8000-000000000001"));
    assert_eq!(status.software_version.as_deref(), Some("2.9.1"));
    assert_eq!(status.uptime_seconds, Some(604_812));
    assert_eq!(status.cdr_time.unwrap().to_rfc3339(), "2026-01-15T09:30:12+00:00");
    assert_eq!(status.cluster_enabled, Some(true));
    assert_eq!(status.cdr_correlator_index, Some(1293));
    let calls = [
        status.call_legs_active,
        status.call_legs_max_active,
        status.call_legs_completed,
    ];
    assert_eq!(calls, [Some(6), Some(41), Some(388)]);
    assert_eq!(read_status(&b"<status/>"[..]).unwrap(), SystemStatus::default());
    let odd = "<status><uptimeSeconds>\n 7 </uptimeSeconds><cdrTime> 2026-01-15T10:30:12.5+01:00 </cdrTime></status>";
    let status = read_status(odd.as_bytes()).unwrap();
    assert_eq!(status.uptime_seconds, Some(7));
    assert_eq!(status.cdr_time.unwrap().to_rfc3339(), "2026-01-15T09:30:12.500+00:00");
    assert!(read_status(&b"<status><cdrTime>now</cdrTime></status>"[..]).is_err());
}

#[test]
fn licences_in_use_keep_their_digits() {
    let now = read_multiparty_licensing(LICENSING.as_bytes()).unwrap();
    let digits = |decimal: Option<crate::record::Decimal>| decimal.unwrap().as_str().to_owned();
    assert_eq!(now.timestamp.unwrap().to_rfc3339(), "2026-01-15T09:30:00+00:00");
    assert_eq!(
        (
            now.personal_license_limit,
            now.shared_license_limit,
            now.capacity_unit_limit
        ),
        (Some(250), Some(40), Some(0))
    );
    assert_eq!(
        (now.users, now.personal_licenses, now.participants_active),
        (Some(184), Some(120), Some(6))
    );
    assert_eq!(
        (now.calls_active, now.calls_without_personal_license),
        (Some(3), Some(1))
    );
    assert_eq!(digits(now.weighted_calls_active), "2.000");
    assert_eq!(digits(now.weighted_calls_without_personal_license), "0.500");
    assert_eq!(digits(now.capacity_unit_usage), "0.150");
    assert_eq!(digits(now.capacity_unit_usage_without_personal_license), "0.025");
    for wrong in ["2.000.0", "2,000", "two", "1e3", "0x2", "NaN"] {
        let error = read_multiparty_licensing(LICENSING.replace("2.000", wrong).as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("must be a decimal number"),
            "{wrong}: {error}"
        );
    }
}

#[test]
fn an_entry_of_the_history_has_what_is_not_zero() {
    let (page, entries) = usage(USAGE).unwrap();
    assert_eq!(page, Page { total: 6, returned: 4 });
    let digits = |decimal: &Option<crate::record::Decimal>| decimal.as_ref().map(|decimal| decimal.as_str().to_owned());
    assert_eq!(entries[0].time.to_rfc3339(), "2026-01-15T09:30:04+00:00");
    assert_eq!(digits(&entries[0].pmp).as_deref(), Some("1.50"));
    assert_eq!(digits(&entries[0].smp_full).as_deref(), Some("0.50"));
    assert_eq!(digits(&entries[0].rec).as_deref(), Some("1.00"));
    assert_eq!(digits(&entries[0].smp_aud), None);
    assert_eq!(digits(&entries[1].smp_ptp).as_deref(), Some("2.00"));
    assert_eq!(entries[2].time.to_rfc3339(), "2026-01-15T09:20:03+00:00");
    assert_eq!(digits(&entries[3].str).as_deref(), Some("1.00"));
    for (from, to, why) in [
        (
            " time=\"2026-01-15T09:20:03Z\"",
            "",
            "line 12, column 3: entry has no time",
        ),
        (
            "2026-01-15T09:20:03Z",
            "2026-01-15 09:20",
            "line 12, column 3: time of entry must be a time",
        ),
        ("2026-01-15T09:20:03Z", "2026-02-30T09:20:03Z", "must be a time"),
    ] {
        let error = usage(&USAGE.replace(from, to)).unwrap_err();
        assert!(error.contains(why), "{to}: {error}");
    }
}

#[test]
fn known_hosts_come_in_pages() {
    let read = |text: &str| {
        let mut hosts = Vec::new();
        let page = read_known_hosts(text.as_bytes(), &mut |id| {
            hosts.push(id);
            Ok(())
        });
        page.map(|page| (hosts, page.total))
    };
    let hosts = "<knownHosts total=\"2\"><host id=\"a\"/><host id=\"b\"><x/></host></knownHosts>";
    assert_eq!(read(hosts).unwrap(), (vec!["a".to_owned(), "b".to_owned()], 2));
    assert_eq!(read("<knownHosts total=\"0\"/>").unwrap(), (vec![], 0));
    let error = read(&hosts.replace(" id=\"b\"", "")).unwrap_err();
    assert!(error.to_string().contains("host has no id"), "{error}");
}

#[test]
fn failures_are_codes() {
    assert_eq!(read_failure(FAILURE.as_bytes()), ["coSpaceDoesNotExist"]);
    let several = b"<failureDetails><databaseNotReady/>\n<unheardOf a='1'><b>x</b></unheardOf></failureDetails>";
    assert_eq!(read_failure(several), ["databaseNotReady", "unheardOf"]);
    for nothing in ["", "<failureDetails/>", "<failureDetails><a/>", "<html/>", PAGE_1] {
        assert_eq!(read_failure(nothing.as_bytes()), [""; 0], "{nothing}");
    }
    assert!(is_temporary("databaseNotReady") && is_temporary("tooManyLdapSyncs") && !is_temporary("parameterError"));
    let error = read_co_space(FAILURE.as_bytes()).unwrap_err();
    assert!(
        matches!(&error, AnswerError::Failure(codes) if codes == &["coSpaceDoesNotExist"]),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "the server answered with the failure coSpaceDoesNotExist"
    );
}

#[test]
fn a_sink_that_fails_ends_the_reading_as_itself() {
    let error = read_co_spaces(PAGE_1.as_bytes(), &mut |_| Err(io::Error::other("the disk is full"))).unwrap_err();
    assert!(
        matches!(&error, AnswerError::Sink(error) if error.to_string() == "the disk is full"),
        "{error}"
    );
}
