//! Warnings and errors of the capture that holds the lock, on their way to `error.log`.

use std::{
    fmt::{self, Write},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::Utc;
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{Layer, layer::Context};

use super::{Format, Settings, rotating::Rotating};

/// The log of this process. There is one, because there is one lock.
static LOG: Mutex<Option<ErrorLog>> = Mutex::new(None);

/// Whether there is one: events come also while there is none, and then quickly on.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

struct ErrorLog {
    file: Rotating,
    format: Format,
    /// The first failure; nothing is written behind it.
    failure: Option<String>,
}

/// Hands events to `error.log` while there is one. Which of them, its filter says.
pub struct ErrorLayer;

impl<S: Subscriber> Layer<S> for ErrorLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if IS_OPEN.load(Ordering::Relaxed) {
            let mut message = Message::default();
            event.record(&mut message);
            write(event.metadata().level().as_str(), &message.text);
        }
    }
}

pub(super) fn begin(settings: &Settings) {
    *log() = Some(ErrorLog {
        file: Rotating::new(settings, "error.log"),
        format: settings.format,
        failure: None,
    });
    IS_OPEN.store(true, Ordering::Relaxed);
}

/// Ends it. Returns why it is not whole.
pub(super) fn end() -> Option<String> {
    IS_OPEN.store(false, Ordering::Relaxed);
    log().take()?.failure
}

pub(super) fn write(level: &str, message: &str) {
    if let Some(log) = &mut *log()
        && log.failure.is_none()
    {
        let line = log.format.message(Utc::now(), level, message);
        if let Err(e) = log.file.write(&line) {
            // Told when the log ends: here it would come back to this place.
            log.failure = Some(format!("cannot write the log {}: {e}", log.file.path().display()));
        }
    }
}

fn log() -> MutexGuard<'static, Option<ErrorLog>> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an event says: its message, then other fields as NAME=VALUE.
#[derive(Default)]
struct Message {
    text: String,
}

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}
