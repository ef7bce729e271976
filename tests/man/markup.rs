//! What `man/parts` may have besides roff:
//!
//! | | |
//! |---|---|
//! | `` `text` `` | bold, everything in it as it stands |
//! | `@example` … `@end` | an example, everything in it as it stands |
//! | `@key NAME = TYPE; default VALUE` | a key of the configuration; also `; required`, or nothing for no default |
//! | `@exit` or `@exit N M` | all exit statuses, or some |
//! | `@fields NAME` | the fields of a service definition |
//! | `@own-fields NAME` | the same without those that every record of a device begins with |
//! | `@notifications` | the notifications of BILLDROP-MIB with what they say |
//! | `@include NAME` | the part NAME, which is no page of its own |

use std::{fs, path::Path};

use billdrop::exit::Exit;
use billdrop::record::{self, Field, Kind, Presence};

use super::directory;

pub fn expand(page: &str, text: &str) -> String {
    let mut out = String::new();
    let mut example = false;
    for (number, line) in text.lines().enumerate() {
        let (directive, rest) = line.split_once(' ').unwrap_or((line, ""));
        match directive {
            "@end" => {
                out += ".EE\n.RE\n";
                example = false;
            }
            _ if example => out += &(escape_line(line) + "\n"),
            "@example" => {
                out += ".RS 4\n.EX\n";
                example = true;
            }
            "@key" => out += &key(rest),
            "@exit" => out += &exit(rest),
            "@fields" => out += &fields(record::definition(rest).unwrap().fields),
            "@own-fields" => {
                let all = record::definition(rest).unwrap().fields;
                let head = all.iter().position(|field| field.name == "deviceTime").unwrap();
                out += &format!("Behind \\fBdeviceTime\\fR:\n{}", fields(&all[head + 1..]));
            }
            "@notifications" => out += &notifications(),
            "@include" => out += &include(page, rest),
            _ if directive.starts_with('@') => panic!("man/parts/{page}:{}: what is {directive}?", number + 1),
            _ => out += &(spans(line) + "\n"),
        }
    }
    assert!(!example, "man/parts/{page}: an example does not end");
    out
}

/// Parts that several pages or authors share. A part that is not written yet is nothing.
pub const INCLUDED: [&str; 5] = [
    "accounting-file",
    "accounting-radius",
    "accounting-sql",
    "accounting-status",
    "accounting-engine",
];

fn include(page: &str, name: &str) -> String {
    assert!(INCLUDED.contains(&name), "man/parts/{page}: what is {name}?");
    let path = directory().join("parts").join(name);
    fs::read_to_string(path).map_or(String::new(), |text| expand(name, &text))
}

/// Breaks lines of text at 80 columns, and leaves requests, tags and examples alone.
pub fn fold(text: &str) -> String {
    let mut out = String::new();
    let (mut example, mut tag) = (false, false);
    for line in text.lines() {
        example = line == ".EX" || example && line != ".EE";
        if example || tag || line.starts_with('.') {
            out += &(line.to_owned() + "\n");
        } else {
            out += &fold_line(line);
        }
        tag = line == ".TP" || line.starts_with(".TP ");
    }
    out
}

fn fold_line(line: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        if column > 0 && column + 1 + word.len() > 80 {
            out += "\n";
            column = 0;
            // At the begin of a line these would make a request of it.
            if word.starts_with(['.', '\'']) {
                out += "\\&";
                column = 2;
            }
        } else if column > 0 {
            out += " ";
            column += 1;
        }
        out += word;
        column += word.len();
    }
    out + "\n"
}

/// The lines of every example, exactly as they are shown.
pub fn examples(text: &str) -> Vec<String> {
    text.split("@example\n")
        .skip(1)
        .map(|rest| rest.split_once("@end\n").unwrap().0.to_owned())
        .collect()
}

/// Text as it stands, within a line.
pub fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\\' => "\\e".to_owned(),
            '-' => "\\-".to_owned(),
            '\'' => "\\(aq".to_owned(),
            '`' => "\\(ga".to_owned(),
            '"' => "\\(dq".to_owned(),
            '~' => "\\(ti".to_owned(),
            '^' => "\\(ha".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

fn escape_line(line: &str) -> String {
    let escaped = escape(line);
    if escaped.starts_with('.') {
        return format!("\\&{escaped}");
    }
    escaped
}

fn spans(line: &str) -> String {
    assert!(
        line.matches('`').count().is_multiple_of(2),
        "a span does not end: {line}"
    );
    let mut out = String::new();
    for (index, piece) in line.split('`').enumerate() {
        match index % 2 {
            0 => out += piece,
            _ => out += &format!("\\fB{}\\fR", escape(piece)),
        }
    }
    // A request has its dot at the begin of the line; text never has.
    match out.strip_prefix("\\fB") {
        Some(_) => format!("\\&{out}"),
        None => out,
    }
}

