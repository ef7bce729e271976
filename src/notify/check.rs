//! What of a `[[notify]]` table can be judged when the configuration is read.

use crate::config::{Manager, SHORTEST_PASSWORD, Secret, SnmpVersion};

/// Port of SNMP notifications (RFC 3417).
const TRAP_PORT: u16 = 162;

/// Longest `timeout`, in seconds.
const LONGEST_TIMEOUT: u64 = 60;

/// Most `retries`.
const MOST_RETRIES: u8 = 10;

/// What is wrong with a manager's table: one sentence for each fault, which begins with the key.
///
/// Secrets in files and in the environment are not looked at: they may come later, and a manager that cannot be told
/// must not keep usage from being captured. They are judged when they are used, by [`super::Sender::send`].
pub fn check(manager: &Manager) -> Vec<String> {
    let mut faults = Vec::new();
    if let Err(why) = parse_address(&manager.address) {
        faults.push(format!("address {:?}: {why}", manager.address));
    }
    match manager.version {
        SnmpVersion::V2c => community(manager.community.as_ref(), &mut faults),
        SnmpVersion::V3 => {
            user(manager.user.as_deref(), &mut faults);
            password("auth-password", manager.auth_password.as_ref(), &mut faults);
            password("privacy-password", manager.privacy_password.as_ref(), &mut faults);
        }
    }
    let timeout = manager.timeout.0;
    if timeout.is_zero() || timeout.as_secs_f64() > LONGEST_TIMEOUT as f64 {
        faults.push(format!(
            "timeout {} is out of range; it must be more than 0s and at most {LONGEST_TIMEOUT}s",
            manager.timeout
        ));
    }
    if manager.retries > MOST_RETRIES {
        faults.push(format!(
            "retries {} is out of range; it must be at most {MOST_RETRIES}",
            manager.retries
        ));
    }
    faults
}

/// Splits `HOST`, `HOST:PORT`, `IPv6`, `[IPv6]` or `[IPv6]:PORT` into host and port.
pub(super) fn parse_address(address: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the bracket is not closed")?;
            let port = match port {
                "" => None,
                port => Some(
                    port.strip_prefix(':')
                        .ok_or("only a colon and a port may follow the bracket")?,
                ),
            };
            (host, port)
        }
        // More than one colon without brackets: an IPv6 address alone.
        None if address.matches(':').count() > 1 => (address, None),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() || host.len() > 253 {
        return Err("a host name or address of 1 to 253 octets is needed");
    }
    if host
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || "[]/@".contains(c))
    {
        return Err("the host name has a character that no host name has");
    }
    let port = match port {
        None => TRAP_PORT,
        Some(port) => port
            .parse()
            .ok()
            .filter(|n| *n != 0 && port.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("the port must be 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

fn community(community: Option<&Secret>, faults: &mut Vec<String>) {
    match community {
        None => faults.push("community is missing; version \"2c\" needs it".to_owned()),
        Some(Secret::Text(text)) if text.is_empty() => faults.push("community is empty".to_owned()),
        Some(_) => (),
    }
}

/// RFC 3414, `usmUserName`: 1 to 32 octets.
fn user(user: Option<&str>, faults: &mut Vec<String>) {
    match user {
        None => faults.push("user is missing; version \"3\" needs it".to_owned()),
        Some(user) if user.is_empty() || user.len() > 32 => {
            faults.push(format!("user {user:?} is not of 1 to 32 octets"));
        }
        Some(_) => (),
    }
}

fn password(key: &str, password: Option<&Secret>, faults: &mut Vec<String>) {
    match password {
        None => faults.push(format!(
            "{key} is missing; version \"3\" is only spoken with authentication and privacy"
        )),
        Some(Secret::Text(text)) if text.len() < SHORTEST_PASSWORD => {
            faults.push(format!("{key} is shorter than {SHORTEST_PASSWORD} octets"));
        }
        Some(_) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(table: &str) -> Vec<String> {
        check(&toml::from_str(table).unwrap())
    }

    #[test]
    fn a_whole_table_has_no_faults() {
        assert_eq!(faults("address = 'nms'\ncommunity = 'public'"), [""; 0]);
        assert_eq!(
            faults(
                "address = '[2001:db8::1]:1162'\nversion = '3'\nuser = 'u'\nauth-password = '12345678'\n\
                 privacy-password = { file = '/nonexistent' }\ntimeout = '60s'\nretries = 10"
            ),
            [""; 0]
        );
    }

    #[test]
    fn each_fault_is_named_with_its_key() {
        let named = |table: &str, beginnings: &[&str]| {
            let faults = faults(table);
            assert_eq!(faults.len(), beginnings.len(), "{faults:?}");
            for (fault, beginning) in faults.iter().zip(beginnings) {
                assert!(fault.starts_with(beginning), "{fault}");
            }
        };
        named("address = 'nms'", &["community is missing"]);
        named("address = 'nms'\ncommunity = ''", &["community is empty"]);
        named(
            "address = 'nms'\nversion = '3'",
            &[
                "user is missing",
                "auth-password is missing",
                "privacy-password is missing",
            ],
        );
        named(
            "address = 'nms'\nversion = '3'\nuser = ''\nauth-password = '1234567'\nprivacy-password = '1234567'",
            &["user", "auth-password is shorter", "privacy-password is shorter"],
        );
        named(
            "address = ':1'\ncommunity = 'c'\ntimeout = '0s'\nretries = 11",
            &["address", "timeout", "retries"],
        );
        named("address = 'a'\ncommunity = 'c'\ntimeout = '60s 1ms'", &["timeout"]);
    }

    #[test]
    fn no_fault_shows_a_secret() {
        let said =
            faults("address = 'a'\nversion = '3'\nuser = 'u'\nauth-password = 'hunter2'\nprivacy-password = 'x5'");
        assert!(
            !said.concat().contains("hunter2") && !said.concat().contains("x5"),
            "{said:?}"
        );
    }

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        let read = |address: &str| parse_address(address).unwrap();
        assert_eq!(read("nms.example"), ("nms.example".to_owned(), 162));
        assert_eq!(read("192.0.2.9:1162"), ("192.0.2.9".to_owned(), 1162));
        assert_eq!(read("::1"), ("::1".to_owned(), 162));
        assert_eq!(read("[::1]"), ("::1".to_owned(), 162));
        assert_eq!(read("[::1]:1162"), ("::1".to_owned(), 1162));
        for address in [
            "",
            ":162",
            "nms:",
            "nms:0",
            "nms:65536",
            "nms:x",
            "nms:+9",
            "[::1",
            "[::1]1162",
            "a b",
            "a\n",
            "[]:162",
        ] {
            assert!(parse_address(address).is_err(), "{address:?}");
        }
    }
}
