-- What the running service may do. Applied after every migration, where the role exists.
DO $$
BEGIN
    -- Instances that start at once take turns: two that change the grants of a table would break one of them.
    PERFORM pg_advisory_xact_lock(hashtextextended('holdfast grants', 0));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_app') THEN
        RETURN;
    END IF;
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM holdfast_app;
    GRANT USAGE ON SCHEMA public TO holdfast_app;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO holdfast_app;
    -- Append-only.
    GRANT INSERT ON stock_entries, lot_transactions, depletions, fulfilments, shipments, snapshot_skus TO holdfast_app;
    GRANT INSERT ON returns, return_lines, return_lots TO holdfast_app;
    -- The catalogue and the keys are edited, never deleted.
    GRANT INSERT, UPDATE ON pools, classes, skus, clients, api_keys TO holdfast_app;
    GRANT UPDATE (revision) ON catalogue_revision TO holdfast_app;
    GRANT INSERT ON pool_zones TO holdfast_app;
    -- Balances and claims: only what moves.
    GRANT INSERT ON stock, reservations, reservation_lines, lots, oversells TO holdfast_app;
    GRANT UPDATE (on_hand, quarantined, held, committed, seq, opened_at, updated_at, next_expires_date)
        ON stock TO holdfast_app;
    GRANT UPDATE (state, order_ref, owner, metadata, expires_at, committed_at, closed_at, closed_reason)
        ON reservations TO holdfast_app;
    GRANT UPDATE (
        held_quantity, committed_quantity, released_quantity, superseded_quantity, expired_quantity, cancelled_quantity,
        fulfilled_quantity, expires_at
    ) ON reservation_lines TO holdfast_app;
    GRANT UPDATE (remaining_quantity, status, quarantined_quantity, quarantine_reason, unit_cost, cost_provisional)
        ON lots TO holdfast_app;
    -- Shipments, what is open of them, and the days that close.
    GRANT INSERT ON shipment_lines, discrepancies, lot_shortages, snapshots, transfers TO holdfast_app;
    GRANT UPDATE (
        covered_quantity, fulfilled_quantity, depleted_quantity, returned_quantity, snapshot_date, voided_at
    ) ON shipment_lines TO holdfast_app;
    GRANT UPDATE (settled_quantity, voided_quantity, closed_at) ON discrepancies, lot_shortages TO holdfast_app;
    GRANT UPDATE (status, closed_at) ON snapshots, transfers TO holdfast_app;
    GRANT UPDATE (resolved_quantity, resolved_at) ON oversells TO holdfast_app;
    -- What was repaired stays written; a plan grows while it is being made, and goes once it is old.
    GRANT INSERT ON repairs TO holdfast_app;
    GRANT INSERT, DELETE, UPDATE (cursor, complete, plan, updated_at) ON repair_plans TO holdfast_app;
    -- Slots of jobs move forward; old ones are purged.
    GRANT INSERT, DELETE ON job_slots TO holdfast_app;
    GRANT UPDATE (
        status, attempts, failures, next_attempt_at, lease_expires_at, instance, started_at, finished_at, last_error,
        report
    ) ON job_slots TO holdfast_app;
    -- Outcomes are final; old ones are purged.
    GRANT INSERT, DELETE ON idempotency_keys TO holdfast_app;
    -- What orders claim: their newest state, and which reservations are theirs.
    GRANT INSERT, UPDATE (revision, absorbed_by, order_name, updated_at) ON demands TO holdfast_app;
    GRANT INSERT, UPDATE (quantity, unit_quantity, mapping_version) ON demand_lines TO holdfast_app;
    GRANT INSERT, UPDATE (source, order_id) ON demand_claims TO holdfast_app;
    -- What mirrored things mean, and what is linked to them.
    GRANT INSERT ON variant_mappings, variant_components, sku_retirements TO holdfast_app;
    GRANT INSERT, UPDATE, DELETE ON line_mappings, unmatched_lines, location_pools TO holdfast_app;
    GRANT INSERT, UPDATE, DELETE ON campaigns, campaign_products TO holdfast_app;
    -- Copies: the tables themselves refuse whoever is not the mirror.
    GRANT USAGE ON SCHEMA mirror TO holdfast_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mirror TO holdfast_app;
END
$$;
