//! Whether the copies are what they are copies of.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use holdfast::demo::standin::StandIn;
use sqlx::AssertSqlSafe;

use crate::support::TestApp;

/// Id, last change, and what else is worth comparing.
type Seen = BTreeSet<(i64, i64, String)>;

fn seen(all: impl Iterator<Item = (i64, DateTime<Utc>, String)>) -> Seen {
    all.map(|(id, at, rest)| (id, at.timestamp(), rest)).collect()
}

async fn copied(app: &TestApp, columns: &str, from: &str) -> Seen {
    let sql = format!("SELECT {columns} FROM {from}");
    let rows: Vec<(i64, DateTime<Utc>, String)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&app.db.owner()).await.unwrap();
    seen(rows.into_iter())
}

/// Fails unless every table of copies holds what the stand-in has, and nothing else that is not marked gone.
pub(super) async fn assert_same(standin: &StandIn, app: &TestApp) {
    let epoch = DateTime::UNIX_EPOCH;
    let nothing = "'1970-01-01Z'::timestamptz";
    let of = async |columns: &str, from: &str| copied(app, columns, from).await;

    let there = standin.look(|world| seen(world.all_products().map(|of| (of.id, of.updated_at, of.status.to_owned()))));
    assert_eq!(of("product_id, updated_at, status", "mirror.products WHERE deleted_at IS NULL").await, there);
    let there = standin.look(|world| {
        let variants = world.all_products().flat_map(|of| &of.variants);
        seen(variants.map(|of| (of.id, of.updated_at, of.sku.as_deref().unwrap_or("").to_owned())))
    });
    let variants = "mirror.variants WHERE deleted_at IS NULL";
    assert_eq!(of("variant_id, updated_at, COALESCE(sku, '')", variants).await, there);
    let there = standin.look(|world| seen(world.all_locations().map(|of| (of.id, epoch, of.name.clone()))));
    assert_eq!(of(&format!("location_id, {nothing}, name"), "mirror.locations WHERE deleted_at IS NULL").await, there);

    let there = standin.look(|world| {
        let closed = |of: bool| if of { "closed" } else { "open" }.to_owned();
        seen(world.all_orders().map(|of| (of.id, of.updated_at, closed(of.closed_at.is_some()))))
    });
    let columns = "order_id, updated_at, CASE WHEN closed_at IS NULL THEN 'open' ELSE 'closed' END";
    assert_eq!(of(columns, "mirror.orders WHERE deleted_at IS NULL").await, there);
    let of_live = "JOIN mirror.orders AS o USING (order_id) WHERE o.deleted_at IS NULL";
    let there = standin.look(|world| {
        let lines = world.all_orders().flat_map(|of| of.lines.iter().map(move |line| (of, line)));
        seen(lines.map(|(of, line)| {
            (line.id, epoch, format!("{} {} {}", line.quantity, of.current(line), of.unfulfilled(line)))
        }))
    });
    let columns = format!("line_id, {nothing}, concat_ws(' ', quantity, current_quantity, unfulfilled_quantity)");
    assert_eq!(of(&columns, &format!("mirror.order_lines {of_live}")).await, there);
    let there = standin.look(|world| {
        let parcels = world.all_orders().flat_map(|of| &of.fulfilments);
        seen(parcels.map(|of| (of.id, epoch, format!("{} {}", of.status, of.lines.len()))))
    });
    let lines = "(SELECT count(*) FROM mirror.fulfilment_lines AS l WHERE l.fulfilment_id = f.fulfilment_id)";
    let columns = format!("f.fulfilment_id, {nothing}, concat_ws(' ', f.status, {lines})");
    assert_eq!(of(&columns, &format!("mirror.fulfilments AS f {of_live}")).await, there);
    let there = standin.look(|world| {
        let refunds = world.all_orders().flat_map(|of| &of.refunds);
        seen(refunds.map(|of| (of.id, epoch, of.lines.len().to_string())))
    });
    let lines = "(SELECT count(*) FROM mirror.refund_lines AS l WHERE l.refund_id = r.refund_id)::text";
    assert_eq!(of(&format!("r.refund_id, {nothing}, {lines}"), &format!("mirror.refunds AS r {of_live}")).await, there);
    assert_same_at_recharge(standin, app).await;
}

async fn assert_same_at_recharge(standin: &StandIn, app: &TestApp) {
    let of =
        async |columns: &str, from: &str| copied(app, columns, &format!("{from} AS t WHERE deleted_at IS NULL")).await;
    let lines = |owner: &str, key: &str| {
        format!("(SELECT count(*) FROM mirror.recharge_lines AS l WHERE l.owner = '{owner}' AND l.owner_id = t.{key})")
    };
    let there =
        standin.look(|world| seen(world.all_customers().map(|of| (of.id, of.updated_at, of.external_id.to_string()))));
    let columns = "customer_id, updated_at, external_customer_id::text";
    assert_eq!(of(columns, "mirror.recharge_customers").await, there);
    let there = standin.look(|world| {
        seen(world.all_subscriptions().map(|of| (of.id, of.updated_at, format!("{} {}", of.status, of.item.quantity))))
    });
    let columns = "subscription_id, updated_at, concat_ws(' ', status, quantity)";
    assert_eq!(of(columns, "mirror.recharge_subscriptions").await, there);
    let there = standin.look(|world| {
        seen(
            world
                .all_charges()
                .map(|of| (of.id, of.updated_at, format!("{} {} {}", of.status, of.scheduled, of.items.len()))),
        )
    });
    let columns =
        format!("charge_id, updated_at, concat_ws(' ', status, scheduled_date, {})", lines("charge", "charge_id"));
    assert_eq!(of(&columns, "mirror.recharge_charges").await, there);
    let there =
        standin.look(|world| {
            let shop = |of: Option<(i64, i64)>| of.map_or_else(|| "none".to_owned(), |(order, _)| order.to_string());
            let all = world.all_recharge_orders();
            seen(all.map(|of| {
                (of.id, of.updated_at, format!("{} {} {}", of.status, shop(of.external_order), of.items.len()))
            }))
        });
    let columns = format!(
        "order_id, updated_at, concat_ws(' ', status, COALESCE(external_order_id::text, 'none'), {})",
        lines("order", "order_id")
    );
    assert_eq!(of(&columns, "mirror.recharge_orders").await, there);
}
