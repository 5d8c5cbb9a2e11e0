//! One order's life, as copies that arrive twice and in any order, ends in the same rows and the same balances.

use std::sync::Arc;

use holdfast::mirror::rows::Order;
use serde_json::{Value, json};

use super::orders::{Life, line, order};
use super::{Shop, apply, copy};

const SHUFFLES: i64 = 1000;
const TASKS: i64 = 16;

/// Everything that can happen, state by state.
fn life(n: i64) -> Vec<Order> {
    let (a, b, c) = (format!("A{n}"), format!("B{n}"), format!("C{n}"));
    let id = 5_000_000_000_000 + n;
    let made = order(id, &[(1, &a, 3), (2, &b, 2)]);
    let edited = made.edited(1, 2).added(line(3, &c, 2));
    let partial = edited.sent(100 * n + 1, &[(1, 2), (2, 1)]);
    let voided = partial.unsent(100 * n + 1);
    let sent = voided.sent(100 * n + 2, &[(1, 2), (2, 2)]);
    let returned = sent.refunded(100 * n + 1, 1, 1, "RETURN");
    let refunded = returned.refunded(100 * n + 2, 2, 1, "NO_RESTOCK");
    let unwanted = refunded.refunded(100 * n + 3, 3, 1, "CANCEL");
    // More than had been sent and not come back.
    let beyond = unwanted.refunded(100 * n + 4, 1, 2, "RETURN");
    let cancelled = beyond.cancelled();
    vec![made, edited, partial, voided, sent, returned, refunded, unwanted, beyond, cancelled]
}

/// A generator that says the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    /// A number below this one.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most).unwrap()).unwrap()
    }
}

/// States of an order in some order, some of them twice or not at all, the last one at least once.
fn arrivals(dice: &mut Dice, life: &[Order]) -> Vec<Order> {
    let mut all: Vec<Order> = life.last().cloned().into_iter().collect();
    for state in life {
        for _ in 0..dice.below(3) {
            all.push(state.clone());
        }
    }
    for at in (1..all.len()).rev() {
        all.swap(at, dice.below(at + 1));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_told_twice_and_in_any_order_ends_in_the_same_rows_and_balances() {
    let shop = Arc::new(Shop::open(|_| {}).await);
    let skus: Vec<String> = (0..SHUFFLES).flat_map(|n| ["A", "B", "C"].map(|sku| format!("{sku}{n}"))).collect();
    shop.stock_all(&skus, 10).await;

    let tasks = (0..TASKS).map(|task| {
        let shop = Arc::clone(&shop);
        async move {
            for n in (task..SHUFFLES).step_by(usize::try_from(TASKS).unwrap()) {
                let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(n + 1).unwrap());
                // The first is told as it happened.
                let told = if n == 0 { life(n) } else { arrivals(&mut dice, &life(n)) };
                for state in told {
                    copy(&shop, &[state]).await;
                    if n == 0 || dice.below(3) == 0 {
                        apply(&shop).await;
                    }
                }
            }
        }
    });
    futures_util::future::join_all(tasks).await;
    // Whoever was taken by a pass that saw an older state is due again.
    shop.app.advance(120);
    apply(&shop).await;

    let balances = shop.balances().await;
    let expected = [("A", 10, 2), ("B", 8, 0), ("C", 10, 0)];
    for n in 0..SHUFFLES {
        for (sku, on_hand, quarantined) in expected {
            let code = format!("{sku}{n}");
            assert_eq!(balances[&code], (on_hand, quarantined, 0, 0), "{code}: on hand, quarantined, held, committed");
        }
    }
    let first = rows(&shop, 0).await;
    for n in 1..SHUFFLES {
        assert_eq!(rows(&shop, n).await, first, "shuffle {n}");
    }
    Arc::into_inner(shop).unwrap().app.finish().await;
}

/// The copy of an order and what it claims, without what tells one shuffle from another.
async fn rows(shop: &Shop, n: i64) -> Value {
    let id = 5_000_000_000_000 + n;
    let copied: Value = sqlx::query_scalar(
        "SELECT jsonb_build_object(
            'order', (SELECT to_jsonb(o) - 'order_id' - 'name' FROM mirror.orders AS o WHERE order_id = $1),
            'lines', (SELECT jsonb_agg(jsonb_build_array(line_id, quantity, current_quantity, unfulfilled_quantity) ORDER BY line_id)
                FROM mirror.order_lines WHERE order_id = $1),
            'fulfilments', (SELECT jsonb_agg(jsonb_build_array(fulfilment_id - 100 * $2, status) ORDER BY fulfilment_id)
                FROM mirror.fulfilments WHERE order_id = $1),
            'fulfilment_lines', (SELECT jsonb_agg(jsonb_build_array(line_id, quantity) ORDER BY fulfilment_line_id)
                FROM mirror.fulfilment_lines WHERE order_id = $1),
            'refunds', (SELECT jsonb_agg(jsonb_build_array(refund_id - 100 * $2, line_id, quantity, restock_type) ORDER BY refund_id)
                FROM mirror.refund_lines WHERE order_id = $1))",
    )
    .bind(id)
    .bind(n)
    .fetch_one(&shop.owner)
    .await
    .unwrap();
    let claims: Value = sqlx::query_scalar(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(line_ref, unit_quantity, quantity) ORDER BY line_ref), '[]')
        FROM demand_lines WHERE order_id = $1",
    )
    .bind(id.to_string())
    .fetch_one(&shop.owner)
    .await
    .unwrap();
    let parcels: Value = sqlx::query_scalar(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(k.code, l.quantity, l.returned_quantity) ORDER BY k.code), '[]')
        FROM shipments AS s
        JOIN shipment_lines AS l ON l.pool_id = s.pool_id AND l.shipment_id = s.shipment_id
        JOIN (SELECT sku_id, left(code, 1) AS code FROM skus) AS k ON k.sku_id = l.sku_id
        WHERE s.order_ref = $1 AND l.voided_at IS NULL",
    )
    .bind(id.to_string())
    .fetch_one(&shop.owner)
    .await
    .unwrap();
    let back: Value = sqlx::query_scalar(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(r.source_ref::bigint - 100 * $2, left(k.code, 1), l.quantity)
            ORDER BY r.source_ref, k.code), '[]')
        FROM returns AS r
        JOIN return_lines AS l ON l.pool_id = r.pool_id AND l.return_id = r.return_id
        JOIN skus AS k ON k.sku_id = l.sku_id
        WHERE r.order_ref = $1",
    )
    .bind(id.to_string())
    .bind(n)
    .fetch_one(&shop.owner)
    .await
    .unwrap();
    // How often it claimed on the way differs; that all of it is an order's and at its end does not.
    let open: Value = sqlx::query_scalar(
        "SELECT jsonb_build_array(
            count(*) FILTER (WHERE r.state NOT IN ('fulfilled', 'cancelled')),
            count(*) FILTER (WHERE c.order_id IS NULL),
            (SELECT count(*) FROM demands WHERE order_id = $1))
        FROM reservations AS r
        LEFT JOIN demand_claims AS c ON c.pool_id = r.pool_id AND c.reservation_id = r.reservation_id
        WHERE r.order_ref = $1",
    )
    .bind(id.to_string())
    .fetch_one(&shop.owner)
    .await
    .unwrap();
    json!({"copied": copied, "claims": claims, "parcels": parcels, "back": back, "open": open})
}
