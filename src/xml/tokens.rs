//! XML as its readers need it: elements with resolved names, text with resolved references, and nothing else.
//!
//! quick-xml splits the octets; this module adds what it leaves to its callers: namespaces, the rules of
//! well-formedness that it does not check, limits, and the place of each error.

use std::io::{self, BufRead};
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;

use super::bounded::{Bounded, Place};
use super::limits::{Limits, ReadError};
use super::text::{clip, clip_to, is_space};
use crate::record::forbidden_character;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Which names may stand in the XML, and whether errors may quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Elements of this namespace, attributes without one.
    Only(&'static str),
    /// Elements of any namespace or none, by their local names; attributes of other namespaces are passed over. Errors
    /// quote nothing, as passwords may stand anywhere in it.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// An element of the vocabulary begins: its name is [`Tokens::name`], its attributes [`Tokens::attributes`].
    /// An empty element begins and ends.
    Start,
    End,
    /// All text up to the next start or end, in [`Tokens::text`].
    Text,
    Eof,
}

#[derive(Debug)]
pub(crate) struct Tokens<R> {
    xml: NsReader<Bounded<R>>,
    limits: Limits,
    vocabulary: Vocabulary,
    event: Vec<u8>,
    /// What was read behind a text.
    waiting: Option<(Token, Place)>,
    begun: bool,
    has_root: bool,
    depth: usize,
    place: Place,
    io_error: Option<Arc<io::Error>>,
    pub name: String,
    /// Attributes without a prefix by their name, those of the schema instance namespace with `xsi:` before it.
    pub attributes: Vec<(String, String)>,
    pub text: String,
}

impl<R: BufRead> Tokens<R> {
    pub(crate) fn new(input: R, limits: Limits, vocabulary: Vocabulary) -> Self {
        let mut xml = NsReader::from_reader(Bounded::new(input));
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Tokens {
            xml,
            limits,
            vocabulary,
            event: Vec::new(),
            waiting: None,
            begun: false,
            has_root: false,
            depth: 0,
            place: Place { line: 1, column: 1 },
            io_error: None,
            name: String::new(),
            attributes: Vec::new(),
            text: String::new(),
        }
    }

    /// Where the last token begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Octets read so far: up to the end of the last token, unless that is a text.
    pub(crate) fn octets(&self) -> u64 {
        self.xml.get_ref().octets()
    }

    pub(crate) fn into_input(self) -> R {
        self.xml.into_inner().into_inner()
    }

    /// The input's own error, if it was that which made the last call fail.
    pub(crate) fn take_io_error(&mut self) -> Option<io::Error> {
        let error = self.io_error.take()?;
        Some(Arc::try_unwrap(error).unwrap_or_else(|error| io::Error::new(error.kind(), error)))
    }

    /// An error at the last token.
    pub(crate) fn error(&self, message: impl Into<String>) -> ReadError {
        ReadError::at(self.place, message)
    }

    /// The next token; comments and processing instructions are passed over.
    pub(crate) fn next(&mut self) -> Result<Token, ReadError> {
        if let Some((token, place)) = self.waiting.take() {
            self.place = place;
            return Ok(token);
        }
        self.text.clear();
        let mut text_begin = None;
        loop {
            let before = self.xml.get_ref().place();
            self.place = before;
            let texts = self.text.len();
            match self.event()? {
                Some(Token::Text) => {
                    if self.text.len() > self.limits.text {
                        return Err(self.error(format!("a text has more than {} octets", self.limits.text)));
                    }
                    if self.text.len() > texts {
                        text_begin.get_or_insert(before);
                    }
                }
                Some(token) => {
                    let Some(begin) = text_begin else { return Ok(token) };
                    self.waiting = Some((token, before));
                    self.place = begin;
                    return Ok(Token::Text);
                }
                None => {}
            }
        }
    }

