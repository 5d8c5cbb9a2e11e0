//! Which streams there are, and what is peculiar to each.

use std::fmt;

use chrono::TimeDelta;

use crate::mirror::Settings;
use crate::mirror::rows::Source;
use crate::mirror::store::seen::Kind;

/// Entities of one kind at one upstream, in the order of their changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Of Shopify: all of them at once, there are few.
    Locations,
    /// Of Shopify, with their variants.
    Products,
    /// Of Shopify.
    Orders,
    /// Of Recharge.
    Customers,
    /// Of Recharge.
    Subscriptions,
    /// Of Recharge.
    Charges,
    /// Of Recharge.
    RechargeOrders,
}

impl Stream {
    /// All of them, in the order in which they are first copied: what is named before what names it.
    pub const ALL: [Self; 7] = [
        Self::Locations,
        Self::Products,
        Self::Orders,
        Self::Customers,
        Self::Subscriptions,
        Self::Charges,
        Self::RechargeOrders,
    ];

    /// Those of one upstream.
    #[must_use]
    pub fn of(source: Source) -> Vec<Self> {
        Self::ALL.into_iter().filter(|stream| stream.source() == source).collect()
    }

    /// Those of the upstreams that are set up.
    #[must_use]
    pub fn set_up(settings: &Settings) -> Vec<Self> {
        let is_set_up = |stream: &Self| match stream.source() {
            Source::Shopify => settings.shopify.is_some(),
            Source::Recharge => settings.recharge.is_some(),
        };
        Self::ALL.into_iter().filter(is_set_up).collect()
    }

    /// Its upstream.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::Locations | Self::Products | Self::Orders => Source::Shopify,
            Self::Customers | Self::Subscriptions | Self::Charges | Self::RechargeOrders => Source::Recharge,
        }
    }

    /// The word in SQL, JSON and metrics; of its source alone.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Locations => "locations",
            Self::Products => "products",
            Self::Orders | Self::RechargeOrders => "orders",
            Self::Customers => "customers",
            Self::Subscriptions => "subscriptions",
            Self::Charges => "charges",
        }
    }

    /// What its copies are; none for locations, which have no time of change to compare.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Locations => None,
            Self::Products => Some(Kind::Product),
            Self::Orders => Some(Kind::Order),
            Self::Customers => Some(Kind::Customer),
            Self::Subscriptions => Some(Kind::Subscription),
            Self::Charges => Some(Kind::Charge),
            Self::RechargeOrders => Some(Kind::RechargeOrder),
        }
    }

    /// How far back a poll looks behind the point up to which everything is copied. Searches of Shopify trail its writes;
    /// Recharge labels US-Eastern wall time as UTC in places, which is up to five hours.
    #[must_use]
    pub fn overlap(self) -> TimeDelta {
        match self.source() {
            Source::Shopify => TimeDelta::minutes(10),
            Source::Recharge => TimeDelta::hours(6),
        }
    }

    /// Objects after which a window is closed, and the next begins where it ended: Shopify pages through 25,000 of one
    /// search and no further.
    #[must_use]
    pub fn window_most(self, settings: &Settings) -> i64 {
        match self.source() {
            Source::Shopify => settings.window_most,
            Source::Recharge => i64::MAX,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source(), self.name())
    }
}
