//! Logs and metrics. Logs are structured, one line each, with the request id in every line about a request; metrics are
//! Prometheus.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

pub mod request;

use request::WithRequest;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts logging to standard error. Later calls do nothing.
pub fn init_logs(filter: &str, format: LogFormat) {
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    // A second instance in one process (tests) keeps the first subscriber.
    drop(subscriber(filter, format, coloured, std::io::stderr).try_init());
}

fn subscriber<W>(filter: &str, format: LogFormat, coloured: bool, writer: W) -> Dispatch
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(coloured).with_writer(writer);
    match format {
        LogFormat::Text => {
            let logs = logs.compact();
            logs.map_event_format(|lines| WithRequest { format, lines: lines.with_ansi(coloured) }).finish().into()
        }
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true);
            logs.map_event_format(|lines| WithRequest { format, lines }).finish().into()
        }
    }
}

/// Buckets of everything measured in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets of batch sizes.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Buckets of how long holds live, in seconds.
const AGES: [f64; 10] = [1.0, 10.0, 60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 21600.0, 86400.0];

/// Buckets of how long jobs run, in seconds.
const RUNS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

/// The process-wide metrics recorder.
///
/// # Errors
/// If the buckets are malformed.
pub fn init_metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: std::sync::Mutex<Option<PrometheusHandle>> = std::sync::Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = handle.as_ref() {
        return Ok(handle.clone());
    }
    let installed = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)?
        .set_buckets_for_metric(Matcher::Full("holdfast_hold_age_seconds".to_owned()), &AGES)?
        .set_buckets_for_metric(Matcher::Full("holdfast_job_run_seconds".to_owned()), &RUNS)?
        .install_recorder()?;
    describe();
    *handle = Some(installed.clone());
    Ok(installed)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("holdfast_commands_total", "Commands by kind and outcome (refusal code where refused).");
    describe_histogram!("holdfast_lane_batch_size", "Commands combined in one transaction.");
    describe_histogram!("holdfast_lane_wait_seconds", "How long a command waited for its lane.");
    describe_counter!("holdfast_lane_retries_total", "Batches tried again, by why.");
    describe_histogram!("holdfast_hold_age_seconds", "Age of a hold when it was committed, released or expired.");
    describe_counter!("holdfast_import_rows_total", "Rows of imported files, by what became of them.");
    describe_histogram!("holdfast_import_locked_seconds", "How long an import kept balance rows locked.");
    describe_histogram!("holdfast_import_seconds", "How long receiving the rows of a file took, once it was read.");
    describe_gauge!("holdfast_sweeper_lag_seconds", "How far the oldest unswept hold is past its expiry.");
    describe_counter!("holdfast_swept_total", "Holds closed by the sweeper.");
    describe_counter!("holdfast_job_attempts_total", "Attempts at slots of jobs, by job and result.");
    describe_histogram!("holdfast_job_run_seconds", "How long an attempt at a slot took, by job.");
    describe_gauge!("holdfast_job_lag_seconds", "How long the oldest slot that is not done has been due, by job.");
    describe_gauge!(
        "holdfast_projection_age_seconds",
        "Age of the oldest availability answered since the last scrape."
    );
    describe_gauge!("holdfast_unmatched_lines", "Lines of mirrored orders that nobody has said the stock of.");
    describe_gauge!("holdfast_pool_connections", "Connections of the pool, by state.");
    describe_gauge!("holdfast_lanes_connected", "Lanes with a working connection.");
    describe_counter!("holdfast_http_responses_total", "Responses by status class.");
    describe_counter!("holdfast_unauthorized_total", "Requests without a valid API key.");
    describe_counter!("holdfast_webhooks_total", "Webhooks that came, by source and what became of them.");
    describe_counter!("holdfast_webhook_attempts_total", "Attempts at stored webhooks, by source and result.");
    describe_histogram!("holdfast_webhook_wait_seconds", "From a webhook's coming to the end of its fetch, by source.");
    describe_histogram!("holdfast_http_request_seconds", "Time to answer, by route.");
}
