//! What lots moved on later days than one that is to be closed: the close of that day has to leave it alone.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ids::PoolId;

/// Units, net, by lot and by the day they are booked on.
pub type Later = HashMap<Uuid, Vec<(NaiveDate, i64)>>;

/// Units that came to these lots and left them, net, by the day that they are booked on, of days after this one.
///
/// # Errors
/// Database errors.
pub async fn find_later(conn: &mut PgConnection, pool: PoolId, after: NaiveDate, lots: &[Uuid]) -> sqlx::Result<Later> {
    let rows = sqlx::query!(
        r#"
        SELECT lot_id, business_date AS "business_date!", sum(quantity_delta)::bigint AS "units!"
        FROM lot_transactions
        WHERE pool_id = $1 AND business_date > $2 AND lot_id = ANY($3) AND quantity_delta <> 0
        GROUP BY lot_id, business_date
        "#,
        pool.0,
        after,
        lots,
    )
    .fetch_all(conn)
    .await?;
    let mut later = Later::new();
    for row in rows {
        later.entry(row.lot_id).or_default().push((row.business_date, row.units));
    }
    Ok(later)
}
