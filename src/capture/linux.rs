//! The network interfaces of this host, or of one of its network namespaces.
//!
//! Each interface is a record as soon as the kernel has told of it, in the kernel's order (ascending ifIndex; kernels
//! that keep interfaces in hash buckets, as they did for long, go bucket by bucket once there are more than 256).
//! A failure means that the kernel did not answer to the end: then there are no records of this source at all.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::{fs, io};

use glob::Pattern;

use sha2::{Digest, Sha256};

use super::baseline::{After, Before, Place, Reading, discontinuity};
use super::kernel::{self, Piece, Pieces};
use super::netlink::Link;
use super::remark::Remarks;
use super::{Asked, Captured, RecordSink, Source, SourceError};
use crate::config;
use crate::record::{Discontinuity, INTERFACE_USAGE, Record, Text, Value};

/// Where `ip netns` keeps its names.
const NAMESPACES: &str = "/run/netns";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The source `linux`.
pub struct Linux {
    name: Text,
    filter: Filter,
    namespace: Option<PathBuf>,
}

impl Linux {
    /// The error is a sentence that names the key at fault.
    pub fn new(config: &config::Linux) -> Result<Self, String> {
        let name = config.name.as_str();
        let about = |sentence: String| format!("source {name:?}: {sentence}");
        if name.is_empty() || name.chars().count() > 255 {
            return Err(about("name must have 1 to 255 characters".to_owned()));
        }
        Ok(Linux {
            name: Text::new(name).map_err(|e| about(format!("name: {e}")))?,
            filter: Filter {
                include: patterns("include", &config.include).map_err(about)?,
                exclude: patterns("exclude", &config.exclude).map_err(about)?,
            },
            namespace: config
                .network_namespace
                .as_deref()
                .map(namespace_path)
                .transpose()
                .map_err(about)?,
        })
    }
}

impl Source for Linux {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let pieces = kernel::ask(self.namespace.clone())?;
        self.take(&pieces, boot_id().ok(), asked, records)
    }
}

impl Linux {
    /// All that is to be done with the kernel's answer.
    fn take(
        &self,
        pieces: &Pieces,
        boot: Option<[u8; 16]>,
        asked: &Asked<'_>,
        records: &mut dyn RecordSink,
    ) -> Result<Captured, SourceError> {
        let mut remarks = Remarks::default();
        let filter = self.filter.digest();
        let kept = asked.baseline.and_then(|octets| octets.split_at_checked(filter.len()));
        let before = kept.and_then(|(_, octets)| {
            Before::read(octets)
                .inspect_err(|e| remarks.add(format!("{e}; no interface can be compared")))
                .ok()
        });
        let same_filter = kept.is_some_and(|(filter_before, _)| filter_before == filter);
        if before.is_some() && !same_filter {
            remarks.add("include or exclude has changed: what was not captured before cannot be compared".to_owned());
        }
        let Piece::Namespace(namespace) = pieces.next()? else {
            return Err(SourceError::BadData("the answer has no beginning".to_owned()));
        };
        let place = Place { boot, namespace };
        if boot.is_none() {
            remarks.add(format!(
                "cannot read {BOOT_ID}: no interface can be compared with the document before"
            ));
        }
        let mut taking = Taking {
            filter: &self.filter,
            place,
            tells_new: before.is_some() && same_filter,
            before: before.unwrap_or_default(),
            after: After::new(place),
            seen: HashSet::new(),
            other: HashMap::new(),
            remarks,
            record: blank_record(&self.name, asked),
            records,
        };
        let interrupted = loop {
            match pieces.next()? {
                Piece::Namespace(_) => {}
                Piece::Datagrams { answer, octets } => {
                    for link in answer.links(&octets) {
                        taking.link(&link.map_err(kernel::refused)?)?;
                    }
                }
                Piece::End { interrupted } => break interrupted,
            }
        };
        let mut captured = taking.finish(interrupted);
        captured.baseline = captured.baseline.map(|octets| [&filter[..], &octets].concat());
        Ok(captured)
    }
}

/// What has been made of the answer so far.
struct Taking<'a> {
    filter: &'a Filter,
    place: Place,
    /// Whether an interface that is not in `before` was not there: else it may only not have been captured.
    tells_new: bool,
    before: Before<'a>,
    after: After,
    /// Each ifIndex that was told: an interrupted answer is repeated, no interface is to be told twice.
    seen: HashSet<u32>,
    /// By ifIndex, the names that cannot be compared with the same name before: one may be a new name of what was there.
    other: HashMap<u32, Text>,
    remarks: Remarks,
    record: Record,
    records: &'a mut dyn RecordSink,
}

