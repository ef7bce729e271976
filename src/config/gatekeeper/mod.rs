//! An operator's own gatekeeper ini: what accounting needs of it.

mod events;
mod options;

pub use events::{EventKind, Events};
pub use options::{
    Control, FileAcct, Gatekeeper, Link, LinkKind, RadAcct, RadiusServer, Rotate, SqlAcct, SqlDriver, StatusAcct,
    SyslogAcct,
};
