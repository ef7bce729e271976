//! Cuts octets into items as they come, however they are cut on their way.

use super::{
    Damaged, Item, LIMIT, Record,
    record::{self, Occurrences, UUID},
    same_origin,
};
use crate::config::gatekeeper::EventKind;

const RECORD: &[u8] = b"BD1|";
const CDR: &[u8] = b"CDR|";
/// `YYYY-MM-DD HH:MM:SS: ` before each line of the backlog.
const BACKLOG_PREFIX: usize = 21;
/// How many records are looked for in a damaged one. Whole ones take more than 650 octets, so [`LIMIT`] has no more; what
/// begins as many and ends none is made to keep us busy.
const SALVAGED: usize = 100;

/// Reads one connection, from its first octet on.
///
/// What it gives does not depend on how the octets were cut. It holds two times [`LIMIT`] octets at most.
#[derive(Debug, Default)]
pub struct Reader {
    /// The greeting has begun: no more prompts.
    greeted: bool,
    /// A line that is not complete yet.
    line: Vec<u8>,
    /// Whether the rest of a line that was too long is passed over.
    skipping: bool,
    open: Option<Open>,
}

/// What may go on over several lines. `text` has the lines so far, with their ends.
#[derive(Debug)]
enum Open {
    Record {
        kind: EventKind,
        uuid: [u8; UUID],
        found: usize,
        text: Vec<u8>,
    },
    Cdr {
        text: Vec<u8>,
    },
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn take(&mut self, octets: &[u8], items: &mut Vec<Item>) {
        let mut rest = octets;
        while !rest.is_empty() {
            // Prompts have no line end: as long as one may come, each octet may be the last.
            let length = match self.greeted {
                true => rest
                    .iter()
                    .position(|octet| *octet == b'\n')
                    .map_or(rest.len(), |at| at + 1),
                false => 1,
            };
            let (piece, behind) = rest.split_at(length);
            self.append(piece, items);
            rest = behind;
        }
    }

    /// Whether a record or CDR line has begun and its end has not come. The gatekeeper sends each in one go.
    pub fn is_within(&self) -> bool {
        self.open.is_some()
    }

    /// Gives up what [`Self::is_within`] says: its end is overdue.
    pub fn give_up(&mut self, items: &mut Vec<Item>) {
        if let Some(open) = self.open.take() {
            self.damaged(open, "its end did not come", false, items);
        }
    }

    /// No more octets will come.
    pub fn finish(mut self, items: &mut Vec<Item>) {
        const REASON: &str = "the connection ended within it";
        if let Some(open) = self.open.take() {
            self.damaged(open, REASON, false, items);
        } else if [RECORD, CDR]
            .iter()
            .any(|tag| behind_prefix(&self.line).starts_with(tag))
        {
            items.push(damaged(None, REASON));
        }
    }

