//! Records as DATA messages: the inner loop of an export. Octets go straight into the output; nothing is allocated for
//! a record but for lists.

use std::fmt::{self, Write};

use chrono::{DateTime, Utc};

use super::codes::id;
use super::frame::{self, Header};
use super::message::DataHead;
use super::template::type_of;
use super::{FieldDescriptor, NotStreamable, Template, Type};
use crate::record::{Field, Kind, Presence, Record, ServiceDefinition, Value};

/// Writes the records of one definition for one session.
#[derive(Debug)]
pub struct RecordEncoder {
    definition: &'static ServiceDefinition,
    session_id: u8,
    template_id: u16,
    config_id: u16,
    columns: Vec<Column>,
}

/// A field that is sent.
#[derive(Debug)]
struct Column {
    /// Which one of the definition.
    index: usize,
    kind: Type,
}

/// Why a record cannot be sent. It would be wrong to send another value in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSendable {
    #[error("a record {0} is given to the encoder of another kind")]
    Definition(&'static str),
    #[error("a record {definition} has {values} values for {fields} fields")]
    Count {
        definition: &'static str,
        values: usize,
        fields: usize,
    },
    #[error("a record {definition}, field {field} cannot be sent: {reason}")]
    Field {
        definition: &'static str,
        field: &'static str,
        reason: Reason,
    },
    #[error("a record {0} is longer than a message can be")]
    Length(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Required,
    Kind,
    Code(i32),
    /// Before 1970, or after what the type can hold (2106 for seconds).
    Time,
    /// An item that is empty or has white space would come back as something else.
    ListItem,
    TooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Required => f.write_str("a value is required"),
            Reason::Kind => f.write_str("the value is of another kind"),
            Reason::Code(code) => write!(f, "{code} is none of its codes"),
            Reason::Time => f.write_str("the time is before 1970 or later than the field can hold"),
            Reason::ListItem => f.write_str("an item of a list must have a value without white space"),
            Reason::TooLong => f.write_str("the value is longer than its field can be"),
        }
    }
}

impl RecordEncoder {
    /// The fields that `template` has switched on, in its order.
    ///
    /// # Errors
    /// When the template has a field that the definition does not have, or has with another type.
    pub fn new(
        definition: &'static ServiceDefinition,
        session_id: u8,
        config_id: u16,
        template: &Template,
    ) -> Result<RecordEncoder, NotStreamable> {
        let column = |descriptor: &FieldDescriptor| {
            let found = definition.fields.iter().position(|field| field.name == descriptor.name);
            found
                .and_then(|index| Some((index, type_of(&definition.fields[index].kind)?)))
                .filter(|(_, kind)| kind.id() == descriptor.type_id)
                .map(|(index, kind)| Column { index, kind })
                .ok_or_else(|| NotStreamable {
                    definition: definition.name,
                    field: descriptor.name.clone(),
                    reason: "it is not there, or is of another type",
                })
        };
        let enabled = template.fields.iter().filter(|descriptor| descriptor.is_enabled);
        Ok(RecordEncoder {
            definition,
            session_id,
            template_id: template.template_id,
            config_id,
            columns: enabled.map(column).collect::<Result<_, _>>()?,
        })
    }

    /// What its records are.
    pub fn definition(&self) -> &'static ServiceDefinition {
        self.definition
    }

    /// Appends a DATA message to `out`, or leaves `out` as it was. A value that is absent becomes an empty text, zero
    /// or an address of zeros: a record has no way to leave it out.
    ///
    /// # Errors
    /// When the record does not fit its definition, or is too long.
    pub fn append(
        &self,
        out: &mut Vec<u8>,
        sequence: u64,
        is_duplicate: bool,
        record: &Record,
    ) -> Result<(), NotSendable> {
        let begin = out.len();
        Header::begin(out, id::DATA, self.session_id);
        let head = DataHead {
            template_id: self.template_id,
            config_id: self.config_id,
            is_duplicate,
            sequence,
        };
        head.put(out);
        let written = counted(out, |out| self.append_values(out, record))
            .and_then(|()| frame::finish(out, begin).map_err(|_| NotSendable::Length(self.definition.name)));
        if written.is_err() {
            out.truncate(begin);
        }
        written
    }

    /// Appends the values of `record` alone, as they stand in a DATA message. After an error `out` is longer by some octets.
    pub fn append_values(&self, out: &mut Vec<u8>, record: &Record) -> Result<(), NotSendable> {
        if *record.definition != *self.definition {
            return Err(NotSendable::Definition(record.definition.name));
        }
        let fields = self.definition.fields;
        if record.values.len() != fields.len() {
            return Err(NotSendable::Count {
                definition: self.definition.name,
                values: record.values.len(),
                fields: fields.len(),
            });
        }
        for column in &self.columns {
            let field = &fields[column.index];
            put(out, column.kind, field, &record.values[column.index]).map_err(|reason| NotSendable::Field {
                definition: self.definition.name,
                field: field.name,
                reason,
            })?;
        }
        Ok(())
    }
}

