//! What a start finds.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Inner, Kept, Result, StoreError, Stored, Trouble,
    files::{self, Last},
    progress::Progress,
    segment::{self, Head, Part, Trailer},
};
use crate::trust;

/// A part that could be read.
struct Found {
    head: Head,
    trailer: Trailer,
    part: Part,
}

/// What there is, the documents of it that have lost their end, and what was wrong.
pub(super) fn recover(directory: &Path) -> Result<(Inner, Vec<Stored>, Vec<Trouble>)> {
    let failed = |doing| move |e| StoreError::new(doing, directory, e);
    trust::private_directory(directory).map_err(failed("make"))?;
    let mut troubles = Vec::new();
    let mut last = last(directory, &mut troubles)?;
    let mut documents = BTreeMap::new();
    let parts = tidy(directory, &last)?;
    let mut broken = Vec::new();
    for (number, paths) in parts {
        let before = troubles.len();
        let kept = document(directory, number, paths, &mut troubles)?;
        if number > last.number {
            last.number = number;
            last.id = kept.as_ref().map(|kept| kept.stored.id);
        }
        let Some(kept) = kept else {
            // Its number is not given again, and its records are told by the next one.
            let lost = troubles[before..].iter().filter_map(|trouble| trouble.lost);
            last.dropped = lost.fold(last.dropped, u64::saturating_add);
            files::write_last(directory, &last)?;
            continue;
        };
        if troubles.len() > before {
            broken.push(kept.stored.clone());
        }
        documents.insert(number, kept);
    }
    files::sync_directory(directory).map_err(failed("sync"))?;
    Ok((Inner { documents, last }, broken, troubles))
}

/// A damaged one is set aside: the numbers of what waits are known, and before them none is given again.
fn last(directory: &Path, troubles: &mut Vec<Trouble>) -> Result<Last> {
    let path = directory.join("last");
    match files::read_last(directory) {
        Ok(last) => Ok(last.unwrap_or_default()),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            files::remove(&path, true)?;
            let what = format!("{} is damaged: numbers of documents begin anew", path.display());
            troubles.push(Trouble::new(None, None, what));
            Ok(Last::default())
        }
        Err(e) => Err(StoreError::new("read", &path, e)),
    }
}

/// Removes what is not sealed and what is delivered. Returns the parts of each document that waits, in their order.
fn tidy(directory: &Path, last: &Last) -> Result<BTreeMap<u64, BTreeMap<u32, PathBuf>>> {
    let mut parts: BTreeMap<u64, BTreeMap<u32, PathBuf>> = BTreeMap::new();
    let mut notes = Vec::new();
    let entries = fs::read_dir(directory).map_err(|e| StoreError::new("read", directory, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::new("read", directory, e))?;
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else { continue };
        if name == "new" || name.ends_with(".new") {
            files::remove(&path, false)?;
        } else if let Some((number, part)) = segment::parse_name(name) {
            match number <= last.delivered {
                true => files::remove(&path, false)?,
                false => drop(parts.entry(number).or_default().insert(part, path)),
            }
        } else if let Some(number) = name.strip_suffix(".ack").and_then(|name| name.parse().ok()) {
            notes.push((number, path));
        }
    }
    for (number, path) in notes {
        if !parts.contains_key(&number) {
            files::remove(&path, false)?;
        }
    }
    Ok(parts)
}

/// [`None`]: nothing of it can be delivered.
fn document(
    directory: &Path,
    number: u64,
    paths: BTreeMap<u32, PathBuf>,
    troubles: &mut Vec<Trouble>,
) -> Result<Option<Kept>> {
    let mut parts: Vec<Found> = Vec::new();
    let mut broken: Option<String> = None;
    let mut lost = Some(0u64);
    for (index, path) in paths {
        let inspected = segment::inspect(&path);
        let reason = match inspected {
            Err(e) if !is_damage(&e) => return Err(StoreError::new("read", &path, e)),
            Err(e) => {
                lost = None;
                Some(e.to_string())
            }
            Ok((head, trailer, part)) => {
                let reason = misfit(number, index, &head, parts.last());
                if broken.is_none() && reason.is_none() {
                    parts.push(Found { head, trailer, part });
                    continue;
                }
                lost = lost.and_then(|lost| lost.checked_add(trailer.records));
                reason
            }
        };
        // The first part goes before the others when a document is dropped: those are not damage, but what is left of it.
        let is_dropped = parts.is_empty() && broken.is_none() && index > 0;
        let reason = reason.unwrap_or_else(|| "a part before it is missing".to_owned());
        files::remove(&path, !is_dropped)?;
        if !is_dropped {
            broken.get_or_insert_with(|| format!("{}: {reason}; it is set aside", path.display()));
        }
    }
    if let Some(what) = broken {
        troubles.push(Trouble::new(Some(number), lost, what));
    }
    let path = files::progress_path(directory, number);
    let (Some(first), Some(end)) = (parts.first(), parts.last()) else {
        files::remove(&path, false)?;
        return Ok(None);
    };
    let (progress, noted) = Progress::read(&path).map_err(|e| StoreError::new("read", &path, e))?;
    let records = end.part.first + end.part.records;
    Ok(Some(Kept {
        stored: Stored {
            number,
            id: first.head.id,
            records,
            acknowledged: noted.acknowledged.min(records),
            dropped: noted.dropped.saturating_add(lost.unwrap_or(0)),
            is_started: noted.is_started,
            is_complete: end.trailer.is_complete,
            created: first.head.created,
            config_id: first.head.config_id,
            template: Arc::clone(&first.head.template),
        },
        parts: parts.into_iter().map(|found| found.part).collect(),
        progress,
        is_damaged: false,
    }))
}

/// Why a part does not stand where it belongs.
fn misfit(number: u64, index: u32, head: &Head, before: Option<&Found>) -> Option<String> {
    let (expected, first) = before.map_or((0, 0), |before| {
        (before.part.index + 1, before.part.first + before.part.records)
    });
    let is_of = before.is_none_or(|before| before.head.id == head.id);
    if head.number != number || head.part != index || !is_of {
        return Some("it is of another document".to_owned());
    }
    (index != expected || head.first != first).then(|| "a part before it is missing".to_owned())
}

fn is_damage(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl Trouble {
    fn new(number: Option<u64>, lost: Option<u64>, what: String) -> Trouble {
        Trouble { what, number, lost }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(number) = self.number {
            write!(f, "document {number}: ")?;
        }
        f.write_str(&self.what)?;
        match (self.number, self.lost) {
            (Some(_), Some(lost)) => write!(f, "; {lost} records are lost"),
            (Some(_), None) => f.write_str("; it is not known how many records are lost"),
            (None, _) => Ok(()),
        }
    }
}
