-- How many objects a stream has seen in its window. An upstream pages through so many of one window and no further, so a
-- window that has given too many is closed and the next begins where it ended; that must outlive a crash. A new column
-- with a constant default: no rewrite.
ALTER TABLE mirror.streams ADD COLUMN window_seen bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN mirror.streams.window_seen IS 'Objects seen so far in the window from window_from to window_to.';
