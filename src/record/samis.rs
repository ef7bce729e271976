//! The subscriber usage records of DOCSIS 3.0 (SAMIS), one for each service flow: TYPE-1 with everything, TYPE-2 without
//! what can be looked up by the modem's MAC address.
//!
//! TYPE-1 was read from records of a real CMTS. The order of TYPE-2 is not known for sure: it is TYPE-1 without
//! addresses and registration. Documents name their elements and IPDR/SP its template's fields, so readers find
//! them in any order; only a program that counts octets would see a difference from a CMTS.

use super::definition::Presence::{EmptyWhenAbsent, Required};
use super::{Field, Kind, ServiceDefinition};

/// `DOCSIS-SAMIS-TYPE-1`: 28 fields.
pub static SAMIS_TYPE_1: ServiceDefinition = ServiceDefinition {
    name: "DOCSIS-SAMIS-TYPE-1",
    schema: "DOCSIS-SAMIS-TYPE-1.xsd",
    doc: "The usage of one service flow of one cable modem (DOCSIS 3.0 SAMIS), with the modem's addresses and \
          registration. Counters are absolute.",
    fields: &[
        CMTS_HOST_NAME,
        CMTS_SYS_UP_TIME,
        Field::new("CmtsIpv4Addr", Kind::Ipv4Addr, EmptyWhenAbsent, "Address of the CMTS."),
        Field::new("CmtsIpv6Addr", Kind::Ipv6Addr, EmptyWhenAbsent, "Address of the CMTS."),
        CMTS_MD_IF_NAME,
        CMTS_MD_IF_INDEX,
        CM_MAC_ADDR,
        Field::new("CmIpv4Addr", Kind::Ipv4Addr, EmptyWhenAbsent, "Address of the modem."),
        Field::new("CmIpv6Addr", Kind::Ipv6Addr, EmptyWhenAbsent, "Address of the modem."),
        Field::new(
            "CmIpv6LinkLocalAddr",
            Kind::Ipv6Addr,
            EmptyWhenAbsent,
            "Link-local address of the modem.",
        ),
        Field::new(
            "CmQosVersion",
            Kind::Int,
            EmptyWhenAbsent,
            "Quality of service that the modem registered with: 1 for DOCSIS 1.0, 2 for 1.1 and later.",
        ),
        Field::new(
            "CmRegStatusValue",
            Kind::Int,
            EmptyWhenAbsent,
            "State of the modem: 1 other, 2 initialRanging, 4 rangingAutoAdjComplete, 5 dhcpv4Complete, \
             6 registrationComplete, 8 operational, 9 bpiInit, 10 startEae, 11 startDhcpv4, 12 startDhcpv6, \
             13 dhcpv6Complete, 14 startConfigFileDownload, 15 configFileDownloadComplete, 16 startRegistration, \
             17 forwardingDisabled, 18 rfMuteAll.",
        ),
        Field::new(
            "CmLastRegTime",
            Kind::DateTime,
            EmptyWhenAbsent,
            "When the modem registered last. A CMTS that tells no zone is taken to mean that of its own clock.",
        ),
        REC_TYPE,
        REC_CREATION_TIME,
        SERVICE_FLOW_CH_SET,
        SERVICE_APP_ID,
        SERVICE_DS_MULTICAST,
        SERVICE_IDENTIFIER,
        SERVICE_GATE_ID,
        SERVICE_CLASS_NAME,
        SERVICE_DIRECTION,
        SERVICE_OCTETS_PASSED,
        SERVICE_PKTS_PASSED,
        SERVICE_SLA_DROP_PKTS,
        SERVICE_SLA_DELAY_PKTS,
        SERVICE_TIME_CREATED,
        SERVICE_TIME_ACTIVE,
    ],
};

