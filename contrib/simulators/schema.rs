//! Requests against Cisco's schema, by xmllint.
//!
//! The schema is large and a run takes a good part of a second: each distinct request is checked once, and one at a time.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

pub struct Schemas {
    directory: PathBuf,
    checked: Mutex<HashMap<Vec<u8>, Result<(), String>>>,
}

impl Schemas {
    /// `directory` holds `VERSION/AXLSoap.xsd`.
    pub fn new(directory: &Path) -> Result<Self, String> {
        let found = ["11.5", "12.5", "14.0", "15.0"]
            .iter()
            .any(|version| directory.join(version).join("AXLSoap.xsd").exists());
        if !found {
            return Err(format!("{}: no 14.0/AXLSoap.xsd there", directory.display()));
        }
        Ok(Schemas {
            directory: directory.into(),
            checked: Mutex::default(),
        })
    }

    /// False: there is no schema of this version. The namespace is in the document, so that it is the key by itself.
    pub fn validate(&self, version: &str, document: &[u8]) -> Result<bool, String> {
        let schema = self.directory.join(version).join("AXLSoap.xsd");
        if !schema.exists() {
            return Ok(false);
        }
        let mut checked = self.checked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !checked.contains_key(document) {
            checked.insert(document.to_vec(), xmllint(&schema, document));
        }
        checked[document].clone().map(|()| true)
    }
}

fn xmllint(schema: &Path, document: &[u8]) -> Result<(), String> {
    let failed = |error| format!("xmllint (package libxml2-utils): {error}");
    let mut child = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(document).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "not valid by AXLSoap.xsd: {}",
        text.lines().next().unwrap_or_default()
    ))
}
