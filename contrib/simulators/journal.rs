//! `requests.jsonl`: one line per request, on disk before the answer goes out, so that whoever has the answer finds it.
//!
//! Passwords and cookies are not in it: only whether they were there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::credentials::Basic;
use crate::http::Request;

pub struct Journal(Mutex<File>);

/// What is known of a request once it has been understood.
#[derive(Default)]
pub struct Seen {
    pub cookie: bool,
    pub operation: Option<String>,
    pub sql: Option<String>,
    /// By the schema; None: there is none.
    pub validated: Option<bool>,
    pub error: Option<String>,
}

/// Where and when the request came in.
pub struct Arrival<'a> {
    pub device: &'a str,
    pub number: u64,
    pub connection: u64,
    /// Requests of the device that are being answered, this one included.
    pub concurrent: u64,
}

impl Journal {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Journal(Mutex::new(File::create(path)?)))
    }

    /// `status` None: there will be no answer.
    pub fn write(&self, arrival: &Arrival, request: &Request, basic: Basic, status: Option<u16>, seen: Seen) {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.into(), value);
        put("device", arrival.device.into());
        put("number", arrival.number.into());
        put("connection", arrival.connection.into());
        put("concurrent", arrival.concurrent.into());
        put("method", request.method.as_str().into());
        put("path", request.target.as_str().into());
        put("soapAction", json!(request.header("soapaction")));
        put("basic", json!(basic != Basic::Absent));
        put("basicRight", json!(basic == Basic::Right));
        put("cookie", json!(seen.cookie));
        put("status", json!(status));
        put("operation", json!(seen.operation));
        put("sql", json!(seen.sql));
        put("validated", json!(seen.validated));
        put("error", json!(seen.error));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        let mut file = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Err(error) = file.write_all(text.as_bytes()) {
            eprintln!("simulators: requests.jsonl: {error}");
        }
    }
}
