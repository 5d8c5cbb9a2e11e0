//! Lots: against the sum of their transactions, and day by day against what lines took from them.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence::finding;
use super::{Correction, Finding, Kind, Subject};
use crate::ids::PoolId;

/// Lots of a page that are not what their transactions sum up to.
pub(super) async fn find_drifted(
    conn: &mut PgConnection,
    pool: PoolId,
    from: Uuid,
    to: Uuid,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT l.lot_id
        FROM lots AS l
        LEFT JOIN (
            SELECT lot_id, sum(quantity_delta) AS units
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3
            GROUP BY lot_id
        ) AS t ON t.lot_id = l.lot_id
        WHERE l.pool_id = $1 AND l.lot_id BETWEEN $2 AND $3 AND t.units IS DISTINCT FROM l.remaining_quantity
        ORDER BY l.lot_id
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await
}

/// Days of the lots of a page on which a lot was depleted twice, or otherwise than lines say.
pub(super) async fn find_days(
    conn: &mut PgConnection,
    pool: PoolId,
    from: Uuid,
    to: Uuid,
) -> sqlx::Result<Vec<(Uuid, NaiveDate)>> {
    let rows = sqlx::query!(
        r#"
        SELECT lot_id AS "lot_id!", day AS "day!"
        FROM (
            SELECT
                lot_id,
                to_date(source_ref_id, 'YYYYMMDD') AS day,
                -sum(quantity_delta) AS units,
                count(*) FILTER (WHERE row_source = 'snapshot_depletion') AS times,
                bool_or(row_source = 'correction') AS corrected,
                bool_or(row_source = 'correction' AND quantity_delta = 0) AS put_right
            FROM lot_transactions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3 AND source_ref_id ~ '^[0-9]{8}$'
                AND (row_source = 'snapshot_depletion' OR row_source = 'correction' AND shipment_id IS NULL)
            GROUP BY lot_id, source_ref_id
        ) AS t
        FULL JOIN (
            SELECT lot_id, cost_date AS day, sum(quantity) AS units
            FROM depletions
            WHERE pool_id = $1 AND lot_id BETWEEN $2 AND $3 AND kind = 'snapshot'
            GROUP BY lot_id, cost_date
        ) AS d USING (lot_id, day)
        WHERE (coalesce(t.units, 0) <> coalesce(d.units, 0) AND t.put_right IS NOT TRUE)
            OR (t.times > 1 AND NOT t.corrected)
        ORDER BY lot_id, day
        "#,
        pool.0,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.lot_id, row.day)).collect())
}

/// A lot that is not what its transactions sum up to: they are append-only, the row is not.
pub(super) async fn look_drift(conn: &mut PgConnection, pool: PoolId, lot: Uuid) -> sqlx::Result<Option<Finding>> {
    let seen = sqlx::query!(
        r#"
        SELECT
            l.remaining_quantity, l.received_quantity, l.quarantined_quantity, to_jsonb(l) AS "row!",
            (SELECT sum(quantity_delta) FROM lot_transactions WHERE pool_id = $1 AND lot_id = $2)::bigint AS units,
            t.remaining_after AS "remaining_after?",
            to_jsonb(t) AS newest
        FROM lots AS l
        LEFT JOIN LATERAL (
            SELECT * FROM lot_transactions WHERE pool_id = $1 AND lot_id = $2 ORDER BY seq DESC LIMIT 1
        ) AS t ON true
        WHERE l.pool_id = $1 AND l.lot_id = $2
        "#,
        pool.0,
        lot,
    )
    .fetch_optional(conn)
    .await?;
    let Some(seen) = seen.filter(|seen| seen.units != Some(seen.remaining_quantity)) else { return Ok(None) };
    let correction = match (seen.units, seen.remaining_after) {
        (None, _) | (_, None) => Correction::manual("The lot has no transactions. Restore them from a backup."),
        (Some(units), Some(newest)) if units != newest => Correction::manual(format!(
            "The transactions sum up to {units}, the newest says {newest}: they do not add up themselves. Restore them \
             from a backup, or count the lot."
        )),
        (Some(units), _) if units < seen.quarantined_quantity || units > seen.received_quantity => {
            Correction::manual(format!(
                "The transactions sum up to {units}, of {} received and {} not for sale. Count the lot.",
                seen.received_quantity, seen.quarantined_quantity
            ))
        }
        _ => Correction::CorrectLot { quantity: 0, day: None },
    };
    let units = seen.units.unwrap_or(0);
    let detail = format!("{} remain of it by the row, {units} by its transactions.", seen.remaining_quantity);
    let rows = [Some(seen.row), seen.newest].into_iter().flatten().collect();
    Ok(Some(finding(Kind::LotDrift, pool, Subject::Lot { lot_id: lot }, rows, detail, correction)))
}

/// What a lot gave on a day, and over all days.
struct Day {
    /// Units that transactions took on the day, beyond what lines took.
    excess: i64,
    /// Units that transactions took over all days, beyond what lines took.
    excess_ever: i64,
    /// Units that could be put back.
    room: i64,
}

