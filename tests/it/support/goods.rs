//! Lots and shipments, planted as SQL with ids and times that a test chooses: two databases come out the same.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::db::TestDb;

/// The default pool.
pub const POOL: i64 = 1;

/// Plants as a superuser.
pub struct Goods {
    pub owner: PgPool,
    pub pool: i64,
}

/// A lot to plant. Its id is made of its number.
#[derive(Debug, Clone, Copy)]
pub struct Lot<'a> {
    pub number: u32,
    pub sku: i64,
    pub received: &'a str,
    pub quantity: i64,
    pub cost: &'a str,
    pub expires: Option<&'a str>,
}

/// A line of a shipment of its own. The shipment's id is made of its number.
#[derive(Debug, Clone, Copy)]
pub struct Shipped<'a> {
    pub number: u32,
    pub sku: i64,
    pub quantity: i64,
    /// RFC 3339.
    pub at: &'a str,
    /// The local day.
    pub date: &'a str,
    /// The lot that the warehouse names, by number.
    pub lot: Option<u32>,
}

/// The id of the planted lot with this number.
pub fn lot_id(number: u32) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// The id of the planted shipment with this number.
pub fn shipment_id(number: u32) -> Uuid {
    Uuid::from_u128(0x0191_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

impl Goods {
    /// In the default pool of a database.
    pub fn of(db: &TestDb) -> Self {
        Self { owner: db.owner(), pool: POOL }
    }

    /// The number of a SKU, which is made if it is not there: SKUs planted in the same order have the same numbers.
    pub async fn sku(&self, number: i64, class: &str) -> i64 {
        let sql = "INSERT INTO skus (
                sku_id, code, name, class_id, tracked, tracked_since_at, status, revision, created_at, updated_at
            )
            SELECT $1, 'SKU-' || $1, 'SKU ' || $1, class_id, true, '2025-01-01', 'active',
                (SELECT revision + 1 FROM catalogue_revision), '2025-01-01', '2025-01-01'
            FROM classes WHERE code = $2";
        sqlx::query(sql).bind(number).bind(class).execute(&self.owner).await.unwrap();
        sqlx::query("UPDATE catalogue_revision SET revision = revision + 1").execute(&self.owner).await.unwrap();
        number
    }

    /// Makes the pool as if it had been there since `created_at`, in `zone`.
    pub async fn pool_since(&self, created_at: &str, zone: &str) {
        let sql = "UPDATE pools SET created_at = $2, time_zone = $3 WHERE pool_id = $1";
        sqlx::query(sql).bind(self.pool).bind(time(created_at)).bind(zone).execute(&self.owner).await.unwrap();
    }

    /// Puts a lot on the shelf, at noon of its day.
    pub async fn lot(&self, lot: Lot<'_>) {
        let Lot { number, sku, received, quantity, cost, expires } = lot;
        let at = date(received).and_hms_opt(12, 0, 0).unwrap().and_utc();
        self.entry(sku, "receive", quantity, Some(lot_id(number)), None, at).await;
        let sql = "INSERT INTO lots (
                pool_id, lot_id, sku_id, lot_code, origin, status, received_quantity, remaining_quantity, unit_cost,
                currency, received_date, expires_date, source, source_ref, client_id, recorded_at,
                quarantined_quantity, cost_provisional
            )
            VALUES ($1, $2, $3, 'L-' || $4, 'receipt', 'available', $5, $5, $6::numeric, 'EUR', $7, $8, 'test', NULL,
                0, $9, 0, false)";
        sqlx::query(sql)
            .bind(self.pool)
            .bind(lot_id(number))
            .bind(sku)
            .bind(i64::from(number))
            .bind(quantity)
            .bind(cost)
            .bind(date(received))
            .bind(expires.map(date))
            .bind(at)
            .execute(&self.owner)
            .await
            .unwrap();
        let sql = "INSERT INTO lot_transactions (
                pool_id, lot_id, seq, row_source, quantity_delta, remaining_after, unit_cost, client_id, recorded_at,
                business_date, value_delta, quarantined_delta
            )
            VALUES ($1, $2, 1, 'receipt', $3, $3, $4::numeric, 0, $5, $6, $3 * $4::numeric, 0)";
        sqlx::query(sql)
            .bind(self.pool)
            .bind(lot_id(number))
            .bind(quantity)
            .bind(cost)
            .bind(at)
            .bind(date(received))
            .execute(&self.owner)
            .await
            .unwrap();
    }

    /// Ships a line: the shelf covers what it can, and the rest is a discrepancy.
    pub async fn ship(&self, shipped: Shipped<'_>) {
        let Shipped { number, sku, quantity, at, date: day, lot } = shipped;
        let there: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(on_hand), 0)::bigint FROM stock WHERE pool_id = $1 AND sku_id = $2",
        )
        .bind(self.pool)
        .bind(sku)
        .fetch_one(&self.owner)
        .await
        .unwrap();
        let covered = there.min(quantity);
        let id = shipment_id(number);
        let sql = "INSERT INTO shipments (pool_id, shipment_id, source, source_ref, client_id, recorded_at)
            VALUES ($1, $2, 'test', $3, 0, $4)";
        sqlx::query(sql)
            .bind(self.pool)
            .bind(id)
            .bind(number.to_string())
            .bind(time(at))
            .execute(&self.owner)
            .await
            .unwrap();
        let sql = "INSERT INTO shipment_lines (
                pool_id, shipment_id, line_ref, sku_id, tracked, quantity, covered_quantity, fulfilled_quantity,
                depleted_quantity, returned_quantity, lot_id, shipped_at, shipped_date, recorded_at
            )
            VALUES ($1, $2, '1', $3, true, $4, $5, 0, 0, 0, $6, $7, $8, $7)";
        sqlx::query(sql)
            .bind(self.pool)
            .bind(id)
            .bind(sku)
            .bind(quantity)
            .bind(covered)
            .bind(lot.map(lot_id))
            .bind(time(at))
            .bind(date(day))
            .execute(&self.owner)
            .await
            .unwrap();
        self.entry(sku, "ship", -covered, None, Some(id), time(at)).await;
        if covered < quantity {
            let sql = "INSERT INTO discrepancies (
                    pool_id, discrepancy_id, sku_id, kind, shipment_id, line_ref, quantity, settled_quantity,
                    voided_quantity, opened_at
                )
                VALUES ($1, $2, $3, 'shipped_beyond_on_hand', $2, '1', $4, 0, 0, $5)";
            sqlx::query(sql)
                .bind(self.pool)
                .bind(id)
                .bind(sku)
                .bind(quantity - covered)
                .bind(time(at))
                .execute(&self.owner)
                .await
                .unwrap();
        }
    }

    /// What a receipt does for a line that the shelf could not cover.
    pub async fn settle_discrepancy(&self, number: u32, sku: i64, units: i64, at: &str) {
        let id = shipment_id(number);
        self.entry(sku, "settle", -units, None, Some(id), time(at)).await;
        for sql in [
            "UPDATE shipment_lines SET covered_quantity = covered_quantity + $3 WHERE pool_id = $1 AND shipment_id = $2",
            "UPDATE discrepancies SET settled_quantity = settled_quantity + $3,
                closed_at = CASE WHEN settled_quantity + $3 = quantity THEN now() END
             WHERE pool_id = $1 AND shipment_id = $2",
        ] {
            sqlx::query(sql).bind(self.pool).bind(id).bind(units).execute(&self.owner).await.unwrap();
        }
    }

    async fn entry(
        &self,
        sku: i64,
        kind: &str,
        delta: i64,
        lot: Option<Uuid>,
        shipment: Option<Uuid>,
        at: DateTime<Utc>,
    ) {
        let sql = "INSERT INTO stock (
                pool_id, sku_id, on_hand, quarantined, held, committed, seq, opened_at, updated_at
            )
            VALUES ($1, $2, 0, 0, 0, 0, 0, $3, $3) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(self.pool).bind(sku).bind(at).execute(&self.owner).await.unwrap();
        if delta == 0 {
            return;
        }
        let sql = "UPDATE stock SET on_hand = on_hand + $3, seq = seq + 1, updated_at = $4
            WHERE pool_id = $1 AND sku_id = $2 RETURNING on_hand, seq";
        let row = sqlx::query(sql).bind(self.pool).bind(sku).bind(delta).bind(at).fetch_one(&self.owner).await.unwrap();
        let sql = "INSERT INTO stock_entries (
                pool_id, sku_id, seq, kind, on_hand_delta, quarantined_delta, held_delta, committed_delta,
                on_hand_after, quarantined_after, held_after, committed_after, closes_line, lot_id, shipment_id,
                client_id, recorded_at
            )
            VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, 0, 0, 0, false, $7, $8, 0, $9)";
        sqlx::query(sql)
            .bind(self.pool)
            .bind(sku)
            .bind(row.get::<i64, _>("seq"))
            .bind(kind)
            .bind(delta)
            .bind(row.get::<i64, _>("on_hand"))
            .bind(lot)
            .bind(shipment)
            .bind(at)
            .execute(&self.owner)
            .await
            .unwrap();
    }

    /// Every row that a close writes or changes, as text without the times at which it was done.
    pub async fn dump(&self) -> Vec<String> {
        let sql = "
            SELECT concat_ws(' ', 'day', snapshot_date, previous_date, window_start, window_end, status) AS row FROM snapshots
            UNION ALL SELECT concat_ws(' ', 'sku', to_jsonb(s) - 'recorded_at') FROM snapshot_skus AS s
            UNION ALL SELECT concat_ws(' ', 'depletion', to_jsonb(d) - 'recorded_at') FROM depletions AS d
            UNION ALL SELECT concat_ws(' ', 'lot', to_jsonb(l) - 'recorded_at') FROM lots AS l
            UNION ALL SELECT concat_ws(' ', 'movement', to_jsonb(t) - '{recorded_at,client_id}'::text[]) FROM lot_transactions AS t
            UNION ALL SELECT concat_ws(' ', 'line', to_jsonb(l) - 'recorded_at') FROM shipment_lines AS l
            UNION ALL SELECT concat_ws(' ', 'short', to_jsonb(s) - '{opened_at,closed_at}'::text[]) FROM lot_shortages AS s
            ORDER BY row";
        sqlx::query_scalar(sql).fetch_all(&self.owner).await.unwrap()
    }

    /// Fails unless lots, lines, depletions and balances tell one story.
    pub async fn expect_agreement(&self) {
        let broken: Vec<String> = sqlx::query_scalar(AGREEMENT).fetch_all(&self.owner).await.unwrap();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// What is left of a planted lot.
    pub async fn remaining(&self, number: u32) -> i64 {
        sqlx::query_scalar("SELECT remaining_quantity FROM lots WHERE pool_id = $1 AND lot_id = $2")
            .bind(self.pool)
            .bind(lot_id(number))
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }
}

