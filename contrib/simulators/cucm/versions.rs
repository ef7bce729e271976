//! Versions of AXL: which a release has, how a request names one, and the page for the others.

use super::page;
use crate::device::CucmQuirks;
use crate::http::Answer;

/// Oldest first.
pub fn supported(release: &str) -> &'static [&'static str] {
    match release {
        "9.1" => &["8.0", "8.5", "9.0", "9.1"],
        "11.5" => &["9.0", "9.1", "10.0", "10.5", "11.0", "11.5"],
        "12.0" => &["10.0", "10.5", "11.0", "11.5", "12.0"],
        "12.5" => &["9.0", "9.1", "10.0", "10.5", "11.0", "11.5", "12.0", "12.5"],
        "14.0" => &["11.0", "11.5", "12.0", "12.5", "14.0"],
        _ => &["12.0", "12.5", "14.0", "15.0"],
    }
}

pub fn component(release: &str) -> &'static str {
    match release {
        "9.1" => "9.1.2.10000(28)",
        "11.5" => "11.5.1.18900(97)",
        "12.0" => "12.0.1.10000(10)",
        "12.5" => "12.5.1.14900(63)",
        "14.0" => "14.0.1.12900(7)",
        _ => "15.0.1.11900(23)",
    }
}

/// Major and minor, so that 9.1 comes before 12.5.
pub fn order(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// Version and operation of `"CUCM:DB ver=14.0 getCCMVersion"`, quotes included.
pub fn of_action(header: &str) -> Option<(&str, &str)> {
    header
        .strip_prefix('"')?
        .strip_suffix('"')?
        .strip_prefix("CUCM:DB ver=")?
        .split_once(' ')
}

pub fn page_599(quirks: &CucmQuirks) -> Answer {
    let versions = supported(&quirks.version);
    let list = if quirks.list_form_comma {
        versions
            .iter()
            .map(|version| version.trim_end_matches(".0"))
            .collect::<Vec<_>>()
            .join(",")
    } else {
        in_words(versions)
    };
    let title = format!("HTTP Status 599 - Incorrect axl version. Supported axl versions are {list}");
    page(599, &title, "The version of the request is not supported.")
}

/// `12.x, 14.0 and 15.0`: majors of which there are two versions are written with an x.
fn in_words(versions: &[&str]) -> String {
    let mut names: Vec<String> = Vec::new();
    for version in versions {
        let (major, _) = order(version);
        let of_major = versions.iter().filter(|other| order(other).0 == major).count();
        let name = if of_major > 1 {
            format!("{major}.x")
        } else {
            (*version).to_owned()
        };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
