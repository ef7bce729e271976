//! `contrib/billdrop.toml` and `billdrop.toml(5)` against the program: the same keys, the same defaults, and examples
//! that load. The keys come from the program's own refusals, so there is no second list of them.

use std::{collections::BTreeMap, fs, path::Path};

use billdrop::command::requirements::problems;
use billdrop::config::{self, Config};

/// Table and key: `("spool", "min-free")`.
type Key = (String, String);

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Empty when nothing is refused.
fn refusal(text: &str) -> String {
    toml::from_str::<Config>(text).map_or_else(|e| e.message().to_owned(), |_| String::new())
}

/// What serde says is expected: "unknown field `x`, expected one of `a`, `b`".
fn expected(message: &str, unknown: &str) -> Option<Vec<String>> {
    if !message.starts_with(&format!("unknown {unknown} ")) {
        return None;
    }
    Some(message.split('`').skip(3).step_by(2).map(str::to_owned).collect())
}

/// `[spool]` or `[[source]]`.
fn header(table: &str) -> String {
    let single = format!("[{table}]\n");
    match expected(&refusal(&format!("{single}zzz = 1")), "field") {
        Some(_) => single,
        None => format!("[[{table}]]\n"),
    }
}

/// Every key that the program knows. Tables within tables count as tables, unless they cannot be without a key: those
/// are values, written within braces.
fn accepted() -> Vec<Key> {
    let mut tables = expected(&refusal("zzz = 1"), "field").unwrap();
    let mut inner = Vec::new();
    for table in tables.iter().filter(|table| header(table) == format!("[{table}]\n")) {
        let keys = expected(&refusal(&format!("{}zzz = 1", header(table))), "field").unwrap();
        let nested = keys.into_iter().map(|key| format!("{table}.{key}"));
        let is_table = |key: &String| expected(&refusal(&format!("[{key}]\nzzz = 1")), "field").is_some();
        inner.extend(nested.filter(|key| is_table(key) && refusal(&format!("[{key}]\n")).is_empty()));
    }
    tables.extend(inner);
    let keys: Vec<Key> = tables
        .iter()
        .flat_map(|table| {
            let keys = expected(&refusal(&format!("{}zzz = 1", header(table))), "field").unwrap();
            let is_table = |key: &String| tables.contains(&format!("{table}.{key}"));
            let keys: Vec<String> = keys.into_iter().filter(|key| !is_table(key)).collect();
            keys.into_iter().map(|key| (table.clone(), key))
        })
        .collect();
    assert!(keys.len() > 30, "{keys:?}");
    keys
}

/// One `key = value` of the example configuration.
#[derive(Debug)]
struct Entry {
    key: Key,
    value: String,
    /// The value in effect, not one that is commented out.
    set: bool,
    /// The comment above says that it is an example.
    example: bool,
}

fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut table, mut comment) = (String::new(), String::new());
    for line in read("contrib/billdrop.toml").lines() {
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            comment = line.to_owned();
            continue;
        }
        let bare = line.strip_prefix('#').unwrap_or(line);
        if bare.starts_with('[') {
            table = bare.trim_matches(['[', ']']).to_owned();
            assert_eq!(header(&table), format!("{bare}\n"));
            continue;
        }
        let (key, value) = bare.split_once(" = ").unwrap_or_else(|| panic!("what is {line:?}?"));
        assert!(comment.starts_with("# "), "{key} is not explained");
        entries.push(Entry {
            key: (table.clone(), key.to_owned()),
            value: value.to_owned(),
            set: bare == line,
            example: comment.ends_with(':'),
        });
    }
    entries
}

/// A configuration with this entry in it and nothing else but what its table cannot be without; and the same without it.
fn with_and_without(entry: &Entry, entries: &[Entry]) -> (Config, Config) {
    let (table, key) = &entry.key;
    let mut without = header(table);
    let mut is_needed = false;
    loop {
        let with = match is_needed {
            true => without.clone(),
            false => format!("{without}{key} = {}\n", entry.value),
        };
        let missing = match (toml::from_str(&without), toml::from_str(&with)) {
            (Ok(without), Ok(with)) => return (with, without),
            (Err(e), _) | (_, Err(e)) => e.message().to_owned(),
        };
        let name = missing
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        let name = name.unwrap_or_else(|| panic!("[{table}] {key}: {missing}"));
        let needed = entries
            .iter()
            .find(|e| e.key == (table.clone(), name.to_owned()))
            .unwrap();
        without += &format!("{name} = {}\n", needed.value);
        is_needed |= name == key;
    }
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let mut shown: Vec<Key> = entries().into_iter().map(|entry| entry.key).collect();
    shown.sort();
    shown.dedup();
    let mut accepted = accepted();
    accepted.sort();
    assert_eq!(shown, accepted);
}

#[test]
fn what_the_example_calls_a_default_is_the_default() {
    let entries = entries();
    for entry in entries.iter().filter(|entry| !entry.set) {
        let (with, without) = with_and_without(entry, &entries);
        let needed = toml::from_str::<Config>(&header(&entry.key.0)).is_err() && entry.example;
        assert!(
            (with == without) != entry.example || needed,
            "{entry:?}: a default must not be called an example, and nothing else a default"
        );
    }
}

