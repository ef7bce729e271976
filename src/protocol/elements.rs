//! Walks through the elements of an answer: into children, over what is not known, fields into typed slots.
//!
//! A text or a comment has at most 1 MiB, a tag 8 KiB, an item 1 MiB; elements are nested 16 deep at most. What is passed
//! over takes no memory, so its length is not limited here.

use std::io::{self, BufRead};

use chrono::{DateTime, Timelike, Utc};

use crate::record::{Decimal, forbidden_character};
use crate::xml::{Limits, ReadError, Token, Tokens, Vocabulary, clip_to, is_space};

/// Octets of one item of an answer, and of a whole answer that has no items.
const ITEM: u64 = 1 << 20;

const LIMITS: Limits = Limits {
    text: 1 << 20,
    // Attributes are compared with each other, so a long tag costs more than its octets.
    tag: 8 << 10,
    record: ITEM,
    depth: 16,
};

/// Characters of a value that a message shows.
const SHOWN: usize = 40;

/// Why an answer could not be read to its end.
#[derive(Debug)]
pub(super) enum Failure {
    Malformed(ReadError),
    Input(io::Error),
    Sink(io::Error),
}

#[derive(Debug)]
pub(super) struct Elements<R> {
    tokens: Tokens<R>,
    /// The octet behind which the present item must not go.
    last_octet: u64,
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(input: R) -> Self {
        Elements {
            tokens: Tokens::new(input, LIMITS, Vocabulary::Any),
            last_octet: u64::MAX,
        }
    }

    /// An item begins that is kept in memory until its end.
    pub(super) fn begin_item(&mut self) {
        self.last_octet = self.tokens.octets().saturating_add(LIMITS.record);
    }

    pub(super) fn end_item(&mut self) {
        self.last_octet = u64::MAX;
    }

    /// Enters the document element.
    pub(super) fn root(&mut self) -> Result<(), Failure> {
        loop {
            match self.next()? {
                Token::Start => return Ok(()),
                Token::Text if self.is_blank() => {}
                Token::Text => return Err(self.error("this is not XML: a text stands before the first element")),
                Token::End | Token::Eof => return Err(self.error("the answer is empty")),
            }
        }
    }

    /// Enters the next child of the open element; `false` when that has ended instead.
    pub(super) fn child(&mut self) -> Result<bool, Failure> {
        loop {
            match self.next()? {
                Token::Start => return Ok(true),
                Token::End => return Ok(false),
                Token::Text if self.is_blank() => {}
                Token::Text => return Err(self.error("a text stands where an element is expected")),
                Token::Eof => return Err(self.ends()),
            }
        }
    }

    /// As [`Elements::child`], where texts may stand between the elements.
    pub(super) fn child_among_texts(&mut self) -> Result<bool, Failure> {
        loop {
            match self.next()? {
                Token::Start => return Ok(true),
                Token::End => return Ok(false),
                Token::Text => {}
                Token::Eof => return Err(self.ends()),
            }
        }
    }

    /// Passes over the rest of the open element, its end included.
    pub(super) fn skip(&mut self) -> Result<(), Failure> {
        let mut depth = 1_u32;
        while depth > 0 {
            // The limit of depth keeps the sum small.
            depth = if self.child_among_texts()? {
                depth + 1
            } else {
                depth - 1
            };
        }
        Ok(())
    }

    /// Passes over all that stands between the end of a child and the end of the open element.
    pub(super) fn skip_siblings(&mut self) -> Result<(), Failure> {
        while self.child()? {
            self.skip()?;
        }
        Ok(())
    }

