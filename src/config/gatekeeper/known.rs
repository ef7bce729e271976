//! Every key that billdrop knows, with its default. The defaults are those of the gatekeeper's code; where its manual
//! says otherwise, `billdrop-accounting.5` tells. That page is checked against this list.

/// A key of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub section: &'static str,
    pub key: &'static str,
    pub kind: Kind,
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Path,
    /// See [`super::values::flag`].
    Flag,
    /// See [`super::values::truth`].
    Truth,
    /// A number, with its unit.
    Number(&'static str),
    /// May be encrypted.
    Secret,
    Template,
    Query,
    /// Read by the gatekeeper; makes no difference here.
    Unused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// This very value.
    Is(&'static str),
    /// What stands in its place, in words.
    Told(&'static str),
    /// Nothing.
    Unset,
}

impl Kind {
    /// The word of the manual page.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Path => "path",
            Kind::Flag | Kind::Truth => "boolean",
            Kind::Number(unit) => unit,
            Kind::Secret => "secret",
            Kind::Template => "template",
            Kind::Query => "query",
            Kind::Unused => "not used",
        }
    }
}

impl Known {
    /// What is read where the key is missing.
    pub fn value(&self) -> &'static str {
        match self.otherwise {
            Otherwise::Is(value) => value,
            Otherwise::Told(_) | Otherwise::Unset => "",
        }
    }
}

/// Sections whose keys billdrop reads all: an unknown key is a mistake.
pub const MODULE_SECTIONS: [&str; 5] = ["FileAcct", "RadAcct", "SQLAcct", "StatusAcct", "SyslogAcct"];

/// Sections of the gatekeeper itself: most of their keys are no business of accounting.
pub const MAIN: &str = "Gatekeeper::Main";
pub const CALL_TABLE: &str = "CallTable";
pub const CHAIN: &str = "Gatekeeper::Acct";

pub fn find(section: &str, key: &str) -> Option<&'static Known> {
    OPTIONS
        .iter()
        .find(|known| known.section.eq_ignore_ascii_case(section) && known.key.eq_ignore_ascii_case(key))
}

/// Known keys of a section.
pub fn of(section: &str) -> impl Iterator<Item = &'static Known> {
    OPTIONS
        .iter()
        .filter(move |known| known.section.eq_ignore_ascii_case(section))
}

use Kind::{Flag, Number, Path, Query, Secret, Template, Text, Truth, Unused};
use Otherwise::{Is, Told, Unset};

const fn known(section: &'static str, key: &'static str, kind: Kind, otherwise: Otherwise) -> Known {
    Known {
        section,
        key,
        kind,
        otherwise,
    }
}

