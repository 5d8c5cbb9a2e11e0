//! Where the mirror stands, for whoever wonders whether a number is up to date.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;

use super::rows::Source;
use super::settings::Settings;
use super::streams::Stream;
use super::streams::walk::share;

/// Where the mirror stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mirror)]
pub struct MirrorView {
    /// By the service's clock.
    pub as_of: DateTime<Utc>,
    /// Upstreams that are set up: `shopify`, `recharge`.
    pub sources: Vec<String>,
    /// What is copied, stream by stream.
    pub streams: Vec<StreamView>,
    /// Deliveries that told of changes.
    pub webhooks: WebhooksView,
    /// How far the copies of orders are applied to stock.
    pub orders: OrdersView,
    /// Lines that claim nothing until somebody says what they are.
    pub unmatched_lines: i64,
}

/// One stream of copies.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MirrorStream)]
pub struct StreamView {
    /// `shopify` or `recharge`.
    pub source: String,
    /// What is copied.
    pub stream: String,
    /// `waiting` before the first page, `backfill` until everything there was is copied (polls begin after that), then
    /// `incremental`.
    pub phase: String,
    /// Copies, those of what is gone upstream included.
    pub rows: i64,
    /// Entities that pages have shown, again and again for what changed often.
    pub seen: i64,
    /// Copies that were written because they were newer.
    pub written: i64,
    /// Whether a window of changes is being walked through; a crash goes on in it.
    pub walking: bool,
    /// Every change up to here is copied.
    pub watermark: Option<DateTime<Utc>>,
    /// How far behind the clock that is; while everything is copied for the first time, how far back that walk is. Null
    /// before its first page.
    pub lag_seconds: Option<i64>,
    /// The first instant of the window that is being walked through.
    pub window_from: Option<DateTime<Utc>>,
    /// The first instant after it.
    pub window_to: Option<DateTime<Utc>>,
    /// The last change that it has shown.
    pub window_at: Option<DateTime<Utc>>,
    /// The upstream's word for the page that is asked for next; null: the first of the window.
    pub cursor: Option<String>,
    /// Whether that walk fetches everything again, also what is as new as its copy.
    pub refetching: bool,
    /// Entities that the first copy has seen so far.
    pub backfill_seen: i64,
    /// How many there were to see, where the upstream tells.
    pub backfill_expected: Option<i64>,
    /// Which part of the time that the first copy spans is walked through, from 0 to 1.
    pub backfill_share: Option<f64>,
    /// When the first copy was complete.
    pub backfilled_at: Option<DateTime<Utc>>,
    /// When what polls and webhooks may have missed was last looked for.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// When every copy that matters was last compared, however old, and fetched again.
    pub deep_reconciled_at: Option<DateTime<Utc>>,
    /// When a page was last written.
    pub last_success_at: Option<DateTime<Utc>>,
    /// What the token cannot see, and so is not copied.
    pub warning: Option<String>,
    /// What last went wrong.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<DateTime<Utc>>,
}

/// Deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MirrorWebhooks)]
pub struct WebhooksView {
    /// Stored and not yet followed.
    pub pending: i64,
    /// Given up after the last attempt; what they told of is found by the nightly comparison.
    pub failed: i64,
    /// Since when the oldest pending one has waited.
    pub oldest_pending_at: Option<DateTime<Utc>>,
}

/// Orders on their way from copies to stock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MirrorOrders)]
pub struct OrdersView {
    /// Copies that are newer than what was applied.
    pub pending: i64,
    /// Those of them that failed and are tried again.
    pub failing: i64,
    /// Orders that an operator should look at: `GET /mirror/findings`.
    pub with_findings: i64,
}

/// Something about an order that an operator should know.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MirrorFinding)]
pub struct FindingView {
    /// `shopify` or `recharge`.
    pub source: String,
    /// The upstream's id of the order, as text: ids exceed what a JSON reader may keep exact.
    #[serde(serialize_with = "crate::http::text_id::text")]
    #[schema(value_type = String)]
    pub order_id: i64,
    /// What was found when it was last applied: code and detail.
    #[schema(value_type = Vec<Object>)]
    pub findings: serde_json::Value,
    /// Why its newest state could not be applied; it is tried again.
    pub last_error: Option<String>,
    /// How often that was tried.
    pub attempts: i32,
    /// When it was last applied.
    pub applied_at: Option<DateTime<Utc>>,
}

/// The order that a page ended with.
#[derive(Debug, Serialize, Deserialize)]
pub struct After(pub String, pub i64);

