//! Grants. Where a role named `holdfast_app` exists, it gets what the running service needs and nothing more: the
//! ledger can be inserted into, never changed. The embedded server is set up so; for a server of your own, create the
//! role before the first start and let the service connect as it (see `docs/deploy.md`).

use sqlx::{Executor, PgConnection};

/// The role that the service runs as, where roles are split.
pub const APP_ROLE: &str = "holdfast_app";

const GRANTS: &str = include_str!("roles.sql");

/// Applies the grants if the role exists.
///
/// # Errors
/// Database errors.
pub async fn grant(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(GRANTS)).await?;
    Ok(())
}

/// Makes the role where it is missing; for the embedded server.
///
/// # Errors
/// Database errors.
pub async fn ensure_app_role(options: &sqlx::postgres::PgConnectOptions) -> sqlx::Result<()> {
    use sqlx::ConnectOptions;
    let mut conn = options.connect().await?;
    match conn.execute(sqlx::raw_sql("CREATE ROLE holdfast_app LOGIN")).await {
        Ok(_) => Ok(()),
        // It exists, or another process has just made it.
        Err(error)
            if matches!(
                error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
                Some("42710" | "23505")
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
