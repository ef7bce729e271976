//! The gatekeeper's standard call-detail line, written and read.
//!
//! `CDR|n|CallId|duration|connect|disconnect|caller|caller-epid|callee|callee-epid|dest-info|src-info|Name;`
//!
//! Nothing in it is escaped: a party may have put `|` or line ends into its alias. The reader therefore takes ten fields from
//! the left and the name from the right; what is between them is the two aliases.

use super::derived;
use super::event::{Call, Event, EventKind, Moment, Subject, Text};
use super::parameters::write_id;
use super::read_time::read_time;
use super::timestamp::TimestampFormat;
use super::zone::Zone;

/// The longest line that is read.
pub const LONGEST_LINE: usize = 64 << 10;

/// Writes the line of a call behind what is in `out`, without a line end. Other events have none.
pub fn write_line(event: &Event, gatekeeper: &str, timestamps: &TimestampFormat, out: &mut Vec<u8>) {
    let Subject::Call(call) = &event.subject else {
        return;
    };
    let number = |number: u64, out: &mut Vec<u8>| {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.push(b'|');
    };
    out.extend_from_slice(b"CDR|");
    number(call.number, out);
    write_id(call.call_id.as_ref(), b' ', out);
    out.push(b'|');
    number(derived::cdr_duration(call, event.time.seconds), out);
    match &call.connect {
        Some(connect) => timestamps.write(connect, out),
        None => out.extend_from_slice(b"unconnected"),
    }
    out.push(b'|');
    let now = Moment {
        micros: 0,
        ..event.time.clone()
    };
    timestamps.write(call.disconnect.as_ref().unwrap_or(&now), out);
    out.push(b'|');
    write_party(&call.caller_ip, call.caller_port, &call.caller_epid, out);
    write_party(&call.callee_ip, call.callee_port, &call.callee_epid, out);
    out.extend_from_slice(&call.dest_info.0);
    out.push(b'|');
    out.extend_from_slice(&call.src_info.0);
    out.push(b'|');
    match &event.gatekeeper {
        Some(name) => out.extend_from_slice(&name.0),
        None => out.extend_from_slice(gatekeeper.as_bytes()),
    }
    out.push(b';');
}

/// Address and epid; one blank for what is unknown.
fn write_party(ip: &Text, port: u16, epid: &Text, out: &mut Vec<u8>) {
    if ip.is_empty() {
        out.push(b' ');
    } else {
        derived::address(ip, port, out);
    }
    out.push(b'|');
    out.extend_from_slice(if epid.is_empty() { b" " } else { &epid.0 });
    out.push(b'|');
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The call, as far as the line knows it: number, id, duration, times, addresses, epids, aliases.
    pub call: Call,
    pub gatekeeper: Text,
    /// Whether it is sure where dest-info ends and src-info begins: they hold `|` where it is not.
    pub certain: bool,
}

impl Line {
    /// The line as the stop event that it stands for, at the time of the disconnect.
    pub fn into_event(self, now: Moment) -> Event {
        Event {
            kind: EventKind::Stop,
            uuid: None,
            time: self.call.disconnect.clone().unwrap_or(now),
            gatekeeper: Some(self.gatekeeper).filter(|name| !name.is_empty()),
            gatekeeper_ip: None,
            subject: Subject::Call(Box::new(self.call)),
        }
    }
}

