//! Secrets: given as text, by a file or by an environment variable, and never shown again.

use std::{env, fmt, fs, io::Read, path::PathBuf};

use serde::Deserialize;

/// Longest secret that is read from a file, in octets.
const LIMIT: u64 = 4096;

/// A password or community as configured. Neither `Debug` nor any error shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a text, { file = \"PATH\" } or { env = \"NAME\" }")]
pub enum Secret {
    Text(String),
    File(FileRef),
    Env(EnvRef),
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    file: PathBuf,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvRef {
    env: String,
}

impl Secret {
    pub(super) fn from_file(file: PathBuf) -> Self {
        Secret::File(FileRef { file })
    }

    pub(super) fn from_env(name: &str) -> Self {
        Secret::Env(EnvRef { env: name.to_owned() })
    }

    /// The secret itself. One line end at the end of a file is not part of it.
    ///
    /// The error says which file or variable failed and why, never what was in it.
    pub fn reveal(&self) -> Result<String, String> {
        match self {
            Secret::Text(text) => Ok(text.clone()),
            Secret::Env(EnvRef { env }) => env::var(env).map_err(|e| {
                // The library's message has the value in it.
                let reason = match e {
                    env::VarError::NotPresent => "not set",
                    env::VarError::NotUnicode(_) => "not UTF-8",
                };
                format!("environment variable {env}: {reason}")
            }),
            Secret::File(FileRef { file }) => {
                let mut text = String::new();
                fs::File::open(file)
                    .and_then(|f| f.take(LIMIT + 1).read_to_string(&mut text))
                    .map_err(|e| format!("secret file {}: {e}", file.display()))?;
                if text.len() as u64 > LIMIT {
                    return Err(format!("secret file {}: longer than {LIMIT} octets", file.display()));
                }
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
        }
    }

    /// Whether the secret stands in the configuration file itself.
    pub fn is_plain_text(&self) -> bool {
        matches!(self, Secret::Text(_))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Text(_) => "Secret(text)",
            Secret::File(_) => "Secret(file)",
            Secret::Env(_) => "Secret(env)",
        })
    }
}
