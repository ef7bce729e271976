//! Collections of a CMS, which gives them in pages that are no snapshot.
//!
//! While pages are read, items come and go, and the others move between pages: one can be seen twice, or not at all.
//! Callers take each once, by its id. When what came is not what the CMS counts, or when its count moved, everything
//! is read once more; what is missing then still is said.

use std::collections::HashSet;

use super::rest::{Rest, Trouble};
use crate::protocol::cms::Page;

/// Items of one collection. Nobody has as many; a server that goes on for ever is stopped.
const MOST: u64 = 2_000_000;

/// Reads a collection, twice if need be. `ask` reads the page that begins at an offset, and puts the id of each item
/// into the set, also of those that it has seen before. Says why some may be missing, if so.
pub fn read(
    rest: &Rest<'_>,
    what: &str,
    mut ask: impl FnMut(u64, &mut Ids) -> Result<Page, Trouble>,
) -> Result<Option<String>, Trouble> {
    let mut pass = Pass::read(rest, what, &mut ask)?;
    if !pass.is_whole() {
        tracing::debug!(
            "{what}: {} different ones came of {}: once more",
            pass.unique,
            pass.total
        );
        pass = Pass::read(rest, what, &mut ask)?;
    }
    Ok((!pass.is_whole()).then(|| {
        format!(
            "{what} changed while they were read, twice: {} different ones came at last, and the CMS counted {}",
            pass.unique, pass.total
        )
    }))
}

/// One reading from the first page to the last.
struct Pass {
    /// Different ids.
    unique: u64,
    /// The total that the last page told.
    total: u64,
    moved: bool,
}

impl Pass {
    fn read(
        rest: &Rest<'_>,
        what: &str,
        ask: &mut impl FnMut(u64, &mut Ids) -> Result<Page, Trouble>,
    ) -> Result<Pass, Trouble> {
        let mut seen = Ids::default();
        let mut offset = 0_u64;
        let mut first_total = None;
        loop {
            // The CMS may give fewer than asked for: the next page begins behind what came.
            let page = ask(offset, &mut seen)?;
            let begun_with = *first_total.get_or_insert(page.total);
            offset = offset.saturating_add(page.returned);
            if page.returned == 0 || offset >= page.total {
                return Ok(Pass {
                    unique: seen.len(),
                    total: page.total,
                    moved: page.total != begun_with,
                });
            }
            if offset > MOST {
                return Err(rest
                    .bad_data(format_args!("it gives more than {MOST} {what}, which cannot be right"))
                    .into());
            }
        }
    }

    fn is_whole(&self) -> bool {
        !self.moved && self.unique == self.total
    }
}

/// Ids that were seen. UUIDs take sixteen octets, others what they need.
#[derive(Default)]
pub struct Ids {
    uuids: HashSet<u128>,
    others: HashSet<String>,
}

impl Ids {
    /// Whether it is new.
    pub fn insert(&mut self, id: &str) -> bool {
        match uuid(id) {
            Some(uuid) => self.uuids.insert(uuid),
            None => !self.others.contains(id) && self.others.insert(id.to_owned()),
        }
    }

    fn len(&self) -> u64 {
        (self.uuids.len() + self.others.len()) as u64
    }
}

/// Only the canonical form: two texts that differ are two ids.
fn uuid(id: &str) -> Option<u128> {
    let octets = id.as_bytes();
    if octets.len() != 36 {
        return None;
    }
    let mut number = 0_u128;
    for (index, octet) in octets.iter().enumerate() {
        let digit = match (index, octet) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => octet - b'0',
            (_, b'a'..=b'f') => octet - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_different_when_their_texts_are() {
        let mut ids = Ids::default();
        let lower = "11111111-0000-4000-8000-00000000000a";
        assert!(ids.insert(lower) && !ids.insert(lower));
        assert!(ids.insert("11111111-0000-4000-8000-00000000000A"));
        assert!(ids.insert("1111111100004000800000000000000a"));
        assert!(ids.insert("") && ids.insert("11111111-0000-4000-8000-00000000000b"));
        assert_eq!(ids.len(), 5);
    }
}
