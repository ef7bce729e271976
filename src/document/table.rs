//! A document as tables, for people.
//!
//! First what the document is, a name and a value a line. Then a table for each run of records of one type, at most
//! [`BLOCK`] rows each, so that memory stays the same for every document. A column that is empty in every row is left
//! out, one that has the same value in every row stands above the table, long values of records are clipped; JSON and
//! CSV have everything.

use std::io::{BufRead, Write};

use unicode_width::UnicodeWidthStr;

use super::{Reader, ShowError, csv::cell, lexical};
use crate::record::{DOCUMENT_INFORMATION, Kind, Record, ServiceDefinition, Value};

/// Rows whose widths are taken together.
const BLOCK: usize = 1000;

/// Columns that a value may take.
const WIDEST: usize = 60;

/// Streams: what was written before an error is not the whole document.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, mut out: W) -> Result<(), ShowError> {
    let header = reader.header();
    let lines = [
        ("docId", header.doc_id.to_string()),
        (
            "creationTime",
            lexical::plain(&Kind::DateTimeMsec, &header.created.into()).unwrap_or_default(),
        ),
        ("recorder", safe(header.recorder.as_str())),
    ];
    name_and_value(&mut out, &lines)?;
    let mut block: Vec<Record> = Vec::new();
    while let Some(record) = reader.next_record()? {
        let is_full = block.len() == BLOCK || block.first().is_some_and(|first| first.definition != record.definition);
        if is_full {
            table(&mut out, &block)?;
            block.clear();
        }
        if *record.definition == DOCUMENT_INFORMATION {
            information(&mut out, &record)?;
        } else {
            block.push(record);
        }
    }
    table(&mut out, &block)?;
    if let Some(end) = reader.end() {
        let end_time = lexical::plain(&Kind::DateTimeMsec, &end.end_time.into()).unwrap_or_default();
        writeln!(out, "\n{} records, ended {end_time}", end.count)?;
    }
    Ok(())
}

/// The fields of the document information record that have a value, then a table of the sources.
fn information(out: &mut impl Write, record: &Record) -> Result<(), ShowError> {
    let fields = record.definition.fields;
    let mut lines = Vec::new();
    for (field, value) in fields.iter().zip(&record.values) {
        if !matches!(value, Value::Absent | Value::Structs(_)) {
            lines.push((field.name, safe(&cell(field, value))));
        }
    }
    name_and_value(out, &lines)?;
    for (field, value) in fields.iter().zip(&record.values) {
        if let (Kind::Structs(children), Value::Structs(items)) = (&field.kind, value) {
            let is_number: Vec<bool> = children.iter().map(|child| is_number(&child.kind)).collect();
            let names: Vec<&str> = children.iter().map(|child| child.name).collect();
            let rows = items.iter().map(|item| {
                children
                    .iter()
                    .zip(item)
                    .map(|(child, value)| cell(child, value))
                    .collect()
            });
            writeln!(out)?;
            let rows = safe_rows(rows.collect(), safe);
            grid(out, &names, &is_number, &rows, &filled_columns(&rows))?;
        }
    }
    Ok(())
}

fn name_and_value(out: &mut impl Write, lines: &[(&str, String)]) -> Result<(), ShowError> {
    let widest = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in lines {
        writeln!(out, "{name:widest$}  {value}")?;
    }
    Ok(())
}

fn table(out: &mut impl Write, records: &[Record]) -> Result<(), ShowError> {
    let Some(first) = records.first() else { return Ok(()) };
    let definition: &ServiceDefinition = first.definition;
    let names: Vec<&str> = definition.fields.iter().map(|field| field.name).collect();
    let is_number: Vec<bool> = definition.fields.iter().map(|field| is_number(&field.kind)).collect();
    let rows = records
        .iter()
        .map(|record| {
            let values = definition.fields.iter().zip(&record.values);
            values.map(|(field, value)| cell(field, value)).collect()
        })
        .collect();
    let rows = safe_rows(rows, |value| clip_to_width(&safe(value), WIDEST));
    let (constant, columns): (Vec<usize>, Vec<usize>) = filled_columns(&rows)
        .into_iter()
        .partition(|column| is_constant(&rows, *column));
    writeln!(out, "\n{}", definition.name)?;
    if !constant.is_empty() {
        let same: Vec<String> = constant
            .iter()
            .map(|column| format!("{} {}", names[*column], rows[0][*column]))
            .collect();
        writeln!(out, "in every row: {}", same.join(", "))?;
    }
    grid(out, &names, &is_number, &rows, &columns)
}

fn safe_rows(rows: Vec<Vec<String>>, safe: impl Fn(&str) -> String) -> Vec<Vec<String>> {
    rows.into_iter()
        .map(|row| row.iter().map(|value| safe(value)).collect())
        .collect()
}

/// Columns that have a value in any row.
fn filled_columns(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.first().map_or(0, Vec::len);
    (0..count)
        .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
        .collect()
}

/// Whether several rows have the same value there.
fn is_constant(rows: &[Vec<String>], column: usize) -> bool {
    rows.len() > 1 && rows.iter().all(|row| row[column] == rows[0][column])
}

/// These columns of the rows below their names, each as wide as its widest value.
fn grid(
    out: &mut impl Write,
    names: &[&str],
    is_number: &[bool],
    rows: &[Vec<String>],
    columns: &[usize],
) -> Result<(), ShowError> {
    let columns: Vec<(usize, usize)> = columns
        .iter()
        .map(|&index| {
            let widest = rows.iter().map(|row| row[index].width()).max().unwrap_or(0);
            (index, widest.max(names[index].width()))
        })
        .collect();
    let mut line = |value: &dyn Fn(usize) -> String| -> Result<(), ShowError> {
        let mut text = String::new();
        for (position, (index, width)) in columns.iter().enumerate() {
            if position > 0 {
                text.push_str("  ");
            }
            let value = value(*index);
            let gap = " ".repeat(width.saturating_sub(value.width()));
            if is_number[*index] {
                text.push_str(&gap);
                text.push_str(&value);
            } else {
                text.push_str(&value);
                text.push_str(&gap);
            }
        }
        writeln!(out, "{}", text.trim_end_matches(' ')).map_err(ShowError::Write)
    };
    line(&|index| names[index].to_owned())?;
    for row in rows {
        line(&|index| row[index].clone())?;
    }
    Ok(())
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::UnsignedInt | Kind::UnsignedLong)
}

/// Makes a text harmless for a terminal: control characters and those that turn the direction of writing are shown
/// as escapes.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns =
            matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// At most `columns` wide; what is left out is shown by an ellipsis.
pub(super) fn clip_to_width(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        let mut longer = out.clone();
        longer.push(c);
        if longer.width() + 1 > columns {
            break;
        }
        out = longer;
    }
    out.push('…');
    out
}
