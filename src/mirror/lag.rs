//! How far behind the copies of orders are: kept in memory, since answers that depend on them say so.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::app::App;

/// How often it is looked at.
pub const LOOKED_AT_EVERY: Duration = Duration::from_secs(15);

/// Before any look.
const UNKNOWN: i64 = i64::MIN;

/// Up to when every change of an order is copied, in seconds since the epoch.
#[derive(Debug)]
pub struct Watermark(AtomicI64);

impl Default for Watermark {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl Watermark {
    /// How many seconds behind `now` that is; none while nothing is copied, or there is nothing to copy from.
    #[must_use]
    pub fn lag_seconds(&self, now: DateTime<Utc>) -> Option<i64> {
        let at = self.0.load(Ordering::Relaxed);
        (at != UNKNOWN).then(|| (now.timestamp() - at).max(0))
    }
}

/// Looks at the streams: the watermark of orders, and the gauges of lag and of what is pending. Every instance does this
/// by itself, so that none shows an old one.
///
/// # Errors
/// Database errors.
pub async fn look(app: &App) -> sqlx::Result<()> {
    let now = app.clock.local_now();
    let streams =
        sqlx::query!("SELECT source, stream, watermark, window_at FROM mirror.streams").fetch_all(&app.db).await?;
    let mut oldest: Option<DateTime<Utc>> = None;
    for row in streams {
        // A first copy is as far behind as the last change that it was shown.
        let Some(reached) = row.watermark.or(row.window_at) else { continue };
        let lag = f64::from(i32::try_from((now - reached).num_seconds().max(0)).unwrap_or(i32::MAX));
        metrics::gauge!("holdfast_mirror_lag_seconds", "source" => row.source, "stream" => row.stream.clone()).set(lag);
        if let ("orders", Some(watermark)) = (&*row.stream, row.watermark) {
            oldest = Some(oldest.map_or(watermark, |oldest| oldest.min(watermark)));
        }
    }
    if let Some(oldest) = oldest {
        app.mirror.watermark.0.store(oldest.timestamp(), Ordering::Relaxed);
    }
    let pending = sqlx::query_scalar!(
        r#"SELECT count(*) AS "pending!" FROM mirror.order_progress WHERE applied_revision < revision"#
    )
    .fetch_one(&app.db)
    .await?;
    metrics::gauge!("holdfast_mirror_pending_orders").set(f64::from(u32::try_from(pending).unwrap_or(u32::MAX)));
    Ok(())
}
