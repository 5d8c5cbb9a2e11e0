//! What came in and what it was revalued by, less what was written off, is what was sold, net, and what is on hand
//! worth: after whatever happens, in whichever order. And at no date was a lot worth anything of which nothing was there,
//! or there less than nothing of it.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde_json::json;

use super::Shop;

/// A shipment of the run.
struct Sent {
    id: String,
    quantity: i64,
    returned: i64,
    gone: bool,
}

/// Numbers that come out the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }

    fn units(&mut self, most: i64) -> i64 {
        i64::try_from(self.below(usize::try_from(most).unwrap())).unwrap() + 1
    }

    fn cost(&mut self) -> String {
        ["3.10", "4", "4.123456", "5.5", "6"][self.below(5)].to_owned()
    }
}

struct Run {
    shop: Shop,
    dice: Dice,
    first: NaiveDate,
    /// The day that is closed next; behind today where closes are late.
    open: NaiveDate,
    lots: Vec<String>,
    sent: Vec<Sent>,
    /// At what they cost: lots that were received or found.
    came_in: Decimal,
    step: u32,
}

fn decimal(value: &serde_json::Value) -> Decimal {
    value.as_str().map_or(Decimal::ZERO, |text| text.parse().unwrap())
}

impl Run {
    async fn sellable(&self) -> i64 {
        let answer = self.shop.app.client.get("/availability?sku=TEA").await.expect(200);
        answer.at("/data/0/sellable_quantity").as_i64().unwrap()
    }

    async fn act(&mut self) {
        self.step += 1;
        let name = format!("step-{}", self.step);
        match self.dice.below(10) {
            0 | 1 => {
                let (units, cost) = (self.dice.units(12), self.dice.cost());
                self.lots.push(self.shop.receive(&name, self.shop.today(), units, &cost).await);
                self.came_in += Decimal::from(units) * cost.parse::<Decimal>().unwrap();
            }
            2 if !self.lots.is_empty() => {
                let lot = self.shop.find(&name, 3).await;
                let found = self.shop.app.client.get(&format!("/lots/{lot}")).await.expect(200);
                self.came_in += Decimal::from(3) * decimal(&found.at("/unit_cost"));
                self.lots.push(lot);
            }
            3 | 4 => {
                let sellable = self.sellable().await;
                if sellable > 0 {
                    let quantity = self.dice.units(sellable);
                    let id = self.shop.ship(&name, quantity, None).await;
                    self.sent.push(Sent { id, quantity, returned: 0, gone: false });
                }
            }
            5 => self.take_back(&name).await,
            6 => self.void().await,
            7 if !self.lots.is_empty() => {
                let (lot, cost) = (self.dice.below(self.lots.len()), self.dice.cost());
                let correct = [None, Some(true)][self.dice.below(2)];
                self.shop.revalue(&self.lots[lot], &cost, correct).await;
            }
            8 if !self.lots.is_empty() => {
                let lot = &self.lots[self.dice.below(self.lots.len())];
                let body = json!({"quantity": 1, "reason": "broken"});
                let answer = self.shop.app.client.post(&format!("/lots/{lot}/write-off"), &body).await;
                assert!(matches!(answer.status.as_u16(), 200 | 409), "{answer:?}");
            }
            _ => self.shop.app.advance(86_400),
        }
        // Some days are closed late.
        while self.open < self.shop.today() && self.dice.below(3) > 0 {
            crate::snapshots::close(&self.shop.app.client, &self.open.to_string()).await.expect(201);
            self.open = self.open + Days::new(1);
        }
    }

    async fn take_back(&mut self, name: &str) {
        let Some(of) = self.sent.iter().position(|sent| !sent.gone && sent.returned < sent.quantity) else { return };
        let units = self.dice.units(self.sent[of].quantity - self.sent[of].returned);
        let answer = self.shop.take_back(name, &self.sent[of].id, units).await.expect(201);
        self.sent[of].returned += units;
        for lot in answer.at("/lines/0/lots").as_array().unwrap() {
            self.lots.push(lot["lot_id"].as_str().unwrap().to_owned());
        }
    }

    async fn void(&mut self) {
        if let Some(sent) = self.sent.iter_mut().rev().find(|sent| !sent.gone && sent.returned == 0) {
            sent.gone = true;
            self.shop.void(&sent.id).await;
        }
    }

    /// What revaluations added, and what was written off, as the lots' own ledgers tell it.
    async fn revalued_less_written_off(&self) -> Decimal {
        let mut sum = Decimal::ZERO;
        for lot in &self.lots {
            let rows = self.shop.app.client.get(&format!("/lots/{lot}/transactions?limit=100")).await.expect(200);
            assert!(rows.at("/next_cursor").is_null());
            for row in rows.at("/data").as_array().unwrap() {
                let counts = match row["kind"].as_str().unwrap() {
                    "revaluation" | "write_off" => true,
                    // What was revalued while it was away.
                    "correction" => row["source_ref"].is_null(),
                    _ => false,
                };
                if counts {
                    sum += decimal(&row["value_delta"]);
                }
            }
        }
        sum
    }

    async fn check(&self) {
        let client = &self.shop.app.client;
        let until = self.shop.today() + Days::new(1);
        let report = client.get(&format!("/reports/cogs?from={}&to={until}&by=pool", self.first)).await.expect(200);
        let worth = client.get("/reports/valuation?by=pool").await.expect(200);
        let explained = decimal(&report.at("/data/0/net_cost")) + decimal(&worth.at("/data/0/value"));
        assert_eq!(self.came_in + self.revalued_less_written_off().await, explained, "after step {}", self.step);
        for date in self.first.iter_days().take_while(|date| *date <= until) {
            let lots = client.get(&format!("/reports/valuation?as_of={date}&by=lot")).await.expect(200);
            for lot in lots.at("/data").as_array().unwrap() {
                let (units, value) = (lot["remaining_quantity"].as_i64().unwrap(), decimal(&lot["value"]));
                let sound = units > 0 && value > Decimal::ZERO;
                assert!(sound, "after step {}, at the end of {date}: {lot}", self.step);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_is_on_hand_or_sold_or_written_off_to_the_cent_whatever_happens() {
    for seed in 1..=4 {
        let shop = Shop::open().await;
        let first = shop.today();
        let mut run = Run {
            shop,
            dice: Dice(seed),
            first,
            open: first,
            lots: Vec::new(),
            sent: Vec::new(),
            came_in: Decimal::ZERO,
            step: 0,
        };
        for round in 0..40 {
            run.act().await;
            if round % 5 == 4 {
                run.check().await;
            }
        }
        run.shop.finish().await;
    }
}
