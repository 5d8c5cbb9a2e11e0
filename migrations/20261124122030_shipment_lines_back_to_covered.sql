-- A line that says that lots gave more than the shelf did (data from elsewhere, or written while a guard was down) may
-- come back to what the shelf gave. Everything else still only moves forward.
CREATE OR REPLACE FUNCTION shipment_lines_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sku_id <> OLD.sku_id
        OR NEW.quantity <> OLD.quantity
        OR NEW.shipped_at <> OLD.shipped_at
        OR NEW.shipped_date <> OLD.shipped_date
        OR NEW.covered_quantity < OLD.covered_quantity
        OR NEW.depleted_quantity < least(OLD.depleted_quantity, OLD.covered_quantity)
        OR NEW.returned_quantity < OLD.returned_quantity
        OR (OLD.snapshot_date IS NOT NULL AND NEW.snapshot_date IS DISTINCT FROM OLD.snapshot_date)
        OR (OLD.voided_at IS NOT NULL AND NEW IS DISTINCT FROM OLD)
    THEN
        RAISE EXCEPTION 'a shipment line only moves forward'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
