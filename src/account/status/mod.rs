//! The status port, from both sides.
//!
//! * [`client`]: the input `status:HOST:PORT`, a running gatekeeper that tells its events.
//! * [`server`]: `status-listen`, where other programs get CDR lines as they would from the gatekeeper.
//! * [`StatusAcct`]: the module of the chain that writes lines to the server's clients.

mod acct;
pub mod client;
mod feed;
mod follow;
mod queue;
pub mod server;
mod session;
mod watch;

pub use acct::{Lines, StatusAcct};
pub use client::{Client, ClientOptions, Login, Sink, Taken, Timing};
pub use feed::event_of;
pub use server::{ServerOptions, StatusServer};
