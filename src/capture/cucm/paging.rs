//! Answers that are too large for one reply, in pages of the size that the server itself suggests.
//!
//! A page promises nothing: the table may change between two pages, the server may give fewer rows than it was asked
//! for, or more, or the same once more. So a row that came on an earlier page is not handed on again, pages are asked for
//! until the server has no more, and whatever does not add up is told.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, RandomState},
    io,
};

use super::session::{Session, Trouble};
use crate::capture::web::Date;
use crate::protocol::axl::{self, Call, LicensedUser, Meaning, Page, Row};

/// Of the suggested number of rows, that many percent are asked for: the suggestion is a bound that was seen to fail.
const PERCENT: u64 = 60;

/// Rows of a page where the server says that an answer is too large, but not how many would fit.
const GUESS: u64 = 500;

/// Rows of one question. Nobody has as many; a server that goes on for ever is stopped, for each takes memory.
const MOST: u64 = 1_000_000;

/// Takes the rows of an answer.
type Each<'e, T> = &'e mut dyn FnMut(T, Date) -> io::Result<()>;

/// What came of a question that gives rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Handed on.
    pub count: u64,
    /// Why it is known, or must be feared, that these are not all of them.
    pub missing: Option<String>,
}

/// Runs an SQL query to its last row.
pub fn query(session: &mut Session<'_>, sql: &str, each: Each<'_, Row>) -> Result<Rows, Trouble> {
    in_pages(each, |page, each| {
        let text = page.map_or_else(|| sql.to_owned(), |page| axl::paged(sql, page));
        session.call(&Call::Sql { query: &text }, |body, date| {
            axl::read_rows(body, &mut |row| each(row, date))
        })
    })
}

/// Lists all licensed users.
pub fn users(session: &mut Session<'_>, each: Each<'_, LicensedUser>) -> Result<Rows, Trouble> {
    in_pages(each, |page, each| {
        session.call(&Call::LicensedUsers { page }, |body, date| {
            axl::read_licensed_users(body, &mut |user| each(user, date))
        })
    })
}

/// Asks for everything at once, and for pages when that is too large. A page that is too large is asked again, smaller.
/// `ask` gives the number of rows that it has read.
fn in_pages<T: Hash>(
    each: Each<'_, T>,
    mut ask: impl FnMut(Option<Page>, Each<'_, T>) -> Result<u64, Trouble>,
) -> Result<Rows, Trouble> {
    let (mut first, expected) = match ask(None, each) {
        Ok(count) => return Ok(Rows { count, missing: None }),
        Err(trouble) => match smaller(&trouble, u64::MAX) {
            Some(first) => (first, matched(&trouble)),
            None => return Err(trouble),
        },
    };
    let mut seen = Seen::default();
    let mut skip = 0_u64;
    loop {
        let page = Page { skip, first };
        match ask(Some(page), &mut |row, date| match seen.is_new(&row) {
            true => each(row, date),
            false => Ok(()),
        }) {
            Ok(rows) => {
                skip = skip.saturating_add(rows);
                let has_new = seen.turn();
                let is_last = rows < first && expected.is_some_and(|expected| skip >= expected);
                let is_too_much = skip >= MOST && rows > 0 && !is_last;
                if rows > first || rows == 0 || !has_new || is_last || is_too_much {
                    let excess = (rows > first).then_some((rows, first));
                    let mut rows = seen.rows(expected, excess);
                    if is_too_much {
                        let why = format!("no more than {MOST} rows are asked for");
                        rows.missing = Some(rows.missing.map_or(why.clone(), |missing| format!("{why}; {missing}")));
                    }
                    return Ok(rows);
                }
            }
            Err(trouble) => match smaller(&trouble, first) {
                Some(smaller) => first = smaller,
                None => return Err(trouble),
            },
        }
    }
}

/// The rows of all pages so far, as hashes: an answer may have more rows than memory has room for.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    earlier: HashSet<u64>,
    /// Of the present page. Rows that are alike on one page are so in the table.
    now: Vec<u64>,
    count: u64,
    again: u64,
}

impl Seen {
    fn is_new(&mut self, row: &impl Hash) -> bool {
        let hash = self.hasher.hash_one(row);
        let is_new = !self.earlier.contains(&hash);
        match is_new {
            true => {
                self.count += 1;
                self.now.push(hash);
            }
            false => self.again += 1,
        }
        is_new
    }

    /// A page ends. Whether it had anything new.
    fn turn(&mut self) -> bool {
        let has_new = !self.now.is_empty();
        self.earlier.extend(self.now.drain(..));
        has_new
    }

    /// `excess`: rows that came on a page, and rows that were asked for.
    fn rows(self, expected: Option<u64>, excess: Option<(u64, u64)>) -> Rows {
        let (count, again) = (self.count, self.again);
        let mut missing = Vec::new();
        if let Some((rows, first)) = excess {
            missing.push(format!(
                "a page of {first} rows was asked for and {rows} came, so the next page cannot be told"
            ));
        }
        if again > 0 {
            missing.push(format!(
                "{again} rows came again on a later page; they are left out, and others may be missing"
            ));
        }
        if let Some(expected) = expected.filter(|expected| *expected != count) {
            missing.push(format!(
                "{count} rows came where the server had counted {expected}; the table may have changed meanwhile"
            ));
        }
        Rows {
            count,
            missing: (!missing.is_empty()).then(|| missing.join("; ")),
        }
    }
}

/// The number of rows to ask for after this refusal, always fewer than before.
fn smaller(trouble: &Trouble, before: u64) -> Option<u64> {
    let Trouble::Fault(fault) = trouble else { return None };
    let Meaning::TooLarge { fewer_than, .. } = fault.meaning else {
        return None;
    };
    let suggested = match fewer_than {
        // Fewer than one row is no suggestion.
        None | Some(0 | 1) => GUESS,
        Some(rows) => (rows / 100 * PERCENT + rows % 100 * PERCENT / 100).max(1),
    };
    let first = suggested.min(before / 2);
    (first > 0).then_some(first)
}

fn matched(trouble: &Trouble) -> Option<u64> {
    match trouble {
        Trouble::Fault(axl::Fault {
            meaning: Meaning::TooLarge { matched, .. },
            ..
        }) => *matched,
        _ => None,
    }
}

#[cfg(test)]
#[path = "paging/tests.rs"]
mod tests;
