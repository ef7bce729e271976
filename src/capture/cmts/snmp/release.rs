//! Releases entries of the log of ended flows, which a CMTS keeps until somebody says that they were taken.
//!
//! Nothing says that an agent gives a number once only, so an entry is looked at before it is released: one that tells
//! of another flow by now stays. A failure costs nothing: what was not released is released the next time or ages.

use async_snmp::{Oid, Value};

use super::line::{Line, cell};
use super::{Settings, within_limit};
use crate::capture::{
    SourceError,
    cmts::{
        family::{Column, Family},
        tables::{Cell, FlowKey},
    },
};

/// An entry whose Stop record is in a sealed document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the log.
    pub index: u32,
    pub key: FlowKey,
    /// sysUpTime when the flow ended.
    pub deleted_ticks: u32,
}

/// What became of the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    pub released: usize,
    /// Were not there any more, or their number stands for another flow.
    pub gone: usize,
}

/// The value of LogControl that takes an entry away (DOCS-QOS3-MIB, RFC 4323).
const DESTROY: i32 = 6;

/// Releases the entries, within the limits of `settings`. `write_community` is used with version 2c; with version 3
/// the user of `settings` must be allowed to write.
pub fn release(
    settings: &Settings,
    write_community: Option<&str>,
    family: Family,
    entries: &[Entry],
) -> Result<Released, SourceError> {
    within_limit(settings, async {
        let line = Line::open(settings, write_community).await?;
        let mut told = Released::default();
        for entry in entries {
            let control = name(family, Column::LogControl, entry.index);
            let destroyed = is_same(&line, family, entry).await? && line.set(&control, Value::Integer(DESTROY)).await?;
            match destroyed {
                true => told.released += 1,
                false => told.gone += 1,
            }
        }
        Ok(told)
    })
}

async fn is_same(line: &Line, family: Family, entry: &Entry) -> Result<bool, SourceError> {
    let expected = [
        (Column::LogDomain, entry.key.domain),
        (Column::LogSfid, entry.key.id),
        (Column::LogDeleted, entry.deleted_ticks),
    ];
    let oids = expected.map(|(column, _)| name(family, column, entry.index));
    let answer = line.get(&oids).await?;
    Ok(expected.iter().zip(&oids).all(|((_, expected), oid)| {
        let given = answer.iter().find(|varbind| varbind.oid == *oid);
        given.and_then(|varbind| cell(&varbind.value)) == Some(Cell::Number((*expected).into()))
    }))
}

/// Every family has the columns of the log.
fn name(family: Family, column: Column, index: u32) -> Oid {
    let mut oid = family.oid(column).unwrap_or_default();
    oid.push(index);
    Oid::from_slice(&oid)
}
