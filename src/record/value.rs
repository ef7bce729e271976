//! Values of record fields. What a value cannot hold cannot be written: text is checked for XML 1.0 when it is made.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};

/// One row of usage: values in the order of the definition's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub definition: &'static super::ServiceDefinition,
    /// As many values as the definition has fields. [`Value::Absent`] where there is none.
    pub values: Vec<Value>,
}

/// The value of one field. Its variant fits the field's [`super::Kind`]; the document writer refuses what does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Absent,
    Boolean(bool),
    Int(i32),
    UnsignedInt(u32),
    UnsignedLong(u64),
    Decimal(super::Decimal),
    Text(Text),
    DateTime(DateTime<Utc>),
    Octets(Vec<u8>),
    MacAddress([u8; 6]),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Uuid([u8; 16]),
    /// The code of a [`super::Kind::Enum`].
    Enum(i32),
    List(Vec<Value>),
    /// One inner list per item, in the order of the item's fields.
    Structs(Vec<Vec<Value>>),
}

/// Text that XML 1.0 can hold: no control characters but tab, line feed and carriage return, no U+FFFE or U+FFFF.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(String);

/// A character that no XML 1.0 document can hold, not even as a character reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the character U+{:04X} at octet {offset} cannot stand in an XML 1.0 document", *character as u32)]
pub struct ForbiddenCharacter {
    pub character: char,
    pub offset: usize,
}

impl Text {
    /// Takes the text as it is, or refuses it because of the first character that XML 1.0 cannot hold.
    pub fn new(text: impl Into<String>) -> Result<Self, ForbiddenCharacter> {
        let text = text.into();
        match forbidden_character(&text) {
            Some(forbidden) => Err(forbidden),
            None => Ok(Text(text)),
        }
    }

    /// Takes octets from a device: what is not UTF-8 or not XML becomes U+FFFD. The flag says whether anything did.
    pub fn lossy(octets: &[u8]) -> (Self, bool) {
        let text = String::from_utf8_lossy(octets);
        let mut changed = matches!(text, std::borrow::Cow::Owned(_));
        if text.chars().all(is_xml_char) {
            return (Text(text.into_owned()), changed);
        }
        changed = true;
        let replaced = text
            .chars()
            .map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' })
            .collect();
        (Text(replaced), changed)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first character of `text` that XML 1.0 cannot hold.
pub(crate) fn forbidden_character(text: &str) -> Option<ForbiddenCharacter> {
    let (offset, character) = text.char_indices().find(|(_, c)| !is_xml_char(*c))?;
    Some(ForbiddenCharacter { character, offset })
}

/// The production `Char` of XML 1.0, section 2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Value::Text(text)
    }
}

impl From<super::Decimal> for Value {
    fn from(decimal: super::Decimal) -> Self {
        Value::Decimal(decimal)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Absent, Into::into)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Value::DateTime(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_xml_cannot_hold_is_refused_with_its_place() {
        let refused = Text::new("up\u{1}link").unwrap_err();
        assert_eq!((refused.character, refused.offset), ('\u{1}', 2));
        assert!(Text::new("a\u{FFFF}").is_err());
        assert!(Text::new("tab\tline\nreturn\r Größe 𝄞 <&>\"'").is_ok());
    }

    #[test]
    fn octets_of_a_device_are_kept_where_they_can_be() {
        assert_eq!(Text::lossy(b"uplink"), (Text::new("uplink").unwrap(), false));
        let (text, changed) = Text::lossy(b"a\xFFb\x07c");
        assert_eq!((text.as_str(), changed), ("a\u{FFFD}b\u{FFFD}c", true));
    }
}
