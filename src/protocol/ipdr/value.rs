//! Types and values of record fields on the wire (IPDR/XDR 3.5.1), and records read by their template.
//!
//! An IPv6 address has been written in three ways: length and sixteen octets (as everybody does now), sixteen octets alone
//! (the reference exporter of 2005), four zero octets and sixteen (a file writer). A record does not say which; the
//! way by which it comes out even is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::TooLong;
use super::octets::{Defect, Input, put_opaque};
use super::template::FieldDescriptor;

/// The type of a field. The low octet says how it is written, the next one what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Type {
    Int = 0x21,
    UnsignedInt = 0x22,
    Long = 0x23,
    UnsignedLong = 0x24,
    Float = 0x25,
    Double = 0x26,
    /// Also base64Binary.
    HexBinary = 0x27,
    String = 0x28,
    Boolean = 0x29,
    Byte = 0x2a,
    UnsignedByte = 0x2b,
    Short = 0x2c,
    UnsignedShort = 0x2d,
    DateTime = 0x122,
    DateTimeMsec = 0x224,
    Ipv4Addr = 0x322,
    Ipv6Addr = 0x427,
    Uuid = 0x527,
    DateTimeUsec = 0x623,
    MacAddress = 0x723,
    /// Of either version.
    IpAddr = 0x827,
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum XdrValue {
    Int(i32),
    UnsignedInt(u32),
    Long(i64),
    UnsignedLong(u64),
    Float(f32),
    Double(f64),
    HexBinary(Vec<u8>),
    String(String),
    Boolean(bool),
    Byte(i8),
    UnsignedByte(u8),
    Short(i16),
    UnsignedShort(u16),
    /// Seconds since 1970.
    DateTime(u32),
    /// Milliseconds since 1970.
    DateTimeMsec(u64),
    Ipv4Addr(Ipv4Addr),
    /// [`None`]: length 0.
    Ipv6Addr(Option<Ipv6Addr>),
    /// An IPv6 address that was written as text.
    Ipv6Text(String),
    Uuid([u8; 16]),
    /// Microseconds since 1970.
    DateTimeUsec(i64),
    MacAddress([u8; 6]),
    /// [`None`]: length 0.
    IpAddr(Option<IpAddr>),
}

impl Type {
    const ALL: [Type; 21] = [
        Type::Int,
        Type::UnsignedInt,
        Type::Long,
        Type::UnsignedLong,
        Type::Float,
        Type::Double,
        Type::HexBinary,
        Type::String,
        Type::Boolean,
        Type::Byte,
        Type::UnsignedByte,
        Type::Short,
        Type::UnsignedShort,
        Type::DateTime,
        Type::DateTimeMsec,
        Type::Ipv4Addr,
        Type::Ipv6Addr,
        Type::Uuid,
        Type::DateTimeUsec,
        Type::MacAddress,
        Type::IpAddr,
    ];

    pub fn id(self) -> u32 {
        self as u32
    }

    /// [`None`] for structures, arrays and what is not known.
    pub fn of(id: u32) -> Option<Type> {
        Type::ALL.into_iter().find(|known| known.id() == id)
    }
}

/// Reads a record: a value for each field that its template has switched on.
///
/// # Errors
/// When the octets do not come out even, or a field has an unknown type.
pub fn read_record(fields: &[FieldDescriptor], record: &[u8]) -> Result<Vec<XdrValue>, Defect> {
    let first = read_as(fields, record, Ipv6Form::Counted);
    if first.is_ok() || !fields.iter().any(|field| field.type_id == Type::Ipv6Addr.id()) {
        return first;
    }
    let [raw, zero] = [Ipv6Form::Raw, Ipv6Form::AfterZeros].map(|form| read_as(fields, record, form));
    raw.or(zero).or(first)
}

#[derive(Clone, Copy)]
enum Ipv6Form {
    Counted,
    Raw,
    AfterZeros,
}

fn read_as(fields: &[FieldDescriptor], record: &[u8], form: Ipv6Form) -> Result<Vec<XdrValue>, Defect> {
    let mut input = Input::new(record);
    let mut values = Vec::new();
    for field in fields.iter().filter(|field| field.is_enabled) {
        let kind = Type::of(field.type_id).ok_or(Defect::Type(field.type_id))?;
        values.push(match (kind, form) {
            (Type::Ipv6Addr, Ipv6Form::Raw) => raw_ipv6(&mut input)?,
            (Type::Ipv6Addr, Ipv6Form::AfterZeros) => {
                input.take(4, "ipV6Addr")?;
                raw_ipv6(&mut input)?
            }
            (kind, _) => read_value(kind, &mut input)?,
        });
    }
    match input.left() {
        0 => Ok(values),
        left => Err(Defect::LeftOver(left)),
    }
}

fn raw_ipv6(input: &mut Input<'_>) -> Result<XdrValue, Defect> {
    let octets: [u8; 16] = input.array("ipV6Addr")?;
    Ok(XdrValue::Ipv6Addr(Some(octets.into())))
}

