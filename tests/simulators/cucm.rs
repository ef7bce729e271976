//! The CUCM: sessions, versions, and the answers to the operations.

use super::asked::{Answer, Get};
use super::support::simulators::Simulators;

pub const LICENSE_TOTALS: &str =
    "select name,value FROM TABLE (FUNCTION LicenseTotals()) (pkid,name,value,UserValue,DeviceValue)";
pub const MODELS: &str = "select tm.name as model, count(*) as n from device as d inner join typemodel as tm \
     on tm.enum=d.tkmodel where d.tkclass=1 and not (d.tkmodel=72 or d.tkmodel=645) group by tm.name";

/// A request with this in the body.
pub fn call(simulators: &Simulators, name: &str, version: &str, operation: &str, inner: &str) -> Get {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:a=\"http://www.cisco.com/AXL/API/{version}\"><e:Header/><e:Body><a:{operation}>{inner}</a:{operation}>\
         </e:Body></e:Envelope>"
    );
    Get::of(simulators, name, "/axl/")
        .header("Content-Type: text/xml;charset=UTF-8")
        .header(&format!("SOAPAction: \"CUCM:DB ver={version} {operation}\""))
        .post(&body)
}

pub fn sql(simulators: &Simulators, name: &str, query: &str) -> Get {
    let escaped = query.replace('&', "&amp;").replace('<', "&lt;");
    call(
        simulators,
        name,
        "14.0",
        "executeSQLQuery",
        &format!("<sql>{escaped}</sql>"),
    )
}

