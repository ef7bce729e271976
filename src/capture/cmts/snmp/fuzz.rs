//! What a fuzzer calls, as `protocol::fuzz`: whatever an agent may send, as messages and as the answers of a walk. A
//! fault shows as a panic, as an endless loop or as memory that grows.

use std::collections::HashSet;

use async_snmp::{DecodeConfig, Oid, Value, VarBind, ber::Decoder, message::Message, varbind::decode_varbind_list};
use bytes::Bytes;

use super::line::cell;
use super::walk::{Range, Walk};
use crate::capture::cmts::{
    family::{Column, Family},
    join::{Span, join},
    tables::Tables,
};

const GROUPS: [&[Column]; 20] = [
    Column::MODEMS,
    Column::REGISTRATIONS,
    Column::INTERFACES,
    Column::OWNERS,
    Column::FLOWS,
    Column::CLASSES_WITH_APPS,
    Column::LOG,
    Column::SIDS,
    Column::MODEMS_OF_SAMIS,
    Column::REGISTRATIONS_OF_SAMIS,
    Column::OFDM,
    Column::CLOCK,
    Column::CHANNEL_SETS,
    Column::UP_CHANNELS,
    Column::DOWN_CHANNELS,
    Column::GATES,
    Column::CPES3,
    Column::CPES_IETF,
    Column::CISCO_CPES,
    Column::CASA_CPES,
];

/// The octets as a message of any version, as a list of variable bindings, and as what an agent says in a whole walk.
pub fn snmp_answer(octets: &[u8]) {
    let message = Message::decode(Bytes::copy_from_slice(octets), DecodeConfig::DEFAULT);
    let pdu = message.ok().and_then(|decoded| decoded.value.into_pdu());
    let mut decoder = Decoder::new(Bytes::copy_from_slice(octets));
    let list = decode_varbind_list(&mut decoder);
    let lists = [pdu.map(|pdu| pdu.varbinds().to_vec()), list.ok()];
    for varbinds in lists.into_iter().flatten() {
        for family in Family::ALL {
            for group in GROUPS {
                let mut tables = Tables::new(family);
                first_step(&mut tables, group, &varbinds);
                joined(&tables);
            }
        }
    }
    whole_walk(octets);
}

fn first_step(tables: &mut Tables, group: &[Column], varbinds: &[VarBind]) {
    let mut walk = walk(tables.family, group, Range::default());
    // The family has none of these columns: nobody asks.
    if walk.open.is_empty() {
        return;
    }
    if let Ok((_, cells)) = walk.step(varbinds) {
        for (column, index, varbind) in cells {
            cell(&varbind.value)
                .into_iter()
                .for_each(|cell| tables.take(column, index, cell));
        }
        assert!(
            walk.open.is_empty() || !walk.row.is_empty(),
            "it would ask the same again"
        );
    }
}

fn walk(family: Family, group: &[Column], range: Range) -> Walk {
    let roots = group.iter().filter_map(|column| Some((*column, family.oid(*column)?)));
    Walk::new(roots.collect(), range)
}

/// The first octets choose the table and the range, all others are answers, in a form of their own that gets further
/// than BER at random. No row is taken twice, none outside the range, and each answer leads on.
fn whole_walk(octets: &[u8]) {
    let [family, group, until, rest @ ..] = octets else {
        return;
    };
    let mut rest = rest;
    let family = Family::ALL[usize::from(*family) % 3];
    let group = GROUPS[usize::from(*group) % GROUPS.len()];
    let range = Range {
        after: Vec::new(),
        until: (*until > 0).then(|| vec![u32::from(*until)]),
    };
    let mut walk = walk(family, group, range.clone());
    let mut tables = Tables::new(family);
    let mut seen = HashSet::new();
    while !walk.open.is_empty() && !rest.is_empty() {
        let answer = answer(&walk, &mut rest);
        let before = walk.row.clone();
        let Ok((_, cells)) = walk.step(&answer) else { break };
        for (column, index, varbind) in cells {
            assert!(
                range.until.as_deref().is_none_or(|until| index <= until),
                "outside the range"
            );
            assert!(seen.insert((column, index.to_vec())), "a cell was taken twice");
            cell(&varbind.value)
                .into_iter()
                .for_each(|cell| tables.take(column, index, cell));
        }
        assert!(walk.open.is_empty() || walk.row > before, "it would ask the same again");
    }
    joined(&tables);
}

/// An answer of a few variable bindings, mostly in the columns that were asked for.
fn answer(walk: &Walk, rest: &mut &[u8]) -> Vec<VarBind> {
    let uptime = [1, 3, 6, 1, 2, 1, 1, 3, 0];
    let mut varbinds = vec![VarBind::new(Oid::from_slice(&uptime), Value::TimeTicks(60_000_000))];
    let count = next(rest) % 24;
    for number in 0..count {
        let (_, root) = &walk.open[usize::from(number) % walk.open.len()];
        let shape = next(rest);
        // The next row, one far away, or another column.
        let mut name = root.clone();
        match shape % 16 {
            0 => name[3] ^= 1,
            1 => {}
            2 => name.extend([u32::MAX, u32::from(next(rest))]),
            _ => {
                name.extend_from_slice(&walk.row);
                let last = name.len() - 1;
                name[last] = name[last].saturating_add(u32::from(next(rest)));
                let more = usize::from(shape / 16 % 9);
                name.extend((0..more).map(|_| u32::from(next(rest))));
            }
        }
        let value = match next(rest) % 9 {
            0 => Value::Integer(-1),
            1 => Value::EndOfMibView,
            2 => Value::OctetString(Bytes::from(vec![next(rest); 6])),
            3 => Value::IpAddress([next(rest); 4]),
            4 => Value::Counter64(u64::MAX),
            5 => Value::TimeTicks(u32::MAX),
            6 => Value::Null,
            _ => Value::Integer(i32::from(next(rest) % 3)),
        };
        varbinds.push(VarBind::new(Oid::from_slice(&name), value));
    }
    varbinds
}

fn next(rest: &mut &[u8]) -> u8 {
    match rest.split_first() {
        Some((first, behind)) => {
            *rest = behind;
            *first
        }
        None => 0,
    }
}

/// What was taken can be joined, whatever it is.
fn joined(tables: &Tables) {
    let span = Span {
        began_ticks: 60_000_000,
        settled_ticks: 60_000_000,
        ended_ticks: 60_000_100,
    };
    if let Ok(poll) = join(tables, span) {
        assert!(poll.missing().is_none_or(|missing| missing.len() < 4096));
    }
}
