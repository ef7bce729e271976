//! An AXL session: one question after the other, in the version that the server speaks.
//!
//! The first answer sets a cookie, which is sent from then on in place of the password, as Cisco asks for. What a
//! server says by a status, a fault or a page is told in a sentence that an operator can act on.

use std::fmt;

use crate::{
    capture::{
        SourceError,
        web::{Answer, Body, Conversation, Date, Patience, Question},
    },
    protocol::axl::{Call, Fault, Meaning, ReplyError, Version, read_fault, supported_versions},
};

const PATH: &str = "/axl/";
const COOKIE: &str = "JSESSIONIDSSO";

/// Octets of an answer. A CUCM sends 8 MB at most (AXL Developer Guide), and then says that it is too large.
const LONGEST: u64 = 16 << 20;

/// A CUCM that is being asked.
pub struct Session<'a> {
    web: &'a Conversation,
    user: &'a str,
    version: Version,
    /// Versions that the server has refused.
    refused: Vec<Version>,
    cookie: Option<String>,
    patience: Patience,
    /// How often the present question was asked.
    asked: u32,
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The server refuses this question; others can still be asked.
    Fault(Fault),
    /// The answer to this question is not right, as the sentence says; others can still be asked.
    Answer(String),
    /// Nothing more can be asked.
    Source(SourceError),
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Trouble::Source(error)
    }
}

/// What to do about an answer that is none.
enum Next {
    Again,
    Never(SourceError),
}

