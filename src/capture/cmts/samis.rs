//! Flows as records of DOCSIS 3.0: `DOCSIS-SAMIS-TYPE-1` and `DOCSIS-SAMIS-TYPE-2`.

use std::net::Ipv6Addr;

use super::join::Flow;
use super::modems::Modem;
use super::usage::{Cmts, Kind, class, direction, ipv4, record_type, text};
use crate::record::{Record, SAMIS_TYPE_1, SAMIS_TYPE_2, Value};

impl Cmts<'_> {
    pub(super) fn samis_type_1(&self, flow: &Flow, modem: &Modem) -> Record {
        let code = |code: Option<u8>| code.map_or(Value::Absent, |code| Value::Int(code.into()));
        let registered = modem.registered.and_then(|time| time.moment(self.zone().unwrap_or(0)));
        let mut values = vec![
            text(self.host_name),
            Value::UnsignedInt(self.uptime_ticks),
            ipv4(self.address),
            ipv6(self.address6),
            self.name(flow.key.domain),
            Value::UnsignedInt(flow.key.domain),
            Value::MacAddress(flow.mac),
            ipv4(modem.ip),
            ipv6(modem.ip6),
            ipv6(modem.link_local),
            code(modem.qos),
            code(modem.status),
            registered.into(),
        ];
        self.usage(flow, &mut values);
        Record {
            definition: &SAMIS_TYPE_1,
            values,
        }
    }

    pub(super) fn samis_type_2(&self, flow: &Flow) -> Record {
        let mut values = vec![
            text(self.host_name),
            Value::UnsignedInt(self.uptime_ticks),
            self.name(flow.key.domain),
            Value::UnsignedInt(flow.key.domain),
            Value::MacAddress(flow.mac),
        ];
        self.usage(flow, &mut values);
        Record {
            definition: &SAMIS_TYPE_2,
            values,
        }
    }

    /// Registration times that cannot be told for certain.
    pub(super) fn remark_about_zone(&self) -> Option<String> {
        let without_zone = |modem: &Modem| modem.registered.is_some_and(|time| time.zone_minutes.is_none());
        let matters = self.options.records == Kind::SamisType1 && self.zone().is_none();
        (matters && self.poll.modems.values().any(without_zone)).then(|| {
            "the times of registration have no zone and the CMTS shows no clock that would tell it: they are taken for \
             UTC"
            .to_owned()
        })
    }

    /// From RecType on, both have the same fields. The time of an Interim record is that of its sysUpTime.
    fn usage(&self, flow: &Flow, values: &mut Vec<Value>) {
        let channels = flow.channels.octets();
        values.extend([
            record_type(flow),
            self.ended(flow).unwrap_or(self.read).into(),
            match channels {
                [] => Value::Absent,
                _ => Value::Octets(channels.to_vec()),
            },
            Value::UnsignedInt(flow.app_id),
            Value::Boolean(flow.multicast),
            Value::UnsignedInt(flow.key.id),
            Value::UnsignedInt(flow.gate_id),
            class(flow),
            direction(flow),
            Value::UnsignedLong(flow.octets),
            Value::UnsignedLong(flow.packets),
            Value::UnsignedInt(flow.drops),
            Value::UnsignedInt(flow.delays),
            Value::UnsignedInt(flow.created_ticks),
            Value::UnsignedInt(flow.active_seconds),
        ]);
    }

    /// How far the clock of the CMTS is ahead of UTC, in minutes.
    fn zone(&self) -> Option<i32> {
        self.tables.clock.and_then(|clock| clock.zone(self.now))
    }
}

fn ipv6(address: Option<Ipv6Addr>) -> Value {
    address.map_or(Value::Absent, Value::Ipv6)
}
