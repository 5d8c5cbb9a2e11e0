-- The write path must know, from the row that it locks anyway, that a lot of it expires.
ALTER TABLE stock ADD COLUMN next_expires_date date;
