//! A destination that has passed every check, and the names that documents get there.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};

use super::pace::Pace;
use crate::config::{Endpoint, Push, Scheme, Secret};

/// Longest name at a destination, in octets: with what is added while it is not whole, 255.
const LONGEST_NAME: usize = 240;

/// The longest that one run waits before it tries again.
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What a new destination gets first. With its dot in front nobody takes it for a document.
pub const TEST_NAME: &str = ".billdrop-test";

#[derive(Debug, Clone)]
pub struct Destination {
    pub name: String,
    pub(super) endpoint: Endpoint,
    pub(super) identity: Option<PathBuf>,
    pub(super) passphrase: Option<Secret>,
    pub(super) agent: bool,
    pub(super) password: Option<Secret>,
    pub(super) known_hosts: Option<PathBuf>,
    pub(super) accept_new: bool,
    pub(super) command: Vec<String>,
    bulk_program: String,
    pub(super) bind: Option<IpAddr>,
    pub(super) mode: Option<u32>,
    pub(super) timeout: Duration,
    rate_limit: Option<u64>,
    remote_name: String,
}

/// What a name at a destination is made of.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The document's own name.
    pub name: &'a str,
    pub hostname: &'a str,
    pub sequence: u64,
    /// When the document was made.
    pub date: DateTime<Utc>,
}

/// Everything that is wrong with a destination: key and reason.
pub fn check(push: &Push) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut problem = |key, reason: &str| found.push((key, reason.to_owned()));
    let name = &push.name;
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        problem("name", "must be 1 to 64 octets without control characters");
    }
    if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&push.timeout.0) {
        problem("timeout", "must be 1s to 1h");
    }
    if push.patience.0 > Duration::from_secs(86400) {
        problem("patience", "must be 0s to 1day");
    }
    if !(Duration::from_secs(1)..=LONGEST_WAIT).contains(&push.retry_wait.0) {
        problem("retry-wait", "must be 1s to 2min");
    }
    if push.rate_limit.is_some_and(|limit| limit.0 < 1024) {
        problem("rate-limit", "must be 1KiB or more a second");
    }
    if push.mode.is_some_and(|mode| mode.0 & !0o777 != 0) {
        problem("mode", "must be 0777 or less");
    }
    if push.passphrase.is_some() && push.identity.is_none() {
        problem(
            "passphrase",
            "is for the private key that identity names, and there is none",
        );
    }
    let sample = Naming {
        name: "a",
        hostname: "a",
        sequence: 1,
        date: DateTime::UNIX_EPOCH,
    };
    if let Err(reason) = expand(&push.remote_name, &sample) {
        problem("remote-name", &reason);
    } else if !push.remote_name.contains("{name}") && !push.remote_name.contains("{sequence}") {
        problem(
            "remote-name",
            "must have {name} or {sequence}: each document needs its own",
        );
    }
    match push.endpoint() {
        Err(reason) => problem("url", &reason),
        Ok(endpoint) => {
            for (key, reason) in unfit(push, endpoint.scheme) {
                problem(key, &reason);
            }
        }
    }
    found
}

/// Keys that say nothing to this transport.
fn unfit(push: &Push, scheme: Scheme) -> Vec<(&'static str, String)> {
    let of_ssh = [
        ("identity", push.identity.is_some()),
        ("agent", push.agent),
        ("password", push.password.is_some()),
        ("known-hosts", push.known_hosts.is_some()),
        ("accept-new", push.accept_new),
    ];
    let given = of_ssh.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
    let mut found = Vec::new();
    let is_other_program = push.bulk_program != Push::default_bulk_program();
    match scheme {
        Scheme::Tftp => {
            let given = given.chain((!push.command.is_empty()).then_some("command"));
            let given = given.chain(is_other_program.then_some("bulk-program"));
            let given = given.chain(push.mode.is_some().then_some("mode"));
            found.extend(given.map(|key| (key, "is not for tftp".to_owned())));
        }
        Scheme::Scp | Scheme::Sftp if !push.command.is_empty() => {
            let secrets = [
                ("passphrase", push.passphrase.is_some()),
                ("password", push.password.is_some()),
            ];
            let given = secrets.into_iter().filter(|(_, given)| *given);
            found.extend(given.map(|(key, _)| (key, format!("cannot be told to {}; use its agent", push.command[0]))));
            if push.command.iter().any(String::is_empty) {
                found.push(("command", "has an empty text".to_owned()));
            }
        }
        Scheme::Scp | Scheme::Sftp => {
            if !push.agent && push.identity.is_none() && push.password.is_none() {
                found.push((
                    "identity",
                    "is missing, and neither agent nor password is given".to_owned(),
                ));
            }
        }
    }
    found
}

