//! Managers are told: a real snmptrapd receives every event, by name, in every way of sending; and whatever a manager
//! does instead of answering, the program goes on in time and says what is wrong.

mod arrival;
mod garbage;
#[path = "../support/mod.rs"]
mod support;
mod unsent;

use std::time::Duration;

use billdrop::{
    config::{DEFAULT_ENTERPRISE, Manager},
    notify::{Engine, Event, Sender},
};
use chrono::Utc;
use support::snmptrapd::{AUTH_PASSWORD, COMMUNITY, PRIVACY_PASSWORD, SENDER_ENGINE};

/// Long enough for a busy machine. Nothing waits for it when all is well.
const SOON: Duration = Duration::from_secs(10);

fn sender() -> Sender {
    let id = Engine::parse_id(SENDER_ENGINE).unwrap();
    Sender::new(Engine { id, boots: 7 }, DEFAULT_ENTERPRISE).unwrap()
}

fn manager(address: &str, rest: &str) -> Manager {
    toml::from_str(&format!("address = '{address}'\n{rest}")).unwrap()
}

fn v2c(port: u16, inform: bool) -> Manager {
    manager(
        &format!("127.0.0.1:{port}"),
        &format!("community = '{COMMUNITY}'\ninform = {inform}\ntimeout = '5s'"),
    )
}

fn v3(port: u16, inform: bool, rest: &str) -> Manager {
    manager(
        &format!("127.0.0.1:{port}"),
        &format!("version = '3'\nuser = 'billdrop'\ninform = {inform}\ntimeout = '5s'\n{rest}"),
    )
}

fn passwords() -> String {
    format!("auth-password = '{AUTH_PASSWORD}'\nprivacy-password = '{PRIVACY_PASSWORD}'\n")
}

fn test_event(mark: &str) -> Event {
    Event::Test {
        recorder: mark.to_owned(),
        at: Utc::now(),
    }
}