    fn append(&mut self, piece: &[u8], items: &mut Vec<Item>) {
        let ended = piece.last() == Some(&b'\n');
        if self.skipping {
            self.skipping = !ended;
        } else if self.line.len() + piece.len() > LIMIT {
            self.line.clear();
            self.skipping = !ended;
            match self.open.take() {
                Some(open) => self.damaged(open, "it is longer than 64 KiB", false, items),
                None => items.push(damaged(None, "a line is longer than 64 KiB")),
            }
        } else {
            self.line.extend_from_slice(piece);
            if ended {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, items);
                self.line = line;
                self.line.clear();
            } else if !self.greeted {
                self.look_for_prompt(items);
            }
        }
    }

    fn look_for_prompt(&mut self, items: &mut Vec<Item>) {
        let text = without_negotiation(&self.line);
        let prompt = match text {
            b"Password: " => Item::PasswordPrompt,
            _ if text.ends_with(b" login: ") => Item::LoginPrompt,
            _ => return,
        };
        self.line.clear();
        items.push(prompt);
    }

    fn take_line(&mut self, line: &[u8], items: &mut Vec<Item>) {
        match self.open.take() {
            None => self.take_fresh_line(line, items),
            Some(Open::Cdr { .. }) if behind_prefix(line).starts_with(RECORD) => {
                items.push(damaged(None, "a CDR line does not end"));
                self.take_fresh_line(line, items);
            }
            Some(Open::Cdr { mut text }) => {
                text.extend_from_slice(line);
                self.grow_cdr(text, items);
            }
            Some(Open::Record {
                kind,
                uuid,
                found,
                mut text,
            }) => {
                text.extend_from_slice(line);
                let found = found + Occurrences::new(line, &uuid).count();
                self.grow_record(kind, uuid, found, text, items);
            }
        }
    }

    fn take_fresh_line(&mut self, line: &[u8], items: &mut Vec<Item>) {
        let line = without_negotiation(line);
        let inner = behind_prefix(line);
        if inner.starts_with(CDR) {
            return self.grow_cdr(inner.to_vec(), items);
        }
        if inner.starts_with(RECORD) {
            match record::begin(without_end(inner)) {
                Some(Ok((kind, uuid))) => {
                    let found = Occurrences::new(inner, &uuid).count();
                    return match found {
                        0 | 1 => items.push(damaged(Some(&uuid), "its fixed fields are cut short")),
                        _ => self.grow_record(kind, uuid, found, inner.to_vec(), items),
                    };
                }
                Some(Err(damaged)) => return items.push(Item::Damaged(damaged)),
                None => {}
            }
        }
        let text = without_end(line);
        self.greeted |= text == b"Version:";
        items.extend(reply(text, self.greeted));
    }

    fn grow_cdr(&mut self, text: Vec<u8>, items: &mut Vec<Item>) {
        let line = without_end(&text);
        if line.ends_with(b";") {
            items.push(Item::Cdr(line.to_vec()));
        } else if text.len() > LIMIT {
            items.push(damaged(None, "a CDR line does not end"));
        } else {
            self.open = Some(Open::Cdr { text });
        }
    }

    fn grow_record(&mut self, kind: EventKind, uuid: [u8; UUID], found: usize, text: Vec<u8>, items: &mut Vec<Item>) {
        let needed = record::boundaries(kind);
        let too_long = text.len() > LIMIT;
        if found == needed && !too_long && ends_record(&text, &uuid) {
            items.push(taken_apart(kind, &uuid, without_end(&text)));
            return;
        }
        let open = Open::Record {
            kind,
            uuid,
            found,
            text,
        };
        if found >= needed {
            self.damaged(open, "the UUID is not there as often as it must be", true, items);
        } else if too_long {
            self.damaged(open, "it is longer than 64 KiB", true, items);
        } else {
            self.open = Some(open);
        }
    }

    /// Tells a damaged record, and goes on at the next line in it that begins one: what was taken for its text may be
    /// records of their own. Such a record is believed if its UUID was made where that of the damaged one was, which no party
    /// that chose a name can know. With `go_on` the last one may still be incomplete.
    fn damaged(&mut self, open: Open, reason: &'static str, go_on: bool, items: &mut Vec<Item>) {
        let (uuid, text) = match open {
            Open::Cdr { .. } => return items.push(damaged(None, "a CDR line does not end")),
            Open::Record { uuid, text, .. } => (uuid, text),
        };
        items.push(damaged(Some(&uuid), reason));
        let mut at = line_length(&text);
        let mut last: Option<(EventKind, [u8; UUID], usize)> = None;
        let mut tries = 0;
        while at < text.len() {
            let length = line_length(&text[at..]);
            let inner = behind_prefix(&text[at..at + length]);
            let start = at + length - inner.len();
            at += length;
            if !inner.starts_with(RECORD) {
                continue;
            }
            let Some(Ok((kind, own))) = record::begin(without_end(inner)) else {
                continue;
            };
            if Occurrences::new(inner, &own).nth(1).is_none() {
                continue;
            }
            tries += 1;
            let tried = tries <= SALVAGED;
            if let Some((_, given_up, _)) = last.take()
                && tried
            {
                items.push(damaged(Some(&given_up), reason));
            }
            match tried.then(|| whole_record(&text[start..], kind, &own)).flatten() {
                Some(whole) if same_origin(&as_text(&uuid), &as_text(&own)) => {
                    items.push(taken_apart(kind, &own, without_end(&text[start..start + whole])));
                    at = start + whole;
                }
                Some(whole) => {
                    items.push(damaged(
                        Some(&own),
                        "it stands in a damaged record and is of another origin",
                    ));
                    at = start + whole;
                }
                None => last = Some((kind, own, start)),
            }
        }
        let Some((kind, own, start)) = last else { return };
        let found = Occurrences::new(&text[start..], &own).count();
        if go_on && found < record::boundaries(kind) && text.len() - start <= LIMIT {
            self.open = Some(Open::Record {
                kind,
                uuid: own,
                found,
                text: text[start..].to_vec(),
            });
        } else {
            items.push(damaged(Some(&own), reason));
        }
    }
}

