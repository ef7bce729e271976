//! From rows to devices.
//!
//! No problem shows what stands in a cell, not even the name of an unknown column: where a comma is missing or too many, any
//! cell may be a password.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    str,
};

use super::{
    cells::{Cell, Row, Rows},
    header::Header,
    problems::Problems,
};
use crate::config::{
    Capture, Device, DeviceKind, Location, Secret, Span, Tls,
    device::{self, Checked},
};

/// Longest list that is read, in octets.
pub const LIMIT: usize = 8 << 20;

const MOST_ROWS: usize = 10_000;

/// Longest cell, in octets.
const LONGEST_CELL: usize = 4096;

/// A device, and where it stands in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub line: usize,
    pub device: Device,
    /// Whether it has a time limit of its own: else that of `[capture]` is still to be put in place of the default.
    pub has_own_timeout: bool,
}

/// The devices of a list, whose name in problems is `file`; paths in it are relative to the directory of that.
///
/// Touches no file, so it does not know whether those that are named exist.
pub fn parse_devices(octets: &[u8], file: &Path) -> Result<Vec<Listed>, Problems> {
    let (devices, problems) = read(octets, file);
    match problems.is_empty() {
        true => Ok(devices),
        false => Err(problems),
    }
}

/// The devices that can be understood, and what is wrong with the others.
pub(super) fn read(octets: &[u8], file: &Path) -> (Vec<Listed>, Problems) {
    let mut list = List {
        directory: file.parent().unwrap_or(Path::new("")),
        header: None,
        names: HashMap::new(),
        devices: Vec::new(),
        problems: Problems::new(file),
    };
    if octets.len() > LIMIT {
        list.problems
            .add(0, format!("longer than {LIMIT} octets; this is not a list of devices"));
        return (list.devices, list.problems);
    }
    let text = match str::from_utf8(octets) {
        Ok(text) => text,
        Err(e) => {
            let before = String::from_utf8_lossy(&octets[..e.valid_up_to()]);
            let line = 1 + before.matches('\n').count();
            list.problems.add(line, "not UTF-8; save the file as UTF-8".to_owned());
            return (list.devices, list.problems);
        }
    };
    list.take(text);
    (list.devices, list.problems)
}

struct List<'a> {
    directory: &'a Path,
    header: Option<Header>,
    /// Line of each serv_cnt.
    names: HashMap<String, usize>,
    devices: Vec<Listed>,
    problems: Problems,
}

impl List<'_> {
    fn take(&mut self, text: &str) {
        // The header is one of them.
        let mut rows = 0;
        for row in Rows::new(text) {
            match row {
                Row::Comment { line, cells } => {
                    self.comment(line, cells);
                    continue;
                }
                Row::Broken { line, cell, reason } => self.broken(line, cell, reason),
                Row::Cells(cells) if self.header.is_none() => {
                    self.header = Header::read(&cells, &mut self.problems);
                }
                Row::Cells(cells) => self.device(&cells),
            }
            if self.header.is_none() {
                return;
            }
            rows += 1;
            if rows > MOST_ROWS + 1 {
                return self.problems.add(0, format!("names more than {MOST_ROWS} devices"));
            }
        }
        if rows < 2 {
            self.problems.add(0, "names no device".to_owned());
        }
    }

    fn broken(&mut self, line: usize, cell: usize, reason: &str) {
        let known = self.header.as_ref().and_then(|header| header.0.get(cell));
        let column = known.map_or((cell + 1).to_string(), |name| (*name).to_owned());
        self.problems.add(line, format!("column {column}: {reason}"));
    }

    /// Where a password stands first, one that begins with # would make its device a comment.
    fn comment(&mut self, line: usize, cells: usize) {
        let password_first = |header: &Header| header.0.first() == Some(&"axlpwd") && header.0.len() == cells;
        if self.header.as_ref().is_some_and(password_first) {
            let reason = "is this a comment, or a password that begins with #? Put the password in quotes, or \
                          another column first";
            self.problems.add(line, reason.to_owned());
        }
    }

    fn device(&mut self, cells: &[Cell]) {
        let Some(header) = &self.header else { return };
        if cells.len() != header.0.len() {
            let line = cells.first().map_or(0, |cell| cell.line);
            let message = format!(
                "has {}, the header has {}; a password with a comma must stand in quotes",
                counted(cells.len()),
                header.0.len()
            );
            return self.problems.add(line, message);
        }
        let mut entry = Entry {
            header,
            cells,
            problems: &mut self.problems,
        };
        let line = entry.cell("serv_cnt").map_or(0, |cell| cell.line);
        let name = entry.text("serv_cnt");
        let earlier = *self.names.entry(name.to_owned()).or_insert(line);
        if earlier != line && !name.is_empty() {
            let message = format!("is that of line {earlier}, too; give each device its own");
            entry.problem("serv_cnt", &message);
        }
        if let Some((device, has_own_timeout)) = entry.device(self.directory) {
            self.devices.push(Listed {
                line,
                device,
                has_own_timeout,
            });
        }
    }
}

fn counted(cells: usize) -> String {
    match cells {
        1 => "1 cell".to_owned(),
        n => format!("{n} cells"),
    }
}

/// One row that has as many cells as there are columns.
struct Entry<'a> {
    header: &'a Header,
    cells: &'a [Cell],
    problems: &'a mut Problems,
}

