//! MySQL and MariaDB.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use mysql::{Conn, DriverError, Error, Opts, OptsBuilder, SslOpts, prelude::Queryable};

use super::{
    driver::{Connection, Driver, Failure, Kind, Rows},
    value::Value,
};
use crate::config::{AccountingSql, SqlTls, gatekeeper::SqlAcct};

const PORT: u16 = 3306;

/// Where the server of this host listens. As for the gatekeeper's library, `localhost` means its socket.
const SOCKETS: [&str; 4] = [
    "/run/mysqld/mysqld.sock",
    "/var/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
];

pub struct MySql {
    place: String,
    plain: Opts,
    /// [`None`]: no encryption.
    encrypted: Option<Opts>,
    /// Whether a server without encryption will do.
    prefer: bool,
    /// The system's authorities, for as long as the driver reads them.
    _authorities: Option<tempfile::NamedTempFile>,
}

impl MySql {
    pub fn new(options: &SqlAcct, settings: &AccountingSql) -> Result<Self, String> {
        let password = options.password.reveal()?;
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let base = OptsBuilder::new()
            .user(given(&options.username))
            .pass(given(&password))
            .db_name(given(&options.database))
            .prefer_socket(false)
            .stmt_cache_size(64)
            .tcp_connect_timeout(Some(options.connect_timeout).filter(|limit| !limit.is_zero()))
            .read_timeout(Some(options.read_timeout).filter(|limit| !limit.is_zero()))
            .write_timeout(Some(options.read_timeout).filter(|limit| !limit.is_zero()));
        let port = options.port.unwrap_or(PORT);
        let socket = settings
            .socket
            .clone()
            .or_else(|| socket_of(&options.host, options.port));
        if let Some(socket) = socket {
            let socket = socket.display().to_string();
            return Ok(MySql {
                place: format!("MySQL at {socket}"),
                plain: base.socket(Some(socket)).into(),
                encrypted: None,
                prefer: true,
                _authorities: None,
            });
        }
        let base = base.ip_or_hostname(Some(options.host.clone())).tcp_port(port);
        let verified = matches!(settings.tls, SqlTls::VerifyCa | SqlTls::VerifyFull);
        let authorities = (verified && settings.ca_file.is_none())
            .then(system_authorities)
            .transpose()?;
        let encrypted = (settings.tls != SqlTls::Disable).then(|| {
            let roots = authorities
                .as_ref()
                .map(|file| file.path().to_owned())
                .or_else(|| settings.ca_file.clone());
            SslOpts::default()
                .with_root_cert_path(roots.filter(|_| verified))
                .with_danger_skip_domain_validation(settings.tls != SqlTls::VerifyFull)
                .with_danger_accept_invalid_certs(!verified)
        });
        if let Some(file) = settings.ca_file.as_ref().filter(|_| verified) {
            std::fs::File::open(file).map_err(|e| format!("CA file {}: {e}", file.display()))?;
        }
        Ok(MySql {
            place: format!("MySQL at {}:{port}", options.host),
            plain: base.clone().into(),
            encrypted: encrypted.map(|ssl| base.ssl_opts(Some(ssl)).into()),
            prefer: settings.tls == SqlTls::Prefer,
            _authorities: authorities,
        })
    }
}

fn socket_of(host: &str, port: Option<u16>) -> Option<PathBuf> {
    if host.starts_with('/') {
        return Some(PathBuf::from(host));
    }
    let local = host.is_empty() || host.eq_ignore_ascii_case("localhost");
    let socket = SOCKETS.iter().map(Path::new).find(|socket| socket.exists())?;
    (local && port.is_none()).then(|| socket.to_owned())
}

/// The driver knows Mozilla's authorities; those that this host's administrator added come from here.
fn system_authorities() -> Result<tempfile::NamedTempFile, String> {
    use base64::Engine;
    use std::io::Write;
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    let written = tempfile::NamedTempFile::new().and_then(|mut file| {
        file.write_all(pem.as_bytes())?;
        Ok(file)
    });
    written.map_err(|e| format!("the system's CA certificates cannot be put into a temporary file: {e}"))
}

impl Driver for MySql {
    fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let mut connected = Conn::new(self.encrypted.clone().unwrap_or_else(|| self.plain.clone()));
        if self.prefer && self.encrypted.is_some() {
            connected = match connected {
                // It has no TLS, or none that is still good.
                Err(Error::DriverError(DriverError::TlsNotSupported) | Error::TlsError(_) | Error::CodecError(_)) => {
                    Conn::new(self.plain.clone())
                }
                other => other,
            };
        }
        match connected {
            Ok(connection) => Ok(Box::new(Open(connection))),
            Err(Error::DriverError(DriverError::TlsNotSupported)) => Err(
                "the server has no TLS; give it a certificate, or set tls = \"disable\" in [accounting.sql]".to_owned(),
            ),
            // The handshake goes on under the first packets, and its errors come with them.
            Err(error) if matches!(error, Error::TlsError(_)) || error.to_string().contains("certificate") => {
                Err(format!(
                    "TLS: {}; is ca-file in [accounting.sql] that of the authority which issued the certificate, and is the \
                 certificate made out for the ini's Host?",
                    failure(error).why
                ))
            }
            Err(error) => Err(failure(error).why),
        }
    }

    fn place(&self) -> &str {
        &self.place
    }
}

struct Open(Conn);

impl Connection for Open {
    fn begin(&mut self) -> Result<(), Failure> {
        self.0.query_drop("START TRANSACTION").map_err(failure)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.0.query_drop("COMMIT").map_err(failure)
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.0.query_drop("ROLLBACK").map_err(failure)
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<Rows, Failure> {
        if values.is_empty() {
            // Some statements cannot be prepared.
            return self.0.query_iter(statement).and_then(counted).map_err(failure);
        }
        let values: Vec<mysql::Value> = values
            .iter()
            .map(|value| match value {
                Value::Number(number) => mysql::Value::Int(*number),
                Value::Text(octets) => mysql::Value::Bytes(octets.clone()),
            })
            .collect();
        self.0.exec_iter(statement, values).and_then(counted).map_err(failure)
    }
}

/// The first result counts; a procedure can have more.
fn counted<P: mysql::prelude::Protocol>(mut result: mysql::QueryResult<'_, '_, '_, P>) -> mysql::Result<Rows> {
    let mut rows = Rows::default();
    if result.columns().as_ref().is_empty() {
        rows.changed = Some(result.affected_rows());
    } else if let Some(set) = result.iter() {
        for row in set {
            row?;
            rows.returned += 1;
        }
    }
    Ok(rows)
}

fn failure(error: Error) -> Failure {
    let kind = match &error {
        Error::MySqlError(e) => match e.code {
            1213 => Kind::Conflict,
            1366 if e.message.contains("string value") => Kind::Characters,
            // Shut down, killed; too many connections and the like come up only while connecting.
            1053 | 1152 | 1158..=1161 | 1927 | 4031 => Kind::Lost,
            _ => Kind::Statement,
        },
        Error::DriverError(DriverError::MismatchedStmtParams(..)) => Kind::Statement,
        _ => Kind::Lost,
    };
    let why = match &error {
        Error::MySqlError(e) => format!("{} (error {}, SQLSTATE {})", e.message, e.code, e.state),
        Error::IoError(e) => format!("the connection failed: {e}"),
        Error::CodecError(e) => {
            let text = e.to_string();
            let bare = text.trim_start_matches("IO error: ").trim_matches(['`', '\'']);
            format!("the connection failed: {bare}")
        }
        other => other.to_string(),
    };
    Failure { kind, why }
}
