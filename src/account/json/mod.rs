//! Call events as JSON, one object a line: what callers hand in, and what the call journal keeps.
//!
//! The keys are the names of the gatekeeper's `%` parameters ([`Parameter`](super::parameters::Parameter)), and `event`;
//! `contrib/schema/account-event.schema.json` describes them. A key that is not known is refused, since a typing error would
//! be a value that is missing in the bill. [`to_json`] writes what [`from_json`] reads: the same event gives the same octets.
//!
//! Texts that are not UTF-8 are `{"base64": "…"}`. Times are RFC 3339, with the gatekeeper's name of its zone in brackets
//! where it is known (`2026-11-22T14:43:27+01:00[CET]`), or seconds since 1970. Without the name a time is written in this
//! host's zone.

mod names;
mod read;
mod time;
mod write;

pub use read::{from_journal, from_json};
pub use write::{to_json, write_json};

/// The longest line that is read from outside, in octets.
pub const LONGEST_LINE: usize = 64 << 10;

/// The most items of `rtcp` and `class`.
pub const MOST_ITEMS: usize = 64;

#[cfg(test)]
mod tests;