impl Taking<'_> {
    fn link(&mut self, link: &Link<'_>) -> io::Result<()> {
        let (name, name_changed) = Text::lossy(link.name);
        if !self.filter.takes(name.as_str()) || !self.seen.insert(link.index) {
            return Ok(());
        }
        let (alias, alias_changed) = link.alias.map(Text::lossy).unzip();
        if name_changed || alias_changed == Some(true) {
            self.remarks.not_for_xml.push(name.as_str());
        }
        let reading = Reading {
            index: link.index,
            counters: link.counters,
        };
        let discontinuity = match discontinuity(self.before.take(link.name), self.place, reading) {
            Discontinuity::New if !self.tells_new => Discontinuity::NotCompared,
            known => known,
        };
        if self.same_place() && matches!(discontinuity, Discontinuity::New | Discontinuity::Recreated) {
            self.other.insert(link.index, name.clone());
        }
        self.after.push(link.name, reading);

        let counters = &link.counters;
        let values = [
            Value::UnsignedInt(link.index),
            name.into(),
            alias.into(),
            link.address.map_or(Value::Absent, Value::MacAddress),
            Value::Enum(if link.up { 1 } else { 2 }),
            Value::Enum(oper_status(link.oper_state)),
            Value::UnsignedLong(counters.in_octets),
            Value::UnsignedLong(counters.out_octets),
            Value::UnsignedLong(counters.in_packets),
            Value::UnsignedLong(counters.out_packets),
            Value::UnsignedLong(counters.in_errors),
            Value::UnsignedLong(counters.out_errors),
            Value::UnsignedLong(counters.in_discards),
            Value::UnsignedLong(counters.out_discards),
            Value::Enum(discontinuity as i32),
        ];
        self.record.values.truncate(SAME_IN_ALL);
        self.record.values.extend(values);
        self.records.push(&self.record)
    }

    fn same_place(&self) -> bool {
        self.place.is_known() && self.place == self.before.place
    }

    /// Says what became of the interfaces of the document before that were not told of now.
    fn finish(mut self, interrupted: bool) -> Captured {
        let same_place = self.same_place();
        for (octets, reading) in self.before.not_taken() {
            let name = Text::lossy(octets).0;
            if !self.filter.takes(name.as_str()) {
                continue;
            }
            if let Some(now_called) = self.other.get(&reading.index) {
                let renamed = format!("{} to {}", name.as_str(), now_called.as_str());
                self.remarks.renamed.push(&renamed);
            } else if interrupted && same_place {
                // It may be there still. Without its old counters its usage would count from the beginning next time.
                self.after.push(octets, reading);
            } else {
                self.remarks.gone.push(name.as_str());
            }
        }
        if self.seen.is_empty() {
            self.remarks
                .add("no interface has a name that include and exclude let through".to_owned());
        }
        Captured {
            incomplete: interrupted.then(|| {
                "interfaces came and went while the kernel listed them, each time it was asked; some may be missing"
                    .to_owned()
            }),
            remark: self.remarks.finish(),
            baseline: Some(self.after.finish()),
        }
    }
}

/// Values at the begin of each record that are the same in all of them.
const SAME_IN_ALL: usize = 3;

fn blank_record(source: &Text, asked: &Asked<'_>) -> Record {
    let mut values = Vec::with_capacity(INTERFACE_USAGE.fields.len());
    values.extend([
        asked.now.into(),
        source.clone().into(),
        Text::lossy(asked.recorder.as_bytes()).0.into(),
    ]);
    Record {
        definition: &INTERFACE_USAGE,
        values,
    }
}

/// From the kernel's `IF_OPER_…` to RFC 2863, ifOperStatus.
fn oper_status(oper_state: u8) -> i32 {
    match oper_state {
        1 => 6,
        2 => 2,
        3 => 7,
        4 => 3,
        5 => 5,
        6 => 1,
        _ => 4,
    }
}

/// Which interfaces are taken.
struct Filter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Filter {
    /// The same for the same patterns, in any release.
    fn digest(&self) -> [u8; 8] {
        let mut digest = Sha256::new();
        for (mark, patterns) in [("+", &self.include), ("-", &self.exclude)] {
            for pattern in patterns {
                digest.update(format!("{mark}{}\n", pattern.as_str()));
            }
        }
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize()[..8]);
        first
    }

    fn takes(&self, name: &str) -> bool {
        let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        (self.include.is_empty() || fits(&self.include)) && !fits(&self.exclude)
    }
}

fn patterns(key: &str, patterns: &[String]) -> Result<Vec<Pattern>, String> {
    let pattern = |text: &String| {
        Pattern::new(text)
            .map_err(|e| format!("{key}: {text:?} is not a pattern: {} at character {}", e.msg, e.pos + 1))
    };
    patterns.iter().map(pattern).collect()
}

/// A name stands for a file in `/run/netns`; an absolute path stands for itself.
fn namespace_path(name: &str) -> Result<PathBuf, String> {
    if name.starts_with('/') {
        Ok(PathBuf::from(name))
    } else if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        Err(format!(
            "network-namespace: {name:?} is neither a name below {NAMESPACES} nor an absolute path"
        ))
    } else {
        Ok(PathBuf::from(NAMESPACES).join(name))
    }
}

/// Changes with each start of the host.
fn boot_id() -> io::Result<[u8; 16]> {
    let digits = fs::read_to_string(BOOT_ID)?.trim().replace('-', "");
    if digits.len() != 32 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    u128::from_str_radix(&digits, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests;
