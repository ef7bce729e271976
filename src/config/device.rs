//! A device that is asked over the web, and the rules for what describes it.
//!
//! `billdrop.toml` and `billing_config.csv` have the same rules, so they stand here once. No error shows the value: in a
//! list whose columns have shifted, any value may be a password.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{Secret, Span};

/// A CUCM or a CMS.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Unique among all sources: `serv_cnt` of `billing_config.csv`.
    pub name: String,
    pub kind: DeviceKind,
    /// Number of the customer's contract, as configured.
    pub contract: String,
    pub location: Location,
    /// Host name or address; IPv6 without brackets.
    pub address: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub tls: Tls,
    /// For the whole conversation.
    pub timeout: Span,
    /// `http://HOST:PORT`, without user and password.
    pub proxy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Cisco Unified Communications Manager.
    Cucm,
    /// Cisco Meeting Server.
    Cms,
}

/// Where a device stands, as the operator sees it. It makes no difference to how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    Local,
    Remote,
}

/// How a device proves that it is the right one. By default: a certificate that the host's authorities have signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates in PEM that are trusted in place of the host's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the device's own certificate. With `ca`, both must hold.
    pub fingerprint: Option<[u8; 32]>,
    /// Name that the certificate must have, in place of the address.
    pub name: Option<String>,
    /// The certificate may be made out for any name.
    pub any_name: bool,
    /// Nothing is checked.
    pub insecure: bool,
}

impl DeviceKind {
    pub fn default_port(self) -> u16 {
        match self {
            DeviceKind::Cucm => 8443,
            DeviceKind::Cms => 443,
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::Cucm => "CUCM",
            DeviceKind::Cms => "CMS",
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Location::Local => "local",
            Location::Remote => "remote",
        })
    }
}

impl Tls {
    /// What stands beside `insecure` and contradicts it: `ca`, `fingerprint` or `name`.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let checked = [
            ("ca", self.ca.is_some()),
            ("fingerprint", self.fingerprint.is_some()),
            ("name", self.name.is_some()),
        ];
        let (setting, _) = checked.into_iter().find(|(_, given)| self.insecure && *given)?;
        Some(setting)
    }
}

/// What a check says: the value, or a sentence that goes on after the name of the key or column.
pub(super) type Checked<T> = Result<T, &'static str>;

/// In documents and messages.
pub(super) fn name(text: &str) -> Checked<()> {
    match text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
        true => Err("must be 1 to 64 octets without control characters"),
        false => Ok(()),
    }
}

pub(super) fn contract(text: &str) -> Checked<String> {
    match text.chars().count() {
        1..=64 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("must be 1 to 64 characters, none of them a control character"),
    }
}

/// The user of HTTP's Basic authentication (RFC 7617).
pub(super) fn user(text: &str) -> Checked<String> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        Err("must be 1 to 256 octets without control characters")
    } else if text.contains(':') {
        Err("has a colon, which a user of HTTP cannot have")
    } else {
        Ok(text.to_owned())
    }
}

/// A host name or an address, IPv6 also in brackets; without them when it is returned.
pub(super) fn address(text: &str) -> Checked<String> {
    const NEITHER: &str = "is neither an address nor a host name";
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let inner: Ipv6Addr = inner.parse().map_err(|_| NEITHER)?;
        return Ok(inner.to_string());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if text.contains("://") || text.contains('/') {
        return Err("must be an address or a host name alone, without scheme and path");
    }
    if text
        .split_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        return Err("has a port; give it as port");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // "10.1" and "0x7f.1" are addresses of a kind for some libraries, and another machine's.
    let last = text.rsplit('.').next().unwrap_or("");
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .to_ascii_lowercase()
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    match text.len() <= 253 && text.split('.').all(label) && !is_number {
        true => Ok(text.to_owned()),
        false => Err(NEITHER),
    }
}

pub(super) fn port(text: &str) -> Checked<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err("must be a port, 1 to 65535"),
    }
}

/// SHA-256 as `openssl x509 -fingerprint -sha256` or a browser shows it.
pub(super) fn fingerprint(text: &str) -> Checked<[u8; 32]> {
    const WRONG: &str = "must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons";
    let lower = text.to_ascii_lowercase();
    let digits = ["sha256 fingerprint=", "sha256:"]
        .iter()
        .find_map(|prefix| lower.strip_prefix(prefix))
        .unwrap_or(&lower)
        .trim();
    // Colons stand between octets or nowhere.
    let octets: Vec<&str> = match digits.contains(':') {
        true => digits.split(':').collect(),
        false if digits.is_ascii() => (0..digits.len())
            .step_by(2)
            .filter_map(|i| digits.get(i..i + 2))
            .collect(),
        false => return Err(WRONG),
    };
    let whole = octets.iter().map(|octet| octet.len()).sum::<usize>() == digits.len() - digits.matches(':').count();
    let mut value = [0; 32];
    if octets.len() != value.len() || !whole {
        return Err(WRONG);
    }
    for (octet, digits) in value.iter_mut().zip(octets) {
        if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        *octet = u8::from_str_radix(digits, 16).map_err(|_| WRONG)?;
    }
    Ok(value)
}

