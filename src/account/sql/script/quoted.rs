//! What stands between quotes, dollars and the marks of comments, by each driver's rules.

use super::{Binding, Reader, Symbol, in_name};
use crate::{account::template::Piece, config::gatekeeper::SqlDriver};

impl Reader {
    /// A string in single quotes (MySQL: or double ones). `self.out` ends right before it.
    pub(super) fn string(&mut self, quote: char) {
        let prefix = self.prefix();
        let escapes = match self.dialect {
            SqlDriver::MySql => true,
            SqlDriver::PostgreSql => prefix.eq_ignore_ascii_case("e"),
            SqlDriver::Sqlite => false,
        };
        let mut raw = String::from(quote);
        let mut pieces = Pieces::default();
        loop {
            match self.next() {
                None => {
                    self.problem(format!("the string that begins with {quote} is never closed"));
                    return;
                }
                Some(Symbol::Value(value)) => pieces.value(value),
                Some(Symbol::Char(c)) if c == quote && self.peek() == Some(quote) => {
                    self.at += 1;
                    raw.extend([quote, quote]);
                    pieces.char(quote);
                }
                Some(Symbol::Char(c)) if c == quote => break,
                Some(Symbol::Char('\\')) if escapes => self.escape(&mut raw, &mut pieces),
                Some(Symbol::Char(c)) => {
                    raw.push(c);
                    pieces.char(c);
                }
            }
        }
        raw.push(quote);
        let Some(pieces) = pieces.finish() else {
            self.out.push_str(&raw);
            return;
        };
        match prefix.to_ascii_lowercase().as_str() {
            "" => {}
            "e" | "n" => self.out.truncate(self.out.len() - prefix.len()),
            _ => {
                self.problem(format!(
                    "a parameter stands in {prefix}{quote}…{quote}, where nothing can be bound"
                ));
                return;
            }
        }
        match self.type_name() {
            Some((start, name)) => {
                self.out.truncate(start);
                self.out.push_str("CAST(");
                self.bind(Binding { pieces, number: false });
                self.out.push_str(&format!(" AS {name})"));
            }
            None => self.bind(Binding { pieces, number: false }),
        }
    }

    /// Behind a backslash, which has been read.
    fn escape(&mut self, raw: &mut String, pieces: &mut Pieces) {
        raw.push('\\');
        let c = match self.next() {
            Some(Symbol::Char(c)) => c,
            Some(Symbol::Value(_)) => {
                self.problem("a backslash stands right before a parameter".to_owned());
                return;
            }
            None => return,
        };
        raw.push(c);
        match (self.dialect, c) {
            (SqlDriver::MySql, '0') => pieces.char('\0'),
            (SqlDriver::MySql, 'Z') => pieces.char('\u{1a}'),
            // They keep their backslash, which LIKE wants to see.
            (SqlDriver::MySql, '%' | '_') => {
                pieces.char('\\');
                pieces.char(c);
            }
            (_, 'n') => pieces.char('\n'),
            (_, 'r') => pieces.char('\r'),
            (_, 't') => pieces.char('\t'),
            (_, 'b') => pieces.char('\u{8}'),
            (SqlDriver::PostgreSql, 'f') => pieces.char('\u{c}'),
            (SqlDriver::PostgreSql, 'x' | 'u' | 'U' | '0'..='7') => pieces.unreadable = true,
            (_, c) => pieces.char(c),
        }
        if pieces.unreadable && !pieces.told {
            pieces.told = true;
            // It matters only if a parameter stands in the same string.
            if self.rest_of_string_has_a_value() || pieces.has_value {
                self.problem(format!(
                    "the escape \\{c} stands in one string with a parameter; write the character itself"
                ));
            }
        }
    }

    fn rest_of_string_has_a_value(&self) -> bool {
        let mut rest = self.symbols[self.at.min(self.symbols.len())..].iter();
        while let Some(symbol) = rest.next() {
            match symbol {
                Symbol::Value(_) => return true,
                Symbol::Char('\'') => return false,
                Symbol::Char('\\') => drop(rest.next()),
                Symbol::Char(_) => {}
            }
        }
        false
    }

