//! The manifest: what a document is, in a few lines beside it, for those who cannot read XML before they have it all.
//!
//! It is there before its document and goes after it, so a document that can be seen has one. It is made from the ledger
//! alone: written anew it is the same. The interlock does not count it.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
};

use super::Spool;
use crate::ledger::{Row, written};

/// What follows the document's name.
pub const SUFFIX: &str = ".manifest";

/// Longest manifest that is read, in octets.
const LIMIT: usize = 4096;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    pub name: String,
    pub size: u64,
    pub sha256: String,
    pub records: u64,
    pub sequence: u64,
    pub doc_id: String,
    /// Empty: this is the first document.
    pub previous_doc_id: String,
    pub created: String,
}

impl Manifest {
    pub fn of(row: &Row, previous_doc_id: Option<String>) -> Self {
        Manifest {
            name: row.name.clone(),
            size: row.octets,
            sha256: row.sha256.clone(),
            records: row.records,
            sequence: row.sequence,
            doc_id: row.doc_id.clone(),
            previous_doc_id: previous_doc_id.unwrap_or_default(),
            created: written(row.created),
        }
    }

    /// One `key: value` a line.
    pub fn text(&self) -> String {
        let mut text = format!(
            "name: {}\nsize: {}\nsha256: {}\nrecords: {}\nsequence: {}\ndocId: {}\n",
            self.name, self.size, self.sha256, self.records, self.sequence, self.doc_id
        );
        if !self.previous_doc_id.is_empty() {
            let _ = writeln!(text, "previousDocId: {}", self.previous_doc_id);
        }
        let _ = writeln!(text, "created: {}", self.created);
        text
    }

    /// # Errors
    /// What is wrong with the text, and in which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LIMIT {
            return Err(format!("it has more than {LIMIT} octets"));
        }
        let mut manifest = Manifest::default();
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |reason: &str| format!("line {}: {reason}", index + 1);
            let (key, value) = line
                .split_once(": ")
                .ok_or_else(|| wrong("\"key: value\" is expected"))?;
            let number = || {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                value
                    .parse()
                    .ok()
                    .filter(|_| digits)
                    .ok_or_else(|| wrong("a number is expected"))
            };
            match key {
                "name" => manifest.name = value.to_owned(),
                "size" => manifest.size = number()?,
                "sha256" => manifest.sha256 = value.to_owned(),
                "records" => manifest.records = number()?,
                "sequence" => manifest.sequence = number()?,
                "docId" => manifest.doc_id = value.to_owned(),
                "previousDocId" => manifest.previous_doc_id = value.to_owned(),
                "created" => manifest.created = value.to_owned(),
                // A later version may say more.
                _ => continue,
            }
            if seen.contains(&key) {
                return Err(wrong(&format!("{key} stands there twice")));
            }
            seen.push(key);
        }
        match ["name", "size", "sha256", "records", "sequence", "docId", "created"]
            .into_iter()
            .find(|key| !seen.contains(key))
        {
            Some(missing) => Err(format!("{missing} is missing")),
            None => Ok(manifest),
        }
    }
}

/// Puts the manifest under its final name, synced; one that is there is replaced.
pub(super) fn put(spool: &Spool, manifest: &Manifest) -> io::Result<()> {
    let name = format!("{}{SUFFIX}", manifest.name);
    let partial = format!(".{name}.partial");
    spool.discard(&partial)?;
    let written = || -> io::Result<()> {
        let mut file = spool.create(&partial)?;
        file.write_all(manifest.text().as_bytes())?;
        spool.permit(&file)?;
        file.sync_all()?;
        fs::rename(spool.path(&partial), spool.path(&name))?;
        spool.sync()
    };
    written().inspect_err(|_| drop(spool.discard(&partial)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "h-20260115-093000.xml".to_owned(),
            size: 12,
            sha256: "ab".repeat(32),
            records: 3,
            sequence: 7,
            doc_id: "D".to_owned(),
            previous_doc_id: "C".to_owned(),
            created: "2026-01-15T09:30:00.000Z".to_owned(),
        }
    }

    #[test]
    fn a_manifest_survives_being_written_and_read() {
        assert_eq!(Manifest::parse(&manifest().text()), Ok(manifest()));
        let first = Manifest {
            previous_doc_id: String::new(),
            ..manifest()
        };
        assert_eq!(Manifest::parse(&first.text()), Ok(first));
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_the_line() {
        let text = manifest().text();
        for (broken, said) in [
            (text.replace("size: 12", "size: +12"), "line 2: a number"),
            (text.replace("size: 12\n", ""), "size is missing"),
            (text.replace("size: 12", "size"), "line 2: \"key: value\""),
            (format!("{text}size: 12\n"), "line 9: size stands there twice"),
            (text.repeat(30), "more than 4096"),
            (String::new(), "name is missing"),
        ] {
            let refusal = Manifest::parse(&broken).unwrap_err();
            assert!(refusal.contains(said), "{refusal}");
        }
        assert!(Manifest::parse(&format!("{text}later: x\n")).is_ok());
    }
}
