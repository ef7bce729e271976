//! The schemas of the records, made from their definitions.

use std::fmt::Write;

use quick_xml::escape::partial_escape;

use super::NAMESPACE;
use crate::record::{Field, Kind, Presence, ServiceDefinition};

/// The schema (XML Schema 1.0) of one kind of record, for the file `contrib/schema/` + `definition.schema`. It
/// includes `IPDRDoc.xsd`, where the types of IPDR stand.
pub fn schema(definition: &ServiceDefinition) -> String {
    let mut out = String::new();
    let mut line = |depth: usize, text: &str| {
        let _ = writeln!(out, "{:indent$}{text}", "", indent = 2 * depth);
    };
    line(0, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    line(
        0,
        "<!-- Made from the service definition in src/record/. Do not edit. -->",
    );
    line(0, "<xsd:schema xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"");
    line(2, &format!("xmlns:ipdr=\"{NAMESPACE}\""));
    line(2, &format!("targetNamespace=\"{NAMESPACE}\""));
    line(
        2,
        "elementFormDefault=\"qualified\" attributeFormDefault=\"unqualified\">",
    );
    line(1, "<xsd:include schemaLocation=\"IPDRDoc.xsd\"/>");
    line(1, &format!("<xsd:complexType name=\"{}\">", definition.name));
    documentation(&mut line, 2, definition.doc);
    line(2, "<xsd:complexContent>");
    line(3, "<xsd:extension base=\"ipdr:IPDRType\">");
    sequence(&mut line, 4, definition.fields);
    line(3, "</xsd:extension>");
    line(2, "</xsd:complexContent>");
    line(1, "</xsd:complexType>");
    line(0, "</xsd:schema>");
    out
}

fn sequence(line: &mut impl FnMut(usize, &str), depth: usize, fields: &[Field]) {
    line(depth, "<xsd:sequence>");
    for field in fields {
        element(line, depth + 1, field);
    }
    line(depth, "</xsd:sequence>");
}

fn element(line: &mut impl FnMut(usize, &str), depth: usize, field: &Field) {
    let is_structs = matches!(field.kind, Kind::Structs(_));
    let mut occurs = String::new();
    if field.presence == Presence::Optional {
        occurs.push_str(" minOccurs=\"0\"");
    }
    if is_structs {
        occurs.push_str(" maxOccurs=\"unbounded\"");
    }
    line(depth, &format!("<xsd:element name=\"{}\"{occurs}>", field.name));
    documentation(line, depth + 1, field.doc);
    match field.kind {
        Kind::Structs(children) => {
            line(depth + 1, "<xsd:complexType>");
            sequence(line, depth + 2, children);
            line(depth + 1, "</xsd:complexType>");
        }
        // An empty text is a text, an empty list is a list. Of the others none is empty.
        kind if field.presence == Presence::EmptyWhenAbsent && !matches!(kind, Kind::Text { .. } | Kind::List(_)) => {
            line(depth + 1, "<xsd:simpleType>");
            line(depth + 2, "<xsd:union memberTypes=\"ipdr:empty\">");
            simple_type(line, depth + 3, &kind);
            line(depth + 2, "</xsd:union>");
            line(depth + 1, "</xsd:simpleType>");
        }
        kind => simple_type(line, depth + 1, &kind),
    }
    line(depth, "</xsd:element>");
}

fn simple_type(line: &mut impl FnMut(usize, &str), depth: usize, kind: &Kind) {
    line(depth, "<xsd:simpleType>");
    match kind {
        Kind::List(kind) => {
            line(depth + 1, "<xsd:list>");
            simple_type(line, depth + 2, kind);
            line(depth + 1, "</xsd:list>");
        }
        Kind::Text { max_chars } => {
            line(depth + 1, "<xsd:restriction base=\"xsd:string\">");
            line(depth + 2, &format!("<xsd:maxLength value=\"{max_chars}\"/>"));
            line(depth + 1, "</xsd:restriction>");
        }
        Kind::HexBinary { max_octets } => {
            line(depth + 1, "<xsd:restriction base=\"xsd:hexBinary\">");
            line(depth + 2, &format!("<xsd:maxLength value=\"{max_octets}\"/>"));
            line(depth + 1, "</xsd:restriction>");
        }
        Kind::Enum(codes) => {
            line(depth + 1, "<xsd:restriction base=\"xsd:string\">");
            for (code, token) in *codes {
                line(depth + 2, &format!("<xsd:enumeration value=\"{token}\">"));
                documentation(line, depth + 3, &format!("Code {code}."));
                line(depth + 2, "</xsd:enumeration>");
            }
            line(depth + 1, "</xsd:restriction>");
        }
        kind => line(depth + 1, &format!("<xsd:restriction base=\"{}\"/>", base(kind))),
    }
    line(depth, "</xsd:simpleType>");
}

fn base(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "xsd:boolean",
        Kind::Int => "xsd:int",
        Kind::UnsignedInt => "xsd:unsignedInt",
        Kind::UnsignedLong => "xsd:unsignedLong",
        Kind::Decimal => "ipdr:decimal",
        Kind::DateTimeMsec => "ipdr:dateTimeMsec",
        Kind::MacAddress => "ipdr:macAddress",
        Kind::Ipv4Addr => "ipdr:ipV4Addr",
        Kind::Ipv6Addr => "ipdr:ipV6Addr",
        Kind::Uuid => "ipdr:uuid",
        Kind::DateTime => "ipdr:dateTimeMsec",
        // They are written out where they stand.
        Kind::Text { .. } | Kind::HexBinary { .. } | Kind::Enum(_) | Kind::List(_) | Kind::Structs(_) => "xsd:string",
    }
}

fn documentation(line: &mut impl FnMut(usize, &str), depth: usize, text: &str) {
    line(depth, "<xsd:annotation>");
    line(
        depth + 1,
        &format!(
            "<xsd:documentation xml:lang=\"en\">{}</xsd:documentation>",
            partial_escape(text)
        ),
    );
    line(depth, "</xsd:annotation>");
}
