//! `[[source]] type = "cmts"`: a cable modem termination system that is asked by SNMP.
//!
//! The words for SNMP are those of `[[notify]]`; those for records are the ones of the CMTS's own command line. Secrets
//! in files and in the environment are looked at when the CMTS is asked: they may come later.

use std::{net::IpAddr, time::Duration};

use serde::Deserialize;

use super::source::{Finding, SourceTable};
use super::{AuthProtocol, PrivacyProtocol, SHORTEST_PASSWORD, Secret, SnmpVersion, Span, device};

/// A CMTS as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Cmts {
    /// Unique among all sources.
    pub name: String,
    /// Name in file names and traps where each CMTS has documents of its own. Default: `name`.
    pub hostname: Option<String>,
    /// Host name or address; IPv6 without brackets.
    pub address: String,
    pub port: u16,
    pub credentials: CmtsCredentials,
    /// For everything that one capture asks.
    pub timeout: Span,
    /// For one answer.
    pub answer_timeout: Span,
    /// How often a request is sent again that has had no answer.
    pub retries: u8,
    pub most_requests_per_second: u32,
    /// Requests that wait for their answer at the same time, at most.
    pub in_flight: u16,
    /// Rows that one GETBULK asks for, at most.
    pub most_repetitions: u16,
    pub records: CmtsRecords,
    pub flow_aggregate: bool,
    pub cpe_list_suppress: bool,
    pub full_records: bool,
    /// Address of the CMTS in its records.
    pub source_address: Option<IpAddr>,
    /// Whether entries of the log of ended flows are released when a document has them.
    pub release_log: bool,
    /// With version 2c, what is released is released with this community.
    pub write_community: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CmtsCredentials {
    V2c {
        community: Secret,
    },
    V3 {
        user: String,
        auth_protocol: AuthProtocol,
        auth_password: Secret,
        privacy_protocol: PrivacyProtocol,
        privacy_password: Secret,
    },
}

/// Which records are written of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CmtsRecords {
    /// DOCSIS 2.0 SAMIS, as Cisco's routers write it.
    #[default]
    Docsis,
    #[serde(rename = "samis-type-1")]
    SamisType1,
    #[serde(rename = "samis-type-2")]
    SamisType2,
}

const PORT: u16 = 161;
/// 50,000 flows take half a minute at the default load; a CMTS may be much slower than that.
const TIMEOUT: Span = Span::seconds(900);
const ANSWER_TIMEOUT: Span = Span::seconds(5);
const RETRIES: u8 = 3;
const REQUESTS_PER_SECOND: u32 = 200;
const IN_FLIGHT: u16 = 4;
const REPETITIONS: u16 = 36;

impl SourceTable {
    /// The CMTS that the table describes; what is wrong with it is added to `found`.
    pub(super) fn cmts(&self, found: &mut Vec<Finding>) -> Option<Cmts> {
        let mut finding = |key, reason: &str| found.push((key, reason.to_owned()));
        let mut within = |key, is: bool, range: &str| {
            if !is {
                finding(key, &format!("must be {range}"));
            }
        };
        let seconds = |span: Option<Span>, most: u64| {
            span.is_none_or(|span| (Duration::from_secs(1)..=Duration::from_secs(most)).contains(&span.0))
        };
        let is = |value: Option<u64>, least: u64, most: u64| value.is_none_or(|value| (least..=most).contains(&value));
        within("port", self.port != Some(0), "a port, 1 to 65535");
        within("timeout", seconds(self.timeout, 86400), "1s to 1day");
        within("answer-timeout", seconds(self.answer_timeout, 300), "1s to 5min");
        within("retries", is(self.retries.map(u64::from), 0, 10), "0 to 10");
        let requests = self.most_requests_per_second.map(u64::from);
        within("most-requests-per-second", is(requests, 1, 100_000), "1 to 100000");
        within("in-flight", is(self.in_flight.map(u64::from), 1, 64), "1 to 64");
        let repetitions = self.most_repetitions.map(u64::from);
        within("most-repetitions", is(repetitions, 1, 1000), "1 to 1000");
        let missing = "is missing; a source of type cmts needs it";
        let address = match self.address.as_deref().ok_or(missing).and_then(device::address) {
            Ok(address) => Some(address),
            Err(reason) => {
                finding("address", reason);
                None
            }
        };
        let source_address = match self.source_address.as_deref().map(str::parse::<IpAddr>) {
            Some(Ok(address)) => Some(address),
            Some(Err(_)) => {
                finding("source-address", "must be an address of IPv4 or IPv6");
                None
            }
            // What is asked is as good an address of the CMTS as any, if it is one.
            None => address.as_deref().and_then(|address| address.parse().ok()),
        };
        let credentials = self.credentials(found);
        self.release(found);
        Some(Cmts {
            name: self.name().to_owned(),
            hostname: self.hostname.clone(),
            address: address?,
            port: self.port.unwrap_or(PORT),
            credentials: credentials?,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            answer_timeout: self.answer_timeout.unwrap_or(ANSWER_TIMEOUT),
            retries: self.retries.unwrap_or(RETRIES),
            most_requests_per_second: self.most_requests_per_second.unwrap_or(REQUESTS_PER_SECOND),
            in_flight: self.in_flight.unwrap_or(IN_FLIGHT),
            most_repetitions: self.most_repetitions.unwrap_or(REPETITIONS),
            records: self.records.unwrap_or_default(),
            flow_aggregate: self.flow_aggregate,
            cpe_list_suppress: self.cpe_list_suppress,
            full_records: self.full_records,
            source_address,
            release_log: self.release_log,
            write_community: self.write_community.clone(),
        })
    }

