//! XML: what others send, split into elements and texts, within limits.
//!
//! Everything here reads octets of a stranger. What is not well-formed, is not UTF-8, declares a document type or asks
//! for more than the [`Limits`] is refused with line and column, and memory stays bounded whatever comes. What the
//! elements mean is the caller's business: [`crate::document`] and [`crate::protocol`].

mod bounded;
mod limits;
mod text;
mod tokens;

pub(crate) use bounded::Place;
pub use limits::{Limits, ReadError};
pub(crate) use text::{clip, clip_to, is_space};
pub(crate) use tokens::{Token, Tokens, Vocabulary};
