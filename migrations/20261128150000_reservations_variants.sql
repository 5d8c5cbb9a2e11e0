-- Variants that a cart named, with the version of the recipe that it was held under: what is held keeps it. Null for a
-- cart of SKUs alone. Nullable and without a default, so that nothing is rewritten and an instance of the release before
-- can go on inserting. A column of the reservation and no table of its own: it is written once, with the row, and read
-- with it, so that carts without a variant cost no statement. The lines stay what counts; `holdfast audit` compares.
ALTER TABLE reservations
ADD COLUMN variants jsonb;
