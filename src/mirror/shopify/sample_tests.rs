//! Real answers of the Admin API through the readers. They were made by other documents than ours, so most of them lack
//! something that ours ask for: that is filled in, and what they do have, null too, has to be read as it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::documents::{Count, DeletionEvent, Gid, Listed, SubscriptionDocument};
use super::{lists, read, reply};
use crate::mirror::rows::{Order, Product};
use crate::mirror::upstream::answer::{self, Answer};
use crate::mirror::upstream::samples::{Room, fill, objects, samples};

/// Files that no reader of ours is for, and why.
const NOT_OURS: [(&str, &str); 0] = [];

const AT: &str = "2026-01-01T00:00:00Z";

/// What is found in a sample.
#[derive(Default)]
struct Read {
    /// Answers as they came, errors and all.
    replies: usize,
    orders: Vec<Order>,
    products: Vec<Product>,
    locations: usize,
    /// Pages and payloads of webhook subscriptions.
    subscriptions: usize,
    deletions: usize,
    counts: usize,
}

impl Read {
    fn total(&self) -> usize {
        let entities = self.orders.len() + self.products.len() + self.locations;
        self.replies + entities + self.subscriptions + self.deletions + self.counts
    }
}

fn is(kind: &str, object: &Value) -> bool {
    let id = object["id"].as_str().and_then(|id| id.strip_prefix("gid://shopify/")?.strip_prefix(kind));
    id.is_some_and(|id| id.starts_with('/') && Gid::parse(id).is_some())
}

