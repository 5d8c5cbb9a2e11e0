//! Reading what a plan needs: the newest copies of orders, what their lines are, and what of them is recorded already.

pub mod copies;
pub mod held;
pub mod known;
pub mod meanings;

pub use copies::{Copied, End, Orders, find_began_at, find_copied, find_links, find_recharge, find_shopify};
pub use held::{Held, find_held, find_newest};
pub use known::{Known, Pinned, RecordedParcel, find_known};
pub use meanings::find_meanings;
