//! Values on their way into a statement.
//!
//! What callers send reaches the database as octets beside the statement, whatever they are. Only what a database
//! cannot hold is changed here, so that nobody can keep a call out of the records by an odd name.

use super::script::Binding;
use crate::{
    account::{
        event::Event,
        parameters::{Context, write_value},
        template::Piece,
    },
    config::gatekeeper::SqlDriver,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Vec<u8>),
    /// From a placeholder without quotes: `SET duration = %d`.
    Number(i64),
}

impl Value {
    /// As the operator's text would have had it in this place.
    pub fn of(binding: &Binding, event: &Event, context: &Context<'_>, dialect: SqlDriver) -> Value {
        let mut text = Vec::new();
        let mut value = Vec::new();
        for piece in &binding.pieces {
            match piece {
                Piece::Literal(octets) => text.extend_from_slice(octets),
                Piece::Value(parameter) => {
                    value.clear();
                    write_value(*parameter, event, context, &mut value);
                    storable(&value, dialect, &mut text);
                }
            }
        }
        match binding.number.then(|| number(&text)).flatten() {
            Some(number) => Value::Number(number),
            None => Value::Text(text),
        }
    }

    /// The same for a column whose character set is small: a question mark for each character that is not ASCII.
    pub fn in_ascii(&self) -> Value {
        match self {
            Value::Number(number) => Value::Number(*number),
            Value::Text(octets) => Value::Text(
                String::from_utf8_lossy(octets)
                    .chars()
                    .map(|c| if c.is_ascii() { c as u8 } else { b'?' })
                    .collect(),
            ),
        }
    }
}

/// A number only if it is written like one: `0049` is a text.
fn number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (itoa::Buffer::new().format(number) == text).then_some(number)
}

/// Appends what the database can hold of `octets`.
fn storable(octets: &[u8], dialect: SqlDriver, out: &mut Vec<u8>) {
    match dialect {
        // The gatekeeper's rule. SQLite asks for no encoding.
        SqlDriver::Sqlite => out.extend(octets.iter().filter(|&&octet| octet >= b' ' || octet == b'\t')),
        SqlDriver::MySql => repaired(octets, out),
        // PostgreSQL has no NUL in texts.
        SqlDriver::PostgreSql if octets.contains(&0) => {
            let mut text = Vec::with_capacity(octets.len());
            repaired(octets, &mut text);
            for &octet in &text {
                match octet {
                    0 => out.extend("\u{FFFD}".bytes()),
                    octet => out.push(octet),
                }
            }
        }
        SqlDriver::PostgreSql => repaired(octets, out),
    }
}

/// UTF-8. Octets that are not are taken for ISO 8859-1, which they mostly are: nothing of them is lost.
fn repaired(octets: &[u8], out: &mut Vec<u8>) {
    for chunk in octets.utf8_chunks() {
        out.extend(chunk.valid().bytes());
        for &octet in chunk.invalid() {
            out.extend(char::from(octet).encode_utf8(&mut [0; 4]).bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(octets: &[u8], dialect: SqlDriver) -> Vec<u8> {
        let mut out = Vec::new();
        storable(octets, dialect, &mut out);
        out
    }

    #[test]
    fn octets_that_are_no_text_become_one_without_loss() {
        for dialect in [SqlDriver::PostgreSql, SqlDriver::MySql] {
            assert_eq!(stored(b"M\xfcller \xc3\xbc \xff", dialect), "Müller ü ÿ".as_bytes());
        }
        assert_eq!(stored(b"M\xfcller", SqlDriver::Sqlite), b"M\xfcller");
    }

    #[test]
    fn a_nul_hides_nothing_that_follows_it() {
        assert_eq!(stored(b"a\0b", SqlDriver::PostgreSql), "a\u{FFFD}b".as_bytes());
        assert_eq!(stored(b"a\0b", SqlDriver::MySql), b"a\0b");
        assert_eq!(stored(b"a\0b\r\n\tc", SqlDriver::Sqlite), b"ab\tc");
    }

    #[test]
    fn only_what_is_written_like_a_number_is_one() {
        assert_eq!(number(b"-1"), Some(-1));
        assert_eq!(number(b"42"), Some(42));
        for text in ["0049", "+1", "-0", "1.5", "", "9223372036854775808", " 1"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }
}
