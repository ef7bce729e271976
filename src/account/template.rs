//! Texts with `%` parameters, as operators write them: CDRString, events of StatusAcct, queries.
//!
//! `%%` is `%`; `%{name}`, or `%` and one octet, is a parameter if there is one of that name; everything else stays as it was
//! typed. What was put in is not read again.

use super::event::Event;
use super::parameters::{Context, Parameter, write_value};

/// A text, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// For each piece, whether its parameter was typed in braces.
    braces: Vec<bool>,
    unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Literal(Vec<u8>),
    Value(Parameter),
}

impl Template {
    pub fn parse(text: &str) -> Template {
        let mut template = Template {
            pieces: Vec::new(),
            braces: Vec::new(),
            unknown: Vec::new(),
        };
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            template.literal(&rest[..at]);
            rest = template.percent(&rest[at..]);
        }
        template.literal(rest);
        template
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Names of parameters that there are not, each once: `ConfID` for `%{ConfID}`. They stay in the text.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(parameter) => Some(*parameter),
            Piece::Literal(_) => None,
        })
    }

    /// Writes the text with the event's values behind what is in `out`.
    pub fn render(&self, event: &Event, context: &Context<'_>, out: &mut Vec<u8>) {
        self.render_with(event, out, |parameter, out| write_value(parameter, event, context, out));
    }

    /// The same, for who writes values in his own way. `value` is called for the parameters that such an event has; others
    /// stay as they were typed.
    pub fn render_with(&self, event: &Event, out: &mut Vec<u8>, mut value: impl FnMut(Parameter, &mut Vec<u8>)) {
        for (piece, braces) in self.pieces.iter().zip(&self.braces) {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Value(parameter) if parameter.known_for(event.kind) => value(*parameter, out),
                Piece::Value(parameter) => {
                    let (open, close): (&[u8], &[u8]) = if *braces { (b"%{", b"}") } else { (b"%", b"") };
                    out.extend_from_slice(&[open, parameter.name().as_bytes(), close].concat());
                }
            }
        }
    }

    /// Takes what begins with `%` off the text and returns the rest.
    fn percent<'t>(&mut self, text: &'t str) -> &'t str {
        let tail = &text[1..];
        if let Some(rest) = tail.strip_prefix('%') {
            self.literal("%");
            return rest;
        }
        if let Some(inside) = tail.strip_prefix('{') {
            let Some((name, rest)) = inside.split_once('}') else {
                self.literal("%{");
                return inside;
            };
            if let Some(parameter) = Parameter::named(name) {
                self.value(parameter, true);
                return rest;
            }
            self.not_known(name);
            self.literal("%{");
            return inside;
        }
        let Some(letter) = tail.chars().next() else {
            self.literal("%");
            return tail;
        };
        let (name, rest) = tail.split_at(letter.len_utf8());
        match Parameter::named(name) {
            Some(parameter) => self.value(parameter, false),
            None => {
                self.not_known(name);
                self.literal(&text[..=name.len()]);
            }
        }
        rest
    }

    fn literal(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Literal(before)) => before.extend_from_slice(text.as_bytes()),
            _ => {
                self.pieces.push(Piece::Literal(text.as_bytes().to_vec()));
                self.braces.push(false);
            }
        }
    }

    fn value(&mut self, parameter: Parameter, braces: bool) {
        self.pieces.push(Piece::Value(parameter));
        self.braces.push(braces);
    }

    fn not_known(&mut self, name: &str) {
        if !self.unknown.iter().any(|known| known == name) {
            self.unknown.push(name.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let template = Template::parse(text);
        let show = |piece: &Piece| match piece {
            Piece::Literal(text) => String::from_utf8(text.clone()).unwrap(),
            Piece::Value(parameter) => format!("<{}>", parameter.name()),
        };
        template.pieces().iter().map(show).collect()
    }

    #[test]
    fn parameters_are_found_in_braces_and_as_letters() {
        assert_eq!(shown("%s|%{connect-time};"), ["<s>", "|", "<connect-time>", ";"]);
        assert_eq!(shown("%{u}%u%d"), ["<u>", "<u>", "<d>"]);
        assert!(shown("").is_empty());
    }

    #[test]
    fn a_double_percent_is_one_and_what_follows_is_read_on() {
        assert_eq!(shown("%%{n}"), ["%{n}"]);
        assert_eq!(shown("%%%n"), ["%", "<n>"]);
        assert_eq!(shown("100%%"), ["100%"]);
    }

    #[test]
    fn what_is_unknown_or_not_closed_stays_and_reading_goes_on_inside() {
        assert_eq!(shown("%x%{nope}%"), ["%x%{nope}%"]);
        assert_eq!(shown("%{nope%u}"), ["%{nope", "<u>", "}"]);
        assert_eq!(shown("%{n"), ["%{n"]);
        assert_eq!(shown("%é%{CallID}"), ["%é%{CallID}"]);
        assert_eq!(Template::parse("%{ConfID}%x%{ConfID}%").unknown(), ["ConfID", "x"]);
    }
}