/// Gives back what a lot gave beyond its lines; notes what was put right elsewhere. Pure.
fn decide(day: &Day) -> Correction {
    match day.excess {
        // Every line has what it took, on another day or by its own correction: what is left is a note for the reader.
        _ if day.excess_ever == 0 => Correction::CorrectLot { quantity: 0, day: None },
        excess if excess > 0 && excess <= day.excess_ever && excess <= day.room => {
            Correction::CorrectLot { quantity: excess, day: None }
        }
        excess if excess > day.room => Correction::manual(format!(
            "{excess} units would go back, more than were received and are missing ({}). Count the lot.",
            day.room
        )),
        excess if excess > 0 => Correction::manual(
            "The lot gave more that day than its lines took, but less over all days. Repair its other days first.",
        ),
        _ => Correction::manual(
            "Lines took more from the lot than it gave. Repair those lines first, then diagnose again; if nothing is \
             found about them, transactions are missing: restore them from a backup.",
        ),
    }
}

/// A day on which a lot was depleted twice, or otherwise than lines say.
pub(super) async fn look_day(
    conn: &mut PgConnection,
    pool: PoolId,
    lot: Uuid,
    date: NaiveDate,
) -> sqlx::Result<Option<Finding>> {
    if !find_days(conn, pool, lot, lot).await?.contains(&(lot, date)) {
        return Ok(None);
    }
    let day = date.format("%Y%m%d").to_string();
    let seen = sqlx::query!(
        r#"
        SELECT
            t.times AS "times!", t.units AS "units!", t.rows, d.units AS "depleted!", d.rows AS depletions,
            (
                SELECT coalesce(-sum(quantity_delta), 0)
                FROM lot_transactions
                WHERE pool_id = $1 AND lot_id = $2
                    AND (
                        row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
                        OR row_source = 'correction' AND (shipment_id IS NOT NULL OR source_ref_id IS NOT NULL)
                    )
            )::bigint AS "units_ever!",
            (
                SELECT coalesce(sum(quantity), 0) FROM depletions WHERE pool_id = $1 AND lot_id = $2
            )::bigint AS "depleted_ever!",
            (
                SELECT received_quantity - remaining_quantity FROM lots WHERE pool_id = $1 AND lot_id = $2
            ) AS room
        FROM (
            SELECT
                count(*) FILTER (WHERE row_source = 'snapshot_depletion') AS times,
                coalesce(-sum(quantity_delta), 0)::bigint AS units,
                jsonb_agg(to_jsonb(t) ORDER BY seq) AS rows
            FROM lot_transactions AS t
            WHERE pool_id = $1 AND lot_id = $2 AND source_ref_id = $4
                AND (row_source = 'snapshot_depletion' OR row_source = 'correction' AND shipment_id IS NULL)
        ) AS t
        CROSS JOIN (
            SELECT
                coalesce(sum(quantity), 0)::bigint AS units,
                jsonb_agg(to_jsonb(d) ORDER BY shipment_id, line_ref, n) AS rows
            FROM depletions AS d
            WHERE pool_id = $1 AND lot_id = $2 AND cost_date = $3 AND kind = 'snapshot'
        ) AS d
        "#,
        pool.0,
        lot,
        date,
        day,
    )
    .fetch_one(conn)
    .await?;
    let excess_ever = seen.units_ever - seen.depleted_ever;
    let correction = match (seen.room, seen.rows.is_some()) {
        (None, _) => Correction::manual("There is no such lot."),
        (Some(room), _) => named(decide(&Day { excess: seen.units - seen.depleted, excess_ever, room }), day),
    };
    let detail =
        format!("Depleted {} times that day: transactions took {}, lines {}.", seen.times, seen.units, seen.depleted);
    let rows = [seen.rows, seen.depletions, Some(serde_json::json!({"beyond_lines_ever": excess_ever}))];
    let rows = rows.into_iter().flatten().collect();
    Ok(Some(finding(Kind::LotDay, pool, Subject::LotDay { lot_id: lot, date }, rows, detail, correction)))
}

fn named(correction: Correction, day: String) -> Correction {
    match correction {
        Correction::CorrectLot { quantity, .. } => Correction::CorrectLot { quantity, day: Some(day) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_gets_back_what_it_gave_beyond_its_lines_and_no_more() {
        let back = |quantity| Correction::CorrectLot { quantity, day: None };
        assert_eq!(decide(&Day { excess: 3, excess_ever: 3, room: 5 }), back(3));
        assert_eq!(decide(&Day { excess: 0, excess_ever: 0, room: 5 }), back(0), "put right by its lines");
        assert_eq!(decide(&Day { excess: -3, excess_ever: 0, room: 5 }), back(0), "lines were put right");
        for wrong in [(3, 2, 5), (3, 3, 2), (-3, -3, 5), (0, 1, 5)] {
            let (excess, excess_ever, room) = wrong;
            assert!(matches!(decide(&Day { excess, excess_ever, room }), Correction::Manual { .. }), "{wrong:?}");
        }
    }
}