    /// One event of the parser. [`Token::Text`] when something was appended to the text; [`None`] for what is passed
    /// over.
    fn event(&mut self) -> Result<Option<Token>, ReadError> {
        self.event.clear();
        // Some octets more than the limits, so that what is over a limit is refused with the limit's own message.
        self.xml
            .get_mut()
            .allow(self.limits.text.max(self.limits.tag).saturating_add(64));
        let place = self.place;
        let refused = |message: String| ReadError::at(place, message);
        let event = match self.xml.read_event_into(&mut self.event) {
            Ok(event) => event,
            Err(error) => {
                let exhausted = self.xml.get_ref().is_exhausted();
                return Err(self.parser_error(error, exhausted));
            }
        };
        let first = !std::mem::replace(&mut self.begun, true);
        match event {
            Event::Start(tag) => {
                if tag.len() > self.limits.tag {
                    return Err(refused(format!(
                        "an element with its attributes has more than {} octets",
                        self.limits.tag
                    )));
                }
                if self.depth == 0 && std::mem::replace(&mut self.has_root, true) {
                    return Err(refused("something stands behind the document".to_owned()));
                }
                self.depth += 1;
                if self.depth > self.limits.depth {
                    return Err(refused(format!(
                        "elements are nested deeper than {}",
                        self.limits.depth
                    )));
                }
                let (namespace, name) = self.xml.resolver().resolve_element(tag.name());
                let name = name.into_inner();
                match (namespace, self.vocabulary) {
                    (ResolveResult::Unknown(prefix), vocabulary) => {
                        return Err(refused(format!(
                            "the prefix {} is not declared",
                            vocabulary.shown(&prefix)
                        )));
                    }
                    (_, Vocabulary::Any) => {}
                    (ResolveResult::Bound(namespace), Vocabulary::Only(expected))
                        if is(namespace.as_ref(), expected) => {}
                    (_, Vocabulary::Only(expected)) => {
                        return Err(refused(format!(
                            "the element {} is not in the namespace {expected}",
                            clip(name)
                        )));
                    }
                }
                self.name.clear();
                self.name.push_str(name);
                self.attributes.clear();
                attributes(&tag, self.xml.resolver(), self.vocabulary, &mut self.attributes).map_err(refused)?;
                Ok(Some(Token::Start))
            }
            Event::End(_) => {
                // The parser has refused an end without a start.
                self.depth -= 1;
                Ok(Some(Token::End))
            }
            Event::Text(text) => {
                if text.contains("]]>") {
                    return Err(refused("]]> stands in a text".to_owned()));
                }
                // The parser takes a byte order mark away, unless it comes in single octets.
                if first && &*text == "\u{FEFF}" {
                    self.begun = false;
                    return Ok(None);
                }
                self.text.push_str(&text.xml10_content());
                Ok(Some(Token::Text))
            }
            Event::GeneralRef(reference) => {
                if self.depth == 0 {
                    return Err(refused("a reference stands outside of the document element".to_owned()));
                }
                let vocabulary = self.vocabulary;
                let unknown = || refused(format!("the reference &{}; is not known", vocabulary.shown(&reference)));
                if reference.is_char_ref() {
                    let character = reference.resolve_char_ref().ok().flatten().ok_or_else(unknown)?;
                    self.text.push(character);
                } else {
                    self.text.push_str(resolve_xml_entity(&reference).ok_or_else(unknown)?);
                }
                Ok(Some(Token::Text))
            }
            Event::CData(_) if self.depth == 0 => Err(refused(
                "a CDATA section stands outside of the document element".to_owned(),
            )),
            Event::CData(data) => {
                self.text.push_str(&data.xml10_content());
                Ok(Some(Token::Text))
            }
            Event::Decl(declaration) => {
                if !first {
                    return Err(refused(
                        "the XML declaration does not stand at the beginning".to_owned(),
                    ));
                }
                check_declaration(&declaration).map_err(refused)?;
                Ok(None)
            }
            Event::Comment(comment) => only_xml_characters(&comment).map_err(refused).map(|()| None),
            Event::PI(instruction) => {
                if !is_name(instruction.target()) || instruction.target().eq_ignore_ascii_case("xml") {
                    return Err(refused("a processing instruction has no name of its own".to_owned()));
                }
                only_xml_characters(&instruction).map_err(refused).map(|()| None)
            }
            Event::DocType(_) => Err(refused("a document type declaration is not allowed".to_owned())),
            Event::Empty(_) => unreachable!("empty elements are expanded"),
            Event::Eof => Ok(Some(Token::Eof)),
        }
    }

    fn parser_error(&mut self, error: Error, exhausted: bool) -> ReadError {
        match error {
            Error::Io(_) if exhausted => {
                let limit = self.limits.text.max(self.limits.tag);
                self.error(format!("a text, a comment or an element has more than {limit} octets"))
            }
            Error::Io(error) => {
                let refused = ReadError {
                    io: Some(error.kind()),
                    ..ReadError::at(self.xml.get_ref().place(), format!("reading failed: {error}"))
                };
                self.io_error = Some(error);
                refused
            }
            Error::Encoding(_) => self.error("the text from here on is not UTF-8"),
            error => self.error(self.vocabulary.parser_message(&error)),
        }
    }
}

impl Vocabulary {
    /// As much of `text` as an error may show.
    fn shown(self, text: &str) -> String {
        match self {
            Vocabulary::Only(_) => clip(text),
            Vocabulary::Any => "…".to_owned(),
        }
    }

