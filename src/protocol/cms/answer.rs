//! What all answers have in common: the document element, collections with their total, failures.

use std::io::{self, BufRead};

use crate::protocol::elements::{Elements, Failure};
use crate::xml::{ReadError, clip};

/// Codes of a failure that are kept; there is seldom more than one.
const CODES: usize = 32;

/// What a page of a collection says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items of the whole collection, as the server counts them.
    pub total: u64,
    /// Items in this answer. A server may give fewer than it was asked for.
    pub returned: u64,
}

/// Why there is nothing in an answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The server gave reasons instead: the codes of its `failureDetails`.
    #[error("the server answered with the failure {}", .0.join(", "))]
    Failure(Vec<String>),
    /// The answer is not XML, is not the expected one, or is cut off.
    #[error("the answer is not the expected one: {0}")]
    Malformed(ReadError),
    /// The answer could not be received.
    #[error("the answer could not be received: {0}")]
    Input(#[source] io::Error),
    /// Whoever takes the items failed. This says nothing about the server.
    #[error("{0}")]
    Sink(#[source] io::Error),
}

impl From<Failure> for AnswerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Malformed(error) => AnswerError::Malformed(error),
            Failure::Input(error) => AnswerError::Input(error),
            Failure::Sink(error) => AnswerError::Sink(error),
        }
    }
}

/// The codes of `failureDetails`, such as `coSpaceDoesNotExist`, also those that we do not know. Empty when that is not
/// what the answer is.
pub fn read_failure(octets: &[u8]) -> Vec<String> {
    match open(&mut Elements::new(octets), None) {
        Err(AnswerError::Failure(codes)) => codes,
        _ => Vec::new(),
    }
}

/// Whether the same request may succeed somewhat later.
pub fn is_temporary(code: &str) -> bool {
    matches!(code, "databaseNotReady" | "tooManyLdapSyncs")
}

/// From the beginning of an answer to behind the start of its document element `name`; without one, only a failure is
/// wanted.
pub(super) fn open<R: BufRead>(elements: &mut Elements<R>, name: Option<&str>) -> Result<(), AnswerError> {
    elements.root()?;
    if name == Some(elements.name()) {
        return Ok(());
    }
    if elements.name() == "failureDetails" {
        elements.begin_item();
        let mut codes = Vec::new();
        while elements.child()? {
            if codes.len() < CODES {
                codes.push(clip(elements.name()));
            }
            elements.skip()?;
        }
        elements.finish()?;
        return Err(AnswerError::Failure(codes));
    }
    let other = clip(elements.name());
    let expected = name.unwrap_or("failureDetails");
    Err(elements.error(format!("{expected} is expected, not {other}")).into())
}

/// Reads an answer that is a collection `collection` of elements `item`, from its beginning to the end of the input.
/// `read` takes each from behind its start to its end, and gives back what is to be done with it.
pub(super) fn collection<R: BufRead, T>(
    input: R,
    collection: &str,
    item: &str,
    mut read: impl FnMut(&mut Elements<R>) -> Result<T, Failure>,
    each: &mut dyn FnMut(T) -> io::Result<()>,
) -> Result<Page, AnswerError> {
    let mut elements = Elements::new(input);
    open(&mut elements, Some(collection))?;
    let total = elements.required("total")?;
    let mut returned = 0;
    while elements.child()? {
        if elements.name() != item {
            elements.skip()?;
            continue;
        }
        elements.begin_item();
        let item = read(&mut elements)?;
        elements.end_item();
        each(item).map_err(Failure::Sink)?;
        returned += 1;
    }
    elements.finish()?;
    Ok(Page { total, returned })
}

/// Reads an answer that is one element `name`. `read` takes it from behind its start to its end.
pub(super) fn single<R: BufRead, T>(
    input: R,
    name: &str,
    read: impl FnOnce(&mut Elements<R>) -> Result<T, Failure>,
) -> Result<T, AnswerError> {
    let mut elements = Elements::new(input);
    elements.begin_item();
    open(&mut elements, Some(name))?;
    let item = read(&mut elements)?;
    elements.finish()?;
    Ok(item)
}

/// The attribute `id` of the element that was entered last, as the server wrote it.
pub(super) fn id<R: BufRead>(elements: &Elements<R>) -> Result<String, Failure> {
    /// An id is a UUID of 36 characters; whatever it becomes, a database of ours must hold it.
    const MAX_CHARS: usize = 255;
    let id: String = elements.required("id")?;
    if id.chars().count() > MAX_CHARS {
        return Err(elements.error(format!("an id has more than {MAX_CHARS} characters")));
    }
    Ok(id)
}