#[inline]
fn put(out: &mut Vec<u8>, kind: Type, field: &Field, value: &Value) -> Result<(), Reason> {
    match (&field.kind, value) {
        (_, Value::Absent) if field.presence == Presence::Required => Err(Reason::Required),
        (_, Value::Absent) => {
            out.extend_from_slice(absent(kind));
            Ok(())
        }
        (Kind::Text { max_chars }, Value::Text(text)) => {
            let text = text.as_str();
            // A text has never more characters than octets.
            if text.len() > *max_chars && text.chars().count() > *max_chars {
                return Err(Reason::TooLong);
            }
            put_octets(out, text.as_bytes())
        }
        (Kind::UnsignedInt, Value::UnsignedInt(number)) => fixed(out, number.to_be_bytes()),
        (Kind::UnsignedLong, Value::UnsignedLong(number)) => fixed(out, number.to_be_bytes()),
        (Kind::Int, Value::Int(number)) => fixed(out, number.to_be_bytes()),
        (Kind::Boolean, Value::Boolean(yes)) => fixed(out, [(*yes).into()]),
        (Kind::DateTime, Value::DateTime(time)) => {
            let seconds = u32::try_from(time.timestamp()).map_err(|_| Reason::Time)?;
            fixed(out, seconds.to_be_bytes())
        }
        (Kind::DateTimeMsec, Value::DateTime(time)) => fixed(out, milliseconds(time)?.to_be_bytes()),
        (Kind::HexBinary { max_octets }, Value::Octets(octets)) => {
            if octets.len() > *max_octets {
                return Err(Reason::TooLong);
            }
            put_octets(out, octets)
        }
        (Kind::MacAddress, Value::MacAddress([a, b, c, d, e, f])) => fixed(out, [0, 0, *a, *b, *c, *d, *e, *f]),
        (Kind::Ipv4Addr, Value::Ipv4(address)) => fixed(out, address.octets()),
        (Kind::Ipv6Addr, Value::Ipv6(address)) => put_octets(out, &address.octets()),
        (Kind::Uuid, Value::Uuid(octets)) => put_octets(out, octets),
        (Kind::Enum(codes), Value::Enum(code)) => match codes.iter().any(|(known, _)| known == code) {
            true => fixed(out, code.to_be_bytes()),
            false => Err(Reason::Code(*code)),
        },
        (Kind::Decimal, Value::Decimal(decimal)) => put_octets(out, decimal.as_str().as_bytes()),
        (Kind::List(item), Value::List(items)) => put_octets(out, list(item, items)?.as_bytes()),
        _ => Err(Reason::Kind),
    }
}

#[inline]
fn fixed<const N: usize>(out: &mut Vec<u8>, octets: [u8; N]) -> Result<(), Reason> {
    out.extend_from_slice(&octets);
    Ok(())
}

#[inline]
fn put_octets(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), Reason> {
    super::octets::put_opaque(out, octets).map_err(|_| Reason::TooLong)
}

/// A leap second is the last millisecond before it, as in documents.
fn milliseconds(time: &DateTime<Utc>) -> Result<u64, Reason> {
    let seconds = u64::try_from(time.timestamp()).map_err(|_| Reason::Time)?;
    let milliseconds = u64::from(time.timestamp_subsec_millis().min(999));
    seconds
        .checked_mul(1000)
        .and_then(|whole| whole.checked_add(milliseconds))
        .ok_or(Reason::Time)
}

/// What stands in the place of a value that there is not. An IPv6 address is sixteen zeros with their length, as a CMTS
/// writes it.
fn absent(kind: Type) -> &'static [u8] {
    match kind {
        Type::Boolean | Type::Byte | Type::UnsignedByte => &[0; 1],
        Type::Short | Type::UnsignedShort => &[0; 2],
        Type::Int | Type::UnsignedInt | Type::Float | Type::DateTime | Type::Ipv4Addr => &[0; 4],
        Type::String | Type::HexBinary | Type::IpAddr => &[0; 4],
        Type::Long | Type::UnsignedLong | Type::Double => &[0; 8],
        Type::DateTimeMsec | Type::DateTimeUsec | Type::MacAddress => &[0; 8],
        Type::Ipv6Addr | Type::Uuid => &[0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

fn list(kind: &Kind, items: &[Value]) -> Result<String, Reason> {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(' ');
        }
        let begin = text.len();
        let written = match (kind, item) {
            (Kind::Text { .. }, Value::Text(item)) => text.write_str(item.as_str()),
            (Kind::Boolean, Value::Boolean(item)) => write!(text, "{item}"),
            (Kind::Int, Value::Int(item)) => write!(text, "{item}"),
            (Kind::UnsignedInt, Value::UnsignedInt(item)) => write!(text, "{item}"),
            (Kind::UnsignedLong, Value::UnsignedLong(item)) => write!(text, "{item}"),
            (Kind::Decimal, Value::Decimal(item)) => text.write_str(item.as_str()),
            (Kind::Ipv4Addr, Value::Ipv4(item)) => write!(text, "{item}"),
            (Kind::Ipv6Addr, Value::Ipv6(item)) => write!(text, "{item}"),
            _ => return Err(Reason::Kind),
        };
        let added = &text[begin..];
        if written.is_err() || added.is_empty() || added.contains(char::is_whitespace) {
            return Err(Reason::ListItem);
        }
    }
    Ok(text)
}

/// Writes what `content` writes, and the number of its octets before it.
fn counted(
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), NotSendable>,
) -> Result<(), NotSendable> {
    out.extend_from_slice(&[0; 4]);
    let begin = out.len();
    content(out)?;
    // The length of the whole message is checked afterwards, and is greater.
    let length = (out.len() - begin) as u32;
    out[begin - 4..begin].copy_from_slice(&length.to_be_bytes());
    Ok(())
}
