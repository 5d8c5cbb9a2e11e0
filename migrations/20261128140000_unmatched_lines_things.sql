-- A line that nobody can tell the stock of may be no thing at all (a warranty, a tip): it is listed, too, and told apart
-- from goods. Rows from before are goods, for nothing else was listed. A small table of the mirror's own: the rewrite is
-- none, since a constant default is kept in the catalogue until it is dropped at once.

ALTER TABLE unmatched_lines ADD COLUMN requires_shipping boolean NOT NULL DEFAULT true;
ALTER TABLE unmatched_lines ALTER COLUMN requires_shipping DROP DEFAULT;
COMMENT ON COLUMN unmatched_lines.requires_shipping IS 'Whether it is a thing: without one the claims of its order are complete all the same.';
