//! A document as tables, for people.
//!
//! First what the document is, a name and a value a line. Then a table for each type of record, at most 1000 rows
//! together, so that memory stays the same for every document: in a longer document the types come again. A column that
//! is empty in every row is left out, one that has the same value in every row stands above the table, long values of
//! records are clipped; JSON and CSV have everything, in the order of the document.
//!
//! Records of devices have many fields with long names: a single one is shown as a name and a value a line, and names
//! that would make a table of several too wide are broken where a new word begins.

use std::io::{BufRead, BufWriter, Write};

use unicode_width::UnicodeWidthStr;

use super::{Reader, ShowError, csv::cell, lexical};
use crate::record::{
    DEVICE_DEFINITIONS, DOCUMENT_INFORMATION, Field, Kind, Presence, Record, ServiceDefinition, Value,
};

/// Rows whose widths are taken together.
const BLOCK: usize = 1000;

/// Columns that a value may take, and one of a device: a UUID fits.
const WIDEST: usize = 60;
const WIDEST_OF_DEVICE: usize = 36;

/// Columns of a usual terminal: what is wider is broken where that can be done.
const TERMINAL: usize = 80;

/// Streams: what was written before an error is not the whole document. Returns how many columns the widest table has.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, out: W) -> Result<usize, ShowError> {
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
    let mut tables = Tables::default();
    let mut has_information = false;
    while let Some(record) = reader.next_record()? {
        if *record.definition == DOCUMENT_INFORMATION {
            tables.finish(&mut out)?;
            information(&mut out, &record)?;
            has_information = true;
        } else {
            tables.push(&mut out, &record)?;
        }
    }
    tables.finish(&mut out)?;
    if let Some(end) = reader.end() {
        let end_time = lexical::plain(&Kind::DateTimeMsec, &end.end_time.into()).unwrap_or_default();
        // The document counts its information as a record, too.
        let counted = if has_information {
            " with the document's information"
        } else {
            ""
        };
        writeln!(out, "\n{} records{counted}, ended {end_time}", end.count)?;
    }
    out.flush()?;
    Ok(tables.widest)
}

/// A table for each type, in the order in which the types came.
#[derive(Default)]
struct Tables {
    tables: Vec<Table>,
    rows: usize,
    /// Columns of a terminal that the widest table needed.
    widest: usize,
}

/// Rows that wait until their widths are known, ready as they will be shown: however long the texts of the records
/// are, a row is short.
struct Table {
    definition: &'static ServiceDefinition,
    is_of_device: bool,
    rows: Vec<Vec<String>>,
}

impl Tables {
    fn push(&mut self, out: &mut impl Write, record: &Record) -> Result<(), ShowError> {
        if self.rows == BLOCK {
            self.finish(out)?;
        }
        let known = self
            .tables
            .iter()
            .position(|table| *table.definition == *record.definition);
        let index = known.unwrap_or_else(|| {
            self.tables.push(Table {
                definition: record.definition,
                is_of_device: DEVICE_DEFINITIONS.contains(&record.definition),
                rows: Vec::new(),
            });
            self.tables.len() - 1
        });
        let table = &mut self.tables[index];
        let widest = if table.is_of_device { WIDEST_OF_DEVICE } else { WIDEST };
        table.rows.push(row(record.definition.fields, &record.values, widest));
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self, out: &mut impl Write) -> Result<(), ShowError> {
        self.rows = 0;
        for table in self.tables.drain(..) {
            self.widest = self.widest.max(table.write(out)?);
        }
        Ok(())
    }
}

impl Table {
    /// Returns how wide its widest line is.
    fn write(&self, out: &mut impl Write) -> Result<usize, ShowError> {
        let fields = self.definition.fields;
        writeln!(out, "\n{}", self.definition.name)?;
        let mut columns = filled_columns(&self.rows);
        if self.is_of_device {
            columns.retain(|column| !self.says_twice(*column));
        }
        if let ([row], true) = (&self.rows[..], self.is_of_device) {
            let lines: Vec<_> = columns
                .iter()
                .map(|&column| (fields[column].name, row[column].clone()))
                .collect();
            name_and_value(out, &lines)?;
            return Ok(0);
        }
        let is_same = |column: usize| {
            // What a record of a device is made for.
            let is_its_count =
                self.is_of_device && fields[column].presence == Presence::Required && is_number(&fields[column].kind);
            let same = self.rows.iter().all(|row| row[column] == self.rows[0][column]);
            self.rows.len() > 1 && same && !is_its_count
        };
        let (same, changing): (Vec<usize>, Vec<usize>) = columns.into_iter().partition(|column| is_same(*column));
        self.common(out, &same)?;
        grid(out, fields, &changing, &self.rows, self.is_of_device)
    }

