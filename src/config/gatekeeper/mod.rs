//! An operator's own gatekeeper ini: what accounting needs of it.
//!
//! The file is read exactly as GnuGk 5.15 reads it ([`ini`], [`values`]). What the gatekeeper takes silently though it
//! cannot have been meant is refused, all of it at once and with its line; [`Leniency::Lenient`] does as the gatekeeper
//! does and tells. What only looks otherwise than it is read is told in any case.

mod events;
mod file;
pub mod ini;
pub mod known;
mod links;
mod main_section;
mod modules;
mod options;
pub mod password;
mod radius;
mod reading;
pub mod rewrite;
mod sql;
mod templates;
pub mod values;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    net::{IpAddr, ToSocketAddrs},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

pub use events::{EventKind, Events};
pub use modules::LACKING;
pub use options::{
    Control, FileAcct, Gatekeeper, Link, LinkKind, RadAcct, RadiusServer, Rotate, Skipped, SqlAcct, SqlDriver,
    StatusAcct, SyslogAcct,
};

use crate::exit::{Error, Exit};
use ini::Ini;
use reading::{Reading, hint, nearest, shortened};

/// Longest ini that is read, in octets.
pub const LIMIT: u64 = 1 << 20;

/// What is done with lines that the gatekeeper takes otherwise than they were probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leniency {
    /// Refused.
    #[default]
    Strict,
    /// Done as the gatekeeper does it, with a notice: `--lenient`.
    Lenient,
}

/// Something that was found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// From 1; 0: the whole file.
    pub line: usize,
    pub text: String,
}

impl Said {
    fn new(line: usize, text: impl Into<String>) -> Self {
        Said {
            line,
            text: text.into(),
        }
    }
}

/// Something that an operator should know though nothing is refused: `FILE:LINE: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub file: PathBuf,
    pub said: Said,
}

/// Everything that is wrong with an ini, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub file: PathBuf,
    pub said: Vec<Said>,
    exit: Exit,
}

/// Most problems that are told at once.
const MOST: usize = 50;

/// Reads and checks an ini.
///
/// Errors: all problems at once, one a line, `FILE:LINE: what is wrong`. Secrets are in none of them.
pub fn load(path: &Path, leniency: Leniency) -> Result<(Gatekeeper, Vec<Notice>), Problems> {
    let (octets, mode) = contents(path)?;
    let look_up = |name: &str| (name, 0u16).to_socket_addrs().ok()?.next().map(|found| found.ip());
    let (gatekeeper, mut notices) = read(&octets, path, leniency, look_up)?;
    if mode & 0o004 != 0 && gatekeeper.has_secrets() {
        let text = format!("holds passwords and everybody can read it (mode {mode:04o}): chmod o-r");
        notices.insert(0, Notice::new(path, Said::new(0, text)));
    }
    Ok((gatekeeper, notices))
}

/// The same for octets that have been read, without looking up any name. `path` stands in the messages.
pub fn parse(octets: &[u8], path: &Path, leniency: Leniency) -> Result<(Gatekeeper, Vec<Notice>), Problems> {
    read(octets, path, leniency, |_| None)
}

fn read(
    octets: &[u8],
    path: &Path,
    leniency: Leniency,
    look_up: fn(&str) -> Option<IpAddr>,
) -> Result<(Gatekeeper, Vec<Notice>), Problems> {
    if octets.len() as u64 > LIMIT {
        let text = format!("longer than {LIMIT} octets; this is not a gatekeeper's ini");
        return Err(Problems::one(path, Exit::Configuration, text));
    }
    let ini = Ini::parse(octets);
    let mut reading = Reading::new(&ini, leniency, look_up);
    if octets.starts_with(b"\xEF\xBB\xBF") {
        let what = "the file begins with a byte order mark; save it without";
        reading.refuse(1, what, "passes over the first line");
    }
    let (chain, skipped) = links::links(&mut reading);
    let has = |kind: LinkKind| chain.iter().any(|link| link.kind == kind);
    let mut gatekeeper = main_section::read(&mut reading);
    if has(LinkKind::FileAcct) {
        gatekeeper.file = Some(file::read(&mut reading));
    }
    if has(LinkKind::RadAcct) {
        gatekeeper.radius = Some(radius::read(&mut reading));
    }
    if let Some(link) = chain.iter().find(|link| link.kind == LinkKind::SqlAcct) {
        gatekeeper.sql = sql::read(&mut reading, link);
    }
    if has(LinkKind::StatusAcct) {
        gatekeeper.status = Some(templates::status(&mut reading));
    }
    if has(LinkKind::SyslogAcct) {
        gatekeeper.syslog = Some(templates::syslog(&mut reading));
    }
    foreign(&mut reading, &chain);
    gatekeeper.chain = chain;
    gatekeeper.skipped = skipped;
    let Reading {
        mut problems,
        mut notices,
        ..
    } = reading;
    if !problems.is_empty() {
        problems.sort_by_key(|said| said.line);
        return Err(Problems {
            file: path.to_owned(),
            said: problems,
            exit: Exit::Configuration,
        });
    }
    notices.sort_by_key(|said| said.line);
    let notices = notices.into_iter().map(|said| Notice::new(path, said)).collect();
    Ok((gatekeeper, notices))
}

