//! Rows and cells of `billing_config.csv`: RFC 4180, with comments, and stricter than most.
//!
//! A quote that does not close, or that closes in the middle of a cell, is an error. The readers at hand take both, and the
//! rest of the file becomes a password, or a password loses its end. They do not say either whether a cell stood in
//! quotes, on which it depends whether the blanks around it belong to it.

/// One cell, without the quotes.
#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    /// What stands in quotes, exactly; else without the blanks around it.
    pub text: String,
    /// Line that the cell begins in, from 1.
    pub line: usize,
    /// It stands without quotes, and blanks were taken away.
    pub was_trimmed: bool,
    quoted: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Row {
    Cells(Vec<Cell>),
    /// A line that begins with `#`, and how many cells it would be.
    Comment {
        line: usize,
        cells: usize,
    },
    /// A row that cannot be read. `cell` is counted from 0.
    Broken {
        line: usize,
        cell: usize,
        reason: &'static str,
    },
}

/// Reads row by row. Blank lines, and rows of empty cells as spreadsheets leave them, are passed over.
pub struct Rows<'a> {
    rest: &'a str,
    line: usize,
}

const UNCLOSED: &str = "a quote opens here and does not close";
const BEHIND_QUOTE: &str = "something stands behind the closing quote; a quote inside quotes must be doubled";

impl<'a> Rows<'a> {
    pub fn new(text: &'a str) -> Self {
        let rest = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        Rows { rest, line: 1 }
    }

    fn row(&mut self) -> Row {
        let line = self.line;
        if blanks_cut(self.rest).starts_with('#') {
            let comment = self.rest_of_line();
            let cells = 1 + comment.matches(',').count();
            return Row::Comment { line, cells };
        }
        let mut cells = Vec::new();
        loop {
            let line = self.line;
            match self.cell() {
                Ok(cell) => cells.push(cell),
                Err(reason) => {
                    self.rest_of_line();
                    let cell = cells.len();
                    return Row::Broken { line, cell, reason };
                }
            }
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None => {
                    self.rest_of_line();
                    return Row::Cells(cells);
                }
            }
        }
    }

    /// Leaves `rest` at the comma or the end of line behind the cell.
    fn cell(&mut self) -> Result<Cell, &'static str> {
        let line = self.line;
        if let Some(inside) = blanks_cut(self.rest).strip_prefix('"') {
            let text = self.quoted(inside)?;
            self.rest = blanks_cut(self.rest);
            return match self.rest.chars().next() {
                None | Some(',' | '\n' | '\r') => Ok(Cell {
                    text,
                    line,
                    was_trimmed: false,
                    quoted: true,
                }),
                Some(_) => Err(BEHIND_QUOTE),
            };
        }
        let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = raw.trim();
        Ok(Cell {
            text: text.to_owned(),
            line,
            was_trimmed: text.len() != raw.len(),
            quoted: false,
        })
    }

    /// What stands before the closing quote.
    fn quoted(&mut self, inside: &'a str) -> Result<String, &'static str> {
        let mut text = String::new();
        let mut rest = inside;
        loop {
            let Some((before, behind)) = rest.split_once('"') else {
                self.rest = "";
                return Err(UNCLOSED);
            };
            text += before;
            match behind.strip_prefix('"') {
                Some(behind) => {
                    text.push('"');
                    rest = behind;
                }
                None => {
                    self.line += line_ends(&text);
                    self.rest = behind;
                    return Ok(text);
                }
            }
        }
    }

    /// Takes the rest of the line together with its end.
    fn rest_of_line(&mut self) -> &'a str {
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = match rest.strip_prefix("\r\n") {
            Some(rest) => rest,
            None => rest.get(1..).unwrap_or(""),
        };
        self.line += usize::from(!rest.is_empty());
        line
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while !self.rest.is_empty() {
            match self.row() {
                Row::Cells(cells) if cells.iter().all(Cell::is_nothing) => {}
                row => return Some(row),
            }
        }
        None
    }
}

impl Cell {
    fn is_nothing(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }
}

/// Without the blanks before it, as far as the line goes.
fn blanks_cut(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() && c != '\n' && c != '\r')
}

/// Line feeds, carriage returns, or both together.
fn line_ends(text: &str) -> usize {
    text.matches(['\n', '\r']).count() - text.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        Rows::new(text)
            .map(|row| match row {
                Row::Cells(cells) => cells.into_iter().map(|cell| cell.text).collect(),
                row => vec![format!("{row:?}")],
            })
            .collect()
    }

    #[test]
    fn quotes_line_ends_blanks_and_comments_are_read() {
        let text = "\u{FEFF}a , b\r\n\r\n# c,\"d\n  \t# e\n,,\n \"x,\"\"y\"\"\nz\" ,\u{A0}w \"v\r\rlast,";
        assert_eq!(
            cells(text),
            [
                vec!["a", "b"],
                vec!["Comment { line: 3, cells: 2 }"],
                vec!["Comment { line: 4, cells: 1 }"],
                vec!["x,\"y\"\nz", "w \"v"],
                vec!["last", ""],
            ]
        );
        let lines: Vec<usize> = Rows::new(text)
            .filter_map(|row| match row {
                Row::Cells(cells) => Some(cells.into_iter().map(|cell| cell.line)),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(lines, [1, 1, 6, 7, 9, 9]);
    }

    #[test]
    fn a_quote_that_closes_nowhere_or_too_early_breaks_its_row() {
        let broken = |line, cell, reason| Row::Broken { line, cell, reason };
        let all = |text| Rows::new(text).collect::<Vec<_>>();
        assert_eq!(all("a,\"b\nc,d\n"), [broken(1, 1, UNCLOSED)]);
        assert_eq!(all("\"b\"c,d\n")[0], broken(1, 0, BEHIND_QUOTE));
        assert_eq!(cells("\"b\n\"c,d\ne")[1], ["e"], "the next row is read");
    }

    #[test]
    fn it_is_known_whether_blanks_were_taken_away() {
        let trimmed = |text| match Rows::new(text).next().unwrap() {
            Row::Cells(cells) => cells[0].was_trimmed,
            _ => panic!(),
        };
        assert!(trimmed("a ,b") && trimmed(" a") && !trimmed("a,b") && !trimmed(" \" a\" ,b"));
    }

    proptest! {
        /// The csv crate is the judge: it writes, this reads.
        #[test]
        fn what_another_program_quotes_comes_back_exactly(rows in prop::collection::vec(
            prop::collection::vec("[ -~\\n\\r\\té€\u{A0}]{0,12}", 1..5), 1..5,
        )) {
            let mut writer = csv::WriterBuilder::new()
                .quote_style(csv::QuoteStyle::Always).flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(cells(&text), rows);
        }

        #[test]
        fn no_text_is_a_panic_or_without_end(text in any::<String>()) {
            let rows = Rows::new(&text).count();
            prop_assert!(rows <= text.len());
        }

        #[test]
        fn no_text_of_special_characters_is_a_panic(text in "[\",#\\n\\r a\u{FEFF}]{0,60}") {
            let _ = Rows::new(&text).count();
        }
    }
}
