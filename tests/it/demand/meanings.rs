//! What has left is what it left as, whatever its line means since.

use holdfast::mirror::rows::OrderLine;
use reqwest::Method;

use super::*;
use crate::support::copies::product;

/// Two units of a variant, sold under the code TEA.
fn of_variant(line_id: i64, quantity: i64) -> OrderLine {
    OrderLine { variant_id: Some(11), ..line(line_id, "TEA", quantity) }
}

async fn map(shop: &Shop, components: &[(&str, i64)], open_lines: &str) {
    let components: Vec<Value> = components.iter().map(|(sku, units)| json!({"sku": sku, "quantity": units})).collect();
    let body = json!({"components": components, "open_lines": open_lines});
    let path = "/mirror/variants/11/mapping";
    shop.app.client.send(Method::PUT, path, &[("if-match", "*")], Some(&body)).await.expect(200);
    apply(shop).await;
}

/// On hand and committed.
async fn shelf(shop: &Shop, sku: &str) -> (i64, i64) {
    let (on_hand, _, held, committed) = shop.balance(sku).await;
    assert_eq!(held, 0, "{sku}");
    (on_hand, committed)
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_follow_a_mapping_claim_it_for_what_has_not_shipped_alone() {
    // Units of CUP and of TEA in one unit, from now on.
    for (components, cup, tea) in [(vec![("CUP", 1)], 1, 0), (vec![("CUP", 2), ("TEA", 1)], 2, 1)] {
        let shop = Shop::open(|mirror| mirror.restock_on_sale = true).await;
        for sku in ["TEA", "CUP"] {
            shop.app.stock(sku, 20).await;
        }
        product(&shop.app, 1, &[(11, Some("TEA"), false)]).await;
        map(&shop, &[("TEA", 1)], "keep").await;
        let partly = order(1, &[]).added(of_variant(1, 5)).sent(10, &[(1, 2)]);
        let whole = order(2, &[]).added(of_variant(2, 3)).sent(20, &[(2, 3)]);
        let unsent = order(3, &[]).added(of_variant(3, 1)).sent(30, &[(3, 1)]);
        for told in [&partly, &whole, &unsent] {
            shop.tell(told).await;
        }
        assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), ((14, 3), (20, 0)));

        map(&shop, &components, "follow").await;
        let (partly, whole, unsent) = (partly.later(), whole.later(), unsent.later());
        for told in [&partly, &whole, &unsent] {
            shop.tell(told).await;
        }
        assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), ((14, 3 * tea), (20, 3 * cup)));
        // What comes back is what had left.
        let partly = partly.refunded(1, 1, 1, "RETURN");
        let whole = whole.refunded(2, 2, 2, "RETURN");
        for told in [&partly, &whole] {
            shop.tell(told).await;
        }
        assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), ((17, 3 * tea), (20, 3 * cup)));
        // The rest leaves as what the line is by now. What did not leave after all is still to be sent, so it follows.
        let partly = partly.sent(11, &[(1, 3)]);
        let unsent = unsent.unsent(30);
        for told in [&partly, &unsent] {
            shop.tell(told).await;
        }
        let expected = ((18 - 3 * tea, tea), (20 - 3 * cup, cup));
        assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), expected);
        // Last out first: a unit of the second parcel.
        shop.tell(&partly.refunded(3, 1, 1, "RETURN")).await;
        let expected = ((18 - 2 * tea, tea), (20 - 2 * cup, cup));
        assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), expected);
        for id in [1, 2, 3] {
            assert_eq!(shop.findings(id).await, [""; 0], "order {id}");
        }
        shop.app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_mapped_by_itself_after_it_shipped_has_shipped_what_it_shipped() {
    let shop = Shop::open(|_| {}).await;
    for sku in ["TEA", "CUP"] {
        shop.app.stock(sku, 20).await;
    }
    let sent = order(1, &[(7, "TEA", 5)]).sent(10, &[(7, 2)]);
    shop.tell(&sent).await;
    let mapping = json!({"components": [{"sku": "CUP", "quantity": 1}, {"sku": "TEA", "quantity": 2}]});
    let path = "/mirror/orders/shopify/1/lines/7/mapping";
    shop.app.client.send(Method::PUT, path, &[], Some(&mapping)).await.expect(200);
    apply(&shop).await;
    assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), ((18, 6), (20, 3)));
    shop.tell(&sent.sent(11, &[(7, 3)])).await;
    assert_eq!((shelf(&shop, "TEA").await, shelf(&shop, "CUP").await), ((12, 0), (17, 0)));
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_thing_and_unmapped_is_listed_apart_and_holds_up_nothing() {
    let shop = Shop::open(|_| {}).await;
    shop.app.stock("TEA", 10).await;
    let held = shop.hold(&[("TEA", 2)]).await;
    let warranty = OrderLine { requires_shipping: false, ..line(2, "WARRANTY", 3) };
    let mut made = order(1, &[(1, "TEA", 1)]).added(warranty);
    made.reservation_id = Some(held);
    made.lines[1].current_quantity = 2;
    made.lines[1].unfulfilled_quantity = 1;
    shop.tell(&made).await;
    // What the cart held beside goods goes back: every line that is a thing is known.
    assert_eq!(shop.balance("TEA").await, (10, 0, 0, 1));
    let listed = shop.app.client.get("/mirror/unmatched").await.expect(200).at("/data/0");
    assert_eq!((&listed["line_ref"], &listed["requires_shipping"]), (&json!("2"), &json!(false)));
    assert_eq!(listed["quantity"], json!(1), "what it would claim, not what was ordered");
    let goods = shop.app.client.get("/mirror/unmatched?requires_shipping=true").await.expect(200);
    assert_eq!(goods.at("/data"), json!([]));
    assert_eq!(shop.app.client.get("/mirror").await.expect(200).at("/unmatched_lines"), json!(0));
    shop.app.finish().await;
}
