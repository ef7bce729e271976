//! Passwords that the gatekeeper's `addpasswd` has encrypted: hidden from a glance, not from anybody who knows how.
//!
//! TEA with 32 cycles over each 8 octets alone. The key is 16 octets of one fill byte, overwritten from the left by the
//! name of the option; its words are little-endian, those of a block big-endian. The last octet of the last block says how
//! many of the block's octets belong to the text; what lies between is random. Written down here because no library has
//! this mixture of octet orders.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{ini::Ini, known::MAIN, reading::Reading, values};
use crate::config::Secret;

const BLOCK: usize = 8;
const CYCLES: u32 = 32;
const DELTA: u32 = 0x9E37_79B9;

/// Longest password that is encrypted, in octets.
pub const LONGEST: usize = 1024;

/// The fill byte with which the gatekeeper reads passwords of this section. `None`: they stand there in clear.
pub fn fill(ini: &Ini, section: &str) -> Option<u8> {
    let text = |section: &str, key: &str| Some(String::from_utf8_lossy(&ini.key(section, key)?.value).into_owned());
    let filled = |section: &str| text(section, "KeyFilled").map(|text| values::integer(&text));
    let encrypt_all = || {
        text(MAIN, "EncryptAllPasswords")
            .is_some_and(|text| values::flag(&text))
            .then_some(0)
    };
    match filled(section).or_else(|| filled(MAIN)) {
        // Only the low octet of the number counts.
        Some(number) if number != -1 => Some(number.to_le_bytes()[0]),
        _ => encrypt_all(),
    }
}

/// A password or secret of the file, decrypted where the file says that it is encrypted.
pub(super) fn read(reading: &mut Reading<'_>, section: &str, key: &str) -> Secret {
    let value = reading.value(section, key);
    reading.number(section, "KeyFilled", i64::MIN);
    let text = match fill(reading.ini, section) {
        Some(fill) if !value.text.is_empty() => match decode(&value.text, key, fill) {
            Ok(text) => text,
            Err(why) => {
                let what = format!(
                    "[{section}] {key} cannot be decrypted with the key that KeyFilled and EncryptAllPasswords give \
                     (fill byte {fill}): {why}; write it with `billdrop addpasswd`"
                );
                reading.refuse(value.line, &what, "takes an empty one");
                String::new()
            }
        },
        Some(_) => value.text,
        None => {
            if decode(&value.text, key, 0).is_ok() {
                let text = format!(
                    "[{section}] {key} looks encrypted, but is taken as it stands: neither KeyFilled nor EncryptAllPasswords says \
                     that it is"
                );
                reading.notice(value.line, text);
            }
            value.text
        }
    };
    Secret::Text(text)
}

/// The text of an encrypted password. `key` is the name of its option as the gatekeeper spells it; case matters.
///
/// Errors: what does not fit. Neither shows the password.
pub fn decode(encrypted: &str, key: &str, fill: u8) -> Result<String, &'static str> {
    let mut octets = STANDARD.decode(encrypted).map_err(|_| "it is not base64")?;
    if octets.is_empty() || octets.len() % BLOCK != 0 {
        return Err("its length is not that of an encrypted password");
    }
    let words = words(key, fill);
    let (blocks, _) = octets.as_chunks_mut::<BLOCK>();
    for block in blocks {
        *block = decrypt(*block, words);
    }
    let rest = octets.last().map_or(BLOCK, |last| usize::from(*last));
    if rest >= BLOCK {
        return Err("what comes out has no end; it was written for another key");
    }
    octets.truncate(octets.len() - BLOCK + rest);
    String::from_utf8(octets).map_err(|_| "what comes out is not text; it was written for another key")
}

/// The same text is encrypted differently each time: `random` fills the last block.
pub fn encode(text: &str, key: &str, fill: u8, random: [u8; BLOCK]) -> String {
    let words = words(key, fill);
    let (whole, rest) = text.as_bytes().as_chunks::<BLOCK>();
    let mut last = random;
    last[..rest.len()].copy_from_slice(rest);
    last[BLOCK - 1] = rest.len() as u8;
    let blocks = whole.iter().chain([&last]);
    let octets: Vec<u8> = blocks.flat_map(|block| encrypt(*block, words)).collect();
    STANDARD.encode(octets)
}

fn words(key: &str, fill: u8) -> [u32; 4] {
    let mut octets = [fill; 16];
    for (octet, letter) in octets.iter_mut().zip(key.bytes()) {
        *octet = letter;
    }
    let (words, _) = octets.as_chunks::<4>();
    std::array::from_fn(|at| u32::from_le_bytes(words[at]))
}

