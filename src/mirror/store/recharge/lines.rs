//! Lines of charges and of orders of Recharge. They have no ids: their places are their names.

use sqlx::PgConnection;

use crate::mirror::rows::RechargeLine;
use crate::mirror::store::columns::{code, column, plain};

/// What the lines belong to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Charge,
    Order,
}

impl Owner {
    fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Order => "order",
        }
    }
}

/// Replaces the lines of `ids` by these, row by row: what is the same is left alone.
pub(super) async fn replace(
    conn: &mut PgConnection,
    owner: Owner,
    ids: &[i64],
    owned: &[(i64, &[RechargeLine])],
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<(i64, i32, &RechargeLine)> =
        owned.iter().flat_map(|(id, lines)| (1..).zip(*lines).map(|(position, line)| (*id, position, line))).collect();
    let rows: Vec<_> = rows.iter().collect();
    let (owners, positions) = (column(&rows, |row| row.0), column(&rows, |row| row.1));
    sqlx::query!(
        r#"
        DELETE FROM mirror.recharge_lines AS stored
        WHERE stored.owner = $1
            AND stored.owner_id = ANY($2)
            AND NOT EXISTS (
                SELECT FROM UNNEST($3::bigint[], $4::integer[]) AS given (owner_id, position)
                WHERE given.owner_id = stored.owner_id AND given.position = stored.position
            )
        "#,
        owner.as_str(),
        ids,
        &owners,
        &positions,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO mirror.recharge_lines AS stored (
            owner, owner_id, position, variant_id, product_id, sku, title, quantity, purchase_item_id
        )
        SELECT $1, given.*
        FROM UNNEST(
            $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[]
        ) AS given
        ON CONFLICT (owner, owner_id, position) DO UPDATE
        SET variant_id = excluded.variant_id, product_id = excluded.product_id, sku = excluded.sku,
            title = excluded.title, quantity = excluded.quantity, purchase_item_id = excluded.purchase_item_id
        WHERE (stored.*) IS DISTINCT FROM (excluded.*)
        "#,
        owner.as_str(),
        &owners,
        &positions,
        &column(&rows, |row| row.2.variant_id) as &[Option<i64>],
        &column(&rows, |row| row.2.product_id) as &[Option<i64>],
        &column(&rows, |row| code(row.2.sku.as_ref())) as &[Option<&str>],
        &column(&rows, |row| plain(&row.2.title)) as &[&str],
        &column(&rows, |row| row.2.quantity),
        &column(&rows, |row| row.2.purchase_item_id) as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