/// An order of which everything was asked but its id.
fn is_nameless_order(object: &Value) -> bool {
    let mut lines = object["lineItems"]["nodes"].as_array().into_iter().flatten();
    object.get("id").is_none() && lines.any(|line| line.get("quantity").is_some())
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

fn each(list: &mut Value, change: impl Fn(&mut Value)) {
    let list = if list.is_array() { list } else { &mut list["nodes"] };
    list.as_array_mut().into_iter().flatten().for_each(change);
}

/// Gives what is named and has no id an id; what is not named stays so.
fn name(owner: &mut Value, names: &[&str]) {
    for of in names {
        if let Some(named) = owner.get_mut(of) {
            fill(named, json!({ "id": "gid://shopify/Something/1" }));
        }
    }
}

/// A list that was asked for by its edges' cursors alone, or not at all, is empty.
fn list_of(owner: &mut Value, list: &str) {
    let paged = owner.get(list).is_none_or(Value::is_object);
    fill(owner, json!({ list: if paged { json!({ "nodes": [] }) } else { json!([]) } }));
}

fn fill_order(order: &mut Value) {
    let lists = json!({ "fulfillments": [], "refunds": [] });
    fill(order, lists);
    list_of(order, "lineItems");
    fill(
        order,
        json!({
            "id": "gid://shopify/Order/1", "name": "?", "createdAt": AT, "updatedAt": AT, "test": false, "confirmed": true,
        }),
    );
    if let Some(total) = order["currentTotalPriceSet"].get_mut("shopMoney") {
        fill(total, json!({ "amount": "1.0" }));
    }
    each(&mut order["lineItems"], |line| {
        let quantity = line.get("quantity").cloned().unwrap_or_else(|| json!(1));
        name(line, &["variant", "product", "lineItemGroup"]);
        let rest = json!({
            "id": "gid://shopify/LineItem/1", "title": "?", "quantity": quantity, "currentQuantity": quantity,
            "unfulfilledQuantity": 0, "requiresShipping": true,
        });
        fill(line, rest);
    });
    each(&mut order["fulfillments"], |parcel| {
        list_of(parcel, "fulfillmentLineItems");
        name(parcel, &["location"]);
        let id = "gid://shopify/Fulfillment/1";
        fill(parcel, json!({ "id": id, "status": "SUCCESS", "createdAt": AT, "updatedAt": AT }));
        let line = json!({
            "id": "gid://shopify/FulfillmentLineItem/1", "quantity": 1, "lineItem": { "id": "gid://shopify/LineItem/1" },
        });
        each(&mut parcel["fulfillmentLineItems"], |sent| fill(sent, line.clone()));
    });
    each(&mut order["refunds"], |refund| {
        list_of(refund, "refundLineItems");
        fill(refund, json!({ "id": "gid://shopify/Refund/1" }));
        let line = json!({
            "quantity": 1, "restockType": "NO_RESTOCK", "restocked": false,
            "lineItem": { "id": "gid://shopify/LineItem/1" },
        });
        each(&mut refund["refundLineItems"], |back| {
            name(back, &["location"]);
            fill(back, line.clone());
        });
    });
}

fn fill_product(product: &mut Value) {
    list_of(product, "variants");
    fill(product, json!({ "title": "?", "status": "ACTIVE", "updatedAt": AT }));
    each(&mut product["variants"], |variant| {
        name(variant, &["inventoryItem"]);
        fill(variant, json!({ "id": "gid://shopify/ProductVariant/1", "updatedAt": AT }));
    });
}

/// An answer as it came: with errors it is a failure, without it has data and tells its cost.
fn read_reply(file: &str, body: &Value) {
    let answer =
        Answer { status: 200, headers: [].into_iter().collect(), body: Bytes::from(body.to_string().into_bytes()) };
    let errors = body["errors"].as_array().is_some_and(|errors| !errors.is_empty());
    let warned = body.pointer("/extensions/search/0/warnings/0").is_some();
    match reply::read(&answer, AT.parse().unwrap()) {
        Ok(reply) => {
            assert!(!errors && !warned, "{file}: errors are overlooked");
            let cost = body.pointer("/extensions/cost/throttleStatus").is_some();
            assert_eq!(reply.throttle.is_some(), cost, "{file}: a cost is overlooked");
        }
        Err(failure) => assert!(errors || warned, "{file}: {failure:?}"),
    }
}

fn read_sample(file: &str, mut sample: Value) -> Read {
    let asked_at: DateTime<Utc> = AT.parse().unwrap();
    let mut of_file = Read::default();
    let mut found = Vec::new();
    objects(&sample, &mut found);
    for body in found.iter().filter(|object| object["data"].is_object() || object["errors"].is_array()) {
        read_reply(file, body);
        of_file.replies += 1;
    }
    with_nodes(&mut sample);
    let mut found = Vec::new();
    objects(&sample, &mut found);
    for object in found {
        let mut object = object.clone();
        if is("Order", &object) || is_nameless_order(&object) {
            fill_order(&mut object);
            of_file
                .orders
                .push(read::order(object, asked_at).unwrap_or_else(|error| panic!("{file}: an order: {error}")));
        } else if is("Product", &object) {
            fill_product(&mut object);
            of_file
                .products
                .push(read::product(object, asked_at).unwrap_or_else(|error| panic!("{file}: a product: {error}")));
        } else if is("Location", &object) {
            fill(&mut object, json!({ "name": "?", "isActive": true }));
            read::location(object, asked_at).unwrap_or_else(|error| panic!("{file}: a location: {error}"));
            of_file.locations += 1;
        } else {
            read_lists(file, &object, &mut of_file);
        }
    }
    of_file
}

/// What an answer lists beside entities.
fn read_lists(file: &str, data: &Value, of_file: &mut Read) {
    if data["webhookSubscriptions"]["nodes"].is_array() {
        let mut page = data["webhookSubscriptions"].clone();
        fill(&mut page, json!({ "pageInfo": { "hasNextPage": false } }));
        each(&mut page, |hook| {
            let uri = hook["endpoint"]["callbackUrl"].as_str().unwrap_or("https://example.org/").to_owned();
            fill(hook, json!({ "id": "gid://shopify/WebhookSubscription/1", "topic": "?", "uri": uri }));
        });
        let read = answer::read::<Listed<SubscriptionDocument>>("webhookSubscriptions", &page);
        assert!(
            !read.unwrap_or_else(|error| panic!("{file}: {error}")).page_info.has_next_page
                || page["pageInfo"]["endCursor"].is_string()
        );
        of_file.subscriptions += 1;
    }
    if data["webhookSubscriptionCreate"].is_object() {
        let payload = &data["webhookSubscriptionCreate"];
        let refused = payload["userErrors"][0].is_object();
        assert_eq!(lists::created(payload).is_err(), refused, "{file}: {payload}");
        of_file.subscriptions += 1;
    }
    for event in data["events"]["nodes"].as_array().into_iter().flatten() {
        let mut event = event.clone();
        fill(&mut event, json!({ "createdAt": AT }));
        answer::read::<DeletionEvent>("events", &event).unwrap_or_else(|error| panic!("{file}: {error}"));
        of_file.deletions += 1;
    }
    for list in ["productsCount", "ordersCount"] {
        if data[list]["count"].is_number() {
            answer::read::<Count>(list, &data[list]).unwrap_or_else(|error| panic!("{file}: {error}"));
            of_file.counts += 1;
        }
    }
}

#[test]
fn every_answer_of_the_samples_is_read() {
    let Some(samples) = samples() else { return };
    let mut all = BTreeMap::new();
    for (file, sample) in samples.into_iter().filter(|(file, sample)| Room::of(file, sample) == Room::Admin) {
        let of_file = read_sample(&file, sample);
        eprintln!("{file}: {} read, {} as answers", of_file.total(), of_file.replies);
        let excused = NOT_OURS.iter().any(|(name, _)| *name == file);
        assert!(excused || of_file.total() > 0, "{file}: nothing of it is read");
        all.insert(file, of_file);
    }
    let Some(bundle) = all.get("docs_gql_order_bundle_lineItemGroup.json") else { return };
    // The samples that are known, and what each of them is there for.
    let grouped = bundle.orders.iter().flat_map(|order| &order.lines).filter(|line| line.group_id.is_some());
    assert_eq!(grouped.count(), 2, "a bundle is its components");
    let orders: Vec<_> = all.values().flat_map(|read| &read.orders).collect();
    let products: Vec<_> = all.values().flat_map(|read| &read.products).collect();
    assert!(orders.len() >= 20, "{} orders", orders.len());
    assert!(products.len() >= 18, "{} products", products.len());
    assert!(all["gql_webhook_subscriptions_2026-04.json"].subscriptions >= 9);
    assert!(all["gql_bulk_validators_2026-04.json"].replies >= 8);
    let lines = || orders.iter().flat_map(|order| &order.lines);
    assert!(lines().any(|line| (line.quantity, line.current_quantity) == (3, 1)), "an edit from three to one");
    assert!(lines().any(|line| line.variant_id.is_none() && line.sku.is_some()), "a custom line with a code");
    let parcels = || orders.iter().flat_map(|order| &order.fulfilments);
    assert!(parcels().any(|parcel| parcel.status == "CANCELLED" && !parcel.lines.is_empty()), "a cancelled parcel");
    let back = orders.iter().flat_map(|order| &order.refunds).flat_map(|refund| &refund.lines);
    assert!(back.into_iter().any(|line| line.restock_type == "RETURN"), "something that came back");
    assert!(products.iter().any(|product| !product.variants.is_empty()), "a product with a variant");
    assert!(products.iter().flat_map(|product| &product.variants).any(|variant| variant.price.is_some()), "a price");
}
