//! Reads `billdrop.toml`, and says file, line and key of what is wrong with it.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::Config;
use crate::exit::{Error, Exit, Result};

/// Where the configuration is looked for when the command line names none. It may be missing.
pub const DEFAULT_FILE: &str = "/etc/billdrop/billdrop.toml";

/// Longest configuration that is read, in octets.
const LIMIT: u64 = 1 << 20;

/// Something wrong with a value, and the key that has it: `spool.extension`, `notify[0].community`.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub key: String,
    pub message: String,
}

/// A configuration that has passed every check.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// The file it was read from; `None`: defaults alone.
    pub file: Option<PathBuf>,
    /// What an operator should know though nothing is refused.
    pub warnings: Vec<String>,
}

/// Reads the configuration and has it checked by `problems`. Without `file` the default one is taken if it is there,
/// else the defaults. `spool` replaces `[spool] directory`.
///
/// Errors: [`Exit::Configuration`] with one line for each problem, `FILE:LINE: key: what is wrong`.
pub fn load(file: Option<&Path>, spool: Option<&Path>, problems: impl Fn(&Config) -> Vec<Problem>) -> Result<Loaded> {
    let path = match file {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let (text, mut warnings) = match &path {
        Some(path) => read(path)?,
        None => (String::new(), Vec::new()),
    };
    let shown = path
        .as_deref()
        .unwrap_or(Path::new("billdrop.toml"))
        .display()
        .to_string();
    let mut config = parse(&text, &shown)?;
    if let Some(spool) = spool {
        config.spool.directory = spool.to_owned();
    }
    let problems = problems(&config);
    if !problems.is_empty() {
        let places = DeTable::parse(&text).ok();
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| {
                let line = places
                    .as_ref()
                    .and_then(|table| line_of(&text, table.get_ref(), &problem.key));
                match line {
                    Some(line) => format!("{shown}:{line}: {}: {}", problem.key, problem.message),
                    None => format!("{shown}: {}: {}", problem.key, problem.message),
                }
            })
            .collect();
        return Err(Error::new(Exit::Configuration, lines.join("\n")));
    }
    if !config.has_plain_secrets() {
        warnings.clear();
    }
    Ok(Loaded {
        config,
        file: path,
        warnings,
    })
}

/// The text of the file, and a warning when others can read what may be a secret in it.
fn read(path: &Path) -> Result<(String, Vec<String>)> {
    let refuse = |e: std::io::Error| {
        let exit = match e.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Configuration,
        };
        Error::new(exit, format!("cannot read the configuration {}: {e}", path.display()))
    };
    let mut text = String::new();
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut octets))
        .map_err(refuse)?;
    if octets.len() as u64 > LIMIT {
        return Err(Error::new(
            Exit::Configuration,
            format!(
                "{}: longer than {LIMIT} octets; this is not a configuration",
                path.display()
            ),
        ));
    }
    match String::from_utf8(octets) {
        Ok(valid) => text.push_str(valid.strip_prefix('\u{FEFF}').unwrap_or(&valid)),
        Err(e) => {
            let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            return Err(Error::new(
                Exit::Configuration,
                format!("{}:{line}: not UTF-8; save the file as UTF-8", path.display()),
            ));
        }
    }
    let mode = fs::metadata(path).map_err(refuse)?.mode();
    let mut warnings = Vec::new();
    if mode & 0o004 != 0 {
        warnings.push(format!(
            "{} holds secrets and everybody can read it (mode {:04o}): chmod o-r, or keep the secrets in {{ file = … }}",
            path.display(),
            mode & 0o7777
        ));
    }
    Ok((text, warnings))
}

/// The library's message names the key; never the line's text, which may be a secret.
fn parse(text: &str, shown: &str) -> Result<Config> {
    toml::from_str(text).map_err(|e| {
        let place = match e.span() {
            Some(span) => format!("{shown}:{}", position(text, span.start)),
            None => shown.to_owned(),
        };
        Error::new(
            Exit::Configuration,
            format!("{place}: {}", with_nearest_key(e.message())),
        )
    })
}

/// `LINE:COLUMN`, both from 1.
fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
    format!("{line}:{column}")
}

/// Serde says "unknown field `x`, expected one of `a`, `b`": the nearest of those is what was probably meant.
fn with_nearest_key(message: &str) -> String {
    match message {
        m if m.starts_with("invalid type: map, expected a sequence") => {
            return "this is a list of tables: write [[NAME]] in place of [NAME]".to_owned();
        }
        m if m.starts_with("invalid type: ") && m.ends_with(", expected a string") => {
            return "a text in quotes is expected, such as \"15m\", \"64MiB\" or \"0640\"".to_owned();
        }
        "wanted string or table" => return "a text in quotes is expected, such as \"3\"".to_owned(),
        _ => {}
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(unknown), true) = (quoted.next(), message.starts_with("unknown ")) else {
        return message.to_owned();
    };
    let nearest = quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(unknown.len()) / 2);
    // A value that stands in the wrong place may be a secret.
    let known = match message.strip_prefix("unknown variant `") {
        Some(rest) => format!(
            "unknown value{}",
            rest.split_once('`').map_or("", |(_, expected)| expected)
        ),
        None => message.replacen("unknown field", "unknown key", 1),
    };
    match nearest {
        Some((_, nearest)) => format!("{known}\n  Did you mean `{nearest}`?"),
        None => known,
    }
}

/// Line of a key such as `spool.extension` or `notify[1].community`; of the nearest table around it when the key is not there.
fn line_of(text: &str, table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (head, rest) = key.split_once('.').map_or((key, None), |(h, r)| (h, Some(r)));
    let (name, index) = match head.split_once('[') {
        Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
        None => (head, None),
    };
    let (found, value) = table.iter().find(|(k, _)| k.get_ref() == name)?;
    let line = |offset: usize| 1 + text.get(..offset).unwrap_or(text).matches('\n').count();
    let (inner, start) = match (value.get_ref(), index) {
        (DeValue::Array(items), Some(index)) => {
            let item = items.get(index)?;
            (item.get_ref(), item.span().start)
        }
        (inner, _) => (inner, found.span().start),
    };
    match (inner, rest) {
        (DeValue::Table(inner), Some(rest)) => line_of(text, inner, rest).or(Some(line(start))),
        _ => Some(line(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_one() {
        let e = parse("[spool]\n\n  directroy = \"/x\"\n", "b.toml").unwrap_err();
        assert_eq!(e.exit(), Exit::Configuration);
        assert!(e.message().starts_with("b.toml:3:3: unknown key `directroy`"), "{e}");
        assert!(e.message().ends_with("Did you mean `directory`?"), "{e}");
    }

    #[test]
    fn a_value_of_the_wrong_type_in_place_of_a_secret_is_not_shown() {
        let e = parse("[[notify]]\naddress = \"m\"\ncommunity = 31337\n", "b.toml").unwrap_err();
        assert!(!e.to_string().contains("31337"), "{e}");
        assert!(e.message().contains("b.toml:3"), "{e}");
    }

    #[test]
    fn the_line_of_a_key_is_found_inside_arrays_of_tables() {
        let text = "[spool]\nextension = \".x\"\n\n[[notify]]\naddress = \"a\"\n[[notify]]\naddress = \"b\"\n";
        let table = DeTable::parse(text).unwrap();
        let line = |key| line_of(text, table.get_ref(), key);
        assert_eq!(line("spool.extension"), Some(2));
        assert_eq!(line("notify[1].address"), Some(7));
        assert_eq!(line("notify[1].community"), Some(6));
        assert_eq!(line("stream.primary"), None);
    }
}
