//! Fetching entities by id, and finding the one that cannot be read among many that can.

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::mirror::shopify::Shopify;
use crate::mirror::store::Copies;
use crate::mirror::store::seen::Kind;
use crate::mirror::upstream::UpstreamError;

/// Unreadable entities of one question after which it is the API that has changed, not an entity that is odd.
pub const MOST_UNREADABLE: usize = 5;

/// Entities as they were when they were asked for.
#[derive(Debug)]
pub struct Fetched {
    /// What there is.
    pub copies: Vec<Copies>,
    /// What there is not.
    pub gone: Vec<i64>,
    /// When that was asked.
    pub asked_at: DateTime<Utc>,
    /// What cannot be read, and why.
    pub unreadable: Vec<(i64, UpstreamError)>,
}

impl Fetched {
    /// Nothing yet.
    #[must_use]
    pub fn nothing(asked_at: DateTime<Utc>) -> Self {
        Self { copies: Vec::new(), gone: Vec::new(), asked_at, unreadable: Vec::new() }
    }

    /// The same, unless more than a few cannot be read: then it is the API that has changed.
    ///
    /// # Errors
    /// What was said of the last of them.
    pub fn unless_changed(self) -> Result<Self, UpstreamError> {
        match self.unreadable.last() {
            Some((_, error)) if self.unreadable.len() > MOST_UNREADABLE => Err(error.clone()),
            _ => Ok(self),
        }
    }
}

/// Fetches products or orders by id. Where the answer cannot be read, or is more than the shop manages at once, halves are
/// asked for until it is known what of. After `most` that cannot be read, what was not asked for yet is told as
/// unreadable, too, so that nobody asks for ever.
///
/// # Errors
/// What the upstream said, where it is not about one of them.
pub async fn by_id(
    shopify: &Shopify,
    clock: &Clock,
    kind: Kind,
    ids: &[i64],
    most: usize,
) -> Result<Fetched, UpstreamError> {
    let mut fetched = Fetched::nothing(clock.local_now());
    let mut parts = vec![ids.to_vec()];
    let mut answers = false;
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match ask(shopify, kind, &part).await {
            Ok((copies, mut gone)) => {
                fetched.copies.push(copies);
                fetched.gone.append(&mut gone);
                answers = true;
            }
            Err(error) if !is_about_an_entity(&error) && !error.is_too_heavy() => return Err(error),
            Err(error) => {
                if let [id] = part[..] {
                    // One alone is too much: then it is the shop that is out of reach, unless it answers something small.
                    if error.is_too_heavy() && !answers {
                        shopify.scopes().await.map_err(|_| error.clone())?;
                        answers = true;
                    }
                    fetched.unreadable.push((id, error));
                } else {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right.to_vec(), left.to_vec()]);
                }
            }
        }
        if fetched.unreadable.len() >= most
            && let Some((_, error)) = fetched.unreadable.last().cloned()
        {
            let rest = std::mem::take(&mut parts).into_iter().flatten();
            fetched.unreadable.extend(rest.map(|id| (id, error.clone())));
        }
    }
    Ok(fetched)
}

/// Whether the others of the same question could be read without it.
pub(crate) fn is_about_an_entity(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Malformed { .. }
            | UpstreamError::ListFull { .. }
            | UpstreamError::KeepsChanging(_)
            | UpstreamError::TooLarge { .. }
    )
}

async fn ask(shopify: &Shopify, kind: Kind, ids: &[i64]) -> Result<(Copies, Vec<i64>), UpstreamError> {
    if kind == Kind::Product {
        let (found, gone) = apart(shopify.products(ids).await?);
        return Ok((Copies::Products(found), gone));
    }
    let (found, gone) = apart(shopify.orders(ids).await?);
    Ok((Copies::Orders(found), gone))
}

fn apart<T>(answers: Vec<(i64, Option<T>)>) -> (Vec<T>, Vec<i64>) {
    let (mut found, mut gone) = (Vec::with_capacity(answers.len()), Vec::new());
    for (id, answer) in answers {
        match answer {
            Some(entity) => found.push(entity),
            None => gone.push(id),
        }
    }
    (found, gone)
}
