//! HTTP Basic: whether a request has the right user and password.

use std::io::Read;

use crate::http::Request;

pub struct Credentials {
    pub user: String,
    pub password: String,
    /// The whole value of the header.
    header: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basic {
    Absent,
    Right,
    Wrong,
}

impl Credentials {
    pub fn new(user: &str, password: &str) -> Self {
        Credentials {
            user: user.into(),
            password: password.into(),
            header: base64(format!("{user}:{password}").as_bytes()),
        }
    }

    pub fn of(&self, request: &Request) -> Basic {
        match request.header("authorization") {
            None => Basic::Absent,
            Some(value) => match value.split_once(' ') {
                Some((scheme, value)) if scheme.eq_ignore_ascii_case("basic") && value.trim() == self.header => {
                    Basic::Right
                }
                _ => Basic::Wrong,
            },
        }
    }
}

/// Hexadecimal digits that nobody can guess.
pub fn random(octets: usize) -> std::io::Result<String> {
    let mut random = vec![0; octets];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(hex(&random))
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    octets
        .chunks(3)
        .flat_map(|three| {
            let all = three.iter().fold(0_u32, |all, octet| all << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
            (0..4).map(move |digit| {
                if digit > three.len() {
                    '='
                } else {
                    char::from(DIGITS[(all >> (18 - 6 * digit) & 63) as usize])
                }
            })
        })
        .collect()
}
