//! A file of lots: how fast it is received over HTTP, all or nothing, against a raw COPY of the very rows that it made
//! into the same tables, guards and indexes included, in one transaction.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use hdrhistogram::Histogram;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use crate::cluster::SKUS;
use crate::cpu::{Meter, Processes};
use crate::parts::Bench;
use crate::report::{Sample, Subject};
use crate::server::Server;
use crate::written::columns_of;

const HEADER: &str = "sku,lot_code,quantity,unit_cost,currency,received_date,expires_date,source,source_ref\n";

/// What a file becomes, table by table, in the order that references want, and which rows.
const TABLES: [(&str, &str); 3] = [
    ("lots", "source = 'erp'"),
    ("lot_transactions", "(pool_id, lot_id) IN (SELECT pool_id, lot_id FROM lots WHERE source = 'erp')"),
    ("stock_entries", "seq > 1"),
];

impl Bench {
    /// A file of so many rows over all SKUs, then COPY of the rows that it made.
    pub async fn import(&mut self) -> anyhow::Result<()> {
        let rows = self.pace.file_rows;
        let (database, server, key) = self.open_for_import().await?;
        self.cluster.settle().await?;
        let meter = Meter::start(Processes { server: server.pid(), postmaster: self.cluster.postmaster() });
        let seconds = send(&server, &key, rows).await?;
        self.report.record(Subject::Import, 1, sample(rows, seconds, meter.stop())?);
        if let Some(locked) = locked_seconds(&server).await? {
            self.report.note(format!("import: balance rows were locked for {locked} s"));
        }
        server.stop().await?;

        let mut conn = self.cluster.connect(&database.name).await?;
        let made = copy_out(&mut conn).await?;
        conn.close().await?;
        self.cluster.drop(database).await?;

        let database = self.cluster.create("copy").await?;
        let mut conn = self.cluster.connect(&database.name).await?;
        self.cluster.settle().await?;
        let meter = Meter::start(Processes { server: None, postmaster: self.cluster.postmaster() });
        let begun = Instant::now();
        copy_in(&mut conn, made).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.report.record(Subject::RawCopy, 1, sample(rows, seconds, meter.stop())?);
        conn.close().await?;
        self.cluster.drop(database).await
    }
}

fn sample(rows: u32, seconds: f64, cpu: Option<crate::cpu::Shares>) -> anyhow::Result<Sample> {
    let mut latency = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
    latency.saturating_record((seconds * 1e6) as u64);
    Ok(Sample::new(f64::from(rows) / seconds, &latency, cpu))
}

/// Sends the file and waits for its account; answers how many seconds that took.
async fn send(server: &Server, key: &str, rows: u32) -> anyhow::Result<f64> {
    let mut file = HEADER.to_owned();
    for n in 0..rows {
        let sku = u64::from(n) % SKUS + 1;
        writeln!(file, "SKU-{sku},B-{n},5,4.20,EUR,2026-01-15,2027-01-15,erp,PO-2026-{n:09}")?;
    }
    drop(rustls::crypto::ring::default_provider().install_default());
    let request = reqwest::Client::new()
        .post(format!("http://{}/lots/import", server.address))
        .bearer_auth(key)
        .header("content-type", "text/csv")
        .body(file);
    let begun = Instant::now();
    let answer: Value = request.send().await?.json().await?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(answer["received"] == rows, "the file was not received: {answer}");
    Ok(seconds)
}

/// For how long carts waited, as the server measured it.
async fn locked_seconds(server: &Server) -> anyhow::Result<Option<String>> {
    let text = reqwest::get(format!("http://{}/metrics", server.address)).await?.text().await?;
    Ok(text.lines().find_map(|line| line.strip_prefix("holdfast_import_locked_seconds_sum ")).map(str::to_owned))
}

/// The statements that load the rows, each with its rows.
async fn copy_out(conn: &mut PgConnection) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut made = Vec::new();
    for (table, which) in TABLES {
        let columns = columns_of(conn, table).await?;
        let mut bytes = Vec::new();
        let mut stream =
            conn.copy_out_raw(&format!("COPY (SELECT {columns} FROM {table} WHERE {which}) TO STDOUT")).await?;
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        made.push((format!("COPY {table} ({columns}) FROM STDIN"), bytes));
    }
    Ok(made)
}

async fn copy_in(conn: &mut PgConnection, made: Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    conn.execute("BEGIN").await?;
    for (into, bytes) in made {
        let mut copy = conn.copy_in_raw(&into).await.with_context(|| into.clone())?;
        copy.send(bytes).await?;
        copy.finish().await?;
    }
    conn.execute("COMMIT").await?;
    Ok(())
}
