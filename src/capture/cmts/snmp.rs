//! Reads the tables of a CMTS. The only place of the capture that knows the SNMP library and its runtime.
//!
//! One runtime on the caller's thread; several walks go on at the same time, each with one GETBULK outstanding. The
//! columns of a table are asked for side by side and go on from the same row, so that the cells of a row always come
//! from one answer. The flows, more than all the rest, are walked in ranges: the table of owners, which is read first,
//! tells where to cut. Every GETBULK asks for sysUpTime too: a CMTS that restarts meanwhile is found out at once, and
//! the poll has failed. So it has when an object identifier does not increase, and when the time is up.
//!
//! The log is read last: what ends while the other tables are read must be in it.

pub mod fuzz;
mod line;
mod pace;
mod release;
mod walk;

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use async_snmp::Oid;
use tokio::{task::LocalSet, time::timeout};

use super::family::{Column, Family};
use super::join::{Span, join};
use super::tables::{Cell, FlowKey, Tables};
use super::usage::Kind;
use crate::capture::SourceError;
use crate::config::{AuthProtocol, PrivacyProtocol};
use line::{Line, cell};
use walk::Range;

pub use release::{Entry, Released, release};

/// Whom to ask, and how much.
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub credentials: Credentials,
    /// How long one answer may take.
    pub answer_within: Duration,
    /// How often a request is sent again that has had no answer.
    pub retries: u32,
    /// How long the whole poll may take.
    pub limit: Duration,
    /// Requests that are sent in a second, at most, with those that are sent again. At least 1; [`None`]: as the answers come.
    pub requests_per_second: Option<u32>,
    /// Requests that wait for an answer at the same time, at most; at least 1.
    pub in_flight: u16,
    /// Rows that are asked for in one request, at most: the max-repetitions of GETBULK, at least 1.
    pub most_repetitions: u16,
    /// What is to be read: all that these records need.
    pub records: Kind,
    /// Whether the addresses behind the modems are read.
    pub cpes: bool,
}

/// Never shown: there is no `Debug`.
pub enum Credentials {
    V2c {
        community: String,
    },
    /// authPriv; nothing less is spoken.
    V3 {
        user: String,
        auth_protocol: AuthProtocol,
        auth_password: String,
        privacy_protocol: PrivacyProtocol,
        privacy_password: String,
    },
}

/// What a CMTS has told.
#[derive(Debug)]
pub struct Answer {
    pub tables: Tables,
    /// sysName
    pub host_name: Vec<u8>,
    /// snmpEngineBoots, where it is shown.
    pub boots: Option<u32>,
    pub span: Span,
    pub requests: u64,
}

/// Flows that are read again one by one, at most. More in doubt than this is no walk that was overtaken by a few.
const MOST_READ_AGAIN: usize = 2000;
/// Flows that are worth a walk of their own, at least.
const SMALLEST_RANGE: usize = 500;

/// Reads everything. `preferred` is the family of the last document: it is kept as long as it answers.
pub fn poll(settings: &Settings, preferred: Option<Family>) -> Result<Answer, SourceError> {
    within_limit(settings, read(settings, preferred))
}

/// Runs it to its end, or until the time is up.
fn within_limit<T>(settings: &Settings, work: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| SourceError::Unavailable(format!("no runtime could be made: {e}")))?;
    let local = LocalSet::new();
    let late = || {
        let limit = settings.limit.as_secs();
        SourceError::Unavailable(format!(
            "{}: not done within {limit} s; allow more time or more requests per second",
            settings.host
        ))
    };
    let done = runtime.block_on(local.run_until(async { timeout(settings.limit, work).await }));
    drop(local);
    // A name lookup that hangs is left behind, not waited for.
    runtime.shutdown_background();
    done.unwrap_or_else(|_| Err(late()))
}

