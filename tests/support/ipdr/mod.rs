//! A collector of IPDR/SP, written from the protocol alone: it shares no line with the exporter that it tests.
//!
//! * [`octets`] takes octets apart, [`message`] knows the messages, [`value`] the types of the fields.
//! * [`script`] says how a collector behaves: how it acknowledges, what it does wrong, and when.
//! * [`collector`] is one: a thread that connects (or is connected to), and acts by its script; [`conversation`] is what it
//!   says on one connection; [`wire`] the transport below.
//! * [`log`] is what all collectors of a test got and acknowledged, and what an exporter did against the rules.

pub mod acknowledging;
pub mod collector;
pub mod conversation;
pub mod exporter;
pub mod log;
pub mod message;
pub mod octets;
pub mod pcap;
pub mod script;
pub mod value;
pub mod wire;

#[allow(unused_imports)] // each test binary uses a part
pub use self::{
    collector::Collector,
    log::{Document, Log, Seen, State},
    message::{Field, Message, Template},
    script::{Acks, Act, Order, Script, When},
    value::Value,
};
