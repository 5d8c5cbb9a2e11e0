//! The stand-in for Shopify and Recharge behaves as they do, judged by a plain HTTP client.

use holdfast::demo::standin::{NewOrder, Options, StandIn};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

mod faults;
mod recharge;
mod webhooks;

/// A client that knows no retries.
struct Caller {
    http: reqwest::Client,
    standin: StandIn,
}

impl Caller {
    async fn of(options: Options) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { http: reqwest::Client::new(), standin: StandIn::start(options).await.unwrap() }
    }

    async fn start() -> Self {
        Self::of(Options::default()).await
    }

    async fn try_graphql(&self, query: &str, variables: Value) -> reqwest::Result<Response> {
        let url = format!("{}/admin/api/2026-10/graphql.json", self.standin.shopify_url());
        let body = json!({"query": query, "variables": variables});
        self.http.post(url).header("X-Shopify-Access-Token", &self.standin.options().token).json(&body).send().await
    }

    async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self.try_graphql(query, variables).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-shopify-api-version"], "2026-10");
        answer.json().await.unwrap()
    }

    async fn recharge(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.standin.recharge_url());
        let token = &self.standin.options().recharge_token;
        let request =
            self.http.get(url).header("X-Recharge-Access-Token", token).header("X-Recharge-Version", "2021-11");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A product and an order of 3 of its first variant.
    fn order(&self) -> (i64, i64) {
        self.standin.change(|world| {
            let (_, variants) = world.add_product("Tea", &["TEA-1", "TEA-2"]);
            (variants[0], world.create_order(NewOrder::of(&[(variants[0], 3)])).unwrap())
        })
    }
}

const SEEN: &str = "query Seen($first: Int!, $after: String, $query: String!) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    pageInfo { hasNextPage endCursor } nodes { id updatedAt }
  }
}";

const ORDERS: &str = "query Orders($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Order {
  id legacyResourceId ...Head customAttributes { key value }
  lineItems(first: 1) { nodes { ...Line } pageInfo { hasNextPage endCursor } }
  fulfillments(first: 50) { status location { legacyResourceId }
    fulfillmentLineItems(first: 50) { nodes { quantity lineItem { id } } pageInfo { hasNextPage } } }
  refunds(first: 50) { refundLineItems(first: 50) { nodes { quantity restockType restocked lineItem { id } } } }
} } }
fragment Head on Order { name displayFulfillmentStatus currentTotalPriceSet { shopMoney { amount } } lineItems(first: 1) { edges { node { id } } } }
fragment Line on LineItem { sku quantity currentQuantity unfulfilledQuantity variant { id sku } }";

#[tokio::test]
async fn a_field_that_the_schema_does_not_have_is_refused_as_shopify_does() {
    let caller = Caller::start().await;
    let answer = caller.graphql("{ orders(first: 1) { nodes { id colour } } }", json!({})).await;
    assert_eq!(answer["errors"][0]["message"], "Field 'colour' doesn't exist on type 'Order'");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "undefinedField");
    assert_eq!(answer["errors"][0]["locations"], json!([{"line": 1, "column": 33}]));
    assert!(answer.get("data").is_none());
    let missing = caller.graphql(SEEN, json!({"first": 1})).await;
    assert!(missing["errors"][0]["message"].as_str().unwrap().contains("query"), "{missing}");
    let wide = caller.graphql("{ orders(first: 251) { nodes { id } } }", json!({})).await;
    assert_eq!(wide["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{wide}");
    caller.standin.stop().await;
}

