//! The coSpaces of a server: which there are at a moment, page by page and one by one.
//!
//! All items stand in one buffer as the pages show them, so that a page is a piece of it, however many there are.
//! Numbers are never used again: space N has the same id, name and secrets in every run of a device of the same name.

use std::io::Write;

use super::DECLARATION;
use crate::device::{Device, Moving};

pub struct Spaces {
    seed: u32,
    canary: String,
    rendered: Vec<u8>,
    /// Where each item begins in `rendered`, and the end of the last.
    begins: Vec<usize>,
    /// The number of the first space that is there, and how many there are.
    first: usize,
    count: usize,
    moving: Option<Moving>,
    pages: u64,
    settled: bool,
    total: Option<usize>,
    stuck: bool,
    deleted: Option<usize>,
    odd_ids: bool,
}

impl Spaces {
    pub fn new(device: &Device) -> Self {
        let count = device.cms.spaces;
        let mut spaces = Spaces {
            seed: device.seed(),
            canary: device.cms.canary.clone(),
            rendered: Vec::with_capacity(count * 240),
            begins: vec![0],
            first: 0,
            count,
            moving: device.cms.moving,
            pages: 0,
            settled: false,
            total: device.cms.total,
            stuck: device.cms.stuck,
            deleted: device.cms.deleted,
            odd_ids: device.cms.odd_ids,
        };
        (0..count).for_each(|_| spaces.add());
        spaces
    }

    /// The items from `offset` on, at most `limit`; then moves what is to move.
    pub fn page(&mut self, offset: usize, limit: usize) -> Vec<u8> {
        let begin = if self.stuck { 0 } else { offset.min(self.count) };
        let total = self.total.unwrap_or(self.count);
        let end = begin.saturating_add(limit).min(self.count);
        let items = &self.rendered[self.begins[self.first + begin]..self.begins[self.first + end]];
        let mut page = Vec::with_capacity(items.len() + 80);
        page.extend_from_slice(DECLARATION.as_bytes());
        if items.is_empty() {
            let _ = writeln!(page, "<coSpaces total=\"{total}\"/>");
        } else {
            let _ = writeln!(page, "<coSpaces total=\"{total}\">");
            page.extend_from_slice(items);
            page.extend_from_slice(b"</coSpaces>\n");
        }
        self.move_on(end);
        page
    }

    fn move_on(&mut self, end: usize) {
        self.pages += 1;
        let Some(moving) = self.moving else { return };
        self.settled |= moving.once && end >= self.count;
        if self.settled || !self.pages.is_multiple_of(moving.every) || self.count == 0 {
            return;
        }
        for _ in 0..moving.spaces.min(self.count) {
            self.first += 1;
            if moving.shrinking {
                self.count -= 1;
            } else {
                self.add();
            }
        }
    }

    fn add(&mut self) {
        let number = self.begins.len() - 1;
        let _ = write!(
            self.rendered,
            "  <coSpace id=\"{}\">\n{}",
            self.id(number),
            outline(number)
        );
        self.rendered.extend_from_slice(b"  </coSpace>\n");
        self.begins.push(self.rendered.len());
    }

    pub fn detail(&self, asked: &str) -> Option<String> {
        let asked = &decoded(asked);
        let mut there = self.first..self.first + self.count;
        let number = match self.odd_ids {
            true => there.find(|number| self.id(*number) == *asked)?,
            false => {
                let number: usize = asked.rsplit('-').next()?.parse().ok()?;
                (there.contains(&number) && self.id(number) == *asked).then_some(number)?
            }
        };
        if self.deleted.is_some_and(|every| number.is_multiple_of(every)) {
            return None;
        }
        let Spaces { seed, canary, .. } = self;
        Some(format!(
            "{DECLARATION}<coSpace id=\"{}\">\n{}    <passcode>{canary}</passcode>\n\
             \u{20}   <nonMemberAccess>{}</nonMemberAccess>\n    <ownerId>33333333-0000-4000-8000-{number:012}</ownerId>\n\
             \u{20}   <ownerJid>owner{number}@example.com</ownerJid>\n    <cdrTag>cost-centre-{}</cdrTag>\n\
             \u{20}   <callProfile>{seed:08x}-0000-4000-9000-000000000001</callProfile>\n\
             \u{20}   <callLegProfile>{seed:08x}-0000-4000-9000-000000000002</callLegProfile>\n\
             \u{20}   <defaultLayout>allEqual</defaultLayout>\n    <numAccessMethods>{}</numAccessMethods>\n\
             \u{20}   <secret>{canary}</secret>\n    <meetingScheduler>Scheduler &amp; Sons</meetingScheduler>\n</coSpace>\n",
            self.id(number),
            outline(number),
            number.is_multiple_of(2),
            number % 10,
            number % 3,
        ))
    }
}

impl Spaces {
    /// As it stands in XML; none of the odd ones needs a reference there.
    fn id(&self, number: usize) -> String {
        match self.odd_ids {
            true => odd_id(number),
            false => id(self.seed, number),
        }
    }
}

/// Ids that become other paths or parameters when they are not escaped, and pairs that differ only by case.
fn odd_id(number: usize) -> String {
    match number % 10 {
        0 => "..".into(),
        1 => format!("../system/status?a=b#{number}"),
        2 => format!("a b+c%20{number}"),
        3 => "case".into(),
        4 => "CASE".into(),
        5 => "11111111-0000-4000-8000-00000000000A".into(),
        6 => "11111111-0000-4000-8000-00000000000a".into(),
        7 => format!("Zoë/{number}:,;"),
        8 => "x".repeat(255),
        _ => "-".into(),
    }
}

/// A path without its escapes.
fn decoded(path: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(octet)) => {
                octets.push(octet);
                rest = &after[2..];
            }
            _ => {
                octets.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

pub fn id(seed: u32, number: usize) -> String {
    format!("{seed:08x}-0000-4000-8000-{number:012}")
}

/// What the list shows of a space: eight shapes in turn.
fn outline(n: usize) -> String {
    let name = match n % 8 {
        0 => format!("<name>R&amp;D Atrium {n}</name>"),
        1 => format!("<name>Caf&#233; Nord {n}: planning, weekly</name>"),
        // Neither name nor uri.
        2 => {
            return "    <autoGenerated>true</autoGenerated>\n    <tenant>22222222-0000-4000-8000-000000000001</tenant>\n"
                .into();
        }
        3 => format!("<name>Lena O&apos;Hara &lt;space&gt; {n}</name>"),
        4 => "<name/>".into(),
        5 => format!("<name>first line {n}\nsecond: line, \"quoted\"</name>"),
        6 => format!("<name>Zoë & Co {n}</name>").replace('&', "&#38;"),
        _ => format!("<name>Room {n}</name>"),
    };
    let secondary = if n % 8 < 4 {
        format!("    <secondaryUri>{}</secondaryUri>\n", 8_000_000 + n)
    } else {
        String::new()
    };
    format!(
        "    {name}\n    <autoGenerated>{}</autoGenerated>\n    <uri>space.{n}</uri>\n    <callId>{}</callId>\n{secondary}",
        n % 8 == 3,
        7_000_000 + n
    )
}
