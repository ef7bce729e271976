//! `RadAcct` against servers that do what is worst, in the order and at the times that a real gatekeeper has shown, and against
//! FreeRADIUS.

#[path = "accounting_radius/order.rs"]
mod order;
#[path = "accounting_radius/ports.rs"]
mod ports;
#[path = "accounting_radius/real.rs"]
mod real;
#[path = "accounting_radius/replies.rs"]
mod replies;
#[path = "accounting_radius/site.rs"]
mod site;
mod support;
