//! `POST /reservations`: the request and the command it becomes.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::catalog::Pool;
use crate::catalog::recipes::{Mapping, find_mappings};
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::text_id::{GivenId, GivenIdSchema};
use crate::http::violations::Violations;
use crate::ids::ReservationId;
use crate::ledger::command::{Hold, HoldLine, VariantLine};
use crate::ledger::lanes::hint_of_sku;

/// Most lines of one cart.
const MOST_LINES: usize = 100;
/// Largest metadata object, in bytes.
const METADATA_LIMIT: usize = 4096;
/// No hold lasts longer, whatever its class says: 31 days.
pub const LONGEST_TTL_SECONDS: i64 = 31 * 24 * 3600;

/// A cart that asks for units.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReservation {
    /// Pool code; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// What is wanted; 1 to 100 lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required)]
    lines: Option<Vec<CartLine>>,
    /// How long to hold; the classes' shortest default if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<i64>,
    /// Your name for the purchase attempt; unique among your standing reservations.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    /// Whose cart it is; opaque, erasable.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Your own JSON object, at most 4 kB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// `allow`: hold what there is of each line, of a variant as many whole ones as there are; `refuse` (the default): all
    /// or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
    /// An older reservation of the same owner that hands its units over.
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
}

/// Whether less than asked for is welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partial {
    /// Hold what there is.
    Allow,
    /// All or nothing.
    Refuse,
}

/// One line of a cart: exactly one of `sku` and `variant_id`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CartLine {
    /// SKU code.
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// The shop's id of a variant, as text or as a number: what one unit of it is in SKUs, its mapping says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = GivenIdSchema, example = "39684723835051")]
    variant_id: Option<GivenId>,
    /// Units, 1 to 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required, minimum = 1, maximum = 1_000_000_000)]
    quantity: Option<i64>,
    /// If given, must be the cart's pool: a cart draws on one pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
}

/// What the variants of a cart are, as its request found them.
#[derive(Debug, Default)]
pub struct Recipes {
    mappings: HashMap<i64, Mapping>,
    /// The code by which a cart of these alone finds its lane.
    first_code: Option<Arc<str>>,
}

impl Recipes {
    /// Looks up the newest version of each, before the command goes to its lane. A version that is made meanwhile came
    /// after this request: which of two requests that overlap is first is nobody's promise, and the hold says which version
    /// it is of. Stock is decided by the SKUs alone, under their locks. A cart of SKUs asks nothing.
    ///
    /// # Errors
    /// A problem if the database cannot be asked.
    pub async fn of_cart(app: &App, cart: &CreateReservation) -> Result<Self, Problem> {
        let lines = cart.lines.iter().flatten().take(MOST_LINES);
        let ids: Vec<i64> = lines.filter_map(|line| line.variant_id).map(|GivenId(id)| id).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        // Boxed: a cart of SKUs is not to carry its weight.
        Box::pin(async move {
            let mappings = find_mappings(&mut *app.db.acquire().await?, &ids).await?;
            let catalogue = app.catalogue.current();
            let skus = mappings.values().flat_map(|mapping| &mapping.components).map(|(sku, _)| sku);
            let first_code = skus.filter_map(|sku| Some(Arc::clone(&catalogue.sku(*sku)?.code))).min();
            Ok(Self { mappings, first_code })
        })
        .await
    }
}

