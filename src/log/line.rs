//! One thing that is logged, as one line: whatever a device calls its spaces, a line stays a line, and what was written can
//! be read back.
//!
//! Text: `TIME LEVEL key=value key="a value"`, blanks between. A value is in quotes when it is empty or has a blank, `=`,
//! `"`, `\` or a character that ends a line or is not shown; within quotes `"` and `\` stand behind a `\`, a line feed is
//! `\n`, a tab `\t`, a carriage return `\r`, and what else is not shown `\u{…}` with its number in hexadecimal digits.
//! A field without a value is left out.
//!
//! JSON: an object with `time`, `level`, `document` and what `billdrop show --format json` has for the record.

use std::io;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    document::{DocumentText, record_as_json},
    record::{DEVICE_DEFINITIONS, Record, ServiceDefinition, Value},
    spill::{PIECE, Spill},
};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
}

impl Format {
    /// A line that is no record.
    pub(super) fn message(self, at: DateTime<Utc>, level: &str, message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Format::Text => {
                begin_text(&mut out, at, level);
                pair(&mut out, "message", message);
            }
            Format::Json => {
                begin_json(&mut out, at, level);
                json_pair(&mut out, "message", message);
                out.push(b'}');
            }
        }
        out.push(b'\n');
        out
    }
}

/// The lines of the records of a source, waiting until it is known that they are in a document.
#[derive(Debug)]
pub struct Lines {
    format: Format,
    at: DateTime<Utc>,
    document: String,
    text: DocumentText,
    /// The definition of the record before, and whether it is that of a device.
    last: Option<(&'static ServiceDefinition, bool)>,
    /// What could not be kept: the log will not have these lines.
    waiting: io::Result<Spill>,
}

impl Lines {
    /// `document` is the name of the document that the records will be in, `spill` the directory for many lines.
    pub fn new(format: Format, at: DateTime<Utc>, document: &str, spill: &Path) -> Lines {
        Lines {
            format,
            at,
            document: document.to_owned(),
            text: DocumentText::default(),
            last: None,
            waiting: Ok(Spill::new(spill, PIECE)),
        }
    }

    /// Takes a record; one that is not of a device is passed over.
    pub fn push(&mut self, record: &Record) {
        let definition = record.definition;
        let is_of_device = match self.last {
            Some((last, is_of_device)) if std::ptr::eq(last, definition) => is_of_device,
            _ => {
                let is_of_device = DEVICE_DEFINITIONS.contains(&definition);
                self.last = Some((definition, is_of_device));
                is_of_device
            }
        };
        let Ok(waiting) = &mut self.waiting else { return };
        if !is_of_device {
            return;
        }
        let out = waiting.buffer();
        match self.format {
            Format::Text => {
                begin_text(out, self.at, "INFO");
                pair(out, "document", &self.document);
                pair(out, "type", definition.name);
                for (field, value) in definition.fields.iter().zip(&record.values) {
                    if !matches!(value, Value::Absent) {
                        pair(out, field.name, self.text.of(&field.kind, value));
                    }
                }
            }
            Format::Json => {
                begin_json(out, self.at, "INFO");
                json_pair(out, "document", &self.document);
                out.push(b',');
                let record = record_as_json(record);
                out.extend_from_slice(record.strip_prefix('{').unwrap_or("}").as_bytes());
            }
        }
        out.push(b'\n');
        if let Err(e) = waiting.settle() {
            self.waiting = Err(e);
        }
    }

    /// Everything that was taken, or why it could not be kept.
    pub fn finish(self) -> io::Result<Spill> {
        self.waiting
    }
}

/// Puts lines together again that come in pieces.
#[derive(Default)]
pub(super) struct Whole {
    begun: Vec<u8>,
}

impl Whole {
    pub(super) fn each(&mut self, piece: &[u8], mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        for part in piece.split_inclusive(|octet| *octet == b'\n') {
            if self.begun.is_empty() && part.ends_with(b"\n") {
                take(part)?;
                continue;
            }
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                take(&self.begun)?;
                self.begun.clear();
            }
        }
        Ok(())
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn begin_text(out: &mut Vec<u8>, at: DateTime<Utc>, level: &str) {
    out.extend_from_slice(time(at).as_bytes());
    out.push(b' ');
    out.extend_from_slice(level.as_bytes());
}

fn begin_json(out: &mut Vec<u8>, at: DateTime<Utc>, level: &str) {
    out.extend_from_slice(format!("{{\"time\":\"{}\",\"level\":\"{level}\",", time(at)).as_bytes());
}

fn pair(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    if !value.is_empty() && !value.chars().any(must_be_quoted) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.push(b'"');
    for c in value.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if is_not_shown(c) => out.extend_from_slice(format!("\\u{{{:x}}}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn json_pair(out: &mut Vec<u8>, key: &str, value: &str) {
    let value = serde_json::Value::from(value);
    out.extend_from_slice(format!("\"{key}\":{value}").as_bytes());
}

fn must_be_quoted(c: char) -> bool {
    matches!(c, ' ' | '=' | '"' | '\\') || is_not_shown(c)
}

/// Control characters, blanks of other scripts, ends of lines, and characters that turn the direction of writing.
fn is_not_shown(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}