    /// After the document element's end: nothing may follow.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        loop {
            match self.next()? {
                Token::Eof => return Ok(()),
                Token::Text if self.is_blank() => {}
                _ => return Err(self.error("something stands behind the end of the answer")),
            }
        }
    }

    /// The local name of the element that was entered last.
    pub(super) fn name(&self) -> &str {
        &self.tokens.name
    }

    /// An attribute of the element that was entered last.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.tokens.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The required attribute `name` of the element that was entered last.
    pub(super) fn required<T: FromText>(&self, name: &'static str) -> Result<T, Failure> {
        let owner = clip_to(self.name(), SHOWN);
        let text = self.attribute(name).map(|text| text.trim_matches(is_space));
        let text = text
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.error(format!("{owner} has no {name}")))?;
        T::from_text(text).ok_or_else(|| self.error(unexpected::<T>(&format!("{name} of {owner}"), text)))
    }

    /// The text of the open element up to its end. [`None`] when it is empty, or is nil by `xsi:nil`.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let is_nil = self.attribute("xsi:nil").is_some_and(|nil| nil == "true" || nil == "1");
        let text = self.text_in_place(name)?;
        let is_absent = text.is_empty() || (is_nil && text.chars().all(is_space));
        Ok((!is_absent).then(|| text.to_owned()))
    }

    fn text_in_place(&mut self, name: &str) -> Result<&str, Failure> {
        // The text stays until the token behind the end is asked for.
        let mut token = self.next()?;
        if token == Token::Text {
            token = self.next()?;
        }
        match token {
            Token::End => Ok(&self.tokens.text),
            Token::Start => {
                let name = clip_to(name, SHOWN);
                Err(self.error(format!("an element stands within {name}, which has a text only")))
            }
            Token::Text | Token::Eof => Err(self.ends()),
        }
    }

    /// The children of the open element up to its end: those that are named go into their slots, others are passed
    /// over.
    pub(super) fn fields(&mut self, slots: &mut [(&'static str, &mut dyn Slot)]) -> Result<(), Failure> {
        while self.child()? {
            let place = self.tokens.place();
            let found = slots.iter_mut().find(|(name, _)| *name == self.tokens.name);
            let Some((name, slot)) = found else {
                self.skip()?;
                continue;
            };
            let refused = |message| Err(Failure::Malformed(ReadError::at(place, message)));
            if slot.is_full() {
                return refused(format!("{name} is repeated"));
            }
            let text = self.text_in_place(name)?;
            if let Err(message) = slot.fill(name, text) {
                return refused(message);
            }
        }
        Ok(())
    }

    /// An error at the last element or text.
    pub(super) fn error(&self, message: impl Into<String>) -> Failure {
        Failure::Malformed(self.tokens.error(message))
    }

    fn ends(&self) -> Failure {
        self.error("the answer is cut off: it ends before its last element does")
    }

    fn is_blank(&self) -> bool {
        self.tokens.text.chars().all(is_space)
    }

    fn next(&mut self) -> Result<Token, Failure> {
        let token = match self.tokens.next() {
            Ok(token) => token,
            Err(error) => {
                return Err(match self.tokens.take_io_error() {
                    Some(error) => Failure::Input(error),
                    None => Failure::Malformed(error),
                });
            }
        };
        if self.tokens.octets() > self.last_octet {
            return Err(self.error(format!("an item of the answer has more than {ITEM} octets")));
        }
        if token == Token::Text
            && let Some(character) = forbidden_character(&self.tokens.text)
        {
            return Err(self.error(character.to_string()));
        }
        Ok(token)
    }
}

/// Where the value of a field goes.
pub(super) trait Slot {
    fn is_full(&self) -> bool;

    /// Leaves the slot empty when the text is. On failure says what was expected.
    fn fill(&mut self, name: &str, text: &str) -> Result<(), String>;
}

impl<T: FromText> Slot for Option<T> {
    fn is_full(&self) -> bool {
        self.is_some()
    }

    fn fill(&mut self, name: &str, text: &str) -> Result<(), String> {
        let text = if T::TRIMMED { text.trim_matches(is_space) } else { text };
        if !text.is_empty() {
            *self = Some(T::from_text(text).ok_or_else(|| unexpected::<T>(name, text))?);
        }
        Ok(())
    }
}

fn unexpected<T: FromText>(name: &str, text: &str) -> String {
    format!("{name} must be {}, not {:?}", T::EXPECTED, clip_to(text, SHOWN))
}

/// A type that a field or an attribute may have.
pub(super) trait FromText: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;
    /// Whether white space around a value does not count.
    const TRIMMED: bool = true;

    fn from_text(text: &str) -> Option<Self>;
}

impl FromText for String {
    const EXPECTED: &'static str = "a text";
    const TRIMMED: bool = false;

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromText for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

impl FromText for u64 {
    const EXPECTED: &'static str = "a whole number up to 18446744073709551615";

    fn from_text(text: &str) -> Option<Self> {
        // Rust would take a plus sign.
        text.bytes().all(|octet| octet.is_ascii_digit()).then_some(())?;
        text.parse().ok()
    }
}

impl FromText for i64 {
    const EXPECTED: &'static str = "a whole number of 64 bits";

    fn from_text(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.bytes().all(|octet| octet.is_ascii_digit()).then_some(())?;
        text.parse().ok()
    }
}

impl FromText for Decimal {
    const EXPECTED: &'static str = "a decimal number such as 1.50";

    fn from_text(text: &str) -> Option<Self> {
        Decimal::new(text)
    }
}

impl FromText for DateTime<Utc> {
    const EXPECTED: &'static str = "a time such as 2026-01-15T09:30:00Z";

    fn from_text(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        // A leap second is the end of the second before it.
        time.with_nanosecond(time.nanosecond().min(999_999_999))
    }
}
