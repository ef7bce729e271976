//! Whether a host is the one it says it is: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
//!
//! Nothing is sent to a host that is unknown or has changed, not even a user's name. Each of the two errors says how to
//! accept the key; they are different because only the first one is harmless.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::deliver::{DeliveryError, Destination, Failure, Result};

const OF_THIS_HOST: &str = "/etc/ssh/ssh_known_hosts";

/// Longest file that is read, in octets.
const LIMIT: u64 = 16 << 20;

/// What is known of one host.
pub struct KnownHosts {
    /// As it stands in the file: `host`, or `[host]:port`.
    name: String,
    /// Where a new key is added.
    file: PathBuf,
    keys: Vec<Known>,
}

/// One line about our host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    file: PathBuf,
    line: usize,
    revoked: bool,
    kind: String,
    key: Vec<u8>,
    /// Found under the host's name without the port: good enough to believe in, but not to call a key changed.
    without_port: bool,
}

impl KnownHosts {
    /// Reads the file of the destination, or those that ssh(1) would read. One that is not there is empty.
    pub fn read(destination: &Destination) -> Result<Self> {
        let endpoint = &destination.endpoint;
        let files = match &destination.known_hosts {
            Some(file) => vec![file.clone()],
            None => vec![own_file(), PathBuf::from(OF_THIS_HOST)],
        };
        let mut keys = Vec::new();
        for file in &files {
            let text = read_file(file).map_err(|e| {
                DeliveryError::new(
                    Failure::Configuration,
                    format!("known-hosts: cannot read {}: {e}", file.display()),
                )
            })?;
            keys.extend(keys_of(&text, file, &endpoint.host, endpoint.port));
        }
        Ok(KnownHosts {
            name: name_in_file(&endpoint.host, endpoint.port),
            file: files.into_iter().next().unwrap_or_default(),
            keys,
        })
    }

    /// Names of the host key algorithms that belong to the known keys.
    pub fn algorithms(&self) -> HashSet<&str> {
        let kinds = self.keys.iter().filter(|known| !known.revoked);
        kinds
            .flat_map(|known| match known.kind.as_str() {
                "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
                kind => vec![kind],
            })
            .collect()
    }

    /// Whether the host may be talked to. With `accept_new` the key of a host that is not known at all is remembered.
    pub fn check(&self, key: &[u8], accept_new: bool) -> Result<()> {
        let of_this_name = || self.keys.iter().filter(|known| !known.without_port);
        let same = |known: &&Known| known.key == key;
        if let Some(known) = self.keys.iter().find(|known| known.revoked && known.key == key) {
            let place = format!("{}:{}", known.file.display(), known.line);
            let reason = format!("the host key {} of {} is revoked by {place}", shown(key), self.name);
            return Err(DeliveryError::new(Failure::ChangedHost, reason));
        }
        if self.keys.iter().any(|known| same(&known)) {
            return Ok(());
        }
        match of_this_name().find(|known| !known.revoked) {
            Some(known) => Err(self.changed(key, known)),
            None if accept_new => self.remember(key),
            None => Err(self.unknown(key)),
        }
    }

    fn unknown(&self, key: &[u8]) -> DeliveryError {
        let reason = format!(
            "the host key of {} is not in {}: {}",
            self.name,
            self.file.display(),
            shown(key)
        );
        DeliveryError::new(Failure::UnknownHost, reason).next(format!(
            "Compare this fingerprint with that of the host itself (there: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub). \
             If it is the same, add this line to {}:\n  {}",
            self.file.display(),
            self.line(key)
        ))
    }

    fn changed(&self, key: &[u8], known: &Known) -> DeliveryError {
        let reason = format!(
            "the host key of {} has changed: it shows {}, and {}:{} has {}. This may be another host that listens; \
             nothing was sent to it",
            self.name,
            shown(key),
            known.file.display(),
            known.line,
            shown(&known.key)
        );
        DeliveryError::new(Failure::ChangedHost, reason).next(format!(
            "If the host was given a new key (ask its administrator for the fingerprint), remove the old one with \
             ssh-keygen -R '{}' -f {} and add this line to it:\n  {}",
            self.name,
            known.file.display(),
            self.line(key)
        ))
    }

    /// As ssh-keyscan(1) would print it.
    fn line(&self, key: &[u8]) -> String {
        format!("{} {} {}", self.name, kind_of(key), BASE64_STANDARD.encode(key))
    }