impl<'a> Entry<'a> {
    /// The device, and whether it has a time limit of its own.
    fn device(mut self, directory: &Path) -> Option<(Device, bool)> {
        let before = self.problems.count();
        for (name, cell) in self.header.0.iter().zip(self.cells) {
            if cell.text.len() > LONGEST_CELL {
                let message = format!("column {name}: is longer than {LONGEST_CELL} octets");
                self.problems.add(cell.line, message);
            }
        }
        if self.problems.count() > before {
            return None;
        }
        let contract = self.required("contract", device::contract);
        let kind = self.required("target", target);
        let location = self.required("local_or_remote", location);
        let address = self.required("ip_address", device::address);
        let user = self.required("axlusr", device::user);
        let password = self.password(directory);
        let name = self.required("serv_cnt", |text| device::name(text).map(|()| text.to_owned()));
        let port = self.optional("port", device::port);
        let timeout = self.optional("timeout", timeout);
        let proxy = self.optional("proxy", device::proxy);
        let tls = Tls {
            ca: self.optional("tls_ca", path).map(|file| directory.join(file)),
            fingerprint: self.optional("tls_fingerprint", device::fingerprint),
            name: self.optional("tls_name", device::address),
            any_name: false,
            insecure: self.optional("tls_insecure", yes_or_no).unwrap_or_default(),
        };
        if let Some(setting) = tls.contradiction() {
            let message = format!("contradicts tls_{setting}: with it nothing is checked; remove one");
            self.problem("tls_insecure", &message);
        }
        if self.problems.count() > before {
            return None;
        }
        let kind = kind?;
        let device = Device {
            name: name?,
            kind,
            contract: contract?,
            location: location?,
            address: address?,
            port: port.unwrap_or(kind.default_port()),
            user: user?,
            password: password?,
            tls,
            timeout: timeout.unwrap_or(Capture::default().timeout),
            proxy,
        };
        Some((device, timeout.is_some()))
    }

    /// Exactly what stands there: of blanks without quotes nobody knows whether they belong to it.
    fn password(&mut self, directory: &Path) -> Option<Secret> {
        let from = self.optional("axlpwd_from", |text| reference(text, directory));
        let wants_reference = !self.text("axlpwd_from").is_empty();
        match (
            self.cell("axlpwd").filter(|cell| !cell.text.is_empty()),
            wants_reference,
        ) {
            (None, true) => from,
            (Some(_), true) => {
                self.problem("axlpwd", "must be empty where axlpwd_from says where the password is");
                None
            }
            (Some(cell), false) if cell.was_trimmed => {
                let reason = "has blanks around it; put it in quotes if they belong to it, else remove them";
                self.problem("axlpwd", reason);
                None
            }
            (Some(cell), false) => Some(Secret::Text(cell.text.clone())),
            (None, false) => {
                self.problem("axlpwd", "is empty");
                None
            }
        }
    }

    fn required<T>(&mut self, name: &'static str, check: impl Fn(&str) -> Checked<T>) -> Option<T> {
        if self.text(name).is_empty() {
            self.problem(name, "is empty");
        }
        self.optional(name, check)
    }

    fn optional<T>(&mut self, name: &'static str, check: impl Fn(&str) -> Checked<T>) -> Option<T> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        check(text).inspect_err(|reason| self.problem(name, reason)).ok()
    }

    /// Without the blanks around it. A column that is not there is empty.
    fn text(&self, name: &str) -> &'a str {
        self.cell(name).map_or("", |cell| cell.text.trim())
    }

    fn cell(&self, name: &str) -> Option<&'a Cell> {
        let index = self.header.0.iter().position(|column| *column == name)?;
        self.cells.get(index)
    }

    fn problem(&mut self, name: &str, reason: &str) {
        let line = self.cell(name).or(self.cells.first()).map_or(0, |cell| cell.line);
        self.problems.add(line, format!("column {name}: {reason}"));
    }
}

fn target(text: &str) -> Checked<DeviceKind> {
    match text.to_ascii_lowercase().as_str() {
        "cucm" => Ok(DeviceKind::Cucm),
        "cms" => Ok(DeviceKind::Cms),
        _ => Err("must be CUCM or CMS"),
    }
}

fn location(text: &str) -> Checked<Location> {
    match text.to_ascii_lowercase().as_str() {
        "local" => Ok(Location::Local),
        "remote" => Ok(Location::Remote),
        _ => Err("must be local or remote"),
    }
}

fn yes_or_no(text: &str) -> Checked<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err("must be yes or no"),
    }
}

/// A number alone is one of seconds.
fn timeout(text: &str) -> Checked<Span> {
    const WRONG: &str = "must be a span of time, 1s to 1day";
    let span = match text.parse() {
        Ok(seconds) if text.bytes().all(|b| b.is_ascii_digit()) => Span::seconds(seconds),
        _ => Span(humantime::parse_duration(text).map_err(|_| WRONG)?),
    };
    device::timeout(span)
}

fn path(text: &str) -> Checked<PathBuf> {
    match text.chars().any(char::is_control) {
        true => Err("has a control character"),
        false => Ok(PathBuf::from(text)),
    }
}

/// `file:PATH` or `env:NAME`.
fn reference(text: &str, directory: &Path) -> Checked<Secret> {
    const WRONG: &str = "must be file:PATH or env:NAME";
    let (kind, place) = text.split_once(':').ok_or(WRONG)?;
    let (kind, place) = (kind.trim().to_ascii_lowercase(), place.trim());
    match kind.as_str() {
        _ if place.is_empty() => Err(WRONG),
        "file" => Ok(Secret::from_file(directory.join(path(place)?))),
        "env" if place.contains(['=', '\0']) => Err(WRONG),
        "env" => Ok(Secret::from_env(place)),
        _ => Err(WRONG),
    }
}

#[cfg(test)]
mod tests;