    fn parser_message(self, error: &Error) -> String {
        match (self, error) {
            (Vocabulary::Any, Error::IllFormed(IllFormedError::MissingEndTag(_))) => {
                "an element has no end tag".to_owned()
            }
            (
                Vocabulary::Any,
                Error::IllFormed(IllFormedError::UnmatchedEndTag(_) | IllFormedError::MismatchedEndTag { .. }),
            ) => "an end tag is not that of the element that is open".to_owned(),
            (Vocabulary::Any, Error::IllFormed(IllFormedError::MissingDeclVersion(_))) => {
                "the XML declaration has no version".to_owned()
            }
            (Vocabulary::Any, Error::Escape(_)) => "a reference is not known".to_owned(),
            (Vocabulary::Any, Error::Namespace(_)) => "a namespace is not declared as it must be".to_owned(),
            // What the parser quotes of the document may be long.
            _ => clip_to(&error.to_string(), 200),
        }
    }
}

/// Namespaces are compared without regard to case: releases 3.1 and 3.5 differ in it.
fn is(namespace: &str, expected: &str) -> bool {
    namespace.eq_ignore_ascii_case(expected)
}

/// Collects the attributes that count.
fn attributes(
    tag: &BytesStart<'_>,
    resolver: &NamespaceResolver,
    vocabulary: Vocabulary,
    into: &mut Vec<(String, String)>,
) -> Result<(), String> {
    let raw = tag.attributes_raw();
    if raw.trim_matches(is_space).is_empty() {
        return Ok(());
    }
    if !attributes_are_apart(raw) {
        return Err("there is no white space between two attributes".to_owned());
    }
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| clip_to(&error.to_string(), 200))?;
        if attribute.value.contains('<') {
            return Err("the character < stands in an attribute".to_owned());
        }
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|error| vocabulary.parser_message(&error))?;
        only_xml_characters(&value)?;
        let name = attribute.key;
        if !name.into_inner().splitn(2, ':').all(is_name) {
            return Err(format!(
                "{:?} is no name of an attribute",
                vocabulary.shown(name.into_inner())
            ));
        }
        if matches!(
            name.as_namespace_binding(),
            Some(PrefixDeclaration::Default | PrefixDeclaration::Named(_))
        ) {
            continue;
        }
        let key = match resolver.resolve_attribute(name) {
            _ if name.prefix().is_none() => name.into_inner().to_owned(),
            (ResolveResult::Bound(namespace), name) if namespace.as_ref() == XSI => {
                format!("xsi:{}", name.into_inner())
            }
            (ResolveResult::Bound(_), _) if vocabulary == Vocabulary::Any => continue,
            _ => {
                return Err(format!(
                    "the attribute {} is not known",
                    vocabulary.shown(name.into_inner())
                ));
            }
        };
        if into.iter().any(|(other, _)| *other == key) {
            return Err(format!("the attribute {} is repeated", vocabulary.shown(&key)));
        }
        into.push((key, value.into_owned()));
    }
    Ok(())
}

/// A name without a colon, as the production `NCName` of Namespaces in XML has it.
fn is_name(name: &str) -> bool {
    let begins = |c: char| {
        matches!(c, 'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
            | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
            | '\u{10000}'..='\u{EFFFF}')
    };
    let goes_on = |c| matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}');
    name.starts_with(begins) && name.chars().all(|c| begins(c) || goes_on(c))
}

/// White space must stand between the end of a value and the next name; the parser does not insist.
fn attributes_are_apart(raw: &str) -> bool {
    let mut rest = raw;
    while let Some(open) = rest.find(['"', '\'']) {
        let quote = char::from(rest.as_bytes()[open]);
        let Some(length) = rest[open + 1..].find(quote) else {
            return false;
        };
        rest = &rest[open + 1 + length + 1..];
        if !rest.is_empty() && !rest.starts_with(is_space) {
            return false;
        }
    }
    true
}

/// `version`, then perhaps `encoding`, then perhaps `standalone` (XML 1.0, section 2.8).
fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), String> {
    const NAMES: [&str; 3] = ["version", "encoding", "standalone"];
    let wrong = || "the XML declaration is not well-formed".to_owned();
    let content: &str = declaration;
    if !attributes_are_apart(content) {
        return Err(wrong());
    }
    let mut expected = 0;
    for attribute in Attributes::new(content, "xml".len()) {
        let attribute = attribute.map_err(|_| wrong())?;
        let name = attribute.key.into_inner();
        let position = NAMES.iter().position(|known| *known == name).ok_or_else(wrong)?;
        if position < expected || (expected == 0 && position > 0) {
            return Err(wrong());
        }
        expected = position + 1;
        let value = &*attribute.value;
        let is_known = match position {
            0 => value == "1.0",
            1 => is(value, "UTF-8") || is(value, "US-ASCII"),
            _ => matches!(value, "yes" | "no"),
        };
        if !is_known {
            let value = clip(value);
            return Err(match position {
                0 => format!("XML {value} is not known, only XML 1.0"),
                1 => format!("the encoding {value} is not known, only UTF-8"),
                _ => wrong(),
            });
        }
    }
    if expected == 0 { Err(wrong()) } else { Ok(()) }
}

fn only_xml_characters(text: &str) -> Result<(), String> {
    forbidden_character(text).map_or(Ok(()), |error| Err(error.to_string()))
}
