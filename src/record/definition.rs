//! What a service definition is: the one place where the fields of a kind of record are written down.
//!
//! Everything that shows a record is derived from its [`ServiceDefinition`]: XML elements, XSD, JSON, CSV and
//! table columns, IPDR/SP templates. Nothing else spells a field's name, type or order.

/// One kind of usage record: its IPDR type name, its schema and its fields in the order in which they are written.
#[derive(Debug)]
pub struct ServiceDefinition {
    /// The `xsi:type` of the record, an XML NCName such as `InterfaceUsage-Type`.
    pub name: &'static str,
    /// File name of the XSD below `contrib/schema/`.
    pub schema: &'static str,
    /// What one record of this kind says, in a sentence or two. Becomes the XSD's documentation.
    pub doc: &'static str,
    pub fields: &'static [Field],
}

/// One field of a record, written as one XML element.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Element name as it is written.
    pub name: &'static str,
    /// Other spellings that readers accept: older releases of a CMTS, misprints seen in the field.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub presence: Presence,
    /// Meaning, unit and range. Becomes the XSD's documentation.
    pub doc: &'static str,
}

/// The type of a field, in the terms of IPDR (NDM-U 3.5) where it has one.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text of at most this many characters, XML 1.0 characters only.
    Text {
        max_chars: usize,
    },
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 32 bits, unsigned.
    UnsignedInt,
    /// 64 bits, unsigned; counters.
    UnsignedLong,
    /// Digits as a device wrote them, see [`super::Decimal`].
    Decimal,
    /// `YYYY-MM-DDThh:mm:ssZ`, always UTC, whole seconds.
    DateTime,
    /// `YYYY-MM-DDThh:mm:ss[.mmm]Z`, always UTC.
    DateTimeMsec,
    /// At most this many octets, two hexadecimal digits each.
    HexBinary {
        max_octets: usize,
    },
    /// `00-00-5E-00-53-21`: six octets, upper case, dashes.
    MacAddress,
    /// Dotted decimal.
    Ipv4Addr,
    /// Eight groups of four hexadecimal digits, never shortened.
    Ipv6Addr,
    Uuid,
    /// A code of a fixed list: a token in XML and JSON, the number in binary forms.
    Enum(&'static [(i32, &'static str)]),
    /// Values of one kind, separated by a blank in one element.
    List(&'static Kind),
    /// The element is repeated, once for each item; each item has these fields as child elements.
    Structs(&'static [Field]),
}

/// What is written when a field has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A record without it is refused.
    Required,
    /// The element is left out.
    Optional,
    /// An empty element stands in its place, as a CMTS does it.
    EmptyWhenAbsent,
}

/// There is one definition of each name.
impl PartialEq for ServiceDefinition {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl ServiceDefinition {
    /// The field that is written as `name`, or that readers accept under this name.
    pub fn field(&self, name: &str) -> Option<(usize, &'static Field)> {
        find(self.fields, name)
    }
}

/// Looks a field up by its name or one of its aliases; names are compared exactly.
pub fn find(fields: &'static [Field], name: &str) -> Option<(usize, &'static Field)> {
    fields
        .iter()
        .enumerate()
        .find(|(_, field)| field.name == name || field.aliases.contains(&name))
}

impl Field {
    pub(crate) const fn new(name: &'static str, kind: Kind, presence: Presence, doc: &'static str) -> Self {
        Field {
            name,
            aliases: &[],
            kind,
            presence,
            doc,
        }
    }

    pub(crate) const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}