/// Sections and keys that nobody reads, and lines that are nothing.
fn foreign(reading: &mut Reading<'_>, chain: &[Link]) {
    let ini = reading.ini;
    let read = known::MODULE_SECTIONS
        .into_iter()
        .chain([known::MAIN, known::CALL_TABLE, known::CHAIN]);
    for (position, section) in ini.sections.iter().enumerate() {
        if reading.is_full() {
            break;
        }
        let is = |name: &str| section.name.eq_ignore_ascii_case(name);
        if is("SQLConfig") {
            let text = "[SQLConfig]: the gatekeeper takes parts of its configuration from a database; billdrop reads this file only";
            reading.notice(section.line, text);
        } else if is(known::MAIN) || is(known::CALL_TABLE) {
            unknown_keys(reading, section, true);
        } else if known::MODULE_SECTIONS.into_iter().any(is) {
            unknown_keys(reading, section, false);
            if !chain.iter().any(|link| is(link.kind.name())) {
                let text = format!("[{}] is not used: the chain does not have this module", section.name);
                reading.notice(section.line, text);
            }
        } else if let Some((name, rest)) = section.name.split_once(']')
            && read.clone().any(|known| known.eq_ignore_ascii_case(name.trim()))
        {
            let what = format!(
                "[{}]{}: nothing may follow the bracket; give comments lines of their own",
                shortened(name),
                shortened(rest)
            );
            reading.refuse(section.line, &what, "passes over the whole section");
        } else if position < MOST_COMPARED
            && let Some(meant) = nearest(&section.name, read.clone())
            && !is(known::CHAIN)
            && !OTHERS.into_iter().any(is)
        {
            let text = format!(
                "[{}] is not a section of accounting (did you mean [{meant}]?)",
                shortened(&section.name)
            );
            reading.notice(section.line, text);
        }
    }
    for dropped in &ini.dropped {
        let text = match &dropped.section {
            None => "this line stands before the first section: it is passed over",
            Some(section) if read.clone().any(|known| known.eq_ignore_ascii_case(section)) => {
                "no `KEY=` begins this line: it is passed over (a value cannot go on in a second line)"
            }
            Some(_) => continue,
        };
        reading.notice(dropped.line, text);
    }
}

/// Sections of which it is asked whether another one was meant. A gatekeeper may have one for each endpoint.
const MOST_COMPARED: usize = 1000;

/// Sections of the gatekeeper whose names are near to those of accounting.
const OTHERS: [&str; 3] = ["Gatekeeper::Auth", "RadAuth", "SQLAuth"];

/// Warns of keys that nobody knows. `only_near`: of those only that look like one of ours.
fn unknown_keys(reading: &mut Reading<'_>, section: &ini::Section, only_near: bool) {
    let names = || known::of(&section.name).map(|known| known.key);
    let is_near = |key: &str| {
        let key = key.to_ascii_lowercase();
        let near = |known: &str| strsim::damerau_levenshtein(&key, &known.to_ascii_lowercase()) <= 2;
        key.len() < 80 && names().any(|known| known.len() > 6 && near(known))
    };
    for key in &section.keys {
        if reading.is_full() {
            break;
        }
        if known::find(&section.name, &key.name).is_some() || only_near && !is_near(&key.name) {
            continue;
        }
        let text = format!(
            "[{}] {}: unknown key{}",
            section.name,
            shortened(&key.name),
            hint(&key.name, names())
        );
        reading.notice(key.line(), text);
    }
}

/// All of the file, and its mode.
fn contents(path: &Path) -> Result<(Vec<u8>, u32), Problems> {
    let refuse = |e: io::Error| {
        let exit = match e.kind() {
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Configuration,
        };
        Problems::one(path, exit, format!("cannot read the gatekeeper's ini: {e}"))
    };
    // Opening a pipe would wait for somebody to write.
    if !fs::metadata(path).map_err(refuse)?.is_file() {
        return Err(Problems::one(path, Exit::Configuration, "is not a file".to_owned()));
    }
    let opened = File::open(path).map_err(refuse)?;
    let mode = opened.metadata().map_err(refuse)?.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let text = format!("has mode {mode:04o}: everybody may change to whom calls are told; chmod o-w");
        return Err(Problems::one(path, Exit::Denied, text));
    }
    let mut octets = Vec::new();
    opened.take(LIMIT + 1).read_to_end(&mut octets).map_err(refuse)?;
    Ok((octets, mode))
}

impl Gatekeeper {
    /// Whether a password or secret stands in the file.
    fn has_secrets(&self) -> bool {
        let not_empty = |secret: &super::Secret| secret.reveal().is_ok_and(|text| !text.is_empty());
        let of_radius = self
            .radius
            .iter()
            .flat_map(|radius| &radius.servers)
            .map(|server| &server.secret);
        let of_sql = self.sql.iter().map(|sql| &sql.password);
        of_radius.chain(of_sql).any(not_empty)
    }
}

impl Notice {
    fn new(file: &Path, said: Said) -> Self {
        Notice {
            file: file.to_owned(),
            said,
        }
    }
}

impl Problems {
    fn one(file: &Path, exit: Exit, text: String) -> Self {
        Problems {
            file: file.to_owned(),
            said: vec![Said::new(0, text)],
            exit,
        }
    }
}

fn place(f: &mut fmt::Formatter<'_>, file: &Path, said: &Said) -> fmt::Result {
    match said.line {
        0 => write!(f, "{}: {}", file.display(), said.text),
        line => write!(f, "{}:{line}: {}", file.display(), said.text),
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, &self.said)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, said) in self.said.iter().take(MOST).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            place(f, &self.file, said)?;
        }
        match self.said.len().checked_sub(MOST) {
            Some(more) if more > 0 => write!(f, "\n{}: and {more} more", self.file.display()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Error::new(problems.exit, problems.to_string())
    }
}
