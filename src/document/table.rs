//! A document as tables, for people.
//!
//! First what the document is, a name and a value a line. Then a table for each run of records of one type, at most
//! 1000 rows each, so that memory stays the same for every document. A column that is empty in every row is left
//! out, one that has the same value in every row stands above the table, long values of records are clipped; JSON and
//! CSV have everything.

use std::io::{BufRead, BufWriter, Write};

use unicode_width::UnicodeWidthStr;

use super::{Reader, ShowError, csv::cell, lexical};
use crate::record::{DOCUMENT_INFORMATION, Field, Kind, Record, ServiceDefinition, Value};

/// Rows whose widths are taken together.
const BLOCK: usize = 1000;

/// Columns that a value may take.
const WIDEST: usize = 60;

/// Streams: what was written before an error is not the whole document.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, out: W) -> Result<(), ShowError> {
    let mut out = BufWriter::new(out);
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
    let mut block = Block::default();
    while let Some(record) = reader.next_record()? {
        if *record.definition == DOCUMENT_INFORMATION {
            block.finish(&mut out)?;
            information(&mut out, &record)?;
            continue;
        }
        if block.rows.len() == BLOCK || block.definition != Some(record.definition) {
            block.finish(&mut out)?;
            block.definition = Some(record.definition);
        }
        block.rows.push(row(record.definition.fields, &record.values, WIDEST));
    }
    block.finish(&mut out)?;
    if let Some(end) = reader.end() {
        let end_time = lexical::plain(&Kind::DateTimeMsec, &end.end_time.into()).unwrap_or_default();
        writeln!(out, "\n{} records, ended {end_time}", end.count)?;
    }
    out.flush()?;
    Ok(())
}

/// Rows that wait until their widths are known, ready as they will be shown: however long the texts of the records
/// are, a row is short.
#[derive(Default)]
struct Block {
    definition: Option<&'static ServiceDefinition>,
    rows: Vec<Vec<String>>,
}

impl Block {
    fn finish(&mut self, out: &mut impl Write) -> Result<(), ShowError> {
        if let Some(definition) = self.definition.take() {
            writeln!(out, "\n{}", definition.name)?;
            let columns = self.changing_columns(out, definition.fields)?;
            grid(out, definition.fields, &columns, &self.rows)?;
        }
        self.rows.clear();
        Ok(())
    }

    /// Writes what several rows have in common in one line, and returns the other columns that have a value.
    fn changing_columns(&self, out: &mut impl Write, fields: &[Field]) -> Result<Vec<usize>, ShowError> {
        let is_same =
            |column: usize| self.rows.len() > 1 && self.rows.iter().all(|row| row[column] == self.rows[0][column]);
        let (same, changing): (Vec<usize>, Vec<usize>) = filled_columns(&self.rows)
            .into_iter()
            .partition(|column| is_same(*column));
        if !same.is_empty() {
            let values = same
                .iter()
                .map(|column| format!("{} {}", fields[*column].name, self.rows[0][*column]));
            writeln!(out, "in every row: {}", values.collect::<Vec<_>>().join(", "))?;
        }
        Ok(changing)
    }
}

/// Columns that have a value in any row.
fn filled_columns(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.first().map_or(0, Vec::len);
    (0..count)
        .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
        .collect()
}

fn row(fields: &[Field], values: &[Value], widest: usize) -> Vec<String> {
    let cells = fields.iter().zip(values);
    cells
        .map(|(field, value)| clip_to_width(&safe(&cell(field, value)), widest))
        .collect()
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
            // Reasons are for auditors: whole, as long as their definition lets them be.
            let rows: Vec<_> = items.iter().map(|item| row(children, item, 1024)).collect();
            writeln!(out)?;
            grid(out, children, &filled_columns(&rows), &rows)?;
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

/// These columns of the rows below the names of their fields, each as wide as its widest value.
fn grid(out: &mut impl Write, fields: &[Field], columns: &[usize], rows: &[Vec<String>]) -> Result<(), ShowError> {
    let columns: Vec<(usize, usize)> = columns
        .iter()
        .map(|&index| {
            let widest = rows.iter().map(|row| row[index].width()).max().unwrap_or(0);
            (index, widest.max(fields[index].name.width()))
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
            if is_number(&fields[*index].kind) {
                text.push_str(&gap);
                text.push_str(&value);
            } else {
                text.push_str(&value);
                text.push_str(&gap);
            }
        }
        writeln!(out, "{}", text.trim_end_matches(' ')).map_err(ShowError::Write)
    };
    line(&|index| fields[index].name.to_owned())?;
    for row in rows {
        line(&|index| row[index].clone())?;
    }
    Ok(())
}

fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::UnsignedInt | Kind::UnsignedLong | Kind::Decimal)
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

/// At most `columns` wide; what is left out is shown by an ellipsis. Many characters take no column at all, so their
/// number is limited too.
pub(super) fn clip_to_width(text: &str, columns: usize) -> String {
    let many = 4 * columns;
    if text.len() <= many && text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        let before = out.len();
        out.push(c);
        if index == many || out.width() + 1 > columns {
            out.truncate(before);
            out.push('…');
            return out;
        }
    }
    out
}