/// In the order of the manual page.
pub const OPTIONS: &[Known] = &[
    known(MAIN, "Name", Text, Is("GnuGk")),
    known(MAIN, "Home", Text, Unset),
    known(MAIN, "TimestampFormat", Text, Is("Cisco")),
    known(MAIN, "EncryptAllPasswords", Flag, Is("0")),
    known(MAIN, "KeyFilled", Number("number"), Unset),
    known(MAIN, "StatusPort", Unused, Unset),
    known(MAIN, "StatusTraceLevel", Unused, Unset),
    known(MAIN, "MaxStatusClients", Unused, Unset),
    known(MAIN, "StatusEventBacklog", Unused, Unset),
    known(MAIN, "StatusEventBacklogRegex", Unused, Unset),
    known(MAIN, "MaxSocketQueue", Unused, Unset),
    known(CALL_TABLE, "AcctUpdateInterval", Number("seconds"), Is("0")),
    known(CALL_TABLE, "TimestampFormat", Text, Is("RFC822")),
    known(CALL_TABLE, "GenerateUCCDR", Flag, Is("0")),
    known(CALL_TABLE, "SetCalledStationIdToDialedIP", Flag, Is("0")),
    known(CALL_TABLE, "GenerateNBCDR", Unused, Unset),
    known(CALL_TABLE, "SingleFailoverCDR", Unused, Unset),
    known("FileAcct", "DetailFile", Path, Unset),
    known(
        "FileAcct",
        "StandardCDRFormat",
        Truth,
        Told("1 without a CDRString, 0 with one"),
    ),
    known("FileAcct", "CDRString", Template, Unset),
    known(
        "FileAcct",
        "TimestampFormat",
        Text,
        Told("RFC822 in standard lines, that of [Gatekeeper::Main] in templates"),
    ),
    known("FileAcct", "Rotate", Text, Unset),
    known("FileAcct", "RotateTime", Text, Told("59 with hourly, else 00:59")),
    known("FileAcct", "RotateDay", Text, Told("Sun with weekly, 1 with monthly")),
    known("RadAcct", "Servers", Text, Unset),
    known("RadAcct", "LocalInterface", Text, Unset),
    known("RadAcct", "RadiusPortRange", Text, Is("1024-65535")),
    known("RadAcct", "DefaultAcctPort", Number("port"), Is("1813")),
    known("RadAcct", "DefaultAuthPort", Unused, Unset),
    known("RadAcct", "SharedSecret", Secret, Unset),
    known("RadAcct", "KeyFilled", Number("number"), Unset),
    known("RadAcct", "RequestTimeout", Number("milliseconds"), Is("2000")),
    known("RadAcct", "RequestRetransmissions", Number("number"), Is("2")),
    known("RadAcct", "RoundRobinServers", Truth, Is("1")),
    known("RadAcct", "IdCacheTimeout", Number("milliseconds"), Is("9000")),
    known("RadAcct", "SocketDeleteTimeout", Number("milliseconds"), Is("60000")),
    known("RadAcct", "AppendCiscoAttributes", Flag, Is("1")),
    known("RadAcct", "UseDialedNumber", Flag, Is("0")),
    known("RadAcct", "FixedUsername", Text, Unset),
    known("RadAcct", "TimestampFormat", Text, Told("that of [Gatekeeper::Main]")),
    known("SQLAcct", "Driver", Text, Unset),
    known("SQLAcct", "Host", Text, Is("localhost")),
    known("SQLAcct", "Database", Text, Unset),
    known("SQLAcct", "Username", Text, Unset),
    known("SQLAcct", "Password", Secret, Unset),
    known("SQLAcct", "KeyFilled", Number("number"), Unset),
    known("SQLAcct", "MinPoolSize", Number("number"), Is("1")),
    known("SQLAcct", "MaxPoolSize", Number("number"), Told("that of MinPoolSize")),
    known("SQLAcct", "ConnectTimeout", Number("seconds"), Is("10")),
    known("SQLAcct", "ReadTimeout", Number("seconds"), Is("60")),
    known("SQLAcct", "StartQuery", Query, Unset),
    known("SQLAcct", "StartQueryAlt", Query, Unset),
    known("SQLAcct", "UpdateQuery", Query, Unset),
    known("SQLAcct", "StopQuery", Query, Unset),
    known("SQLAcct", "StopQueryAlt", Query, Unset),
    known("SQLAcct", "AlertQuery", Query, Unset),
    known("SQLAcct", "RegisterQuery", Query, Unset),
    known("SQLAcct", "UnregisterQuery", Query, Unset),
    known("SQLAcct", "OnQuery", Query, Unset),
    known("SQLAcct", "OffQuery", Query, Unset),
    known("SQLAcct", "TimestampFormat", Text, Told("that of [Gatekeeper::Main]")),
    known("SQLAcct", "Library", Unused, Unset),
    known("SQLAcct", "CacheTimeout", Unused, Unset),
    known(
        "StatusAcct",
        "TimestampFormat",
        Text,
        Told("that of [Gatekeeper::Main]"),
    ),
    known("StatusAcct", "StartEvent", Template, CALL_TEMPLATE[0]),
    known("StatusAcct", "StopEvent", Template, CALL_TEMPLATE[1]),
    known("StatusAcct", "UpdateEvent", Template, CALL_TEMPLATE[2]),
    known("StatusAcct", "ConnectEvent", Template, CALL_TEMPLATE[3]),
    known("StatusAcct", "AlertEvent", Template, CALL_TEMPLATE[4]),
    known("StatusAcct", "RejectEvent", Template, CALL_TEMPLATE[5]),
    known("StatusAcct", "MediaFailEvent", Template, CALL_TEMPLATE[6]),
    known("StatusAcct", "RegisterEvent", Template, ENDPOINT_TEMPLATE[0]),
    known("StatusAcct", "UnregisterEvent", Template, ENDPOINT_TEMPLATE[1]),
    known("SyslogAcct", "SyslogFacility", Text, Is("LOG_USER")),
    known("SyslogAcct", "SyslogLevel", Text, Is("LOG_INFO")),
    known(
        "SyslogAcct",
        "TimestampFormat",
        Text,
        Told("that of [Gatekeeper::Main]"),
    ),
    known("SyslogAcct", "StartEvent", Template, CALL_TEMPLATE[0]),
    known("SyslogAcct", "StopEvent", Template, CALL_TEMPLATE[1]),
    known("SyslogAcct", "UpdateEvent", Template, CALL_TEMPLATE[2]),
    known("SyslogAcct", "ConnectEvent", Template, CALL_TEMPLATE[3]),
];

const CALL_TEMPLATE: [Otherwise; 7] = [
    Is("CALL|Start|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|Stop|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|Update|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|Connect|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|Alert|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|Reject|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
    Is("CALL|MediaFail|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}"),
];

const ENDPOINT_TEMPLATE: [Otherwise; 2] = [
    Is("EP|Register|%{endpoint-ip}:%{endpoint-port}|%{aliases}"),
    Is("EP|Unregister|%{endpoint-ip}:%{endpoint-port}|%{aliases}"),
];
