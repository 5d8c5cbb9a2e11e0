//! Everything that is ever sent to the Admin API, in a closed list: there is no way to send anything else.

/// Makes the operations of one list, so that none can be left out of [`Operation::ALL`]: each its meaning, its name, its
/// document's file and name in metrics, and what it is thought to cost.
macro_rules! operations {
    ($($(#[doc = $about:literal])+ $name:ident = $word:literal, $cost:literal;)+) => {
        /// A document of ours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($(#[doc = $about])+ $name,)+
        }

        impl Operation {
            /// All of them.
            pub const ALL: [Self; [$($cost),+].len()] = [$(Self::$name),+];

            fn parts(self) -> (&'static str, &'static str, u32) {
                match self {
                    $(Self::$name => ($word, include_str!(concat!("queries/", $word, ".graphql")), $cost),)+
                }
            }
        }
    };
}

operations! {
    /// Which orders changed in a window.
    OrdersSeen = "orders_seen", 13;
    /// How many did.
    OrdersCount = "orders_count", 10;
    /// Orders, whole.
    OrdersByIds = "orders_by_ids", 96;
    /// Further lines of an order.
    OrderLinesMore = "order_lines_more", 58;
    /// Further lines of a fulfilment.
    FulfilmentLinesMore = "fulfilment_lines_more", 26;
    /// Further lines of a refund.
    RefundLinesMore = "refund_lines_more", 37;
    /// Which products changed in a window.
    ProductsSeen = "products_seen", 13;
    /// How many did.
    ProductsCount = "products_count", 10;
    /// Products, whole.
    ProductsByIds = "products_by_ids", 40;
    /// Further variants of a product.
    ProductVariantsMore = "product_variants_more", 36;
    /// Which products were deleted.
    ProductsDeleted = "products_deleted", 13;
    /// Every location.
    Locations = "locations", 13;
    /// What the token may see.
    Scopes = "scopes", 10;
    /// Our webhook subscriptions.
    WebhookSubscriptions = "webhook_subscriptions", 24;
    /// Another webhook subscription.
    WebhookSubscriptionCreate = "webhook_subscription_create", 10;
}

impl Operation {
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
}
