//! A checkout holds a variant, and the order of it arrives by the mirror.

use reqwest::Method;

use super::*;
use crate::support::copies::product;

const KIT: i64 = 11;

/// Says what the kit is from now on.
async fn map(shop: &Shop, components: &[(&str, i64)]) {
    let components: Vec<Value> = components.iter().map(|(sku, units)| json!({"sku": sku, "quantity": units})).collect();
    let path = format!("/mirror/variants/{KIT}/mapping");
    let body = json!({ "components": components });
    shop.app.client.send(Method::PUT, &path, &[("if-match", "*")], Some(&body)).await.expect(200);
}

/// A shop of three kits in all, of two teas and a cup each, and of pots that none is made of yet.
async fn open() -> Shop {
    let shop = Shop::open(|_| {}).await;
    for (sku, units) in [("TEA", 6), ("CUP", 3), ("POT", 1)] {
        shop.app.stock(sku, units).await;
    }
    product(&shop.app, 1, &[(KIT, Some("KIT"), false)]).await;
    map(&shop, &[("TEA", 2), ("CUP", 1)]).await;
    shop
}

async fn hold_kits(shop: &Shop, quantity: i64) -> String {
    let body = json!({"lines": [{"variant_id": KIT.to_string(), "quantity": quantity}]});
    shop.app.client.post("/reservations", &body).await.expect(201).id()
}

/// An order of so many kits.
fn order_of(order_id: i64, quantity: i64) -> Order {
    let mut made = order(order_id, &[]).added(line(order_id * 10, "KIT", quantity));
    made.lines[0].variant_id = Some(KIT);
    made
}

/// Held and committed of teas, cups and pots.
async fn claimed(shop: &Shop) -> [(i64, i64); 3] {
    let seen = shop.balances().await;
    ["TEA", "CUP", "POT"].map(|sku| (seen[sku].2, seen[sku].3))
}

async fn reservations_of(shop: &Shop, order_ref: &str) -> usize {
    let path = format!("/reservations?order_ref={order_ref}");
    shop.app.client.get(&path).await.expect(200).at("/data").as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_the_kits_that_its_checkout_held_and_claims_once() {
    let shop = open().await;
    let held = hold_kits(&shop, 3).await;
    let named = Order { reservation_id: Some(held.clone()), ..order_of(1, 3) };
    shop.tell(&named).await;
    assert_eq!(claimed(&shop).await, [(0, 6), (0, 3), (0, 0)]);
    assert_eq!((shop.findings(1).await, reservations_of(&shop, "1").await), (Vec::<String>::new(), 1));
    // One kit is taken off the order, and two are sent: the claim follows as for any line.
    let edited = named.edited(10, 2);
    shop.tell(&edited).await;
    assert_eq!(claimed(&shop).await, [(0, 4), (0, 2), (0, 0)]);
    shop.tell(&edited.sent(10, &[(10, 2)])).await;
    let read = shop.app.client.get(&format!("/reservations/{held}")).await.expect(200);
    assert_eq!(
        (read.at("/state"), read.at("/lines/1/part_of/variant_id")),
        (json!("fulfilled"), json!(KIT.to_string()))
    );

    // Committed by the checkout, under the name that people use, before the order is seen.
    let held = hold_kits(&shop, 1).await;
    let commit = format!("/reservations/{held}/commit");
    shop.app.client.post(&commit, &json!({"order_ref": "#2"})).await.expect(200);
    shop.tell(&order_of(2, 1)).await;
    assert_eq!((claimed(&shop).await, reservations_of(&shop, "2").await), ([(0, 2), (0, 1), (0, 0)], 0));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_seen_after_the_recipe_has_changed_takes_what_its_checkout_held() {
    let shop = open().await;
    let (named, committed) = (hold_kits(&shop, 2).await, hold_kits(&shop, 1).await);
    let commit = format!("/reservations/{committed}/commit");
    shop.app.client.post(&commit, &json!({"order_ref": "2"})).await.expect(200);
    // There is one pot, and two are sold by now.
    map(&shop, &[("POT", 2)]).await;
    let first = Order { reservation_id: Some(named), ..order_of(1, 2) };
    for made in [&first, &order_of(2, 1)] {
        shop.tell(made).await;
        shop.tell(&made.later()).await;
    }
    assert_eq!(claimed(&shop).await, [(0, 6), (0, 3), (0, 0)]);
    assert_eq!(shop.findings(1).await, Vec::<String>::new());
    // Whoever bought without a hold bought what it is now.
    shop.tell(&order_of(3, 1)).await;
    assert_eq!(claimed(&shop).await, [(0, 6), (0, 3), (0, 2)]);
    assert_eq!(shop.findings(3).await, ["oversold"]);
    shop.app.finish().await;
}
