-- Its predicate read the quantity.
DROP INDEX lots_open;
