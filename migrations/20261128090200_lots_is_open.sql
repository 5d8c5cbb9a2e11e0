-- Whether anything is left. Indexes that ask for this, and not for how much is left, need no new entry each time that a
-- lot is taken from: the new version of the row stays on its page, and no index is written to. The table is rewritten
-- under an exclusive lock: lots are few, a million of them are done in seconds.
ALTER TABLE lots
ADD COLUMN is_open boolean NOT NULL GENERATED ALWAYS AS (remaining_quantity > 0) STORED;
