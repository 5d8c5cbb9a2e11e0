//! How far orders are applied: taking pending ones, and writing down what became of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use scoped_futures::ScopedFutureExt;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::plan::{Finding, Line};
use crate::ids::{PoolId, ReservationId};
use crate::ledger::world::MIRROR;
use crate::mirror::rows::Source;
use crate::mirror::store;
use crate::reservations::variants::Variant;

/// A pending order.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Where it comes from.
    pub source: Source,
    /// Its id there.
    pub order_id: i64,
    /// Which state of it.
    pub revision: i64,
    /// How often it was tried since it was last applied, this time included.
    pub attempts: i32,
    /// Until when it is this instance's.
    pub lease: DateTime<Utc>,
    /// Until when its units are held at most, until it is paid; set with its first hold.
    pub held_until: Option<DateTime<Utc>>,
}

/// What became of a pending order.
#[derive(Debug, Clone)]
pub struct Done {
    /// Which.
    pub taken: Taken,
    /// The pool of its claims.
    pub pool: Option<PoolId>,
    /// Lines that nobody can tell the stock of, and the units that they would claim.
    pub unmatched: Vec<(Line, i64)>,
    /// What an operator should know.
    pub findings: Vec<Finding>,
    /// Until when its units are held at most, if they are.
    pub held_until: Option<DateTime<Utc>>,
    /// Why it has to be tried again.
    pub error: Option<String>,
}

