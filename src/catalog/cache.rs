//! The catalogue in memory: an immutable value that is swapped as a whole, with structural sharing, so that taking in
//! one change of a hundred thousand SKUs is cheap.

use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgConnection;

use super::Catalogue;
use super::revision;

/// The newest catalogue that this instance has seen.
#[derive(Debug, Default)]
pub struct CatalogueCache {
    current: RwLock<Arc<Catalogue>>,
}

impl CatalogueCache {
    /// The newest catalogue that this instance has seen.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what has changed since and swaps it in.
    ///
    /// # Errors
    /// Database errors; the catalogue in memory stays as it was.
    pub async fn refresh(&self, conn: &mut PgConnection) -> sqlx::Result<Arc<Catalogue>> {
        let mut catalogue = Catalogue::clone(&self.current());
        revision::read_changes(conn, &mut catalogue).await?;
        let catalogue = Arc::new(catalogue);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Two refreshes may finish in either order.
        if catalogue.revision >= current.revision {
            *current = Arc::clone(&catalogue);
        }
        Ok(catalogue)
    }
}
