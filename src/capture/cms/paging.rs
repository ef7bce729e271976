//! Collections of a CMS, which gives them in pages that are no snapshot.
//!
//! While pages are read, items come and go, and the others move between pages: one can be seen twice, or not at all,
//! though the CMS counts as many as before. So each page begins with the last item of the page before it: where another
//! one stands there, something has moved. When it has, or when what came is not what the CMS counts, everything is read
//! once more; if it is no better then, that is said.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::rest::{Rest, Trouble};
use crate::protocol::cms::Page;

/// Items of one collection. Nobody has as many; a server that goes on for ever is stopped.
const MOST: u64 = 1_000_000;

/// Pages in a row without anything new: such a server does not mind what it is asked for.
const STALE: u32 = 16;

/// Reads a collection, twice if need be. `ask` reads the page that begins at an offset, and puts the id of each item
/// into [`Ids`], also of those that it has seen before. Says why some may be missing, if so.
pub fn read(
    rest: &Rest<'_>,
    what: &str,
    mut ask: impl FnMut(u64, &mut Ids) -> Result<Page, Trouble>,
) -> Result<Option<String>, Trouble> {
    let mut ids = Ids::default();
    let mut pass = Pass::read(rest, what, &mut ids, &mut ask)?;
    if let Some(doubt) = pass.doubt() {
        tracing::debug!("{}: once more", pass.told(what, doubt));
        pass = Pass::read(rest, what, &mut ids, &mut ask)?;
    }
    Ok(pass.doubt().map(|doubt| pass.told(what, doubt)))
}

/// The page sizes that can be asked for: two items at least, for one of them is the last of the page before.
pub fn size(configured: u32) -> u32 {
    configured.max(2)
}

/// One reading from the first page to the last.
#[derive(Debug, Default)]
struct Pass {
    /// Different ids.
    unique: u64,
    /// The total that the last page told.
    total: u64,
    moved: bool,
    one_by_one: bool,
    stale: bool,
}

/// Why a pass cannot be believed.
#[derive(Debug, Clone, Copy)]
enum Doubt {
    Stale,
    Moved,
    Count,
    OneByOne,
}

impl Pass {
    fn read(
        rest: &Rest<'_>,
        what: &str,
        ids: &mut Ids,
        ask: &mut impl FnMut(u64, &mut Ids) -> Result<Page, Trouble>,
    ) -> Result<Pass, Trouble> {
        ids.begin_pass();
        let mut pass = Pass::default();
        let mut offset = 0_u64;
        let mut first_total = None;
        // The item that the next page is to begin with.
        let mut expected = None;
        let mut stale = 0;
        loop {
            let unique_before = ids.unique;
            ids.begin_page();
            let page = ask(offset, ids)?;
            let fresh = ids.unique - unique_before;
            pass.unique = ids.unique;
            pass.total = page.total;
            pass.moved |= *first_total.get_or_insert(page.total) != page.total;
            pass.moved |= expected.is_some() && ids.first != expected;
            // The CMS may give fewer than asked for: the next page begins with the last that came.
            let end = offset.saturating_add(page.returned);
            if page.returned == 0 || (end >= page.total && (fresh == 0 || ids.unique == page.total)) {
                return Ok(pass);
            }
            if end > MOST {
                return Err(rest
                    .bad_data(format_args!("it gives more than {MOST} {what}, which cannot be right"))
                    .into());
            }
            stale = if fresh == 0 { stale + 1 } else { 0 };
            if stale == STALE {
                pass.stale = true;
                return Ok(pass);
            }
            pass.one_by_one |= page.returned == 1 && fresh == 1;
            let overlaps = page.returned > 1 && fresh > 0;
            expected = if overlaps { ids.last } else { None };
            offset = end - u64::from(overlaps);
        }
    }

    fn doubt(&self) -> Option<Doubt> {
        match self.unique == self.total {
            _ if self.stale => Some(Doubt::Stale),
            _ if self.moved => Some(Doubt::Moved),
            false => Some(Doubt::Count),
            true => self.one_by_one.then_some(Doubt::OneByOne),
        }
    }

    fn told(&self, what: &str, doubt: Doubt) -> String {
        let Pass { unique, total, .. } = self;
        let count = format!("the CMS counts {total}, and {unique} different ones came");
        match doubt {
            Doubt::Stale => format!("{what}: it gives the same ones page after page; {count}"),
            Doubt::Moved => format!("{what} changed while they were read, also the second time; {count}"),
            Doubt::Count => format!("{what}: {count}, also the second time"),
            Doubt::OneByOne => format!(
                "{what}: it gives one a page, so that nobody can tell whether they moved while they were read; {count}"
            ),
        }
    }
}

/// Ids that were seen, in this pass and in all.
#[derive(Debug, Default)]
pub struct Ids {
    /// The last pass in which each came.
    seen: HashMap<Key, u8>,
    pass: u8,
    /// Different ones of this pass.
    unique: u64,
    /// Of this page.
    first: Option<Key>,
    last: Option<Key>,
}

/// A UUID's own octets; of another id the first of its hash: a server that makes its ids long takes no memory by that.
type Key = [u8; 16];

impl Ids {
    /// To be told at the beginning of every answer, for one that broke off is asked for again.
    pub fn begin_page(&mut self) {
        (self.first, self.last) = (None, None);
    }

    /// Whether it came for the first time in any pass. Ids whose texts differ are different.
    pub fn insert(&mut self, id: &str) -> bool {
        let key = key(id);
        self.first.get_or_insert(key);
        self.last = Some(key);
        let before = self.seen.insert(key, self.pass);
        self.unique += u64::from(before != Some(self.pass));
        before.is_none()
    }

    fn begin_pass(&mut self) {
        self.pass += 1;
        self.unique = 0;
    }
}

fn key(id: &str) -> Key {
    uuid(id).map_or_else(|| hash(id), u128::to_be_bytes)
}

fn hash(id: &str) -> Key {
    let mut key = [0; 16];
    key.iter_mut().zip(Sha256::digest(id)).for_each(|(to, from)| *to = from);
    key
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
        ids.begin_pass();
        let lower = "11111111-0000-4000-8000-00000000000a";
        assert!(ids.insert(lower) && !ids.insert(lower));
        assert!(ids.insert("11111111-0000-4000-8000-00000000000A"));
        assert!(ids.insert("1111111100004000800000000000000a"));
        assert!(ids.insert("") && ids.insert("11111111-0000-4000-8000-00000000000b"));
        assert_eq!(ids.unique, 5);
    }

    #[test]
    fn what_came_in_the_first_pass_is_counted_in_the_second_but_is_not_new() {
        let mut ids = Ids::default();
        ids.begin_pass();
        assert!(ids.insert("a"));
        ids.begin_pass();
        assert!(!ids.insert("a") && ids.insert("b"));
        assert_eq!(ids.unique, 2);
    }
}
