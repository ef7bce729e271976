//! Keeps a device's secrets out of what is told about it: a device may well repeat them in its answers.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::HeaderValue;

/// Shorter secrets stand in ordinary words, too, and cutting them out would only show where they are.
const SHORTEST: usize = 4;

/// Takes secrets out of texts.
#[derive(Clone, Default)]
pub struct Scrubber(Vec<String>);

impl Scrubber {
    pub fn new(user: &str, password: &str) -> Self {
        let secrets = [
            password.to_owned(),
            BASE64_STANDARD.encode(format!("{user}:{password}")),
        ];
        Scrubber(secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect())
    }

    /// One more secret: a session's cookie.
    pub fn learn(&mut self, secret: &str) {
        if secret.len() >= SHORTEST && !self.0.iter().any(|known| known == secret) {
            self.0.push(secret.to_owned());
        }
    }

    pub fn scrub(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// The value of Authorization (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    if user.contains(':') {
        return Err("a user name with a colon cannot be sent by HTTP basic authentication".to_owned());
    }
    let mut value = HeaderValue::from_str(&format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    ))
    .map_err(|e| e.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}