/// `DOCSIS-SAMIS-TYPE-2`: 20 fields, each as in TYPE-1.
pub static SAMIS_TYPE_2: ServiceDefinition = ServiceDefinition {
    name: "DOCSIS-SAMIS-TYPE-2",
    schema: "DOCSIS-SAMIS-TYPE-2.xsd",
    doc: "The usage of one service flow of one cable modem (DOCSIS 3.0 SAMIS). Counters are absolute.",
    fields: &[
        CMTS_HOST_NAME,
        CMTS_SYS_UP_TIME,
        CMTS_MD_IF_NAME,
        CMTS_MD_IF_INDEX,
        CM_MAC_ADDR,
        REC_TYPE,
        REC_CREATION_TIME,
        SERVICE_FLOW_CH_SET,
        SERVICE_APP_ID,
        SERVICE_DS_MULTICAST,
        SERVICE_IDENTIFIER,
        SERVICE_GATE_ID,
        SERVICE_CLASS_NAME,
        SERVICE_DIRECTION,
        SERVICE_OCTETS_PASSED,
        SERVICE_PKTS_PASSED,
        SERVICE_SLA_DROP_PKTS,
        SERVICE_SLA_DELAY_PKTS,
        SERVICE_TIME_CREATED,
        SERVICE_TIME_ACTIVE,
    ],
};

const CMTS_HOST_NAME: Field = text(
    "CmtsHostName",
    "Fully qualified host name of the CMTS, empty where it has none.",
);
const CMTS_SYS_UP_TIME: Field = number(
    "CmtsSysUpTime",
    "sysUpTime of the CMTS in hundredths of a second; 32 bits, wraps after 497 days.",
);
const CMTS_MD_IF_NAME: Field = text("CmtsMdIfName", "ifName of the MAC domain.");
const CMTS_MD_IF_INDEX: Field = number("CmtsMdIfIndex", "ifIndex of the MAC domain.");
const CM_MAC_ADDR: Field = Field::new(
    "CmMacAddr",
    Kind::MacAddress,
    Required,
    "MAC address of the modem; zeros for a multicast flow, which is nobody's.",
);
const REC_TYPE: Field = Field::new(
    "RecType",
    Kind::Int,
    Required,
    "1 interim: the flow is active. 2 stop: it was deleted in the period. 3 start, 4 event.",
);
const REC_CREATION_TIME: Field = Field::new(
    "RecCreationTime",
    Kind::DateTimeMsec,
    Required,
    "When the record was made.",
);
const SERVICE_FLOW_CH_SET: Field = Field::new(
    "ServiceFlowChSet",
    Kind::HexBinary { max_octets: 255 },
    EmptyWhenAbsent,
    "Channels of the flow, one octet for the id of each.",
);
const SERVICE_APP_ID: Field = number(
    "ServiceAppId",
    "Application of the flow (PacketCable Multimedia), 0 if none.",
);
const SERVICE_DS_MULTICAST: Field = Field::new(
    "ServiceDsMulticast",
    Kind::Boolean,
    EmptyWhenAbsent,
    "Whether the flow is a downstream multicast.",
);
const SERVICE_IDENTIFIER: Field = Field::new(
    "ServiceIdentifier",
    Kind::UnsignedInt,
    Required,
    "SFID of the flow, SID of a modem of DOCSIS 1.0; 0 for the sum of a modem's flows.",
);
const SERVICE_GATE_ID: Field = number("ServiceGateId", "Gate of the flow (PacketCable Multimedia), 0 if none.");
const SERVICE_CLASS_NAME: Field = text("ServiceClassName", "Service class of the flow.");
const SERVICE_DIRECTION: Field = Field::new("ServiceDirection", Kind::Int, Required, "1 downstream, 2 upstream.");
const SERVICE_OCTETS_PASSED: Field = Field::new("ServiceOctetsPassed", Kind::UnsignedLong, Required, "Octets passed.");
const SERVICE_PKTS_PASSED: Field = Field::new("ServicePktsPassed", Kind::UnsignedLong, Required, "Packets passed.");
const SERVICE_SLA_DROP_PKTS: Field = number("ServiceSlaDropPkts", "Packets dropped by policing.");
const SERVICE_SLA_DELAY_PKTS: Field = number("ServiceSlaDelayPkts", "Packets delayed by policing.");
const SERVICE_TIME_CREATED: Field = number(
    "ServiceTimeCreated",
    "sysUpTime when the flow was made, in hundredths of a second.",
);
const SERVICE_TIME_ACTIVE: Field = number("ServiceTimeActive", "How long the flow has been active, in seconds.");

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Text { max_chars: 255 }, EmptyWhenAbsent, doc)
}

const fn number(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::UnsignedInt, EmptyWhenAbsent, doc)
}
