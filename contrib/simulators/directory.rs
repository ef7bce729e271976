//! What the simulators write: who they are, and how billdrop gets at them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use crate::device::{Certificate, Device};

/// A device that listens, or that nobody listens for.
pub struct Listening {
    pub device: Device,
    pub address: String,
    pub port: u16,
    pub fingerprint: String,
}

/// Writes `billing_config.csv` and `devices.json`. The list holds passwords: it is for its owner only.
pub fn write(directory: &Path, devices: &[Listening]) -> io::Result<()> {
    let ca = directory.join("ca.pem");
    let mut list =
        String::from("contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt,port,tls_ca,tls_fingerprint\n");
    for Listening {
        device,
        address,
        port,
        fingerprint,
    } in devices
    {
        let port = port.to_string();
        let pinned = device.certificate == Certificate::SelfSigned;
        let fields: [&str; 10] = [
            &device.contract,
            device.kind.name(),
            device.location,
            address,
            &device.user,
            &device.password,
            &device.name,
            &port,
            if pinned { "" } else { ca.to_str().unwrap_or_default() },
            if pinned { fingerprint } else { "" },
        ];
        list.push_str(&fields.map(field).join(","));
        list.push('\n');
    }
    for_the_owner(&directory.join("billing_config.csv"), &list)?;
    let devices: Vec<_> = devices
        .iter()
        .map(|of| {
            json!({
                "name": of.device.name,
                "kind": of.device.kind.name(),
                "address": of.address,
                "port": of.port,
                "user": of.device.user,
                "contract": of.device.contract,
                "fingerprint": of.fingerprint,
            })
        })
        .collect();
    fs::write(directory.join("devices.json"), format!("{:#}\n", json!(devices)))
}

/// A field that needs it in quotes.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r', '#']) || text.starts_with(' ') || text.ends_with(' ') {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.into()
}

fn for_the_owner(path: &Path, text: &str) -> io::Result<()> {
    // A file that is there keeps its mode, and one of another owner is not to be written into.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
