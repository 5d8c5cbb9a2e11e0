//! One order's life, told by webhooks that come twice, late, shuffled or never, and by polls between them, ends in the
//! same rows and the same balances.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use holdfast::demo::standin::{Back, Delivery, NewOrder, Options, StandIn, Webhooks, World};

use super::shuffles::Dice;
use super::*;
use crate::support::standin::mirroring_with;

const LIVES: usize = 1000;
/// What happens in a whole life; every other one ends before its order is cancelled.
const STEPS: usize = 10;
/// Deliveries under way at once.
const AT_ONCE: usize = 16;

/// One order of three lines, and how far it has come.
#[derive(Default)]
struct Alive {
    order: i64,
    parcel: i64,
    steps: usize,
}

impl Alive {
    fn step(&mut self, world: &mut World, variants: &[i64]) {
        let line = |world: &World, n: usize, order| world.order(order).unwrap().line_ids()[n];
        let order = self.order;
        match self.steps {
            0 => self.order = world.create_order(NewOrder::of(&[(variants[0], 3), (variants[1], 2)])).unwrap(),
            1 => world.edit_quantity(order, line(world, 0, order), 2).unwrap(),
            2 => drop(world.add_line(order, variants[2], 2).unwrap()),
            3 => {
                let sent = [(line(world, 0, order), 1), (line(world, 1, order), 1)];
                self.parcel = world.fulfil(order, &sent, None).unwrap();
            }
            4 => world.cancel_fulfilment(self.parcel).unwrap(),
            5 => {
                let sent = [(line(world, 0, order), 2), (line(world, 1, order), 1)];
                world.fulfil(order, &sent, None).unwrap();
            }
            6 => drop(world.refund(order, &[Back::returned(line(world, 0, order), 1, None)]).unwrap()),
            7 => drop(world.refund(order, &[Back::money(line(world, 0, order), 1)]).unwrap()),
            8 => drop(world.refund(order, &[Back::cancelled(line(world, 2, order), 1)]).unwrap()),
            _ => world.cancel(order, true).unwrap(),
        }
        self.steps += 1;
    }
}

async fn deliver(app: &TestApp, deliveries: &[Delivery]) {
    stream::iter(deliveries)
        .for_each_concurrent(AT_ONCE, |delivery| async move {
            let headers = delivery.headers.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>();
            let client = app.client.with_token("");
            client.post_bytes(&delivery.path(), &headers, delivery.body.clone()).await.expect(200);
        })
        .await;
}

/// What is delivered of what has happened: most of it never, some of it twice, some of it later.
fn shuffle(dice: &mut Dice, news: Vec<Delivery>, late: &mut Vec<Delivery>) -> Vec<Delivery> {
    let mut now = Vec::new();
    for delivery in news {
        match dice.below(20) {
            0..15 => {}
            15..18 => now.push(delivery),
            18 => now.extend([delivery.clone(), delivery]),
            _ => late.push(delivery),
        }
    }
    for at in (1..late.len()).rev() {
        late.swap(at, dice.below(at + 1));
    }
    now.extend(late.drain(late.len() - late.len() / 3..));
    for at in (1..now.len()).rev() {
        now.swap(at, dice.below(at + 1));
    }
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_told_by_webhooks_and_polls_in_any_order_end_in_the_same_rows_and_balances() {
    let options = Options { webhooks: Webhooks::Collected, ..Options::default() };
    let (standin, app) = mirroring_with(options, |mirror| {
        mirror.since = Some("2020-01-01T00:00:00Z".parse().unwrap());
        mirror.settle = Duration::ZERO;
    })
    .await;
    let skus = ["A", "B", "C"];
    for sku in skus {
        app.stock(sku, 100_000).await;
    }
    let variants = standin.change(|world| world.add_product("Tea", &skus).1);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut lives: Vec<Alive> = (0..LIVES).map(|_| Alive::default()).collect();
    let ends = |n: usize| STEPS - n % 2;
    let mut late = Vec::new();
    while lives.iter().enumerate().any(|(n, life)| life.steps < ends(n)) {
        for (n, life) in lives.iter_mut().enumerate() {
            for _ in 0..dice.below(4).min(ends(n) - life.steps) {
                standin.change(|world| life.step(world, &variants));
            }
        }
        let now = shuffle(&mut dice, standin.take_deliveries(), &mut late);
        deliver(&app, &now).await;
        if dice.below(3) > 0 {
            app.work_on_webhooks().await;
        }
        if dice.below(3) == 0 {
            app.advance(31);
            app.work().await;
        }
        if dice.below(2) == 0 {
            drain(&app.app, &CancellationToken::new()).await.unwrap();
        }
    }
    // The last word is a poll's; what is delivered after it tells nothing new.
    app.advance(61);
    app.work().await;
    drain(&app.app, &CancellationToken::new()).await.unwrap();
    deliver(&app, &late).await;
    app.work_on_webhooks().await;
    app.advance(120);
    drain(&app.app, &CancellationToken::new()).await.unwrap();

    check_balances(&standin, &app, &lives).await;
    let rows = rows(&app).await;
    assert_eq!(rows.len(), LIVES);
    for (n, life) in lives.iter().enumerate() {
        assert_eq!(rows[&life.order], rows[&lives[n % 2].order], "life {n}");
    }
    let told: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM mirror.order_progress WHERE findings IS NOT NULL OR applied_revision < revision",
    )
    .fetch_one(&app.db.owner())
    .await
    .unwrap();
    assert_eq!(told, 0, "nothing is pending, and nothing is odd");
    app.finish().await;
    standin.stop().await;
}

