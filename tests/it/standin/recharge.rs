//! The Recharge side.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::Caller;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_list_goes_on_by_its_cursor_alone_and_refuses_one_that_is_none() {
    let caller = Caller::start().await;
    let (variant, _) = caller.order();
    let subscribed = caller.standin.change(|world| {
        (0..5).map(|_| world.subscribe(variant, 2, date("2026-12-24")).unwrap().subscription).collect::<Vec<i64>>()
    });
    let (_, first) = caller.recharge("/subscriptions?limit=2&sort_by=updated_at-asc&updated_at_min=2026-01-01").await;
    let mut page = first;
    let mut seen = Vec::new();
    loop {
        seen.extend(page["subscriptions"].as_array().unwrap().iter().filter_map(|row| row["id"].as_i64()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        let path = format!("/subscriptions?limit=2&cursor={cursor}");
        let (status, _) = caller.recharge(&format!("{path}&updated_at_min=2026-01-01")).await;
        assert_eq!(status, 422, "filters are inside the cursor");
        page = caller.recharge(&path).await.1;
    }
    assert_eq!(seen, subscribed);
    let garbage = caller.recharge("/subscriptions?cursor=garbage").await;
    assert_eq!(garbage, (422, json!({"errors": {"cursor": ["Invalid value"]}})));
    assert_eq!(caller.recharge("/orders/12").await, (404, json!({"errors": "Not Found"})));
    assert_eq!(caller.recharge("/charges?updated_at_min=2999-01-01").await.1["charges"], json!([]));
    caller.standin.stop().await;
}

#[tokio::test]
async fn a_charge_becomes_an_order_that_the_shop_has_too_sooner_or_later() {
    let caller = Caller::start().await;
    let (variant, _) = caller.order();
    let of = caller.standin.change(|world| world.subscribe(variant, 2, date("2026-12-24")).unwrap());
    let (_, queued) = caller.recharge(&format!("/charges/{}", of.charge)).await;
    assert_eq!(queued["charge"]["status"], "queued");
    assert_eq!(queued["charge"]["external_order_id"], json!({"ecommerce": null}));
    assert_eq!(queued["charge"]["line_items"][0]["sku"], "TEA-1");
    let order = caller.standin.change(|world| world.process_charge(of.charge, false).unwrap());
    let (_, alone) = caller.recharge(&format!("/orders/{order}")).await;
    assert_eq!(alone["order"]["external_order_id"]["ecommerce"], Value::Null);
    caller.standin.options().clock.advance(TimeDelta::seconds(9));
    let in_shop = caller.standin.change(|world| world.link(order).unwrap());
    let (_, linked) = caller.recharge(&format!("/orders/{order}")).await;
    assert_eq!(linked["order"]["external_order_id"]["ecommerce"], in_shop.to_string());
    assert_ne!(linked["order"]["updated_at"], alone["order"]["updated_at"]);
    let (_, charges) = caller.recharge("/charges?status=queued").await;
    assert_eq!(charges["charges"][0]["scheduled_at"], "2027-01-23", "the next one is queued: {charges}");
    let (_, subscription) = caller.recharge(&format!("/subscriptions/{}", of.subscription)).await;
    assert_eq!(subscription["subscription"]["next_charge_scheduled_at"], "2027-01-23");
    caller.standin.stop().await;
}
