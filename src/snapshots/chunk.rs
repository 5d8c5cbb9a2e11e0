//! One chunk of a day: whole SKUs, in one transaction.

use sqlx::PgConnection;

use super::close::Day;
use super::{CloseError, Settings, assign, lock, photograph, write};
use crate::catalog::DepletionOrder;
use crate::clock::Clock;

/// What came of trying to take a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Done up to this SKU.
    Done { last: i64 },
    /// Every SKU is done; the day can be closed.
    NothingLeft,
    /// Somebody else has closed the day meanwhile.
    DayClosed,
    /// Somebody else is at work on a chunk of this day.
    Busy,
}

/// A SKU of a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub sku: i64,
    pub lines: i64,
    pub order: DepletionOrder,
}

/// Which of the SKUs of a day one worker looks after: those whose number leaves `remainder` when divided by `workers`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub workers: i64,
    pub remainder: i64,
}

/// Takes the next SKUs of its share after `after` that are not done, and does them. `look_twice`: looks up which of
/// their lines have been depleted before, which no line should have been.
pub(super) async fn take(
    conn: &mut PgConnection,
    clock: &Clock,
    day: Day,
    share: Share,
    settings: Settings,
    (after, look_twice): (i64, bool),
) -> Result<Step, CloseError> {
    tune(conn).await?;
    match lock_share(conn, day, share).await? {
        (_, false) => return Ok(Step::Busy),
        (true, true) => return Ok(Step::DayClosed),
        (false, true) => {}
    }
    let members = choose(conn, day, share, settings, after).await?;
    let Some(last) = members.last().map(|member| member.sku) else { return Ok(Step::NothingLeft) };
    let locked = lock::lock(conn, day, &members, look_twice).await?;
    let photographs = photograph::take(conn, day, &members).await?;
    let assigned = assign::assign(day, &members, locked);
    let now = clock.read(conn).await?;
    write::write(conn, day, now, &assigned, &photographs).await?;
    Ok(Step::Done { last })
}

/// Index plans, made for the tables as they are now: a statement that names its rows must not be answered by reading
/// all days that are there, nor by a plan of the day when they were empty. A hot SKU is one transaction, so statements
/// get more time than a request's.
async fn tune(conn: &mut PgConnection) -> Result<(), CloseError> {
    sqlx::query!(
        r#"
        SELECT
            set_config('enable_seqscan', 'off', true) AS a, set_config('enable_hashjoin', 'off', true) AS b,
            set_config('enable_mergejoin', 'off', true) AS c, set_config('enable_bitmapscan', 'off', true) AS d,
            set_config('plan_cache_mode', 'force_custom_plan', true) AS e, set_config('jit', 'off', true) AS f,
            set_config('statement_timeout', '300s', true) AS g, set_config('lock_timeout', '5s', true) AS h
        "#
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Whether the day is closed, and whether this share of it is ours for the transaction: so two runs take turns, and the
/// share of a run that died is free as soon as its connection is. The advisory lock is a hint; if it let two runs at
/// the same SKUs, the second would find the key of `snapshot_skus` taken. The row lock keeps the day open meanwhile.
async fn lock_share(conn: &mut PgConnection, day: Day, share: Share) -> Result<(bool, bool), CloseError> {
    let name = format!("snapshot {} {}/{}", day.pool.0, share.remainder, share.workers);
    let ours = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "ours!""#, name)
        .fetch_one(&mut *conn)
        .await?;
    if !ours {
        return Ok((false, false));
    }
    let closed = sqlx::query_scalar!(
        r#"SELECT status = 'closed' AS "closed!" FROM snapshots WHERE pool_id = $1 AND snapshot_date = $2 FOR SHARE"#,
        day.pool.0,
        day.date,
    )
    .fetch_one(conn)
    .await?;
    Ok((closed, true))
}

/// The next SKUs: at least one, then as many as fit.
async fn choose(
    conn: &mut PgConnection,
    day: Day,
    share: Share,
    settings: Settings,
    after: i64,
) -> Result<Vec<Member>, CloseError> {
    let rows = sqlx::query!(
        r#"
        SELECT s.sku_id, c.depletion_order AS "order: DepletionOrder", l.lines AS "lines!"
        FROM (
            SELECT t.sku_id
            FROM stock AS t
            LEFT JOIN LATERAL (
                SELECT true AS is_done
                FROM snapshot_skus
                WHERE pool_id = $1 AND sku_id = t.sku_id AND snapshot_date = $3
                LIMIT 1
            ) AS d ON true
            WHERE t.pool_id = $1 AND t.sku_id > $2 AND t.sku_id % $6 = $7 AND d.is_done IS NULL
            ORDER BY t.sku_id
            LIMIT $5
        ) AS s
        JOIN skus AS k ON k.sku_id = s.sku_id
        JOIN classes AS c ON c.class_id = k.class_id
        CROSS JOIN LATERAL (
            SELECT count(*) AS lines
            FROM shipment_lines
            WHERE pool_id = $1 AND sku_id = s.sku_id AND shipped_at < $4
                AND snapshot_date IS NULL AND voided_at IS NULL AND tracked
        ) AS l
        ORDER BY s.sku_id
        "#,
        day.pool.0,
        after,
        day.date,
        day.window.ends_at,
        settings.chunk_skus.max(1),
        share.workers,
        share.remainder,
    )
    .fetch_all(conn)
    .await?;
    let mut lines = 0;
    let fits = |member: &Member| {
        let first = lines == 0;
        lines += member.lines;
        first || lines <= settings.chunk_lines
    };
    let members = rows.into_iter().map(|row| Member { sku: row.sku_id, lines: row.lines, order: row.order });
    Ok(members.take_while(fits).collect())
}