const AGREEMENT: &str = "
    SELECT format('sku %s: %s in lots, %s on hand, %s pending', s.sku_id, l.units, s.on_hand, p.units)
    FROM stock AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(remaining_quantity), 0) AS units FROM lots WHERE pool_id = s.pool_id AND sku_id = s.sku_id
    ) AS l
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(covered_quantity - depleted_quantity), 0) AS units FROM shipment_lines
        WHERE pool_id = s.pool_id AND sku_id = s.sku_id AND voided_at IS NULL AND tracked
    ) AS p
    WHERE l.units <> s.on_hand + p.units
    UNION ALL
    SELECT format('lot %s: %s remain, %s by movements, %s by the newest', l.lot_id, l.remaining_quantity, t.units, t.newest)
    FROM lots AS l
    CROSS JOIN LATERAL (
        SELECT sum(quantity_delta) AS units, (array_agg(remaining_after ORDER BY seq DESC))[1] AS newest,
            bool_or(value_delta <> quantity_delta * unit_cost) AS odd
        FROM lot_transactions WHERE pool_id = l.pool_id AND lot_id = l.lot_id
    ) AS t
    WHERE t.units <> l.remaining_quantity OR t.newest <> l.remaining_quantity OR t.odd
    UNION ALL
    SELECT format('line %s/%s: depleted %s, by depletions %s', l.shipment_id, l.line_ref, l.depleted_quantity, d.units)
    FROM shipment_lines AS l
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(quantity), 0) AS units, count(*) AS rows, coalesce(max(n), 0) AS newest FROM depletions
        WHERE pool_id = l.pool_id AND shipment_id = l.shipment_id AND line_ref = l.line_ref
    ) AS d
    LEFT JOIN lot_shortages AS s
        ON s.pool_id = l.pool_id AND s.shipment_id = l.shipment_id AND s.line_ref = l.line_ref
    WHERE d.units <> l.depleted_quantity OR d.rows <> d.newest OR (
        l.snapshot_date IS NOT NULL AND l.voided_at IS NULL
        AND l.quantity <> l.depleted_quantity + coalesce(s.quantity - s.settled_quantity - s.voided_quantity, 0)
    )
    UNION ALL
    SELECT format('lot %s day %s: %s moved, %s depleted', k.lot_id, k.day, k.moved, k.depleted)
    FROM (
        SELECT lot_id, day, sum(moved) AS moved, sum(depleted) AS depleted
        FROM (
            SELECT lot_id, business_date AS day, -quantity_delta AS moved, 0 AS depleted FROM lot_transactions
            WHERE row_source IN ('snapshot_depletion', 'shortage_settlement', 'void')
            UNION ALL SELECT lot_id, cost_date, 0, quantity FROM depletions
        ) AS both_sides
        GROUP BY lot_id, day
    ) AS k
    WHERE k.moved <> k.depleted
    UNION ALL
    SELECT format('day %s sku %s', k.snapshot_date, k.sku_id)
    FROM snapshot_skus AS k
    CROSS JOIN LATERAL (
        SELECT count(*) AS lines, coalesce(sum(quantity), 0) AS shipped FROM shipment_lines
        WHERE pool_id = k.pool_id AND sku_id = k.sku_id AND snapshot_date = k.snapshot_date
    ) AS l
    WHERE (l.lines, l.shipped) IS DISTINCT FROM (k.lines, k.shipped_quantity)";
