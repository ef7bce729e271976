//! A Meeting Server as its API shows it.
//!
//! Source: the CMS API blueprint (2.8 to 3.0). Paths are matched without regard to case, as a trace of a server showed.

mod spaces;
mod system;
mod usage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use crate::credentials::{Basic, Credentials};
use crate::device::{CmsQuirks, Device};
use crate::http::{Answer, Request};
use crate::journal::Seen;
use crate::server::Appliance;
use spaces::Spaces;

const XML: &str = "text/xml";
pub const DECLARATION: &str = "<?xml version=\"1.0\"?>\n";

pub struct Cms {
    quirks: CmsQuirks,
    credentials: Credentials,
    seed: u32,
    begun: std::time::Instant,
    requests: AtomicU64,
    spaces: Mutex<Spaces>,
}

impl Cms {
    pub fn new(device: &Device) -> Self {
        Cms {
            quirks: device.cms.clone(),
            credentials: Credentials::new(&device.user, &device.password),
            seed: device.seed(),
            begun: std::time::Instant::now(),
            requests: AtomicU64::new(0),
            spaces: Mutex::new(Spaces::new(device)),
        }
    }
}

impl Appliance for Cms {
    fn answer(&self, request: &Request, now: DateTime<Utc>, _seen: &mut Seen) -> Answer {
        if self.credentials.of(request) != Basic::Right {
            return self.refusal(401);
        }
        if self.requests.fetch_add(1, Ordering::Relaxed) < self.quirks.busy {
            return failure(503, "<databaseNotReady/>");
        }
        if request.method != "GET" {
            return self.refusal(405);
        }
        let path = request.path().to_ascii_lowercase();
        let Some(path) = path.strip_prefix("/api/v1/") else {
            return self.refusal(404);
        };
        let path = path.trim_end_matches('/');
        if let Some(refusal) = self
            .quirks
            .refusals
            .iter()
            .find(|refusal| path.starts_with(&refusal.path))
        {
            return failure(refusal.status, &format!("<{}/>", refusal.code));
        }
        match path {
            "cospaces" => self.spaces(request),
            "system/status" => answer(system::status(self, now)),
            "system/multipartylicensing" => answer(system::multiparty_licensing(now)),
            "system/mplicenseusage" => usage::answer(&self.quirks, self.seed, request, now),
            "system/mplicenseusage/knownhosts" => answer(usage::known_hosts(&self.quirks, self.seed)),
            other => match other.strip_prefix("cospaces/") {
                // The path as it was sent: ids may differ by case.
                Some(id) => self.space(&request.path()[request.path().len() - id.len()..]),
                None => failure(404, "<unrecognizedObject/>"),
            },
        }
    }

    fn refusal(&self, status: u16) -> Answer {
        match status {
            401 => Answer::empty(401).with("WWW-Authenticate", "Basic realm=\"acano\""),
            _ => Answer::empty(status),
        }
    }
}

impl Cms {
    fn spaces(&self, request: &Request) -> Answer {
        let (offset, limit) = match window(request, self.quirks.page) {
            Ok(window) => window,
            Err(answer) => return answer,
        };
        let mut spaces = self.spaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        answer(spaces.page(offset, limit))
    }

    fn space(&self, id: &str) -> Answer {
        let spaces = self.spaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match spaces.detail(id) {
            Some(text) => answer(text.into()),
            None => failure(404, "<coSpaceDoesNotExist/>"),
        }
    }
}

/// Offset, and the number of items that the page has at most: what was asked for, but not more than the server's own.
fn window(request: &Request, page: usize) -> Result<(usize, usize), Answer> {
    let number = |name: &str, otherwise: usize| match request.query(name) {
        None => Ok(otherwise),
        Some(text) => text
            .parse()
            .map_err(|_| failure(400, &format!("<parameterError parameter=\"{name}\"/>"))),
    };
    Ok((number("offset", 0)?, number("limit", page)?.min(page)))
}

fn answer(body: Vec<u8>) -> Answer {
    Answer::new(200, XML, body)
}

pub fn failure(status: u16, inner: &str) -> Answer {
    let body = format!("{DECLARATION}<failureDetails>{inner}</failureDetails>\n");
    Answer::new(status, XML, body)
}