impl CreateReservation {
    /// The pool it names.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.pool.as_deref().unwrap_or("default")
    }

    /// The command it becomes, and the lane hint of its first SKU.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn into_command(body: Json<Self>, pool: Option<&Pool>, recipes: &Recipes) -> Result<(Hold, u8), Problem> {
        let Json { value, violations: mut v } = body;
        if pool.is_none() {
            v.add_code("/pool", Code::UnknownPool, format!("there is no pool {:?}", value.pool()));
        }
        let of = value.pool().to_owned();
        let lines = v.required("/lines", value.lines).map(|lines| read_lines(&mut v, lines, &of, &recipes.mappings));
        if let Some(ttl) = value.ttl_seconds {
            v.integer("/ttl_seconds", Some(ttl), 1, LONGEST_TTL_SECONDS);
        }
        let metadata = value.metadata.map(serde_json::Value::Object);
        if metadata.as_ref().is_some_and(|metadata| metadata.to_string().len() > METADATA_LIMIT) {
            v.add("/metadata", format!("may have {METADATA_LIMIT} bytes"));
        }
        if metadata.as_ref().is_some_and(has_nul) {
            v.add("/metadata", "must not contain NUL");
        }
        let client_reference = value.client_reference.and_then(|text| v.text("/client_reference", Some(text), 255));
        let owner = value.owner.and_then(|text| v.text("/owner", Some(text), 255));
        let supersedes = value.supersedes.and_then(|text| superseded(&mut v, &text, pool));
        let codes = lines.iter().flat_map(|(lines, _)| lines).map(|line| &line.sku).chain(&recipes.first_code);
        let hint = codes.min().map_or(0, |sku| hint_of_sku(sku));
        let hold = pool.zip(lines).map(|(pool, (lines, variants))| Hold {
            id: ReservationId::new(pool.id, hint),
            lines,
            variants,
            ttl_seconds: value.ttl_seconds,
            client_reference,
            owner,
            metadata,
            allow_partial: value.partial == Some(Partial::Allow),
            supersedes,
        });
        Ok((v.finish(hold)?, hint))
    }
}

fn read_lines(
    v: &mut Violations,
    lines: Vec<CartLine>,
    pool: &str,
    mappings: &HashMap<i64, Mapping>,
) -> (Vec<HoldLine>, Vec<VariantLine>) {
    let mut variants = Vec::new();
    if lines.is_empty() || lines.len() > MOST_LINES {
        v.add("/lines", format!("must have 1 to {MOST_LINES} lines"));
        return (Vec::new(), variants);
    }
    let mut skus = Vec::with_capacity(lines.len());
    for (index, asked) in lines.into_iter().enumerate() {
        let at = |member: &str| format!("/lines/{index}/{member}");
        if asked.pool.as_deref().is_some_and(|own| own != pool) {
            v.add(at("pool"), format!("must be {pool:?}: a cart draws on one pool"));
        }
        let line = i16::try_from(index + 1).unwrap_or(i16::MAX);
        let quantity = v.quantity(&at("quantity"), asked.quantity);
        match (asked.sku, asked.variant_id) {
            (Some(_), Some(_)) => {
                v.add(at("variant_id"), "must be absent where sku is given: a line is one of the two");
            }
            (None, Some(GivenId(variant_id))) => variants.extend(quantity.map(|quantity| {
                let mapping = mappings.get(&variant_id).cloned();
                VariantLine { line, variant_id, quantity, mapping }
            })),
            (None, None) if v.names(&at("variant_id")) => {}
            (sku, None) => {
                let sku = v.required(&at("sku"), sku);
                let sku = v.text(&at("sku"), sku, 128);
                skus.extend(sku.zip(quantity).map(|(sku, quantity)| HoldLine { line, sku: Arc::from(sku), quantity }));
            }
        }
    }
    (skus, variants)
}

/// The database keeps any JSON but that with NUL in a text or a name.
fn has_nul(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, member)| name.contains('\0') || has_nul(member)),
        _ => false,
    }
}

fn superseded(v: &mut Violations, text: &str, pool: Option<&Pool>) -> Option<ReservationId> {
    let id = ReservationId::parse(text);
    match id {
        None => v.add("/supersedes", "must be the id of a reservation"),
        Some(id) if pool.is_some_and(|pool| pool.id != id.pool) => {
            v.add("/supersedes", "must be in the same pool: a cart draws on one pool");
        }
        Some(_) => {}
    }
    id
}
