//! A SOAP request as the service reads it: version, operation, and the texts of the operation's elements.

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const AXL: &str = "http://www.cisco.com/AXL/API/";

pub struct Call {
    pub version: String,
    pub operation: String,
    /// Path below the operation (`searchCriteria/userId`) and text.
    fields: Vec<(String, String)>,
    /// The operation's element as a document of its own, for the schema.
    pub document: Vec<u8>,
}

impl Call {
    pub fn read(body: &[u8]) -> Result<Call, String> {
        let mut reading = Reading::default();
        let mut xml = NsReader::from_reader(body);
        xml.config_mut().expand_empty_elements = true;
        loop {
            let before = xml.buffer_position() as usize;
            let event = xml.read_event().map_err(|error| format!("not well-formed: {error}"))?;
            let after = xml.buffer_position() as usize;
            match event {
                Event::Start(element) => {
                    let (resolved, local) = xml.resolver().resolve_element(element.name());
                    let namespace = match resolved {
                        ResolveResult::Bound(Namespace(name)) => name.to_owned(),
                        ResolveResult::Unbound => String::new(),
                        ResolveResult::Unknown(_) => return Err("an undeclared prefix".into()),
                    };
                    let local = local.as_ref().to_owned();
                    reading.start(&element, &namespace, local, before)?;
                }
                Event::End(_) => reading.end(body, before, after),
                Event::Text(text) => reading.text.push_str(&text),
                Event::CData(text) => reading.text.push_str(&text),
                Event::GeneralRef(reference) => {
                    let resolved = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(character) => character,
                        None => named(&reference)?,
                    };
                    reading.text.push(resolved);
                }
                Event::DocType(_) => return Err("a document type".into()),
                Event::Eof => return reading.finish(),
                _ => {}
            }
        }
    }

    pub fn field(&self, path: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(of, _)| of == path)?;
        Some(&found.1)
    }

    pub fn has(&self, path: &str) -> bool {
        self.field(path).is_some()
    }
}

#[derive(Default)]
struct Reading {
    /// Local names from the envelope on.
    path: Vec<String>,
    /// Namespace declarations of envelope and body.
    declared: Vec<(String, String)>,
    version: String,
    operation: String,
    begin: usize,
    document: Vec<u8>,
    fields: Vec<(String, String)>,
    text: String,
}

impl Reading {
    fn start(&mut self, element: &BytesStart, namespace: &str, local: String, begin: usize) -> Result<(), String> {
        self.text.clear();
        match (self.path.as_slice(), local.as_str()) {
            ([], "Envelope") | ([_], "Header" | "Body") if namespace == SOAP => self.declare(element)?,
            ([], _) | ([_], _) => return Err(format!("{local} of {namespace:?} instead of a SOAP 1.1 envelope")),
            ([_, header], _) if header == "Header" => {}
            ([_, _], _) => {
                if !self.operation.is_empty() {
                    return Err("more than one operation".into());
                }
                let version = namespace.strip_prefix(AXL);
                self.version = version.ok_or(format!("{local} is not of AXL's namespace"))?.to_owned();
                self.operation = local.clone();
                self.begin = begin;
            }
            _ if self.in_operation() && !namespace.is_empty() => {
                return Err(format!("{local} is of a namespace, and must not be"));
            }
            _ => {}
        }
        self.path.push(local);
        Ok(())
    }

    fn in_operation(&self) -> bool {
        !self.operation.is_empty() && self.path.get(1).is_some_and(|name| name == "Body")
    }

    fn declare(&mut self, element: &BytesStart) -> Result<(), String> {
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let name = attribute.key.as_ref().to_owned();
            if name == "xmlns" || name.starts_with("xmlns:") {
                let value = attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_err(|error| error.to_string())?;
                self.declared.retain(|(of, _)| *of != name);
                self.declared.push((name, value.into_owned()));
            }
        }
        Ok(())
    }

    fn end(&mut self, body: &[u8], before: usize, after: usize) {
        if self.in_operation() {
            match self.path.len() {
                3 => self.document = self.standing_alone(&body[self.begin..after.max(before)]),
                4.. => self
                    .fields
                    .push((self.path[3..].join("/"), std::mem::take(&mut self.text))),
                _ => {}
            }
        }
        self.path.pop();
        self.text.clear();
    }

    /// The element with the declarations of what was around it.
    fn standing_alone(&self, element: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(element);
        let name_end = text
            .find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
            .unwrap_or(0);
        let tag_end = text.find('>').unwrap_or(0);
        let mut document = text[..name_end].to_owned();
        for (name, value) in &self.declared {
            if !text[..tag_end].contains(&format!("{name}=")) {
                document.push_str(&format!(" {name}=\"{value}\""));
            }
        }
        document.push_str(&text[name_end..]);
        document.into()
    }

    fn finish(self) -> Result<Call, String> {
        if !self.path.is_empty() {
            return Err("not well-formed: it ends too early".into());
        }
        if self.operation.is_empty() {
            return Err("no operation".into());
        }
        Ok(Call {
            version: self.version,
            operation: self.operation,
            fields: self.fields,
            document: self.document,
        })
    }
}

fn named(name: &str) -> Result<char, String> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return Err(format!("an undeclared entity {name}")),
    })
}
