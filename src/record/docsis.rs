//! The subscriber usage record of a CMTS, DOCSIS 2.0 SAMIS, as Cisco's uBR and cBR routers write it.

use super::definition::Presence::{EmptyWhenAbsent, Required};
use super::{Field, Kind, ServiceDefinition};

/// `DOCSIS-Type`: order and spelling of IOS 12.3(17a)BC and later; readers accept the names of earlier releases too.
pub static DOCSIS: ServiceDefinition = ServiceDefinition {
    name: "DOCSIS-Type",
    schema: "DOCSIS.xsd",
    doc: "The usage of one service flow of one cable modem (DOCSIS 2.0 SAMIS). Counters are absolute.",
    fields: &[
        Field::new(
            "IPDRcreationTime",
            Kind::DateTimeMsec,
            Required,
            "When the record was made.",
        )
        .also(&["IPDRCreationTime"]),
        text(
            "CMTShostName",
            "Fully qualified host name of the CMTS, empty where it has none.",
        )
        .also(&["CMTShostname"]),
        Field::new("CMTSipAddress", Kind::Ipv4Addr, EmptyWhenAbsent, "Address of the CMTS."),
        number(
            "CMTSsysUpTime",
            "sysUpTime of the CMTS in hundredths of a second; 32 bits, wraps after 497 days.",
        ),
        text("CMTScatvIfName", "ifName of the cable (MAC) interface."),
        number("CMTScatvIfIndex", "ifIndex of the cable (MAC) interface."),
        text("CMTSupIfName", "ifName of the upstream."),
        Field::new(
            "CMTSupIfType",
            Kind::Int,
            EmptyWhenAbsent,
            "ifType of the upstream: 129 DOCSIS upstream, 205 DOCSIS 2.0 logical upstream.",
        ),
        text("CMTSdownIfName", "ifName of the downstream."),
        Field::new("CMmacAddress", Kind::MacAddress, Required, "MAC address of the modem.").also(&["subscriberId"]),
        Field::new("CMipAddress", Kind::Ipv4Addr, EmptyWhenAbsent, "Address of the modem."),
        Field::new(
            "CMdocsisMode",
            Kind::Text { max_chars: 8 },
            EmptyWhenAbsent,
            "Registration mode of the modem: 10 for DOCSIS 1.0, 11 for 1.1, 20, 30, 31; some releases print 1.0. Beyond \
             11 it is concluded from the channels of the modem: no standard object tells it.",
        ),
        Field::new(
            "CMCPEipAddress",
            Kind::List(&Kind::Ipv4Addr),
            EmptyWhenAbsent,
            "Addresses of the equipment behind the modem. Empty when suppressed or none.",
        )
        .also(&["CPEipAddress", "CMcpeIpv4List", "CMcpeIpAddress"]),
        Field::new(
            "RecType",
            Kind::Int,
            Required,
            "1 interim: the flow is active. 2 stop: it was deleted in the period.",
        )
        .also(&["SFtype"]),
        Field::new(
            "serviceIdentifier",
            Kind::UnsignedInt,
            Required,
            "SFID; 0 for the sum of a modem's flows.",
        )
        .also(&["SFID"]),
        text("serviceClassName", "Service class of the flow."),
        Field::new("serviceDirection", Kind::Int, Required, "1 downstream, 2 upstream.").also(&["SFdirection"]),
        Field::new("serviceOctetsPassed", Kind::UnsignedLong, Required, "Octets passed.")
            .also(&["octetsPassed", "ServiceOctetsPassed"]),
        Field::new("servicePktsPassed", Kind::UnsignedLong, Required, "Packets passed.").also(&["pktsPassed"]),
        number("serviceSlaDropPkts", "Packets dropped by policing.").also(&["SLAdropPkts"]),
        number("serviceSlaDelayPkts", "Packets delayed by policing.").also(&["SLAdelayPkts"]),
        number(
            "serviceTimeCreated",
            "sysUpTime when the flow was made, in hundredths of a second.",
        ),
        number("serviceTimeActive", "How long the flow has been active, in seconds."),
    ],
};

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Text { max_chars: 255 }, EmptyWhenAbsent, doc)
}

const fn number(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::UnsignedInt, EmptyWhenAbsent, doc)
}
