//! Words of SQL, and parameters as words.

use crate::account::parameters::Parameter;

/// PostgreSQL's statements that can have parameters. The last three are read only.
pub(super) const PARAMETERS_IN: [&str; 9] = [
    "insert", "update", "delete", "merge", "call", "select", "with", "values", "(",
];

pub(super) const TRANSACTIONS: [&str; 8] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
];

/// Before and behind them MySQL commits.
pub(super) const COMMITTING: [&str; 9] = [
    "create", "alter", "drop", "truncate", "rename", "lock", "unlock", "set", "optimize",
];

/// Parameters that are numbers whatever the event is.
pub(super) fn is_number(parameter: Parameter) -> bool {
    use Parameter::{
        Bandwidth, BandwidthKbps, CallAttempts, CalleeAudioBitrate, CalleePort, CalleeVideoBitrate, CallerAudioBitrate,
        CallerPort, CallerVideoBitrate, Cause, CauseTranslated, ClientAuthId, Duration, EndpointPort, LastCdr, Number,
        PostDialDelay, ReleaseSource, RingTime, TotalTime,
    };
    matches!(
        parameter,
        Number
            | Duration
            | TotalTime
            | Cause
            | CauseTranslated
            | ReleaseSource
            | PostDialDelay
            | RingTime
            | CallerPort
            | CalleePort
            | EndpointPort
            | CallAttempts
            | LastCdr
            | ClientAuthId
            | Bandwidth
            | BandwidthKbps
            | CallerAudioBitrate
            | CalleeAudioBitrate
            | CallerVideoBitrate
            | CalleeVideoBitrate
    )
}

/// A parameter that such an event does not have: the gatekeeper leaves it as it was typed.
pub(super) fn as_typed(parameter: Parameter) -> String {
    match parameter.name() {
        name if name.len() == 1 => format!("%{name}"),
        name => format!("%{{{name}}}"),
    }
}

pub(super) fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The first word of a statement, in small letters; a bracket counts as one. [`None`]: there is nothing but comments.
pub(super) fn verb(text: &str) -> Option<String> {
    let mut rest = text.trim_start();
    loop {
        if rest.starts_with("--") || rest.starts_with('#') {
            rest = rest.split_once('\n')?.1.trim_start();
        } else if rest.starts_with("/*") && !rest.starts_with("/*!") {
            rest = rest.split_once("*/")?.1.trim_start();
        } else {
            break;
        }
    }
    let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
    match rest.chars().next()? {
        first if end == 0 => Some(first.to_string()),
        _ => Some(rest[..end].to_ascii_lowercase()),
    }
}

/// The last words of `text` in small letters, with one blank between them. [`None`]: there are fewer, or something else.
pub(super) fn last_words(text: &str, count: usize) -> Option<String> {
    let words: Vec<&str> = text[start_of_last_words(text, count)..].split_whitespace().collect();
    let fit = words.len() == count && words.iter().all(|word| word.chars().all(in_name));
    fit.then(|| words.join(" ").to_ascii_lowercase())
}

pub(super) fn start_of_last_words(text: &str, count: usize) -> usize {
    let mut rest = text;
    for _ in 0..count {
        rest = rest.trim_end();
        rest = rest.trim_end_matches(in_name);
    }
    rest.len()
}
