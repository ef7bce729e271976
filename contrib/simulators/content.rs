//! What an answer says that a device should never say. [`Delivery`](crate::delivery::Delivery) is how it gets there.

use crate::credentials::Credentials;
use crate::device::Kind;
use crate::http::{Answer, Body, Request};
use crate::{cms, cucm};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Ordinary,
    Huge(u64),
    Padded(u64),
    Bomb,
    Deep(usize),
    Utf16,
    Latin1 { declared: bool },
    Redirect,
    EchoPassword,
}

impl Content {
    /// Changes the answer. One that refuses the request stays as it is, unless the quirk is a refusal itself.
    pub fn apply(self, kind: Kind, answer: Answer, request: &Request, credentials: &Credentials) -> Answer {
        match self {
            Content::Redirect => {
                return Answer::new(302, "text/html", "<html><body>Moved.</body></html>")
                    .with("Location", "/elsewhere/");
            }
            Content::EchoPassword => return echo(kind, request, credentials),
            _ => {}
        }
        if answer.status != 200 {
            return answer;
        }
        let Answer { status, headers, body } = answer;
        let Body::Octets(octets) = body else {
            return Answer { status, headers, body };
        };
        let Ok(text) = String::from_utf8(octets) else {
            return Answer::empty(500);
        };
        let mut headers = headers;
        let body = match self {
            Content::Huge(size) => match rows_of(&text) {
                Some((row, head, tail)) => huge(size, row, head, tail),
                None => Body::Octets(text.into()),
            },
            Content::Padded(size) => padded(size, &text),
            Content::Bomb => Body::Octets(bomb(&text).into()),
            Content::Deep(levels) => Body::Octets(deep(&text, levels).into()),
            Content::Utf16 => {
                set_type(&mut headers, "text/xml;charset=utf-16");
                Body::Octets(utf16(&text))
            }
            Content::Latin1 { declared } => {
                if declared {
                    set_type(&mut headers, "text/xml;charset=iso-8859-1");
                }
                Body::Octets(latin1(&text, declared))
            }
            _ => Body::Octets(text.into()),
        };
        Answer { status, headers, body }
    }
}

