//! Locations. The upstream does not say when one changed, so `updated_at` is when its present content was first seen.

use sqlx::PgConnection;

use super::columns::{column, json, newest, plain};
use crate::mirror::rows::Location;

/// Writes the locations that differ from their copies, and marks those gone that are missing: these are all there are.
/// Gives the ids of what was written. Within a transaction of the mirror.
///
/// # Errors
/// Database errors.
pub async fn write_locations(conn: &mut PgConnection, locations: &[Location]) -> sqlx::Result<Vec<i64>> {
    // A shop has at least one. None is an answer to distrust, not one to mark all of them gone for.
    let Some(asked_at) = locations.iter().map(|location| location.fetched_at).min() else { return Ok(Vec::new()) };
    let locations = newest(locations);
    let ids = column(&locations, |location| location.location_id);
    let mut written = upsert(conn, &locations).await?;
    let mut gone = sqlx::query_scalar!(
        r#"
        UPDATE mirror.locations
        SET deleted_at = $2, updated_at = $2, fetched_at = $2
        WHERE NOT (location_id = ANY($1)) AND deleted_at IS NULL AND fetched_at < $2
        RETURNING location_id
        "#,
        &ids,
        asked_at,
    )
    .fetch_all(conn)
    .await?;
    written.append(&mut gone);
    Ok(written)
}

async fn upsert(conn: &mut PgConnection, locations: &[&Location]) -> sqlx::Result<Vec<i64>> {
    let documents = column(locations, |location| json(&location.document));
    sqlx::query_scalar!(
        r#"
        INSERT INTO mirror.locations AS stored (location_id, name, active, updated_at, fetched_at, document)
        SELECT
            given.location_id, given.name, given.active, given.fetched_at, given.fetched_at, given.document::jsonb
        FROM UNNEST($1::bigint[], $2::text[], $3::boolean[], $4::timestamptz[], $5::text[])
            AS given (location_id, name, active, fetched_at, document)
        LEFT JOIN mirror.locations AS known ON known.location_id = given.location_id
        WHERE known.location_id IS NULL
            OR given.fetched_at > known.fetched_at
            AND (known.deleted_at IS NOT NULL OR known.document <> given.document::jsonb)
        ORDER BY given.location_id
        ON CONFLICT (location_id) DO UPDATE
        SET name = excluded.name, active = excluded.active, updated_at = excluded.updated_at,
            fetched_at = excluded.fetched_at, deleted_at = NULL, document = excluded.document
        WHERE excluded.fetched_at > stored.fetched_at
            AND (stored.deleted_at IS NOT NULL OR excluded.document <> stored.document)
        RETURNING location_id
        "#,
        &column(locations, |location| location.location_id),
        &column(locations, |location| plain(&location.name)) as &[&str],
        &column(locations, |location| location.active),
        &column(locations, |location| location.fetched_at),
        &documents,
    )
    .fetch_all(conn)
    .await
}
