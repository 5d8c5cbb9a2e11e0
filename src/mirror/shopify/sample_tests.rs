//! Real answers of the Admin API through the mapper. They were made by other documents than ours, so most of them lack
//! something that ours ask for: that is filled in, and what they do have has to be read as it is.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::documents::Gid;
use super::read;
use crate::mirror::rows::{Order, Product};
use crate::mirror::upstream::samples::{objects, samples};

/// What is found in the samples.
#[derive(Default)]
struct Read {
    whole: usize,
    partial: usize,
    orders: Vec<Order>,
    products: Vec<Product>,
}

fn is(kind: &str, object: &Value) -> bool {
    let id = object["id"].as_str().and_then(|id| id.strip_prefix("gid://shopify/")?.strip_prefix(kind));
    id.is_some_and(|id| id.starts_with('/') && Gid::parse(id).is_some())
}

/// `edges { node }` is `nodes`.
fn with_nodes(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(edges)) = fields.remove("edges") {
                fields.insert("nodes".to_owned(), edges.into_iter().map(|mut edge| edge["node"].take()).collect());
            }
            fields.values_mut().for_each(with_nodes);
        }
        Value::Array(values) => values.iter_mut().for_each(with_nodes),
        _ => {}
    }
}

fn fill(value: &mut Value, defaults: Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (value, defaults) else { return };
    for (name, default) in defaults {
        if fields.get(&name).is_none_or(Value::is_null) {
            fields.insert(name, default);
        }
    }
}

fn each(list: &mut Value, change: impl Fn(&mut Value)) {
    let list = if list.is_array() { list } else { &mut list["nodes"] };
    list.as_array_mut().into_iter().flatten().for_each(change);
}

const AT: &str = "2026-01-01T00:00:00Z";

fn fill_order(order: &mut Value) {
    fill(
        order,
        json!({
            "name": "?", "createdAt": AT, "updatedAt": AT, "test": false, "confirmed": true,
            "lineItems": { "nodes": [] }, "fulfillments": [], "refunds": [],
        }),
    );
    each(&mut order["lineItems"], |line| {
        let quantity = line["quantity"].clone();
        fill(
            line,
            json!({
                "id": "gid://shopify/LineItem/1", "currentQuantity": quantity, "unfulfilledQuantity": 0, "requiresShipping": true,
            }),
        );
    });
    each(&mut order["fulfillments"], |parcel| {
        fill(
            parcel,
            json!({
                "status": "SUCCESS", "createdAt": AT, "updatedAt": AT, "fulfillmentLineItems": { "nodes": [] },
            }),
        );
    });
    each(&mut order["refunds"], |refund| {
        fill(refund, json!({ "refundLineItems": { "nodes": [] } }));
        let line = json!({ "restockType": "NO_RESTOCK", "restocked": false, "lineItem": { "id": "gid://shopify/LineItem/1" } });
        each(&mut refund["refundLineItems"], |back| fill(back, line.clone()));
    });
}

fn fill_product(product: &mut Value) {
    fill(product, json!({ "title": "?", "status": "ACTIVE", "updatedAt": AT, "variants": { "nodes": [] } }));
    each(&mut product["variants"], |variant| fill(variant, json!({ "updatedAt": AT })));
}

fn all() -> Option<BTreeMap<String, Read>> {
    let asked_at = AT.parse().unwrap();
    let mut all = BTreeMap::new();
    for (file, mut sample) in samples()? {
        with_nodes(&mut sample);
        let mut found = Vec::new();
        objects(&sample, &mut found);
        let mut of_file = Read::default();
        for order in found.iter().filter(|object| is("Order", object)) {
            let mut order = (*order).clone();
            let whole = read::order(order.clone(), asked_at).is_ok();
            fill_order(&mut order);
            of_file.orders.push(read::order(order, asked_at).unwrap_or_else(|error| panic!("{file}: {error}")));
            *(if whole { &mut of_file.whole } else { &mut of_file.partial }) += 1;
        }
        for product in found.iter().filter(|object| is("Product", object)) {
            let mut product = (*product).clone();
            let whole = read::product(product.clone(), asked_at).is_ok();
            fill_product(&mut product);
            of_file.products.push(read::product(product, asked_at).unwrap_or_else(|error| panic!("{file}: {error}")));
            *(if whole { &mut of_file.whole } else { &mut of_file.partial }) += 1;
        }
        if of_file.whole + of_file.partial > 0 {
            eprintln!("{file}: {} whole, {} partial", of_file.whole, of_file.partial);
        }
        all.insert(file, of_file);
    }
    Some(all)
}

#[test]
fn every_order_and_product_of_the_samples_is_read() {
    let Some(all) = all() else { return };
    let orders: Vec<_> = all.values().flat_map(|read| &read.orders).collect();
    let products: Vec<_> = all.values().flat_map(|read| &read.products).collect();
    assert!(orders.len() >= 19, "{} orders", orders.len());
    assert!(products.len() >= 18, "{} products", products.len());
    let lines = || orders.iter().flat_map(|order| &order.lines);
    assert!(lines().any(|line| (line.quantity, line.current_quantity) == (3, 1)), "an edit from three to one");
    assert!(lines().any(|line| line.variant_id.is_none() && line.sku.is_some()), "a custom line with a code");
    let parcels = || orders.iter().flat_map(|order| &order.fulfilments);
    assert!(parcels().any(|parcel| parcel.status == "CANCELLED" && !parcel.lines.is_empty()), "a cancelled parcel");
    let back = |kind: &str| {
        orders
            .iter()
            .flat_map(|order| &order.refunds)
            .flat_map(|refund| &refund.lines)
            .any(|line| line.restock_type == kind)
    };
    assert!(back("RETURN"), "something that came back");
    assert!(products.iter().any(|product| !product.variants.is_empty()), "a product with a variant");
    assert!(products.iter().flat_map(|product| &product.variants).any(|variant| variant.price.is_some()), "a price");
}
