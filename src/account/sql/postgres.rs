//! PostgreSQL.
//!
//! The client library is asynchronous; each connection has a small runtime of its own here, so that each step can be
//! given a time limit even when the server hangs. Every value is sent as text, and the server casts it as it would cast
//! a literal in quotes.

use std::{
    collections::HashMap,
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{
    Client, Config, Error, Statement,
    config::SslMode,
    error::SqlState,
    types::{Format, IsNull, ToSql, Type},
};

use super::{
    driver::{Connection, Driver, Failure, Kind, Rows},
    tls::Connector,
    value::Value,
};
use crate::{
    config::{AccountingSql, SqlTls, Tls, gatekeeper::SqlAcct},
    tls::{self, Refusal},
};

const PORT: u16 = 5432;

pub struct PostgreSql {
    place: String,
    config: Config,
    connector: Connector,
    refusal: Refusal,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl PostgreSql {
    pub fn new(options: &SqlAcct, settings: &AccountingSql) -> Result<Self, String> {
        let password = options.password.reveal()?;
        let port = options.port.unwrap_or(PORT);
        let mut config = Config::new();
        let place = match &settings.socket {
            Some(socket) => {
                config.host_path(socket);
                format!("PostgreSQL at {}", socket.display())
            }
            None => {
                let host = if options.host.is_empty() {
                    "localhost"
                } else {
                    &options.host
                };
                config.host(host);
                format!("PostgreSQL at {host}:{port}")
            }
        };
        config.port(port).dbname(&options.database).application_name("billdrop");
        if !options.username.is_empty() {
            config.user(&options.username);
        }
        if !password.is_empty() {
            config.password(password);
        }
        config.ssl_mode(match settings.tls {
            SqlTls::Disable => SslMode::Disable,
            SqlTls::Prefer => SslMode::Prefer,
            SqlTls::Require | SqlTls::VerifyCa | SqlTls::VerifyFull => SslMode::Require,
        });
        let verified = matches!(settings.tls, SqlTls::VerifyCa | SqlTls::VerifyFull);
        let client = tls::client(&Tls {
            ca: settings.ca_file.clone().filter(|_| verified),
            any_name: settings.tls == SqlTls::VerifyCa,
            insecure: !verified,
            ..Tls::default()
        })?;
        Ok(PostgreSql {
            place,
            config,
            connector: Connector(Arc::new(client.config)),
            refusal: client.refusal,
            connect_timeout: limit(options.connect_timeout),
            read_timeout: limit(options.read_timeout),
        })
    }
}

/// Zero means no limit in the ini. A day is none, either.
fn limit(configured: Duration) -> Duration {
    if configured.is_zero() {
        Duration::from_secs(86_400)
    } else {
        configured
    }
}

impl Driver for PostgreSql {
    fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("no runtime for the connection: {e}"))?;
        let connecting =
            async { tokio::time::timeout(self.connect_timeout, self.config.connect(self.connector.clone())).await };
        let (client, connection) = match runtime.block_on(connecting) {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => {
                return Err(match self.refusal.take() {
                    Some(why) => format!(
                        "TLS: {}; set ca-file in [accounting.sql] to that of the authority which issued it",
                        // What follows is for devices.
                        why.split("; once you").next().unwrap_or(&why)
                    ),
                    None => failure(&error).why,
                });
            }
            Err(_) => return Err(format!("no connection within {} s", self.connect_timeout.as_secs_f32())),
        };
        let last_words = Arc::<Mutex<Option<String>>>::default();
        let heard = last_words.clone();
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure(&error).why);
            }
        });
        Ok(Box::new(Open {
            client,
            runtime,
            prepared: HashMap::new(),
            limit: self.read_timeout,
            last_words,
        }))
    }

    fn place(&self) -> &str {
        &self.place
    }
}

struct Open {
    client: Client,
    runtime: Runtime,
    prepared: HashMap<String, Statement>,
    limit: Duration,
    /// What the server said when it closed the connection.
    last_words: Arc<Mutex<Option<String>>>,
}

