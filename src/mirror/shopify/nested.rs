//! Lists within a document that did not fit in their first page.
//!
//! Each is followed to its end and put together in the document, so that what is read is whole. Meanwhile the order may
//! change: then the pages belong to two states of it, and it has to be read again from the start.

use serde_json::{Value, json};

use super::Shopify;
use super::documents::PageInfo;
use super::operation::Operation;
use crate::mirror::upstream::UpstreamError;
use crate::mirror::upstream::answer::read;

/// A list that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Nest {
    /// What asks for more of it.
    operation: Operation,
    /// The JSON pointer of what it belongs to, in the document.
    owner: String,
    /// Its name there.
    list: &'static str,
    /// Where the next page begins.
    after: String,
}

/// Whether the pages of a document belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// The document is whole.
    Whole,
    /// It changed while its pages were read.
    Changed,
}

/// One more page of a list.
struct More {
    nodes: Vec<Value>,
    page: PageInfo,
    /// When the document that it belongs to last changed.
    updated_at: Value,
}

impl Shopify {
    /// Puts all nested pages of an order or a product into it.
    pub(super) async fn follow(&self, document: &mut Value) -> Result<Followed, UpstreamError> {
        for nest in open(document)? {
            if self.follow_one(document, nest).await? == Followed::Changed {
                return Ok(Followed::Changed);
            }
        }
        Ok(Followed::Whole)
    }

    async fn follow_one(&self, document: &mut Value, nest: Nest) -> Result<Followed, UpstreamError> {
        let id = document.pointer(&nest.owner).map(|owner| owner["id"].clone()).unwrap_or_default();
        let mut after = nest.after.clone();
        loop {
            let (_, data) = self.ask(nest.operation, &json!({ "id": id, "after": after })).await?;
            let Some(more) = more(&nest, data)? else { return Ok(Followed::Changed) };
            if more.updated_at != document["updatedAt"] {
                return Ok(Followed::Changed);
            }
            append(document, &nest, more.nodes);
            match next(&more.page, nest.list)? {
                Some(next) if next == after => return Err(broken(nest.list, "the next page is the same page")),
                Some(next) => after = next,
                None => return Ok(Followed::Whole),
            }
        }
    }
}

/// The lists of an order or a product that go on.
fn open(document: &Value) -> Result<Vec<Nest>, UpstreamError> {
    let mut open = Vec::new();
    let mut look = |owner: &Value, at: String, list: &'static str, operation| {
        let Some(connection) = owner.get(list) else { return Ok(()) };
        let page: PageInfo = read(list, &connection["pageInfo"])?;
        open.extend(next(&page, list)?.map(|after| Nest { operation, owner: at, list, after }));
        Ok(())
    };
    look(document, String::new(), "lineItems", Operation::OrderLinesMore)?;
    look(document, String::new(), "variants", Operation::ProductVariantsMore)?;
    for (at, owner) in document["fulfillments"].as_array().into_iter().flatten().enumerate() {
        look(owner, format!("/fulfillments/{at}"), "fulfillmentLineItems", Operation::FulfilmentLinesMore)?;
    }
    for (at, owner) in document["refunds"].as_array().into_iter().flatten().enumerate() {
        look(owner, format!("/refunds/{at}"), "refundLineItems", Operation::RefundLinesMore)?;
    }
    Ok(open)
}

/// Where a list goes on, if it does.
pub(super) fn next(page: &PageInfo, list: &str) -> Result<Option<String>, UpstreamError> {
    match (page.has_next_page, &page.end_cursor) {
        (false, _) => Ok(None),
        (true, Some(cursor)) => Ok(Some(cursor.clone())),
        (true, None) => Err(broken(list, "there is a next page but no cursor")),
    }
}

/// Reads one more page; nothing if what it belongs to is gone.
fn more(nest: &Nest, mut data: Value) -> Result<Option<More>, UpstreamError> {
    let root = match nest.operation {
        Operation::FulfilmentLinesMore => "fulfillment",
        Operation::RefundLinesMore => "refund",
        Operation::ProductVariantsMore => "product",
        _ => "order",
    };
    let mut owner = data[root].take();
    if owner.is_null() {
        return Ok(None);
    }
    let updated_at = owner.get("updatedAt").or_else(|| owner.pointer("/order/updatedAt")).cloned().unwrap_or_default();
    let page = read(nest.list, &owner[nest.list]["pageInfo"])?;
    match owner[nest.list]["nodes"].take() {
        Value::Array(nodes) => Ok(Some(More { nodes, page, updated_at })),
        _ => Err(broken(nest.list, "there is no list")),
    }
}

fn append(document: &mut Value, nest: &Nest, nodes: Vec<Value>) {
    let list = document.pointer_mut(&nest.owner).and_then(|owner| owner.get_mut(nest.list));
    if let Some(Value::Array(all)) = list.and_then(|list| list.get_mut("nodes")) {
        all.extend(nodes);
    }
}

fn broken(list: &str, reason: &str) -> UpstreamError {
    UpstreamError::Malformed { path: format!("{list}.pageInfo"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(next: Option<&str>) -> Value {
        json!({ "nodes": [], "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next } })
    }

    #[test]
    fn every_list_that_goes_on_is_found_and_one_without_a_cursor_is_an_error() {
        let parcel = |next| json!({ "id": "f", "fulfillmentLineItems": connection(next) });
        let refund = |next| json!({ "id": "r", "refundLineItems": connection(next) });
        let order = json!({
            "id": "o",
            "lineItems": connection(Some("a")),
            "fulfillments": [parcel(None), parcel(Some("b"))],
            "refunds": [refund(Some("c"))],
        });
        let found = open(&order).unwrap().into_iter().map(|nest| (nest.operation, nest.owner, nest.after));
        let expected = [
            (Operation::OrderLinesMore, "", "a"),
            (Operation::FulfilmentLinesMore, "/fulfillments/1", "b"),
            (Operation::RefundLinesMore, "/refunds/0", "c"),
        ];
        let expected = expected.map(|(operation, owner, after)| (operation, owner.to_owned(), after.to_owned()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let no_cursor = json!({ "variants": { "nodes": [], "pageInfo": { "hasNextPage": true, "endCursor": null } } });
        assert!(open(&no_cursor).is_err());
        assert!(open(&json!({ "variants": { "nodes": [] } })).is_err(), "whether it goes on is not known");
    }
}
