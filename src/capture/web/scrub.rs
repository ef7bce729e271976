//! Keeps a device's secrets out of what is told about it: a device may well repeat them in its answers.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::HeaderValue;

/// Shorter secrets stand in ordinary words, too, and cutting them out would only show where they are.
const SHORTEST: usize = 4;

/// Forms of secrets that are known at most. A device may send any number of cookies.
const MOST: usize = 64;

const INSTEAD: &str = "***";

/// Where a long text of a device was cut off.
const CUT: char = '…';

/// Takes secrets out of texts.
#[derive(Clone, Default)]
pub struct Scrubber(Vec<String>);

impl Scrubber {
    pub fn new(user: &str, password: &str) -> Self {
        let mut scrubber = Scrubber::default();
        scrubber.learn(password);
        scrubber.learn(&BASE64_STANDARD.encode(format!("{user}:{password}")));
        scrubber
    }

    /// One more secret, as it is and as it stands in quotes, in XML and in a URL.
    pub fn learn(&mut self, secret: &str) {
        let quoted = format!("{secret:?}");
        let forms = [
            secret.to_owned(),
            quoted[1..quoted.len() - 1].to_owned(),
            quick_xml::escape::escape(secret).into_owned(),
            in_url(secret),
        ];
        for form in forms {
            if form.len() >= SHORTEST && self.0.len() < MOST && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // One that holds another goes first, so that nothing of it is left.
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// `text` without secrets, in one line, and without what would turn a terminal over to the device.
    pub fn scrub(&self, text: &str) -> String {
        let whole = self
            .0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, INSTEAD));
        let scrubbed = match whole.contains(CUT) {
            true => self.scrub_cut(&whole),
            false => whole,
        };
        scrubbed.replace(is_command, " ")
    }

    /// A secret that was cut off is not whole, and a secret still.
    fn scrub_cut(&self, text: &str) -> String {
        let mut parts: Vec<String> = text.split(CUT).map(str::to_owned).collect();
        let last = parts.len() - 1;
        for part in &mut parts[..last] {
            if let Some(begun) = self.begun_at_end(part) {
                part.truncate(part.len() - begun);
                part.push_str(INSTEAD);
            }
        }
        parts.join(&CUT.to_string())
    }

    /// Octets at the end of `text` that a secret begins with.
    fn begun_at_end(&self, text: &str) -> Option<usize> {
        self.0
            .iter()
            .filter_map(|secret| {
                (SHORTEST..secret.len())
                    .rev()
                    .find(|length| secret.is_char_boundary(*length) && text.ends_with(&secret[..*length]))
            })
            .max()
    }
}

/// Ends of lines, escapes of terminals, and characters that turn the direction of writing.
fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// RFC 3986, section 2.
fn in_url(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_that_it_may_be_told_in() {
        let password = "p\"q\\r&s";
        let mut scrubber = Scrubber::new("user", password);
        scrubber.learn("0123456789ABCDEF");
        for told in [
            password.to_owned(),
            format!("{password:?}"),
            "p&quot;q\\r&amp;s".to_owned(),
            "p%22q%5Cr%26s".to_owned(),
            BASE64_STANDARD.encode(format!("user:{password}")),
            "0123456789ABCDEF".to_owned(),
        ] {
            let scrubbed = scrubber.scrub(&format!("wrong: {told}!"));
            let inside = scrubbed.trim_matches('"').replace('"', "");
            assert_eq!(inside, "wrong: ***!", "{told}");
        }
    }

    #[test]
    fn a_secret_that_was_cut_off_is_found() {
        let scrubber = Scrubber::new("user", "Grüße-aus-Köln");
        assert_eq!(scrubber.scrub("with Grüß…, x"), "with ***…, x");
        assert_eq!(
            scrubber.scrub("with Grüße-aus-Köl… and Grüße-au…"),
            "with ***… and ***…"
        );
        assert_eq!(scrubber.scrub("with Gr…, x"), "with Gr…, x");
        assert_eq!(scrubber.scrub("…Grüße-aus-Köln…"), "…***…");
    }

    #[test]
    fn what_a_device_says_is_one_line_that_commands_no_terminal() {
        let scrubber = Scrubber::new("user", "password");
        let said = "a\r\nbilldrop: all is well\t\u{1b}[2J\u{9b}31m\u{85}b\u{2028}\u{202e}c\0";
        assert_eq!(scrubber.scrub(said), "a  billdrop: all is well  [2J 31m b  c ");
    }

    #[test]
    fn a_device_cannot_have_any_number_of_secrets() {
        let mut scrubber = Scrubber::new("user", "password");
        for number in 0..1000 {
            scrubber.learn(&format!("cookie{number}"));
        }
        assert!(scrubber.0.len() <= MOST);
        assert_eq!(scrubber.scrub("password cookie1"), "*** ***");
        assert_eq!(Scrubber::new("a", "").scrub("a text"), "a text");
    }
}