impl Open {
    fn wait<T>(&self, what: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let limited = async { tokio::time::timeout(self.limit, what).await };
        match self.runtime.block_on(limited) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let mut failure = failure(&error);
                if error.is_closed()
                    && let Some(words) = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take()
                {
                    failure.why = format!("the server closed the connection: {words}");
                }
                Err(failure)
            }
            Err(_) => Err(Failure::lost(format!(
                "no answer within {} s",
                self.limit.as_secs_f32()
            ))),
        }
    }

    /// As the server understands the statement; a second try says more about the types where that helps.
    fn understood(&mut self, text: &str, values: &[Value]) -> Result<Statement, Failure> {
        let is_number = |at: usize| matches!(values[at], Value::Number(_));
        let retry: Vec<Type> = match self.wait(self.client.prepare(text)) {
            Ok(statement) => {
                let found = statement.params();
                let guessed = |at: usize| is_number(at) && found[at] == Type::TEXT;
                if found.len() != values.len() || !(0..found.len()).any(guessed) {
                    return Ok(statement);
                }
                // Nothing said what the number is to be, so it was taken for a text: `%d > %c` would compare digits.
                let types: Vec<Type> = (0..found.len())
                    .map(|at| if guessed(at) { Type::INT8 } else { Type::UNKNOWN })
                    .collect();
                return match self.wait(self.client.prepare_typed(text, &types)) {
                    Err(failure) if !failure.is_lost() => Ok(statement),
                    other => other,
                };
            }
            Err(failure) if failure.why.contains(SqlState::INDETERMINATE_DATATYPE.code()) => (0..values.len())
                .map(|at| if is_number(at) { Type::INT8 } else { Type::TEXT })
                .collect(),
            Err(failure) => return Err(failure),
        };
        self.wait(self.client.prepare_typed(text, &retry))
    }

    fn remember(&mut self, text: &str, statement: Statement) {
        if self.prepared.len() >= 100 {
            self.prepared.clear();
        }
        self.prepared.insert(text.to_owned(), statement);
    }
}

impl Connection for Open {
    fn prepare(&mut self, statement: &str, values: &[Value]) -> Result<(), Failure> {
        if self.prepared.contains_key(statement) {
            return Ok(());
        }
        match self.understood(statement, values) {
            Ok(prepared) => {
                self.remember(statement, prepared);
                Ok(())
            }
            Err(failure) if failure.is_lost() => Err(failure),
            // Perhaps the statement before makes the table; if not, it will be said there.
            Err(_) => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.wait(self.client.batch_execute("BEGIN"))
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.wait(self.client.batch_execute("COMMIT"))
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.wait(self.client.batch_execute("ROLLBACK"))
    }

    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<Rows, Failure> {
        let prepared = match self.prepared.get(statement) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared = self.wait(self.client.prepare(statement))?;
                self.remember(statement, prepared.clone());
                prepared
            }
        };
        let texts: Vec<Text> = values.iter().map(Text::of).collect();
        let values: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect();
        if prepared.params().len() != values.len() {
            return Err(Failure::statement(
                "the server counts other parameters in the statement than we do",
            ));
        }
        match self.wait(self.client.execute(&prepared, &values)) {
            Ok(count) => Ok(Rows {
                changed: Some(count),
                returned: count,
            }),
            Err(failure) => {
                // A table may have been changed since it was prepared.
                self.prepared.remove(statement);
                Err(failure)
            }
        }
    }
}

/// A value in the server's text form, whatever its type.
#[derive(Debug)]
struct Text(Vec<u8>);

impl Text {
    fn of(value: &Value) -> Self {
        Text(match value {
            Value::Text(octets) => octets.clone(),
            Value::Number(number) => number.to_string().into_bytes(),
        })
    }
}

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(of, out)
    }
}

fn failure(error: &Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        // The library's own text says "db error" or "error communicating with the server"; the cause says more.
        let why = match error.source() {
            Some(cause) => format!("the connection failed: {cause}"),
            None => format!("the connection failed: {error}"),
        };
        return Failure::lost(why);
    };
    let kind = match db.code() {
        _ if matches!(db.severity(), "FATAL" | "PANIC") => Kind::Lost,
        code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
            Kind::Conflict
        }
        code if *code == SqlState::UNTRANSLATABLE_CHARACTER || *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE => {
            Kind::Characters
        }
        _ => Kind::Statement,
    };
    let mut why = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        why.push_str(&format!("; {more}"));
    }
    Failure { kind, why }
}
