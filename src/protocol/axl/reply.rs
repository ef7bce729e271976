//! Replies: the envelope, and what needs no structure of its own.

use std::io::{self, BufRead};

use super::Fault;
use super::fault::{fault, is_fault};
use crate::protocol::elements::{Elements, Failure, FromText};
use crate::xml::{ReadError, clip, is_space};

/// Columns of one row. A query of ours has five at most.
const COLUMNS: usize = 256;

/// One row of a query's result: names of the columns, as the query spells them but in small letters, and their values.
/// [`None`]: NULL, or an empty text, which a device does not tell apart.
pub type Row = Vec<(String, Option<String>)>;

/// Why there is no answer in a reply, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The device answered that it will not.
    #[error("{0}")]
    Fault(Fault),
    /// The reply is not XML, is not the expected one, or is cut off.
    #[error("the reply is not the expected one: {0}")]
    Malformed(ReadError),
    /// The reply could not be received.
    #[error("the reply could not be received: {0}")]
    Input(#[source] io::Error),
    /// Whoever takes the items failed. This says nothing about the device.
    #[error("{0}")]
    Sink(#[source] io::Error),
}

impl From<Failure> for ReplyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Malformed(error) => ReplyError::Malformed(error),
            Failure::Input(error) => ReplyError::Input(error),
            Failure::Sink(error) => ReplyError::Sink(error),
        }
    }
}

/// Reads the reply to [`super::Call::Sql`] and gives its rows one by one. Returns their number.
///
/// # Errors
/// See [`ReplyError`]. What was given before is then not the whole result.
pub fn read_rows(input: impl BufRead, each: &mut dyn FnMut(Row) -> io::Result<()>) -> Result<u64, ReplyError> {
    let mut elements = Elements::new(input);
    let mut rows = 0;
    reply(&mut elements, "executeSQLQueryResponse", "return", |elements| {
        while elements.child()? {
            if elements.name() != "row" {
                elements.skip()?;
                continue;
            }
            elements.begin_item();
            let row = row(elements)?;
            elements.end_item();
            each(row).map_err(Failure::Sink)?;
            rows += 1;
        }
        Ok(())
    })?;
    Ok(rows)
}

fn row<R: BufRead>(elements: &mut Elements<R>) -> Result<Row, Failure> {
    let mut row = Row::new();
    while elements.child()? {
        if row.len() == COLUMNS {
            return Err(elements.error(format!("a row has more than {COLUMNS} columns")));
        }
        let name = elements.name().to_owned();
        let value = elements.text("a column of a row")?;
        row.push((name, value));
    }
    Ok(row)
}

/// Reads the reply to [`super::Call::CcmVersion`], such as `14.0.1.12900(7)`.
///
/// # Errors
/// See [`ReplyError`].
pub fn read_ccm_version(input: impl BufRead) -> Result<String, ReplyError> {
    let mut elements = Elements::new(input);
    elements.begin_item();
    let mut version: Option<String> = None;
    reply(&mut elements, "getCCMVersionResponse", "return", |elements| {
        while elements.child()? {
            match elements.name() {
                "componentVersion" => elements.fields(&mut [("version", &mut version)])?,
                _ => elements.skip()?,
            }
        }
        Ok(())
    })?;
    let version = version.as_deref().map_or("", |version| version.trim_matches(is_space));
    match version {
        "" => Err(elements.error("the reply has no version").into()),
        version => Ok(version.to_owned()),
    }
}

/// Reads the reply to [`super::Call::NumDevices`].
///
/// # Errors
/// See [`ReplyError`].
pub fn read_num_devices(input: impl BufRead) -> Result<u64, ReplyError> {
    let mut elements = Elements::new(input);
    elements.begin_item();
    let mut number = None;
    reply(&mut elements, "getNumDevicesResponse", "return", |elements| {
        let text = elements.text("return")?.unwrap_or_default();
        number = u64::from_text(text.trim_matches(is_space));
        match number {
            Some(_) => Ok(()),
            None => Err(elements.error(format!("return must be {}", u64::EXPECTED))),
        }
    })?;
    number.ok_or_else(|| elements.error("the reply has no number of devices").into())
}

/// From the beginning of a reply to the end of the input. `content` reads the one child `name` of the element
/// `response`, from behind its start to its end.
pub(super) fn reply<R: BufRead>(
    elements: &mut Elements<R>,
    response: &str,
    name: &str,
    mut content: impl FnMut(&mut Elements<R>) -> Result<(), Failure>,
) -> Result<(), ReplyError> {
    open(elements, Some(response))?;
    let mut has_content = false;
    while elements.child()? {
        if elements.name() != name {
            elements.skip()?;
        } else if std::mem::replace(&mut has_content, true) {
            return Err(elements.error(format!("{name} is repeated")).into());
        } else {
            content(elements)?;
        }
    }
    if !has_content {
        return Err(elements.error(format!("{response} has no {name}")).into());
    }
    close(elements)?;
    Ok(())
}

/// From the beginning of a reply to behind the start of the element `response`; without one, only a fault is wanted.
pub(super) fn open<R: BufRead>(elements: &mut Elements<R>, response: Option<&str>) -> Result<(), ReplyError> {
    elements.root()?;
    if elements.name() != "Envelope" {
        let name = clip(elements.name());
        return Err(elements
            .error(format!("a SOAP Envelope is expected, not {name}"))
            .into());
    }
    loop {
        if !elements.child()? {
            return Err(elements.error("the Envelope has no Body").into());
        }
        if elements.name() == "Body" {
            break;
        }
        elements.skip()?;
    }
    if !elements.child()? {
        return Err(elements.error("the Body is empty").into());
    }
    if is_fault(elements.name()) {
        elements.begin_item();
        let fault = fault(elements)?;
        elements.end_item();
        close(elements)?;
        return Err(ReplyError::Fault(fault));
    }
    match response {
        Some(response) if elements.name() == response => Ok(()),
        _ => {
            let name = clip(elements.name());
            let expected = response.unwrap_or("Fault");
            Err(elements.error(format!("{expected} is expected, not {name}")).into())
        }
    }
}

/// From behind the end of the response to the end of the input.
fn close<R: BufRead>(elements: &mut Elements<R>) -> Result<(), Failure> {
    // The rest of the Body, and of the Envelope.
    elements.skip_siblings()?;
    elements.skip_siblings()?;
    elements.finish()
}
