//! What devices and servers say: octets in, meaning out. No sockets, no clock, no files.
//!
//! * [`axl`]: Cisco Unified Communications Manager, SOAP requests and their replies.
//! * [`cms`]: Cisco Meeting Server, the answers of its REST interface.
//! * [`gatekeeper_status`]: the status port of a GnuGk gatekeeper.
//! * [`ipdr`]: IPDR/SP, by which records are streamed to collectors.
//! * [`radius`]: accounting requests to RADIUS servers, and their replies.
//!
//! Of the answers in XML: a reader that takes a sink gives each item as soon as it is complete. When it then fails, the items given so far are
//! a part of the answer only and must not be billed. Elements and attributes that are not known are passed over, so
//! that a newer release of a device does not stop billing, and they are never kept: a device's answers hold passwords.
//! For the same reason no error quotes what stands in an answer, but for values of fields that are known to be
//! harmless. What is known but malformed is an error with line and column.
//!
//! Texts, items and nesting have limits. The number of items is not limited here; whoever gives the input limits its octets.

pub mod axl;
pub mod cms;
mod elements;
#[doc(hidden)]
pub mod fuzz;
pub mod gatekeeper_status;
pub mod ipdr;
pub mod radius;
