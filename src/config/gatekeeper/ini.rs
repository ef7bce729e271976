//! The ini as the gatekeeper reads it: sections, keys in the order of the file, and the lines they stand in.
//!
//! Nothing is refused here, since the gatekeeper refuses nothing: what it drops is kept aside, so that it can be told.

use std::collections::HashMap;

/// Sections by the order in which they were first opened.
#[derive(Debug, Default)]
pub struct Ini {
    pub sections: Vec<Section>,
    /// Lines that the gatekeeper passes over without a word though they are no comments.
    pub dropped: Vec<Dropped>,
    /// Small letters to the position above.
    index: HashMap<String, usize>,
}

#[derive(Debug)]
pub struct Section {
    /// As it was first spelled.
    pub name: String,
    /// Where it was first opened, from 1.
    pub line: usize,
    /// The line of its last key; that where it was first opened while it has none.
    pub end: usize,
    /// By the order in which they first stand there.
    pub keys: Vec<Key>,
    index: HashMap<String, usize>,
}

#[derive(Debug)]
pub struct Key {
    /// As it was first spelled.
    pub name: String,
    /// A key that is repeated has all its values, with line feeds between them.
    pub value: Vec<u8>,
    /// Every line that it stands in.
    pub lines: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Dropped {
    pub line: usize,
    /// Section that the line stands in.
    pub section: Option<String>,
}

impl Ini {
    pub fn parse(octets: &[u8]) -> Self {
        let mut ini = Ini::default();
        let mut current: Option<usize> = None;
        for (line, text) in (1..).zip(octets.split(|octet| *octet == b'\n')) {
            let text = trimmed(text);
            match text.first() {
                None | Some(b';' | b'#') => continue,
                Some(b'[') => {
                    let name = text.strip_suffix(b"]").unwrap_or(text);
                    current = Some(ini.open(&spelled(trimmed(&name[1..])), line));
                    continue;
                }
                Some(_) => {}
            }
            let equals = text.iter().position(|octet| *octet == b'=');
            match (current, equals) {
                (Some(section), Some(at)) if at > 0 => {
                    let section = &mut ini.sections[section];
                    section.put(&spelled(trimmed(&text[..at])), trimmed(&text[at + 1..]), line);
                }
                _ => ini.dropped.push(Dropped {
                    line,
                    section: current.map(|section| ini.sections[section].name.clone()),
                }),
            }
        }
        ini
    }

    /// Neither here nor in keys does case matter.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.index
            .get(&name.to_ascii_lowercase())
            .map(|position| &self.sections[*position])
    }

    pub fn key(&self, section: &str, key: &str) -> Option<&Key> {
        self.section(section)?.key(key)
    }

    /// A name that was there before opens the same section again.
    fn open(&mut self, name: &str, line: usize) -> usize {
        let sections = &mut self.sections;
        *self.index.entry(name.to_ascii_lowercase()).or_insert_with(|| {
            sections.push(Section {
                name: name.to_owned(),
                line,
                end: line,
                keys: Vec::new(),
                index: HashMap::new(),
            });
            sections.len() - 1
        })
    }
}

impl Section {
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.index
            .get(&name.to_ascii_lowercase())
            .map(|position| &self.keys[*position])
    }

    fn put(&mut self, name: &str, value: &[u8], line: usize) {
        self.end = line;
        match self.index.get(&name.to_ascii_lowercase()) {
            Some(position) => {
                let key = &mut self.keys[*position];
                key.value.push(b'\n');
                key.value.extend_from_slice(value);
                key.lines.push(line);
            }
            None => {
                self.index.insert(name.to_ascii_lowercase(), self.keys.len());
                self.keys.push(Key {
                    name: name.to_owned(),
                    value: value.to_vec(),
                    lines: vec![line],
                });
            }
        }
    }
}

impl Key {
    /// Its first line.
    pub fn line(&self) -> usize {
        self.lines.first().copied().unwrap_or(0)
    }
}

/// Without the blanks of C's `isspace` at both ends.
fn trimmed(text: &[u8]) -> &[u8] {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let begin = text.iter().position(|octet| !blank(octet)).unwrap_or(text.len());
    let end = text.iter().rposition(|octet| !blank(octet)).map_or(begin, |at| at + 1);
    &text[begin..end]
}

/// Names are compared and shown, never given on: what is not UTF-8 in them does not matter.
fn spelled(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<(String, Vec<(String, String)>)> {
        let value = |key: &Key| String::from_utf8(key.value.clone()).unwrap();
        Ini::parse(text.as_bytes())
            .sections
            .iter()
            .map(|section| {
                let keys = section.keys.iter().map(|key| (key.name.clone(), value(key)));
                (section.name.clone(), keys.collect())
            })
            .collect()
    }

    fn pairs(keys: &[(&str, &str)]) -> Vec<(String, String)> {
        keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn lines_are_trimmed_and_nothing_behind_a_value_is_a_comment() {
        let text = "; x\n  # y\n[ A ]\r\n\t k = v ; w \r\nq=\"a\\\"\n=dropped\nalone\n e=a=b\nn=\n";
        let keys = pairs(&[("k", "v ; w"), ("q", "\"a\\\""), ("e", "a=b"), ("n", "")]);
        assert_eq!(shown(text), [("A".to_owned(), keys)]);
        let dropped: Vec<usize> = Ini::parse(text.as_bytes()).dropped.iter().map(|d| d.line).collect();
        assert_eq!(dropped, [6, 7]);
    }

    #[test]
    fn a_section_is_opened_again_and_a_repeated_key_is_appended_where_it_first_stood() {
        let text = "k=before\n[A]\nb=1\nk=2\n[B]\nx=y\n[a]\nK = 3\nc=4\n";
        let expected = [
            ("A".to_owned(), pairs(&[("b", "1"), ("k", "2\n3"), ("c", "4")])),
            ("B".to_owned(), pairs(&[("x", "y")])),
        ];
        assert_eq!(shown(text), expected);
        let ini = Ini::parse(text.as_bytes());
        assert_eq!(ini.key("a", "k").unwrap().lines, [4, 8]);
        assert_eq!(ini.dropped, [Dropped { line: 1, section: None }]);
    }

    #[test]
    fn the_bracket_is_taken_off_the_end_of_the_line_only() {
        assert_eq!(shown("[A] ; x\nk=v\n[B\n[]")[0].0, "A] ; x");
        assert_eq!(shown("[A] ; x\n[B\n[]").len(), 3);
    }

    proptest! {
        #[test]
        fn every_line_is_read_or_dropped_or_nothing(octets in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'='), Just(b'['), Just(b']'), Just(b' '), Just(b'a'), any::<u8>()], 0..200,
        )) {
            let ini = Ini::parse(&octets);
            let lines = octets.split(|o| *o == b'\n').count();
            let read: usize = ini.sections.iter().flat_map(|s| &s.keys).map(|k| k.lines.len()).sum();
            prop_assert!(read + ini.dropped.len() + ini.sections.len() <= lines);
        }
    }
}
