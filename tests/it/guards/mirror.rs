//! Guards of the copies, and of what is mapped and linked to them.

/// One row of everything.
pub const WORLD: &str = r"
    SET LOCAL holdfast.writer = 'mirror';
    INSERT INTO mirror.products VALUES (1, 'Tea', NULL, 'ACTIVE', '2026-01-02', '2026-01-02', NULL, '{}');
    INSERT INTO mirror.variants (variant_id, product_id, sku, updated_at, fetched_at, document)
    VALUES (1, 1, 'sku-11', '2026-01-02', '2026-01-02', '{}');
    INSERT INTO mirror.locations VALUES (1, 'Hall', true, '2026-01-02', '2026-01-02', NULL, '{}');
    INSERT INTO mirror.orders (order_id, name, created_at, updated_at, test, confirmed, fetched_at, document)
    VALUES (1, '#1', '2026-01-01', '2026-01-02', false, true, '2026-01-02', '{}');
    INSERT INTO mirror.order_lines VALUES (1, 1, 0, 1, 1, 'sku-11', 'Tea', 1, 1, 1, true, false, NULL);
    INSERT INTO mirror.fulfilments VALUES (1, 1, 'SUCCESS', '2026-01-02', '2026-01-02', 1);
    INSERT INTO mirror.fulfilment_lines VALUES (1, 1, 1, 1, 1);
    INSERT INTO mirror.refunds VALUES (1, 1, '2026-01-02', '2026-01-02');
    INSERT INTO mirror.refund_lines VALUES (1, 1, 0, 1, 1, 1, 'RETURN', true, 1);
    INSERT INTO mirror.recharge_customers VALUES (1, 1, '2026-01-02', '2026-01-02', NULL, '{}');
    INSERT INTO mirror.recharge_subscriptions
    VALUES (1, 1, 'active', 1, 1, NULL, 1, NULL, '2026-01-02', '2026-01-02', NULL, '{}');
    INSERT INTO mirror.recharge_charges VALUES (1, 1, 'queued', NULL, NULL, '2026-01-02', '2026-01-02', NULL, '{}');
    INSERT INTO mirror.recharge_orders (order_id, status, prepaid, updated_at, fetched_at, document)
    VALUES (1, 'queued', true, '2026-01-02', '2026-01-02', '{}');
    INSERT INTO mirror.recharge_lines VALUES ('charge', 1, 0, 1, 1, 'sku-11', 'Tea', 1, NULL);
    INSERT INTO mirror.order_progress (source, order_id, revision, applied_revision, attempts, next_attempt_at)
    VALUES ('shopify', 1, 2, 1, 0, '2026-01-02');
    INSERT INTO mirror.streams (source, stream, phase, seen, written, backfill_seen)
    VALUES ('shopify', 'orders', 'backfill', 0, 0, 0);
    INSERT INTO mirror.beginnings VALUES ('shopify', '2026-01-01');
    INSERT INTO mirror.webhook_deliveries
    (source, delivery_id, topic, received_at, body, status, attempts, next_attempt_at)
    VALUES ('shopify', 'd', 'orders/create', '2026-01-02', '{}', 'pending', 0, '2026-01-02');
    INSERT INTO variant_mappings VALUES (1, 1, 'operator', false, 1, '2026-01-02');
    INSERT INTO variant_components VALUES (1, 1, 11, 1);
    INSERT INTO line_mappings VALUES ('shopify', 1, '1', 11, 1, 1, '2026-01-02');
    INSERT INTO unmatched_lines VALUES ('shopify', 1, '1', 1, 'sku-11', 'Tea', 1, '2026-01-02', true);
    INSERT INTO location_pools VALUES (1, 1, 1, '2026-01-02');
    INSERT INTO sku_retirements VALUES (11, 1, '2026-01-02');
    INSERT INTO campaigns VALUES ('june', 'webinar', 'June', '2026-06-01', '2026-06-02', 1, '2026-01-02', '2026-01-02');
    INSERT INTO campaign_products VALUES ('june', 1);
    INSERT INTO demands VALUES (1, 'shopify', '1', '1', '#1', 2, NULL, '2026-01-02');
    INSERT INTO demand_lines VALUES (1, 'shopify', '1', '1', 11, 1, 0, 2);
    INSERT INTO demand_claims
    SELECT pool_id, reservation_id, 'shopify', '1' FROM reservations WHERE pool_id = 1 AND order_ref = 'order-2';";

