//! A document as JSON.
//!
//! One object: `{"docId":…,"creationTime":…,"recorder":…,"records":[…],"end":{"count":…,"endTime":…}}`, one record a
//! line. A record is an object: `recordType`, then its fields by name. Numbers are JSON numbers (counters have 64
//! bits: a program that reads numbers as floating point loses digits above 2^53), codes their tokens, lists arrays;
//! what has no value is left out. A decimal of at most 15 significant digits is a number of the same value, without
//! its trailing zeros (`1.000` is `1.0`); one of more digits is a string, because floating point would change it.

use std::io::{BufRead, BufWriter, Write};

use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Reader, ShowError, lexical};
use crate::record::{Field, Kind, Record, Value};

/// Streams: what was written before an error is no valid JSON.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, out: W) -> Result<(), ShowError> {
    let mut out = BufWriter::new(out);
    let header = reader.header();
    let created = lexical::plain(&Kind::DateTimeMsec, &header.created.into()).unwrap_or_default();
    write!(
        out,
        "{{\"docId\":\"{}\",\"creationTime\":\"{created}\",\"recorder\":",
        header.doc_id
    )?;
    string(&mut out, header.recorder.as_str())?;
    out.write_all(b",\"records\":[")?;
    while let Some(record) = reader.next_record()? {
        out.write_all(if reader.records() == 1 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, &Element::of(&record)).map_err(std::io::Error::from)?;
    }
    out.write_all(b"\n],\"end\":{")?;
    if let Some(end) = reader.end() {
        let end_time = lexical::plain(&Kind::DateTimeMsec, &end.end_time.into()).unwrap_or_default();
        write!(out, "\"count\":{},\"endTime\":\"{end_time}\"", end.count)?;
    }
    out.write_all(b"}}\n")?;
    out.flush()?;
    Ok(())
}

fn string(out: &mut impl Write, text: &str) -> Result<(), ShowError> {
    serde_json::to_writer(out, text).map_err(|error| ShowError::Write(error.into()))
}

/// The items of a field of structures, as one line of JSON.
pub(super) fn items(children: &'static [Field], items: &[Vec<Value>]) -> String {
    serde_json::to_string(&Items(children, items)).unwrap_or_default()
}

/// An element with child elements: a record, or an item of one of its fields.
struct Element<'a> {
    name: Option<&'static str>,
    fields: &'static [Field],
    values: &'a [Value],
}

impl<'a> Element<'a> {
    fn of(record: &'a Record) -> Self {
        Element {
            name: Some(record.definition.name),
            fields: record.definition.fields,
            values: &record.values,
        }
    }
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(name) = self.name {
            map.serialize_entry("recordType", name)?;
        }
        for (field, value) in self.fields.iter().zip(self.values) {
            if !matches!(value, Value::Absent) {
                map.serialize_entry(field.name, &Content(&field.kind, value))?;
            }
        }
        map.end()
    }
}

struct Items<'a>(&'static [Field], &'a [Vec<Value>]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.1.len()))?;
        for values in self.1 {
            sequence.serialize_element(&Element {
                name: None,
                fields: self.0,
                values,
            })?;
        }
        sequence.end()
    }
}

struct Content<'a>(&'a Kind, &'a Value);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.1) {
            (_, Value::Boolean(yes)) => serializer.serialize_bool(*yes),
            (_, Value::Int(number)) => serializer.serialize_i32(*number),
            (_, Value::UnsignedInt(number)) => serializer.serialize_u32(*number),
            (_, Value::UnsignedLong(number)) => serializer.serialize_u64(*number),
            (_, Value::Decimal(decimal)) => match decimal.to_f64() {
                Some(number) => serializer.serialize_f64(number),
                None => serializer.serialize_str(decimal.as_str()),
            },
            (_, Value::Text(text)) => serializer.serialize_str(text.as_str()),
            (Kind::Structs(children), Value::Structs(items)) => Items(children, items).serialize(serializer),
            (Kind::List(kind), Value::List(items)) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(&Content(kind, item))?;
                }
                sequence.end()
            }
            (kind, value) => {
                let text = lexical::plain(kind, value).map_err(S::Error::custom)?;
                serializer.serialize_str(&text)
            }
        }
    }
}
