//! What a phase has written, in whatever tables: counted by Postgres, and found again row by row by the transactions
//! that wrote it, to be dumped and loaded with COPY.

use std::collections::BTreeMap;

use anyhow::Context;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// What a server writes down about its own work, whether or not there was any: how far a stream came, which job ran,
/// which key was used.
const BOOKKEEPING: [&str; 4] = ["mirror.streams", "mirror.beginnings", "public.api_keys", "public.job_slots"];
const TABLES: &str = "
    SELECT format('%I.%I', schemaname, tablename)
    FROM pg_tables
    WHERE schemaname IN ('public', 'mirror') AND tablename <> '_sqlx_migrations'
    ORDER BY 1";
const COUNTS: &str = "
    SELECT format('%I.%I', schemaname, relname), n_tup_ins + n_tup_upd + n_tup_del
    FROM pg_stat_user_tables
    WHERE schemaname IN ('public', 'mirror')";
/// A session hands in its counts at its end.
const OTHERS: &str = "
    SELECT count(*)
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// Rows written so far, by table.
#[derive(Debug)]
pub struct Counts(BTreeMap<String, i64>);

impl Counts {
    /// Waits for all other sessions of the database to end, and reads.
    ///
    /// # Errors
    /// Database errors.
    pub async fn read(conn: &mut PgConnection) -> anyhow::Result<Self> {
        while sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut *conn).await? > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Ok(Self(sqlx::query_as(COUNTS).fetch_all(conn).await?.into_iter().collect()))
    }

    /// What was written since `before`, by table, but for bookkeeping.
    pub fn since(&self, before: &Self) -> Vec<(&str, i64)> {
        let written = |(table, count): (&String, &i64)| count - before.0.get(table).copied().unwrap_or(0);
        let of = |one| (!BOOKKEEPING.contains(&one)).then_some(one);
        let all = self.0.iter().filter_map(|one| Some((of(one.0.as_str())?, written(one))));
        all.filter(|(_, rows)| *rows > 0).collect()
    }
}

/// A transaction; what later ones write comes after it.
///
/// # Errors
/// Database errors.
pub async fn mark(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT pg_current_xact_id()::text::bigint").fetch_one(conn).await
}

/// Rows of one table, as COPY writes them.
#[derive(Debug)]
pub struct Rows {
    table: String,
    columns: String,
    /// How many.
    pub count: u64,
    /// Them.
    pub bytes: Vec<u8>,
}

/// Dumps all rows that were written or changed after `mark` and are still there, but for bookkeeping.
///
/// # Errors
/// Database errors.
pub async fn dump(conn: &mut PgConnection, mark: i64) -> anyhow::Result<Vec<Rows>> {
    let mut dumped = Vec::new();
    for table in sqlx::query_scalar::<_, String>(TABLES).fetch_all(&mut *conn).await? {
        if BOOKKEEPING.contains(&table.as_str()) {
            continue;
        }
        // Transaction numbers do not wrap around in the life of a benchmark's cluster.
        let columns = columns_of(conn, &table).await?;
        let rows = format!("SELECT {columns} FROM {table} WHERE xmin::text::bigint > {mark}");
        let mut bytes = Vec::new();
        let mut stream = conn.copy_out_raw(&format!("COPY ({rows}) TO STDOUT")).await?;
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        drop(stream);
        // The text format writes a line break within a value as two letters.
        let count = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
        if count > 0 {
            dumped.push(Rows { table, columns, count, bytes });
        }
    }
    Ok(dumped)
}

/// The columns of a table that a row has to bring along; others follow from them.
///
/// # Errors
/// Database errors.
pub async fn columns_of(conn: &mut PgConnection, table: &str) -> sqlx::Result<String> {
    let columns = "
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = $1::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped";
    sqlx::query_scalar(columns).bind(table).fetch_one(conn).await
}

/// Makes empty tables of the same shapes, indexes and checks included, in schema `yardstick`.
///
/// # Errors
/// Database errors.
pub async fn make_empty_tables(conn: &mut PgConnection, dumped: &[Rows]) -> anyhow::Result<()> {
    conn.execute("CREATE SCHEMA yardstick").await?;
    for Rows { table, .. } in dumped {
        let copy = copy_of(table);
        conn.execute(AssertSqlSafe(format!("CREATE TABLE {copy} (LIKE {table} INCLUDING ALL)"))).await?;
    }
    Ok(())
}

/// Loads the rows into the empty tables, in one transaction.
///
/// # Errors
/// Database errors.
pub async fn load(conn: &mut PgConnection, dumped: Vec<Rows>) -> anyhow::Result<()> {
    let mut tx = conn.begin().await?;
    for Rows { table, columns, bytes, .. } in dumped {
        let into = format!("COPY {} ({columns}) FROM STDIN", copy_of(&table));
        let mut copy = tx.copy_in_raw(&into).await.context(table)?;
        copy.send(bytes).await?;
        copy.finish().await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Names of tables are ours and need no quotes.
fn copy_of(table: &str) -> String {
    format!("yardstick.{}", table.replace('.', "_"))
}
