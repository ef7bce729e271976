//! What one device is like: the DEVICE argument of the command line, read into a [`Device`].
//!
//! The table [`QUIRKS`] is the manual: `--help` prints it, and a quirk that is not in it is refused.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::content::Content;
use crate::delivery::Delivery;
use crate::quirks::{QUIRKS, Quirk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cucm,
    Cms,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cucm => "CUCM",
            Kind::Cms => "CMS",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Signed by the CA in `ca.pem`, for 127.0.0.1, ::1 and localhost.
    Ca,
    /// Its own issuer and a CA, as a device makes it when it is installed.
    SelfSigned,
    WrongName,
    Expired,
}

/// Requests that are answered by nothing but this HTTP status.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    pub status: u16,
    pub requests: u64,
}

#[derive(Debug, Clone)]
pub struct Device {
    pub kind: Kind,
    pub name: String,
    pub port: u16,
    pub contract: String,
    pub location: &'static str,
    pub user: String,
    pub password: String,
    pub certificate: Certificate,
    pub clock: Clock,
    pub answer_after: Duration,
    pub failures: Vec<Failure>,
    /// The first and the last request that `content` and `delivery` are for.
    pub from: u64,
    pub until: u64,
    pub content: Content,
    pub delivery: Delivery,
    pub close: bool,
    pub dead: bool,
    pub plain: bool,
    pub cucm: CucmQuirks,
    pub cms: CmsQuirks,
}

#[derive(Debug, Clone)]
pub struct CucmQuirks {
    pub version: String,
    pub list_form_comma: bool,
    pub session_requests: u64,
    pub cookie: CookieForm,
    pub licenses_absent: bool,
    pub too_large: usize,
    pub suggested: bool,
    pub memory: u64,
    /// None: of all operations.
    pub memory_of: Option<String>,
    pub fault: Option<FaultQuirk>,
    pub fault_form: FaultForm,
    pub users: usize,
    pub models: usize,
    pub unknown_license: Option<String>,
    pub nulls: Option<Nulls>,
    pub latin_names: bool,
}

#[derive(Debug, Clone)]
pub struct FaultQuirk {
    pub code: i64,
    pub requests: u64,
    pub operation: Option<String>,
}

/// How a session is set. Only the first is documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieForm {
    Ordinary,
    None,
    Empty,
    OtherName,
    /// A session is good for one request, whose answer has the next.
    Each,
    /// One that is no session, and then one that is.
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultForm {
    /// `<axlError>` without a namespace.
    Plain,
    /// `<ns2:axlError>` in the namespace of the API.
    Prefixed,
    /// `<axl:error><code/><message/>`, as the documents up to 9.1 have it.
    Old,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// xsi:nil, with the prefix declared on each.
    NilEach,
    /// xsi:nil, with the prefix declared on the response.
    NilOnce,
    Plain,
}

#[derive(Debug, Clone)]
pub struct CmsQuirks {
    pub version: String,
    pub page: usize,
    pub spaces: usize,
    pub moving: Option<Moving>,
    pub busy: u64,
    pub retention: TimeDelta,
    pub hosts: usize,
    pub canary: String,
    /// The total that lists of spaces tell, whatever is there.
    pub total: Option<usize>,
    /// Every page of spaces is the first.
    pub stuck: bool,
    /// Each such space is gone when it is asked for alone.
    pub deleted: Option<usize>,
    pub odd_ids: bool,
    pub nameless: bool,
    pub refusals: Vec<Refusal>,
    /// One more entry in each page of the usage history, of this time.
    pub stray: Option<DateTime<Utc>>,
}

/// A path below `/api/v1/` whose requests are refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub path: String,
}

/// What happens to the spaces after every `every` pages of them.
#[derive(Debug, Clone, Copy)]
pub struct Moving {
    pub every: u64,
    /// How many go at once.
    pub spaces: usize,
    /// Nothing moves any more once the last page has been read.
    pub once: bool,
    /// The space that goes is not replaced.
    pub shrinking: bool,
}

/// The device's own time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    pub fixed: Option<DateTime<Utc>>,
    pub offset: TimeDelta,
}

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        let now = self.fixed.unwrap_or_else(Utc::now);
        now.checked_add_signed(self.offset).unwrap_or(now)
    }
}

/// How many devices of one kind were made: their numbers go into names and contracts.
#[derive(Default)]
pub struct Counts {
    cucm: usize,
    cms: usize,
}

