-- What the row of a stream did not tell: when all that matters was last compared, whatever its age; whether the open
-- window is walked to fetch everything again; how far a first copy is that nobody can count; and what its token cannot
-- see. New columns that are null, or false by a constant: no rewrite.
ALTER TABLE mirror.streams
    ADD COLUMN deep_reconciled_at timestamptz,
    ADD COLUMN refetching boolean NOT NULL DEFAULT false,
    ADD COLUMN backfill_first_at timestamptz,
    ADD COLUMN window_at timestamptz,
    ADD COLUMN warning text;
COMMENT ON COLUMN mirror.streams.deep_reconciled_at IS 'When every copy that matters was last compared, however old.';
COMMENT ON COLUMN mirror.streams.refetching IS 'Whatever the open window shows is fetched again, also where the copy is as new.';
COMMENT ON COLUMN mirror.streams.backfill_first_at IS 'The first change that the backfill was shown.';
COMMENT ON COLUMN mirror.streams.window_at IS 'The last change that the open window has shown.';
COMMENT ON COLUMN mirror.streams.warning IS 'What the token cannot see, and so is not copied.';