/// What a line that is no record says.
fn reply(text: &[u8], greeted: bool) -> Option<Item> {
    if let Some(rest) = text.strip_prefix(b"Startup: ") {
        let end = rest
            .windows(3)
            .position(|blanks| blanks == b"   ")
            .unwrap_or(rest.len());
        return Some(Item::Startup(rest[..end].to_vec()));
    }
    if let Some(rest) = text.strip_prefix(b"Total Calls: ") {
        let digits = rest.split(|octet| !octet.is_ascii_digit()).next().unwrap_or_default();
        if let Some(number) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
            return Some(Item::TotalCalls(number));
        }
    }
    match text {
        b"" => None,
        b";" => Some(Item::End),
        b"Access forbidden!" if !greeted => Some(Item::Forbidden),
        _ if text.starts_with(b"Gatekeeper(") => Some(Item::Version(text.to_vec())),
        _ => Some(Item::Line(text.to_vec())),
    }
}

fn taken_apart(kind: EventKind, uuid: &[u8; UUID], text: &[u8]) -> Item {
    match Record::split(kind, uuid, text) {
        Ok(record) => Item::Record(Box::new(record)),
        Err(reason) => damaged(Some(uuid), reason),
    }
}

/// Length of the record that `text` begins with, line end included, if it is whole.
fn whole_record(text: &[u8], kind: EventKind, uuid: &[u8; UUID]) -> Option<usize> {
    let last = Occurrences::new(text, uuid).nth(record::boundaries(kind) - 1)?;
    let end = last + UUID;
    text[end..].starts_with(b".\r\n").then_some(end + 3)
}

fn ends_record(text: &[u8], uuid: &[u8; UUID]) -> bool {
    text.strip_suffix(b".\r\n").is_some_and(|rest| rest.ends_with(uuid))
}

fn damaged(uuid: Option<&[u8; UUID]>, reason: &'static str) -> Item {
    Item::Damaged(Damaged {
        uuid: uuid.map(as_text),
        reason,
    })
}

fn as_text(uuid: &[u8; UUID]) -> String {
    uuid.iter().map(|octet| char::from(*octet)).collect()
}

fn line_length(text: &[u8]) -> usize {
    text.iter()
        .position(|octet| *octet == b'\n')
        .map_or(text.len(), |at| at + 1)
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line without the time that the backlog puts before it.
fn behind_prefix(line: &[u8]) -> &[u8] {
    const SHAPE: &[u8; BACKLOG_PREFIX] = b"0000-00-00 00:00:00: ";
    let Some(prefix) = line.get(..BACKLOG_PREFIX) else {
        return line;
    };
    let fits = prefix.iter().zip(SHAPE).all(|(octet, shape)| match shape {
        b'0' => octet.is_ascii_digit(),
        _ => octet == shape,
    });
    if fits { &line[BACKLOG_PREFIX..] } else { line }
}

/// The line without TELNET negotiation at its beginning, where alone the gatekeeper sends it (RFC 854): WILL, WON'T, DO and
/// DON'T have one octet behind them.
fn without_negotiation(line: &[u8]) -> &[u8] {
    let mut rest = line;
    while let [0xff, 0xfb..=0xfe, _, behind @ ..] = rest {
        rest = behind;
    }
    rest
}
