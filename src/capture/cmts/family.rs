//! Where the objects stand: one line for each column that is read, with its number in each family of MIBs.
//!
//! Three families count service flows. They share most object names, not the numbers, so numbers only are used here:
//! draft is DOCS-QOS-MIB (draft-ietf-ipcdn-qos-mib-06, octets in 32 bits), ietf is DOCS-IETF-QOS-MIB (RFC 4323), qos3
//! is DOCS-QOS3-MIB. Modems, interfaces and SIDs stand at one place whatever the family.

use super::usage::Kind;

/// Which tables count the flows of a CMTS. The same for a whole poll: counters of two families are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    Draft,
    Ietf,
    Qos3,
}

/// A column that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// docsIfCmtsCmStatusTable, by status index.
    ModemMac,
    ModemIp,
    ModemDown,
    ModemUp,
    ModemRegMode,
    ModemInetType,
    ModemInet,
    ModemStatus,
    ModemModulation,
    /// docsIfCmtsCmStatusDocsisMode (DOCS-IF-EXT-MIB), by status index: of agents older than RFC 4546.
    ModemOldMode,
    /// docsIf3CmtsCmRegStatusTable, by registration id: another number than the status index.
    RegMac,
    RegIpv4,
    RegIpv6,
    RegLinkLocal,
    RegStatus,
    RegProfile,
    RegDownSet,
    RegUpSet,
    RegQos,
    RegTime,
    /// docsIf31CmtsCmRegStatusTable, by registration id.
    RegOfdm,
    /// docsDevDateTime: the clock of the CMTS.
    Clock,
    /// ifTable and ifXTable, by ifIndex.
    IfDescr,
    IfType,
    IfName,
    IfDiscontinuity,
    /// CmtsMacToSrvFlowTable, by six numbers of the MAC and the SFID. The value is the MAC domain.
    Owner,
    /// ServiceFlowStatsTable, by MAC domain and SFID.
    Packets,
    Octets,
    Created,
    Active,
    Drops,
    Delays,
    /// ServiceFlowTable, by MAC domain and SFID.
    Direction,
    ChannelSet,
    /// ParamSetTable, by MAC domain, SFID and set; in qos3 by MAC domain, set and SFID.
    ClassName,
    AppId,
    /// docsQosGrpServiceFlowTable, by MAC domain and SFID: multicast flows, which nobody owns.
    Group,
    /// docsIf3UsChSetTable and docsIf3DsChSetTable, by MAC domain and channel set: an octet for each channel.
    UpChannels,
    DownChannels,
    /// cadDQoSSFID, by direction and gate: ARRIS only. No standard object tells of gates.
    Gate,
    /// ServiceFlowLogTable, by log index.
    LogDomain,
    LogSfid,
    LogMac,
    LogPackets,
    LogOctets,
    LogDeleted,
    LogCreated,
    LogActive,
    LogDirection,
    LogClassName,
    LogDrops,
    LogDelays,
    /// Never read: it is set to release an entry.
    LogControl,
    /// docsIfCmtsServiceTable, by MAC domain and SID: modems of DOCSIS 1.0.
    SidCreated,
    SidInOctets,
    SidInPackets,
    SidModem,
    /// cdxCmtsServiceExtTable, by MAC domain and SID: the other direction, and both in 64 bits, Cisco only.
    SidOutOctets,
    SidOutPackets,
    SidHcInOctets,
    SidHcInPackets,
    SidHcOutOctets,
    SidHcOutPackets,
    /// Addresses behind a modem, DOCS-SUBMGT3-MIB: by registration id and number.
    Cpe3,
    Cpe3Prefix,
    /// The same in RFC 4036, and in its draft: by status index and number.
    CpeIetf,
    CpeDraft,
    /// cdxCmCpeTable of Cisco and casaCmtsCmCpeTable, by MAC: what is behind modems, and modems too.
    CiscoCpeKind,
    CiscoCpe,
    CiscoCpeModem,
    CasaCpeKind,
    CasaCpe,
    CasaCpeModem,
}

