//! What is wrong with a list: as much as somebody would read, with file and line.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What is wrong with a list, as far as it is known. `Display`: one line for each, at most twenty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: PathBuf,
    /// Line and what is wrong. Nobody reads more than the first of them.
    found: Vec<(usize, String)>,
    /// How many more there are.
    more: usize,
}

impl Problems {
    pub(super) fn new(file: &Path) -> Self {
        Problems {
            file: file.to_owned(),
            found: Vec::new(),
            more: 0,
        }
    }

    /// Line 0: the whole file.
    pub(super) fn add(&mut self, line: usize, message: String) {
        const KEPT: usize = 1000;
        match self.found.len() < KEPT {
            true => self.found.push((line, message)),
            false => self.more += 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.found.len() + self.more
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let file = self.file.display();
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by_key(|(line, _)| *line);
        for (index, (line, message)) in found.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match line {
                0 => write!(f, "{separator}{file}: {message}")?,
                line => write!(f, "{separator}{file}:{line}: {message}")?,
            }
        }
        match self.count().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{file}: and {more} more"),
        }
    }
}
