//! Document: the billing record document (IPDRDoc), written, read, checked and shown.
//!
//! A document is a header, records and an end with their number. It is written once and never changed. Writing and
//! reading stream: memory stays the same whether a document has ten records or ten million.
//!
//! * [`Body`] takes records while the sources are asked; [`write()`] makes the whole document of it. Below them stands
//!   the plain [`Writer`].
//! * [`Reader`] gives back the records of a document, ours or a CMTS's, and refuses whatever is not one.
//! * [`verify`] says whether a document is what was written: whole, valid, its own counts and checksum right.
//! * [`json`], [`csv`], [`table`] and [`chart`] show a document; [`xsd`] makes the schemas.
//!
//! A failure of the writer means that nothing of use was written: throw the output away. A failure of the reader or
//! of [`verify`] means that the file is not a valid document: nothing of it may be billed.

mod body;
pub mod chart;
pub mod csv;
mod doc_id;
mod encoder;
pub mod json;
mod lexical;
mod reader;
mod show;
pub mod table;
mod verify;
mod writer;
pub mod xsd;

pub use body::{Body, Mark};
pub use doc_id::{DocId, NotADocId};
pub use reader::{End, Reader};
pub use show::ShowError;
pub use verify::{Finding, Verified, verify};
pub use writer::{Header, Writer, Written, write};

pub use crate::xml::{Limits, ReadError};

/// Namespace of IPDR documents and of everything in them (NDM-U 3.1). Release 3.5 ends it in capitals.
pub const NAMESPACE: &str = "http://www.ipdr.org/namespaces/ipdr";

/// The schema that a document of profile `full` names, and that includes all others.
pub const SCHEMA: &str = "billdrop.xsd";

/// The schema that a CMTS names, and a document of profile `cisco-samis`.
const CISCO_SCHEMA: &str = "DOCSIS-3.1-B.0.xsd";

/// The IPDR release, as a CMTS writes it.
const VERSION: &str = "3.1";

/// How the last line of a document with a checksum begins and ends; between them 64 hexadecimal digits, lower case.
const CHECKSUM_BEGIN: &str = "<!-- sha256:";
const CHECKSUM_END: &str = " -->\n";

/// `digest` in hexadecimal digits, lower case.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest
        .iter()
        .fold(String::with_capacity(2 * digest.len()), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        })
}
