//! What all the ways to show a document have in common.

use std::io;

use super::ReadError;

/// Why a document could not be shown to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The document is wrong or cannot be read. What was shown so far is no valid document.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output did not take it.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}
