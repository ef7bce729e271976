//! What a Meeting Server refuses: the sentence, the retries, the exit status, and what is in the document all the same.

use super::site::Site;

/// The source fails: no document, status 69, this sentence; the server saw so many requests.
#[test]
fn a_server_that_cannot_be_talked_to_fails_with_the_reason() {
    for (quirk, said, requests) in [
        (
            "fail=401",
            "user billing is refused (HTTP 401): the name or the password is wrong, or the account is none for the API",
            1,
        ),
        (
            "fail=403",
            "user billing may not use the API (HTTP 403): make an account with the role api",
            1,
        ),
        (
            "fail=404",
            "there is no CMS at /api/v1 (HTTP 404); is this the port of the Web Admin?",
            1,
        ),
        ("fail=500", "/api/v1/system/status is refused (HTTP 500)", 1),
        ("fail=503", "it is too busy (HTTP 503), after all retries", 4),
        (
            "busy=99",
            "it is too busy (HTTP 503, databaseNotReady), after all retries",
            4,
        ),
        (
            "refuse=500/brandNewFailure@system/status",
            "/api/v1/system/status is refused (HTTP 500, brandNewFailure)",
            1,
        ),
        ("redirect", "it sends us elsewhere (HTTP 302)", 1),
        (
            "echo-password",
            "/api/v1/system/status is refused (HTTP 400, parameterError)",
            1,
        ),
        ("cut-tls", "the answer broke off", 1),
    ] {
        let site = Site::new(&[&format!("cms:{quirk}")], "");
        let ran = site.try_capture().expect(69);
        assert!(ran.stderr.contains(said), "{quirk}: {}", ran.stderr);
        assert_eq!((ran.stdout.as_str(), site.asked().len()), ("", requests), "{quirk}");
        assert!(!ran.stderr.contains(&site.simulators.password("CMS1")), "{quirk}");
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    for quirk in ["busy=3", "fail=503*3"] {
        let site = Site::new(&[&format!("cms:{quirk}")], "");
        let document = site.capture(0);
        document.is_complete();
        assert_eq!(document.spaces().len(), 8);
    }
}

/// One question is refused: its records are missing, the others are there.
#[test]
fn a_refused_question_costs_its_own_records_only() {
    for (quirk, said, spaces) in [
        (
            "refuse=400/unheardOf@system/multipartylicensing",
            "its licence use is refused (HTTP 400, unheardOf)",
            8,
        ),
        (
            "refuse=400/parameterError@system/mplicenseusage",
            "the history of licence use is refused (HTTP 400, parameterError)",
            8,
        ),
        (
            "refuse=500/error@cospaces",
            "the list of spaces is refused (HTTP 500, error)",
            0,
        ),
        (
            "refuse=404/unrecognizedObject@cospaces",
            "there is no list of spaces (HTTP 404, unrecognizedObject)",
            0,
        ),
    ] {
        let site = Site::new(&[&format!("cms:{quirk}")], "");
        let document = site.capture(69);
        document.is_incomplete(said);
        assert_eq!(document.spaces().len(), spaces, "{quirk}");
        assert_eq!(document.of("ConferenceSystem").len(), 1, "{quirk}");
    }
}

#[test]
fn what_an_old_server_does_not_know_is_only_remarked() {
    let site = Site::new(&["cms:version=2.4.0,refuse=404/unrecognizedObject@system/m"], "");
    let document = site.capture(0);
    document.remarks("this CMS does not tell its licence use (HTTP 404, unrecognizedObject)");
    document
        .remarks("this CMS has no history of licence use (HTTP 404, unrecognizedObject); releases from 2.6 on have it");
    assert_eq!(document.spaces().len(), 8);
    let all = Site::new(
        &["cms:refuse=404/unrecognizedObject@system/mplicenseusage"],
        "[cms]\nlicense-history = \"all\"\n",
    );
    all.capture(0).remarks("this CMS has no history of licence use");
}

/// A CMS may close a connection whenever it likes.
#[test]
fn a_connection_that_is_closed_costs_nothing() {
    let toml = "[cms]\nlicense-history = \"off\"\n";
    let closing = Site::new(&["cms:spaces=50,close"], toml);
    let document = closing.capture(0);
    document.is_complete();
    assert_eq!(document.spaces().len(), 50);
    for quirk in ["cut-tls", "truncate=300"] {
        let once = Site::new(&[&format!("cms:spaces=50,from=4,until=4,{quirk}")], toml);
        let document = once.capture(0);
        document.is_complete();
        assert_eq!(document.spaces().len(), 50, "{quirk}");
        let always = Site::new(&[&format!("cms:spaces=50,from=4,{quirk}")], toml);
        let document = always.capture(69);
        document.is_incomplete("spaces: ");
        document.is_incomplete("the answer broke off");
        assert!((20..50).contains(&document.spaces().len()), "{quirk}: what came stays");
        assert_eq!(always.asked().len(), 5, "{quirk}: once more, and no more");
    }
}

/// Spaces that were listed have a record, whatever becomes of their details.
#[test]
fn details_that_break_off_cost_no_space() {
    let toml = "[cms]\nlicense-history = \"off\"\ndetails = true\n";
    let site = Site::new(&["cms:spaces=10,from=6,cut-tls"], toml);
    let document = site.capture(69);
    document.is_incomplete("the details of spaces, of 8, have not been asked for");
    assert_eq!(document.spaces().len(), 10);
    let owners = document.texts("ConferenceSpace", "ownerJid");
    assert_eq!(owners.iter().filter(|owner| !owner.is_empty()).count(), 2);
}

#[test]
fn members_of_one_cluster_are_said_to_have_the_same_spaces() {
    let said = "it is one of a cluster, whose members all have the same spaces";
    let site = Site::new(&["cms:hosts=2", "cms:hosts=2"], "");
    site.capture(0).remarks(said);
    let alone = Site::new(&["cms:hosts=2"], "");
    alone.capture(0).is_complete();
}

#[test]
fn the_state_and_the_licences_of_a_server_are_told_digit_by_digit() {
    let site = Site::new(&["cms:now=2026-06-01T10:00:00Z"], "[cms]\nlicense-history = \"off\"\n");
    let ran = site.place.run(&["capture"]).expect(0);
    let text = std::fs::read_to_string(site.place.path().join(ran.stdout.trim_end())).unwrap();
    for element in [
        "<weightedCallsActive>2.000</weightedCallsActive>",
        "<weightedCallsWithoutPersonalLicense>0.500</weightedCallsWithoutPersonalLicense>",
        "<capacityUnitUsage>0.150</capacityUnitUsage>",
        "<capacityUnitUsageWithoutPersonalLicense>0.025</capacityUnitUsageWithoutPersonalLicense>",
        "<personalLicenseLimit>250</personalLicenseLimit>",
        "<cdrCorrelatorIndex>1293</cdrCorrelatorIndex>",
        "<callLegsMaxActive>41</callLegsMaxActive>",
        "<softwareVersion>2.9.1</softwareVersion>",
        "<deviceTime>2026-06-01T10:00:00Z</deviceTime>",
    ] {
        assert!(text.contains(element), "{element}: {text}");
    }
}