/// Where the mirror stands.
///
/// # Errors
/// Database errors.
pub async fn find(db: &PgPool, settings: &Settings, now: DateTime<Utc>) -> sqlx::Result<MirrorView> {
    let mut streams = find_streams(db, now).await?;
    let set_up = Stream::set_up(settings);
    streams.retain(|view| {
        let is = |stream: &&Stream| stream.source().as_str() == view.source && stream.name() == view.stream;
        view.phase != "waiting" || set_up.iter().any(|stream| is(&stream))
    });
    let counts = sqlx::query!(
        r#"
        SELECT
            (SELECT count(*) FROM mirror.webhook_deliveries WHERE status = 'pending') AS "pending!",
            (SELECT count(*) FROM mirror.webhook_deliveries WHERE status = 'failed') AS "failed!",
            (SELECT min(received_at) FROM mirror.webhook_deliveries WHERE status = 'pending') AS oldest_pending_at,
            (SELECT count(*) FROM mirror.order_progress WHERE applied_revision < revision) AS "pending_orders!",
            (
                SELECT count(*)
                FROM mirror.order_progress
                WHERE applied_revision < revision AND last_error IS NOT NULL
            ) AS "failing_orders!",
            (SELECT count(*) FROM mirror.order_progress WHERE findings IS NOT NULL) AS "with_findings!",
            (SELECT count(*) FROM unmatched_lines WHERE requires_shipping) AS "unmatched!"
        "#
    )
    .fetch_one(db)
    .await?;
    let mut sources: Vec<String> = set_up.iter().map(|stream| stream.source().to_string()).collect();
    sources.dedup();
    Ok(MirrorView {
        as_of: now,
        sources,
        streams,
        webhooks: WebhooksView {
            pending: counts.pending,
            failed: counts.failed,
            oldest_pending_at: counts.oldest_pending_at,
        },
        orders: OrdersView {
            pending: counts.pending_orders,
            failing: counts.failing_orders,
            with_findings: counts.with_findings,
        },
        unmatched_lines: counts.unmatched,
    })
}

/// Every stream there is, begun or not.
async fn find_streams(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Vec<StreamView>> {
    let rows = sqlx::query!(
        r#"
        SELECT
            k.source AS "source!", k.stream AS "stream!", k.rows AS "rows!", s.phase AS "phase?", s.seen AS "seen?",
            s.written AS "written?", s.watermark, s.window_from, s.window_to, s.window_at, s.cursor,
            s.refetching AS "refetching?", s.backfill_seen AS "backfill_seen?", s.backfill_expected, s.backfill_first_at,
            s.backfill_to, s.backfilled_at, s.reconciled_at, s.deep_reconciled_at, s.last_success_at, s.last_error,
            s.last_error_at, s.warning
        FROM (
            SELECT 'shopify' AS source, 'locations' AS stream, (SELECT count(*) FROM mirror.locations) AS rows, 1 AS n
            UNION ALL SELECT 'shopify', 'products', (SELECT count(*) FROM mirror.products), 2
            UNION ALL SELECT 'shopify', 'orders', (SELECT count(*) FROM mirror.orders), 3
            UNION ALL SELECT 'recharge', 'customers', (SELECT count(*) FROM mirror.recharge_customers), 4
            UNION ALL SELECT 'recharge', 'subscriptions', (SELECT count(*) FROM mirror.recharge_subscriptions), 5
            UNION ALL SELECT 'recharge', 'charges', (SELECT count(*) FROM mirror.recharge_charges), 6
            UNION ALL SELECT 'recharge', 'orders', (SELECT count(*) FROM mirror.recharge_orders), 7
        ) AS k
        LEFT JOIN mirror.streams AS s ON s.source = k.source AND s.stream = k.stream
        ORDER BY k.n
        "#
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| StreamView {
            source: row.source,
            stream: row.stream,
            phase: row.phase.unwrap_or_else(|| "waiting".to_owned()),
            rows: row.rows,
            seen: row.seen.unwrap_or(0),
            written: row.written.unwrap_or(0),
            walking: row.window_from.is_some(),
            watermark: row.watermark,
            lag_seconds: row.watermark.or(row.window_at).map(|at| (now - at).num_seconds().max(0)),
            window_from: row.window_from,
            window_to: row.window_to,
            window_at: row.window_at,
            cursor: row.cursor,
            refetching: row.refetching.unwrap_or(false),
            backfill_seen: row.backfill_seen.unwrap_or(0),
            backfill_expected: row.backfill_expected,
            backfill_share: match (row.backfilled_at, row.backfill_to) {
                (Some(_), _) => Some(1.0),
                (None, to) => to.and_then(|to| share(row.backfill_first_at, row.window_at, to)),
            },
            backfilled_at: row.backfilled_at,
            reconciled_at: row.reconciled_at,
            deep_reconciled_at: row.deep_reconciled_at,
            last_success_at: row.last_success_at,
            warning: row.warning,
            last_error: row.last_error,
            last_error_at: row.last_error_at,
        })
        .collect())
}

/// Orders that an operator should look at, by source and id.
///
/// # Errors
/// Database errors.
pub async fn find_findings(
    db: &PgPool,
    source: Option<Source>,
    after: Option<&After>,
    most: i64,
) -> sqlx::Result<Vec<FindingView>> {
    sqlx::query_as!(
        FindingView,
        r#"
        SELECT
            source, order_id AS "order_id!", COALESCE(findings, '[]') AS "findings!", last_error, attempts, applied_at
        FROM mirror.order_progress
        WHERE (findings IS NOT NULL OR last_error IS NOT NULL)
            AND ($1::text IS NULL OR source = $1)
            AND ($2::text IS NULL OR (source, order_id) > ($2, $3))
        ORDER BY source, order_id
        LIMIT $4
        "#,
        source.map(Source::as_str),
        after.map(|after| &*after.0),
        after.map(|after| after.1),
        most,
    )
    .fetch_all(db)
    .await
}
