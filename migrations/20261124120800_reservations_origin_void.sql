-- A shipment that is voided after everything had shipped: what is terminal stays terminal, so the claim is a new one.
ALTER TABLE reservations
DROP CONSTRAINT reservations_origin_known,
ADD CONSTRAINT reservations_origin_known CHECK (
    origin IN ('checkout', 'supersede', 'extension', 'late_commit', 'order', 'void')
),
DROP CONSTRAINT reservations_origin_names_the_replaced,
ADD CONSTRAINT reservations_origin_names_the_replaced CHECK (
    (origin IN ('supersede', 'extension', 'late_commit', 'void')) = (replaces_id IS NOT NULL)
);
