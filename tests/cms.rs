//! What a Cisco Meeting Server has comes into documents: every space, every entry of its history, and each once; where
//! something is missing, the document says so.
//!
//! The Meeting Servers are those of `contrib/simulators`.

#[path = "cms/history.rs"]
mod history;
#[path = "cms/refusals.rs"]
mod refusals;
#[path = "cms/secrets.rs"]
mod secrets;
#[path = "cms/site.rs"]
mod site;
#[path = "cms/spaces.rs"]
mod spaces;
mod support;
