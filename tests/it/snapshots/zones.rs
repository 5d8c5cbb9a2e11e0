//! Local days: as long as the clocks on the wall say, without gap or overlap.

use serde_json::json;

use super::{close, lot, totals};
use crate::support::TestApp;
use crate::support::goods::{Goods, Shipped};

struct Day {
    zone: &'static str,
    date: &'static str,
    /// The first and the last second of it, UTC.
    first: &'static str,
    last: &'static str,
    /// The first second after it.
    after: &'static str,
}

const DAYS: [Day; 5] = [
    Day {
        zone: "America/New_York",
        date: "2025-03-09",
        first: "2025-03-09T05:00:00Z",
        last: "2025-03-10T03:59:59Z",
        after: "2025-03-10T04:00:00Z",
    },
    Day {
        zone: "America/New_York",
        date: "2025-11-02",
        first: "2025-11-02T04:00:00Z",
        last: "2025-11-03T04:59:59Z",
        after: "2025-11-03T05:00:00Z",
    },
    Day {
        zone: "Asia/Tokyo",
        date: "2025-06-10",
        first: "2025-06-09T15:00:00Z",
        last: "2025-06-10T14:59:59Z",
        after: "2025-06-10T15:00:00Z",
    },
    Day {
        zone: "Pacific/Auckland",
        date: "2025-09-28",
        first: "2025-09-27T12:00:00Z",
        last: "2025-09-28T10:59:59Z",
        after: "2025-09-28T11:00:00Z",
    },
    Day {
        zone: "Pacific/Auckland",
        date: "2025-04-06",
        first: "2025-04-05T11:00:00Z",
        last: "2025-04-06T11:59:59Z",
        after: "2025-04-06T12:00:00Z",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_local_midnight_to_local_midnight() {
    for day in DAYS {
        let app = TestApp::start().await;
        let goods = Goods::of(&app.db);
        goods.pool_since(day.first, day.zone).await;
        goods.sku(101, "standard").await;
        goods.lot(lot(1, 101, "2025-01-01", 100, "1.00")).await;
        for (number, at, units) in [(1, day.first, 1), (2, day.last, 10), (3, day.after, 50)] {
            goods.ship(Shipped { number, sku: 101, quantity: units, at, date: day.date, lot: None }).await;
        }
        let closed = close(&app.client, day.date).await.expect(201);
        let window = [closed.at("/window_starts_at"), closed.at("/window_ends_at")];
        assert_eq!(window, [json!(day.first), json!(day.after)], "{} {}", day.zone, day.date);
        assert_eq!(totals(&closed), [2, 0, 11, 11, 0], "{} {}", day.zone, day.date);
        goods.expect_agreement().await;
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_changes_its_zone_neither_skips_nor_repeats_an_hour() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    goods.pool_since("2025-06-10T12:00:00Z", "Pacific/Honolulu").await;
    let mut ended = json!(null);
    let zones = ["Pacific/Honolulu", "Pacific/Kiritimati", "Pacific/Kiritimati", "America/New_York", "Asia/Tokyo"];
    for (number, zone) in zones.into_iter().enumerate() {
        app.client.patch("/pools/default", "*", &json!({ "time_zone": zone })).await.expect(200);
        let day = close(&app.client, &format!("2025-06-{:02}", 10 + number)).await.expect(201);
        assert_eq!(day.at("/time_zone"), zone);
        assert!(ended.is_null() || day.at("/window_starts_at") == ended, "{day:?}");
        ended = day.at("/window_ends_at");
    }
    assert_eq!(ended, "2025-06-14T15:00:00Z");
    app.stop().await;
}
