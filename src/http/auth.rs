//! Who calls, and whether they may. A handler names the scope it needs in its signature, so no route is reachable
//! without its guard.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::app::App;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::ids::ClientId;
use crate::keys::Scope;

/// Scopes as types.
pub mod scope {
    use crate::keys::Scope;

    /// A scope that a handler needs.
    pub trait Needed: Send + Sync + 'static {
        /// Which.
        const SCOPE: Scope;
    }

    macro_rules! scopes {
        ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
            $($(#[$doc])* #[derive(Debug, Clone, Copy)] pub struct $name;
            impl Needed for $name { const SCOPE: Scope = Scope::$name; })+
        };
    }

    scopes!(
        /// Make, read and move reservations.
        Reservations,
        /// Read stock, availability and the catalogue.
        StockRead,
        /// Receive and read lots.
        Lots,
        /// Everything.
        Admin,
    );
}

/// An authenticated caller that has the scope `S` (or admin).
#[derive(Debug, Clone, Copy)]
pub struct Caller<S> {
    /// The program that calls; idempotency keys are its own.
    pub client: ClientId,
    scope: PhantomData<S>,
}

impl<S: scope::Needed> FromRequestParts<Arc<App>> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let known = match token {
            Some(token) => app.keys.find(&app.db, token, app.clock.local_now()).await?,
            None => None,
        };
        // One answer whatever is wrong with the key.
        let Some(key) = known else {
            metrics::counter!("holdfast_unauthorized_total").increment(1);
            return Err(Problem::new(Code::Unauthorized, "Send Authorization: Bearer with a valid API key."));
        };
        if !key.allows(S::SCOPE) {
            return Err(Problem::new(
                Code::Forbidden,
                format!("This needs an API key with the scope {}.", Scope::as_str(S::SCOPE)),
            ));
        }
        Ok(Self { client: key.client, scope: PhantomData })
    }
}
