//! Which columns the list has.
//!
//! The names of unknown columns are not shown: a list without a header has a password among them.

use super::{cells::Cell, problems::Problems};

/// Every column that there is. The first seven are those that each list has.
pub const COLUMNS: [&str; 15] = [
    "contract",
    "target",
    "local_or_remote",
    "ip_address",
    "axlusr",
    "axlpwd",
    "serv_cnt",
    "port",
    "tls_ca",
    "tls_fingerprint",
    "tls_name",
    "tls_insecure",
    "timeout",
    "proxy",
    "axlpwd_from",
];

const USUAL: usize = 7;

/// More than these in a header are not told one by one.
const MOST_COLUMNS: usize = 64;

/// The columns in the order of the file, each as it stands in [`COLUMNS`].
pub struct Header(pub Vec<&'static str>);

impl Header {
    /// `None` when the rows cannot be understood without it.
    pub fn read(cells: &[Cell], problems: &mut Problems) -> Option<Self> {
        let line = cells.first().map_or(0, |cell| cell.line);
        if cells.len() > MOST_COLUMNS {
            problems.add(
                line,
                format!("has {} columns; there are {}", cells.len(), COLUMNS.len()),
            );
            return None;
        }
        let known: Vec<Option<&'static str>> = cells.iter().map(|cell| column(&cell.text)).collect();
        if known.iter().all(Option::is_none) {
            problems.add(line, no_header(cells));
            return None;
        }
        let before = problems.count();
        for (index, cell) in cells.iter().enumerate() {
            let number = index + 1;
            match known[index] {
                None if cell.text.is_empty() => problems.add(cell.line, format!("column {number} has no name")),
                None => problems.add(cell.line, unknown(number, &cell.text)),
                Some(name) => {
                    if let Some(first) = known[..index].iter().position(|earlier| *earlier == Some(name)) {
                        let first = first + 1;
                        problems.add(
                            cell.line,
                            format!("column {name} stands twice, as column {first} and {number}"),
                        );
                    }
                }
            }
        }
        let has = |name| known.contains(&Some(name));
        for name in &COLUMNS[..USUAL] {
            let stands_elsewhere = *name == "axlpwd" && has("axlpwd_from");
            if !has(name) && !stands_elsewhere {
                problems.add(line, format!("column {name} is missing"));
            }
        }
        match problems.count() > before {
            true => None,
            false => Some(Header(known.into_iter().flatten().collect())),
        }
    }
}

/// As people write it: without regard to case and blanks. One name has two spellings.
fn column(text: &str) -> Option<&'static str> {
    let name = text.trim().to_ascii_lowercase();
    let name = match name.as_str() {
        "local_or_rmote" => "local_or_remote",
        name => name,
    };
    COLUMNS.into_iter().find(|known| *known == name)
}

fn no_header(cells: &[Cell]) -> String {
    let usual = COLUMNS[..USUAL].join(",");
    for (separator, called) in [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")] {
        if cells[0].text.split(separator).any(|name| column(name).is_some()) {
            return format!("the columns are separated by {called}; separate them by commas");
        }
    }
    format!("this is not a header; the first line names the columns: {usual}")
}

fn unknown(number: usize, text: &str) -> String {
    // Longer than any name is no slip of the pen, and comparing would take long.
    let name: String = text.trim().to_lowercase().chars().take(32).collect();
    let nearest = COLUMNS
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 2);
    match nearest {
        Some((_, nearest)) => format!("column {number} has no known name; did you mean {nearest}?"),
        None => format!("column {number} has no known name; there are {}", COLUMNS.join(", ")),
    }
}
