-- Row-local guards against hand-written SQL, for what no constraint can say. They read OLD and NEW and nothing else;
-- balances and states are never computed here.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END
$$;

CREATE TRIGGER stock_entries_append_only BEFORE UPDATE OR DELETE ON stock_entries
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stock_entries_no_truncate BEFORE TRUNCATE ON stock_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lot_transactions_append_only BEFORE UPDATE OR DELETE ON lot_transactions
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lot_transactions_no_truncate BEFORE TRUNCATE ON lot_transactions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER idempotency_keys_outcome_is_final BEFORE UPDATE ON idempotency_keys
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reservations_never_deleted BEFORE DELETE ON reservations
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reservation_lines_never_deleted BEFORE DELETE ON reservation_lines
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION reservations_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND (
        OLD.state NOT IN ('held', 'committed')
        OR NEW.state = 'held'
        OR (OLD.state = 'committed' AND NEW.state IN ('released', 'expired'))
    ) THEN
        RAISE EXCEPTION 'reservation state may not move from % to %', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    IF OLD.order_ref IS NOT NULL AND NEW.order_ref IS DISTINCT FROM OLD.order_ref THEN
        RAISE EXCEPTION 'the order of a committed reservation may not change'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER reservations_only_forward BEFORE UPDATE ON reservations
FOR EACH ROW EXECUTE FUNCTION reservations_only_forward();

CREATE FUNCTION reservation_lines_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sku_id <> OLD.sku_id
        OR NEW.tracked <> OLD.tracked
        OR NEW.requested_quantity <> OLD.requested_quantity
        OR NEW.short_quantity <> OLD.short_quantity
        OR NEW.held_quantity > OLD.held_quantity
        OR NEW.released_quantity < OLD.released_quantity
        OR NEW.expired_quantity < OLD.expired_quantity
        OR NEW.cancelled_quantity < OLD.cancelled_quantity
        OR NEW.committed_quantity + NEW.cancelled_quantity < OLD.committed_quantity + OLD.cancelled_quantity
    THEN
        RAISE EXCEPTION 'the quantities of a reservation line only move forward'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER reservation_lines_only_forward BEFORE UPDATE ON reservation_lines
FOR EACH ROW EXECUTE FUNCTION reservation_lines_only_forward();

CREATE FUNCTION stock_moves_with_its_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq < OLD.seq OR (
        NEW.seq = OLD.seq AND (
            NEW.on_hand <> OLD.on_hand OR NEW.quarantined <> OLD.quarantined
            OR NEW.held <> OLD.held OR NEW.committed <> OLD.committed
        )
    ) THEN
        RAISE EXCEPTION 'a balance changes only together with a new ledger entry'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER stock_moves_with_its_ledger BEFORE UPDATE ON stock
FOR EACH ROW EXECUTE FUNCTION stock_moves_with_its_ledger();
