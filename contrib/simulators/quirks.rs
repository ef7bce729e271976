//! The quirks of a device: name, form of the value, what it does, and how it is set.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::content::Content;
use crate::delivery::Delivery;
use crate::device::{Certificate, CookieForm, Device, Failure, FaultForm, FaultQuirk, Kind, Moving, Nulls, Refusal};

pub struct Quirk {
    pub name: &'static str,
    /// `=FORM`, `[=FORM]` or nothing.
    pub value: &'static str,
    /// None: both.
    pub kind: Option<Kind>,
    pub about: &'static str,
    set: fn(&mut Device, &str) -> Result<(), String>,
}

impl Quirk {
    pub fn set(&self, device: &mut Device, value: &str) -> Result<(), String> {
        if self.value.is_empty() && !value.is_empty() {
            return Err("takes no value".into());
        }
        if self.value.starts_with('=') && value.is_empty() {
            return Err(format!("{}{} is wanted", self.name, self.value));
        }
        (self.set)(device, value)
    }
}

type Set = fn(&mut Device, &str) -> Result<(), String>;

const fn both(name: &'static str, value: &'static str, about: &'static str, set: Set) -> Quirk {
    Quirk {
        name,
        value,
        kind: None,
        about,
        set,
    }
}

const fn cucm(name: &'static str, value: &'static str, about: &'static str, set: Set) -> Quirk {
    Quirk {
        name,
        value,
        kind: Some(Kind::Cucm),
        about,
        set,
    }
}

const fn cms(name: &'static str, value: &'static str, about: &'static str, set: Set) -> Quirk {
    Quirk {
        name,
        value,
        kind: Some(Kind::Cms),
        about,
        set,
    }
}

