//! What hangs on orders: lines, fulfilments, refunds. They are replaced as a set, row by row: what is no longer there is
//! deleted, what differs is written, what is the same is left alone. Each set is given once, even if the upstream has
//! given one of its members twice while it was paged through.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::columns::{code, column, plain, some};
use crate::mirror::rows::{Fulfilment, FulfilmentLine, Order, OrderLine, Refund, RefundLine};

/// Replaces everything that hangs on the orders `ids` by what these orders have.
pub(super) async fn replace(conn: &mut PgConnection, ids: &[i64], orders: &[&Order]) -> sqlx::Result<()> {
    let fulfilments = fulfilments_of(orders);
    let refunds = refunds_of(orders);
    delete_parcels(conn, ids, &fulfilments).await?;
    delete_refunds(conn, ids, &refunds).await?;
    replace_lines(conn, ids, &lines_of(orders)).await?;
    if !fulfilments.is_empty() {
        upsert_fulfilments(conn, &fulfilments).await?;
        upsert_fulfilment_lines(conn, &fulfilment_lines_of(&fulfilments)).await?;
    }
    if !refunds.is_empty() {
        upsert_refunds(conn, &refunds).await?;
        upsert_refund_lines(conn, &refund_lines_of(&refunds)).await?;
    }
    Ok(())
}

/// A child, the order it belongs to, and its place among its siblings, from 1.
struct Child<'a, T> {
    order_id: i64,
    position: i32,
    is: &'a T,
}

/// The first of each key, numbered within its order.
fn children<'a, T>(
    orders: &[&'a Order],
    of: impl Fn(&'a Order) -> &'a [T],
    id: impl Fn(&T) -> i64,
) -> Vec<Child<'a, T>> {
    let mut all = Vec::new();
    for order in orders {
        let mut ids = BTreeSet::new();
        let own = of(order).iter().filter(|child| ids.insert(id(child)));
        all.extend((1..).zip(own).map(|(position, is)| Child { order_id: order.order_id, position, is }));
    }
    all
}

fn lines_of<'a>(orders: &[&'a Order]) -> Vec<Child<'a, OrderLine>> {
    children(orders, |order| &order.lines, |line| line.line_id)
}

fn fulfilments_of<'a>(orders: &[&'a Order]) -> Vec<Child<'a, Fulfilment>> {
    children(orders, |order| &order.fulfilments, |fulfilment| fulfilment.fulfilment_id)
}

fn refunds_of<'a>(orders: &[&'a Order]) -> Vec<Child<'a, Refund>> {
    children(orders, |order| &order.refunds, |refund| refund.refund_id)
}

/// Lines with the fulfilment they are in.
fn fulfilment_lines_of<'a>(fulfilments: &[Child<'a, Fulfilment>]) -> Vec<(i64, Child<'a, FulfilmentLine>)> {
    let mut all = Vec::new();
    for fulfilment in fulfilments {
        let mut ids = BTreeSet::new();
        let own = fulfilment.is.lines.iter().filter(|line| ids.insert(line.fulfilment_line_id));
        let id = fulfilment.is.fulfilment_id;
        all.extend((1..).zip(own).map(|(position, is)| (id, Child { order_id: fulfilment.order_id, position, is })));
    }
    all
}

/// Lines with the refund they are of. Old ones have no id, so none is taken for another.
fn refund_lines_of<'a>(refunds: &[Child<'a, Refund>]) -> Vec<(i64, Child<'a, RefundLine>)> {
    let mut all = Vec::new();
    for refund in refunds {
        let mut ids = BTreeSet::new();
        let own = refund.is.lines.iter().filter(|line| line.refund_line_id.is_none_or(|id| ids.insert(id)));
        let id = refund.is.refund_id;
        all.extend((1..).zip(own).map(|(position, is)| (id, Child { order_id: refund.order_id, position, is })));
    }
    all
}

/// One column of these children.
fn of<'a, T, U>(rows: &[Child<'a, T>], of: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(|row| of(row.is)).collect()
}

