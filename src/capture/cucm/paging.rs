//! Answers that are too large for one reply, in pages of the size that the server itself suggests.

use std::io;

use super::session::{Session, Trouble};
use crate::capture::web::Date;
use crate::protocol::axl::{self, Call, LicensedUser, Meaning, Page, Row};

/// Of the suggested number of rows, that many percent are asked for: the suggestion is a bound that was seen to fail.
const PERCENT: u64 = 60;

/// Rows of a page where the server says that an answer is too large, but not how many would fit.
const GUESS: u64 = 500;

/// What came of a question that gives rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    pub count: u64,
    /// What the server had counted when it found them too many for one reply.
    pub expected: Option<u64>,
}

/// Runs an SQL query to its last row.
pub fn query(
    session: &mut Session<'_>,
    sql: &str,
    mut each: impl FnMut(Row, Date) -> io::Result<()>,
) -> Result<Rows, Trouble> {
    in_pages(|page| {
        let text = page.map_or_else(|| sql.to_owned(), |page| axl::paged(sql, page));
        session.call(&Call::Sql { query: &text }, |body, date| {
            axl::read_rows(body, &mut |row| each(row, date))
        })
    })
}

/// Lists all licensed users.
pub fn users(
    session: &mut Session<'_>,
    mut each: impl FnMut(LicensedUser, Date) -> io::Result<()>,
) -> Result<Rows, Trouble> {
    in_pages(|page| {
        session.call(&Call::LicensedUsers { page }, |body, date| {
            axl::read_licensed_users(body, &mut |user| each(user, date))
        })
    })
}

/// Asks for everything at once, and for pages when that is too large. A page that is too large is asked again, smaller.
fn in_pages(mut ask: impl FnMut(Option<Page>) -> Result<u64, Trouble>) -> Result<Rows, Trouble> {
    let (mut first, expected) = match ask(None) {
        Ok(count) => return Ok(Rows { count, expected: None }),
        Err(trouble) => match smaller(&trouble, u64::MAX) {
            Some(first) => (first, matched(&trouble)),
            None => return Err(trouble),
        },
    };
    let mut count = 0;
    loop {
        match ask(Some(Page { skip: count, first })) {
            Ok(rows) => {
                count += rows;
                // A server that gives more than it was asked for would have us skip what it never gave.
                if rows < first {
                    return Ok(Rows { count, expected });
                }
            }
            Err(trouble) => match smaller(&trouble, first) {
                Some(smaller) => first = smaller,
                None => return Err(trouble),
            },
        }
    }
}

/// The number of rows to ask for after this refusal, always fewer than before.
fn smaller(trouble: &Trouble, before: u64) -> Option<u64> {
    let Trouble::Fault(fault) = trouble else { return None };
    let Meaning::TooLarge { fewer_than, .. } = fault.meaning else {
        return None;
    };
    let suggested = fewer_than.map_or(GUESS, |rows| (rows / 100 * PERCENT + rows % 100 * PERCENT / 100).max(1));
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
