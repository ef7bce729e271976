//! `[[push]]`: where documents are brought to.

use std::{net::IpAddr, path::PathBuf};

use serde::Deserialize;

use super::{Mode, Secret, Size, Span, device};

/// A destination as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Push {
    /// Unique; in messages and in the ledger.
    pub name: String,
    /// `scp://USER@HOST[:PORT]/DIRECTORY/`, the same with `sftp`, or `tftp://HOST[:PORT]/DIRECTORY/`.
    pub url: String,
    /// Private key, in a format that OpenSSH writes.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// Of the private key.
    #[serde(default)]
    pub passphrase: Option<Secret>,
    /// Whether the keys of ssh-agent(1) are tried, first of all.
    #[serde(default)]
    pub agent: bool,
    #[serde(default)]
    pub password: Option<Secret>,
    /// In place of `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,
    /// Whether a host that is not known at all is believed, and remembered.
    #[serde(default)]
    pub accept_new: bool,
    /// A program such as ssh(1) that makes the connection in place of billdrop, with its first arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// The program for a second connection, over which large documents go faster: ssh(1). Empty: none.
    #[serde(default = "Push::default_bulk_program")]
    pub bulk_program: String,
    /// Own address that connections come from.
    #[serde(default)]
    pub bind: Option<IpAddr>,
    /// Octets a second.
    #[serde(default)]
    pub rate_limit: Option<Size>,
    /// Name at the destination, with `{name}`, `{hostname}`, `{sequence}` and `{date}`.
    #[serde(default = "Push::default_remote_name")]
    pub remote_name: String,
    /// Mode at the destination. Default: that of the document.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// How long the destination may be silent: when a connection is made, and each time that an answer is awaited.
    #[serde(default = "Push::default_timeout")]
    pub timeout: Span,
    /// How long one run goes on trying while nothing arrives; zero: one attempt.
    #[serde(default = "Push::default_patience")]
    pub patience: Span,
    /// How long to wait before the next attempt; doubled each time, up to two minutes.
    #[serde(default = "Push::default_retry_wait")]
    pub retry_wait: Span,
}

/// What a URL says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// Empty with TFTP, which has no users.
    pub user: String,
    /// Host name or address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
    /// What stands before each name: empty (the directory after the login), or ends with a slash.
    pub directory: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Scp,
    Sftp,
    Tftp,
}

impl Push {
    fn default_remote_name() -> String {
        "{name}".to_owned()
    }

    pub fn default_bulk_program() -> String {
        "ssh".to_owned()
    }

    fn default_timeout() -> Span {
        Span::seconds(30)
    }

    fn default_patience() -> Span {
        Span::seconds(120)
    }

    fn default_retry_wait() -> Span {
        Span::seconds(6)
    }

    /// The errors never show the URL: what stands in it may be a password that does not belong there.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        const FORM: &str = "must be scp://USER@HOST/DIRECTORY/, sftp://USER@HOST/DIRECTORY/ or tftp://HOST/DIRECTORY/";
        let (scheme, rest) = self.url.split_once("://").ok_or(FORM)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "scp" => Scheme::Scp,
            "sftp" => Scheme::Sftp,
            "tftp" => Scheme::Tftp,
            _ => return Err(FORM.to_owned()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err("has a password; give it as password = { file = … }".to_owned());
        }
        let user = decoded(user)?;
        match (scheme, user.is_empty()) {
            (Scheme::Tftp, false) => return Err("has a user, and TFTP has none".to_owned()),
            (Scheme::Scp | Scheme::Sftp, true) => return Err("has no user; write USER@ before the host".to_owned()),
            _ => {}
        }
        if user.chars().any(char::is_control) || user.starts_with('-') {
            return Err("has a user that nobody can be".to_owned());
        }
        let after_brackets = host_and_port.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match host_and_port[after_brackets..].rfind(':') {
            Some(colon) => {
                let (host, port) = host_and_port.split_at(after_brackets + colon);
                (
                    host,
                    device::port(&port[1..]).map_err(|reason| format!("port {reason}"))?,
                )
            }
            None => (host_and_port, scheme.default_port()),
        };
        let host = device::address(host).map_err(|reason| format!("host {reason}"))?;
        let directory = directory(scheme, &decoded(path)?)?;
        Ok(Endpoint {
            scheme,
            user,
            host,
            port,
            directory,
        })
    }
}

