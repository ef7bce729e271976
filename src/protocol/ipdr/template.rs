//! Templates: which fields a record has, in which order, of which types. Ours are made from service definitions.

use super::octets::{Defect, Input, put_count, put_opaque};
use super::{TooLong, Type};
use crate::record::{Field, Kind, ServiceDefinition};

/// A template as it stands in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub template_id: u16,
    /// Where the schema is said to be.
    pub schema_name: String,
    /// The name of the service definition; vendors differ.
    pub type_name: String,
    pub fields: Vec<FieldDescriptor>,
}

/// One field. The order of the descriptors is the order of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDescriptor {
    /// A [`Type`], or something that we do not know.
    pub type_id: u32,
    pub field_id: u32,
    pub name: String,
    /// A field that is switched off has no value in DATA.
    pub is_enabled: bool,
}

/// The names that vendors do not agree on. No collector was seen to check them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateNames {
    pub schema_name: String,
    pub type_name: String,
}

/// A template that cannot be made of a definition, or is not one of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field} of {definition} cannot be sent by IPDR/SP: {reason}")]
pub struct NotStreamable {
    pub definition: &'static str,
    pub field: String,
    pub reason: &'static str,
}

/// The smallest template: no names, no fields.
pub(super) const SMALLEST_TEMPLATE: usize = 2 + 4 + 4 + 4;
/// The smallest field: no name.
const SMALLEST_FIELD: usize = 4 + 4 + 4 + 1;

impl TemplateNames {
    /// The name of the definition, and for SAMIS a schema at CableLabs, as the CMTS that was seen has them. The minor
    /// number of that schema is a guess.
    pub fn of(definition: &ServiceDefinition) -> TemplateNames {
        let name = definition.name;
        let schema_name = if name.starts_with("DOCSIS-SAMIS-") {
            format!("http://www.cablelabs.com/namespaces/DOCSIS/3.0/xsd/ipdr/{name}/{name}_3.5.1-A.1.xsd")
        } else {
            definition.schema.to_owned()
        };
        TemplateNames {
            schema_name,
            type_name: name.to_owned(),
        }
    }
}

impl Template {
    /// All fields of `definition`, switched on, with the numbers 1, 2, 3 … and without a namespace before their names, as
    /// a CMTS does it.
    ///
    /// # Errors
    /// When a field is a list of elements.
    pub fn of(
        definition: &'static ServiceDefinition,
        template_id: u16,
        names: TemplateNames,
    ) -> Result<Template, NotStreamable> {
        let descriptor = |(field_id, field): (u32, &Field)| {
            let kind = type_of(&field.kind).ok_or_else(|| NotStreamable {
                definition: definition.name,
                field: field.name.to_owned(),
                reason: "it is a list of elements",
            })?;
            Ok(FieldDescriptor {
                type_id: kind.id(),
                field_id,
                name: field.name.to_owned(),
                is_enabled: true,
            })
        };
        Ok(Template {
            template_id,
            schema_name: names.schema_name,
            type_name: names.type_name,
            fields: (1..).zip(definition.fields).map(descriptor).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn read(input: &mut Input<'_>) -> Result<Template, Defect> {
        let template_id = input.u16("templateId")?;
        let schema_name = input.text("schemaName")?;
        let type_name = input.text("typeName")?;
        let count = input.count(SMALLEST_FIELD, "list of fields")?;
        Ok(Template {
            template_id,
            schema_name,
            type_name,
            fields: (0..count)
                .map(|_| FieldDescriptor::read(input))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.template_id.to_be_bytes());
        put_opaque(out, self.schema_name.as_bytes())?;
        put_opaque(out, self.type_name.as_bytes())?;
        put_count(out, self.fields.len())?;
        self.fields.iter().try_for_each(|field| field.put(out))
    }
}

impl FieldDescriptor {
    fn read(input: &mut Input<'_>) -> Result<FieldDescriptor, Defect> {
        Ok(FieldDescriptor {
            type_id: input.u32("typeId")?,
            field_id: input.u32("fieldId")?,
            name: input.text("fieldName")?,
            is_enabled: input.boolean("isEnabled")?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.type_id.to_be_bytes());
        out.extend_from_slice(&self.field_id.to_be_bytes());
        put_opaque(out, self.name.as_bytes())?;
        out.push(self.is_enabled.into());
        Ok(())
    }
}

/// The type on the wire. Lists are texts, their items separated by a blank as in XML; decimals are the digits as the
/// device wrote them, because a floating-point number would change them.
pub(super) fn type_of(kind: &Kind) -> Option<Type> {
    Some(match kind {
        Kind::Text { .. } | Kind::Decimal => Type::String,
        Kind::Boolean => Type::Boolean,
        Kind::Int | Kind::Enum(_) => Type::Int,
        Kind::UnsignedInt => Type::UnsignedInt,
        Kind::UnsignedLong => Type::UnsignedLong,
        Kind::DateTime => Type::DateTime,
        Kind::DateTimeMsec => Type::DateTimeMsec,
        Kind::HexBinary { .. } => Type::HexBinary,
        Kind::MacAddress => Type::MacAddress,
        Kind::Ipv4Addr => Type::Ipv4Addr,
        Kind::Ipv6Addr => Type::Ipv6Addr,
        Kind::Uuid => Type::Uuid,
        Kind::List(item) => match item {
            Kind::List(_) | Kind::Structs(_) => return None,
            _ => Type::String,
        },
        Kind::Structs(_) => return None,
    })
}
