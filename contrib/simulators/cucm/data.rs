//! What the simulated database holds.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::device::CucmQuirks;

/// A row of LicenseTotals: name, value, UserValue, DeviceValue.
pub type License = (String, String, Option<u32>, Option<u32>);

pub fn license_totals(quirks: &CucmQuirks, now: DateTime<Utc>) -> Vec<License> {
    let counted =
        |name: &str, users: u32, devices: u32| (name.into(), (users + devices).to_string(), Some(users), Some(devices));
    let told = |name: &str, value: String| (name.into(), value, None, None);
    let mut rows = vec![
        counted("CUWL Standard", 12, 0),
        counted("EnhancedPlus", 30, 4),
        counted("Enhanced", 396, 14),
        counted("Basic", 27, 30),
        counted("Essential", 0, 9),
        counted("TelePresence Room", 0, 3),
        told("TotalUsers", "468".into()),
        told("TotalDevices", "525".into()),
        told("Timestamp", now.format("%Y-%m-%d %H:%M:%S").to_string()),
        told("ElmLastContact", "21".into()),
        told("Elm", "elm-demo".into()),
    ];
    if quirks.latin_names {
        rows.push(counted("Téléprésence", 1, 1));
    }
    if let Some(name) = &quirks.unknown_license {
        rows.push(counted(name, 3, 4));
    }
    rows
}

/// Model and number of devices.
pub fn models(quirks: &CucmQuirks) -> impl ExactSizeIterator<Item = (String, usize)> {
    const KNOWN: [&str; 6] = [
        "Cisco 7841",
        "Cisco 8845",
        "Cisco Unified Client Services Framework",
        "Cisco ATA 191",
        "Cisco Webex Room Kit",
        "Third-party SIP Device (Basic)",
    ];
    let latin = quirks.latin_names;
    (0..quirks.models).map(move |index| {
        let name = match KNOWN.get(index) {
            Some(_) if latin && index == 1 => "Téléphone <Büro> & Café".into(),
            Some(name) => (*name).into(),
            None => format!("Model {index:06}"),
        };
        (name, 1 + index * 7919 % 997)
    })
}

pub fn devices_of_class(class: &str) -> Option<u32> {
    Some(match class {
        "Phone" => 525,
        "Gateway" => 4,
        "Conference Bridge" => 3,
        "Media Termination Point" | "Music On Hold" | "Tone Announcement Player" => 2,
        "Route List" => 7,
        "CTI Route Point" => 5,
        "Trunk" => 6,
        "Hidden Phone" => 1,
        "Remote Destination Profile" | "Remote Destination Profile Template" => 9,
        "Voice Mail"
        | "Simulation"
        | "Pilot"
        | "GateKeeper"
        | "Add-on modules"
        | "EMCC Base Phone"
        | "EMCC Base Phone Template" => 0,
        _ => return None,
    })
}

/// Elements of a licensed user in the order of the schema, with their texts. `None`: the element is empty.
pub fn user(quirks: &CucmQuirks, index: usize) -> Vec<(&'static str, Option<String>)> {
    const TYPES: [&str; 5] = ["Enhanced", "Basic", "EnhancedPlus", "CUWL Standard", "Essential"];
    let devices = index % 4;
    vec![
        ("userId", Some(user_id(quirks, index))),
        ("firstName", Some("Demo".into())),
        ("lastName", (!index.is_multiple_of(7)).then(|| format!("User{index}"))),
        ("snrEnabled", Some((index % 2 == 1).to_string())),
        (
            "emEnabled",
            (index % 3 != 2).then(|| index.is_multiple_of(3).to_string()),
        ),
        ("deviceCount", Some(devices.to_string())),
        ("licenseType", Some(TYPES[index % TYPES.len()].into())),
        ("licenseUsed", Some(u8::from(devices > 0).to_string())),
    ]
}

pub fn user_id(quirks: &CucmQuirks, index: usize) -> String {
    if quirks.latin_names && index == 0 {
        return "jürgen".into();
    }
    format!("user{index:05}")
}

/// Text for XML; the second, fourth, .. character beyond ASCII as it is, the others as references.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut by_reference = false;
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ if c.is_ascii() => out.push(c),
            _ => {
                by_reference = !by_reference;
                if by_reference {
                    let _ = write!(out, "&#{};", u32::from(c));
                } else {
                    out.push(c);
                }
            }
        }
    }
    out
}