impl Scheme {
    pub fn token(self) -> &'static str {
        match self {
            Scheme::Scp => "scp",
            Scheme::Sftp => "sftp",
            Scheme::Tftp => "tftp",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Scp | Scheme::Sftp => 22,
            Scheme::Tftp => 69,
        }
    }
}

/// `/~/` is where a login begins. A TFTP server has no such place: there the first slash only ends the host.
fn directory(scheme: Scheme, path: &str) -> Result<String, String> {
    if path.chars().any(char::is_control) {
        return Err("has a directory with control characters".to_owned());
    }
    let path = match scheme {
        Scheme::Tftp => path.strip_prefix('/').unwrap_or(path),
        Scheme::Scp | Scheme::Sftp if path == "/~" => "",
        Scheme::Scp | Scheme::Sftp => path.strip_prefix("/~/").unwrap_or(path),
    };
    // What begins with a dash is an option to some program on the other side.
    let path = match path.starts_with('-') {
        true => format!("./{path}"),
        false => path.to_owned(),
    };
    match path.is_empty() || path.ends_with('/') {
        true => Ok(path),
        false => Ok(path + "/"),
    }
}

/// `%2F` and the like.
fn decoded(text: &str) -> Result<String, String> {
    const WRONG: &str = "has a % that is not followed by two hexadecimal digits of UTF-8";
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let digits = rest
            .get(..2)
            .filter(|d| d.iter().all(u8::is_ascii_hexdigit))
            .ok_or(WRONG)?;
        let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
        octets.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
        rest = &rest[2..];
    }
    String::from_utf8(octets).map_err(|_| WRONG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, String> {
        let text = format!("name = \"a\"\nurl = {url:?}\n");
        toml::from_str::<Push>(&text).unwrap().endpoint()
    }

    #[test]
    fn a_url_says_how_where_and_into_which_directory() {
        let is = |url: &str, scheme, user: &str, host: &str, port, directory: &str| {
            let wanted = Endpoint {
                scheme,
                user: user.to_owned(),
                host: host.to_owned(),
                port,
                directory: directory.to_owned(),
            };
            assert_eq!(endpoint(url), Ok(wanted), "{url}");
        };
        is("scp://b@h/in/", Scheme::Scp, "b", "h", 22, "/in/");
        is("SFTP://b@h:2222/in", Scheme::Sftp, "b", "h", 2222, "/in/");
        is(
            "sftp://b@[2001:db8::9]:2222/",
            Scheme::Sftp,
            "b",
            "2001:db8::9",
            2222,
            "/",
        );
        is(
            "sftp://b@[2001:db8::9]/~/in",
            Scheme::Sftp,
            "b",
            "2001:db8::9",
            22,
            "in/",
        );
        is("scp://b%40x@h", Scheme::Scp, "b@x", "h", 22, "");
        is("scp://b@h/~/-x/a%20b/", Scheme::Scp, "b", "h", 22, "./-x/a b/");
        is("tftp://h/in", Scheme::Tftp, "", "h", 69, "in/");
        is("tftp://h//in/", Scheme::Tftp, "", "h", 69, "/in/");
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_and_not_shown() {
        for url in [
            "",
            "h:/in",
            "http://h/",
            "scp://h/",
            "scp://@h/",
            "scp://b@/",
            "scp://b@h:0/",
            "scp://b@h:70000/",
            "scp://-oProxyCommand=x@h/",
            "scp://b@-h/",
            "scp://b:hunter2@h/",
            "tftp://b@h/",
            "sftp://b@h/%",
            "sftp://b@h/%ff/",
            "sftp://b@h/%0a/",
        ] {
            let reason = endpoint(url).expect_err(url);
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
