//! Walks tables or ranges of them, whole rows at a time.

use std::cell::RefCell;

use async_snmp::{Oid, VarBind};

use super::line::{Line, cell};
use crate::capture::{
    SourceError,
    cmts::{
        family::{Column, Family},
        tables::{Cell, FlowKey, Tables},
    },
};

/// GETBULK goes to the next object: with this name it is sysUpTime.0.
const UPTIME: [u32; 8] = [1, 3, 6, 1, 2, 1, 1, 3];

/// The rows of a table behind `after` and up to `until`, or to the end.
#[derive(Debug, Clone, Default)]
pub struct Range {
    pub after: Vec<u32>,
    pub until: Option<Vec<u32>>,
}

/// Walks the columns side by side through the range. Columns that the family does not have are left out.
pub async fn table(line: &Line, tables: &RefCell<Tables>, columns: &[Column], range: Range) -> Result<(), SourceError> {
    let family = tables.borrow().family;
    let roots = columns
        .iter()
        .filter_map(|column| Some((*column, family.oid(*column)?)));
    let mut walk = Walk::new(roots.collect(), range);
    while !walk.open.is_empty() {
        let answer = line.bulk(&walk.question()).await?;
        let bad = |sentence: String| SourceError::BadData(line.about(&sentence));
        let (uptime_ticks, cells) = walk.step(&answer).map_err(bad)?;
        line.saw(uptime_ticks)?;
        let mut tables = tables.borrow_mut();
        for (column, index, varbind) in cells {
            if let Some(cell) = cell(&varbind.value) {
                tables.take(column, index, cell);
            }
        }
    }
    Ok(())
}

/// Whether a column has any cell.
pub async fn is_there(line: &Line, family: Family, column: Column) -> Result<bool, SourceError> {
    let Some(root) = family.oid(column) else {
        return Ok(false);
    };
    let answer = line.bulk(&[Oid::from_slice(&UPTIME), Oid::from_slice(&root)]).await?;
    let first = answer.get(1);
    Ok(first.is_some_and(|first| first.oid.arcs().starts_with(&root) && cell(&first.value).is_some()))
}

/// Reads one flow again, all its cells and its parameters in one request.
pub async fn row(line: &Line, tables: &RefCell<Tables>, key: FlowKey) -> Result<(), SourceError> {
    let family = tables.borrow().family;
    let flows = [Column::FLOWS, Column::CHANNEL_SETS]
        .into_iter()
        .flatten()
        .filter_map(|column| Some((*column, family.oid(*column)?, vec![key.domain, key.id])));
    let sets = Column::CLASSES_WITH_APPS
        .iter()
        .flat_map(|column| (1..=3).map(|set| (*column, set)));
    let parameters = sets.filter_map(|(column, set)| {
        let index = match family {
            Family::Qos3 => vec![key.domain, set, key.id],
            _ => vec![key.domain, key.id, set],
        };
        Some((column, family.oid(column)?, index))
    });
    let asked: Vec<_> = flows.chain(parameters).collect();
    let oids: Vec<Oid> = asked
        .iter()
        .map(|(_, root, index)| Oid::from_slice(&[root.as_slice(), index].concat()))
        .collect();
    let answer = line.get(&oids).await?;
    let mut tables = tables.borrow_mut();
    for ((column, _, index), oid) in asked.iter().zip(&oids) {
        let given = answer.iter().find(|varbind| varbind.oid == *oid);
        if let Some(cell) = given.and_then(|varbind| cell(&varbind.value)) {
            tables.take(*column, index, cell);
        }
    }
    Ok(())
}

/// A cell with its index.
pub(super) type Taken<'a> = (Column, &'a [u32], &'a VarBind);

/// Where the walk of a table stands.
pub(super) struct Walk {
    /// Columns that go on, with their names.
    pub open: Vec<(Column, Vec<u32>)>,
    /// The last row that was taken; all columns go on from it.
    pub row: Vec<u32>,
    until: Option<Vec<u32>>,
}

impl Walk {
    pub fn new(open: Vec<(Column, Vec<u32>)>, range: Range) -> Self {
        let Range { after, until } = range;
        Walk {
            open,
            row: after,
            until,
        }
    }

    pub fn question(&self) -> Vec<Oid> {
        let next = |(_, root): &(Column, Vec<u32>)| Oid::from_slice(&[root.as_slice(), &self.row].concat());
        [Oid::from_slice(&UPTIME)]
            .into_iter()
            .chain(self.open.iter().map(next))
            .collect()
    }