/// The texts of all elements of that name, or attributes. None of them has a ¶ in it.
pub fn texts(answer: &Answer, element: &str) -> Vec<String> {
    let count: usize = answer.xpath(&format!("count(//{element})")).parse().unwrap();
    let numbers: Vec<usize> = (1..=count).collect();
    numbers
        .chunks(100)
        .flat_map(|some| {
            let each = some.iter().map(|number| format!("string((//{element})[{number}])"));
            let each: Vec<String> = each.collect();
            let joined = answer.xpath(&format!("concat({},'')", each.join(",'¶',")));
            joined.split('¶').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn users(skip: usize, first: usize) -> String {
    format!(
        "<searchCriteria><userId>%</userId></searchCriteria><returnedTags><userId/><snrEnabled/><deviceCount/>\
         <licenseType/></returnedTags><skip>{skip}</skip><first>{first}</first>"
    )
}

#[test]
fn a_session_takes_the_place_of_the_password_until_it_expires() {
    let simulators = Simulators::start(&["cucm:session-expires-after=2"]);
    let probe = || Get::of(&simulators, "CUCM1", "/axl/");
    let first = probe().ok();
    assert!(first.text().contains("AXL Web Service"), "{}", first.text());
    let cookie = first.cookie();
    assert_eq!(probe().cookie(&cookie).ok().header("Set-Cookie"), None);
    probe().cookie(&cookie).ok();
    probe().cookie(&cookie).expect(404);
    probe().cookie(&cookie).expect(404);
    let again = probe().header(&format!("Cookie: JSESSIONIDSSO={cookie}")).ok().cookie();
    assert_ne!(again, cookie);
    let requests = simulators.requests("CUCM1");
    let with: Vec<(bool, bool, u64)> = requests
        .iter()
        .map(|request| {
            (
                request["basic"].as_bool().unwrap(),
                request["cookie"].as_bool().unwrap(),
                request["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        with,
        [
            (true, false, 200),
            (false, true, 200),
            (false, true, 200),
            (false, true, 404),
            (false, true, 404),
            (true, true, 200)
        ]
    );
}

#[test]
fn a_cookie_may_be_of_no_use() {
    let simulators = Simulators::start(&[
        "cucm:cookie=none",
        "cucm:cookie=empty",
        "cucm:cookie=other",
        "cucm:cookie=each",
        "cucm:cookie=twice",
    ]);
    let probe = |name: &str| Get::of(&simulators, name, "/axl/");
    assert_eq!(probe("CUCM1").ok().header("Set-Cookie"), None);
    let set = |name: &str| probe(name).ok().header("Set-Cookie").unwrap().to_owned();
    assert!(set("CUCM2").starts_with("JSESSIONIDSSO=;"));
    assert!(set("CUCM3").starts_with("JSESSIONID="));
    assert!(set("CUCM5").starts_with("JSESSIONIDSSO="));
    let first = probe("CUCM4").ok().cookie();
    let second = probe("CUCM4").cookie(&first).ok().cookie();
    probe("CUCM4").cookie(&first).expect(404);
    probe("CUCM4").cookie(&second).ok();
}

#[test]
fn who_is_not_known_or_asks_elsewhere_gets_nothing() {
    let simulators = Simulators::start(&["cucm"]);
    let probe = |path: &str| Get::of(&simulators, "CUCM1", path);
    let refused = probe("/axl/").password("wrong").expect(401);
    assert!(refused.header("WWW-Authenticate").unwrap().starts_with("Basic "));
    assert_eq!(refused.header("Set-Cookie"), None);
    probe("/axl/").without_password().expect(401);
    probe("/axl/").cookie("0123").expect(404);
    probe("/axl").expect(404);
    probe("/").expect(404);
    probe("/axl/").arguments(&["--request", "DELETE"]).expect(405);
    probe("/axl/").header("Content-Type: text/plain").post("x").expect(415);
    assert_eq!(simulators.requests("CUCM1")[0]["basicRight"], false);
}

#[test]
fn every_release_serves_its_versions_and_lists_them_in_the_page_for_the_others() {
    for (release, list, served, refused) in [
        ("9.1", "8.x and 9.x", ["8.5", "9.1"], "10.5"),
        ("11.5", "9.x, 10.x and 11.x", ["10.5", "11.5"], "12.0"),
        ("12.5", "9.x, 10.x, 11.x and 12.x", ["11.0", "12.5"], "14.0"),
        ("14.0", "11.x, 12.x and 14.0", ["11.5", "14.0"], "15.0"),
        ("15.0", "12.x, 14.0 and 15.0", ["12.5", "15.0"], "11.5"),
    ] {
        let simulators = Simulators::start(&[&format!("cucm:version={release}")]);
        for version in served {
            let answer = call(&simulators, "CUCM1", version, "getCCMVersion", "").ok();
            let text = answer.xpath("string(//componentVersion/version)");
            assert!(text.starts_with(release), "{text}");
        }
        let page = call(&simulators, "CUCM1", refused, "getCCMVersion", "").expect(599);
        let wanted = format!("Incorrect axl version. Supported axl versions are {list}<");
        assert!(page.text().contains(&wanted), "{}", page.text());
        assert!(page.text().starts_with("<!--"), "{}", page.text());
        assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
    }
    let simulators = Simulators::start(&["cucm:version=15.0,list-form=comma"]);
    let page = call(&simulators, "CUCM1", "11.5", "getCCMVersion", "").expect(599);
    assert!(page.text().contains("versions are 12,12.5,14,15<"), "{}", page.text());
}

#[test]
fn the_action_and_the_body_must_name_the_same_version_and_operation() {
    let simulators = Simulators::start(&["cucm"]);
    for action in [
        "\"CUCM:DB ver=12.5 getCCMVersion\"",
        "\"CUCM:DB ver=14.0 getNumDevices\"",
        "CUCM:DB ver=14.0 getCCMVersion",
        "\"\"",
    ] {
        let answer = Get::of(&simulators, "CUCM1", "/axl/")
            .header("Content-Type: text/xml")
            .header(&format!("SOAPAction: {action}"))
            .post(
                "<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'><Body>\
                 <getCCMVersion xmlns='http://www.cisco.com/AXL/API/14.0'/></Body></Envelope>",
            )
            .expect(500);
        assert_eq!(answer.xpath("string(//faultcode)"), "soapenv:Client", "{action}");
    }
}

/// In every version that has a schema; what breaks it is answered with a fault and marked.
#[test]
fn requests_are_checked_by_ciscos_schema() {
    let simulators = Simulators::start_checking(&[
        "cucm:version=11.5",
        "cucm:version=12.5",
        "cucm:version=14.0",
        "cucm:version=15.0",
    ]);
    let escaped = format!("<sql>{LICENSE_TOTALS}</sql>");
    let page = users(0, 500);
    for (name, version) in [
        ("CUCM1", "11.5"),
        ("CUCM2", "12.5"),
        ("CUCM3", "14.0"),
        ("CUCM4", "15.0"),
    ] {
        let mut calls = vec![
            ("getCCMVersion", ""),
            ("executeSQLQuery", escaped.as_str()),
            ("getNumDevices", "<class>Phone</class>"),
            ("listLicensedUser", page.as_str()),
        ];
        if version != "11.5" {
            calls.push(("getSmartLicenseStatus", ""));
        }
        for (operation, inner) in calls {
            call(&simulators, name, version, operation, inner).ok();
            let last = simulators.requests(name).pop().unwrap();
            assert_eq!(
                (&last["operation"], &last["validated"]),
                (&operation.into(), &true.into())
            );
        }
    }
    for (operation, inner) in [
        ("executeSQLQuery", "<a:sql>select</a:sql>"),
        ("executeSQLQuery", "<query>select</query>"),
        (
            "listLicensedUser",
            "<searchCriteria><userId>%</userId></searchCriteria><returnedTags/><first>1</first><skip>0</skip>",
        ),
        ("getNumDevices", ""),
        ("getNoSuchThing", ""),
    ] {
        let answer = call(&simulators, "CUCM3", "14.0", operation, inner).expect(500);
        assert_eq!(
            answer.xpath("string(//faultcode)"),
            "soapenv:Client",
            "{operation} {inner}"
        );
        let last = simulators.requests("CUCM3").pop().unwrap();
        assert_ne!(last["validated"], true, "{operation} {inner}");
        assert!(last["error"].is_string(), "{last}");
    }
}

#[test]
fn license_totals_come_with_the_columns_asked_for_whatever_the_white_space() {
    let simulators = Simulators::start(&["cucm:unknown-license=Brand New,now=2026-01-15T02:00:07Z", "cucm"]);
    let names = [
        "CUWL Standard",
        "EnhancedPlus",
        "Enhanced",
        "Basic",
        "Essential",
        "TelePresence Room",
        "TotalUsers",
        "TotalDevices",
        "Timestamp",
        "ElmLastContact",
        "Elm",
    ];
    let answer = sql(&simulators, "CUCM2", LICENSE_TOTALS).ok();
    assert_eq!(texts(&answer, "row/name"), names);
    let spaced = LICENSE_TOTALS.replace(' ', "\n\t ").replace(',', " , ").to_uppercase();
    let answer = sql(&simulators, "CUCM1", &spaced).ok();
    assert_eq!(texts(&answer, "row/name"), [&names[..], &["Brand New"]].concat());
    assert_eq!(
        texts(&answer, "row/value"),
        [
            "12",
            "34",
            "410",
            "57",
            "9",
            "3",
            "468",
            "525",
            "2026-01-15 02:00:07",
            "21",
            "elm-demo",
            "7"
        ]
    );
    let answer = sql(
        &simulators,
        "CUCM2",
        &LICENSE_TOTALS.replacen("name,value", "UserValue,name", 1),
    )
    .ok();
    assert_eq!(texts(&answer, "row/*")[..2], ["12", "CUWL Standard"]);
}

#[test]
fn null_is_written_as_the_version_or_the_quirk_has_it() {
    let simulators = Simulators::start(&[
        "cucm",
        "cucm:null-style=plain",
        "cucm:null-style=nil",
        "cucm:null-style=nil-once",
    ]);
    let query = LICENSE_TOTALS.replacen("name,value", "UserValue", 1);
    let inner = format!("<sql>{query}</sql>");
    for (name, version, each, once) in [
        ("CUCM1", "14.0", 0, 1),
        ("CUCM1", "12.5", 5, 0),
        ("CUCM2", "14.0", 0, 0),
        ("CUCM3", "14.0", 5, 0),
        ("CUCM4", "11.5", 0, 1),
    ] {
        let answer = call(&simulators, name, version, "executeSQLQuery", &inner).ok();
        let text = answer.text();
        assert_eq!(
            text.matches("<uservalue xsi:nil=\"true\" xmlns:xsi=").count(),
            each,
            "{name} {version}"
        );
        assert_eq!(
            text.matches("Response xmlns:ns=\"http://www.cisco.com/AXL/API/")
                .count(),
            1
        );
        let on_response = text.contains(&format!("API/{version}\" xmlns:xsi="));
        assert_eq!(usize::from(on_response), once, "{name} {version}");
        assert_eq!(answer.xpath("count(//row/uservalue[not(node())])"), "5");
    }
}

#[test]
fn parts_of_a_query_join_to_the_whole() {
    let simulators = Simulators::start(&["cucm:models=50,users=30"]);
    let whole = texts(&sql(&simulators, "CUCM1", MODELS).ok(), "row/model");
    assert_eq!(whole.len(), 50);
    let mut parts = Vec::new();
    for skip in (0..60).step_by(20) {
        let wrapped = format!("SELECT SKIP {skip} LIMIT 20 * FROM ({MODELS})");
        let inside = MODELS.replacen("select", &format!("SELECT SKIP {skip} FIRST 20"), 1);
        let part = texts(&sql(&simulators, "CUCM1", &wrapped).ok(), "row/model");
        assert_eq!(part, texts(&sql(&simulators, "CUCM1", &inside).ok(), "row/model"));
        parts.extend(part);
    }
    assert_eq!(parts, whole);
    let beyond = sql(
        &simulators,
        "CUCM1",
        &format!("select skip 99 limit 5 * from ({MODELS})"),
    )
    .ok();
    assert!(beyond.text().contains("<return/>"), "{}", beyond.text());

    let page = |skip, first| {
        let answer = call(&simulators, "CUCM1", "14.0", "listLicensedUser", &users(skip, first)).ok();
        texts(&answer, "licensedUser/userId")
    };
    let joined = [page(0, 12), page(12, 12), page(24, 12)].concat();
    assert_eq!(joined.len(), 30);
    assert_eq!(joined, page(0, 1000));
}

#[test]
fn names_beyond_ascii_come_raw_and_as_references() {
    let simulators = Simulators::start(&["cucm:latin-names"]);
    let answer = sql(&simulators, "CUCM1", MODELS).ok();
    assert_eq!(texts(&answer, "row/model")[1], "Téléphone <Büro> & Café");
    assert!(answer.text().contains("T&#233;léphone"), "{}", answer.text());
    let answer = sql(&simulators, "CUCM1", LICENSE_TOTALS).ok();
    assert_eq!(texts(&answer, "row/name").last().unwrap(), "Téléprésence");
}

#[test]
fn devices_are_counted_by_class_and_the_smart_licences_come_with_12_5() {
    let simulators = Simulators::start(&["cucm", "cucm:version=11.5"]);
    let answer = call(&simulators, "CUCM1", "14.0", "getNumDevices", "<class>Phone</class>").ok();
    assert_eq!(answer.xpath("string(//return)"), "525");
    let answer = call(&simulators, "CUCM1", "14.0", "getNumDevices", "<class>Toaster</class>").expect(500);
    assert_eq!(answer.xpath("string(//axlcode)"), "5007");
    let answer = call(&simulators, "CUCM1", "14.0", "getSmartLicenseStatus", "").ok();
    assert_eq!(
        answer.xpath("count(//return/following-sibling::LicenseDetails/LicenseStatus/Entitlement)"),
        "3"
    );
    call(&simulators, "CUCM2", "11.5", "getSmartLicenseStatus", "").expect(500);
    let request = sql(&simulators, "CUCM1", "select * from enduser").expect(500);
    assert_eq!(request.xpath("string(//axlcode)"), "-201");
    assert_eq!(
        simulators.requests("CUCM1").pop().unwrap()["sql"],
        "select * from enduser"
    );
}
