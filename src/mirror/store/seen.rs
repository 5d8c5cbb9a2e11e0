//! Which of the ids that an upstream showed have to be fetched, and which copies it did not show.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::mirror::rows::Seen;

/// What is copied, but for locations, which are always looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of Shopify, with its variants.
    Product,
    /// Of Shopify.
    Order,
    /// Of Recharge.
    Customer,
    /// Of Recharge.
    Subscription,
    /// Of Recharge.
    Charge,
    /// Of Recharge.
    RechargeOrder,
}

/// An upstream tells whole seconds. A copy that was asked for this soon after its change may have missed a second change
/// in the same second (or the clocks differ by as much), and is fetched once more.
pub(crate) const SAME_SECOND: TimeDelta = TimeDelta::seconds(10);

/// The ids among these that have to be fetched: unknown, marked gone, older in the copy, or changed at or after
/// `recheck_from` and copied so soon after that that the copy may have missed a change of the same second. Products and
/// orders alone: what Recharge shows are whole documents.
///
/// # Errors
/// Database errors.
pub async fn newer(
    conn: &mut PgConnection,
    kind: Kind,
    seen: &[Seen],
    recheck_from: DateTime<Utc>,
) -> sqlx::Result<Vec<i64>> {
    let ids: Vec<i64> = seen.iter().map(|one| one.id).collect();
    if !matches!(kind, Kind::Product | Kind::Order) {
        return Ok(ids);
    }
    let updated_at: Vec<DateTime<Utc>> = seen.iter().map(|one| one.updated_at).collect();
    let soon = SAME_SECOND.as_seconds_f64();
    if kind == Kind::Product {
        return sqlx::query_scalar!(
            r#"
            SELECT DISTINCT given.id AS "id!"
            FROM UNNEST($1::bigint[], $2::timestamptz[]) AS given (id, updated_at)
            LEFT JOIN mirror.products AS stored ON stored.product_id = given.id
            WHERE stored.product_id IS NULL
                OR stored.deleted_at IS NOT NULL
                OR stored.updated_at < given.updated_at
                OR stored.updated_at = given.updated_at
                AND given.updated_at >= $3
                AND stored.fetched_at < given.updated_at + make_interval(secs => $4)
            ORDER BY 1
            "#,
            &ids,
            &updated_at,
            recheck_from,
            soon,
        )
        .fetch_all(conn)
        .await;
    }
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT given.id AS "id!"
        FROM UNNEST($1::bigint[], $2::timestamptz[]) AS given (id, updated_at)
        LEFT JOIN mirror.orders AS stored ON stored.order_id = given.id
        WHERE stored.order_id IS NULL
            OR stored.deleted_at IS NOT NULL
            OR stored.updated_at < given.updated_at
            OR stored.updated_at = given.updated_at
            AND given.updated_at >= $3
            AND stored.fetched_at < given.updated_at + make_interval(secs => $4)
        ORDER BY 1
        "#,
        &ids,
        &updated_at,
        recheck_from,
        soon,
    )
    .fetch_all(conn)
    .await
}

/// Copies that are not marked gone, whose last change lies from `from` (inclusive) to `to` (exclusive), and that were asked
/// for before `asked_before`.
///
/// # Errors
/// Database errors.
pub async fn list_unseen(
    conn: &mut PgConnection,
    kind: Kind,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    asked_before: DateTime<Utc>,
) -> sqlx::Result<Vec<i64>> {
    match kind {
        Kind::Product => list_products(conn, from, to, asked_before).await,
        Kind::Order => list_orders(conn, from, to, asked_before).await,
        Kind::Customer => list_customers(conn, from, to, asked_before).await,
        Kind::Subscription => list_subscriptions(conn, from, to, asked_before).await,
        Kind::Charge => list_charges(conn, from, to, asked_before).await,
        Kind::RechargeOrder => list_recharge_orders(conn, from, to, asked_before).await,
    }
}

/// Copies that are not marked gone, that something still hangs on however old they are, and that were asked for before
/// `asked_before`. Customers never: nothing hangs on them.
///
/// # Errors
/// Database errors.
pub async fn list_standing(conn: &mut PgConnection, kind: Kind, asked_before: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    match kind {
        // Whatever is on sale.
        Kind::Product => list_products(conn, Time::UNIX_EPOCH, asked_before, asked_before).await,
        Kind::Order => list_open_orders(conn, asked_before).await,
        Kind::Customer => Ok(Vec::new()),
        Kind::Subscription => list_going_on(conn, asked_before).await,
        Kind::Charge => list_charges(conn, Time::UNIX_EPOCH, asked_before, asked_before).await,
        Kind::RechargeOrder => list_outside_the_shop(conn, asked_before).await,
    }
}

type Time = DateTime<Utc>;

async fn list_products(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT product_id
        FROM mirror.products
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
        ORDER BY product_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

async fn list_orders(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT order_id
        FROM mirror.orders
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
        ORDER BY order_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

async fn list_customers(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT customer_id
        FROM mirror.recharge_customers
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
        ORDER BY customer_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

async fn list_subscriptions(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT subscription_id
        FROM mirror.recharge_subscriptions
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
        ORDER BY subscription_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

/// Only charges that may still go: paid ones vanish with age.
async fn list_charges(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT charge_id
        FROM mirror.recharge_charges
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
            AND status NOT IN ('success', 'refunded', 'partially_refunded')
        ORDER BY charge_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

async fn list_recharge_orders(conn: &mut PgConnection, from: Time, to: Time, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT order_id
        FROM mirror.recharge_orders
        WHERE updated_at >= $1 AND updated_at < $2 AND fetched_at < $3 AND deleted_at IS NULL
        ORDER BY order_id
        "#,
        from,
        to,
        before,
    )
    .fetch_all(conn)
    .await
}

/// Orders of the shop with something still to be sent: those claim.
async fn list_open_orders(conn: &mut PgConnection, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT o.order_id
        FROM mirror.orders AS o
        WHERE o.fetched_at < $1 AND o.deleted_at IS NULL AND o.cancelled_at IS NULL AND o.closed_at IS NULL
            AND EXISTS (
                SELECT FROM mirror.order_lines AS l WHERE l.order_id = o.order_id AND l.unfulfilled_quantity > 0
            )
        ORDER BY o.order_id
        "#,
        before,
    )
    .fetch_all(conn)
    .await
}

async fn list_going_on(conn: &mut PgConnection, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT subscription_id
        FROM mirror.recharge_subscriptions
        WHERE fetched_at < $1 AND deleted_at IS NULL AND status NOT IN ('cancelled', 'expired')
        ORDER BY subscription_id
        "#,
        before,
    )
    .fetch_all(conn)
    .await
}

/// Orders of Recharge that are queued, or that claim by themselves since the shop does not know them.
async fn list_outside_the_shop(conn: &mut PgConnection, before: Time) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT order_id
        FROM mirror.recharge_orders
        WHERE fetched_at < $1 AND deleted_at IS NULL AND external_order_id IS NULL AND status <> 'cancelled'
        ORDER BY order_id
        "#,
        before,
    )
    .fetch_all(conn)
    .await
}
