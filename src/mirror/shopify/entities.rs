//! Orders and products by id: any number of ids, a few at a time, each document whole.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::documents::Gid;
use super::nested::Followed;
use super::operation::Operation;
use super::{Shopify, read};
use crate::mirror::rows::{Order, Product};
use crate::mirror::upstream::UpstreamError;

/// Documents in one request: the API gives up after some ten seconds.
const IDS_MAX: usize = 25;

/// How often a document that changes under our eyes is read again.
const REREADS_MAX: usize = 4;

/// What is fetched by id.
trait Entity: Sized {
    const OPERATION: Operation;
    const TYPE: &'static str;

    fn read(document: Value, fetched_at: DateTime<Utc>) -> Result<Self, UpstreamError>;
}

impl Entity for Order {
    const OPERATION: Operation = Operation::OrdersByIds;
    const TYPE: &'static str = "Order";

    fn read(document: Value, fetched_at: DateTime<Utc>) -> Result<Self, UpstreamError> {
        read::order(document, fetched_at)
    }
}

impl Entity for Product {
    const OPERATION: Operation = Operation::ProductsByIds;
    const TYPE: &'static str = "Product";

    fn read(document: Value, fetched_at: DateTime<Utc>) -> Result<Self, UpstreamError> {
        read::product(document, fetched_at)
    }
}

impl Shopify {
    /// These orders as they are now, in the order of the ids. `None`: gone, or not to be seen with this token.
    ///
    /// # Errors
    /// If any of them cannot be had.
    pub async fn orders(&self, ids: &[i64]) -> Result<Vec<(i64, Option<Order>)>, UpstreamError> {
        self.entities(ids).await
    }

    /// These products as they are now with all their variants, in the order of the ids. `None`: gone.
    ///
    /// # Errors
    /// If any of them cannot be had.
    pub async fn products(&self, ids: &[i64]) -> Result<Vec<(i64, Option<Product>)>, UpstreamError> {
        self.entities(ids).await
    }

    async fn entities<T: Entity>(&self, ids: &[i64]) -> Result<Vec<(i64, Option<T>)>, UpstreamError> {
        // How many of them are asked for at a time is the client's business.
        let chunks = try_join_all(ids.chunks(IDS_MAX).map(|chunk| self.chunk(chunk))).await?;
        Ok(chunks.into_iter().flatten().collect())
    }

    async fn chunk<T: Entity>(&self, ids: &[i64]) -> Result<Vec<(i64, Option<T>)>, UpstreamError> {
        let (fetched_at, documents) = self.documents::<T>(ids).await?;
        let whole = ids.iter().zip(documents).map(|(id, document)| self.whole(*id, fetched_at, document));
        let entities: Vec<Option<T>> = try_join_all(whole).await?;
        Ok(ids.iter().copied().zip(entities).collect())
    }

    /// The documents of these ids, in their order, with the first page of each nested list.
    async fn documents<T: Entity>(&self, ids: &[i64]) -> Result<(DateTime<Utc>, Vec<Value>), UpstreamError> {
        let gids: Vec<_> = ids.iter().map(|id| format!("gid://shopify/{}/{id}", T::TYPE)).collect();
        let (fetched_at, mut data) = self.ask(T::OPERATION, &json!({ "ids": gids })).await?;
        let malformed = |reason: &str| UpstreamError::Malformed { path: "nodes".to_owned(), reason: reason.to_owned() };
        let Value::Array(nodes) = data["nodes"].take() else { return Err(malformed("there is no list")) };
        if nodes.len() != ids.len() {
            return Err(malformed("there are not as many as were asked for"));
        }
        for (id, node) in ids.iter().zip(&nodes) {
            let answered = node["id"].as_str().and_then(Gid::parse);
            if !node.is_null() && answered != Some(Gid(*id)) {
                return Err(malformed("they are not the ones that were asked for"));
            }
        }
        Ok((fetched_at, nodes))
    }

    async fn whole<T: Entity>(
        &self,
        id: i64,
        mut fetched_at: DateTime<Utc>,
        mut document: Value,
    ) -> Result<Option<T>, UpstreamError> {
        for _ in 0..REREADS_MAX {
            if document.is_null() {
                return Ok(None);
            }
            if self.follow(&mut document).await? == Followed::Whole {
                return T::read(document, fetched_at).map(Some);
            }
            let (again_at, mut again) = self.documents::<T>(&[id]).await?;
            (fetched_at, document) = (again_at, again.pop().unwrap_or_default());
        }
        Err(UpstreamError::KeepsChanging(format!("{} {id}", T::TYPE.to_lowercase())))
    }
}
