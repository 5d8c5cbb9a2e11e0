//! Writing copies: the only statements that change schema `mirror`.
//!
//! The database refuses whoever does not say that he is the mirror, and rows that would get older. Here that is never
//! tried: a copy is replaced by a newer state only, and only by a different one. Writing the same again, in any order and
//! from any number of instances, touches no row at all, and takes no row lock.
//!
//! ```text
//! unknown ──────────────────────────────────────► inserted
//! newer (updated_at, then fetched_at), different ► replaced, children as a set
//! newer and the same, or older ─────────────────► nothing
//! ```
//!
//! An order that was written has its row in `mirror.order_progress` bumped in the same transaction: from that follows
//! that its meaning to stock is looked at again. Rows are written in the order of their ids, so two writers wait for
//! each other and never deadlock.

mod children;
mod columns;
pub mod gone;
mod locations;
mod orders;
mod products;
mod progress;
mod recharge;
pub mod seen;

pub use locations::write_locations;
pub use orders::write_orders;
pub use products::write_products;
pub use progress::{bump, touch_orders};
pub use recharge::{write_charges, write_customers, write_recharge_orders, write_subscriptions};

use scoped_futures::{ScopedBoxFuture, ScopedFutureExt};
use sqlx::{PgConnection, PgPool};

use super::rows::{Location, Order, Product, RechargeCharge, RechargeCustomer, RechargeOrder, RechargeSubscription};
use crate::db::tx;

/// Entities of one kind, as they were fetched.
#[derive(Debug)]
pub enum Copies {
    /// With all variants.
    Products(Vec<Product>),
    /// All of them: one that is missing is gone.
    Locations(Vec<Location>),
    /// Of Shopify, with everything that hangs on them.
    Orders(Vec<Order>),
    /// Of Recharge.
    Customers(Vec<RechargeCustomer>),
    /// Of Recharge.
    Subscriptions(Vec<RechargeSubscription>),
    /// Of Recharge, with their lines.
    Charges(Vec<RechargeCharge>),
    /// Of Recharge, with their lines.
    RechargeOrders(Vec<RechargeOrder>),
}

impl Copies {
    /// Writes what is newer; gives the ids of what was. Within a transaction of the mirror.
    ///
    /// # Errors
    /// Database errors.
    pub async fn write(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
        match self {
            Self::Products(rows) => write_products(conn, rows).await,
            Self::Locations(rows) => write_locations(conn, rows).await,
            Self::Orders(rows) => write_orders(conn, rows).await,
            Self::Customers(rows) => write_customers(conn, rows).await,
            Self::Subscriptions(rows) => write_subscriptions(conn, rows).await,
            Self::Charges(rows) => write_charges(conn, rows).await,
            Self::RechargeOrders(rows) => write_recharge_orders(conn, rows).await,
        }
    }
}

/// Runs `body` in a transaction of the mirror, at most three times under contention.
///
/// # Errors
/// What the body returned, or what the database said.
pub async fn write<'a, T, E>(
    pool: &PgPool,
    name: &'static str,
    body: impl for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>> + Send + Sync,
) -> Result<T, E>
where
    T: Send + 'a,
    E: From<sqlx::Error> + tx::Contended + Send + 'a,
{
    let body = &body;
    tx::write(pool, name, |conn| {
        async move {
            become_the_mirror(conn).await?;
            body(conn).await
        }
        .scope_boxed()
    })
    .await
}

/// Says, for the rest of the transaction, that it is the mirror who writes. For transactions that write copies and
/// something else.
///
/// # Errors
/// Database errors.
pub async fn become_the_mirror(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"SELECT set_config('holdfast.writer', 'mirror', true) AS "set!""#).fetch_one(conn).await?;
    Ok(())
}
