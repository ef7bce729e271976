//! What a module of the chain is.

use super::event::{Event, EventKind, Events};

/// Logs events to one place: a file, RADIUS servers, a database. Called from many threads at once.
pub trait Module: Send + Sync {
    /// Name as the ini spells it, `FileAcct`.
    fn name(&self) -> &'static str;

    /// The events that the module can log, whatever is configured.
    fn supported(&self) -> Events;

    /// Logs one event and says what came of it. Returns within the module's own time limits.
    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome;

    /// Whether the configuration keeps the module from ever logging such an event, though it supports it: then it fails, and
    /// is not tried again later.
    fn can_never_log(&self, _kind: EventKind) -> bool {
        false
    }
}

/// Which attempt this is to log an event.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Unique for the event, the same for each attempt: what tells a repetition from a second event.
    pub key: &'a str,
    /// The event was tried before, perhaps with an outcome that nobody knows: it may have been logged already.
    pub again: bool,
}

/// What came of it. The gatekeeper's third answer, `next`, counts as a failure and is never given by our modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// Why not, with the place (file, server, query) and the next step. Never a secret.
    Fail(String),
}
