//! `last-document`: enough to go on when the ledger itself is lost.
//!
//! Written between the sealing of a document and its offer, so a document that anybody can see is always covered. It
//! is not synced by itself: a power failure may take it, but not together with the ledger.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{LedgerError, Result, Row};

const FILE: &str = "last-document";
const PARTIAL: &str = ".last-document.partial";
const LIMIT: u64 = 4096;

/// The last document whose sequence number was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDocument {
    pub sequence: u64,
    pub doc_id: String,
    pub name: String,
    pub covers_to: Option<DateTime<Utc>>,
}

impl LastDocument {
    pub fn of(row: &Row) -> Self {
        LastDocument {
            sequence: row.sequence,
            doc_id: row.doc_id.clone(),
            name: row.name.clone(),
            covers_to: row.covers_to,
        }
    }

    /// `None` where no document was written yet, or what is there cannot be read as one.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(serde_json::from_str(&text).ok()),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
            Err(source) => Err(LedgerError::File {
                doing: "read",
                path,
                source,
            }),
        }
    }

    /// Replaces the file, whole or not at all.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let partial = directory.join(PARTIAL);
        let fail = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::File { doing, path, source }
        };
        let text = serde_json::to_string(self).expect("a struct of texts and numbers is always JSON") + "\n";
        fs::write(&partial, text).map_err(fail("write", &partial))?;
        fs::rename(&partial, directory.join(FILE)).map_err(fail("rename", &partial))
    }
}