/// Takes at most `limit` orders that are due, until `lease`.
///
/// # Errors
/// Database errors.
pub async fn take(db: &PgPool, now: DateTime<Utc>, lease: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Taken>> {
    store::write(db, "take_orders", |conn| take_within(conn, now, lease, limit).scope_boxed()).await
}

async fn take_within(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Taken>> {
    let rows = sqlx::query!(
        r#"
        UPDATE mirror.order_progress AS p
        SET leased_until = $2, attempts = p.attempts + 1
        FROM (
            SELECT source, order_id
            FROM mirror.order_progress
            WHERE applied_revision < revision
                AND next_attempt_at <= $1
                AND (leased_until IS NULL OR leased_until <= $1)
            ORDER BY next_attempt_at, source, order_id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE p.source = due.source AND p.order_id = due.order_id
        RETURNING p.source, p.order_id, p.revision, p.attempts, p.held_until
        "#,
        now,
        lease,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let source = Source::parse(&row.source)?;
            Some(Taken {
                source,
                order_id: row.order_id,
                revision: row.revision,
                attempts: row.attempts,
                lease,
                held_until: row.held_until,
            })
        })
        .collect())
}

/// Writes down what became of orders. What changed meanwhile is due at once; what failed, when `again` says so.
///
/// # Errors
/// Database errors.
pub async fn finish(
    db: &PgPool,
    now: DateTime<Utc>,
    done: &[Done],
    again: impl Fn(i32) -> DateTime<Utc>,
) -> sqlx::Result<()> {
    let columns = &Columns::of(now, done, again);
    store::write(db, "finish_orders", |conn| {
        async move {
            write_progress(conn, now, columns).await?;
            write_unmatched(conn, now, columns).await
        }
        .scope_boxed()
    })
    .await
}

#[derive(Default)]
struct Columns {
    sources: Vec<&'static str>,
    ids: Vec<i64>,
    revisions: Vec<i64>,
    applied: Vec<i64>,
    pools: Vec<Option<i64>>,
    next: Vec<DateTime<Utc>>,
    errors: Vec<Option<String>>,
    findings: Vec<Option<serde_json::Value>>,
    held_until: Vec<Option<DateTime<Utc>>>,
    /// Orders that were applied, and so have no other unmatched lines than these.
    settled: (Vec<&'static str>, Vec<i64>),
    unmatched: Unmatched,
}

#[derive(Default)]
struct Unmatched {
    sources: Vec<&'static str>,
    ids: Vec<i64>,
    refs: Vec<String>,
    variants: Vec<Option<i64>>,
    skus: Vec<Option<String>>,
    titles: Vec<String>,
    quantities: Vec<i64>,
    things: Vec<bool>,
}

impl Columns {
    fn of(now: DateTime<Utc>, done: &[Done], again: impl Fn(i32) -> DateTime<Utc>) -> Self {
        let mut c = Self::default();
        for done in done {
            let source = done.taken.source.as_str();
            c.sources.push(source);
            c.ids.push(done.taken.order_id);
            c.revisions.push(done.taken.revision);
            c.applied.push(if done.error.is_some() { 0 } else { done.taken.revision });
            c.pools.push(done.pool.map(|pool| pool.0));
            c.next.push(if done.error.is_some() { again(done.taken.attempts) } else { now });
            c.errors.push(done.error.clone());
            c.findings.push(serde_json::to_value(&done.findings).ok().filter(|_| !done.findings.is_empty()));
            c.held_until.push(done.held_until);
            if done.error.is_some() {
                continue;
            }
            c.settled.0.push(source);
            c.settled.1.push(done.taken.order_id);
            for (line, quantity) in &done.unmatched {
                c.unmatched.sources.push(source);
                c.unmatched.ids.push(done.taken.order_id);
                c.unmatched.refs.push(line.line_ref.clone());
                c.unmatched.variants.push(line.variant_id);
                c.unmatched.skus.push(line.sku.clone());
                c.unmatched.titles.push(line.title.clone());
                c.unmatched.quantities.push(*quantity);
                c.unmatched.things.push(line.requires_shipping);
            }
        }
        c
    }
}

async fn write_progress(conn: &mut PgConnection, now: DateTime<Utc>, c: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE mirror.order_progress AS p
        SET
            applied_revision = greatest(p.applied_revision, u.applied),
            pool_id = COALESCE(u.pool_id, p.pool_id),
            attempts = CASE WHEN u.error IS NULL THEN 0 ELSE p.attempts END,
            next_attempt_at = CASE WHEN p.revision > u.revision THEN $1 ELSE u.next END,
            leased_until = NULL,
            last_error = u.error,
            findings = CASE WHEN u.error IS NULL THEN u.findings ELSE p.findings END,
            applied_at = CASE WHEN u.error IS NULL THEN $1 ELSE p.applied_at END,
            held_until = COALESCE(p.held_until, u.held_until)
        FROM unnest(
            $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::text[], $9::jsonb[],
            $10::timestamptz[]
        ) AS u (source, order_id, revision, applied, pool_id, next, error, findings, held_until)
        WHERE p.source = u.source AND p.order_id = u.order_id
        "#,
        now,
        &c.sources as &[&str],
        &c.ids,
        &c.revisions,
        &c.applied,
        &c.pools as &[Option<i64>],
        &c.next,
        &c.errors as &[Option<String>],
        &c.findings as &[Option<serde_json::Value>],
        &c.held_until as &[Option<DateTime<Utc>>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn write_unmatched(conn: &mut PgConnection, now: DateTime<Utc>, c: &Columns) -> sqlx::Result<()> {
    let u = &c.unmatched;
    sqlx::query!(
        r#"
        DELETE FROM unmatched_lines AS l
        USING unnest($1::text[], $2::bigint[]) AS u (source, order_id)
        WHERE l.source = u.source AND l.order_id = u.order_id
            AND (l.source, l.order_id, l.line_ref) NOT IN (
                SELECT k.source, k.order_id, k.line_ref
                FROM unnest($3::text[], $4::bigint[], $5::text[]) AS k (source, order_id, line_ref)
            )
        "#,
        &c.settled.0 as &[&str],
        &c.settled.1,
        &u.sources as &[&str],
        &u.ids,
        &u.refs,
    )
    .execute(&mut *conn)
    .await?;
    if u.refs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO unmatched_lines AS l (
            source, order_id, line_ref, variant_id, sku, title, quantity, requires_shipping, seen_at
        )
        SELECT u.*, $9::timestamptz
        FROM unnest(
            $1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::boolean[]
        ) AS u
        ON CONFLICT (source, order_id, line_ref) DO UPDATE
        SET
            variant_id = excluded.variant_id,
            sku = excluded.sku,
            title = excluded.title,
            quantity = excluded.quantity,
            requires_shipping = excluded.requires_shipping
        WHERE (l.variant_id, l.sku, l.title, l.quantity, l.requires_shipping) IS DISTINCT FROM
            (excluded.variant_id, excluded.sku, excluded.title, excluded.quantity, excluded.requires_shipping)
        "#,
        &u.sources as &[&str],
        &u.ids,
        &u.refs,
        &u.variants as &[Option<i64>],
        &u.skus as &[Option<String>],
        &u.titles,
        &u.quantities,
        &u.things,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What an unpaid order's hold is called.
#[must_use]
pub fn hold_reference((source, id): (Source, i64)) -> String {
    format!("{source}:{id}")
}

/// A reservation that is called like an order.
#[derive(Debug, Clone)]
pub struct Called {
    /// Which.
    pub id: ReservationId,
    /// Whether it is a hold that was made for the order until it is paid.
    pub is_hold: bool,
    /// What it took variants for.
    pub variants: Vec<Variant>,
}

/// Reservations that are called like orders, in every pool.
pub type CalledByOrder = HashMap<(Source, i64), Vec<Called>>;

/// Reservations in one pool that orders took units of under one of these names, and holds that were made for them.
///
/// # Errors
/// Database errors.
pub async fn find_called(
    conn: &mut PgConnection,
    pool: PoolId,
    names: &[((Source, i64), String)],
) -> sqlx::Result<Vec<((Source, i64), Called)>> {
    let called: Vec<String> = names.iter().map(|(_, name)| name.clone()).collect();
    let references: Vec<String> = names.iter().map(|(key, _)| hold_reference(*key)).collect();
    let rows = sqlx::query!(
        r#"
        SELECT
            u.n AS "n!", r.reservation_id AS "reservation_id!", false AS "is_hold!",
            r.variants AS "variants: Json<Vec<Variant>>"
        FROM unnest($2::text[]) WITH ORDINALITY AS u (name, n)
        CROSS JOIN LATERAL (
            SELECT reservation_id, variants
            FROM reservations
            WHERE pool_id = $1 AND order_ref = u.name AND order_ref IS NOT NULL
            OFFSET 0
        ) AS r
        UNION ALL
        SELECT u.n, r.reservation_id, true, NULL
        FROM unnest($3::text[]) WITH ORDINALITY AS u (reference, n)
        CROSS JOIN LATERAL (
            SELECT reservation_id
            FROM reservations
            WHERE pool_id = $1
                AND client_id = $4
                AND client_reference = u.reference
                AND client_reference IS NOT NULL
                AND state IN ('held', 'committed', 'fulfilled', 'reconciled')
            LIMIT 1
        ) AS r
        "#,
        pool.0,
        &called,
        &references,
        MIRROR.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let (key, _) = names.get(usize::try_from(row.n - 1).ok()?)?;
            let id = ReservationId { pool, uuid: row.reservation_id };
            let variants = row.variants.map_or_else(Vec::new, |variants| variants.0);
            Some((*key, Called { id, is_hold: row.is_hold, variants }))
        })
        .collect())
}
