//! A record as octets of a document. The inner loop of every capture: all tags are made once for each definition.

use std::{borrow::Cow, io};

use quick_xml::escape::partial_escape;

use super::lexical::{self, Misfit, Times};
use crate::record::{DOCSIS, Field, Kind, Presence, Record, ServiceDefinition, Value};

/// Turns records into elements, one element a line.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    layouts: Vec<Layout>,
    times: Times,
}

/// The ready-made octets of a definition.
#[derive(Debug)]
struct Layout {
    definition: &'static ServiceDefinition,
    open: String,
    fields: Vec<Tags>,
}

/// The ready-made octets of a field.
#[derive(Debug)]
struct Tags {
    open: String,
    close: String,
    empty: String,
    children: Vec<Tags>,
}

/// Why a record cannot be written, and because of which field.
struct Refusal {
    field: Cow<'static, str>,
    reason: Cow<'static, str>,
}

impl Encoder {
    /// Appends `record` to `out`, or leaves `out` as it was.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the names of definition and field when a value does not fit its field or a
    /// required one is missing.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, record: &Record) -> io::Result<()> {
        let before = out.len();
        let layout = layout_of(&mut self.layouts, record.definition);
        out.extend_from_slice(layout.open.as_bytes());
        let fields = record.definition.fields;
        match append_fields(out, fields, &layout.fields, &record.values, &mut self.times) {
            Ok(()) => {
                out.extend_from_slice(b"</IPDR>\n");
                Ok(())
            }
            Err(Refusal { field, reason }) => {
                out.truncate(before);
                let place = if field.is_empty() { "" } else { ", field " };
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "a record {}{place}{field} cannot be written: {reason}",
                        record.definition.name
                    ),
                ))
            }
        }
    }
}

/// There are few definitions, and the last one used stands first.
fn layout_of<'a>(layouts: &'a mut Vec<Layout>, definition: &'static ServiceDefinition) -> &'a Layout {
    match layouts
        .iter()
        .position(|layout| std::ptr::eq(layout.definition, definition))
    {
        Some(index) => layouts.swap(0, index),
        None => {
            layouts.push(Layout {
                definition,
                open: format!("<IPDR xsi:type=\"{}\">\n", definition.name),
                fields: definition
                    .fields
                    .iter()
                    .map(|field| Tags::new(field, definition))
                    .collect(),
            });
            let last = layouts.len() - 1;
            layouts.swap(0, last);
        }
    }
    &layouts[0]
}

impl Tags {
    fn new(field: &Field, definition: &ServiceDefinition) -> Tags {
        let (line_end, children) = match field.kind {
            Kind::Structs(children) => ("\n", children),
            _ => ("", &[][..]),
        };
        // What known collectors of a CMTS's records take for the beginning of the next element, and lose that one.
        let is_read_by_halves = std::ptr::eq(definition, &DOCSIS);
        Tags {
            open: format!("<{}>{line_end}", field.name),
            close: format!("</{}>\n", field.name),
            empty: match is_read_by_halves {
                true => format!("<{0}></{0}>\n", field.name),
                false => format!("<{}/>\n", field.name),
            },
            children: children.iter().map(|field| Tags::new(field, definition)).collect(),
        }
    }
}

fn append_fields(
    out: &mut Vec<u8>,
    fields: &'static [Field],
    tags: &[Tags],
    values: &[Value],
    times: &mut Times,
) -> Result<(), Refusal> {
    if values.len() != fields.len() {
        return Err(Refusal {
            field: "".into(),
            reason: format!("it has {} values for {} fields", values.len(), fields.len()).into(),
        });
    }
    for ((field, tags), value) in fields.iter().zip(tags).zip(values) {
        if let (Kind::Structs(children), Value::Structs(items)) = (&field.kind, value) {
            append_items(out, field, children, tags, items, times)?;
            continue;
        }
        if matches!(value, Value::Absent) {
            match field.presence {
                Presence::Optional => {}
                Presence::EmptyWhenAbsent => out.extend_from_slice(tags.empty.as_bytes()),
                Presence::Required => return Err(refused(field, "a value is required")),
            }
            continue;
        }
        out.extend_from_slice(tags.open.as_bytes());
        let begin = out.len();
        lexical::append(out, &field.kind, value, times, escape).map_err(|misfit| misfit.of(field))?;
        if out.len() == begin && field.presence == Presence::EmptyWhenAbsent {
            out.truncate(begin - tags.open.len());
            out.extend_from_slice(tags.empty.as_bytes());
        } else {
            out.extend_from_slice(tags.close.as_bytes());
        }
    }
    Ok(())
}

fn append_items(
    out: &mut Vec<u8>,
    field: &'static Field,
    children: &'static [Field],
    tags: &Tags,
    items: &[Vec<Value>],
    times: &mut Times,
) -> Result<(), Refusal> {
    if items.is_empty() && field.presence == Presence::Required {
        return Err(refused(field, "a value is required"));
    }
    for item in items {
        out.extend_from_slice(tags.open.as_bytes());
        append_fields(out, children, &tags.children, item, times).map_err(|inner| Refusal {
            field: format!("{}.{}", field.name, inner.field).into(),
            reason: inner.reason,
        })?;
        out.extend_from_slice(tags.close.as_bytes());
    }
    Ok(())
}

/// Escapes as little as a parser needs to give the text back unchanged: `<`, `>`, `&` and the carriage return.
fn escape(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(partial_escape(text).as_bytes());
}

fn refused(field: &Field, reason: &'static str) -> Refusal {
    Refusal {
        field: field.name.into(),
        reason: reason.into(),
    }
}

impl Misfit {
    #[cold]
    fn of(self, field: &Field) -> Refusal {
        Refusal {
            field: field.name.into(),
            reason: self.to_string().into(),
        }
    }
}