    /// sysUpTime, and the cells of an answer up to the last row that all columns have reached.
    pub fn step<'a>(&mut self, answer: &'a [VarBind]) -> Result<(u32, Vec<Taken<'a>>), String> {
        let (uptime, rest) = answer.split_first().ok_or("an empty answer to GETBULK")?;
        let uptime_ticks = match cell(&uptime.value) {
            Some(Cell::Number(ticks)) if uptime.oid.arcs().starts_with(&UPTIME) => u32::try_from(ticks),
            _ => return Err("sysUpTime was asked for and not given".to_owned()),
        };
        let uptime_ticks = uptime_ticks.map_err(|_| "sysUpTime is no TimeTicks")?;
        // An error ends the walk: nobody misses the columns then.
        let open = std::mem::take(&mut self.open);
        let row = std::mem::take(&mut self.row);
        let until = self.until.as_deref();
        let reached = reached(&open, &row, until, rest)?;
        let going_on = reached.iter().filter(|column| !column.ended);
        // None: all have ended.
        let limit: Option<&[u32]> = going_on.map(|column| column.row).min();
        if limit.is_some_and(|limit| limit == row) {
            return Err(format!(
                "{} values were given where one for each of {} columns is the least",
                rest.len(),
                open.len()
            ));
        }
        let within = |index: &[u32]| limit.is_none_or(|limit| index <= limit);
        // What an agent says of a column behind its end is nothing.
        let mut ended = vec![false; open.len()];
        let mut taken = Vec::with_capacity(rest.len());
        for (place, index, varbind) in cells(&open, until, rest) {
            match index {
                None => ended[place] = true,
                Some(index) if !ended[place] && within(index) => taken.push((open[place].0, index, varbind)),
                Some(_) => {}
            }
        }
        // A column that ended beyond the limit is asked for the rest of it again.
        let goes_on: Vec<bool> = reached
            .iter()
            .map(|column| !column.ended || !within(column.row))
            .collect();
        self.row = limit.map(<[u32]>::to_vec).unwrap_or_default();
        let open = open.into_iter().zip(goes_on);
        self.open = open.filter(|(_, goes_on)| *goes_on).map(|(column, _)| column).collect();
        Ok((uptime_ticks, taken))
    }
}

/// How far each column got from `row`. The error names the first object identifier that does not increase.
fn reached<'a>(
    open: &[(Column, Vec<u32>)],
    row: &'a [u32],
    until: Option<&[u32]>,
    rest: &'a [VarBind],
) -> Result<Vec<Reached<'a>>, String> {
    let mut reached = vec![Reached { row, ended: false }; open.len()];
    for (place, index, varbind) in cells(open, until, rest) {
        let column = &mut reached[place];
        match index {
            _ if column.ended => {}
            None => column.ended = true,
            Some(index) if index > column.row => column.row = index,
            Some(_) => {
                return Err(format!(
                    "the agent went from row {:?} back to {}: its tables cannot be walked",
                    column.row, varbind.oid
                ));
            }
        }
    }
    Ok(reached)
}

#[derive(Clone, Copy)]
struct Reached<'a> {
    row: &'a [u32],
    ended: bool,
}

/// The cells of an answer with the column's place and the index; no index: the column has ended.
fn cells<'a>(
    open: &[(Column, Vec<u32>)],
    until: Option<&[u32]>,
    rest: &'a [VarBind],
) -> impl Iterator<Item = (usize, Option<&'a [u32]>, &'a VarBind)> {
    rest.iter().enumerate().map(move |(number, varbind)| {
        let place = number % open.len();
        let index = varbind.oid.arcs().strip_prefix(open[place].1.as_slice());
        let index = index.filter(|index| !index.is_empty() && until.is_none_or(|until| *index <= until));
        let index = index.filter(|_| cell(&varbind.value).is_some());
        (place, index, varbind)
    })
}

#[cfg(test)]
mod tests {
    use async_snmp::Value;

    use super::*;

    const OUTSIDE: &[u32] = &[1, 3, 7];

    fn walk() -> Walk {
        let open = vec![(Column::Octets, vec![1, 3, 2]), (Column::Created, vec![1, 3, 3])];
        Walk::new(open, Range::default())
    }

