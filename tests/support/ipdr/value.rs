//! The types of the fields of a record, by the numbers that templates call them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{message::Field, octets::Octets};

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
    Octets(Vec<u8>),
    Text(String),
    /// Seconds, milliseconds or microseconds since 1970, as the type says.
    Time(i64),
    Address(IpAddr),
    Uuid([u8; 16]),
    Mac([u8; 6]),
}

impl Value {
    pub fn read(type_id: u32, what: &str, from: &mut Octets<'_>) -> Result<Value, String> {
        Ok(match type_id {
            0x21 => Value::Signed(i64::from(from.u32(what)? as i32)),
            0x22 => Value::Unsigned(u64::from(from.u32(what)?)),
            0x23 => Value::Signed(from.u64(what)? as i64),
            0x24 => Value::Unsigned(from.u64(what)?),
            0x25 => Value::Double(f64::from(f32::from_bits(from.u32(what)?))),
            0x26 => Value::Double(f64::from_bits(from.u64(what)?)),
            0x27 => Value::Octets(from.opaque(what)?.to_vec()),
            0x28 => Value::Text(from.string(what)?),
            0x29 => Value::Boolean(from.bool(what)?),
            0x2a => Value::Signed(i64::from(from.u8(what)? as i8)),
            0x2b => Value::Unsigned(u64::from(from.u8(what)?)),
            0x2c => Value::Signed(i64::from(from.u16(what)? as i16)),
            0x2d => Value::Unsigned(u64::from(from.u16(what)?)),
            0x122 => Value::Time(i64::from(from.u32(what)?)),
            0x224 | 0x623 => Value::Time(from.u64(what)? as i64),
            0x322 => Value::Address(Ipv4Addr::from(from.fixed::<4>(what)?).into()),
            0x427 => match from.opaque(what)? {
                address if address.len() == 16 => Value::Address(ipv6(address)),
                other => return Err(format!("{what}: an IPv6 address of {} octets", other.len())),
            },
            0x527 => match from.opaque(what)?.try_into() {
                Ok(uuid) => Value::Uuid(uuid),
                Err(_) => return Err(format!("{what}: a UUID that has not 16 octets")),
            },
            0x723 => match from.fixed::<8>(what)? {
                [0, 0, mac @ ..] => Value::Mac(mac),
                other => return Err(format!("{what}: a MAC address {other:02x?}")),
            },
            0x827 => match from.opaque(what)? {
                &[a, b, c, d] => Value::Address(Ipv4Addr::new(a, b, c, d).into()),
                address if address.len() == 16 => Value::Address(ipv6(address)),
                other => return Err(format!("{what}: an address of {} octets", other.len())),
            },
            other => return Err(format!("{what}: no type has the number {other:#x}")),
        })
    }

    pub fn as_text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    pub fn as_u64(&self) -> u64 {
        match self {
            Value::Unsigned(number) => *number,
            Value::Signed(number) | Value::Time(number) => (*number).try_into().unwrap(),
            other => panic!("{other:?} is no number"),
        }
    }
}

fn ipv6(octets: &[u8]) -> IpAddr {
    let octets: [u8; 16] = octets.try_into().unwrap();
    Ipv6Addr::from(octets).into()
}

/// A record by the fields that are switched on. It has to be consumed exactly.
pub fn read_record(fields: &[Field], record: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let mut octets = Octets(record);
    let values = fields
        .iter()
        .filter(|field| field.is_enabled)
        .map(|field| {
            Ok((
                field.name.clone(),
                Value::read(field.type_id, &field.name, &mut octets)?,
            ))
        })
        .collect::<Result<_, String>>()?;
    octets.end("record")?;
    Ok(values)
}

/// Whether a record can be read; the same without keeping the values.
pub fn check_record(fields: &[Field], record: &[u8]) -> Result<(), String> {
    let mut octets = Octets(record);
    for field in fields.iter().filter(|field| field.is_enabled) {
        Value::read(field.type_id, &field.name, &mut octets)?;
    }
    octets.end("record")
}
