//! What a failed batch means for what to do next. Told apart by SQLSTATE; a constraint's name never decides.

/// Why a batch did not commit, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Another transaction was in the way; the same batch may be tried again.
    #[error("contention: {0}")]
    Contention(sqlx::Error),
    /// Rows were not as they were read; the same batch may be tried again.
    #[error("raced on {0}")]
    Raced(&'static str),
    /// A twin under the same key is still at work elsewhere.
    #[error("an idempotency key is in flight elsewhere: {0}")]
    KeyInFlight(sqlx::Error),
    /// The catalogue has moved on since the batch was resolved.
    #[error("the catalogue in memory is behind")]
    CatalogueBehind,
    /// The connection is gone; whether the batch was committed is unknown until its keys are looked up.
    #[error("connection lost: {0}")]
    Connection(sqlx::Error),
    /// Something unexpected: one of the commands is poison, or a guard has fired.
    #[error("unexpected: {0}")]
    Unexpected(sqlx::Error),
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolClosed
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed => Self::Connection(error),
                other => Self::Unexpected(other),
            };
        };
        match database.code().as_deref() {
            // serialization failure, deadlock, lock timeout, and a unique row that another instance was faster with
            Some("40001" | "40P01" | "55P03" | "23505") => Self::Contention(error),
            // connection exceptions, shutdown, crash, starting up, idle timeouts
            Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "25P03" => {
                Self::Connection(error)
            }
            // this database lets nobody in, or not us: of the server, not of the command
            Some(code) if code.starts_with("28") || code == "3D000" || code == "55000" => Self::Connection(error),
            // disk full, out of memory, too many connections: of the server, not of the command
            Some(code) if code.starts_with("53") => Self::Connection(error),
            // statement_timeout
            Some("57014") => Self::Contention(error),
            _ => Self::Unexpected(error),
        }
    }
}

impl BatchError {
    /// For the statement that claims keys: waiting for another transaction there is waiting for a twin.
    pub(super) fn from_key_claim(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Contention(error)
                if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("55P03") =>
            {
                Self::KeyInFlight(error)
            }
            other => other,
        }
    }
}
