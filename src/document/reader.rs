//! Reads documents: ours, and those of a CMTS.
//!
//! What is read was written by somebody else and came over a network: every rule is checked, nothing is guessed, and
//! memory stays bounded whatever the octets are. Lenient is the reader only where equipment in the field is known to
//! differ: other spellings of names, another order of fields, white space around values, the case of the namespace.

use std::io::BufRead;

use chrono::{DateTime, Utc};

use super::{DocId, Header, Limits, NAMESPACE, ReadError, SCHEMA, lexical};
use crate::config::Profile;
use crate::record::{self, Field, Kind, Presence, Record, ServiceDefinition, Text, Value};
use crate::xml::{Place, Token, Tokens, Vocabulary};

/// What the end of a document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Number of records, as written. [`super::verify`] compares it with the records that are there.
    pub count: u64,
    pub end_time: DateTime<Utc>,
}

/// Gives the records of a document one by one.
#[derive(Debug)]
pub struct Reader<R> {
    tokens: Tokens<R>,
    limits: Limits,
    header: Header,
    records: u64,
    end: Option<End>,
    /// Octets up to and including the end tag of the document.
    octets: u64,
    failed: Option<ReadError>,
}

impl<R: BufRead> Reader<R> {
    /// Reads up to the first record.
    ///
    /// # Errors
    /// When this is not the beginning of an IPDRDoc.
    pub fn new(input: R, limits: Limits) -> Result<Self, ReadError> {
        let mut tokens = Tokens::new(input, limits, Vocabulary::Only(NAMESPACE));
        let header = match markup(&mut tokens)? {
            Token::Start if tokens.name == "IPDRDoc" => header(&tokens)?,
            Token::Start => return Err(tokens.error(format!("{} is not an IPDRDoc", lexical::clip(&tokens.name)))),
            _ => return Err(tokens.error("there is no document in it")),
        };
        Ok(Reader {
            tokens,
            limits,
            header,
            records: 0,
            end: None,
            octets: 0,
            failed: None,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record, or [`None`] when the document has been read to the end of the input and was right in itself.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place. The reader says the same again when it is asked again.
    pub fn next_record(&mut self) -> Result<Option<Record>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.end.is_some() {
            return Ok(None);
        }
        let record = self.record_or_end();
        match &record {
            Ok(Some(_)) => self.records += 1,
            Ok(None) => {}
            Err(error) => self.failed = Some(error.clone()),
        }
        record
    }

    /// What the document's end says; [`None`] before [`Reader::next_record`] has returned [`None`].
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Records given so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Octets up to the end of the document's last tag, known together with [`Reader::end`].
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Where the last element begins that was read.
    pub(super) fn place(&self) -> Place {
        self.tokens.place()
    }

    pub(super) fn into_input(self) -> R {
        self.tokens.into_input()
    }

    fn record_or_end(&mut self) -> Result<Option<Record>, ReadError> {
        let tokens = &mut self.tokens;
        match markup(tokens)? {
            Token::Start if tokens.name == "IPDR" => self.record().map(Some),
            Token::Start if tokens.name == "IPDRDoc.End" => {
                self.end = Some(self.document_end()?);
                Ok(None)
            }
            Token::Start => Err(tokens.error(format!(
                "the element {} is not known here: IPDR or IPDRDoc.End is expected",
                lexical::clip(&tokens.name)
            ))),
            Token::End => Err(tokens.error("the document has no IPDRDoc.End")),
            Token::Text | Token::Eof => Err(tokens.error("the input ends within the document: IPDRDoc.End is missing")),
        }
    }

    /// From the start of an `IPDR` to its end.
    fn record(&mut self) -> Result<Record, ReadError> {
        let last_octet = self.tokens.octets().saturating_add(self.limits.record);
        let tokens = &mut self.tokens;
        let mut definition = None;
        for (name, value) in &tokens.attributes {
            match name.as_str() {
                "xsi:type" => definition = Some(find_definition(value).map_err(|message| tokens.error(message))?),
                name if name.starts_with("xsi:") => {}
                name => return Err(unknown_attribute(tokens, name)),
            }
        }
        let definition = definition.ok_or_else(|| tokens.error("the record does not say its xsi:type"))?;
        let values = fields(tokens, definition, definition.name, definition.fields, last_octet)?;
        Ok(Record { definition, values })
    }

    /// From the start of `IPDRDoc.End` to the end of the input.
    fn document_end(&mut self) -> Result<End, ReadError> {
        let tokens = &mut self.tokens;
        let (mut count, mut end_time) = (None, None);
        for (name, value) in &tokens.attributes {
            let refused = |message| tokens.error(format!("{name} of IPDRDoc.End: {message}"));
            match name.as_str() {
                "count" => match lexical::parse(&Kind::UnsignedLong, value).map_err(refused)? {
                    Value::UnsignedLong(number) => count = Some(number),
                    _ => unreachable!("parsed as a number"),
                },
                "endTime" => end_time = Some(time(value).map_err(refused)?),
                name if name.starts_with("xsi:") => {}
                name => return Err(unknown_attribute(tokens, name)),
            }
        }
        let missing = |name| tokens.error(format!("IPDRDoc.End has no {name}"));
        let end = End {
            count: count.ok_or_else(|| missing("count"))?,
            end_time: end_time.ok_or_else(|| missing("endTime"))?,
        };
        if markup(tokens)? != Token::End {
            return Err(tokens.error("IPDRDoc.End must be empty"));
        }
        match markup(tokens)? {
            Token::End => {}
            Token::Eof => return Err(tokens.error("the input ends before the end of the document")),
            _ => return Err(tokens.error("something stands behind IPDRDoc.End")),
        }
        self.octets = tokens.octets();
        match markup(tokens)? {
            Token::Eof => Ok(end),
            _ => Err(tokens.error("something stands behind the document")),
        }
    }
}

/// The next start, end or end of input. Between them only white space may stand.
fn markup<R: BufRead>(tokens: &mut Tokens<R>) -> Result<Token, ReadError> {
    loop {
        match tokens.next()? {
            Token::Text if tokens.text.chars().all(lexical::is_space) => {}
            Token::Text => {
                let text = tokens.text.trim_start_matches(lexical::is_space);
                let mut place = tokens.place();
                place.pass(&tokens.text.as_bytes()[..tokens.text.len() - text.len()]);
                let text = lexical::clip(text.trim_end_matches(lexical::is_space));
                return Err(ReadError::at(
                    place,
                    format!("an element is expected, not the text {text:?}"),
                ));
            }
            token => return Ok(token),
        }
    }
}

fn header<R: BufRead>(tokens: &Tokens<R>) -> Result<Header, ReadError> {
    let (mut doc_id, mut created) = (None, None);
    let mut recorder = Text::default();
    let mut profile = Profile::CiscoSamis;
    for (name, value) in &tokens.attributes {
        let refused = |message: String| tokens.error(format!("{name}: {message}"));
        match name.as_str() {
            "docId" => {
                let parsed = value.trim_matches(lexical::is_space).parse::<DocId>();
                doc_id = Some(parsed.map_err(|error| refused(error.to_string()))?);
            }
            "creationTime" => created = Some(time(value).map_err(refused)?),
            "IPDRRecorderInfo" => recorder = Text::new(value.as_str()).map_err(|error| refused(error.to_string()))?,
            "version" if value.trim_matches(lexical::is_space).starts_with("3.") => {}
            "version" => return Err(refused(format!("IPDR {} is not known, only 3.x", lexical::clip(value)))),
            "xsi:schemaLocation" if value.split(lexical::is_space).any(|location| location == SCHEMA) => {
                profile = Profile::Full;
            }
            name if name.starts_with("xsi:") => {}
            name => return Err(unknown_attribute(tokens, name)),
        }
    }
    let missing = |name| tokens.error(format!("the document has no {name}"));
    Ok(Header {
        doc_id: doc_id.ok_or_else(|| missing("docId"))?,
        created: created.ok_or_else(|| missing("creationTime"))?,
        recorder,
        profile,
    })
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    match lexical::parse(&Kind::DateTimeMsec, text)? {
        Value::DateTime(time) => Ok(time),
        _ => unreachable!("parsed as a time"),
    }
}

fn unknown_attribute<R: BufRead>(tokens: &Tokens<R>, name: &str) -> ReadError {
    tokens.error(format!(
        "the attribute {} of {} is not known",
        lexical::clip(name),
        tokens.name
    ))
}

/// `value` may have a prefix; which one does not matter, as there is only one namespace of types.
fn find_definition(value: &str) -> Result<&'static ServiceDefinition, String> {
    let name = value.rsplit(':').next().unwrap_or(value);
    record::definition(name).ok_or_else(|| format!("the record type {:?} is not known", lexical::clip(value)))
}

/// From behind the start of an element with child elements to its end: one value for each of `fields`.
fn fields<R: BufRead>(
    tokens: &mut Tokens<R>,
    definition: &'static ServiceDefinition,
    owner: &'static str,
    fields: &'static [Field],
    last_octet: u64,
) -> Result<Vec<Value>, ReadError> {
    let begin = tokens.place();
    let mut values: Vec<Option<Value>> = vec![None; fields.len()];
    // Mostly the fields come in the order of the definition.
    let mut next = 0;
    loop {
        match markup(tokens)? {
            Token::Start => {}
            Token::End => break,
            Token::Text | Token::Eof => return Err(tokens.error(format!("the input ends within a record {owner}"))),
        }
        let place = tokens.place();
        if let Some((name, _)) = tokens.attributes.iter().find(|(name, _)| !name.starts_with("xsi:")) {
            return Err(unknown_attribute(tokens, name));
        }
        let found = match fields.get(next) {
            Some(field) if field.name == tokens.name => Some((next, field)),
            _ => record::find(fields, &tokens.name),
        };
        match found {
            Some((index, field)) => {
                next = index + 1;
                if let Kind::Structs(children) = field.kind {
                    let item = self::fields(tokens, definition, field.name, children, last_octet)?;
                    match values[index].get_or_insert_with(|| Value::Structs(Vec::new())) {
                        Value::Structs(items) => items.push(item),
                        _ => unreachable!("a field has one kind"),
                    }
                    next = index;
                } else if values[index].is_some() {
                    return Err(tokens.error(format!("{owner}: the field {} is repeated", field.name)));
                } else {
                    let text = text(tokens, field.name)?;
                    let value = value(field, text)
                        .map_err(|message| ReadError::at(place, format!("{owner}: {}: {message}", field.name)))?;
                    values[index] = Some(value);
                }
            }
            // Releases before 12.3(17a)BC number the records of a document; the number says nothing that is billed.
            None if tokens.name == "seqNum" && owner == definition.name => {
                lexical::parse(&Kind::UnsignedLong, text(tokens, "seqNum")?)
                    .map_err(|message| ReadError::at(place, format!("{owner}: seqNum: {message}")))?;
            }
            None => {
                return Err(tokens.error(format!("{owner} has no field {}", lexical::clip(&tokens.name))));
            }
        }
        if tokens.octets() > last_octet {
            return Err(ReadError::at(place, "the record has more octets than allowed"));
        }
    }
    if let Some((field, _)) = fields
        .iter()
        .zip(&values)
        .find(|(field, value)| field.presence == Presence::Required && value.is_none())
    {
        return Err(ReadError::at(
            begin,
            format!("{owner}: the field {} is missing", field.name),
        ));
    }
    Ok(values.into_iter().map(|value| value.unwrap_or(Value::Absent)).collect())
}

/// From behind the start of an element without child elements to its end.
fn text<'a, R: BufRead>(tokens: &'a mut Tokens<R>, name: &str) -> Result<&'a str, ReadError> {
    let mut token = tokens.next()?;
    // The text stays until the token behind the end is asked for.
    if token == Token::Text {
        token = tokens.next()?;
    }
    match token {
        Token::End => Ok(&tokens.text),
        Token::Start => Err(tokens.error(format!(
            "an element {} stands within {name}",
            lexical::clip(&tokens.name)
        ))),
        Token::Text | Token::Eof => Err(tokens.error(format!("the input ends within {name}"))),
    }
}

fn value(field: &Field, text: &str) -> Result<Value, String> {
    if field.presence == Presence::EmptyWhenAbsent {
        let is_empty = match field.kind {
            Kind::Text { .. } => text.is_empty(),
            _ => text.chars().all(lexical::is_space),
        };
        if is_empty {
            return Ok(Value::Absent);
        }
    }
    lexical::parse(&field.kind, text)
}
