//! Local days: as long as the clocks on the wall say, without gap or overlap.

use chrono::{DateTime, Days, Utc};
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

/// Gives the default pool another zone.
async fn move_to(app: &TestApp, zone: &str) {
    app.client.patch("/pools/default", "*", &json!({ "time_zone": zone })).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_over_end_in_the_zone_they_were_lived_in() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    let today = app.clock.local_now().date_naive();
    let [first, second] = [3, 2].map(|days| today - Days::new(days));
    goods.pool_since(&format!("{first}T09:00:00Z"), "UTC").await;
    goods.sku(101, "standard").await;
    goods.lot(lot(1, 101, "2025-01-01", 100, "1.00")).await;
    move_to(&app, "America/New_York").await;
    // Three days wait to be closed; a parcel left in the small hours of the second.
    let line = json!({"sku": "SKU-101", "quantity": 1});
    let body = json!({"source_ref": "1", "shipped_at": format!("{second}T03:00:00Z"), "lines": [line]});
    let sent = app.client.post("/shipments", &body).await.expect(201);
    assert_eq!(sent.at("/lines/0/shipped_date"), json!(second));
    for date in [first, second] {
        let day = close(&app.client, &date.to_string()).await.expect(201);
        let window = ["time_zone", "window_starts_at", "window_ends_at"].map(|name| day.at(&format!("/{name}")));
        let next = date + Days::new(1);
        assert_eq!(window, [json!("UTC"), json!(format!("{date}T00:00:00Z")), json!(format!("{next}T00:00:00Z"))]);
        assert_eq!(totals(&day)[0], i64::from(date == second), "{date}");
    }
    let taken = app.client.get(&format!("/shipments/{}", sent.id())).await.expect(200);
    assert_eq!(taken.at("/lines/0/snapshot_date"), json!(second));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_changes_its_zone_neither_skips_nor_repeats_an_hour() {
    let app = TestApp::start().await;
    app.stock("TEA", 100).await;
    let mut date = app.clock.local_now().date_naive();
    let (mut ended, mut zone) = (json!(null), "UTC");
    for (number, next) in ["America/New_York", "Asia/Tokyo", "Pacific/Honolulu", "UTC"].into_iter().enumerate() {
        // Of two changes on one date the last counts, and neither counts on the date itself.
        move_to(&app, "Pacific/Auckland").await;
        move_to(&app, next).await;
        let line = json!({"sku": "TEA", "quantity": 1});
        let body = json!({"source_ref": number.to_string(), "lines": [line]});
        let sent = app.client.post("/shipments", &body).await.expect(201);
        assert_eq!(sent.at("/lines/0/shipped_date"), json!(date), "{zone}");
        let early = app.client.post("/snapshots", &json!({"date": date + Days::new(1)})).await;
        early.refused(422, "day_not_over");
        let ends: DateTime<Utc> = {
            let tz: chrono_tz::Tz = zone.parse().unwrap();
            holdfast::catalog::zones::end_of(tz, date)
        };
        let left = ends - app.clock.local_now();
        app.advance(left.num_seconds() + 60);
        let day = close(&app.client, &date.to_string()).await.expect(201);
        assert_eq!([day.at("/time_zone"), day.at("/window_ends_at")], [json!(zone), json!(ends)]);
        assert!(ended.is_null() || day.at("/window_starts_at") == ended, "{day:?}");
        assert_eq!(totals(&day)[..2], [1, 0], "the day that a line is dated is the day that takes it");
        (ended, zone, date) = (day.at("/window_ends_at"), next, date + Days::new(1));
    }
    app.finish().await;
}