    /// An answer: sysUpTime, then these names.
    fn answer(names: &[&[u32]]) -> Vec<VarBind> {
        let uptime = VarBind::new(Oid::from_slice(&[&UPTIME[..], &[0]].concat()), Value::TimeTicks(100));
        let row = |name: &&[u32]| VarBind::new(Oid::from_slice(name), Value::Counter64(1));
        [uptime].into_iter().chain(names.iter().map(row)).collect()
    }

    fn taken(walk: &mut Walk, names: &[&[u32]]) -> Result<Vec<(Column, u32)>, String> {
        let answer = answer(names);
        let (ticks, cells) = walk.step(&answer)?;
        assert_eq!(ticks, 100);
        Ok(cells.iter().map(|(column, index, _)| (*column, index[0])).collect())
    }

    #[test]
    fn columns_go_on_from_the_last_row_that_all_have_reached() {
        let mut walk = walk();
        let cells = taken(&mut walk, &[&[1, 3, 2, 1], &[1, 3, 3, 1], &[1, 3, 2, 2], &[1, 3, 3, 3]]);
        let expected = [(Column::Octets, 1), (Column::Created, 1), (Column::Octets, 2)];
        assert_eq!(
            cells.unwrap(),
            expected,
            "row 2 of the other column is missing, row 3 is for the next answer"
        );
        let question = walk.question();
        let names: Vec<_> = question.iter().map(Oid::arcs).collect();
        assert_eq!(names, [&UPTIME[..], &[1, 3, 2, 2], &[1, 3, 3, 2]]);
    }

    #[test]
    fn a_column_that_ends_ahead_of_the_others_loses_nothing() {
        let mut walk = walk();
        let names: [&[u32]; 5] = [&[1, 3, 2, 5], &[1, 3, 3, 1], OUTSIDE, &[1, 3, 3, 2], OUTSIDE];
        assert_eq!(
            taken(&mut walk, &names).unwrap(),
            [(Column::Created, 1), (Column::Created, 2)]
        );
        assert_eq!(walk.open.len(), 2, "row 5 is asked for again");
        let names: [&[u32]; 4] = [&[1, 3, 2, 5], &[1, 3, 3, 5], OUTSIDE, OUTSIDE];
        assert_eq!(
            taken(&mut walk, &names).unwrap(),
            [(Column::Octets, 5), (Column::Created, 5)]
        );
        assert!(walk.open.is_empty());
    }

    #[test]
    fn what_follows_the_end_of_a_column_is_not_taken() {
        let mut walk = walk();
        let names: [&[u32]; 6] = [
            &[1, 3, 2, 1],
            &[1, 3, 3, 1],
            OUTSIDE,
            OUTSIDE,
            &[1, 3, 2, 1],
            &[1, 3, 3, 1],
        ];
        let expected = [(Column::Octets, 1), (Column::Created, 1)];
        assert_eq!(taken(&mut walk, &names).unwrap(), expected);
        assert!(walk.open.is_empty());
    }

    #[test]
    fn a_range_ends_at_its_last_row() {
        let mut walk = walk();
        (walk.row, walk.until) = (vec![3], Some(vec![5]));
        assert_eq!(walk.question()[1].arcs(), [1, 3, 2, 3]);
        let names: [&[u32]; 4] = [&[1, 3, 2, 5], &[1, 3, 3, 5], &[1, 3, 2, 6], &[1, 3, 3, 6]];
        let expected = [(Column::Octets, 5), (Column::Created, 5)];
        assert_eq!(taken(&mut walk, &names).unwrap(), expected);
        assert!(walk.open.is_empty());
    }

    #[test]
    fn an_agent_that_goes_in_circles_is_refused() {
        let mut walk = walk();
        taken(&mut walk, &[&[1, 3, 2, 7], &[1, 3, 3, 7]]).unwrap();
        let refused = taken(&mut walk, &[&[1, 3, 2, 7], &[1, 3, 3, 8]]).unwrap_err();
        assert!(refused.contains("back to 1.3.2.7"), "{refused}");
    }

    #[test]
    fn answers_that_lead_nowhere_are_refused() {
        assert!(walk().step(&[]).is_err());
        assert!(walk().step(&answer(&[])).is_err());
        assert!(walk().step(&answer(&[&[1, 3, 2, 1]])).is_err(), "one column of two");
        let without_uptime = answer(&[&[1, 3, 2, 1], &[1, 3, 3, 1]]).split_off(1);
        assert!(walk().step(&without_uptime).is_err());
    }
}
