//! Refusals that a device is told to give: by HTTP status, by SOAP fault, for some requests or for all.

use super::asked::Get;
use super::cucm::{LICENSE_TOTALS, MODELS, call, sql, texts};
use super::support::simulators::Simulators;

#[test]
fn the_first_requests_fail_with_the_status_asked_for() {
    let simulators = Simulators::start(&["cucm:fail=503*2,fail=403*1", "cms:fail=401"]);
    let statuses: Vec<u16> = (0..4)
        .map(|_| sql(&simulators, "CUCM1", LICENSE_TOTALS).run().status)
        .collect();
    assert_eq!(statuses, [503, 503, 403, 200]);
    for _ in 0..2 {
        let refused = Get::of(&simulators, "CMS1", "/api/v1/coSpaces").expect(401);
        assert_eq!(refused.header("WWW-Authenticate"), Some("Basic realm=\"acano\""));
        assert!(refused.octets.is_empty());
    }
}

#[test]
fn a_fault_comes_with_its_code_in_each_form() {
    let simulators = Simulators::start(&[
        "cucm:fault=5003",
        "cucm:fault=5007,fault-form=prefixed",
        "cucm:fault=11617,fault-form=old",
        "cucm:fault=-1*1@executeSQLQuery",
    ]);
    let plain = sql(&simulators, "CUCM1", LICENSE_TOTALS).expect(500);
    assert_eq!(plain.xpath("string(//detail/axlError/axlcode)"), "5003");
    assert_eq!(plain.xpath("string(//axlError/request)"), "executeSQLQuery");
    assert!(plain.xpath("string(//faultstring)").contains("User Rank"));
    let prefixed = sql(&simulators, "CUCM2", LICENSE_TOTALS).expect(500);
    let path =
        "string(//detail/*[local-name()='axlError' and namespace-uri()='http://www.cisco.com/AXL/API/14.0']/axlcode)";
    assert_eq!(prefixed.xpath(path), "5007");
    let old = sql(&simulators, "CUCM3", LICENSE_TOTALS).expect(500);
    assert_eq!(old.xpath("string(//detail/*[local-name()='error']/code)"), "11617");
    call(&simulators, "CUCM4", "14.0", "getCCMVersion", "").ok();
    sql(&simulators, "CUCM4", LICENSE_TOTALS).expect(500);
    sql(&simulators, "CUCM4", LICENSE_TOTALS).ok();
}

#[test]
fn memory_is_short_for_the_first_calls() {
    let simulators = Simulators::start(&["cucm:memory=2"]);
    for _ in 0..2 {
        let answer = sql(&simulators, "CUCM1", LICENSE_TOTALS).expect(500);
        let text = "Maximum AXL Memory Allocation Consumed. Please retry once requests in progress have completed";
        assert_eq!(answer.xpath("string(//axlmessage)"), text);
        assert_eq!(answer.xpath("string(//axlcode)"), "-1");
    }
    sql(&simulators, "CUCM1", LICENSE_TOTALS).ok();
    let simulators = Simulators::start(&["cucm:memory=1@executeSQLQuery"]);
    call(&simulators, "CUCM1", "14.0", "getCCMVersion", "").ok();
    sql(&simulators, "CUCM1", LICENSE_TOTALS).expect(500);
    sql(&simulators, "CUCM1", LICENSE_TOTALS).ok();
}

/// The number in the suggestion is itself one too many.
#[test]
fn an_answer_with_too_many_rows_is_refused_with_a_suggestion() {
    let simulators = Simulators::start(&[
        "cucm:models=100,too-large=40,users=100",
        "cucm:models=100,too-large=40,suggested",
    ]);
    for (name, word) in [("CUCM1", "Suggestive"), ("CUCM2", "Suggested")] {
        let answer = sql(&simulators, name, MODELS).expect(500);
        assert_eq!(
            answer.xpath("string(//faultstring)"),
            format!("Query request too large. Total rows matched: 100 rows. {word} Row Fetch: less than 40 rows")
        );
        sql(&simulators, name, &format!("select skip 0 limit 40 * from ({MODELS})")).expect(500);
        let answer = sql(&simulators, name, &format!("select skip 0 limit 39 * from ({MODELS})")).ok();
        assert_eq!(texts(&answer, "row/n").len(), 39);
    }
    let all = "<searchCriteria><userId>%</userId></searchCriteria><returnedTags><userId/></returnedTags>";
    let answer = call(&simulators, "CUCM1", "14.0", "listLicensedUser", all).expect(500);
    assert_eq!(answer.xpath("string(//axlError/request)"), "listLicensedUser");
}

#[test]
fn without_license_totals_the_routine_is_not_known() {
    let simulators = Simulators::start(&["cucm:licenses=absent"]);
    let answer = sql(&simulators, "CUCM1", LICENSE_TOTALS).expect(500);
    assert_eq!(answer.xpath("string(//axlcode)"), "-674");
    sql(&simulators, "CUCM1", MODELS).ok();
}

#[test]
fn a_busy_server_says_that_its_database_is_not_ready() {
    let simulators = Simulators::start(&["cms:busy=2"]);
    for _ in 0..2 {
        let answer = Get::of(&simulators, "CMS1", "/api/v1/coSpaces").expect(503);
        assert_eq!(answer.xpath("count(/failureDetails/databaseNotReady)"), "1");
    }
    Get::of(&simulators, "CMS1", "/api/v1/coSpaces").ok();
}

#[test]
fn the_password_comes_back_in_the_text_of_the_fault() {
    let simulators = Simulators::start(&["cucm:echo-password", "cms:echo-password"]);
    for (name, status) in [("CUCM1", 500), ("CMS1", 400)] {
        let answer = Get::of(&simulators, name, "/axl/").expect(status);
        assert!(answer.text().contains(&simulators.password(name)), "{}", answer.text());
        assert_eq!(answer.xmllint(&["--noout"]).0, 0, "{}", answer.text());
    }
}
