//! Which lines are in the file after a crash.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::cannot;
use super::detail::{Detail, directory_of};
use super::open::FilePosition;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The lines that are in no file, by their place among those that were asked for.
    pub missing: Vec<usize>,
    /// The file of the place is still there. Otherwise it was moved to another directory or deleted, perhaps with some of the
    /// lines: then an event that is known to be logged is not to be logged again for what is said here.
    pub certain: bool,
}

pub(super) fn recover(
    detail: &mut Detail,
    from: Option<&FilePosition>,
    lines: Vec<Vec<u8>>,
) -> Result<Recovered, String> {
    let path = detail.path().to_path_buf();
    // The file need not be there: then nothing is in it.
    let _ = detail.opened();
    let files = files_of(&path).map_err(|e| cannot("look for", &path, &e))?;
    let place = from.and_then(|from| {
        files
            .iter()
            .find(|file| (file.device, file.inode) == (from.device, from.inode))
    });
    let mut search = Search::new(&lines);
    for file in &files {
        let begin = match (from, place) {
            (None, _) | (Some(_), None) => 0,
            (Some(from), Some(place)) if place.path == file.path => from.offset,
            // Older than the place.
            (Some(_), Some(place)) if file.modified < place.modified => continue,
            _ => 0,
        };
        if search.is_over() {
            break;
        }
        let failed = |e: io::Error| cannot("search", &file.path, &e);
        let torn = search.file(&file.path, begin).map_err(failed)?;
        if let Some(torn) = torn {
            let cut = OpenOptions::new().write(true).open(&file.path);
            let cut = cut.and_then(|open| open.set_len(torn).and_then(|()| open.sync_data()));
            cut.map_err(|e| cannot("cut half a line off", &file.path, &e))?;
            tracing::warn!(
                "a crash left half a line in {}: it is cut off and written again",
                file.path.display()
            );
        }
    }
    detail.measure();
    Ok(Recovered {
        missing: search.missing(&lines),
        certain: from.is_none() || place.is_some(),
    })
}

struct Found {
    path: PathBuf,
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// The file, and what it may have been renamed to.
fn files_of(path: &Path) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    let Some(own) = path.file_name() else {
        return Ok(files);
    };
    for entry in fs::read_dir(directory_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.as_bytes().strip_prefix(own.as_bytes());
        if !rest.is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'.' | b'-' | b'_')) {
            continue;
        }
        let path = entry.path();
        // The file itself may be a link.
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if found.is_file() {
            files.push(Found {
                path,
                device: found.dev(),
                inode: found.ino(),
                modified: (found.mtime(), found.mtime_nsec()),
            });
        }
    }
    files.sort_by_key(|file| file.modified);
    Ok(files)
}

/// Looks for texts that begin at the begin of a line and end at the end of one. A party's alias may hold line ends, so a
/// text may be several lines.
struct Search<'l> {
    /// By their first line.
    texts: HashMap<&'l [u8], Vec<Text<'l>>>,
    /// Octets and lines of the longest text.
    longest: usize,
    most_lines: usize,
    /// Texts that are not found yet.
    left: usize,
}

struct Text<'l> {
    whole: &'l [u8],
    wanted: usize,
    found: usize,
}