#[rustfmt::skip]
pub const QUIRKS: &[Quirk] = &[
    both("name", "=NAME", "serv_cnt; otherwise CUCM1, CUCM2, .. CMS1, ..", |d, v| { d.name = v.into(); Ok(()) }),
    both("port", "=PORT", "port to listen on; otherwise a free one", |d, v| { d.port = number(v)?; Ok(()) }),
    both("contract", "=DIGITS", "contract number, eight digits", |d, v| {
        if v.len() != 8 || !v.bytes().all(|b| b.is_ascii_digit()) { return Err("eight digits are wanted".into()); }
        d.contract = v.into(); Ok(())
    }),
    both("user", "=NAME", "user name; otherwise billing", |d, v| { d.user = v.into(); Ok(()) }),
    both("cert", "=FORM", "ca (by ca.pem), self-signed (pinned in the list), wrong-name, expired", |d, v| {
        d.certificate = match v {
            "ca" => Certificate::Ca,
            "self-signed" => Certificate::SelfSigned,
            "wrong-name" => Certificate::WrongName,
            "expired" => Certificate::Expired,
            _ => return Err("ca, self-signed, wrong-name or expired".into()),
        };
        Ok(())
    }),
    both("now", "=TIME", "the device's clock stands at this time (RFC 3339)", |d, v| {
        let time = DateTime::parse_from_rfc3339(v).map_err(|e| e.to_string())?;
        d.clock.fixed = Some(time.with_timezone(&Utc)); Ok(())
    }),
    both("date", "=OFFSET", "the device's clock is wrong by that: -1h, 90s", |d, v| {
        let (sign, span_text) = match v.strip_prefix('-') { Some(rest) => (-1, rest), None => (1, v.trim_start_matches('+')) };
        let offset = TimeDelta::from_std(span(span_text)?).map_err(|e| e.to_string())?;
        d.clock.offset = offset * sign; Ok(())
    }),
    both("answer-after", "=SPAN", "time that every answer takes: 50ms, 2s", |d, v| { d.answer_after = span(v)?; Ok(()) }),
    both("fail", "=STATUS[*N]", "HTTP status for the first N requests, or for all; may be repeated", |d, v| {
        let (status, requests) = times(v)?;
        if !(100..=999).contains(&status) { return Err("an HTTP status has three digits".into()); }
        d.failures.push(Failure { status, requests }); Ok(())
    }),
    both("dead", "", "nobody listens on the port", |d, _| { d.dead = true; Ok(()) }),
    both("not-tls", "", "HTTP without TLS", |d, _| { d.plain = true; Ok(()) }),
    both("close", "", "the connection is closed after each answer", |d, _| { d.close = true; Ok(()) }),
    both("from", "=N", "the quirks below begin with request N", |d, v| { d.from = number(v)?; Ok(()) }),
    both("until", "=N", "the quirks below end after request N", |d, v| { d.until = number(v)?; Ok(()) }),
    both("hang", "[=handshake]", "takes the request, never answers; or not even a TLS handshake", |d, v| {
        d.delivery = match v {
            "" => Delivery::Hang,
            "handshake" => Delivery::HangInHandshake,
            _ => return Err("nothing or handshake".into()),
        };
        Ok(())
    }),
    both("hang-in-body", "", "stops in the middle of the body", |d, _| { d.delivery = Delivery::HangInBody; Ok(()) }),
    both("garbage", "[=body]", "octets without end, at once or in the body", |d, v| {
        d.delivery = match v {
            "" => Delivery::Garbage,
            "body" => Delivery::GarbageBody,
            _ => return Err("nothing or body".into()),
        };
        Ok(())
    }),
    both("endless-headers", "", "header lines without end", |d, _| { d.delivery = Delivery::EndlessHeaders; Ok(()) }),
    both("truncate", "=N", "the body ends after N octets of its Content-Length", |d, v| {
        d.delivery = Delivery::Truncate(number(v)?); Ok(())
    }),
    both("cut-tls", "", "no Content-Length, and the connection is cut in the middle of the body", |d, _| {
        d.delivery = Delivery::CutTls; Ok(())
    }),
    both("no-content-length", "", "the end of the connection ends the body", |d, _| {
        d.delivery = Delivery::NoContentLength; Ok(())
    }),
    both("chunked", "", "the body comes in chunks", |d, _| { d.delivery = Delivery::Chunked; Ok(()) }),
    both("slow-body", "=SPAN", "one octet of the body in each span", |d, v| { d.delivery = Delivery::SlowBody(span(v)?); Ok(()) }),
    both("huge", "=SIZE", "lists (executeSQLQuery, listLicensedUser, coSpaces, MPLicenseUsage) of this size: 1GB", |d, v| {
        d.content = Content::Huge(size(v)?); Ok(())
    }),
    both("padded", "=SIZE", "white space of this size in every answer", |d, v| { d.content = Content::Padded(size(v)?); Ok(()) }),
    both("bomb", "", "entities that expand to gigabytes", |d, _| { d.content = Content::Bomb; Ok(()) }),
    both("deep", "[=N]", "N elements inside each other; otherwise 100000", |d, v| {
        d.content = Content::Deep(if v.is_empty() { 100_000 } else { number(v)? }); Ok(())
    }),
    both("utf16", "", "UTF-16", |d, _| { d.content = Content::Utf16; Ok(()) }),
    both("latin1", "[=undeclared]", "ISO 8859-1, declared or said to be UTF-8", |d, v| {
        d.cucm.latin_names = true;
        d.content = match v {
            "" => Content::Latin1 { declared: true },
            "undeclared" => Content::Latin1 { declared: false },
            _ => return Err("nothing or undeclared".into()),
        };
        Ok(())
    }),
    both("redirect", "", "302 to another path of the same device", |d, _| { d.content = Content::Redirect; Ok(()) }),
    both("echo-password", "", "a fault whose text holds the password and the cookie that were sent", |d, _| {
        d.content = Content::EchoPassword; Ok(())
    }),
    cucm("version", "=RELEASE", "9.1, 11.5, 12.0, 12.5, 14.0 or 15.0; otherwise 14.0", |d, v| {
        if !["9.1", "11.5", "12.0", "12.5", "14.0", "15.0"].contains(&v) { return Err("9.1, 11.5, 12.0, 12.5, 14.0 or 15.0".into()); }
        d.cucm.version = v.into(); Ok(())
    }),
    cucm("list-form", "=comma", "versions in the 599 page as 11.5,12.5,14 instead of 12.x, 14.0 and 15.0", |d, v| {
        d.cucm.list_form_comma = match v { "comma" => true, "words" => false, _ => return Err("comma or words".into()) };
        Ok(())
    }),
    cucm("session-expires-after", "=N", "a cookie is good for N requests, then 404", |d, v| {
        d.cucm.session_requests = number(v)?; Ok(())
    }),
    cucm("cookie", "=FORM", "none, empty, other (in name), each (answer sets a new one) or twice (in one answer)", |d, v| {
        d.cucm.cookie = match v {
            "none" => CookieForm::None,
            "empty" => CookieForm::Empty,
            "other" => CookieForm::OtherName,
            "each" => CookieForm::Each,
            "twice" => CookieForm::Twice,
            _ => return Err("none, empty, other, each or twice".into()),
        };
        Ok(())
    }),
    cucm("licenses", "=absent", "LicenseTotals() is not there", |d, v| {
        d.cucm.licenses_absent = match v { "absent" => true, "present" => false, _ => return Err("absent or present".into()) };
        Ok(())
    }),
    cucm("too-large", "=ROWS", "an answer of ROWS rows or more is refused as too large", |d, v| {
        d.cucm.too_large = number(v)?;
        if d.cucm.too_large == 0 { return Err("at least 1".into()); }
        Ok(())
    }),
    cucm("suggested", "", "the refusal says Suggested, not Suggestive", |d, _| { d.cucm.suggested = true; Ok(()) }),
    cucm("memory", "=N[@OPERATION]", "the first N calls, or those of the operation, are refused for want of memory", |d, v| {
        let (calls, operation) = of_operation(v);
        d.cucm.memory = number(calls)?;
        d.cucm.memory_of = operation; Ok(())
    }),
    cucm("fault", "=CODE[*N][@OPERATION]", "this axlcode for the first N calls, or all, of the operation, or of all", |d, v| {
        let (code, operation) = of_operation(v);
        let (code, requests) = times(code)?;
        d.cucm.fault = Some(FaultQuirk { code, requests, operation }); Ok(())
    }),
    cucm("fault-form", "=FORM", "plain (axlError), prefixed (ns2:axlError) or old (axl:error)", |d, v| {
        d.cucm.fault_form = match v {
            "plain" => FaultForm::Plain,
            "prefixed" => FaultForm::Prefixed,
            "old" => FaultForm::Old,
            _ => return Err("plain, prefixed or old".into()),
        };
        Ok(())
    }),
    cucm("users", "=N", "licensed users; otherwise 5", |d, v| { d.cucm.users = number(v)?; Ok(()) }),
    cucm("models", "=N", "device models; otherwise 6", |d, v| { d.cucm.models = number(v)?; Ok(()) }),
    cucm("unknown-license", "=NAME", "one more row in LicenseTotals", |d, v| { d.cucm.unknown_license = Some(v.into()); Ok(()) }),
    cucm("null-style", "=FORM", "NULL as nil (xsi:nil declared on each), nil-once (on the response) or plain (empty)", |d, v| {
        d.cucm.nulls = Some(match v {
            "nil" => Nulls::NilEach,
            "nil-once" => Nulls::NilOnce,
            "plain" => Nulls::Plain,
            _ => return Err("nil, nil-once or plain".into()),
        });
        Ok(())
    }),
    cucm("latin-names", "", "a licence, models and users beyond ASCII, some by character references", |d, _| {
        d.cucm.latin_names = true; Ok(())
    }),
    cms("version", "=RELEASE", "software version; from 3.0 on with pmpAssigned", |d, v| { d.cms.version = v.into(); Ok(()) }),
    cms("page", "=N", "most items that one page has; otherwise 20", |d, v| {
        d.cms.page = number(v)?;
        if d.cms.page == 0 { return Err("at least 1".into()); }
        Ok(())
    }),
    cms("spaces", "=N", "coSpaces; otherwise 8", |d, v| {
        d.cms.spaces = number(v)?;
        if d.cms.spaces > 1_000_000 { return Err("at most 1000000".into()); }
        Ok(())
    }),
    cms("moving", "=K[*N]", "after every K pages the first (N) coSpaces go and new last ones come", |d, v| {
        d.cms.moving = Some(moving(v, false, false)?); Ok(())
    }),
    cms("moving-once", "=K[*N]", "the same, until the last page has been read once", |d, v| {
        d.cms.moving = Some(moving(v, true, false)?); Ok(())
    }),
    cms("shrinking", "=K[*N]", "after every K pages the first (N) coSpaces go", |d, v| {
        d.cms.moving = Some(moving(v, false, true)?); Ok(())
    }),
    cms("shrinking-once", "=K[*N]", "the same, until the last page has been read once", |d, v| {
        d.cms.moving = Some(moving(v, true, true)?); Ok(())
    }),
    cms("busy", "=N", "the first N requests are answered with 503 and databaseNotReady", |d, v| { d.cms.busy = number(v)?; Ok(()) }),
    cms("retention", "=SPAN", "how long the usage history is kept; otherwise 90days", |d, v| {
        d.cms.retention = TimeDelta::from_std(span(v)?).map_err(|e| e.to_string())?; Ok(())
    }),
    cms("hosts", "=N", "Call Bridges whose usage history is known; otherwise 1", |d, v| {
        d.cms.hosts = number(v)?;
        if !(1..=100).contains(&d.cms.hosts) { return Err("1 to 100".into()); }
        Ok(())
    }),
    cms("total", "=N", "the total that lists of coSpaces tell, however many there are", |d, v| {
        d.cms.total = Some(number(v)?); Ok(())
    }),
    cms("stuck", "", "every page of coSpaces is the first", |d, _| { d.cms.stuck = true; Ok(()) }),
    cms("deleted", "=K", "every K-th coSpace is gone when it is asked for alone", |d, v| {
        let every: usize = number(v)?;
        if every == 0 { return Err("at least 1".into()); }
        d.cms.deleted = Some(every); Ok(())
    }),
    cms("odd-ids", "", "ids that are no UUIDs, and some that differ only by case", |d, _| { d.cms.odd_ids = true; Ok(()) }),
    cms("nameless", "", "system/status has no hostId", |d, _| { d.cms.nameless = true; Ok(()) }),
    cms("refuse", "=STATUS/CODE@PATH", "requests for this path below /api/v1/ are refused with this code; may be repeated", |d, v| {
        let form = || "STATUS/CODE@PATH is wanted".to_owned();
        let (answer, path) = v.split_once('@').ok_or_else(form)?;
        let (status, code) = answer.split_once('/').ok_or_else(form)?;
        d.cms.refusals.push(Refusal { status: number(status)?, code: code.into(), path: path.to_ascii_lowercase() });
        Ok(())
    }),
    cms("stray", "=TIME", "one more entry of this time in each page of the usage history", |d, v| {
        let time = DateTime::parse_from_rfc3339(v).map_err(|e| e.to_string())?;
        d.cms.stray = Some(time.with_timezone(&Utc)); Ok(())
    }),
];

