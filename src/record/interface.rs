//! The usage of one network interface.

use super::definition::Presence::{Optional, Required};
use super::{Field, Kind, ServiceDefinition};

/// `InterfaceUsage-Type`: names of IF-MIB (RFC 2863) where it has one, of OpenConfig's interface counters otherwise.
pub static INTERFACE_USAGE: ServiceDefinition = ServiceDefinition {
    name: "InterfaceUsage-Type",
    schema: "InterfaceUsage.xsd",
    doc: "The usage of one network interface since it was made. Counters are absolute: the difference of two \
          documents is the usage between them, unless discontinuity says that they cannot be compared.",
    fields: &[
        Field::new(
            "IPDRcreationTime",
            Kind::DateTimeMsec,
            Required,
            "When the counters were read, by the recorder's clock.",
        ),
        Field::new(
            "sourceName",
            Kind::Text { max_chars: 255 },
            Required,
            "Name of the source, as configured.",
        ),
        Field::new(
            "hostName",
            Kind::Text { max_chars: 255 },
            Required,
            "Host that has the interface.",
        ),
        Field::new(
            "ifIndex",
            Kind::UnsignedInt,
            Required,
            "Number of the interface, IF-MIB ifIndex. Unique in its network namespace until a reboot.",
        ),
        Field::new(
            "ifName",
            Kind::Text { max_chars: 255 },
            Required,
            "Name of the interface, IF-MIB ifName.",
        ),
        Field::new(
            "ifAlias",
            Kind::Text { max_chars: 65536 },
            Optional,
            "Text that the operator gave the interface, IF-MIB ifAlias.",
        ),
        Field::new(
            "ifPhysAddress",
            Kind::MacAddress,
            Optional,
            "MAC address. Left out where the interface has none of six octets.",
        ),
        Field::new(
            "ifAdminStatus",
            Kind::Enum(ADMIN_STATUS),
            Required,
            "What the operator wants, IF-MIB ifAdminStatus.",
        ),
        Field::new(
            "ifOperStatus",
            Kind::Enum(OPER_STATUS),
            Required,
            "What is, IF-MIB ifOperStatus.",
        ),
        counter("inOctets", "Octets received."),
        counter("outOctets", "Octets sent."),
        counter("inPkts", "Packets received."),
        counter("outPkts", "Packets sent."),
        counter("inErrors", "Packets received with errors."),
        counter("outErrors", "Packets that could not be sent because of errors."),
        counter("inDiscards", "Packets received and dropped."),
        counter("outDiscards", "Packets dropped before they were sent."),
        Field::new(
            "discontinuity",
            Kind::Enum(DISCONTINUITY),
            Required,
            "Whether the counters can be compared with those of the document before. none: yes. notCompared: there is \
             nothing to compare with, because this is the first document, or the interface was not captured before. \
             new: the interface was not there. reboot: the host was started again. recreated: another interface has the name now. \
             counterLower: a counter went back.",
        ),
    ],
};

const fn counter(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::UnsignedLong, Required, doc)
}

/// RFC 2863, ifAdminStatus.
pub const ADMIN_STATUS: &[(i32, &str)] = &[(1, "up"), (2, "down"), (3, "testing")];

/// RFC 2863, ifOperStatus.
pub const OPER_STATUS: &[(i32, &str)] = &[
    (1, "up"),
    (2, "down"),
    (3, "testing"),
    (4, "unknown"),
    (5, "dormant"),
    (6, "notPresent"),
    (7, "lowerLayerDown"),
];

const DISCONTINUITY: &[(i32, &str)] = &[
    (0, "none"),
    (1, "new"),
    (2, "reboot"),
    (3, "recreated"),
    (4, "counterLower"),
    (5, "notCompared"),
];

/// Why a counter cannot be compared with its value in the document before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discontinuity {
    None = 0,
    New = 1,
    Reboot = 2,
    Recreated = 3,
    CounterLower = 4,
    NotCompared = 5,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_discontinuity_has_the_token_of_its_number() {
        use Discontinuity::*;
        let tokens = [
            (None, "none"),
            (New, "new"),
            (Reboot, "reboot"),
            (Recreated, "recreated"),
            (CounterLower, "counterLower"),
            (NotCompared, "notCompared"),
        ];
        assert_eq!(tokens.map(|(code, token)| (code as i32, token)), DISCONTINUITY);
    }
}