impl<'l> Search<'l> {
    fn new(lines: &'l [Vec<u8>]) -> Self {
        let mut search = Search {
            texts: HashMap::new(),
            longest: 0,
            most_lines: 1,
            left: lines.len(),
        };
        for whole in lines {
            let mut parts = whole.split(|octet| *octet == b'\n');
            let first = parts.next().unwrap_or_default();
            search.most_lines = search.most_lines.max(1 + parts.count());
            search.longest = search.longest.max(whole.len());
            let texts = search.texts.entry(first).or_default();
            match texts.iter_mut().find(|text| text.whole == whole) {
                Some(text) => text.wanted += 1,
                None => texts.push(Text {
                    whole,
                    wanted: 1,
                    found: 0,
                }),
            }
        }
        search
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Reads a file. Returns where it is to be cut if it ends with a part of one of the texts.
    fn file(&mut self, path: &Path, begin: u64) -> io::Result<Option<u64>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        // Shorter than it was: it was emptied, and what is in it is new.
        let begin = if begin > size { 0 } else { begin };
        file.seek(SeekFrom::Start(begin))?;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        // Lines that have been read and not been compared, with their places.
        let mut ahead: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut at = begin;
        loop {
            while ahead.len() < self.most_lines {
                let Some(line) = next_line(&mut reader, self.longest)? else {
                    break;
                };
                ahead.push_back((at, line.begin));
                at += line.octets;
                if !line.is_whole {
                    return Ok(self.torn(ahead));
                }
            }
            if ahead.is_empty() {
                return Ok(None);
            }
            let lines = self.matching(&ahead).unwrap_or(1);
            ahead.drain(..lines);
        }
    }

    /// How many lines at the front are one of the texts, which is then found.
    fn matching(&mut self, ahead: &VecDeque<(u64, Vec<u8>)>) -> Option<usize> {
        let texts = self.texts.get_mut(ahead.front()?.1.as_slice())?;
        let matches = |text: &Text<'_>| {
            let mut lines = ahead.iter();
            text.whole
                .split(|octet| *octet == b'\n')
                .all(|part| lines.next().is_some_and(|(_, line)| line == part))
        };
        // The longest one, should one be the begin of another.
        let text = texts
            .iter_mut()
            .filter(|text| matches(text))
            .max_by_key(|text| text.whole.len())?;
        text.found += 1;
        if text.found <= text.wanted {
            self.left -= 1;
        }
        Some(text.whole.split(|octet| *octet == b'\n').count())
    }

    /// The file ends within the last of these lines: where to cut it if that is a part of a text that is not found.
    fn torn(&mut self, mut ahead: VecDeque<(u64, Vec<u8>)>) -> Option<u64> {
        while let Some((begin, _)) = ahead.front() {
            let lines: Vec<&[u8]> = ahead.iter().map(|(_, line)| line.as_slice()).collect();
            let part = lines.join(b"\n".as_slice());
            let is_part = |text: &Text<'_>| text.found < text.wanted && text.whole.starts_with(&part);
            if self.texts.values().flatten().any(is_part) {
                return Some(*begin);
            }
            // What matches does not reach into the last line, or it would be a part.
            let lines = self.matching(&ahead).unwrap_or(1);
            ahead.drain(..lines);
        }
        None
    }

    fn missing(&self, lines: &[Vec<u8>]) -> Vec<usize> {
        let mut found: HashMap<&[u8], usize> = HashMap::new();
        for text in self.texts.values().flatten() {
            found.insert(text.whole, text.found);
        }
        let missing = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| match found.get_mut(line.as_slice()) {
                Some(left @ 1..) => {
                    *left -= 1;
                    false
                }
                _ => true,
            });
        missing.map(|(at, _)| at).collect()
    }
}

struct NextLine {
    /// Without the line end; of a line that is longer than every text only so much that it is seen.
    begin: Vec<u8>,
    /// With the line end.
    octets: u64,
    is_whole: bool,
}

fn next_line(reader: &mut impl BufRead, longest: usize) -> io::Result<Option<NextLine>> {
    let mut line = NextLine {
        begin: Vec::new(),
        octets: 0,
        is_whole: false,
    };
    while !line.is_whole {
        let buffer = match reader.fill_buf() {
            Ok([]) => break,
            Ok(buffer) => buffer,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let end = buffer.iter().position(|octet| *octet == b'\n');
        let text = &buffer[..end.unwrap_or(buffer.len())];
        let room = (longest + 1).saturating_sub(line.begin.len());
        line.begin.extend_from_slice(&text[..text.len().min(room)]);
        let octets = text.len() + usize::from(end.is_some());
        line.is_whole = end.is_some();
        line.octets += octets as u64;
        reader.consume(octets);
    }
    Ok(Some(line).filter(|line| line.octets > 0))
}