    /// The name of the source, where it is that of the device: it is configured so.
    fn says_twice(&self, column: usize) -> bool {
        let fields = self.definition.fields;
        let device = fields.iter().position(|field| field.name == "servCnt");
        fields[column].name == "sourceName"
            && device.is_some_and(|device| self.rows.iter().all(|row| row[column] == row[device]))
    }

    /// Writes what all rows have in common, in as many lines as a terminal needs.
    fn common(&self, out: &mut impl Write, columns: &[usize]) -> Result<(), ShowError> {
        let mut line = "in every row:".to_owned();
        for (index, column) in columns.iter().enumerate() {
            let comma = if index + 1 < columns.len() { "," } else { "" };
            let value = format!(
                " {} {}{comma}",
                self.definition.fields[*column].name, self.rows[0][*column]
            );
            if line.width() + value.width() > TERMINAL && index > 0 {
                writeln!(out, "{line}")?;
                line = " ".to_owned();
            }
            line.push_str(&value);
        }
        if !columns.is_empty() {
            writeln!(out, "{line}")?;
        }
        Ok(())
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
            grid(out, children, &filled_columns(&rows), &rows, false)?;
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

/// These columns of the rows below the names of their fields, each as wide as its widest value. Where a terminal is too
/// narrow, names are broken into several lines if that is wanted. Returns how wide it became.
fn grid(
    out: &mut impl Write,
    fields: &[Field],
    columns: &[usize],
    rows: &[Vec<String>],
    may_break: bool,
) -> Result<usize, ShowError> {
    let widest = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let whole = columns
        .iter()
        .map(|&column| widest(column).max(fields[column].name.width()) + 2);
    let breaks = may_break && whole.sum::<usize>() > TERMINAL + 2;
    let headings: Vec<Vec<String>> = columns
        .iter()
        .map(|&column| match breaks {
            true => broken(fields[column].name, widest(column)),
            false => vec![fields[column].name.to_owned()],
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .zip(&headings)
        .map(|(&column, heading)| {
            heading
                .iter()
                .map(|line| line.width())
                .max()
                .unwrap_or(0)
                .max(widest(column))
        })
        .collect();
    let mut line = |value: &dyn Fn(usize) -> String| -> Result<(), ShowError> {
        let mut text = String::new();
        for (position, (column, width)) in columns.iter().zip(&widths).enumerate() {
            if position > 0 {
                text.push_str("  ");
            }
            let value = value(position);
            let gap = " ".repeat(width.saturating_sub(value.width()));
            if is_number(&fields[*column].kind) {
                text.push_str(&gap);
                text.push_str(&value);
            } else {
                text.push_str(&value);
                text.push_str(&gap);
            }
        }
        writeln!(out, "{}", text.trim_end_matches(' ')).map_err(ShowError::Write)
    };
    let height = headings.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..height {
        // Names end on the same line, above their values.
        line(&|position| {
            let heading = &headings[position];
            let skipped = height - heading.len();
            index
                .checked_sub(skipped)
                .map_or(String::new(), |at| heading[at].clone())
        })?;
    }
    for row in rows {
        line(&|position| row[columns[position]].clone())?;
    }
    Ok(widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(2))
}

/// A name in several lines: `callsActive` may be broken before `Active`. A line is not wider than `width` if a word is
/// not.
fn broken(name: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before_is_lower = false;
    for c in name.chars() {
        if words.is_empty() || (before_is_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
        before_is_lower = c.is_ascii_lowercase();
    }
    let width = words.iter().map(String::len).max().unwrap_or(0).max(width).max(8);
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() <= width => line.push_str(&word),
            _ => lines.push(word),
        }
    }
    lines
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