    /// A quoted name, up to `end`.
    pub(super) fn name(&mut self, start: char, end: char) {
        self.out.push(start);
        loop {
            match self.next() {
                None => {
                    self.problem(format!("the name that begins with {start} is never closed"));
                    return;
                }
                Some(Symbol::Value(_)) => self.problem(format!(
                    "a parameter stands in {start}…{end}, which is a name; put a text into single quotes"
                )),
                Some(Symbol::Char(c)) => {
                    self.out.push(c);
                    if c == end {
                        if self.peek() != Some(end) || start == '[' {
                            return;
                        }
                        self.at += 1;
                        self.out.push(end);
                    }
                }
            }
        }
    }

    /// `$$…$$` or `$tag$…$tag$`; the first `$` has been read.
    pub(super) fn dollar(&mut self) {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.problem("$ and a number stand for a value, and there is none for it".to_owned());
            return;
        }
        let mut tag = String::from("$");
        while let Some(c) = self.peek_at(tag.chars().count() - 1) {
            tag.push(c);
            if c == '$' {
                break;
            }
            if !in_name(c) {
                self.out.push('$');
                return; // an operator, or a name
            }
        }
        if tag.len() < 2 || !tag.ends_with('$') {
            self.out.push('$');
            return;
        }
        self.at += tag.chars().count() - 1;
        let end: Vec<Symbol> = tag.chars().map(Symbol::Char).collect();
        let mut raw = tag.clone();
        let mut pieces = Pieces::default();
        while !self.symbols[self.at.min(self.symbols.len())..].starts_with(&end) {
            match self.next() {
                None => {
                    self.problem(format!("the string that begins with {tag} is never closed"));
                    return;
                }
                Some(Symbol::Value(value)) => pieces.value(value),
                Some(Symbol::Char(c)) => {
                    raw.push(c);
                    pieces.char(c);
                }
            }
        }
        self.at += end.len();
        raw.push_str(&tag);
        match pieces.finish() {
            Some(pieces) => self.bind(Binding { pieces, number: false }),
            None => self.out.push_str(&raw),
        }
    }

    /// MySQL wants a blank behind them: `5--3` is 8 there.
    pub(super) fn dashes_begin_a_comment(&self) -> bool {
        self.dialect != SqlDriver::MySql || self.peek_at(1).is_none_or(|c| c.is_whitespace() || c.is_control())
    }

    pub(super) fn line_comment(&mut self, first: char) {
        self.out.push(first);
        while let Some(symbol) = self.next() {
            match symbol {
                Symbol::Char('\n') => {
                    self.out.push('\n');
                    return;
                }
                Symbol::Char(c) => self.out.push(c),
                Symbol::Value(_) => self.problem_of_comment(),
            }
        }
        // So that what follows a `;` is not swallowed.
        self.out.push('\n');
    }

    /// PostgreSQL's can stand in each other.
    pub(super) fn block_comment(&mut self) {
        self.at += 1;
        self.out.push_str("/*");
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                None => {
                    self.problem("a comment is never closed".to_owned());
                    return;
                }
                Some(Symbol::Value(_)) => self.problem_of_comment(),
                Some(Symbol::Char(c)) => {
                    self.out.push(c);
                    match (c, self.peek()) {
                        ('*', Some('/')) => depth -= 1,
                        ('/', Some('*')) if self.dialect == SqlDriver::PostgreSql => depth += 1,
                        _ => continue,
                    }
                    self.at += 1;
                    self.out.push(if c == '*' { '/' } else { '*' });
                }
            }
        }
    }

    fn problem_of_comment(&mut self) {
        self.problem("a parameter stands in a comment, where nothing can be bound".to_owned());
    }
}

/// The contents of one string.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    text: String,
    has_value: bool,
    unreadable: bool,
    told: bool,
}

impl Pieces {
    fn char(&mut self, c: char) {
        self.text.push(c);
    }

    fn value(&mut self, value: Piece) {
        self.flush();
        self.has_value = true;
        self.pieces.push(value);
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces
                .push(Piece::Literal(std::mem::take(&mut self.text).into_bytes()));
        }
    }

    /// [`None`]: there is no parameter in it.
    fn finish(mut self) -> Option<Vec<Piece>> {
        self.flush();
        self.has_value.then_some(self.pieces)
    }
}