    fn credentials(&self, found: &mut Vec<Finding>) -> Option<CmtsCredentials> {
        let version = self.version.unwrap_or_default();
        let mut finding = |key, reason: String| found.push((key, reason));
        let of_v3 = [
            ("user", self.user.is_some()),
            ("auth-protocol", self.auth_protocol.is_some()),
            ("auth-password", self.auth_password.is_some()),
            ("privacy-protocol", self.privacy_protocol.is_some()),
            ("privacy-password", self.privacy_password.is_some()),
        ];
        let of_v2c = [
            ("community", self.community.is_some()),
            ("write-community", self.write_community.is_some()),
        ];
        let (others, whose) = match version {
            SnmpVersion::V2c => (&of_v3[..], "3"),
            SnmpVersion::V3 => (&of_v2c[..], "2c"),
        };
        for (key, _) in others.iter().filter(|(_, given)| *given) {
            finding(key, format!("is for version \"{whose}\""));
        }
        match version {
            SnmpVersion::V2c => {
                let community = self.community.clone();
                match &community {
                    None => finding("community", "is missing; version \"2c\" needs it".to_owned()),
                    Some(Secret::Text(text)) if text.is_empty() => finding("community", "is empty".to_owned()),
                    Some(_) => {}
                }
                Some(CmtsCredentials::V2c { community: community? })
            }
            SnmpVersion::V3 => {
                match self.user.as_deref() {
                    None => finding("user", "is missing; version \"3\" needs it".to_owned()),
                    // RFC 3414, `usmUserName`.
                    Some(user) if !(1..=32).contains(&user.len()) => {
                        finding("user", "is not of 1 to 32 octets".to_owned());
                    }
                    Some(_) => {}
                }
                let passwords = [
                    ("auth-password", &self.auth_password),
                    ("privacy-password", &self.privacy_password),
                ];
                for (key, password) in passwords {
                    match password {
                        None => finding(
                            key,
                            "is missing; version \"3\" is only spoken with authentication and privacy".to_owned(),
                        ),
                        Some(Secret::Text(text)) if text.len() < SHORTEST_PASSWORD => {
                            finding(key, format!("is shorter than {SHORTEST_PASSWORD} octets"));
                        }
                        Some(_) => {}
                    }
                }
                Some(CmtsCredentials::V3 {
                    user: self.user.clone()?,
                    auth_protocol: self.auth_protocol.unwrap_or_default(),
                    auth_password: self.auth_password.clone()?,
                    privacy_protocol: self.privacy_protocol.unwrap_or_default(),
                    privacy_password: self.privacy_password.clone()?,
                })
            }
        }
    }

