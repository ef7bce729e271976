//! What the three databases have in common: a connection that runs statements with bound values.

use super::value::Value;

/// How to get at a database.
pub trait Driver: Send + Sync {
    /// Opens a connection within the configured time. The error has no password in it.
    fn connect(&self) -> Result<Box<dyn Connection>, String>;

    /// Where it is, for messages: `PostgreSQL at 192.0.2.1:5432`.
    fn place(&self) -> &str;
}

/// An open connection, used by one at a time.
pub trait Connection: Send {
    /// Outside a transaction, before statements are executed in one: lets the server find out their types.
    /// Fails only where the connection is lost.
    fn prepare(&mut self, _statement: &str, _values: &[Value]) -> Result<(), Failure> {
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Failure>;
    fn commit(&mut self) -> Result<(), Failure>;
    fn rollback(&mut self) -> Result<(), Failure>;

    /// Runs one statement, written with the driver's own placeholders, with a value for each.
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<Rows, Failure>;
}

/// What a statement did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Inserted, changed, deleted. [`None`]: a statement that does none of this.
    pub changed: Option<u64>,
    pub returned: u64,
}

/// Why a statement was not carried out, or perhaps was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The database refuses it; the connection is good.
    Statement,
    /// It cannot hold a character of the values.
    Characters,
    /// Two transactions got in each other's way, and the same again will do.
    Conflict,
    /// The connection is gone, and nobody knows what became of the statement.
    Lost,
}

impl Failure {
    pub fn statement(why: impl Into<String>) -> Self {
        Failure {
            kind: Kind::Statement,
            why: why.into(),
        }
    }

    pub fn lost(why: impl Into<String>) -> Self {
        Failure {
            kind: Kind::Lost,
            why: why.into(),
        }
    }

    pub fn is_lost(&self) -> bool {
        self.kind == Kind::Lost
    }
}