fn set_type(headers: &mut [(&'static str, String)], value: &str) {
    for (name, of) in headers {
        if *name == "Content-Type" {
            *of = value.into();
        }
    }
}

fn echo(kind: Kind, request: &Request, credentials: &Credentials) -> Answer {
    let text = format!(
        "user {} with password {} failed (Authorization: {}; Cookie: {})",
        credentials.user,
        credentials.password,
        request.header("authorization").unwrap_or("none"),
        request.header("cookie").unwrap_or("none"),
    );
    match kind {
        Kind::Cucm => cucm::fault::Fault::new(-1, text, "executeSQLQuery").plain(),
        Kind::Cms => cms::failure(400, &format!("<parameterError>{text}</parameterError>")),
    }
}

type Row = fn(u64, &mut Vec<u8>);

/// What repeats in a list, and the text before and behind the first of its items.
fn rows_of(text: &str) -> Option<(Row, &str, &str)> {
    let lists: [(&str, &str, Row); 4] = [
        ("<row>", "</return>", |number, out| {
            write(
                out,
                format_args!("<row><name>Licence {number:012}</name><value>1</value></row>"),
            )
        }),
        ("<licensedUser>", "</return>", |number, out| {
            write(
                out,
                format_args!(
                    "<licensedUser><userId>user{number:012}</userId><deviceCount>1</deviceCount></licensedUser>"
                ),
            )
        }),
        ("<coSpace id=", "</coSpaces>", |number, out| {
            write(
                out,
                format_args!(
                    "<coSpace id=\"ffffffff-0000-4000-8000-{number:012}\"><name>Space {number:012}</name></coSpace>\n"
                ),
            )
        }),
        ("<entry time=", "</MPLicenseUsage>", |number, out| {
            write(
                out,
                format_args!(
                    "<entry time=\"2020-01-01T{:02}:{:02}:{:02}Z\"><pmp>1.00</pmp></entry>\n",
                    number / 3600 % 24,
                    number / 60 % 60,
                    number % 60
                ),
            )
        }),
    ];
    lists.into_iter().find_map(|(first, last, row)| {
        let begin = text.find(first)?;
        let end = text.rfind(last)?;
        Some((row, &text[..begin], &text[end..]))
    })
}

fn write(out: &mut Vec<u8>, what: std::fmt::Arguments) {
    let _ = std::io::Write::write_fmt(out, what);
}

fn huge(size: u64, row: Row, head: &str, tail: &str) -> Body {
    let mut one = Vec::new();
    row(0, &mut one);
    let rows = size / one.len() as u64 + 1;
    Body::Rows {
        head: with_total(head, rows).into(),
        rows,
        row,
        tail: tail.into(),
    }
}

/// A total that agrees with what follows.
fn with_total(head: &str, rows: u64) -> String {
    let Some((before, after)) = head.split_once(" total=\"") else {
        return head.into();
    };
    let rest = after.split_once('"').map_or("", |(_, rest)| rest);
    format!("{before} total=\"{rows}\"{rest}")
}

fn padded(size: u64, text: &str) -> Body {
    let end = text.rfind("</").unwrap_or(text.len());
    Body::Rows {
        head: text[..end].into(),
        rows: size / 64 + 1,
        row: |_, out| out.extend_from_slice(&[b' '; 64]),
        tail: text[end..].into(),
    }
}

/// Ten entities, each of them ten times the one before: 20 GB.
fn bomb(text: &str) -> String {
    let mut types = String::from("<!DOCTYPE bomb [<!ENTITY a0 \"ha\">");
    for level in 1..=10 {
        let inner = format!("&a{};", level - 1).repeat(10);
        types.push_str(&format!("<!ENTITY a{level} \"{inner}\">"));
    }
    types.push_str("]>");
    let (declaration, rest) = split_declaration(text);
    // In the first text, so that a reader that passes over what it does not know meets it.
    let place = first_text(rest).unwrap_or(rest.len());
    format!("{declaration}{types}{}&a10;{}", &rest[..place], &rest[place..])
}

fn deep(text: &str, levels: usize) -> String {
    let end = text.rfind("</").unwrap_or(text.len());
    format!(
        "{}{}{}{}",
        &text[..end],
        "<d>".repeat(levels),
        "</d>".repeat(levels),
        &text[end..]
    )
}

fn utf16(text: &str) -> Vec<u8> {
    let (_, rest) = split_declaration(text);
    format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?>{rest}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

fn latin1(text: &str, declared: bool) -> Vec<u8> {
    let (declaration, rest) = split_declaration(text);
    let declaration = if declared {
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"
    } else {
        declaration
    };
    let mut octets: Vec<u8> = declaration.into();
    let mut rest = rest;
    while let Some(first) = rest.chars().next() {
        let reference = (160..=255_u8).find_map(|code| Some((code, rest.strip_prefix(&format!("&#{code};"))?)));
        match reference.filter(|_| first == '&') {
            Some((code, after)) => {
                octets.push(code);
                rest = after;
            }
            None => {
                match u8::try_from(u32::from(first)) {
                    Ok(octet) => octets.push(octet),
                    Err(_) => octets.extend_from_slice(format!("&#{};", u32::from(first)).as_bytes()),
                }
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    octets
}

fn split_declaration(text: &str) -> (&str, &str) {
    match text.strip_prefix("<?xml").and_then(|_| text.find("?>")) {
        Some(end) => text.split_at(end + 2),
        None => ("", text),
    }
}

/// Where the first text that is not white space begins.
fn first_text(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    (1..octets.len()).find(|at| octets[at - 1] == b'>' && octets[*at] != b'<' && !octets[*at].is_ascii_whitespace())
}
