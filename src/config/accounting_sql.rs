//! `[accounting.sql]`: what SQLAcct needs to know besides the gatekeeper's ini.

use std::path::PathBuf;

use serde::Deserialize;

use super::Span;

/// `[accounting.sql]`. Host, database, user, password and queries stand in the ini's `[SQLAcct]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AccountingSql {
    /// Encryption towards PostgreSQL and MySQL; a Unix socket has none.
    pub tls: SqlTls,
    /// Certificates in PEM of those who may have issued the server's. Default: those that this system trusts.
    pub ca_file: Option<PathBuf>,
    /// Unix socket in place of the ini's `Host`: the directory for PostgreSQL, the socket itself for MySQL.
    pub socket: Option<PathBuf>,
    /// Table that remembers which events are stored, so that none is stored twice. Empty: none, and an event whose
    /// outcome nobody knows is stored again.
    pub marker_table: String,
    /// How long it remembers them.
    pub marker_keep: Span,
}

/// The words are those of libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SqlTls {
    Disable,
    /// Encrypted if the server can, whoever it is.
    #[default]
    Prefer,
    /// Encrypted, whoever it is.
    Require,
    /// The certificate must be issued by an authority that is believed, for whatever name.
    VerifyCa,
    /// And it must be made out for the host.
    VerifyFull,
}

impl Default for AccountingSql {
    fn default() -> Self {
        AccountingSql {
            tls: SqlTls::default(),
            ca_file: None,
            socket: None,
            marker_table: "billdrop_accounting".to_owned(),
            marker_keep: Span::hours(30 * 24),
        }
    }
}

impl AccountingSql {
    /// Keys of this table whose values cannot be right, and why.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let verified = matches!(self.tls, SqlTls::VerifyCa | SqlTls::VerifyFull);
        if self.ca_file.is_some() && !verified {
            problems.push((
                "ca-file",
                "no certificate is checked with this tls; set tls = \"verify-full\" (or \"verify-ca\")".to_owned(),
            ));
        }
        if self.socket.as_ref().is_some_and(|socket| !socket.is_absolute()) {
            problems.push(("socket", "must be a whole path".to_owned()));
        }
        if !self.marker_table.is_empty() && !is_table_name(&self.marker_table) {
            problems.push((
                "marker-table",
                "must be a table's name of letters, digits and underscores, perhaps behind a schema's name and a dot"
                    .to_owned(),
            ));
        }
        if self.marker_keep.0.as_secs() < 3600 {
            problems.push(("marker-keep", "must be 1h or more".to_owned()));
        }
        problems
    }
}

/// It is put into SQL as it stands.
fn is_table_name(text: &str) -> bool {
    let part = |part: &str| {
        let mut octets = part.bytes();
        octets
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && octets.all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
    };
    text.len() <= 120 && text.split('.').count() <= 2 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_becomes_the_marker_table() {
        let problems = |table: &str| {
            let settings = AccountingSql {
                marker_table: table.to_owned(),
                ..AccountingSql::default()
            };
            settings.problems().len()
        };
        for good in ["", "billdrop_accounting", "billing.seen2", "_x"] {
            assert_eq!(problems(good), 0, "{good}");
        }
        for bad in ["a b", "a;drop table call", "a.b.c", "1a", ".a", "a.", "\"a\"", "ü"] {
            assert_eq!(problems(bad), 1, "{bad}");
        }
    }

    #[test]
    fn a_ca_file_that_nobody_would_look_at_is_refused() {
        let settings: AccountingSql = toml::from_str("ca-file = \"/etc/ca.pem\"").unwrap();
        assert_eq!(settings.problems()[0].0, "ca-file");
        let settings: AccountingSql = toml::from_str("tls = \"verify-ca\"\nca-file = \"/etc/ca.pem\"").unwrap();
        assert!(settings.problems().is_empty());
    }
}
