//! A crowd of storefronts, warehouses and operators does whatever comes to its mind, the same on every run.

use serde_json::json;

use super::{lot, shipment};
use crate::support::TestApp;

const SKUS: [&str; 3] = ["TEA", "MUG", "JAM"];

/// A little noise, the same for every run of a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn units(&mut self) -> i64 {
        i64::try_from(self.roll(6) + 1).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let sides = u64::try_from(of.len()).unwrap().max(1);
        of.get(usize::try_from(self.roll(sides)).unwrap())
    }

    /// One of the newest: people mostly deal with what has just happened.
    fn pick_recent<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        self.pick(&of[of.len().saturating_sub(6)..])
    }
}

/// What a crowd of storefronts, warehouses and operators has made so far.
#[derive(Default)]
struct Made {
    lots: Vec<String>,
    shipments: Vec<String>,
    orders: Vec<String>,
}

async fn anything(app: &TestApp, dice: &mut Dice, made: &mut Made, n: u64) {
    let sku = SKUS[usize::try_from(dice.roll(3)).unwrap()];
    let units = dice.units();
    let today = app.clock.local_now().date_naive();
    let answer = match dice.roll(11) {
        0 | 1 => {
            let expires = today + chrono::Days::new(dice.roll(20));
            let mut more = json!({"received_date": format!("2026-01-{:02}", dice.roll(28) + 1)});
            if dice.roll(2) == 0 {
                more["expires_date"] = json!(expires.to_string());
            }
            made.lots.push(lot(app, sku, units * 3, more).await.id());
            return;
        }
        2 | 3 => {
            let held = app.hold(sku, units).await;
            if held.status == 201 {
                let order = format!("O{n}");
                let path = format!("/reservations/{}/commit", held.id());
                app.client.post(&path, &json!({"order_ref": order})).await.expect(200);
                made.orders.push(order);
            }
            held
        }
        4 | 5 => {
            let order = dice.pick(&made.orders).cloned().filter(|_| dice.roll(3) > 0);
            let pool = if dice.roll(4) == 0 { "eu" } else { "default" };
            let more = json!({"order_ref": order, "pool": pool});
            let mut body = shipment(&format!("f{n}"), &[(sku, units), ("TEA", 1)], more);
            if dice.roll(3) == 0 {
                body["lines"][0]["lot_code"] = json!(format!("B-{}", dice.units() * 3));
            }
            let answer = app.client.post("/shipments", &body).await;
            if answer.status == 201 {
                made.shipments.push(answer.id());
            }
            answer
        }
        6 => {
            let Some(id) = dice.pick_recent(&made.shipments) else { return };
            let body = match dice.roll(3) {
                0 => json!({"reason": "noise"}),
                line => json!({"reason": "noise", "line_refs": [line.to_string()]}),
            };
            app.client.post(&format!("/shipments/{id}/void"), &body).await
        }
        7 => {
            let disposition = if dice.roll(2) == 0 { "restock" } else { "quarantine" };
            let body = json!({"source_ref": format!("r{n}"), "order_ref": dice.pick(&made.orders), "lines": [
                {"sku": sku, "quantity": units, "disposition": disposition, "unit_cost": "1", "currency": "EUR"}
            ]});
            app.client.post("/returns", &body).await
        }
        8 => {
            let Some(id) = dice.pick(&made.lots) else { return };
            let body = json!({"to_pool": "eu", "quantity": units, "reason": "noise"});
            let moved = app.client.post(&format!("/lots/{id}/transfer"), &body).await;
            if moved.status == 200 {
                made.lots.push(moved.id());
            }
            moved
        }
        9 => {
            let Some(id) = dice.pick_recent(&made.lots) else { return };
            let whats = ["quarantine", "quarantine", "quarantine", "unquarantine", "write-off", "revalue"];
            let what = dice.pick(&whats).unwrap();
            let body = match *what {
                "write-off" => json!({"reason": "noise", "quantity": units}),
                "revalue" => json!({"reason": "noise", "unit_cost": format!("{units}.25")}),
                _ => json!({"reason": "noise"}),
            };
            app.client.post(&format!("/lots/{id}/{what}"), &body).await
        }
        _ => {
            app.advance(i64::try_from(dice.roll(60_000)).unwrap());
            // Days that ended meanwhile are closed, in order.
            app.work().await;
            return;
        }
    };
    assert!(answer.status.as_u16() < 500, "{answer:#?}");
}

/// Nothing of a lot that is off sale is for sale: all that is left of it is quarantined, once no line waits for its day.
/// Until then what is for sale is, at most, what is left of lots that are.
async fn nothing_off_sale_is_for_sale(app: &TestApp, days_are_closed: bool) {
    for (pool, sku) in ["default", "eu"].into_iter().flat_map(|pool| SKUS.map(|sku| (pool, sku))) {
        let row = app.client.get(&format!("/availability?sku={sku}&pool={pool}")).await.expect(200).at("/data/0");
        let for_sale =
            row["on_hand_quantity"].as_i64().unwrap_or(0) - row["quarantined_quantity"].as_i64().unwrap_or(0);
        let lots = app.client.get(&format!("/lots?sku={sku}&pool={pool}&open=true&limit=100")).await.expect(200);
        let mut available = 0;
        for lot in lots.at("/data").as_array().unwrap() {
            if lot["status"] == "available" {
                available += lot["remaining_quantity"].as_i64().unwrap();
            } else if days_are_closed && for_sale > 0 {
                assert_eq!(lot["quarantined_quantity"], lot["remaining_quantity"], "{lot:#}");
            }
        }
        assert!(for_sale <= available, "{for_sale} for sale, {available} in lots that are: {row:#}\n{:#}", lots.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_goods_everything_adds_up() {
    for seed in [3, 77] {
        let app = TestApp::start().await;
        let other = app.another().await;
        app.pool("eu").await;
        for sku in ["TEA", "MUG"] {
            app.client.post("/skus", &json!({"code": sku})).await.expect(201);
        }
        app.sku_with("JAM", json!({"depletion_order": "fefo"})).await;
        let (mut dice, mut made) = (Dice(seed), Made::default());
        for n in 0..240 {
            anything(if n % 2 == 0 { &app } else { &other }, &mut dice, &mut made, n).await;
            if n % 10 == 9 {
                app.audit().await;
                nothing_off_sale_is_for_sale(&app, false).await;
            }
        }
        assert!(made.shipments.len() > 10 && made.lots.len() > 15, "the dice must land on everything");
        app.work().await;
        let today = app.clock.local_now().date_naive().to_string();
        for pool in ["default", "eu"] {
            let day = json!({"pool": pool, "date": today, "close_early": true});
            app.client.post("/snapshots", &day).await.expect(201);
        }
        nothing_off_sale_is_for_sale(&app, true).await;
        other.stop().await;
        app.finish().await;
    }
}