#[test]
fn with_every_default_written_out_the_configuration_is_that_without_any() {
    let mut text = String::new();
    let mut table = String::new();
    for entry in entries().into_iter().filter(|entry| !entry.set && !entry.example) {
        // What cannot stand alone is not there by default.
        if toml::from_str::<Config>(&header(&entry.key.0)).is_err() || header(&entry.key.0).starts_with("[[") {
            continue;
        }
        if table != entry.key.0 {
            table = entry.key.0;
            text += &header(&table);
        }
        text += &format!("{} = {}\n", entry.key.1, entry.value);
    }
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default(), "{text}");
}

#[test]
fn the_example_loads_as_it_is_shipped_and_with_everything_in_it() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/billdrop.toml");
    let loaded = config::load(Some(&shipped), None, problems).unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.config.spool.directory.is_absolute() && loaded.config.state_directory().is_absolute());

    let everything: String = read("contrib/billdrop.toml")
        .lines()
        .filter(|line| *line != "#directory = \"spool\"")
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_loads(&everything);
}

#[track_caller]
fn assert_loads(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("billdrop.toml");
    let certificate = directory.path().join("ca.pem");
    fs::write(&certificate, "").unwrap();
    // Neither the group of the examples nor the certificate need exist here.
    let text = text
        .replace("group = \"billing\"", "group = \"0\"")
        .replace("/etc/billdrop/cucm1.pem", certificate.to_str().unwrap())
        .replace("/etc/billdrop/ipdr.pem", certificate.to_str().unwrap())
        // A certificate is looked at only then.
        .replace("tls = \"prefer\"", "tls = \"verify-full\"");
    fs::write(&file, &text).unwrap();
    let loaded = config::load(Some(&file), None, problems).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(loaded.warnings.is_empty(), "{:?}\n{text}", loaded.warnings);
}

const PAGE: &str = "man/parts/billdrop.toml.5";

/// The `@key` lines of the manual page: type, and default or what stands in its place.
fn explained() -> BTreeMap<Key, (String, String)> {
    let mut table = String::new();
    let mut found = BTreeMap::new();
    for line in read(PAGE).lines() {
        if let Some(heading) = line.strip_prefix(".SS [") {
            table = heading.trim_matches(['[', ']']).to_owned();
        }
        if let Some((key, rest)) = line.strip_prefix("@key ").and_then(|line| line.split_once(" = ")) {
            let (kind, default) = rest.split_once("; ").unwrap();
            let twice = found.insert((table.clone(), key.to_owned()), (kind.to_owned(), default.to_owned()));
            assert!(twice.is_none(), "{line}");
        }
    }
    found
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    let mut accepted = accepted();
    accepted.sort();
    assert_eq!(explained().into_keys().collect::<Vec<_>>(), accepted);
}

#[test]
fn the_manual_has_every_key_of_a_collector() {
    let keys = expected(&refusal("[stream.primary]\nzzz = 1"), "field").unwrap();
    assert!(keys.len() >= 8, "{keys:?}");
    let page = read(PAGE);
    let about = page
        .split(".SS [stream]\n")
        .nth(1)
        .unwrap()
        .split("@key ")
        .next()
        .unwrap();
    for key in keys {
        assert!(about.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn the_manual_has_every_key_of_an_ipdr_session_and_collector() {
    let page = read(PAGE);
    let about = page
        .split(".SS [ipdr]\n")
        .nth(1)
        .unwrap()
        .split("@key ")
        .next()
        .unwrap();
    for table in ["session", "collector"] {
        let keys = expected(&refusal(&format!("[[ipdr.{table}]]\nzzz = 1")), "field").unwrap();
        assert!(keys.len() >= 10, "{keys:?}");
        for key in keys {
            assert!(about.contains(&format!("`{key}`")), "{table}: {key}");
        }
    }
}

#[test]
fn the_manual_and_the_example_state_the_same_defaults() {
    let explained = explained();
    for entry in entries().iter().filter(|entry| !entry.set && !entry.example) {
        let (_, default) = &explained[&entry.key];
        assert_eq!(default, &format!("default {}", entry.value), "{:?}", entry.key);
    }
    let defaults: Vec<Key> = entries()
        .into_iter()
        .filter(|e| !e.set && !e.example)
        .map(|e| e.key)
        .collect();
    for (key, (_, default)) in explained {
        let literal = default
            .strip_prefix("default ")
            .is_some_and(|value| toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok());
        assert_eq!(literal, defaults.contains(&key), "{key:?}");
    }
}

#[test]
fn the_manual_names_each_word_that_a_key_takes() {
    let page = read(PAGE);
    let mut words = 0;
    for (table, key) in accepted() {
        let about = format!("@key {key} = ");
        let text = page.split(&format!(".SS {}", header(&table))).nth(1).unwrap();
        let text = text.split(&about).nth(1).unwrap();
        let text = &text[..text.find("\n@key ").or_else(|| text.find("\n.SS ")).unwrap()];
        for word in expected(&refusal(&format!("{}{key} = \"zzz\"", header(&table))), "variant").unwrap_or_default() {
            assert!(text.contains(&format!("\"{word}\"")), "[{table}] {key}: {word}");
            words += 1;
        }
    }
    assert!(words >= 10, "{words}");
}

#[test]
fn every_example_of_the_manual_loads() {
    let page = read(PAGE);
    let examples: Vec<&str> = page
        .split("@example\n")
        .skip(1)
        .map(|rest| rest.split_once("@end\n").unwrap().0)
        .filter(|example| example.starts_with('['))
        .collect();
    assert!(examples.len() >= 7);
    for example in examples {
        // A variable that is not set does not matter before it is used.
        assert_loads(example);
    }
}