async fn read(settings: &Settings, preferred: Option<Family>) -> Result<Answer, SourceError> {
    let line = Rc::new(Line::open(settings, None).await?);
    let (host_name, boots, began_ticks) = scalars(&line).await?;
    let family = family(&line, preferred).await?;
    let tables = Rc::new(RefCell::new(Tables::new(family)));
    let groups = family.groups(settings.records, settings.cpes);
    // The flows are read behind their owners.
    let groups = groups.into_iter().filter(|group| *group != Column::FLOWS);
    let work = groups.map(|group| match group == Column::OWNERS {
        true => Work::Owners,
        false => Work::Table(group),
    });
    do_all(&line, &tables, work.collect(), settings.in_flight).await?;
    let substitutes = tables.borrow().substitutes(settings.records, settings.cpes);
    let work = substitutes.into_iter().map(Work::Table);
    do_all(&line, &tables, work.collect(), settings.in_flight).await?;
    // Most CMTSs have no modem of DOCSIS 1.0 any more, and a SID for each modem.
    if tables.borrow().modems.values().any(|modem| modem.mode == Some(1)) {
        walk::table(&line, &tables, Column::SIDS, Range::default()).await?;
    }
    let mut span = Span {
        began_ticks,
        settled_ticks: began_ticks,
        ended_ticks: line.uptime_ticks(),
    };
    let settled_ticks = span.ended_ticks;
    if read_again(&line, &tables, span, settings.in_flight).await? {
        span.settled_ticks = settled_ticks;
    }
    walk::table(&line, &tables, Column::LOG, Range::default()).await?;
    if scalars(&line).await?.1 != boots {
        let sentence = "the CMTS has restarted while it was read (snmpEngineBoots); what was read of it is not used";
        return Err(SourceError::Unavailable(line.about(sentence)));
    }
    span.ended_ticks = line.uptime_ticks();
    let requests = line.requests();
    // All walks have ended: nobody else holds the tables.
    let tables = Rc::into_inner(tables).map(RefCell::into_inner);
    Ok(Answer {
        tables: tables.ok_or_else(|| SourceError::BadData("a walk has not ended".to_owned()))?,
        host_name,
        boots,
        span,
        requests,
    })
}

/// sysName, snmpEngineBoots and sysUpTime.
async fn scalars(line: &Line) -> Result<(Vec<u8>, Option<u32>, u32), SourceError> {
    const UPTIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
    const NAME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 5, 0];
    const BOOTS: [u32; 11] = [1, 3, 6, 1, 6, 3, 10, 2, 1, 2, 0];
    let oids = [&UPTIME[..], &NAME, &BOOTS].map(Oid::from_slice);
    let (mut uptime, mut name, mut boots) = (None, Vec::new(), None);
    for varbind in line.get(&oids).await? {
        match (varbind.oid.arcs(), cell(&varbind.value)) {
            (oid, Some(Cell::Number(ticks))) if oid == UPTIME => uptime = u32::try_from(ticks).ok(),
            (oid, Some(Cell::Octets(octets))) if oid == NAME => name = octets.iter().take(255).copied().collect(),
            (oid, Some(Cell::Number(count))) if oid == BOOTS => boots = u32::try_from(count).ok(),
            _ => {}
        }
    }
    let uptime = uptime.ok_or_else(|| {
        let next = "it must be visible, for without it no restart can be told";
        SourceError::BadData(line.about(&format!("sysUpTime (1.3.6.1.2.1.1.3.0) was not given; {next}")))
    })?;
    line.saw(uptime)?;
    Ok((name, boots, uptime))
}

/// The family whose octet counters are there. Without any there may be modems of DOCSIS 1.0 still.
async fn family(line: &Line, preferred: Option<Family>) -> Result<Family, SourceError> {
    for family in preferred.into_iter().chain(Family::ALL) {
        if walk::is_there(line, family, Column::Octets).await? {
            return Ok(family);
        }
    }
    Ok(preferred.unwrap_or(Family::Qos3))
}