/// Reads a line without its line end. Times without an offset are in `zone`.
///
/// # Errors
/// When it is no such line: which field, and what is wrong with it.
pub fn read_line(line: &[u8], zone: &Zone) -> Result<Line, String> {
    if line.len() > LONGEST_LINE {
        return Err(format!("a CDR line of {} octets: at most 65536 are read", line.len()));
    }
    let Some(rest) = line.strip_prefix(b"CDR|") else {
        return Err("a CDR line begins with CDR|".into());
    };
    let mut fields = rest.splitn(10, |octet| *octet == b'|');
    let mut field = |name: &str| {
        fields
            .next()
            .ok_or_else(|| format!("the CDR line ends before the {name}"))
    };
    let number = unsigned(field("call number")?).ok_or("the call number of a CDR line is no number")?;
    let call_id = read_id(field("call id")?).ok_or("the call id of a CDR line is not 16 octets in hexadecimal")?;
    let duration = unsigned(field("duration")?).ok_or("the duration of a CDR line is no number of seconds")?;
    let connect = match field("connect time")? {
        b"unconnected" => None,
        text => Some(time(text, zone).ok_or_else(|| unread("connect", text))?),
    };
    let disconnect = field("disconnect time")?;
    let disconnect = time(disconnect, zone).ok_or_else(|| unread("disconnect", disconnect))?;
    let (caller_ip, caller_port) = address(field("caller")?).ok_or("the caller of a CDR line is no address:port")?;
    let caller_epid = unless_blank(field("caller's endpoint")?);
    let (callee_ip, callee_port) = address(field("callee")?).ok_or("the callee of a CDR line is no address:port")?;
    let callee_epid = unless_blank(field("callee's endpoint")?);
    let last = field("aliases")?;
    let Some(last) = last.strip_suffix(b";") else {
        return Err("a CDR line ends with a semicolon".into());
    };
    let end = last.iter().rposition(|octet| *octet == b'|');
    let (aliases, gatekeeper) = last.split_at(end.ok_or("the CDR line ends before the name of the gatekeeper")?);
    let (dest_info, src_info, certain) =
        split_aliases(aliases).ok_or("the CDR line ends before the source's aliases")?;
    Ok(Line {
        call: Call {
            number,
            call_id: Some(call_id),
            duration: Some(duration),
            connect,
            disconnect: Some(disconnect),
            release_source: -1,
            last_cdr: 1,
            caller_ip,
            caller_port,
            caller_epid,
            callee_ip,
            callee_port,
            callee_epid,
            dest_info,
            src_info,
            ..Call::default()
        },
        gatekeeper: Text(gatekeeper[1..].to_vec()),
        certain,
    })
}

/// The bar between the two alias texts is one that an alias type, or nothing, stands before. If there are several, it is not
/// sure which; the caller has more to gain from a forged alias than the number that was dialled, so the first is taken.
fn split_aliases(text: &[u8]) -> Option<(Text, Text, bool)> {
    const TYPES: [&[u8]; 6] = [
        b":h323_ID",
        b":dialedDigits",
        b":url_ID",
        b":email_ID",
        b":transportID",
        b":partyNumber",
    ];
    let bars = || (0..text.len()).filter(|at| text[*at] == b'|');
    let typed = |at: &usize| *at == 0 || TYPES.iter().any(|name| text[..*at].ends_with(name));
    let mut candidates = bars().filter(typed);
    let (at, certain) = match (candidates.next(), candidates.next()) {
        (Some(at), other) => (at, other.is_none()),
        (None, _) => {
            let mut all = bars();
            (all.next()?, all.next().is_none())
        }
    };
    Some((Text(text[..at].to_vec()), Text(text[at + 1..].to_vec()), certain))
}

fn unsigned(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// 16 octets in hexadecimal with blanks or dashes between them: the gatekeeper's own form of a call id.
pub fn read_id(text: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    let mut count = 0;
    for digits in text.split(|octet| matches!(octet, b' ' | b'-')) {
        let digits = std::str::from_utf8(digits).ok()?;
        if !(1..=2).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *id.get_mut(count)? = u8::from_str_radix(digits, 16).ok()?;
        count += 1;
    }
    (count == 16).then_some(id)
}

fn address(text: &[u8]) -> Option<(Text, u16)> {
    if text.is_empty() || text == b" " {
        return Some((Text::default(), 0));
    }
    let text = std::str::from_utf8(text).ok()?;
    let (ip, port) = text.rsplit_once(':')?;
    let ip = Text::from(ip);
    ip.address()?;
    Some((ip, u16::try_from(unsigned(port.as_bytes())?).ok()?))
}

fn unless_blank(text: &[u8]) -> Text {
    Text(if text == b" " { Vec::new() } else { text.to_vec() })
}

fn time(text: &[u8], zone: &Zone) -> Option<Moment> {
    read_time(std::str::from_utf8(text).ok()?, zone)
}

fn unread(what: &str, text: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(text).chars().take(64).collect();
    format!("the {what} time of a CDR line, {text:?}, is in none of the gatekeeper's formats")
}

#[cfg(test)]
mod tests;
