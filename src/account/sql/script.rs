//! The operator's SQL, read once: where each placeholder stands, and what is bound for it.
//!
//! The gatekeeper pastes values into the text and runs what comes out. Here the text is cut into statements, each
//! with the driver's own placeholders, and the values go beside it:
//!
//! | in the ini | what becomes of it |
//! |---|---|
//! | `'%u'`, `'%{caller-ip}:%{caller-port}'` | one bound text, with the string's other characters in it |
//! | `%d`, `%u` | one bound value; a number where the parameter is one |
//! | `TIMESTAMP '%{setup-time}'` | `CAST(… AS TIMESTAMP)` of a bound text (PostgreSQL, MySQL) |
//! | in a name, a comment, `B'…'`, `X'…'`, `U&'…'` | refused: nothing can be bound there |
//!
//! To find these places the text is read with each driver's rules for quotes, escapes and comments. What is read
//! wrongly can make a statement fail, never execute a value: values are not in the text.

use super::words::{
    COMMITTING, PARAMETERS_IN, TRANSACTIONS, as_typed, in_name, is_number, last_words, start_of_last_words, verb,
};
use crate::{
    account::{
        event::EventKind,
        template::{Piece, Template},
    },
    config::gatekeeper::SqlDriver,
};

mod quoted;

/// One query of the ini.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    pub statements: Vec<Statement>,
    /// It begins or ends transactions itself, on purpose or, as MySQL does with `CREATE TABLE`, by the way.
    pub own_transactions: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub text: String,
    /// In the order of the placeholders.
    pub bindings: Vec<Binding>,
}

/// What is bound for one placeholder.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    pub pieces: Vec<Piece>,
    /// A parameter that is always a number, and without quotes.
    pub number: bool,
}