    fn remember(&self, key: &[u8]) -> Result<()> {
        let add = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file = options
                .append(true)
                .create(true)
                .read(true)
                .mode(0o600)
                .open(&self.file)?;
            let ends = fs::read(&self.file)?.last().is_none_or(|last| *last == b'\n');
            let line = format!("{}{}\n", if ends { "" } else { "\n" }, self.line(key));
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        add().map_err(|e| {
            DeliveryError::new(
                Failure::Configuration,
                format!("accept-new: cannot add the host key to {}: {e}", self.file.display()),
            )
        })?;
        tracing::warn!(
            "{}: a host that was not known is believed, because accept-new is set: {}; added to {}",
            self.name,
            shown(key),
            self.file.display()
        );
        Ok(())
    }
}

/// `~/.ssh/known_hosts`, with the home that the system knows, as ssh(1) has it.
fn own_file() -> PathBuf {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let home = user.map(|user| user.dir).unwrap_or_default();
    home.join(".ssh/known_hosts")
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        file => file?.take(LIMIT + 1).read_to_end(&mut octets)?,
    };
    if octets.len() as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is not a list of host keys",
        ));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

fn name_in_file(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    match port {
        22 => host,
        _ => format!("[{host}]:{port}"),
    }
}

/// Lines about this host. What cannot be understood is about nobody.
fn keys_of(text: &str, file: &Path, host: &str, port: u16) -> Vec<Known> {
    let name = name_in_file(host, port);
    let plain = name_in_file(host, 22);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let (Some(patterns), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        // A certificate's authority is no host key; libssh2 shows no certificates.
        if patterns.starts_with('#') || !matches!(marker, None | Some("@revoked")) {
            continue;
        }
        let exact = matches(patterns, &name);
        if !exact && !matches(patterns, &plain) {
            continue;
        }
        if let Ok(key) = BASE64_STANDARD.decode(key) {
            found.push(Known {
                file: file.to_owned(),
                line: index + 1,
                revoked: marker.is_some(),
                kind: kind.to_owned(),
                key,
                without_port: !exact,
            });
        }
    }
    found
}

/// Patterns with commas between them, of which one with `!` excludes; or one hashed name.
fn matches(patterns: &str, name: &str) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return is_hash_of(hashed, name).unwrap_or(false);
    }
    let mut any = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(excluded) if wildcard(excluded.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => any |= wildcard(pattern.as_bytes(), name.as_bytes()),
        }
    }
    any
}

/// `SALT|HASH`, both in base64: HMAC-SHA1 of the name with the salt as key.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let salt = BASE64_STANDARD.decode(salt).ok()?;
    let hash = BASE64_STANDARD.decode(hash).ok()?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}

/// `*` and `?`, without regard to case. Takes no longer than the product of both lengths.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[of]) => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    at = after + 1;
                    of = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == b'*')
}

/// The name that a key begins with: a length of four octets, then the text.
pub(super) fn kind_of(key: &[u8]) -> String {
    let length = key.first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
    let name = usize::try_from(length)
        .ok()
        .and_then(|length| key.get(4..)?.get(..length));
    let name = name.filter(|name| name.len() < 64 && name.iter().all(u8::is_ascii_graphic));
    name.map_or_else(
        || "unknown".to_owned(),
        |name| String::from_utf8_lossy(name).into_owned(),
    )
}