const MODEMS: [u32; 11] = [1, 3, 6, 1, 2, 1, 10, 127, 1, 3, 3];
const REGISTRATIONS: [u32; 13] = [1, 3, 6, 1, 4, 1, 4491, 2, 1, 20, 1, 3, 1];
const GROUPS: [u32; 14] = [1, 3, 6, 1, 4, 1, 4491, 2, 1, 21, 1, 13, 1, 2];
const SIDS: [u32; 12] = [1, 3, 6, 1, 2, 1, 10, 127, 1, 3, 4, 1];
const CISCO_SIDS: [u32; 13] = [1, 3, 6, 1, 4, 1, 9, 9, 116, 1, 1, 3, 1];
const CISCO_CPES: [u32; 13] = [1, 3, 6, 1, 4, 1, 9, 9, 116, 1, 3, 1, 1];
const CASA_CPES: [u32; 12] = [1, 3, 6, 1, 4, 1, 20858, 10, 12, 1, 3, 1];

impl Family {
    /// In the order in which they are looked for: the widest counters and the most told first.
    pub const ALL: [Family; 3] = [Family::Qos3, Family::Ietf, Family::Draft];

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Family::Draft => "DOCS-QOS-MIB (draft)",
            Family::Ietf => "DOCS-IETF-QOS-MIB",
            Family::Qos3 => "DOCS-QOS3-MIB",
        }
    }

    /// Whether its octets and packets count to 2^32 only.
    pub fn is_narrow(self) -> bool {
        self == Family::Draft
    }

    fn root(self) -> &'static [u32] {
        match self {
            Family::Draft => &[1, 3, 6, 1, 2, 1, 10, 127, 7, 1],
            Family::Ietf => &[1, 3, 6, 1, 2, 1, 127, 1],
            Family::Qos3 => &[1, 3, 6, 1, 4, 1, 4491, 2, 1, 21, 1],
        }
    }

    /// The column's object identifier, without an index. [`None`]: the family has no such column.
    pub fn oid(self, column: Column) -> Option<Vec<u32>> {
        use Column::*;
        let modems = |number| joined(&MODEMS, &[1, number]);
        let registrations = |number| joined(&REGISTRATIONS, &[number]);
        let if_table = |number| joined(&[1, 3, 6, 1, 2, 1, 2, 2, 1], &[number]);
        let ifx_table = |number| joined(&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1], &[number]);
        let flows = |table, number| joined(self.root(), &[table, 1, number]);
        let if3 = |table| joined(&[1, 3, 6, 1, 4, 1, 4491, 2, 1, 20, 1], &[table, 1, 2]);
        let sids = |number| joined(&SIDS, &[number]);
        let cisco_sids = |number| joined(&CISCO_SIDS, &[number]);
        let cpes3 = |number| joined(&[1, 3, 6, 1, 4, 1, 4491, 2, 1, 10, 1, 3, 1], &[number]);
        let cisco_cpes = |number| joined(&CISCO_CPES, &[number]);
        let casa_cpes = |number| joined(&CASA_CPES, &[number]);
        // From the direction on, RFC 4323 numbers the columns of the log one lower than the two others.
        let log = |number: u32| flows(7, number - u32::from(self == Family::Ietf && number > 10));
        Some(match column {
            ModemMac => modems(2),
            ModemIp => modems(3),
            ModemDown => modems(4),
            ModemUp => modems(5),
            ModemStatus => modems(9),
            ModemRegMode => modems(18),
            ModemModulation => modems(19),
            ModemInetType => modems(20),
            ModemInet => modems(21),
            ModemOldMode => vec![1, 3, 6, 1, 2, 1, 10, 127, 21, 3, 1, 1],
            RegMac => registrations(2),
            RegIpv6 => registrations(3),
            RegLinkLocal => registrations(4),
            RegIpv4 => registrations(5),
            RegStatus => registrations(6),
            RegProfile => registrations(9),
            RegDownSet => registrations(11),
            RegUpSet => registrations(12),
            RegQos => registrations(13),
            RegTime => registrations(14),
            RegOfdm => vec![1, 3, 6, 1, 4, 1, 4491, 2, 1, 28, 1, 3, 1, 2],
            Clock => vec![1, 3, 6, 1, 2, 1, 69, 1, 1, 2],
            IfDescr => if_table(2),
            IfType => if_table(3),
            IfName => ifx_table(1),
            IfDiscontinuity => ifx_table(19),
            Owner => flows(11, 3),
            Packets => flows(4, 1),
            Octets => flows(4, 2),
            Created => flows(4, 3),
            Active => flows(4, 4),
            Drops => flows(4, 6),
            Delays => flows(4, 7),
            Direction => flows(3, if self == Family::Ietf { 3 } else { 7 }),
            ChannelSet if self == Family::Qos3 => flows(3, 10),
            ChannelSet => return None,
            ClassName => flows(2, if self == Family::Ietf { 1 } else { 4 }),
            AppId if self == Family::Qos3 => flows(2, 30),
            AppId => return None,
            Group => GROUPS.to_vec(),
            UpChannels => if3(22),
            DownChannels => if3(23),
            Gate => vec![1, 3, 6, 1, 4, 1, 4998, 1, 1, 115, 1, 2, 1, 1, 1, 1, 28],
            LogDomain => log(2),
            LogSfid => log(3),
            LogMac => log(4),
            LogPackets => log(5),
            LogOctets => log(6),
            LogDeleted => log(7),
            LogCreated => log(8),
            LogActive => log(9),
            LogDirection => log(11),
            LogClassName => log(13),
            LogDrops => log(14),
            LogDelays => log(15),
            LogControl => log(16),
            SidCreated => sids(5),
            SidInOctets => sids(6),
            SidInPackets => sids(7),
            SidModem => sids(8),
            SidOutOctets => cisco_sids(1),
            SidOutPackets => cisco_sids(2),
            SidHcInOctets => cisco_sids(5),
            SidHcInPackets => cisco_sids(6),
            SidHcOutOctets => cisco_sids(7),
            SidHcOutPackets => cisco_sids(8),
            Cpe3 => cpes3(3),
            Cpe3Prefix => cpes3(4),
            CpeIetf => vec![1, 3, 6, 1, 2, 1, 125, 1, 5, 1, 3],
            CpeDraft => vec![1, 3, 6, 1, 3, 83, 4, 1, 5, 1, 2],
            CiscoCpeKind => cisco_cpes(2),
            CiscoCpe => cisco_cpes(3),
            CiscoCpeModem => cisco_cpes(6),
            CasaCpeKind => casa_cpes(2),
            CasaCpe => casa_cpes(3),
            CasaCpeModem => casa_cpes(6),
        })
    }

    /// The tables that are read for these records, those that are wanted first at the front. SIDs and the log are not
    /// among them, nor what only some CMTSs tell ([`super::tables::Tables::substitutes`]).
    pub fn groups(self, records: Kind, cpes: bool) -> Vec<&'static [Column]> {
        // Flows and their owners at the same time: the less time between them, the fewer are in doubt.
        let mut groups: Vec<&[Column]> = match records {
            // The clock is compared with ours at the begin.
            Kind::SamisType1 => vec![Column::CLOCK, Column::FLOWS, Column::OWNERS],
            _ => vec![Column::FLOWS, Column::OWNERS],
        };
        groups.extend(match records {
            Kind::Docsis => vec![Column::CLASSES, Column::MODEMS, Column::REGISTRATIONS, Column::OFDM],
            Kind::SamisType1 => vec![
                Column::CLASSES_WITH_APPS,
                Column::MODEMS_OF_SAMIS,
                Column::REGISTRATIONS_OF_SAMIS,
            ],
            Kind::SamisType2 => vec![
                Column::CLASSES_WITH_APPS,
                Column::MODEMS_BY_NAME,
                Column::REGISTRATIONS_BY_NAME,
            ],
        });
        groups.extend([Column::INTERFACES, Column::GROUPS]);
        match (records, self) {
            (Kind::Docsis, family) if cpes => groups.push(match family {
                Family::Draft => Column::CPES_DRAFT,
                Family::Ietf => Column::CPES_IETF,
                Family::Qos3 => Column::CPES3,
            }),
            (Kind::Docsis, _) => {}
            (_, Family::Qos3) => groups.extend([
                Column::CHANNEL_SETS,
                Column::UP_CHANNELS,
                Column::DOWN_CHANNELS,
                Column::GATES,
            ]),
            _ => groups.push(Column::GATES),
        }
        groups
    }

    /// The cell of a flow in this column.
    pub fn cell(self, column: Column, key: super::tables::FlowKey) -> Option<Vec<u32>> {
        self.oid(column).map(|oid| joined(&oid, &[key.domain, key.id]))
    }
}

