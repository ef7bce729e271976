//! A document as comma-separated values (RFC 4180, line ends as on Unix).
//!
//! All records, the document information record included. The first column is `recordType`; whenever the type is
//! another than in the row before, a row with the names of the columns comes first, so a document with several types
//! has rows of several lengths. What has no value is an empty cell; the items of a list are separated by a blank;
//! structures stand as JSON. Data are never changed, so a cell may begin with `=`, `+`, `-` or `@`: whoever opens the
//! file with a spreadsheet must import such columns as text.

use std::io::{BufRead, Write};

use super::{Reader, ShowError, json, lexical};
use crate::record::{Field, Kind, ServiceDefinition, Value};

/// Streams: what was written before an error is not the whole document.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, out: W) -> Result<(), ShowError> {
    let mut rows = csv::WriterBuilder::new().flexible(true).from_writer(out);
    let mut columns_of: Option<&'static ServiceDefinition> = None;
    while let Some(record) = reader.next_record()? {
        let definition = record.definition;
        if columns_of != Some(definition) {
            rows.write_field("recordType").map_err(io)?;
            rows.write_record(definition.fields.iter().map(|field| field.name))
                .map_err(io)?;
            columns_of = Some(definition);
        }
        rows.write_field(definition.name).map_err(io)?;
        for (field, value) in definition.fields.iter().zip(&record.values) {
            rows.write_field(cell(field, value)).map_err(io)?;
        }
        rows.write_record(None::<&[u8]>).map_err(io)?;
    }
    rows.flush()?;
    Ok(())
}

/// The text of a cell, here and in tables.
pub(super) fn cell(field: &Field, value: &Value) -> String {
    match (&field.kind, value) {
        (Kind::Structs(children), Value::Structs(items)) => json::items(children, items),
        // The reader gives only values that fit their field.
        (kind, value) => lexical::plain(kind, value).unwrap_or_default(),
    }
}

fn io(error: csv::Error) -> ShowError {
    ShowError::Write(error.into())
}
