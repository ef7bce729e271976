//! `[archive]`: copies of documents that outlive their pickup.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Config, Size, Span};

/// `[archive]`: what is kept of documents after their retrieval.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Archive {
    /// Default: `archive` in the state directory.
    pub directory: Option<PathBuf>,
    /// How long after its retrieval a copy is kept; zero: no copy is made.
    pub keep: Span,
    /// How much all copies may take together; zero: no limit.
    pub size: Size,
    /// Whether copies are compressed after the retrieval.
    pub compress: bool,
}

impl Default for Archive {
    fn default() -> Self {
        Archive {
            directory: None,
            keep: Span::seconds(0),
            size: Size(0),
            compress: false,
        }
    }
}

impl Config {
    /// Where copies lie.
    pub fn archive_directory(&self) -> PathBuf {
        match &self.archive.directory {
            Some(directory) => directory.clone(),
            None => self.state_directory().join("archive"),
        }
    }

    /// Names of the destinations that documents are brought to, the collectors of streaming mode being one.
    pub fn destinations(&self) -> Vec<String> {
        let stream = self.stream.as_ref().map(|_| super::STREAM.to_owned());
        let pushes = self.destinations.iter().map(|push| push.name.clone());
        pushes.chain(stream).collect()
    }

    /// Whether a copy of each document is made: somebody wants it kept, or a destination may get it only after the
    /// pickup.
    pub fn makes_copies(&self) -> bool {
        !self.archive.keep.0.is_zero() || !self.destinations().is_empty()
    }
}
