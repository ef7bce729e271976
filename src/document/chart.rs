//! The records with the most octets, as bars.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};

use bytesize::ByteSize;
use unicode_width::UnicodeWidthStr;

use super::{Reader, ShowError, table};
use crate::record::{DOCSIS, INTERFACE_USAGE, Record, Value};

/// Bars at most.
const BARS: usize = 20;

/// Draws a bar for each of the records with the most octets: interfaces with what they received and sent, service
/// flows with what they passed. `width` is that of the terminal in columns; below 40 it counts as 40.
///
/// Counters are absolute: a bar is the usage since the interface or the flow was made, not since the last document.
pub fn write<R: BufRead, W: Write>(mut reader: Reader<R>, mut out: W, width: usize) -> Result<(), ShowError> {
    // Smallest first. The position in the document keeps records with the same octets apart and in order.
    let mut most: BTreeSet<(u64, std::cmp::Reverse<u64>, String)> = BTreeSet::new();
    while let Some(record) = reader.next_record()? {
        if let Some((octets, label)) = usage(&record) {
            most.insert((octets, std::cmp::Reverse(reader.records()), label));
            if most.len() > BARS {
                most.pop_first();
            }
        }
    }
    let Some((greatest, ..)) = most.last() else {
        writeln!(out, "no record has octets")?;
        return Ok(());
    };
    let greatest = *greatest;
    let width = width.max(40);
    let rows: Vec<(String, String, u64)> = most
        .iter()
        .rev()
        .map(|(octets, _, label)| {
            let label = table::clip_to_width(&table::safe(label), width / 3);
            (label, ByteSize(*octets).display().si().to_string(), *octets)
        })
        .collect();
    let label_width = rows.iter().map(|row| row.0.width()).max().unwrap_or(0);
    let value_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let room = width.saturating_sub(label_width + value_width + 4);
    for (label, value, octets) in rows {
        let gap = " ".repeat(label_width - label.width());
        let line = format!("{label}{gap}  {value:>value_width$}  {}", bar(octets, greatest, room));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Octets of a record and whose they are. [`None`] for records that have none.
fn usage(record: &Record) -> Option<(u64, String)> {
    let value = |name| record.definition.field(name).map(|(index, _)| &record.values[index]);
    let text = |name| match value(name) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let number = |name| match value(name) {
        Some(Value::UnsignedLong(number)) => *number,
        Some(Value::UnsignedInt(number)) => u64::from(*number),
        _ => 0,
    };
    if *record.definition == INTERFACE_USAGE {
        let octets = number("inOctets").saturating_add(number("outOctets"));
        return Some((octets, format!("{} {}", text("hostName"), text("ifName"))));
    }
    if *record.definition == DOCSIS {
        let (_, field) = record.definition.field("CMmacAddress")?;
        let modem = super::csv::cell(field, value("CMmacAddress")?);
        return Some((
            number("serviceOctetsPassed"),
            format!("{modem} {}", number("serviceIdentifier")),
        ));
    }
    None
}

/// A bar in eighths of a column.
fn bar(octets: u64, greatest: u64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = u128::from(greatest.max(1));
    // At most 8 * room, which is a usize.
    let eighths = (u128::from(octets) * (8 * room as u128) / full) as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS[eighths % 8]);
    bar
}