fn moving(text: &str, once: bool, shrinking: bool) -> Result<Moving, String> {
    let (every, spaces) = match text.split_once('*') {
        Some((every, spaces)) => (number(every)?, number(spaces)?),
        None => (number(text)?, 1),
    };
    if every == 0 || spaces == 0 {
        return Err("at least 1".into());
    }
    Ok(Moving {
        every,
        spaces,
        once,
        shrinking,
    })
}

/// `VALUE@OPERATION`, or `VALUE` for all.
fn of_operation(text: &str) -> (&str, Option<String>) {
    match text.split_once('@') {
        Some((value, of)) => (value, Some(of.to_owned())),
        None => (text, None),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no such number"))
}

/// `VALUE*N`, or `VALUE` for always.
fn times<T: std::str::FromStr>(text: &str) -> Result<(T, u64), String> {
    match text.split_once('*') {
        Some((value, times)) => Ok((number(value)?, number(times)?)),
        None => Ok((number(text)?, u64::MAX)),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn span(text: &str) -> Result<Duration, String> {
    let (count, unit) = split_unit(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return Err(format!("{text:?} is no span; 50ms, 2s, 5min, 1h and 90days are")),
    };
    let count: u64 = number(count)?;
    let all = count.checked_mul(milliseconds).ok_or("too long a span")?;
    Ok(Duration::from_millis(all))
}

fn size(text: &str) -> Result<u64, String> {
    let (count, unit) = split_unit(text);
    let factor: u64 = match unit {
        "" => 1,
        "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("{text:?} is no size; 500000, 64MiB and 1GB are")),
    };
    let count: u64 = number(count)?;
    count.checked_mul(factor).ok_or_else(|| "too large a size".into())
}
