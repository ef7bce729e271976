//! Faults: why a device did not do what it was asked, and what that means.

use std::fmt;
use std::io::BufRead;

use super::ReplyError;
use super::reply::open;
use crate::protocol::elements::{Elements, Failure, FromText};
use crate::xml::{clip_to, is_space};

/// Characters of a fault's text that are kept.
const KEPT: usize = 1000;

/// What a device gave as the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `axlcode`. Many faults share -1.
    pub code: Option<i64>,
    /// The device's sentence, at most 1000 characters. It may be empty.
    pub text: String,
    /// The operation that the device understood.
    pub request: Option<String>,
    pub meaning: Meaning,
}

/// What a fault means to the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The answer would be larger than 8 MB: ask for pages of fewer rows than `fewer_than`.
    TooLarge {
        /// Rows that there are.
        matched: Option<u64>,
        /// The page must have fewer rows than this.
        fewer_than: Option<u64>,
    },
    /// The answers in progress need more than 16 MB together: ask again later.
    Memory,
    /// 5003: the user may not do this.
    UserRank,
    /// 5007: what was asked for is not there.
    NotFound,
    /// 11617: it is there already.
    Duplicate,
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => f.write_str("the device refused without a reason")?,
            text => write!(f, "the device refused: {text}")?,
        }
        if let Some(code) = self.code {
            write!(f, " (axlcode {code})")?;
        }
        Ok(())
    }
}

/// The fault in a reply; [`None`] when there is none, or the reply is not whole.
pub fn read_fault(octets: &[u8]) -> Option<Fault> {
    match open(&mut Elements::new(octets), None) {
        Err(ReplyError::Fault(fault)) => Some(fault),
        _ => None,
    }
}

/// What has been found of a fault so far. The first of each counts.
#[derive(Default)]
struct Found {
    fault_code: Option<String>,
    fault_string: Option<String>,
    code: Option<String>,
    message: Option<String>,
    request: Option<String>,
}

/// Whether an element of this name is a fault, or what stands in the `detail` of one. Its namespace varies; `error` is
/// the spelling of documents up to release 9.1.
pub(super) fn is_fault(name: &str) -> bool {
    name == "Fault" || is_error(name)
}

fn is_error(name: &str) -> bool {
    name == "axlError" || name.eq_ignore_ascii_case("error")
}

/// From behind the start of the element that [`is_fault`] to its end.
pub(super) fn fault<R: BufRead>(elements: &mut Elements<R>) -> Result<Fault, Failure> {
    let mut found = Found::default();
    if is_error(elements.name()) {
        error(elements, &mut found)?;
    } else {
        while elements.child_among_texts()? {
            match elements.name() {
                "faultcode" => keep(&mut found.fault_code, elements.text("faultcode")?),
                "faultstring" => keep(&mut found.fault_string, elements.text("faultstring")?),
                "detail" => detail(elements, &mut found)?,
                _ => elements.skip()?,
            }
        }
    }
    Ok(found.fault())
}

/// Looks for the error at any depth.
fn detail<R: BufRead>(elements: &mut Elements<R>, found: &mut Found) -> Result<(), Failure> {
    let mut depth = 1_u32;
    while depth > 0 {
        if !elements.child_among_texts()? {
            depth -= 1;
        } else if is_error(elements.name()) {
            error(elements, found)?;
        } else {
            depth += 1;
        }
    }
    Ok(())
}

fn error<R: BufRead>(elements: &mut Elements<R>, found: &mut Found) -> Result<(), Failure> {
    while elements.child_among_texts()? {
        match elements.name() {
            "axlcode" | "code" => keep(&mut found.code, elements.text("axlcode")?),
            "axlmessage" | "message" => keep(&mut found.message, elements.text("axlmessage")?),
            "request" => keep(&mut found.request, elements.text("request")?),
            _ => elements.skip()?,
        }
    }
    Ok(())
}

fn keep(slot: &mut Option<String>, text: Option<String>) {
    if slot.is_none() {
        *slot = text.map(|text| clip_to(text.trim_matches(is_space), KEPT));
    }
}

impl Found {
    fn fault(self) -> Fault {
        let code = self.code.as_deref().and_then(i64::from_text);
        let texts = [self.fault_string, self.message, self.fault_code];
        let meaning = meaning(code, &texts);
        let text = texts.into_iter().flatten().find(|text| !text.is_empty());
        Fault {
            code,
            text: text.unwrap_or_default(),
            request: self.request,
            meaning,
        }
    }
}

fn meaning(code: Option<i64>, texts: &[Option<String>]) -> Meaning {
    match code {
        Some(5003) => return Meaning::UserRank,
        Some(5007) => return Meaning::NotFound,
        Some(11617) => return Meaning::Duplicate,
        _ => {}
    }
    for text in texts.iter().flatten() {
        let text = text.to_ascii_lowercase();
        if text.contains("query request too large") {
            return Meaning::TooLarge {
                matched: number_behind(&text, &["rows matched:"]),
                // Devices write the first; Cisco's documents have the second, too.
                fewer_than: number_behind(
                    &text,
                    &["suggestive row fetch: less than", "suggested row fetch: less than"],
                ),
            };
        }
        if text.contains("maximum axl memory allocation consumed") {
            return Meaning::Memory;
        }
    }
    Meaning::Other
}

fn number_behind(text: &str, words: &[&str]) -> Option<u64> {
    let (_, rest) = words.iter().find_map(|words| text.split_once(words))?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ','));
    rest[..end.unwrap_or(rest.len())].replace(',', "").parse().ok()
}