/// Of one conversation.
pub(super) fn timeout(span: Span) -> Checked<Span> {
    match span.0 >= Duration::from_secs(1) && span.0 <= Duration::from_secs(86400) {
        true => Ok(span),
        false => Err("must be 1s to 1day"),
    }
}

/// `http://HOST` or `http://HOST:PORT`.
pub(super) fn proxy(text: &str) -> Checked<String> {
    const WRONG: &str = "must be http://HOST or http://HOST:PORT";
    let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = text.get(7..).filter(|_| scheme.is_some()).ok_or(WRONG)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("has a user or a password, which is not possible");
    }
    let behind_brackets = rest.rfind(']').map_or(0, |at| at + 1);
    let (host, number) = match rest[behind_brackets..].rfind(':') {
        Some(colon) => {
            let (host, number) = rest.split_at(behind_brackets + colon);
            (host, Some(&number[1..]))
        }
        None => (rest, None),
    };
    let host = match address(host).map_err(|_| WRONG)? {
        host if host.contains(':') => format!("[{host}]"),
        host => host,
    };
    match number {
        Some(number) => Ok(format!("http://{host}:{}", port(number).map_err(|_| WRONG)?)),
        None => Ok(format!("http://{host}")),
    }
}

/// Whether certificates can be read from there. What they are is looked at when they are needed.
pub(crate) fn readable(path: &Path) -> io::Result<()> {
    // Opening a pipe would wait for somebody to write.
    match fs::metadata(path)?.is_file() {
        true => fs::File::open(path).map(drop),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_address_or_a_host_name_and_nothing_else() {
        for (text, is) in [
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("cucm-1.example.net", "cucm-1.example.net"),
            ("CUCM_1", "CUCM_1"),
            ("1cucm", "1cucm"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(is));
        }
        let long = "a.".repeat(127);
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "10.1",
            "10.0.0.256",
            "010.0.0.1",
            "0x7f.0x1",
            "1",
            "a b",
            "a/b",
            "https://a",
            "a:8443",
            "a:b",
            "[10.0.0.1]",
            "[::1",
            "::1]",
            "fe80::1%eth0",
            "käse",
            "a\n",
            "*",
            &long,
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
        assert_eq!(address("a:8443"), Err("has a port; give it as port"));
    }

    #[test]
    fn a_fingerprint_may_stand_as_openssl_and_browsers_write_it() {
        let plain = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let octets: Vec<&str> = (0..64).step_by(2).map(|i| &plain[i..i + 2]).collect();
        let colons = octets.join(":");
        let value = fingerprint(plain).unwrap();
        assert_eq!((value[0], value[1], value[31]), (0, 0x11, 0xff));
        for text in [
            colons.clone(),
            format!("sha256:{plain}"),
            format!("SHA256 Fingerprint={colons}"),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256:{}", plain.to_uppercase()),
        ] {
            assert_eq!(fingerprint(&text), Ok(value), "{text}");
        }
        for text in [
            "",
            ":",
            &plain[1..],
            &plain[2..],
            &format!("{plain}00"),
            &format!("{colons}:"),
            &colons.replacen("00:11", "0:011", 1),
            &plain.replacen("00", "0g", 1),
            &plain.replacen("00", "+1", 1),
            &plain.replacen("001", "0:01", 1),
            &plain.replacen("00", "é", 1),
            &format!("sha1:{plain}"),
        ] {
            assert!(fingerprint(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        assert_eq!(proxy("HTTP://proxy:3128/").as_deref(), Ok("http://proxy:3128"));
        assert_eq!(proxy("http://10.0.0.1").as_deref(), Ok("http://10.0.0.1"));
        assert_eq!(proxy("http://[::1]:80").as_deref(), Ok("http://[::1]:80"));
        assert_eq!(proxy("http://[::1]").as_deref(), Ok("http://[::1]"));
        for text in [
            "",
            "http://",
            "https://a",
            "a:80",
            "http://a:0",
            "http://a/b",
            "http://u:p@a",
            "http://a:80:80",
        ] {
            assert!(proxy(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_describes_a_device_has_limits() {
        assert!(name("CUCM1").is_ok() && name("").is_err() && name("a\n").is_err() && name(&"a".repeat(65)).is_err());
        assert!(contract("22222222").is_ok() && contract(&"é".repeat(64)).is_ok() && contract("").is_err());
        assert!(user("axl user").is_ok() && user("a:b").is_err() && user("").is_err());
        assert!(port("8443") == Ok(8443) && port("0").is_err() && port("65536").is_err() && port("+1").is_err());
        assert!(timeout(Span::seconds(1)).is_ok() && timeout(Span::hours(24)).is_ok());
        assert!(timeout(Span::seconds(0)).is_err() && timeout(Span::seconds(86401)).is_err());
    }

    #[test]
    fn nothing_can_be_checked_and_left_unchecked_at_once() {
        let mut tls = Tls {
            ca: Some(PathBuf::from("ca.pem")),
            fingerprint: Some([0; 32]),
            ..Tls::default()
        };
        assert_eq!(tls.contradiction(), None);
        tls.insecure = true;
        assert_eq!(tls.contradiction(), Some("ca"));
    }
}