#[tokio::test]
async fn an_order_is_answered_as_it_is_with_what_hangs_on_it() {
    let caller = Caller::start().await;
    let (variant, order) = caller.order();
    let place = caller.standin.change(|world| world.add_location("Warehouse"));
    caller.standin.change(|world| {
        let line = world.order(order).unwrap().lines[0].id;
        world.add_line(order, variant, 1).unwrap();
        world.edit_quantity(order, line, 2).unwrap();
        world.fulfil(order, &[(line, 1)], Some(place)).unwrap();
    });
    let gid = format!("gid://shopify/Order/{order}");
    let answer = caller.graphql(ORDERS, json!({"ids": [gid, "gid://shopify/Order/1", "nonsense"]})).await;
    assert_eq!((&answer["data"]["nodes"][1], &answer["data"]["nodes"][2]), (&Value::Null, &Value::Null), "{answer}");
    let node = &answer["data"]["nodes"][0];
    assert_eq!(node["legacyResourceId"], order.to_string());
    assert_eq!(node["displayFulfillmentStatus"], "PARTIALLY_FULFILLED");
    assert_eq!(node["currentTotalPriceSet"]["shopMoney"]["amount"], "40.5");
    let line = &node["lineItems"]["nodes"][0];
    assert_eq!(
        [&line["quantity"], &line["currentQuantity"], &line["unfulfilledQuantity"]],
        [&json!(3), &json!(2), &json!(1)],
        "an edit lowers the current quantity alone: {line}"
    );
    assert_eq!(line["variant"]["sku"], "TEA-1");
    assert_eq!(node["lineItems"]["edges"].as_array().map(Vec::len), Some(1), "asked for twice, it is one field");
    assert_eq!(node["lineItems"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(node["fulfillments"][0]["location"]["legacyResourceId"], place.to_string());
    caller.standin.stop().await;
}

#[tokio::test]
async fn pages_are_keysets_so_that_what_changes_during_paging_is_seen_again_and_never_lost() {
    let caller = Caller::start().await;
    let clock = caller.standin.options().clock.clone();
    let orders = caller.standin.change(|world| {
        let (_, variants) = world.add_product("Tea", &["TEA-1"]);
        (0..5).map(|_| world.create_order(NewOrder::of(&[(variants[0], 1)])).unwrap()).collect::<Vec<i64>>()
    });
    let query = "updated_at:>='2026-01-01T00:00:00Z' AND updated_at:<'2999-01-01T00:00:00Z'";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let answer = caller.graphql(SEEN, json!({"first": 2, "after": after, "query": query})).await;
        let page = &answer["data"]["orders"];
        assert!(answer["extensions"].get("search").is_none(), "{answer}");
        let ids = page["nodes"].as_array().unwrap().iter();
        seen.extend(ids.map(|node| node["id"].as_str().unwrap().rsplit('/').next().unwrap().parse::<i64>().unwrap()));
        if seen.len() == 2 {
            // One that was seen moves to the end.
            clock.advance(chrono::TimeDelta::seconds(5));
            caller.standin.change(|world| world.touch_order(seen[0]).unwrap());
        }
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert_eq!(seen[0], seen[5]);
    assert!(orders.iter().all(|order| seen.contains(order)));
    assert!(orders.iter().any(|id| *id > 1 << 53), "some ids do not fit into a double");
    let garbage = caller.graphql(SEEN, json!({"first": 2, "after": "x", "query": query})).await;
    assert!(garbage.get("data").is_none());
    caller.standin.stop().await;
}

#[tokio::test]
async fn a_filter_that_is_not_understood_is_ignored_with_a_warning() {
    let caller = Caller::start().await;
    caller.order();
    let answer = caller.graphql(SEEN, json!({"first": 9, "query": "updatedat:>='2999-01-01T00:00:00Z'"})).await;
    assert_eq!(answer["data"]["orders"]["nodes"].as_array().unwrap().len(), 1, "everything comes");
    assert_eq!(answer["extensions"]["search"][0]["warnings"][0]["field"], "updatedat", "{answer}");
    caller.standin.stop().await;
}

#[tokio::test]
async fn products_that_are_deleted_leave_an_event_and_variants_a_hole() {
    let caller = Caller::start().await;
    let (_, order) = caller.order();
    let product = caller.standin.change(|world| {
        let product = world.order(order).unwrap().lines[0].product.unwrap();
        world.delete_product(product).unwrap();
        product
    });
    let events = "query Gone($query: String!) { events(first: 10, query: $query, sortKey: ID) { nodes {
        __typename id action ... on BasicEvent { subjectId subjectType } } pageInfo { hasNextPage endCursor } } }";
    let query = "subject_type:PRODUCT action:destroy created_at:>='2026-01-01T00:00:00Z'";
    let answer = caller.graphql(events, json!({"query": query})).await;
    let event = &answer["data"]["events"]["nodes"][0];
    assert_eq!(event["subjectId"], format!("gid://shopify/Product/{product}"), "{answer}");
    assert!(answer["extensions"].get("search").is_none());
    let answer = caller.graphql(ORDERS, json!({"ids": [format!("gid://shopify/Order/{order}")]})).await;
    let line = &answer["data"]["nodes"][0]["lineItems"]["nodes"][0];
    assert_eq!((&line["variant"], &line["sku"]), (&Value::Null, &json!("TEA-1")));
    caller.standin.stop().await;
}

#[tokio::test]
async fn webhook_subscriptions_are_made_listed_and_deleted() {
    let caller = Caller::start().await;
    let create = "mutation Subscribe($topic: WebhookSubscriptionTopic!, $uri: String!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri, format: JSON}) {
            webhookSubscription { id } userErrors { field message } } }";
    let made = caller.graphql(create, json!({"topic": "ORDERS_UPDATED", "uri": "http://127.0.0.1:1/x"})).await;
    assert_eq!(made["data"]["webhookSubscriptionCreate"]["userErrors"], json!([]), "{made}");
    let list = "{ webhookSubscriptions(first: 50) { nodes { id topic uri } pageInfo { hasNextPage endCursor } } }";
    let listed = caller.graphql(list, json!({})).await;
    let nodes = &listed["data"]["webhookSubscriptions"]["nodes"];
    assert_eq!(nodes[0]["uri"], "http://127.0.0.1:1/x");
    assert_eq!(nodes[0]["id"], made["data"]["webhookSubscriptionCreate"]["webhookSubscription"]["id"]);
    let unknown = caller.graphql(create, json!({"topic": "ORDERS_ODD", "uri": "x"})).await;
    assert!(unknown.get("data").is_none(), "{unknown}");
    caller.standin.stop().await;
}
