//! Questions to the REST interface of a CMS, and what its statuses mean.

use std::{cell::Cell, fmt, io::Read};

use crate::{
    capture::{
        SourceError,
        web::{Body, Conversation, Date, Patience, Question},
    },
    protocol::cms::{AnswerError, is_temporary, read_failure},
};

/// Octets of one answer: a page of spaces needs some hundred octets for each.
const LONGEST: u64 = 16 << 20;

/// Octets of a refusal that are read: its reasons are short.
const REFUSAL: u64 = 64 << 10;

/// A CMS that is being asked.
pub struct Rest<'a> {
    web: &'a Conversation,
    user: &'a str,
    patience: Patience,
    /// Whether it has answered anything yet.
    is_alive: Cell<bool>,
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such thing, in the CMS's words. Others can still be asked for.
    NotThere(String),
    /// This question is refused, in the CMS's words. Others can still be asked for.
    Refused(String),
    /// The answer to this question is not right, as the sentence says. Others can still be asked for.
    Answer(String),
    /// Nothing more can be asked.
    Source(SourceError),
}

/// An answer that is none.
struct Refusal {
    status: u16,
    /// Of its `failureDetails`.
    codes: Vec<String>,
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Trouble::Source(error)
    }
}

impl<'a> Rest<'a> {
    pub fn new(web: &'a Conversation, user: &'a str, patience: Patience) -> Self {
        Rest {
            web,
            user,
            patience,
            is_alive: Cell::new(false),
        }
    }

    /// Asks for `path` (below `/api/v1`, with its query) and hands the answer to `read` as it comes. When the connection
    /// breaks, asks once more: `read` must bear to see the same again.
    pub fn get<T>(
        &self,
        path: &str,
        mut read: impl FnMut(&mut Body, Date) -> Result<T, AnswerError>,
    ) -> Result<T, Trouble> {
        let mut patience = self.patience.clone();
        let path = format!("/api/v1{path}");
        // A CMS may close a connection that it has kept open just when we ask. One that never answered is not there.
        let mut may_break = self.is_alive.get();
        loop {
            let refusal = match self.ask(&path, &mut read) {
                Ok(Ok(value)) => {
                    self.is_alive.set(true);
                    return Ok(value);
                }
                Ok(Err(refusal)) => refusal,
                Err(Trouble::Source(SourceError::Unavailable(why))) if may_break && self.web.left().is_ok() => {
                    tracing::debug!("{why}: once more");
                    may_break = false;
                    continue;
                }
                Err(trouble) => return Err(trouble),
            };
            self.bear(&path, &refusal, &mut patience)?;
        }
    }

    fn ask<T>(
        &self,
        path: &str,
        read: &mut impl FnMut(&mut Body, Date) -> Result<T, AnswerError>,
    ) -> Result<Result<T, Refusal>, Trouble> {
        let mut answer = self.web.ask(&Question {
            path,
            limit: LONGEST,
            ..Question::default()
        })?;
        let status = answer.status;
        let codes = match status {
            200 => match read(&mut answer.body, answer.date) {
                Ok(value) => return Ok(Ok(value)),
                Err(AnswerError::Failure(codes)) => codes,
                Err(error) => return Err(self.unread(path, error)),
            },
            _ => {
                let mut octets = Vec::new();
                let body = &mut answer.body;
                body.take(REFUSAL)
                    .read_to_end(&mut octets)
                    .map_err(|e| self.web.broken(&e))?;
                read_failure(&octets)
            }
        };
        Ok(Err(Refusal { status, codes }))
    }

    pub fn unavailable(&self, why: impl fmt::Display) -> SourceError {
        self.web.unavailable(why)
    }

    pub fn bad_data(&self, why: impl fmt::Display) -> SourceError {
        self.web.bad_data(why)
    }

    fn unread(&self, path: &str, error: AnswerError) -> Trouble {
        match error {
            AnswerError::Input(e) => self.web.broken(&e).into(),
            AnswerError::Sink(e) => SourceError::Sink(e).into(),
            AnswerError::Malformed(e) => Trouble::Answer(format!("its answer to {path} is not right: {e}")),
            AnswerError::Failure(codes) => Trouble::Refused(codes.join(", ")),
        }
    }

    /// Waits where the CMS is only busy; tells every other refusal.
    fn bear(&self, path: &str, refusal: &Refusal, patience: &mut Patience) -> Result<(), Trouble> {
        let Refusal { status, codes } = refusal;
        let status = *status;
        let said = match codes.is_empty() {
            true => format!("HTTP {status}"),
            false => self.web.scrub(&format!("HTTP {status}, {}", codes.join(", "))),
        };
        let busy = status == 503 || codes.iter().any(|code| is_temporary(code));
        if busy && patience.wait(self.web.deadline()) {
            return Ok(());
        }
        let user = self.user;
        let denied = |why: fmt::Arguments<'_>| Trouble::Source(SourceError::Denied(self.web.in_our_words(why)));
        let unavailable =
            |why: fmt::Arguments<'_>| Trouble::Source(SourceError::Unavailable(self.web.in_our_words(why)));
        Err(match status {
            _ if busy => unavailable(format_args!("it is too busy ({said}), after all retries")),
            401 => denied(format_args!(
                "user {user} is refused ({said}): the name or the password is wrong, or the account is none for the API"
            )),
            403 => denied(format_args!(
                "user {user} may not use the API ({said}): make an account with the role api"
            )),
            404 => Trouble::NotThere(said),
            300..=399 => unavailable(format_args!(
                "it sends us elsewhere ({said}), which is not followed; is this the port of the Web Admin?"
            )),
            _ => {
                tracing::debug!("{path} is refused: {said}");
                Trouble::Refused(said)
            }
        })
    }
}