    fn release(&self, found: &mut Vec<Finding>) {
        let is_v2c = self.version.unwrap_or_default() == SnmpVersion::V2c;
        match (&self.write_community, self.release_log) {
            (None, true) if is_v2c => {
                let reason = "is missing; release-log = true with version \"2c\" needs it";
                found.push(("write-community", reason.to_owned()));
            }
            (Some(_), false) => {
                let reason = "is for release-log = true; without it nothing is ever written to a CMTS";
                found.push(("write-community", reason.to_owned()));
            }
            (Some(Secret::Text(text)), true) if text.is_empty() => {
                found.push(("write-community", "is empty".to_owned()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};

    fn check(keys: &str) -> Result<Cmts, Vec<Finding>> {
        let config: Config = toml::from_str(&format!("[[source]]\ntype = 'cmts'\n{keys}")).unwrap();
        match config.sources[0].check(&config.capture) {
            Ok(Source::Cmts(cmts)) => Ok(*cmts),
            Ok(other) => panic!("{other:?}"),
            Err(found) => Err(found),
        }
    }

    #[track_caller]
    fn assert_wrong(keys: &str, wrong: &[&str]) {
        let found = check(keys).unwrap_err();
        let named: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
        assert_eq!(named, wrong, "{found:?}");
    }

    #[test]
    fn an_address_and_a_community_are_enough() {
        let cmts = check("address = '192.0.2.7'\ncommunity = 'c'").unwrap();
        assert_eq!((cmts.name.as_str(), cmts.port), ("cmts", 161));
        assert_eq!(cmts.source_address, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(cmts.records, CmtsRecords::Docsis);
        assert_eq!((cmts.timeout, cmts.most_requests_per_second), (Span::seconds(900), 200));
        let named = check("address = 'cmts1.example.net'\ncommunity = { env = 'NOT_SET' }").unwrap();
        assert_eq!(named.source_address, None);
    }

    #[test]
    fn every_key_is_taken() {
        let cmts = check(
            "name = 'cmts1'\naddress = '[2001:db8::7]'\nport = 1161\nversion = '3'\nuser = 'poller'\n\
             auth-protocol = 'SHA-512'\nauth-password = '12345678'\nprivacy-protocol = 'AES-256'\n\
             privacy-password = '12345678'\ntimeout = '1h'\nanswer-timeout = '10s'\nretries = 0\n\
             most-requests-per-second = 50\nin-flight = 1\nmost-repetitions = 10\nrecords = 'samis-type-2'\n\
             flow-aggregate = true\ncpe-list-suppress = true\nfull-records = true\nsource-address = '192.0.2.1'\n\
             release-log = true",
        )
        .unwrap();
        assert_eq!((cmts.address.as_str(), cmts.port), ("2001:db8::7", 1161));
        assert_eq!(cmts.records, CmtsRecords::SamisType2);
        assert!(cmts.flow_aggregate && cmts.cpe_list_suppress && cmts.full_records && cmts.release_log);
        assert!(matches!(
            cmts.credentials,
            CmtsCredentials::V3 {
                auth_protocol: AuthProtocol::Sha512,
                ..
            }
        ));
    }

    #[test]
    fn each_fault_is_found_with_its_key() {
        assert_wrong("", &["address", "community"]);
        assert_wrong("address = 'a/b'\ncommunity = ''", &["address", "community"]);
        let v3 = "address = 'a'\nversion = '3'\n";
        assert_wrong(v3, &["user", "auth-password", "privacy-password"]);
        let short = format!("{v3}user = ''\nauth-password = '1234567'\nprivacy-password = 'x'\ncommunity = 'c'");
        assert_wrong(&short, &["community", "user", "auth-password", "privacy-password"]);
        let v2c = "address = 'a'\ncommunity = 'c'\n";
        assert_wrong(
            &format!("{v2c}user = 'u'\nauth-protocol = 'MD5'"),
            &["user", "auth-protocol"],
        );
        assert_wrong(&format!("{v2c}release-log = true"), &["write-community"]);
        assert_wrong(&format!("{v2c}write-community = 'w'"), &["write-community"]);
        assert_wrong(&format!("{v2c}source-address = 'cmts1'"), &["source-address"]);
        let numbers = "port = 0\ntimeout = '0s'\nanswer-timeout = '6min'\nretries = 11\nmost-requests-per-second = 0\n\
                       in-flight = 0\nmost-repetitions = 0";
        let keys = [
            "port",
            "timeout",
            "answer-timeout",
            "retries",
            "most-requests-per-second",
            "in-flight",
            "most-repetitions",
        ];
        assert_wrong(&format!("{v2c}{numbers}"), &keys);
        assert_wrong(
            &format!("{v2c}contract = '1'\npassword = 'p'\ninclude = ['eth0']"),
            &["include", "contract", "password"],
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let cmts =
            check("address = 'a'\ncommunity = 'hunter2'\nrelease-log = true\nwrite-community = 'hunter3'").unwrap();
        assert!(!format!("{cmts:?}").contains("hunter"), "{cmts:?}");
        let found = check("address = 'a'\nversion = '3'\nuser = 'u'\nauth-password = 'hunter2'").unwrap_err();
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
    }
}
