//! Versions of the interface, and which of them a device speaks.

use std::fmt;
use std::str::FromStr;

/// A version of the AXL schema. It stands in the namespace and in the header SOAPAction of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u8,
    minor: u8,
}

/// Not of the form `14.0`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an AXL version has the form 14.0")]
pub struct NotAVersion;

impl Version {
    /// The versions whose requests and replies we know, newest first. There was no release 13, and no maintenance
    /// release has a schema of its own.
    pub const KNOWN: [Version; 7] = [
        Version::new(15, 0),
        Version::new(14, 0),
        Version::new(12, 5),
        Version::new(12, 0),
        Version::new(11, 5),
        Version::new(11, 0),
        Version::new(10, 5),
    ];

    pub(super) const fn new(major: u8, minor: u8) -> Self {
        Version { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    /// Takes versions that are not in [`Version::KNOWN`], too: whoever names one must know. `14` is 14.0.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let number = |part: &str| {
            let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten().ok_or(NotAVersion)
        };
        Ok(Version::new(number(major)?, number(minor)?))
    }
}

/// What a page with HTTP status 599 says the device speaks, newest first and no more than [`Version::KNOWN`].
///
/// The page is HTML with the sentence `Supported axl versions are 12.x, 14.0 and 15.0` or `… are 11.5,12.5,14`. A minor
/// number `x` stands for all that there are. [`None`] when the page does not say it; empty when it names none that we
/// know.
pub fn supported_versions(page: &[u8]) -> Option<Vec<Version>> {
    const SENTENCE: &str = "supported axl versions are";
    /// The sentence stands near the beginning.
    const SEARCHED: usize = 64 << 10;
    let page = String::from_utf8_lossy(&page[..page.len().min(SEARCHED)]).to_ascii_lowercase();
    let (_, list) = page.split_once(SENTENCE)?;
    let list = list.split('<').next().unwrap_or_default();
    let words: Vec<&str> = list
        .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == 'x'))
        .map(|word| word.trim_matches('.'))
        .collect();
    let is_listed = |version: &Version| {
        words.iter().any(|word| match word.split_once(".x") {
            Some((major, "")) => major.parse() == Ok(version.major),
            _ => word.parse() == Ok(*version),
        })
    };
    Some(Version::KNOWN.into_iter().filter(is_listed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supported(page: &str) -> String {
        let versions = supported_versions(page.as_bytes()).expect("a page with a list");
        versions.iter().map(Version::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn both_forms_of_the_list_are_read() {
        let page = include_str!("../../../fixtures/axl/http599_unsupported_version.html");
        assert_eq!(supported(page), "15.0 14.0 12.5 12.0");
        assert_eq!(
            supported("Incorrect axl version. Supported axl versions are 11.5,12.5,14</h1>"),
            "14.0 12.5 11.5"
        );
    }

    #[test]
    fn versions_that_nobody_knows_are_passed_over() {
        let page = |list: &str| supported(&format!("<h1>SUPPORTED AXL Versions are {list}<p>11.0"));
        assert_eq!(page("12.5, 13.0, 14.0 and 16.0."), "14.0 12.5");
        assert_eq!(page("16.x and 10.x"), "10.5");
        assert_eq!(page("14.0, 14.0, 12.x, 12.5"), "14.0 12.5 12.0");
        for list in [
            "",
            "none",
            "300.0, 12.5.1, 1.0",
            "x",
            ".x",
            "1e9",
            "99999999999999999999.x",
        ] {
            assert_eq!(page(list), "", "{list}");
        }
        assert_eq!(supported("Supported axl versions are"), "");
        assert_eq!(
            supported_versions(b"\xFFSupported axl versions are 14.0\xFF"),
            Some(vec![Version::new(14, 0)])
        );
        for page in ["", "<h1>HTTP Status 599</h1>", "axl versions are 14.0"] {
            assert_eq!(supported_versions(page.as_bytes()), None, "{page}");
        }
    }

    #[test]
    fn a_version_is_written_as_it_is_read() {
        for version in Version::KNOWN {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert_eq!("14".parse(), Ok(Version::new(14, 0)));
        for text in [
            "", ".", "14.", ".5", "a", "14.0.1", "+1.0", "-1", "256.0", "14.x", " 14.0",
        ] {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion), "{text}");
        }
        assert!(Version::KNOWN.is_sorted_by(|newer, older| newer > older));
    }
}
