//! Runs the yardstick's script without pgbench: as much of its language as that file uses. `\set` draws a number,
//! `\gset` keeps the columns of a row, `:name` becomes a typed parameter of a prepared statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Row, SqlSafeStr, SqlStr, TypeInfo};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cluster::{Cluster, Database};
use crate::wire::Random;
use crate::yardstick::{Outcome, Run, THREADS};

#[derive(Debug, Clone, Copy)]
enum Value {
    Number(i64),
    Uuid(Uuid),
}

type Values = HashMap<String, Value>;

#[derive(Debug)]
enum Step {
    /// `\set name random(1, :limit)`.
    Draw { name: String, limit: String },
    /// A statement, the names of its parameters, and whether its row is kept.
    Query { sql: SqlStr, parameters: Vec<String>, keeps_row: bool },
}

/// Runs the script in a closed loop on each of the run's connections.
///
/// # Errors
/// The script uses what this reader does not know, or a statement fails.
pub async fn run(cluster: &Cluster, database: &Database, script: &str, run: Run) -> anyhow::Result<Outcome> {
    let steps: Arc<Vec<Step>> = Arc::new(parse(script)?);
    let mut connections = Vec::new();
    for _ in 0..run.clients {
        connections.push(cluster.connect(&database.name).await?);
    }
    let clients = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let begin = Instant::now();
            for conn in connections {
                tasks.spawn(client(conn, Arc::clone(&steps), run.skus, begin + run.length));
            }
            let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
            while let Some(ended) = tasks.join_next().await {
                for taken in ended?? {
                    latency.saturating_record(u64::try_from(taken.as_micros())?);
                }
            }
            let per_second = latency.len() as f64 / begin.elapsed().as_secs_f64();
            Ok(Outcome { transactions: latency.len(), per_second, latency })
        })
    };
    tokio::task::spawn_blocking(clients).await?
}

async fn client(
    mut conn: PgConnection,
    steps: Arc<Vec<Step>>,
    skus: u64,
    end: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut random = Random::new();
    let mut values = Values::from([("skus".to_owned(), Value::Number(i64::try_from(skus)?))]);
    let mut taken = Vec::new();
    loop {
        let begin = Instant::now();
        if begin >= end {
            return Ok(taken);
        }
        for step in steps.iter() {
            perform(&mut conn, step, &mut values, &mut random).await?;
        }
        taken.push(begin.elapsed());
    }
}

async fn perform(conn: &mut PgConnection, step: &Step, values: &mut Values, random: &mut Random) -> anyhow::Result<()> {
    match step {
        Step::Draw { name, limit } => {
            let Some(Value::Number(limit)) = values.get(limit) else { bail!("{limit} is no number") };
            let drawn = 1 + random.below(u64::try_from(*limit)?);
            values.insert(name.clone(), Value::Number(i64::try_from(drawn)?));
        }
        Step::Query { sql, parameters, keeps_row } => {
            let mut query = sqlx::query(sql.clone());
            for name in parameters {
                query = match values.get(name).with_context(|| format!("{name} is not set"))? {
                    Value::Number(number) => query.bind(*number),
                    Value::Uuid(uuid) => query.bind(*uuid),
                };
            }
            if *keeps_row {
                keep(&conn.fetch_one(query).await?, values)?;
            } else {
                conn.execute(query).await?;
            }
        }
    }
    Ok(())
}

fn keep(row: &PgRow, values: &mut Values) -> anyhow::Result<()> {
    for column in row.columns() {
        let value = match column.type_info().name() {
            "INT8" => Value::Number(row.try_get(column.ordinal())?),
            "UUID" => Value::Uuid(row.try_get(column.ordinal())?),
            other => bail!("a column of type {other}"),
        };
        values.insert(column.name().to_owned(), value);
    }
    Ok(())
}

fn parse(script: &str) -> anyhow::Result<Vec<Step>> {
    script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")).map(parse_line).collect()
}

fn parse_line(line: &str) -> anyhow::Result<Step> {
    if let Some(set) = line.strip_prefix(r"\set ") {
        let (name, expression) = set.split_once(' ').context("\\set without a value")?;
        let limit = expression.trim().strip_prefix("random(1, :").and_then(|rest| rest.strip_suffix(')'));
        let limit = limit.with_context(|| format!("an expression that only pgbench knows: {expression}"))?;
        return Ok(Step::Draw { name: name.to_owned(), limit: limit.to_owned() });
    }
    let (statement, keeps_row) = match line.strip_suffix(r"\gset") {
        Some(statement) => (statement, true),
        None => (line.trim_end_matches(';'), false),
    };
    ensure!(!statement.contains('\\'), "a command that only pgbench knows: {line}");
    let (mut sql, mut parameters) = (String::new(), Vec::new());
    let mut rest = statement;
    while let Some(colon) = rest.find(':') {
        let (before, after) = (&rest[..colon], &rest[colon + 1..]);
        sql += before;
        if let Some(cast) = after.strip_prefix(':') {
            sql += "::";
            rest = cast;
            continue;
        }
        let length = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
        parameters.push(after[..length].to_owned());
        sql.push('$');
        sql += &parameters.len().to_string();
        rest = &after[length..];
    }
    sql += rest;
    // The text is that of our own file.
    Ok(Step::Query { sql: AssertSqlSafe(sql).into_sql_str(), parameters, keeps_row })
}
