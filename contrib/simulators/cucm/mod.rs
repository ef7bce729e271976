//! A Communications Manager as its AXL service shows it: who may ask, in which version, and where the answers come from.
//!
//! Source: AXL Developer Guide and schema. What the guide leaves open (pages of 401, 403 and 503, refusal of an
//! operation that a version does not have) is a guess, and clients must not depend on it.

mod answers;
mod data;
pub mod fault;
mod request;
mod sql;
mod versions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use crate::credentials::{self, Basic, Credentials};
use crate::device::{CookieForm, CucmQuirks, Device, FaultQuirk};
use crate::http::{Answer, Request};
use crate::journal::Seen;
use crate::schema::Schemas;
use crate::server::Appliance;
use fault::Fault;
use request::Call;

pub const COOKIE: &str = "JSESSIONIDSSO";
const HTML: &str = "text/html;charset=utf-8";

pub struct Cucm {
    quirks: CucmQuirks,
    credentials: Credentials,
    schemas: Option<Arc<Schemas>>,
    /// Cookie, and the requests that it is still good for.
    sessions: Mutex<HashMap<String, u64>>,
    calls: AtomicU64,
    faults: AtomicU64,
}

impl Cucm {
    pub fn new(device: &Device, schemas: Option<Arc<Schemas>>) -> Self {
        Cucm {
            quirks: device.cucm.clone(),
            credentials: Credentials::new(&device.user, &device.password),
            schemas,
            sessions: Mutex::default(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }
}

impl Appliance for Cucm {
    fn answer(&self, request: &Request, now: DateTime<Utc>, seen: &mut Seen) -> Answer {
        let session = match self.admit(request, seen) {
            Ok(session) => session,
            Err(status) => return self.refusal(status),
        };
        let answer = if request.path() != "/axl/" {
            self.refusal(404)
        } else {
            match request.method.as_str() {
                "GET" => page(
                    200,
                    "Cisco CallManager: AXL Web Service",
                    "The AXL Web Service is working.",
                ),
                "POST" => self.call(request, now, seen),
                _ => self.refusal(405),
            }
        };
        match session {
            None => answer,
            Some(cookie) => self.set_cookie(answer, &cookie),
        }
    }

    fn refusal(&self, status: u16) -> Answer {
        let answer = page(
            status,
            &format!("HTTP Status {status}"),
            "The request was not carried out.",
        );
        if status == 401 {
            return answer.with("WWW-Authenticate", "Basic realm=\"Cisco Web Services Realm\"");
        }
        answer
    }
}

impl Cucm {
    fn set_cookie(&self, answer: Answer, cookie: &str) -> Answer {
        let set = |answer: Answer, name: &str, value: &str| {
            answer.with("Set-Cookie", format!("{name}={value}; Path=/; Secure; HttpOnly"))
        };
        match self.quirks.cookie {
            CookieForm::Ordinary | CookieForm::Each => set(answer, COOKIE, cookie),
            CookieForm::None => answer,
            CookieForm::Empty => set(answer, COOKIE, ""),
            CookieForm::OtherName => set(answer, "JSESSIONID", cookie),
            CookieForm::Twice => set(set(answer, COOKIE, "0000"), COOKIE, cookie),
        }
    }

    /// Who has a password gets a new session, who has a session needs no password; a session that has expired is
    /// answered with 404.
    fn admit(&self, request: &Request, seen: &mut Seen) -> Result<Option<String>, u16> {
        let cookie = request.cookie(COOKIE);
        seen.cookie = cookie.is_some();
        let mut sessions = self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match (self.credentials.of(request), cookie) {
            (Basic::Wrong, _) | (Basic::Absent, None) => Err(401),
            (Basic::Right, cookie) => {
                if cookie.is_some_and(|cookie| sessions.contains_key(cookie)) {
                    return Ok(None);
                }
                self.begin(&mut sessions).map(Some)
            }
            (Basic::Absent, Some(cookie)) if self.quirks.cookie == CookieForm::Each => match sessions.remove(cookie) {
                Some(_) => self.begin(&mut sessions).map(Some),
                None => Err(404),
            },
            (Basic::Absent, Some(cookie)) => match sessions.get_mut(cookie) {
                Some(left @ 1..) => {
                    *left -= 1;
                    Ok(None)
                }
                _ => {
                    sessions.remove(cookie);
                    Err(404)
                }
            },
        }
    }

    /// A new session. An error is the status of the answer.
    fn begin(&self, sessions: &mut HashMap<String, u64>) -> Result<String, u16> {
        let new = credentials::random(16).map_err(|_| 500_u16)?.to_uppercase();
        sessions.insert(new.clone(), self.quirks.session_requests);
        Ok(new)
    }

    fn call(&self, request: &Request, now: DateTime<Utc>, seen: &mut Seen) -> Answer {
        let kind = request.header("content-type").unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("text/xml") {
            seen.error = Some(format!("Content-Type {kind:?}"));
            return self.refusal(415);
        }
        let call = match Call::read(&request.body) {
            Ok(call) => call,
            Err(why) => return self.client_error(seen, why),
        };
        seen.operation = Some(call.operation.clone());
        seen.sql = call.field("sql").map(str::to_owned);
        match versions::of_action(request.header("soapaction").unwrap_or_default()) {
            Some((version, operation)) if version == call.version && operation == call.operation => {}
            _ => return self.client_error(seen, "SOAPAction and body do not agree".into()),
        }
        if !versions::supported(&self.quirks.version).contains(&call.version.as_str()) {
            return versions::page_599(&self.quirks);
        }
        if let Some(schemas) = &self.schemas {
            match schemas.validate(&call.version, &call.document) {
                Ok(validated) => seen.validated = validated.then_some(true),
                Err(why) => {
                    seen.validated = Some(false);
                    return self.client_error(seen, why);
                }
            }
        }
        self.planned_fault(&call)
            .map_or_else(|| answers::answer(&self.quirks, &call, now), Err)
            .unwrap_or_else(|fault| {
                seen.error = Some(fault.text.clone());
                fault.answer(self.quirks.fault_form, &call.version)
            })
    }

    fn client_error(&self, seen: &mut Seen, why: String) -> Answer {
        seen.error = Some(why.clone());
        fault::client(&why)
    }

    /// The faults that the quirks ask for.
    fn planned_fault(&self, call: &Call) -> Option<Fault> {
        let is_meant = |operation: &Option<String>| operation.as_ref().is_none_or(|of| *of == call.operation);
        if is_meant(&self.quirks.memory_of) && self.calls.fetch_add(1, Ordering::Relaxed) < self.quirks.memory {
            return Some(Fault::new(-1, fault::MEMORY, &call.operation));
        }
        let FaultQuirk {
            code,
            requests,
            operation,
        } = self.quirks.fault.as_ref()?;
        if !is_meant(operation) {
            return None;
        }
        let before = self.faults.fetch_add(1, Ordering::Relaxed);
        (before < *requests).then(|| Fault::known(*code, &call.operation))
    }
}

pub fn page(status: u16, title: &str, text: &str) -> Answer {
    let page = format!(
        "<!-- custom error page --><html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body>\n</html>\n"
    );
    Answer::new(status, HTML, page)
}
