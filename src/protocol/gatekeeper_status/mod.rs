//! The status port of a GnuGk gatekeeper: octets in, items out. No socket, no clock.
//!
//! The port speaks lines that end with CR LF, with TELNET negotiation and login prompts before the first of them. What
//! accounting needs of it is the *feed*: records that the gatekeeper's module `StatusAcct` writes after the templates of
//! [`template`], one for each event.
//!
//! Parties choose their own names, and the gatekeeper passes them on as they are: `|`, CR and LF, even text that looks like
//! another record. So no fixed separator is safe. A record is bounded by its own event's UUID, as a MIME part is by its
//! boundary: the gatekeeper makes it after the parties have sent their texts. Fields of fixed form come first with `|`
//! between them; then each free text, with the UUID before it; then the UUID and a full stop. A record whose UUID is not there
//! exactly as often as the template has it is damaged, and is told as such. Nothing is guessed.
//!
//! Whatever comes, the reader keeps at most [`LIMIT`] octets and what one call of it gave.

mod reader;
mod record;

#[cfg(test)]
mod tests;

pub use reader::Reader;
pub use record::{
    CALL_FIELDS, CALL_TEXTS, ENDPOINT_FIELDS, ENDPOINT_TEXTS, Record, parameter_text, same_origin, template,
};

/// The longest line, and the longest record, in octets.
pub const LIMIT: usize = 64 << 10;

/// What came out of the octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The name is asked for. No line end follows it.
    LoginPrompt,
    PasswordPrompt,
    /// `Access forbidden!`: the address or the password was refused; the gatekeeper closes.
    Forbidden,
    /// The second line of the greeting, `Gatekeeper(GNU) Version(…) …`: the client is let in.
    Version(Vec<u8>),
    /// The time of `Startup: …`, in the greeting and in the reply to `statistics`.
    Startup(Vec<u8>),
    /// `Total Calls: N`, in the reply to `statistics`.
    TotalCalls(u64),
    /// A line `;`: a reply of several lines is over.
    End,
    /// A record of the feed.
    Record(Box<Record>),
    /// A standard CDR line, `CDR|…;`, without line end.
    Cdr(Vec<u8>),
    /// Octets that are lost to accounting.
    Damaged(Damaged),
    /// Any other line, without line end.
    Line(Vec<u8>),
}

/// Something that was a record, a CDR line, or at least too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The record's own, where it got that far.
    pub uuid: Option<String>,
    pub reason: &'static str,
}