/// Reads one value.
pub fn read_value(kind: Type, input: &mut Input<'_>) -> Result<XdrValue, Defect> {
    Ok(match kind {
        Type::Int => XdrValue::Int(i32::from_be_bytes(input.array("int")?)),
        Type::UnsignedInt => XdrValue::UnsignedInt(input.u32("unsignedInt")?),
        Type::Long => XdrValue::Long(i64::from_be_bytes(input.array("long")?)),
        Type::UnsignedLong => XdrValue::UnsignedLong(input.u64("unsignedLong")?),
        Type::Float => XdrValue::Float(f32::from_be_bytes(input.array("float")?)),
        Type::Double => XdrValue::Double(f64::from_be_bytes(input.array("double")?)),
        Type::HexBinary => XdrValue::HexBinary(input.opaque("hexBinary")?.to_vec()),
        Type::String => XdrValue::String(input.text("string")?),
        Type::Boolean => XdrValue::Boolean(input.boolean("boolean")?),
        Type::Byte => XdrValue::Byte(i8::from_be_bytes(input.array("byte")?)),
        Type::UnsignedByte => XdrValue::UnsignedByte(input.u8("unsignedByte")?),
        Type::Short => XdrValue::Short(i16::from_be_bytes(input.array("short")?)),
        Type::UnsignedShort => XdrValue::UnsignedShort(input.u16("unsignedShort")?),
        Type::DateTime => XdrValue::DateTime(input.u32("dateTime")?),
        Type::DateTimeMsec => XdrValue::DateTimeMsec(input.u64("dateTimeMsec")?),
        Type::Ipv4Addr => XdrValue::Ipv4Addr(input.array::<4>("ipV4Addr")?.into()),
        Type::Ipv6Addr => counted_ipv6(input.opaque("ipV6Addr")?),
        Type::Uuid => {
            let octets = input.opaque("uuid")?;
            XdrValue::Uuid(octets.try_into().map_err(|_| wrong_length("uuid", octets, "16"))?)
        }
        Type::DateTimeUsec => XdrValue::DateTimeUsec(i64::from_be_bytes(input.array("dateTimeUsec")?)),
        Type::MacAddress => {
            let [_, _, a, b, c, d, e, f] = input.array("macAddress")?;
            XdrValue::MacAddress([a, b, c, d, e, f])
        }
        Type::IpAddr => {
            let octets = input.opaque("ipAddr")?;
            let address = if let Ok(octets) = <[u8; 4]>::try_from(octets) {
                Some(IpAddr::from(octets))
            } else if let Ok(octets) = <[u8; 16]>::try_from(octets) {
                Some(IpAddr::from(octets))
            } else if octets.is_empty() {
                None
            } else {
                return Err(wrong_length("ipAddr", octets, "4, 16 or none"));
            };
            XdrValue::IpAddr(address)
        }
    })
}

fn counted_ipv6(octets: &[u8]) -> XdrValue {
    if octets.is_empty() {
        return XdrValue::Ipv6Addr(None);
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => XdrValue::Ipv6Addr(Some(octets.into())),
        Err(_) => {
            let text = String::from_utf8_lossy(octets).into_owned();
            text.parse()
                .map_or(XdrValue::Ipv6Text(text), |address| XdrValue::Ipv6Addr(Some(address)))
        }
    }
}

#[cold]
fn wrong_length(what: &'static str, octets: &[u8], expected: &'static str) -> Defect {
    Defect::WrongLength {
        what,
        length: octets.len() as u32,
        expected,
    }
}

impl XdrValue {
    /// Appends the value as the specification has it.
    pub fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            XdrValue::Int(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::UnsignedInt(value) | XdrValue::DateTime(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::Long(value) | XdrValue::DateTimeUsec(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::UnsignedLong(value) | XdrValue::DateTimeMsec(value) => {
                out.extend_from_slice(&value.to_be_bytes());
            }
            XdrValue::Float(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::Double(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::HexBinary(octets) => put_opaque(out, octets)?,
            XdrValue::String(text) | XdrValue::Ipv6Text(text) => put_opaque(out, text.as_bytes())?,
            XdrValue::Boolean(value) => out.push((*value).into()),
            XdrValue::Byte(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::UnsignedByte(value) => out.push(*value),
            XdrValue::Short(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::UnsignedShort(value) => out.extend_from_slice(&value.to_be_bytes()),
            XdrValue::Ipv4Addr(address) => out.extend_from_slice(&address.octets()),
            XdrValue::Ipv6Addr(None) | XdrValue::IpAddr(None) => put_opaque(out, &[])?,
            XdrValue::Ipv6Addr(Some(address)) | XdrValue::IpAddr(Some(IpAddr::V6(address))) => {
                put_opaque(out, &address.octets())?;
            }
            XdrValue::IpAddr(Some(IpAddr::V4(address))) => put_opaque(out, &address.octets())?,
            XdrValue::Uuid(octets) => put_opaque(out, octets)?,
            XdrValue::MacAddress(octets) => {
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(octets);
            }
        }
        Ok(())
    }
}