impl Destination {
    /// The error is the first problem that [`check`] finds.
    pub fn new(push: &Push) -> Result<Self, String> {
        if let Some((key, reason)) = check(push).into_iter().next() {
            return Err(format!("{key}: {reason}"));
        }
        Ok(Destination {
            name: push.name.clone(),
            endpoint: push.endpoint()?,
            identity: push.identity.clone(),
            passphrase: push.passphrase.clone(),
            agent: push.agent,
            password: push.password.clone(),
            known_hosts: push.known_hosts.clone(),
            accept_new: push.accept_new,
            command: push.command.clone(),
            bulk_program: push.bulk_program.clone(),
            bind: push.bind,
            mode: push.mode.map(|mode| mode.0),
            timeout: push.timeout.0,
            rate_limit: push.rate_limit.map(|limit| limit.0),
            remote_name: push.remote_name.clone(),
        })
    }

    /// The name that a document gets there. The error says what is wrong with it.
    pub fn remote_name(&self, naming: &Naming<'_>) -> Result<String, String> {
        expand(&self.remote_name, naming)
    }

    /// `sftp://billing.example.net:22`
    pub fn address(&self) -> String {
        let Endpoint { scheme, host, port, .. } = &self.endpoint;
        let scheme = scheme.token();
        match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        }
    }

    /// The program that large documents may go through. None where it could not log in as we do, for it asks for no
    /// secret, and where speed is not wanted.
    pub(super) fn bulk_program(&self) -> Option<&str> {
        let has_secret = self.password.is_some() || self.passphrase.is_some();
        let is_wanted = !self.bulk_program.is_empty() && self.rate_limit.is_none();
        (is_wanted && !has_secret).then_some(self.bulk_program.as_str())
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::new(self.rate_limit)
    }
}

impl fmt::Display for Destination {
    /// Without the user: that is nobody's business in a trap.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address())
    }
}

fn expand(pattern: &str, naming: &Naming<'_>) -> Result<String, String> {
    let mut name = String::new();
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once('{') {
        let (word, after) = behind.split_once('}').ok_or_else(|| "has a { without a }".to_owned())?;
        name.push_str(before);
        match word {
            "name" => name.push_str(naming.name),
            "hostname" => name.push_str(naming.hostname),
            "sequence" => name.push_str(&naming.sequence.to_string()),
            "date" => name.push_str(&naming.date.format("%Y%m%d").to_string()),
            _ => {
                return Err(format!(
                    "has {{{word}}}; known are {{name}}, {{hostname}}, {{sequence}} and {{date}}"
                ));
            }
        }
        rest = after;
    }
    name.push_str(rest);
    check_name(&name)?;
    Ok(name)
}

/// A name that means the same to every server, and never another directory or an option.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let reason = match name {
        "" => "is empty",
        _ if name.len() > LONGEST_NAME => "is longer than 240 octets",
        _ if name.starts_with(['.', '-', '~']) => "begins with a dot, a dash or a tilde",
        _ if name.contains(['/', '\\']) => "has a slash; directories belong into the URL",
        _ if name.chars().any(char::is_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(format!("name at the destination: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pattern: &str) -> Result<String, String> {
        expand(
            pattern,
            &Naming {
                name: "cmts1-20261122-160731.xml",
                hostname: "cmts1",
                sequence: 42,
                date: DateTime::from_timestamp(1_795_363_651, 0).unwrap(),
            },
        )
    }

    #[test]
    fn a_name_is_made_of_what_the_pattern_asks_for() {
        assert_eq!(named("{name}").unwrap(), "cmts1-20261122-160731.xml");
        assert_eq!(
            named("{hostname}_{date}_{sequence}.xml").unwrap(),
            "cmts1_20261122_42.xml"
        );
    }

    #[test]
    fn a_name_never_leads_out_of_the_directory() {
        for pattern in [
            "",
            "{",
            "{name",
            "{Name}",
            "../{name}",
            "a/{name}",
            ".{name}",
            "-{name}",
            "{name}\n",
            "~{name}",
        ] {
            assert!(named(pattern).is_err(), "{pattern:?}");
        }
        assert!(named(&"a".repeat(241)).is_err());
    }

    fn problems(more: &str) -> Vec<&'static str> {
        let push = toml::from_str(&format!("name = \"a\"\n{more}")).unwrap();
        check(&push).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn keys_that_say_nothing_to_a_transport_are_refused() {
        assert_eq!(problems("url = \"tftp://h/\"\npassword = \"x\""), ["password"]);
        assert_eq!(problems("url = \"scp://a@h/\""), ["identity"]);
        assert_eq!(
            problems("url = \"scp://a@h/\"\nagent = true\ncommand = [\"ssh\"]"),
            [""; 0]
        );
        assert_eq!(problems("url = \"sftp://a@h/\"\ncommand = [\"ssh\"]"), [""; 0]);
        assert_eq!(
            problems("url = \"sftp://a@h/\"\ncommand = [\"ssh\"]\npassword = \"x\""),
            ["password"]
        );
        assert_eq!(
            problems(
                "url = \"scp://a@h/\"\nagent = true\npassphrase = \"x\"\nremote-name = \"{date}\"\ntimeout = \"0s\""
            ),
            ["timeout", "passphrase", "remote-name"]
        );
    }
}