/// `ED25519 SHA256:…`, as ssh(1) shows it.
fn shown(key: &[u8]) -> String {
    let kind = kind_of(key);
    let kind = match kind.as_str() {
        "ssh-ed25519" => "ED25519",
        "ssh-rsa" => "RSA",
        "ssh-dss" => "DSA",
        kind if kind.starts_with("ecdsa-") => "ECDSA",
        kind => kind,
    };
    format!("{kind} SHA256:{}", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by ssh-keygen -t ed25519, and hashed by ssh-keygen -H.
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAYrcQzry3pKCWFapg4x15rhgvJCCQ79QnzFF5GnfmJt";
    const FINGERPRINT: &str = "ED25519 SHA256:HWnvoqx/phlE/hz6Wq6zL0Em+ac0u6ID05u/H2LDj58";
    const HASHED: &str = "|1|5hicmJP1iHXkNVa3dRaZ/lmM9qo=|4KRzmV/AIcWlsdEKgElZs7Rfsf0=";

    fn known(text: &str, host: &str, port: u16) -> KnownHosts {
        let file = PathBuf::from("/known_hosts");
        KnownHosts {
            name: name_in_file(host, port),
            keys: keys_of(text, &file, host, port),
            file,
        }
    }

    fn verdict(text: &str, host: &str, port: u16) -> std::result::Result<(), Failure> {
        let key = BASE64_STANDARD.decode(KEY).unwrap();
        known(text, host, port).check(&key, false).map_err(|e| e.failure())
    }

    #[test]
    fn a_host_is_known_by_its_name_and_port() {
        let line = |names: &str| format!("# comment\n\n{names} ssh-ed25519 {KEY} somebody\n");
        for (names, host, port, is) in [
            ("h", "h", 22, true),
            ("h", "H", 22, true),
            ("[h]:2222", "h", 2222, true),
            ("[h]:2222", "h", 22, false),
            ("[h]:2222", "h", 2223, false),
            ("h", "h", 2222, true), // as ssh does it
            ("a,h,b", "h", 22, true),
            ("*.example.net", "h.example.net", 22, true),
            ("*.example.net,!h.*", "h.example.net", 22, false),
            ("h?", "h1", 22, true),
            ("[2001:db8::9]:22022", "2001:db8::9", 22022, true),
            ("@cert-authority h", "h", 22, false),
            (HASHED, "192.0.2.10", 2222, true),
            (HASHED, "192.0.2.10", 22, false),
            (HASHED, "192.0.2.11", 2222, false),
            ("|1|x|y", "h", 22, false),
        ] {
            let wanted = if is { Ok(()) } else { Err(Failure::UnknownHost) };
            assert_eq!(verdict(&line(names), host, port), wanted, "{names} {host} {port}");
        }
        assert_eq!(
            verdict(&format!("@revoked {}", line("h").lines().last().unwrap()), "h", 22),
            Err(Failure::ChangedHost)
        );
    }

    #[test]
    fn another_key_is_a_change_and_none_is_not() {
        let other = KEY.replace("AAAAIA", "AAAAIB");
        assert_ne!(other, KEY);
        let text = format!("h ssh-ed25519 {other}\n");
        assert_eq!(verdict(&text, "h", 22), Err(Failure::ChangedHost));
        assert_eq!(verdict(&text, "h", 2222), Err(Failure::UnknownHost));
        assert_eq!(verdict(&format!("{text}h ssh-ed25519 {KEY}\n"), "h", 22), Ok(()));
        assert_eq!(verdict("h ssh-ed25519 ???\n", "h", 22), Err(Failure::UnknownHost));
    }

    #[test]
    fn both_errors_say_how_to_accept_the_key() {
        let key = BASE64_STANDARD.decode(KEY).unwrap();
        let unknown = known("", "h", 2222).check(&key, false).unwrap_err().to_string();
        assert!(
            unknown.contains(FINGERPRINT) && unknown.contains("not in /known_hosts"),
            "{unknown}"
        );
        assert!(
            unknown.ends_with(&format!("\n  [h]:2222 ssh-ed25519 {KEY}")),
            "{unknown}"
        );
        let other = KEY.replace("AAAAIA", "AAAAIB");
        let text = format!("\n[h]:2222 ssh-ed25519 {other}\n");
        let changed = known(&text, "h", 2222).check(&key, true).unwrap_err().to_string();
        assert!(
            changed.contains("has changed") && changed.contains("/known_hosts:2 has ED25519"),
            "{changed}"
        );
        assert!(
            changed.contains("ssh-keygen -R '[h]:2222' -f /known_hosts"),
            "{changed}"
        );
    }

    #[test]
    fn the_key_that_is_known_is_asked_for() {
        let text = format!("h ssh-rsa {KEY}\n[h]:2222 ecdsa-sha2-nistp256 {KEY}\n");
        let known = known(&text, "h", 22);
        assert_eq!(
            known.algorithms(),
            HashSet::from(["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"])
        );
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let pattern = "*a".repeat(2000);
        assert!(!wildcard(pattern.as_bytes(), "a".repeat(255).as_bytes()));
        assert!(wildcard(b"*", b"") && wildcard(b"a*b*c", b"aXbYbZc") && !wildcard(b"a", b"ab"));
    }
}
