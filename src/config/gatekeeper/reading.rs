//! What is known while an ini is read: the file, what was found wrong, and what should be told.

use std::net::IpAddr;

use super::{
    Leniency, Said,
    ini::{Ini, Key},
    known::{self, Kind},
    values,
};

pub struct Reading<'a> {
    pub ini: &'a Ini,
    leniency: Leniency,
    /// Address of a name.
    pub look_up: fn(&str) -> Option<IpAddr>,
    pub problems: Vec<Said>,
    pub notices: Vec<Said>,
}

/// Most problems, and most notices, that are kept.
const MOST: usize = 500;

/// A text of the file and its first line; 0 where it is a default.
pub struct Value {
    pub text: String,
    pub line: usize,
}

impl<'a> Reading<'a> {
    pub fn new(ini: &'a Ini, leniency: Leniency, look_up: fn(&str) -> Option<IpAddr>) -> Self {
        Reading {
            ini,
            leniency,
            look_up,
            problems: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub fn is_lenient(&self) -> bool {
        self.leniency == Leniency::Lenient
    }

    /// Nobody reads more than that. Whatever looks through a whole file for what is wrong stops here.
    pub fn is_full(&self) -> bool {
        self.problems.len() >= MOST || self.notices.len() >= MOST
    }

    /// Cannot be worked with, however lenient.
    pub fn wrong(&mut self, line: usize, what: impl Into<String>) {
        if self.problems.len() < MOST {
            self.problems.push(Said::new(line, what));
        }
    }

    /// Works at the gatekeeper, but hardly as it was meant. `does` is what the gatekeeper does with it.
    pub fn refuse(&mut self, line: usize, what: &str, does: &str) {
        match self.leniency {
            Leniency::Strict => self.wrong(line, format!("{what}; the gatekeeper {does}")),
            Leniency::Lenient => self.notice(line, format!("{what}; as the gatekeeper does, billdrop {does}")),
        }
    }

    pub fn notice(&mut self, line: usize, what: impl Into<String>) {
        if self.notices.len() < MOST {
            self.notices.push(Said::new(line, what));
        }
    }

    fn find(&self, section: &str, key: &str) -> Option<&'a Key> {
        self.ini.key(section, key)
    }

    /// Line of a key; that of its section where it is not there, 0 where neither is.
    pub fn line(&self, section: &str, key: &str) -> usize {
        let found = self.find(section, key).map(Key::line);
        found
            .or_else(|| self.ini.section(section).map(|section| section.line))
            .unwrap_or(0)
    }

    /// The value of a key, or its default.
    pub fn value(&mut self, section: &str, key: &str) -> Value {
        let default = known::find(section, key);
        debug_assert!(default.is_some(), "[{section}] {key} is not in the list");
        match self.find(section, key) {
            Some(found) => Value {
                text: self.decoded(section, found),
                line: found.line(),
            },
            None => Value {
                text: default.map_or("", known::Known::value).to_owned(),
                line: 0,
            },
        }
    }

    pub fn text(&mut self, section: &str, key: &str) -> String {
        self.value(section, key).text
    }

    /// Nothing where the key is missing or empty.
    pub fn optional(&mut self, section: &str, key: &str) -> Option<String> {
        Some(self.text(section, key)).filter(|text| !text.is_empty())
    }

    /// A boolean of either kind, as the list says.
    pub fn boolean(&mut self, section: &str, key: &str) -> bool {
        let value = self.value(section, key);
        let read = match known::find(section, key).map(|known| known.kind) {
            Some(Kind::Truth) => values::truth(&value.text),
            _ => values::flag(&value.text),
        };
        if value.line > 0 && values::meant(&value.text) != Some(read) {
            let word = if read { "true" } else { "false" };
            let known = if read { "0" } else { "1" };
            self.notice(
                value.line,
                format!(
                    "[{section}] {key}: the gatekeeper reads `{}` as {word}, and so does billdrop; write {} for {word}, {known} for \
                     the contrary",
                    shortened(&value.text),
                    u8::from(read),
                ),
            );
        }
        read
    }

    /// A number as the gatekeeper reads it, at least `least`.
    pub fn number(&mut self, section: &str, key: &str, least: i64) -> i64 {
        let value = self.value(section, key);
        let number = values::integer(&value.text);
        if value.line > 0 && !values::is_number(&value.text) {
            self.notice(
                value.line,
                format!(
                    "[{section}] {key}: `{}` is not a number; the gatekeeper reads it as {number}",
                    shortened(&value.text)
                ),
            );
        }
        if number < least {
            self.notice(
                value.line,
                format!("[{section}] {key}: {number} is less than {least}; billdrop takes {least}"),
            );
        }
        number.max(least)
    }

    /// The octets of a value as text. What is not UTF-8 cannot be given on as it stands, so it is refused.
    pub fn decoded(&mut self, section: &str, key: &Key) -> String {
        let text = match std::str::from_utf8(&key.value) {
            Ok(text) if text.contains('\0') => {
                self.wrong(
                    key.line(),
                    format!("[{section}] {}: has a NUL in it; remove it", key.name),
                );
                String::new()
            }
            Ok(text) => text.to_owned(),
            Err(_) => {
                let message = format!("[{section}] {}: is not UTF-8; save the file as UTF-8", key.name);
                self.wrong(key.line(), message);
                String::new()
            }
        };
        if let [first, .., last] = key.lines[..]
            && section != known::CHAIN
        {
            self.notice(
                last,
                format!(
                    "[{section}] {} stands in line {first} already; the gatekeeper joins the values with a line feed, and so \
                     does billdrop",
                    key.name
                ),
            );
        }
        text
    }
}

/// A value in a message: its begin, in one line.
pub fn shortened(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

/// The known name that was probably meant: at most a third of its letters are wrong.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown: String = unknown.chars().take(80).collect::<String>().to_ascii_lowercase();
    known
        .into_iter()
        .filter(|known| known.len().abs_diff(unknown.len()) * 3 <= known.len().max(3))
        .map(|known| {
            let distance = strsim::damerau_levenshtein(&unknown, &known.to_ascii_lowercase());
            (distance, known)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance * 3 <= known.len().max(3))
        .map(|(_, known)| known)
}

/// ` (did you mean X?)`, or nothing.
pub fn hint<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map_or(String::new(), |known| format!(" (did you mean {known}?)"))
}
