//! What the team links to mirrored products: a webinar, an influencer, a promotion, and how much of its products was
//! sold in its window.
//!
//! Campaigns are ours to write; products are not. A link is a foreign key to the copy of a product, and copies stay
//! when the product is deleted upstream, so a link never breaks. What was sold is never stored: it is counted from the
//! copies of orders whenever it is asked for, so refunds and edits that come late are in it.

pub mod queries;
pub mod routes;
pub mod sales;
pub mod view;
pub mod write;