/// Sentences that stand in the sources: one a line, as roff wants them.
fn sentences(text: &str) -> String {
    escape(text).replace(". ", ".\n")
}

fn key(rest: &str) -> String {
    let (name, rest) = rest.split_once(" = ").unwrap();
    let (kind, default) = rest.split_once("; ").unwrap_or((rest, ""));
    let default = match default.strip_prefix("default ") {
        Some(value) => format!("Default: \\fB{}\\fR.\n", escape(value)),
        None if default.is_empty() => String::new(),
        None => format!("{}{}.\n", default[..1].to_uppercase(), &default[1..]),
    };
    format!(".TP\n\\fB{}\\fR = \\fI{}\\fR\n{default}", escape(name), escape(kind))
}

fn exit(rest: &str) -> String {
    let wanted: Vec<u8> = rest.split_whitespace().map(|code| code.parse().unwrap()).collect();
    let known: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
    assert!(wanted.iter().all(|code| known.contains(code)), "{rest}");
    Exit::ALL
        .iter()
        .filter(|(exit, _)| wanted.is_empty() || wanted.contains(&exit.code()))
        .map(|(exit, meaning)| format!(".TP\n\\fB{}\\fR\n{}\n", exit.code(), sentences(meaning)))
        .collect()
}

fn fields(fields: &'static [Field]) -> String {
    fields.iter().map(field).collect()
}

fn field(field: &'static Field) -> String {
    let presence = match field.presence {
        Presence::Required => "",
        Presence::Optional => "; may be left out",
        Presence::EmptyWhenAbsent => "; may be empty",
    };
    let mut text = format!(
        ".TP\n\\fB{}\\fR\n{}\n\\fI{}{presence}\\fR.\n",
        escape(field.name),
        sentences(field.doc),
        kind(&field.kind),
    );
    match field.kind {
        Kind::Enum(values) => text += &tokens(values),
        Kind::Structs(inner) => text += &format!(".RS\n{}.RE\n", fields(inner)),
        _ => {}
    }
    text
}

fn tokens(values: &[(i32, &str)]) -> String {
    let tokens: Vec<String> = values
        .iter()
        .map(|(code, token)| format!("\\fB{}\\fR (code {code})", escape(token)))
        .collect();
    format!("Values: {}.\n", tokens.join(",\n"))
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Text { max_chars } => format!("Text of at most {max_chars} characters"),
        Kind::Boolean => "Boolean".to_owned(),
        Kind::Int => "Integer of 32 bits".to_owned(),
        Kind::UnsignedInt => "Unsigned integer of 32 bits".to_owned(),
        Kind::UnsignedLong => "Unsigned integer of 64 bits".to_owned(),
        Kind::DateTime => "Time, whole seconds".to_owned(),
        Kind::DateTimeMsec => "Time".to_owned(),
        Kind::HexBinary { max_octets } => format!("At most {max_octets} octets, hexadecimal"),
        Kind::MacAddress => "MAC address".to_owned(),
        Kind::Ipv4Addr => "IPv4 address".to_owned(),
        Kind::Ipv6Addr => "IPv6 address".to_owned(),
        Kind::Decimal => "Decimal number, digits as the device wrote them".to_owned(),
        Kind::Uuid => "UUID".to_owned(),
        Kind::Enum(_) => "Token".to_owned(),
        Kind::List(inner) => format!("List of {}", self::kind(inner)),
        Kind::Structs(_) => "Element, repeated".to_owned(),
    }
}

fn notifications() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/mib/BILLDROP-MIB.txt");
    let mib = fs::read_to_string(path).unwrap();
    let notifications: Vec<String> = mib
        .split("\n\n")
        .filter_map(|piece| piece.split_once(" NOTIFICATION-TYPE\n"))
        .map(|(name, rest)| {
            let between = |rest: &str, begin: &str, end: &str| {
                let inner = rest.split_once(begin).unwrap().1.split_once(end).unwrap().0;
                inner.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let (objects, meaning) = (between(rest, "{", "}"), between(rest, "\"", "\""));
            let objects: Vec<String> = objects.split(", ").map(|o| format!("\\fB{o}\\fR")).collect();
            format!(
                ".TP\n\\fB{}\\fR\n{}\nIt says {}.\n",
                name.trim(),
                sentences(&meaning),
                objects.join(",\n")
            )
        })
        .collect();
    assert_eq!(notifications.len(), mib.matches(" NOTIFICATION-TYPE\n").count());
    notifications.concat()
}