/// Reads `[COUNT*]KIND[:QUIRK[,QUIRK]...]`.
pub fn read(text: &str, canary: &str, counts: &mut Counts) -> Result<Vec<Device>, String> {
    let refused = |why: String| format!("{text}: {why}");
    let (head, quirks) = text.split_once(':').unwrap_or((text, ""));
    let (count, kind) = match head.split_once('*') {
        Some((count, kind)) => (
            count.parse().map_err(|_| refused(format!("{count} is no number")))?,
            kind,
        ),
        None => (1, head),
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "cucm" => Kind::Cucm,
        "cms" => Kind::Cms,
        other => return Err(refused(format!("a device is cucm or cms, not {other:?}"))),
    };
    let mut devices = Vec::with_capacity(count);
    for _ in 0..count {
        let mut device = Device::new(kind, counts, canary);
        for quirk in quirks.split(',').filter(|quirk| !quirk.is_empty()) {
            let (name, value) = quirk.split_once('=').unwrap_or((quirk, ""));
            let known = known(name, kind).map_err(refused)?;
            if count > 1 && matches!(name, "name" | "port" | "contract") {
                return Err(refused(format!("{name} is for one device, not for {count}")));
            }
            known
                .set(&mut device, value)
                .map_err(|why| refused(format!("{quirk}: {why}")))?;
        }
        devices.push(device);
    }
    Ok(devices)
}

fn known(name: &str, kind: Kind) -> Result<&'static Quirk, String> {
    let mut named = QUIRKS.iter().filter(|quirk| quirk.name == name).peekable();
    if named.peek().is_none() {
        return Err(format!("there is no quirk {name:?}; --help lists them"));
    }
    named
        .find(|quirk| quirk.kind.is_none_or(|of| of == kind))
        .ok_or_else(|| format!("{name} is no quirk of a {}", kind.name()))
}

impl Device {
    fn new(kind: Kind, counts: &mut Counts, canary: &str) -> Self {
        let count = match kind {
            Kind::Cucm => &mut counts.cucm,
            Kind::Cms => &mut counts.cms,
        };
        *count += 1;
        let number = *count;
        Device {
            kind,
            name: format!("{}{number}", kind.name()),
            port: 0,
            contract: format!(
                "{:08}",
                number + if kind == Kind::Cucm { 20_000_000 } else { 70_000_000 }
            ),
            location: if number % 2 == 1 { "local" } else { "remote" },
            user: "billing".into(),
            password: String::new(),
            certificate: Certificate::Ca,
            clock: Clock::default(),
            answer_after: Duration::ZERO,
            failures: Vec::new(),
            from: 1,
            until: u64::MAX,
            content: Content::Ordinary,
            delivery: Delivery::Ordinary,
            close: false,
            dead: false,
            plain: false,
            cucm: CucmQuirks {
                version: "14.0".into(),
                list_form_comma: false,
                session_requests: u64::MAX,
                cookie: CookieForm::Ordinary,
                licenses_absent: false,
                too_large: usize::MAX,
                suggested: false,
                memory: 0,
                memory_of: None,
                fault: None,
                fault_form: FaultForm::Plain,
                users: 5,
                models: 6,
                unknown_license: None,
                nulls: None,
                latin_names: false,
            },
            cms: CmsQuirks {
                version: "2.9.1".into(),
                page: 20,
                spaces: 8,
                moving: None,
                busy: 0,
                retention: TimeDelta::days(90),
                hosts: 1,
                canary: canary.into(),
                total: None,
                stuck: false,
                deleted: None,
                odd_ids: false,
                nameless: false,
                refusals: Vec::new(),
                stray: None,
            },
        }
    }

    /// The status that this request is refused with, if it is.
    pub fn failure(&self, number: u64) -> Option<u16> {
        let mut last = 0_u64;
        self.failures.iter().find_map(|failure| {
            last = last.saturating_add(failure.requests);
            (number <= last).then_some(failure.status)
        })
    }

    /// A number that depends on nothing but the name, so that ids are the same in every run.
    pub fn seed(&self) -> u32 {
        self.name.bytes().fold(0x811c_9dc5, |hash: u32, octet| {
            (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
        })
    }
}

/// The list of quirks as `--help` shows it.
pub fn manual() -> String {
    let mut text = String::new();
    for (kind, heading) in [
        (None, "Quirks of both kinds"),
        (Some(Kind::Cucm), "Quirks of a cucm"),
        (Some(Kind::Cms), "Quirks of a cms"),
    ] {
        let _ = writeln!(text, "{heading}:");
        for quirk in QUIRKS.iter().filter(|quirk| quirk.kind == kind) {
            let name = match quirk.value {
                "" => quirk.name.to_owned(),
                value => format!("{}{value}", quirk.name),
            };
            let _ = writeln!(text, "  {name:<28} {}", quirk.about);
        }
        text.push('\n');
    }
    text
}