/// By the stand-in's own account: what is still to be sent is owned, what was sent and did not come back is gone.
async fn check_balances(standin: &StandIn, app: &TestApp, lives: &[Alive]) {
    let (mut owed, mut sent) = ([0_i64; 3], [0_i64; 3]);
    standin.look(|world| {
        for life in lives {
            let order = world.order(life.order).unwrap();
            for (n, line) in order.lines.iter().enumerate() {
                owed[n] += order.unfulfilled(line);
                sent[n] += order.fulfilled(line.id);
            }
        }
    });
    let lives = i64::try_from(lives.len()).unwrap();
    assert_eq!(owed, [0, lives / 2, lives / 2], "every other order is open");
    let back = [lives, 0, 0];
    for (n, sku) in ["A", "B", "C"].into_iter().enumerate() {
        let seen = app.availability(sku).await;
        let balance = ["on_hand_quantity", "quarantined_quantity", "held_quantity", "committed_quantity"];
        let expected = [100_000 - sent[n] + back[n], back[n], 0, owed[n]];
        assert_eq!(balance.map(|of| seen[of].as_i64().unwrap()), expected, "{sku}");
    }
}

/// What there is of every order, without what tells one from another: its copy, what it claims and what of that its
/// reservations own, what left and what came back.
async fn rows(app: &TestApp) -> BTreeMap<i64, Value> {
    let sql = "SELECT o.order_id, jsonb_build_object(
        'order', jsonb_build_array(o.cancelled_at IS NOT NULL, o.financial_status, o.fulfilment_status),
        'lines', (SELECT jsonb_agg(jsonb_build_array(position, sku, quantity, current_quantity, unfulfilled_quantity) ORDER BY position)
            FROM mirror.order_lines AS l WHERE l.order_id = o.order_id),
        'parcels', (SELECT jsonb_agg(jsonb_build_array(f.status, m.sku, l.quantity) ORDER BY f.status, m.sku)
            FROM mirror.fulfilments AS f JOIN mirror.fulfilment_lines AS l USING (order_id, fulfilment_id)
            JOIN mirror.order_lines AS m USING (order_id, line_id) WHERE f.order_id = o.order_id),
        'refunds', (SELECT jsonb_agg(jsonb_build_array(m.sku, l.quantity, l.restock_type) ORDER BY m.sku, l.restock_type)
            FROM mirror.refund_lines AS l JOIN mirror.order_lines AS m USING (order_id, line_id) WHERE l.order_id = o.order_id),
        'wanted', (SELECT jsonb_agg(jsonb_build_array(k.code, d.quantity) ORDER BY k.code)
            FROM demand_lines AS d JOIN skus AS k USING (sku_id)
            WHERE d.pool_id = 1 AND d.order_id = o.order_id::text AND d.quantity > 0),
        'owned', (SELECT jsonb_agg(jsonb_build_array(code, state, units) ORDER BY code, state) FROM (
            SELECT k.code, r.state, sum(l.held_quantity + l.committed_quantity - l.fulfilled_quantity) AS units
            FROM demand_claims AS c JOIN reservations AS r USING (pool_id, reservation_id)
            JOIN reservation_lines AS l USING (pool_id, reservation_id) JOIN skus AS k USING (sku_id)
            WHERE c.pool_id = 1 AND c.order_id = o.order_id::text AND r.state IN ('held', 'committed')
            GROUP BY k.code, r.state
            HAVING sum(l.held_quantity + l.committed_quantity - l.fulfilled_quantity) > 0) AS own),
        'unclaimed', (SELECT count(*) FROM reservations AS r WHERE r.pool_id = 1 AND r.order_ref = o.order_id::text
            AND NOT EXISTS (SELECT FROM demand_claims AS c WHERE c.pool_id = 1 AND c.reservation_id = r.reservation_id)),
        'sent', (SELECT jsonb_agg(jsonb_build_array(k.code, l.quantity, l.returned_quantity) ORDER BY k.code)
            FROM shipments AS s JOIN shipment_lines AS l USING (pool_id, shipment_id) JOIN skus AS k USING (sku_id)
            WHERE s.pool_id = 1 AND s.order_ref = o.order_id::text AND l.voided_at IS NULL),
        'back', (SELECT jsonb_agg(jsonb_build_array(k.code, l.quantity) ORDER BY k.code)
            FROM returns AS r JOIN return_lines AS l USING (pool_id, return_id) JOIN skus AS k USING (sku_id)
            WHERE r.pool_id = 1 AND r.order_ref = o.order_id::text))
        FROM mirror.orders AS o";
    sqlx::query_as::<_, (i64, Value)>(sql).fetch_all(&app.db.owner()).await.unwrap().into_iter().collect()
}