/// A guard and what it refuses; whoever tries is the mirror, but for the guards that refuse everybody else.
#[rustfmt::skip]
pub const CASES: &[(&str, &str)] = &[
    ("demands_pkey", r"copy demands WHERE true WITH {}"),
    ("demands_pool_exists", r#"copy demands WHERE true WITH {"pool_id": 9}"#),
    ("demands_revision_not_negative", r#"copy demands WHERE true WITH {"order_id": "2", "revision": -1}"#),
    ("demands_only_forward", "UPDATE demands SET revision = 1"),
    ("demands_only_forward", "UPDATE demands SET absorbed_by = '7'; UPDATE demands SET absorbed_by = NULL"),
    ("demands_never_deleted", r#"copy demands WHERE true WITH {"order_id": "3"}; DELETE FROM demands WHERE order_id = '3'"#),
    ("demand_lines_pkey", r"copy demand_lines WHERE true WITH {}"),
    ("demand_lines_demand_exists", r#"copy demand_lines WHERE true WITH {"order_id": "9"}"#),
    ("demand_lines_unit_quantity_positive", r#"copy demand_lines WHERE true WITH {"line_ref": "2", "unit_quantity": 0}"#),
    ("demand_lines_quantity_not_negative", r#"copy demand_lines WHERE true WITH {"line_ref": "2", "quantity": -1}"#),
    ("demand_claims_pkey", r"copy demand_claims WHERE true WITH {}"),
    ("demand_claims_demand_exists", r#"copy demand_claims WHERE true WITH {"reservation_id": "r4", "order_id": "9"}"#),
    ("demand_claims_reservation_exists", r#"copy demand_claims WHERE true WITH {"reservation_id": "new"}"#),

    ("variant_mappings_pkey", r"copy variant_mappings WHERE variant_id = 1 WITH {}"),
    ("variant_mappings_origin_known", r#"copy variant_mappings WHERE variant_id = 1 WITH {"version": 2, "origin": "guess"}"#),
    ("variant_mappings_version_from_one", r#"copy variant_mappings WHERE variant_id = 1 WITH {"version": 0}"#),
    ("variant_mappings_append_only", "UPDATE variant_mappings SET origin = 'sku_code'"),
    ("variant_mappings_append_only", "INSERT INTO variant_mappings VALUES (2, 1, 'operator', false, 1, now()); DELETE FROM variant_mappings WHERE variant_id = 2"),
    ("variant_components_pkey", r"copy variant_components WHERE variant_id = 1 WITH {}"),
    ("variant_components_mapping_exists", r#"copy variant_components WHERE variant_id = 1 WITH {"version": 2}"#),
    ("variant_components_quantity_positive", r#"copy variant_components WHERE variant_id = 1 WITH {"sku_id": 12, "quantity": 0}"#),
    ("variant_components_quantity_positive", r#"copy variant_components WHERE variant_id = 1 WITH {"sku_id": 12, "quantity": 10001}"#),
    ("variant_components_sku_exists", r#"copy variant_components WHERE variant_id = 1 WITH {"sku_id": 99}"#),
    ("variant_components_append_only", "UPDATE variant_components SET quantity = 2"),
    ("variant_components_append_only", "DELETE FROM variant_components"),
    ("line_mappings_pkey", r"copy line_mappings WHERE true WITH {}"),
    ("line_mappings_quantity_positive", r#"copy line_mappings WHERE true WITH {"sku_id": 12, "quantity": 0}"#),
    ("line_mappings_sku_exists", r#"copy line_mappings WHERE true WITH {"sku_id": 99}"#),
    ("unmatched_lines_pkey", r"copy unmatched_lines WHERE true WITH {}"),
    ("location_pools_pkey", r"copy location_pools WHERE true WITH {}"),
    ("location_pools_pool_exists", r#"copy location_pools WHERE true WITH {"location_id": 2, "pool_id": 9}"#),
    ("sku_retirements_pkey", r"copy sku_retirements WHERE true WITH {}"),
    ("sku_retirements_sku_exists", r#"copy sku_retirements WHERE true WITH {"sku_id": 99}"#),
    ("sku_retirements_append_only", "UPDATE sku_retirements SET retired_at = now()"),
    ("sku_retirements_append_only", "DELETE FROM sku_retirements"),
    ("campaigns_pkey", r"copy campaigns WHERE true WITH {}"),
    ("campaigns_code_length", r#"copy campaigns WHERE true WITH {"code": ""}"#),
    ("campaigns_kind_known", r#"copy campaigns WHERE true WITH {"code": "july", "kind": "party"}"#),
    ("campaigns_window_forward", r#"copy campaigns WHERE true WITH {"code": "july", "ends_at": "2026-06-01"}"#),
    ("campaign_products_pkey", r"copy campaign_products WHERE true WITH {}"),
    ("campaign_products_campaign_exists", r#"copy campaign_products WHERE true WITH {"code": "july"}"#),
    ("campaign_products_product_exists", r#"copy campaign_products WHERE true WITH {"product_id": 2}"#),
    ("campaign_products_product_exists", "ALTER TABLE mirror.variants DROP CONSTRAINT variants_product_exists; DELETE FROM mirror.products"),

    ("mirror.products_pkey", r"copy mirror.products WHERE true WITH {}"),
    ("mirror.products_only_newer", "UPDATE mirror.products SET updated_at = '2026-01-01'"),
    ("mirror.products_only_newer", "UPDATE mirror.products SET fetched_at = '2026-01-01'"),
    ("mirror.variants_pkey", r"copy mirror.variants WHERE true WITH {}"),
    ("mirror.variants_product_exists", r#"copy mirror.variants WHERE true WITH {"variant_id": 2, "product_id": 2}"#),
    ("mirror.variants_sku_not_empty", r#"copy mirror.variants WHERE true WITH {"variant_id": 2, "sku": ""}"#),
    ("mirror.variants_only_newer", "UPDATE mirror.variants SET updated_at = '2026-01-01', fetched_at = '2026-01-03'"),
    ("mirror.locations_pkey", r"copy mirror.locations WHERE true WITH {}"),
    ("mirror.locations_only_newer", "UPDATE mirror.locations SET updated_at = '2026-01-01'"),
    ("mirror.orders_pkey", r"copy mirror.orders WHERE true WITH {}"),
    ("mirror.orders_only_newer", "UPDATE mirror.orders SET updated_at = '2026-01-01'"),
    ("mirror.order_lines_pkey", r"copy mirror.order_lines WHERE true WITH {}"),
    ("mirror.order_lines_order_exists", r#"copy mirror.order_lines WHERE true WITH {"order_id": 2}"#),
    ("mirror.order_lines_sku_not_empty", r#"copy mirror.order_lines WHERE true WITH {"line_id": 2, "sku": ""}"#),
    ("mirror.fulfilments_pkey", r"copy mirror.fulfilments WHERE true WITH {}"),
    ("mirror.fulfilments_order_exists", r#"copy mirror.fulfilments WHERE true WITH {"order_id": 2}"#),
    ("mirror.fulfilment_lines_pkey", r"copy mirror.fulfilment_lines WHERE true WITH {}"),
    ("mirror.fulfilment_lines_fulfilment_exists", r#"copy mirror.fulfilment_lines WHERE true WITH {"fulfilment_id": 2}"#),
    ("mirror.refunds_pkey", r"copy mirror.refunds WHERE true WITH {}"),
    ("mirror.refunds_order_exists", r#"copy mirror.refunds WHERE true WITH {"order_id": 2}"#),
    ("mirror.refund_lines_pkey", r"copy mirror.refund_lines WHERE true WITH {}"),
    ("mirror.refund_lines_refund_exists", r#"copy mirror.refund_lines WHERE true WITH {"refund_id": 2}"#),
    ("mirror.recharge_customers_pkey", r"copy mirror.recharge_customers WHERE true WITH {}"),
    ("mirror.recharge_customers_only_newer", "UPDATE mirror.recharge_customers SET updated_at = '2026-01-01'"),
    ("mirror.recharge_subscriptions_pkey", r"copy mirror.recharge_subscriptions WHERE true WITH {}"),
    ("mirror.recharge_subscriptions_only_newer", "UPDATE mirror.recharge_subscriptions SET updated_at = '2026-01-01'"),
    ("mirror.recharge_charges_pkey", r"copy mirror.recharge_charges WHERE true WITH {}"),
    ("mirror.recharge_charges_only_newer", "UPDATE mirror.recharge_charges SET updated_at = '2026-01-01'"),
    ("mirror.recharge_orders_pkey", r"copy mirror.recharge_orders WHERE true WITH {}"),
    ("mirror.recharge_orders_only_newer", "UPDATE mirror.recharge_orders SET updated_at = '2026-01-01'"),
    ("mirror.recharge_lines_pkey", r"copy mirror.recharge_lines WHERE true WITH {}"),
    ("mirror.recharge_lines_owner_known", r#"copy mirror.recharge_lines WHERE true WITH {"owner": "cart"}"#),
    ("mirror.recharge_lines_sku_not_empty", r#"copy mirror.recharge_lines WHERE true WITH {"position": 1, "sku": ""}"#),
    ("mirror.order_progress_pkey", r"copy mirror.order_progress WHERE true WITH {}"),
    ("mirror.order_progress_source_known", r#"copy mirror.order_progress WHERE true WITH {"source": "etsy"}"#),
    ("mirror.order_progress_applied_within", "UPDATE mirror.order_progress SET applied_revision = 3"),
    ("mirror.order_progress_applied_within", "UPDATE mirror.order_progress SET applied_revision = -1"),
    ("mirror.streams_pkey", r"copy mirror.streams WHERE true WITH {}"),
    ("mirror.streams_phase_known", r#"copy mirror.streams WHERE true WITH {"stream": "products", "phase": "lost"}"#),
    ("mirror.beginnings_pkey", r"copy mirror.beginnings WHERE true WITH {}"),
    ("mirror.webhook_deliveries_pkey", r"copy mirror.webhook_deliveries WHERE true WITH {}"),
    ("mirror.webhook_deliveries_processed_has_time", r#"copy mirror.webhook_deliveries WHERE true WITH {"delivery_id": "e", "status": "done"}"#),
    ("mirror.webhook_deliveries_processed_has_time", r#"copy mirror.webhook_deliveries WHERE true WITH {"delivery_id": "e", "processed_at": "2026-01-02"}"#),
    ("mirror.webhook_deliveries_status_known", r#"copy mirror.webhook_deliveries WHERE true WITH {"delivery_id": "e", "status": "lost", "processed_at": "2026-01-02"}"#),

    ("mirror.products_only_by_the_mirror", "UPDATE mirror.products SET title = 'Coffee'"),
    ("mirror.variants_only_by_the_mirror", "DELETE FROM mirror.variants"),
    ("mirror.locations_only_by_the_mirror", "TRUNCATE mirror.locations"),
    ("mirror.orders_only_by_the_mirror", "UPDATE mirror.orders SET test = true"),
    ("mirror.order_lines_only_by_the_mirror", "DELETE FROM mirror.order_lines"),
    ("mirror.fulfilments_only_by_the_mirror", "UPDATE mirror.fulfilments SET status = 'CANCELLED'"),
    ("mirror.fulfilment_lines_only_by_the_mirror", "DELETE FROM mirror.fulfilment_lines"),
    ("mirror.refunds_only_by_the_mirror", r#"copy mirror.refunds WHERE true WITH {"refund_id": 2}"#),
    ("mirror.refund_lines_only_by_the_mirror", "DELETE FROM mirror.refund_lines"),
    ("mirror.recharge_customers_only_by_the_mirror", "DELETE FROM mirror.recharge_customers"),
    ("mirror.recharge_subscriptions_only_by_the_mirror", "DELETE FROM mirror.recharge_subscriptions"),
    ("mirror.recharge_charges_only_by_the_mirror", "DELETE FROM mirror.recharge_charges"),
    ("mirror.recharge_orders_only_by_the_mirror", "DELETE FROM mirror.recharge_orders"),
    ("mirror.recharge_lines_only_by_the_mirror", "DELETE FROM mirror.recharge_lines"),
    ("mirror.order_progress_only_by_the_mirror", "DELETE FROM mirror.order_progress"),
    ("mirror.streams_only_by_the_mirror", "DELETE FROM mirror.streams"),
    ("mirror.beginnings_only_by_the_mirror", "DELETE FROM mirror.beginnings"),
    ("mirror.webhook_deliveries_only_by_the_mirror", "DELETE FROM mirror.webhook_deliveries"),
];

/// The SQL of a case as whom it is for.
pub fn as_writer(name: &str, case: &str) -> String {
    if name.ends_with("_only_by_the_mirror") {
        return case.to_owned();
    }
    format!("SET LOCAL holdfast.writer = 'mirror'; {case}")
}
