//! Requests, as AXLSoap.xsd wants them: only the call itself is qualified, its children are not, and there is no
//! attribute `sequence`.

use quick_xml::escape::partial_escape;

use super::Version;
use crate::record::Text;

/// What a device is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// The release of the device's software.
    CcmVersion,
    /// A query of the device's database. Reads only, as long as the query does.
    Sql {
        query: &'a str,
    },
    /// How many devices of a class there are, such as `Phone` or `Gateway`.
    NumDevices {
        class: &'a str,
    },
    SmartLicenseStatus,
    /// All users with the licences that they use, or a page of them.
    LicensedUsers {
        page: Option<Page>,
    },
}

/// A part of an answer that would be too large as a whole, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows before the first that is wanted.
    pub skip: u64,
    /// Rows wanted at most.
    pub first: u64,
}

impl Call<'_> {
    /// The operation's name, as AXLSoap.xsd has it.
    pub fn operation(&self) -> &'static str {
        match self {
            Call::CcmVersion => "getCCMVersion",
            Call::Sql { .. } => "executeSQLQuery",
            Call::NumDevices { .. } => "getNumDevices",
            Call::SmartLicenseStatus => "getSmartLicenseStatus",
            Call::LicensedUsers { .. } => "listLicensedUser",
        }
    }

    /// The oldest version that has this operation.
    pub fn since(&self) -> Version {
        match self {
            Call::CcmVersion | Call::Sql { .. } | Call::NumDevices { .. } => Version::new(10, 5),
            Call::LicensedUsers { .. } => Version::new(11, 0),
            Call::SmartLicenseStatus => Version::new(12, 5),
        }
    }

    /// The value of the header SOAPAction, its quotation marks included.
    pub fn soap_action(&self, version: Version) -> String {
        format!("\"CUCM:DB ver={version} {}\"", self.operation())
    }

    /// The body of the request. Characters of a query that XML cannot hold become U+FFFD.
    pub fn envelope(&self, version: Version) -> Vec<u8> {
        let operation = self.operation();
        let children = self.children(version);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:ns=\"http://www.cisco.com/AXL/API/{version}\"><soapenv:Header/><soapenv:Body>\
             <ns:{operation}>{children}</ns:{operation}></soapenv:Body></soapenv:Envelope>\n"
        )
        .into_bytes()
    }

    fn children(&self, version: Version) -> String {
        match self {
            Call::CcmVersion | Call::SmartLicenseStatus => String::new(),
            Call::Sql { query } => format!("<sql>{}</sql>", escaped(query)),
            Call::NumDevices { class } => format!("<class>{}</class>", escaped(class)),
            Call::LicensedUsers { page } => {
                // Up to 12.0 the schema has no emEnabled.
                let em_enabled = if version >= Version::new(12, 5) {
                    "<emEnabled/>"
                } else {
                    ""
                };
                // `skip` counts only together with `first`, and stands before it.
                let page = page.map_or_else(String::new, |Page { skip, first }| {
                    format!("<skip>{skip}</skip><first>{first}</first>")
                });
                format!(
                    "<searchCriteria><userId>%</userId></searchCriteria><returnedTags><userId/><snrEnabled/>{em_enabled}\
                     <deviceCount/><licenseType/><licenseUsed/></returnedTags>{page}"
                )
            }
        }
    }
}

/// A page of the rows of `query`.
pub fn paged(query: &str, page: Page) -> String {
    let query = query.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    format!("SELECT SKIP {} LIMIT {} * FROM ({query})", page.skip, page.first)
}

fn escaped(text: &str) -> String {
    let (text, _) = Text::lossy(text.as_bytes());
    partial_escape(text.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V14: Version = Version::new(14, 0);

    fn body(call: Call<'_>, version: Version) -> String {
        let envelope = String::from_utf8(call.envelope(version)).unwrap();
        let (_, rest) = envelope.split_once("<soapenv:Body>").unwrap();
        rest.split_once("</soapenv:Body>").unwrap().0.to_owned()
    }

    #[test]
    fn a_request_is_the_one_that_the_schema_accepts() {
        let query = "select name,value FROM TABLE (FUNCTION LicenseTotals()) (pkid,name,value,UserValue,DeviceValue)";
        assert_eq!(
            String::from_utf8(Call::Sql { query }.envelope(V14)).unwrap(),
            include_str!("../../../fixtures/axl/request_LicenseTotals_14.0.xml")
        );
        assert_eq!(body(Call::CcmVersion, V14), "<ns:getCCMVersion></ns:getCCMVersion>");
        assert_eq!(
            body(Call::NumDevices { class: "Phone" }, V14),
            "<ns:getNumDevices><class>Phone</class></ns:getNumDevices>"
        );
        assert_eq!(
            body(Call::SmartLicenseStatus, V14),
            "<ns:getSmartLicenseStatus></ns:getSmartLicenseStatus>"
        );
    }

    #[test]
    fn licensed_users_are_asked_for_in_the_order_of_the_schema() {
        let page = Some(Page { skip: 500, first: 250 });
        assert_eq!(
            body(Call::LicensedUsers { page }, V14),
            "<ns:listLicensedUser><searchCriteria><userId>%</userId></searchCriteria><returnedTags><userId/><snrEnabled/>\
             <emEnabled/><deviceCount/><licenseType/><licenseUsed/></returnedTags><skip>500</skip><first>250</first>\
             </ns:listLicensedUser>"
        );
        let all = body(Call::LicensedUsers { page: None }, Version::new(11, 5));
        assert!(
            !all.contains("emEnabled") && !all.contains("skip") && !all.contains("first"),
            "{all}"
        );
    }

    #[test]
    fn a_query_may_hold_anything() {
        let query = "select '<a>' & \"]]>\" from é\r\n\u{1}";
        assert_eq!(
            body(Call::Sql { query }, V14),
            "<ns:executeSQLQuery><sql>select '&lt;a&gt;' &amp; \"]]&gt;\" from é&#13;\n\u{FFFD}</sql></ns:executeSQLQuery>"
        );
    }

    #[test]
    fn the_version_stands_in_namespace_and_header() {
        let version = Version::new(12, 5);
        assert_eq!(
            Call::CcmVersion.soap_action(version),
            "\"CUCM:DB ver=12.5 getCCMVersion\""
        );
        let envelope = String::from_utf8(Call::CcmVersion.envelope(version)).unwrap();
        assert!(
            envelope.contains("xmlns:ns=\"http://www.cisco.com/AXL/API/12.5\""),
            "{envelope}"
        );
    }

    #[test]
    fn a_query_is_paged_whatever_it_ends_with() {
        let page = Page { skip: 10, first: 5 };
        assert_eq!(
            paged("select name from device ;\n", page),
            "SELECT SKIP 10 LIMIT 5 * FROM (select name from device)"
        );
    }
}