impl Column {
    /// Columns that are read together, so that the cells of a row come from one answer and fit together. The log is
    /// read after all others: what ends in the meantime must be in it.
    pub const MODEMS: &[Column] = &[
        Column::ModemMac,
        Column::ModemIp,
        Column::ModemDown,
        Column::ModemUp,
        Column::ModemRegMode,
        Column::ModemModulation,
        Column::ModemInetType,
        Column::ModemInet,
    ];
    pub const MODEMS_OF_SAMIS: &[Column] = &[
        Column::ModemMac,
        Column::ModemIp,
        Column::ModemStatus,
        Column::ModemRegMode,
        Column::ModemInetType,
        Column::ModemInet,
    ];
    pub const MODEMS_BY_NAME: &[Column] = &[Column::ModemMac, Column::ModemRegMode];
    pub const OLD_MODES: &[Column] = &[Column::ModemOldMode];
    pub const REGISTRATIONS: &[Column] = &[
        Column::RegMac,
        Column::RegIpv4,
        Column::RegProfile,
        Column::RegDownSet,
        Column::RegUpSet,
        Column::RegQos,
    ];
    pub const REGISTRATIONS_OF_SAMIS: &[Column] = &[
        Column::RegMac,
        Column::RegIpv6,
        Column::RegLinkLocal,
        Column::RegIpv4,
        Column::RegStatus,
        Column::RegQos,
        Column::RegTime,
    ];
    pub const REGISTRATIONS_BY_NAME: &[Column] = &[Column::RegMac, Column::RegQos];
    pub const OFDM: &[Column] = &[Column::RegOfdm];
    pub const CLOCK: &[Column] = &[Column::Clock];
    pub const INTERFACES: &[Column] = &[Column::IfDescr, Column::IfType, Column::IfName, Column::IfDiscontinuity];
    pub const OWNERS: &[Column] = &[Column::Owner];
    pub const FLOWS: &[Column] = &[
        Column::Packets,
        Column::Octets,
        Column::Created,
        Column::Active,
        Column::Drops,
        Column::Delays,
        Column::Direction,
    ];
    pub const CLASSES: &[Column] = &[Column::ClassName];
    pub const CLASSES_WITH_APPS: &[Column] = &[Column::ClassName, Column::AppId];
    pub const GROUPS: &[Column] = &[Column::Group];
    pub const CHANNEL_SETS: &[Column] = &[Column::ChannelSet];
    pub const UP_CHANNELS: &[Column] = &[Column::UpChannels];
    pub const DOWN_CHANNELS: &[Column] = &[Column::DownChannels];
    pub const GATES: &[Column] = &[Column::Gate];
    /// Two tables of the same rows: a SID that is given again while they are read never has counters of both modems.
    pub const SIDS: &[Column] = &[
        Column::SidCreated,
        Column::SidInOctets,
        Column::SidInPackets,
        Column::SidModem,
        Column::SidOutOctets,
        Column::SidOutPackets,
        Column::SidHcInOctets,
        Column::SidHcInPackets,
        Column::SidHcOutOctets,
        Column::SidHcOutPackets,
    ];
    pub const CPES3: &[Column] = &[Column::Cpe3, Column::Cpe3Prefix];
    pub const CPES_IETF: &[Column] = &[Column::CpeIetf];
    pub const CPES_DRAFT: &[Column] = &[Column::CpeDraft];
    pub const CISCO_CPES: &[Column] = &[Column::CiscoCpeKind, Column::CiscoCpe, Column::CiscoCpeModem];
    pub const CASA_CPES: &[Column] = &[Column::CasaCpeKind, Column::CasaCpe, Column::CasaCpeModem];
    pub const LOG: &[Column] = &[
        Column::LogDomain,
        Column::LogSfid,
        Column::LogMac,
        Column::LogPackets,
        Column::LogOctets,
        Column::LogDeleted,
        Column::LogCreated,
        Column::LogActive,
        Column::LogDirection,
        Column::LogClassName,
        Column::LogDrops,
        Column::LogDelays,
    ];
}

fn joined(root: &[u32], rest: &[u32]) -> Vec<u32> {
    [root, rest].concat()
}
