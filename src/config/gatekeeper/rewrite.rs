//! One value of an ini changed, and not one octet besides.

use super::ini::{Ini, Section};

/// The file with this value for the key. A key or section that is not there is added: to the end of its section, to the
/// end of the file.
///
/// Errors: names that cannot stand in an ini, a key that stands there more than once.
pub fn with_value(octets: &[u8], section: &str, key: &str, value: &str) -> Result<Vec<u8>, String> {
    check(section, key)?;
    let ini = Ini::parse(octets);
    let found = ini.section(section);
    let mut lines: Vec<&[u8]> = octets.split_inclusive(|octet| *octet == b'\n').collect();
    // New lines end as their neighbours do.
    let end_like = |line: &[u8]| -> &[u8] { if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" } };
    let changed = match (found, found.and_then(|section| section.key(key))) {
        (_, Some(key)) => match key.lines[..] {
            [line] => {
                let old = lines[line - 1];
                let equals = old.iter().position(|octet| *octet == b'=').map_or(0, |at| at + 1);
                let blanks = old[equals..]
                    .iter()
                    .take_while(|octet| matches!(octet, b' ' | b'\t'))
                    .count();
                let new = [&old[..equals + blanks], value.as_bytes(), line_end(old)].concat();
                (line - 1, line, new)
            }
            _ => {
                let lines: Vec<String> = key.lines.iter().map(usize::to_string).collect();
                return Err(format!(
                    "{} stands in lines {}, which the gatekeeper joins: leave one",
                    key.name,
                    lines.join(", ")
                ));
            }
        },
        (Some(Section { end: last, .. }), None) => {
            let before = lines[last - 1];
            let end = end_like(before);
            let new = [
                line_end_missing(before, end),
                key.as_bytes(),
                b"=",
                value.as_bytes(),
                end,
            ]
            .concat();
            (*last, *last, new)
        }
        (None, None) => {
            let before = lines.last().copied().unwrap_or(b"\n");
            let end = end_like(before);
            let missing = line_end_missing(before, end);
            let empty: &[u8] = if lines.is_empty() { b"" } else { end };
            let head = format!("[{section}]");
            let new = [
                missing,
                empty,
                head.as_bytes(),
                end,
                key.as_bytes(),
                b"=",
                value.as_bytes(),
                end,
            ]
            .concat();
            (lines.len(), lines.len(), new)
        }
    };
    let (from, to, new) = changed;
    lines.splice(from..to, [&new[..]]);
    Ok(lines.concat())
}

/// What would make another line of it.
fn check(section: &str, key: &str) -> Result<(), String> {
    let fits = |name: &str| !name.is_empty() && name.trim() == name && !name.contains(char::is_control);
    if !fits(section) || section.ends_with(']') {
        return Err(format!("{section:?} cannot be the name of a section"));
    }
    if !fits(key) || key.contains('=') || key.starts_with(['[', ';', '#']) {
        return Err(format!("{key:?} cannot be the name of a key"));
    }
    Ok(())
}

fn line_end(line: &[u8]) -> &[u8] {
    let without = line.strip_suffix(b"\n").unwrap_or(line);
    &line[without.strip_suffix(b"\r").unwrap_or(without).len()..]
}

/// What a last line without an end needs before another can follow.
fn line_end_missing<'a>(line: &[u8], end: &'a [u8]) -> &'a [u8] {
    if line.ends_with(b"\n") { b"" } else { end }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_becomes(old: &str, new: &str) {
        let made = with_value(old.as_bytes(), "SQLAcct", "Password", "NEW=").unwrap();
        assert_eq!(String::from_utf8(made).unwrap(), new);
    }

    #[test]
    fn the_line_of_the_key_is_changed_and_no_other() {
        assert_becomes(
            "; x\n[sqlacct]\r\n  password =\t old \r\nz=1",
            "; x\n[sqlacct]\r\n  password =\t NEW=\r\nz=1",
        );
        assert_becomes("[SQLAcct]\nPassword=old", "[SQLAcct]\nPassword=NEW=");
        assert_becomes("[SQLAcct]\nPassword=\n\n", "[SQLAcct]\nPassword=NEW=\n\n");
    }

    #[test]
    fn a_key_that_is_not_there_is_added_to_its_section_and_the_section_to_the_file() {
        assert_becomes(
            "[SQLAcct]\nA=1\n\n[B]\nPassword=x\n",
            "[SQLAcct]\nA=1\nPassword=NEW=\n\n[B]\nPassword=x\n",
        );
        assert_becomes("[SQLAcct]\r\n[B]\r\n", "[SQLAcct]\r\nPassword=NEW=\r\n[B]\r\n");
        assert_becomes("[SQLAcct]", "[SQLAcct]\nPassword=NEW=\n");
        assert_becomes("[B]\nx=1", "[B]\nx=1\n\n[SQLAcct]\nPassword=NEW=\n");
        assert_becomes("", "[SQLAcct]\nPassword=NEW=\n");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let twice = with_value(b"[A]\nk=1\nK=2\n", "A", "k", "v").unwrap_err();
        assert_eq!(twice, "k stands in lines 2, 3, which the gatekeeper joins: leave one");
        for (section, key) in [
            ("", "k"),
            ("A]", "k"),
            ("A", "a=b"),
            ("A", "a\nb"),
            ("A", ";a"),
            ("A", "[a"),
            ("A", " a"),
        ] {
            assert!(with_value(b"", section, key, "v").is_err(), "{section:?} {key:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_file_the_value_is_read_back_and_other_lines_stay(
            octets in prop::collection::vec(prop::sample::select(&b"\n\n\r [];=aAk#"[..]), 0..60),
        ) {
            let Ok(made) = with_value(&octets, "A", "k", "v=") else { return Ok(()) };
            let ini = Ini::parse(&made);
            prop_assert_eq!(&ini.key("a", "K").unwrap().value, b"v=");
            let others = |octets: &[u8]| -> Vec<Vec<u8>> {
                let ini = Ini::parse(octets);
                let keys = ini.sections.iter().flat_map(|s| s.keys.iter().map(|k| (s.name.to_lowercase(), k)));
                keys.filter(|(section, key)| section != "a" || !key.name.eq_ignore_ascii_case("k"))
                    .map(|(section, key)| [section.as_bytes(), b"]", key.name.as_bytes(), b"=", &key.value].concat())
                    .collect()
            };
            prop_assert_eq!(others(&made), others(&octets));
        }
    }
}