impl Script {
    /// The query of a kind of event.
    ///
    /// # Errors
    /// Every place where a parameter cannot be bound, and what to write instead.
    pub fn parse(sql: &str, kind: EventKind, dialect: SqlDriver, lenient: bool) -> Result<Script, Vec<String>> {
        let template = Template::parse(sql);
        let mut symbols = Vec::new();
        for piece in template.pieces() {
            match piece {
                Piece::Literal(octets) => symbols.extend(String::from_utf8_lossy(octets).chars().map(Symbol::Char)),
                Piece::Value(parameter) if !parameter.known_for(kind) => {
                    symbols.extend(as_typed(*parameter).chars().map(Symbol::Char));
                }
                value => symbols.push(Symbol::Value(value.clone())),
            }
        }
        let mut reader = Reader {
            symbols,
            at: 0,
            dialect,
            lenient,
            out: String::new(),
            bindings: Vec::new(),
            statements: Vec::new(),
            own_transactions: false,
            problems: Vec::new(),
        };
        reader.read();
        if reader.statements.is_empty() && reader.problems.is_empty() {
            reader.problems.push("there is no statement in it".to_owned());
        }
        match reader.problems.is_empty() {
            true => Ok(Script {
                statements: reader.statements,
                own_transactions: reader.own_transactions,
            }),
            false => Err(reader.problems),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Symbol {
    Char(char),
    /// Always a [`Piece::Value`].
    Value(Piece),
}

struct Reader {
    symbols: Vec<Symbol>,
    at: usize,
    dialect: SqlDriver,
    lenient: bool,
    out: String,
    bindings: Vec<Binding>,
    statements: Vec<Statement>,
    own_transactions: bool,
    problems: Vec<String>,
}

impl Reader {
    fn read(&mut self) {
        use SqlDriver::{MySql, PostgreSql, Sqlite};
        while let Some(symbol) = self.next() {
            let c = match symbol {
                Symbol::Value(value) => {
                    self.bare(value);
                    continue;
                }
                Symbol::Char(c) => c,
            };
            match (c, self.dialect) {
                ('\'', _) | ('"', MySql) => self.string(c),
                ('"', Sqlite) if self.lenient => self.string(c),
                ('"', _) | ('`', MySql | Sqlite) => self.name(c, c),
                ('[', Sqlite) => self.name(c, ']'),
                ('-', _) if self.peek() == Some('-') && self.dashes_begin_a_comment() => self.line_comment(c),
                ('#', MySql) => self.line_comment(c),
                ('/', _) if self.peek() == Some('*') => self.block_comment(),
                ('$', PostgreSql) if !self.follows_a_name() => self.dollar(),
                ('?', MySql | Sqlite) => {
                    self.problem("a question mark stands for a value there, and there is none for it".to_owned());
                }
                (';', _) => self.end_statement(),
                _ => self.out.push(c),
            }
        }
        self.end_statement();
    }

    fn next(&mut self) -> Option<Symbol> {
        let symbol = self.symbols.get(self.at).cloned();
        self.at += 1;
        symbol
    }

    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn peek_at(&self, distance: usize) -> Option<char> {
        match self.symbols.get(self.at + distance) {
            Some(Symbol::Char(c)) => Some(*c),
            _ => None,
        }
    }

    fn problem(&mut self, why: String) {
        if !self.problems.contains(&why) {
            self.problems.push(why);
        }
    }

    fn end_statement(&mut self) {
        let text = std::mem::take(&mut self.out);
        let bindings = std::mem::take(&mut self.bindings);
        let verb = verb(&text);
        let Some(verb) = verb else {
            return; // only blanks and comments
        };
        if self.dialect == SqlDriver::PostgreSql && !bindings.is_empty() && !PARAMETERS_IN.contains(&verb.as_str()) {
            self.problem(format!(
                "PostgreSQL takes no parameters in {}{}",
                verb.to_uppercase(),
                if verb == "notify" {
                    "; use SELECT pg_notify('channel', '…')"
                } else {
                    ""
                }
            ));
        }
        self.own_transactions |= TRANSACTIONS.contains(&verb.as_str())
            || self.dialect == SqlDriver::MySql && COMMITTING.contains(&verb.as_str())
            || self.dialect == SqlDriver::Sqlite && verb == "vacuum";
        self.statements.push(Statement {
            text: text.trim().to_owned(),
            bindings,
        });
    }

    /// A placeholder outside quotes.
    fn bare(&mut self, value: Piece) {
        let glued_before = self
            .out
            .chars()
            .next_back()
            .is_some_and(|c| in_name(c) || ".\"`@:]".contains(c));
        let glued_behind = match self.symbols.get(self.at) {
            Some(Symbol::Value(_)) => true,
            Some(Symbol::Char(c)) => in_name(*c) || ".\"'`(".contains(*c),
            None => false,
        };
        if glued_before || glued_behind {
            self.problem(
                "a parameter is a part of a name or of another word; only whole values can be bound: put the text \
                 into quotes, or build the name in the database"
                    .to_owned(),
            );
            return;
        }
        if let Some(word) = last_words(&self.out, 1)
            && ["into", "update", "table", "join"].contains(&word.as_str())
        {
            self.problem(format!(
                "a parameter cannot be the name of a table ({})",
                word.to_uppercase()
            ));
            return;
        }
        let number = matches!(&value, Piece::Value(parameter) if is_number(*parameter));
        self.bind(Binding {
            pieces: vec![value],
            number,
        });
    }

    fn bind(&mut self, binding: Binding) {
        if self.follows_a_name() {
            self.out.push(' ');
        }
        self.bindings.push(binding);
        match self.dialect {
            SqlDriver::PostgreSql => self.out.push_str(&format!("${}", self.bindings.len())),
            SqlDriver::Sqlite => self.out.push_str(&format!("?{}", self.bindings.len())),
            SqlDriver::MySql => self.out.push('?'),
        }
        if self.peek().is_some_and(in_name) {
            self.out.push(' ');
        }
    }

    /// The letters right before a quote that change what it means: `E'…'`, `_utf8'…'`.
    fn prefix(&self) -> String {
        if self.dialect == SqlDriver::PostgreSql && self.out.to_ascii_lowercase().ends_with("u&") {
            return "U&".to_owned();
        }
        let start = self
            .out
            .rfind(|c| !in_name(c))
            .map_or(0, |at| at + self.out[at..].chars().next().map_or(1, char::len_utf8));
        let word = &self.out[start..];
        let is_prefix = match self.dialect {
            SqlDriver::Sqlite => ["x"].contains(&word.to_ascii_lowercase().as_str()),
            SqlDriver::PostgreSql => ["e", "n", "b", "x"].contains(&word.to_ascii_lowercase().as_str()),
            SqlDriver::MySql => word.starts_with('_') || ["n", "b", "x"].contains(&word.to_ascii_lowercase().as_str()),
        };
        if is_prefix { word.to_owned() } else { String::new() }
    }

    /// The type before a literal like `TIMESTAMP '…'`: where it begins in `self.out`, and what to cast to.
    fn type_name(&self) -> Option<(usize, String)> {
        if self.dialect == SqlDriver::Sqlite {
            return None;
        }
        for words in [4, 1] {
            let Some(phrase) = last_words(&self.out, words) else {
                continue;
            };
            let cast = match (phrase.as_str(), self.dialect) {
                ("timestamp", SqlDriver::MySql) => "DATETIME(6)",
                ("date", _) => "DATE",
                ("time", SqlDriver::MySql) => "TIME(6)",
                (
                    "timestamp"
                    | "timestamptz"
                    | "time"
                    | "timetz"
                    | "interval"
                    | "inet"
                    | "cidr"
                    | "uuid"
                    | "numeric"
                    | "timestamp with time zone"
                    | "timestamp without time zone"
                    | "time with time zone"
                    | "time without time zone",
                    SqlDriver::PostgreSql,
                ) => phrase.as_str(),
                _ => continue,
            };
            return Some((start_of_last_words(&self.out, words), cast.to_owned()));
        }
        None
    }

    fn follows_a_name(&self) -> bool {
        self.out.chars().next_back().is_some_and(in_name)
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