fn halves(block: [u8; BLOCK]) -> (u32, u32) {
    let both = u64::from_be_bytes(block);
    ((both >> 32) as u32, both as u32)
}

fn block(y: u32, z: u32) -> [u8; BLOCK] {
    (u64::from(y) << 32 | u64::from(z)).to_be_bytes()
}

fn mixed(word: u32, sum: u32, left: u32, right: u32) -> u32 {
    (word << 4).wrapping_add(left) ^ word.wrapping_add(sum) ^ (word >> 5).wrapping_add(right)
}

fn encrypt(octets: [u8; BLOCK], k: [u32; 4]) -> [u8; BLOCK] {
    let (mut y, mut z) = halves(octets);
    for cycle in 1..=CYCLES {
        let sum = DELTA.wrapping_mul(cycle);
        y = y.wrapping_add(mixed(z, sum, k[0], k[1]));
        z = z.wrapping_add(mixed(y, sum, k[2], k[3]));
    }
    block(y, z)
}

fn decrypt(octets: [u8; BLOCK], k: [u32; 4]) -> [u8; BLOCK] {
    let (mut y, mut z) = halves(octets);
    for cycle in (1..=CYCLES).rev() {
        let sum = DELTA.wrapping_mul(cycle);
        z = z.wrapping_sub(mixed(y, sum, k[2], k[3]));
        y = y.wrapping_sub(mixed(z, sum, k[0], k[1]));
    }
    block(y, z)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VECTORS: &str = include_str!("../../../fixtures/gnugk/password-vectors.tsv");

    #[test]
    fn what_the_gatekeeper_encrypted_is_read_and_written_octet_for_octet() {
        let mut count = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')).skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let [key, fill, text, encrypted, blocks, _] = cells[..] else {
                panic!("{line}");
            };
            let fill = fill.parse().unwrap();
            assert_eq!(decode(encrypted, key, fill).as_deref(), Ok(text), "{line}");
            let last = u64::from_str_radix(&blocks[blocks.len() - 16..], 16).unwrap();
            assert_eq!(encode(text, key, fill, last.to_be_bytes()), encrypted, "{line}");
            count += 1;
        }
        assert_eq!(count, 53);
    }

    #[test]
    fn what_the_gatekeeper_refuses_is_refused() {
        let (_, refused) = VECTORS.rsplit_once("# Refused").unwrap();
        let mut refused: Vec<&str> = refused.trim().split(": ").nth(2).unwrap().split("; ").collect();
        assert_eq!(refused.remove(0), "empty text");
        for text in refused.into_iter().chain([""]) {
            assert!(decode(text, "Password", 0).is_err(), "{text}");
        }
    }

    #[test]
    fn the_fill_byte_follows_the_gatekeeper_in_every_case() {
        for (text, expected) in [
            ("[SQLAcct]\n", None),
            ("[Gatekeeper::Main]\nEncryptAllPasswords=1\n", Some(0)),
            ("[Gatekeeper::Main]\nEncryptAllPasswords=1\nKeyFilled=123\n", Some(123)),
            ("[Gatekeeper::Main]\nKeyFilled=7\n", Some(7)),
            (
                "[Gatekeeper::Main]\nKeyFilled=7\nEncryptAllPasswords=0\n[sqlacct]\nkeyfilled=0\n",
                Some(0),
            ),
            ("[SQLAcct]\nKeyFilled=-1\n", None),
            ("[Gatekeeper::Main]\nKeyFilled=7\n[SQLAcct]\nKeyFilled=-1\n", None),
            (
                "[Gatekeeper::Main]\nEncryptAllPasswords=yes\n[SQLAcct]\nKeyFilled=-1\n",
                Some(0),
            ),
            ("[SQLAcct]\nKeyFilled=257\n", Some(1)),
            ("[SQLAcct]\nKeyFilled=-2\n", Some(254)),
        ] {
            assert_eq!(fill(&Ini::parse(text.as_bytes()), "SQLAcct"), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".{0,40}", key in "[A-Za-z]{1,20}", fill: u8, random: [u8; 8]) {
            prop_assert_eq!(decode(&encode(&text, &key, fill, random), &key, fill).unwrap(), text);
        }

        #[test]
        fn no_text_is_a_panic(text in "[A-Za-z0-9+/=]{0,64}", fill: u8) {
            let _ = decode(&text, "Password", fill);
        }
    }
}
