//! Everything that is ever sent to the Admin API, in a closed list: there is no way to send anything else.

/// A document of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Which orders changed in a window.
    OrdersSeen,
    /// Orders, whole.
    OrdersByIds,
    /// Further lines of an order.
    OrderLinesMore,
    /// Further lines of a fulfilment.
    FulfilmentLinesMore,
    /// Further lines of a refund.
    RefundLinesMore,
    /// Which products changed in a window.
    ProductsSeen,
    /// Products, whole.
    ProductsByIds,
    /// Further variants of a product.
    ProductVariantsMore,
    /// Which products were deleted.
    ProductsDeleted,
    /// Every location.
    Locations,
    /// What the token may see.
    Scopes,
    /// Our webhook subscriptions.
    WebhookSubscriptions,
    /// Another webhook subscription.
    WebhookSubscriptionCreate,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::OrdersSeen,
        Self::OrdersByIds,
        Self::OrderLinesMore,
        Self::FulfilmentLinesMore,
        Self::RefundLinesMore,
        Self::ProductsSeen,
        Self::ProductsByIds,
        Self::ProductVariantsMore,
        Self::ProductsDeleted,
        Self::Locations,
        Self::Scopes,
        Self::WebhookSubscriptions,
        Self::WebhookSubscriptionCreate,
    ];

    /// The word in traces and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.parts().0
    }

    /// What is sent.
    #[must_use]
    pub fn document(self) -> &'static str {
        self.parts().1
    }

    /// What it is thought to cost until an answer has said. Estimates, on the high side.
    #[must_use]
    pub fn first_cost(self) -> u32 {
        self.parts().2
    }

    fn parts(self) -> (&'static str, &'static str, u32) {
        match self {
            Self::OrdersSeen => ("orders_seen", include_str!("queries/orders_seen.graphql"), 13),
            Self::OrdersByIds => ("orders_by_ids", include_str!("queries/orders_by_ids.graphql"), 96),
            Self::OrderLinesMore => ("order_lines_more", include_str!("queries/order_lines_more.graphql"), 58),
            Self::FulfilmentLinesMore => {
                ("fulfilment_lines_more", include_str!("queries/fulfilment_lines_more.graphql"), 26)
            }
            Self::RefundLinesMore => ("refund_lines_more", include_str!("queries/refund_lines_more.graphql"), 37),
            Self::ProductsSeen => ("products_seen", include_str!("queries/products_seen.graphql"), 13),
            Self::ProductsByIds => ("products_by_ids", include_str!("queries/products_by_ids.graphql"), 40),
            Self::ProductVariantsMore => {
                ("product_variants_more", include_str!("queries/product_variants_more.graphql"), 36)
            }
            Self::ProductsDeleted => ("products_deleted", include_str!("queries/products_deleted.graphql"), 13),
            Self::Locations => ("locations", include_str!("queries/locations.graphql"), 13),
            Self::Scopes => ("scopes", include_str!("queries/scopes.graphql"), 10),
            Self::WebhookSubscriptions => {
                ("webhook_subscriptions", include_str!("queries/webhook_subscriptions.graphql"), 24)
            }
            Self::WebhookSubscriptionCreate => {
                ("webhook_subscription_create", include_str!("queries/webhook_subscription_create.graphql"), 10)
            }
        }
    }
}
