//! Usage by SID: modems of DOCSIS 1.0, which have no service flows.

use std::collections::BTreeSet;

use super::join::{Channels, Flow, Span};
use super::tables::{Mac, Tables};

/// The usage of modems of DOCSIS 1.0, which have SIDs in place of flows. The SIDs of flows stand in the same table: a
/// modem that owns flows is not counted twice. Downstream octets are known of Cisco's CMTSs only.
pub fn sids(tables: &Tables, span: Span) -> Vec<Flow> {
    let with_flows: BTreeSet<&Mac> = tables.owners.values().collect();
    let mut flows = Vec::new();
    for (key, row) in &tables.sids {
        let modem = row.modem.and_then(|index| tables.modems.get(&index));
        let Some((modem, mac)) = modem.and_then(|modem| Some((modem, modem.mac?))) else {
            continue;
        };
        if modem.mode != Some(1) || with_flows.contains(&mac) {
            continue;
        }
        let Some(created_ticks) = row.created_ticks else {
            continue;
        };
        let wide_up = row.hc_in_octets.zip(row.hc_in_packets);
        let up = wide_up.or(row.in_octets.zip(row.in_packets));
        let wide_down = row.hc_out_octets.zip(row.hc_out_packets);
        let down = wide_down.or(row.out_octets.zip(row.out_packets));
        for (direction, counters, narrow) in [(1, down, wide_down.is_none()), (2, up, wide_up.is_none())] {
            let Some((octets, packets)) = counters else { continue };
            flows.push(Flow {
                mac,
                key: *key,
                direction,
                class: None,
                channels: Channels::Unknown,
                app_id: 0,
                gate_id: 0,
                octets,
                packets,
                drops: 0,
                delays: 0,
                created_ticks,
                active_seconds: span.ended_ticks.wrapping_sub(created_ticks) / 100,
                deleted_ticks: None,
                narrow,
                multicast: false,
            });
        }
    }
    flows
}