/// What one walk reads.
enum Work {
    /// The owners, which tell into which ranges the flows are cut.
    Owners,
    Table(&'static [Column]),
    Flows(Range),
    Row(FlowKey),
}

/// Does the work, `in_flight` pieces of it at a time, and what comes of it.
async fn do_all(
    line: &Rc<Line>,
    tables: &Rc<RefCell<Tables>>,
    work: Vec<Work>,
    in_flight: u16,
) -> Result<(), SourceError> {
    let at_once = usize::from(in_flight).max(1);
    let mut waiting = VecDeque::from(work);
    let mut walks = tokio::task::JoinSet::new();
    loop {
        while walks.len() < at_once
            && let Some(work) = waiting.pop_front()
        {
            walks.spawn_local(do_one(line.clone(), tables.clone(), work, at_once));
        }
        let Some(ended) = walks.join_next().await else {
            return Ok(());
        };
        let more = ended.unwrap_or_else(|e| Err(SourceError::BadData(format!("a walk was given up: {e}"))))?;
        more.into_iter().rev().for_each(|work| waiting.push_front(work));
    }
}

/// Does one piece of work. What must be done after it.
async fn do_one(
    line: Rc<Line>,
    tables: Rc<RefCell<Tables>>,
    work: Work,
    at_once: usize,
) -> Result<Vec<Work>, SourceError> {
    match work {
        Work::Table(columns) => walk::table(&line, &tables, columns, Range::default()).await?,
        Work::Flows(range) => walk::table(&line, &tables, Column::FLOWS, range).await?,
        Work::Row(key) => walk::row(&line, &tables, key).await?,
        Work::Owners => {
            walk::table(&line, &tables, Column::OWNERS, Range::default()).await?;
            let ranges = ranges(tables.borrow().owners.keys().copied(), at_once);
            return Ok(ranges.into_iter().map(Work::Flows).collect());
        }
    }
    Ok(Vec::new())
}

/// Cuts the table of flows so that every walk has its share. Together the ranges are the whole table: flows that are
/// nobody's, or are made in the meantime, stand in one of them, too.
fn ranges(keys: impl ExactSizeIterator<Item = FlowKey>, at_once: usize) -> Vec<Range> {
    let size = keys.len().div_ceil(2 * at_once).max(SMALLEST_RANGE);
    let mut ranges = Vec::new();
    let mut after = Vec::new();
    for key in keys.skip(size).step_by(size) {
        let until = vec![key.domain, key.id];
        let after = std::mem::replace(&mut after, until.clone());
        ranges.push(Range {
            after,
            until: Some(until),
        });
    }
    ranges.push(Range { after, until: None });
    ranges
}

/// Reads the flows again that are in doubt. Whether there were any.
async fn read_again(
    line: &Rc<Line>,
    tables: &Rc<RefCell<Tables>>,
    span: Span,
    in_flight: u16,
) -> Result<bool, SourceError> {
    // What is hidden as a whole does not come to light by asking again: the caller's join will say so.
    let Ok(poll) = join(&tables.borrow(), span) else {
        return Ok(false);
    };
    let keys: Vec<FlowKey> = poll.doubts.all().collect();
    if keys.is_empty() || keys.len() > MOST_READ_AGAIN {
        return Ok(false);
    }
    for key in &keys {
        tables.borrow_mut().forget(*key);
    }
    if poll.doubts.is_of_owners() || keys.iter().any(|key| !tables.borrow().owners.contains_key(key)) {
        walk::table(line, tables, Column::OWNERS, Range::default()).await?;
    }
    let rows = keys.into_iter().map(Work::Row).collect();
    do_all(line, tables, rows, in_flight).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_whole_table_without_a_gap() {
        for count in [0, 1, 999, 1000, 1001, 50_000] {
            let keys: Vec<_> = (0..count).map(|id| FlowKey { domain: 7, id }).collect();
            let ranges = ranges(keys.into_iter(), 4);
            assert!(ranges.len() <= 9, "{count}");
            assert!(ranges[0].after.is_empty());
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].until.as_ref(), Some(&pair[1].after));
                assert!(pair[0].after < pair[1].after);
            }
            assert_eq!(ranges[ranges.len() - 1].until, None);
        }
        let one = ranges(std::iter::repeat_n(FlowKey { domain: 7, id: 1 }, 10), 4);
        assert_eq!(one.len(), 1, "a small table is not cut");
    }
}