impl<'a> Session<'a> {
    /// Begins in `version`; nothing is sent yet.
    pub fn new(web: &'a Conversation, user: &'a str, version: Version, patience: Patience) -> Self {
        Session {
            web,
            user,
            version,
            refused: Vec::new(),
            cookie: None,
            patience,
            asked: 0,
        }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Begins with the newest version again, unless it is spoken or was refused already. Whether it did.
    pub fn try_newest(&mut self) -> bool {
        let newest = Version::KNOWN[0];
        let is_worth_it = self.version != newest && self.refused.is_empty();
        if is_worth_it {
            self.version = newest;
        }
        is_worth_it
    }

    /// Asks, and hands the answer to `read` as it comes. `read` is called again only when all that it saw was a fault.
    pub fn call<T>(
        &mut self,
        call: &Call<'_>,
        mut read: impl FnMut(&mut Body, Date) -> Result<T, ReplyError>,
    ) -> Result<T, Trouble> {
        let mut patience = self.patience.clone();
        self.asked = 0;
        loop {
            let had_cookie = self.cookie.is_some();
            self.asked += 1;
            let mut answer = self.send(call)?;
            self.keep_cookie(&answer);
            match answer.status {
                200 => match read(&mut answer.body, answer.date) {
                    Ok(value) => return Ok(value),
                    Err(ReplyError::Fault(fault)) => self.bear(fault, &mut patience)?,
                    Err(ReplyError::Input(e)) => return Err(self.web.broken(&e).into()),
                    Err(ReplyError::Malformed(e)) => {
                        return Err(Trouble::Answer(format!(
                            "its answer to {} is not right: {e}",
                            call.operation()
                        )));
                    }
                    Err(ReplyError::Sink(e)) => return Err(SourceError::Sink(e).into()),
                },
                500 => {
                    let octets = answer.body.read_all().map_err(|e| self.web.broken(&e))?;
                    match read_fault(&octets) {
                        Some(fault) => self.bear(fault, &mut patience)?,
                        None => {
                            return Err(self
                                .unavailable("HTTP status 500 without a reason (no SOAP fault)")
                                .into());
                        }
                    }
                }
                _ => match self.refused(answer, had_cookie, &mut patience) {
                    Next::Again => {}
                    Next::Never(error) => return Err(error.into()),
                },
            }
        }
    }

    /// Nothing more can be asked, for this reason.
    pub fn unavailable(&self, why: &str) -> SourceError {
        self.web.unavailable(why)
    }

    pub fn denied(&self, why: &str) -> SourceError {
        self.web.denied(why)
    }

    pub fn bad_data(&self, why: &str) -> SourceError {
        self.web.bad_data(why)
    }

    fn send(&self, call: &Call<'_>) -> Result<Answer, SourceError> {
        let envelope = call.envelope(self.version);
        self.web.ask(&Question {
            path: PATH,
            body: Some(&envelope),
            soap_action: Some(&call.soap_action(self.version)),
            cookie: self.cookie.as_deref(),
            limit: LONGEST,
        })
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        // Who is refused has no session, whatever the cookie is for.
        if matches!(answer.status, 401 | 403 | 404) {
            return;
        }
        // The last of a name counts (RFC 6265, section 5.3).
        let set = answer.cookies.iter().rev().find_map(|cookie| {
            let pair = cookie.split(';').next()?.trim();
            let (name, value) = pair.split_once('=')?;
            (name == COOKIE && !value.is_empty()).then(|| pair.to_owned())
        });
        if set.is_some() {
            self.cookie = set;
        }
    }

    /// Waits and asks again where the server has only no memory left now; hands on every other fault.
    fn bear(&self, fault: Fault, patience: &mut Patience) -> Result<(), Trouble> {
        if matches!(fault.meaning, Meaning::Memory) && patience.wait(self.web.deadline()) {
            return Ok(());
        }
        Err(Trouble::Fault(fault))
    }

    fn refused(&mut self, mut answer: Answer, had_cookie: bool, patience: &mut Patience) -> Next {
        let (user, web) = (self.user, self.web);
        let denied = |why: fmt::Arguments<'_>| Next::Never(SourceError::Denied(web.in_our_words(why)));
        let unavailable = |why: fmt::Arguments<'_>| Next::Never(SourceError::Unavailable(web.in_our_words(why)));
        match answer.status {
            // An expired session answers 404, as if there were no AXL at all.
            401 | 403 | 404 if had_cookie => {
                self.cookie = None;
                Next::Again
            }
            401 => denied(format_args!(
                "user {user} is refused (HTTP 401): the name or the password is wrong, or the account has no role for \
                 AXL; see ACCOUNTS in billing_config.csv(5)"
            )),
            403 => denied(format_args!(
                "user {user} may not use AXL (HTTP 403): give the account the roles of ACCOUNTS in billing_config.csv(5)"
            )),
            404 => unavailable(format_args!(
                "there is nothing at {PATH} (HTTP 404): activate the service Cisco AXL Web Service, and ask the publisher"
            )),
            503 if patience.wait(self.web.deadline()) => Next::Again,
            503 => unavailable(format_args!(
                "it is too busy (HTTP 503){}; see which other application asks it without a pause",
                self.often()
            )),
            599 => match answer.body.read_all() {
                Ok(page) => self.negotiate(&page),
                Err(e) => Next::Never(self.web.broken(&e)),
            },
            300..=399 => unavailable(format_args!(
                "it sends us elsewhere (HTTP {}), which is not followed; is this the address of the publisher?",
                answer.status
            )),
            status => unavailable(format_args!("HTTP status {status}")),
        }
    }

    /// The page of status 599 says which versions there are. Where it does not say it in words that we know, the other
    /// versions are tried, newest first: the pages of older releases are not documented.
    fn negotiate(&mut self, page: &[u8]) -> Next {
        self.refused.push(self.version);
        let theirs = supported_versions(page);
        let mut candidates = theirs.clone().unwrap_or_else(|| Version::KNOWN.to_vec());
        candidates.retain(|version| !self.refused.contains(version));
        if let Some(version) = candidates.into_iter().max() {
            self.version = version;
            return Next::Again;
        }
        let refused = self
            .refused
            .iter()
            .map(Version::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let why = match theirs {
            None => "and its page does not say which it speaks".to_owned(),
            Some(theirs) if theirs.is_empty() => {
                let known = Version::KNOWN.map(|version| version.to_string());
                format!("and names none that billdrop speaks ({})", known.join(", "))
            }
            Some(_) => "though it claims to speak it; set [cucm] axl-version".to_owned(),
        };
        Next::Never(
            self.web
                .unavailable(format_args!("it refuses AXL {refused} (HTTP 599) {why}")),
        )
    }

    /// How often the present question was asked, where that was more than once.
    fn often(&self) -> String {
        match self.asked {
            0 | 1 => String::new(),
            asked => format!(", asked {asked} times"),
        }
    }

    /// A fault in words, for an operator: what is refused, why, what to do.
    pub fn sentence(&self, what: &str, fault: &Fault) -> String {
        let code = fault.code.map_or(String::new(), |code| format!(" (axlcode {code})"));
        let why = match fault.meaning {
            Meaning::TooLarge { .. } => "the answer is too large, in pages, too".to_owned(),
            Meaning::Memory => format!(
                "it has no memory left for the answer{}; see which other application asks it for so much",
                self.often()
            ),
            Meaning::UserRank => {
                format!("the user's rank is too low{code}; raise it in its User Rank Configuration")
            }
            Meaning::NotFound => format!("it does not know what was asked for{code}"),
            Meaning::Duplicate | Meaning::Other => format!("it refuses{code}"),
        };
        match in_one_line(&fault.text) {
            text if text.is_empty() => format!("{what}: {why}"),
            text => format!("{what}: {why}: {text}"),
        }
    }
}

/// A fault's text as it can stand in a line of a log, and short enough that the reasons of other questions have room
/// beside it.
fn in_one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_s_text_is_one_short_line() {
        assert_eq!(
            in_one_line(" two\r\nlines\u{7}\tand \u{85} more "),
            "two lines and more"
        );
        assert_eq!(in_one_line("\n"), "");
        let long = in_one_line(&"é".repeat(1000));
        assert_eq!(long.chars().count(), 203);
    }
}
