//! Pages: closed ranges of a primary key, each read in one read-only snapshot.
//!
//! The ranges of one run cover every possible key, the empty stretches too, so that rows that should not exist fall
//! into exactly one of them.

use sqlx::{Connection, PgConnection, Postgres, Transaction};
use uuid::Uuid;

/// What rows are ordered by within a pool.
pub(super) trait Key: Clone {
    /// No key is smaller.
    fn first() -> Self;
    /// No key is greater.
    fn last() -> Self;
    /// The next key; `None` after the last.
    fn next(&self) -> Option<Self>;
}

/// A SKU.
impl Key for i64 {
    fn first() -> Self {
        Self::MIN
    }

    fn last() -> Self {
        Self::MAX
    }

    fn next(&self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A SKU and the number of its entry.
impl Key for (i64, i64) {
    fn first() -> Self {
        (i64::MIN, i64::MIN)
    }

    fn last() -> Self {
        (i64::MAX, i64::MAX)
    }

    fn next(&self) -> Option<Self> {
        let (sku, seq) = *self;
        seq.checked_add(1).map(|seq| (sku, seq)).or_else(|| Some((sku.checked_add(1)?, i64::MIN)))
    }
}

impl Key for Uuid {
    fn first() -> Self {
        Self::nil()
    }

    fn last() -> Self {
        Self::max()
    }

    fn next(&self) -> Option<Self> {
        self.as_u128().checked_add(1).map(Self::from_u128)
    }
}

/// A client and its idempotency key.
impl Key for (i64, String) {
    fn first() -> Self {
        (i64::MIN, String::new())
    }

    fn last() -> Self {
        (i64::MAX, String::new())
    }

    // Text sorts by its bytes and cannot contain the byte 0, so nothing lies between.
    fn next(&self) -> Option<Self> {
        Some((self.0, format!("{}\u{1}", self.1)))
    }
}

/// The last row of a page that is full, and how many rows the page has.
#[derive(Debug, Clone)]
pub(super) struct End<K> {
    pub key: K,
    pub rows: i64,
}

/// A closed range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range<K> {
    pub from: K,
    pub to: K,
}

/// Walks over a table of one pool.
pub(super) struct Pages<K> {
    size: i64,
    from: Option<K>,
}

impl<K: Key> Pages<K> {
    /// Pages of `size` rows.
    pub fn of(size: i64) -> Self {
        Self { size: size.max(1), from: Some(K::first()) }
    }

    /// Rows in a page.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// Where the next page begins; `None` when everything is covered.
    pub fn from(&self) -> Option<K> {
        self.from.clone()
    }

    /// The range of the page that begins at `from` and whose rows end at `end`. A page that is not full reaches to the
    /// last key.
    pub fn range(&mut self, from: K, end: Option<End<K>>) -> Range<K> {
        let full = end.filter(|end| end.rows >= self.size);
        self.from = full.as_ref().and_then(|end| end.key.next());
        Range { from, to: full.map_or_else(K::last, |end| end.key) }
    }
}

/// Begins the snapshot of one page.
///
/// Each page is planned for its own range, and one statement of a hot SKU may take longer than ordinary ones are given.
/// The planner takes a range of UUIDs for a handful of rows whatever it holds and would compare every row with every
/// other: nested loops are left to the joins that can be nothing else, which look up one row by its key. No parallel
/// workers: they belong to live traffic.
pub(crate) async fn snapshot(conn: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::query!(
        r#"
        SELECT
            set_config('statement_timeout', '10min', true) AS statement_timeout,
            set_config('plan_cache_mode', 'force_custom_plan', true) AS plan_cache_mode,
            set_config('enable_nestloop', 'off', true) AS enable_nestloop,
            set_config('max_parallel_workers_per_gather', '0', true) AS max_parallel_workers_per_gather,
            set_config('jit', 'off', true) AS jit
        "#
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(tx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_touch_and_cover_everything() {
        let mut pages = Pages::<i64>::of(2);
        let mut ranges = Vec::new();
        let mut ends = [Some(End { key: 4, rows: 2 }), Some(End { key: 9, rows: 2 }), None].into_iter();
        while let Some(from) = pages.from() {
            ranges.push(pages.range(from, ends.next().flatten()));
        }
        let expected = [(i64::MIN, 4), (5, 9), (10, i64::MAX)].map(|(from, to)| Range { from, to });
        assert_eq!(ranges, expected);
    }

    #[test]
    fn a_page_that_is_not_full_is_the_last_one() {
        let mut pages = Pages::<Uuid>::of(2);
        let range = pages.range(Uuid::nil(), Some(End { key: Uuid::from_u128(7), rows: 1 }));
        assert_eq!(range.to, Uuid::max());
        assert!(pages.from().is_none());
    }

    #[test]
    fn the_next_key_is_the_very_next() {
        assert_eq!((7_i64, 3_i64).next(), Some((7, 4)));
        assert_eq!((7, i64::MAX).next(), Some((8, i64::MIN)));
        assert_eq!((i64::MAX, i64::MAX).next(), None);
        assert_eq!(Uuid::max().next(), None);
        assert_eq!((7_i64, "a".to_owned()).next(), Some((7, "a\u{1}".to_owned())));
    }
}