/// The orders of these children.
fn orders_of<T>(rows: &[Child<'_, T>]) -> Vec<i64> {
    rows.iter().map(|row| row.order_id).collect()
}

/// The places of these children.
fn positions_of<T>(rows: &[Child<'_, T>]) -> Vec<i32> {
    rows.iter().map(|row| row.position).collect()
}

async fn replace_lines(conn: &mut PgConnection, ids: &[i64], lines: &[Child<'_, OrderLine>]) -> sqlx::Result<()> {
    let (orders, line_ids) = (orders_of(lines), of(lines, |line| line.line_id));
    sqlx::query!(
        r#"
        DELETE FROM mirror.order_lines AS stored
        WHERE stored.order_id = ANY($1)
            AND NOT EXISTS (
                SELECT FROM UNNEST($2::bigint[], $3::bigint[]) AS given (order_id, line_id)
                WHERE given.order_id = stored.order_id AND given.line_id = stored.line_id
            )
        "#,
        ids,
        &orders,
        &line_ids,
    )
    .execute(&mut *conn)
    .await?;
    if lines.is_empty() {
        return Ok(());
    }
    // What was bought stays known after its product is deleted, when the upstream no longer says it.
    sqlx::query!(
        r#"
        INSERT INTO mirror.order_lines AS stored (
            order_id, line_id, position, variant_id, product_id, sku, title, quantity, current_quantity,
            unfulfilled_quantity, requires_shipping, gift_card, group_id
        )
        SELECT *
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::boolean[], $12::boolean[], $13::text[]
        )
        ON CONFLICT (order_id, line_id) DO UPDATE
        SET position = excluded.position,
            variant_id = COALESCE(excluded.variant_id, stored.variant_id),
            product_id = COALESCE(excluded.product_id, stored.product_id),
            sku = excluded.sku, title = excluded.title, quantity = excluded.quantity,
            current_quantity = excluded.current_quantity, unfulfilled_quantity = excluded.unfulfilled_quantity,
            requires_shipping = excluded.requires_shipping, gift_card = excluded.gift_card, group_id = excluded.group_id
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        &orders,
        &line_ids,
        &positions_of(lines),
        &of(lines, |line| line.variant_id) as &[Option<i64>],
        &of(lines, |line| line.product_id) as &[Option<i64>],
        &of(lines, |line| code(line.sku.as_ref())) as &[Option<&str>],
        &of(lines, |line| plain(&line.title)) as &[&str],
        &of(lines, |line| line.quantity),
        &of(lines, |line| line.current_quantity),
        &of(lines, |line| line.unfulfilled_quantity),
        &of(lines, |line| line.requires_shipping),
        &of(lines, |line| line.gift_card),
        &of(lines, |line| some(line.group_id.as_ref())) as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes fulfilments that are not among these, and lines that are in none of them.
async fn delete_parcels(
    conn: &mut PgConnection,
    ids: &[i64],
    fulfilments: &[Child<'_, Fulfilment>],
) -> sqlx::Result<()> {
    let lines = fulfilment_lines_of(fulfilments);
    sqlx::query!(
        r#"
        DELETE FROM mirror.fulfilment_lines AS stored
        WHERE stored.order_id = ANY($1)
            AND NOT EXISTS (
                SELECT
                FROM UNNEST($2::bigint[], $3::bigint[], $4::bigint[]) AS given (order_id, fulfilment_id, line_id)
                WHERE given.order_id = stored.order_id
                    AND given.fulfilment_id = stored.fulfilment_id
                    AND given.line_id = stored.fulfilment_line_id
            )
        "#,
        ids,
        &lines.iter().map(|(_, line)| line.order_id).collect::<Vec<_>>(),
        &lines.iter().map(|(fulfilment, _)| *fulfilment).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.is.fulfilment_line_id).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM mirror.fulfilments AS stored
        WHERE stored.order_id = ANY($1)
            AND NOT EXISTS (
                SELECT FROM UNNEST($2::bigint[], $3::bigint[]) AS given (order_id, fulfilment_id)
                WHERE given.order_id = stored.order_id AND given.fulfilment_id = stored.fulfilment_id
            )
        "#,
        ids,
        &orders_of(fulfilments),
        &of(fulfilments, |fulfilment| fulfilment.fulfilment_id),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_fulfilments(conn: &mut PgConnection, fulfilments: &[Child<'_, Fulfilment>]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO mirror.fulfilments AS stored (
            order_id, fulfilment_id, status, created_at, updated_at, location_id
        )
        SELECT *
        FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[])
        ON CONFLICT (order_id, fulfilment_id) DO UPDATE
        SET status = excluded.status, created_at = excluded.created_at, updated_at = excluded.updated_at,
            location_id = excluded.location_id
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        &orders_of(fulfilments),
        &of(fulfilments, |fulfilment| fulfilment.fulfilment_id),
        &of(fulfilments, |fulfilment| plain(&fulfilment.status)) as &[&str],
        &of(fulfilments, |fulfilment| fulfilment.created_at),
        &of(fulfilments, |fulfilment| fulfilment.updated_at),
        &of(fulfilments, |fulfilment| fulfilment.location_id) as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_fulfilment_lines(
    conn: &mut PgConnection,
    lines: &[(i64, Child<'_, FulfilmentLine>)],
) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = lines.iter().collect();
    sqlx::query!(
        r#"
        INSERT INTO mirror.fulfilment_lines AS stored (
            order_id, fulfilment_id, fulfilment_line_id, line_id, quantity
        )
        SELECT *
        FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        ON CONFLICT (order_id, fulfilment_id, fulfilment_line_id) DO UPDATE
        SET line_id = excluded.line_id, quantity = excluded.quantity
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        &column(&rows, |(_, line)| line.order_id),
        &column(&rows, |(fulfilment, _)| *fulfilment),
        &column(&rows, |(_, line)| line.is.fulfilment_line_id),
        &column(&rows, |(_, line)| line.is.line_id),
        &column(&rows, |(_, line)| line.is.quantity),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes refunds that are not among these, and lines behind the last of each.
async fn delete_refunds(conn: &mut PgConnection, ids: &[i64], refunds: &[Child<'_, Refund>]) -> sqlx::Result<()> {
    let lines = refund_lines_of(refunds);
    sqlx::query!(
        r#"
        DELETE FROM mirror.refund_lines AS stored
        WHERE stored.order_id = ANY($1)
            AND NOT EXISTS (
                SELECT
                FROM UNNEST($2::bigint[], $3::bigint[], $4::integer[]) AS given (order_id, refund_id, position)
                WHERE given.order_id = stored.order_id
                    AND given.refund_id = stored.refund_id
                    AND given.position = stored.position
            )
        "#,
        ids,
        &lines.iter().map(|(_, line)| line.order_id).collect::<Vec<_>>(),
        &lines.iter().map(|(refund, _)| *refund).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.position).collect::<Vec<_>>(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM mirror.refunds AS stored
        WHERE stored.order_id = ANY($1)
            AND NOT EXISTS (
                SELECT FROM UNNEST($2::bigint[], $3::bigint[]) AS given (order_id, refund_id)
                WHERE given.order_id = stored.order_id AND given.refund_id = stored.refund_id
            )
        "#,
        ids,
        &orders_of(refunds),
        &of(refunds, |refund| refund.refund_id),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_refunds(conn: &mut PgConnection, refunds: &[Child<'_, Refund>]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO mirror.refunds AS stored (order_id, refund_id, created_at, updated_at)
        SELECT *
        FROM UNNEST($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[])
        ON CONFLICT (order_id, refund_id) DO UPDATE
        SET created_at = excluded.created_at, updated_at = excluded.updated_at
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        &orders_of(refunds),
        &of(refunds, |refund| refund.refund_id),
        &of(refunds, |refund| refund.created_at) as &[Option<_>],
        &of(refunds, |refund| refund.updated_at) as &[Option<_>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn upsert_refund_lines(conn: &mut PgConnection, lines: &[(i64, Child<'_, RefundLine>)]) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = lines.iter().collect();
    sqlx::query!(
        r#"
        INSERT INTO mirror.refund_lines AS stored (
            order_id, refund_id, position, refund_line_id, line_id, quantity, restock_type, restocked, location_id
        )
        SELECT *
        FROM UNNEST(
            $1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::boolean[],
            $9::bigint[]
        )
        ON CONFLICT (order_id, refund_id, position) DO UPDATE
        SET refund_line_id = excluded.refund_line_id, line_id = excluded.line_id, quantity = excluded.quantity,
            restock_type = excluded.restock_type, restocked = excluded.restocked, location_id = excluded.location_id
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        &column(&rows, |(_, line)| line.order_id),
        &column(&rows, |(refund, _)| *refund),
        &column(&rows, |(_, line)| line.position),
        &column(&rows, |(_, line)| line.is.refund_line_id) as &[Option<i64>],
        &column(&rows, |(_, line)| line.is.line_id),
        &column(&rows, |(_, line)| line.is.quantity),
        &column(&rows, |(_, line)| plain(&line.is.restock_type)) as &[&str],
        &column(&rows, |(_, line)| line.is.restocked),
        &column(&rows, |(_, line)| line.is.location_id) as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
